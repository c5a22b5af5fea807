/* Calendar arithmetic and the text forms of times.
 *
 * Days from a civil date and back: Hinnant, "chrono-compatible low-level date algorithms" (eras of
 * 400 years that begin on 1 March, so that the leap day is the last of its year). Text: RFC 3339
 * section 5.6; a leap second (:60) is not accepted, because int64 nanoseconds cannot tell it from
 * the next second. Two times are parsed for each event, so the usual two lengths have a path
 * without loops. */
#include "base/clock.h"

#define TIME_BYTES_MAX 35 /* YYYY-MM-DDTHH:MM:SS.nnnnnnnnn+HH:MM */

static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

int32_t day_from_civil(int32_t year, int month, int day)
{
    return (int32_t)days_from_civil(year, month, day);
}

static struct civil civil_from_day(int64_t day)
{
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097;
    int64_t day_of_era = day - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){
        .year = (int32_t)(year_of_era + era * 400 + (month <= 2 ? 1 : 0)),
        .month = (uint8_t)month,
        .day = (uint8_t)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

struct civil civil_from_ns(int64_t ns)
{
    int64_t rest = ns % NS_PER_DAY;
    rest += rest < 0 ? NS_PER_DAY : 0;
    struct civil c = civil_from_day(day_from_ns(ns));
    int64_t second = rest / NS_PER_S;
    c.ns = (int32_t)(rest % NS_PER_S);
    c.second = (uint8_t)(second % 60);
    c.minute = (uint8_t)(second / 60 % 60);
    c.hour = (uint8_t)(second / 3600);
    return c;
}

int weekday_from_day(int32_t day)
{
    /* 1970-01-01 was a Thursday. */
    int w = (int)(((int64_t)day + 3) % 7);
    return w < 0 ? w + 7 : w;
}

static int month_days(int32_t year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

bool civil_is_valid(const struct civil *c)
{
    return c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= month_days(c->year, c->month) && c->hour <= 23 && c->minute <= 59 &&
           c->second <= 59 && c->ns >= 0 && c->ns < NS_PER_S;
}

/* The number of two digits at p; *bad gets a high bit when one is not a digit. */
static unsigned two_digits(const char *p, unsigned *bad)
{
    unsigned a = (unsigned char)p[0] - (unsigned)'0';
    unsigned b = (unsigned char)p[1] - (unsigned)'0';
    *bad |= (unsigned)(a > 9) | (unsigned)(b > 9);
    return a * 10 + b;
}

/* YYYY-MM-DD at p, ten bytes. */
static bool date_fields(const char *p, struct civil *c)
{
    unsigned bad = (unsigned)(p[4] != '-') | (unsigned)(p[7] != '-');
    unsigned year = two_digits(p, &bad) * 100 + two_digits(p + 2, &bad);
    unsigned month = two_digits(p + 5, &bad);
    unsigned day = two_digits(p + 8, &bad);
    *c = (struct civil){.year = (int32_t)year, .month = (uint8_t)month, .day = (uint8_t)day};
    return bad == 0;
}

/* YYYY-MM-DDTHH:MM:SS at p, nineteen bytes. */
static bool time_fields(const char *p, struct civil *c)
{
    bool date_ok = date_fields(p, c);
    unsigned bad = (unsigned)(p[13] != ':') | (unsigned)(p[16] != ':') |
                   (unsigned)(p[10] != 'T' && p[10] != ' ' && p[10] != 't');
    c->hour = (uint8_t)two_digits(p + 11, &bad);
    c->minute = (uint8_t)two_digits(p + 14, &bad);
    c->second = (uint8_t)two_digits(p + 17, &bad);
    return date_ok && bad == 0;
}

/* Fraction digits at *at (behind the point), 1 to 9 of them. */
static bool fraction_parse(struct str s, size_t *at, int32_t *ns)
{
    int32_t v = 0;
    size_t digits = 0;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++) {
        if (digits == 9) {
            return false;
        }
        v = v * 10 + (s.p[*at] - '0');
        digits++;
    }
    if (digits == 0) {
        return false;
    }
    for (; digits < 9; digits++) {
        v *= 10;
    }
    *ns = v;
    return true;
}

/* Z or +HH:MM or -HH:MM, the rest of s. */
static bool offset_parse(struct str s, int64_t *offset_s)
{
    if (s.n == 1 && (s.p[0] == 'Z' || s.p[0] == 'z')) {
        *offset_s = 0;
        return true;
    }
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':') {
        return false;
    }
    unsigned bad = 0;
    unsigned hour = two_digits(s.p + 1, &bad);
    unsigned minute = two_digits(s.p + 4, &bad);
    if (bad != 0 || hour > 23 || minute > 59) {
        return false;
    }
    int64_t v = (int64_t)hour * 3600 + (int64_t)minute * 60;
    *offset_s = s.p[0] == '-' ? -v : v;
    return true;
}

bool time_parse(struct str s, int64_t *t_ns)
{
    struct civil c;
    if (s.n < 20 || s.n > TIME_BYTES_MAX || !time_fields(s.p, &c)) {
        return false;
    }
    int64_t offset_s = 0;
    bool ends_z = s.p[s.n - 1] == 'Z';
    if (s.n == 24 && ends_z && s.p[19] == '.') {
        unsigned bad = 0;
        unsigned ms = two_digits(s.p + 20, &bad) * 10;
        unsigned last = (unsigned char)s.p[22] - (unsigned)'0';
        if (bad != 0 || last > 9) {
            return false;
        }
        c.ns = (int32_t)((ms + last) * NS_PER_MS);
    } else if (s.n != 20 || !ends_z) {
        size_t at = 19;
        if (s.p[at] == '.') {
            at++;
            if (!fraction_parse(s, &at, &c.ns)) {
                return false;
            }
        }
        if (!offset_parse(str_sub(s, at, s.n), &offset_s)) {
            return false;
        }
    }
    if (!civil_is_valid(&c)) {
        return false;
    }
    int64_t second = days_from_civil(c.year, c.month, c.day) * 86400 + c.hour * 3600 +
                     c.minute * 60 + c.second - offset_s;
    i128 ns = (i128)second * NS_PER_S + c.ns;
    if (ns <= INT64_MIN || ns > INT64_MAX) {
        return false;
    }
    *t_ns = (int64_t)ns;
    return true;
}

bool date_parse(struct str s, int32_t *day)
{
    struct civil c;
    if (s.n != 10 || !date_fields(s.p, &c) || !civil_is_valid(&c)) {
        return false;
    }
    *day = day_from_civil(c.year, c.month, c.day);
    return true;
}

/* v in `digits` places with leading zeros; returns the place behind. */
static char *padded(char *p, uint32_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + digits;
}

/* Year, month and day; years outside 0..9999 are written with their sign and as long as they
 * are. */
static void date_write(struct buf *b, const struct civil *c)
{
    if (c->year < 0 || c->year > 9999) {
        buf_fmt(b, "%05d-%02d-%02d", c->year, c->month, c->day);
        return;
    }
    char text[10];
    char *p = padded(text, (uint32_t)c->year, 4);
    *p++ = '-';
    p = padded(p, c->month, 2);
    *p++ = '-';
    p = padded(p, c->day, 2);
    buf_add(b, text, (size_t)(p - text));
}

void time_format(struct buf *b, int64_t t_ns)
{
    struct civil c = civil_from_ns(t_ns);
    size_t n_before = b->n;
    date_write(b, &c);
    char text[24];
    char *p = text;
    *p++ = 'T';
    p = padded(p, c.hour, 2);
    *p++ = ':';
    p = padded(p, c.minute, 2);
    *p++ = ':';
    p = padded(p, c.second, 2);
    if (c.ns != 0) {
        *p++ = '.';
        if (c.ns % NS_PER_MS == 0) {
            p = padded(p, (uint32_t)(c.ns / NS_PER_MS), 3);
        } else if (c.ns % NS_PER_US == 0) {
            p = padded(p, (uint32_t)(c.ns / NS_PER_US), 6);
        } else {
            p = padded(p, (uint32_t)c.ns, 9);
        }
    }
    *p++ = 'Z';
    buf_add(b, text, (size_t)(p - text));
    if (b->failed) {
        b->n = n_before;
    }
}

void date_format(struct buf *b, int32_t day)
{
    struct civil c = civil_from_day(day);
    date_write(b, &c);
}
