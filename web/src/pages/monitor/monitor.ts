// Pure parts of the page: durations as Prometheus prints them, what is left of retention, names.
import type { Sample } from '../../lib/series';

const UNITS: Record<string, number> = { ms: 1e-3, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
/** `15d`, `1h30m` in seconds; null when it is not one, or 0 = without an end. */
export function duration(text: string | undefined): number | null {
  if (!text || !/^(\d+(ms|[smhdwy]))+$/.test(text)) return null;
  let total = 0;
  for (const [, n, u] of text.matchAll(/(\d+)(ms|[smhdwy])/g)) total += Number(n) * UNITS[u];
  return total > 0 ? total : null;
}

/** Seconds until the oldest data goes: null when nothing is there or nothing goes. */
export function retentionLeft(retention: number | null, oldest: number | null, now: number): number | null {
  return retention == null || oldest == null ? null : Math.max(0, oldest + retention - now);
}

export type Drop = { what: string; reason: string; count: number };
export const drops = (samples: Sample[]): Drop[] =>
  samples
    .filter((s) => s.v > 0)
    .map((s) => {
      const { __name__: name = '', ...rest } = s.labels;
      return { what: name.replace(/^farol_|_total$/g, ''), reason: Object.values(rest).join(', '), count: s.v };
    })
    .sort((a, b) => b.count - a.count);
