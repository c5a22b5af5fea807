/* What the door stores: both versions, special floats, start times, histograms, exemplars,
 * metadata, labels in any place - and what remembering label blocks must not change. */
#include "ingest/remote_write/testing_int.h"

TEST(a_request_of_1_0_is_stored_and_answered_204)
{
    struct world w;
    world_open(&w);
    series_v1(&w, "__name__=up,job=a", T0, 1);
    series_v1(&w, "__name__=up,job=b", T0, 2);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    assert_false(answered(&w, "Written"));
    expect(&w, "up{job=\"a\"} 0:1\nup{job=\"b\"} 0:2\n");
    assert_true(published(&w, "farol_remote_write_samples", "", "") == 2);
    assert_true(published(&w, "farol_remote_write_requests", "result", "stored") == 1);
    world_close(&w);
}

TEST(names_that_were_seen_lead_to_the_same_series)
{
    struct world w;
    world_open(&w);
    for (int i = 0; i < 3; i++) {
        series_v1(&w, "__name__=up,job=a", T0 + 2 * i, i);
        series_v1(&w, "job=a,__name__=up,empty=", T0 + 2 * i + 1, i); /* same set, other bytes */
        series_v1(&w, "__name__=up,job=b", T0 + i, i);
        assert_int_equal(send_as(&w, TYPE_1), 204);
    }
    expect(&w, "up{job=\"a\"} 0:0 1:0 2:1 3:1 4:2 5:2\nup{job=\"b\"} 0:0 1:1 2:2\n");
    world_close(&w);
}

TEST(repeated_requests_of_both_versions_share_series)
{
    struct world w;
    world_open(&w);
    for (int i = 0; i < 3; i++) {
        series_v1(&w, "__name__=up", T0 + 2 * i, i);
        assert_int_equal(send_as(&w, TYPE_1), 204);
        /* The reference of a name moves from request to request. */
        static const char *const a[] = {"__name__", "up", NULL};
        static const char *const b[] = {"x", "up", "__name__", NULL};
        symbols(&w, i % 2 ? a : b);
        series_v2(&w, "up", T0 + 2 * i + 1, i + 0.5);
        assert_int_equal(send_as(&w, TYPE_2), 204);
    }
    expect(&w, "up 0:0 1:0.5 2:1 3:1.5 4:2 5:2.5\n");
    world_close(&w);
}

TEST(labels_after_samples_and_in_pieces_are_one_series)
{
    struct world w;
    world_open(&w);
    size_t mark = pb_begin(&w.rq, 1);
    labels_v1(&w.rq, "job=a");
    sample(&w.rq, T0, 1);
    labels_v1(&w.rq, "__name__=up");
    sample(&w.rq, T0 + 1, 2);
    pb_end(&w.rq, mark);
    mark = pb_begin(&w.rq, 1);
    sample(&w.rq, T0 + 2, 3);
    labels_v1(&w.rq, "__name__=up,job=a");
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    expect(&w, "up{job=\"a\"} 0:1 1:2 2:3\n");
    world_close(&w);
}

TEST(special_floats_keep_their_bits)
{
    struct world w;
    const uint64_t bits[] = {STALE_NAN_BITS,     NORMAL_NAN_BITS,    0x7ff0000000000000,
                             0xfff0000000000000, 0x8000000000000000, 0x10000000000000};
    world_open(&w);
    symbols(&w, some);
    for (int version = 1; version <= 2; version++) {
        for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
            double v;
            memcpy(&v, &bits[i], sizeof v);
            const int64_t t = T0 + (int64_t)i + 10 * version;
            if (version == 1) {
                series_v1(&w, "__name__=up", t, v);
            } else {
                series_v2(&w, "down", t, v);
            }
        }
        if (version == 1) {
            assert_int_equal(send_as(&w, TYPE_1), 204);
            symbols(&w, some);
        } else {
            assert_int_equal(send_as(&w, TYPE_2), 204);
        }
    }
    expect(&w, "down 20:stale 21:NaN 22:+Inf 23:-Inf 24:-0 25:2.2250738585072014e-308\n"
               "up 10:stale 11:NaN 12:+Inf 13:-Inf 14:-0 15:2.2250738585072014e-308\n");
    world_close(&w);
}

TEST(metadata_of_all_types_is_read_over)
{
    struct world w;
    world_open(&w);
    for (uint32_t type = 0; type <= 8; type++) {
        const size_t mark = pb_begin(&w.rq, 3);
        pb_put_varint(&w.rq, 1, type);
        pb_put_bytes(&w.rq, 2, STR("up"));
        pb_put_bytes(&w.rq, 4, STR("help"));
        pb_end(&w.rq, mark);
    }
    assert_int_equal(send_as(&w, TYPE_1), 204); /* nothing but metadata, as Prometheus sends it */
    expect(&w, "");
    symbols(&w, some);
    for (uint32_t type = 0; type <= 8; type++) {
        const uint32_t r[] = {1, 2, 4, 5};
        const size_t mark = pb_begin(&w.rq, 5);
        refs(&w.rq, r, 4);
        sample_st(&w.rq, T0 + type, 0, type);
        const size_t meta = pb_begin(&w.rq, 5);
        pb_put_varint(&w.rq, 1, type);
        pb_put_varint(&w.rq, 3, 3);
        pb_put_varint(&w.rq, 4, 4);
        pb_end(&w.rq, meta);
        pb_end(&w.rq, mark);
    }
    assert_int_equal(send_as(&w, TYPE_2), 204);
    assert_true(wrote(&w, 9, 0, 0));
    expect(&w, "up{job=\"x\"} 0:0 1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8\n");
    world_close(&w);
}

TEST(start_times_are_kept)
{
    struct world w;
    world_open(&w);
    symbols(&w, some);
    const uint32_t r[] = {1, 2};
    const size_t mark = pb_begin(&w.rq, 5);
    refs(&w.rq, r, 2);
    sample_st(&w.rq, T0, T0 - 500, 7);
    sample_st(&w.rq, T0 + 1, 0, 8);
    pb_put_varint(&w.rq, 6, (uint64_t)T0); /* where older senders put one: reserved now */
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_2), 204);
    assert_true(wrote(&w, 2, 0, 0));
    expect(&w, "up 0:7@-500 1:8\n");
    world_close(&w);
}

/* -- histograms and exemplars -- */

static struct nhist hist(bool integer, double count, double *buckets, struct nhist_span *span)
{
    *span = (struct nhist_span){0, 2};
    return (struct nhist){.schema = 1,
                          .integer = integer,
                          .count = count,
                          .sum = 4.5,
                          .zero_threshold = 0.001,
                          .zero_count = 1,
                          .pos = {.spans = span, .counts = buckets, .spans_n = 1, .counts_n = 2}};
}

static void histogram(struct buf *b, uint32_t number, bool integer, double count, int64_t t,
                      int64_t st)
{
    double buckets[] = {2, integer ? 3 : 3.5};
    struct nhist_span span;
    const struct nhist h = hist(integer, count, buckets, &span);
    prompb_histogram_write(b, number, &h, t, st);
}

TEST(histograms_of_integers_and_of_floats_are_stored)
{
    struct world w;
    world_open(&w);
    size_t mark = pb_begin(&w.rq, 1);
    labels_v1(&w.rq, "__name__=latency");
    histogram(&w.rq, 4, true, 6, T0, 0);
    histogram(&w.rq, 4, false, 6.5, T0 + 1, 0);
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    symbols(&w, some);
    const uint32_t r[] = {1, 2};
    mark = pb_begin(&w.rq, 5);
    refs(&w.rq, r, 2);
    histogram(&w.rq, 3, true, 6, T0, T0 - 7);
    histogram(&w.rq, 3, false, 6.5, T0 + 1, 0);
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_2), 204);
    assert_true(wrote(&w, 0, 2, 0));
    expect(&w, "latency 0:hist(6,4.5,2) 1:hist(6.5,4.5,2)\n"
               "up 0:hist(6,4.5,2)@-7 1:hist(6.5,4.5,2)\n");
    assert_true(published(&w, "farol_remote_write_histograms", "", "") == 4);
    world_close(&w);
}

TEST(a_histogram_with_wrong_counts_refuses_all_of_1_0_and_itself_in_2_0)
{
    struct world w;
    world_open(&w);
    size_t mark = pb_begin(&w.rq, 1);
    labels_v1(&w.rq, "__name__=good");
    histogram(&w.rq, 4, true, 6, T0, 0);
    pb_end(&w.rq, mark);
    mark = pb_begin(&w.rq, 1);
    labels_v1(&w.rq, "__name__=latency");
    histogram(&w.rq, 4, true, 6, T0, 0);
    histogram(&w.rq, 4, true, 600, T0 + 1, 0); /* its buckets hold 6 */
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_1), 400);
    expect(&w, "");
    symbols(&w, some);
    const uint32_t r[] = {1, 2};
    mark = pb_begin(&w.rq, 5);
    refs(&w.rq, r, 2);
    histogram(&w.rq, 3, true, 600, T0, 0);
    histogram(&w.rq, 3, true, 6, T0 + 1, 0);
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_2), 400);
    assert_true(wrote(&w, 0, 1, 0));
    expect(&w, "up 1:hist(6,4.5,2)\n");
    assert_true(published(&w, "farol_remote_write_dropped", "reason", "histogram") == 2);
    world_close(&w);
}

static void exemplar_v2(struct buf *b, uint32_t name, uint32_t value, int64_t t)
{
    const uint32_t r[] = {name, value};
    const size_t mark = pb_begin(b, 4);
    refs(b, r, 2);
    pb_put_f64(b, 2, 0.25);
    pb_put_varint(b, 3, (uint64_t)t);
    pb_end(b, mark);
}

static uint32_t exemplars(struct world *w, struct str trace)
{
    struct tsdb_view *v;
    struct arena a;
    struct err e = {0};
    struct tsdb_exemplar *x;
    uint32_t n, hits = 0;
    const struct matcher any = {MATCH_RE, STR(LABEL_NAME), STR(".*")};
    arena_init(&a, &w->test_mem, 1 << 20);
    assert_true(tsdb_view_open(w->db, &v, &e));
    assert_true(tsdb_exemplars(v, &any, 1, INT64_MIN, INT64_MAX, &a, &x, &n, &e));
    for (uint32_t i = 0; i < n; i++) {
        hits += x[i].v == 0.25 && str_eq(labels_get(x[i].labels, STR("trace_id")), trace);
    }
    tsdb_view_close(v);
    arena_release(&a);
    return hits;
}

TEST(exemplars_are_stored_and_bad_ones_left_out)
{
    struct world w;
    world_open(&w);
    size_t mark = pb_begin(&w.rq, 1);
    labels_v1(&w.rq, "__name__=up");
    sample(&w.rq, T0, 1);
    size_t x = pb_begin(&w.rq, 3);
    labels_v1(&w.rq, "trace_id=abc");
    pb_put_f64(&w.rq, 2, 0.25);
    pb_put_varint(&w.rq, 3, (uint64_t)T0);
    pb_end(&w.rq, x);
    x = pb_begin(&w.rq, 3);
    labels_v1(&w.rq, "trace_id=abc,trace_id=def"); /* a name twice */
    pb_end(&w.rq, x);
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    assert_int_equal(exemplars(&w, STR("abc")), 1);
    static const char *const texts[] = {"__name__", "up", "trace_id", "xyz", NULL};
    symbols(&w, texts);
    const uint32_t r[] = {1, 2};
    mark = pb_begin(&w.rq, 5);
    refs(&w.rq, r, 2);
    sample_st(&w.rq, T0 + 1, 0, 1);
    exemplar_v2(&w.rq, 3, 4, T0 + 1);
    exemplar_v2(&w.rq, 3, 99, T0 + 1); /* no such symbol */
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_2), 400);
    assert_true(wrote(&w, 1, 0, 1));
    assert_int_equal(exemplars(&w, STR("xyz")), 1);
    assert_true(published(&w, "farol_remote_write_dropped", "reason", "exemplar") == 2);
    expect(&w, "up 0:1 1:1\n");
    world_close(&w);
}

TEST(exemplars_that_the_store_does_not_keep_change_no_answer)
{
    struct world w;
    struct tsdb_config c;
    tsdb_config_default(&c);
    c.dir = "data";
    c.exemplars_max = 0;
    world_open_config(&w, &c, 0);
    const size_t mark = pb_begin(&w.rq, 1);
    labels_v1(&w.rq, "__name__=up");
    sample(&w.rq, T0, 1);
    const size_t x = pb_begin(&w.rq, 3);
    labels_v1(&w.rq, "trace_id=abc");
    pb_put_f64(&w.rq, 2, 0.25);
    pb_end(&w.rq, x);
    pb_end(&w.rq, mark);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    assert_true(published(&w, "farol_remote_write_dropped", "reason", "exemplar") == 1);
    expect(&w, "up 0:1\n");
    world_close(&w);
}
