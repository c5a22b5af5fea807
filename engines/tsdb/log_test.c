/* The log: records survive encoding, and damage costs what it hits. */
#include "engines/tsdb/log_int.h"

#include "engines/tsdb/tsdb_testing_int.h"

#define BATCHES 30
#define EACH    4 /* samples of a batch */

/* Batch i writes series i % MODEL_SERIES.. with time T0 + i * 1000; each batch is a record. */
static void write_batches(struct store *s)
{
    struct err e = {.code = ERR_NONE};
    assert_true(store_refs(s, &e));
    for (uint32_t i = 0; i < BATCHES; i++) {
        tsdb_batch_reset(s->batch);
        for (uint32_t k = 0; k < EACH; k++) {
            assert_true(tsdb_batch_add(s->batch, s->ref[(i + k) % MODEL_SERIES],
                                       MODEL_T0 + i * 1000, i * 10.0 + k, &e));
        }
        struct tsdb_result r;
        assert_true(tsdb_commit_wait(s->db, s->batch, 0, &r, &e));
    }
}

/* Batches that are there whole; a batch in part, or a wrong value, fails the test. */
static uint32_t whole_batches(struct store *s)
{
    struct tsdb_view *v;
    struct tsdb_column c;
    struct err e = {.code = ERR_NONE};
    uint32_t found[BATCHES] = {0};
    assert_true(tsdb_view_open(s->db, &v, &e));
    tsdb_column_init(&c, &s->mem);
    for (uint32_t ref = 1; ref <= MODEL_SERIES; ref++) {
        assert_true(tsdb_read(v, ref, INT64_MIN, INT64_MAX, 1000, &c, &e));
        for (uint32_t i = 0; i < c.n; i++) {
            uint32_t batch = (uint32_t)((c.t[i] - MODEL_T0) / 1000);
            assert_true(batch < BATCHES && c.t[i] == MODEL_T0 + batch * 1000);
            uint32_t k = (ref + 2 * MODEL_SERIES - s->ref[0] - batch) % MODEL_SERIES;
            assert_true(k < EACH && c.v[i] == batch * 10.0 + k);
            found[batch]++;
        }
    }
    tsdb_column_release(&c);
    tsdb_view_close(v);
    uint32_t n = 0;
    for (uint32_t i = 0; i < BATCHES; i++) {
        assert_true(found[i] == 0 || found[i] == EACH);
        n += found[i] == EACH;
    }
    return n;
}

static uint64_t file_bytes(struct store *s, const char *path)
{
    int fd;
    uint64_t n = 0;
    if (s->os->open(s->os->ctx, path, OS_READ, &fd) != 0) {
        return 0;
    }
    assert_int_equal(s->os->size(s->os->ctx, fd, &n), 0);
    s->os->close(s->os->ctx, fd);
    return n;
}

#define SEGMENT STORE_DIR "/log/0000000001.log"

TEST(log_a_flipped_bit_costs_one_record_and_is_counted)
{
    for (uint64_t at = 0;; at++) {
        struct store s;
        store_init(&s, test_seed());
        store_open_ok(&s);
        /* Definitions apart from samples, so that a flip costs one or the other: in the table. */
        struct err e = {.code = ERR_NONE};
        assert_true(store_refs(&s, &e));
        pthread_mutex_lock(&s.db->keep_mu);
        assert_true(tsdb_series_save(s.db, true, &e));
        pthread_mutex_unlock(&s.db->keep_mu);
        write_batches(&s);
        store_close(&s);
        uint64_t bytes = file_bytes(&s, SEGMENT);
        assert_true(bytes > 1000);
        if (at >= bytes) {
            store_release(&s);
            break;
        }
        assert_true(simos_flip(s.sim, SEGMENT, at, (unsigned)(at % 8)));
        store_open_ok(&s);
        struct tsdb_stats st;
        tsdb_stats(s.db, &st);
        uint32_t whole = whole_batches(&s);
        assert_true(whole >= BATCHES - 1);
        /* The last record says that the log was closed; damage there costs nothing. */
        bool last = at >= bytes - LOG_RECORD_HEAD - 1;
        assert_true(st.log_records_damaged > 0 || last);
        assert_true(!last || whole == BATCHES);
        store_close(&s);
        store_release(&s);
    }
}

TEST(log_what_a_block_covers_is_not_replayed)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_stats st;
    store_init(&s, test_seed());
    store_open_ok(&s);
    write_batches(&s);
    assert_true(tsdb_flush(s.db, false, &e));
    store_close(&s);
    assert_true(file_bytes(&s, SEGMENT) > 1000); /* the newest segment is still there */
    store_open_ok(&s);
    tsdb_stats(s.db, &st);
    assert_int_equal(st.head_samples, 0);
    assert_int_equal(st.block_samples, BATCHES * EACH);
    assert_int_equal(whole_batches(&s), BATCHES);
    store_close(&s);
    store_release(&s);
}

/* The sync fails and the cut behind it too: the next segment says that the group does not count. */
TEST(log_a_failed_group_that_could_not_be_cut_stays_void)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct tsdb_result r;
    store_init(&s, test_seed());
    store_open_ok(&s);
    write_batches(&s);
    tsdb_batch_reset(s.batch);
    assert_true(tsdb_batch_add(s.batch, s.ref[0], MODEL_T0 + 77000, 7, &e));
    simos_fault_from(s.sim, 2, SIMOS_FAIL); /* the write goes through, the sync does not */
    assert_false(tsdb_commit_wait(s.db, s.batch, 0, &r, &e));
    assert_int_equal(e.code, ERR_IO);
    simos_fault_from(s.sim, 0, SIMOS_OK);
    tsdb_batch_reset(s.batch);
    assert_true(tsdb_batch_add(s.batch, s.ref[1], MODEL_T0 + 78000, 8, &e));
    assert_true(tsdb_commit_wait(s.db, s.batch, 0, &r, &e));
    store_close(&s);
    store_open_ok(&s);
    struct tsdb_stats st;
    tsdb_stats(s.db, &st);
    assert_int_equal(st.log_records_damaged, 0);
    assert_int_equal(st.head_samples, BATCHES * EACH + 1);
    assert_int_equal(st.max_ms, MODEL_T0 + 78000);
    store_close(&s);
    store_release(&s);
}

TEST(log_a_torn_tail_is_cut_at_every_length)
{
    for (uint64_t cut = 1; cut < 400; cut++) {
        struct store s;
        struct err e = {.code = ERR_NONE};
        store_init(&s, test_seed());
        store_open_ok(&s);
        write_batches(&s);
        store_close(&s);
        int fd;
        uint64_t bytes = file_bytes(&s, SEGMENT);
        assert_int_equal(s.os->open(s.os->ctx, SEGMENT, OS_WRITE, &fd), 0);
        assert_int_equal(s.os->truncate(s.os->ctx, fd, bytes - cut), 0);
        s.os->close(s.os->ctx, fd);
        store_open_ok(&s);
        struct tsdb_stats st;
        tsdb_stats(s.db, &st);
        assert_int_equal(st.log_records_damaged, 0);
        uint32_t whole = whole_batches(&s);
        assert_true(whole < BATCHES || cut <= LOG_RECORD_HEAD + 1);
        /* A cut costs the record that it is in, and those behind. */
        assert_true((BATCHES - whole) * (LOG_RECORD_HEAD + EACH * 9) <= cut + 64);
        /* What is written afterwards is found afterwards. */
        assert_true(store_refs(&s, &e));
        tsdb_batch_reset(s.batch);
        assert_true(tsdb_batch_add(s.batch, s.ref[0], MODEL_T0 + 99000000, 1, &e));
        struct tsdb_result r;
        assert_true(tsdb_commit_wait(s.db, s.batch, TSDB_NO_FUTURE_CHECK, &r, &e));
        store_close(&s);
        store_open_ok(&s);
        tsdb_stats(s.db, &st);
        assert_int_equal(st.log_records_damaged, 0);
        assert_int_equal(st.head_samples, whole * EACH + 1);
        store_close(&s);
        store_release(&s);
    }
}

TEST(log_records_survive_encoding)
{
    struct mem m;
    struct err e = {.code = ERR_NONE};
    struct rng rng;
    mem_init(&m, 0);
    rng_init(&rng, test_seed());
    struct tsdb_batch *b = tsdb_batch_new(&m, 1 << 22);
    struct log_reader reader;
    struct arena a;
    struct buf out;
    log_reader_init(&reader, &m);
    arena_init(&a, &m, 1 << 22);
    buf_init(&out, &m, 1 << 22);
    for (int round = 0; round < 50; round++) {
        tsdb_batch_reset(b);
        arena_reset(&a);
        buf_reset(&out);
        size_t n = 1 + (size_t)rng_below(&rng, 300);
        int64_t t = (int64_t)rng_u64(&rng);
        for (size_t i = 0; i < n; i++) {
            uint32_t ref = 1 + (uint32_t)rng_below(&rng, round % 2 == 0 ? 10 : REFS_MAX - 2);
            t = rng_below(&rng, 5) == 0 ? (int64_t)rng_u64(&rng) : t;
            int64_t st = round % 3 == 0 && rng_below(&rng, 2) == 0 ? (int64_t)rng_u64(&rng) : 0;
            bool ok = rng_below(&rng, 6) == 0
                          ? tsdb_batch_add_nhist(b, ref, t, st, testing_hist(i, &a), &e)
                          : tsdb_batch_add_st(b, ref, t, st, rng_f64(&rng), &e);
            assert_true(ok);
        }
        b->clean = round % 4 == 0;
        for (size_t i = 0; i < n; i++) {
            b->verdict[i] = b->clean ? VERDICT_APPEND : (uint8_t)rng_below(&rng, 4);
        }
        log_put_samples(&out, b);
        assert_true(buf_ok(&out, &e));
        log_reader_start(&reader, buf_str(&out));
        struct log_run run;
        struct batch_cursor cursor = {.i = 0};
        struct batch_sample x;
        while (log_reader_next(&reader, &run, &e)) {
            for (uint32_t i = 0; i < run.n; i++) {
                do {
                    assert_true(tsdb_batch_next(b, &cursor, &x));
                } while (b->verdict[cursor.i - 1] > VERDICT_LATE);
                assert_int_equal(run.refs[i], x.ref);
                assert_int_equal(run.t, x.t_ms);
                assert_int_equal(run.st != NULL ? run.st[i] : 0, x.st_ms);
                assert_int_equal(run.hist, x.kind == BATCH_HIST);
                if (run.hist) {
                    assert_str(run.hists[i], x.nhist);
                } else {
                    assert_memory_equal(run.values + 8 * (size_t)i, &x.v, 8);
                }
            }
        }
        assert_int_equal(e.code, ERR_NONE);
        while (tsdb_batch_next(b, &cursor, &x)) {
            assert_true(b->verdict[cursor.i - 1] > VERDICT_LATE);
        }
    }
    log_reader_release(&reader);
    arena_release(&a);
    buf_release(&out);
    tsdb_batch_free(b);
    assert_int_equal(m.bytes, 0);
}

/* A new series gets an id that nothing on disk uses. */
static void new_series_are_empty(struct store *s)
{
    struct tsdb_view *v;
    struct tsdb_column c;
    struct err e = {.code = ERR_NONE};
    for (uint32_t k = 0; k < MODEL_SERIES * 2; k++) {
        char text[16];
        uint32_t ref;
        snprintf(text, sizeof text, "new_%u", k);
        const struct label name = {STR("__name__"), str_from_c(text)};
        assert_true(tsdb_series(s->db, 0, (struct labels){&name, 1}, &ref, &e));
        assert_true(tsdb_view_open(s->db, &v, &e));
        tsdb_column_init(&c, &s->mem);
        assert_true(tsdb_read(v, ref, INT64_MIN, INT64_MAX, 1000, &c, &e));
        assert_int_equal(c.n, 0);
        tsdb_column_release(&c);
        tsdb_view_close(v);
    }
}

TEST(log_one_damaged_copy_of_the_table_costs_nothing_and_two_never_invent)
{
    static const char *const files[] = {STORE_DIR "/series-0000000001.bin",
                                        STORE_DIR "/series-0000000002.bin"};
    for (uint64_t i = 0; i < 60; i++) {
        bool both = i % 2 == 1;
        struct store s;
        struct err e = {.code = ERR_NONE};
        store_init(&s, test_seed());
        store_open_ok(&s);
        write_batches(&s);
        assert_true(tsdb_flush(s.db, false, &e));
        store_close(&s);
        uint64_t bytes = file_bytes(&s, files[1]);
        assert_true(bytes > 100 && bytes == file_bytes(&s, files[0]));
        assert_true(simos_flip(s.sim, files[1], i * bytes / 60, (unsigned)(i % 8)));
        if (both) {
            assert_true(simos_flip(s.sim, files[0], i * bytes / 60, (unsigned)(i % 8)));
        }
        for (int again = 0; again < 2; again++) {
            store_open_ok(&s);
            struct tsdb_stats st;
            tsdb_stats(s.db, &st);
            assert_true(again > 0 || st.blocks_damaged > 0);
            if (!both) {
                assert_int_equal(whole_batches(&s), BATCHES);
            } else if (again == 0) {
                assert_int_equal(st.series, 0);
            }
            new_series_are_empty(&s);
            assert_true(tsdb_flush(s.db, false, &e));
            store_close(&s);
        }
        store_release(&s);
    }
}
