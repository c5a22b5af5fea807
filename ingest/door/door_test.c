/* The states of requests: how many, what they keep, what they give back; words and numbers. */
#include "ingest/door/door.h"

#include "base/simos.h"
#include "base/test.h"

struct state {
    struct door_request rq;
    char *kept; /* of the protocol's own */
    int resets;
};

static void state_init(struct door_request *rq)
{
    struct state *s = (struct state *)rq;
    assert_non_null(rq->batch);
    s->kept = mem_take(&rq->mem, 10);
}

static void state_reset(struct door_request *rq)
{
    ((struct state *)rq)->resets++;
}

static void state_release(struct door_request *rq)
{
    mem_give(&rq->mem, ((struct state *)rq)->kept, ((struct state *)rq)->kept ? 10 : 0);
}

static const struct door_protocol protocol = {sizeof(struct state), state_init, state_reset,
                                              state_release};

struct fixture {
    struct mem mem;
    struct simos *sim;
    struct tsdb *db;
    struct door door;
};

static void fixture_open(struct fixture *f)
{
    struct tsdb_config c;
    struct err e = {0};
    memset(f, 0, sizeof *f);
    mem_init(&f->mem, 0);
    f->sim = simos_new(test_seed());
    tsdb_config_default(&c);
    c.dir = "data";
    assert_true(tsdb_open(&f->db, &c, simos_os(f->sim), NULL, &e));
    const struct door_options o = {.protocol = &protocol,
                                   .db = f->db,
                                   .mem = &f->mem,
                                   .source = STR("test"),
                                   .requests_max = 2,
                                   .bytes_max = 64U << 20,
                                   .mem_bytes_max = 128U << 20,
                                   .arena_bytes_max = 1U << 20,
                                   .batch_bytes_max = 1U << 20};
    door_init(&f->door, &o);
}

static void fixture_close(struct fixture *f)
{
    door_release(&f->door);
    tsdb_close(f->db);
    simos_free(f->sim);
    assert_int_equal(f->mem.bytes, 0);
}

TEST(door_makes_no_more_states_than_it_may_and_takes_the_last_one_first)
{
    struct fixture f;
    struct err e = {0};
    fixture_open(&f);
    struct door_request *a = door_take(&f.door);
    struct door_request *b = door_take(&f.door);
    assert_true(a && b && a != b);
    assert_ptr_equal(a->door, &f.door);
    assert_null(door_take(&f.door));
    assert_false(door_busy(&e));
    assert_int_equal(e.code, ERR_BUSY);
    door_give(a);
    door_abort(NULL, b);
    door_abort(NULL, NULL); /* a request that got no state */
    assert_int_equal(((struct state *)a)->resets + ((struct state *)b)->resets, 2);
    assert_ptr_equal(door_take(&f.door), b);
    assert_ptr_equal(door_take(&f.door), a);
    assert_int_equal(f.door.made, 2);
    assert_int_equal(f.door.in_use, 2);
    door_give(a);
    door_give(b);
    assert_int_equal(f.door.in_use, 0);
    fixture_close(&f);
}

TEST(door_empties_a_request_keeps_small_buffers_and_gives_large_ones_back)
{
    struct fixture f;
    uint32_t ref;
    struct err e = {0};
    const struct label name = {STR("__name__"), STR("m")};
    fixture_open(&f);
    assert_true(tsdb_series(f.db, f.door.source, (struct labels){&name, 1}, &ref, &e));
    struct door_request *rq = door_take(&f.door);
    for (int round = 0; round < 2; round++) {
        const size_t bytes = round == 0 ? 1000 : 5U << 20;
        for (size_t i = 0; i < bytes; i++) {
            buf_char(&rq->bytes, 'x');
        }
        assert_non_null(arena_take(&rq->arena, 100, 1));
        assert_true(tsdb_batch_add(rq->batch, ref, 1000, 1, &e));
        rq->http = (struct http_request *)(void *)&f; /* any */
        assert_int_equal(rq->bytes.n, bytes);
        door_give(rq);
        assert_ptr_equal(door_take(&f.door), rq);
        assert_int_equal(rq->bytes.n, 0);
        assert_int_equal(rq->arena.bytes, 0);
        assert_int_equal(tsdb_batch_count(rq->batch), 0);
        assert_null(rq->http);
        assert_true(round == 0 ? rq->bytes.cap >= 1000 : rq->bytes.cap == 0);
        assert_int_equal(rq->bytes.bytes_max, 64U << 20);
    }
    door_give(rq);
    fixture_close(&f);
}

TEST(door_says_which_errors_are_the_senders)
{
    static const struct {
        enum err_code code;
        int status;
    } rows[] = {{ERR_INPUT, 400}, {ERR_LIMIT, 413}, {ERR_BUSY, 503},
                {ERR_NOMEM, 503}, {ERR_IO, 503},    {ERR_CORRUPT, 503}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct err e = {.code = rows[i].code};
        assert_int_equal(door_status(&e), rows[i].status);
    }
    assert_null(door_headers(400));
    assert_null(door_headers(200));
    assert_string_equal(door_headers(503)[0], "Retry-After");
    assert_string_equal(door_headers(503)[1], "1");
    assert_null(door_headers(503)[2]);
}

TEST(door_counts_what_the_store_did)
{
    struct fixture f;
    struct arena a;
    struct expo x;
    struct buf out;
    const struct tsdb_result r = {.samples = 5,
                                  .histograms = 2,
                                  .exemplars = 1,
                                  .refused_exemplars = 9,
                                  .refused = {[TSDB_OUT_OF_ORDER] = 3, [TSDB_TOO_OLD] = 4}};
    fixture_open(&f);
    arena_init(&a, &f.mem, 1 << 20);
    buf_init(&out, &f.mem, 1 << 20);
    expo_init(&x, &a, 0);
    assert_int_equal(door_refused(&r), 7);
    door_count(&f.door, &r);
    door_count(&f.door, &r);
    assert_int_equal(f.door.samples, 10);
    assert_int_equal(f.door.histograms, 4);
    assert_int_equal(f.door.exemplars, 2);
    door_publish_refused(&f.door, &x, "test_refused", "Refused.");
    expo_write(&x, EXPO_TEXT_0_0_4, &out);
    assert_str(buf_str(&out), STR("# HELP test_refused_total Refused.\n"
                                  "# TYPE test_refused_total counter\n"
                                  "test_refused_total{reason=\"out_of_order\"} 6\n"
                                  "test_refused_total{reason=\"duplicate\"} 0\n"
                                  "test_refused_total{reason=\"too_old\"} 8\n"
                                  "test_refused_total{reason=\"too_new\"} 0\n"
                                  "test_refused_total{reason=\"series_gone\"} 0\n"
                                  "test_refused_total{reason=\"head_full\"} 0\n"));
    assert_string_equal(door_refusal_name(TSDB_HEAD_FULL), "head_full");
    assert_string_equal(door_refusal_text(TSDB_TOO_OLD), "sample is older than retention");
    buf_release(&out);
    arena_release(&a);
    fixture_close(&f);
}

FAULT_TEST(door_without_memory_has_no_state_and_leaks_none)
{
    struct fixture f;
    fixture_open(&f);
    f.mem.allow = w->mem.allow;
    f.mem.allow_ctx = w->mem.allow_ctx;
    struct door_request *rq = door_take(&f.door);
    assert_int_equal(f.door.in_use, rq ? 1 : 0);
    const bool whole = rq && ((struct state *)rq)->kept;
    if (rq) {
        door_give(rq);
    }
    fixture_close(&f);
    return whole;
}
