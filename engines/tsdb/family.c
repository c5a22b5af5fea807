/* Writing order of series, and who is a neighbour in a histogram.
 *
 *     base name | labels without le | _count, then buckets by falling bound, then others
 *
 * In this order _count is coded alone and +Inf, which is equal to it, costs nothing: most queries
 * read _count or all buckets, and a column is decoded with all those before it.
 *
 * X_bucket with a bound in le, and X_count, have the base X; every other metric is its own base.
 * The members of a family agree in base and in all labels but le. A run of them with at least one
 * bucket and at least two members gets a number: one more than the place of its first member. X_sum
 * is a metric of its own: its values have nothing to do with the buckets' counts.
 *
 * Labels are compared as texts only where ids of pairs differ; equal ids are equal labels. */
#include "engines/tsdb/family_int.h"

#include <math.h>
#include <stdlib.h>

struct family {
    struct mem *mem;
    struct family_ref *v;
    size_t n, cap;
    uint32_t refs_end; /* ids below are known */
};

enum kind { KIND_COUNT, KIND_BUCKET, KIND_OTHER };

/* What a series is sorted by. Slices borrow the index. */
struct key {
    uint32_t ref;
    enum kind kind;
    uint32_t name_pair, le_pair; /* UINT32_MAX: none; le only of buckets */
    double le;
    struct str base;
};

bool family_new(struct family **out, struct mem *m, struct err *e)
{
    *out = mem_take(m, sizeof **out);
    if (*out == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the order of series");
    }
    (*out)->mem = m;
    (*out)->refs_end = 1;
    return true;
}

void family_free(struct family *f)
{
    if (f == NULL) {
        return;
    }
    mem_give(f->mem, f->v, f->cap * sizeof *f->v);
    mem_give(f->mem, f, sizeof *f);
}

void family_reset(struct family *f)
{
    f->n = 0;
    f->refs_end = 1;
}

const struct family_ref *family_all(const struct family *f, uint32_t *n)
{
    *n = (uint32_t)f->n;
    return f->v;
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool bound_parse(struct str s, double *le)
{
    if (str_eq(s, STR("+Inf")) || str_eq(s, STR("Inf"))) {
        *le = (double)INFINITY;
        return true;
    }
    return str_to_f64(s, le);
}

static void key_of(const struct index *x, uint32_t ref, struct key *k)
{
    uint32_t n = 0;
    const uint32_t *pairs = index_pairs(x, ref, &n);
    struct str bound = {0};
    *k = (struct key){
        .ref = ref, .kind = KIND_OTHER, .name_pair = UINT32_MAX, .le_pair = UINT32_MAX};
    for (uint32_t i = 0; i < n; i++) {
        struct label l = index_pair(x, pairs[i]);
        if (str_eq(l.name, STR(LABEL_NAME))) {
            k->name_pair = pairs[i];
            k->base = l.value;
        } else if (str_eq(l.name, STR("le"))) {
            k->le_pair = pairs[i];
            bound = l.value;
        } else if (str_cmp(l.name, STR("le")) > 0) {
            break; /* labels go by name: neither comes any more */
        }
    }
    if (str_ends(k->base, STR("_bucket")) && k->le_pair != UINT32_MAX &&
        bound_parse(bound, &k->le)) {
        k->kind = KIND_BUCKET;
        k->base.n -= STR("_bucket").n;
        return;
    }
    k->le_pair = UINT32_MAX;
    if (str_ends(k->base, STR("_count"))) {
        k->kind = KIND_COUNT;
        k->base.n -= STR("_count").n;
    }
}

/* The next pair at or after *i that is compared, or UINT32_MAX. */
static uint32_t pair_next(const uint32_t *pairs, uint32_t n, const struct key *k, uint32_t *i)
{
    while (*i < n && (pairs[*i] == k->name_pair || pairs[*i] == k->le_pair)) {
        (*i)++;
    }
    return *i < n ? pairs[(*i)++] : UINT32_MAX;
}

/* Labels without the name, and without le where it is a bound. */
static int labels_order(const struct index *x, const struct key *a, const struct key *b)
{
    uint32_t a_n = 0;
    uint32_t b_n = 0;
    uint32_t i = 0;
    uint32_t j = 0;
    const uint32_t *ap = index_pairs(x, a->ref, &a_n);
    const uint32_t *bp = index_pairs(x, b->ref, &b_n);
    for (;;) {
        uint32_t p = pair_next(ap, a_n, a, &i);
        uint32_t q = pair_next(bp, b_n, b, &j);
        if (p == q) {
            if (p == UINT32_MAX) {
                return 0;
            }
            continue;
        }
        if (p == UINT32_MAX || q == UINT32_MAX) {
            return p == UINT32_MAX ? -1 : 1;
        }
        struct label l = index_pair(x, p);
        struct label m = index_pair(x, q);
        int by_name = str_cmp(l.name, m.name);
        return by_name != 0 ? by_name : str_cmp(l.value, m.value);
    }
}

static int family_cmp(const struct index *x, const struct key *a, const struct key *b)
{
    bool same_base = a->name_pair == b->name_pair && a->kind == b->kind;
    int by_base = same_base ? 0 : str_cmp(a->base, b->base);
    return by_base != 0 ? by_base : labels_order(x, a, b);
}

static int key_cmp(const struct index *x, const struct key *a, const struct key *b)
{
    int c = family_cmp(x, a, b);
    if (c != 0) {
        return c;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->kind == KIND_BUCKET && (a->le < b->le || a->le > b->le)) {
        return a->le > b->le ? -1 : 1;
    }
    return a->ref < b->ref ? -1 : a->ref > b->ref;
}

static int key_order(const void *a, const void *b, void *index)
{
    return key_cmp(index, a, b);
}

/* --- taking in -------------------------------------------------------------------------------- */

static uint32_t count_new(const struct index *x, uint32_t from, uint32_t end)
{
    uint32_t n = 0;
    for (uint32_t ref = from; ref < end; ref++) {
        n += index_has(x, ref);
    }
    return n;
}

/* First place in the order whose series is behind k. */
static size_t place_of(const struct family *f, const struct index *x, const struct key *k)
{
    size_t lo = 0;
    size_t hi = f->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct key other;
        key_of(x, f->v[mid].ref, &other);
        if (key_cmp(x, &other, k) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Puts n sorted keys into the order, from the back, each old entry moving once. */
static void order_insert(struct family *f, const struct index *x, const struct key *keys, size_t n)
{
    size_t old_n = f->n;
    size_t total = old_n + n;
    size_t to = total;
    for (size_t i = n; i > 0; i--) {
        f->n = old_n; /* what is before this place is still in order */
        size_t at = place_of(f, x, &keys[i - 1]);
        size_t moved = old_n - at;
        memmove(&f->v[to - moved], &f->v[at], moved * sizeof f->v[0]);
        to -= moved + 1;
        f->v[to] = (struct family_ref){.ref = keys[i - 1].ref};
        old_n = at;
    }
    ASSERT(to == old_n);
    f->n = total;
}

static void families_number(struct family *f, const struct index *x)
{
    struct key first = {0};
    for (size_t i = 0; i < f->n;) {
        size_t end = i + 1;
        key_of(x, f->v[i].ref, &first);
        f->v[i].family = 0;
        while (first.kind != KIND_OTHER && end < f->n) {
            struct key k;
            key_of(x, f->v[end].ref, &k);
            if (k.kind == KIND_OTHER || family_cmp(x, &first, &k) != 0) {
                break;
            }
            end++;
        }
        for (size_t k = i; end - i > 1 && k < end; k++) {
            f->v[k].family = (uint32_t)i + 1;
        }
        i = end;
    }
}

bool family_update(struct family *f, struct index *x, struct err *e)
{
    uint32_t end = index_refs_end(x);
    uint32_t fresh = count_new(x, f->refs_end, end);
    if (fresh == 0) {
        f->refs_end = end;
        return true;
    }
    /* Many new ones are sorted together with the old; few are put in one by one. */
    bool all = fresh > f->n / 16;
    size_t n = fresh + (all ? f->n : 0);
    void *v = f->v;
    struct key *keys = mem_take(f->mem, n * sizeof *keys);
    bool ok = keys != NULL && mem_array_grow(f->mem, &v, &f->cap, f->n + fresh,
                                             SIZE_MAX / sizeof *f->v, sizeof *f->v);
    f->v = v;
    if (!ok) {
        mem_give(f->mem, keys, keys != NULL ? n * sizeof *keys : 0);
        return err_set(e, ERR_NOMEM, "no memory to sort %zu series", n);
    }
    size_t k = 0;
    for (uint32_t ref = f->refs_end; ref < end; ref++) {
        if (index_has(x, ref)) {
            key_of(x, ref, &keys[k++]);
        }
    }
    for (size_t i = 0; all && i < f->n; i++) {
        key_of(x, f->v[i].ref, &keys[k++]);
    }
    ASSERT(k == n);
    qsort_r(keys, n, sizeof *keys, key_order, x);
    for (size_t i = 0; all && i < n; i++) {
        f->v[i] = (struct family_ref){.ref = keys[i].ref};
    }
    f->n = all ? n : f->n;
    if (!all) {
        order_insert(f, x, keys, n);
    }
    f->refs_end = end;
    mem_give(f->mem, keys, n * sizeof *keys);
    families_number(f, x);
    return true;
}
