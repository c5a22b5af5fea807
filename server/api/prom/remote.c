/* /federate and remote read: samples for another Prometheus.
 *
 *   ReadRequest  1 queries {1 start ms, 2 end ms, 3 matchers {1 type, 2 name, 3 value}, 4 hints},
 *                2 accepted response types (0 samples, 1 streamed chunks), the best first
 *   ReadResponse 1 results {1 timeseries {1 labels, 2 samples {1 value, 2 ms}, 4 histograms}}
 *
 * Chunks are drawn in chunked.c. Either answer is made whole before it is sent, so that an error is
 * a status and not half an answer. Source: prompb/remote.proto. */
#include "server/api/prom/prom_int.h"

#include "base/clock.h"
#include "codec/f64.h"
#include "codec/prompb.h"
#include "codec/snappy.h"
#include "server/api/prom/chunked_int.h"

#include <stdlib.h>

#define READ_BYTES_MAX    (16U << 20)
#define REQUEST_BYTES_MAX (64U << 20) /* unpacked */
#define QUERIES_MAX       1000
#define MATCHERS_MAX      1000
#define FEDERATE_TYPE     "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

/* -- Federation -- */

static void write_text_value(struct buf *b, struct str s)
{
    buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n') {
            BUF_LIT(b, "\\n");
        } else {
            if (s.p[i] == '"' || s.p[i] == '\\') {
                buf_char(b, '\\');
            }
            buf_char(b, s.p[i]);
        }
    }
    buf_char(b, '"');
}

/* A name that text 0.0.4 can hold: other characters become underscores. */
static void write_text_name(struct buf *b, struct str s, bool metric)
{
    for (size_t i = 0; i < s.n; i++) {
        const char ch = s.p[i];
        const bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' ||
                            (metric && ch == ':');
        buf_char(b, letter || (i > 0 && ch >= '0' && ch <= '9') ? ch : '_');
    }
}

static void write_federated(struct buf *b, struct labels l, struct str *family, double v,
                            int64_t t_ms)
{
    const struct str name = labels_get(l, STR(LABEL_NAME));
    if (!str_eq(name, *family)) {
        BUF_LIT(b, "# TYPE ");
        write_text_name(b, name, true);
        BUF_LIT(b, " untyped\n");
        *family = name;
    }
    write_text_name(b, name, true);
    buf_char(b, '{');
    bool some = false, instance = false;
    for (uint32_t i = 0; i < l.n; i++) {
        if (str_eq(l.v[i].name, STR(LABEL_NAME))) {
            continue;
        }
        if (some) {
            buf_char(b, ',');
        }
        write_text_name(b, l.v[i].name, false);
        buf_char(b, '=');
        write_text_value(b, l.v[i].value);
        some = true;
        instance = instance || str_eq(l.v[i].name, STR("instance"));
    }
    if (!instance) { /* or the scraping server would put its own in its place */
        buf_str_add(b, some ? STR(",instance=\"\"") : STR("instance=\"\""));
    }
    BUF_LIT(b, "} ");
    f64_write(b, v == 0 ? 0 : v, F64_GO_G); /* -0 has no sign there */
    buf_char(b, ' ');
    buf_i64(b, t_ms);
    buf_char(b, '\n');
}

static bool federate_one(struct prom_call *c, struct tsdb_view *view, struct tsdb_column *column,
                         uint32_t ref, struct str *family, struct arena *row)
{
    const int64_t now_ms = ms_from_ns(os_now_ns(c->api->deps.os));
    struct err e = {0};
    if (!tsdb_read(view, ref, now_ms - c->api->config.lookback_ms + 1, now_ms, UINT32_MAX, column,
                   &e)) {
        return prom_fail_err(c, &e);
    }
    if (column->n == 0) {
        return true;
    }
    const uint32_t last = column->n - 1;
    if (is_stale_nan(column->v[last]) || (column->h && column->h[last])) {
        return true; /* gone, or a histogram, which this text cannot say */
    }
    const struct labels l = tsdb_labels(view, ref, row);
    if (l.n > 0 && labels_get(l, STR(LABEL_NAME)).n > 0) {
        write_federated(&c->out, l, family, column->v[last], column->t[last]);
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool federate(struct prom_call *c, struct tsdb_view *view, struct tsdb_column *column)
{
    struct prom_selector *s;
    struct err e = {0};
    struct str family = STR("");
    uint32_t n;
    const int64_t now_ms = ms_from_ns(os_now_ns(c->api->deps.os));
    if (!prom_matches(c, 0, &s, &n)) {
        return false;
    }
    buf_reset(&c->out);
    c->type = FEDERATE_TYPE;
    struct arena row;
    arena_init(&row, &c->mem, 1U << 20);
    bool ok = true;
    uint32_t *seen = NULL, seen_n = 0;
    for (uint32_t i = 0; i < n && ok; i++) {
        uint32_t *ids, count;
        if (s[i].n == 0) {
            continue; /* {} is nothing, as there */
        }
        if (!tsdb_select(view, s[i].m, s[i].n, now_ms - c->api->config.lookback_ms, now_ms,
                         (uint32_t)i64_min(c->api->config.series_max, UINT32_MAX), true, &c->arena,
                         &ids, &count, &e)) {
            ok = prom_fail_err(c, &e);
            break;
        }
        for (uint32_t k = 0; k < count && ok; k++) {
            if (seen_n > 0 && bsearch(&ids[k], seen, seen_n, sizeof *seen, by_id)) {
                continue; /* two match[] may name one series */
            }
            ok = federate_one(c, view, column, ids[k], &family, &row);
            arena_reset(&row);
        }
        uint32_t *all =
            i + 1 < n ? ARENA_ARRAY(&c->arena, uint32_t, (size_t)seen_n + count + 1) : NULL;
        if (all) {
            if (seen_n > 0) {
                memcpy(all, seen, seen_n * sizeof *all);
            }
            memcpy(all + seen_n, ids, count * sizeof *all);
            seen = all;
            seen_n += count;
            qsort(seen, seen_n, sizeof *seen, by_id);
        }
    }
    arena_release(&row);
    return ok;
}

static bool with_column(struct prom_call *c,
                        bool (*fn)(struct prom_call *, struct tsdb_view *, struct tsdb_column *))
{
    struct tsdb_view *view;
    struct tsdb_column column;
    struct err e = {0};
    if (!tsdb_view_open(c->api->deps.db, &view, &e)) {
        return prom_fail_err(c, &e);
    }
    tsdb_column_init(&column, &c->mem);
    const bool ok = fn(c, view, &column);
    tsdb_column_release(&column);
    tsdb_view_close(view);
    return ok;
}

static bool run_federate(struct prom_call *c)
{
    return with_column(c, federate);
}

/* -- Remote read -- */

struct read_query {
    uint32_t index; /* in the request */
    int64_t from_ms, to_ms;
    struct matcher m[MATCHERS_MAX];
    uint32_t m_n;
};

enum response_type { RESPONSE_SAMPLES = 0, RESPONSE_CHUNKS = 1, RESPONSE_NONE };

static bool read_matcher(struct str bytes, struct matcher *out)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    *out = (struct matcher){MATCH_EQ, STR(""), STR("")};
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            if (f.u > 3) {
                return false;
            }
            out->op = (enum match_op)f.u;
        } else if (f.number == 2 && f.wire == PB_LEN) {
            out->name = f.bytes;
        } else if (f.number == 3 && f.wire == PB_LEN) {
            out->value = f.bytes;
        }
    }
    return !p.failed;
}

static bool read_query(struct str bytes, struct read_query *q)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    q->from_ms = q->to_ms = 0;
    q->m_n = 0;
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            q->from_ms = (int64_t)f.u;
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            q->to_ms = (int64_t)f.u;
        } else if (f.number == 3 && f.wire == PB_LEN &&
                   (q->m_n == MATCHERS_MAX || !read_matcher(f.bytes, &q->m[q->m_n++]))) {
            return false;
        }
    }
    return !p.failed;
}

static void write_sample(struct buf *b, const struct tsdb_column *col, uint32_t i)
{
    if (col->h && col->h[i]) {
        prompb_histogram_write(b, 4, col->h[i], col->t[i], 0);
        return;
    }
    const size_t sample = pb_begin(b, 2);
    pb_put_f64(b, 1, col->v[i]);
    pb_put_varint(b, 2, (uint64_t)col->t[i]);
    pb_end(b, sample);
}

static void write_series(struct buf *b, struct labels l, const struct tsdb_column *col)
{
    const size_t series = pb_begin(b, 1);
    for (uint32_t k = 0; k < l.n; k++) {
        const size_t label = pb_begin(b, 1);
        pb_put_bytes(b, 1, l.v[k].name);
        pb_put_bytes(b, 2, l.v[k].value);
        pb_end(b, label);
    }
    for (uint32_t k = 0; k < col->n; k++) {
        write_sample(b, col, k);
    }
    pb_end(b, series);
}

/* chunks NULL: samples. */
static bool answer_query(struct prom_call *c, struct tsdb_view *view, struct tsdb_column *col,
                         const struct read_query *q, struct chunked *chunks)
{
    uint32_t *ids, n;
    uint64_t samples = 0;
    struct err e = {0};
    struct arena row;
    if (!tsdb_select(view, q->m, q->m_n, q->from_ms, q->to_ms,
                     (uint32_t)i64_min(c->api->config.series_max, UINT32_MAX), true, &c->arena,
                     &ids, &n, &e)) {
        return prom_fail_err(c, &e);
    }
    const size_t result = chunks ? 0 : pb_begin(&c->out, 1);
    arena_init(&row, &c->mem, 1U << 20);
    bool ok = true;
    for (uint32_t i = 0; i < n && ok && !c->out.failed; i++) {
        if (!tsdb_read(view, ids[i], q->from_ms, q->to_ms, UINT32_MAX, col, &e)) {
            ok = prom_fail_err(c, &e);
        } else if ((samples += col->n) > (uint64_t)c->api->config.samples_max) {
            ok = prom_fail(c, PROM_EXECUTION_ERROR, "exceeded sample limit (%lld)",
                           (long long)c->api->config.samples_max);
        } else if (col->n > 0) {
            const struct labels l = tsdb_labels(view, ids[i], &row);
            if (!chunks) {
                write_series(&c->out, l, col);
            } else if (!chunked_series(chunks, q->index, l, col, &c->out, &e)) {
                ok = prom_fail_err(c, &e);
            }
            arena_reset(&row);
        }
    }
    arena_release(&row);
    if (!chunks) {
        pb_end(&c->out, result);
    }
    return ok;
}

static bool answer_queries(struct prom_call *c, struct tsdb_view *view, struct tsdb_column *col,
                           struct str request, struct chunked *chunks)
{
    struct read_query *q = ARENA_NEW(&c->arena, struct read_query);
    struct pb p = pb_of(request);
    struct pb_field f;
    uint32_t queries = 0;
    if (!q) {
        return prom_fail(c, PROM_UNAVAILABLE, "no memory for this request");
    }
    buf_reset(&c->out);
    while (pb_next(&p, &f)) {
        if (f.number != 1 || f.wire != PB_LEN) {
            continue;
        }
        q->index = queries;
        if (++queries > QUERIES_MAX || !read_query(f.bytes, q)) {
            return prom_fail(c, PROM_BAD_DATA, "malformed query %u of a read request", queries);
        }
        if (!answer_query(c, view, col, q, chunks)) {
            return false;
        }
    }
    return !p.failed || prom_fail(c, PROM_BAD_DATA, "expected a ReadRequest message");
}

static bool type_take(uint64_t type, enum response_type *out)
{
    *out = type > RESPONSE_CHUNKS ? RESPONSE_NONE : (enum response_type)type;
    return *out != RESPONSE_NONE;
}

/* The first accepted type that there is; samples when none is named. */
static enum response_type response_type(struct str request)
{
    struct pb p = pb_of(request);
    struct pb_field f;
    enum response_type type = RESPONSE_SAMPLES;
    while (pb_next(&p, &f)) {
        if (f.number == 2 && f.wire == PB_VARINT && type_take(f.u, &type)) {
            return type;
        }
        struct pb packed = pb_of(f.number == 2 && f.wire == PB_LEN ? f.bytes : STR(""));
        uint64_t u;
        while (packed.p < packed.end && pb_varint(&packed, &u)) {
            if (type_take(u, &type)) {
                return type;
            }
        }
    }
    return type;
}

/* Packs the answer in place of itself. */
static bool pack(struct prom_call *c)
{
    struct buf packed;
    struct err e = {0};
    buf_init(&packed, &c->mem, (size_t)c->api->config.answer_bytes_max * 2);
    if (c->out.failed || !snappy_pack(buf_str(&c->out), &packed, &e)) {
        buf_release(&packed);
        return prom_fail(c, PROM_EXECUTION_ERROR, "the answer is larger than %llu bytes",
                         (unsigned long long)c->api->config.answer_bytes_max);
    }
    buf_release(&c->out);
    c->out = packed;
    c->type = "application/x-protobuf";
    c->encoding = "snappy";
    return true;
}

static bool answer_chunks(struct prom_call *c, struct tsdb_view *view, struct tsdb_column *col,
                          struct str request)
{
    struct chunked chunks;
    chunked_init(&chunks, &c->mem, (size_t)c->api->config.answer_bytes_max);
    const bool ok = answer_queries(c, view, col, request, &chunks);
    chunked_release(&chunks);
    c->type = CHUNKED_TYPE;
    return ok;
}

static bool read_all(struct prom_call *c, struct tsdb_view *view, struct tsdb_column *col)
{
    struct buf request;
    struct err e = {0};
    buf_init(&request, &c->mem, REQUEST_BYTES_MAX);
    bool ok = snappy_unpack(buf_str(&c->body), REQUEST_BYTES_MAX, &request, &e) ||
              prom_fail(c, PROM_BAD_DATA, "%s", e.msg);
    const enum response_type type = ok ? response_type(buf_str(&request)) : RESPONSE_NONE;
    if (ok && type == RESPONSE_CHUNKS) {
        ok = answer_chunks(c, view, col, buf_str(&request));
    } else if (ok && type == RESPONSE_SAMPLES) {
        ok = answer_queries(c, view, col, buf_str(&request), NULL) && pack(c);
    } else if (ok) {
        ok = prom_fail(c, PROM_BAD_DATA,
                       "none of the accepted response types is known: expected SAMPLES (0) or "
                       "STREAMED_XOR_CHUNKS (1)");
    }
    buf_release(&request);
    return ok;
}

static bool run_read(struct prom_call *c)
{
    return with_column(c, read_all);
}

const struct prom_endpoint prom_endpoints_remote[] = {
    {"GET", "/federate", "present values as text: match[]", 0, false, run_federate},
    {"POST", "/api/v1/read", "Prometheus remote read (samples, chunks)", READ_BYTES_MAX, true,
     run_read},
};
const uint32_t prom_endpoints_remote_n = ARRAY_LEN(prom_endpoints_remote);
