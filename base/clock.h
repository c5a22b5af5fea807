/* Times. Event times are int64 nanoseconds since 1970 UTC (range 1677..2262), samples are int64 ms.
 * All calendar arithmetic is proleptic Gregorian, UTC; source: Hinnant, "chrono-compatible
 * low-level date algorithms" (days from civil). Conversions are functions, never "* 1000" in
 * place. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/buf.h"
#include "base/err.h"

#define NS_PER_US  1000LL
#define NS_PER_MS  1000000LL
#define NS_PER_S   1000000000LL
#define MS_PER_S   1000LL
#define MS_PER_DAY 86400000LL
#define NS_PER_DAY 86400000000000LL
#define T_NS_NONE  INT64_MIN

static inline int64_t ms_from_ns(int64_t ns)
{
    return ns >= 0 ? ns / NS_PER_MS : -((-ns + NS_PER_MS - 1) / NS_PER_MS);
}
static inline int64_t ns_from_ms(int64_t ms) /* caller keeps |ms| < 9.2e12 */
{
    return ms * NS_PER_MS;
}
static inline int64_t ns_from_s(int64_t s)
{
    return s * NS_PER_S;
}
static inline double s_from_ns(int64_t ns)
{
    return (double)ns / 1e9;
}
/* Whole days since 1970-01-01, rounded down. */
static inline int32_t day_from_ns(int64_t ns)
{
    int64_t d = ns / NS_PER_DAY;
    return (int32_t)(ns % NS_PER_DAY < 0 ? d - 1 : d);
}
static inline int64_t ns_from_day(int32_t day)
{
    return (int64_t)day * NS_PER_DAY;
}

struct civil {
    int32_t year;
    uint8_t month, day, hour, minute, second; /* month and day from 1 */
    int32_t ns;
};

int32_t day_from_civil(int32_t year, int month, int day);
struct civil civil_from_ns(int64_t ns);
/* 0 = Monday .. 6 = Sunday */
int weekday_from_day(int32_t day);
/* true when the date exists (29 February, 30/31, month 1..12) and the time is
 * 00:00:00..23:59:59. */
bool civil_is_valid(const struct civil *c);

/* RFC 3339 with 0 to 9 fraction digits, 'T' or space, 'Z' or an offset. Fast path for
 * YYYY-MM-DDTHH:MM:SS[.mmm]Z. false: not such a time, or outside the range. */
MUST_USE bool time_parse(struct str s, int64_t *t_ns);
/* YYYY-MM-DD to days since 1970. */
MUST_USE bool date_parse(struct str s, int32_t *day);
/* 2018-05-14T00:00:01.023Z: as many fraction digits (0, 3, 6 or 9) as needed. */
void time_format(struct buf *b, int64_t t_ns);
void date_format(struct buf *b, int32_t day);

#endif
