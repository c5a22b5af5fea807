/* What the tests of the door share: the door over loopback into a store on a simulated disk,
 * writers of
 * both versions of the protocol, and all that the store then holds, as text. Requests are raw
 * sockets, so that answers are seen with their headers. For tests only. */
#ifndef INGEST_REMOTE_WRITE_TESTING_INT_H
#define INGEST_REMOTE_WRITE_TESTING_INT_H

#include "ingest/remote_write/remote_write.h"

#include "base/clock.h"
#include "base/simos.h"
#include "base/test.h"
#include "codec/prompb.h"
#include "codec/snappy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define T0     1767225600000LL /* the simulated clock's start */
#define TYPE_1 "application/x-protobuf"
#define TYPE_2 "application/x-protobuf;proto=io.prometheus.write.v2.Request"

struct world {
    struct mem mem, test_mem;
    struct simos *sim;
    struct tsdb *db;
    struct remote_write *door;
    struct http_server *server;
    struct http_route route;
    struct buf rq, packed, text; /* the request in the making; its body; what expect found */
    const char *symbols[64];     /* of 2.0 */
    uint32_t symbols_n;
    char answer[4096];
};

static inline void world_open_config(struct world *w, const struct tsdb_config *c,
                                     int64_t series_max)
{
    struct err e = {0};
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    mem_init(&w->test_mem, 0);
    buf_init(&w->rq, &w->test_mem, 1 << 24);
    buf_init(&w->packed, &w->test_mem, 1 << 24);
    buf_init(&w->text, &w->test_mem, 1 << 20);
    w->sim = simos_new(test_seed());
    const struct remote_write_config rc = {.body_bytes_max = 1 << 20,
                                           .unpacked_bytes_max = 4 << 20,
                                           .requests_max = 4,
                                           .names_bytes_max = 1 << 20,
                                           .series_max = series_max};
    bool ok = tsdb_open(&w->db, c, simos_os(w->sim), NULL, &e) &&
              remote_write_new(&rc, w->db, &w->mem, &w->door, &e);
    const struct http_server_config sc = {.address = "127.0.0.1",
                                          .threads = 2,
                                          .connections_max = 16,
                                          .idle_timeout_s = 10,
                                          .request_bytes_max = 8192};
    if (ok) {
        w->route = remote_write_route(w->door);
        ok = http_server_start(&w->server, &sc, &w->route, 1, NULL, NULL, &e);
    }
    if (!ok) {
        fail_msg("%s", e.msg);
    }
}

static inline void world_open(struct world *w)
{
    struct tsdb_config c;
    tsdb_config_default(&c);
    c.dir = "data";
    world_open_config(w, &c, 0);
}

static inline void world_close(struct world *w)
{
    http_server_stop(w->server);
    tsdb_close(w->db);
    remote_write_free(w->door);
    simos_free(w->sim);
    buf_release(&w->rq);
    buf_release(&w->packed);
    buf_release(&w->text);
    assert_int_equal(w->mem.bytes, 0);
    assert_int_equal(w->test_mem.bytes, 0);
}

/* -- sending -- */

static inline int send_raw(struct world *w, const char *head, struct str body)
{
    char text[1024];
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(http_server_port(w->server)),
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    const int n = snprintf(text, sizeof text,
                           "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           "Content-Length: %zu\r\n%s\r\n",
                           body.n, head);
    assert_int_equal(write(fd, text, (size_t)n), n);
    for (size_t at = 0; at < body.n;) {
        const ssize_t put = send(fd, body.p + at, body.n - at, MSG_NOSIGNAL);
        if (put <= 0) {
            break; /* it may answer before it has read all */
        }
        at += (size_t)put;
    }
    size_t got = 0;
    ssize_t more;
    while (got < sizeof w->answer - 1 &&
           (more = read(fd, w->answer + got, sizeof w->answer - 1 - got)) > 0) {
        got += (size_t)more;
    }
    close(fd);
    w->answer[got] = 0;
    assert_true(got > 12);
    uint64_t status;
    assert_true(str_to_u64(str_of(w->answer + 9, 3), &status));
    return (int)status;
}

static inline int send_as(struct world *w, const char *type)
{
    char head[256];
    struct err e = {0};
    buf_reset(&w->packed);
    assert_true(snappy_pack(buf_str(&w->rq), &w->packed, &e));
    snprintf(head, sizeof head, "Content-Type: %s\r\nContent-Encoding: snappy\r\n", type);
    const int status = send_raw(w, head, buf_str(&w->packed));
    buf_reset(&w->rq);
    w->symbols_n = 0;
    return status;
}

static inline bool answered(const struct world *w, const char *part)
{
    return strstr(w->answer, part) != NULL;
}

static inline bool wrote(const struct world *w, int samples, int histograms, int exemplars)
{
    char text[256];
    const int v[3] = {samples, histograms, exemplars};
    const char *const names[3] = {"Samples", "Histograms", "Exemplars"};
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "X-Prometheus-Remote-Write-%s-Written: %d\r\n", names[i], v[i]);
        if (!answered(w, text)) {
            return false;
        }
    }
    return true;
}

/* -- 1.0 -- */

/* "a=1,b=2" as label entries. */
static inline void labels_v1(struct buf *b, const char *text)
{
    struct str_cut c = {.tail = str_from_c(text), .ok = text[0] != 0};
    while (c.ok) {
        c = str_cut(c.tail, ',');
        const struct str_cut kv = str_cut(c.head, '=');
        const size_t mark = pb_begin(b, 1);
        pb_put_bytes(b, 1, kv.head);
        pb_put_bytes(b, 2, kv.tail);
        pb_end(b, mark);
    }
}

static inline void sample(struct buf *b, int64_t t, double v)
{
    const size_t mark = pb_begin(b, 2);
    pb_put_f64(b, 1, v);
    pb_put_varint(b, 2, (uint64_t)t);
    pb_end(b, mark);
}

static inline void series_v1(struct world *w, const char *labels, int64_t t, double v)
{
    const size_t mark = pb_begin(&w->rq, 1);
    labels_v1(&w->rq, labels);
    sample(&w->rq, t, v);
    pb_end(&w->rq, mark);
}

/* -- 2.0 -- */

static inline uint32_t symbol(struct world *w, const char *text)
{
    for (uint32_t i = 0; i < w->symbols_n; i++) {
        if (strcmp(w->symbols[i], text) == 0) {
            return i;
        }
    }
    assert_true(w->symbols_n < ARRAY_LEN(w->symbols));
    w->symbols[w->symbols_n] = text;
    return w->symbols_n++;
}

/* Symbols come before the series, as every sender writes them. */
static inline void symbols(struct world *w, const char *const *texts)
{
    pb_put_bytes(&w->rq, 4, STR(""));
    (void)symbol(w, "");
    for (; *texts != NULL; texts++) {
        pb_put_bytes(&w->rq, 4, str_from_c(*texts));
        (void)symbol(w, *texts);
    }
}

static inline void refs(struct buf *b, const uint32_t *v, size_t n)
{
    const size_t mark = pb_begin(b, 1);
    for (size_t i = 0; i < n; i++) {
        pb_raw_varint(b, v[i]);
    }
    pb_end(b, mark);
}

static inline void sample_st(struct buf *b, int64_t t, int64_t st, double v)
{
    const size_t mark = pb_begin(b, 2);
    pb_put_f64(b, 1, v);
    pb_put_varint(b, 2, (uint64_t)t);
    if (st != 0) {
        pb_put_varint(b, 3, (uint64_t)st);
    }
    pb_end(b, mark);
}

static inline void series_v2(struct world *w, const char *name, int64_t t, double v)
{
    const uint32_t r[] = {symbol(w, "__name__"), symbol(w, name)};
    const size_t mark = pb_begin(&w->rq, 5);
    refs(&w->rq, r, 2);
    sample_st(&w->rq, t, 0, v);
    pb_end(&w->rq, mark);
}

static const char *const some[] = {"__name__", "up", "down", "job", "x", NULL};

/* -- what is stored -- */

static inline void show(struct world *w, struct tsdb_view *v, struct labels ls, uint32_t ref)
{
    struct tsdb_column c;
    struct err e = {0};
    tsdb_column_init(&c, &w->test_mem);
    assert_true(tsdb_read(v, ref, INT64_MIN, INT64_MAX, 1000, &c, &e));
    /* The name, then the others in braces. */
    ASSERT(ls.n > 0 && str_eq(ls.v[0].name, STR(LABEL_NAME)));
    buf_str_add(&w->text, ls.v[0].value);
    if (ls.n > 1) {
        labels_print((struct labels){ls.v + 1, ls.n - 1}, &w->text);
    }
    for (uint32_t i = 0; i < c.n; i++) {
        uint64_t bits;
        memcpy(&bits, &c.v[i], sizeof bits);
        buf_fmt(&w->text, " %lld:", (long long)(c.t[i] - T0));
        if (c.h && c.h[i]) {
            buf_fmt(&w->text, "hist(%g,%g,%u)", c.h[i]->count, c.h[i]->sum, c.h[i]->pos.counts_n);
        } else if (bits == STALE_NAN_BITS) {
            buf_fmt(&w->text, "stale");
        } else {
            buf_f64(&w->text, c.v[i]);
        }
        if (c.st && c.st[i]) {
            buf_fmt(&w->text, "@%lld", (long long)(c.st[i] - T0));
        }
    }
    BUF_LIT(&w->text, "\n");
    tsdb_column_release(&c);
}

/* All that the store holds, one line a series: labels, then time:value of each sample. */
static inline void expect(struct world *w, const char *lines)
{
    struct tsdb_view *v;
    struct arena a;
    struct err e = {0};
    uint32_t *ids, n;
    const struct matcher any = {MATCH_RE, STR(LABEL_NAME), STR(".*")};
    arena_init(&a, &w->test_mem, 1 << 20);
    buf_reset(&w->text);
    assert_true(tsdb_view_open(w->db, &v, &e));
    assert_true(tsdb_select(v, &any, 1, INT64_MIN, INT64_MAX, 1000, true, &a, &ids, &n, &e));
    for (uint32_t i = 0; i < n; i++) {
        show(w, v, tsdb_labels(v, ids[i], &a), ids[i]);
    }
    tsdb_view_close(v);
    arena_release(&a);
    assert_str(buf_str(&w->text), str_from_c(lines));
}

static inline double published(struct world *w, const char *family, const char *label,
                               const char *value)
{
    struct arena a;
    struct expo x;
    arena_init(&a, &w->test_mem, 1 << 20);
    expo_init(&x, &a, T0);
    remote_write_publish(w->door, &x);
    const struct label l = {str_from_c(label), str_from_c(value)};
    const struct expo_sample *s = expo_find(&x, str_from_c(family), &l, label[0] ? 1 : 0);
    const double v = s ? s->value : -1;
    arena_release(&a);
    return v;
}

static inline int send_bytes(struct world *w, struct str bytes, bool pack, const char *type)
{
    char head[256];
    struct err e = {0};
    buf_reset(&w->packed);
    if (pack) {
        assert_true(snappy_pack(bytes, &w->packed, &e));
        bytes = buf_str(&w->packed);
    }
    snprintf(head, sizeof head, "Content-Type: %s\r\nContent-Encoding: snappy\r\n", type);
    return send_raw(w, head, bytes);
}

#endif
