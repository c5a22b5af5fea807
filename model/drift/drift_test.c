/* Drift against what was done to the stream, and distances against brute force over the values. */
#include "model/drift/drift_int.h"
#include "model/drift/testing_int.h"

#include <stdio.h>

#define DAY (TESTING_DAY0 + 5)

TEST(numbers_keep_their_order_and_small_whole_ones_their_value)
{
    struct rng r;
    rng_init(&r, test_seed());
    double before = -INFINITY;
    double v[2000];
    for (int i = 0; i < 2000; i++) {
        v[i] = (rng_f64(&r) - 0.5) * pow(10, (double)rng_below(&r, 40) - 20);
    }
    for (int i = 0; i < 2000; i++) {
        for (int k = i + 1; k < 2000 && k < i + 20; k++) {
            uint32_t a = drift_key_payload(drift_number_key(v[i]));
            uint32_t b = drift_key_payload(drift_number_key(v[k]));
            assert_true(v[i] < v[k] ? a <= b : a >= b);
        }
        double mid = drift_key_number(drift_number_key(v[i]), false);
        assert_true(fabs(mid - v[i]) <= fabs(v[i]) / 128);
    }
    for (int i = -256; i <= 256; i++) {
        uint32_t key = drift_number_key(i);
        assert_true(key & DRIFT_EXACT);
        assert_true(drift_key_number(key, true) == i);
        assert_true(drift_key_coarse(key) == key);
        assert_true((double)key > before);
        before = key;
    }
    assert_int_equal(drift_number_key(-0.0), drift_number_key(0));
}

TEST(cells_count_every_key)
{
    struct mem m;
    struct drift_cells c = {0};
    struct rng r;
    uint64_t want[500] = {0};
    uint64_t slots[500];
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    for (int i = 0; i < 20000; i++) {
        uint32_t k = (uint32_t)(rng_below(&r, 500) * rng_below(&r, 500) / 500);
        uint64_t n = 1 + rng_below(&r, 3);
        want[k] += n;
        assert_true(drift_cells_add(&c, &m, k * 4099, n));
    }
    drift_cells_sorted(&c, slots);
    uint32_t at = 0;
    for (uint32_t k = 0; k < 500; k++) {
        if (want[k] > 0) {
            assert_int_equal(drift_slot_key(slots[at]), k * 4099);
            assert_int_equal(drift_slot_count(slots[at]), want[k]);
            at++;
        }
    }
    assert_int_equal(at, c.used);
    drift_cells_release(&c, &m);
    assert_int_equal(m.bytes, 0);
}

TEST(quiet_days_flag_nothing)
{
    struct testing t;
    testing_init(&t, 1);
    testing_reference(&t, 11);
    for (int32_t i = 0; i < 10; i++) {
        testing_day(&t, DAY + i, 11, NULL);
        assert_int_equal(testing_flags(&t, DAY + i), 0);
    }
    assert_int_equal(t.d->day_results.count, 10);
    assert_int_equal(t.d->memory_failures, 0);
    testing_release(&t);
}

/* One change, the feature it touches, the segment asked for and the rule that must see it. */
struct injection {
    const char *feature, *segment;
    testing_change change;
    enum drift_rule rule;
};

static void amount_web(struct testing_event *x, struct rng *r)
{
    (void)r;
    x->f[0].number *= str_eq(x->channel, STR("web")) ? 1.5 : 1;
}
static void amount_centavos(struct testing_event *x, struct rng *r)
{
    (void)r;
    x->f[0].number *= 100;
}
static void amount_milli(struct testing_event *x, struct rng *r)
{
    (void)r;
    x->f[0].number /= 1000;
}
static void age_null(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 50) == 0) {
        x->f[1].kind = FEATURE_NULL;
    }
}
static void age_default(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 50) == 0) {
        x->f[1].number = -1;
    }
}
static void age_range(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 50) == 0) {
        x->f[1].number = 200;
    }
}
static void age_text(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 50) == 0) {
        x->f[1] = (struct feature){1, FEATURE_CATEGORY, 0, STR("42")};
    }
}
static void key_new(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 50) == 0) {
        x->f[2].category = STR("nfc");
    }
}
static void key_shift(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 4) == 0) {
        x->f[2].category = STR("cpf");
    }
}
static void known_always(struct testing_event *x, struct rng *r)
{
    (void)r;
    x->f[3].number = 1;
}
static void risk_gone(struct testing_event *x, struct rng *r)
{
    (void)r;
    x->count = 4;
}
static void version_new(struct testing_event *x, struct rng *r)
{
    if (rng_below(r, 3) == 0) {
        x->version = STR("v2");
    }
}

TEST(each_injection_is_seen_on_its_day_by_its_rule)
{
    static const struct injection all[] = {
        {"amount", "channel:web", amount_web, DRIFT_RULE_DISTRIBUTION},
        {"amount", "", amount_centavos, DRIFT_RULE_UNIT_X100},
        {"amount", "form:DICT", amount_milli, DRIFT_RULE_UNIT_X1000},
        {"age", "", age_null, (enum drift_rule)DRIFT_RATE_MISSING},
        {"age", "", age_default, (enum drift_rule)DRIFT_RATE_DEFAULT},
        {"age", "", age_range, (enum drift_rule)DRIFT_RATE_RANGE},
        {"age", "", age_text, (enum drift_rule)DRIFT_RATE_TYPE},
        {"key_type", "", key_new, (enum drift_rule)DRIFT_RATE_NEW},
        {"key_type", "channel:app", key_shift, DRIFT_RULE_DISTRIBUTION},
        {"known", "", known_always, DRIFT_RULE_CONSTANT},
        {"risk", "", risk_gone, DRIFT_RULE_ABSENT},
        {"fraud.model_version", "", version_new, (enum drift_rule)DRIFT_RATE_NEW},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct testing t;
        testing_init(&t, 2);
        testing_reference(&t, 5);
        testing_day(&t, DAY, 5, NULL);
        testing_day(&t, DAY + 1, 5, all[i].change);
        const struct drift_result *r =
            testing_result(&t, DAY + 1, str_from_c(all[i].feature), str_from_c(all[i].segment));
        assert_int_equal(testing_flags(&t, DAY), 0);
        assert_non_null(r);
        if (!r->drifted || (r->rules >> all[i].rule & 1) == 0) {
            print_error("%s %s: rules %x, p %g, ks %g\n", all[i].feature, all[i].segment,
                        (unsigned)r->rules, r->p, r->ks);
        }
        assert_true(r->drifted);
        assert_true(r->rules >> all[i].rule & 1);
        /* What was not touched stays quiet. */
        r = testing_result(&t, DAY + 1, STR("fraud.decision"), STR(""));
        assert_non_null(r);
        assert_false(r->drifted);
        testing_release(&t);
    }
}

/* ---- distances by brute force ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void brute(double *a, uint32_t n, double *b, uint32_t m, double *ks, double *w1)
{
    uint32_t i = 0;
    uint32_t k = 0;
    double before = 0;
    double gap = 0;
    qsort(a, n, sizeof *a, by_value);
    qsort(b, m, sizeof *b, by_value);
    *ks = *w1 = 0;
    while (i < n || k < m) {
        double x = k == m || (i < n && a[i] < b[k]) ? a[i] : b[k];
        *w1 += i + k > 0 ? gap * (x - before) : 0;
        while (i < n && a[i] == x) {
            i++;
        }
        while (k < m && b[k] == x) {
            k++;
        }
        gap = fabs((double)i / n - (double)k / m);
        *ks = fmax(*ks, gap);
        before = x;
    }
}

TEST(distances_are_those_of_the_values)
{
    enum { REF = 5 * TESTING_EACH_DAY };
    struct testing t;
    double *ref = calloc(REF, sizeof *ref);
    double now[TESTING_EACH_DAY];
    double ks = 0;
    double w1 = 0;
    uint32_t at = 0;
    testing_init(&t, 1);
    testing_reference(&t, 3);
    testing_day(&t, DAY, 3, amount_centavos);
    testing_day(&t, DAY + 1, 3, amount_web);
    for (int32_t day = 0; day < 7; day++) {
        struct rng r;
        rng_init(&r, 3 ^ (uint64_t)(TESTING_DAY0 + day) * 7919);
        for (uint32_t i = 0; i < TESTING_EACH_DAY && day != 5; i++) {
            struct testing_event x = testing_event(&r, 0);
            if (day == 6) {
                amount_web(&x, NULL);
                now[i] = x.f[0].number;
            } else {
                ref[at++] = x.f[0].number;
            }
        }
    }
    assert_int_equal(at, REF);
    brute(ref, REF, now, TESTING_EACH_DAY, &ks, &w1);
    const struct drift_result *r = testing_result(&t, DAY + 1, STR("amount"), STR(""));
    assert_non_null(r);
    assert_true(fabs(r->ks - ks) < 0.002);
    assert_true(fabs(r->w1 - w1) < 0.002 * w1 + 0.05);
    assert_true(ks > 0.02);
    assert_int_equal(r->n, TESTING_EACH_DAY);
    free(ref);
    testing_release(&t);
}

TEST(shares_of_categories_are_exact)
{
    struct testing t;
    uint64_t counts[2][4] = {{0}};
    static const char *const keys[4] = {"cpf", "phone", "email", "evp"};
    testing_init(&t, 2);
    testing_reference(&t, 9);
    testing_day(&t, DAY, 9, NULL);
    for (int32_t day = 0; day < 6; day++) {
        struct rng r;
        rng_init(&r, 9 ^ (uint64_t)(TESTING_DAY0 + day) * 7919);
        for (uint32_t i = 0; i < TESTING_EACH_DAY; i++) {
            struct testing_event x = testing_event(&r, 0);
            for (int k = 0; k < 4; k++) {
                counts[day == 5][k] += str_eq(x.f[2].category, str_from_c(keys[k])) ? 1 : 0;
            }
        }
    }
    double tvd = 0;
    double psi = 0;
    for (int k = 0; k < 4; k++) {
        double a = (double)counts[0][k] / (5.0 * TESTING_EACH_DAY);
        double b = (double)counts[1][k] / TESTING_EACH_DAY;
        tvd += fabs(a - b) / 2;
        psi += (b - a) * log(b / a);
    }
    const struct drift_result *r = testing_result(&t, DAY, STR("key_type"), STR(""));
    assert_non_null(r);
    assert_true(fabs(r->tvd - tvd) < 1e-12);
    assert_true(fabs(r->psi - psi) < 1e-12);
    testing_release(&t);
}

/* ---- shards ---- */

static void all_json(struct testing *t, struct buf *b)
{
    struct drift_query q;
    struct err e = {0};
    for (int hours = 0; hours < 2; hours++) {
        assert_true(drift_query_parse(STR(""), STR(""), STR(""), STR("*"),
                                      hours ? STR("hour") : STR("day"), &q, &e));
        drift_json(t->d, &q, b);
    }
    assert_false(b->failed);
}

TEST(any_number_of_shards_gives_the_bits_of_one_stream)
{
    struct mem m;
    struct buf text[2];
    mem_init(&m, 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct testing t;
        buf_init(&text[i], &m, 64 << 20);
        testing_init(&t, i == 0 ? 1 : 4);
        testing_reference(&t, 21);
        testing_day(&t, DAY, 21, amount_web);
        testing_day(&t, DAY + 1, 21, key_new);
        all_json(&t, &text[i]);
        testing_release(&t);
    }
    assert_true(text[0].n > 10000);
    assert_true(str_eq(buf_str(&text[0]), buf_str(&text[1])));
    buf_release(&text[0]);
    buf_release(&text[1]);
}

TEST(what_comes_for_a_closed_hour_is_counted_and_left_out)
{
    struct testing t;
    struct rng r;
    testing_init(&t, 1);
    testing_reference(&t, 2);
    rng_init(&r, 1);
    struct testing_event x = testing_event(&r, ns_from_day(DAY) - NS_PER_S);
    testing_give(&t, 0, &x);
    assert_int_equal(t.shards[0]->left[DRIFT_LEFT_LATE], 1);
    x.t_ns = ns_from_day(DAY) + NS_PER_S;
    testing_give(&t, 0, &x);
    assert_int_equal(t.shards[0]->left[DRIFT_LEFT_LATE], 1);
    testing_release(&t);
}

TEST(a_first_day_that_began_late_is_not_in_the_reference)
{
    struct testing t;
    struct rng r;
    testing_init(&t, 1);
    rng_init(&r, 1);
    struct testing_event x = testing_event(&r, ns_from_day(TESTING_DAY0) - 7200 * NS_PER_S);
    testing_give(&t, 0, &x);
    testing_reference(&t, 2);
    assert_int_equal(t.d->ref_from, TESTING_DAY0);
    assert_int_equal(t.d->ref_to, TESTING_DAY0 + 4);
    testing_release(&t);
}

TEST(bounds_of_names_are_counted_and_the_rest_goes_on)
{
    struct testing t;
    struct rng r;
    char text[64][8];
    testing_init(&t, 1);
    rng_init(&r, 1);
    for (uint32_t i = 0; i < 64; i++) {
        struct testing_event x = testing_event(&r, ns_from_day(TESTING_DAY0) + NS_PER_S);
        snprintf(text[i], sizeof text[i], "k%u", i);
        x.f[2].category = str_from_c(text[i]);
        testing_give(&t, 0, &x);
    }
    drift_tick(t.d, t.shards, 1, ns_from_day(TESTING_DAY0 + 1) + 700 * NS_PER_S);
    uint32_t f = intern_find(&t.d->names.features, STR("key_type"));
    const struct drift_cells *c = drift_grid_at(&t.d->ref, f, 0);
    assert_non_null(c);
    assert_int_equal(c->used, 9); /* eight names and "other" */
    testing_release(&t);
}

TEST(parameters_are_checked_by_name)
{
    struct drift_query q;
    struct err e = {0};
    struct str no = STR("");
    assert_true(drift_query_parse(STR("2026-11-01"), STR("2026-11-02"), STR("amount"),
                                  STR("channel:web"), STR("hour"), &q, &e));
    assert_true(q.hours);
    assert_int_equal(q.day_to - q.day_from, 1);
    assert_false(drift_query_parse(STR("x"), no, no, no, no, &q, &e));
    assert_non_null(strstr(e.msg, "'from'"));
    assert_false(drift_query_parse(no, STR("2026-13-01"), no, no, no, &q, &e));
    assert_non_null(strstr(e.msg, "'to'"));
    assert_false(drift_query_parse(STR("2026-11-03"), STR("2026-11-02"), no, no, no, &q, &e));
    assert_false(drift_query_parse(no, no, no, STR("web"), no, &q, &e));
    assert_non_null(strstr(e.msg, "'segment'"));
    assert_false(drift_query_parse(no, no, no, no, STR("week"), &q, &e));
    assert_non_null(strstr(e.msg, "'window'"));
}
