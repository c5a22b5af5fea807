/* The door over loopback with a real river on a simulated disk: what is answered, what is stored,
 * what is counted - for good bodies, bad lines, damaged and swollen ones, single bytes, a full
 * queue, a dead disk. */
#include "ingest/ndjson/door_testing_int.h"

#include "codec/expo.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

static double metric(struct world *w, const char *family, const char *name, const char *value)
{
    struct expo x;
    struct arena a;
    arena_init(&a, &w->test_mem, 1 << 20);
    expo_init(&x, &a, 0);
    ndjson_publish(w->door, &x);
    struct label l = {str_from_c(name), str_from_c(value)};
    const struct expo_sample *s = expo_find(&x, str_from_c(family), &l, 1);
    assert_non_null(s);
    double v = s->value;
    arena_release(&a);
    return v;
}

TEST(good_and_bad_lines_in_one_body)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    assert_int_equal(post(&w, STR(LABEL "\r\n\n{\"type\":\"label\",\n" LABEL), NULL), 200);
    assert_str(buf_str(&w.answer.body),
               STR("{\"accepted\":2,\"rejected\":1,\"errors\":[{\"line\":3,\"column\":17,"
                   "\"reason\":\"json\",\"message\":\"expected a key in '\\\"', found the end\"}],"
                   "\"errors_truncated\":false}\n"));
    assert_true(metric(&w, "farol_ingest_rejected", "reason", "json") == 1);
    assert_true(metric(&w, "farol_ingest_requests", "result", "stored") == 1);
    struct buf status;
    buf_init(&status, &w.test_mem, 1 << 16);
    ndjson_status(w.door, &status);
    assert_true(str_contains(buf_str(&status), STR("\"accepted\":2,\"rejected\":1,")));
    buf_release(&status);
    assert_int_equal(world_close(&w), 2);
}

TEST(a_byte_order_mark_costs_no_line)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    /* At the start of a body it is a mark, elsewhere it is not JSON. */
    assert_int_equal(post(&w, STR("\xEF\xBB\xBF" LABEL "\n\xEF\xBB\xBF" LABEL), NULL), 200);
    assert_true(
        str_starts(buf_str(&w.answer.body),
                   STR("{\"accepted\":1,\"rejected\":1,\"errors\":[{\"line\":2,\"column\":1,")));
    assert_int_equal(world_close(&w), 1);
}

TEST(only_bad_lines_are_a_bad_request_and_nothing_is_nothing)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    assert_int_equal(post(&w, STR("x\n"), NULL), 400);
    assert_true(str_starts(buf_str(&w.answer.body), STR("{\"accepted\":0,\"rejected\":1,")));
    assert_int_equal(post(&w, STR("\n\r\n"), NULL), 200);
    assert_int_equal(post(&w, STR(""), NULL), 200);
    assert_str(buf_str(&w.answer.body), STR("{\"accepted\":0,\"rejected\":0,\"errors\":[],"
                                            "\"errors_truncated\":false}\n"));
    assert_int_equal(world_close(&w), 0);
}

TEST(errors_are_listed_up_to_a_hundred_and_counted_all)
{
    struct world w;
    struct buf b;
    world_open(&w, "", 1 << 20);
    buf_init(&b, &w.test_mem, 1 << 20);
    for (int i = 0; i < 150; i++) {
        BUF_LIT(&b, "x\n");
    }
    BUF_LIT(&b, LABEL);
    assert_int_equal(post(&w, buf_str(&b), NULL), 200);
    struct str body = buf_str(&w.answer.body);
    assert_true(str_starts(body, STR("{\"accepted\":1,\"rejected\":150,")));
    assert_true(str_contains(body, STR("\"line\":100,")));
    assert_false(str_contains(body, STR("\"line\":101,")));
    assert_true(str_ends(body, STR("\"errors_truncated\":true}\n")));
    buf_release(&b);
    assert_int_equal(world_close(&w), 1);
}

/* Lines around the bound, and one far above it that arrives in many pieces: only they are lost. */
TEST(long_lines_cost_only_themselves)
{
    struct world w;
    struct buf b;
    world_open(&w, "line_bytes_max: 1KiB", 8 << 20);
    buf_init(&b, &w.test_mem, 4 << 20);
    BUF_LIT(&b, LABEL "\n" LABEL);
    while (b.n < 2 * sizeof LABEL - 1 + 1024 - sizeof LABEL) {
        buf_char(&b, ' ');
    }
    BUF_LIT(&b, "\r\n");
    size_t ok_bytes = b.n;
    BUF_LIT(&b, LABEL);
    while (b.n < ok_bytes + 1025) {
        buf_char(&b, ' ');
    }
    BUF_LIT(&b, "\n");
    for (size_t i = 0; i < 3 << 20; i++) {
        buf_char(&b, 'y');
    }
    BUF_LIT(&b, "\n" LABEL "\n");
    assert_int_equal(post(&w, buf_str(&b), NULL), 200);
    assert_str(buf_str(&w.answer.body),
               STR("{\"accepted\":3,\"rejected\":2,\"errors\":["
                   "{\"line\":3,\"column\":1,\"reason\":\"limit\",\"message\":"
                   "\"line is longer than 1024 bytes\"},"
                   "{\"line\":4,\"column\":1,\"reason\":\"limit\",\"message\":"
                   "\"line is longer than 1024 bytes\"}],\"errors_truncated\":false}\n"));
    buf_release(&b);
    assert_int_equal(world_close(&w), 3);
}

/* The state of a request is used again: what one body left undone must not eat of the next. */
TEST(a_body_that_ends_inside_a_long_line_spares_the_next_body)
{
    struct world w;
    struct buf b;
    world_open(&w, "line_bytes_max: 1KiB", 8 << 20);
    buf_init(&b, &w.test_mem, 1 << 20);
    for (size_t i = 0; i < 300000; i++) {
        buf_char(&b, 'y');
    }
    assert_int_equal(post(&w, buf_str(&b), NULL), 400);
    assert_int_equal(post(&w, STR(LABEL "\n" LABEL), NULL), 200);
    assert_true(str_starts(buf_str(&w.answer.body), STR("{\"accepted\":2,\"rejected\":0,")));
    buf_release(&b);
    assert_int_equal(world_close(&w), 2);
}

TEST(bodies_of_exactly_the_bounds_are_taken)
{
    struct world w;
    struct buf b;
    char packed[8192];
    world_open(&w, "{body_bytes_max: 2KiB, unpacked_bytes_max: 4KiB}", 8 << 20);
    buf_init(&b, &w.test_mem, 1 << 20);
    BUF_LIT(&b, LABEL);
    while (b.n < 2048) {
        buf_char(&b, '\n');
    }
    assert_int_equal(post(&w, buf_str(&b), NULL), 200);
    while (b.n < 4096) {
        buf_char(&b, '\n');
    }
    assert_int_equal(post(&w, buf_str(&b), NULL), 413);
    assert_int_equal(post(&w, gzipped(buf_str(&b), packed, sizeof packed), "gzip"), 200);
    buf_char(&b, '\n');
    assert_int_equal(post(&w, gzipped(buf_str(&b), packed, sizeof packed), "gzip"), 413);
    buf_release(&b);
    assert_int_equal(world_close(&w), 2);
}

TEST(compressed_bodies)
{
    static const char text[] = LABEL "\n" LABEL "\n" LABEL;
    struct world w;
    char packed[1024];
    world_open(&w, "", 1 << 20);
    struct str gz = gzipped(str_from_c(text), packed, sizeof packed);
    assert_int_equal(post(&w, gz, "gzip"), 200);
    /* A stream that stops in the middle: nothing of it is stored, though a line was whole. */
    assert_int_equal(post(&w, str_sub(gz, 0, gz.n - 4), "gzip"), 400);
    assert_true(str_contains(buf_str(&w.answer.body), STR("\"error\"")));
    packed[gz.n / 2] = (char)(packed[gz.n / 2] ^ 0x55);
    assert_int_equal(post(&w, gz, "gzip"), 400);
    assert_int_equal(post(&w, str_from_c(text), "gzip"), 400);
    size_t n = ZSTD_compress(packed, sizeof packed, text, sizeof text - 1, 1);
    assert_false(ZSTD_isError(n));
    assert_int_equal(post(&w, str_of(packed, n), "zstd"), 200);
    assert_int_equal(post(&w, str_from_c(text), "br"), 415);
    assert_int_equal(post(&w, str_from_c(text), "identity"), 200);
    assert_true(metric(&w, "farol_ingest_requests", "result", "broken") == 4);
    assert_int_equal(world_close(&w), 9);
}

TEST(bodies_over_a_bound_store_nothing)
{
    struct world w;
    static char zeros[1 << 20];
    static char packed[1 << 14];
    world_open(&w, "{body_bytes_max: 4KiB, unpacked_bytes_max: 64KiB}", 1 << 20);
    struct str bomb = gzipped(str_of(zeros, sizeof zeros), packed, sizeof packed);
    assert_true(bomb.n < 4096);
    assert_int_equal(post(&w, bomb, "gzip"), 413);
    memset(zeros, '\n', sizeof zeros);
    memcpy(zeros, LABEL, sizeof LABEL - 1);
    assert_int_equal(post(&w, str_of(zeros, 4097), NULL), 413);
    assert_int_equal(post(&w, str_of(zeros, 4096), NULL), 200);
    assert_true(metric(&w, "farol_ingest_requests", "result", "too_large") == 2);
    assert_int_equal(world_close(&w), 1);
}

static int raw_connect(const struct world *w)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(w->server)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

TEST(a_body_in_single_bytes)
{
    static const char body[] = LABEL "\r\nbad\n" LABEL;
    struct world w;
    char text[2048];
    world_open(&w, "", 1 << 20);
    int fd = raw_connect(&w);
    int n = snprintf(
        text, sizeof text,
        "POST /ingest/v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(send(fd, text, (size_t)n, 0), n);
    for (size_t i = 0; i < sizeof body - 1; i++) {
        char chunk[] = {'1', '\r', '\n', body[i], '\r', '\n'};
        assert_int_equal(send(fd, chunk, sizeof chunk, 0), sizeof chunk);
    }
    assert_int_equal(send(fd, "0\r\n\r\n", 5, 0), 5);
    size_t got = 0;
    while (got < sizeof text - 1 && !str_contains(str_of(text, got), STR("truncated"))) {
        ssize_t r = recv(fd, text + got, sizeof text - 1 - got, 0);
        assert_true(r > 0);
        got += (size_t)r;
    }
    close(fd);
    assert_true(str_starts(str_of(text, got), STR("HTTP/1.1 200 ")));
    assert_true(str_contains(str_of(text, got), STR("{\"accepted\":2,\"rejected\":1,")));
    assert_int_equal(world_close(&w), 2);
}

/* A client that leaves in the middle: its state comes back, nothing is stored. */
TEST(an_abandoned_body_is_given_back)
{
    static const char head[] =
        "POST /ingest/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" LABEL "\n";
    struct world w;
    world_open(&w, "requests_max: 1", 1 << 20);
    int fd = raw_connect(&w);
    assert_int_equal(send(fd, head, sizeof head - 1, 0), sizeof head - 1);
    /* The only state is taken: others are told to come back. */
    int status = 0;
    while ((status = post(&w, STR(LABEL), NULL)) == 200) {
    }
    assert_int_equal(status, 503);
    assert_int_equal(w.answer.retry_after_ms, 1000);
    close(fd);
    while ((status = post(&w, STR(LABEL), NULL)) == 503) {
    }
    assert_int_equal(status, 200);
    assert_true(metric(&w, "farol_ingest_requests", "result", "abandoned") == 1);
    double stored = metric(&w, "farol_ingest_requests", "result", "stored");
    assert_true((double)world_close(&w) == stored);
}

TEST(a_full_queue_says_come_back_and_stores_nothing)
{
    struct world w;
    world_open(&w, "", 4096);
    hold(&w, true);
    int status = 200;
    uint64_t stored = 0;
    while ((status = post(&w, STR(LABEL), NULL)) == 200) {
        assert_true(++stored < 100);
    }
    assert_int_equal(status, 503);
    assert_int_equal(w.answer.retry_after_ms, 1000);
    assert_true(stored > 0);
    assert_true(metric(&w, "farol_ingest_requests", "result", "busy") == 1);
    assert_true(metric(&w, "farol_ingest_rejected", "reason", "limit") == 0);
    hold(&w, false);
    while ((status = post(&w, STR(LABEL), NULL)) == 503) {
    }
    assert_int_equal(status, 200);
    assert_int_equal(world_close(&w), stored + 1);
}

TEST(a_dead_disk_is_not_acknowledged)
{
    struct world w;
    world_open(&w, "", 1 << 20);
    assert_int_equal(post(&w, STR(LABEL), NULL), 200);
    simos_fault_from(w.sim, 1, SIMOS_FULL);
    assert_int_equal(post(&w, STR(LABEL), NULL), 503);
    assert_true(metric(&w, "farol_ingest_requests", "result", "failed") == 1);
    simos_fault_from(w.sim, 0, SIMOS_OK);
    assert_int_equal(world_close(&w), 1);
}

struct sender {
    struct world *w;
    pthread_t thread;
    uint32_t stored;
};

static void *send_many(void *arg)
{
    struct sender *s = arg;
    struct mem m;
    struct err e;
    mem_init(&m, 0);
    struct http_client *c = http_client_new(&m, 2000, 20000);
    for (int i = 0; c != NULL && i < 50; i++) {
        struct http_answer a = {0};
        if (http_client_do(c, "POST", s->w->url, NULL, STR(LABEL "\n" LABEL "\n"), 4096, &a, &e)) {
            s->stored += a.status == 200 ? 2 : 0;
        }
        buf_release(&a.body);
    }
    http_client_free(c);
    return NULL;
}

TEST(many_senders_at_once)
{
    struct world w;
    struct sender senders[4];
    uint64_t stored = 0;
    world_open(&w, "", 16 << 20);
    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        senders[i] = (struct sender){.w = &w};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
        pthread_join(senders[i].thread, NULL);
        stored += senders[i].stored;
    }
    assert_int_equal(stored, 400);
    assert_int_equal(world_close(&w), 400);
}

/* Every allocation of the door fails once: the request is then refused whole, or answered right. */
static bool fail_at(void *ctx, size_t bytes)
{
    uint64_t *left = ctx;
    (void)bytes;
    return *left == 0 || --*left > 0;
}

TEST(the_door_survives_any_failed_allocation)
{
    uint64_t refused = 0;
    for (uint64_t at = 1; at < 64; at++) {
        struct world w;
        uint64_t left = at;
        world_open(&w, "", 1 << 20);
        w.mem.allow = fail_at;
        w.mem.allow_ctx = &left;
        int status = post(&w, STR(LABEL "\nx\n"), NULL);
        assert_true(status == 200 || status == 503);
        refused += status == 503;
        bool met = left == 0;
        w.mem.allow = NULL;
        uint64_t stored = world_close(&w);
        assert_int_equal(stored, status == 200 ? 1 : 0);
        if (!met) {
            assert_true(refused > 0);
            return;
        }
    }
    fail_msg("more than 64 allocations for one request");
}
