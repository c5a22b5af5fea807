// The formats of intl.ts in the language and zone that are shown. Each call reads them, so a
// template that uses one is drawn again when the reader changes language or presses `u`.
import { formats, type Formats } from './intl';
import { lang, zone } from './prefs.svelte';

type Value = number | null | undefined;
const f = (): Formats => formats(lang.locale, zone.name);

export const num = (v: Value, digits = 0) => f().num(v, digits);
export const short = (v: Value) => f().short(v);
export const pct = (v: Value, digits = 1) => f().pct(v, digits);
export const brl = (v: Value) => f().brl(v);
export const brlExact = (v: Value) => f().brlExact(v);
export const signed = (v: Value, digits = 1) => f().signed(v, digits);
export const bytes = (v: Value) => f().bytes(v);
export const span = (seconds: Value) => f().span(seconds);
export const ms = (v: Value) => f().ms(v);
export const clock = (t: Value) => f().clock(t);
export const clockS = (t: Value) => f().clockS(t);
export const day = (t: Value) => f().day(t);
export const dayClock = (t: Value) => f().dayClock(t);
export const when = (t: Value, now: number) => f().when(t, now);
export const zoneName = (t: number) => f().zoneName(t);
/** RFC 3339 to seconds; null stays null. */
export const seconds = (iso: string | null | undefined): number | null => {
  const t = iso ? Date.parse(iso) / 1e3 : NaN;
  return Number.isFinite(t) ? t : null;
};
