#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"
#include "engines/tsdb/import_int.h"
#include "engines/tsdb/tsdb_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* testdata/prom was written by Prometheus 2.42: 150 samples of five series (three of floats, one
 * each of integer and float histograms) sent by remote write and in a block made by its snapshot
 * call; then, in the log, a deletion of samples 10 to 19 of k="0" and samples 150 to 199. The log
 * has all 200, because a snapshot does not cut it. Sent were the values of the formulas below. */
#define T0_MS 1795453455000LL
#define ULID  "01M84S975D02TQEYJJRF0RVPY6"

static bool copy_in(const struct os *os, const char *from, const char *to, struct err *e)
{
    struct mem m;
    struct buf b;
    char path[PATH_BYTES_MAX];
    mem_init(&m, 0);
    buf_init(&b, &m, 1 << 20);
    snprintf(path, sizeof path, "engines/tsdb/testdata/prom/%s", from);
    bool ok = file_read(os_real(), test_path(path), &b, e) && file_replace(os, to, buf_str(&b), e);
    buf_release(&b);
    return ok;
}

static bool data_make(const struct os *os, bool block, bool wal, struct err *e)
{
    bool ok = dir_make(os, "prom/" ULID "/chunks", e) && dir_make(os, "prom/wal", e);
    if (block) {
        ok = ok && copy_in(os, ULID "/index", "prom/" ULID "/index", e) &&
             copy_in(os, ULID "/tombstones", "prom/" ULID "/tombstones", e) &&
             copy_in(os, ULID "/chunks/000001", "prom/" ULID "/chunks/000001", e);
    }
    return ok && (!wal || copy_in(os, "wal/00000000", "prom/wal/00000000", e));
}

static struct tsdb *store(struct simos *s, struct err *e)
{
    struct tsdb_config c;
    struct tsdb *db = NULL;
    tsdb_config_default(&c);
    c.dir = "store";
    c.retention_ms = 0;
    simos_clock_set(s, (T0_MS + 3600000) * 1000000);
    assert_true(tsdb_open(&db, &c, simos_os(s), NULL, e));
    return db;
}

/* All samples of one series into c (the caller releases it). */
static void series_read(struct tsdb *db, const char *name, const char *k, struct tsdb_column *c,
                        struct mem *m)
{
    struct err e = {0};
    struct tsdb_view *v = NULL;
    struct arena a;
    uint32_t *ids = NULL;
    uint32_t n = 0;
    arena_init(&a, m, 1 << 20);
    struct matcher match[] = {{MATCH_EQ, STR(LABEL_NAME), str_from_c(name)},
                              {MATCH_EQ, STR("k"), str_from_c(k)}};
    assert_true(tsdb_view_open(db, &v, &e));
    assert_true(tsdb_select(v, match, 2, 1, 0, 100, false, &a, &ids, &n, &e));
    assert_int_equal(n, 1);
    tsdb_column_init(c, m);
    assert_true(tsdb_read(v, ids[0], INT64_MIN, INT64_MAX, UINT32_MAX, c, &e));
    arena_release(&a);
    tsdb_view_close(v);
}

static int64_t time_of(uint32_t k, uint32_t i)
{
    return T0_MS + (int64_t)i * 15000 + (k == 1 && i % 7 == 3 ? i : 0);
}

static double float_of(uint32_t k, uint32_t i)
{
    return k == 0 ? (double)i : k == 1 ? 0.1 * i + k : i % 50 != 0 ? 42.0 : (double)NAN;
}

static void floats_check(struct tsdb *db, uint32_t from, uint32_t to, bool deleted)
{
    for (uint32_t k = 0; k < 3; k++) {
        struct mem m;
        struct tsdb_column c;
        char label[] = {(char)('0' + k), 0};
        uint32_t at = 0;
        mem_init(&m, 0);
        series_read(db, "fix_floats", label, &c, &m);
        for (uint32_t i = from; i < to; i++) {
            if (deleted && k == 0 && i >= 10 && i <= 19) {
                continue;
            }
            double want = float_of(k, i);
            assert_true(at < c.n);
            assert_true(c.t[at] == time_of(k, i));
            assert_true(c.v[at] == want || (isnan(c.v[at]) && isnan(want)));
            at++;
        }
        assert_int_equal(at, c.n);
        tsdb_column_release(&c);
        assert_int_equal(m.bytes, 0);
    }
}

static void hist_check(const struct nhist *h, bool floats, uint32_t i)
{
    double d = i;
    assert_non_null(h);
    assert_int_equal(h->schema, 3);
    assert_true(h->integer == !floats);
    assert_true(h->zero_threshold == 0x1p-128);
    assert_true(h->sum == 100.25 + d);
    assert_true(h->count == (floats ? 11 + 1.75 * d : 17 + 4 * d));
    assert_true(h->zero_count == (floats ? 1.5 : 1 + d));
    assert_true(h->pos.spans_n == 2 && h->pos.spans[0].offset == 1 && h->pos.spans[0].length == 2);
    assert_true(h->pos.spans[1].offset == 2 && h->pos.spans[1].length == 1);
    assert_true(h->neg.spans_n == 1 && h->neg.spans[0].offset == 0 && h->neg.counts_n == 1);
    assert_int_equal(h->pos.counts_n, 3);
    assert_true(h->pos.counts[0] == (floats ? 1 + d : 3 + d));
    assert_true(h->pos.counts[1] == (floats ? 2.5 : 4));
    assert_true(h->pos.counts[2] == (floats ? 6 + d / 4 : 8 + d));
    assert_true(h->neg.counts[0] == (floats ? 0.5 * d : 1 + d));
}

/* A chunk says that no counter was reset inside it; what was sent did not say. */
static void hists_check(struct tsdb *db, uint32_t n, uint32_t from_chunk)
{
    for (int floats = 0; floats < 2; floats++) {
        struct mem m;
        struct tsdb_column c;
        mem_init(&m, 0);
        series_read(db, floats ? "fix_float_hist" : "fix_int_hist", "", &c, &m);
        assert_int_equal(c.n, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(c.t[i] == T0_MS + (int64_t)i * 15000);
            hist_check(c.h[i], floats == 1, i);
            assert_true((c.h[i]->reset == NHIST_NO_RESET) == (i > 0 && i < from_chunk));
        }
        tsdb_column_release(&c);
        assert_int_equal(m.bytes, 0);
    }
}

TEST(import_reads_a_block_of_prometheus)
{
    struct err e = {0};
    struct tsdb_import n;
    struct simos *s = simos_new(test_seed());
    struct tsdb *db = store(s, &e);
    assert_true(data_make(simos_os(s), true, false, &e));
    assert_true(tsdb_import_prometheus(db, simos_os(s), "prom", NULL, NULL, &n, &e));
    assert_true(n.blocks == 1 && n.blocks_damaged == 0 && n.chunks_damaged == 0);
    assert_true(n.series == 5 && n.samples == 450 && n.histograms == 300);
    assert_true(n.refused == 0 && n.deleted == 0);
    floats_check(db, 0, 150, false);
    hists_check(db, 150, 150);
    /* Once more changes nothing, also after merging. */
    assert_true(tsdb_import_prometheus(db, simos_os(s), "prom", NULL, NULL, &n, &e));
    floats_check(db, 0, 150, false);
    assert_true(tsdb_flush(db, true, &e));
    floats_check(db, 0, 150, false);
    hists_check(db, 150, 150);
    tsdb_close(db);
    simos_free(s);
}

TEST(import_reads_what_only_the_log_of_prometheus_has)
{
    struct err e = {0};
    struct tsdb_import n;
    struct simos *s = simos_new(test_seed());
    struct tsdb *db = store(s, &e);
    assert_true(data_make(simos_os(s), true, true, &e));
    assert_true(tsdb_import_prometheus(db, simos_os(s), "prom", NULL, NULL, &n, &e));
    assert_true(n.blocks == 1 && n.blocks_damaged == 0 && n.chunks_damaged == 0);
    assert_true(n.samples == 600 && n.histograms == 400);
    floats_check(db, 0, 200, false);
    hists_check(db, 200, 150);
    tsdb_close(db);
    simos_free(s);
}

TEST(import_reads_a_log_without_blocks_and_its_deletions)
{
    struct err e = {0};
    struct tsdb_import n;
    struct simos *s = simos_new(test_seed());
    struct tsdb *db = store(s, &e);
    assert_true(dir_make(simos_os(s), "prom/wal", &e));
    assert_true(copy_in(simos_os(s), "wal/00000000", "prom/wal/00000000", &e));
    assert_true(tsdb_import_prometheus(db, simos_os(s), "prom", NULL, NULL, &n, &e));
    assert_true(n.blocks == 0 && n.blocks_damaged == 0 && n.chunks_damaged == 0);
    assert_true(n.samples == 590 && n.histograms == 400 && n.deleted == 10 && n.refused == 0);
    floats_check(db, 0, 200, true);
    hists_check(db, 200, 0);
    tsdb_close(db);
    simos_free(s);
}

/* A flipped bit costs a chunk or the block, is counted, and never gives a wrong sample. */
TEST(import_of_damaged_files_is_counted_and_never_wrong)
{
    static const char *const files[] = {"prom/" ULID "/index", "prom/" ULID "/chunks/000001",
                                        "prom/" ULID "/tombstones"};
    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        for (uint64_t at = f; at < 3000; at += f == 2 ? 1 : 97) {
            struct err e = {0};
            struct tsdb_import n;
            struct simos *s = simos_new(test_seed());
            struct tsdb *db = store(s, &e);
            assert_true(data_make(simos_os(s), true, false, &e));
            if (!simos_flip(s, files[f], at, at % 8)) {
                tsdb_close(db);
                simos_free(s);
                break;
            }
            assert_true(tsdb_import_prometheus(db, simos_os(s), "prom", NULL, NULL, &n, &e));
            bool whole = n.samples == 450 && n.histograms == 300;
            bool told = n.chunks_damaged + n.blocks_damaged > 0;
            /* Postings and paddings of the index are not read. */
            assert_true(whole != told || f == 0);
            assert_true(whole || told);
            assert_true(n.samples <= 450 && n.histograms <= 300);
            if (whole) {
                floats_check(db, 0, 150, false);
            }
            tsdb_close(db);
            simos_free(s);
        }
    }
}

static bool stop_at_once(void *ctx, const struct tsdb_import *so_far)
{
    (void)so_far;
    (*(int *)ctx)++;
    return false;
}

TEST(import_stops_when_told_and_refuses_other_folders)
{
    struct err e = {0};
    struct tsdb_import n;
    int asked = 0;
    struct simos *s = simos_new(test_seed());
    struct tsdb *db = store(s, &e);
    assert_true(data_make(simos_os(s), true, false, &e));
    assert_false(tsdb_import_prometheus(db, simos_os(s), "prom", stop_at_once, &asked, &n, &e));
    assert_true(e.code == ERR_BUSY && asked == 1);
    assert_true(dir_make(simos_os(s), "other", &e));
    assert_false(tsdb_import_prometheus(db, simos_os(s), "other", NULL, NULL, &n, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_false(tsdb_import_prometheus(db, simos_os(s), "none", NULL, NULL, &n, &e));
    assert_int_equal(e.code, ERR_IO);
    tsdb_close(db);
    simos_free(s);
}

TEST(import_reads_openmetrics_with_times)
{
    struct err e = {0};
    struct mem m;
    struct tsdb_import n;
    struct tsdb_column c;
    struct simos *s = simos_new(test_seed());
    struct tsdb *db = store(s, &e);
    mem_init(&m, 0);
    struct str text = STR("# TYPE req counter\n"
                          "req_total{k=\"a\"} 1 1795453455\n"
                          "req_total{k=\"a\"} 2.5 1795453470.125\n"
                          "req_total{k=\"b\"} 7 1795453455\n"
                          "# TYPE late gauge\n"
                          "late 3\n"
                          "# EOF\n");
    assert_true(file_replace(simos_os(s), "om.txt", text, &e));
    assert_true(tsdb_import_openmetrics(db, simos_os(s), "om.txt", NULL, NULL, &n, &e));
    assert_true(n.samples == 3 && n.refused == 1 && n.blocks == 1);
    series_read(db, "req_total", "a", &c, &m);
    assert_int_equal(c.n, 2);
    assert_true(c.t[0] == T0_MS && c.v[0] == 1 && c.t[1] == T0_MS + 15125 && c.v[1] == 2.5);
    tsdb_column_release(&c);
    text = STR("a 1 1795453455\nb{ 2\n# EOF\n");
    assert_true(file_replace(simos_os(s), "om.txt", text, &e));
    assert_false(tsdb_import_openmetrics(db, simos_os(s), "om.txt", NULL, NULL, &n, &e));
    assert_true(e.code == ERR_INPUT && e.line == 2);
    assert_int_equal(n.samples, 1);
    series_read(db, "a", "", &c, &m);
    assert_int_equal(c.n, 1);
    tsdb_column_release(&c);
    assert_int_equal(m.bytes, 0);
    tsdb_close(db);
    simos_free(s);
}
