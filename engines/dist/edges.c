/* Frozen cells of equal mass, and what is counted on them.
 *
 * Why: when the edges are those of the reference for ever, a day's counts are integers that depend
 * on nothing but the day, add up over segments and days, and two figures from them differ only when
 * the data do. (Edges computed from both samples, as some tools do, move with one outlier.)
 *
 * The search counts the inner edges that are not above v: 63 of them, padded with +inf, in six
 * steps of which each is a comparison and a conditional move. The order of values is noise, a
 * branch would be guessed wrong every second time.
 *
 *   off  size  field of the saved form (little-endian)
 *     0     4  "FDE1"
 *     4     1  cells, 0..64
 *     5     1  1 when there are coarse cells
 *     6     8  bit i: edge i + 1 is an edge of a coarse cell
 *    14     .  cells + 1 edges (f64), none when cells is 0
 *
 * Invariants: edges rise strictly, but one cell may have two equal ones (a constant); inner[i] is
 * edge[i + 1]; coarse cells count up along the cells. Source of the quantiles: numpy 1.24,
 * numpy.quantile (method 'linear') and numpy.linspace, whose rounding is repeated here. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define SAVED_MAGIC "FDE1"

_Static_assert(DIST_EDGE_CELLS_MAX == 64, "six steps, and a mask of 64 bits");
_Static_assert(DIST_EDGE_CELLS % DIST_COARSE == 0, "coarse cells are whole cells");
_Static_assert(DIST_SLOT_UNDER == DIST_EDGE_CELLS_MAX, "slots of cells come first");

/* What is being made: edges so far, and which of them a coarse cell begins at. */
struct maker {
    struct dist_edges *e;
    uint32_t count; /* edges */
    bool coarse[DIST_EDGE_CELLS_MAX + 1];
};

static void maker_add(struct maker *m, double v, bool coarse)
{
    if (m->count == 0 || v > m->e->edge[m->count - 1]) {
        m->e->edge[m->count++] = v;
        m->coarse[m->count - 1] = false;
    }
    m->coarse[m->count - 1] = m->coarse[m->count - 1] || coarse;
}

/* From edge[], and coarse[] when has_coarse: all that the search and the folding need. */
static void maker_end(struct maker *m, bool has_coarse)
{
    struct dist_edges *e = m->e;
    if (m->count == 1) { /* a constant: one cell without width */
        e->edge[1] = e->edge[0];
        m->count = 2;
    }
    e->cells = m->count - 1;
    uint32_t coarse = 0;
    for (uint32_t i = 0; i < DIST_EDGE_CELLS_MAX; i++) {
        e->inner[i] = i + 1 < e->cells ? e->edge[i + 1] : (double)INFINITY;
        coarse += i > 0 && i < e->cells && m->coarse[i];
        e->coarse[i] = (uint8_t)coarse;
    }
    e->coarse_count = has_coarse ? coarse + 1 : 0;
}

static void from_ranks(struct dist_edges *e, struct dist_ranks *r, uint64_t n, uint32_t cells)
{
    struct maker m = {.e = e};
    bool has_coarse = cells % DIST_COARSE == 0;
    ASSERT(cells >= 1 && cells <= DIST_EDGE_CELLS_MAX);
    *e = (struct dist_edges){0};
    if (n == 0) {
        return;
    }
    for (uint32_t i = 0; i <= cells; i++) {
        bool coarse = has_coarse && i % (cells / DIST_COARSE) == 0;
        double q = coarse ? (double)(i / (cells / DIST_COARSE)) * (1.0 / DIST_COARSE)
                          : (double)i * (1.0 / cells);
        maker_add(&m, dist_ranks_quantile(r, n, i == cells ? 1 : q), coarse);
    }
    maker_end(&m, has_coarse);
}

void dist_edges_from_sorted(struct dist_edges *e, const double *v, size_t n, uint32_t cells)
{
    struct dist_ranks r = {.sorted = v};
    from_ranks(e, &r, n, cells);
}

void dist_edges_from_values(struct dist_edges *e, const struct dist_values *v, uint32_t cells)
{
    struct dist_ranks r = {.atoms = v->atoms};
    ASSERT(v->pending_count == 0 && !v->over);
    from_ranks(e, &r, v->n, cells);
}

void dist_edges_from_sketch(struct dist_edges *e, const struct dist_sketch *s, uint32_t cells)
{
    struct maker m = {.e = e};
    struct dist_reader r;
    struct dist_reading x = {0};
    bool has_coarse = cells % DIST_COARSE == 0;
    ASSERT(cells >= 1 && cells <= DIST_EDGE_CELLS_MAX);
    *e = (struct dist_edges){0};
    if (s->n == 0) {
        return;
    }
    dist_reader_init(&r, s, s->bits);
    maker_add(&m, s->min, true);
    uint64_t below = 0;
    uint32_t i = 1;
    while (i < cells && dist_reader_next(&r, &x)) {
        double half = (double)below + (double)x.cell.n / 2;
        /* This cell's lower end is nearest for the quantiles up to its middle. */
        for (; i < cells && (double)s->n * i / cells <= half; i++) {
            maker_add(&m, x.cell.lo, has_coarse && i % (cells / DIST_COARSE) == 0);
        }
        below += x.cell.n;
    }
    maker_add(&m, s->max, true);
    maker_end(&m, has_coarse);
}

uint32_t dist_edges_slot(const struct dist_edges *e, double v)
{
    const double *at = e->inner;
    uint32_t cell = 0;
    cell += at[cell + 31] <= v ? 32 : 0;
    cell += at[cell + 15] <= v ? 16 : 0;
    cell += at[cell + 7] <= v ? 8 : 0;
    cell += at[cell + 3] <= v ? 4 : 0;
    cell += at[cell + 1] <= v ? 2 : 0;
    cell += at[cell] <= v ? 1 : 0;
    cell = v < e->edge[0] ? DIST_SLOT_UNDER : cell;
    cell = v > e->edge[e->cells] ? DIST_SLOT_OVER : cell;
    return isfinite(v) && e->cells > 0 ? cell : DIST_SLOT_NEW;
}

void dist_edges_count_values(const struct dist_edges *e, const struct dist_values *v,
                             uint64_t *slots)
{
    ASSERT(v->pending_count == 0);
    for (size_t i = 0; i < v->count; i++) {
        slots[dist_edges_slot(e, v->atoms[i].v)] += v->atoms[i].n;
    }
}

void dist_edges_count_sketch(const struct dist_edges *e, const struct dist_sketch *s,
                             uint64_t *slots)
{
    struct dist_reader r;
    struct dist_reading x = {0};
    dist_reader_init(&r, s, s->bits);
    while (dist_reader_next(&r, &x)) {
        double middle = x.cell.lo + (x.cell.hi - x.cell.lo) / 2;
        slots[dist_edges_slot(e, middle)] += x.cell.n;
    }
    slots[DIST_SLOT_NULL] += s->nulls;
    slots[DIST_SLOT_NEW] += s->nans + s->infs_up + s->infs_down;
}

uint32_t dist_edges_fine(const struct dist_edges *e, const uint64_t *slots, uint64_t *out)
{
    if (e->cells == 0) {
        return 0;
    }
    memcpy(out, slots, e->cells * sizeof *out);
    out[0] += slots[DIST_SLOT_UNDER];
    out[e->cells - 1] += slots[DIST_SLOT_OVER];
    return e->cells;
}

uint32_t dist_edges_coarse(const struct dist_edges *e, const uint64_t *slots, uint64_t *out)
{
    uint64_t fine[DIST_EDGE_CELLS_MAX];
    uint32_t cells = e->coarse_count > 0 ? dist_edges_fine(e, slots, fine) : 0;
    memset(out, 0, e->coarse_count * sizeof *out);
    for (uint32_t i = 0; i < cells; i++) {
        out[e->coarse[i]] += fine[i];
    }
    return e->coarse_count;
}

void dist_edges_save(const struct dist_edges *e, struct buf *out)
{
    uint64_t mask = 0;
    buf_add(out, SAVED_MAGIC, 4);
    buf_u8(out, (uint8_t)e->cells);
    buf_u8(out, e->coarse_count > 0);
    for (uint32_t i = 1; e->coarse_count > 0 && i < e->cells; i++) {
        mask |= (uint64_t)(e->coarse[i] != e->coarse[i - 1]) << (i - 1);
    }
    buf_u64le(out, mask);
    for (uint32_t i = 0; e->cells > 0 && i <= e->cells; i++) {
        buf_f64le(out, e->edge[i]);
    }
}

/* At most one coarse cell per tenth; none where there is no cell. */
static bool mask_fits(uint64_t mask, uint32_t cells, uint8_t has_coarse)
{
    uint64_t room = cells > 1 ? ~0ull >> (65 - cells) : 0;
    return has_coarse <= (cells > 0) && (mask & ~room) == 0 &&
           __builtin_popcountll(mask) < (has_coarse ? DIST_COARSE : 1);
}

bool dist_edges_load(struct dist_edges *e, struct rd *r, struct err *e_out)
{
    struct maker m = {.e = e};
    *e = (struct dist_edges){0};
    const unsigned char *magic = rd_take(r, 4);
    uint32_t cells = rd_u8(r);
    uint8_t has_coarse = rd_u8(r);
    uint64_t mask = rd_u64le(r);
    bool ok = magic != NULL && !r->failed && memcmp(magic, SAVED_MAGIC, 4) == 0 &&
              cells <= DIST_EDGE_CELLS_MAX && mask_fits(mask, cells, has_coarse);
    for (uint32_t i = 0; ok && cells > 0 && i <= cells; i++) {
        double v = rd_f64le(r);
        bool constant = cells == 1 && i == 1 && v == e->edge[0];
        ok = !r->failed && isfinite(v) && (i == 0 || v > e->edge[i - 1] || constant);
        e->edge[i] = v;
        m.coarse[i] = i > 0 && i < cells && (mask >> (i - 1) & 1) != 0;
    }
    if (!ok) {
        *e = (struct dist_edges){0};
        return err_set(e_out, ERR_CORRUPT, "saved edges do not rise or do not fit");
    }
    m.count = cells + 1;
    if (cells > 0) {
        maker_end(&m, has_coarse == 1);
    }
    return true;
}
