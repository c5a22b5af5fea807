// What the palette offers for what was typed: pages, actions, stages, alerts, metrics; a pasted
// EndToEndId stands first. Pure matching below, sources above.
import { stageName } from '../lib/common';
import { isE2e } from '../lib/hash';
import { both } from '../lib/i18n.svelte';
import { queryHref, transactionHref } from '../lib/links';
import { live } from '../lib/live.svelte';
import { hasPage, pages } from '../lib/pages';
import { url } from '../lib/url.svelte';
import { actions, keyCaps } from './actions';
import { rank } from './match';
import { w } from './words';

export type Item = { id: string; kind: string; text: string; hint?: string; run: () => void };
const LIMIT = 12;

function known(alerts: string[], metrics: string[]): Item[] {
  const k = w().kinds;
  const list: Item[] = pages.map((p) => ({
    id: `p ${p.id}`, kind: k.page, text: both(p.title), hint: keyCaps(`g ${p.key}`).join(' '), run: () => url.go(p.id),
  }));
  for (const a of actions) list.push({ id: `a ${a.id}`, kind: k.action, text: a.label(), hint: a.keys && keyCaps(a.keys).join(' '), run: a.run });
  if (hasPage('pipeline'))
    for (const s of live.status?.pipeline.stages ?? [])
      list.push({ id: `s ${s.name}`, kind: k.stage, text: stageName(s.name), hint: s.name, run: () => url.go('pipeline', { etapa: s.name }) });
  if (hasPage('alertas'))
    for (const name of alerts) list.push({ id: `r ${name}`, kind: k.alert, text: name, run: () => url.go('alertas', { regra: name }) });
  for (const name of metrics) {
    const href = queryHref(name);
    if (href) list.push({ id: `m ${name}`, kind: k.metric, text: name, run: () => (location.hash = href) });
  }
  return list;
}

export function offer(query: string, alerts: string[], metrics: string[]): Item[] {
  const q = query.trim();
  const href = isE2e(q) ? transactionHref(q) : undefined;
  const first: Item[] = href ? [{ id: 'e2e', kind: w().kinds.e2e, text: w().openE2e(q), run: () => (location.hash = href) }] : [];
  return [...first, ...rank(known(alerts, metrics), q, (i) => `${i.text} ${i.hint ?? ''}`)].slice(0, LIMIT);
}
