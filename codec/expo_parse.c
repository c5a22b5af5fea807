/* Exposition in: what the three forms share. The series scanner, escapes, places of errors, and the
 * choice of the form by content type.
 *
 * The scanner reads
 *
 *     name                         {"quoted name"}
 *     name{label="value",...}      {"quoted name", label="value", "quoted label"="value"}
 *
 * twice in the life of a series: once to check a line that is new, and once more when its labels
 * are asked for. Between the two only the bytes are kept (raw), because a series that is known
 * needs no labels at all.
 *
 * Sources: "Exposition formats" and "OpenMetrics 1.0" of prometheus.io, and what Prometheus 3
 * accepts beyond them. */
#include "codec/expo_parse.h"

#include "codec/expo_parse_int.h"

#include <stdio.h>

struct str expo_kind_name(enum expo_kind k)
{
    static const struct str names[EXPO_KINDS] = {
        STR_INIT("unknown"),        STR_INIT("counter"), STR_INIT("gauge"), STR_INIT("histogram"),
        STR_INIT("gaugehistogram"), STR_INIT("summary"), STR_INIT("info"),  STR_INIT("stateset")};
    ASSERT((unsigned)k < EXPO_KINDS);
    return names[k];
}

void expo_parse_init(struct expo_parse *p, enum expo_parse_form form, struct str body,
                     struct mem *m)
{
    memset(p, 0, sizeof *p);
    p->form = form;
    p->mem = m;
    p->start = p->at = body.p ? body.p : "";
    p->end = p->start + body.n;
    p->entry_at = p->start;
    buf_init(&p->scratch, m, EXPO_SCRATCH_MAX);
    arena_init(&p->hists, m, EXPO_HIST_BYTES);
}

void expo_parse_release(struct expo_parse *p)
{
    buf_release(&p->scratch);
    arena_release(&p->hists);
    expo_classic_free(p);
    p->hist = NULL;
}

bool expo_parse_next(struct expo_parse *p, struct err *e)
{
    bool classic = p->to_nhcb && p->form != EXPO_PARSE_PROTOBUF;
    return classic ? expo_classic_next(p, e) : expo_line_next(p, e);
}

bool expo_line_next(struct expo_parse *p, struct err *e)
{
    p->expected = false;
    switch (p->form) {
    case EXPO_PARSE_TEXT: return expo_text_next(p, e);
    case EXPO_PARSE_OPENMETRICS: return expo_om_next(p, e);
    case EXPO_PARSE_PROTOBUF: break;
    }
    return expo_pb_next(p, e);
}

/* --- errors ------------------------------------------------------------------------------- */

struct expo_shown expo_show(const char *at, const char *end)
{
    struct expo_shown s;
    if (at >= end) {
        snprintf(s.text, sizeof s.text, "the end");
    } else if (*at == '\n') {
        snprintf(s.text, sizeof s.text, "a line break");
    } else if (*at >= ' ' && *at < 0x7f) {
        const char *stop = at;
        while (stop < end && stop < at + 24 && *stop > ' ' && *stop < 0x7f) {
            stop++;
        }
        stop += stop == at; /* a blank shows itself */
        snprintf(s.text, sizeof s.text, "\"%.*s\"", (int)(stop - at), at);
    } else {
        snprintf(s.text, sizeof s.text, "byte 0x%02x", (unsigned)(unsigned char)*at);
    }
    return s;
}

bool expo_fail(const struct expo_parse *p, const char *at, struct err *e, const char *fmt, ...)
{
    char msg[sizeof e->msg];
    uint32_t line = 1;
    const char *line_start = p->start;
    for (const char *nl = p->start; (nl = memchr(nl, '\n', (size_t)(at - nl))) != NULL;) {
        nl++;
        line++;
        line_start = nl;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    return err_at(e, ERR_INPUT, line, (uint32_t)(at - line_start) + 1, "%s", msg);
}

/* --- series ------------------------------------------------------------------------------- */

static const char *name_end(const char *p, const char *end, bool colons)
{
    while (p < end && (expo_is_letter(*p) || expo_is_digit(*p) || (colons && *p == ':'))) {
        p++;
    }
    return p;
}

/* From the opening quote; NULL when it does not end. A backslash takes the next character with it,
 * which must not be a line break. */
static const char *quoted_end(const char *p, const char *end, bool line_breaks)
{
    for (p++; p < end; p++) {
        if (*p == '"') {
            return p + 1;
        }
        if (*p == '\\') {
            p++;
            if (p < end && *p == '\n') {
                return NULL;
            }
        } else if (*p == '\n' && !line_breaks) {
            return NULL;
        }
    }
    return NULL;
}

static bool store(struct expo_series *s, struct str name, struct str value)
{
    if (s->out) {
        if (s->n == s->max) {
            s->why = "fewer labels";
            return false;
        }
        s->out[s->n] = (struct label){name, value};
    }
    s->n++;
    return true;
}

static const char *blanks(const struct expo_series *s, const char *p)
{
    return s->strict ? p : expo_skip_blanks(p, s->end);
}

/* The text between quotes; false when it is not UTF-8. */
static bool inner(struct expo_series *s, const char *p, const char *end, struct str *out)
{
    *out = str_of(p + 1, (size_t)(end - p) - 2);
    s->why = "valid UTF-8";
    return str_is_utf8(*out);
}

/* A label's name or the metric's name in quotes, up to where its value begins. *is_metric: it was
 * the metric's. */
static bool scan_name(struct expo_series *s, const char **at, struct str *name, bool *is_metric)
{
    const char *p = *at;
    *is_metric = false;
    s->why = s->exemplar ? "a label name or '}'" : "a label name, a metric name in quotes or '}'";
    if (p < s->end && *p == '"') {
        const char *q = quoted_end(p, s->end, !s->exemplar);
        if (!q) {
            s->why = "a closing quote";
            return false;
        }
        if (!inner(s, p, q, name)) {
            return false;
        }
        if (name->n == 0 || memchr(name->p, '\0', name->n)) {
            s->why = "a name that is not empty and has no zero byte";
            return false;
        }
        p = blanks(s, q);
        *is_metric = p < s->end && (*p == ',' || *p == '}');
        if (*is_metric && s->exemplar) {
            s->why = "'='";
            *at = p;
            return false;
        }
    } else if (p < s->end && expo_is_letter(*p)) {
        const char *q = name_end(p, s->end, false);
        *name = str_of(p, (size_t)(q - p));
        p = blanks(s, q);
    } else {
        return false;
    }
    *at = p;
    return true;
}

static bool scan_value(struct expo_series *s, const char **at, struct str *value)
{
    const char *p = *at;
    s->why = "'='";
    if (p >= s->end || *p != '=') {
        return false;
    }
    *at = p = blanks(s, p + 1);
    s->why = "a label value in quotes";
    const char *q = p < s->end && *p == '"' ? quoted_end(p, s->end, !s->strict) : NULL;
    if (!q || !inner(s, p, q, value)) {
        return false;
    }
    *at = q;
    return true;
}

/* One label, or the metric's name. */
static bool scan_pair(struct expo_series *s, const char **at, bool *named)
{
    struct str name;
    struct str value;
    bool is_metric = false;
    const char *first = *at;
    if (!scan_name(s, at, &name, &is_metric)) {
        return false;
    }
    if (is_metric) {
        if (*named) {
            s->why = "one metric name only";
            *at = first;
            return false;
        }
        *named = true;
        if (s->out) {
            s->out[0].value = name;
        }
        return true;
    }
    return scan_value(s, at, &value) && store(s, name, value);
}

/* After the opening brace, to behind the closing one. */
static bool scan_labels(struct expo_series *s, const char **at, bool *named)
{
    *at = blanks(s, *at);
    while (*at < s->end && **at != '}') {
        if (!scan_pair(s, at, named)) {
            return false;
        }
        *at = blanks(s, *at);
        if (*at < s->end && **at == ',') {
            *at = blanks(s, *at + 1);
        } else if (s->strict && (*at >= s->end || **at != '}')) {
            s->why = "',' or '}'";
            return false;
        }
    }
    s->why = "'}'";
    if (*at >= s->end) {
        return false;
    }
    ++*at;
    return true;
}

bool expo_series_scan(struct expo_series *s, const char **at)
{
    bool named = s->exemplar;
    s->n = 0;
    if (s->exemplar) {
        return scan_labels(s, at, &named);
    }
    const char *first = *at;
    const char *p = first;
    if (p < s->end && (expo_is_letter(*p) || *p == ':')) {
        p = name_end(p, s->end, true);
        named = true;
    }
    if (!store(s, STR(LABEL_NAME), str_of(first, (size_t)(p - first)))) {
        return false;
    }
    const char *brace = blanks(s, p);
    *at = p;
    if (brace < s->end && *brace == '{') {
        *at = brace + 1;
        if (!scan_labels(s, at, &named)) {
            return false;
        }
    }
    s->why = "a metric name";
    return named;
}

bool expo_take_expected(struct expo_parse *p)
{
    struct str x = p->expect;
    size_t left = (size_t)(p->end - p->at);
    if (x.n == 0 || left < x.n + 2 || memcmp(p->at, x.p, x.n) != 0 ||
        (unsigned char)x.p[0] == EXPO_RAW_MARK) {
        return false;
    }
    /* Behind a brace the series is over; behind a bare name only a blank and no brace say so. */
    const char *after = p->at + x.n;
    if (x.p[x.n - 1] != '}' && (*after != ' ' || after[1] == '{' || expo_is_blank(after[1]))) {
        return false;
    }
    p->raw = str_of(p->at, x.n);
    p->at = after;
    p->expected = true;
    return true;
}

#define VALUE_BYTES_MAX 40 /* the shortest text of a double has at most 24 */

bool expo_parse_known(struct expo_parse *p, struct str raw)
{
    ASSERT(raw.n > 0);
    ASSERT(p->form == EXPO_PARSE_TEXT || (p->form == EXPO_PARSE_OPENMETRICS && !p->skip_created));
    size_t left = (size_t)(p->end - p->at);
    if (left < raw.n + 3 || p->at[raw.n] != ' ' || memcmp(p->at, raw.p, raw.n) != 0) {
        return false;
    }
    if (p->whole_lines || (p->to_nhcb && (unsigned char)raw.p[0] == EXPO_RAW_MARK)) {
        return false;
    }
    const char *at = p->at + raw.n + 1;
    const char *stop = expo_plain_number(at, p->end, &p->value);
    if (!stop) {
        /* Infinities, exponents. A blank or a brace in it makes it no number. */
        stop = memchr(at, '\n', size_min((size_t)(p->end - at), VALUE_BYTES_MAX));
        if (!stop || !expo_parse_number(str_of(at, (size_t)(stop - at)), &p->value)) {
            return false;
        }
    }
    p->at = stop + 1;
    return true;
}

/* --- escapes ------------------------------------------------------------------------------ */

/* Writes at most s.n bytes. A backslash before anything else stays. */
static size_t unescape(struct str s, bool quotes, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        char next = i + 1 < s.n ? s.p[i + 1] : '\0';
        if (c == '\\' && (next == '\\' || next == 'n' || (quotes && next == '"'))) {
            c = next == 'n' ? '\n' : next;
            i++;
        }
        out[n++] = c;
    }
    return n;
}

struct str expo_unescape(struct str s, bool quotes, struct arena *a)
{
    if (s.n == 0 || !memchr(s.p, '\\', s.n)) {
        return s;
    }
    char *out = arena_take(a, s.n, 1);
    return out ? str_of(out, unescape(s, quotes, out)) : str_of(NULL, 0);
}

bool expo_scratch_begin(struct expo_parse *p, const char *line, const char *end, struct err *e)
{
    size_t n = (size_t)(end - line);
    buf_reset(&p->scratch);
    return n == 0 || !memchr(line, '\\', n) || buf_room(&p->scratch, n) ||
           err_set(e, ERR_LIMIT, "a line of metadata is longer than %d bytes", EXPO_SCRATCH_MAX);
}

struct str expo_unescape_scratch(struct expo_parse *p, struct str s, bool quotes)
{
    if (s.n == 0 || !memchr(s.p, '\\', s.n)) {
        return s;
    }
    char *out = buf_room(&p->scratch, s.n);
    ASSERT(out); /* made sure of by expo_scratch_begin: what was handed out does not move */
    size_t n = unescape(s, quotes, out);
    p->scratch.n += n;
    return str_of(out, n);
}

/* --- labels ------------------------------------------------------------------------------- */

bool expo_normalize(enum expo_kind type, struct label *l, struct arena *a)
{
    double v = 0;
    bool bound = (type == EXPO_KIND_HISTOGRAM && str_eq(l->name, STR("le"))) ||
                 (type == EXPO_KIND_SUMMARY && str_eq(l->name, STR("quantile")));
    if (!bound || !expo_parse_number(l->value, &v)) {
        return true;
    }
    struct expo_number text = expo_format_number(v);
    l->value = arena_str(a, str_of(text.text, text.n));
    return l->value.p != NULL;
}

static bool no_room(struct err *e)
{
    return err_set(e, ERR_LIMIT, "labels need more memory than they may have");
}

bool expo_parse_labels(struct expo_parse *p, struct arena *a, struct label **out, uint32_t *n,
                       struct err *e)
{
    if (p->form == EXPO_PARSE_PROTOBUF) {
        return expo_pb_labels(p, a, out, n, e);
    }
    if (expo_classic_giving(p)) {
        return expo_classic_labels(p, a, out, n, e);
    }
    bool strict = p->form == EXPO_PARSE_OPENMETRICS;
    const char *at = p->raw.p;
    struct expo_series s = {.strict = strict, .end = p->raw.p + p->raw.n, .why = ""};
    if (!strict) {
        at = expo_skip_blanks(at, s.end);
    }
    const char *first = at;
    /* Counted first: most series have ten labels, the bound is 256. */
    if (!expo_series_scan(&s, &at)) {
        return err_set(e, ERR_INPUT, "expected %s in the name of a series", s.why);
    }
    if (s.n > LABELS_COUNT_MAX) {
        return expo_fail(p, p->entry_at, e, "expected at most %d labels, found %u",
                         LABELS_COUNT_MAX, s.n);
    }
    *out = s.out = ARENA_ARRAY(a, struct label, s.n);
    if (!*out) {
        return no_room(e);
    }
    s.max = s.n;
    at = first;
    bool again = expo_series_scan(&s, &at);
    ASSERT(again);
    *n = s.n;
    for (uint32_t i = 0; i < s.n; i++) {
        struct label *l = &s.out[i];
        l->name = expo_unescape(l->name, true, a);
        l->value = expo_unescape(l->value, true, a);
        if (!l->name.p || !l->value.p || !expo_normalize(p->type, l, a)) {
            return no_room(e);
        }
    }
    return true;
}

bool expo_parse_exemplar(struct expo_parse *p, uint32_t i, struct arena *a, bool *found,
                         struct expo_exemplar *out, struct err *e)
{
    if (p->form == EXPO_PARSE_PROTOBUF) {
        return expo_pb_exemplar(p, i, a, found, out, e);
    }
    *found = expo_classic_giving(p) ? expo_classic_exemplar(p, i) : i == 0 && p->exemplar.n > 0;
    return !*found || expo_om_exemplar(p, a, out, e);
}

int64_t expo_parse_start_ms(struct expo_parse *p)
{
    if (expo_classic_giving(p)) {
        return expo_classic_start_ms(p);
    }
    bool counts = p->type == EXPO_KIND_COUNTER || p->type == EXPO_KIND_HISTOGRAM ||
                  p->type == EXPO_KIND_SUMMARY || p->type == EXPO_KIND_GAUGEHISTOGRAM;
    if (!counts || p->form == EXPO_PARSE_TEXT) {
        return 0;
    }
    return p->form == EXPO_PARSE_PROTOBUF ? expo_pb_start_ms(p) : expo_om_start_ms(p);
}

/* --- content type ------------------------------------------------------------------------- */

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!expo_is_letter(c) && !expo_is_digit(c) && !(c && strchr("!#$%&'*+-.^`|~", c))) {
            return false;
        }
    }
    return s.n > 0;
}

/* type/subtype, then name=value parameters (values quoted or tokens). */
static bool media_type(struct str s, struct str *type)
{
    struct str_cut cut = str_cut(s, ';');
    *type = str_trim(cut.head);
    struct str_cut slash = str_cut(*type, '/');
    if (!is_token(slash.head) || (slash.ok && !is_token(slash.tail))) {
        return false;
    }
    while (cut.ok) {
        cut = str_cut(cut.tail, ';');
        struct str param = str_trim(cut.head);
        struct str_cut pair = str_cut(param, '=');
        bool quoted =
            pair.tail.n >= 2 && pair.tail.p[0] == '"' && pair.tail.p[pair.tail.n - 1] == '"';
        if (param.n == 0 && !cut.ok) {
            break; /* a semicolon at the end */
        }
        if (!pair.ok || !is_token(pair.head) || (!quoted && !is_token(pair.tail))) {
            return false;
        }
    }
    return true;
}

bool expo_parse_form_of(struct str content_type, const enum expo_parse_form *fallback,
                        enum expo_parse_form *out, struct err *e)
{
    static const struct {
        struct str type;
        enum expo_parse_form form;
    } known[] = {{STR_INIT("text/plain"), EXPO_PARSE_TEXT},
                 {STR_INIT("application/openmetrics-text"), EXPO_PARSE_OPENMETRICS},
                 {STR_INIT("application/vnd.google.protobuf"), EXPO_PARSE_PROTOBUF}};
    struct str type = str_of(NULL, 0);
    content_type = str_trim(content_type);
    bool whole = content_type.n > 0 && media_type(content_type, &type);
    for (size_t i = 0; whole && i < ARRAY_LEN(known); i++) {
        if (str_eq_nocase(type, known[i].type)) {
            *out = known[i].form;
            return true;
        }
    }
    if (fallback) {
        *out = *fallback;
        return true;
    }
    if (content_type.n == 0) {
        return err_set(e, ERR_INPUT,
                       "the answer has no Content-Type and no fallback_scrape_protocol is set");
    }
    struct str shown = str_sub(content_type, 0, 80);
    return err_set(e, ERR_INPUT,
                   "expected text/plain, application/openmetrics-text or "
                   "application/vnd.google.protobuf, found \"%.*s\"",
                   STR_FMT(shown));
}
