// One comparison with the values of now: which series are over the limit, the worst first. Pure.
import type { Labels, Sample } from '../../lib/series';
import { depth, holds, type Condition } from './promql';

export type Reading = { labels: Labels; value: number; limit: number; met: boolean };
/**
 * `readings` by depth into the alert, the deepest first; empty where the rule has no data now. `more`
 * counts the conditions of the rule that were not asked.
 */
export type Judged = Condition & { readings: Reading[]; failed: boolean; more: number };

const keyOf = (l: Labels) => JSON.stringify(Object.entries(l).filter(([k]) => k !== '__name__').sort());

export function judge(cond: Condition, values: Sample[] | null | undefined, limits: Sample[] | null | undefined): Judged {
  const by = new Map((limits ?? []).map((s) => [keyOf(s.labels), s.v]));
  const readings = (values ?? [])
    .map((s) => ({ labels: s.labels, value: s.v, limit: cond.limit ?? by.get(keyOf(s.labels)) ?? NaN }))
    .filter((r) => Number.isFinite(r.value) && Number.isFinite(r.limit))
    .map((r) => ({ ...r, met: holds(cond.op, r.value, r.limit) }))
    .sort((a, b) => depth(cond.op, b.value, b.limit) - depth(cond.op, a.value, a.limit));
  return { ...cond, readings, failed: values === null, more: 0 };
}
