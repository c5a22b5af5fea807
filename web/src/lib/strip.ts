// The state of a pillar in the past, cell by cell, from its facts: the same limits as the server's
// own reasons (pipeline/status.c, model/status.c) and the alerts that fired. Pure.
import type { State } from './api';
import { worse } from './pipeline';

export type Fact = { v: (number | null)[]; warn: number; crit: number; below?: boolean };

/** `present` says where there is data at all: elsewhere a cell is «no data», never quiet. */
export function strip(present: (number | null)[], facts: Fact[], states: State[][] = []): State[] {
  return present.map((p, i) => {
    if (p == null) return 'none';
    let s: State = 'ok';
    for (const f of facts) s = worse(s, levelOf(f, f.v[i] ?? null));
    for (const cells of states) s = worse(s, cells[i] ?? 'ok');
    return s;
  });
}

function levelOf(f: Fact, v: number | null): State {
  if (v == null) return 'none';
  const over = (limit: number) => (f.below ? v < limit : v > limit);
  return over(f.crit) ? 'crit' : over(f.warn) ? 'warn' : 'ok';
}

/** S1 wakes someone; the others are for the day. */
export const severityLevel = (severity: string | undefined): State => (severity === 'S1' ? 'crit' : 'warn');
