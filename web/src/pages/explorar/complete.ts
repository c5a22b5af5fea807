// What the server knows for the editor: names of metrics, labels, values. Asked once a minute at most.
import { data, getMetricNames } from '../../lib/api';
import { both } from '../../lib/i18n.svelte';
import { AGGREGATIONS, FUNCTIONS, KEYWORDS } from './functions';
import type { Choice, Context, Kind } from './promql';

const KEEP_MS = 60_000;
const kept = new Map<string, { at: number; names: Promise<string[]> }>();

function once(key: string, read: () => Promise<string[]>): Promise<string[]> {
  const old = kept.get(key);
  if (old && performance.now() - old.at < KEEP_MS) return old.names;
  const names = read().catch(() => (kept.delete(key), []));
  kept.set(key, { at: performance.now(), names });
  return names;
}
const own = (table: typeof FUNCTIONS, kind: Kind): Choice[] => Object.entries(table).map(([name, help]) => ({ name, kind, help: both(help) }));

export async function choicesFor(c: Context): Promise<Choice[]> {
  if (c.kind === 'expr') {
    const names = await once('', () => getMetricNames());
    return [...names.map((name): Choice => ({ name, kind: 'name' })), ...own(AGGREGATIONS, 'function'), ...own(FUNCTIONS, 'function'), ...own(KEYWORDS, 'keyword')];
  }
  const of = c.metric ? `?match[]=${encodeURIComponent(c.metric)}` : '';
  const path = c.kind === 'label' ? `api/v1/labels${of}` : `api/v1/label/${encodeURIComponent(c.label)}/values${of}`;
  const names = await once(path, () => data<string[]>(path));
  return names.filter((n) => c.kind === 'value' || n !== '__name__').map((name): Choice => ({ name, kind: c.kind === 'label' ? 'label' : 'string' }));
}
