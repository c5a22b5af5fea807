/* The loop against a real HTTP server and a real store: targets, times, configuration. */
#include "ingest/scrape/scrape_testing_int.h"

TEST(a_page_becomes_samples_at_its_slot)
{
    struct world w;
    world_start(&w);
    say(&w,
        "# TYPE h histogram\nh_bucket{le=\"1\"} 3\na{x=\"y\",dc=\"mine\"} 2\nb 5 1767225500000\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", exported_dc=\"mine\", instance=\"i\", job=\"j\", x=\"y\"} 2\n"
                  "h_bucket{dc=\"sp\", instance=\"i\", job=\"j\", le=\"1.0\"} 3\n");
    assert_reports(&w, t,
                   "scrape_duration_seconds{dc=\"sp\", instance=\"i\", job=\"j\"} 0\n"
                   "scrape_samples_post_metric_relabeling{dc=\"sp\", instance=\"i\", job=\"j\"} 3\n"
                   "scrape_samples_scraped{dc=\"sp\", instance=\"i\", job=\"j\"} 3\n"
                   "scrape_series_added{dc=\"sp\", instance=\"i\", job=\"j\"} 3\n"
                   "up{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n");
    assert_stored(&w, 1767225500000LL, "b{dc=\"sp\", instance=\"i\", job=\"j\"} 5\n");
    say(&w, "h_bucket{le=\"1\"} 4\na{x=\"y\",dc=\"mine\"} 3\n");
    assert_int_equal(next_slot(&w), t + 10000);
    assert_str(stored(&w, t + 10000, t + 10000, false, false),
               STR("a{dc=\"sp\", exported_dc=\"mine\", instance=\"i\", job=\"j\", x=\"y\"} 3\n"
                   "h_bucket{dc=\"sp\", instance=\"i\", job=\"j\", le=\"1.0\"} 4\n"));
    world_stop(&w);
}

TEST(what_vanishes_becomes_stale)
{
    struct world w;
    world_start(&w);
    configure(&w, "");
    say(&w, "a 1\nb 2\nc{x=\"1\"} 3\n");
    int64_t t = next_slot(&w);
    say(&w, "c{x=\"1\",} 4\na 1\n"); /* c by another name, b gone */
    next_slot(&w);
    say(&w, "a 1\nb 3\n");
    next_slot(&w);
    say_as(&w, 503, "text/plain", "a 1\n");
    next_slot(&w);
    next_slot(&w); /* no second marker */
    say_as(&w, 200, "text/plain", "a 7\n");
    next_slot(&w);
    assert_str(stored(&w, t, t + 60000, false, true),
               STR("a{dc=\"sp\", instance=\"i\", job=\"j\"} 1 @0\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} 1 @10000\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} 1 @20000\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} stale @30000\n"
                   "a{dc=\"sp\", instance=\"i\", job=\"j\"} 7 @50000\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} 2 @0\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale @10000\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} 3 @20000\n"
                   "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale @30000\n"
                   "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} 3 @0\n"
                   "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} 4 @10000\n"
                   "c{dc=\"sp\", instance=\"i\", job=\"j\", x=\"1\"} stale @20000\n"));
    world_stop(&w);
}

static void check_target(struct world *w, enum scrape_health health, const char *error)
{
    struct scrape_targets ts;
    struct err e;
    arena_reset(&w->arena);
    assert_true(scrape_targets(w->s, str_of("", 0), &w->arena, &ts, &e));
    assert_int_equal(ts.active_n, 1);
    assert_int_equal(ts.active[0].health, health);
    assert_str(ts.active[0].last_error, str_from_c(error));
}

TEST(failures_are_told_and_counted)
{
    static const struct {
        int status;
        const char *type, *body, *error;
    } rows[] = {
        {500, "text/plain", "a 1\n", "server returned HTTP status 500 Internal Server Error"},
        {404, "text/plain", "", "server returned HTTP status 404 Not Found"},
        {302, "text/plain", "a 1\n", ""},
        {200, "text/html", "a 1\n",
         "expected text/plain, application/openmetrics-text or application/vnd.google.protobuf, "
         "found \"text/html\""},
        {200, "text/plain", "ok 1\nbad\n",
         "2:4: expected a value after the metric, found a line break"},
        {200, "text/plain", "a{b=\"1\",b=\"2\"} 1\n", "label 'b' is given twice"},
        {200, "application/openmetrics-text; version=1.0.0", "a 1\n",
         "2:1: expected \"# EOF\" at the end of the page"},
        {200, "application/openmetrics-text; version=1.0.0", "a 1\n# EOF\n", ""},
        {200, "text/plain", "", ""},
    };
    struct world w;
    world_start(&w);
    configure(&w, "");
    check_target(&w, SCRAPE_UNKNOWN, "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        say_as(&w, rows[i].status, rows[i].type, rows[i].body);
        int64_t t = next_slot(&w);
        bool up = rows[i].error[0] == '\0';
        check_target(&w, up ? SCRAPE_UP : SCRAPE_DOWN, rows[i].error);
        struct str got = stored(&w, t, t, true, false);
        assert_true(str_contains(got, up ? STR("up{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n")
                                         : STR("up{dc=\"sp\", instance=\"i\", job=\"j\"} 0\n")));
        assert_false(str_contains(stored(&w, t, t, false, false), STR("ok")));
    }
    world_stop(&w);
}

TEST(limits_fail_the_scrape)
{
    static const struct {
        const char *lines, *error;
    } rows[] = {
        {"  sample_limit: 2\n", "sample limit exceeded (limit: 2)"},
        {"  label_limit: 4\n", "label_limit exceeded (metric: a, number of labels: 5, limit: 4)"},
        {"  label_name_length_limit: 8\n", "label_name_length_limit exceeded (metric: c, label "
                                           "name: longlabel, length: 9, limit: 8)"},
        {"  label_value_length_limit: 5\n",
         "label_value_length_limit exceeded (metric: c, label name: longlabel, length: 6, limit: "
         "5)"},
        {"  body_size_limit: 20B\n",
         "body size limit exceeded: the answer is larger than 20 bytes"},
        {"  target_limit: 1\n  file_sd_configs: [{files: [more.yml]}]\n",
         "target_limit exceeded (number of targets: 2, limit: 1)"},
        {"  metric_name_validation_scheme: legacy\n", ""},
        {"  sample_limit: 3\n  label_limit: 6\n", ""},
    };
    struct world w;
    struct err e;
    world_start(&w);
    assert_true(file_replace(w.os, "/etc/more.yml", STR("- targets: [more:1]\n"), &e) ||
                dir_make(w.os, "/etc", &e));
    assert_true(file_replace(w.os, "/etc/more.yml", STR("- targets: ['h:1']\n"), &e));
    say(&w, "a{x=\"1\"} 1\nb 2\nc{longlabel=\"longer\"} 3\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        configure(&w, rows[i].lines);
        next_slot(&w);
        if (w.s->pools[0]->targets_n > 1) {
            next_slot(&w);
        }
        assert_string_equal(w.s->pools[0]->targets[0]->last_error, rows[i].error);
    }
    world_stop(&w);
}

TEST(requests_carry_what_is_configured)
{
    struct world w;
    struct err e;
    world_start(&w);
    assert_true(dir_make(w.os, "/etc", &e));
    assert_true(file_replace(w.os, "/etc/token", STR("first\n"), &e));
    say(&w, "a 1\n");
    configure(&w, "  metrics_path: /m\n  params: {q: ['a b&c']}\n  scrape_timeout: 1500ms\n"
                  "  authorization: {type: Token, credentials_file: token}\n"
                  "  http_headers: {X-Org: {values: [o1]}}\n");
    next_slot(&w);
    assert_string_equal(w.app.path, "/m?q=a b&c");
    assert_string_equal(w.app.timeout, "1.5");
    assert_string_equal(w.app.auth, "Token first");
    assert_string_equal(w.app.org, "o1");
    assert_string_equal(
        w.app.accept,
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
        "*/*;q=0.2");
    assert_true(file_replace(w.os, "/etc/token", STR("second"), &e));
    next_slot(&w);
    assert_string_equal(w.app.auth, "Token second");
    configure(&w, "  basic_auth: {username: u, password: p}\n"
                  "  scrape_protocols: [PrometheusText0.0.4]\n");
    next_slot(&w);
    assert_string_equal(w.app.path, "/metrics?q=");
    assert_string_equal(w.app.auth, "Basic dTpw");
    assert_string_equal(w.app.accept, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    world_stop(&w);
}

TEST(times_of_the_page_are_taken_when_asked)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1 1767225501000\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    say(&w, "b 1\n");
    int64_t t2 = next_slot(&w);
    assert_str(stored(&w, t, t2, false, false), STR("b{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n"));
    say(&w, "a 1 1767225502000\n");
    configure(&w, "  honor_timestamps: false\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "a{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n"
                  "b{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n");
    configure(&w, "  track_timestamps_staleness: true\n");
    say(&w, "c 1 1767225503000\n");
    next_slot(&w);
    say(&w, "d 1\n");
    t = next_slot(&w);
    assert_stored(&w, t,
                  "c{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                  "d{dc=\"sp\", instance=\"i\", job=\"j\"} 1\n");
    world_stop(&w);
}

TEST(a_removed_target_is_marked_stale_later)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    configure_as(&w, true, "scrape_configs: [{job_name: other}]\n");
    simos_clock_add(w.simos, 19 * NS_PER_S);
    scrape_step(w.s, 0);
    flights_wait(w.s);
    assert_str(stored(&w, t + 1, t + 100000, false, true), STR(""));
    simos_clock_add(w.simos, 3 * NS_PER_S);
    scrape_step(w.s, 0);
    flights_wait(w.s);
    assert_stored(&w, t + 10000, "a{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n");
    assert_reports(&w, t + 10000,
                   "scrape_duration_seconds{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                   "scrape_samples_post_metric_relabeling{dc=\"sp\", instance=\"i\", job=\"j\"} "
                   "stale\n"
                   "scrape_samples_scraped{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                   "scrape_series_added{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n"
                   "up{dc=\"sp\", instance=\"i\", job=\"j\"} stale\n");
    world_stop(&w);
}

TEST(a_target_that_comes_back_as_the_same_series_is_not_stale)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    /* Another path: another target, the same labels. */
    configure(&w, "  metrics_path: /other\n");
    next_slot(&w);
    next_slot(&w);
    next_slot(&w);
    scrape_step(w.s, 0);
    flights_wait(w.s);
    assert_false(str_contains(stored(&w, t, t + 60000, false, false), STR("stale")));
    assert_false(str_contains(stored(&w, t, t + 60000, true, false), STR("stale")));
    world_stop(&w);
}

TEST(reload_keeps_targets_that_stay)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    next_slot(&w);
    const struct target *before = w.s->pools[0]->targets[0];
    int64_t next = before->next_mono_ns;
    configure(&w, "  sample_limit: 100\n");
    assert_ptr_equal(w.s->pools[0]->targets[0], before);
    assert_int_equal(before->next_mono_ns, next);
    assert_true(before->last_scrape_ms > 0);
    next_slot(&w);
    world_stop(&w);
}

TEST(files_of_targets_are_followed)
{
    struct world w;
    struct err e;
    struct scrape_targets ts;
    char text[256];
    world_start(&w);
    assert_true(dir_make(w.os, "/etc/t", &e));
    snprintf(text, sizeof text,
             "[{\"targets\": [\"%s\", \"x:1\"], \"labels\": {\"from\": \"file\"}}]", w.address);
    assert_true(file_replace(w.os, "/etc/t/a.json", str_from_c(text), &e));
    configure_as(
        &w, true,
        "scrape_configs:\n- job_name: f\n  file_sd_configs: [{files: ['t/*.json']}]\n"
        "  relabel_configs: [{source_labels: [__address__], regex: 'x:.*', action: drop}]\n");
    assert_true(scrape_targets(w.s, STR("f"), &w.arena, &ts, &e));
    assert_int_equal(ts.active_n, 1);
    assert_int_equal(ts.dropped_n, 1);
    assert_str(labels_get(ts.active[0].labels, STR("from")), STR("file"));
    assert_str(labels_get(ts.active[0].labels, STR("instance")), str_from_c(w.address));
    assert_str(labels_get(ts.active[0].discovered, STR("__meta_filepath")), STR("/etc/t/a.json"));
    assert_str(labels_get(ts.active[0].discovered, STR("__scrape_interval__")), STR("1m"));
    assert_str(labels_get(ts.dropped[0].discovered, STR("__address__")), STR("x:1"));
    assert_int_equal(ts.pool_dropped_n[0], 1);
    /* Damage keeps what was; a repaired file counts within five seconds. */
    assert_true(file_replace(w.os, "/etc/t/a.json", STR("[{\"targets\": "), &e));
    simos_clock_add(w.simos, 6 * NS_PER_S);
    scrape_step(w.s, 0);
    assert_int_equal(w.s->pools[0]->targets_n, 1);
    assert_int_equal(w.s->stats.discovery_failures, 1);
    assert_true(file_replace(w.os, "/etc/t/a.json",
                             STR("[{\"targets\": [\"y:1\", \"z:1\", \"y:1\"]}]"), &e));
    simos_clock_add(w.simos, 6 * NS_PER_S);
    scrape_step(w.s, 0);
    assert_int_equal(w.s->pools[0]->targets_n, 2); /* the same target twice is one */
    assert_int_equal(w.os->unlink(w.os->ctx, "/etc/t/a.json"), 0);
    simos_clock_add(w.simos, 6 * NS_PER_S);
    scrape_step(w.s, 0);
    assert_int_equal(w.s->pools[0]->targets_n, 0);
    world_stop(&w);
}

TEST(metadata_is_kept)
{
    struct world w;
    struct err e;
    struct scrape_metadata *v = NULL;
    uint32_t n = 0;
    world_start(&w);
    say(&w, "# HELP a What a is.\n# TYPE a gauge\na 1\n# TYPE b_total counter\nb_total 1\n");
    configure(&w, "");
    next_slot(&w);
    assert_true(scrape_metadata(w.s, NULL, 0, str_of("", 0), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 2);
    assert_str(v[0].metric, STR("a"));
    assert_str(v[0].help, STR("What a is."));
    assert_int_equal(v[0].type, EXPO_KIND_GAUGE);
    assert_str(labels_get(v[0].target, STR("job")), STR("j"));
    const struct matcher no[] = {{MATCH_EQ, STR("job"), STR("k")}};
    const struct matcher yes[] = {{MATCH_RE, STR("job"), STR("j|k")}};
    assert_true(scrape_metadata(w.s, no, 1, str_of("", 0), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 0);
    assert_true(scrape_metadata(w.s, yes, 1, STR("b_total"), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 1);
    assert_int_equal(v[0].type, EXPO_KIND_COUNTER);
    assert_true(scrape_metadata(w.s, yes, 1, STR("nope"), 0, &w.arena, &v, &n, &e));
    assert_int_equal(n, 0);
    world_stop(&w);
}

TEST(a_dead_target_is_down_and_extra_metrics_say_why)
{
    struct world w;
    world_start(&w);
    configure_as(
        &w, true,
        "scrape_configs:\n- job_name: d\n  scrape_interval: 1s\n  extra_scrape_metrics: true\n"
        "  sample_limit: 7\n  static_configs: [{targets: ['127.0.0.1:1']}]\n"
        "  relabel_configs: [{target_label: instance, replacement: i}]\n");
    int64_t t = next_slot(&w);
    assert_reports(&w, t,
                   "scrape_body_size_bytes{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_duration_seconds{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_sample_limit{instance=\"i\", job=\"d\"} 7\n"
                   "scrape_samples_post_metric_relabeling{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_samples_scraped{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_series_added{instance=\"i\", job=\"d\"} 0\n"
                   "scrape_timeout_seconds{instance=\"i\", job=\"d\"} 1\n"
                   "up{instance=\"i\", job=\"d\"} 0\n");
    assert_true(
        str_contains(str_from_c(w.s->pools[0]->targets[0]->last_error), STR("cannot connect")));
    world_stop(&w);
}

/* A clock that is set an hour back or forth costs at most one interval. */
TEST(clock_steps_do_not_stop_scraping)
{
    struct world w;
    world_start(&w);
    say(&w, "a 1\n");
    configure(&w, "");
    int64_t t = next_slot(&w);
    int64_t mono = os_mono_ns(w.os);
    simos_clock_set(w.simos, os_now_ns(w.os) + 3600 * NS_PER_S);
    int64_t gap = os_mono_ns(w.os) - mono;
    (void)gap;
    int64_t t2 = next_slot(&w);
    assert_true(t2 > t + 3500000);
    assert_true(w.s->heap[0]->next_mono_ns - os_mono_ns(w.os) <= 10 * NS_PER_S);
    simos_clock_set(w.simos, os_now_ns(w.os) - 3600 * NS_PER_S);
    next_slot(&w);
    assert_true(w.s->heap[0]->next_mono_ns - os_mono_ns(w.os) <= 10 * NS_PER_S);
    world_stop(&w);
}

TEST(slots_are_even_and_near_times_are_set_to_them)
{
    const int64_t s = NS_PER_S;
    assert_int_equal(slot_before(100 * s, 10 * s, 3), 90 * s + 3);
    assert_int_equal(slot_before(90 * s + 3, 10 * s, 3), 90 * s + 3);
    assert_int_equal(slot_before(90 * s + 2, 10 * s, 3), 80 * s + 3);
    uint64_t offset = (uint64_t)(1234 * NS_PER_MS);
    assert_int_equal(slot_time_ms(91 * s + 235 * NS_PER_MS, 10 * s, offset), 91234);
    assert_int_equal(slot_time_ms(91 * s + 236 * NS_PER_MS, 10 * s, offset), 91234);
    assert_int_equal(slot_time_ms(91 * s + 237 * NS_PER_MS, 10 * s, offset), 91237);
    /* Offsets stand on a grid of 50 ms, finer for short intervals, and stay within the interval. */
    assert_int_equal(slot_offset((uint64_t)(25 * s + 1234 * NS_PER_MS), 10 * s), 6200 * NS_PER_MS);
    assert_int_equal(slot_offset((uint64_t)s - 1, s), 950 * NS_PER_MS);
    assert_int_equal(slot_offset((uint64_t)(99 * NS_PER_MS), s / 10), 95 * NS_PER_MS);
    assert_int_equal(slot_offset(UINT64_MAX, NS_PER_MS) % (50 * 1000), 0);
    /* One per cent of 100 ms is less than 2 ms. */
    assert_int_equal(slot_time_ms(91 * s + 35 * NS_PER_MS, s / 10, (uint64_t)(34 * NS_PER_MS)),
                     91034);
    assert_int_equal(slot_time_ms(91 * s + 36 * NS_PER_MS, s / 10, (uint64_t)(34 * NS_PER_MS)),
                     91036);
}

TEST(durations_are_written_as_the_peers_do)
{
    static const struct {
        int64_t ms;
        const char *want;
    } rows[] = {{0, "0s"},         {1, "1ms"},         {1500, "1s500ms"},
                {60000, "1m"},     {5400000, "1h30m"}, {86400000, "1d"},
                {90000000, "25h"}, {604800000, "1w"},  {31536000000, "1y"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mem m;
        struct buf b;
        mem_init(&m, 0);
        buf_init(&b, &m, 64);
        duration_text(rows[i].ms, &b);
        assert_str(buf_str(&b), str_from_c(rows[i].want));
        buf_release(&b);
    }
}

/* The thread does the same on real time. */
TEST(the_thread_scrapes_by_itself)
{
    struct world w;
    struct err e;
    struct scrape_stats st = {.scrapes = 0};
    world_start(&w);
    scrape_stop(w.s);
    struct scrape_options o = {.db = w.db, .os = os_real(), .mem = &w.mem};
    assert_true(scrape_new(&o, &w.s, &e));
    say(&w, "a 1\n");
    assert_true(scrape_start(w.s, &e));
    struct scrape_config *c = NULL;
    struct scrape_config_options co = {.dir = "/etc", .os = w.os};
    char text[512];
    snprintf(text, sizeof text,
             "scrape_configs:\n- job_name: j\n  scrape_interval: 50ms\n"
             "  static_configs: [{targets: ['%s']}]\n",
             w.address);
    assert_true(scrape_config_parse(str_from_c(text), "t", &co, &w.config_mem, &c, &e));
    scrape_apply(w.s, c);
    for (int i = 0; i < 500 && st.scrapes < 5; i++) {
        struct timespec pause = {0, 10 * NS_PER_MS};
        nanosleep(&pause, NULL);
        scrape_stats(w.s, &st);
    }
    assert_true(st.scrapes >= 5);
    assert_int_equal(st.targets, 1);
    world_stop(&w);
}
