/* Lines of series as test scripts and rule unit tests write them: a metric, then its values.
 *
 *   http_requests{job="api"} 0+10x5 _ _x3 stale 1 -2.5 Inf {{schema:1 count:4 buckets:[1 2 1]}}x2
 *
 *   5  -2.5  Inf  stale    one value; stale is the marker that ends a series
 *   5x3                    four fives
 *   5+2x3   5-2x3          5 7 9 11, 5 3 1 -1
 *   _  _x3                 one gap, three gaps
 *   {{...}}  {{...}}x3     a native histogram, four of them
 *   {{a}}+{{b}}x3          a, a+b, a+b+b, a+b+b+b; also with -
 *
 * Inside {{ }}: keys, each at most once, separated by blanks: schema, offset, n_offset (integers),
 * sum, count, z_bucket, z_bucket_w (numbers), buckets, n_buckets, custom_values (numbers between
 * brackets), counter_reset_hint (unknown, reset, not_reset, gauge).
 *
 * Bounds: POINTS_MAX points of a line; memory is the arena's. A histogram is not validated here:
 * tests want broken ones too.
 *
 * Source: Prometheus' documentation of rule unit tests; behaviour of 3.14. */
#include "engines/promql/promql.h"

#include "engines/promql/hist_int.h"
#include "engines/promql/parser_int.h"

#define POINTS_MAX (1U << 22)

struct scan {
    struct str text;
    size_t at;
    struct arena *arena;
    struct err *e;
    struct promql_points *out;
    uint32_t cap;
};

/* --- characters ------------------------------------------------------------------------------- */

static bool fail(struct scan *s, const char *what)
{
    return err_at(s->e, ERR_INPUT, 1, (uint32_t)s->at + 1, "%s", what);
}

static bool fail_memory(struct scan *s)
{
    return err_set(s->e, ERR_LIMIT, "series needs more memory than allowed");
}

static char peek(const struct scan *s)
{
    return s->at < s->text.n ? s->text.p[s->at] : '\0';
}

static bool accept(struct scan *s, char c)
{
    if (peek(s) != c || s->at >= s->text.n) {
        return false;
    }
    s->at++;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool skip_spaces(struct scan *s)
{
    const size_t from = s->at;
    while (is_space(peek(s))) {
        s->at++;
    }
    return s->at > from;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct str word(struct scan *s, bool digits)
{
    const size_t from = s->at;
    while (is_alpha(peek(s)) || (digits && is_digit(peek(s)))) {
        s->at++;
    }
    return str_sub(s->text, from, s->at - from);
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Digits, dot, exponent and underscores; an exponent's sign belongs to it, any other ends it. */
static struct str number_text(struct scan *s)
{
    const size_t from = s->at;
    while (is_digit(peek(s)) || peek(s) == '.' || peek(s) == '_' || peek(s) == 'e' ||
           peek(s) == 'E' ||
           ((peek(s) == '+' || peek(s) == '-') && s->at > from &&
            (s->text.p[s->at - 1] == 'e' || s->text.p[s->at - 1] == 'E'))) {
        s->at++;
    }
    return str_sub(s->text, from, s->at - from);
}

static bool unsigned_number(struct scan *s, double *out)
{
    const size_t from = s->at;
    const char *why = NULL;
    struct str text = {0};
    if (is_digit(peek(s)) || peek(s) == '.') {
        text = number_text(s);
    } else {
        text = word(s, true);
        if (!str_eq_nocase(text, STR("inf")) && !str_eq_nocase(text, STR("nan"))) {
            s->at = from;
            return fail(s, "expected a number in series values");
        }
    }
    if (!promql_number_text(text, out, &why)) {
        s->at = from;
        return fail(s, "bad number in series values");
    }
    return true;
}

static bool signed_number(struct scan *s, bool plus, double *out)
{
    const bool minus = accept(s, '-');
    if (!minus && plus) {
        (void)accept(s, '+');
    }
    if (!unsigned_number(s, out)) {
        return false;
    }
    *out = minus ? -*out : *out;
    return true;
}

static bool count(struct scan *s, uint64_t *out)
{
    const size_t from = s->at;
    while (is_digit(peek(s))) {
        s->at++;
    }
    if (!str_to_u64(str_sub(s->text, from, s->at - from), out)) {
        s->at = from;
        return fail(s, "invalid repetition in series values: expected a whole number");
    }
    return true;
}

static bool integer(struct scan *s, int32_t *out)
{
    const bool minus = accept(s, '-');
    uint64_t v = 0;
    if (!count(s, &v)) {
        return false;
    }
    if (v > INT32_MAX) {
        return fail(s, "integer out of range in histogram description");
    }
    *out = minus ? -(int32_t)v : (int32_t)v;
    return true;
}

/* --- points ----------------------------------------------------------------------------------- */

static void *grown(struct scan *s, const void *old, uint32_t cap, size_t bytes)
{
    void *v = arena_array(s->arena, cap, bytes, _Alignof(max_align_t));
    if (v != NULL && s->out->n > 0) {
        memcpy(v, old, s->out->n * bytes);
    }
    return v;
}

static bool room(struct scan *s, uint64_t more)
{
    struct promql_points *o = s->out;
    if (more > POINTS_MAX - o->n) {
        return err_set(s->e, ERR_LIMIT, "series has more than %u values", POINTS_MAX);
    }
    const uint32_t want = o->n + (uint32_t)more;
    if (want <= s->cap) {
        return true;
    }
    const uint32_t cap = want > 2 * s->cap ? want + 8 : 2 * s->cap;
    o->gap = grown(s, o->gap, cap, sizeof *o->gap);
    o->v = grown(s, o->v, cap, sizeof *o->v);
    o->h = grown(s, o->h, cap, sizeof *o->h);
    o->hint_given = grown(s, o->hint_given, cap, sizeof *o->hint_given);
    s->cap = cap;
    return (o->gap != NULL && o->v != NULL && o->h != NULL && o->hint_given != NULL) ||
           fail_memory(s);
}

static void put(struct scan *s, bool gap, double v, struct nhist *h, bool hint_given)
{
    struct promql_points *o = s->out;
    ASSERT(o->n < s->cap);
    o->gap[o->n] = gap;
    o->v[o->n] = v;
    o->h[o->n] = h;
    o->hint_given[o->n] = hint_given;
    o->n++;
}

static bool gaps(struct scan *s)
{
    uint64_t n = 1;
    if ((accept(s, 'x') && !count(s, &n)) || !room(s, n)) {
        return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        put(s, true, 0, NULL, false);
    }
    return true;
}

static bool floats(struct scan *s)
{
    double v = stale_nan();
    double step = 0;
    uint64_t n = 0;
    const size_t from = s->at;
    if (!str_eq(word(s, true), STR("stale"))) {
        s->at = from;
        if (!signed_number(s, true, &v)) {
            return false;
        }
    }
    const bool stepped = peek(s) == '+' || peek(s) == '-';
    if (stepped && !signed_number(s, true, &step)) {
        return false;
    }
    if (accept(s, 'x')) {
        if (!count(s, &n)) {
            return false;
        }
    } else if (stepped) {
        return fail(s, "expected 'x' and a number of steps in series values");
    }
    if (n >= POINTS_MAX || !room(s, n + 1)) {
        return n < POINTS_MAX ? false : fail(s, "too many values in series");
    }
    for (uint64_t i = 0; i <= n; i++) {
        put(s, false, v, NULL, false);
        v = stepped ? v + step : v;
    }
    return true;
}

/* --- histograms ------------------------------------------------------------------------------- */

enum key {
    KEY_SCHEMA,
    KEY_OFFSET,
    KEY_N_OFFSET,
    KEY_SUM,
    KEY_COUNT,
    KEY_ZERO,
    KEY_ZERO_WIDTH,
    KEY_BUCKETS,
    KEY_N_BUCKETS,
    KEY_CUSTOM,
    KEY_HINT,
    KEYS
};

static const struct str key_names[KEYS] = {STR_INIT("schema"),
                                           STR_INIT("offset"),
                                           STR_INIT("n_offset"),
                                           STR_INIT("sum"),
                                           STR_INIT("count"),
                                           STR_INIT("z_bucket"),
                                           STR_INIT("z_bucket_w"),
                                           STR_INIT("buckets"),
                                           STR_INIT("n_buckets"),
                                           STR_INIT("custom_values"),
                                           STR_INIT("counter_reset_hint")};

static const struct str hint_names[] = {STR_INIT("unknown"), STR_INIT("reset"),
                                        STR_INIT("not_reset"), STR_INIT("gauge")};

/* A histogram while it is read. */
struct described {
    struct nhist *h;
    int32_t offset, n_offset;
    bool seen[KEYS];
};

static bool key_of(struct scan *s, enum key *out)
{
    const size_t from = s->at;
    const struct str name = word(s, false);
    for (size_t i = 0; i < KEYS; i++) {
        if (str_eq_nocase(name, key_names[i])) {
            *out = (enum key)i;
            return accept(s, ':') || fail(s, "missing `:` for histogram descriptor");
        }
    }
    s->at = from;
    return fail(s, "bad histogram descriptor, expected a key, e.g. buckets:[5 10 7]");
}

/* Numbers between brackets, separated by blanks. */
static bool number_list(struct scan *s, double **out, uint32_t *n)
{
    uint32_t cap = 0;
    *n = 0;
    if (!accept(s, '[')) {
        return fail(s, "expected '[' in histogram description");
    }
    while (!accept(s, ']')) {
        if (*n == cap) {
            cap = cap == 0 ? 16 : 2 * cap;
            double *more = cap <= 2 * NHIST_BUCKETS_MAX ? ARENA_ARRAY(s->arena, double, cap) : NULL;
            if (more == NULL) {
                return fail_memory(s);
            }
            memcpy(more, *n > 0 ? *out : more, *n * sizeof **out);
            *out = more;
        }
        if (!signed_number(s, false, &(*out)[*n])) {
            return false;
        }
        ++*n;
        if (!skip_spaces(s) && peek(s) != ']') {
            return fail(s, "expected a blank or ']' in histogram description");
        }
    }
    return *n > 0 || fail(s, "expected a number in histogram description");
}

static bool hint(struct scan *s, enum nhist_reset *out)
{
    static const enum nhist_reset hints[] = {NHIST_UNKNOWN, NHIST_RESET, NHIST_NO_RESET,
                                             NHIST_GAUGE};
    const size_t from = s->at;
    const struct str name = word(s, false);
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
        if (str_eq_nocase(name, hint_names[i])) {
            *out = hints[i];
            return true;
        }
    }
    s->at = from;
    return fail(s, "expected unknown, reset, not_reset or gauge in histogram description");
}

static bool value_of(struct scan *s, enum key key, struct described *d)
{
    struct nhist *h = d->h;
    switch (key) {
    case KEY_SCHEMA: return integer(s, &h->schema);
    case KEY_OFFSET: return integer(s, &d->offset);
    case KEY_N_OFFSET: return integer(s, &d->n_offset);
    case KEY_SUM: return signed_number(s, false, &h->sum);
    case KEY_COUNT: return signed_number(s, false, &h->count);
    case KEY_ZERO: return signed_number(s, false, &h->zero_count);
    case KEY_ZERO_WIDTH: return unsigned_number(s, &h->zero_threshold);
    case KEY_BUCKETS: return number_list(s, &h->pos.counts, &h->pos.counts_n);
    case KEY_N_BUCKETS: return number_list(s, &h->neg.counts, &h->neg.counts_n);
    case KEY_CUSTOM: return number_list(s, &h->custom, &h->custom_n);
    case KEY_HINT: return hint(s, &h->reset);
    case KEYS: break;
    }
    return fail(s, "bad histogram descriptor");
}

static bool side_span(struct scan *s, struct nhist_side *side, int32_t offset)
{
    if (side->counts_n == 0) {
        return true;
    }
    side->spans = ARENA_NEW(s->arena, struct nhist_span);
    if (side->spans == NULL) {
        return fail_memory(s);
    }
    side->spans[0] = (struct nhist_span){offset, side->counts_n};
    side->spans_n = 1;
    return true;
}

/* Behind "{{" up to behind "}}". */
static bool description(struct scan *s, struct described *d)
{
    bool spaced = true;
    if (skip_spaces(s) && peek(s) != '}') {
        return fail(s, "unexpected blank in histogram description");
    }
    while (!accept(s, '}')) {
        enum key key = KEY_SCHEMA;
        if (!spaced || s->at >= s->text.n) {
            return fail(s, "expected a blank or \"}}\" in histogram description");
        }
        if (!key_of(s, &key)) {
            return false;
        }
        if (d->seen[key]) {
            return err_at(s->e, ERR_INPUT, 1, 1, "duplicate key \"%.*s\" in histogram",
                          STR_FMT(key_names[key]));
        }
        d->seen[key] = true;
        if (!value_of(s, key, d)) {
            return false;
        }
        spaced = skip_spaces(s);
    }
    return accept(s, '}') || fail(s, "expected \"}}\" behind a histogram description");
}

static bool histogram(struct scan *s, struct nhist **out, bool *hint_given)
{
    if (!accept(s, '{') || !accept(s, '{')) {
        return fail(s, "expected \"{{\" in series values");
    }
    struct described d = {.h = ARENA_NEW(s->arena, struct nhist)};
    if (d.h == NULL) {
        return fail_memory(s);
    }
    if (!description(s, &d) || !side_span(s, &d.h->pos, d.offset) ||
        !side_span(s, &d.h->neg, d.n_offset)) {
        return false;
    }
    *out = d.h;
    *hint_given = d.seen[KEY_HINT];
    return true;
}

/* The base is in the points; n more, each with inc added or taken away. */
static bool stepped_histograms(struct scan *s, struct nhist *base, const struct nhist *inc,
                               bool minus, uint64_t n, bool hint_given)
{
    struct nhist *cur = base;
    for (uint64_t i = 0; i < n; i++) {
        unsigned trouble = 0;
        if (cur->schema > inc->schema) {
            return err_at(s->e, ERR_INPUT, 1, (uint32_t)s->at + 1,
                          "error combining histograms: cannot merge from schema %d to %d",
                          inc->schema, cur->schema);
        }
        cur =
            minus ? hist_sub(cur, inc, s->arena, &trouble) : hist_add(cur, inc, s->arena, &trouble);
        if (cur == NULL) {
            return (trouble & HIST_INCOMPATIBLE_SCHEMA) != 0
                       ? fail(s, "cannot combine exponential and custom buckets histograms")
                       : fail_memory(s);
        }
        put(s, false, 0, cur, hint_given);
    }
    return true;
}

static bool histograms(struct scan *s)
{
    struct nhist *h = NULL;
    struct nhist *inc = NULL;
    bool hint_given = false;
    uint64_t n = 0;
    if (!histogram(s, &h, &hint_given)) {
        return false;
    }
    const bool minus = peek(s) == '-';
    if ((accept(s, '-') || accept(s, '+')) && !histogram(s, &inc, &hint_given)) {
        return false;
    }
    if (accept(s, 'x')) {
        if (!count(s, &n)) {
            return false;
        }
    } else if (inc != NULL) {
        return fail(s, "expected 'x' and a number of steps in series values");
    }
    if (n >= POINTS_MAX || !room(s, n + 1)) {
        return n < POINTS_MAX ? false : fail(s, "too many values in series");
    }
    put(s, false, 0, h, hint_given);
    if (inc != NULL) {
        return stepped_histograms(s, h, inc, minus, n, hint_given);
    }
    for (uint64_t i = 0; i < n; i++) {
        put(s, false, 0, h, hint_given);
    }
    return true;
}

/* --- the line --------------------------------------------------------------------------------- */

/* Behind a string that begins at s->at. */
static void skip_string(struct scan *s)
{
    const char quote = peek(s);
    s->at++;
    while (s->at < s->text.n && peek(s) != quote) {
        s->at += peek(s) == '\\' && quote != '`' ? 2 : 1;
    }
    s->at = size_min(s->at + 1, s->text.n);
}

/* The metric's text: an identifier, braces right behind it, or braces alone. Wrong ones are left to
 * promql_metric, which says what is wrong. */
static struct str metric_text(struct scan *s)
{
    const size_t from = s->at;
    while (is_alpha(peek(s)) || is_digit(peek(s)) || peek(s) == ':') {
        s->at++;
    }
    if (accept(s, '{')) {
        while (s->at < s->text.n && peek(s) != '}') {
            if (peek(s) == '"' || peek(s) == '\'' || peek(s) == '`') {
                skip_string(s);
            } else {
                s->at++;
            }
        }
        (void)accept(s, '}');
    }
    return str_sub(s->text, from, s->at - from);
}

static bool item(struct scan *s)
{
    if (accept(s, '_')) {
        return gaps(s);
    }
    return peek(s) == '{' ? histograms(s) : floats(s);
}

bool promql_series_line(struct str text, struct arena *a, struct promql_points *out, struct err *e)
{
    struct err local = {0};
    struct scan s = {.text = text, .arena = a, .e = e != NULL ? e : &local, .out = out};
    *out = (struct promql_points){0};
    if (text.n > PROMQL_TEXT_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "series is longer than %u bytes", PROMQL_TEXT_BYTES_MAX);
    }
    (void)skip_spaces(&s);
    if (!promql_metric(metric_text(&s), a, &out->labels, s.e)) {
        return false;
    }
    while (s.at < s.text.n) {
        if (!skip_spaces(&s)) {
            return fail(&s, "unexpected character in series values, expected a blank");
        }
        if (s.at < s.text.n && !item(&s)) {
            return false;
        }
    }
    return true;
}
