/* What the importers share: samples are gathered in a batch, and full batches become blocks. */
#include "engines/tsdb/import_int.h"

#define BATCH_BYTES_MAX (64U << 20)

bool import_sink_open(struct import_sink *s, struct tsdb *db, struct mem *m,
                      struct tsdb_import *counts,
                      bool (*progress)(void *ctx, const struct tsdb_import *so_far),
                      void *progress_ctx, struct err *e)
{
    *s = (struct import_sink){
        .db = db, .counts = counts, .progress = progress, .progress_ctx = progress_ctx};
    s->source = tsdb_source(db, STR("import"), 0);
    s->batch = tsdb_batch_new(m, BATCH_BYTES_MAX);
    return s->batch != NULL || err_set(e, ERR_NOMEM, "no memory to import");
}

void import_sink_close(struct import_sink *s)
{
    if (s->batch != NULL) {
        tsdb_batch_free(s->batch);
        s->batch = NULL;
    }
}

bool import_sink_flush(struct import_sink *s, struct err *e)
{
    struct tsdb_result r;
    if (tsdb_batch_count(s->batch) > 0) {
        if (!tsdb_backfill(s->db, s->batch, &r, e)) {
            return false;
        }
        s->counts->samples += r.samples;
        s->counts->histograms += r.histograms;
        for (size_t i = 0; i < TSDB_REFUSALS; i++) {
            s->counts->refused += r.refused[i];
        }
        tsdb_batch_reset(s->batch);
    }
    if (s->progress != NULL && !s->progress(s->progress_ctx, s->counts)) {
        return err_set(e, ERR_BUSY, "the import was told to stop");
    }
    return true;
}

static bool batch_add(struct import_sink *s, uint32_t ref, const struct import_sample *x,
                      int64_t st_ms, struct err *e)
{
    if (x->h != NULL) {
        return tsdb_batch_add_nhist(s->batch, ref, x->t_ms, st_ms, x->h, e);
    }
    return st_ms != 0 ? tsdb_batch_add_st(s->batch, ref, x->t_ms, st_ms, x->v, e)
                      : tsdb_batch_add(s->batch, ref, x->t_ms, x->v, e);
}

bool import_sink_add(struct import_sink *s, uint32_t ref, const struct import_sample *x,
                     int64_t st_ms, struct err *e)
{
    struct err full = {0};
    if (batch_add(s, ref, x, st_ms, &full)) {
        return true;
    }
    if (full.code != ERR_LIMIT || tsdb_batch_count(s->batch) == 0) {
        return err_set(e, full.code, "%s", full.msg);
    }
    return import_sink_flush(s, e) && batch_add(s, ref, x, st_ms, e);
}
