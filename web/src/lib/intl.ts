// Numbers, money and times as people write them, in one place. Pure: the locale and the zone are
// arguments, so that node can test it; fmt.ts binds it to the language that is shown.
// A value that is not known is an en dash, never 0.

export type Locale = 'pt-BR' | 'en';
export const NOTHING = '–';
type Value = number | null | undefined;

const known = (v: Value): v is number => typeof v === 'number' && Number.isFinite(v);
const tidy = (s: string) => s.replace(/\u00a0/g, ' ');

export class Formats {
  readonly locale: Locale;
  readonly zone: string;
  #memo = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

  constructor(locale: Locale, zone: string) {
    this.locale = locale;
    this.zone = zone;
  }

  #number(key: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
    let f = this.#memo.get(key) as Intl.NumberFormat | undefined;
    if (!f) this.#memo.set(key, (f = new Intl.NumberFormat(this.locale, options)));
    return f;
  }

  #date(key: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    let f = this.#memo.get(key) as Intl.DateTimeFormat | undefined;
    if (!f) {
      const o = { timeZone: this.zone, hourCycle: 'h23' as const, ...options };
      this.#memo.set(key, (f = new Intl.DateTimeFormat(this.locale, o)));
    }
    return f;
  }

  /** 1.284,5 with exactly `digits` decimals. */
  num(v: Value, digits = 0): string {
    if (!known(v)) return NOTHING;
    const o = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return this.#number(`n${digits}`, o).format(v);
  }

  /** Three significant figures at most, and short: 38,4 mi. For axes and tight places. */
  short(v: Value): string {
    if (!known(v)) return NOTHING;
    if (Math.abs(v) < 10000) return this.#number('s', { maximumSignificantDigits: 3 }).format(v);
    const o = { notation: 'compact' as const, maximumSignificantDigits: 3 };
    return tidy(this.#number('sc', o).format(v));
  }

  /** A share 0..1 as a percentage. */
  pct(v: Value, digits = 1): string {
    return known(v) ? `${this.num(v * 100, digits)}%` : NOTHING;
  }

  /** R$ 61,4 mil: for verdicts and cards. */
  brl(v: Value): string {
    if (!known(v)) return NOTHING;
    const o = { style: 'currency' as const, currency: 'BRL' };
    if (Math.abs(v) < 10000) return tidy(this.#number('b', { ...o, maximumFractionDigits: 0 }).format(v));
    const c = { ...o, notation: 'compact' as const, maximumSignificantDigits: 3 };
    return tidy(this.#number('bc', c).format(v));
  }

  /** R$ 61.412,07: for tables and exact sums. */
  brlExact(v: Value): string {
    if (!known(v)) return NOTHING;
    return tidy(this.#number('bx', { style: 'currency', currency: 'BRL' }).format(v));
  }

  signed(v: Value, digits = 1): string {
    if (!known(v)) return NOTHING;
    return `${v < 0 ? '−' : '+'}${this.num(Math.abs(v), digits)}`;
  }

  bytes(v: Value): string {
    if (!known(v)) return NOTHING;
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
    let k = 0;
    while (Math.abs(v) >= 1024 && k < units.length - 1) {
      v /= 1024;
      k++;
    }
    return `${this.num(v, k === 0 || Math.abs(v) >= 100 ? 0 : 1)} ${units[k]}`;
  }

  /** Seconds as a duration that a person says: 87 ms, 1,6 s, 26 min, 6 d 4 h. */
  span(seconds: Value): string {
    if (!known(seconds)) return NOTHING;
    const s = Math.abs(seconds);
    if (s < 1e-3) return s === 0 ? '0 s' : `${this.num(s * 1e6, 0)} µs`;
    if (s < 0.9995) return `${this.num(s * 1e3, s < 0.00995 ? 1 : 0)} ms`;
    if (s < 59.5) return `${this.num(s, s < 9.95 ? 1 : 0)} s`;
    const minutes = Math.round(s / 60);
    if (minutes < 60) return `${minutes} min`;
    const hours = Math.floor(minutes / 60);
    if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
    const days = Math.floor(hours / 24);
    return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
  }

  ms(v: Value): string {
    return known(v) ? this.span(v / 1e3) : NOTHING;
  }

  /** Times are seconds since 1970. */
  clock(t: Value): string {
    return known(t) ? this.#date('c', { hour: '2-digit', minute: '2-digit' }).format(t * 1e3) : NOTHING;
  }

  clockS(t: Value): string {
    const o = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
    return known(t) ? this.#date('cs', o).format(t * 1e3) : NOTHING;
  }

  /** 12 mar */
  day(t: Value): string {
    if (!known(t)) return NOTHING;
    const text = this.#date('d', { day: '2-digit', month: 'short' }).format(t * 1e3);
    return text.replace('.', '').replace(' de ', ' ');
  }

  dayClock(t: Value): string {
    return known(t) ? `${this.day(t)} ${this.clock(t)}` : NOTHING;
  }

  /** The clock today, with the day in front otherwise. */
  when(t: Value, now: number): string {
    if (!known(t)) return NOTHING;
    return this.day(t) === this.day(now) ? this.clock(t) : this.dayClock(t);
  }

  zoneName(t: number): string {
    const part = this.#date('z', { timeZoneName: 'short' })
      .formatToParts(t * 1e3)
      .find((p) => p.type === 'timeZoneName');
    return part?.value ?? this.zone;
  }
}

const made = new Map<string, Formats>();
export function formats(locale: Locale, zone: string): Formats {
  const key = `${locale} ${zone}`;
  let f = made.get(key);
  if (!f) made.set(key, (f = new Formats(locale, zone)));
  return f;
}
