// The questions of the overview. `$w` is the window of rate() that goes with the step.
export const arrivals = 'sum(rate(pix_ledger_entered_total[$w]))';
export const latency = (q: number) =>
  `histogram_quantile(${q}, sum by (le) (rate(pix_decision_latency_seconds_bucket[$w])))`;
export const stageRates = 'sum by (stage) (rate(pix_stage_entered_total[$w]))';
export const stageMeans =
  'sum by (stage) (rate(pix_stage_duration_seconds_sum[5m])) / sum by (stage) (rate(pix_stage_duration_seconds_count[5m]))';
export const objective = 'fraud_objective{figure="precision"}';
export const deploys = 'pix_stage_version_first_seen_seconds';
/** Share of decisions that fell back, as the server's own reason counts it. */
export const fallback =
  'sum(rate(fraud_decisions_total{fallback!="none"}[$w])) / sum(rate(fraud_decisions_total[$w]))';
/** The worst share of null or default values over all features, beyond what is usual for it. */
export const missing = `max(
  (sum by (feature) (rate(fraud_feature_nulls_total[$w])) + sum by (feature) (rate(fraud_feature_defaults_total[$w])))
  / (sum by (feature) (rate(fraud_feature_nulls_total[$w])) + sum by (feature) (rate(fraud_feature_values_total[$w])))
  - on (feature) max by (feature) (fraud_feature_baseline)
)`;
/** The worst share of errors over all stages. */
export const stageErrors =
  'max(sum by (stage) (rate(pix_stage_errors_total[$w])) / sum by (stage) (rate(pix_stage_events_total[$w])))';
export const lostShare = 'sum(pix_ledger_transactions{state="lost"}) / sum(pix_ledger_entered_total)';
export const slaBurn = 'pix:sla_over_budget:ratio5m';
export const deniedMoney = 'sum(increase(fraud_decision_brl_total{decision=~"deny|cautelar_block"}[$range]))';
export const budgets = '{__name__=~"pix:sla_over_budget:ratio(5m|30m|6h)"}';
/** How far the upper end of the interval of precision is below the objective. */
export const precisionGap = (cohort: string) =>
  `max(${objective}) - max(fraud_model_precision_judged{cohort="${cohort}",bound="hi"})`;
/** The same hour yesterday: mean and three standard deviations of half an hour around it. */
export const expectedMean = `avg_over_time((${arrivals})[30m:1m] offset 23h45m)`;
export const expectedSpread = `3 * stddev_over_time((${arrivals})[30m:1m] offset 23h45m)`;
