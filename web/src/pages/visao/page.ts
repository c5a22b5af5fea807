import Gauge from '@lucide/svelte/icons/gauge';
import type { PageDef } from '../../lib/pages';

export default {
  id: 'visao',
  order: 0,
  group: 'home',
  key: 'v',
  icon: Gauge,
  title: { pt: 'Visão geral', en: 'Overview' },
  tab: true,
  load: () => import('./Page.svelte'),
} satisfies PageDef;
