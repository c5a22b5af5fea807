/* Sums and differences of native histograms.
 *
 * Two histograms need not have the same shape. Before buckets are added one by one they are brought
 * to one: the coarser schema; a zero bucket wide enough for both that cuts no populated bucket; for
 * custom bounds, the bounds both have. That order, and where compensation is applied, is
 * Prometheus', so that answers agree to the last bits.
 *
 * Everything is done by struct hist_acc, which holds the running sum as lists of buckets.
 * Invariant: its lists ascend strictly by index; without kahan all compensations are 0. */
#include "engines/promql/hist_side_int.h"

#include <math.h>

bool hist_acc_init(struct hist_acc *s, const struct nhist *first, bool kahan, struct arena *m)
{
    *s = (struct hist_acc){.arena = m, .h = *first, .kahan = kahan};
    s->h.integer = false;
    s->h.pos = s->h.neg = (struct nhist_side){0};
    return hist_list_load(&s->pos, &first->pos, 0, false, m) &&
           hist_list_load(&s->neg, &first->neg, 0, false, m);
}

static bool list_copy(struct hist_list *to, const struct hist_list *from, struct arena *m)
{
    *to = (struct hist_list){0};
    if (!hist_list_reserve(to, from->n, m)) {
        return false;
    }
    if (from->n > 0) {
        memcpy(to->idx, from->idx, from->n * sizeof *to->idx);
        memcpy(to->count, from->count, from->n * sizeof *to->count);
        memcpy(to->comp, from->comp, from->n * sizeof *to->comp);
    }
    to->n = from->n;
    return true;
}

bool hist_acc_copy(struct hist_acc *to, const struct hist_acc *from)
{
    *to = *from;
    to->other = (struct hist_list){0};
    return list_copy(&to->pos, &from->pos, from->arena) &&
           list_copy(&to->neg, &from->neg, from->arena);
}

/* The hint of a sum: a gauge makes a gauge, unknown makes unknown, contradiction too (reported). */
static enum nhist_reset common_hint(enum nhist_reset a, enum nhist_reset b, unsigned *trouble)
{
    if (a == b) {
        return a;
    }
    if (a == NHIST_GAUGE || b == NHIST_GAUGE) {
        return NHIST_GAUGE;
    }
    if (a != NHIST_UNKNOWN && b != NHIST_UNKNOWN) {
        *trouble |= HIST_RESET_CONFLICT;
    }
    return NHIST_UNKNOWN;
}

/* Empties the buckets that begin inside the zero bucket; their counts are in it already. */
static void clear_within_zero(struct hist_list *l, const struct nhist *h)
{
    for (uint32_t i = 0; i < l->n && hist_bound(l->idx[i] - 1, h->schema) < h->zero_threshold;
         i++) {
        l->count[i] = 0;
        l->comp[i] = 0;
    }
    hist_list_drop_empty(l);
}

/* Widens the zero bucket of the sum, or in thought that of the other, until they agree. The other's
 * count for that width is returned, *comp is what adding it up lost. */
static double reconcile_zero(struct hist_acc *s, const struct nhist *other, double *comp)
{
    double count = other->zero_count;
    double width = other->zero_threshold;
    while (s->h.zero_threshold > width || width > s->h.zero_threshold) {
        if (s->h.zero_threshold > width) {
            width = s->h.zero_threshold;
            *comp = 0;
            count = hist_wider_zero(other, NULL, NULL, &width, comp);
        }
        if (width > s->h.zero_threshold) {
            double wanted = width;
            s->h.zero_count =
                hist_wider_zero(&s->h, &s->pos, &s->neg, &wanted, s->kahan ? &s->zero_comp : NULL);
            s->h.zero_threshold = wanted;
            clear_within_zero(&s->pos, &s->h);
            clear_within_zero(&s->neg, &s->h);
        }
    }
    return count;
}

static void add_one(const struct hist_acc *s, double x, double *sum, double *comp)
{
    if (s->kahan) {
        kahan_inc(x, sum, comp);
    } else {
        *sum += x;
    }
}

/* Number of buckets of b from `from` on that l lacks. */
static uint32_t count_new(const struct hist_list *l, const struct hist_list *b, uint32_t from)
{
    uint32_t fresh = 0;
    uint32_t i = 0;
    for (uint32_t j = from; j < b->n; j++) {
        while (i < l->n && l->idx[i] < b->idx[j]) {
            i++;
        }
        fresh += i == l->n || l->idx[i] != b->idx[j];
    }
    return fresh;
}

static void put_bucket(struct hist_list *l, uint32_t at, int32_t idx, double count, double comp)
{
    l->idx[at] = idx;
    l->count[at] = count;
    l->comp[at] = comp;
}

/* Merges s->other into l, from the end so that it happens in place. Buckets of other that lie
 * within the zero bucket are left out: they are counted there. */
static bool merge_side(struct hist_acc *s, struct hist_list *l, bool negative)
{
    const struct hist_list *b = &s->other;
    uint32_t from = 0;
    if (!hist_custom(&s->h)) {
        while (from < b->n && hist_bound(b->idx[from], s->h.schema) <= s->h.zero_threshold) {
            from++;
        }
    }
    const uint32_t fresh = count_new(l, b, from);
    if (!hist_list_reserve(l, l->n + fresh, s->arena)) {
        return false;
    }
    uint32_t i = l->n;
    uint32_t j = b->n;
    uint32_t k = l->n + fresh;
    l->n += fresh;
    while (j > from) {
        ASSERT(k > 0);
        k--;
        const double count = negative ? -b->count[j - 1] : b->count[j - 1];
        const double comp = negative ? -b->comp[j - 1] : b->comp[j - 1];
        if (i > 0 && l->idx[i - 1] > b->idx[j - 1]) {
            i--;
            put_bucket(l, k, l->idx[i], l->count[i], l->comp[i]);
            continue;
        }
        j--;
        if (i > 0 && l->idx[i - 1] == b->idx[j]) {
            i--;
            put_bucket(l, k, l->idx[i], l->count[i], l->comp[i]);
            add_one(s, count, &l->count[k], &l->comp[k]);
            if (s->kahan && comp != 0) {
                kahan_inc(comp, &l->count[k], &l->comp[k]);
            }
        } else {
            put_bucket(l, k, b->idx[j], count, s->kahan ? comp : 0);
        }
    }
    return true;
}

/* The bounds in both, in the arena; *n may be 0. */
static double *common_bounds(const struct nhist *a, const struct nhist *b, uint32_t *n,
                             struct arena *m)
{
    double *out = ARENA_ARRAY(m, double, a->custom_n < b->custom_n ? a->custom_n : b->custom_n);
    *n = 0;
    uint32_t i = 0;
    uint32_t j = 0;
    while (out != NULL && i < a->custom_n && j < b->custom_n) {
        if (a->custom[i] == b->custom[j]) {
            out[*n] = a->custom[i];
            (*n)++;
            i++;
            j++;
        } else if (a->custom[i] < b->custom[j]) {
            i++;
        } else {
            j++;
        }
    }
    return out;
}

/* Adds the buckets of a list over `bounds` to the dense counts over the common bounds, each to the
 * first common bucket that ends at or after it. */
static void map_buckets(const struct hist_list *l, const struct nhist *bounds, double *target,
                        double *comp, const double *common, uint32_t common_n, bool negative)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t to = common_n;
        if (l->idx[i] < 0 || (uint32_t)l->idx[i] < bounds->custom_n) {
            const double upper = hist_upper(bounds, l->idx[i]);
            while (at < common_n && common[at] < upper) {
                at++;
            }
            to = at;
        }
        kahan_inc(negative ? -l->count[i] : l->count[i], &target[to], &comp[to]);
        kahan_inc(negative ? -l->comp[i] : l->comp[i], &target[to], &comp[to]);
    }
}

/* Custom bounds differ: both histograms are mapped to the common ones. */
static bool merge_custom(struct hist_acc *s, const struct nhist *other, bool negative)
{
    uint32_t n = 0;
    double *common = common_bounds(&s->h, other, &n, s->arena);
    double *target = ARENA_ARRAY(s->arena, double, (size_t)n + 1);
    double *comp = ARENA_ARRAY(s->arena, double, (size_t)n + 1);
    if (common == NULL || target == NULL || comp == NULL ||
        !hist_list_reserve(&s->pos, n + 1, s->arena)) {
        return false;
    }
    map_buckets(&s->pos, &s->h, target, comp, common, n, false);
    map_buckets(&s->other, other, target, comp, common, n, negative);
    s->pos.n = 0;
    for (uint32_t i = 0; i <= n; i++) {
        if (target[i] != 0 || comp[i] != 0) {
            put_bucket(&s->pos, s->pos.n, (int32_t)i, target[i], s->kahan ? comp[i] : 0);
            s->pos.n++;
        }
    }
    s->h.custom = common;
    s->h.custom_n = n;
    s->trouble |= HIST_BOUNDS_RECONCILED;
    return true;
}

static bool merge_sides(struct hist_acc *s, const struct nhist *other, bool negative)
{
    if (hist_custom(&s->h)) {
        if (!hist_list_load(&s->other, &other->pos, 0, s->kahan, s->arena)) {
            return false;
        }
        return hist_same_bounds(&s->h, other) ? merge_side(s, &s->pos, negative)
                                              : merge_custom(s, other, negative);
    }
    if (other->schema < s->h.schema) {
        hist_list_coarsen(&s->pos, s->h.schema - other->schema, s->kahan);
        hist_list_coarsen(&s->neg, s->h.schema - other->schema, s->kahan);
        s->h.schema = other->schema;
    }
    const int32_t down = other->schema - s->h.schema;
    return hist_list_load(&s->other, &other->pos, down, s->kahan, s->arena) &&
           merge_side(s, &s->pos, negative) &&
           hist_list_load(&s->other, &other->neg, down, s->kahan, s->arena) &&
           merge_side(s, &s->neg, negative);
}

static bool combine(struct hist_acc *s, const struct nhist *other, bool negative)
{
    if (hist_custom(&s->h) != hist_custom(other) || !hist_sound(&s->h) || !hist_sound(other)) {
        s->trouble |= HIST_INCOMPATIBLE_SCHEMA;
        return false;
    }
    s->h.reset = common_hint(s->h.reset, other->reset, &s->trouble);
    if (!hist_custom(&s->h)) {
        double lost = 0;
        const double zero = reconcile_zero(s, other, &lost);
        add_one(s, negative ? -zero : zero, &s->h.zero_count, &s->zero_comp);
        if (s->kahan) {
            kahan_inc(negative ? -lost : lost, &s->h.zero_count, &s->zero_comp);
        }
    }
    add_one(s, negative ? -other->count : other->count, &s->h.count, &s->count_comp);
    add_one(s, negative ? -other->sum : other->sum, &s->h.sum, &s->sum_comp);
    return merge_sides(s, other, negative);
}

bool hist_acc_add(struct hist_acc *s, const struct nhist *h)
{
    return combine(s, h, false);
}

bool hist_acc_sub(struct hist_acc *s, const struct nhist *h)
{
    return combine(s, h, true);
}

void hist_acc_compact(struct hist_acc *s)
{
    hist_list_drop_empty(&s->pos);
    hist_list_drop_empty(&s->neg);
}

/* The scalars and sides of s, without compensation, as a histogram of its own. */
static struct nhist *store(const struct hist_acc *s)
{
    struct nhist *out = ARENA_NEW(s->arena, struct nhist);
    if (out == NULL) {
        return NULL;
    }
    *out = s->h;
    if (!hist_list_store(&s->pos, &out->pos, s->arena) ||
        !hist_list_store(&s->neg, &out->neg, s->arena)) {
        return NULL;
    }
    if (s->h.custom_n > 0) {
        out->custom = ARENA_ARRAY(s->arena, double, s->h.custom_n);
        if (out->custom == NULL) {
            return NULL;
        }
        memcpy(out->custom, s->h.custom, s->h.custom_n * sizeof *out->custom);
    }
    return out;
}

static void add_comps(struct nhist_side *side, const struct hist_list *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        side->counts[i] += l->comp[i];
    }
}

struct nhist *hist_acc_value(const struct hist_acc *s)
{
    struct nhist *out = store(s);
    if (out != NULL && s->kahan) {
        out->zero_count += s->zero_comp;
        out->count += s->count_comp;
        out->sum += s->sum_comp;
        add_comps(&out->pos, &s->pos);
        add_comps(&out->neg, &s->neg);
    }
    return out;
}

static struct nhist *of_two(const struct nhist *a, const struct nhist *b, bool negative,
                            struct arena *m, unsigned *trouble)
{
    struct hist_acc s;
    const bool ok = hist_acc_init(&s, a, false, m) && combine(&s, b, negative);
    *trouble |= s.trouble;
    return ok ? store(&s) : NULL;
}

struct nhist *hist_add(const struct nhist *a, const struct nhist *b, struct arena *m,
                       unsigned *trouble)
{
    return of_two(a, b, false, m, trouble);
}

struct nhist *hist_sub(const struct nhist *a, const struct nhist *b, struct arena *m,
                       unsigned *trouble)
{
    return of_two(a, b, true, m, trouble);
}

/* The compensation of a sum as a histogram with the sum's buckets, and back. */
static struct nhist *store_comp(const struct hist_acc *s)
{
    struct hist_acc c = *s;
    c.h.zero_count = s->zero_comp;
    c.h.count = s->count_comp;
    c.h.sum = s->sum_comp;
    c.pos.count = s->pos.comp;
    c.neg.count = s->neg.comp;
    return store(&c);
}

static void load_comp(struct hist_list *l, const struct nhist_side *comp)
{
    struct hist_walk w = hist_walk_of(comp);
    int32_t idx = 0;
    double count = 0;
    uint32_t i = 0;
    while (hist_walk_next(&w, &idx, &count)) {
        while (i < l->n && l->idx[i] < idx) {
            i++;
        }
        if (i < l->n && l->idx[i] == idx) {
            l->comp[i] = count;
        }
    }
}

struct nhist *hist_add_kahan(const struct nhist *sum, struct nhist **comp, const struct nhist *b,
                             struct arena *m, unsigned *trouble)
{
    struct hist_acc s;
    bool ok = hist_acc_init(&s, sum, true, m);
    if (ok && *comp != NULL) {
        s.zero_comp = (*comp)->zero_count;
        s.count_comp = (*comp)->count;
        s.sum_comp = (*comp)->sum;
        load_comp(&s.pos, &(*comp)->pos);
        load_comp(&s.neg, &(*comp)->neg);
    }
    ok = ok && combine(&s, b, false);
    *trouble |= s.trouble;
    struct nhist *new_comp = ok ? store_comp(&s) : NULL;
    struct nhist *out = new_comp != NULL ? store(&s) : NULL;
    if (out != NULL) {
        *comp = new_comp;
    }
    return out;
}
