/* Names of metrics and labels as Prometheus makes them from OpenTelemetry's.
 *
 *   system.filesystem.usage, By, gauge        system_filesystem_usage_bytes
 *   http.server.requests, {request}, counter  http_server_requests_total
 *   speed, m/s, gauge                         speed_meters_per_second
 *   cpu.utilization, 1, gauge                 cpu_utilization_ratio
 *
 * Source: the specification "Prometheus and OpenMetrics Compatibility" of OpenTelemetry, and what
 * Prometheus 3 answers for translation_strategy. */
#include "ingest/otlp/decode_int.h"

struct unit {
    struct str is, word;
};

static const struct unit mains[] = {
    {STR_INIT("d"), STR_INIT("days")},
    {STR_INIT("h"), STR_INIT("hours")},
    {STR_INIT("min"), STR_INIT("minutes")},
    {STR_INIT("s"), STR_INIT("seconds")},
    {STR_INIT("ms"), STR_INIT("milliseconds")},
    {STR_INIT("us"), STR_INIT("microseconds")},
    {STR_INIT("ns"), STR_INIT("nanoseconds")},
    {STR_INIT("By"), STR_INIT("bytes")},
    {STR_INIT("KiBy"), STR_INIT("kibibytes")},
    {STR_INIT("MiBy"), STR_INIT("mebibytes")},
    {STR_INIT("GiBy"), STR_INIT("gibibytes")},
    {STR_INIT("TiBy"), STR_INIT("tibibytes")},
    {STR_INIT("KBy"), STR_INIT("kilobytes")},
    {STR_INIT("MBy"), STR_INIT("megabytes")},
    {STR_INIT("GBy"), STR_INIT("gigabytes")},
    {STR_INIT("TBy"), STR_INIT("terabytes")},
    {STR_INIT("m"), STR_INIT("meters")},
    {STR_INIT("V"), STR_INIT("volts")},
    {STR_INIT("A"), STR_INIT("amperes")},
    {STR_INIT("J"), STR_INIT("joules")},
    {STR_INIT("W"), STR_INIT("watts")},
    {STR_INIT("g"), STR_INIT("grams")},
    {STR_INIT("Cel"), STR_INIT("celsius")},
    {STR_INIT("Hz"), STR_INIT("hertz")},
    {STR_INIT("1"), STR_INIT("")},
    {STR_INIT("%"), STR_INIT("percent")},
};
static const struct unit pers[] = {
    {STR_INIT("s"), STR_INIT("second")}, {STR_INIT("m"), STR_INIT("minute")},
    {STR_INIT("h"), STR_INIT("hour")},   {STR_INIT("d"), STR_INIT("day")},
    {STR_INIT("w"), STR_INIT("week")},   {STR_INIT("mo"), STR_INIT("month")},
    {STR_INIT("y"), STR_INIT("year")},
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The word for one part of a unit; "" for an annotation in braces. */
static struct str unit_word(struct str part, const struct unit *table, size_t n)
{
    part = str_trim(part);
    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] == '{' || part.p[i] == '}') {
            return (struct str){NULL, 0};
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (str_eq(part, table[i].is)) {
            return table[i].word;
        }
    }
    return part;
}

/* Tokens of text: runs of word characters. A multi-byte character is a separator like any other. */
static bool next_token(struct str *rest, struct str *token)
{
    size_t i = 0;
    while (i < rest->n && !is_word(rest->p[i])) {
        i++;
    }
    size_t k = i;
    while (k < rest->n && is_word(rest->p[k])) {
        k++;
    }
    *token = str_of(rest->p + i, k - i);
    *rest = str_of(rest->p + k, rest->n - k);
    return token->n > 0;
}

static bool has_token(struct str name, struct str word)
{
    struct str token;
    while (name.n > 0 && next_token(&name, &token)) {
        if (str_eq(token, word)) {
            return true;
        }
    }
    return false;
}

static void put_token(struct buf *b, struct str word)
{
    if (word.n > 0) {
        if (b->n > 0) {
            buf_char(b, '_');
        }
        buf_str_add(b, word);
    }
}

/* All tokens of text but `without`. */
static void put_tokens(struct buf *b, struct str text, struct str without)
{
    struct str token;
    while (text.n > 0 && next_token(&text, &token)) {
        if (without.n == 0 || !str_eq(token, without)) {
            put_token(b, token);
        }
    }
}

static void escaped_with_suffixes(struct buf *b, struct str name, struct str main, struct str per,
                                  struct str type)
{
    put_tokens(b, name, type);
    if (!has_token(name, main)) {
        put_tokens(b, main, type);
    }
    if (per.n > 0 && !has_token(name, per)) {
        put_token(b, STR("per"));
        put_tokens(b, per, type);
    }
    put_token(b, type);
}

/* Keeps underscores as they are; other characters become one each run. */
static void escaped(struct buf *b, struct str name)
{
    bool gap = false;
    for (size_t i = 0; i < name.n; i++) {
        const bool keep = is_word(name.p[i]) || name.p[i] == '_';
        if (keep && gap && b->n > 0) {
            buf_char(b, '_');
        }
        if (keep) {
            buf_char(b, name.p[i]);
        }
        gap = !keep;
    }
}

/* name_suffix, unless the name ends in it already. */
static void put_suffix(struct buf *b, struct str word, bool per)
{
    if (word.n == 0 || str_ends(buf_str(b), word)) {
        return;
    }
    buf_str_add(b, per ? STR("_per_") : STR("_"));
    buf_str_add(b, word);
}

struct str otlp_metric_name(struct otlp_naming how, struct str name, struct str unit,
                            enum otlp_kind kind, struct buf *text, struct arena *a)
{
    const struct str_cut parts = str_cut(unit, '/');
    const struct str main = unit_word(parts.head, mains, ARRAY_LEN(mains));
    const struct str per =
        parts.ok ? unit_word(parts.tail, pers, ARRAY_LEN(pers)) : (struct str){NULL, 0};
    const bool ratio = kind == OTLP_GAUGE && str_eq(unit, STR("1"));
    const struct str type = kind == OTLP_COUNTER ? STR("total") : ratio ? STR("ratio") : STR("");
    buf_reset(text);
    if (how.escape && how.suffixes) {
        escaped_with_suffixes(text, name, main, per, type);
    } else if (how.escape) {
        escaped(text, name);
    } else {
        buf_str_add(text, name);
        if (how.suffixes) {
            put_suffix(text, main, false);
            put_suffix(text, per, true);
            put_suffix(text, type, false);
        }
    }
    if (text->failed || text->n == 0) {
        return (struct str){"", 0};
    }
    const bool digit = how.escape && is_digit(text->p[0]);
    char *p = arena_take(a, text->n + 1, 1);
    if (!p) {
        return (struct str){NULL, 0};
    }
    p[0] = '_';
    memcpy(p + (digit ? 1 : 0), text->p, text->n);
    return str_of(p, text->n + (digit ? 1 : 0));
}

struct str otlp_label_name(struct otlp_naming how, struct str key, struct arena *a)
{
    if (!how.escape || key.n == 0) {
        return key;
    }
    char *p = arena_take(a, key.n + 4, 1);
    if (!p) {
        return (struct str){NULL, 0};
    }
    size_t n = 0;
    if (is_digit(key.p[0])) {
        memcpy(p, "key_", 4);
        n = 4;
    } else if (key.n > 1 && !is_word(key.p[0]) && (is_word(key.p[1]) && key.p[1] != ':')) {
        memcpy(p, "key", 3); /* one leading underscore is for the system's own labels */
        n = 3;
    }
    for (size_t i = 0; i < key.n; i++) {
        const unsigned char c = (unsigned char)key.p[i];
        if ((c & 0xc0) == 0x80) {
            continue; /* one underscore for a character of several bytes */
        }
        p[n++] = is_word(key.p[i]) && c != ':' ? key.p[i] : '_';
    }
    return str_of(p, n);
}
