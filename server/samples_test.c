/* Families into the store: names, labels and le as a scrape would give them, one sample a second,
 * stale markers for what disappears. */
#include "server/samples_int.h"

#include "base/clock.h"
#include "base/simos.h"
#include "base/test.h"
#include "engines/promql/promql.h"

#define NOW_MS 1700000000000

struct rig {
    struct simos *simos;
    struct log log;
    struct mem mem;
    struct arena arena;
    struct tsdb *db;
    struct server_samples samples;
    struct expo x;
};

static void rig_init(struct rig *r)
{
    struct tsdb_config c;
    struct err e = {0};
    memset(r, 0, sizeof *r);
    r->simos = simos_new(1);
    simos_clock_set(r->simos, NOW_MS * NS_PER_MS);
    log_init(&r->log, simos_os(r->simos), -1, LOG_ERROR);
    mem_init(&r->mem, 0);
    arena_init(&r->arena, &r->mem, 1U << 20);
    tsdb_config_default(&c);
    c.dir = "db";
    c.retention_ms = 0;
    assert_true(tsdb_open(&r->db, &c, simos_os(r->simos), &r->log, &e));
    assert_true(server_samples_init(&r->samples, r->db, STR("host:1"), &e));
}

static void rig_release(struct rig *r)
{
    server_samples_release(&r->samples);
    tsdb_close(r->db);
    arena_release(&r->arena);
    simos_free(r->simos);
    assert_int_equal(r->mem.bytes, 0);
}

/* Every series and its samples since NOW, in order of labels; "stale" for a marker. */
static void assert_stored(struct rig *r, const char *expected)
{
    struct tsdb_view *v;
    struct tsdb_column c;
    struct arena a;
    struct buf out;
    struct err e = {0};
    uint32_t *ids, n;
    const struct matcher all = {MATCH_EQ, STR("job"), STR("farol")};
    arena_init(&a, &r->mem, 1U << 20);
    buf_init(&out, &r->mem, 1U << 20);
    tsdb_column_init(&c, &r->mem);
    assert_true(tsdb_view_open(r->db, &v, &e));
    assert_true(tsdb_select(v, &all, 1, 0, INT64_MAX, 1000, true, &a, &ids, &n, &e));
    for (uint32_t i = 0; i < n; i++) {
        labels_print(tsdb_labels(v, ids[i], &a), &out);
        assert_true(tsdb_read(v, ids[i], 0, INT64_MAX, 1000, &c, &e));
        for (uint32_t k = 0; k < c.n; k++) {
            buf_fmt(&out, " +%lld=", (long long)(c.t[k] - NOW_MS) / 1000);
            if (is_stale_nan(c.v[k])) {
                BUF_LIT(&out, "stale");
            } else {
                buf_f64(&out, c.v[k]);
            }
        }
        BUF_LIT(&out, "\n");
    }
    assert_str(buf_str(&out), str_from_c(expected));
    tsdb_view_close(v);
    tsdb_column_release(&c);
    buf_release(&out);
    arena_release(&a);
}

static void begin(struct rig *r, int64_t after_ms)
{
    arena_reset(&r->arena);
    expo_init(&r->x, &r->arena, NOW_MS + after_ms);
}

TEST(samples_are_named_and_labelled_as_a_scrape_would)
{
    static const double edges[] = {0.5, 10};
    static const uint64_t buckets[] = {1, 2, 4};
    struct rig r;
    rig_init(&r);
    begin(&r, 250);
    const struct label l = {STR("stage"), STR("score")};
    expo_add(&r.x, expo_family(&r.x, EXPO_COUNTER, STR("c"), STR(""), STR("h")), &l, 1, 7);
    expo_add(&r.x, expo_family(&r.x, EXPO_GAUGE, STR("g"), STR(""), STR("h")), NULL, 0, -1.5);
    expo_add_histogram(&r.x, expo_family(&r.x, EXPO_HISTOGRAM, STR("h"), STR(""), STR("h")), NULL,
                       0, edges, 2, buckets, 12.5);
    server_samples_write(&r.samples, &r.x);
    assert_stored(
        &r, "{__name__=\"c_total\", instance=\"host:1\", job=\"farol\", stage=\"score\"} +0=7\n"
            "{__name__=\"g\", instance=\"host:1\", job=\"farol\"} +0=-1.5\n"
            "{__name__=\"h_bucket\", instance=\"host:1\", job=\"farol\", le=\"+Inf\"} +0=7\n"
            "{__name__=\"h_bucket\", instance=\"host:1\", job=\"farol\", le=\"0.5\"} +0=1\n"
            "{__name__=\"h_bucket\", instance=\"host:1\", job=\"farol\", le=\"10.0\"} +0=3\n"
            "{__name__=\"h_count\", instance=\"host:1\", job=\"farol\"} +0=7\n"
            "{__name__=\"h_sum\", instance=\"host:1\", job=\"farol\"} +0=12.5\n");
    assert_int_equal(r.samples.samples, 7);
    assert_int_equal(r.samples.dropped, 0);
    rig_release(&r);
}

TEST(samples_once_a_second_and_stale_when_gone)
{
    struct rig r;
    rig_init(&r);
    for (int i = 0; i < 6; i++) { /* two ticks a second; b only in the first second */
        begin(&r, i * 500);
        expo_add(&r.x, expo_family(&r.x, EXPO_GAUGE, STR("a"), STR(""), STR("h")), NULL, 0, i);
        if (i < 2) {
            expo_add(&r.x, expo_family(&r.x, EXPO_GAUGE, STR("b"), STR(""), STR("h")), NULL, 0, i);
        }
        server_samples_write(&r.samples, &r.x);
    }
    begin(&r, 1000); /* a clock that was set back writes nothing */
    expo_add(&r.x, expo_family(&r.x, EXPO_GAUGE, STR("a"), STR(""), STR("h")), NULL, 0, 99);
    server_samples_write(&r.samples, &r.x);
    assert_stored(&r, "{__name__=\"a\", instance=\"host:1\", job=\"farol\"} +0=0 +1=2 +2=4\n"
                      "{__name__=\"b\", instance=\"host:1\", job=\"farol\"} +0=0 +1=stale\n");
    assert_int_equal(r.samples.dropped, 0);
    rig_release(&r);
}
