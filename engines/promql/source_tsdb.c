/* The store as a source of samples: a view's ids and pairs are the evaluator's own. */
#include "engines/promql/promql.h"

static bool view_select(void *ctx, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                        int64_t to_ms, uint32_t series_max, struct arena *a, uint32_t **ids,
                        uint32_t *n, struct err *e)
{
    struct tsdb_view *v = ctx;
    if (from_ms > to_ms) { /* tsdb_select would not look at times at all */
        *ids = NULL;
        *n = 0;
        return true;
    }
    return tsdb_select(v, m, m_n, from_ms, to_ms, series_max, true, a, ids, n, e);
}

static const uint32_t *view_pairs(void *ctx, uint32_t id, uint32_t *n)
{
    return tsdb_pairs(ctx, id, n);
}

static struct label view_pair(void *ctx, uint32_t pair)
{
    return tsdb_pair(ctx, pair);
}

static bool view_read(void *ctx, uint32_t id, int64_t from_ms, int64_t to_ms, uint32_t samples_max,
                      struct tsdb_column *c, struct err *e)
{
    return tsdb_read(ctx, id, from_ms, to_ms, samples_max, c, e);
}

static bool view_newest(void *ctx, uint32_t id, int64_t from_ms, int64_t to_ms,
                        struct tsdb_column *c, struct err *e)
{
    return tsdb_read_newest(ctx, id, from_ms, to_ms, c, e);
}

struct promql_source promql_source_tsdb(struct tsdb_view *v)
{
    return (struct promql_source){v, view_select, view_pairs, view_pair, view_read, view_newest};
}
