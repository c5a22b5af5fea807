/* Drift's part of a checkpoint. It does not name shards: what they counted is poured
 * together before.
 *
 *   u32 version
 *   i32 from, to         of the named range of the reference (INT32_MIN, MAX: none)
 *   names                u32 features, text...; u32 segments, text...; per feature: u32
 *                        categories, text...; numbers below are places in these lists
 *   i32 first open hour, i32 partial day, u8 sealed, u32 days, i32 from, to of the reference
 *   grid                 the reference
 *   grids                open days: u32 count; i32 day, grid
 *   grids                open hours: u32 count; i32 hour, grid
 *   grids                reference of hours: u32 count; i32 hour of the week, grid
 *   spreads              u32 count; u16 feature, u16 segment, u32 days, f32 of the newest up to 32
 *                        of them, 5 f32 worst shares
 *   spreads              of hours
 *   windows              days: u32 count; i32 at, u32 tests, u32 rejected, f64 dispersion, u32
 *                        results: u16 feature, u16 segment, u8 kind, u8 drifted, u32 rules, 5 u64
 *                        counts, 14 f64 figures, 5 f64 p
 *   windows              hours
 *   u64 left out: late, names, memory; u64 failures
 *
 *   grid: u32 tables; u16 feature, u16 segment (0 = all), u32 cells, u64 slots by key (drift_int.h)
 *
 * text = u32 length, bytes. Little-endian. The file around it has the checksum. */
#include "model/drift/drift_int.h"
#include "model/drift/saved_int.h"

static void put_f32(struct buf *b, float v)
{
    uint32_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    buf_u32le(b, bits);
}

static void save_texts(struct buf *b, const struct intern *t)
{
    buf_u32le(b, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        buf_str32(b, intern_str(t, i));
    }
}

static void save_names(struct buf *b, const struct drift_names *t)
{
    static const struct intern none = {0};
    save_texts(b, &t->features);
    save_texts(b, &t->segments);
    for (uint32_t f = 0; f < t->features.count; f++) {
        save_texts(b, f < t->categories_cap ? &t->categories[f] : &none);
    }
}

static bool save_table(struct drift *d, struct buf *b, uint32_t feature, uint32_t segment,
                       const struct drift_cells *c)
{
    uint64_t *slots = mem_take(d->mem, c->used * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    drift_cells_sorted(c, slots);
    buf_u16le(b, (uint16_t)feature);
    buf_u16le(b, (uint16_t)segment);
    buf_u32le(b, c->used);
    for (uint32_t i = 0; i < c->used; i++) {
        buf_u64le(b, slots[i]);
    }
    mem_give(d->mem, slots, c->used * sizeof *slots);
    return true;
}

static bool save_grid(struct drift *d, struct buf *b, const struct drift_grid *g, uint32_t stride)
{
    bool ok = true;
    uint32_t tables = 0;
    buf_u32le(b, 0);
    const size_t at = b->n;
    for (uint32_t f = 0; f < g->rows_cap && ok; f++) {
        for (uint32_t s = 0; g->rows[f] != NULL && s < stride && ok; s++) {
            if (g->rows[f][s].used > 0) {
                ok = save_table(d, b, f, s, &g->rows[f][s]);
                tables++;
            }
        }
    }
    if (!b->failed) {
        put_u32le(b->p + at - 4, tables);
    }
    return ok;
}

static bool save_grids(struct drift *d, struct buf *b, const struct drift_grids *t, uint32_t stride)
{
    bool ok = true;
    buf_u32le(b, t->count);
    for (uint32_t i = 0; i < t->count && ok; i++) {
        buf_u32le(b, (uint32_t)t->v[i].at);
        ok = save_grid(d, b, &t->v[i], stride);
    }
    return ok;
}

static void save_spreads(const struct drift_spreads *t, struct buf *b)
{
    uint32_t count = 0;
    buf_u32le(b, 0);
    const size_t at = b->n;
    for (uint32_t f = 0; f < t->cap; f++) {
        for (uint32_t s = 0; t->v[f] != NULL && s < t->stride; s++) {
            const struct drift_spread *x = &t->v[f][s];
            bool any = x->days > 0;
            for (uint32_t i = 0; i < DRIFT_RATES; i++) {
                any = any || x->worst[i] > 0;
            }
            if (!any) {
                continue;
            }
            buf_u16le(b, (uint16_t)f);
            buf_u16le(b, (uint16_t)s);
            buf_u32le(b, x->days);
            for (uint32_t i = 0; i < x->days && i < DRIFT_SPREAD_MAX; i++) {
                put_f32(b, x->stats[i]);
            }
            for (uint32_t i = 0; i < DRIFT_RATES; i++) {
                put_f32(b, x->worst[i]);
            }
            count++;
        }
    }
    if (!b->failed) {
        put_u32le(b->p + at - 4, count);
    }
}

static void save_result(struct buf *b, const struct drift_result *r)
{
    const double figures[] = {r->psi, r->js, r->kl,   r->hellinger, r->ks,   r->w1, r->w1_norm,
                              r->cvm, r->ad, r->chi2, r->tvd,       r->linf, r->p,  r->q};
    buf_u16le(b, r->feature);
    buf_u16le(b, r->segment);
    buf_u8(b, r->kind);
    buf_u8(b, r->drifted);
    buf_u32le(b, r->rules);
    buf_u64le(b, r->n);
    buf_u64le(b, r->present);
    buf_u64le(b, r->nulls);
    buf_u64le(b, r->fresh);
    buf_u64le(b, r->outside);
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        buf_f64le(b, figures[i]);
    }
    for (uint32_t i = 0; i < DRIFT_RATES; i++) {
        buf_f64le(b, r->p_rate[i]);
    }
}

static void save_windows(struct buf *b, const struct drift_windows *t)
{
    buf_u32le(b, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct drift_window *w = &t->v[i];
        buf_u32le(b, (uint32_t)w->at);
        buf_u32le(b, w->tests);
        buf_u32le(b, w->rejected);
        buf_f64le(b, w->dispersion);
        buf_u32le(b, w->count);
        for (uint32_t k = 0; k < w->count; k++) {
            save_result(b, &w->v[k]);
        }
    }
}

bool drift_save(struct drift *d, struct drift_shard *const *shards, uint32_t n, struct buf *out)
{
    bool ok = true;
    for (uint32_t k = 0; k < n; k++) {
        d->memory_failures += !drift_pour(d, shards[k]);
    }
    if (ok) {
        buf_u32le(out, DRIFT_SAVED_VERSION);
        buf_u32le(out, (uint32_t)d->from);
        buf_u32le(out, (uint32_t)d->to);
        save_names(out, &d->names);
        buf_u32le(out, (uint32_t)d->hour_first);
        buf_u32le(out, (uint32_t)d->day_partial);
        buf_u8(out, d->sealed);
        buf_u32le(out, d->ref_days);
        buf_u32le(out, (uint32_t)d->ref_from);
        buf_u32le(out, (uint32_t)d->ref_to);
        ok = save_grid(d, out, &d->ref, d->stride) && save_grids(d, out, &d->days, d->stride) &&
             save_grids(d, out, &d->hours, 1) && save_grids(d, out, &d->hour_refs, 1);
        save_spreads(&d->spreads, out);
        save_spreads(&d->hour_spreads, out);
        save_windows(out, &d->day_results);
        save_windows(out, &d->hour_results);
        for (uint32_t i = 0; i < DRIFT_LEFTS; i++) {
            uint64_t sum = d->left[i];
            for (uint32_t k = 0; k < n; k++) {
                sum += shards[k]->left[i];
            }
            buf_u64le(out, sum);
        }
        buf_u64le(out, d->memory_failures);
    }
    return ok;
}
