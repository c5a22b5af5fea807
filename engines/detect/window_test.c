/* adwin and kswin against reference implementations that follow the papers with all past events at
 * hand: no running sums, no merged statistics, no shortcuts. */
#include "engines/detect/detect.h"

#include "base/test.h"
#include "engines/detect/peers_testing_int.h"

#include <math.h>
#include <stdlib.h>

/* adwin: buckets are only lengths here, oldest first; means and the variance come from the raw
 * events each time. */
struct reference_adwin {
    int length[EVENTS];
    int buckets;
};

static void merge_full_rows(struct reference_adwin *a, int per_row)
{
    for (int size = 1; size <= EVENTS; size *= 2) {
        int count = 0;
        int first = -1;
        for (int i = a->buckets - 1; i >= 0; i--) {
            if (a->length[i] == size) {
                count++;
                first = i;
            }
        }
        if (count > per_row) {
            a->length[first] = 2 * size;
            memmove(a->length + first + 1, a->length + first + 2,
                    (size_t)(a->buckets - first - 2) * sizeof a->length[0]);
            a->buckets--;
        }
    }
}

static bool reference_cut(const struct reference_adwin *a, const double *window, int width,
                          const struct detect_config *c)
{
    double all = mean_of(window, width);
    double variance = 0;
    for (int i = 0; i < width; i++) {
        variance += (window[i] - all) * (window[i] - all) / width;
    }
    double log_term = log(2 * log(width) / c->u.adwin.delta);
    int n0 = 0;
    for (int b = 0; b + 1 < a->buckets; b++) {
        n0 += a->length[b];
        int n1 = width - n0;
        if (n0 < (int)c->u.adwin.min_window || n1 < (int)c->u.adwin.min_window) {
            continue;
        }
        double m = 1 / (1.0 / n0 + 1.0 / n1);
        double bound = sqrt(2 / m * variance * log_term) + 2 / (3 * m) * log_term;
        if (fabs(mean_of(window, n0) - mean_of(window + n0, n1)) > bound) {
            return true;
        }
    }
    return false;
}

static void reference_adwin(const struct detect_config *c, const double *x, struct answers *out)
{
    struct reference_adwin a = {.buckets = 0};
    int from = 0; /* the window is x[from..i] */
    for (int i = 0; i < EVENTS; i++) {
        out->verdict[i] = DETECT_CALM;
        out->onset[i] = 0;
        a.length[a.buckets++] = 1;
        merge_full_rows(&a, (int)c->u.adwin.row_buckets);
        if ((i + 1) % (int)c->u.adwin.clock != 0 || i + 1 - from <= (int)c->u.adwin.grace_events) {
            continue;
        }
        while (i - from >= 1 && reference_cut(&a, x + from, i + 1 - from, c)) {
            from += a.length[0];
            a.buckets--;
            memmove(a.length, a.length + 1, (size_t)a.buckets * sizeof a.length[0]);
            out->verdict[i] = DETECT_ALARM;
            out->onset[i] = (uint64_t)from + 1;
        }
    }
}

TEST(adwin_cuts_where_the_raw_window_says)
{
    static double x[EVENTS];
    static struct answers a, b;
    static const struct {
        double delta;
        uint32_t clock, per_row, least, grace;
    } of[] = {{0.002, 32, 5, 5, 10}, {0.3, 1, 2, 1, 0}, {0.05, 7, 8, 40, 100}};
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        struct detect_config c = detect_config_of(DETECT_ADWIN);
        c.u.adwin.delta = of[i].delta;
        c.u.adwin.clock = of[i].clock;
        c.u.adwin.row_buckets = of[i].per_row;
        c.u.adwin.min_window = of[i].least;
        c.u.adwin.grace_events = of[i].grace;
        bits(x, 1);
        run(&c, x, &a);
        reference_adwin(&c, x, &b);
        assert_answers(&a, &b, 3);
        values(x, 2);
        run(&c, x, &a);
        reference_adwin(&c, x, &b);
        assert_answers(&a, &b, 2);
    }
}

/* The largest window: 32 full rows, made up as saved bytes; one more event passes a bucket on
 * through all of them, and the oldest of the last row goes. */
TEST(adwin_drops_its_oldest_bucket_at_the_largest_window)
{
    struct mem m;
    struct err e = {0};
    struct detect *d;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, 1 << 20);
    struct detect_config c = detect_config_of(DETECT_ADWIN);
    assert_true(detect_new(&c, &m, &d, &e));
    detect_save(d, &b);
    detect_free(d);
    b.n -= 4 + 49;
    uint64_t width = 5 * (((uint64_t)1 << 32) - 1);
    for (int i = 0; i < 6; i++) { /* events, then run events; the rest 0 */
        buf_u64le(&b, i == 0 || i == 4 ? width : 0);
    }
    buf_u8(&b, 0);
    buf_u32le(&b, 32);
    for (int row = 0; row < 32; row++) {
        buf_u8(&b, 5);
        for (int i = 0; i < 5; i++) {
            buf_f64le(&b, 0.5 * (double)((uint64_t)1 << row));
            buf_f64le(&b, 0.25 * (double)((uint64_t)1 << row));
        }
    }
    assert_true(detect_load(buf_str(&b), &m, &d, &e));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(detect_update(d, i % 2), DETECT_CALM);
    }
    buf_reset(&b);
    detect_save(d, &b);
    detect_free(d);
    assert_true(detect_load(buf_str(&b), &m, &d, &e)); /* the window is still one of a run */
    detect_free(d);
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}

/* P(D >= k/n) by walking all orders of two samples: the share of paths that stray by k. */
static double path_share(int n, int k)
{
    static double stay[130][130];
    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= n; j++) {
            /* The chance that the next event is of the first sample is (n - i) / (2n - i - j). */
            double from_i = i > 0 ? stay[i - 1][j] * (n - i + 1) / (2.0 * n - i - j + 1) : 0;
            double from_j = j > 0 ? stay[i][j - 1] * (n - j + 1) / (2.0 * n - i - j + 1) : 0;
            stay[i][j] = i + j == 0 ? 1 : abs(i - j) >= k ? 0 : from_i + from_j;
        }
    }
    return 1 - stay[n][n];
}

/* With window = 2 stat the sample of the older part is all of it, so nothing is left to chance. */
TEST(kswin_tests_the_newest_events_against_the_older)
{
    static double x[EVENTS];
    static struct answers a, b;
    static const struct {
        int stat;
        double alpha, least;
    } of[] = {{30, 0.005, 0.1}, {50, 0.05, 0.3}, {12, 0.2, 0}};
    for (size_t t = 0; t < ARRAY_LEN(of); t++) {
        int n = of[t].stat;
        struct detect_config c = detect_config_of(DETECT_KSWIN);
        c.u.kswin.stat = (uint32_t)n;
        c.u.kswin.window = 2 * (uint32_t)n;
        c.u.kswin.alpha = of[t].alpha;
        c.u.kswin.min_distance = of[t].least;
        values(x, 9);
        for (int i = 0; i < EVENTS; i++) {
            x[i] = round(x[i] * 8) / 8; /* with ties */
        }
        run(&c, x, &a);
        int from = 0;
        for (int i = 0; i < EVENTS; i++) {
            b.verdict[i] = DETECT_CALM;
            b.onset[i] = 0;
            if (i + 1 - from < 2 * n) {
                continue;
            }
            int most = 0;
            for (int at = i + 1 - 2 * n; at <= i; at++) {
                int off = 0;
                for (int k = 0; k < n; k++) {
                    off += (x[i - k] <= x[at]) - (x[i - n - k] <= x[at]);
                }
                most = abs(off) > most ? abs(off) : most;
            }
            if (most > of[t].least * n && path_share(n, most) <= of[t].alpha) {
                b.verdict[i] = DETECT_ALARM;
                b.onset[i] = (uint64_t)(i + 2 - n);
                from = i + 1 - n;
            }
        }
        assert_answers(&a, &b, 1);
    }
}

/* The draw is without replacement and only from the older part: all of it 0, the newest grow to 1,
 * so the difference is their count whatever is drawn; a repeat of one event would not show, so the
 * older part also has one 2, which can be drawn once at most. */
TEST(kswin_draws_from_the_older_part_by_its_seed)
{
    static double x[EVENTS];
    static struct answers a, b, other;
    struct detect_config c = detect_config_of(DETECT_KSWIN);
    for (int i = 0; i < EVENTS; i++) {
        x[i] = i == 20 ? 2 : i >= 100;
    }
    int k = 1;
    while (path_share(30, k) > 0.005 || k <= 3) {
        k++;
    }
    run(&c, x, &a);
    int first = 0;
    while (first < EVENTS && a.verdict[first] != DETECT_ALARM) {
        first++;
    }
    /* k ones make k/n, or one more when the 2 was drawn. */
    assert_true(first == 100 + k - 1 || first == 100 + k);
    assert_true(a.onset[first] == (uint64_t)first + 2 - 30);
    values(x, 10);
    run(&c, x, &a);
    run(&c, x, &b);
    assert_answers(&a, &b, 2);
    c.u.kswin.seed = 2;
    run(&c, x, &other);
    assert_true(memcmp(&a, &other, sizeof a) != 0);
}
