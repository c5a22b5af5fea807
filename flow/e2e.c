/* EndToEndId: check and read the 32 bytes that name a Pix payment.
 *
 * Exists because every record of every shard is joined on this id, and because real outages came
 * from validators that were too narrow (numeric ISPB only) or too wide (no calendar).
 *
 *   off  size  field
 *     0     1  'E'
 *     1     8  ISPB of whoever made the id, [0-9A-Z], may be all zeros
 *     9     4  year   UTC
 *    13     2  month
 *    15     2  day
 *    17     2  hour   00..23
 *    19     2  minute 00..59
 *    21    11  suffix, [0-9A-Za-z], case matters
 *
 * The scheme's own expression admits 30 February and hour 29; we do not, because the minute is used
 * as a time. Years outside 1970..2199 are refused so that time arithmetic on ids cannot overflow.
 * Source: SPI catalogue 5.13 (EndToEndId). */
#include "flow/e2e.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#include <string.h>

#define AT_ISPB    1
#define AT_YEAR    9
#define AT_MONTH   13
#define AT_DAY     15
#define AT_HOUR    17
#define AT_MINUTE  19
#define AT_SUFFIX  21
#define YEAR_FIRST 1970
#define YEAR_LAST  2199

_Static_assert(sizeof(struct e2e) == E2E_BYTES, "an id is its 32 bytes");

/* What each place takes beside a digit: capitals, small letters. One loop over 32 constant places
 * is what compilers turn into a few vector instructions, even at -O2. */
static const uint8_t takes_upper[E2E_BYTES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const uint8_t takes_lower[E2E_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

struct minute {
    int32_t year;
    int month, day, hour, minute;
};

static int two(const unsigned char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

static struct minute minute_of(const unsigned char *p)
{
    return (struct minute){.year = two(p + AT_YEAR) * 100 + two(p + AT_YEAR + 2),
                           .month = two(p + AT_MONTH),
                           .day = two(p + AT_DAY),
                           .hour = two(p + AT_HOUR),
                           .minute = two(p + AT_MINUTE)};
}

static int month_days(int32_t year, int month)
{
    static const uint8_t days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = month == 2 && ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0);
    return days[month] + (leap ? 1 : 0);
}

/* 0, or the offset + 1 of the first field of the minute that does not exist. */
static uint32_t minute_wrong(const struct minute *m)
{
    if (m->year < YEAR_FIRST || m->year > YEAR_LAST) {
        return AT_YEAR + 1;
    }
    if (m->month < 1 || m->month > 12) {
        return AT_MONTH + 1;
    }
    if (m->day < 1 || (m->day > 28 && m->day > month_days(m->year, m->month))) {
        return AT_DAY + 1;
    }
    if (m->hour > 23) {
        return AT_HOUR + 1;
    }
    return m->minute > 59 ? AT_MINUTE + 1 : 0;
}

/* 1 when byte c may stand at place i. Comparisons of unsigned bytes; no branches. */
static inline uint8_t place_takes(uint8_t c, int i)
{
    uint8_t digit = (uint8_t)(c - '0') <= 9;
    uint8_t upper = (uint8_t)(c - 'A') <= 25;
    uint8_t lower = (uint8_t)(c - 'a') <= 25;
    return (uint8_t)(digit | (upper & takes_upper[i]) | (lower & takes_lower[i]));
}

static bool bytes_ok(const unsigned char *p)
{
    uint8_t all = 1;
    for (int i = 0; i < E2E_BYTES; i++) {
        all &= place_takes(p[i], i);
    }
    return all == 1 && p[0] == 'E';
}

/* The slow half: the id is wrong, say where and what was expected there. The id itself is not
 * quoted: it leads to a person's payment. */
static bool explain(struct str s, struct err *e)
{
    if (s.n != E2E_BYTES) {
        uint32_t col = (uint32_t)size_min(s.n, E2E_BYTES) + 1;
        return err_at(e, ERR_INPUT, 0, col, "expected an EndToEndId of 32 bytes, found %zu", s.n);
    }
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] != 'E') {
        return err_at(e, ERR_INPUT, 0, 1, "expected an EndToEndId to begin with 'E'");
    }
    for (int i = AT_ISPB; i < E2E_BYTES; i++) {
        if (!place_takes(p[i], i)) {
            const char *want = i < AT_YEAR     ? "a digit or capital of the ISPB"
                               : i < AT_SUFFIX ? "a digit of yyyyMMddHHmm"
                                               : "a letter or digit";
            return err_at(e, ERR_INPUT, 0, (uint32_t)i + 1,
                          "expected %s in the EndToEndId, found byte 0x%02x", want, p[i]);
        }
    }
    struct minute m = minute_of(p);
    return err_at(
        e, ERR_INPUT, 0, minute_wrong(&m),
        "expected an existing UTC minute in the EndToEndId, found %04d-%02d-%02d %02d:%02d",
        (int)m.year, m.month, m.day, m.hour, m.minute);
}

bool e2e_parse(struct str s, struct e2e *out, struct err *e)
{
    if (__builtin_expect(s.n != E2E_BYTES, 0)) {
        return explain(s, e);
    }
    const unsigned char *p = (const unsigned char *)s.p;
    if (__builtin_expect(!bytes_ok(p), 0)) {
        return explain(s, e);
    }
    struct minute m = minute_of(p);
    if (__builtin_expect(minute_wrong(&m) != 0, 0)) {
        return explain(s, e);
    }
    memcpy(out->c, p, E2E_BYTES);
    return true;
}

int64_t e2e_minute_ns(const struct e2e *id)
{
    struct minute m = minute_of((const unsigned char *)id->c);
    ASSERT(minute_wrong(&m) == 0);
    int64_t minutes =
        (int64_t)day_from_civil(m.year, m.month, m.day) * (24 * 60) + m.hour * 60 + m.minute;
    return minutes * 60 * NS_PER_S;
}
