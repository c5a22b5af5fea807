import Activity from '@lucide/svelte/icons/activity';
import type { PageDef } from '../../lib/pages';

export default {
  id: 'explorar',
  order: 0,
  group: 'data',
  key: 'e',
  icon: Activity,
  title: { pt: 'Explorar', en: 'Explore' },
  load: () => import('./Page.svelte'),
} satisfies PageDef;
