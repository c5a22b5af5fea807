// The questions of the model page. `$w` is the window of rate() that goes with the step.
const rate = (series: string) => `sum by (feature) (rate(fraud_feature_${series}_total[$w]))`;
/** Share of decisions in which a feature was null or had its default, beyond what is usual for it. */
export const missing = `(${rate('nulls')} + ${rate('defaults')}) / (${rate('nulls')} + ${rate('values')})`;
export const baseline = 'max by (feature) (fraud_feature_baseline)';
export const scale = 'max by (feature) (fraud_feature_log10_mean)';

/** Decisions by band of the score: the last five minutes, and what they are compared with. */
export const scoresNow = 'sum by (le) (increase(fraud_score_bucket[5m]))';
export const scoresBefore = (back: string, window: string) => `sum by (le) (increase(fraud_score_bucket[${window}] offset ${back}))`;
export const threshold = 'max(fraud_threshold)';

export const objective = (figure: string) => `fraud_objective{figure="${figure}"}`;
export const figure = (name: string, cohort: string) => `fraud_model_${name}{cohort="${cohort}"}`;

export const versionRate = 'sum by (model_version) (rate(fraud_decisions_total[$w]))';
export const versionHold = `sum by (model_version) (rate(fraud_decisions_total{decision=~"hold|deny|cautelar_block"}[$w])) / ${versionRate}`;
export const versionFallback = `sum by (model_version) (rate(fraud_decisions_total{fallback!="none"}[$w])) / ${versionRate}`;
export const versionThreshold = 'max by (model_version) (fraud_threshold)';
export const versionLatency = 'histogram_quantile(0.99, sum by (model_version, le) (rate(fraud_score_seconds_bucket[$w])))';
export const versionDistinct = 'max by (model_version) (fraud_score_distinct)';
