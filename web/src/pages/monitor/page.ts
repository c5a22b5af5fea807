import HeartPulse from '@lucide/svelte/icons/heart-pulse';
import type { PageDef } from '../../lib/pages';

export default {
  id: 'monitor',
  order: 1,
  group: 'trust',
  key: 'o',
  icon: HeartPulse,
  title: { pt: 'Este monitor', en: 'This monitor' },
  load: () => import('./Page.svelte'),
} satisfies PageDef;
