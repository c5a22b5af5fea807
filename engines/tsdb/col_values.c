/* Doubles as columns, bit for bit.
 *
 *     u8 COL_RAW        n x f64
 *     u8 COL_CONST      f64
 *     u8 COL_CONST_INT  zigzag
 *     u8 COL_INTS|...   col_steps.c, then with COL_EXCEPTIONS:
 *                         varint runs, per run: varint (places after the run before) * 2 + new,
 *                         varint length - 1, with `new` the f64 (else that of the run before; at
 *                         first the stale NaN)
 *
 * Most metrics are whole numbers or decimals of few digits, and arithmetic on them as integers is
 * exact where arithmetic on doubles is not. So v becomes the integer m = round(v * 10^k) when m /
 * 10^k gives v back, every bit of it: k is found on a few values and proven on all. Values that
 * cannot take part (NaN, the stale mark, infinities, -0, a digit too many) are exceptions; their
 * place is filled with the integer before. When exceptions would be many, the column is one of full
 * doubles: then the bits themselves are the integers, rotated so that the sign comes last and order
 * within one sign is kept. Before that a few usual computations are tried that are not a division
 * by a power of ten, and so give doubles that no decimal of few digits names: exporters turn kernel
 * milliseconds into seconds by * 0.001, and microseconds by / 1000 / 1000.
 *
 * Invariant: |m| < 2^51, so that conversion both ways and the division by 10^k (k <= 15, a power
 * that a double holds exactly) have one rounding in all, and decoding repeats it exactly.
 * Source: Afroozeh, Kuffo, Boncz, ALP: Adaptive Lossless floating-Point Compression, SIGMOD 2024;
 * Clinger, How to Read Floating Point Numbers Accurately, PLDI 1990. */
#include "engines/tsdb/col_priv_int.h"

#include <math.h>

#define INTEGER_MAX    0x1.0p51
#define ROUNDER        0x1.8p52 /* added and taken away, it rounds |x| < 2^51 to an integer */
#define ROUNDER_BITS   0x4338000000000000ull /* the sum's bits minus these are that integer */
#define PROBES         8
#define K_TRIES        3
#define CONST_INT_MAX  0x1.0p48
#define EXCEPTION_BITS 80

/* value = integer, made smaller in one of four ways; `up` makes it larger, about. */
struct scale {
    enum { AS_IT_IS, DIVIDED, MULTIPLIED, DIVIDED_TWICE } how;
    double up, by;
};

static const struct scale scales[COL_SCALES] = {
    {AS_IT_IS, 1, 1},          {DIVIDED, 1e1, 1e1},       {DIVIDED, 1e2, 1e2},
    {DIVIDED, 1e3, 1e3},       {DIVIDED, 1e4, 1e4},       {DIVIDED, 1e5, 1e5},
    {DIVIDED, 1e6, 1e6},       {DIVIDED, 1e7, 1e7},       {DIVIDED, 1e8, 1e8},
    {DIVIDED, 1e9, 1e9},       {DIVIDED, 1e10, 1e10},     {DIVIDED, 1e11, 1e11},
    {DIVIDED, 1e12, 1e12},     {DIVIDED, 1e13, 1e13},     {DIVIDED, 1e14, 1e14},
    {DIVIDED, 1e15, 1e15},     {MULTIPLIED, 1e3, 0.001},  {MULTIPLIED, 1e6, 0.000001},
    {MULTIPLIED, 1e9, 1.0e-9}, {DIVIDED_TWICE, 1e6, 1e3},
};

static uint64_t bits_of(double v)
{
    uint64_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static double scaled_down(double m, const struct scale *sc)
{
    switch (sc->how) {
    case DIVIDED: return m / sc->by;
    case MULTIPLIED: return m * sc->by;
    case DIVIDED_TWICE: return m / sc->by / sc->by;
    case AS_IT_IS: break;
    }
    return m;
}

/* The integer of v at a scale; false when v would not come back. */
static bool to_integer(double v, const struct scale *sc, int64_t *m)
{
    double scaled = v * sc->up;
    double rounded = (scaled + ROUNDER) - ROUNDER;
    *m = 0;
    if (!(fabs(scaled) < INTEGER_MAX)) {
        return false;
    }
    *m = (int64_t)rounded;
    return bits_of(scaled_down((double)*m, sc)) == bits_of(v);
}

/* Fewest decimals of v from k on, or COL_BITS. */
static unsigned decimals_of(double v, unsigned k)
{
    int64_t m;
    for (; k <= COL_DECIMALS_MAX; k++) {
        if (to_integer(v, &scales[k], &m)) {
            return k;
        }
    }
    return COL_BITS;
}

static bool special(double v)
{
    return !isfinite(v) || (v == 0.0 && signbit(v));
}

/* A guess of k from a few values; COL_BITS when they are full doubles. */
static unsigned guess_decimals(const double *v, uint32_t n)
{
    unsigned k = 0;
    uint32_t full = 0;
    uint32_t probes = n < PROBES ? n : PROBES;
    for (uint32_t i = 0; i < probes && full < 2; i++) {
        double x = v[(uint64_t)i * n / probes];
        unsigned need = special(x) ? k : decimals_of(x, k);
        if (need == COL_BITS) {
            full++;
        } else {
            k = need;
        }
    }
    return full >= 2 || (full == 1 && probes == 1) ? COL_BITS : k;
}

/* Integers of blocks of 16 values from `from` on, as long as all of a block fit; returns where it
 * stopped. */
COL_CLONES static uint32_t whole_blocks(const double *v, uint32_t from, uint32_t n,
                                        const struct scale *sc, int64_t *m)
{
    uint32_t i = from;
    for (; i + 16 <= n; i += 16) {
        col_v4i good = {-1, -1, -1, -1};
        for (uint32_t j = i; j < i + 16; j += 4) {
            col_v4d x = *(const col_v4d *)(v + j);
            col_v4d scaled = x * sc->up;
            col_v4d sum = scaled + ROUNDER;
            col_v4d back = sum - ROUNDER;
            if (sc->how == MULTIPLIED) {
                back *= sc->by;
            } else if (sc->how != AS_IT_IS) {
                back /= sc->by;
            }
            if (sc->how == DIVIDED_TWICE) {
                back /= sc->by;
            }
            good &=
                (scaled < INTEGER_MAX) & (scaled > -INTEGER_MAX) & ((col_v4i)back == (col_v4i)x);
            *(col_v4i *)(m + j) = (col_v4i)((col_v4u)sum - ROUNDER_BITS);
        }
        if ((good[0] & good[1] & good[2] & good[3]) == 0) {
            break;
        }
    }
    return i;
}

/* Integers of all values; the number that did not fit, whose places hold the integer before, and
 * the first of them that is a usual number. */
static uint32_t all_integers(const double *v, uint32_t n, const struct scale *sc, int64_t *m,
                             uint32_t *odd)
{
    uint32_t misfits = 0;
    *odd = n;
    for (uint32_t i = 0; i < n;) {
        i = whole_blocks(v, i, n, sc, m);
        for (uint32_t end = n - i < 16 ? n : i + 16; i < end; i++) {
            if (!to_integer(v[i], sc, &m[i])) {
                m[i] = i > 0 ? m[i - 1] : 0;
                misfits++;
                if (*odd == n && !special(v[i])) {
                    *odd = i;
                }
            }
        }
    }
    return misfits;
}

/* A scale beyond the decimals that all probes fit, or COL_BITS. */
static unsigned guess_scale(const double *v, uint32_t n)
{
    uint32_t probes = n < PROBES ? n : PROBES;
    for (unsigned k = COL_DECIMALS_MAX + 1; k < COL_SCALES; k++) {
        bool fit = true;
        for (uint32_t i = 0; i < probes && fit; i++) {
            int64_t m;
            double x = v[(uint64_t)i * n / probes];
            fit = special(x) || to_integer(x, &scales[k], &m);
        }
        if (fit) {
            return k;
        }
    }
    return COL_BITS;
}

/* Fills m; returns what the integers mean. */
static unsigned make_integers(const double *v, uint32_t n, int64_t *m, uint32_t *misfits)
{
    unsigned k = guess_decimals(v, n);
    uint32_t odd = n;
    *misfits = 0;
    for (uint32_t tries = 0; k != COL_BITS; tries++) {
        *misfits = all_integers(v, n, &scales[k], m, &odd);
        unsigned more = odd < n && tries < K_TRIES ? decimals_of(v[odd], k + 1) : COL_BITS;
        if (more == COL_BITS) {
            break;
        }
        k = more;
    }
    if (k == COL_BITS || *misfits > n / 64) {
        unsigned other = guess_scale(v, n);
        uint32_t less = other != COL_BITS ? all_integers(v, n, &scales[other], m, &odd) : n;
        if (k == COL_BITS || less < *misfits) {
            k = other;
            *misfits = less;
        } else if (other != COL_BITS) {
            *misfits = all_integers(v, n, &scales[k], m, &odd);
        }
    }
    /* Against full doubles, which take 6 to 8 bytes: about one exception in eight is too many. */
    uint32_t many = n / 8 + 1;
    if (k != COL_BITS && *misfits <= many && *misfits < n) {
        return k;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t b = bits_of(v[i]);
        m[i] = (int64_t)(b << 1 | b >> 63);
    }
    *misfits = 0;
    return COL_BITS;
}

/* A neighbour's integer; what is too large or no number counts as 0. */
static int64_t integer_of(double ref)
{
    const bool fits = ref < INTEGER_MAX && ref > -INTEGER_MAX;
    return fits ? (int64_t)(bits_of(ref + ROUNDER) - ROUNDER_BITS) : 0;
}

COL_CLONES static void ref_integers(const double *ref, uint32_t n, int64_t *out)
{
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        col_v4d x = *(const col_v4d *)(ref + i);
        col_v4i fits = (x < INTEGER_MAX) & (x > -INTEGER_MAX);
        col_v4i m = (col_v4i)((col_v4u)(x + ROUNDER) - ROUNDER_BITS);
        *(col_v4i *)(out + i) = m & fits;
    }
    for (; i < n; i++) {
        out[i] = integer_of(ref[i]);
    }
}

static unsigned char *put_f64(unsigned char *to, double v)
{
    put_u64le(to, bits_of(v));
    return to + sizeof v;
}

/* Runs of equal values among those that m does not give back. */
static unsigned char *put_exceptions(const double *v, uint32_t n, unsigned k, unsigned char *to)
{
    const struct scale *sc = &scales[k];
    uint64_t before = STALE_NAN_BITS;
    uint32_t next = 0;
    uint32_t runs = 0;
    unsigned char *list = to + COL_VARINT_BYTES_MAX;
    unsigned char *p = list;
    for (uint32_t i = 0; i < n; i++) {
        int64_t m;
        if (to_integer(v[i], sc, &m)) {
            continue;
        }
        uint64_t b = bits_of(v[i]);
        uint32_t end = i + 1;
        while (end < n && bits_of(v[end]) == b) {
            end++;
        }
        p = col_put_varint(p, (uint64_t)(i - next) << 1 | (b != before));
        p = col_put_varint(p, end - i - 1);
        if (b != before) {
            p = put_f64(p, v[i]);
        }
        before = b;
        next = end;
        i = end - 1;
        runs++;
    }
    to = col_put_varint(to, runs);
    memmove(to, list, (size_t)(p - list));
    return to + (p - list);
}

static bool constant(const double *v, uint32_t n)
{
    uint64_t b = bits_of(v[0]);
    uint64_t other = 0;
    for (uint32_t i = 1; i < n && other == 0; i++) {
        other = bits_of(v[i]) ^ b;
    }
    return other == 0;
}

static void put_constant(double v, struct buf *out)
{
    unsigned char bytes[1 + COL_VARINT_BYTES_MAX];
    unsigned char *p = bytes;
    int64_t m;
    if (to_integer(v, &scales[0], &m) && fabs(v) < CONST_INT_MAX) {
        *p++ = COL_CONST_INT;
        p = col_put_varint(p, col_zigzag(m));
    } else {
        *p++ = COL_CONST;
        p = put_f64(p, v);
    }
    buf_add(out, bytes, (size_t)(p - bytes));
}

bool col_values_encode(struct col_scratch *s, const double *v, const double *ref, uint32_t n,
                       struct buf *out, struct err *e)
{
    if (!col_scratch_room(s, n, e)) {
        return false;
    }
    if (n == 0) {
        buf_u8(out, COL_RAW);
        return buf_ok(out, e);
    }
    if (constant(v, n)) {
        put_constant(v[0], out);
        return buf_ok(out, e);
    }
    uint32_t misfits;
    unsigned first;
    unsigned meaning = make_integers(v, n, s->ints[0], &misfits);
    bool with_ref = ref != NULL && meaning == 0;
    if (with_ref) {
        ref_integers(ref, n, s->ints[1]);
    }
    unsigned char *p =
        col_steps_write(s, n, meaning, meaning == COL_BITS, with_ref, s->room + 1, &first);
    if (misfits > 0) {
        first |= COL_EXCEPTIONS;
        p = put_exceptions(v, n, meaning, p);
    }
    s->room[0] = (unsigned char)first;
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

bool col_values_uses_ref(struct str bytes)
{
    return bytes.n > 0 &&
           ((unsigned char)bytes.p[0] & (COL_INTS | COL_REF)) == (COL_INTS | COL_REF);
}

/* --- decoding --------------------------------------------------------------------------------- */

/* v has slack. Integers of columns that we wrote are below 2^51, and so convert by adding bits;
 * from damaged ones any double may come. */
COL_CLONES static void from_integers(const int64_t *m, uint32_t n, unsigned meaning, double *v)
{
    if (meaning == COL_BITS) {
        for (uint32_t i = 0; i < n; i += 4) {
            col_v4u b = *(const col_v4u *)(m + i);
            *(col_v4u *)(v + i) = b >> 1 | b << 63;
        }
        return;
    }
    const struct scale sc = scales[meaning];
    for (uint32_t i = 0; i < n; i += 4) {
        col_v4d x = (col_v4d)(*(const col_v4u *)(m + i) + ROUNDER_BITS) - ROUNDER;
        if (sc.how == MULTIPLIED) {
            x *= sc.by;
        } else if (sc.how != AS_IT_IS) {
            x /= sc.by;
        }
        if (sc.how == DIVIDED_TWICE) {
            x /= sc.by;
        }
        *(col_v4d *)(v + i) = x;
    }
}

/* The same for whole numbers that lack their neighbour's (ref_integers). */
COL_CLONES static void from_distances(const int64_t *m, const double *ref, uint32_t n, double *v)
{
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        col_v4d x = *(const col_v4d *)(ref + i);
        col_v4i fits = (x < INTEGER_MAX) & (x > -INTEGER_MAX);
        col_v4u near = (col_v4u)((col_v4i)((col_v4u)(x + ROUNDER) - ROUNDER_BITS) & fits);
        *(col_v4d *)(v + i) = (col_v4d)(*(const col_v4u *)(m + i) + near + ROUNDER_BITS) - ROUNDER;
    }
    for (; i < n; i++) {
        const uint64_t sum = (uint64_t)m[i] + (uint64_t)integer_of(ref[i]) + ROUNDER_BITS;
        double x;
        memcpy(&x, &sum, sizeof x);
        v[i] = x - ROUNDER;
    }
}

/* v: the places from lo on, up to hi. */
static bool get_exceptions(struct rd *in, uint32_t n, uint32_t lo, uint32_t hi, double *v,
                           struct err *e)
{
    uint64_t runs = col_get_varint(in);
    uint64_t at = 0;
    double x = stale_nan();
    if (in->failed || runs > n) {
        return col_corrupt(e, "number of exceptions");
    }
    for (uint64_t i = 0; i < runs; i++) {
        uint64_t head = col_get_varint(in);
        uint64_t length = col_get_varint(in);
        if ((head & 1) != 0) {
            x = rd_f64le(in);
        }
        head >>= 1;
        if (in->failed || head >= n || length >= n || at + head + length >= n) {
            return col_corrupt(e, "exception");
        }
        at += head;
        for (uint64_t end = at + length; at <= end; at++) {
            if (at >= lo && at < hi) {
                v[at - lo] = x;
            }
        }
    }
    return true;
}

static bool decode_ints(struct col_scratch *s, struct rd *in, unsigned first, const double *ref,
                        uint32_t n, uint32_t lo, uint32_t hi, double *v, struct err *e)
{
    unsigned second = rd_u8(in);
    unsigned meaning = second & COL_MEANING_MASK;
    int64_t *m;
    if (in->failed || (meaning >= COL_SCALES && meaning != COL_BITS) ||
        second > (COL_MEANING_MASK | COL_UNIT | COL_LAST)) {
        return col_corrupt(e, "meaning");
    }
    const bool distances = (first & COL_REF) != 0;
    if (distances && (ref == NULL || meaning != 0)) {
        return col_corrupt(e, "the neighbour is missing, or the values are no whole numbers");
    }
    if (!col_steps_read(s, in, first, second, n, lo, hi, &m, e)) {
        return false;
    }
    if (distances) {
        from_distances(m, ref, hi - lo, v);
    } else {
        from_integers(m, hi - lo, meaning, v);
    }
    return (first & COL_EXCEPTIONS) == 0 || get_exceptions(in, n, lo, hi, v, e);
}

static void get_raw(struct rd *in, uint32_t n, uint32_t lo, uint32_t hi, double *v)
{
    const unsigned char *raw = rd_take(in, n * sizeof *v);
    if (raw != NULL && hi > lo) {
        memcpy(v, raw + lo * sizeof *v, (hi - lo) * sizeof *v);
    }
}

static void get_constant(struct rd *in, bool whole, uint32_t n, double *v)
{
    const double x = whole ? (double)col_unzigzag(col_get_varint(in)) : rd_f64le(in);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = x;
    }
}

bool col_values_decode_part(struct col_scratch *s, struct str bytes, const double *ref, uint32_t n,
                            uint32_t lo, uint32_t hi, double *v, struct err *e)
{
    struct rd in = rd_of(bytes);
    ASSERT(lo <= hi && hi <= n);
    if (!col_scratch_room(s, n, e)) {
        return false;
    }
    unsigned first = rd_u8(&in);
    if ((first & COL_INTS) != 0) {
        if (n == 0) {
            return col_corrupt(e, "meaning");
        }
        if (lo == hi) { /* nothing is asked for */
            return true;
        }
        if (!decode_ints(s, &in, first, ref, n, lo, hi, v, e)) {
            return false;
        }
    } else if (first == COL_RAW) {
        get_raw(&in, n, lo, hi, v);
    } else if (first == COL_CONST || first == COL_CONST_INT) {
        get_constant(&in, first == COL_CONST_INT, hi - lo, v);
    } else {
        return col_corrupt(e, "unknown codec");
    }
    return (!in.failed && rd_left(&in) == 0) || col_corrupt(e, "length");
}

bool col_values_decode(struct col_scratch *s, struct str bytes, const double *ref, uint32_t n,
                       double *v, struct err *e)
{
    return col_values_decode_part(s, bytes, ref, n, 0, n, v, e);
}
