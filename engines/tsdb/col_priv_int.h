/* What the files of the column codecs share. Nobody outside col_*.c includes this.
 *
 *   col.c          the scratch memory
 *   col_values.c   doubles: constant, raw, or integers (decimals scaled, or the bits themselves)
 *   col_ints.c     int64 columns and times
 *   col_steps.c    integers -> residuals: unit, order of differences, neighbour
 *   col_resid.c    residuals -> bytes: chooses window and coder
 *   col_plan.c     which coder suits residuals
 *   col_pack.c     bit packing
 *   col_ans.c      entropy coding
 *   col_nhist.c    histograms */
#ifndef ENGINES_TSDB_COL_PRIV_INT_H
#define ENGINES_TSDB_COL_PRIV_INT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "engines/tsdb/col_int.h"

#define COL_VARINT_BYTES_MAX 10
/* Bytes that a column under construction may take at most, see col_scratch_room. */
#define COL_BYTES_PER_VALUE 32
#define COL_BYTES_EXTRA     1024

/* First byte of a column. Integer columns have COL_INTS set and their parts in the other bits. */
enum col_codec {
    COL_RAW = 0,       /* n x 8 bytes */
    COL_CONST = 1,     /* 8 bytes */
    COL_CONST_INT = 2, /* zigzag varint: a small whole number */
    COL_INTS = 0x80,
    COL_REF = 0x40,
    COL_ORDER_SHIFT = 4, /* 2 bits: 0, 1, 2 */
    COL_CODER_SHIFT = 2, /* 2 bits: enum col_coder */
    COL_EXCEPTIONS = 2,
    COL_PATCHES = 1,
};

enum col_coder { COL_PACKED, COL_FRAMES, COL_SYMBOLS };

/* Second byte of an integer column: what the integers mean. */
enum col_meaning {
    COL_DECIMALS_MAX = 15, /* 0..15: value = integer / 10^k */
    COL_MILLI = 16,        /* value = integer * 0.001: one rounding more than a division */
    COL_MICRO = 17,        /* value = integer * 1e-6 */
    COL_NANO = 18,         /* value = integer * 1e-9 */
    COL_MILLI_TWICE = 19,  /* value = integer / 1000 / 1000 */
    COL_SCALES = 20,
    COL_BITS = 31, /* value = the bits, rotated left by one */
    COL_MEANING_MASK = 31,
    COL_UNIT = 32, /* a unit follows */
    COL_LAST = 64, /* the last sum follows */
};

/* Vectors of four. Loops over them may run into the slack of our own arrays, not of the
 * caller's. */
typedef int64_t col_v4i __attribute__((vector_size(32), aligned(8), may_alias));
typedef uint64_t col_v4u __attribute__((vector_size(32), aligned(8), may_alias));
typedef double col_v4d __attribute__((vector_size(32), aligned(8), may_alias));
/* Two versions of a loop, chosen when the program starts. Not under the thread sanitizer, whose
 * runtime is not there yet when the choice is made. */
#if defined(__SANITIZE_THREAD__)
#    define COL_CLONES
#    define COL_CLONES_BMI2
#else
#    define COL_CLONES      __attribute__((target_clones("avx2", "default")))
#    define COL_CLONES_BMI2 __attribute__((target_clones("bmi2", "default")))
#endif

#define COL_ANS_LOG_MAX     10 /* of the table's size */
#define COL_ANS_SYMBOLS_MAX 32
#define COL_FRAME           128
#define COL_FRAMES_MAX      (COL_VALUES_MAX / COL_FRAME)
_Static_assert(COL_VALUES_MAX % COL_FRAME == 0, "frames");

/* Tables of col_ans.c; here because clearing them for each column would cost more than using
 * them. */
struct col_ans {
    uint32_t table[1u << COL_ANS_LOG_MAX]; /* decoding */
    uint16_t next[1u << COL_ANS_LOG_MAX];  /* encoding: the state after */
    unsigned char places[1u << COL_ANS_LOG_MAX];
    uint32_t bits_add[COL_ANS_SYMBOLS_MAX];
    int32_t next_add[COL_ANS_SYMBOLS_MAX];
    unsigned char *symbols; /* owns, as many as the scratch has values: what to encode */
    uint16_t *steps;        /* owns: the bits of each */
};

struct col_scratch {
    struct mem *mem;     /* borrows */
    int64_t *ints[3];    /* owns, each `cap` elements */
    size_t cap;          /* with COL_SLACK */
    unsigned char *room; /* owns: a column under construction, or a padded copy of packed bits */
    size_t room_bytes;
    uint64_t frame_lo[COL_FRAMES_MAX], frame_hi[COL_FRAMES_MAX];
    struct col_ans ans;
    bool quick; /* col_scratch_quick */
};

/* Room for n integers in each array and for a column of n values in `room`. */
MUST_USE bool col_scratch_room(struct col_scratch *s, uint32_t n, struct err *e);

bool col_corrupt(struct err *e, const char *what); /* ERR_CORRUPT, "damaged column: ..." */

static inline unsigned char *col_put_varint(unsigned char *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        *p++ = (unsigned char)(v | 0x80);
    }
    *p++ = (unsigned char)v;
    return p;
}

static inline uint64_t col_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t col_unzigzag(uint64_t u)
{
    return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

/* Sets r->failed at the end of the bytes or when the number does not end. */
uint64_t col_get_long_varint(struct rd *r);
static inline uint64_t col_get_varint(struct rd *r)
{
    if (r->p < r->end && *r->p < 0x80) {
        return *r->p++;
    }
    return col_get_long_varint(r);
}

/* Bits needed for v; 0 for 0. */
static inline unsigned col_bitlen(uint64_t v)
{
    return v == 0 ? 0 : 64u - (unsigned)__builtin_clzll(v);
}

/* Wrapping arithmetic: residuals of any int64 come back whatever overflows in between. */
static inline int64_t col_sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline int64_t col_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* --- col_pack.c: n numbers of w bits (0..64), least significant bit first --------------------- */

static inline size_t col_packed_bytes(size_t n, unsigned w)
{
    return (n * w + 7) / 8;
}
/* Values above w bits are the caller's to avoid. Writes up to 8 bytes behind the end; returns the
 * end. */
unsigned char *col_pack(const uint64_t *x, size_t n, unsigned w, unsigned char *to);
/* out[i] = base + x[i]. Reads up to 64 bytes behind the packed bytes; writes up to 7 numbers behind
 * the n. */
void col_unpack(const unsigned char *from, size_t n, unsigned w, uint64_t base, int64_t *out);

/* --- col_ans.c: small symbols by entropy ------------------------------------------------------ */

/* The table size that fits n symbols of which the most frequent one occurs `top` times. */
unsigned col_ans_log(uint32_t n, uint32_t top);
/* Writes x->symbols[0..n), all below `symbols`; counts says how often each occurs. n >= 4. */
unsigned char *col_ans_write(struct col_ans *x, uint32_t n, const uint32_t *counts,
                             unsigned symbols, unsigned log, unsigned char *to);
/* out[i] += symbol << shift. Uses s->room. */
MUST_USE bool col_ans_read(struct col_scratch *s, struct rd *in, uint32_t n, unsigned shift,
                           int64_t *out, struct err *e);

/* --- col_plan.c: which coder, which window ---------------------------------------------------- */

struct col_plan {
    uint64_t bits; /* estimated */
    enum col_coder coder;
    unsigned width;   /* of the bits that are packed; with COL_SYMBOLS those below the symbol */
    unsigned symbols; /* with COL_SYMBOLS */
    bool patches;     /* some residuals are outside the window */
    uint64_t base;    /* where the window begins */
};
/* n > 0. With COL_FRAMES, s->frame_lo and _hi are the bounds of each frame. */
void col_plan(struct col_scratch *s, const int64_t *r, uint32_t n, struct col_plan *out);

/* --- col_resid.c ------------------------------------------------------------------------------ */

/* Writes r[0..n) at `to` (inside s->room) and returns the end; *first gets the coder and
 * COL_PATCHES. r is used up. */
unsigned char *col_resid_write(struct col_scratch *s, int64_t *r, uint32_t n, unsigned char *to,
                               unsigned *first);
/* Residuals [lo, hi) of the n: *out says where in `room`, which has COL_SLACK more than n, they
 * are. `in` moves past all of them. */
MUST_USE bool col_resid_read(struct col_scratch *s, struct rd *in, unsigned first, uint32_t n,
                             uint32_t lo, uint32_t hi, int64_t *room, int64_t **out, struct err *e);

/* --- col_steps.c ------------------------------------------------------------------------------ */

/* Writes the integers s->ints[0][0..n), n > 0, from their second byte on; with ref those minus
 * s->ints[1] when that is smaller. *first gets all parts but COL_EXCEPTIONS. wraps: the integers
 * may use all 64 bits. Returns the end. */
unsigned char *col_steps_write(struct col_scratch *s, uint32_t n, unsigned meaning, bool wraps,
                               bool ref, unsigned char *to, unsigned *first);
/* The other way, after the second byte was read: integers [lo, hi), *m says where in s->ints[0].
 * With COL_REF the caller adds the neighbour's. */
MUST_USE bool col_steps_read(struct col_scratch *s, struct rd *in, unsigned first, unsigned meaning,
                             uint32_t n, uint32_t lo, uint32_t hi, int64_t **m, struct err *e);

#endif
