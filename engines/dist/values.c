/* Every value of a reference while the distinct ones are few.
 *
 * Why: edges that are frozen for weeks, and that others compute from the same data with their
 * tools, should be the exact quantiles. Money has cents and counts are whole: two weeks of a
 * feature have a few ten thousand distinct values, however many decisions there were.
 *
 * New values wait unsorted until they are a part of those known (at least PENDING_FIRST), then are
 * sorted and merged: what a value costs does not grow with the number of values.
 *
 *   off  size  field of the saved form (little-endian)
 *     0     4  "FDV1"
 *     4     4  distinct_max
 *     8     1  1 when over (nothing follows)
 *     9     4  distinct values, then 16 each: value (f64, rising), count
 *
 * Invariants: atoms rise strictly, no count is 0, no -0; over holds no memory. Whether a multiset
 * is over depends on its values only, unless memory was short. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

#define PENDING_FIRST 1024
#define PENDING_MAX   65536
#define SAVED_MAGIC   "FDV1"

void dist_values_init(struct dist_values *v, struct mem *m, uint32_t distinct_max)
{
    *v = (struct dist_values){.mem = m, .distinct_max = distinct_max};
}

void dist_values_release(struct dist_values *v)
{
    mem_give(v->mem, v->atoms, v->cap * sizeof *v->atoms);
    mem_give(v->mem, v->pending, v->pending_cap * sizeof *v->pending);
    dist_values_init(v, v->mem, v->distinct_max);
}

static void give_up(struct dist_values *v)
{
    dist_values_release(v);
    v->over = true;
}

/* Distinct values of both, when pending is sorted. */
static size_t together(const struct dist_values *v)
{
    size_t n = v->count;
    size_t at = 0;
    for (size_t i = 0; i < v->pending_count; i++) {
        if (i > 0 && v->pending[i] == v->pending[i - 1]) {
            continue;
        }
        while (at < v->count && v->atoms[at].v < v->pending[i]) {
            at++;
        }
        n += at == v->count || v->atoms[at].v != v->pending[i];
    }
    return n;
}

bool dist_values_settle(struct dist_values *v)
{
    if (v->over || v->pending_count == 0) {
        return !v->over;
    }
    dist_sort_f64(v->pending, v->pending_count);
    size_t total = together(v);
    void *p = v->atoms;
    bool ok = total <= v->distinct_max &&
              mem_array_grow(v->mem, &p, &v->cap, total, v->distinct_max, sizeof *v->atoms);
    v->atoms = p;
    if (!ok) {
        give_up(v);
        return false;
    }
    /* From the end, so that nothing is overwritten before it was read. */
    size_t from = v->count;
    size_t pending = v->pending_count;
    for (size_t to = total; to > 0; to--) {
        struct dist_atom *a = &v->atoms[to - 1];
        if (pending == 0 || (from > 0 && v->atoms[from - 1].v > v->pending[pending - 1])) {
            *a = v->atoms[--from];
            continue;
        }
        double x = v->pending[pending - 1];
        uint64_t n = from > 0 && v->atoms[from - 1].v == x ? v->atoms[--from].n : 0;
        while (pending > 0 && v->pending[pending - 1] == x) {
            pending--;
            n++;
        }
        *a = (struct dist_atom){x, n};
    }
    v->count = total;
    v->pending_count = 0;
    return true;
}

void dist_values_add(struct dist_values *v, double x)
{
    if (v->over || !isfinite(x)) {
        return;
    }
    if (v->pending_count == v->pending_cap) {
        if (!dist_values_settle(v)) {
            return;
        }
        size_t want = size_min(size_max(PENDING_FIRST, v->count / 2), PENDING_MAX);
        void *p = v->pending;
        if (want > v->pending_cap &&
            !mem_array_grow(v->mem, &p, &v->pending_cap, want, PENDING_MAX, sizeof *v->pending)) {
            give_up(v);
            return;
        }
        v->pending = p;
    }
    v->pending[v->pending_count++] = x + 0.0;
    v->n++;
}

/* Two settled multisets into new memory. */
static bool join(struct dist_values *to, const struct dist_values *from, size_t total)
{
    struct dist_atom *atoms = mem_take(to->mem, total * sizeof *atoms);
    if (atoms == NULL) {
        return false;
    }
    size_t a = 0;
    size_t b = 0;
    for (size_t i = 0; i < total; i++) {
        bool first = a < to->count && (b == from->count || to->atoms[a].v <= from->atoms[b].v);
        bool second = b < from->count && (a == to->count || from->atoms[b].v <= to->atoms[a].v);
        atoms[i].v = first ? to->atoms[a].v : from->atoms[b].v;
        atoms[i].n = (first ? to->atoms[a].n : 0) + (second ? from->atoms[b].n : 0);
        a += first;
        b += second;
    }
    mem_give(to->mem, to->atoms, to->cap * sizeof *atoms);
    to->atoms = atoms;
    to->count = total;
    to->cap = total;
    return true;
}

void dist_values_merge(struct dist_values *to, struct dist_values *from)
{
    bool ok = dist_values_settle(from);
    if (!dist_values_settle(to) || !ok) {
        give_up(to);
        return;
    }
    size_t total = 0;
    for (size_t a = 0, b = 0; a < to->count || b < from->count; total++) {
        double x = a == to->count     ? from->atoms[b].v
                   : b == from->count ? to->atoms[a].v
                                      : fmin(to->atoms[a].v, from->atoms[b].v);
        a += a < to->count && to->atoms[a].v == x;
        b += b < from->count && from->atoms[b].v == x;
    }
    uint64_t n = dist_count_add(to->n, from->n);
    if (total > to->distinct_max || (total > 0 && !join(to, from, total))) {
        give_up(to);
        return;
    }
    to->n = n;
}

double dist_values_quantile(const struct dist_values *v, double q)
{
    struct dist_ranks r = {.atoms = v->atoms};
    ASSERT(v->pending_count == 0);
    return dist_ranks_quantile(&r, v->over ? 0 : v->n, q);
}

/* The value of rank k; ranks are asked for in rising order. */
static double at_rank(struct dist_ranks *r, uint64_t k)
{
    if (r->sorted != NULL) {
        return r->sorted[k];
    }
    while (r->below + r->atoms[r->next].n <= k) {
        r->below += r->atoms[r->next++].n;
    }
    return r->atoms[r->next].v;
}

double dist_ranks_quantile(struct dist_ranks *r, uint64_t n, double q)
{
    if (n == 0 || isnan(q)) {
        return (double)NAN;
    }
    q = q < 0 ? 0 : q > 1 ? 1 : q;
    double rank = (double)(n - 1) * q;
    uint64_t k = (uint64_t)rank;
    double t = rank - (double)k;
    double a = at_rank(r, k);
    if (t <= 0) {
        return a;
    }
    struct dist_ranks ahead = *r; /* the next quantile may need this rank again */
    return dist_lerp(a, at_rank(&ahead, k + 1), t);
}

void dist_values_save(struct dist_values *v, struct buf *out)
{
    bool ok = dist_values_settle(v);
    buf_add(out, SAVED_MAGIC, 4);
    buf_u32le(out, v->distinct_max);
    buf_u8(out, !ok);
    if (ok) {
        buf_u32le(out, (uint32_t)v->count);
        for (size_t i = 0; i < v->count; i++) {
            buf_f64le(out, v->atoms[i].v);
            buf_u64le(out, v->atoms[i].n);
        }
    }
}

static bool load_atoms(struct dist_values *v, struct rd *r, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct dist_atom a = {.v = rd_f64le(r)};
        a.n = rd_u64le(r);
        if (r->failed || !isfinite(a.v) || dist_bits_of(a.v) == DIST_SIGN_BIT || a.n == 0 ||
            a.n > DIST_N_MAX - v->n || (i > 0 && a.v <= v->atoms[i - 1].v)) {
            return false;
        }
        v->atoms[v->count++] = a;
        v->n += a.n;
    }
    return true;
}

bool dist_values_load(struct dist_values *v, struct mem *m, struct rd *r, struct err *e)
{
    const unsigned char *magic = rd_take(r, 4);
    dist_values_init(v, m, rd_u32le(r));
    uint8_t over = rd_u8(r);
    uint32_t count = over == 0 ? rd_u32le(r) : 0;
    if (magic == NULL || r->failed || memcmp(magic, SAVED_MAGIC, 4) != 0 || over > 1 ||
        count > v->distinct_max || count > rd_left(r) / sizeof *v->atoms) {
        return err_set(e, ERR_CORRUPT, "saved values have no valid head");
    }
    if (count > 0) {
        v->atoms = mem_take(m, count * sizeof *v->atoms);
        if (v->atoms == NULL) {
            return err_set(e, ERR_NOMEM, "no memory for %u saved values", count);
        }
        v->cap = count;
    }
    if (!load_atoms(v, r, count)) {
        dist_values_release(v);
        return err_set(e, ERR_CORRUPT, "%u saved values do not rise or have no counts", count);
    }
    v->over = over == 1;
    return true;
}
