import Target from '@lucide/svelte/icons/target';
import type { PageDef } from '../../lib/pages';

export default {
  id: 'modelo',
  order: 1,
  group: 'pillars',
  key: 'm',
  icon: Target,
  title: { pt: 'Modelo', en: 'Model' },
  lamp: (status) => status?.model.state,
  tab: true,
  load: () => import('./Page.svelte'),
} satisfies PageDef;
