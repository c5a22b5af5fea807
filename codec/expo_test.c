/* Metric pages byte by byte, the choice of format, and a second opinion by promtool where there is
 * one. */
#include "codec/expo.h"

#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct page {
    struct mem mem;
    struct arena arena;
    struct expo x;
    struct buf out;
};

static void page_open(struct page *p)
{
    mem_init(&p->mem, 0);
    arena_init(&p->arena, &p->mem, 1 << 20);
    expo_init(&p->x, &p->arena, 1700000000000);
    buf_init(&p->out, &p->mem, 1 << 20);
}

static void page_close(struct page *p)
{
    buf_release(&p->out);
    arena_release(&p->arena);
    assert_int_equal(p->mem.bytes, 0);
}

static const double edges[] = {0.005, 1, 2.5, 86400};

static void fill(struct page *p)
{
    struct expo *x = &p->x;
    const struct label form[] = {{STR("form"), STR("dict\\key \"a\"\nb")},
                                 {STR("psp"), STR("Banco \xc3\x81gil")}};
    const struct label stage[] = {{STR("stage"), STR("score")}};
    const uint64_t buckets[] = {1, 2, 0, 4, 5};
    const uint64_t empty[5] = {0};
    struct expo_family *f = expo_family(x, EXPO_COUNTER, STR("pix_events"), STR(""),
                                        STR("Back\\slash, \"quote\" and\nline."));
    expo_add(x, f, form, 2, 12345678901.0);
    expo_add(x, f, NULL, 0, 0);
    f = expo_family(x, EXPO_COUNTER, STR("pix_lost_brl_total"), STR("brl"), STR("Lost."));
    expo_add(x, f, NULL, 0, 0.1);
    f = expo_family(x, EXPO_GAUGE, STR("pix_hold_open"), STR(""), STR("Holds."));
    expo_add(x, f, NULL, 0, (double)NAN);
    expo_add(x, f, stage, 1, -(double)INFINITY);
    f = expo_family(x, EXPO_HISTOGRAM, STR("pix_work_seconds"), STR("seconds"), STR("Work."));
    expo_add_histogram(x, f, stage, 1, edges, ARRAY_LEN(edges), buckets, 12.25);
    expo_add_histogram(x, f, NULL, 0, edges, ARRAY_LEN(edges), empty, 0);
    f = expo_family(x, EXPO_INFO, STR("farol_build_info"), STR(""), STR("Build."));
    const struct label version[] = {{STR("version"), STR("0.1.0")}};
    expo_add(x, f, version, 1, 1);
    expo_family(x, EXPO_GAUGE, STR("pix_no_samples"), STR(""), STR("None yet."));
    assert_false(x->failed);
}

static const char text_page[] =
    "# HELP pix_events_total Back\\\\slash, \"quote\" and\\nline.\n"
    "# TYPE pix_events_total counter\n"
    "pix_events_total{form=\"dict\\\\key \\\"a\\\"\\nb\",psp=\"Banco \xc3\x81gil\"} 12345678901\n"
    "pix_events_total 0\n"
    "# HELP pix_lost_brl_total Lost.\n"
    "# TYPE pix_lost_brl_total counter\n"
    "pix_lost_brl_total 0.1\n"
    "# HELP pix_hold_open Holds.\n"
    "# TYPE pix_hold_open gauge\n"
    "pix_hold_open NaN\n"
    "pix_hold_open{stage=\"score\"} -Inf\n"
    "# HELP pix_work_seconds Work.\n"
    "# TYPE pix_work_seconds histogram\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"0.005\"} 1\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"1\"} 3\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"2.5\"} 3\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"86400\"} 7\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"+Inf\"} 12\n"
    "pix_work_seconds_sum{stage=\"score\"} 12.25\n"
    "pix_work_seconds_count{stage=\"score\"} 12\n"
    "pix_work_seconds_bucket{le=\"0.005\"} 0\n"
    "pix_work_seconds_bucket{le=\"1\"} 0\n"
    "pix_work_seconds_bucket{le=\"2.5\"} 0\n"
    "pix_work_seconds_bucket{le=\"86400\"} 0\n"
    "pix_work_seconds_bucket{le=\"+Inf\"} 0\n"
    "pix_work_seconds_sum 0\n"
    "pix_work_seconds_count 0\n"
    "# HELP farol_build_info Build.\n"
    "# TYPE farol_build_info gauge\n"
    "farol_build_info{version=\"0.1.0\"} 1\n"
    "# HELP pix_no_samples None yet.\n"
    "# TYPE pix_no_samples gauge\n";

static const char open_page[] =
    "# HELP pix_events Back\\\\slash, \\\"quote\\\" and\\nline.\n"
    "# TYPE pix_events counter\n"
    "pix_events_total{form=\"dict\\\\key \\\"a\\\"\\nb\",psp=\"Banco \xc3\x81gil\"} 12345678901\n"
    "pix_events_total 0\n"
    "# HELP pix_lost_brl Lost.\n"
    "# TYPE pix_lost_brl counter\n"
    "# UNIT pix_lost_brl brl\n"
    "pix_lost_brl_total 0.1\n"
    "# HELP pix_hold_open Holds.\n"
    "# TYPE pix_hold_open gauge\n"
    "pix_hold_open NaN\n"
    "pix_hold_open{stage=\"score\"} -Inf\n"
    "# HELP pix_work_seconds Work.\n"
    "# TYPE pix_work_seconds histogram\n"
    "# UNIT pix_work_seconds seconds\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"0.005\"} 1\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"1.0\"} 3\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"2.5\"} 3\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"86400.0\"} 7\n"
    "pix_work_seconds_bucket{stage=\"score\",le=\"+Inf\"} 12\n"
    "pix_work_seconds_sum{stage=\"score\"} 12.25\n"
    "pix_work_seconds_count{stage=\"score\"} 12\n"
    "pix_work_seconds_bucket{le=\"0.005\"} 0\n"
    "pix_work_seconds_bucket{le=\"1.0\"} 0\n"
    "pix_work_seconds_bucket{le=\"2.5\"} 0\n"
    "pix_work_seconds_bucket{le=\"86400.0\"} 0\n"
    "pix_work_seconds_bucket{le=\"+Inf\"} 0\n"
    "pix_work_seconds_sum 0\n"
    "pix_work_seconds_count 0\n"
    "# HELP farol_build Build.\n"
    "# TYPE farol_build info\n"
    "farol_build_info{version=\"0.1.0\"} 1\n"
    "# HELP pix_no_samples None yet.\n"
    "# TYPE pix_no_samples gauge\n"
    "# EOF\n";

TEST(expo_writes_text_0_0_4)
{
    struct page p;
    page_open(&p);
    fill(&p);
    expo_write(&p.x, EXPO_TEXT_0_0_4, &p.out);
    assert_str(buf_str(&p.out), str_from_c(text_page));
    page_close(&p);
}

TEST(expo_writes_openmetrics)
{
    struct page p;
    page_open(&p);
    fill(&p);
    expo_write(&p.x, EXPO_OPENMETRICS_1_0_0, &p.out);
    assert_str(buf_str(&p.out), str_from_c(open_page));
    page_close(&p);
}

TEST(expo_label_values_that_are_not_utf8_do_not_spoil_the_page)
{
    struct page p;
    page_open(&p);
    const struct label bad[] = {{STR("reason"), STR("a\xff\"\xc3(")}};
    struct expo_family *f = expo_family(&p.x, EXPO_GAUGE, STR("g"), STR(""), STR("G."));
    expo_add(&p.x, f, bad, 1, 1);
    expo_write(&p.x, EXPO_TEXT_0_0_4, &p.out);
    assert_str(buf_str(&p.out), STR("# HELP g G.\n# TYPE g gauge\ng{reason=\"a?\\\"?(\"} 1\n"));
    page_close(&p);
}

TEST(expo_families_of_one_sample)
{
    struct page p;
    page_open(&p);
    expo_gauge(&p.x, "queue_bytes", "bytes", "Waiting.", 1.5);
    expo_counter(&p.x, "batches_total", "", "Taken.", 12345678901);
    expo_one(&p.x, EXPO_COUNTER, "sync_seconds", "seconds", "Spent.", 0.25);
    assert_int_equal(p.x.first->samples_count, 1);
    assert_int_equal(p.x.first->first->labels_count, 0);
    expo_write(&p.x, EXPO_OPENMETRICS_1_0_0, &p.out);
    assert_str(buf_str(&p.out),
               STR("# HELP queue_bytes Waiting.\n# TYPE queue_bytes gauge\n"
                   "# UNIT queue_bytes bytes\nqueue_bytes 1.5\n"
                   "# HELP batches Taken.\n# TYPE batches counter\nbatches_total 12345678901\n"
                   "# HELP sync_seconds Spent.\n# TYPE sync_seconds counter\n"
                   "# UNIT sync_seconds seconds\nsync_seconds_total 0.25\n# EOF\n"));
    page_close(&p);
}

TEST(expo_promtool_accepts_the_page)
{
    if (access("/usr/bin/promtool", X_OK) != 0) {
        print_message("SKIP: promtool is not installed\n");
        return;
    }
    struct page p;
    page_open(&p);
    fill(&p);
    expo_write(&p.x, EXPO_TEXT_0_0_4, &p.out);
    FILE *tool = popen("/usr/bin/promtool check metrics", "w");
    assert_non_null(tool);
    assert_int_equal(fwrite(p.out.p, 1, p.out.n, tool), p.out.n);
    assert_int_equal(pclose(tool), 0);
    /* And the judge judges: a page with a broken line is refused. */
    tool = popen("/usr/bin/promtool check metrics >/dev/null 2>&1", "w");
    assert_non_null(tool);
    fputs("pix_events_total{form=\"a} 1\n", tool);
    assert_int_not_equal(pclose(tool), 0);
    page_close(&p);
}

TEST(expo_find_takes_a_subset_of_labels)
{
    struct page p;
    page_open(&p);
    fill(&p);
    const struct label stage[] = {{STR("stage"), STR("score")}};
    const struct label other[] = {{STR("stage"), STR("act")}};
    assert_true(expo_find(&p.x, STR("pix_events_total"), NULL, 0)->value == 12345678901.0);
    assert_ptr_equal(expo_find(&p.x, STR("pix_events"), NULL, 0),
                     expo_find(&p.x, STR("pix_events_total"), NULL, 0));
    assert_true(expo_find(&p.x, STR("pix_hold_open"), stage, 1)->value < 0);
    assert_int_equal(expo_find(&p.x, STR("pix_work_seconds"), stage, 1)->buckets[4], 5);
    assert_non_null(expo_find(&p.x, STR("farol_build_info"), NULL, 0));
    assert_null(expo_find(&p.x, STR("pix_hold_open"), other, 1));
    assert_null(expo_find(&p.x, STR("absent"), NULL, 0));
    page_close(&p);
}

TEST(expo_accept_decides_the_format)
{
    static const struct {
        const char *accept;
        enum expo_format format;
    } cases[] = {
        {"", EXPO_TEXT_0_0_4},
        {"*/*", EXPO_TEXT_0_0_4},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", EXPO_TEXT_0_0_4},
        {"application/openmetrics-text", EXPO_OPENMETRICS_1_0_0},
        {"application/openmetrics-text; version=1.0.0; charset=utf-8", EXPO_OPENMETRICS_1_0_0},
        {"application/openmetrics-text;version=1.0.0,application/"
         "openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         EXPO_OPENMETRICS_1_0_0},
        {"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4",
         EXPO_OPENMETRICS_1_0_0},
        {"text/plain;version=0.0.4;q=0.4,application/openmetrics-text;version=1.0.0;q=0.5",
         EXPO_OPENMETRICS_1_0_0},
        {"application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5",
         EXPO_TEXT_0_0_4},
        {"application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.4",
         EXPO_TEXT_0_0_4},
        {"application/openmetrics-text;version=2.0.0", EXPO_TEXT_0_0_4},
        {"application/openmetrics-text;q=0", EXPO_TEXT_0_0_4},
        {"application/openmetrics-text;q=0.001", EXPO_OPENMETRICS_1_0_0},
        {"APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1", EXPO_OPENMETRICS_1_0_0},
        {"application/openmetrics-text, */*", EXPO_OPENMETRICS_1_0_0},
        {"application/openmetrics-text;q=0.5, */*", EXPO_TEXT_0_0_4},
        {"application/openmetrics-text;q=x", EXPO_TEXT_0_0_4},
        {"application/openmetrics-text;q=2", EXPO_TEXT_0_0_4},
        {",,;;=,", EXPO_TEXT_0_0_4},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
         "encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,"
         "text/plain;version=0.0.4;q=0.5",
         EXPO_OPENMETRICS_1_0_0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (expo_negotiate(str_from_c(cases[i].accept)) != cases[i].format) {
            print_error("%s\n", cases[i].accept);
            fail();
        }
    }
    assert_str(expo_content_type(EXPO_TEXT_0_0_4), STR("text/plain; version=0.0.4; charset=utf-8"));
    assert_str(expo_content_type(EXPO_OPENMETRICS_1_0_0),
               STR("application/openmetrics-text; version=1.0.0; charset=utf-8"));
}

TEST(expo_a_full_arena_loses_samples_and_says_so)
{
    struct page p;
    page_open(&p);
    p.arena.bytes_max = 2000;
    struct expo_family *f = expo_family(&p.x, EXPO_GAUGE, STR("g"), STR(""), STR("G."));
    const uint64_t buckets[5] = {0};
    for (int i = 0; i < 100; i++) {
        expo_add(&p.x, f, NULL, 0, i);
    }
    assert_true(p.x.failed);
    assert_true(f->samples_count > 0 && f->samples_count < 100);
    assert_null(expo_family(&p.x, EXPO_GAUGE, STR("h"), STR(""), STR("H.")));
    expo_add(&p.x, NULL, NULL, 0, 1);
    expo_add_histogram(&p.x, NULL, NULL, 0, edges, ARRAY_LEN(edges), buckets, 0);
    expo_write(&p.x, EXPO_OPENMETRICS_1_0_0, &p.out);
    assert_true(str_ends(buf_str(&p.out), STR("# EOF\n")));
    page_close(&p);
}

FAULT_TEST(expo_survives_lack_of_memory)
{
    struct page p;
    p.mem = w->mem;
    arena_init(&p.arena, &w->mem, 1 << 20);
    expo_init(&p.x, &p.arena, 0);
    buf_init(&p.out, &w->mem, 1 << 20);
    static const struct label label[] = {{STR_INIT("a"), STR_INIT("b")}};
    for (int i = 0; i < 50; i++) {
        struct expo_family *f = expo_family(&p.x, EXPO_GAUGE, STR("g"), STR(""), STR("G."));
        for (int k = 0; k < 50; k++) {
            expo_add(&p.x, f, label, 1, k);
        }
    }
    expo_write(&p.x, EXPO_TEXT_0_0_4, &p.out);
    bool ok = !p.x.failed && !p.out.failed;
    buf_release(&p.out);
    arena_release(&p.arena);
    return ok;
}
