/* Labels that come late, and labels that stop coming. */
#include "model/model_testing_int.h"

#include <math.h>

#define DAYS      40
#define FRAUDS    24 /* a day, of each kind */
#define LATE_DAYS 12 /* a fraud that was let through is found 1 to 12 days later, each as often */

static int64_t day_ns(unsigned d)
{
    return ns_from_day(TESTING_DAY0 + (int32_t)d);
}

static void judge(struct testing *t, int64_t decided_ns, uint32_t k, int64_t at_ns,
                  enum label_source source)
{
    struct fraud_label l = testing_label(decided_ns, k, at_ns, TRUTH_FRAUD);
    l.source = source;
    record_put_label(&t->batch, &l);
}

/* Half of the frauds are held and found by an analyst within the day; half are let through. What
 * would come after `stop_ns` by MED does not. */
static void fill(struct testing *t, int64_t now_ns, int64_t stop_ns)
{
    uint32_t k = 0;
    for (unsigned d = 0; d < DAYS; d++) {
        for (unsigned i = 0; i < FRAUDS; i++, k += 2) {
            const int64_t ns = day_ns(d) + (int64_t)i * NS_PER_DAY / FRAUDS;
            const struct decision held = testing_decision(ns, k, 0.9, VERDICT_HOLD);
            const struct decision passed = testing_decision(ns, k + 1, 0.1, VERDICT_APPROVE);
            record_put_decision(&t->batch, &held);
            record_put_decision(&t->batch, &passed);
            const int64_t found_ns = ns + TESTING_HOUR_NS;
            const int64_t med_ns = ns + (int64_t)(1 + (d * 7 + i) % LATE_DAYS) * NS_PER_DAY;
            if (found_ns <= now_ns) {
                judge(t, ns, k, found_ns, SOURCE_ANALYST);
            }
            if (med_ns <= now_ns && med_ns <= stop_ns) {
                judge(t, ns, k + 1, med_ns, SOURCE_MED_INFRACTION);
            }
        }
    }
    testing_apply(t);
    testing_tick(t);
}

static struct model_late late_of(struct testing *t, unsigned from, unsigned to,
                                 struct model_quality *now)
{
    struct model_query q = {.day_from = TESTING_DAY0 + (int32_t)from,
                            .day_to = TESTING_DAY0 + (int32_t)to,
                            .as_of_ns = T_NS_NONE,
                            .age_ns = -1};
    struct model_late out;
    assert_true(model_gather(t->model, t->states, t->n, &q, now));
    assert_true(model_late_figures(t->model, t->states, t->n, &q, now, &out));
    return out;
}

TEST(late_recall_of_young_days_is_what_it_will_be)
{
    struct testing t;
    testing_init(&t, 2);
    fill(&t, day_ns(DAYS), INT64_MAX);
    struct model_quality now;
    struct model_late late = late_of(&t, DAYS - 4, DAYS - 4, &now);
    assert_true(now.recall.value > 0.75); /* nine of twelve frauds let through are not known */
    assert_true(fabs(late.recall.value - 0.5) < 0.06);
    assert_true(late.recall.lo < 0.5 && late.recall.hi > 0.5);
    assert_true(late.expected[0] < 0.4 && late.expected[1] > 0.95);
    assert_true(fabs(late.frauds.value - 2 * FRAUDS) < 8);
    assert_true(late.frauds.lo <= 2 * FRAUDS && late.frauds.hi >= 2 * FRAUDS);
    assert_true(late.precision.value > 0.95);
    assert_int_equal(late.frozen_ns, T_NS_NONE);
    /* All labels are in: what is seen is what there is. */
    late = late_of(&t, 5, 20, &now);
    assert_true(fabs(late.recall.value - now.recall.value) < 0.01);
    assert_true(late.recall.hi - late.recall.lo < 0.02);
    /* On the day itself, and where there is nothing, nothing is said. */
    late = late_of(&t, DAYS + 5, DAYS + 9, &now);
    assert_true(isnan(late.recall.value) && isnan(late.expected_all));
    testing_release(&t);
}

TEST(late_as_of_knows_nothing_later)
{
    struct testing all;
    struct testing then;
    struct model_quality now;
    const int64_t asked_ns = day_ns(30);
    testing_init(&all, 1);
    testing_init(&then, 1);
    fill(&all, day_ns(DAYS), INT64_MAX);
    fill(&then, asked_ns, INT64_MAX);
    struct model_query q = {.day_from = TESTING_DAY0 + 27,
                            .day_to = TESTING_DAY0 + 27,
                            .as_of_ns = asked_ns,
                            .age_ns = -1};
    struct model_late a;
    struct model_late b;
    assert_true(model_gather(all.model, all.states, 1, &q, &now));
    assert_true(model_late_figures(all.model, all.states, 1, &q, &now, &a));
    assert_true(model_gather(then.model, then.states, 1, &q, &now));
    assert_true(model_late_figures(then.model, then.states, 1, &q, &now, &b));
    assert_memory_equal(&a.recall, &b.recall, sizeof a.recall);
    assert_memory_equal(&a.frauds, &b.frauds, sizeof a.frauds);
    testing_release(&all);
    testing_release(&then);
}

TEST(late_a_source_that_stops_freezes_its_time)
{
    struct testing goes;
    struct testing stops;
    struct model_quality now;
    testing_init(&goes, 1);
    testing_init(&stops, 1);
    fill(&goes, day_ns(DAYS), INT64_MAX);
    fill(&stops, day_ns(DAYS), day_ns(30));
    assert_false(late_of(&goes, 20, 20, &now).frozen[SOURCE_MED_INFRACTION]);
    struct model_late late = late_of(&stops, 20, 20, &now);
    assert_true(late.frozen[SOURCE_MED_INFRACTION]);
    assert_false(late.frozen[SOURCE_ANALYST]);
    assert_true(late.frozen_ns <= day_ns(30) && late.frozen_ns > day_ns(29));
    /* Ten days were seen of this one, not twenty; a day after the stop cannot be told. */
    assert_true(late.recall.value < now.recall.value);
    late = late_of(&stops, 35, 35, &now);
    assert_true(isnan(late.recall.value));
    assert_true(now.recall.value > 0.99); /* what everybody else would report */
    testing_release(&goes);
    testing_release(&stops);
}

TEST(late_a_segment_takes_the_law_of_all_and_shards_change_no_bit)
{
    struct model_late first = {0};
    for (uint32_t shards = 1; shards <= 3; shards++) {
        struct testing t;
        testing_init(&t, shards);
        fill(&t, day_ns(DAYS), INT64_MAX);
        struct model_query q = {.day_from = TESTING_DAY0 + DAYS - 5,
                                .day_to = TESTING_DAY0 + DAYS - 3,
                                .as_of_ns = T_NS_NONE,
                                .age_ns = -1,
                                .dim = t.c.segments.v[0],
                                .value = STR("web")};
        struct model_quality now;
        struct model_late late;
        assert_true(model_gather(t.model, t.states, t.n, &q, &now));
        assert_true(model_late_figures(t.model, t.states, t.n, &q, &now, &late));
        assert_true(now.n > 0 && fabs(late.recall.value - 0.5) < 0.15);
        if (shards == 1) {
            first = late;
        }
        assert_memory_equal(&late.recall, &first.recall, sizeof late.recall);
        assert_memory_equal(&late.missed_brl, &first.missed_brl, sizeof late.missed_brl);
        testing_release(&t);
    }
}
