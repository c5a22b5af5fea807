/* Remote write 2.0: labels are references into one table of symbols.
 *
 *   Request     4 symbols (the first is ""), 5 timeseries
 *   TimeSeries  1 label references (packed, name value name value...), 2 samples {1 double value,
 *               2 int64 ms, 3 int64 start ms}, 3 histograms, 4 exemplars {1 references, 2 value,
 *               3 ms}, 5 metadata (read over)
 *
 * References change from request to request, so each series' labels are first written out in the
 * form of 1.0, whose bytes are what tsdb_names remembers. Source:
 * io/prometheus/write/v2/types.proto of Prometheus. */
#include "ingest/remote_write/decode_int.h"

#include "codec/pb.h"

#define SYMBOLS_MAX (16U << 20)

static bool symbol_add(struct decoder *d, struct str s, struct err *e)
{
    if (d->symbols_n == d->symbols_cap) {
        void *p = d->symbols;
        if (!mem_array_grow(d->mem, &p, &d->symbols_cap, d->symbols_n + 1U, SYMBOLS_MAX,
                            sizeof *d->symbols)) {
            return err_set(e, ERR_LIMIT, "request of more than %u symbols", d->symbols_n);
        }
        d->symbols = p;
    }
    d->symbols[d->symbols_n++] = s;
    return true;
}

static bool symbol(const struct decoder *d, uint64_t at, struct str *out, struct err *e)
{
    if (at >= d->symbols_n) {
        return err_set(e, ERR_INPUT, "label reference %llu, but the request has %u symbols",
                       (unsigned long long)at, d->symbols_n);
    }
    *out = d->symbols[at];
    return true;
}

/* References of field 1 of a message, to d->labels; ERR_CORRUPT: malformed, else they are wrong. */
static bool read_refs(struct decoder *d, struct str message, uint32_t *n, struct err *e)
{
    struct pb p = pb_of(message);
    struct pb_field f;
    uint64_t held = 0;
    bool half = false;
    *n = 0;
    while (pb_next(&p, &f)) {
        if (f.number != 1) {
            continue;
        }
        struct pb packed = pb_of(f.bytes);
        uint64_t at = f.u;
        while (f.wire == PB_VARINT || (packed.p < packed.end && pb_varint(&packed, &at))) {
            if (!half) {
                held = at;
            } else {
                if (*n == LABELS_COUNT_MAX) {
                    return err_set(e, ERR_LIMIT, "series of more than %d labels", LABELS_COUNT_MAX);
                }
                struct label *l = &d->labels[*n];
                if (!symbol(d, held, &l->name, e) || !symbol(d, at, &l->value, e)) {
                    return false;
                }
                ++*n;
            }
            half = !half;
            if (f.wire == PB_VARINT) {
                break;
            }
        }
        if (packed.failed) {
            return err_set(e, ERR_CORRUPT,
                           "malformed request: label references that are no numbers");
        }
    }
    if (p.failed) {
        return err_set(e, ERR_CORRUPT, "malformed request: a message cut short");
    }
    return !half || err_set(e, ERR_INPUT, "odd number of label references");
}

static size_t varint_bytes(size_t n)
{
    size_t bytes = 1;
    while (n >= 0x80) {
        n >>= 7;
        bytes++;
    }
    return bytes;
}

static char *put_varint(char *to, size_t n)
{
    while (n >= 0x80) {
        *to++ = (char)(n | 0x80);
        n >>= 7;
    }
    *to++ = (char)n;
    return to;
}

static char *put_text(char *to, char tag, struct str s)
{
    *to++ = tag;
    to = put_varint(to, s.n);
    if (s.n > 0) {
        memcpy(to, s.p, s.n);
    }
    return to + s.n;
}

/* d->labels[0..n) as label entries of 1.0. */
static bool write_block(struct decoder *d, uint32_t n, struct str *out, struct err *e)
{
    size_t bytes = 0;
    size_t length[LABELS_COUNT_MAX];
    for (uint32_t i = 0; i < n; i++) {
        const struct label *l = &d->labels[i];
        length[i] = 2 + varint_bytes(l->name.n) + l->name.n + varint_bytes(l->value.n) + l->value.n;
        bytes += 1 + varint_bytes(length[i]) + length[i];
    }
    char *p = arena_take(d->arena, bytes ? bytes : 1, 1);
    if (!p) {
        return err_set(e, ERR_LIMIT, "request of too many labels");
    }
    *out = str_of(p, bytes);
    for (uint32_t i = 0; i < n; i++) {
        *p++ = 0x0a;
        p = put_varint(p, length[i]);
        p = put_text(p, 0x0a, d->labels[i].name);
        p = put_text(p, 0x12, d->labels[i].value);
    }
    ASSERT(p == out->p + bytes);
    return true;
}

static bool add_sample(struct decoder *d, uint32_t ref, struct str bytes, struct err *e)
{
    double v;
    int64_t t_ms, st_ms;
    if (!decode_sample_read(bytes, &v, &t_ms, &st_ms)) {
        return err_set(e, ERR_INPUT, "malformed sample");
    }
    return tsdb_batch_add_st(d->batch, ref, t_ms, st_ms, v, e);
}

static bool series_v2(struct decoder *d, uint32_t ref, const struct decode_item *item,
                      struct err *e)
{
    struct pb p = pb_of(item->rest);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.wire != PB_LEN) {
            continue;
        }
        if ((f.number == 2 && !add_sample(d, ref, f.bytes, e)) ||
            (f.number == 3 && !decode_nhist_add(d, ref, f.bytes, false, e)) ||
            (f.number == 4 && !decode_exemplar_read(d, ref, f.bytes, read_refs, e))) {
            return false;
        }
    }
    return !p.failed || err_set(e, ERR_INPUT, "malformed series: expected samples");
}

static bool read_symbols(struct decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == 4 && f.wire == PB_LEN && !symbol_add(d, f.bytes, e)) {
            return false;
        }
    }
    if (p.failed) {
        return err_set(e, ERR_INPUT,
                       "malformed request: expected an io.prometheus.write.v2.Request");
    }
    if (d->symbols_n > 0 && d->symbols[0].n != 0) {
        return err_set(e, ERR_INPUT, "expected the first symbol to be empty, found \"%.*s\"",
                       STR_FMT(str_sub(d->symbols[0], 0, 40)));
    }
    return true;
}

bool decode_v2(struct decoder *d, struct str bytes, struct err *e)
{
    if (!read_symbols(d, bytes, e)) {
        return false;
    }
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number != 5 || f.wire != PB_LEN) {
            continue;
        }
        uint32_t n;
        struct err bad = {0};
        if (!read_refs(d, f.bytes, &n, &bad)) {
            if (bad.code == ERR_CORRUPT) {
                return err_set(e, ERR_INPUT, "%s", bad.msg);
            }
            decode_drop(d, DROP_LABELS, &bad);
            continue;
        }
        struct decode_item item = {.rest = f.bytes};
        if (!write_block(d, n, &item.block, e) || !decode_items_add(d, item, e)) {
            return false;
        }
    }
    return decode_items_walk(d, series_v2, e);
}
