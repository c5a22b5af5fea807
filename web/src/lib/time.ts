// Time ranges as people type them, in both languages, and as they stand in the address:
//   now-6h, now-6h-30m, now  relative      2026-11-23T22:00:00Z  absolute
// Pure: now and the zone's offset are arguments.

export type Range = { de: string; ate: string };
export const PRESETS = ['15m', '1h', '6h', '24h', '7d', '30d'] as const;
export const NOW = 'now';

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };
const UNIT =
  '(semanas?|weeks?|w|dias?|days?|d|horas?|hours?|hrs?|h|minutos?|minutes?|mins?|m|segundos?|seconds?|secs?|s)';
const PIECE = new RegExp(`^(\\d+(?:[.,]\\d+)?)\\s*${UNIT}(?![a-z])\\s*`);

function unitSeconds(word: string): number {
  const first = word[0];
  return SECONDS[word.startsWith('semana') ? 'w' : first];
}

/** `2h`, `1 h 30 min`, `90 minutos`; null when it is not a duration. */
export function parseDuration(text: string): number | null {
  let rest = text.trim().toLowerCase();
  let total = 0;
  while (rest) {
    const m = PIECE.exec(rest);
    if (!m) return null;
    total += Number(m[1].replace(',', '.')) * unitSeconds(m[2]);
    rest = rest.slice(m[0].length).replace(/^e\s+|^and\s+/, '');
  }
  return total > 0 ? total : null;
}

/** The shortest whole writing: 5400 is 90m, 7200 is 2h. */
export function shortDuration(seconds: number): string {
  const s = Math.max(1, Math.round(seconds));
  if (s % 86400 === 0) return `${s / 86400}d`;
  if (s % 3600 === 0) return `${s / 3600}h`;
  if (s % 60 === 0) return `${s / 60}m`;
  return `${s}s`;
}

/** A value of the address in seconds since 1970; null when it is none. */
export function instant(value: string, now: number): number | null {
  const m = /^now((?:[+-]\d+[smhdw])*)$/.exec(value);
  if (m) {
    let t = now;
    for (const [, sign, n, unit] of m[1].matchAll(/([+-])(\d+)([smhdw])/g)) {
      t += (sign === '-' ? -1 : 1) * Number(n) * SECONDS[unit];
    }
    return t;
  }
  if (!/^\d{4}-\d\d-\d\dT/.test(value)) return null;
  const t = Date.parse(value) / 1e3;
  return Number.isFinite(t) ? t : null;
}

export const absolute = (t: number): string => new Date(Math.round(t) * 1e3).toISOString().replace('.000Z', 'Z');

/** Both ends in seconds; an address that says nonsense gives `fallback` before now. */
export function resolve(range: Range, now: number, fallback = 3600): { from: number; to: number } {
  const to = instant(range.ate, now) ?? now;
  const from = instant(range.de, now);
  return from != null && from < to ? { from, to } : { from: to - fallback, to };
}

/** A day of the zone whose offset from UTC is given, `back` days before that of now. */
function midnight(now: number, offset: number, back: number): number {
  return Math.floor((now + offset) / 86400 - back) * 86400 - offset;
}

const DAYS: Record<string, number> = {
  hoje: 0, today: 0, ontem: 1, yesterday: 1, anteontem: 2,
};

const CLOCK = /(?:^|\s)(?:às\s+|at\s+)?(\d{1,2})(?:[:h](\d{2})?)(?::(\d{2}))?$/;

/** `ontem 22:00`, `12/03 10:00`, `2026-11-23 10:00`, `22:00`, `agora`, `2h atrás`. */
function point(text: string, now: number, offset: number): { value: string; day?: number } | null {
  const s = text.trim().toLowerCase();
  if (s === 'agora' || s === NOW) return { value: NOW };
  const rel = /^(?:now|agora)\s*-\s*(.+)$/.exec(s) ?? /^(?:há\s+)?(.+?)\s+(?:atrás|atras|ago)$/.exec(s) ?? /^há\s+(.+)$/.exec(s);
  if (rel) {
    const d = parseDuration(rel[1]);
    return d == null ? null : { value: `now-${shortDuration(d)}` };
  }
  if (/^\d{4}-\d\d-\d\dt/.test(s)) {
    const t = Date.parse(text.trim()) / 1e3;
    return Number.isFinite(t) ? { value: absolute(t) } : null;
  }
  const hm = CLOCK.exec(s);
  const date = (hm ? s.slice(0, hm.index) : s).trim();
  let day: number | null = date === '' ? midnight(now, offset, 0) : calendar(date, now, offset);
  if (day == null) return null;
  if (!hm) return date === '' ? null : { value: absolute(day), day };
  const [h, m, sec] = [Number(hm[1]), Number(hm[2] ?? 0), Number(hm[3] ?? 0)];
  if (h > 24 || m > 59 || sec > 59) return null;
  let t = day + h * 3600 + m * 60 + sec;
  if (date === '' && t > now) t -= 86400; // a clock alone is the last time that it showed this
  return { value: absolute(t) };
}

function calendar(date: string, now: number, offset: number): number | null {
  if (date in DAYS) return midnight(now, offset, DAYS[date]);
  const iso = /^(\d{4})-(\d\d?)-(\d\d?)$/.exec(date);
  const br = /^(\d\d?)\/(\d\d?)(?:\/(\d{4}))?$/.exec(date);
  if (!iso && !br) return null;
  const year = iso ? Number(iso[1]) : br![3] ? Number(br![3]) : new Date((now + offset) * 1e3).getUTCFullYear();
  const month = Number(iso ? iso[2] : br![2]);
  const day = Number(iso ? iso[3] : br![1]);
  const utc = Date.UTC(year, month - 1, day);
  const back = new Date(utc);
  if (back.getUTCMonth() !== month - 1 || back.getUTCDate() !== day) return null;
  return utc / 1e3 - offset;
}

/**
 * What a person typed as a range; null when it cannot be understood. `offset` is the zone's distance
 * from UTC in seconds (São Paulo: -10800).
 */
export function parseTyped(text: string, now: number, offset: number): Range | null {
  const s = text.trim().replace(/\s+/g, ' ');
  const d = parseDuration(s.toLowerCase().replace(/^(últim[oa]s?|ultim[oa]s?|last|past)\s+/, ''));
  if (d != null) return { de: `now-${shortDuration(d)}`, ate: NOW };
  const ends = s.split(/\s+(?:até|ate|a|to|until|–|—|-)\s+|\s*\.\.\s*/i);
  if (ends.length > 2) return null;
  const from = point(ends[0].replace(/^(desde|since|de|from)\s+/i, ''), now, offset);
  if (!from) return null;
  if (ends.length === 1) {
    // A whole day ends with the day, or now when it is today.
    if (from.day != null && from.day + 86400 <= now) return { de: from.value, ate: absolute(from.day + 86400) };
    return ordered(from.value, NOW, now);
  }
  const to = point(ends[1], now, offset);
  if (!to) return null;
  return ordered(from.value, to.day != null ? absolute(to.day + 86400) : sameDay(from.value, ends[1], to.value), now);
}

/** `ontem 22:00 até 23:00`: a clock alone at the end belongs to the day of the start. */
function sameDay(from: string, text: string, to: string): string {
  if (!/^\s*\d{1,2}[:h]/.test(text)) return to;
  const a = Date.parse(from) / 1e3;
  const b = Date.parse(to) / 1e3;
  if (!Number.isFinite(a) || !Number.isFinite(b)) return to;
  return absolute(b - Math.floor((b - a) / 86400) * 86400);
}

function ordered(de: string, ate: string, now: number): Range | null {
  const a = instant(de, now);
  const b = instant(ate, now);
  return a != null && b != null && a < b ? { de, ate } : null;
}

const STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** The distance of points for about `points` of them: a round number, so that answers can be kept. */
export function stepFor(seconds: number, points = 240): number {
  const want = seconds / points;
  return STEPS.find((s) => s >= want) ?? Math.ceil(want / 86400) * 86400;
}

/** The window of rate() that goes with a step: never less than four samples of a 15 s scrape. */
export const rateWindow = (step: number): string => shortDuration(Math.max(60, step * 4));

/** How often a range that ends now is asked again. */
export const refreshEvery = (seconds: number): number => (seconds <= 3600 ? 5 : seconds <= 21600 ? 15 : 60);

/** The smallest preset that shows all of `age` seconds of data: a fresh start is not an empty screen. */
export function presetFor(age: number): string {
  if (age < 300) return '5m';
  if (age < 900) return '15m';
  if (age < 3 * 3600) return '1h';
  return '6h';
}
