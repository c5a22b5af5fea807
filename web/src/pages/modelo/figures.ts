// Pure arithmetic of the model page: intervals corrected for the number of comparisons, bands of a
// histogram, days.
import type { Quality } from '../../lib/api';
import type { Sample } from '../../lib/series';

export type Interval = { value: number; lo: number; hi: number };

/** The quantile of the normal law (Acklam's rational approximation, error below 1.2e-9). */
export function normalQuantile(p: number): number {
  const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
  const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const poly = (k: number[], x: number) => k.reduce((s, v) => s * x + v, 0);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return poly(c, q) / (poly(d, q) * q + 1);
  }
  if (p > 1 - 0.02425) return -normalQuantile(1 - p);
  const q = p - 0.5;
  return (poly(a, q * q) * q) / (poly(b, q * q) * q * q + 1);
}

/** The deviations of a two-sided 95 % interval when `m` are looked at together (Bonferroni). */
export const deviations = (m: number): number => normalQuantile(1 - 0.025 / Math.max(1, m));

/** Wilson's interval of a share; null without cases. */
export function wilson(hits: number, n: number, z: number): Interval | null {
  if (!(n > 0)) return null;
  const p = hits / n;
  const mid = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))) / (1 + (z * z) / n);
  return { value: p, lo: hits === 0 ? 0 : Math.max(0, mid - half), hi: hits === n ? 1 : Math.min(1, mid + half) };
}

export type Share = 'precision_judged' | 'recall' | 'specificity';

/** Hits and cases of a share, from the counts. */
export function casesOf(q: Quality, share: Share): { hits: number; n: number } {
  if (share === 'recall') return { hits: q.tp, n: q.tp + q.fn };
  if (share === 'specificity') return { hits: q.tn, n: q.tn + q.fp };
  return { hits: q.tp, n: q.tp + q.fp - (q.blocked_unverified ?? 0) };
}

export type SegmentView = { id: string; value: number | null; lo: number | null; hi: number | null; n: number; differs: boolean };

/** Segments with intervals that hold together: `differs` only when the value of all is outside. */
export function segmentViews(list: { id: string; q: Quality }[], all: Quality, share: Share): SegmentView[] {
  const counted = list.map(({ id, q }) => ({ id, ...casesOf(q, share) }));
  const z = deviations(counted.filter((s) => s.n > 0).length);
  const whole = casesOf(all, share);
  const base = whole.n > 0 ? whole.hits / whole.n : null;
  return counted
    .map(({ id, hits, n }) => {
      const v = wilson(hits, n, z);
      const differs = v != null && base != null && (base < v.lo || base > v.hi);
      return { id, n, value: v?.value ?? null, lo: v?.lo ?? null, hi: v?.hi ?? null, differs };
    })
    .sort((a, b) => Number(b.differs) - Number(a.differs) || (a.value ?? 2) - (b.value ?? 2));
}

/** The share of each band of a classic histogram, from its cumulated buckets; [] without cases. */
export function bands(samples: Sample[] | undefined): { lo: number; hi: number; share: number }[] {
  const cut = (samples ?? [])
    .map((s) => ({ hi: s.labels.le === '+Inf' ? Infinity : Number(s.labels.le), n: s.v }))
    .filter((b) => !Number.isNaN(b.hi) && Number.isFinite(b.n))
    .sort((a, b) => a.hi - b.hi);
  const total = cut[cut.length - 1]?.n ?? 0;
  if (!(total > 0)) return [];
  return cut.map((b, i) => ({ lo: i ? cut[i - 1].hi : 0, hi: b.hi, share: Math.max(0, b.n - (i ? cut[i - 1].n : 0)) / total }));
}

/** The last `count` dates (UTC) up to the one of `now`, oldest first. */
export function daysUntil(now: number, count: number): string[] {
  const today = Math.floor(now / 86400);
  return Array.from({ length: count }, (_, i) => new Date((today - count + 1 + i) * 86400e3).toISOString().slice(0, 10));
}

/** From how large a share of its frauds on a day counts as mature. */
export const MATURE = 0.95;
export const isMature = (share: number | null | undefined): boolean => share != null && share >= MATURE;
