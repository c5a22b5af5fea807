/* When transactions arrive: the shape of the hour, the day and the year, and a non-homogeneous
 * Poisson process on top of it.
 *
 * The rate is constant within a second. An arrival consumes an exponential amount of integrated
 * rate (inversion), so it is exact for any shape and needs no thinning. The gamma noise of a
 * minute comes from its own stream, so that the minute has the same noise wherever a run begins.
 * Easter: the anonymous Gregorian computus (Meeus, Astronomical Algorithms, ch. 8). Calendar facts:
 * Brazil's national holidays and its banks' Carnival and Corpus Christi. */
#include "sim/sim_int.h"

#include <math.h>

void sim_calendar_init(struct calendar *k, const struct sim_config *c, uint64_t seed,
                       int64_t from_ns)
{
    memset(k, 0, sizeof *k);
    k->c = c;
    k->seed = seed;
    k->from_ns = from_ns;
    k->scale = 1;
    k->memo.day = INT32_MIN;
    k->gamma.minute = INT64_MIN;
    const double *shares[2] = {c->volume.weekday, c->volume.weekend};
    for (int d = 0; d < 2; d++) {
        double sum = 0;
        for (int h = 0; h < 24; h++) {
            sum += shares[d][h];
        }
        for (int h = 0; h < 24; h++) {
            k->hours[d][h] = shares[d][h] * 24 / sum;
        }
    }
    for (uint32_t i = 0; i < c->volume.holidays.count && i < ARRAY_LEN(k->extra); i++) {
        if (date_parse(c->volume.holidays.v[i], &k->extra[k->extra_count])) {
            k->extra_count++;
        }
    }
}

static int32_t easter_day(int32_t year)
{
    int a = year % 19, b = year / 100, c = year % 100;
    int h = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    int l = (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7;
    int m = (a + 11 * h + 22 * l) / 451;
    int month = (h + l - 7 * m + 114) / 31;
    int day = (h + l - 7 * m + 114) % 31 + 1;
    return day_from_civil(year, month, day);
}

bool sim_is_holiday(const struct calendar *k, int32_t day)
{
    static const uint8_t fixed[][2] = {{1, 1},  {4, 21},  {5, 1},   {9, 7},  {10, 12},
                                       {11, 2}, {11, 15}, {11, 20}, {12, 25}};
    struct civil c = civil_from_ns(ns_from_day(day));
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        if (c.month == fixed[i][0] && c.day == fixed[i][1]) {
            return true;
        }
    }
    int32_t e = day - easter_day(c.year); /* Carnival -48 and -47, Good Friday -2, Corpus 60 */
    if (e == -48 || e == -47 || e == -2 || e == 60) {
        return true;
    }
    for (uint32_t i = 0; i < k->extra_count; i++) {
        if (k->extra[i] == day) {
            return true;
        }
    }
    return false;
}

bool sim_is_business_day(const struct calendar *k, int32_t day)
{
    return weekday_from_day(day) < 5 && !sim_is_holiday(k, day);
}

static bool is_fifth_business_day(const struct calendar *k, int32_t day, int month_day)
{
    int n = 0;
    for (int32_t d = day - month_day + 1; d <= day; d++) {
        n += sim_is_business_day(k, d);
    }
    return n == 5 && sim_is_business_day(k, day);
}

static double day_factor_compute(struct calendar *k, int32_t day)
{
    struct civil c = civil_from_ns(ns_from_day(day));
    double f = k->c->volume.day[weekday_from_day(day)];
    bool fifth = is_fifth_business_day(k, day, c.day);
    bool salary = (c.month == 11 && c.day == 30) || (c.month == 12 && c.day == 20);
    if (sim_is_holiday(k, day)) {
        f *= k->c->volume.holiday;
    }
    if (fifth) {
        f *= k->c->volume.fifth_business_day;
    }
    if (salary) {
        f = fmax(f, fifth ? k->c->volume.salary_13_fifth : k->c->volume.salary_13);
    }
    /* The day after the 4th Thursday: a Friday from the 23rd to the 29th. */
    if (c.month == 11 && weekday_from_day(day) == 4 && c.day >= 23 && c.day <= 29) {
        f = fmax(f, k->c->volume.black_friday);
    }
    return f;
}

double sim_day_factor(struct calendar *k, int32_t day)
{
    if (k->memo.day != day) {
        k->memo.day = day;
        k->memo.factor = day_factor_compute(k, day);
        k->memo.business = sim_is_business_day(k, day);
    }
    return k->memo.factor;
}

static int64_t local_ns(const struct calendar *k, int64_t t_ns)
{
    return t_ns + (int64_t)(k->c->volume.utc_offset_h * 3600) * NS_PER_S;
}

double sim_local_hour(const struct calendar *k, int64_t t_ns)
{
    int64_t l = local_ns(k, t_ns);
    return (double)(l - ns_from_day(day_from_ns(l))) / (3600 * 1e9);
}

static double minute_noise(struct calendar *k, int64_t t_ns)
{
    int64_t minute = t_ns / (60 * NS_PER_S);
    double cv = k->c->volume.noise_cv;
    if (k->gamma.minute != minute) {
        struct rng r;
        rng_fork(&r, k->seed ^ 0x6d696e757465ULL, (uint64_t)minute);
        k->gamma.minute = minute;
        double shape = cv > 0 ? 1 / (cv * cv) : 0;
        k->gamma.noise = cv > 0 ? sim_gamma(&r, shape) / shape : 1;
    }
    return k->gamma.noise;
}

double sim_rate_at(struct calendar *k, int64_t t_ns)
{
    double rate = k->c->volume.rate * k->scale;
    if (!k->c->volume.shape) {
        return rate;
    }
    int64_t l = local_ns(k, t_ns);
    int32_t day = day_from_ns(l);
    double f = sim_day_factor(k, day);
    int64_t in_day = l - ns_from_day(day);
    int hour = (int)(in_day / (3600 * NS_PER_S));
    rate *= f * k->hours[k->memo.business ? 0 : 1][hour];
    /* A burst takes from the rest of its hour, so that the hour keeps its share. */
    int64_t in_hour_ms = ms_from_ns(in_day - hour * 3600 * NS_PER_S);
    double b = (double)k->c->volume.burst_ms / 3600000.0;
    rate *= (in_hour_ms < k->c->volume.burst_ms ? k->c->volume.burst : 1) /
            (1 + b * (k->c->volume.burst - 1));
    double years = (double)(t_ns - k->from_ns) / (365.25 * (double)NS_PER_DAY);
    return rate * pow(1 + k->c->volume.growth, years) * minute_noise(k, t_ns);
}

/* The first arrival after t_ns, INT64_MAX when there is none before until_ns. */
int64_t sim_next_arrival(struct calendar *k, struct rng *r, int64_t t_ns, int64_t until_ns)
{
    double need = rng_exp(r);
    while (t_ns < until_ns) {
        int64_t second_end = (t_ns / NS_PER_S + 1) * NS_PER_S;
        double rate = sim_rate_at(k, t_ns);
        double left_s = (double)(second_end - t_ns) / 1e9;
        if (rate * left_s >= need && rate > 0) {
            int64_t t = t_ns + (int64_t)(need / rate * 1e9) + 1;
            return t < until_ns ? t : INT64_MAX;
        }
        need -= rate * left_s;
        t_ns = second_end;
    }
    return INT64_MAX;
}
