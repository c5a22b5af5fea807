/* The sender against the door: files, their compression and pace; a door that is busy, gone or
 * back. */
#include "ingest/ndjson/door_testing_int.h"

#include "base/file.h"

#include <zstd.h>

static void disk_file(struct world *w, const char *path, struct str content)
{
    struct err e = {0};
    if (!file_replace(simos_os(w->sim), path, content, &e)) {
        fail_msg("%s", e.msg);
    }
}

static struct ndjson_sender *sender_open(struct world *w, struct ndjson_sender_config *c)
{
    struct ndjson_sender *s = NULL;
    struct err e = {0};
    c->os = simos_os(w->sim);
    c->batch_lines_max = c->batch_lines_max ? c->batch_lines_max : 5000;
    c->url = w->url; /* without its path: the sender adds it */
    *strrchr(w->url, '/') = '\0';
    *strrchr(w->url, '/') = '\0';
    *strrchr(w->url, '/') = '\0';
    if (!ndjson_sender_new(c, &w->client_mem, &s, &e)) {
        fail_msg("%s", e.msg);
    }
    return s;
}

TEST(files_are_sent_whole_and_errors_keep_their_line)
{
    static const char plain[] = LABEL "\n\n" LABEL "\n" LABEL "\nx\n" LABEL; /* line 5 is bad */
    struct world w;
    struct err e = {0};
    char packed[1024];
    world_open(&w, "", 1 << 20);
    disk_file(&w, "plain", str_from_c(plain));
    disk_file(&w, "gz", gzipped(str_from_c(plain), packed, sizeof packed));
    size_t n = ZSTD_compress(packed, sizeof packed, plain, sizeof plain - 1, 1);
    disk_file(&w, "zst", str_of(packed, n));
    disk_file(&w, "empty", STR(""));
    struct ndjson_sender_config c = {.batch_lines_max = 2};
    struct ndjson_sender *s = sender_open(&w, &c);
    static const char *const files[] = {"plain", "gz", "empty", "zst"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        assert_true(ndjson_send_file(s, files[i], &e));
    }
    const struct ndjson_sent *sent = ndjson_sender_sent(s);
    assert_int_equal(sent->accepted, 12);
    assert_int_equal(sent->rejected, 3);
    assert_int_equal(sent->lines, 18);
    assert_int_equal(sent->batches, 9);
    assert_int_equal(sent->errors_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(sent->errors[i].line, 5);
        assert_int_equal(sent->errors[i].col, 1);
    }
    assert_string_equal(sent->errors[1].path, "gz");
    assert_string_equal(sent->errors[2].msg, "expected a value, found 'x'");
    assert_false(ndjson_send_file(s, "absent", &e));
    assert_int_equal(e.code, ERR_IO);
    disk_file(&w, "zst", str_of(packed, n - 3));
    assert_false(ndjson_send_file(s, "zst", &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.where, "zst");
    ndjson_sender_free(s);
    assert_int_equal(world_close(&w), 12);
}

/* zstd --long: a window that no stranger's body may have, but a user's file may. */
TEST(a_file_with_a_large_zstd_window_is_read)
{
    static const char text[] = LABEL "\n" LABEL "\n";
    struct world w;
    struct err e = {0};
    char packed[1024];
    world_open(&w, "", 1 << 20);
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_inBuffer in = {text, sizeof text - 1, 0};
    ZSTD_outBuffer out = {packed, sizeof packed, 0};
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, 27)));
    assert_false(ZSTD_isError(ZSTD_compressStream2(z, &out, &in, ZSTD_e_flush)));
    assert_int_equal(ZSTD_compressStream2(z, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(z);
    struct str body = str_of(packed, out.pos);
    assert_int_equal(post(&w, body, "zstd"), 413);
    disk_file(&w, "long", body);
    struct ndjson_sender_config c = {0};
    struct ndjson_sender *s = sender_open(&w, &c);
    assert_true(ndjson_send_file(s, "long", &e));
    ndjson_sender_free(s);
    assert_int_equal(world_close(&w), 2);
}

/* An hour of events at 60x is a minute, on the simulated clock. */
TEST(pace_follows_the_time_of_the_events)
{
    struct world w;
    struct err e = {0};
    struct buf b;
    world_open(&w, "", 1 << 20);
    buf_init(&b, &w.test_mem, 1 << 16);
    for (int minute = 0; minute <= 60; minute++) {
        buf_fmt(&b,
                "{\"type\":\"label\",\"id\":\"E10002877201805140000KH5FHKLEC67\",\"ts\":\"2018-05-"
                "20T1%d:"
                "%02d:00Z\",\"label\":\"fraud\"}\n",
                minute / 60, minute % 60);
    }
    BUF_LIT(&b, LABEL "\n"); /* earlier than the last: goes at once */
    disk_file(&w, "hour", buf_str(&b));
    struct ndjson_sender_config c = {.speed = 60};
    struct ndjson_sender *s = sender_open(&w, &c);
    int64_t start_ns = os_mono_ns(c.os);
    assert_true(ndjson_send_file(s, "hour", &e));
    int64_t took_ns = os_mono_ns(c.os) - start_ns;
    assert_true(took_ns >= 60 * NS_PER_S);
    assert_true(took_ns < 61 * NS_PER_S);
    assert_int_equal(ndjson_sender_sent(s)->accepted, 62);
    assert_int_equal(ndjson_sender_sent(s)->batches, 61);
    ndjson_sender_free(s);
    buf_release(&b);
    assert_int_equal(world_close(&w), 62);
}

TEST(a_refused_first_connection_is_not_tried_again)
{
    struct world w;
    struct err e = {0};
    world_open(&w, "", 1 << 20);
    disk_file(&w, "f", STR(LABEL));
    struct ndjson_sender_config c = {.retry_ms = 60000};
    struct ndjson_sender *s = sender_open(&w, &c);
    ndjson_sender_free(s);
    c.url = "http://127.0.0.1:1";
    assert_true(ndjson_sender_new(&c, &w.client_mem, &s, &e));
    assert_false(ndjson_send_file(s, "f", &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(ndjson_sender_sent(s)->retries, 0);
    ndjson_sender_free(s);
    c.url = "ftp://x";
    assert_false(ndjson_sender_new(&c, &w.client_mem, &s, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_int_equal(world_close(&w), 0);
}

/* Lets the queue go on when the sender waits for it. */
static void release_queue(void *ctx, const struct ndjson_sent *sent)
{
    struct world *w = ctx;
    if (sent->waiting != NULL) {
        assert_string_equal(sent->waiting, "busy");
        hold(w, false);
    }
}

TEST(a_busy_door_is_tried_again_until_all_is_stored)
{
    struct world w;
    struct err e = {0};
    struct buf b;
    world_open(&w, "", 4096);
    buf_init(&b, &w.test_mem, 1 << 16);
    for (int i = 0; i < 40; i++) {
        BUF_LIT(&b, LABEL "\n");
    }
    disk_file(&w, "f", buf_str(&b));
    hold(&w, true);
    struct ndjson_sender_config c = {
        .batch_lines_max = 1, .retry_ms = 600000, .progress = release_queue, .progress_ctx = &w};
    struct ndjson_sender *s = sender_open(&w, &c);
    assert_true(ndjson_send_file(s, "f", &e));
    assert_int_equal(ndjson_sender_sent(s)->accepted, 40);
    assert_true(ndjson_sender_sent(s)->retries > 0);
    ndjson_sender_free(s);
    /* And it gives up when nothing moves for retry_ms. */
    hold(&w, true);
    c.progress = NULL;
    c.retry_ms = 5000;
    assert_true(ndjson_sender_new(&c, &w.client_mem, &s, &e));
    assert_false(ndjson_send_file(s, "f", &e));
    assert_int_equal(e.code, ERR_BUSY);
    uint64_t stored = 40 + ndjson_sender_sent(s)->accepted;
    ndjson_sender_free(s);
    buf_release(&b);
    assert_int_equal(world_close(&w), stored);
}

/* Stops the server after the first batch and starts it again once the sender has noticed. */
static void restart_server(void *ctx, const struct ndjson_sent *sent)
{
    struct world *w = ctx;
    struct err e = {0};
    if (sent->waiting != NULL && w->server == NULL) {
        assert_string_equal(sent->waiting, "no connection");
        if (!server_open(w, w->port, &e)) {
            fail_msg("%s", e.msg);
        }
    } else if (sent->batches == 1 && w->port == 0) {
        w->port = http_server_port(w->server);
        http_server_stop(w->server);
        w->server = NULL;
    }
}

TEST(a_lost_connection_is_made_again_and_nothing_is_missing)
{
    struct world w;
    struct err e = {0};
    world_open(&w, "", 1 << 20);
    disk_file(&w, "f", STR(LABEL "\n" LABEL "\n" LABEL "\n"));
    struct ndjson_sender_config c = {
        .batch_lines_max = 1, .retry_ms = 60000, .progress = restart_server, .progress_ctx = &w};
    struct ndjson_sender *s = sender_open(&w, &c);
    if (!ndjson_send_file(s, "f", &e)) {
        fail_msg("%s", e.msg);
    }
    assert_int_equal(ndjson_sender_sent(s)->accepted, 3);
    assert_true(ndjson_sender_sent(s)->retries > 0);
    ndjson_sender_free(s);
    assert_int_equal(world_close(&w), 3);
}
