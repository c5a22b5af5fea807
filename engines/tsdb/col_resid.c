/* Residuals as bytes. After the differences of col_steps.c most numbers lie close together; they
 * are written as places in the window that col_plan.c found, with few bits, and what lies outside
 * is patched.
 *
 *   packed   u8 width, zigzag base, n x width bits, patches: r = base + x
 *   frames   zigzag base, then per frame of 128: u8 width, varint low; then the bits of each frame:
 *            r = base + low + x. For columns whose spread changes.
 *   symbols  u8 width, zigzag base, n x width bits, col_ans.c's bytes, patches:
 *            r = base + (symbol << width) + x
 *   patches  (COL_PATCHES) varint count, then per patch: varint places after the patch before,
 *            zigzag r - base. A width of 0 with patches is the form for mostly equal residuals.
 *
 * Invariant: decoding reads each byte once, and every patch takes at least two. Source of patching:
 * Zukowski et al., ICDE 2006 (PFOR). */
#include "engines/tsdb/col_priv_int.h"

/* Last place in the window, counted from the base. */
static uint64_t window_max(const struct col_plan *p)
{
    if (p->coder == COL_SYMBOLS) {
        uint64_t end = (uint64_t)p->symbols << p->width;
        return end >> p->width == p->symbols ? end - 1 : UINT64_MAX;
    }
    return p->width == 64 ? UINT64_MAX : ((uint64_t)1 << p->width) - 1;
}

/* Turns r into places in the window, 0 where it is outside; those become patches, written at `to`.
 * Returns their end and *count. */
static unsigned char *put_patches(int64_t *r, uint32_t n, const struct col_plan *p,
                                  unsigned char *to, uint32_t *count)
{
    uint64_t *x = (uint64_t *)r;
    uint64_t max = window_max(p);
    uint32_t next = 0;
    *count = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t d = x[i] - p->base;
        if (d > max) {
            to = col_put_varint(to, i - next);
            to = col_put_varint(to, col_zigzag((int64_t)d));
            next = i + 1;
            (*count)++;
            d = 0;
        }
        x[i] = d;
    }
    return to;
}

static unsigned char *put_frames(const struct col_scratch *s, int64_t *r, uint32_t n, uint64_t base,
                                 unsigned char *to)
{
    uint64_t *x = (uint64_t *)r;
    for (uint32_t f = 0; f * COL_FRAME < n; f++) {
        *to++ = (unsigned char)col_bitlen(s->frame_hi[f] - s->frame_lo[f]);
        to = col_put_varint(to, s->frame_lo[f] - base);
    }
    for (uint32_t f = 0; f * COL_FRAME < n; f++) {
        uint32_t count = n - f * COL_FRAME < COL_FRAME ? n - f * COL_FRAME : COL_FRAME;
        unsigned w = col_bitlen(s->frame_hi[f] - s->frame_lo[f]);
        for (uint32_t i = 0; i < count; i++) {
            x[f * COL_FRAME + i] -= s->frame_lo[f];
        }
        to = col_pack(x + f * COL_FRAME, count, w, to);
    }
    return to;
}

static unsigned char *put_symbols(struct col_scratch *s, int64_t *r, uint32_t n,
                                  const struct col_plan *p, unsigned char *to)
{
    uint64_t *x = (uint64_t *)r;
    uint64_t low = ((uint64_t)1 << p->width) - 1;
    uint32_t counts[COL_ANS_SYMBOLS_MAX] = {0};
    uint32_t top = 0;
    for (uint32_t i = 0; i < n; i++) {
        unsigned char symbol = (unsigned char)(x[i] >> p->width);
        s->ans.symbols[i] = symbol;
        counts[symbol]++;
        x[i] &= low;
    }
    for (unsigned i = 0; i < p->symbols; i++) {
        top = counts[i] > top ? counts[i] : top;
    }
    to = col_pack(x, n, p->width, to);
    return col_ans_write(&s->ans, n, counts, p->symbols, col_ans_log(n, top), to);
}

unsigned char *col_resid_write(struct col_scratch *s, int64_t *r, uint32_t n, unsigned char *to,
                               unsigned *first)
{
    struct col_plan p = {.coder = COL_PACKED};
    if (n > 0) {
        col_plan(s, r, n, &p);
    }
    *first = (unsigned)p.coder << COL_CODER_SHIFT;
    if (p.coder == COL_FRAMES) {
        to = col_put_varint(to, col_zigzag((int64_t)p.base));
        return put_frames(s, r, n, p.base, to);
    }
    /* The patches are found first, but stand last, so that readers meet them when they can be
     * applied: they wait in the upper half of the room. */
    uint32_t patches;
    unsigned char *list = s->room + s->room_bytes / 2;
    size_t list_bytes = (size_t)(put_patches(r, n, &p, list, &patches) - list);
    *to++ = (unsigned char)p.width;
    to = col_put_varint(to, col_zigzag((int64_t)p.base));
    to = p.coder == COL_SYMBOLS ? put_symbols(s, r, n, &p, to)
                                : col_pack((const uint64_t *)r, n, p.width, to);
    ASSERT(to <= list);
    if (patches > 0) {
        *first |= COL_PATCHES;
        to = col_put_varint(to, patches);
        memmove(to, list, list_bytes);
        to += list_bytes;
    }
    return to;
}

/* --- decoding --------------------------------------------------------------------------------- */

/* Numbers [lo, hi) of the n that are packed with w bits, each plus base: from *out on, in `room`.
 * The bits are copied to where reading behind their end does no harm. */
static bool get_packed(struct col_scratch *s, struct rd *in, uint32_t n, unsigned w, uint32_t lo,
                       uint32_t hi, uint64_t base, int64_t *room, int64_t **out)
{
    const unsigned char *bits = rd_take(in, col_packed_bytes(n, w));
    const uint32_t whole = lo & ~7u; /* eight numbers end with a byte */
    const size_t skip = (size_t)(whole / 8) * w;
    *out = room + (lo - whole);
    if (bits == NULL) {
        return false;
    }
    if (hi <= lo) {
        return true;
    }
    const size_t bytes = col_packed_bytes(hi, w) - skip;
    ASSERT(bytes + COL_SLACK <= s->room_bytes);
    memcpy(s->room, bits + skip, bytes);
    col_unpack(s->room, hi - whole, w, base, room);
    return true;
}

/* Whole frames; those without a number of [lo, hi) are passed over. */
static bool get_frames(struct col_scratch *s, struct rd *in, uint32_t n, uint32_t lo, uint32_t hi,
                       int64_t *room, struct err *e)
{
    uint64_t *widths = s->frame_hi;
    uint64_t *lows = s->frame_lo;
    uint64_t base = (uint64_t)col_unzigzag(col_get_varint(in));
    for (uint32_t f = 0; f * COL_FRAME < n; f++) {
        widths[f] = rd_u8(in);
        lows[f] = col_get_varint(in);
        if (in->failed || widths[f] > 64) {
            return col_corrupt(e, "frame");
        }
    }
    for (uint32_t f = 0; f * COL_FRAME < n; f++) {
        uint32_t from = f * COL_FRAME;
        uint32_t count = n - from < COL_FRAME ? n - from : COL_FRAME;
        bool used = from < hi && from + count > lo;
        int64_t *out;
        if (!get_packed(s, in, count, (unsigned)widths[f], 0, used ? count : 0, base + lows[f],
                        room + from, &out)) {
            return col_corrupt(e, "frame is short");
        }
    }
    return true;
}

/* out: those from lo on, up to hi. */
static bool apply_patches(struct rd *in, uint64_t base, uint32_t n, uint32_t lo, uint32_t hi,
                          int64_t *out)
{
    uint64_t at = 0;
    uint64_t patches = col_get_varint(in);
    for (uint64_t i = 0; i < patches && !in->failed; i++) {
        uint64_t gap = col_get_varint(in);
        uint64_t d = (uint64_t)col_unzigzag(col_get_varint(in));
        if (gap >= n || at + gap >= n) {
            return false;
        }
        at += gap;
        if (at >= lo && at < hi) {
            out[at - lo] = (int64_t)(base + d);
        }
        at++;
    }
    return !in->failed;
}

bool col_resid_read(struct col_scratch *s, struct rd *in, unsigned first, uint32_t n, uint32_t lo,
                    uint32_t hi, int64_t *room, int64_t **out, struct err *e)
{
    unsigned coder = (first >> COL_CODER_SHIFT) & 3;
    if (coder == COL_FRAMES) {
        *out = room + lo;
        return (first & COL_PATCHES) == 0 ? get_frames(s, in, n, lo, hi, room, e)
                                          : col_corrupt(e, "patched frames");
    }
    if (coder != COL_PACKED && coder != COL_SYMBOLS) {
        return col_corrupt(e, "unknown coder");
    }
    unsigned width = rd_u8(in);
    uint64_t base = (uint64_t)col_unzigzag(col_get_varint(in));
    if (in->failed || width > 64 || (coder == COL_SYMBOLS && width == 64)) {
        return col_corrupt(e, "width");
    }
    const uint32_t from = coder == COL_SYMBOLS ? 0 : lo; /* one symbol needs the one before */
    const uint32_t to = coder == COL_SYMBOLS ? n : hi;
    if (!get_packed(s, in, n, width, from, to, base, room, out)) {
        return col_corrupt(e, "packed bits are short");
    }
    if (coder == COL_SYMBOLS) {
        if (!col_ans_read(s, in, n, width, room, e)) {
            return false;
        }
        *out = room + lo;
    }
    return (first & COL_PATCHES) == 0 || apply_patches(in, base, n, lo, hi, *out) ||
           col_corrupt(e, "patch");
}
