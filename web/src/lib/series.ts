// What a PromQL answer is to a chart: every series on the same grid of times, holes as null. Pure.

export type Labels = Record<string, string>;
export type Series = { labels: Labels; v: (number | null)[] };
export type Matrix = { t: number[]; series: Series[] };
export type Sample = { labels: Labels; v: number };

export type Grid = { from: number; to: number; step: number };
export type RawSeries = { metric: Labels; values?: [number, string][] };

export function gridTimes({ from, to, step }: Grid): number[] {
  const n = Math.floor((to - from) / step + 1e-6) + 1;
  return Array.from({ length: n }, (_, i) => from + i * step);
}

export function onGrid(raw: RawSeries[], grid: Grid): Matrix {
  const t = gridTimes(grid);
  const series = raw.map(({ metric, values = [] }) => {
    const v: (number | null)[] = new Array(t.length).fill(null);
    for (const [at, text] of values) {
      const i = Math.round((at - grid.from) / grid.step);
      const x = Number(text); // NaN and ±Inf are holes: a line cannot show them
      if (i >= 0 && i < v.length && Number.isFinite(x)) v[i] = x;
    }
    return { labels: metric, v };
  });
  return { t, series };
}

/** The series whose label has this value, or a row of holes: charts keep their shape without data. */
export function pick(m: Matrix, label?: string, value?: string): (number | null)[] {
  const found = label === undefined ? m.series[0] : m.series.find((s) => s.labels[label] === value);
  return found?.v ?? new Array(m.t.length).fill(null);
}

export function lastKnown(v: (number | null)[]): number | null {
  for (let i = v.length - 1; i >= 0; i--) if (v[i] != null) return v[i];
  return null;
}

export const anyKnown = (v: (number | null)[]): boolean => v.some((x) => x != null);

/** The value of the sample with these labels. */
export function valueOf(samples: Sample[] | undefined, want: Labels = {}): number | null {
  const hit = samples?.find((s) => Object.entries(want).every(([k, v]) => s.labels[k] === v));
  return hit && Number.isFinite(hit.v) ? hit.v : null;
}
