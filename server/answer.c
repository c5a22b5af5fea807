/* See answer_int.h: from the JSON of the query API to rows. */
#include "server/answer_int.h"

#include "base/clock.h"

#include <math.h>

#define SECONDS_MAX 9e9 /* of nanoseconds in an int64: the year 2255 */

static const struct json_token *child(const struct json_doc *d, uint32_t of, const char *key)
{
    if (d->tokens[of].kind != JSON_OBJECT) {
        return NULL;
    }
    for (uint32_t i = of + 1; i < d->tokens[of].next; i = d->tokens[i].next) {
        if (str_eq(d->tokens[i].key, str_from_c(key))) {
            return &d->tokens[i];
        }
    }
    return NULL;
}

static uint32_t index_of(const struct json_doc *d, const struct json_token *t)
{
    return (uint32_t)(t - d->tokens);
}

/* Children of an array or object. */
static uint32_t count_of(const struct json_doc *d, uint32_t of)
{
    uint32_t n = 0;
    for (uint32_t i = of + 1; i < d->tokens[of].next; i = d->tokens[i].next) {
        n++;
    }
    return n;
}

/* Text of a server on our terminal: quotes as PromQL escapes them, control characters as \\xNN. At
 * most four bytes for one. Returns the bytes written. */
static size_t put_safe(char *p, struct str s, bool quoted)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        const bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1) {
            p[n++] = '\\';
            p[n++] = 'x';
            p[n++] = hex[c >> 4];
            p[n++] = hex[c & 15];
            if (c1) { /* the byte after it alone would be no character */
                const unsigned char next = (unsigned char)s.p[++i];
                p[n++] = '\\';
                p[n++] = 'x';
                p[n++] = hex[next >> 4];
                p[n++] = hex[next & 15];
            }
            continue;
        }
        if (quoted && (c == '"' || c == '\\')) {
            p[n++] = '\\';
        }
        p[n++] = (char)c;
    }
    return n;
}

struct str server_answer_text(struct str s, struct arena *a)
{
    bool digits = true;
    for (size_t i = 0; i < s.n && digits; i++) {
        digits = s.p[i] > ' ' && s.p[i] < 0x7f;
    }
    if (digits) {
        return s; /* nearly always: a number */
    }
    char *p = arena_take(a, s.n * 4 + 1, 1);
    return p ? str_of(p, put_safe(p, s, false)) : STR("");
}

static struct str labels_text(const struct json_doc *d, uint32_t metric, struct arena *a)
{
    size_t bytes = 2;
    for (uint32_t i = metric + 1; i < d->tokens[metric].next; i = d->tokens[i].next) {
        bytes +=
            d->tokens[i].kind == JSON_STR ? (d->tokens[i].key.n + d->tokens[i].v.str.n) * 4 + 4 : 0;
    }
    char *p = arena_take(a, bytes, 1);
    if (!p) {
        return STR("");
    }
    size_t n = 0;
    const struct json_token *name = child(d, metric, "__name__");
    if (name && name->kind == JSON_STR) {
        n = put_safe(p, name->v.str, false);
    }
    bool some = false;
    for (uint32_t i = metric + 1; i < d->tokens[metric].next; i = d->tokens[i].next) {
        const struct json_token *t = &d->tokens[i];
        if (t == name || t->kind != JSON_STR) {
            continue;
        }
        p[n++] = some ? ',' : '{';
        some = true;
        n += put_safe(p + n, t->key, false);
        p[n++] = '=';
        p[n++] = '"';
        n += put_safe(p + n, t->v.str, true);
        p[n++] = '"';
    }
    if (some || n == 0) {
        memcpy(p + n, some ? "}" : "{}", some ? 1 : 2);
        n += some ? 1 : 2;
    }
    ASSERT(n <= bytes);
    return str_of(p, n);
}

static double number(struct str s)
{
    double v;
    if (str_eq(s, STR("+Inf"))) {
        return (double)INFINITY;
    }
    if (str_eq(s, STR("-Inf"))) {
        return -(double)INFINITY;
    }
    return str_to_f64(s, &v) ? v : (double)NAN;
}

/* [seconds, "value"] or [seconds, {"count": "..."}]. */
static bool read_point(const struct json_doc *d, uint32_t at, struct arena *a,
                       struct answer_point *out)
{
    const uint32_t t = at + 1;
    if (d->tokens[at].kind != JSON_ARRAY || count_of(d, at) != 2 ||
        !json_is_number(&d->tokens[t])) {
        return false;
    }
    const uint32_t v = d->tokens[t].next;
    const struct json_token *value = &d->tokens[v];
    out->t_s = json_as_f64(&d->tokens[t]);
    out->histogram = value->kind == JSON_OBJECT;
    if (out->histogram) {
        value = child(d, v, "count");
    }
    if (!value || value->kind != JSON_STR || !(fabs(out->t_s) < SECONDS_MAX)) {
        return false;
    }
    out->text = server_answer_text(value->v.str, a);
    out->v = number(value->v.str);
    return true;
}

static bool read_points(const struct json_doc *d, uint32_t list, struct arena *a,
                        struct answer_series *s)
{
    for (uint32_t i = list + 1; i < d->tokens[list].next; i = d->tokens[i].next) {
        if (!read_point(d, i, a, &s->points[s->n++])) {
            return false;
        }
    }
    return true;
}

static bool read_series(const struct json_doc *d, uint32_t at, struct arena *a,
                        struct answer_series *s)
{
    static const char *const singles[] = {"value", "histogram"};
    static const char *const lists[] = {"values", "histograms"};
    const struct json_token *metric = child(d, at, "metric");
    uint32_t n = 2;
    for (int i = 0; i < 2; i++) {
        const struct json_token *t = child(d, at, lists[i]);
        n += t ? count_of(d, index_of(d, t)) : 0;
    }
    s->labels = metric ? labels_text(d, index_of(d, metric), a) : STR("");
    s->points = ARENA_ARRAY(a, struct answer_point, n);
    bool ok = s->points != NULL;
    for (int i = 0; i < 2 && ok; i++) {
        const struct json_token *one = child(d, at, singles[i]), *many = child(d, at, lists[i]);
        ok = (!one || read_point(d, index_of(d, one), a, &s->points[s->n++])) &&
             (!many || read_points(d, index_of(d, many), a, s));
    }
    return ok;
}

static bool read_result(const struct json_doc *d, uint32_t result, struct arena *a,
                        struct server_answer *out)
{
    const bool single = str_eq(out->type, STR("scalar")) || str_eq(out->type, STR("string"));
    const uint32_t n = single ? 1 : count_of(d, result);
    out->series = ARENA_ARRAY(a, struct answer_series, n ? n : 1);
    if (!out->series) {
        return false;
    }
    if (single) {
        out->series_n = 1;
        out->series[0] = (struct answer_series){
            .labels = STR(""), .points = ARENA_NEW(a, struct answer_point), .n = 1};
        return out->series[0].points && read_point(d, result, a, out->series[0].points);
    }
    for (uint32_t i = result + 1; i < d->tokens[result].next; i = d->tokens[i].next) {
        if (!read_series(d, i, a, &out->series[out->series_n++])) {
            return false;
        }
    }
    return true;
}

static void read_notes(const struct json_doc *d, struct arena *a, struct server_answer *out)
{
    static const char *const keys[] = {"warnings", "infos"};
    uint32_t n = 0;
    for (int i = 0; i < 2; i++) {
        const struct json_token *t = child(d, 0, keys[i]);
        n += t ? count_of(d, index_of(d, t)) : 0;
    }
    out->notes = ARENA_ARRAY(a, struct str, n ? n : 1);
    for (int i = 0; i < 2 && out->notes; i++) {
        const struct json_token *t = child(d, 0, keys[i]);
        const uint32_t list = t ? index_of(d, t) : 0;
        for (uint32_t k = list + 1; t && k < d->tokens[list].next; k = d->tokens[k].next) {
            if (d->tokens[k].kind == JSON_STR) {
                out->notes[out->notes_n++] = server_answer_text(d->tokens[k].v.str, a);
            }
        }
    }
}

bool server_answer_read(struct json_parser *p, struct str text, struct arena *a,
                        struct server_answer *out, struct err *e)
{
    struct json_doc d;
    memset(out, 0, sizeof *out);
    if (!json_parse(p, text, false, &d, e)) {
        return false;
    }
    const struct json_token *error = child(&d, 0, "error");
    if (error && error->kind == JSON_STR) {
        out->error = server_answer_text(error->v.str, a);
        return true;
    }
    const struct json_token *data = child(&d, 0, "data");
    const struct json_token *type = data ? child(&d, index_of(&d, data), "resultType") : NULL;
    const struct json_token *result = data ? child(&d, index_of(&d, data), "result") : NULL;
    if (!type || type->kind != JSON_STR || !result || result->kind != JSON_ARRAY) {
        return err_set(e, ERR_INPUT, "expected an answer with data.resultType and data.result");
    }
    out->type = type->v.str;
    read_notes(&d, a, out);
    const struct json_token *explain = child(&d, index_of(&d, data), "explain");
    if (explain) {
        out->explain = ARENA_NEW(a, struct server_explain);
        if (!out->explain) {
            return err_set(e, ERR_LIMIT, "no memory for a plan");
        }
        if (!server_explain_read(&d, index_of(&d, explain), a, out->explain, e)) {
            return false;
        }
    }
    return read_result(&d, index_of(&d, result), a, out) ||
           err_set(e, ERR_INPUT, "expected samples as [time, \"value\"]");
}

/* -- Printing -- */

size_t server_answer_columns(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return n;
}

static void write_time(struct buf *out, double t_s)
{
    time_format(out, ns_from_ms((int64_t)llround(t_s * 1000)));
}

void server_answer_spaces(struct buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_char(out, ' ');
    }
}

void server_answer_table(const struct server_answer *x, struct buf *out)
{
    size_t widest = 0;
    for (uint32_t i = 0; i < x->series_n; i++) {
        widest = size_max(widest, server_answer_columns(x->series[i].labels));
    }
    for (uint32_t i = 0; i < x->series_n; i++) {
        const struct answer_series *s = &x->series[i];
        for (uint32_t k = 0; k < s->n; k++) {
            if (widest > 0) {
                const struct str labels = k == 0 ? s->labels : STR("");
                buf_str_add(out, labels);
                server_answer_spaces(out, widest - server_answer_columns(labels) + 2);
            }
            if (s->n > 1) {
                write_time(out, s->points[k].t_s);
                server_answer_spaces(out, 2);
            }
            buf_str_add(out, s->points[k].histogram ? STR("count ") : STR(""));
            buf_str_add(out, s->points[k].text);
            buf_char(out, '\n');
        }
    }
}

static void write_csv_text(struct buf *out, struct str s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') {
            buf_char(out, '"');
        }
        buf_char(out, s.p[i]);
    }
    buf_char(out, '"');
}

void server_answer_csv(const struct server_answer *x, struct buf *out)
{
    BUF_LIT(out, "series,time,value\n");
    for (uint32_t i = 0; i < x->series_n; i++) {
        for (uint32_t k = 0; k < x->series[i].n; k++) {
            write_csv_text(out, x->series[i].labels);
            buf_char(out, ',');
            write_time(out, x->series[i].points[k].t_s);
            buf_char(out, ',');
            buf_str_add(out, x->series[i].points[k].text);
            buf_char(out, '\n');
        }
    }
}
