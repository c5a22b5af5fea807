/* GET /farol/v1/model/quality: parameters in, one JSON object out. */
#include "model/model_int.h"
#include "model/put_int.h"

#include <math.h>

static bool bad(struct err *e, const char *name, const char *want, struct str found)
{
    return err_set(e, ERR_INPUT, "expected %s for '%s', found '%.*s'", want, name,
                   STR_FMT(str_sub(found, 0, 40)));
}

bool model_query_parse(struct str day, struct str from, struct str to, struct str as_of,
                       struct str age, struct str version, struct str segment,
                       struct model_query *out, struct err *e)
{
    *out = (struct model_query){.day_from = INT32_MIN,
                                .day_to = INT32_MAX,
                                .as_of_ns = T_NS_NONE,
                                .age_ns = -1,
                                .version = version};
    if (day.n > 0 && (from.n > 0 || to.n > 0)) {
        return err_set(e, ERR_INPUT, "'day' and 'from', 'to' exclude each other");
    }
    if ((day.n > 0 && !date_parse(day, &out->day_from))) {
        return bad(e, "day", "a date as 2026-11-23", day);
    }
    if (day.n > 0) {
        out->day_to = out->day_from;
    }
    if (from.n > 0 && !date_parse(from, &out->day_from)) {
        return bad(e, "from", "a date as 2026-11-23", from);
    }
    if (to.n > 0 && !date_parse(to, &out->day_to)) {
        return bad(e, "to", "a date as 2026-11-23", to);
    }
    if (out->day_from > out->day_to) {
        return err_set(e, ERR_INPUT, "'from' is after 'to'");
    }
    int32_t date = 0;
    if (as_of.n > 0 && date_parse(as_of, &date) && model_day_sane(date)) {
        out->as_of_ns = ns_from_day(date + 1) - 1;
    } else if (as_of.n > 0 && !time_parse(as_of, &out->as_of_ns)) {
        return bad(e, "as_of", "a time as 2026-11-23T12:00:00Z or a date", as_of);
    }
    int64_t ms = 0;
    if (age.n > 0 && !str_eq(age, STR("0")) &&
        (!str_to_duration_ms(age, &ms) || ms < 0 || ms > 4000 * MS_PER_DAY)) {
        return bad(e, "age", "a duration up to 4000d, as 3d", age);
    }
    out->age_ns = age.n > 0 ? ns_from_ms(ms) : -1;
    if (segment.n > 0) {
        struct str_cut cut = str_cut(segment, ':');
        if (!cut.ok || cut.head.n == 0 || cut.tail.n == 0) {
            return bad(e, "segment", "dimension:value", segment);
        }
        out->dim = cut.head;
        out->value = cut.tail;
    }
    return true;
}

bool model_query_more(struct str reference_from, struct str reference_to, struct str worth,
                      struct model_query *q, struct err *e)
{
    q->reference = reference_from.n > 0 || reference_to.n > 0;
    if (q->reference && !date_parse(reference_from, &q->reference_from)) {
        return bad(e, "reference_from", "a date as 2026-11-23", reference_from);
    }
    if (q->reference && !date_parse(reference_to, &q->reference_to)) {
        return bad(e, "reference_to", "a date as 2026-11-23", reference_to);
    }
    if (q->reference && q->reference_from > q->reference_to) {
        return err_set(e, ERR_INPUT, "'reference_from' is after 'reference_to'");
    }
    q->worth = worth.n > 0;
    struct str_cut cut = {.tail = worth, .ok = true};
    for (uint32_t i = 0; i < MODEL_WORTHS && q->worth; i++) {
        const bool more = cut.ok;
        cut = str_cut(cut.tail, ',');
        if (!more || !str_to_f64(cut.head, &q->worth_of[i]) || !(fabs(q->worth_of[i]) <= 1e6) ||
            (i + 1 == MODEL_WORTHS && cut.ok)) {
            return bad(e, "worth", "four numbers as 1,-1,-0.02,0.001", worth);
        }
    }
    return true;
}

static void put_bound(struct buf *b, const char *name, double lo, double hi)
{
    buf_fmt(b, ",\"%s\":", name);
    if (isnan(lo)) {
        BUF_LIT(b, "null");
        return;
    }
    buf_char(b, '[');
    buf_json_f64(b, lo);
    buf_char(b, ',');
    buf_json_f64(b, hi);
    buf_char(b, ']');
}

static void put_quality(struct buf *b, const struct model_quality *q)
{
    buf_fmt(b, "\"n\":%llu,\"n_scored\":%llu", (unsigned long long)q->n,
            (unsigned long long)q->n_scored);
    if (q->damaged) {
        BUF_LIT(b, ",\"tp\":null,\"fp\":null,\"fn\":null,\"tn\":null,\"blocked_unverified\":null,"
                   "\"amount_fraud_caught\":null,\"amount_fraud_missed\":null,"
                   "\"amount_false_alarm\":null");
    } else {
        buf_fmt(b, ",\"tp\":%llu,\"fp\":%llu,\"fn\":%llu,\"tn\":%llu,\"blocked_unverified\":%llu",
                (unsigned long long)q->tp, (unsigned long long)q->fp, (unsigned long long)q->fn,
                (unsigned long long)q->tn, (unsigned long long)q->unverified);
        BUF_LIT(b, ",\"amount_fraud_caught\":");
        model_put_brl(b, q->amount_caught);
        BUF_LIT(b, ",\"amount_fraud_missed\":");
        model_put_brl(b, q->amount_missed);
        BUF_LIT(b, ",\"amount_false_alarm\":");
        model_put_brl(b, q->amount_false_alarm);
    }
    model_put_figure(b, "precision", &q->precision, "wilson95");
    put_bound(b, "precision_unverified", q->precision_floor, q->precision_ceiling);
    model_put_figure(b, "precision_judged", &q->precision_judged, "wilson95");
    model_put_figure(b, "recall", &q->recall, "wilson95");
    model_put_figure(b, "specificity", &q->specificity, "wilson95");
    model_put_figure(b, "f1", &q->f1, "wilson95 of tp/(tp+fp+fn)");
    model_put_figure(b, "f2", &q->f2, "delta95");
    model_put_figure(b, "f05", &q->f05, "delta95");
    model_put_figure(b, "mcc", &q->mcc, "delta95");
    model_put_figure(b, "balanced_accuracy", &q->balanced_accuracy, "delta95");
    model_put_figure(b, "roc_auc", &q->roc_auc, "delong95");
    put_bound(b, "roc_auc_bound", q->auc_lo, q->auc_hi);
    model_put_figure(b, "average_precision", &q->average_precision, "logit95");
    put_bound(b, "average_precision_bound", q->ap_lo, q->ap_hi);
    model_put_figure(b, "brier", &q->brier, "normal95");
    model_put_figure(b, "log_loss", &q->log_loss, "normal95");
    model_put_figure(b, "ece_width10", &q->ece_width10, "delta95");
    model_put_figure(b, "ece_mass10", &q->ece_mass10, "delta95");
    model_put_figure(b, "precision_at_100", &q->precision_at_100, "wilson95");
    model_put_figure(b, "lift_at_1pct", &q->lift_at_1pct, "wilson95 of the share in the best");
}

static void put_share(struct buf *b, const char *name, double v)
{
    buf_fmt(b, "\"%s\":", name);
    buf_json_f64(b, v);
}

/* One figure three times: as the labels stand, as it will be, and as it was when labels were in. */
static void put_three(struct buf *b, const char *name, const struct model_figure *naive,
                      const struct model_figure *corrected, const struct model_figure *matured)
{
    buf_fmt(b, "\"%s\":{", name);
    model_put_figure(b, "naive", naive, "wilson95");
    model_put_figure(b, "corrected", corrected, "delay law, logit95");
    model_put_figure(b, "matured", matured, "wilson95");
    buf_char(b, '}');
}

static void put_late(struct buf *b, const struct model_quality *now, const struct model_late *late,
                     const struct model_quality *matured)
{
    BUF_LIT(b, ",\"late\":{\"expected_share\":{");
    put_share(b, "all", late->expected_all);
    buf_char(b, ',');
    put_share(b, "predicted", late->expected[1]);
    buf_char(b, ',');
    put_share(b, "let_through", late->expected[0]);
    BUF_LIT(b, "},\"frozen_since\":");
    if (late->frozen_ns == T_NS_NONE) {
        BUF_LIT(b, "null");
    } else {
        buf_char(b, '"');
        time_format(b, late->frozen_ns);
        buf_char(b, '"');
    }
    BUF_LIT(b, ",\"frozen_sources\":[");
    bool first = true;
    for (uint32_t i = 0; i < LABEL_SOURCES; i++) {
        if (late->frozen[i]) {
            buf_str_add(b, first ? STR("") : STR(","));
            buf_json_str(b, label_source_text(i));
            first = false;
        }
    }
    BUF_LIT(b, "],\"figures\":{");
    put_three(b, "recall", &now->recall, &late->recall, &matured->recall);
    buf_char(b, ',');
    put_three(b, "precision", &now->precision, &late->precision, &matured->precision);
    buf_char(b, '}');
    model_put_figure(b, "frauds", &late->frauds, "delay law, log95");
    model_put_figure(b, "amount_fraud_missed", &late->missed_brl, "delay law, delta95");
    buf_char(b, '}');
}

/* The same decisions when their labels were in; nothing defined while the youngest is not old
 * enough. */
static bool gather_matured(struct model *m, void *const *states, uint32_t n,
                           const struct model_query *q, struct model_quality *out)
{
    const struct model_figure none = {(double)NAN, (double)NAN, (double)NAN};
    *out = (struct model_quality){.recall = none, .precision = none};
    const int32_t last = model_day_newest(states, n);
    const int64_t age_ns = m->c->mature_days * NS_PER_DAY;
    const int32_t to = q->day_to < last ? q->day_to : last;
    if (m->watermark_ns == T_NS_NONE || last == INT32_MIN ||
        model_known_ns(m, states, n, q) < ns_from_day(to + 1) + age_ns) {
        return true;
    }
    struct model_query matured = *q;
    matured.age_ns = age_ns;
    matured.as_of_ns = q->as_of_ns;
    return model_gather(m, states, n, &matured, out);
}

/* Values that exist, so that a reader can ask for each. Of the first shard that has them, then
 * the next. */
static void put_known(struct buf *b, const struct model *m, void *const *states, uint32_t n)
{
    for (uint32_t kind = 0; kind <= m->c->segments.count && kind <= RECORD_DIMS_MAX; kind++) {
        if (kind == 0) {
            BUF_LIT(b, ",\"versions\":[");
        } else {
            buf_json_str(b, m->c->segments.v[kind - 1]);
            BUF_LIT(b, ":[");
        }
        bool first = true;
        for (uint32_t k = 0; k < n; k++) {
            const struct model_names *names = &model_shard_of(states, k)->names;
            for (uint32_t id = MODEL_NAME_FIRST; id < model_names_count(names, kind); id++) {
                struct str s = model_names_str(names, kind, (uint16_t)id);
                uint16_t ignored = 0;
                bool told = false;
                for (uint32_t before = 0; before < k && !told; before++) {
                    told =
                        model_names_find(&model_shard_of(states, before)->names, kind, s, &ignored);
                }
                if (!told) {
                    if (!first) {
                        buf_char(b, ',');
                    }
                    buf_json_str(b, s);
                    first = false;
                }
            }
        }
        buf_char(b, ']');
        if (kind == 0) {
            BUF_LIT(b, ",\"segments\":{");
        } else if (kind < m->c->segments.count) {
            buf_char(b, ',');
        }
    }
    buf_char(b, '}');
}

void model_quality_json(void *app, void *const *states, uint32_t n, const struct model_query *q,
                        struct buf *out)
{
    struct model *m = app;
    struct model_quality figures;
    struct model_quality matured;
    struct model_late late;
    if (!model_gather(m, states, n, q, &figures) ||
        !model_late_figures(m, states, n, q, &figures, &late) ||
        !gather_matured(m, states, n, q, &matured)) {
        out->failed = true;
        return;
    }
    buf_char(out, '{');
    model_put_question(out, q);
    put_quality(out, &figures);
    put_late(out, &figures, &late, &matured);
    put_known(out, m, states, n);
    buf_char(out, '}');
}
