/* Exposition in: the text format 0.0.4 (and 1.0.0, which adds names in quotes).
 *
 *     # HELP name text\n
 *     # TYPE name counter\n
 *     name{label="value",...} 1.5 [milliseconds]\n
 *
 * Accepted beyond the letter of the format, as every Prometheus does: a missing last line break,
 * blanks and tabs between any two tokens, labels without commas between them, families in any order
 * and more than once, a value glued to a closing brace or (signed) to the name, zero bytes in help,
 * comments and label values. A zero byte where a line would begin ends the page. A line that begins
 * with blanks is read as if it did not: Prometheus makes them a part of the name.
 *
 * Refused: an unknown TYPE, two blanks before it, a value with underscores or hexadecimal, a
 * negative or fractional timestamp, bad UTF-8. */
#include "codec/expo_parse_int.h"

static const char *line_end(const struct expo_parse *p, const char *from)
{
    const char *nl = from < p->end ? memchr(from, '\n', (size_t)(p->end - from)) : NULL;
    return nl ? nl : p->end;
}

static void next_line(struct expo_parse *p, const char *line_break)
{
    p->at = line_break < p->end ? line_break + 1 : p->end;
}

static bool set_type(struct expo_parse *p, const char *at, struct str word, struct err *e)
{
    static const struct {
        struct str word;
        enum expo_kind kind;
    } kinds[] = {{STR_INIT("counter"), EXPO_KIND_COUNTER},
                 {STR_INIT("gauge"), EXPO_KIND_GAUGE},
                 {STR_INIT("histogram"), EXPO_KIND_HISTOGRAM},
                 {STR_INIT("summary"), EXPO_KIND_SUMMARY},
                 {STR_INIT("untyped"), EXPO_KIND_UNKNOWN}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_eq(word, kinds[i].word)) {
            p->type = kinds[i].kind;
            return true;
        }
    }
    struct str shown = str_sub(word, 0, 40);
    return expo_fail(p, at, e,
                     "expected counter, gauge, histogram, summary or untyped, found \"%.*s\"",
                     STR_FMT(shown));
}

/* The name after "# HELP ", bare or in quotes; NULL when there is none. */
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

/* at: behind "HELP" or "TYPE" and at least one blank. */
static bool meta(struct expo_parse *p, bool help, const char *at, struct err *e)
{
    at = expo_skip_blanks(at, p->end);
    if (!expo_scratch_begin(p, at, line_end(p, at), e)) {
        return false;
    }
    const char *name_stop = meta_name(p, at, &p->family);
    if (!name_stop) {
        return expo_fail(p, at, e, "expected a metric name after %s, found %s",
                         help ? "HELP" : "TYPE", expo_show(at, p->end).text);
    }
    if (!str_is_utf8(p->family)) {
        return expo_fail(p, at, e, "expected a metric name in valid UTF-8");
    }
    const char *nl = line_end(p, name_stop);
    const char *text_at = name_stop + (name_stop < nl);
    struct str text = str_of(text_at, (size_t)(nl - text_at));
    if (!help) {
        p->entry = EXPO_PARSE_TYPE;
        if (!set_type(p, text_at, text, e)) {
            return false;
        }
    } else {
        p->entry = EXPO_PARSE_HELP;
        if (!str_is_utf8(text)) {
            return expo_fail(p, text_at, e, "expected a help text in valid UTF-8");
        }
        p->text = expo_unescape_scratch(p, text, false);
    }
    next_line(p, nl);
    return true;
}

/* A line that begins with '#'. *found: it was HELP or TYPE. A comment that a zero byte cuts short
 * before any blank ends the page, see the top. */
static bool comment(struct expo_parse *p, bool *found, struct err *e)
{
    const char *at = p->at + 1;
    const char *word = expo_skip_blanks(at, p->end);
    size_t left = (size_t)(p->end - word);
    *found = word > at && left >= 5 && expo_is_blank(word[4]) &&
             (memcmp(word, "HELP", 4) == 0 || memcmp(word, "TYPE", 4) == 0);
    if (*found) {
        return meta(p, *word == 'H', word + 5, e);
    }
    const char *nl = line_end(p, at);
    if (word == at && memchr(at, '\0', (size_t)(nl - at))) {
        p->at = p->end;
        return true;
    }
    next_line(p, nl);
    return true;
}

/* A value or timestamp ends here. */
static const char *token_end(const char *at, const char *end)
{
    while (at < end && *at != ' ' && *at != '\n' && *at != '\t' && *at != '{') {
        at++;
    }
    return at;
}

static bool timestamp(struct expo_parse *p, const char **at, struct err *e)
{
    const char *first = *at;
    int64_t v = 0;
    bool fits = true;
    const char *q = first;
    for (; q < p->end && expo_is_digit(*q); q++) {
        fits = fits && !__builtin_mul_overflow(v, 10, &v) &&
               !__builtin_add_overflow(v, (int64_t)(*q - '0'), &v);
    }
    if (q == first) {
        return expo_fail(p, q, e, "expected a timestamp or the end of the line, found %s",
                         expo_show(q, p->end).text);
    }
    if (!fits) {
        return expo_fail(p, first, e, "expected a timestamp in milliseconds, found %s",
                         expo_show(first, p->end).text);
    }
    p->has_t = true;
    p->t_ms = v;
    *at = expo_skip_blanks(q, p->end);
    return true;
}

/* Value, timestamp, end of line. */
static bool rest_of_line(struct expo_parse *p, struct err *e)
{
    const char *at = expo_skip_blanks(p->at, p->end);
    const char *stop = token_end(at, p->end);
    if (stop == at) {
        return expo_fail(p, at, e, "expected a value after the metric, found %s",
                         expo_show(at, p->end).text);
    }
    if (!expo_parse_number(str_of(at, (size_t)(stop - at)), &p->value)) {
        return expo_fail(p, at, e, "expected a number, found %s", expo_show(at, p->end).text);
    }
    p->has_t = false;
    at = expo_skip_blanks(stop, p->end);
    if (at < p->end && *at != '\n') {
        if (!timestamp(p, &at, e)) {
            return false;
        }
        if (at < p->end && *at != '\n') {
            return expo_fail(p, at, e, "expected the end of the line after a timestamp, found %s",
                             expo_show(at, p->end).text);
        }
    }
    next_line(p, at);
    p->entry = EXPO_PARSE_SAMPLE;
    return true;
}

static bool series(struct expo_parse *p, struct err *e)
{
    struct expo_series s = {.end = p->end, .why = ""};
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

bool expo_text_next(struct expo_parse *p, struct err *e)
{
    for (;;) {
        p->entry_at = p->at;
        if (expo_take_expected(p)) {
            return rest_of_line(p, e);
        }
        p->at = expo_skip_blanks(p->at, p->end);
        if (p->at >= p->end || *p->at == '\0') {
            p->at = p->end;
            p->entry = EXPO_PARSE_END;
            return true;
        }
        char c = *p->at;
        if (c == '\n') {
            p->at++;
        } else if (c == '#') {
            bool found = false;
            if (!comment(p, &found, e)) {
                return false;
            }
            if (found) {
                return true;
            }
        } else if (expo_is_letter(c) || c == ':' || c == '{') {
            return series(p, e) && rest_of_line(p, e);
        } else {
            return expo_fail(p, p->at, e, "expected a metric name, '#' or '{', found %s",
                             expo_show(p->at, p->end).text);
        }
    }
}
