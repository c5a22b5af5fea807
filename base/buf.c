/* The growing buffer, the writers of text and JSON numbers, and the bounded reader.
 *
 * Every writer is all or nothing: it reserves its room first, or puts b->n back when a part did not
 * fit, so that a failed buffer still holds whole values only. Growth doubles, up to bytes_max.
 *
 * Doubles: integers and numbers with few decimals are printed without the C library. For k decimals
 * the candidate m = round(v * 10^k) is taken when m / 10^k == v; with m < 2^53 and k <= 15 that
 * division is exact in the sense of Clinger (see str.c), so the text reads back as v. The rest is
 * tried with 15, 16 and 17 digits.
 *
 * Invariant: n <= cap <= bytes_max; p owns cap bytes. */
#include "base/buf.h"

#include "base/utf8_int.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_BYTES_MIN  ((size_t)64)
#define FMT_BYTES_FAST 512
#define U64_DIGITS_MAX 20
#define F64_BYTES_MAX  40

void buf_init(struct buf *b, struct mem *m, size_t bytes_max)
{
    *b = (struct buf){.mem = m, .bytes_max = bytes_max};
}

void buf_release(struct buf *b)
{
    mem_give(b->mem, b->p, b->cap);
    buf_init(b, b->mem, b->bytes_max);
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

bool buf_ok(const struct buf *b, struct err *e)
{
    if (b->failed) {
        return err_set(e, ERR_LIMIT, "text does not fit in %zu bytes or in memory", b->bytes_max);
    }
    return true;
}

char *buf_room_grow(struct buf *b, size_t n)
{
    size_t want;
    if (b->failed || !size_add(b->n, n, &want) || want > b->bytes_max) {
        b->failed = true;
        return NULL;
    }
    size_t cap = size_max(b->cap, BUF_BYTES_MIN / 2);
    cap = cap > b->bytes_max / 2 ? b->bytes_max : cap * 2;
    cap = size_max(cap, want);
    char *p = mem_grow(b->mem, b->p, b->cap, cap);
    if (p == NULL && cap > want) {
        /* Close to the cap of mem: the exact size may still fit. */
        cap = want;
        p = mem_grow(b->mem, b->p, b->cap, cap);
    }
    if (p == NULL) {
        b->failed = true;
        return NULL;
    }
    b->p = p;
    b->cap = cap;
    return b->p + b->n;
}

/* Text of n bytes that is too long for the stack: formatted once more, into memory of its size. */
PRINTF_LIKE(3, 0)
static void fmt_long(struct buf *b, size_t n, const char *fmt, va_list args)
{
    if (buf_room(b, n) == NULL) {
        return;
    }
    char *text = mem_take(b->mem, n + 1);
    if (text == NULL) {
        b->failed = true;
        return;
    }
    vsnprintf(text, n + 1, fmt, args);
    buf_add(b, text, n);
    mem_give(b->mem, text, n + 1);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    char text[FMT_BYTES_FAST];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < sizeof text) {
        buf_add(b, text, (size_t)n);
    } else {
        va_start(args, fmt);
        fmt_long(b, (size_t)n, fmt, args);
        va_end(args);
    }
}

/* Digits of v, right-aligned before `end`; returns the first. */
static char *digits_before(char *end, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    while (v >= 100) {
        end -= 2;
        memcpy(end, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        end -= 2;
        memcpy(end, pairs + v * 2, 2);
    } else {
        end--;
        *end = (char)('0' + v);
    }
    return end;
}

void buf_u64(struct buf *b, uint64_t v)
{
    char text[U64_DIGITS_MAX];
    char *end = text + sizeof text;
    const char *from = digits_before(end, v);
    buf_add(b, from, (size_t)(end - from));
}

void buf_i64(struct buf *b, int64_t v)
{
    char text[U64_DIGITS_MAX + 1];
    char *end = text + sizeof text;
    char *from = digits_before(end, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    if (v < 0) {
        from--;
        *from = '-';
    }
    buf_add(b, from, (size_t)(end - from));
}

/* Writes a (a >= 1e-4, below 2^53) with the fewest decimals that read back; false: needs the
 * library. */
static bool f64_short(struct buf *b, double a, bool minus)
{
    double scale = 1.0;
    for (unsigned k = 0; k <= 15; k++, scale *= 10.0) {
        double scaled = a * scale;
        if (scaled >= 0x1.0p53) {
            return false;
        }
        double rounded = nearbyint(scaled);
        if (rounded / scale != a) {
            continue;
        }
        char text[F64_BYTES_MAX];
        char *end = text + sizeof text;
        uint64_t m = (uint64_t)rounded;
        char *from = end;
        for (unsigned i = 0; i < k; i++) {
            from--;
            *from = (char)('0' + m % 10);
            m /= 10;
        }
        if (k > 0) {
            from--;
            *from = '.';
        }
        from = digits_before(from, m);
        if (minus) {
            from--;
            *from = '-';
        }
        buf_add(b, from, (size_t)(end - from));
        return true;
    }
    return false;
}

static void f64_long(struct buf *b, double v)
{
    char text[F64_BYTES_MAX];
    int n = 0;
    /* The decimal point must not follow the process locale; "C" costs glibc no allocation. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) {
        b->failed = true;
        return;
    }
    locale_t before = uselocale(c_locale);
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    uselocale(before);
    freelocale(c_locale);
    ASSERT(n > 0 && (size_t)n < sizeof text);
    buf_add(b, text, (size_t)n);
}

void buf_f64(struct buf *b, double v)
{
    if (isnan(v)) {
        BUF_LIT(b, "NaN");
        return;
    }
    bool minus = signbit(v) != 0;
    double a = fabs(v);
    if (isinf(v)) {
        buf_add(b, minus ? "-Inf" : "+Inf", 4);
    } else if (a == 0.0) {
        buf_add(b, minus ? "-0" : "0", minus ? 2 : 1);
    } else if (a < 1e-4 || a >= 0x1.0p53 || !f64_short(b, a, minus)) {
        f64_long(b, v);
    }
}

void buf_json_f64(struct buf *b, double v)
{
    if (isfinite(v)) {
        buf_f64(b, v);
    } else {
        BUF_LIT(b, "null");
    }
}

static void json_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"': BUF_LIT(b, "\\\""); break;
    case '\\': BUF_LIT(b, "\\\\"); break;
    case '\n': BUF_LIT(b, "\\n"); break;
    case '\r': BUF_LIT(b, "\\r"); break;
    case '\t': BUF_LIT(b, "\\t"); break;
    default: {
        char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        buf_add(b, text, sizeof text);
        break;
    }
    }
}

/* Nonzero when a byte of w is not printable ASCII that JSON takes as it is: by the marks that
 * subtraction leaves in the top bits (Warren, Hacker's Delight, 6-1). */
static uint64_t json_marks(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101ULL, tops = ones * 0x80;
    const uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
    return (w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) & tops;
}

/* Copies n bytes to `to`, which has room for 8 at least; false when JSON does not take one as it
 * is. */
static bool json_copy_plain(char *to, const char *p, size_t n)
{
    uint64_t marks = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, sizeof w);
        memcpy(to + i, &w, sizeof w);
        marks |= json_marks(w);
    }
    if (i < n && n >= 8) { /* the last eight, some of them again */
        uint64_t w;
        memcpy(&w, p + n - 8, sizeof w);
        memcpy(to + n - 8, &w, sizeof w);
        marks |= json_marks(w);
    } else if (i < n) {
        unsigned char rest[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
        for (size_t k = 0; k < n; k++) {
            rest[k] = (unsigned char)p[k];
        }
        memcpy(to, rest, sizeof rest);
        marks |= json_marks(get_u64le(rest));
    }
    return marks == 0;
}

void buf_json_str(struct buf *b, struct str s)
{
    const size_t room = b->failed || b->p == NULL ? 0 : b->cap - b->n;
    char *to = room > 10 && s.n <= room - 10 ? b->p + b->n : NULL;
    if (to != NULL && json_copy_plain(to + 1, s.p, s.n)) {
        to[0] = '"';
        to[s.n + 1] = '"';
        b->n += s.n + 2;
        return;
    }
    size_t n_before = b->n;
    const unsigned char *p = (const unsigned char *)s.p;
    buf_char(b, '"');
    size_t from = 0; /* start of the bytes that go out as they are */
    size_t i = 0;
    while (i < s.n && !b->failed) {
        unsigned char c = p[i];
        size_t step = c < 0x80 ? 1 : utf8_step(p + i, s.n - i);
        if (step > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += step;
            continue;
        }
        buf_add(b, p + from, i - from);
        if (step == 0) {
            BUF_LIT(b, "\xEF\xBF\xBD");
        } else {
            json_escape(b, c);
        }
        i++;
        from = i;
    }
    if (i > from) {
        buf_add(b, p + from, i - from);
    }
    buf_char(b, '"');
    if (b->failed) {
        b->n = n_before;
    }
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_add(b, &v, sizeof v);
}

void buf_u16le(struct buf *b, uint16_t v)
{
    buf_add(b, &v, sizeof v);
}

void buf_u32le(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof v);
}

void buf_u64le(struct buf *b, uint64_t v)
{
    buf_add(b, &v, sizeof v);
}

void buf_f64le(struct buf *b, double v)
{
    buf_add(b, &v, sizeof v);
}

void buf_str32(struct buf *b, struct str s)
{
    size_t bytes;
    if (s.n > UINT32_MAX || !size_add(s.n, sizeof(uint32_t), &bytes)) {
        b->failed = true;
        return;
    }
    char *to = buf_room(b, bytes);
    if (to == NULL) {
        return;
    }
    put_u32le(to, (uint32_t)s.n);
    if (s.n > 0) {
        memcpy(to + sizeof(uint32_t), s.p, s.n);
    }
    b->n += bytes;
}

uint16_t rd_u16le(struct rd *r)
{
    uint16_t v = 0;
    const unsigned char *p = rd_take(r, sizeof v);
    if (p != NULL) {
        memcpy(&v, p, sizeof v);
    }
    return v;
}

double rd_f64le(struct rd *r)
{
    double v = 0.0;
    const unsigned char *p = rd_take(r, sizeof v);
    if (p != NULL) {
        memcpy(&v, p, sizeof v);
    }
    return v;
}

struct str rd_str32(struct rd *r)
{
    return rd_bytes(r, rd_u32le(r));
}
