/* GET /farol/v1/model/calibration: what scores meant, what follows from them without labels, and
 * whether the labels that have come agree. */
#include "model/model_int.h"
#include "model/put_int.h"

#include <math.h>

static void put_bins(struct buf *b, const struct model_bin *bins)
{
    BUF_LIT(b, "\"bins\":[");
    for (uint32_t i = 0; i < MODEL_BINS; i++) {
        const struct model_bin *x = &bins[i];
        struct model_figure rate;
        model_wilson((uint64_t)fmin(x->positives, x->n), (uint64_t)x->n, &rate);
        buf_fmt(b, "%s{\"lo\":%.1f,\"hi\":%.1f,\"n\":%.0f,\"mean_score\":", i > 0 ? "," : "",
                i / 10.0, (i + 1) / 10.0, x->n);
        buf_json_f64(b, x->n > 0 ? x->score / x->n : (double)NAN);
        BUF_LIT(b, ",\"rate\":");
        buf_json_f64(b, rate.value);
        BUF_LIT(b, ",\"rate_lo\":");
        buf_json_f64(b, rate.lo);
        BUF_LIT(b, ",\"rate_hi\":");
        buf_json_f64(b, rate.hi);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void put_expected(struct buf *b, const char *name, const struct calib_figure *f)
{
    const struct model_figure x = {f->value, f->lo, f->hi};
    model_put_figure(b, name, &x, "sampling and calibration, delta95");
}

static void put_estimated(struct buf *b, const struct model_estimate *e)
{
    BUF_LIT(b, ",\"estimated\":{");
    put_expected(b, "precision", &e->figures.precision);
    put_expected(b, "recall", &e->figures.recall);
    put_expected(b, "f1", &e->figures.f1);
    put_expected(b, "roc_auc", &e->figures.roc_auc);
    put_expected(b, "average_precision", &e->figures.average_precision);
    put_expected(b, "frauds", &e->figures.positives);
    buf_fmt(b, ",\"flagged_by\":\"%s\"}", e->flags_known ? "decision" : "score");
}

static const char *truth_of(bool b)
{
    return b ? "true" : "false";
}

static void put_learnt(struct buf *b, const struct model_estimate *e)
{
    BUF_LIT(b, ",\"learnt\":");
    if (e->learnt_from > e->learnt_to) {
        BUF_LIT(b, "null");
        return;
    }
    BUF_LIT(b, "{\"from\":\"");
    date_format(b, e->learnt_from);
    BUF_LIT(b, "\",\"to\":\"");
    date_format(b, e->learnt_to);
    buf_fmt(b, "\",\"n\":%llu,\"frauds\":%llu,\"mature\":%s,\"labels_expected_share\":",
            (unsigned long long)e->learnt_n, (unsigned long long)e->learnt_frauds,
            truth_of(e->learnt_mature));
    buf_json_f64(b, e->learnt_share);
    buf_fmt(b, ",\"same_version\":%s,\"same_segment\":%s}", truth_of(e->learnt_version),
            truth_of(e->learnt_dim));
}

static void put_leave(struct buf *b, const char *name, const struct model_leave *x)
{
    buf_fmt(b, ",\"%s\":{", name);
    model_put_figure(b, "corrected", &x->corrected, "delay law, logit95");
    BUF_LIT(b, ",\"z\":");
    buf_json_f64(b, x->z);
    buf_fmt(b, ",\"leaves\":%s}", truth_of(x->leaves));
}

void model_calibration_json(void *app, void *const *states, uint32_t n, const struct model_query *q,
                            struct buf *out)
{
    struct model *m = app;
    struct model_estimate e;
    struct model_concept concept;
    if (!model_estimate_find(m, states, n, q, &e) ||
        !model_concept_find(m, states, n, q, &e, &concept)) {
        out->failed = true;
        return;
    }
    buf_char(out, '{');
    model_put_question(out, q);
    buf_fmt(out, "\"n\":%llu,\"n_scored\":%llu,", (unsigned long long)e.now.n,
            (unsigned long long)e.now.n_scored);
    put_bins(out, e.bins);
    model_put_figure(out, "ece_width10", &e.now.ece_width10, "delta95");
    model_put_figure(out, "ece_mass10", &e.now.ece_mass10, "delta95");
    put_estimated(out, &e);
    BUF_LIT(out, ",\"blind_to\":\"concept drift\"");
    put_learnt(out, &e);
    buf_fmt(out, ",\"concept\":{\"drift\":%s", concept.judged ? truth_of(concept.drift) : "null");
    put_leave(out, "recall", &concept.recall);
    put_leave(out, "precision", &concept.precision);
    BUF_LIT(out, "}}");
}
