/* Attributes: KeyValue {1 key, 2 AnyValue}, values as text.
 *
 *   AnyValue  1 string, 2 bool, 3 int64, 4 double, 5 array {1 values}, 6 list {1 KeyValue}, 7 bytes
 *
 * Text as OpenTelemetry's own: strings as they are, lists as JSON, bytes in base64. */
#include "ingest/otlp/decode_int.h"

#include "codec/f64.h"

#include <stdlib.h>

#define ATTRS_MAX 1024
#define DEPTH_MAX 8

static void base64(struct buf *out, struct str s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            buf_char(out, i + k <= s.n ? digits[v >> (18 - 6 * k) & 63] : '=');
        }
    }
}

static bool put_value(struct buf *b, struct str bytes, unsigned depth, bool json);

/* Elements of an array (field 1: AnyValue) or of a list (field 1: KeyValue). */
static bool put_list(struct buf *b, struct str bytes, unsigned depth, bool pairs)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    bool first = true, ok = depth < DEPTH_MAX;
    buf_char(b, pairs ? '{' : '[');
    while (ok && pb_next(&p, &f)) {
        if (f.number != 1 || f.wire != PB_LEN) {
            continue;
        }
        if (!first) {
            buf_char(b, ',');
        }
        first = false;
        if (!pairs) {
            ok = put_value(b, f.bytes, depth + 1, true);
            continue;
        }
        struct pb in = pb_of(f.bytes);
        struct pb_field g;
        struct str key = {"", 0}, value = {"", 0};
        while (pb_next(&in, &g)) {
            if (g.wire == PB_LEN && g.number <= 2) {
                *(g.number == 1 ? &key : &value) = g.bytes;
            }
        }
        buf_json_str(b, key);
        buf_char(b, ':');
        ok = !in.failed && put_value(b, value, depth + 1, true);
    }
    buf_char(b, pairs ? '}' : ']');
    return ok && !p.failed;
}

static bool put_value(struct buf *b, struct str bytes, unsigned depth, bool json)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        const bool len = f.wire == PB_LEN;
        if (f.number == 1 && len && json) {
            buf_json_str(b, f.bytes);
        } else if (f.number == 1 && len) {
            buf_str_add(b, f.bytes);
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            buf_str_add(b, f.u ? STR("true") : STR("false"));
        } else if (f.number == 3 && f.wire == PB_VARINT) {
            buf_i64(b, (int64_t)f.u);
        } else if (f.number == 4 && f.wire == PB_I64) {
            f64_write(b, pb_f64(f.u), F64_JSON);
        } else if ((f.number == 5 || f.number == 6) && len) {
            if (!put_list(b, f.bytes, depth, f.number == 6)) {
                return false;
            }
        } else if (f.number == 7 && len) {
            base64(b, f.bytes);
        }
    }
    return !p.failed;
}

static bool read_pair(struct otlp_decoder *d, struct str bytes, struct otlp_attr *out,
                      struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    *out = (struct otlp_attr){{"", 0}, {"", 0}};
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_LEN) {
            out->key = f.bytes;
        } else if (f.number == 2 && f.wire == PB_LEN) {
            buf_reset(d->text);
            if (!put_value(d->text, f.bytes, 0, false)) {
                return err_set(e, ERR_INPUT, "malformed attribute value");
            }
            out->value = arena_str(d->arena, buf_str(d->text));
            if (d->text->failed || !out->value.p) {
                return err_set(e, ERR_LIMIT, "no memory for an attribute");
            }
        }
    }
    return !p.failed || err_set(e, ERR_INPUT, "malformed attribute");
}

static int by_key(const void *a, const void *b)
{
    const struct otlp_attr *x = a;
    const struct otlp_attr *y = b;
    return str_cmp(x->key, y->key);
}

bool otlp_attrs_read(struct otlp_decoder *d, struct str message, uint32_t number,
                     struct otlp_attrs *out, struct err *e)
{
    struct pb p = pb_of(message);
    struct pb_field f;
    uint32_t n = 0;
    while (pb_next(&p, &f)) {
        n += f.number == number && f.wire == PB_LEN;
    }
    *out = (struct otlp_attrs){NULL, 0};
    if (p.failed) {
        return err_set(e, ERR_INPUT, "malformed request: a message cut short");
    }
    if (n > ATTRS_MAX) {
        return err_set(e, ERR_LIMIT, "more than %d attributes", ATTRS_MAX);
    }
    out->v = ARENA_ARRAY(d->arena, struct otlp_attr, n + 1);
    if (!out->v) {
        return err_set(e, ERR_LIMIT, "no memory for attributes");
    }
    p = pb_of(message);
    while (pb_next(&p, &f)) {
        if (f.number == number && f.wire == PB_LEN &&
            !read_pair(d, f.bytes, &out->v[out->n++], e)) {
            return false;
        }
    }
    if (out->n > 1) {
        qsort(out->v, out->n, sizeof *out->v, by_key);
    }
    return true;
}

struct str otlp_attr_get(const struct otlp_attrs *a, struct str key)
{
    for (uint32_t i = 0; i < a->n; i++) {
        if (str_eq(a->v[i].key, key)) {
            return a->v[i].value;
        }
    }
    return (struct str){NULL, 0};
}
