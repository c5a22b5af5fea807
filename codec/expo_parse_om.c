/* Exposition in: OpenMetrics 1.0, which is strict where the old text format is not.
 *
 *     # TYPE name counter\n
 *     # UNIT name seconds\n
 *     # HELP name text\n
 *     name_total{a="b"} 1.0 [seconds] [# {trace_id="x"} 0.5 [seconds]]\n
 *     # EOF\n
 *
 * One blank between tokens and nowhere else, no empty lines, no comments of one's own, commas
 * between labels, "# EOF" last with nothing behind it. Times are seconds with a fraction; they are
 * cut to milliseconds. Not checked, as no Prometheus checks it: that families do not interleave,
 * that suffixes fit the type, that exemplars stand only where they may. */
#include "codec/expo_parse_int.h"

#include <math.h>

/* From at to the next blank or line break. */
static const char *token_end(const char *at, const char *end)
{
    while (at < end && *at != ' ' && *at != '\n') {
        at++;
    }
    return at;
}

static bool no_eof(const struct expo_parse *p, struct err *e)
{
    return expo_fail(p, p->end, e, "expected \"# EOF\" at the end of the page");
}

static bool set_type(struct expo_parse *p, const char *at, struct str word, struct err *e)
{
    for (unsigned k = 0; k < EXPO_KINDS; k++) {
        if (str_eq(word, expo_kind_name((enum expo_kind)k))) {
            p->type = (enum expo_kind)k;
            return true;
        }
    }
    struct str shown = str_sub(word, 0, 40);
    return expo_fail(p, at, e,
                     "expected counter, gauge, histogram, gaugehistogram, summary, info, stateset "
                     "or unknown, found \"%.*s\"",
                     STR_FMT(shown));
}

static const char *meta_name(struct expo_parse *p, const char *at, struct str *name)
{
    const char *q = at;
    if (q < p->end && *q == '"') {
        for (q++; q < p->end && *q != '"' && *q != '\n'; q++) {
            q += *q == '\\' && q + 1 < p->end && q[1] != '\n';
        }
        if (q >= p->end || *q != '"') {
            return NULL;
        }
        *name = expo_unescape_scratch(p, str_of(at + 1, (size_t)(q - at) - 1), true);
        return q + 1;
    }
    while (q < p->end && (expo_is_letter(*q) || *q == ':' || (q > at && expo_is_digit(*q)))) {
        q++;
    }
    *name = str_of(at, (size_t)(q - at));
    return q > at ? q : NULL;
}

static bool set_unit(struct expo_parse *p, const char *at, struct str unit, struct err *e)
{
    struct str m = p->family;
    bool fits = unit.n == 0 || (m.n > unit.n && str_ends(m, unit) && m.p[m.n - unit.n - 1] == '_');
    if (!fits) {
        struct str shown = str_sub(unit, 0, 40);
        struct str name = str_sub(m, 0, 60);
        return expo_fail(p, at, e, "expected a unit that \"%.*s\" ends with, found \"%.*s\"",
                         STR_FMT(name), STR_FMT(shown));
    }
    p->text = unit;
    return true;
}

/* at: behind "# HELP ". */
static bool meta(struct expo_parse *p, char kind, const char *at, struct err *e)
{
    static const char words[][5] = {"HELP", "TYPE", "UNIT"};
    const char *line_stop = memchr(at, '\n', (size_t)(p->end - at));
    if (!expo_scratch_begin(p, at, line_stop ? line_stop : p->end, e)) {
        return false;
    }
    const char *stop = meta_name(p, at, &p->family);
    const char *what = words[kind == 'H' ? 0 : kind == 'T' ? 1 : 2];
    if (!stop || !str_is_utf8(p->family)) {
        return expo_fail(p, at, e, "expected a metric name after %s, found %s", what,
                         expo_show(at, p->end).text);
    }
    const char *nl = memchr(stop, '\n', (size_t)(p->end - stop));
    if (!nl || *stop != ' ') {
        return expo_fail(p, stop, e, "expected a blank and a text after %s, found %s", what,
                         expo_show(stop, p->end).text);
    }
    struct str text = str_of(stop + 1, (size_t)(nl - stop) - 1);
    p->at = nl + 1;
    if (kind == 'T') {
        p->entry = EXPO_PARSE_TYPE;
        return set_type(p, stop + 1, text, e);
    }
    if (kind == 'U') {
        p->entry = EXPO_PARSE_UNIT;
        return set_unit(p, stop + 1, text, e);
    }
    p->entry = EXPO_PARSE_HELP;
    if (!str_is_utf8(text)) {
        return expo_fail(p, stop + 1, e, "expected a help text in valid UTF-8");
    }
    p->text = expo_unescape_scratch(p, text, true);
    return true;
}

static bool comment(struct expo_parse *p, struct err *e)
{
    const char *at = p->at;
    size_t left = (size_t)(p->end - at);
    if (left >= 5 && memcmp(at, "# EOF", 5) == 0) {
        at += 5;
        at += at < p->end && *at == '\n';
        if (at < p->end) {
            return expo_fail(p, at, e, "expected nothing after \"# EOF\", found %s",
                             expo_show(at, p->end).text);
        }
        p->at = p->end;
        p->entry = EXPO_PARSE_END;
        return true;
    }
    if (left >= 7 && at[1] == ' ' && at[6] == ' ' &&
        (memcmp(at + 2, "HELP", 4) == 0 || memcmp(at + 2, "TYPE", 4) == 0 ||
         memcmp(at + 2, "UNIT", 4) == 0)) {
        return meta(p, at[2], at + 7, e);
    }
    return expo_fail(p, at, e, "expected HELP, TYPE, UNIT or EOF after '#', found %s",
                     expo_show(at + size_min(left, 2), p->end).text);
}

/* " number" at *at, which moves behind it. */
static bool number(struct expo_parse *p, const char **at, const char *what, double *out,
                   struct err *e)
{
    const char *first = *at + 1;
    if (*at >= p->end) {
        return no_eof(p, e);
    }
    const char *stop = **at == ' ' ? token_end(first, p->end) : first;
    if (**at != ' ' || stop == first) {
        return expo_fail(p, *at, e, "expected a blank and %s, found %s", what,
                         expo_show(*at, p->end).text);
    }
    if (!expo_parse_number(str_of(first, (size_t)(stop - first)), out)) {
        return expo_fail(p, first, e, "expected %s, found %s", what, expo_show(first, p->end).text);
    }
    *at = stop;
    return true;
}

/* Seconds to milliseconds, cut. */
static bool seconds(struct expo_parse *p, const char **at, int64_t *t_ms, struct err *e)
{
    const char *first = *at;
    double s = 0;
    if (!number(p, at, "a time in seconds", &s, e)) {
        return false;
    }
    if (!isfinite(s) || fabs(s) > 9.2e15) {
        return expo_fail(p, first + 1, e, "expected a time in seconds, found %s",
                         expo_show(first + 1, p->end).text);
    }
    *t_ms = (int64_t)(s * 1000);
    return true;
}

static bool at_exemplar(const struct expo_parse *p, const char *at)
{
    return p->end - at >= 4 && memcmp(at, " # {", 4) == 0;
}

/* Checks " # {labels} value [seconds]" and remembers it; out may be NULL. */
static bool exemplar(struct expo_parse *p, const char **at, struct expo_exemplar *out,
                     struct arena *a, struct err *e)
{
    struct expo_exemplar scratch = {.labels = NULL};
    struct expo_series s = {.strict = true, .exemplar = true, .end = p->end, .why = ""};
    const char *labels_at = *at + 4;
    out = out ? out : &scratch;
    *at = labels_at;
    if (!expo_series_scan(&s, at)) {
        return expo_fail(p, *at, e, "expected %s, found %s", s.why, expo_show(*at, p->end).text);
    }
    if (a && s.n > 0) {
        const char *again = labels_at;
        out->labels = s.out = ARENA_ARRAY(a, struct label, s.n);
        s.max = s.n;
        if (!s.out || !expo_series_scan(&s, &again)) {
            return err_set(e, ERR_LIMIT, "an exemplar needs more memory than it may have");
        }
    }
    out->labels_n = s.n;
    if (!number(p, at, "the value of an exemplar", &out->value, e)) {
        return false;
    }
    out->has_t = *at < p->end && **at == ' ';
    return !out->has_t || seconds(p, at, &out->t_ms, e);
}

bool expo_om_exemplar(struct expo_parse *p, struct arena *a, struct expo_exemplar *out,
                      struct err *e)
{
    const char *at = p->exemplar.p;
    *out = (struct expo_exemplar){.labels = NULL};
    if (!exemplar(p, &at, out, a, e)) {
        return false;
    }
    for (uint32_t i = 0; i < out->labels_n; i++) {
        struct label *l = &out->labels[i];
        l->name = expo_unescape(l->name, true, a);
        l->value = expo_unescape(l->value, true, a);
        if (!l->name.p || !l->value.p) {
            return err_set(e, ERR_LIMIT, "an exemplar needs more memory than it may have");
        }
    }
    return labels_normalize(out->labels, &out->labels_n, e);
}

/* Value, time, exemplar, line break. */
static bool rest_of_line(struct expo_parse *p, struct err *e)
{
    const char *at = p->at;
    if (!number(p, &at, "a value after the metric", &p->value, e)) {
        return false;
    }
    p->has_t = at < p->end && *at == ' ' && !at_exemplar(p, at);
    if (p->has_t && !seconds(p, &at, &p->t_ms, e)) {
        return false;
    }
    p->exemplar = str_of(NULL, 0);
    if (at_exemplar(p, at)) {
        const char *first = at;
        if (!exemplar(p, &at, NULL, NULL, e)) {
            return false;
        }
        p->exemplar = str_of(first, (size_t)(at - first));
    }
    if (at >= p->end) {
        return no_eof(p, e);
    }
    if (*at != '\n') {
        return expo_fail(p, at, e, "expected the end of the line, found %s",
                         expo_show(at, p->end).text);
    }
    p->at = at + 1;
    p->entry = EXPO_PARSE_SAMPLE;
    return true;
}

static bool series(struct expo_parse *p, struct err *e)
{
    struct expo_series s = {.strict = true, .end = p->end, .why = ""};
    const char *at = p->at;
    if (!expo_series_scan(&s, &at)) {
        return expo_fail(p, at, e, "expected %s, found %s", s.why, expo_show(at, p->end).text);
    }
    p->raw = str_of(p->at, (size_t)(at - p->at));
    if (p->raw.n > EXPO_RAW_BYTES_MAX) {
        return expo_fail(p, p->at, e, "the labels of a series are longer than %d bytes",
                         EXPO_RAW_BYTES_MAX);
    }
    p->at = at;
    return true;
}

/* The name in raw, with or without braces. */
static struct str metric_name(struct str raw)
{
    struct label labels[LABELS_COUNT_MAX];
    struct expo_series s = {
        .strict = true, .end = raw.p + raw.n, .out = labels, .max = LABELS_COUNT_MAX};
    const char *at = raw.p;
    return expo_series_scan(&s, &at) ? labels[0].value : str_of(NULL, 0);
}

static bool is_created(const struct expo_parse *p)
{
    bool counts = p->type == EXPO_KIND_COUNTER || p->type == EXPO_KIND_HISTOGRAM ||
                  p->type == EXPO_KIND_SUMMARY;
    return counts && str_contains(p->raw, STR("_created")) &&
           str_ends(metric_name(p->raw), STR("_created"));
}

static bool next_entry(struct expo_parse *p, struct err *e)
{
    p->entry_at = p->at;
    if (expo_take_expected(p)) {
        return rest_of_line(p, e);
    }
    if (p->at >= p->end) {
        return no_eof(p, e);
    }
    char c = *p->at;
    if (c == '#') {
        return comment(p, e);
    }
    if (expo_is_letter(c) || c == ':' || c == '{') {
        return series(p, e) && rest_of_line(p, e);
    }
    return expo_fail(p, p->at, e, "expected a metric name, '#' or '{', found %s",
                     expo_show(p->at, p->end).text);
}

bool expo_om_next(struct expo_parse *p, struct err *e)
{
    do {
        if (!next_entry(p, e)) {
            return false;
        }
    } while (p->skip_created && p->entry == EXPO_PARSE_SAMPLE && is_created(p));
    return true;
}

/* --- start times -------------------------------------------------------------------------- */

/* Labels of a series without le and quantile, and its name without what its type adds. */
struct group {
    struct label labels[LABELS_COUNT_MAX];
    uint32_t n;
};

static bool group_of(enum expo_kind type, struct str raw, struct group *g)
{
    static const struct str suffixes[] = {STR_INIT("_total"), STR_INIT("_bucket"),
                                          STR_INIT("_count"), STR_INIT("_sum"),
                                          STR_INIT("_created")};
    struct expo_series s = {
        .strict = true, .end = raw.p + raw.n, .out = g->labels, .max = LABELS_COUNT_MAX};
    const char *at = raw.p;
    if (!expo_series_scan(&s, &at)) {
        return false;
    }
    struct str *name = &g->labels[0].value;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (name->n > suffixes[i].n && str_ends(*name, suffixes[i])) {
            name->n -= suffixes[i].n;
            break;
        }
    }
    g->n = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        bool bound = (type == EXPO_KIND_HISTOGRAM && str_eq(g->labels[i].name, STR("le"))) ||
                     (type == EXPO_KIND_SUMMARY && str_eq(g->labels[i].name, STR("quantile")));
        if (!bound) {
            g->labels[g->n++] = g->labels[i];
        }
    }
    return true;
}

static bool same_group(const struct group *a, const struct group *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++) {
        same = str_eq(a->labels[i].name, b->labels[i].name) &&
               str_eq(a->labels[i].value, b->labels[i].value);
    }
    return same;
}

/* Finds the next _created line, or where the family ends, into p->created_*. */
static void look_ahead(struct expo_parse *p)
{
    struct expo_parse ahead = *p; /* shares nothing that reading samples changes */
    ahead.skip_created = false;
    ahead.expect = str_of(NULL, 0);
    p->created_raw = str_of(NULL, 0);
    p->created_ms = 0;
    p->created_to = p->at;
    while (ahead.at < ahead.end && *ahead.at != '#' && next_entry(&ahead, NULL)) {
        if (is_created(&ahead)) {
            double ms = ahead.value * 1000;
            p->created_to = ahead.entry_at;
            p->created_raw = ahead.raw;
            p->created_ms = ms >= 0 && ms < 9.2e18 ? (int64_t)ms : 0;
            return;
        }
        p->created_to = ahead.at;
    }
}

int64_t expo_om_start_ms(struct expo_parse *p)
{
    struct group own;
    struct group other;
    if (p->entry_at >= p->created_to) {
        look_ahead(p);
    }
    bool ours = p->created_raw.n > 0 && group_of(p->type, p->raw, &own) &&
                group_of(p->type, p->created_raw, &other) && same_group(&own, &other);
    return ours ? p->created_ms : 0;
}
