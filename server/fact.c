/* See fact_int.h. Names come from outside (features) and are written as PromQL strings, whose
 * escapes are those of JSON. */
#include "server/fact_int.h"

#define SHARE(metric, which) "sum(rate(" metric "{" which "}[1m])) / sum(rate(" metric "[1m]))"

static const char *const fixed[FACTS] = {
    [FACT_RATE] = "sum(rate(pix_ledger_entered_total[1m]))",
    [FACT_LATENCY] =
        "histogram_quantile(0.99, sum by (le) (rate(pix_decision_latency_seconds_bucket[1m])))",
    [FACT_LOST] = "sum(pix_ledger_transactions{state=\"lost\"})",
    [FACT_LOST_BRL] = "sum(pix_lost_brl_total) - sum(pix_recovered_brl_total)",
    [FACT_FALLBACK] = SHARE("fraud_decisions_total", "fallback!=\"none\""),
    [FACT_HOLDS] = SHARE("fraud_decisions_total", "decision=\"hold\""),
    [FACT_SLA] = "pix:sla_over_budget:ratio5m",
    [FACT_STAGE_ERRORS] = "sum by (stage) (rate(pix_stage_errors_total[1m])) / sum by (stage) "
                          "(rate(pix_stage_events_total[1m])) > 0.05",
    [FACT_LEDGER_FULL] = "sum(increase(pix_ledger_shed_total[1m]))",
    [FACT_TOO_OLD] = "sum(increase(pix_ledger_too_old_total[1m]))",
    [FACT_UNKNOWN_STAGE] = "sum(increase(pix_stage_unknown_total[1m]))",
    [FACT_HOLDS_EXPIRING] = "sum(pix_hold_expiring_5m)",
    [FACT_SCORE_CONSTANT] = "max(fraud_score_distinct)",
    [FACT_LABELS] = "sum(increase(fraud_labels_total[1h]))",
};

static void feature(struct str name, struct buf *out)
{
    static const char *const pieces[] = {"(sum(rate(fraud_feature_nulls_total{feature=",
                                         "}[1m])) + sum(rate(fraud_feature_defaults_total{feature=",
                                         "}[1m]))) / (sum(rate(fraud_feature_nulls_total{feature=",
                                         "}[1m])) + sum(rate(fraud_feature_values_total{feature="};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        buf_str_add(out, str_from_c(pieces[i]));
        buf_json_str(out, name);
    }
    BUF_LIT(out, "}[1m])))");
}

static void figure(const char *metric, struct str cohort, const char *bound, struct buf *out)
{
    buf_fmt(out, "%s{cohort=", metric);
    buf_json_str(out, cohort);
    buf_fmt(out, ",bound=\"%s\"}", bound);
}

void server_fact_query(const struct server_view *v, enum fact f, struct buf *out)
{
    struct str name = view_str(&v->feature_name);
    struct str judged = view_str(&v->precision.cohort);
    struct str cohort = view_str(&v->recall.cohort);
    ASSERT((unsigned)f < FACTS);
    if (fixed[f]) {
        buf_str_add(out, str_from_c(fixed[f]));
    } else if (f == FACT_FEATURE && name.n > 0) {
        feature(name, out);
    } else if (f == FACT_PRECISION && judged.n > 0) {
        figure("fraud_model_precision_judged", judged, "value", out);
    } else if (f == FACT_PRECISION_LO && judged.n > 0) {
        figure("fraud_model_precision_judged", judged, "lo", out);
    } else if (f == FACT_RECALL && cohort.n > 0) {
        figure("fraud_model_recall", cohort, "value", out);
    }
}

enum fact server_fact_of(enum view_cause cause)
{
    static const enum fact facts[] = {
        [VIEW_CAUSE_OTHER] = FACT_NONE,
        [VIEW_CAUSE_LOST] = FACT_LOST,
        [VIEW_CAUSE_SLA] = FACT_SLA,
        [VIEW_CAUSE_FALLBACK] = FACT_FALLBACK,
        [VIEW_CAUSE_FEATURE] = FACT_FEATURE,
        [VIEW_CAUSE_LABELS_LATE] = FACT_LABELS,
        [VIEW_CAUSE_PRECISION] = FACT_PRECISION,
        [VIEW_CAUSE_RECALL] = FACT_RECALL,
        [VIEW_CAUSE_STAGE_ERRORS] = FACT_STAGE_ERRORS,
        [VIEW_CAUSE_LEDGER_FULL] = FACT_LEDGER_FULL,
        [VIEW_CAUSE_TOO_OLD] = FACT_TOO_OLD,
        [VIEW_CAUSE_UNKNOWN_STAGE] = FACT_UNKNOWN_STAGE,
        [VIEW_CAUSE_HOLDS_EXPIRING] = FACT_HOLDS_EXPIRING,
        [VIEW_CAUSE_SCORE_CONSTANT] = FACT_SCORE_CONSTANT,
        [VIEW_CAUSE_SILENT] = FACT_RATE,
    };
    _Static_assert(ARRAY_LEN(facts) == VIEW_CAUSES, "every cause has its fact");
    return facts[cause];
}
