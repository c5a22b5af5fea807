/* Parts of a date in UTC of a sample that holds seconds since 1970, and the time of the sample
 * itself.
 *
 * Days are counted from 1 March of year 0 in cycles of 400 years, so that leap days come last.
 * Source: H. Hinnant, chrono-compatible low-level date algorithms. */
#include "engines/promql/fn/fn_int.h"

#define DAY_S 86400

struct date {
    int64_t year;
    int month, day; /* from 1 */
    int weekday;    /* 0 Sunday */
    int yearday;    /* from 1 */
    int hour, minute;
};

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Fraction cut off; what no calendar holds (NaN, beyond 64 bits) becomes the least number, as
 * Go's conversion does on this architecture. */
static int64_t whole_seconds(double s)
{
    return s > -0x1p63 && s < 0x1p63 ? (int64_t)s : INT64_MIN;
}

static struct date date_of(double seconds)
{
    const int64_t s = whole_seconds(seconds);
    int64_t days = s / DAY_S;
    int64_t rest = s % DAY_S;
    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    const int64_t shifted = days + 719468;
    const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    const int64_t of_era = shifted - era * 146097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t march = (5 * of_year + 2) / 153;
    struct date d = {.day = (int)(of_year - (153 * march + 2) / 5) + 1,
                     .month = (int)(march < 10 ? march + 3 : march - 9),
                     .hour = (int)(rest / 3600),
                     .minute = (int)(rest / 60 % 60)};
    d.year = year_of_era + era * 400 + (d.month <= 2);
    d.weekday = (int)(((days + 4) % 7 + 7) % 7);
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    d.yearday = before[d.month - 1] + d.day + (d.month > 2 && is_leap(d.year));
    return d;
}

static int month_days(const struct date *d)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[d->month - 1] + (d->month == 2 && is_leap(d->year));
}

bool fn_day_of_month(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, d.day);
}

bool fn_day_of_week(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, d.weekday);
}

bool fn_day_of_year(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, d.yearday);
}

bool fn_days_in_month(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, month_days(&d));
}

bool fn_hour(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, d.hour);
}

bool fn_minute(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, d.minute);
}

bool fn_month(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, d.month);
}

bool fn_year(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    if (in->kind != VALUE_FLOAT) {
        return fn_none(out);
    }
    const struct date d = date_of(in->f);
    return fn_float(out, (double)d.year);
}

bool fn_timestamp(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)e;
    return in->kind == VALUE_NONE ? fn_none(out) : fn_float(out, (double)c->sample_t_ms / 1000);
}

bool fn_start_timestamp(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)e;
    if (in->kind == VALUE_NONE || c->sample_st_ms == NULL) {
        return fn_none(out);
    }
    return fn_float(out, (double)*c->sample_st_ms / 1000);
}
