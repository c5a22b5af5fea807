import Workflow from '@lucide/svelte/icons/workflow';
import type { PageDef } from '../../lib/pages';

export default {
  id: 'pipeline',
  order: 0,
  group: 'pillars',
  key: 'p',
  icon: Workflow,
  title: { pt: 'Pipeline', en: 'Pipeline' },
  lamp: (status) => status?.pipeline.state,
  tab: true,
  load: () => import('./Page.svelte'),
} satisfies PageDef;
