// The past of the alerts: episodes (when it waited, fired, ended), one lane per rule, and a calendar.
// Pure; times are seconds, zones an offset.
import type { Labels, Matrix } from '../../lib/series';

export type Episode = { name: string; labels: Labels; severity: string; from: number; fired: number | null; to: number | null; open: boolean };

/** Series of ALERTS on one grid; cell i tells of the step that ends at t[i]. */
export function episodes(m: Matrix): Episode[] {
  const step = m.t.length > 1 ? m.t[1] - m.t[0] : 1;
  const by = new Map<string, { labels: Labels; level: number[] }>();
  for (const s of m.series) {
    const { alertstate, __name__: _name, ...labels } = s.labels;
    const key = JSON.stringify(Object.entries(labels).sort());
    const at = by.get(key) ?? { labels, level: new Array<number>(m.t.length).fill(0) };
    s.v.forEach((v, i) => {
      if (v != null) at.level[i] = Math.max(at.level[i], alertstate === 'firing' ? 2 : 1);
    });
    by.set(key, at);
  }
  const out: Episode[] = [];
  for (const { labels, level } of by.values()) {
    for (let i = 0; i < level.length; i++) {
      if (!level[i]) continue;
      const first = i;
      let fired: number | null = null;
      for (; i < level.length && level[i]; i++) if (level[i] === 2 && fired == null) fired = i;
      const open = i === level.length;
      out.push({
        name: labels.alertname ?? '', labels, severity: labels.severity ?? '', from: m.t[first] - step,
        fired: fired == null ? null : m.t[fired] - step, to: open ? null : m.t[i - 1], open,
      });
    }
  }
  return out.sort((a, b) => b.from - a.from || a.name.localeCompare(b.name));
}

export const lasted = (e: Episode, now: number): number => Math.max(0, (e.to ?? now) - (e.fired ?? e.from));

/** When any of them fired, as spans that do not overlap. */
export function spans(list: Episode[], now: number): { from: number; to: number }[] {
  const out: { from: number; to: number }[] = [];
  const fired = list.filter((e) => e.fired != null).map((e) => ({ from: e.fired!, to: e.to ?? now }));
  for (const s of fired.sort((a, b) => a.from - b.from)) {
    const last = out[out.length - 1];
    if (last && s.from <= last.to) last.to = Math.max(last.to, s.to);
    else out.push({ ...s });
  }
  return out;
}

/** 0 quiet, 1 waits, 2 fires for the day, 3 wakes someone. */
export type Lane = { name: string; severity: string; v: (number | null)[] };
/** `present` says where rules were evaluated at all: elsewhere a lane has no data. */
export function lanes(m: Matrix, columns: number, present?: (number | null)[]): { t: number[]; rows: Lane[] } {
  const n = Math.min(columns, m.t.length);
  const at = (i: number) => Math.min(n - 1, Math.floor((i * n) / m.t.length));
  const quiet = new Array<number | null>(n).fill(present ? null : 0);
  present?.forEach((v, i) => {
    if (v != null && i < m.t.length) quiet[at(i)] = 0;
  });
  const rows = new Map<string, Lane>();
  const first = new Map<string, number>();
  for (const s of m.series) {
    const name = s.labels.alertname ?? '';
    const row = rows.get(name) ?? { name, severity: s.labels.severity ?? '', v: quiet.slice() };
    const level = s.labels.alertstate !== 'firing' ? 1 : s.labels.severity === 'S1' ? 3 : 2;
    s.v.forEach((v, i) => {
      if (v == null) return;
      row.v[at(i)] = Math.max(row.v[at(i)] ?? 0, level);
      if (level > 1) first.set(name, Math.min(first.get(name) ?? Infinity, i));
    });
    rows.set(name, row);
  }
  const step = n ? (m.t[m.t.length - 1] - m.t[0]) / Math.max(1, n - 1) : 1;
  const t = Array.from({ length: n }, (_, i) => m.t[0] + i * step);
  const order = (r: Lane) => first.get(r.name) ?? Infinity;
  return { t, rows: [...rows.values()].sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name)) };
}

export type Calendar = { from: number; rows: number; columns: number; cell: number };
const MIN = 60;
const HOUR = 3600;
const DAY = 86400;
/** Rows and columns that people count in: minutes, five minutes, hours; whole rows of the zone. */
export function calendar(from: number, to: number, offset: number): Calendar {
  const span = to - from;
  const [row, cell] = span <= 90 * MIN ? [10 * MIN, MIN] : span <= 14 * HOUR ? [HOUR, 5 * MIN] : [DAY, HOUR];
  const start = Math.floor((from + offset) / row) * row - offset;
  return { from: start, rows: Math.max(1, Math.ceil((to - start) / row)), columns: row / cell, cell };
}

/** What a cell holds, as one number for the map: S1 that fired, others that fired, those that waited. */
const PACK = 1000;
export const pack = (s1: number, other: number, pending: number) => (Math.min(s1, PACK - 1) * PACK + Math.min(other, PACK - 1)) * PACK + Math.min(pending, PACK - 1);
export const unpack = (v: number) => ({ s1: Math.floor(v / PACK / PACK), other: Math.floor(v / PACK) % PACK, pending: v % PACK });

export function cellClass(v: number): number {
  const { s1, other, pending } = unpack(v);
  if (s1) return s1 > 2 ? 6 : 5;
  if (other) return other > 2 ? 4 : 3;
  return pending ? (pending > 2 ? 2 : 1) : 0;
}

/** Answers on the grid (from + cell, …) as rows of the calendar; a cell that nobody watched is null. */
export function calendarCells(cal: Calendar, alerts: Matrix, present: Matrix): (number | null)[][] {
  const seen = present.series[0]?.v ?? [];
  return Array.from({ length: cal.rows }, (_, r) =>
    Array.from({ length: cal.columns }, (_, k) => {
      const i = r * cal.columns + k;
      let [s1, other, pending] = [0, 0, 0];
      for (const s of alerts.series) {
        const n = s.v[i] ?? 0;
        if (s.labels.alertstate === 'pending') pending += n;
        else if (s.labels.severity === 'S1') s1 += n;
        else other += n;
      }
      return seen[i] == null && !s1 && !other && !pending ? null : pack(s1, other, pending);
    }),
  );
}
