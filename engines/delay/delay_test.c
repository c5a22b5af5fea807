/* Laws are drawn, truncated as time truncates them, and must come back. */
#include "engines/delay/delay.h"

#include "base/rng.h"
#include "base/test.h"

#include <math.h>

#define DAYS 60

/* A lognormal delay in whole days after the day's end, cut at the last age. */
static unsigned draw(struct rng *r, double median_days)
{
    const double days = median_days * exp(1.4 * rng_normal(r));
    return days < DELAY_AGES - 1 ? (unsigned)days : DELAY_AGES - 1;
}

struct world {
    struct delay_row known[DAYS]; /* at the end of the last day plus `age` */
    uint64_t all[DAYS];
};

/* Day d has `frauds`, known by known_days only when the delay allows. */
static void fill(struct world *w, struct rng *r, unsigned frauds, double median_days,
                 unsigned known_day)
{
    memset(w, 0, sizeof *w);
    for (unsigned d = 0; d < DAYS; d++) {
        w->known[d].day = (int32_t)d;
        w->all[d] = frauds;
        for (unsigned i = 0; i < frauds; i++) {
            const unsigned k = draw(r, median_days);
            if (d + 1 + k <= known_day) {
                w->known[d].seen[k]++;
            }
        }
    }
}

static uint64_t known_of(const struct delay_row *row)
{
    uint64_t n = 0;
    for (unsigned k = 0; k < DELAY_AGES; k++) {
        n += row->seen[k];
    }
    return n;
}

TEST(delay_law_of_what_is_all_known_is_the_shares_themselves)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world w;
    struct delay_law law;
    fill(&w, &r, 2000, 4, 1000);
    delay_law_fit(w.known, DAYS, 30, 1000, NULL, &law);
    double by = 0;
    double all = 0;
    for (unsigned k = 0; k < DELAY_AGES; k++) {
        for (unsigned d = 0; d < DAYS; d++) {
            const double weight = exp2(-fabs((double)d - 30) / DELAY_HALF_LIFE_DAYS);
            by += weight * w.known[d].seen[k];
            all += k == 0 ? weight * 2000 : 0;
        }
        assert_true(fabs(exp(law.log_share[k]) - by / all) < 0.001);
    }
}

TEST(delay_shares_rise_to_one_and_their_doubt_falls_to_none)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world w;
    struct delay_law law;
    for (unsigned frauds = 0; frauds < 300; frauds += 50) {
        fill(&w, &r, frauds, 6, DAYS + 3);
        delay_law_fit(w.known, DAYS, DAYS - 1, DAYS + 3, NULL, &law);
        assert_true(law.log_share[DELAY_AGES - 1] == 0 && law.var[DELAY_AGES - 1] == 0);
        for (unsigned k = 1; k < DELAY_AGES; k++) {
            assert_true(law.log_share[k] >= law.log_share[k - 1]);
            assert_true(law.var[k] <= law.var[k - 1]);
            assert_true(law.hazard[k] >= 0 && law.hazard[k] < 1);
        }
        assert_true(isfinite(law.log_share[0]) && isfinite(law.var[0]));
    }
}

TEST(delay_without_data_is_the_general_law_in_great_doubt)
{
    struct delay_law law;
    double share = 0;
    double var = 0;
    delay_law_fit(NULL, 0, 100, 101, NULL, &law);
    assert_true(delay_share(&law, 10, &share, &var));
    assert_true(fabs(share - log(11.5) / log(81.5)) < 1e-9);
    assert_true(var > 0.1);
    assert_true(law.weight == 0);
}

/* What is known of young days, completed by the law that the same truncated labels gave, is what
 * there will be; and the interval says how well that is known. */
TEST(delay_completes_young_days_without_bias)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world w;
    struct delay_law law;
    double sum[3] = {0};
    unsigned covered = 0;
    unsigned asked = 0;
    const unsigned runs = 120;
    for (unsigned run = 0; run < runs; run++) {
        const unsigned known_day = DAYS + 1;
        fill(&w, &r, 60, 4, known_day);
        for (unsigned i = 0; i < 3; i++) {
            const unsigned age = 1 + 3 * i;
            const unsigned d = known_day - 1 - age;
            double share = 0;
            double var = 0;
            delay_law_fit(w.known, DAYS, (int32_t)d, known_day, NULL, &law);
            assert_true(delay_share(&law, age, &share, &var));
            const struct delay_estimate e = delay_complete(&law, known_of(&w.known[d]), share, var);
            sum[i] += e.value / 60;
            covered += fabs(e.value - 60) <= 1.959963984540054 * sqrt(e.var + e.law * e.law);
            asked++;
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_true(fabs(sum[i] / runs - 1) < 0.1);
    }
    assert_true(covered >= 0.92 * asked);
}

TEST(delay_law_follows_the_days_near_the_question)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world slow;
    struct world fast;
    struct delay_law law;
    fill(&slow, &r, 500, 12, 1000);
    fill(&fast, &r, 500, 2, 1000);
    memcpy(&slow.known[DAYS / 2], &fast.known[DAYS / 2], sizeof slow.known / 2);
    double early = 0;
    double late = 0;
    double var = 0;
    delay_law_fit(slow.known, DAYS, 2, 1000, NULL, &law);
    assert_true(delay_share(&law, 3, &early, &var));
    delay_law_fit(slow.known, DAYS, DAYS - 2, 1000, NULL, &law);
    assert_true(delay_share(&law, 3, &late, &var));
    assert_true(early < 0.3 && late > 0.6);
}

TEST(delay_of_a_thin_stratum_is_its_parents)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world w;
    struct delay_law parent;
    struct delay_law child;
    fill(&w, &r, 500, 3, DAYS + 5);
    delay_law_fit(w.known, DAYS, DAYS - 1, DAYS + 5, NULL, &parent);
    delay_law_fit(NULL, 0, DAYS - 1, DAYS + 5, &parent, &child);
    for (unsigned k = 0; k < DELAY_AGES; k++) {
        assert_true(fabs(child.log_share[k] - parent.log_share[k]) < 1e-9);
        assert_true(child.var[k] >= parent.var[k]);
    }
}

TEST(delay_says_nothing_before_it_can)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world w;
    struct delay_law law;
    double share = 0;
    double var = 0;
    fill(&w, &r, 500, 60, 1000);
    delay_law_fit(w.known, DAYS, 30, 1000, NULL, &law);
    assert_false(delay_share(&law, -0.01, &share, &var));
    assert_false(delay_share(&law, (double)NAN, &share, &var));
    assert_false(delay_share(&law, 0, &share, &var)); /* less than one in fifty is known then */
    assert_true(delay_share(&law, 1e9, &share, &var));
    assert_true(share == 1 && var == 0);
    double low = 0;
    double high = 0;
    assert_true(delay_share(&law, 20, &low, &var) && delay_share(&law, 21, &high, &var));
    assert_true(delay_share(&law, 20.5, &share, &var));
    assert_true(share > low && share < high);
}

TEST(delay_complete_knows_what_it_does_not_know)
{
    const struct delay_law usual = {.daily = 40};
    const struct delay_law rare = {.daily = 0.01};
    const struct delay_estimate sure = delay_complete(&usual, 40, 1, 0);
    assert_true(sure.value == 40 && sure.var == 0 && sure.law == 0);
    const struct delay_law many = {.daily = 4000};
    const struct delay_estimate half = delay_complete(&many, 2000, 0.5, 0.01);
    assert_true(fabs(half.value / 4000 - 1) < 0.001);
    assert_true(fabs(half.var / (2000 * 0.5 / 0.25) - 1) < 0.001); /* the binomial's */
    assert_true(fabs(half.law / 400 - 1) < 0.001);
    /* None seen is not none there; but of what is rare there is hardly one. */
    assert_true(delay_complete(&usual, 0, 0.1, 0).value > 3);
    assert_true(delay_complete(&rare, 0, 0.1, 0).value < 0.02);
    const struct delay_law unheard = {0};
    assert_true(delay_complete(&unheard, 0, 0.5, 0).value > 0);
}

TEST(delay_law_knows_how_many_frauds_a_day_has)
{
    struct rng r;
    rng_init(&r, test_seed());
    struct world w;
    struct delay_law law;
    fill(&w, &r, 60, 3, DAYS + 1);
    delay_law_fit(w.known, DAYS, DAYS - 1, DAYS + 1, NULL, &law);
    assert_true(law.daily > 45 && law.daily < 80);
}
