/* Is an answer the one that a script expects? Floats agree to one part in a million, NaN equals NaN
 * and the stale marker only itself; histograms are compared compacted, field by field. */
#include "test/conformance/script.h"

#include "engines/promql/hist_int.h"

#include <float.h>
#include <math.h>

#define EPSILON 0.000001

static bool almost(double a, double b)
{
    if (is_stale_nan(a) || is_stale_nan(b)) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if ((isnan(a) && isnan(b)) || a == b) {
        return true;
    }
    double sum = fabs(a) + fabs(b);
    double diff = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN) {
        return diff < EPSILON * DBL_MIN;
    }
    return diff / fmin(sum, DBL_MAX) < EPSILON;
}

bool check_expects(const struct evaluation *v, enum expect_kind kind)
{
    for (const struct expect *x = v->expects; x != NULL; x = x->next) {
        if (x->kind == kind) {
            return true;
        }
    }
    return false;
}

static bool expect_matches(const struct expect *x, struct str text)
{
    return x->pattern != NULL ? regex_match(x->pattern, text) : str_eq(x->message, text);
}

/* --- histograms ------------------------------------------------------------------------------- */

/* The spans without empty ones, from *at: the next with a length, its offset counted from the end
 * of the last one given. */
static bool next_span(const struct nhist_side *s, uint32_t *at, struct nhist_span *out)
{
    int32_t offset = 0;
    while (*at < s->spans_n) {
        struct nhist_span x = s->spans[(*at)++];
        offset += x.offset;
        if (x.length > 0) {
            *out = (struct nhist_span){offset, x.length};
            return true;
        }
    }
    return false;
}

static bool side_equal(const struct nhist_side *a, const struct nhist_side *b)
{
    uint32_t i = 0;
    uint32_t j = 0;
    if (a->counts_n != b->counts_n) {
        return false;
    }
    for (uint32_t k = 0; k < a->counts_n; k++) {
        if (!almost(a->counts[k], b->counts[k])) {
            return false;
        }
    }
    for (;;) {
        struct nhist_span x;
        struct nhist_span y;
        bool more_a = next_span(a, &i, &x);
        bool more_b = next_span(b, &j, &y);
        if (!more_a || !more_b) {
            return more_a == more_b;
        }
        if (x.offset != y.offset || x.length != y.length) {
            return false;
        }
    }
}

static bool hists_equal(const struct nhist *want, const struct nhist *got, bool hint,
                        struct arena *a)
{
    const struct nhist *x = hist_compact(want, a);
    const struct nhist *y = hist_compact(got, a);
    if (x == NULL || y == NULL || x->schema != y->schema || !almost(x->count, y->count) ||
        !almost(x->sum, y->sum) || x->zero_threshold != y->zero_threshold ||
        !almost(x->zero_count, y->zero_count) || (hint && x->reset != y->reset)) {
        return false;
    }
    if (x->schema == NHIST_SCHEMA_CUSTOM &&
        (x->custom_n != y->custom_n ||
         (x->custom_n > 0 && memcmp(x->custom, y->custom, x->custom_n * sizeof *x->custom) != 0))) {
        return false;
    }
    return side_equal(&x->neg, &y->neg) && side_equal(&x->pos, &y->pos);
}

static void sample_print(struct buf *b, double v, const struct nhist *h)
{
    static const char *const hints[] = {"unknown", "reset", "not_reset", "gauge"};
    if (h == NULL) {
        buf_f64(b, v);
        return;
    }
    hist_print(h, b);
    buf_fmt(b, " schema %d hint %s", h->schema, hints[h->reset]);
}

/* --- series ----------------------------------------------------------------------------------- */

static struct expected *expected_of(struct evaluation *v, struct labels ls)
{
    for (struct expected *x = v->series; x != NULL; x = x->next) {
        if (labels_eq(x->points.labels, ls)) {
            return x;
        }
    }
    return NULL;
}

static bool all_seen(const struct evaluation *v, struct buf *why)
{
    for (const struct expected *x = v->series; x != NULL; x = x->next) {
        if (!x->seen) {
            BUF_LIT(why, "missing series ");
            labels_print(x->points.labels, why);
            return false;
        }
    }
    return true;
}

static bool sample_equal(const struct promql_points *p, uint32_t i, const struct promql_sample *s,
                         struct arena *a)
{
    if (p->h[i] != NULL || s->h != NULL) {
        return p->h[i] != NULL && s->h != NULL && hists_equal(p->h[i], s->h, p->hint_given[i], a);
    }
    return almost(p->v[i], s->v);
}

static bool check_matrix_series(const struct evaluation *v, const struct expected *x,
                                const struct promql_series *s, struct arena *a, struct buf *why)
{
    const struct promql_points *p = &x->points;
    uint32_t at = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        int64_t t = v->start_ms + (int64_t)i * v->step_ms;
        if (p->gap[i]) {
            continue;
        }
        bool there = at < s->n && s->samples[at].t_ms == t;
        if (!there || !sample_equal(p, i, &s->samples[at], a)) {
            labels_print(s->labels, why);
            buf_fmt(why, " at %lld ms: expected ", (long long)t);
            sample_print(why, p->v[i], p->h[i]);
            BUF_LIT(why, ", got ");
            if (there) {
                sample_print(why, s->samples[at].v, s->samples[at].h);
            } else {
                buf_fmt(why, "nothing (%u samples)", s->n);
            }
            return false;
        }
        at++;
    }
    if (at != s->n) {
        labels_print(s->labels, why);
        buf_fmt(why, ": %u samples expected, %u given; one too many at %lld ms: ", at, s->n,
                (long long)s->samples[at].t_ms);
        sample_print(why, s->samples[at].v, s->samples[at].h);
        return false;
    }
    return true;
}

bool check_sorted(const struct promql_result *r, struct buf *why)
{
    for (uint32_t i = 1; i < r->series_n; i++) {
        if (labels_cmp(r->series[i - 1].labels, r->series[i].labels) >= 0) {
            BUF_LIT(why, "matrix is not sorted at ");
            labels_print(r->series[i].labels, why);
            return false;
        }
    }
    return true;
}

static bool check_series(struct evaluation *v, const struct promql_result *r, struct arena *a,
                         struct buf *why)
{
    bool ordered = v->ordered || check_expects(v, EXPECT_ORDERED);
    if (v->number_given) {
        BUF_LIT(why, "expected a scalar, got series");
        return false;
    }
    if (r->type == PROMQL_MATRIX && ordered) {
        BUF_LIT(why, "expected an ordered result, got a matrix");
        return false;
    }
    for (struct expected *x = v->series; x != NULL; x = x->next) {
        x->seen = false;
    }
    for (uint32_t i = 0; i < r->series_n; i++) {
        const struct promql_series *s = &r->series[i];
        struct expected *x = expected_of(v, s->labels);
        if (x == NULL) {
            BUF_LIT(why, "unexpected series ");
            labels_print(s->labels, why);
            BUF_LIT(why, ": ");
            sample_print(why, s->samples[0].v, s->samples[0].h);
            return false;
        }
        x->seen = true;
        if (r->type == PROMQL_MATRIX) {
            if (!check_matrix_series(v, x, s, a, why)) {
                return false;
            }
            continue;
        }
        if (ordered && x->place != i + 1) {
            labels_print(s->labels, why);
            buf_fmt(why, " expected at place %u, found at %u", x->place, i + 1);
            return false;
        }
        if (x->points.n == 0 || !sample_equal(&x->points, 0, &s->samples[0], a)) {
            labels_print(s->labels, why);
            BUF_LIT(why, ": expected ");
            if (x->points.n > 0) {
                sample_print(why, x->points.v[0], x->points.h[0]);
            }
            BUF_LIT(why, ", got ");
            sample_print(why, s->samples[0].v, s->samples[0].h);
            return false;
        }
    }
    return all_seen(v, why);
}

bool check_result(struct evaluation *v, const struct promql_result *r, struct arena *a,
                  struct buf *why)
{
    switch (r->type) {
    case PROMQL_MATRIX: return check_sorted(r, why) && check_series(v, r, a, why);
    case PROMQL_VECTOR: return check_series(v, r, a, why);
    case PROMQL_SCALAR:
        if (!v->number_given || !almost(v->number, r->scalar.v)) {
            buf_fmt(why, "expected %s, got scalar ", v->number_given ? "a scalar" : "series");
            buf_f64(why, r->scalar.v);
            return false;
        }
        return true;
    case PROMQL_STRING:
        if (!str_eq(v->string, r->string)) {
            buf_fmt(why, "expected string \"%.*s\", got \"%.*s\"", STR_FMT(v->string),
                    STR_FMT(r->string));
            return false;
        }
        return true;
    case PROMQL_NONE: break;
    }
    BUF_LIT(why, "result has no type");
    return false;
}

/* --- annotations and errors ------------------------------------------------------------------- */

static uint32_t notes_count(const struct promql_result *r, bool warnings)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->notes_n; i++) {
        n += r->notes[i].warning == warnings;
    }
    return n;
}

/* Every expectation of the kind matches a note, and every note an expectation. */
static bool notes_match(const struct evaluation *v, const struct promql_result *r, bool warnings,
                        struct buf *why)
{
    enum expect_kind kind = warnings ? EXPECT_WARN : EXPECT_INFO;
    const char *name = warnings ? "warning" : "info";
    if (!check_expects(v, kind)) {
        return true;
    }
    for (const struct expect *x = v->expects; x != NULL; x = x->next) {
        bool found = x->kind != kind;
        for (uint32_t i = 0; i < r->notes_n && !found; i++) {
            found = r->notes[i].warning == warnings && expect_matches(x, r->notes[i].text);
        }
        if (!found) {
            buf_fmt(why, "expected %s \"%.*s\" was not given", name, STR_FMT(x->message));
            for (uint32_t i = 0; i < r->notes_n; i++) {
                buf_fmt(why, "\n    given: \"%.*s\"", STR_FMT(r->notes[i].text));
            }
            return false;
        }
    }
    for (uint32_t i = 0; i < r->notes_n; i++) {
        bool found = r->notes[i].warning != warnings;
        for (const struct expect *x = v->expects; x != NULL && !found; x = x->next) {
            found = x->kind == kind && expect_matches(x, r->notes[i].text);
        }
        if (!found) {
            buf_fmt(why, "unexpected %s \"%.*s\"", name, STR_FMT(r->notes[i].text));
            return false;
        }
    }
    return true;
}

bool check_notes(const struct evaluation *v, const struct promql_result *r, struct buf *why)
{
    uint32_t warnings = notes_count(r, true);
    uint32_t infos = notes_count(r, false);
    if ((v->warn && warnings == 0) || (v->info && infos == 0)) {
        buf_fmt(why, "expected %s, got none", v->warn ? "warnings" : "infos");
        return false;
    }
    if (!notes_match(v, r, true, why) || !notes_match(v, r, false, why)) {
        return false;
    }
    for (uint32_t i = 0; i < r->notes_n; i++) {
        if (check_expects(v, r->notes[i].warning ? EXPECT_NO_WARN : EXPECT_NO_INFO)) {
            buf_fmt(why, "unexpected annotation \"%.*s\"", STR_FMT(r->notes[i].text));
            return false;
        }
    }
    return true;
}

bool check_failure(const struct evaluation *v, struct str message, struct buf *why)
{
    for (const struct expect *x = v->expects; x != NULL; x = x->next) {
        if (x->kind == EXPECT_FAIL && !expect_matches(x, message)) {
            buf_fmt(why, "expected the error \"%.*s\", got \"%.*s\"", STR_FMT(x->message),
                    STR_FMT(message));
            return false;
        }
    }
    return true;
}
