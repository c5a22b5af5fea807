// A value of a rule as its own summary measures it.
import { brl, num, pct, short, span } from '../../lib/fmt';
import { riskOf, type Unit } from './rules';
import { w } from './words';

export function valueText(v: number | null | undefined, unit: Unit): string {
  if (v == null || !Number.isFinite(v)) return '–';
  if (unit === 'share') return pct(v, Math.abs(v) > 0 && Math.abs(v) < 0.001 ? 3 : Math.abs(v) < 0.1 ? 2 : 1);
  if (unit === 'seconds') return span(v);
  if (unit === 'brl') return brl(v);
  return Number.isInteger(v) && Math.abs(v) < 10000 ? num(v) : short(v);
}

export const OPS: Record<string, string> = { '>': '>', '>=': '≥', '<': '<', '<=': '≤', '==': '=', '!=': '≠' };

/** The same for an axis: no more digits than its step needs. */
export function axisText(v: number, unit: Unit): string {
  if (unit === 'share') return pct(v, [0, 1, 2].find((d) => Math.abs(Number((v * 100).toFixed(d)) - v * 100) < 1e-7) ?? 3);
  return unit === 'seconds' ? span(v) : unit === 'brl' ? brl(v) : short(v);
}

/** What is at risk, with its number as people write it and the words that are known translated. */
export function riskText(text: string | undefined): string {
  const r = riskOf(text ?? '');
  if (!r) return text ?? '';
  const time = r.per ? w().within(num(r.per.n), r.per.unit) : '';
  return [r.brl ? brl(r.n) : num(r.n), w().risk[r.what] ?? r.what, time].filter(Boolean).join(' ');
}
