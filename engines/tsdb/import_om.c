/* OpenMetrics text with timestamps, as promtool takes it for create-blocks-from. The file is mapped
 * and parsed as a scrape would be (codec/expo_parse.h); samples become blocks in the order of the
 * file, so a file in the order of time or of series both do. */
#include "codec/expo_parse.h"
#include "engines/tsdb/import_int.h"

#define LABELS_BYTES_MAX (1U << 20)
#define PROGRESS_EVERY   1000000

struct om {
    struct import_sink sink;
    struct expo_parse parse;
    struct arena labels; /* of one sample */
    char *last_raw;      /* of the sample before, whose series is `ref` */
    size_t last_n, last_cap;
    uint32_t ref;
    uint64_t seen;
};

/* The series of the sample; 0: refused. Files are mostly one series after the other. */
static bool series_of(struct om *o, struct mem *m, uint32_t *ref, struct err *e)
{
    struct label *l = NULL;
    uint32_t n = 0;
    struct err why = {0};
    struct str raw = o->parse.raw;
    if (o->last_n == raw.n && o->last_raw != NULL && memcmp(o->last_raw, raw.p, raw.n) == 0) {
        *ref = o->ref;
        return true;
    }
    arena_reset(&o->labels);
    bool ok = expo_parse_labels(&o->parse, &o->labels, &l, &n, &why) &&
              labels_normalize(l, &n, &why) &&
              tsdb_series(o->sink.db, o->sink.source, (struct labels){l, n}, ref, &why);
    if (!ok && why.code != ERR_LIMIT && why.code != ERR_INPUT) {
        return err_set(e, why.code, "%s", why.msg);
    }
    o->sink.counts->series++;
    *ref = ok ? *ref : 0;
    void *p = o->last_raw;
    if (!mem_array_grow(m, &p, &o->last_cap, raw.n, SIZE_MAX / 2, 1)) {
        return err_set(e, ERR_NOMEM, "no memory for the name of a series");
    }
    o->last_raw = p;
    memcpy(o->last_raw, raw.p, raw.n);
    o->last_n = raw.n;
    o->ref = *ref;
    return true;
}

static bool entry_take(struct om *o, struct mem *m, struct err *e)
{
    uint32_t ref = 0;
    if (o->parse.entry != EXPO_PARSE_SAMPLE) {
        return true;
    }
    if (!series_of(o, m, &ref, e)) {
        return false;
    }
    if (ref == 0 || !o->parse.has_t) {
        o->sink.counts->refused++;
        return true;
    }
    struct import_sample s = {.t_ms = o->parse.t_ms, .v = o->parse.value};
    return import_sink_add(&o->sink, ref, &s, 0, e);
}

static bool file_take(struct om *o, struct mem *m, struct err *e)
{
    for (;;) {
        if (!expo_parse_next(&o->parse, e)) {
            return false;
        }
        if (o->parse.entry == EXPO_PARSE_END) {
            return true;
        }
        if (!entry_take(o, m, e)) {
            return false;
        }
        if (++o->seen % PROGRESS_EVERY == 0 && o->sink.progress != NULL &&
            !o->sink.progress(o->sink.progress_ctx, o->sink.counts)) {
            return err_set(e, ERR_BUSY, "the import was told to stop");
        }
    }
}

bool tsdb_import_openmetrics(struct tsdb *db, const struct os *os, const char *path,
                             bool (*progress)(void *ctx, const struct tsdb_import *so_far),
                             void *progress_ctx, struct tsdb_import *out, struct err *e)
{
    struct mem m;
    struct block_map map = {0};
    struct om o = {0};
    *out = (struct tsdb_import){0};
    mem_init(&m, 0);
    if (!block_map_open(&map, &m, os, path, 1, e)) {
        return false;
    }
    arena_init(&o.labels, &m, LABELS_BYTES_MAX);
    expo_parse_init(&o.parse, EXPO_PARSE_OPENMETRICS, str_of((const char *)map.p, map.n), &m);
    bool ok = import_sink_open(&o.sink, db, &m, out, progress, progress_ctx, e);
    if (ok) {
        ok = file_take(&o, &m, e);
        /* What came before a wrong line stays. */
        bool kept = import_sink_flush(&o.sink, ok ? e : NULL);
        ok = ok && kept;
    }
    out->blocks += ok;
    import_sink_close(&o.sink);
    expo_parse_release(&o.parse);
    arena_release(&o.labels);
    mem_give(&m, o.last_raw, o.last_cap);
    block_map_close(&map);
    ASSERT(m.bytes == 0);
    return ok;
}
