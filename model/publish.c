/* Series of the pillar for /metrics and the TSDB (README.md lists them). Bounded: versions_max,
 * features_max, five age bands, enumerations. Quality is computed again only for bands whose
 * days changed. */
#include "model/model_int.h"

#include <math.h>

struct out {
    struct expo *x;
    struct model *m;
    void *const *states;
    uint32_t n;
    int64_t now_ns;
    struct model_merged *g;
};

#define LABEL(k, v) \
    (struct label)  \
    {               \
        STR(k), (v) \
    }

static struct expo_family *family(struct out *o, enum expo_type type, struct str name,
                                  struct str unit, struct str help)
{
    return expo_family(o->x, type, name, unit, help);
}

/* A merged number of a version; the name is the text of it. */
static struct str version_name(const struct out *o, uint32_t v)
{
    return model_names_str(&o->g->names, 0, (uint16_t)v);
}

static void decisions(struct out *o)
{
    struct expo_family *f = family(o, EXPO_COUNTER, STR("fraud_decisions"), STR(""),
                                   STR("Decisions by verdict, model version, fallback and form."));
    for (uint32_t v = 0; v < o->g->versions_cap; v++) {
        const struct model_version *x = o->g->versions[v];
        for (uint32_t i = 0; x != NULL && i < VERDICTS * FALLBACKS * FORMS; i++) {
            uint64_t count = (&x->decisions[0][0][0])[i];
            if (count == 0) {
                continue;
            }
            const struct label l[] = {LABEL("decision", verdict_text(i / (FALLBACKS * FORMS))),
                                      LABEL("model_version", version_name(o, v)),
                                      LABEL("fallback", fallback_text(i / FORMS % FALLBACKS)),
                                      LABEL("form", form_text(i % FORMS))};
            expo_add(o->x, f, l, ARRAY_LEN(l), (double)count);
        }
    }
    f = family(o, EXPO_COUNTER, STR("fraud_decision_brl"), STR(""),
               STR("R$ of decisions by verdict."));
    struct expo_family *refused = family(o, EXPO_COUNTER, STR("fraud_decisions_refused"), STR(""),
                                         STR("Decisions left out of cohorts, by reason."));
    for (uint32_t v = 0; v < VERDICTS; v++) {
        i128 sum = 0;
        for (uint32_t k = 0; k < o->n; k++) {
            sum += model_shard_of(o->states, k)->brl[v];
        }
        const struct label l[] = {LABEL("decision", verdict_text(v))};
        expo_add(o->x, f, l, 1, (double)sum / 100);
    }
    for (uint32_t r = 0; r < MODEL_REFUSALS; r++) {
        uint64_t sum = 0;
        for (uint32_t k = 0; k < o->n; k++) {
            sum += model_shard_of(o->states, k)->refusals[r];
        }
        const struct label l[] = {LABEL("reason", model_refusal_text[r])};
        expo_add(o->x, refused, l, 1, (double)sum);
    }
}

static void versions(struct out *o)
{
    struct expo_family *score = family(o, EXPO_HISTOGRAM, STR("fraud_score"), STR(""),
                                       STR("Scores of decisions by model version."));
    struct expo_family *threshold =
        family(o, EXPO_GAUGE, STR("fraud_threshold"), STR(""), STR("Newest threshold in use."));
    struct expo_family *distinct =
        family(o, EXPO_GAUGE, STR("fraud_score_distinct"), STR(""),
               STR("Distinct score cells of the last 60 s; a constant output shows as 1."));
    struct expo_family *latency =
        family(o, EXPO_HISTOGRAM, STR("fraud_score_seconds"), STR("seconds"),
               STR("Time the model took, as decisions report it."));
    for (uint32_t i = 0; i < o->g->versions_cap; i++) {
        const struct model_version *v = o->g->versions[i];
        if (v == NULL) {
            continue;
        }
        const struct label l[] = {LABEL("model_version", version_name(o, i))};
        expo_add_histogram(o->x, score, l, 1, model_score_edges, MODEL_SCORE_EDGES, v->scores,
                           (double)v->score_sum / MODEL_FIX);
        if (!isnan(v->threshold)) {
            expo_add(o->x, threshold, l, 1, v->threshold);
        }
        expo_add(o->x, distinct, l, 1, model_distinct(v, o->now_ns));
        expo_add_histogram(o->x, latency, l, 1, model_latency_edges, MODEL_LATENCY_EDGES,
                           v->latencies, (double)v->latency_ns / 1e9);
    }
}

static void info(struct out *o)
{
    /* A gauge, as scrapes of text 0.0.4 know no info type and the name must be the same in both. */
    struct expo_family *f = family(o, EXPO_GAUGE, STR("fraud_model_info"), STR(""),
                                   STR("Models that took decisions in the last 60 s."));
    for (uint32_t k = 0; k < o->n; k++) {
        const struct model_shard *s = model_shard_of(o->states, k);
        for (uint32_t i = 0; i < s->shas_count; i++) {
            const struct model_sha *x = &s->shas[i];
            const struct label l[] = {LABEL("model", str_of(x->model, x->model_n)),
                                      LABEL("version", model_names_str(&s->names, 0, x->version)),
                                      LABEL("sha256", str_of(x->sha, x->sha_n))};
            struct label labels[3];
            memcpy(labels, l, sizeof labels);
            if (model_slot_recent(x->seen_slot, o->now_ns) &&
                (f == NULL || expo_find(o->x, f->name, labels, 3) == NULL)) {
                expo_add(o->x, f, labels, 3, 1);
            }
        }
    }
}

static void features(struct out *o)
{
    struct expo_family *values = family(o, EXPO_COUNTER, STR("fraud_feature_values"), STR(""),
                                        STR("Values of a feature that were not null."));
    struct expo_family *nulls =
        family(o, EXPO_COUNTER, STR("fraud_feature_nulls"), STR(""), STR("Nulls of a feature."));
    struct expo_family *defaults = family(o, EXPO_COUNTER, STR("fraud_feature_defaults"), STR(""),
                                          STR("Values equal to the configured default."));
    struct expo_family *mean = family(
        o, EXPO_GAUGE, STR("fraud_feature_log10_mean"), STR(""),
        STR("Mean log10 of positive values of the last 60 s; +-2 or 3 is a change of unit."));
    struct expo_family *usual = family(o, EXPO_GAUGE, STR("fraud_feature_baseline"), STR(""),
                                       STR("Usual share of nulls and defaults of a feature."));
    for (uint32_t i = 0; i < o->g->features_cap; i++) {
        const struct model_merged_feature *v = &o->g->features[i];
        if (v->values + v->nulls == 0) {
            continue;
        }
        struct str name = model_merged_name(o->g, i);
        double baseline = model_baseline(o->m, name);
        const struct label l[] = {LABEL("feature", name)};
        expo_add(o->x, values, l, 1, (double)v->values);
        expo_add(o->x, nulls, l, 1, (double)v->nulls);
        expo_add(o->x, defaults, l, 1, (double)v->defaults);
        if (!isnan(baseline)) {
            expo_add(o->x, usual, l, 1, baseline);
        }
        if (v->log10_n > 0) {
            expo_add(o->x, mean, l, 1, (double)v->log10_sum / MODEL_LOG_FIX / (double)v->log10_n);
        }
    }
}

static void labels(struct out *o)
{
    struct expo_family *in =
        family(o, EXPO_COUNTER, STR("fraud_labels"), STR(""), STR("Label events taken in."));
    struct expo_family *judged = family(
        o, EXPO_COUNTER, STR("fraud_judged"), STR(""),
        STR("Label events joined to their decision, by what was predicted and what was true."));
    struct expo_family *dropped = family(o, EXPO_COUNTER, STR("fraud_labels_dropped"), STR(""),
                                         STR("Label events left out, by reason."));
    struct expo_family *delay = family(o, EXPO_HISTOGRAM, STR("fraud_label_delay_seconds"),
                                       STR("seconds"), STR("From decision to label."));
    uint64_t sum_in[TRUTHS][LABEL_SOURCES] = {0};
    uint64_t sum_judged[2][TRUTHS] = {0};
    uint64_t drops[MODEL_DROPS] = {0};
    uint64_t delays[MODEL_DELAY_EDGES + 1] = {0};
    i128 delay_ns = 0;
    for (uint32_t k = 0; k < o->n; k++) {
        const struct model_shard *s = model_shard_of(o->states, k);
        for (uint32_t i = 0; i < TRUTHS * LABEL_SOURCES; i++) {
            sum_in[i / LABEL_SOURCES][i % LABEL_SOURCES] +=
                s->labels_in[i / LABEL_SOURCES][i % LABEL_SOURCES];
        }
        for (uint32_t i = 0; i < 2 * TRUTHS; i++) {
            sum_judged[i / TRUTHS][i % TRUTHS] += s->judged[i / TRUTHS][i % TRUTHS];
        }
        for (uint32_t i = 0; i < MODEL_DROPS; i++) {
            drops[i] += s->label_drops[i];
        }
        for (uint32_t i = 0; i <= MODEL_DELAY_EDGES; i++) {
            delays[i] += s->delays[i];
        }
        delay_ns += s->delay_ns;
    }
    for (uint32_t t = 0; t < TRUTHS; t++) {
        for (uint32_t i = 0; i < LABEL_SOURCES; i++) {
            const struct label l[] = {LABEL("label", truth_text(t)),
                                      LABEL("source", label_source_text(i))};
            if (sum_in[t][i] > 0) {
                expo_add(o->x, in, l, 2, (double)sum_in[t][i]);
            }
        }
        for (uint32_t p = 0; p < 2; p++) {
            const struct label l[] = {LABEL("predicted", p ? STR("fraud") : STR("legit")),
                                      LABEL("label", truth_text(t))};
            expo_add(o->x, judged, l, 2, (double)sum_judged[p][t]);
        }
    }
    for (uint32_t i = 0; i < MODEL_DROPS; i++) {
        const struct label l[] = {LABEL("reason", model_drop_text[i])};
        expo_add(o->x, dropped, l, 1, (double)drops[i]);
    }
    expo_add_histogram(o->x, delay, NULL, 0, model_delay_edges, MODEL_DELAY_EDGES, delays,
                       (double)delay_ns / 1e9);
}

static void gauge_of(struct out *o, struct str name, struct str help, double v)
{
    expo_add(o->x, family(o, EXPO_GAUGE, name, STR(""), help), NULL, 0, v);
}

static void stores(struct out *o)
{
    uint64_t waiting = 0;
    uint64_t held = 0;
    uint64_t rows = 0;
    uint64_t runs = o->m->runs_count;
    uint64_t failures = o->m->runs_lost;
    for (uint32_t k = 0; k < o->n; k++) {
        const struct model_shard *s = model_shard_of(o->states, k);
        waiting += s->labels.w_count;
        held += s->labels.count;
        rows += s->join.rows_used;
        runs += s->join.runs_count;
        failures += s->join.spill_failures + s->join.read_failures;
    }
    gauge_of(o, STR("fraud_labels_unmatched"), STR("Labels that wait for their decision."),
             (double)waiting);
    gauge_of(o, STR("fraud_labels_held"), STR("Label events held."), (double)held);
    gauge_of(o, STR("fraud_join_rows"), STR("Decisions held in memory for joining."), (double)rows);
    gauge_of(o, STR("fraud_join_runs"), STR("Files with older decisions."), (double)runs);
    expo_add(o->x,
             family(o, EXPO_COUNTER, STR("fraud_join_failures"), STR(""),
                    STR("Run files that could not be written, read or found.")),
             NULL, 0, (double)failures);
}

static void figure(struct out *o, struct str name, struct str help, size_t offset)
{
    struct expo_family *f = family(o, EXPO_GAUGE, name, STR(""), help);
    for (uint32_t i = 0; i < MODEL_BANDS; i++) {
        const struct model_band *b = &o->m->bands[i];
        if (!b->valid || b->q.n == 0) {
            continue;
        }
        struct model_figure v;
        memcpy(&v, (const char *)&b->q + offset, sizeof v);
        const struct str bounds[3] = {STR("value"), STR("lo"), STR("hi")};
        const double values[3] = {v.value, v.lo, v.hi};
        for (int k = 0; k < 3 && !isnan(v.value); k++) {
            const struct label l[] = {LABEL("cohort", model_band_text[i]),
                                      LABEL("bound", bounds[k])};
            expo_add(o->x, f, l, 2, values[k]);
        }
    }
}

static void count(struct out *o, struct str name, struct str help, size_t offset)
{
    struct expo_family *f = family(o, EXPO_GAUGE, name, STR(""), help);
    for (uint32_t i = 0; i < MODEL_BANDS; i++) {
        const struct model_band *b = &o->m->bands[i];
        if (b->valid && b->q.n > 0 && !b->q.damaged) {
            uint64_t v = 0;
            memcpy(&v, (const char *)&b->q + offset, sizeof v);
            const struct label l[] = {LABEL("cohort", model_band_text[i])};
            expo_add(o->x, f, l, 1, (double)v);
        }
    }
}

#define Q(field) offsetof(struct model_quality, field)
#define LATE(field)                                                           \
    (offsetof(struct model_band, late) + offsetof(struct model_late, field) - \
     offsetof(struct model_band, q))

/* What is expected to be known by now, and whether a source of labels has stopped. */
static void late(struct out *o)
{
    struct expo_family *share =
        family(o, EXPO_GAUGE, STR("fraud_labels_expected_share"), STR(""),
               STR("Share of frauds that is expected to be known at the cohort's age."));
    for (uint32_t i = 0; i < MODEL_BANDS; i++) {
        const struct model_band *b = &o->m->bands[i];
        for (uint32_t p = 0; p < 2 && b->valid; p++) {
            const struct label l[] = {LABEL("cohort", model_band_text[i]),
                                      LABEL("predicted", p ? STR("fraud") : STR("legit"))};
            if (!isnan(b->late.expected[p])) {
                expo_add(o->x, share, l, 2, b->late.expected[p]);
            }
        }
    }
    struct expo_family *frozen = family(
        o, EXPO_GAUGE, STR("fraud_labels_stopped"), STR(""),
        STR("1: this source is silent for longer than it ever is; corrected figures stand still."));
    const struct model_band *b = &o->m->bands[0];
    for (uint32_t i = 0; i < LABEL_SOURCES && b->valid; i++) {
        const struct label l[] = {LABEL("source", label_source_text(i))};
        expo_add(o->x, frozen, l, 1, b->late.frozen[i]);
    }
    figure(o, STR("fraud_model_recall_corrected"),
           STR("Recall once all labels are in, by the law of their delays."), LATE(recall));
    figure(o, STR("fraud_model_precision_corrected"),
           STR("Precision once all labels are in, by the law of their delays."), LATE(precision));
    figure(o, STR("fraud_cohort_frauds_corrected"), STR("Frauds once all labels are in."),
           LATE(frauds));
    figure(o, STR("fraud_cohort_missed_brl_corrected"),
           STR("R$ of frauds let through, once all labels are in."), LATE(missed_brl));
}

/* Figures of the newest day from scores alone, and whether labels of the last days disagree. */
static void expected(struct out *o)
{
    model_watch_update(o->m, o->states, o->n, o->now_ns);
    const struct model_watch *w = &o->m->watch;
    const struct calib_estimate *e = &w->today.figures;
    const struct {
        struct str name, help;
        const struct calib_figure *figure;
    } all[] = {
        {STR("fraud_model_estimated_precision"),
         STR("Precision to expect today from scores alone; blind to concept drift."),
         &e->precision},
        {STR("fraud_model_estimated_recall"),
         STR("Recall to expect today from scores alone; blind to concept drift."), &e->recall},
        {STR("fraud_model_estimated_f1"),
         STR("F1 to expect today from scores alone; blind to concept drift."), &e->f1},
        {STR("fraud_model_estimated_roc_auc"),
         STR("ROC AUC to expect today from scores alone; blind to concept drift."), &e->roc_auc},
        {STR("fraud_model_estimated_average_precision"),
         STR("Average precision to expect today from scores alone; blind to concept drift."),
         &e->average_precision},
    };
    const struct str bounds[3] = {STR("value"), STR("lo"), STR("hi")};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct expo_family *f = family(o, EXPO_GAUGE, all[i].name, STR(""), all[i].help);
        const struct calib_figure *x = all[i].figure;
        const double values[3] = {x->value, x->lo, x->hi};
        for (int k = 0; k < 3 && w->valid && !isnan(x->value); k++) {
            const struct label l[] = {LABEL("bound", bounds[k])};
            expo_add(o->x, f, l, 1, values[k]);
        }
    }
    struct expo_family *drift =
        family(o, EXPO_GAUGE, STR("fraud_model_concept_drift"), STR(""),
               STR("1: recall or precision of the last days, corrected for labels to come, is not "
                   "what the scores had promised."));
    if (w->valid && w->judged) {
        expo_add(o->x, drift, NULL, 0, w->drift);
    }
}

/* What the bank wants to hold, so that alerts compare with it and not with a number of ours. */
static void objectives(struct out *o)
{
    const struct model_objectives *c = &o->m->c->objectives;
    struct expo_family *f = family(o, EXPO_GAUGE, STR("fraud_objective"), STR(""),
                                   STR("Configured objectives of model quality."));
    const struct label precision[] = {LABEL("figure", STR("precision"))};
    const struct label recall[] = {LABEL("figure", STR("recall"))};
    if (c->precision > 0) {
        expo_add(o->x, f, precision, 1, c->precision);
    }
    if (c->recall > 0) {
        expo_add(o->x, f, recall, 1, c->recall);
    }
}

static void quality(struct out *o)
{
    objectives(o);
    model_bands_update(o->m, o->states, o->n, o->now_ns);
    count(o, STR("fraud_cohort_n"), STR("Decisions of the cohort."), Q(n));
    count(o, STR("fraud_cohort_n_scored"),
          STR("Decisions of the cohort that have a score: those of AUC, Brier, log-loss and ECE."),
          Q(n_scored));
    count(o, STR("fraud_cohort_tp"), STR("Predicted fraud, was fraud."), Q(tp));
    count(o, STR("fraud_cohort_fp"), STR("Predicted fraud, was not (or is not known to be)."),
          Q(fp));
    count(o, STR("fraud_cohort_fn"), STR("Approved, was fraud."), Q(fn));
    count(o, STR("fraud_cohort_tn"), STR("Approved, no fraud known."), Q(tn));
    count(o, STR("fraud_blocked_unverified"), STR("Predicted fraud, no verdict yet."),
          Q(unverified));
    figure(o, STR("fraud_model_precision"), STR("Precision, 95 % Wilson."), Q(precision));
    figure(o, STR("fraud_model_precision_judged"),
           STR("Precision of predicted positives that have a verdict, 95 % Wilson."),
           Q(precision_judged));
    count(o, STR("fraud_cohort_judged"), STR("Predicted fraud that has a verdict."), Q(judged));
    figure(o, STR("fraud_model_recall"), STR("Recall, 95 % Wilson."), Q(recall));
    figure(o, STR("fraud_model_specificity"), STR("Specificity, 95 % Wilson."), Q(specificity));
    figure(o, STR("fraud_model_f1"), STR("F1, Wilson on tp/(tp+fp+fn)."), Q(f1));
    figure(o, STR("fraud_model_f2"), STR("F2, delta method."), Q(f2));
    figure(o, STR("fraud_model_f05"), STR("F0.5, delta method."), Q(f05));
    figure(o, STR("fraud_model_mcc"), STR("Matthews correlation, delta method."), Q(mcc));
    figure(o, STR("fraud_model_balanced_accuracy"), STR("Balanced accuracy, delta method."),
           Q(balanced_accuracy));
    figure(o, STR("fraud_model_roc_auc"), STR("ROC AUC, DeLong."), Q(roc_auc));
    figure(o, STR("fraud_model_average_precision"), STR("Average precision, logit interval."),
           Q(average_precision));
    figure(o, STR("fraud_model_brier"), STR("Brier score, normal interval."), Q(brier));
    figure(o, STR("fraud_model_log_loss"), STR("Log-loss, normal interval."), Q(log_loss));
    figure(o, STR("fraud_model_ece"), STR("Calibration error, ten equal widths, delta method."),
           Q(ece_width10));
    figure(o, STR("fraud_model_precision_at_100"),
           STR("Share of frauds among the 100 best scores, 95 % Wilson."), Q(precision_at_100));
    figure(o, STR("fraud_model_lift_at_1pct"),
           STR("Share of frauds in the best hundredth of the scores, over that in all."),
           Q(lift_at_1pct));
    late(o);
    expected(o);
}

void model_publish(void *app, void *const *states, uint32_t n, int64_t now_ns, struct expo *x)
{
    struct model_merged g;
    struct out o = {x, app, states, n, now_ns, &g};
    if (model_merge(o.m, states, n, now_ns, &g)) {
        model_baselines_update(o.m, &g);
        decisions(&o);
        versions(&o);
        features(&o);
    } else {
        x->failed = true;
    }
    model_merged_release(&g);
    info(&o);
    labels(&o);
    stores(&o);
    quality(&o);
    model_drift_publish(o.m, states, n, x);
}
