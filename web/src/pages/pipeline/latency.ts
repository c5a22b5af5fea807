// The latency map as numbers: the buckets of a histogram over time, how dense each is, and the box
// that a reader drags over them. Pure.
import type { Matrix } from '../../lib/series';
import { absolute } from '../../lib/time';

export type Bucket = { le: string; lo: number; hi: number };
/** `cells[bucket][time]` is a rate; null is a hole. `top` is the highest density of all. */
export type Heat = { buckets: Bucket[]; t: number[]; step: number; cells: (number | null)[][]; total: (number | null)[]; top: number; below?: string };

const EPS = 1e-9;
/** Where the lowest bucket begins and the open one ends on a log axis, which has no 0 and no end. */
const FIRST = 2;
const LAST = 2;

export function heat(m: Matrix): Heat {
  const sorted = m.series
    .map((s) => ({ le: s.labels.le ?? '', hi: s.labels.le === '+Inf' ? Infinity : Number(s.labels.le), v: s.v }))
    .filter((s) => s.hi > 0)
    .sort((a, b) => a.hi - b.hi);
  const raw = sorted.map((s, i) => ({
    le: s.le,
    lo: i ? sorted[i - 1].hi : 0,
    hi: s.hi,
    v: s.v.map((x, k) => (x == null ? null : Math.max(0, x - (i ? (sorted[i - 1].v[k] ?? 0) : 0)))),
  }));
  const seen = raw.map((b) => b.v.some((x) => x != null && x > EPS));
  const [first, last] = [seen.indexOf(true), seen.lastIndexOf(true)];
  const kept = first < 0 ? [] : raw.slice(first, last + 1);
  const buckets = kept.map(({ le, lo, hi }) => ({ le, lo, hi }));
  const cells = kept.map((b) => b.v);
  let top = 0;
  cells.forEach((row, i) => {
    for (const v of row) top = Math.max(top, density(v ?? 0, buckets[i]));
  });
  const step = m.t.length > 1 ? m.t[1] - m.t[0] : 1;
  const total = sorted.length ? sorted[sorted.length - 1].v : m.t.map(() => null);
  return { buckets, t: m.t, step, cells, total, top, below: first > 0 ? raw[first - 1].le : undefined };
}

/** The edges as they are drawn: a log axis needs a floor and a ceiling. */
export const edges = (b: Bucket): [number, number] => [b.lo > 0 ? b.lo : b.hi / FIRST, Number.isFinite(b.hi) ? b.hi : b.lo * LAST];

/** Per decade of time: buckets are of unequal width, and a narrow one must not look emptier for it. */
export function density(v: number, b: Bucket): number {
  const [lo, hi] = edges(b);
  return v / Math.log10(hi / lo);
}

/** Seven classes: 0 is nothing, 6 the densest, each a factor of about 3 (a log scale). */
export function classOf(v: number, b: Bucket, top: number): number {
  if (v <= EPS || top <= 0) return 0;
  return Math.max(1, Math.min(6, 6 + Math.round(Math.log10(density(v, b) / top) * 2)));
}

/** Place on a log axis, 0 at `lo`, 1 at `hi`. */
export const logPlace = (v: number, lo: number, hi: number): number => Math.log(v / lo) / Math.log(hi / lo);

/** 1, 2, 5 of each decade, or only the decades where there is no room. */
export function logTicks(lo: number, hi: number, many: boolean): number[] {
  const out: number[] = [];
  for (let e = Math.floor(Math.log10(lo)); e <= Math.ceil(Math.log10(hi)); e++)
    for (const k of many ? [1, 2, 5] : [1]) {
      const v = Number((k * 10 ** e).toPrecision(3));
      if (v >= lo * 0.999 && v <= hi * 1.001) out.push(v);
    }
  return out;
}

/** What was dragged: seconds since 1970, and seconds of latency; `hi` may have no end. */
export type Box = { from: number; to: number; lo: number; hi: number };

export const boxText = (b: Box): string =>
  [absolute(b.from), absolute(b.to), String(b.lo), Number.isFinite(b.hi) ? String(b.hi) : 'inf'].join('..');

export function parseBox(text: string | undefined): Box | null {
  const p = (text ?? '').split('..');
  if (p.length !== 4) return null;
  const [from, to] = [Date.parse(p[0]) / 1e3, Date.parse(p[1]) / 1e3];
  const [lo, hi] = [p[2] === '' ? NaN : Number(p[2]), p[3] === 'inf' ? Infinity : Number(p[3] || NaN)];
  return from < to && lo >= 0 && lo < hi && Number.isFinite(from) && Number.isFinite(to) ? { from, to, lo, hi } : null;
}

/** The box around two cells (column, bucket), whichever was first. Column i ends at t[i]. */
export function boxOf(h: Heat, a: { c: number; b: number }, z: { c: number; b: number }): Box {
  const [c0, c1] = [Math.min(a.c, z.c), Math.max(a.c, z.c)];
  const [b0, b1] = [Math.min(a.b, z.b), Math.max(a.b, z.b)];
  return { from: h.t[c0] - h.step, to: h.t[c1], lo: h.buckets[b0].lo, hi: h.buckets[b1].hi };
}

/** The labels of the buckets whose limits a box has; a box of another histogram has none here. */
export function boxLimits(h: Heat, box: Box): { lo?: string; hi: string } | null {
  const hi = h.buckets.findLast((b) => b.hi <= box.hi);
  if (!hi) return null;
  if (box.lo <= h.buckets[0].lo) return { lo: h.below, hi: hi.le };
  const lo = h.buckets.findLast((b) => b.hi <= box.lo);
  return { lo: lo?.le ?? h.below, hi: hi.le };
}
