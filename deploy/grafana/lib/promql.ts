// Expressions that more than one board asks, and the ways to make one.

/** The window of rate(): Grafana widens it with the step. */
export const W = '[$__rate_interval]';

/** Share of `part` in `whole`; nothing, not NaN, while there is no whole. */
export const share = (part: string, whole: string): string => `(${part}) / (${whole} > 0)`;

/** `part`, or 0 when `whole` exists and no series of `part` does: a counted zero, never an invented one. */
export const orZero = (part: string, whole: string): string => `(${part} or 0 * ${whole})`;

export const quantile = (quantile: number, name: string, by: string[], select = ''): string =>
  `histogram_quantile(${quantile}, sum by (${[...by, 'le'].join(', ')}) (rate(${name}_bucket${select}${W})))`;

/** Counts per bucket, for a heatmap. */
export const buckets = (name: string, select = ''): string => `sum by (le) (increase(${name}_bucket${select}${W}))`;

/** One query that gives several series, each named by the label `serie`; parts that do not exist are not there. */
export const named = (parts: Record<string, string>): string =>
  Object.entries(parts).map(([name, expr]) => `label_replace(${expr}, "serie", "${name}", "", "")`).join(' or ');

/** A version seen at a stage 30 s or more after the stage's first; the value is the time in ms. */
export const deploys = `1000 * (
  max by (stage, version) (pix_stage_version_first_seen_seconds)
  > on (stage) group_left () (30 + min by (stage) (pix_stage_version_first_seen_seconds))
)`;

/** 2 with a firing S1, 1 with a firing S2, 0 while events come and rules are evaluated, else nothing. */
const state = (pillar: string, alive: string): string => `
  2 * (count(ALERTS{alertstate="firing",pillar="${pillar}",severity="S1"}) > bool 0)
  or 1 * (count(ALERTS{alertstate="firing",pillar="${pillar}",severity="S2"}) > bool 0)
  or 0 * (${alive} > 0 and on () pix:arrivals:rate5m)`;
export const pipelineState = state('pipeline', 'sum(rate(pix_ledger_entered_total[5m]))');
export const modelState = state('model', 'sum(rate(fraud_decisions_total[5m]))');

export const arrivals = `sum(rate(pix_ledger_entered_total${W}))`;
/** The same hour of yesterday; before there is one, the last hour. */
const expectation = (over: string): string =>
  `(${over}_over_time(${arrivals}[30m:1m] offset 23h45m) or ${over}_over_time(${arrivals}[1h:1m]))`;
export const expected = (sigmas: number): string => `${expectation('avg')} + ${sigmas} * ${expectation('stddev')}`;

const ofFeatures = (counter: string): string => `sum by (feature) (rate(fraud_feature_${counter}_total${W}))`;
/** Nulls and defaults of each feature as a share, beyond what is usual for it. */
export const missing = `
  (${ofFeatures('nulls')} + ${ofFeatures('defaults')}) / ((${ofFeatures('nulls')} + ${ofFeatures('values')}) > 0)
  - on (feature) max by (feature) (fraud_feature_baseline)`;

const decisions = (select: string): string => `sum(rate(fraud_decisions_total${select}${W}))`;
export const decided = decisions('{model_version=~"$model_version"}');
/** Share of decisions that chose one of these verdicts. */
export const verdictShare = (verdicts: string): string =>
  share(orZero(decisions(`{decision=~"${verdicts}",model_version=~"$model_version"}`), decided), decided);
export const fallbackShare = share(
  orZero(decisions('{fallback!="none",model_version=~"$model_version"}'), decided), decided);

/** A figure of the model with its interval: value, lo or hi. */
export const figure = (name: string, bound: 'value' | 'lo' | 'hi'): string =>
  `max(fraud_model_${name}{cohort="$cohort",bound="${bound}"})`;
export const objective = (name: string): string => `max(fraud_objective{figure="${name}"})`;

/** The segments of the Manual de Tempos: the share that must be within the limit, and the bucket of the limit. */
const SEGMENTS = [
  { name: 't1_t0', share: 0.95, le: 'le="1.5"' },
  { name: 't3_t2', share: 0.95, le: 'le="2.3"' },
  { name: 't6a_t0', share: 0.99, le: 'le=~"10(\\\\.0)?"' },
] as const;

/** For each chosen segment, the share of samples above its limit over a window, divided by the share allowed. */
export const overBudget = (window: string): string => SEGMENTS.map((s) => {
  const of = (suffix: string, le: string) => `sum by (segment) (
    increase(pix_sla_segment_seconds_${suffix}{segment=~"$segment",segment="${s.name}"${le}}${window}))`;
  const allowed = (1 - s.share).toFixed(2);
  return `(1 - ${of('bucket', ',' + s.le)} / (${of('count', '')} > 0)) / ${allowed}`;
}).join(' or ');
