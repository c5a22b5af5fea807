/* Fuzz target: the parsers of numbers, durations and sizes, and UTF-8, on any bytes. What is
 * accepted is checked against a second way of computing it. */
#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "base/utf8_int.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_integers(struct str s, struct buf *b)
{
    uint64_t u = 0;
    int64_t i = 0;
    if (str_to_u64(s, &u)) {
        buf_u64(b, u);
        struct str digits = s;
        while (digits.n > 1 && digits.p[0] == '0') {
            digits = str_sub(digits, 1, digits.n);
        }
        ASSERT(str_eq(buf_str(b), digits));
        bool fits = str_to_i64(s, &i);
        ASSERT(fits == (u <= INT64_MAX));
    } else if (str_to_i64(s, &i)) {
        ASSERT(s.p[0] == '-');
        ASSERT(i <= 0);
    }
}

static void check_f64(struct str s, struct buf *b)
{
    double v = 0;
    if (!str_to_f64(s, &v)) {
        return;
    }
    ASSERT(isfinite(v));
    char text[65];
    ASSERT(s.n < sizeof text);
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    char *end = NULL;
    double library = strtod(text, &end);
    ASSERT(*end == '\0');
    ASSERT(library == v);
    ASSERT((signbit(library) != 0) == (signbit(v) != 0));
    buf_reset(b);
    buf_f64(b, v);
    double back = 0;
    bool ok = str_to_f64(buf_str(b), &back);
    ASSERT(ok);
    ASSERT(back == v);
}

static void check_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    bool fine = true;
    for (size_t i = 0; i < s.n && fine;) {
        size_t n = utf8_step(p + i, s.n - i);
        fine = n > 0;
        i += n;
    }
    ASSERT(str_is_utf8(s) == fine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 256);
    struct str s = str_of((const char *)data, size);
    check_integers(s, &b);
    check_f64(s, &b);
    int64_t ms = 0;
    ASSERT(!str_to_duration_ms(s, &ms) || ms >= 0);
    uint64_t bytes = 0;
    ASSERT(!str_to_bytes(s, &bytes) || (s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9'));
    check_utf8(s);
    enum log_level level = LOG_DEBUG;
    ASSERT(!log_level_parse(s, &level) || (s.n >= 4 && level <= LOG_ERROR));
    struct str trimmed = str_trim(s);
    ASSERT(trimmed.n <= s.n);
    struct str_cut cut = str_cut(s, '=');
    ASSERT(cut.head.n + cut.tail.n + (cut.ok ? 1 : 0) == s.n);
    ASSERT(str_distance(cut.head, cut.tail) == str_distance(cut.tail, cut.head));
    ASSERT(str_contains(s, cut.tail));
    buf_release(&b);
    ASSERT(m.bytes == 0);
    return 0;
}
