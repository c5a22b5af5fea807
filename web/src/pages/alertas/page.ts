import Bell from '@lucide/svelte/icons/bell';
import type { PageDef } from '../../lib/pages';

export default {
  id: 'alertas',
  order: 2,
  group: 'home',
  key: 'a',
  icon: Bell,
  title: { pt: 'Alertas', en: 'Alerts' },
  count: (status) => status?.alerts?.firing,
  tab: true,
  load: () => import('./Page.svelte'),
} satisfies PageDef;
