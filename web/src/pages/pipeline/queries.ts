// The questions of the pipeline page. `$w` is the window of rate() that goes with the step, `$range`
// the whole range. Values of labels are quoted by `text`: a stage may be named anything.
const text = (v: string) => JSON.stringify(v);
const at = (stage: string, more = '') => `{stage=${text(stage)}${more}}`;

export const stageRates = 'sum by (stage) (rate(pix_stage_entered_total[$w]))';
export const stageMeans =
  'sum by (stage) (rate(pix_stage_duration_seconds_sum[5m])) / sum by (stage) (rate(pix_stage_duration_seconds_count[5m]))';
export const fallback =
  'sum(rate(fraud_decisions_total{fallback!="none"}[$w])) / sum(rate(fraud_decisions_total[$w]))';
export const missing =
  'max(sum by (feature) (rate(fraud_feature_defaults_total[$w])) / sum by (feature) (rate(fraud_feature_values_total[$w])))';
export const versions = 'pix_stage_version_first_seen_seconds';

// Flow
export const entered = 'sum(rate(pix_ledger_entered_total[$w]))';
export const left = 'sum(deriv(pix_ledger_transactions{state="left"}[$w]))';
export const inFlight = 'sum(pix_ledger_transactions{state="in_flight"})';
export const holds = 'sum(pix_hold_open)';
export const errorsByReason = 'sum by (reason) (rate(pix_stage_errors_total[$w]))';
export const lostEdges = 'sum by (from, to) (pix_stage_lost_total) - sum by (from, to) (pix_stage_recovered_total) > 0';

// Latency: a source is the decision as a whole or one stage
export const DECISION = 'decisao';
export type Source = { metric: string; where: string };
export const source = (id: string): Source =>
  id === DECISION ? { metric: 'pix_decision_latency_seconds', where: '' } : { metric: 'pix_stage_duration_seconds', where: `stage=${text(id)}` };
const braces = (s: string) => (s ? `{${s}}` : '');
export const buckets = (s: Source) => `sum by (le) (rate(${s.metric}_bucket${braces(s.where)}[$w]))`;
export const quantile = (q: number, s: Source) => `histogram_quantile(${q}, ${buckets(s)})`;
/** How many lie between two limits of buckets in `seconds` before `to`. */
export function countIn(s: Source, lo: string | undefined, hi: string, seconds: number, to: number): string {
  const upTo = (le: string) =>
    `sum(increase(${s.metric}_bucket{${s.where ? `${s.where},` : ''}le=${text(le)}}[${Math.round(seconds)}s] @ ${Math.round(to)}))`;
  return lo === undefined ? upTo(hi) : `${upTo(hi)} - ${upTo(lo)}`;
}
export type Span = { from: number; to: number };
const over = (metric: string, labels: string, x: Span) =>
  `sum by (${labels}) (increase(${metric}[${Math.max(1, Math.round(x.to - x.from))}s] @ ${Math.round(x.to)}))`;
/** p99 of each stage within a span, and in the rest of the range around it. */
export const p99In = (metric: string, x: Span) => `histogram_quantile(0.99, ${over(`${metric}_bucket`, 'stage, le', x)})`;
export const p99Out = (metric: string, x: Span, all: Span) =>
  `histogram_quantile(0.99, ${over(`${metric}_bucket`, 'stage, le', all)} - ${over(`${metric}_bucket`, 'stage, le', x)})`;
export const errorsIn = (x: Span) =>
  `${over('pix_stage_events_total{outcome=~"error|drop|dlq"}', 'stage', x)} / ${over('pix_stage_events_total', 'stage', x)}`;
export const errorsOut = (x: Span, all: Span) =>
  `(${over('pix_stage_events_total{outcome=~"error|drop|dlq"}', 'stage', all)} - ${over('pix_stage_events_total{outcome=~"error|drop|dlq"}', 'stage', x)})` +
  ` / (${over('pix_stage_events_total', 'stage', all)} - ${over('pix_stage_events_total', 'stage', x)} > 0)`;

// One stage
export const rate = (stage: string) => `sum(rate(pix_stage_entered_total${at(stage)}[$w]))`;
export const errorShare = (stage: string) =>
  `sum(rate(pix_stage_events_total${at(stage, ',outcome=~"error|drop|dlq"')}[$w])) / sum(rate(pix_stage_events_total${at(stage)}[$w]))`;
export const part = (q: number, kind: 'duration' | 'queue' | 'work', stage: string) =>
  `histogram_quantile(${q}, sum by (le) (rate(pix_stage_${kind}_seconds_bucket${at(stage)}[$w])))`;
/** Little's law: time spent per second is how many are there at once, on average. */
export const busy = (kind: 'queue' | 'work', stage: string) => `sum(rate(pix_stage_${kind}_seconds_sum${at(stage)}[$w]))`;
export const reasons = (stage: string) => `sum by (reason) (rate(pix_stage_errors_total${at(stage)}[$w]))`;
export const reasonCounts = (stage: string) => `sort_desc(sum by (reason) (increase(pix_stage_errors_total${at(stage)}[$range])) > 0)`;
export const retries = (stage: string) => `sum(rate(pix_stage_retries_total${at(stage)}[$w])) * 60`;
export const duplicates = (stage: string) => `sum(rate(pix_stage_duplicates_total${at(stage)}[$w])) * 60`;
export const behind = (stage: string) => `max(pix_stage_watermark_seconds) - max(pix_stage_watermark_seconds${at(stage)})`;
export const versionCounts = (stage: string) => `sum by (version) (increase(pix_stage_version_events_total${at(stage)}[$range]))`;
export const versionSince = (stage: string) => `max by (version) (pix_stage_version_first_seen_seconds${at(stage)})`;

// Segments of the Manual de Tempos: the limits and shares that pipeline/alerts/sla.yml records.
export const SEGMENTS = [
  { id: 't1_t0', limit: 1.5, share: 0.95 },
  { id: 't3_t2', limit: 2.3, share: 0.95 },
  { id: 't6a_t0', limit: 10, share: 0.99 },
];
export const within = (segment: string, limit: number) =>
  `sum(rate(pix_sla_segment_seconds_bucket{segment="${segment}",le=~"${String(limit).replace('.', '\\\\.')}(\\\\.0)?"}[$w]))` +
  ` / sum(rate(pix_sla_segment_seconds_count{segment="${segment}"}[$w]))`;
export const segmentQuantile = (q: number) => `histogram_quantile(${q}, sum by (segment, le) (rate(pix_sla_segment_seconds_bucket[$w])))`;
export const budgets = '{__name__=~"pix:sla_over_budget:ratio(5m|30m|6h)"}';
export const invalid = 'sort_desc(sum by (reason) (increase(pix_sla_invalid_total[$range])) > 0)';
