/* Days, hours and arrivals against the figures of the domain. */
#include "base/test.h"
#include "sim/sim_int.h"

#include <math.h>

struct fixture {
    struct mem mem;
    struct arena arena;
    struct sim_config c;
    struct calendar k;
};

static void setup(struct fixture *f, const char *yaml)
{
    struct err e = {0};
    mem_init(&f->mem, 0);
    arena_init(&f->arena, &f->mem, 4U << 20);
    assert_true(sim_config_read(str_from_c(yaml), "test", &f->arena, &f->c, &e));
    sim_calendar_init(&f->k, &f->c, 1, ns_from_day(day_from_civil(2026, 3, 2)));
}

static void assert_factor(struct fixture *f, int year, int month, int day, double want)
{
    double got = sim_day_factor(&f->k, day_from_civil(year, month, day));
    if (fabs(got - want) > 1e-9) {
        fail_msg("%d-%d-%d: expected %g, found %g", year, month, day, want, got);
    }
}

TEST(calendar_knows_special_days)
{
    struct fixture f;
    setup(&f, "volume: {holidays: ['2026-07-09']}\n");
    assert_factor(&f, 2026, 3, 3, 1.00);          /* Tuesday */
    assert_factor(&f, 2026, 3, 5, 1.02);          /* Thursday */
    assert_factor(&f, 2026, 3, 6, 1.12 * 1.35);   /* Friday, 5th business day */
    assert_factor(&f, 2026, 3, 8, 0.72);          /* Sunday */
    assert_factor(&f, 2026, 2, 17, 1.00 * 0.80);  /* Carnival, Easter is 5 April */
    assert_factor(&f, 2026, 4, 3, 1.12 * 0.80);   /* Good Friday */
    assert_factor(&f, 2026, 6, 4, 1.02 * 0.80);   /* Corpus Christi */
    assert_factor(&f, 2026, 7, 9, 1.02 * 0.80);   /* from the configuration */
    assert_factor(&f, 2026, 11, 27, 1.46);        /* Black Friday */
    assert_factor(&f, 2026, 11, 20, 1.12 * 0.80); /* a Friday, but not that one */
    assert_factor(&f, 2025, 12, 5, 1.12 * 1.35);  /* the record: 1.512 of 1.54 published */
    assert_factor(&f, 2026, 11, 30, 1.45);
    assert_factor(&f, 2026, 5, 8, 1.12 * 1.35); /* 1 May moves the 5th business day */
    arena_release(&f.arena);
}

TEST(calendar_hours_follow_the_shares)
{
    struct fixture f;
    setup(&f, "volume: {noise_cv: 0, growth: 0}\n");
    int64_t tuesday = ns_from_day(day_from_civil(2026, 3, 3)) + 3 * 3600 * NS_PER_S; /* local 0 h */
    double day = 0, hours[24] = {0};
    for (int64_t s = 0; s < 86400; s++) {
        double rate = sim_rate_at(&f.k, tuesday + ns_from_s(s));
        hours[s / 3600] += rate;
        day += rate;
    }
    assert_true(fabs(day / 86400 / 100 - 1) < 0.001);
    for (int h = 0; h < 24; h++) {
        double share = 100 * hours[h] / day, want = f.c.volume.weekday[h] * 100 / 100.08;
        if (fabs(share - want) > 0.02) {
            fail_msg("hour %d: expected %.2f %%, found %.2f %%", h, want, share);
        }
    }
    double top = sim_rate_at(&f.k, tuesday + 12 * 3600 * NS_PER_S);
    double later = sim_rate_at(&f.k, tuesday + 12 * 3600 * NS_PER_S + 180 * NS_PER_S);
    assert_true(fabs(top / later - 1.5) < 1e-9);
    arena_release(&f.arena);
}

TEST(calendar_arrivals_have_the_rate_and_stop)
{
    struct fixture f;
    setup(&f, "volume: {rate: 50, shape: false}\n");
    struct rng r;
    rng_init(&r, 3);
    int64_t t = f.k.from_ns, until = t + 600 * NS_PER_S, before = t;
    uint64_t n = 0;
    while ((t = sim_next_arrival(&f.k, &r, t, until)) != INT64_MAX) {
        assert_true(t > before && t < until);
        before = t;
        n++;
    }
    assert_in_range(n, 30000 - 700, 30000 + 700); /* 4 sigma */
    arena_release(&f.arena);
}

TEST(calendar_business_hours_are_local)
{
    struct fixture f;
    setup(&f, "");
    assert_true(fabs(sim_local_hour(&f.k, ns_from_day(20000) + 90 * 60 * NS_PER_S) - 22.5) < 1e-9);
    assert_false(sim_is_business_day(&f.k, day_from_civil(2026, 4, 21)));
    assert_true(sim_is_business_day(&f.k, day_from_civil(2026, 4, 22)));
    arena_release(&f.arena);
}
