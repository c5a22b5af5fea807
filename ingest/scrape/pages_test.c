/* Pages against a real store: known lines, held batches, rules, histograms. */
#include "ingest/scrape/scrape_testing_int.h"

#include "codec/pb.h"

/* The second and later pages go the short way of known lines. */
TEST(known_lines_are_read_like_new_ones)
{
    struct world w;
    struct scrape_stats st;
    world_start(&w);
    configure(&w, "  sample_limit: 4\n"
                  "  metric_relabel_configs: [{source_labels: [__name__], regex: gone, "
                  "action: drop}]\n");
    say(&w, "a 1\n# TYPE b counter\nb 2\ngone 3\nc{x=\"1\"} 4\n");
    next_slot(&w);
    say(&w, "a -2.5\n# TYPE b counter\nb 1e+06\ngone 3\nc{x=\"1\"} 0.30000000000000004\n");
    int64_t t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", instance=\"i\", job=\"j\"} -2.5\n"
                  "b{dc=\"sp\", instance=\"i\", job=\"j\"} 1000000\n"
                  "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} 0.30000000000000004\n");
    /* A time of its own, and a name that comes twice, in the midst of what is known. */
    say(&w, "a +Inf\nb 3 1767225500000\ngone NaN\nc{x=\"1\"} 5\na 6\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", instance=\"i\", job=\"j\"} +Inf\n"
                  "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} 5\n");
    scrape_stats(w.s, &st);
    assert_int_equal(st.duplicates, 1);
    say(&w, "a 1\nb 2\ngone 3\nc{x=\"1\"} 4\n");
    next_slot(&w);
    say(&w, "a 1\nb 2\ngone 3\nc{x=\"1\"} 4\nd 5\ne 6\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                  "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                  "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} stale\n");
    say(&w, "a 1\nb 2\nc 0x3\n");
    next_slot(&w);
    scrape_stats(w.s, &st);
    assert_int_equal(st.failed_limit, 1);
    assert_int_equal(st.failed_parse, 1);
    world_stop(&w);
}

/* A limit that is crossed among known lines: the limit was lowered. */
TEST(known_lines_count_for_the_limit)
{
    struct world w;
    struct scrape_stats st;
    world_start(&w);
    say(&w, "a 1\nb 2\nc 3\n");
    configure(&w, "");
    next_slot(&w);
    configure(&w, "  sample_limit: 2\n");
    int64_t t = next_slot(&w);
    scrape_stats(w.s, &st);
    assert_int_equal(st.failed_limit, 1);
    assert_stored(&w, t,
                  "a{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                  "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                  "c{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n");
    world_stop(&w);
}

/* One page of n samples of one series of which nothing else is known. */
static void send_page(struct world *w, uint32_t n)
{
    struct err e;
    uint32_t ref = 0;
    struct label l = {STR("__name__"), STR("held")};
    assert_true(tsdb_series(w->db, 0, (struct labels){&l, 1}, &ref, &e));
    struct flight *f = flight_new(w->s);
    assert_non_null(f);
    for (uint32_t i = 0; i < n; i++) {
        assert_true(tsdb_batch_add(f->batch, ref, now_ms(w), 1, &e));
    }
    flight_send(w->s, f);
}

TEST(small_pages_are_held_for_one_another_but_not_long)
{
    struct world w;
    world_start(&w);
    send_page(&w, 1);
    assert_int_equal(w.s->waiting_n, 1);
    const int64_t until_ns = os_mono_ns(w.os) + 100 * NS_PER_MS;
    simos_clock_add(w.simos, 60 * NS_PER_MS);
    send_page(&w, 1); /* does not make the first one wait longer */
    flights_due(w.s, until_ns);
    assert_int_equal(w.s->waiting_n, 2);
    flights_due(w.s, until_ns + 1);
    assert_int_equal(w.s->waiting_n, 0);
    flights_due(w.s, INT64_MAX); /* there is nothing */
    for (int i = 0; i < 63; i++) {
        send_page(&w, 1);
    }
    assert_int_equal(w.s->waiting_n, 63);
    send_page(&w, 1); /* many */
    assert_int_equal(w.s->waiting_n, 0);
    send_page(&w, 8192); /* much */
    assert_int_equal(w.s->waiting_n, 0);
    send_page(&w, 1);
    assert_int_equal(w.s->waiting_n, 1);
    flights_wait(w.s); /* stopping waits for nothing to be due */
    assert_int_equal(w.s->waiting_n, 0);
    assert_int_equal(w.s->flights, 0);
    struct scrape_stats st;
    scrape_stats(w.s, &st);
    assert_int_equal(st.commits_failed, 0);
    world_stop(&w);
}

TEST(rules_decide_about_series)
{
    struct world w;
    world_start(&w);
    say(&w, "a{dc=\"x\"} 1\ndrop_me 2\nc{keep=\"1\"} 3\n");
    configure(&w, "  honor_labels: true\n  metric_relabel_configs:\n"
                  "  - {source_labels: [__name__], regex: 'drop_.*', action: drop}\n"
                  "  - {source_labels: [keep], regex: '(.+)', target_label: kept}\n"
                  "  - {regex: keep, action: labeldrop}\n");
    static const char want[] = "a{dc=\"x\", instance=\"i\", job=\"j\"} 1\n"
                               "c{dc=\"sp\", instance=\"i\", job=\"j\", kept=\"1\"} 3\n";
    int64_t t = next_slot(&w);
    assert_stored(&w, t, want);
    assert_true(str_contains(stored(&w, t, t, true, false),
                             STR("scrape_samples_post_metric_relabeling{dc=\"sp\", instance=\"i\", "
                                 "job=\"j\"} 2\n")));
    t = next_slot(&w); /* from the cache */
    assert_stored(&w, t, want);
    assert_true(str_contains(stored(&w, t, t, true, false),
                             STR("scrape_series_added{dc=\"sp\", instance=\"i\", job=\"j\"} 0\n")));
    /* Other rules for the same target: series that are not made any more become stale. */
    configure(
        &w, "  metric_relabel_configs:\n  - {source_labels: [__name__], regex: c, action: drop}\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", exported_dc=\"x\", instance=\"i\", job=\"j\"} 1\n"
                  "a{dc=\"x\", instance=\"i\", job=\"j\"} stale\n"
                  "c{dc=\"sp\", instance=\"i\", job=\"j\", kept=\"1\"} stale\n"
                  "drop_me{dc=\"sp\", instance=\"i\", job=\"j\"} 2\n");
    world_stop(&w);
}

#define OWN "dc=\"sp\", instance=\"i\", job=\"j\""

TEST(classic_histograms_are_stored_as_native_ones)
{
    struct world w;
    struct scrape_stats st;
    world_start(&w);
    configure(&w, "  convert_classic_histograms_to_nhcb: true\n");
    say(&w, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 5\nh_sum 7.5\n"
            "h_count 5\n# TYPE z gauge\nz 1\n");
    int64_t t = next_slot(&w);
    assert_stored(&w, t, "h{" OWN "} -53 5/7.5 1 | 0+2 | 2 3\nz{" OWN "} 1\n");
    assert_true(
        str_contains(stored(&w, t, t, true, false), STR("scrape_samples_scraped{" OWN "} 2\n")));
    /* The same names again: from the cache, with the new values. */
    say(&w, "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 7\nh_sum 9\n"
            "h_count 7\n# TYPE z gauge\nz 2\n");
    t = next_slot(&w);
    assert_stored(&w, t, "h{" OWN "} -53 7/9 1 | 0+2 | 3 4\nz{" OWN "} 2\n");
    assert_true(
        str_contains(stored(&w, t, t, true, false), STR("scrape_series_added{" OWN "} 0\n")));
    /* A damaged one is left out and becomes stale; the rest of the page is good. */
    say(&w, "# TYPE h histogram\nh_bucket{le=\"1\"} 8\nh_bucket{le=\"+Inf\"} 7\n"
            "# TYPE z gauge\nz 3\n");
    t = next_slot(&w);
    assert_stored(&w, t, "h{" OWN "} stale\nz{" OWN "} 3\n");
    scrape_stats(w.s, &st);
    assert_int_equal(st.nhcb_refused, 1);
    /* Together with what it was made of. */
    configure(&w, "  convert_classic_histograms_to_nhcb: true\n"
                  "  always_scrape_classic_histograms: true\n");
    say(&w, "# TYPE h histogram\nh_bucket{le=\"1\"} 4\nh_count 8\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "h{" OWN "} -53 8/0 1 | 0+2 | 4 4\n"
                  "h_bucket{" OWN ", le=\"1.0\"} 4\nh_count{" OWN "} 8\nz{" OWN "} stale\n");
    world_stop(&w);
}

/* A page of one native histogram of the schema: eight buckets of one observation each, from index
 * 1 on. */
static void say_native(struct world *w, int64_t schema)
{
    struct buf message;
    struct buf page;
    buf_init(&message, &w->mem, 1 << 16);
    buf_init(&page, &w->mem, 1 << 16);
    pb_put_bytes(&message, 1, STR("n"));
    pb_put_varint(&message, 3, 4);
    size_t metric = pb_begin(&message, 4);
    size_t value = pb_begin(&message, 7);
    pb_put_varint(&message, 1, 8);
    pb_put_f64(&message, 2, 2.5);
    pb_put_sint(&message, 5, schema);
    size_t span = pb_begin(&message, 12);
    pb_put_sint(&message, 1, 1);
    pb_put_varint(&message, 2, 8);
    pb_end(&message, span);
    for (int i = 0; i < 8; i++) {
        pb_put_sint(&message, 13, i == 0);
    }
    pb_end(&message, value);
    pb_end(&message, metric);
    pb_raw_varint(&page, message.n);
    buf_str_add(&page, buf_str(&message));
    say_as(w, 200,
           "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
           "encoding=delimited",
           "");
    say_bytes(w, buf_str(&page));
    buf_release(&page);
    buf_release(&message);
}

TEST(native_histograms_are_joined_until_they_fit)
{
    static const struct {
        int64_t schema;
        const char *lines, *want; /* NULL: the scrape fails */
    } rows[] = {
        {3, "", "3 8/2.5 | 1+8 | 1 1 1 1 1 1 1 1"},
        {3, "  native_histogram_bucket_limit: 8\n", "3 8/2.5 | 1+8 | 1 1 1 1 1 1 1 1"},
        {3, "  native_histogram_bucket_limit: 7\n", "2 8/2.5 | 1+4 | 2 2 2 2"},
        {3, "  native_histogram_bucket_limit: 1\n", "0 8/2.5 | 1+1 | 8"},
        {3, "  native_histogram_min_bucket_factor: 1.1\n", "2 8/2.5 | 1+4 | 2 2 2 2"},
        {3, "  native_histogram_min_bucket_factor: 2\n", "0 8/2.5 | 1+1 | 8"},
        {0, "  native_histogram_min_bucket_factor: 65536\n", "-4 8/2.5 | 1+1 | 8"},
        {0, "  native_histogram_min_bucket_factor: 1.0001\n", "0 8/2.5 | 1+8 | 1 1 1 1 1 1 1 1"},
        {9, "", "8 8/2.5 | 1+4 | 2 2 2 2"}, /* finer than what is stored */
        {53, "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        char lines[128];
        char want[128];
        world_start(&w);
        say_native(&w, rows[i].schema);
        snprintf(lines, sizeof lines, "  scrape_native_histograms: true\n%s", rows[i].lines);
        configure(&w, lines);
        snprintf(want, sizeof want, "n{" OWN "} %s\n", rows[i].want ? rows[i].want : "");
        int64_t t = next_slot(&w);
        assert_str(stored(&w, t, t, false, false), rows[i].want ? str_from_c(want) : STR(""));
        world_stop(&w);
    }
}

/* Buckets with custom bounds cannot be joined: the limit fails the scrape. */
TEST(the_bucket_limit_holds_for_converted_histograms)
{
    struct world w;
    struct scrape_stats st;
    world_start(&w);
    configure(&w, "  convert_classic_histograms_to_nhcb: true\n"
                  "  native_histogram_bucket_limit: 2\n");
    say(&w, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\nh_count 5\nz 1\n");
    int64_t t = next_slot(&w);
    assert_stored(&w, t, "");
    scrape_stats(w.s, &st);
    assert_int_equal(st.failed_limit, 1);
    say(&w, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_count 5\nz 1\n");
    t = next_slot(&w);
    assert_stored(&w, t, "h{" OWN "} -53 5/0 1 | 0+2 | 2 3\nz{" OWN "} 1\n");
    world_stop(&w);
}
