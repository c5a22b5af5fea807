/* Requests of remote write, 1.0 and 2.0, from items of a round.
 *
 *   1.0 WriteRequest  1 timeseries {1 labels {1 name, 2 value}, 2 samples {1 value, 2 ms},
 *                                   3 exemplars {1 labels, 2 value, 3 ms}, 4 histograms}
 *   2.0 Request       4 symbols, 5 timeseries {1 label references, 2 samples {1 value, 2 ms,
 *                     3 start ms}, 3 histograms, 4 exemplars {1 references, 2 value, 3 ms}}
 *
 * Items of one series stand together and in the order of their commits, so a series is written
 * once a
 * request. Labels come from the store at this moment, then external labels are added, then
 * relabelling. Source: prompb/types.proto and io/prometheus/write/v2/types.proto of Prometheus. */
#include "forward/remote_write/forward_int.h"

#include "codec/prompb.h"
#include "codec/snappy.h"

#define LABELS_BYTES_MAX ((size_t)64 << 20)
#define PLAIN_BYTES_MAX  ((size_t)256 << 20)
#define SYMBOLS_MAX      (4U << 20)

void forward_encoder_init(struct forward_encoder *x, struct mem *m)
{
    x->mem = m;
    arena_init(&x->arena, m, LABELS_BYTES_MAX);
    buf_init(&x->plain, m, PLAIN_BYTES_MAX);
    buf_init(&x->packed, m, PLAIN_BYTES_MAX);
    buf_init(&x->series, m, PLAIN_BYTES_MAX);
    intern_init(&x->symbols, m, SYMBOLS_MAX);
}

void forward_encoder_release(struct forward_encoder *x)
{
    intern_release(&x->symbols);
    buf_release(&x->series);
    buf_release(&x->packed);
    buf_release(&x->plain);
    arena_release(&x->arena);
}

static void drop(struct forward_encoder *x, enum forward_drop why, const struct forward_item *items,
                 size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x->dropped[why] += items[i].exemplar == NULL;
    }
}

/* Labels of a series as they are sent, in x->labels. 0: it is left out, *why says why. */
static uint32_t labels_of(struct forward_encoder *x, uint32_t ref, enum forward_drop *why)
{
    const struct labels have = tsdb_labels(x->view, ref, &x->arena);
    const struct labels extra = x->options->external;
    uint32_t n = 0;
    *why = FORWARD_GONE;
    if (have.n == 0 || have.n + extra.n > LABELS_COUNT_MAX) {
        return 0;
    }
    for (; n < have.n; n++) {
        x->labels[n] = have.v[n];
    }
    for (uint32_t i = 0; i < extra.n; i++) {
        if (labels_get(have, extra.v[i].name).n == 0) {
            x->labels[n++] = extra.v[i];
        }
    }
    const struct forward_relabel *r = &x->options->relabel;
    struct err ignored = {0};
    *why = FORWARD_RELABELLED;
    if (r->apply && x->config->relabel &&
        !r->apply(r->ctx, x->entry, x->labels, &n, LABELS_COUNT_MAX, &x->arena)) {
        return 0;
    }
    return labels_normalize(x->labels, &n, &ignored) ? n : 0;
}

static void put_labels_v1(struct buf *b, const struct label *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const size_t mark = pb_begin(b, 1);
        pb_put_bytes(b, 1, v[i].name);
        pb_put_bytes(b, 2, v[i].value);
        pb_end(b, mark);
    }
}

static bool put_labels_v2(struct forward_encoder *x, struct buf *b, const struct label *v,
                          uint32_t n)
{
    bool ok = true;
    const size_t mark = pb_begin(b, 1);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t name = intern_add(&x->symbols, v[i].name);
        const uint32_t value = intern_add(&x->symbols, v[i].value);
        ok = ok && name != INTERN_FULL && value != INTERN_FULL;
        pb_raw_varint(b, name);
        pb_raw_varint(b, value);
    }
    pb_end(b, mark);
    return ok;
}

static void put_sample(struct buf *b, const struct forward_item *it, bool v2)
{
    const size_t mark = pb_begin(b, 2);
    pb_put_f64(b, 1, it->v);
    pb_put_varint(b, 2, (uint64_t)it->t_ms);
    if (v2 && it->st_ms != 0) {
        pb_put_varint(b, 3, (uint64_t)it->st_ms);
    }
    pb_end(b, mark);
}

static bool put_exemplar(struct forward_encoder *x, struct buf *b, const struct forward_item *it,
                         bool v2)
{
    bool ok = true;
    const size_t mark = pb_begin(b, v2 ? 4 : 3);
    if (v2) {
        ok = put_labels_v2(x, b, it->exemplar->v, it->exemplar->n);
    } else {
        put_labels_v1(b, it->exemplar->v, it->exemplar->n);
    }
    pb_put_f64(b, 2, it->v);
    pb_put_varint(b, 3, (uint64_t)it->t_ms);
    pb_end(b, mark);
    return ok;
}

/* Whether an item is sent at all; when not, it is counted. */
static bool wanted(struct forward_encoder *x, const struct forward_item *it)
{
    const struct forward_config *c = x->config;
    if (it->exemplar) {
        return c->exemplars;
    }
    if (it->h && !c->histograms) {
        x->dropped[FORWARD_HISTOGRAM]++;
        return false;
    }
    if (c->age_limit_ms > 0 && it->t_ms < x->now_ms - c->age_limit_ms) {
        x->dropped[FORWARD_TOO_OLD]++;
        return false;
    }
    return true;
}

static bool put_item(struct forward_encoder *x, struct buf *b, const struct forward_item *it)
{
    const bool v2 = x->config->version_2;
    if (it->exemplar) {
        x->exemplars++;
        return put_exemplar(x, b, it, v2);
    }
    if (it->h) {
        x->histograms++;
        prompb_histogram_write(b, v2 ? 3 : 4, it->h, it->t_ms, v2 ? it->st_ms : 0);
    } else {
        x->samples++;
        put_sample(b, it, v2);
    }
    x->newest_ms = it->t_ms > x->newest_ms ? it->t_ms : x->newest_ms;
    return true;
}

/* The items of one series. */
static bool put_series(struct forward_encoder *x, const struct forward_item *items, size_t n)
{
    const bool v2 = x->config->version_2;
    struct buf *b = v2 ? &x->series : &x->plain;
    const size_t start = b->n;
    bool ok = true, any = false;
    enum forward_drop why;
    arena_reset(&x->arena);
    const uint32_t labels_n = labels_of(x, items[0].ref, &why);
    if (labels_n == 0) {
        drop(x, why, items, n);
        return true;
    }
    const size_t mark = pb_begin(b, v2 ? 5 : 1);
    if (v2) {
        ok = put_labels_v2(x, b, x->labels, labels_n);
    } else {
        put_labels_v1(b, x->labels, labels_n);
    }
    for (size_t i = 0; i < n; i++) {
        if (wanted(x, &items[i])) {
            ok = put_item(x, b, &items[i]) && ok;
            any = true;
        }
    }
    if (!any) {
        b->n = start;
        return true;
    }
    pb_end(b, mark);
    return ok;
}

bool forward_encode(struct forward_encoder *x, const struct forward_item *items, size_t n,
                    struct err *e)
{
    buf_reset(&x->plain);
    buf_reset(&x->packed);
    buf_reset(&x->series);
    intern_release(&x->symbols);
    intern_init(&x->symbols, x->mem, SYMBOLS_MAX);
    x->samples = x->histograms = x->exemplars = 0;
    x->newest_ms = INT64_MIN;
    memset(x->dropped, 0, sizeof x->dropped);
    bool ok = !x->config->version_2 || intern_add(&x->symbols, STR("")) == 0;
    if (!tsdb_view_open(x->options->db, &x->view, e)) {
        return false;
    }
    for (size_t i = 0, end; ok && i < n; i = end) {
        for (end = i + 1; end < n && items[end].ref == items[i].ref; end++) {
        }
        ok = put_series(x, items + i, end - i);
    }
    tsdb_view_close(x->view);
    for (uint32_t i = 0; ok && x->config->version_2 && i < x->symbols.count; i++) {
        pb_put_bytes(&x->plain, 4, intern_str(&x->symbols, i));
    }
    buf_str_add(&x->plain, buf_str(&x->series));
    if (!ok) {
        return err_set(e, ERR_NOMEM, "no memory for the symbols of a request");
    }
    if (x->samples + x->histograms + x->exemplars == 0) {
        return true;
    }
    return buf_ok(&x->series, e) && buf_ok(&x->plain, e) &&
           snappy_pack(buf_str(&x->plain), &x->packed, e);
}
