// Rules and alerts as the page shows them: text, groups, strips. Pure.
import type { Alert, Rule, RuleGroup, State } from '../../lib/api';
import type { Labels, Matrix } from '../../lib/series';
import { severityLevel } from '../../lib/strip';

export type RuleRow = { rule: Rule; group: RuleGroup; severity: string; pillar: string };
export const NONE = '–';

export const alertRules = (groups: RuleGroup[]): RuleRow[] =>
  groups.flatMap((group) =>
    group.rules
      .filter((r) => r.type === 'alerting')
      .map((rule) => ({ rule, group, severity: rule.labels?.severity ?? '', pillar: rule.labels?.pillar ?? '' })),
  );

/** The summary in the language that is shown; the rule's own name when it has none. */
export function summaryOf(annotations: Labels | undefined, name: string, lang: 'pt' | 'en'): string {
  return (lang === 'pt' ? annotations?.summary_pt : undefined) || annotations?.summary || name;
}

/** A summary that no alert has filled in: labels by their names, values as an ellipsis. */
export function plainTemplate(text: string): string {
  return text
    .replace(/\{\{-?\s*(with|if|else|end|range)\b[\s\S]*?\}\}/g, '')
    .replace(/\{\{-?\s*\$labels\.(\w+)[\s\S]*?\}\}/g, '‹$1›')
    .replace(/\{\{[\s\S]*?\}\}/g, '…')
    .replace(/\s+/g, ' ')
    .trim();
}

export type Unit = 'share' | 'seconds' | 'brl' | 'number';
/** What the value of a rule is measured in, as its own summary prints it. */
export function unitOf(annotations: Labels | undefined): Unit {
  const text = annotations?.summary ?? '';
  if (/\$value\s*\|\s*humanizePercentage/.test(text)) return 'share';
  if (/\$value\s*\|\s*humanizeDuration/.test(text) || /\$value[^}]*\}\}\s?s\b/.test(text)) return 'seconds';
  return /R\$\s*\{\{\s*\$value/.test(text) ? 'brl' : 'number';
}

const RANK: Record<string, number> = { firing: 0, pending: 1, inactive: 2 };
export type Filter = { pillar?: string; severity?: string; text?: string };
const says = (text: string, want?: string) => !want || text.toLowerCase().includes(want.trim().toLowerCase());

export function keepRule(r: RuleRow, f: Filter): boolean {
  return (!f.pillar || r.pillar === f.pillar) && (!f.severity || r.severity === f.severity) &&
    says([r.rule.name, r.group.name, ...Object.values(r.rule.annotations ?? {}), ...Object.values(r.rule.labels ?? {})].join(' '), f.text);
}

export function keepAlert(a: Alert, f: Filter): boolean {
  return (!f.pillar || a.labels.pillar === f.pillar) && (!f.severity || a.labels.severity === f.severity) &&
    says([...Object.values(a.labels), ...Object.values(a.annotations)].join(' '), f.text);
}

/** The labels that tell the alerts of one rule apart. */
const COMMON = new Set(['alertname', 'severity', 'pillar', 'root_stage', 'external']);
export const ownLabels = (l: Labels): [string, string][] => Object.entries(l).filter(([k]) => !COMMON.has(k) && !k.startsWith('__'));

export type Active = { key: string; name: string; state: Alert['state']; level: State; severity: string; since: string; alerts: Alert[] };
export type Section = { pillar: string; firing: number; pending: number; level: State; rows: Active[] };

/** Alerts by pillar, then by rule: what fires stands before what waits, S1 before the rest. */
export function sections(alerts: Alert[]): Section[] {
  const rows = new Map<string, Active & { pillar: string }>();
  for (const a of [...alerts].sort((x, y) => x.activeAt.localeCompare(y.activeAt))) {
    const key = `${a.labels.pillar ?? ''} ${a.state} ${a.labels.alertname}`;
    const at = rows.get(key);
    if (at) at.alerts.push(a);
    else
      rows.set(key, {
        key, name: a.labels.alertname, state: a.state, level: severityLevel(a.labels.severity), severity: a.labels.severity ?? '',
        since: a.activeAt, alerts: [a], pillar: a.labels.pillar ?? '',
      });
  }
  const out = new Map<string, Section>();
  for (const { pillar, ...row } of rows.values()) {
    const s = out.get(pillar) ?? { pillar, firing: 0, pending: 0, level: 'ok' as State, rows: [] };
    if (row.state === 'firing') {
      s.firing += row.alerts.length;
      if (s.level !== 'crit') s.level = row.level;
    } else s.pending += row.alerts.length;
    s.rows.push(row);
    out.set(pillar, s);
  }
  const order = (r: Active) => RANK[r.state] * 10 + (r.severity === 'S1' ? 0 : r.severity === 'S2' ? 1 : 2);
  for (const s of out.values()) s.rows.sort((a, b) => order(a) - order(b) || a.since.localeCompare(b.since));
  const worst = (s: Section) => Math.min(...s.rows.map(order));
  return [...out.values()].sort((a, b) => worst(a) - worst(b) || a.pillar.localeCompare(b.pillar));
}

export type Strip = { cells: State[]; soft: boolean[] };
/** The history of one rule, cell by cell; where its group was not evaluated there is no data. */
export function ruleStrip(states: Matrix, present: Matrix, rule: { name: string; group: string; severity: string }): Strip {
  const there = present.series.find((s) => s.labels.group === rule.group)?.v;
  const of = (state: string) => states.series.find((s) => s.labels.alertname === rule.name && s.labels.alertstate === state)?.v;
  const [firing, pending] = [of('firing'), of('pending')];
  const cells: State[] = states.t.map((_, i) => (firing?.[i] ? severityLevel(rule.severity) : there?.[i] == null && !pending?.[i] ? 'none' : 'ok'));
  return { cells, soft: states.t.map((_, i) => !firing?.[i] && !!pending?.[i]) };
}

/** Share of the range in which a rule fired, of the cells that are known. */
export function firedShare(s: Strip): number | null {
  const known = s.cells.filter((c) => c !== 'none').length;
  return known ? s.cells.filter((c) => c === 'warn' || c === 'crit').length / known : null;
}

/** `R$ 5384194 decided per minute`, `12 transactions in 5 minutes`: the form of the annotation at_risk. */
export function riskOf(text: string): { brl: boolean; n: number; what: string; per: { n: number; unit: 'minutes' | 'hours' } | null } | null {
  const m = /^(R\$ )?(-?\d+(?:\.\d+)?)(?: (?!in \d)(.+?))?(?: in (\d+) (minutes|hours))?$/.exec(text.trim());
  if (!m) return null;
  return { brl: !!m[1], n: Number(m[2]), what: m[3] ?? '', per: m[4] ? { n: Number(m[4]), unit: m[5] as 'minutes' | 'hours' } : null };
}

export const isLink = (text: string | undefined): boolean => /^https?:\/\//.test(text ?? '');
