/* Remote write 1.0, and what both versions share: finding the series of a request.
 *
 *   WriteRequest  1 timeseries {1 labels {1 name, 2 value}..., 2 samples {1 double value, 2 int64
 * ms},
 *                               3 exemplars {1 labels, 2 double value, 3 int64 ms}, 4 histograms}
 *                 3 metadata (read over: it says nothing about a sample)
 *
 * Label bytes are nine tenths of a request, so they are not parsed when they were seen before: the
 * run of label entries at the start of a series is hashed and looked up as bytes (tsdb_names). Two
 * passes - hash and prefetch all, then look up all - let the cache misses overlap, which is worth
 * more than everything else here (metrics.md section 1). A sender that puts labels elsewhere is
 * read too, slowly.
 *
 * Source: prompb/remote.proto and types.proto of Prometheus. */
#include "ingest/remote_write/decode_int.h"

#include "base/hash.h"
#include "codec/prompb.h"

#define LABEL_TAG        0x0a /* field 1, LEN */
#define SAMPLE_TAG       0x12 /* field 2, LEN */
#define SERIES_AHEAD     16   /* prefetch distance */
#define DECODE_ITEMS_MAX (4U << 20)

void decode_drop(struct decoder *d, enum decode_drop why, const struct err *e)
{
    if (d->first.code == ERR_NONE) {
        d->first = *e;
    }
    d->dropped[why]++;
}

bool decode_items_add(struct decoder *d, struct decode_item item, struct err *e)
{
    if (d->items_n == d->items_cap) {
        void *p = d->items;
        if (!mem_array_grow(d->mem, &p, &d->items_cap, d->items_n + 1U, DECODE_ITEMS_MAX,
                            sizeof *d->items)) {
            return err_set(e, ERR_LIMIT, "request of more than %u series", d->items_n);
        }
        d->items = p;
    }
    d->items[d->items_n++] = item;
    return true;
}

/* The run of label entries at the start of a series. */
static struct str label_block(struct str series)
{
    const unsigned char *p = (const unsigned char *)series.p, *end = p + series.n;
    while (end - p >= 2 && p[0] == LABEL_TAG) {
        struct pb rest = {p + 1, end, false};
        uint64_t n;
        if (!pb_varint(&rest, &n) || n > (uint64_t)(end - rest.p)) {
            break; /* the slow path will say so */
        }
        p = rest.p + n;
    }
    return str_of(series.p, (size_t)(p - (const unsigned char *)series.p));
}

static bool read_label(struct str bytes, struct label *out)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    *out = (struct label){{"", 0}, {"", 0}};
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_LEN) {
            out->name = f.bytes;
        } else if (f.number == 2 && f.wire == PB_LEN) {
            out->value = f.bytes;
        }
    }
    return !p.failed;
}

/* Labels anywhere in `bytes` (field 1) to d->labels; ERR_CORRUPT: malformed; ERR_LIMIT: too many.
 * */
static bool read_labels(struct decoder *d, struct str bytes, uint32_t *n, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    *n = 0;
    while (pb_next(&p, &f)) {
        if (f.number != 1 || f.wire != PB_LEN) {
            continue;
        }
        if (*n == LABELS_COUNT_MAX) {
            return err_set(e, ERR_LIMIT, "series of more than %d labels", LABELS_COUNT_MAX);
        }
        if (!read_label(f.bytes, &d->labels[(*n)++])) {
            return err_set(e, ERR_CORRUPT, "malformed request: a label that is no message");
        }
    }
    return !p.failed || err_set(e, ERR_CORRUPT, "malformed request: labels that are no messages");
}

/* The series of d->labels, interned. 0: dropped and counted, or (e set) no memory. */
static uint32_t series_of(struct decoder *d, uint32_t n, struct err *out)
{
    struct err e = {0};
    uint32_t ref = 0;
    if (!labels_normalize(d->labels, &n, &e)) {
        decode_drop(d, DROP_LABELS, &e);
        return 0;
    }
    const struct labels ls = {d->labels, n};
    if (labels_get(ls, STR(LABEL_NAME)).n == 0) {
        err_set(&e, ERR_INPUT, "series without a metric name");
        decode_drop(d, DROP_LABELS, &e);
        return 0;
    }
    if (!tsdb_series(d->db, d->source, ls, &ref, &e)) {
        if (e.code != ERR_INPUT && e.code != ERR_LIMIT) {
            *out = e; /* not the sender's doing: it may try again */
            return 0;
        }
        decode_drop(d, e.code == ERR_INPUT ? DROP_LABELS : DROP_LIMIT, &e);
        return 0;
    }
    return ref;
}

bool decode_items_walk(struct decoder *d,
                       bool (*each)(struct decoder *d, uint32_t ref, const struct decode_item *item,
                                    struct err *e),
                       struct err *e)
{
    for (uint32_t i = 0; i < d->items_n; i++) {
        d->items[i].hash = hash64(d->items[i].block);
    }
    for (uint32_t i = 0; i < d->items_n; i++) {
        if (i + SERIES_AHEAD < d->items_n) {
            tsdb_names_prefetch(d->names, d->items[i + SERIES_AHEAD].hash);
        }
        const struct decode_item *item = &d->items[i];
        uint32_t ref = tsdb_names_find(d->names, item->hash, item->block);
        if (ref == 0) {
            uint32_t n;
            struct err bad = {0};
            if (!read_labels(d, item->block, &n, &bad)) {
                if (bad.code == ERR_CORRUPT) {
                    return err_set(e, ERR_INPUT, "%s", bad.msg);
                }
                decode_drop(d, DROP_LABELS, &bad);
                continue;
            }
            ref = series_of(d, n, &bad);
            if (ref == 0) {
                if (bad.code == ERR_NONE) {
                    continue;
                }
                *e = bad;
                return false;
            }
            tsdb_names_put(d->names, item->hash, item->block, ref);
        }
        if (!each(d, ref, item, e)) {
            return false;
        }
    }
    return true;
}

bool decode_nhist_add(struct decoder *d, uint32_t ref, struct str bytes, bool all, struct err *e)
{
    struct nhist *h;
    int64_t t_ms, st_ms;
    struct err bad = {0};
    if (!prompb_histogram_read(bytes, d->arena, &h, &t_ms, &st_ms, &bad)) {
        decode_drop(d, DROP_HISTOGRAM, &bad);
        if (bad.code == ERR_LIMIT) {
            return err_set(e, ERR_LIMIT, "%s", bad.msg);
        }
        return !all || err_set(e, ERR_INPUT, "%s", bad.msg);
    }
    return tsdb_batch_add_nhist(d->batch, ref, t_ms, st_ms, h, e);
}

/* The shape every sender writes, a value and a time, is read without the general loop. */
bool decode_sample_read(struct str bytes, double *v, int64_t *t_ms, int64_t *st_ms)
{
    *v = 0;
    *t_ms = 0;
    if (st_ms) {
        *st_ms = 0;
    }
    struct pb p = pb_of(bytes);
    if (bytes.n >= 11 && bytes.p[0] == 0x09 && bytes.p[9] == 0x10) {
        *v = pb_f64(get_u64le(bytes.p + 1));
        p.p += 10;
        uint64_t u;
        if (pb_varint(&p, &u) && p.p == p.end) {
            *t_ms = (int64_t)u;
            return true;
        }
        p = pb_of(bytes);
    }
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_I64) {
            *v = pb_f64(f.u);
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            *t_ms = (int64_t)f.u;
        } else if (st_ms && f.number == 3 && f.wire == PB_VARINT) {
            *st_ms = (int64_t)f.u;
        }
    }
    return !p.failed;
}

bool decode_exemplar_read(struct decoder *d, uint32_t ref, struct str bytes,
                          bool (*labels)(struct decoder *d, struct str message, uint32_t *n,
                                         struct err *e),
                          struct err *e)
{
    double v = 0;
    int64_t t_ms = 0;
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == 2 && f.wire == PB_I64) {
            v = pb_f64(f.u);
        } else if (f.number == 3 && f.wire == PB_VARINT) {
            t_ms = (int64_t)f.u;
        }
    }
    uint32_t n;
    struct err bad = {0};
    const bool read = !p.failed && labels(d, bytes, &n, &bad);
    if (p.failed || bad.code == ERR_CORRUPT) {
        return err_set(e, ERR_INPUT, "malformed exemplar");
    }
    if (!read || !labels_normalize(d->labels, &n, &bad)) {
        decode_drop(d, DROP_EXEMPLAR, &bad);
        return true;
    }
    return tsdb_batch_add_exemplar(d->batch, ref, (struct labels){d->labels, n}, t_ms, v, e);
}

static bool series_v1(struct decoder *d, uint32_t ref, const struct decode_item *item,
                      struct err *e)
{
    double v;
    int64_t t_ms;
    const struct str rest = item->rest;
    if (rest.n > 2 && rest.p[0] == SAMPLE_TAG && (size_t)rest.p[1] == rest.n - 2 &&
        decode_sample_read(str_sub(rest, 2, rest.n), &v, &t_ms, NULL)) {
        return tsdb_batch_add(d->batch, ref, t_ms, v, e);
    }
    struct pb p = pb_of(rest);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.wire != PB_LEN) {
            continue;
        }
        switch (f.number) {
        case 2:
            if (!decode_sample_read(f.bytes, &v, &t_ms, NULL)) {
                return err_set(e, ERR_INPUT, "malformed sample");
            }
            if (!tsdb_batch_add(d->batch, ref, t_ms, v, e)) {
                return false;
            }
            break;
        case 3:
            if (!decode_exemplar_read(d, ref, f.bytes, read_labels, e)) {
                return false;
            }
            break;
        case 4:
            if (!decode_nhist_add(d, ref, f.bytes, true, e)) {
                return false;
            }
            break;
        default: break;
        }
    }
    return !p.failed || err_set(e, ERR_INPUT, "malformed series: expected samples");
}

/* Labels after something else: legal protobuf that no known sender writes. They are gathered into a
 * block of their own, so that the series has one name. */
static bool gather(struct decoder *d, struct str series, struct decode_item *item, struct err *e)
{
    char *block = arena_take(d->arena, series.n ? series.n : 1, 1);
    if (!block) {
        return err_set(e, ERR_LIMIT, "no memory for a series of %zu bytes", series.n);
    }
    size_t n = 0;
    struct pb p = pb_of(series);
    struct pb_field f;
    const unsigned char *from = p.p;
    while (pb_next(&p, &f)) {
        if (f.number == 1) {
            memcpy(block + n, from, (size_t)(p.p - from));
            n += (size_t)(p.p - from);
        }
        from = p.p;
    }
    if (p.failed) {
        return err_set(e, ERR_INPUT, "malformed series of %zu bytes", series.n);
    }
    item->block = str_of(block, n);
    item->rest = series;
    return true;
}

/* Whether labels stand behind other fields. One sample and nothing more is what senders write. */
static bool has_labels(struct str rest)
{
    if (rest.n > 2 && rest.p[0] == SAMPLE_TAG && (size_t)rest.p[1] == rest.n - 2) {
        return false;
    }
    struct pb p = pb_of(rest);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == 1) {
            return true;
        }
    }
    return p.failed;
}

bool decode_v1(struct decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number != 1 || f.wire != PB_LEN) {
            continue;
        }
        struct decode_item item = {.block = label_block(f.bytes)};
        item.rest = str_sub(f.bytes, item.block.n, f.bytes.n);
        if (has_labels(item.rest) && !gather(d, f.bytes, &item, e)) {
            return false;
        }
        if (!decode_items_add(d, item, e)) {
            return false;
        }
    }
    if (p.failed) {
        return err_set(e, ERR_INPUT, "malformed request: expected a WriteRequest message");
    }
    return decode_items_walk(d, series_v1, e);
}
