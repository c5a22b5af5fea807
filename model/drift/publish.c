/* Series of the newest closed day. Bounded: features_max for figures, and for flags those of all
 * decisions and of the segments that drifted (at most segments_max each). */
#include "model/drift/drift_int.h"

#include <math.h>
#include <stddef.h>

#define LABEL(k, v) \
    (struct label)  \
    {               \
        STR(k), (v) \
    }

static void figure(const struct drift *d, const struct drift_window *w, struct expo *x,
                   struct str name, struct str help, size_t offset)
{
    struct expo_family *f = expo_family(x, EXPO_GAUGE, name, STR(""), help);
    for (uint32_t i = 0; i < w->count; i++) {
        double v = 0;
        memcpy(&v, (const char *)&w->v[i] + offset, sizeof v);
        if (w->v[i].segment == 0 && !isnan(v)) {
            const struct label l[] = {
                LABEL("feature", intern_str(&d->names.features, w->v[i].feature))};
            expo_add(x, f, l, 1, v);
        }
    }
}

static void flags(const struct drift *d, const struct drift_window *w, struct expo *x)
{
    struct expo_family *f =
        expo_family(x, EXPO_GAUGE, STR("fraud_feature_drifted"), STR(""),
                    STR("1: the newest closed day is not as the reference; segments only then."));
    struct expo_family *rules =
        expo_family(x, EXPO_GAUGE, STR("fraud_feature_drift_rule"), STR(""),
                    STR("Rules that the newest closed day broke, over all segments of a feature."));
    uint32_t broken = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct drift_result *r = &w->v[i];
        struct str feature = intern_str(&d->names.features, r->feature);
        const struct label l[] = {LABEL("feature", feature),
                                  LABEL("segment", drift_names_segment_str(&d->names, r->segment))};
        if (r->segment == 0 || r->drifted) {
            expo_add(x, f, l, r->segment == 0 ? 1 : 2, r->drifted);
        }
        broken |= r->rules;
        bool last = i + 1 == w->count || w->v[i + 1].feature != r->feature;
        for (uint32_t k = 0; k < DRIFT_RULES && last; k++) {
            if (broken >> k & 1) {
                const struct label rule[] = {LABEL("feature", feature),
                                             LABEL("rule", drift_rule_text[k])};
                expo_add(x, rules, rule, 2, 1);
            }
        }
        broken = last ? 0 : broken;
    }
}

static void left(const struct drift *d, struct drift_shard *const *shards, uint32_t n,
                 struct expo *x)
{
    static const struct str reasons[DRIFT_LEFTS] = {STR_INIT("late"), STR_INIT("names"),
                                                    STR_INIT("memory")};
    struct expo_family *f = expo_family(x, EXPO_COUNTER, STR("fraud_drift_left_out"), STR(""),
                                        STR("Values that no window counted, by reason."));
    for (uint32_t i = 0; i < DRIFT_LEFTS; i++) {
        uint64_t sum = d->left[i];
        for (uint32_t k = 0; k < n; k++) {
            sum += shards[k]->left[i];
        }
        const struct label l[] = {LABEL("reason", reasons[i])};
        expo_add(x, f, l, 1, (double)sum);
    }
}

void drift_publish(const struct drift *d, struct drift_shard *const *shards, uint32_t n,
                   struct expo *x)
{
#define FIGURE(field, name, help) \
    figure(d, w, x, STR(name), STR(help), offsetof(struct drift_result, field))
    left(d, shards, n, x);
    expo_gauge(x, "fraud_drift_reference_size", "", "Days in the reference.", d->ref_days);
    expo_gauge(x, "fraud_drift_reference_sealed", "", "1: the reference is complete.", d->sealed);
    if (d->day_results.count == 0) {
        return;
    }
    const struct drift_window *w = &d->day_results.v[d->day_results.count - 1];
    FIGURE(psi, "fraud_feature_psi", "Population stability index on ten bins of the reference.");
    FIGURE(js, "fraud_feature_js", "Jensen-Shannon distance to the reference.");
    FIGURE(ks, "fraud_feature_ks", "Kolmogorov-Smirnov distance to the reference.");
    FIGURE(w1_norm, "fraud_feature_wasserstein",
           "Wasserstein distance to the reference, in its standard deviations.");
    FIGURE(hellinger, "fraud_feature_hellinger", "Hellinger distance to the reference.");
    FIGURE(tvd, "fraud_feature_tvd", "Total variation distance to the reference.");
    FIGURE(q, "fraud_feature_q", "Adjusted p-value of the distribution.");
#undef FIGURE
    flags(d, w, x);
    struct expo_family *f = expo_family(x, EXPO_GAUGE, STR("fraud_drift_tests"), STR(""),
                                        STR("Tests of the newest closed day."));
    const struct label kept[] = {LABEL("result", STR("kept"))};
    const struct label rejected[] = {LABEL("result", STR("rejected"))};
    expo_add(x, f, kept, 1, w->tests - w->rejected);
    expo_add(x, f, rejected, 1, w->rejected);
    expo_gauge(x, "fraud_drift_dispersion", "",
               "Median factor by which reference days lie further apart than by sampling.",
               w->dispersion);
}
