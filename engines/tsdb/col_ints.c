/* Columns of int64: start timestamps, and the times that many series share.
 *
 *     u8 COL_RAW        n x i64
 *     u8 COL_CONST_INT  zigzag
 *     u8 COL_INTS|...   col_steps.c
 *
 * A constant scrape interval leaves no residuals but the base; jitter leaves those of order 1; the
 * choice is col_steps.c's. Times are checked to ascend when they are decoded, because everything
 * that reads them searches in them. */
#include "engines/tsdb/col_priv_int.h"

bool col_ints_encode(struct col_scratch *s, const int64_t *v, uint32_t n, struct buf *out,
                     struct err *e)
{
    if (!col_scratch_room(s, n, e)) {
        return false;
    }
    if (n == 0) {
        buf_u8(out, COL_RAW);
        return buf_ok(out, e);
    }
    bool constant = true;
    for (uint32_t i = 1; i < n && constant; i++) {
        constant = v[i] == v[0];
    }
    unsigned char *p = s->room;
    if (constant) {
        *p++ = COL_CONST_INT;
        p = col_put_varint(p, col_zigzag(v[0]));
    } else {
        unsigned first;
        memcpy(s->ints[0], v, n * sizeof *v);
        p = col_steps_write(s, n, 0, true, false, p + 1, &first);
        s->room[0] = (unsigned char)first;
    }
    size_t bytes = (size_t)(p - s->room);
    ASSERT(bytes <= s->room_bytes);
    if (bytes < 1 + n * sizeof *v) {
        buf_add(out, s->room, bytes);
    } else {
        size_t n_before = out->n;
        buf_u8(out, COL_RAW);
        buf_add(out, v, n * sizeof *v);
        out->n = out->failed ? n_before : out->n;
    }
    return buf_ok(out, e);
}

bool col_ints_decode(struct col_scratch *s, struct str bytes, uint32_t n, int64_t *v, struct err *e)
{
    struct rd in = rd_of(bytes);
    if (!col_scratch_room(s, n, e)) {
        return false;
    }
    unsigned first = rd_u8(&in);
    if (first == COL_RAW) {
        struct str raw = rd_bytes(&in, n * sizeof *v);
        if (raw.n > 0) {
            memcpy(v, raw.p, raw.n);
        }
    } else if (first == COL_CONST_INT) {
        int64_t x = col_unzigzag(col_get_varint(&in));
        for (uint32_t i = 0; i < n; i++) {
            v[i] = x;
        }
    } else if ((first & (COL_INTS | COL_REF | COL_EXCEPTIONS)) == COL_INTS) {
        unsigned meaning = rd_u8(&in);
        if (in.failed || n == 0 || (meaning & ~(unsigned)(COL_UNIT | COL_LAST)) != 0) {
            return col_corrupt(e, "meaning");
        }
        int64_t *m;
        if (!col_steps_read(s, &in, first, meaning, n, 0, n, &m, e)) {
            return false;
        }
        memcpy(v, m, n * sizeof *v);
    } else {
        return col_corrupt(e, "unknown codec");
    }
    return (!in.failed && rd_left(&in) == 0) || col_corrupt(e, "length");
}

bool col_times_encode(struct col_scratch *s, const int64_t *t, uint32_t n, struct buf *out,
                      struct err *e)
{
    for (uint32_t i = 1; i < n; i++) {
        ASSERT_SLOW(t[i] > t[i - 1]);
    }
    return col_ints_encode(s, t, n, out, e);
}

bool col_times_decode(struct col_scratch *s, struct str bytes, uint32_t n, int64_t *t,
                      struct err *e)
{
    if (!col_ints_decode(s, bytes, n, t, e)) {
        return false;
    }
    bool ascend = true;
    for (uint32_t i = 1; i < n; i++) {
        ascend = ascend & (t[i] > t[i - 1]);
    }
    return ascend || col_corrupt(e, "times do not ascend");
}
