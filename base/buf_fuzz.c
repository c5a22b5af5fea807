/* Fuzz target: the bounded reader on any bytes, and the JSON string writer on any bytes.
 *
 * Input: one byte of choice per read, taken from the end, and the bytes that are read, from the
 * front. What was read is written again and must give the same bytes; a JSON string must be UTF-8,
 * without control bytes, and must decode to the input when that is UTF-8. */
#include "base/buf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reader(struct mem *m, const uint8_t *data, size_t size)
{
    struct buf b;
    buf_init(&b, m, size + 64);
    struct rd r = rd_of(str_of((const char *)data, size));
    size_t steps = 0;
    while (!r.failed && steps < size) {
        size_t left = rd_left(&r);
        struct buf before = b;
        switch (data[size - 1 - steps] % 7) {
        case 0: buf_u8(&b, rd_u8(&r)); break;
        case 1: buf_u16le(&b, rd_u16le(&r)); break;
        case 2: buf_u32le(&b, rd_u32le(&r)); break;
        case 3: buf_u64le(&b, rd_u64le(&r)); break;
        case 4: buf_f64le(&b, rd_f64le(&r)); break;
        case 5: buf_str_add(&b, rd_bytes(&r, data[size - 1 - steps])); break;
        default: {
            struct str s = rd_str32(&r);
            if (!r.failed) {
                buf_str32(&b, s);
            }
            break;
        }
        }
        steps++;
        if (r.failed) {
            b.n = before.n;
        } else {
            ASSERT(left - rd_left(&r) == b.n - before.n);
        }
    }
    ASSERT(!b.failed);
    ASSERT(b.n <= size);
    ASSERT(b.n == 0 || memcmp(b.p, data, b.n) == 0);
    if (r.failed) {
        ASSERT(rd_u64le(&r) == 0);
        ASSERT(rd_bytes(&r, 0).p == NULL);
    }
    buf_release(&b);
}

static unsigned hex_value(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Undoes buf_json_str; s has its quotes. */
static void json_decode(struct str s, struct buf *out)
{
    for (size_t i = 1; i + 1 < s.n; i++) {
        ASSERT((unsigned char)s.p[i] >= 0x20);
        ASSERT(s.p[i] != '"');
        if (s.p[i] != '\\') {
            buf_char(out, s.p[i]);
            continue;
        }
        i++;
        ASSERT(i + 1 < s.n);
        switch (s.p[i]) {
        case 'n': buf_char(out, '\n'); break;
        case 'r': buf_char(out, '\r'); break;
        case 't': buf_char(out, '\t'); break;
        case 'u':
            ASSERT(i + 5 < s.n);
            ASSERT(s.p[i + 1] == '0' && s.p[i + 2] == '0');
            buf_char(out, (char)(hex_value(s.p[i + 3]) * 16 + hex_value(s.p[i + 4])));
            i += 4;
            break;
        default: ASSERT(s.p[i] == '"' || s.p[i] == '\\'); buf_char(out, s.p[i]);
        }
    }
}

static void check_json(struct mem *m, struct str s)
{
    struct buf json, back;
    buf_init(&json, m, s.n * 6 + 2);
    buf_init(&back, m, s.n * 6 + 2);
    buf_json_str(&json, s);
    ASSERT(!json.failed);
    ASSERT(json.n >= 2 && json.p[0] == '"' && json.p[json.n - 1] == '"');
    ASSERT(str_is_utf8(buf_str(&json)));
    json_decode(buf_str(&json), &back);
    ASSERT(!back.failed);
    ASSERT(!str_is_utf8(s) || str_eq(buf_str(&back), s));
    /* One byte less must fail, and leave nothing behind. */
    struct buf small;
    buf_init(&small, m, json.n - 1);
    buf_json_str(&small, s);
    ASSERT(small.failed && small.n == 0);
    buf_release(&small);
    buf_release(&json);
    buf_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    mem_init(&m, 0);
    check_reader(&m, data, size);
    check_json(&m, str_of((const char *)data, size));
    ASSERT(m.bytes == 0);
    return 0;
}
