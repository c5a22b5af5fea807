// The sentence of the overview. The server's verdict when it gives one; until then the states and
// the reasons of the status, which are the server's own words too.
import type { State, Status } from '../../lib/api';
import { c } from '../../lib/common';
import { ms, num } from '../../lib/fmt';
import type { Both } from '../../lib/i18n.svelte';
import type { VerdictPart } from '../../lib/live.svelte';
import { w } from './words';

export const bad = (s: State) => s === 'warn' || s === 'crit';

export function titleOf(p: State, m: State): string {
  const t = w().titles;
  if (bad(p) && bad(m)) return p === 'crit' || m === 'crit' ? t.bothCrit : t.both;
  if (bad(m)) return m === 'crit' ? t.modelCrit : t.model;
  if (bad(p)) return p === 'crit' ? t.pipelineCrit : t.pipeline;
  if (p === 'ok' && m === 'ok') return t.ok;
  return p === 'ok' ? t.noModel : t.none;
}

export function eyebrowOf(s: Status): string {
  const e = w().eyebrow;
  if (s.state === 'ok') return e.ok;
  if (s.state === 'none') return e.none;
  const worst = [
    s.pipeline.state === s.state ? c().pipeline : '',
    s.model.state === s.state ? c().model : '',
  ].filter(Boolean);
  return (s.state === 'crit' ? e.crit : e.warn)(worst.join(', '));
}

export function partsOf(s: Status, text: (b: Both) => string, p99: number | null): VerdictPart[] {
  const reasons = [...s.pipeline.reasons, ...s.model.reasons].sort((a, b) => Number(b.level === 'crit') - Number(a.level === 'crit'));
  if (reasons.length) return reasons.map((r) => ({ text: `${text(r).replace(/[.\s]*$/, '.')} ` }));
  return s.state === 'ok' && p99 != null ? [{ text: w().normalText(num(s.pipeline.tx_per_s), ms(p99 * 1e3)) }] : [];
}
