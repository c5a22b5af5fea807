/* GET /farol/v1/model/drift: parameters in, one JSON object out. Features in order of their names,
 * segments too, so that the answer does not depend on shards. */
#include "model/drift/drift_int.h"

#include <math.h>
#include <stdlib.h>

#define HOUR_NS       (3600 * NS_PER_S)
#define HOURS_PER_DAY 24

static bool bad(struct err *e, const char *name, const char *want, struct str found)
{
    return err_set(e, ERR_INPUT, "expected %s for '%s', found '%.*s'", want, name,
                   STR_FMT(str_sub(found, 0, 40)));
}

bool drift_query_parse(struct str from, struct str to, struct str feature, struct str segment,
                       struct str window, struct drift_query *out, struct err *e)
{
    *out = (struct drift_query){
        .day_from = INT32_MIN, .day_to = INT32_MAX, .feature = feature, .segment = segment};
    if (from.n > 0 && !date_parse(from, &out->day_from)) {
        return bad(e, "from", "a date as 2026-11-23", from);
    }
    if (to.n > 0 && !date_parse(to, &out->day_to)) {
        return bad(e, "to", "a date as 2026-11-23", to);
    }
    if (out->day_from > out->day_to) {
        return err_set(e, ERR_INPUT, "'from' is after 'to'");
    }
    if (window.n > 0 && !str_eq(window, STR("day")) && !str_eq(window, STR("hour"))) {
        return bad(e, "window", "day or hour", window);
    }
    out->hours = str_eq(window, STR("hour"));
    if (segment.n > 0 && !str_eq(segment, STR("*"))) {
        struct str_cut cut = str_cut(segment, ':');
        if (!cut.ok || cut.head.n == 0 || cut.tail.n == 0) {
            return bad(e, "segment", "dimension:value or *", segment);
        }
    }
    return true;
}

static const struct str kind_text[DRIFT_KINDS] = {STR_INIT("none"), STR_INIT("boolean"),
                                                  STR_INIT("categorical"), STR_INIT("numeric")};

struct answer {
    const struct drift *d;
    const struct drift_query *q;
    const struct drift_windows *windows;
    struct buf *b;
};

static bool in_range(const struct answer *a, int32_t at)
{
    const int32_t day = a->q->hours ? at / HOURS_PER_DAY : at;
    return day >= a->q->day_from && day <= a->q->day_to;
}

static void put_at(struct buf *b, bool hours, int32_t at)
{
    buf_char(b, '"');
    if (hours) {
        time_format(b, (int64_t)at * HOUR_NS);
    } else {
        date_format(b, at);
    }
    buf_char(b, '"');
}

static void put_f64(struct buf *b, const char *name, double v)
{
    buf_fmt(b, ",\"%s\":", name);
    buf_json_f64(b, v);
}

static void put_result(struct buf *b, bool hours, int32_t at, const struct drift_result *r)
{
    const double total = (double)r->n;
    BUF_LIT(b, "{\"t\":");
    put_at(b, hours, at);
    buf_fmt(b, ",\"n\":%llu,\"nulls\":%llu,\"new\":%llu,\"out_of_range\":%llu",
            (unsigned long long)r->n, (unsigned long long)r->nulls, (unsigned long long)r->fresh,
            (unsigned long long)r->outside);
    put_f64(b, "missing", r->n == 0 ? (double)NAN : (total - (double)r->present) / total);
    put_f64(b, "psi", r->psi);
    put_f64(b, "js", r->js);
    put_f64(b, "kl", r->kl);
    put_f64(b, "hellinger", r->hellinger);
    put_f64(b, "ks", r->ks);
    put_f64(b, "w1", r->w1);
    put_f64(b, "w1_norm", r->w1_norm);
    put_f64(b, "cvm", r->cvm);
    put_f64(b, "ad", r->ad);
    put_f64(b, "chi2", r->chi2);
    put_f64(b, "tvd", r->tvd);
    put_f64(b, "linf", r->linf);
    put_f64(b, "p", r->p);
    put_f64(b, "q", r->q);
    buf_fmt(b, ",\"drifted\":%s,\"rules\":[", r->drifted ? "true" : "false");
    bool first = true;
    for (uint32_t i = 0; i < DRIFT_RULES; i++) {
        if (r->rules >> i & 1) {
            buf_str_add(b, first ? STR("") : STR(","));
            buf_json_str(b, drift_rule_text[i]);
            first = false;
        }
    }
    BUF_LIT(b, "]}");
}

/* Results stand in order of feature and segment. */
static const struct drift_result *find(const struct drift_window *w, uint32_t feature,
                                       uint32_t segment)
{
    uint32_t lo = 0;
    uint32_t hi = w->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct drift_result *r = &w->v[mid];
        if (r->feature < feature || (r->feature == feature && r->segment < segment)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    bool there = lo < w->count && w->v[lo].feature == feature && w->v[lo].segment == segment;
    return there ? &w->v[lo] : NULL;
}

/* false: nothing of this feature and segment in the windows asked for. */
static bool put_series(struct answer *a, uint32_t feature, uint32_t segment, bool first_series)
{
    bool any = false;
    for (uint32_t i = 0; i < a->windows->count; i++) {
        const struct drift_window *w = &a->windows->v[i];
        const struct drift_result *r = in_range(a, w->at) ? find(w, feature, segment) : NULL;
        if (r == NULL) {
            continue;
        }
        if (!any) {
            buf_str_add(a->b, first_series ? STR("{\"name\":") : STR(",{\"name\":"));
            buf_json_str(a->b, intern_str(&a->d->names.features, feature));
            BUF_LIT(a->b, ",\"segment\":");
            if (segment == 0) {
                BUF_LIT(a->b, "null");
            } else {
                buf_json_str(a->b, drift_names_segment_str(&a->d->names, segment));
            }
            BUF_LIT(a->b, ",\"kind\":");
            buf_json_str(a->b, kind_text[r->kind]);
            BUF_LIT(a->b, ",\"windows\":[");
        } else {
            buf_char(a->b, ',');
        }
        put_result(a->b, a->q->hours, w->at, r);
        any = true;
    }
    if (any) {
        BUF_LIT(a->b, "]}");
    }
    return any;
}

/* ---- order of names ---- */

struct named {
    struct str text;
    uint32_t id;
};

static int by_text(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    return str_cmp(x->text, y->text);
}

static void put_features(struct answer *a)
{
    const struct drift_names *names = &a->d->names;
    const uint32_t features = names->features.count;
    const uint32_t segments = names->segments.count + 1;
    struct named *f = mem_take(a->d->mem, features * sizeof *f);
    struct named *s = mem_take(a->d->mem, segments * sizeof *s);
    a->b->failed = a->b->failed || f == NULL || s == NULL;
    for (uint32_t i = 0; i < features && !a->b->failed; i++) {
        f[i] = (struct named){intern_str(&names->features, i), i};
    }
    for (uint32_t i = 0; i < segments && !a->b->failed; i++) {
        s[i] = (struct named){drift_names_segment_str(names, i), i};
    }
    if (!a->b->failed && features > 1) {
        qsort(f, features, sizeof *f, by_text);
    }
    if (!a->b->failed && segments > 1) {
        qsort(s, segments, sizeof *s, by_text);
    }
    bool first = true;
    bool every = str_eq(a->q->segment, STR("*"));
    for (uint32_t i = 0; i < features && !a->b->failed; i++) {
        if (a->q->feature.n > 0 && !str_eq(a->q->feature, f[i].text)) {
            continue;
        }
        for (uint32_t k = 0; k < segments && !a->b->failed; k++) {
            if (every || str_eq(a->q->segment, s[k].text)) {
                first = !put_series(a, f[i].id, s[k].id, first) && first;
            }
        }
    }
    mem_give(a->d->mem, f, features * sizeof *f);
    mem_give(a->d->mem, s, segments * sizeof *s);
}

static void put_reference(const struct drift *d, struct buf *b)
{
    uint64_t n = drift_decisions(&d->names, &d->ref, 0);
    buf_fmt(b, "\"reference\":{\"state\":\"%s\",\"days\":%u", d->sealed ? "sealed" : "collecting",
            (unsigned)d->ref_days);
    if (d->ref_days > 0) {
        BUF_LIT(b, ",\"from\":");
        put_at(b, false, d->ref_from);
        BUF_LIT(b, ",\"to\":");
        put_at(b, false, d->ref_to);
    }
    buf_fmt(b, ",\"n\":%llu}", (unsigned long long)n);
}

void drift_json(const struct drift *d, const struct drift_query *q, struct buf *out)
{
    struct answer a = {d, q, q->hours ? &d->hour_results : &d->day_results, out};
    buf_char(out, '{');
    put_reference(d, out);
    buf_fmt(out, ",\"window\":\"%s\",\"windows\":[", q->hours ? "hour" : "day");
    bool first = true;
    for (uint32_t i = 0; i < a.windows->count; i++) {
        const struct drift_window *w = &a.windows->v[i];
        if (in_range(&a, w->at)) {
            buf_str_add(out, first ? STR("{\"t\":") : STR(",{\"t\":"));
            put_at(out, q->hours, w->at);
            buf_fmt(out, ",\"tests\":{\"n\":%u,\"rejected\":%u", w->tests, w->rejected);
            put_f64(out, "dispersion", w->dispersion);
            BUF_LIT(out, "}}");
            first = false;
        }
    }
    BUF_LIT(out, "],\"features\":[");
    put_features(&a);
    BUF_LIT(out, "]}");
}
