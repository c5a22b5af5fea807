/* Parameters of a request, from the query string or a form, and their types, with the error texts
 * that Prometheus gives. Source: web/api/v1 of Prometheus (behaviour), WHATWG URL (forms). */
#include "server/api/prom/prom_int.h"

#include "base/clock.h"
#include "codec/regex.h"

#include <math.h>

#define PARAMS_MAX  4096
#define SECONDS_MAX 9223372036854774.0 /* of milliseconds in an int64 */
#define NS_MAX      9223372036854775807.0
/* Prometheus' bounds of an open range, and the texts that clients send for them. */
#define TIME_MIN_MS (-9223309901257974000LL)
#define TIME_MAX_MS 9223309901257974999LL
#define TIME_MIN    "-292273086-05-16T16:47:06Z"
#define TIME_MAX    "292277025-08-18T07:12:54.999999999Z"

struct str prom_get(const struct prom_call *c, const char *name)
{
    for (uint32_t i = 0; i < c->params_n; i++) {
        if (str_eq(c->params[i].name, str_from_c(name))) {
            return c->params[i].value;
        }
    }
    return str_of(NULL, 0);
}

uint32_t prom_values(const struct prom_call *c, const char *name, struct str *out, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->params_n && n < max; i++) {
        if (str_eq(c->params[i].name, str_from_c(name))) {
            out[n++] = c->params[i].value;
        }
    }
    return n;
}

bool prom_has(const struct prom_call *c, const char *name)
{
    return prom_get(c, name).n > 0;
}

void prom_param_add(struct prom_call *c, struct str name, struct str value)
{
    if (c->params_n == c->params_cap) {
        const uint32_t cap = c->params_cap ? c->params_cap * 2 : 16;
        struct prom_param *p =
            cap <= PARAMS_MAX ? ARENA_ARRAY(&c->arena, struct prom_param, cap) : NULL;
        if (!p) {
            c->failed_memory = true;
            return;
        }
        if (c->params_n > 0) {
            memcpy(p, c->params, c->params_n * sizeof *p);
        }
        c->params = p;
        c->params_cap = cap;
    }
    const struct prom_param p = {arena_str(&c->arena, name), arena_str(&c->arena, value)};
    if ((name.n > 0 && !p.name.p) || (value.n > 0 && !p.value.p)) {
        c->failed_memory = true;
        return;
    }
    c->params[c->params_n++] = p;
}

static int hex(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

/* '+' is a blank, %xx a byte; what is not well-formed stays as written. Returns the arena's copy.
 * */
static struct str unescape(struct prom_call *c, struct str s)
{
    char *p = arena_take(&c->arena, s.n ? s.n : 1, 1);
    if (!p) {
        c->failed_memory = true;
        return STR("");
    }
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && i + 2 < s.n && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            p[n++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
            i += 2;
        } else {
            p[n++] = s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    return str_of(p, n);
}

void prom_form(struct prom_call *c, struct str form)
{
    struct str_cut part = {.tail = form, .ok = true};
    while (part.ok) {
        part = str_cut(part.tail, '&');
        if (part.head.n > 0) {
            const struct str_cut kv = str_cut(part.head, '=');
            prom_param_add(c, unescape(c, kv.head), unescape(c, kv.tail));
        }
    }
}

/* As Go's ParseFloat, which knows these words in any case. */
static bool number_of(struct str s, double *out)
{
    const bool minus = str_starts(s, STR("-"));
    const struct str word = minus || str_starts(s, STR("+")) ? str_sub(s, 1, SIZE_MAX) : s;
    if (str_eq_nocase(word, STR("inf")) || str_eq_nocase(word, STR("infinity"))) {
        *out = minus ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (str_eq_nocase(s, STR("nan"))) {
        *out = (double)NAN;
        return true;
    }
    return str_to_f64(s, out);
}

static bool time_of(struct str s, int64_t *t_ms)
{
    double seconds;
    int64_t t_ns;
    if (number_of(s, &seconds)) {
        if (!isfinite(seconds) || fabs(seconds) > SECONDS_MAX) {
            return false;
        }
        const double whole = floor(seconds);
        *t_ms = (int64_t)whole * MS_PER_S + (int64_t)round((seconds - whole) * 1000);
        return true;
    }
    if (str_eq(s, STR(TIME_MIN)) || str_eq(s, STR(TIME_MAX))) {
        *t_ms = s.p[0] == '-' ? TIME_MIN_MS : TIME_MAX_MS;
        return true;
    }
    if (!time_parse(s, &t_ns)) {
        return false;
    }
    *t_ms = ms_from_ns(t_ns);
    return true;
}

bool prom_time(struct prom_call *c, const char *name, int64_t fallback, int64_t *t_ms)
{
    const struct str s = prom_get(c, name);
    *t_ms = fallback;
    return s.n == 0 || time_of(s, t_ms) ||
           prom_fail(c, PROM_BAD_DATA,
                     "invalid parameter \"%s\": invalid time value for '%s': cannot parse \"%.*s\" "
                     "to a valid timestamp",
                     name, name, STR_FMT(str_sub(s, 0, 100)));
}

bool prom_time_wanted(struct prom_call *c, const char *name, int64_t *t_ms)
{
    const struct str s = prom_get(c, name);
    return time_of(s, t_ms) ||
           prom_fail(c, PROM_BAD_DATA,
                     "invalid parameter \"%s\": cannot parse \"%.*s\" to a valid timestamp", name,
                     STR_FMT(str_sub(s, 0, 100)));
}

const char *prom_duration_of(struct str s, int64_t *ms)
{
    double seconds;
    if (!number_of(s, &seconds)) {
        return str_to_duration_ms(s, ms) ? NULL : "";
    }
    if (seconds * (double)NS_PER_S > NS_MAX || seconds * (double)NS_PER_S < -NS_MAX) {
        return ". It overflows int64";
    }
    *ms = isnan(seconds) ? -1 : (int64_t)(seconds * 1000);
    return NULL;
}

bool prom_duration(struct prom_call *c, const char *name, int64_t fallback, int64_t *ms)
{
    const struct str s = prom_get(c, name);
    *ms = fallback;
    const char *wrong = s.n > 0 ? prom_duration_of(s, ms) : NULL;
    return !wrong ||
           prom_fail(c, PROM_BAD_DATA,
                     "invalid parameter \"%s\": cannot parse \"%.*s\" to a valid duration%s", name,
                     STR_FMT(str_sub(s, 0, 100)), wrong);
}

/* As Go's strconv.Atoi and its error texts. */
const char *prom_int_of(struct str s, int64_t *out)
{
    const struct str digits =
        s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? str_sub(s, 1, SIZE_MAX) : s;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') {
            return "invalid syntax";
        }
    }
    if (digits.n == 0) {
        return "invalid syntax";
    }
    if (!str_to_i64(s.p[0] == '+' ? digits : s, out)) {
        return "value out of range";
    }
    return NULL;
}

bool prom_bool_of(struct str s, bool *out)
{
    static const char *const words[] = {"1", "t", "T", "TRUE",  "true",  "True",
                                        "0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq(s, str_from_c(words[i]))) {
            *out = i < ARRAY_LEN(words) / 2;
            return true;
        }
    }
    return false;
}

bool prom_limit(struct prom_call *c, uint32_t *out)
{
    const struct str s = prom_get(c, "limit");
    int64_t n = 0;
    const char *wrong = s.n > 0 ? prom_int_of(s, &n) : NULL;
    if (wrong) {
        return prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"limit\": strconv.Atoi: parsing \"%.*s\": %s",
                         STR_FMT(str_sub(s, 0, 100)), wrong);
    }
    if (n < 0) {
        return prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"limit\": limit must be non-negative");
    }
    *out = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    return true;
}

bool prom_range(struct prom_call *c, int64_t *from_ms, int64_t *to_ms)
{
    return prom_time(c, "start", TIME_MIN_MS, from_ms) && prom_time(c, "end", TIME_MAX_MS, to_ms);
}

/* Whether the absence of the label is no match for some matcher: a selector without such a one
 * would be every series. */
static bool has_matcher(struct prom_call *c, const struct prom_selector *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct matcher *m = &s->m[i];
        bool empty_fits = (m->op == MATCH_EQ) == (m->value.n == 0);
        if (m->op == MATCH_RE || m->op == MATCH_NRE) {
            struct regex *r;
            struct err e = {0};
            if (!regex_new(&c->mem, m->value, true, &r, &e)) {
                return true; /* the parser took it; selecting will say what is wrong */
            }
            empty_fits = regex_match(r, STR("")) == (m->op == MATCH_RE);
            regex_free(r);
        }
        if (!empty_fits) {
            return true;
        }
    }
    return false;
}

bool prom_matches(struct prom_call *c, unsigned flags, struct prom_selector **out, uint32_t *n)
{
    const char *where = (flags & PROM_MATCH_NAMED) ? "invalid parameter \"match[]\": " : "";
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->params_n; i++) {
        count += str_eq(c->params[i].name, STR("match[]")) ? 1 : 0;
    }
    *n = 0;
    *out = NULL;
    if (count == 0) {
        return !(flags & PROM_MATCH_WANTED) ||
               prom_fail(c, PROM_BAD_DATA, "no match[] parameter provided");
    }
    *out = ARENA_ARRAY(&c->arena, struct prom_selector, count);
    if (!*out) {
        return prom_fail(c, PROM_EXECUTION_ERROR, "request is too large");
    }
    for (uint32_t i = 0; i < c->params_n; i++) {
        struct err e = {0};
        if (!str_eq(c->params[i].name, STR("match[]"))) {
            continue;
        }
        struct prom_selector *s = &(*out)[(*n)++];
        if (!promql_selector(c->params[i].value, &c->arena, &s->m, &s->n, &e)) {
            return prom_fail(c, PROM_BAD_DATA, "%s%u:%u: parse error: %s", where,
                             e.line ? e.line : 1, e.col ? e.col : 1, e.msg);
        }
        if ((flags & PROM_MATCH_SOME) && !has_matcher(c, s)) {
            return prom_fail(c, PROM_BAD_DATA,
                             "%smatch[] must contain at least one non-empty matcher", where);
        }
    }
    return true;
}
