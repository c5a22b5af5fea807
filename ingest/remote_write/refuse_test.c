/* What the door refuses, row by row of the README's table, with the cases of the remote write 2.0
 * receiver suite: media types, corrupt bodies, missing names, bounds, a dead disk, no memory. */
#include "ingest/remote_write/testing_int.h"

TEST(a_refused_sample_refuses_all_of_1_0_and_itself_in_2_0)
{
    struct world w;
    world_open(&w);
    series_v1(&w, "__name__=up", T0, 1);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    series_v1(&w, "__name__=down", T0, 1);
    series_v1(&w, "__name__=up", T0, 2); /* another value */
    assert_int_equal(send_as(&w, TYPE_1), 400);
    assert_true(answered(&w, "duplicate sample for timestamp"));
    expect(&w, "up 0:1\n");
    symbols(&w, some);
    series_v2(&w, "down", T0, 5);
    series_v2(&w, "up", T0, 2);
    assert_int_equal(send_as(&w, TYPE_2), 400);
    assert_true(wrote(&w, 1, 0, 0));
    expect(&w, "down 0:5\nup 0:1\n");
    assert_true(published(&w, "farol_remote_write_refused", "reason", "duplicate") == 2);
    world_close(&w);
}

TEST(the_same_request_twice_is_stored_once)
{
    struct world w;
    world_open(&w);
    for (int i = 0; i < 2; i++) {
        series_v1(&w, "__name__=up", T0, 1);
        series_v1(&w, "__name__=up", T0 + 1, 2);
        assert_int_equal(send_as(&w, TYPE_1), 204);
    }
    expect(&w, "up 0:1 1:2\n");
    world_close(&w);
}

TEST(too_old_and_too_new_samples_say_so)
{
    struct world w;
    struct tsdb_config c;
    tsdb_config_default(&c);
    c.dir = "data";
    c.out_of_order_ms = 1000;
    c.retention_ms = 86400000;
    world_open_config(&w, &c, 0);
    series_v1(&w, "__name__=up", T0, 1);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    series_v1(&w, "__name__=up", T0 - 2000, 1);
    assert_int_equal(send_as(&w, TYPE_1), 400);
    assert_true(answered(&w, "out of order sample"));
    series_v1(&w, "__name__=down", T0 - 90000000, 1);
    assert_int_equal(send_as(&w, TYPE_1), 400);
    assert_true(answered(&w, "older than retention"));
    series_v1(&w, "__name__=up", T0 + 11 * 60000, 1);
    assert_int_equal(send_as(&w, TYPE_1), 400);
    assert_true(answered(&w, "too far in the future"));
    series_v1(&w, "__name__=up", T0 - 900, 9); /* within the window */
    assert_int_equal(send_as(&w, TYPE_1), 204);
    expect(&w, "up -900:9 0:1\n");
    world_close(&w);
}

TEST(series_with_bad_labels_are_left_out)
{
    static const char *const bad[] = {"job=a", "__name__=up,job=a,job=b", "__name__=u\xffp",
                                      "=x,__name__=up", ""};
    struct world w;
    world_open(&w);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        series_v1(&w, bad[i], T0, 1);
    }
    series_v1(&w, "__name__=up", T0, 1);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    expect(&w, "up 0:1\n");
    assert_true(published(&w, "farol_remote_write_dropped", "reason", "labels") == ARRAY_LEN(bad));
    symbols(&w, some);
    const uint32_t refs_bad[][3] = {{3, 4, 0}, {1, 77, 0}, {1, 2, 3}};
    const size_t refs_bad_n[] = {2, 2, 3}; /* no name; no such symbol; an odd number */
    for (size_t i = 0; i < 3; i++) {
        const size_t mark = pb_begin(&w.rq, 5);
        refs(&w.rq, refs_bad[i], refs_bad_n[i]);
        sample_st(&w.rq, T0 + 1, 0, 1);
        pb_end(&w.rq, mark);
    }
    series_v2(&w, "up", T0 + 1, 2);
    assert_int_equal(send_as(&w, TYPE_2), 400);
    assert_true(wrote(&w, 1, 0, 0));
    expect(&w, "up 0:1 1:2\n");
    world_close(&w);
}

TEST(series_above_the_bound_are_left_out_and_counted)
{
    struct world w;
    struct tsdb_config c;
    tsdb_config_default(&c);
    c.dir = "data";
    world_open_config(&w, &c, 2);
    series_v1(&w, "__name__=a", T0, 1);
    series_v1(&w, "__name__=b", T0, 1);
    series_v1(&w, "__name__=c", T0, 1);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    expect(&w, "a 0:1\nb 0:1\n");
    assert_true(published(&w, "farol_remote_write_dropped", "reason", "series_limit") == 1);
    symbols(&w, some);
    series_v2(&w, "up", T0, 1);
    assert_int_equal(send_as(&w, TYPE_2), 400);
    assert_true(wrote(&w, 0, 0, 0));
    world_close(&w);
}

TEST(other_media_types_and_encodings_get_415)
{
    struct world w;
    world_open(&w);
    series_v1(&w, "__name__=up", T0, 1);
    struct err e = {0};
    assert_true(snappy_pack(buf_str(&w.rq), &w.packed, &e));
    static const char *const refused[] = {
        "Content-Type: application/json\r\nContent-Encoding: snappy\r\n",
        ("Content-Type: application/x-protobuf;proto=io.prometheus.write.v3.Request\r\n"
         "Content-Encoding: snappy\r\n"),
        "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/x-protobuf\r\nContent-Encoding: zstd\r\n",
        "Content-Type: text/plain\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_int_equal(send_raw(&w, refused[i], buf_str(&w.packed)), 415);
    }
    expect(&w, "");
    assert_true(published(&w, "farol_remote_write_requests", "result", "media_type") >= 3);
    static const char *const taken[] = {
        "",
        "Content-Encoding: snappy\r\n",
        "Content-Type: Application/X-Protobuf\r\n",
        "Content-Type: application/x-protobuf; proto=prometheus.WriteRequest\r\n",
        "Content-Type: application/x-protobuf; charset=utf-8\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        assert_int_equal(send_raw(&w, taken[i], buf_str(&w.packed)), 204);
    }
    expect(&w, "up 0:1\n");
    world_close(&w);
}

TEST(corrupt_bodies_get_400_and_store_nothing)
{
    struct world w;
    world_open(&w);
    for (int version = 1; version <= 2; version++) {
        const char *type = version == 1 ? TYPE_1 : TYPE_2;
        buf_reset(&w.rq);
        if (version == 1) {
            series_v1(&w, "__name__=up", T0, 1);
            series_v1(&w, "__name__=down", T0, 1);
        } else {
            symbols(&w, some);
            series_v2(&w, "up", T0, 1);
            series_v2(&w, "down", T0, 1);
        }
        assert_int_equal(send_bytes(&w, STR("this is not snappy"), false, type), 400);
        assert_int_equal(send_bytes(&w, STR(""), false, type), 400);
        assert_int_equal(send_bytes(&w, STR("\xff\xff\xff"), true, type), 400);
        /* Cut anywhere but between fields of the top level. */
        for (size_t n = 1; n < w.rq.n; n++) {
            struct pb p = pb_of(str_of(w.rq.p, n));
            struct pb_field f;
            while (pb_next(&p, &f)) {
            }
            if (p.failed) {
                assert_int_equal(send_bytes(&w, str_of(w.rq.p, n), true, type), 400);
            }
        }
        w.symbols_n = 0;
    }
    expect(&w, "");
    world_close(&w);
}

/* One message inside a good request is damaged: a sender must hear of it, or it would lose the
 * series without a word. */
TEST(damage_inside_a_message_refuses_the_request)
{
    struct world w;
    world_open(&w);
    series_v1(&w, "__name__=up", T0, 1);
    pb_put_bytes(&w.rq, 1, str_of("\x0a\x03\x0a\x20\x61", 5)); /* a name longer than its label */
    assert_int_equal(send_as(&w, TYPE_1), 400);
    symbols(&w, some);
    series_v2(&w, "up", T0, 1);
    pb_put_bytes(&w.rq, 5, str_of("\x0a\x01\x80", 3)); /* references that end in half a number */
    assert_int_equal(send_as(&w, TYPE_2), 400);
    symbols(&w, some);
    series_v2(&w, "up", T0, 1);
    pb_put_bytes(&w.rq, 5, str_of("\x0a\x02\x01\x02\x12\x02\x09\x00", 8)); /* half a double */
    assert_int_equal(send_as(&w, TYPE_2), 400);
    pb_put_bytes(&w.rq, 4, STR("not empty"));
    assert_int_equal(send_as(&w, TYPE_2), 400);
    expect(&w, "");
    assert_true(published(&w, "farol_remote_write_requests", "result", "malformed") >= 1);
    world_close(&w);
}

TEST(bodies_above_the_bounds_get_413)
{
    struct world w;
    world_open(&w);
    char *zeros = calloc(1, 5 << 20);
    assert_non_null(zeros);
    assert_int_equal(send_bytes(&w, str_of(zeros, 5 << 20), true, TYPE_1), 413);
    assert_int_equal(send_bytes(&w, str_of(zeros, 2 << 20), false, TYPE_1), 413);
    free(zeros);
    expect(&w, "");
    world_close(&w);
}

TEST(a_dead_disk_says_come_back)
{
    struct world w;
    world_open(&w);
    series_v1(&w, "__name__=up", T0, 1);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    simos_fault_from(w.sim, 1, SIMOS_FAIL);
    series_v1(&w, "__name__=up", T0 + 1, 1);
    assert_int_equal(send_as(&w, TYPE_1), 503);
    assert_true(answered(&w, "Retry-After: "));
    symbols(&w, some);
    series_v2(&w, "up", T0 + 1, 1);
    assert_int_equal(send_as(&w, TYPE_2), 503);
    simos_fault_from(w.sim, 0, SIMOS_OK);
    expect(&w, "up 0:1\n");
    assert_true(published(&w, "farol_remote_write_requests", "result", "busy") >= 1);
    series_v1(&w, "__name__=up", T0 + 1, 1);
    assert_int_equal(send_as(&w, TYPE_1), 204);
    expect(&w, "up 0:1 1:1\n");
    world_close(&w);
}

/* Short of memory at any place: an answer that asks to come back, or all of it stored. */
static bool allow_nth(void *ctx, size_t bytes)
{
    (void)bytes;
    int *left = ctx;
    return __atomic_fetch_sub(left, 1, __ATOMIC_RELAXED) != 0;
}

TEST(without_memory_nothing_is_lost_silently)
{
    bool stored = false;
    for (int nth = 0; !stored && nth < 60; nth++) {
        struct world w;
        int left = nth;
        world_open(&w);
        w.mem.allow = allow_nth;
        w.mem.allow_ctx = &left;
        series_v1(&w, "__name__=up", T0, 1);
        series_v1(&w, "__name__=down", T0, 1);
        const int status = send_as(&w, TYPE_1);
        w.mem.allow = NULL;
        if (status == 204) {
            expect(&w, "down 0:1\nup 0:1\n");
            stored = left > 0; /* no allocation failed */
        } else {
            assert_true(status == 503 || status == 413);
            expect(&w, "");
        }
        world_close(&w);
    }
    assert_true(stored);
}
