/* OTLP in JSON: the same messages as protobuf, so JSON becomes protobuf by tables, and what reads
 * protobuf reads it.
 *
 *     {"resourceMetrics":[{...}]} --json_parse--> tokens --tables--> protobuf --otlp_decode-->
 *
 * The encoding is ProtoJSON with the exceptions of OTLP: names in lowerCamelCase only, trace and
 * span ids in hexadecimal. Enumerations are numbers or, as ProtoJSON has them, names. 64-bit
 * integers are strings or numbers; doubles are numbers, "NaN", "Infinity", "-Infinity", or strings
 * of numbers; bytes are base64 of either alphabet. null is an absent field. What the tables
 * (json_fields.c) do not hold is skipped.
 *
 * Invariant: recursion is as deep as the JSON (JSON_DEPTH_MAX); each value is looked at once.
 * Source: the OTLP specification, "JSON Protobuf Encoding"; protobuf.dev/programming-guides/json.
 */
#include "ingest/otlp/json_int.h"

#include "codec/pb.h"
#include "ingest/otlp/json_fields_int.h"

#include <math.h>

/* Values of one request: a token of memory each. Real requests have 8 bytes of text for each. */
#define VALUES_MAX (2U << 20)
#define PATH_BYTES 160

struct walk {
    struct str text;
    const struct json_token *tokens;
    struct buf *out;
    struct err *e;
};

/* -- Errors. -- */

/* From a byte of the text, 1-based, to its line and its place in it. */
static void place(struct str text, struct err *e)
{
    uint32_t line = 1, col = e->col;
    for (uint32_t i = 0; e->col > 0 && i < e->col - 1 && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            col = e->col - 1 - i;
        }
    }
    e->line = e->col > 0 ? line : 0;
    e->col = col;
}

/* "metrics[3].sum" for people, or "metrics.3.sum" for json_locate. Only names of the tables. */
static void path_put(struct walk *w, uint32_t at, struct buf *b, bool dotted)
{
    uint32_t above[JSON_DEPTH_MAX + 1];
    int n = 0;
    for (; at != 0 && n <= JSON_DEPTH_MAX; at = w->tokens[at].parent) {
        above[n++] = at;
    }
    for (int i = n - 1; i >= 0; i--) {
        const struct json_token *t = &w->tokens[above[i]];
        uint32_t index = 0;
        if (w->tokens[t->parent].kind == JSON_OBJECT) {
            buf_fmt(b, "%s%.*s", i < n - 1 ? "." : "", STR_FMT(t->key));
            continue;
        }
        for (uint32_t k = t->parent + 1; k < above[i]; k = w->tokens[k].next) {
            index++;
        }
        buf_fmt(b, dotted ? ".%u" : "[%u]", index);
    }
}

static const char *found(const struct json_token *t)
{
    static const char *const texts[] = {
        [JSON_NULL] = "null",    [JSON_FALSE] = "false",      [JSON_TRUE] = "true",
        [JSON_I64] = "a number", [JSON_U64] = "a number",     [JSON_F64] = "a number",
        [JSON_STR] = "a string", [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array"};
    return texts[t->kind];
}

/* Says what is there by its kind only: values may be somebody's. */
static bool unexpected(struct walk *w, uint32_t at, const char *expected)
{
    struct mem m;
    struct buf path, dotted;
    mem_init(&m, 0);
    buf_init(&path, &m, PATH_BYTES);
    buf_init(&dotted, &m, 4096);
    path_put(w, at, &path, false);
    path_put(w, at, &dotted, true);
    err_set(w->e, ERR_INPUT, "%.*s%sexpected %s, found %s%s", STR_FMT(buf_str(&path)),
            path.n > 0 ? ": " : "", expected, found(&w->tokens[at]),
            w->tokens[at].kind == JSON_STR ? " that is none" : "");
    w->e->col = dotted.n > 0 && !dotted.failed ? json_locate(w->text, buf_str(&dotted)) : 0;
    place(w->text, w->e);
    buf_release(&path);
    buf_release(&dotted);
    return false;
}

/* -- Values. -- */

/* Two's complement, and the sign that says how to read it. */
struct integer {
    uint64_t bits;
    bool negative;
};

static bool integer_of_double(double v, struct integer *out)
{
    if (!(v > -0x1p63 && v < 0x1p64) || v != floor(v)) {
        return false;
    }
    out->negative = v < 0;
    out->bits = v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
    return true;
}

static bool integer_of(const struct json_token *t, struct integer *out)
{
    int64_t i = 0;
    double v = 0;
    *out = (struct integer){0, false};
    if (t->kind == JSON_I64 || (t->kind == JSON_STR && str_to_i64(t->v.str, &i))) {
        i = t->kind == JSON_I64 ? t->v.i64 : i;
        *out = (struct integer){(uint64_t)i, i < 0};
        return true;
    }
    if (t->kind == JSON_U64) {
        out->bits = t->v.u64;
        return true;
    }
    if (t->kind == JSON_F64) {
        return integer_of_double(t->v.f64, out);
    }
    return t->kind == JSON_STR && (str_to_u64(t->v.str, &out->bits) ||
                                   (str_to_f64(t->v.str, &v) && integer_of_double(v, out)));
}

static bool double_of(const struct json_token *t, double *out)
{
    if (json_is_number(t)) {
        *out = json_as_f64(t);
        return true;
    }
    if (t->kind != JSON_STR) {
        return false;
    }
    if (str_eq(t->v.str, STR("NaN"))) {
        *out = (double)NAN;
    } else if (str_eq(t->v.str, STR("Infinity"))) {
        *out = (double)INFINITY;
    } else if (str_eq(t->v.str, STR("-Infinity"))) {
        *out = -(double)INFINITY;
    } else {
        return str_to_f64(t->v.str, out);
    }
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool hex_put(struct buf *b, struct str s)
{
    for (size_t i = 0; i + 1 < s.n; i += 2) {
        const int high = hex_digit(s.p[i]), low = hex_digit(s.p[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        buf_char(b, (char)(high << 4 | low));
    }
    return s.n % 2 == 0;
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* Padding may be left out. */
static bool base64_put(struct buf *b, struct str s)
{
    unsigned held = 0, held_n = 0;
    const size_t padded = s.n % 4 == 0 ? 2 : 0;
    for (size_t i = 0; i < padded && s.n > 0 && s.p[s.n - 1] == '='; i++) {
        s.n--;
    }
    for (size_t i = 0; i < s.n; i++) {
        const int digit = base64_digit(s.p[i]);
        if (digit < 0) {
            return false;
        }
        held = (held << 6 | (unsigned)digit) & 0xfff;
        held_n += 6;
        if (held_n >= 8) {
            held_n -= 8;
            buf_char(b, (char)(unsigned char)(held >> held_n));
        }
    }
    return s.n % 4 != 1;
}

/* -- Fields. -- */

static void fixed64_put(struct buf *b, uint32_t number, uint64_t v)
{
    if (number != 0) {
        pb_raw_varint(b, (uint64_t)number << 3 | PB_I64);
    }
    buf_u64le(b, v);
}

static void varint_put(struct buf *b, uint32_t number, uint64_t v)
{
    if (number != 0) {
        pb_raw_varint(b, (uint64_t)number << 3 | PB_VARINT);
    }
    pb_raw_varint(b, v);
}

/* number 0: an element of a packed field, without a tag. */
static bool integer_put(struct walk *w, uint32_t at, enum otlp_json_kind kind, uint32_t number)
{
    struct integer v;
    const bool small = kind == K_UINT32 || kind == K_SINT32;
    const bool is_signed = kind == K_SINT32 || kind == K_INT64 || kind == K_SFIXED64;
    if (!integer_of(&w->tokens[at], &v) || (v.negative && !is_signed) ||
        (is_signed && !v.negative && v.bits > INT64_MAX) ||
        (small && (v.negative ? (int64_t)v.bits < INT32_MIN : v.bits > UINT32_MAX)) ||
        (kind == K_SINT32 && !v.negative && v.bits > INT32_MAX)) {
        return unexpected(w, at,
                          kind == K_UINT32   ? "an integer of 32 bits, not below 0"
                          : kind == K_SINT32 ? "an integer of 32 bits"
                          : is_signed        ? "an integer of 64 bits"
                                             : "an integer of 64 bits, not below 0");
    }
    if (kind == K_FIXED64 || kind == K_SFIXED64) {
        fixed64_put(w->out, number, v.bits);
    } else {
        const uint64_t zigzag = v.bits << 1 ^ (v.negative ? UINT64_MAX : 0);
        varint_put(w->out, number, kind == K_SINT32 ? zigzag : v.bits);
    }
    return true;
}

static bool temporality_put(struct walk *w, uint32_t at, uint32_t number)
{
    static const struct str names[] = {STR_INIT("AGGREGATION_TEMPORALITY_UNSPECIFIED"),
                                       STR_INIT("AGGREGATION_TEMPORALITY_DELTA"),
                                       STR_INIT("AGGREGATION_TEMPORALITY_CUMULATIVE")};
    const struct json_token *t = &w->tokens[at];
    for (uint32_t i = 0; t->kind == JSON_STR && i < ARRAY_LEN(names); i++) {
        if (str_eq(t->v.str, names[i])) {
            pb_put_varint(w->out, number, i);
            return true;
        }
    }
    return integer_put(w, at, K_UINT32, number);
}

static bool double_put(struct walk *w, uint32_t at, uint32_t number)
{
    double v = 0;
    uint64_t bits;
    if (!double_of(&w->tokens[at], &v)) {
        return unexpected(w, at, "a number");
    }
    memcpy(&bits, &v, sizeof bits);
    fixed64_put(w->out, number, bits);
    return true;
}

static bool text_put(struct walk *w, uint32_t at, const struct otlp_json_field *f)
{
    const struct json_token *t = &w->tokens[at];
    if (t->kind == JSON_STR && f->kind == K_STRING) {
        pb_put_bytes(w->out, f->number, t->v.str);
        return true;
    }
    bool ok = t->kind == JSON_STR;
    if (ok) {
        const size_t mark = pb_begin(w->out, f->number);
        ok = f->kind == K_HEX ? hex_put(w->out, t->v.str) : base64_put(w->out, t->v.str);
        pb_end(w->out, mark);
    }
    return ok || unexpected(w, at,
                            f->kind == K_STRING ? "a string"
                            : f->kind == K_HEX  ? "hexadecimal digits in pairs"
                                                : "bytes in base64");
}

static bool message_put(struct walk *w, uint32_t at, enum otlp_json_message message);

static bool value_put(struct walk *w, uint32_t at, const struct otlp_json_field *f)
{
    const struct json_token *t = &w->tokens[at];
    switch (f->kind) {
    case K_MESSAGE: {
        const size_t mark = pb_begin(w->out, f->number);
        if (!message_put(w, at, f->message)) {
            return false;
        }
        pb_end(w->out, mark);
        return true;
    }
    case K_STRING:
    case K_HEX:
    case K_BASE64: return text_put(w, at, f);
    case K_BOOL:
        if (t->kind != JSON_TRUE && t->kind != JSON_FALSE) {
            return unexpected(w, at, "true or false");
        }
        pb_put_varint(w->out, f->number, t->kind == JSON_TRUE);
        return true;
    case K_DOUBLE: return double_put(w, at, f->number);
    case K_TEMPORALITY: return temporality_put(w, at, f->number);
    case K_UINT32:
    case K_SINT32:
    case K_INT64:
    case K_UINT64:
    case K_FIXED64:
    case K_SFIXED64: break;
    }
    return integer_put(w, at, f->kind, f->number);
}

static bool repeated_put(struct walk *w, uint32_t at, const struct otlp_json_field *f)
{
    const struct json_token *t = &w->tokens[at];
    if (t->kind != JSON_ARRAY) {
        return unexpected(w, at, "an array");
    }
    if (f->kind == K_MESSAGE) {
        for (uint32_t i = at + 1; i < t->next; i = w->tokens[i].next) {
            if (!value_put(w, i, f)) {
                return false;
            }
        }
        return true;
    }
    const size_t mark = pb_begin(w->out, f->number);
    for (uint32_t i = at + 1; i < t->next; i = w->tokens[i].next) {
        if (!(f->kind == K_DOUBLE ? double_put(w, i, 0) : integer_put(w, i, f->kind, 0))) {
            return false;
        }
    }
    pb_end(w->out, mark);
    return true;
}

static bool message_put(struct walk *w, uint32_t at, enum otlp_json_message message)
{
    const struct json_token *t = &w->tokens[at];
    if (t->kind != JSON_OBJECT) {
        return unexpected(w, at, "an object");
    }
    for (uint32_t i = at + 1; i < t->next; i = w->tokens[i].next) {
        const struct otlp_json_field *f = otlp_json_field(message, w->tokens[i].key);
        if (f == NULL || w->tokens[i].kind == JSON_NULL) {
            continue;
        }
        if (!(f->repeated ? repeated_put(w, i, f) : value_put(w, i, f))) {
            return false;
        }
    }
    return true;
}

bool otlp_json_to_pb(struct str text, struct mem *m, struct buf *out, struct err *e)
{
    struct json_doc doc;
    if (text.n > OTLP_JSON_BYTES_MAX) {
        return err_set(e, ERR_LIMIT,
                       "a request in JSON of %zu bytes, at most %u are read: send it "
                       "in parts, or as protobuf",
                       text.n, OTLP_JSON_BYTES_MAX);
    }
    struct json_parser *p = json_parser_new(m, VALUES_MAX, size_max(text.n, 1));
    if (p == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to parse a request");
    }
    bool ok = json_parse(p, text, false, &doc, e);
    if (ok) {
        struct walk w = {.text = text, .tokens = doc.tokens, .out = out, .e = e};
        ok = message_put(&w, 0, M_REQUEST) && buf_ok(out, e);
    } else if (e->code == ERR_INPUT) {
        place(text, e);
    }
    json_parser_free(p);
    return ok;
}
