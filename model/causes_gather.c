/* What a question for causes is about: sums per value of every dimension on both sides, and a leaf
 * per missed fraud.
 *
 * Cohorts hold decisions by single dimensions, so that of all decisions (hold rate) there are no
 * combinations. Labels carry all dimensions of their decision, so that of frauds there are.
 *
 * Values are numbered in the order of their text, not in that of a shard: the engine then sees the
 * same leaves in the same order whatever the number of shards. */
#include "model/causes_int.h"

#include <stdlib.h>

/* Numbers of a shard's values in the answer. */
struct numbers {
    uint16_t *of[RECORD_DIMS_MAX];
};

/* One side of the question. */
struct side {
    enum model_side side;
    int32_t day_from, day_to;
    struct model_query query; /* what labels count */
};

static int str_sort(const void *a, const void *b)
{
    const struct str *x = a;
    const struct str *y = b;
    return str_cmp(*x, *y);
}

/* All shards' values of a dimension, sorted, each once. More than the engine numbers: the last are
 * "other". */
static bool collect_values(void *const *states, uint32_t n, uint32_t dim, struct model_causes *c)
{
    size_t all = MODEL_CAUSES_FIRST;
    for (uint32_t k = 0; k < n; k++) {
        all += model_names_count(&model_shard_of(states, k)->names, dim + 1) - MODEL_NAME_FIRST;
    }
    struct model_causes_dim *d = &c->dims[dim];
    d->values = ARENA_ARRAY(c->a, struct str, all);
    if (d->values == NULL) {
        return false;
    }
    d->values[MODEL_CAUSES_OTHER] = STR("other");
    uint32_t count = MODEL_CAUSES_FIRST;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_names *names = &model_shard_of(states, k)->names;
        for (uint32_t id = MODEL_NAME_FIRST; id < model_names_count(names, dim + 1); id++) {
            d->values[count++] = model_names_str(names, dim + 1, (uint16_t)id);
        }
    }
    qsort(d->values + MODEL_CAUSES_FIRST, count - MODEL_CAUSES_FIRST, sizeof *d->values, str_sort);
    d->count = MODEL_CAUSES_FIRST;
    for (uint32_t i = MODEL_CAUSES_FIRST; i < count && d->count < ROOTCAUSE_VALUES_MAX; i++) {
        if (d->count == MODEL_CAUSES_FIRST || !str_eq(d->values[d->count - 1], d->values[i])) {
            d->values[d->count++] = d->values[i];
        }
    }
    for (uint32_t s = 0; s < MODEL_SIDES; s++) {
        d->sums[s] = ARENA_ARRAY(c->a, struct model_segment_sum, d->count);
        if (d->sums[s] == NULL) {
            return false;
        }
    }
    return true;
}

static uint16_t number_of(const struct model_causes_dim *d, struct str value)
{
    const struct str *at = bsearch(&value, d->values + MODEL_CAUSES_FIRST,
                                   d->count - MODEL_CAUSES_FIRST, sizeof value, str_sort);
    return at == NULL ? MODEL_CAUSES_OTHER : (uint16_t)(at - d->values);
}

static bool number_values(const struct model_shard *s, const struct model_causes *c,
                          struct numbers *out)
{
    for (uint32_t dim = 0; dim < c->dims_count; dim++) {
        uint32_t count = model_names_count(&s->names, dim + 1);
        out->of[dim] = ARENA_ARRAY(c->a, uint16_t, count);
        if (out->of[dim] == NULL) {
            return false;
        }
        out->of[dim][MODEL_NAME_NONE] = MODEL_CAUSES_MISSING;
        out->of[dim][MODEL_NAME_OTHER] = MODEL_CAUSES_OTHER;
        for (uint32_t id = MODEL_NAME_FIRST; id < count; id++) {
            out->of[dim][id] =
                number_of(&c->dims[dim], model_names_str(&s->names, dim + 1, (uint16_t)id));
        }
    }
    return true;
}

static void add_cohorts(const struct model *m, const struct model_shard *s,
                        const struct numbers *numbers, const struct side *side,
                        struct model_causes *c)
{
    const struct model_filter f = model_filter_of(m, s, &side->query);
    for (size_t i = 0; i < s->cohorts.cap && !f.none; i++) {
        const struct model_cohort *from = s->cohorts.slots[i];
        if (from == NULL || from->day < side->day_from || from->day > side->day_to ||
            from->version < f.version_from || from->version > f.version_to ||
            from->dim > c->dims_count) {
            continue;
        }
        struct model_segment_sum *to =
            from->dim == MODEL_ALL_DIM
                ? &c->all[side->side]
                : &c->dims[from->dim - 1].sums[side->side][numbers->of[from->dim - 1][from->value]];
        to->n += from->base.n;
        for (uint32_t v = 0; v < VERDICTS; v++) {
            to->held += model_is_positive(m->c, v) ? from->base.verdicts[v] : 0;
        }
    }
}

static void add_missed(struct model_segment_sum *to, int64_t amount_centavos)
{
    to->missed++;
    to->missed_amount += amount_centavos;
}

/* Calls for every missed fraud of a side; fills leaves when c->cube.leaves is there. */
static void add_frauds(const struct model *m, const struct model_shard *s,
                       const struct numbers *numbers, const struct side *side,
                       struct model_causes *c)
{
    const struct model_filter f = model_filter_of(m, s, &side->query);
    for (uint32_t d = 0; d < s->labels.days_count; d++) {
        const struct model_day *day = &s->labels.days[d];
        if (day->day < side->day_from || day->day > side->day_to) {
            continue;
        }
        int64_t horizon_ns = model_horizon(&f, day->day);
        for (uint32_t i = day->labels_first; i != MODEL_NIL; i = s->labels.v[i].next_of_day) {
            const struct model_label *l = &s->labels.v[i];
            if (!l->newest || !model_filter_takes(&f, l) || model_is_positive(m->c, l->verdict) ||
                model_labels_truth(&s->labels, l, horizon_ns) != TRUTH_FRAUD) {
                continue;
            }
            int64_t amount = l->amount_centavos == AMOUNT_NONE ? 0 : l->amount_centavos;
            if (c->cube.leaves == NULL) {
                c->frauds++;
                add_missed(&c->all[side->side], amount);
                for (uint32_t k = 0; k < c->dims_count; k++) {
                    add_missed(&c->dims[k].sums[side->side][numbers->of[k][l->dims[k]]], amount);
                }
                continue;
            }
            ASSERT(c->cube.leaves_count < c->frauds);
            struct rootcause_leaf *leaf = &c->cube.leaves[c->cube.leaves_count++];
            double size = c->q.figure == MODEL_CAUSES_LOSS ? (double)amount : 1;
            *(side->side == MODEL_NOW ? &leaf->now : &leaf->before) = size;
            for (uint32_t k = 0; k < c->dims_count; k++) {
                leaf->values[k] = numbers->of[k][l->dims[k]];
            }
        }
    }
}

/* What no value was given for. */
static void add_missing(struct model_causes *c)
{
    for (uint32_t d = 0; d < c->dims_count; d++) {
        for (uint32_t s = 0; s < MODEL_SIDES; s++) {
            struct model_segment_sum rest = c->all[s];
            for (uint32_t i = MODEL_CAUSES_MISSING + 1; i < c->dims[d].count; i++) {
                const struct model_segment_sum *v = &c->dims[d].sums[s][i];
                rest.n -= v->n < rest.n ? v->n : rest.n;
                rest.held -= v->held < rest.held ? v->held : rest.held;
            }
            c->dims[d].sums[s][MODEL_CAUSES_MISSING].n = rest.n;
            c->dims[d].sums[s][MODEL_CAUSES_MISSING].held = rest.held;
        }
    }
}

static int day_sort(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* Days of the side that have decisions, over all shards. */
static bool count_days(const struct model *m, void *const *states, uint32_t n,
                       const struct side *side, struct model_causes *c)
{
    size_t all = 0;
    for (uint32_t k = 0; k < n; k++) {
        all += model_shard_of(states, k)->cohorts.count;
    }
    int32_t *days = ARENA_ARRAY(c->a, int32_t, all);
    if (days == NULL) {
        return false;
    }
    size_t count = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_shard *s = model_shard_of(states, k);
        const struct model_filter f = model_filter_of(m, s, &side->query);
        for (size_t i = 0; i < s->cohorts.cap && !f.none; i++) {
            const struct model_cohort *h = s->cohorts.slots[i];
            if (h != NULL && h->dim == MODEL_ALL_DIM && h->day >= side->day_from &&
                h->day <= side->day_to && h->version >= f.version_from &&
                h->version <= f.version_to && h->base.n > 0) {
                days[count++] = h->day;
            }
        }
    }
    qsort(days, count, sizeof *days, day_sort);
    for (size_t i = 0; i < count; i++) {
        c->days[side->side] += i == 0 || days[i] != days[i - 1];
    }
    return true;
}

/* What is not said: the newest day, against the 14 before it, labels at the age it has. */
static void complete(const struct model *m, void *const *states, uint32_t n,
                     struct model_causes_query *q)
{
    if (q->day_from == INT32_MIN) {
        int32_t newest = model_day_newest(states, n);
        q->day_from = q->day_to = newest == INT32_MIN ? 0 : newest;
    }
    if (q->against_from == INT32_MIN) {
        q->against_to = q->day_from - 1;
        q->against_from = q->day_from - MODEL_CAUSES_AGAINST_DAYS;
    }
    if (q->age_ns < 0) {
        const struct model_query all = {.as_of_ns = T_NS_NONE};
        int64_t age = 0;
        bool past =
            model_day_sane(q->day_to) && !__builtin_sub_overflow(model_known_ns(m, states, n, &all),
                                                                 ns_from_day(q->day_to + 1), &age);
        q->age_ns = past && age > 0 ? age : 0;
    }
}

/* Before and now vary by what a single case weighs: exact, so that shards do not matter. */
static double unit_of(const struct model_causes *c)
{
    if (c->q.figure != MODEL_CAUSES_LOSS) {
        return 1;
    }
    u128 sum = 0;
    u128 squares = 0;
    for (uint32_t i = 0; i < c->cube.leaves_count; i++) {
        /* One of them is 0; both are whole, at most RECORD_AMOUNT_MAX. */
        u128 amount = (u128)(c->cube.leaves[i].before + c->cube.leaves[i].now);
        sum += amount;
        squares += amount * amount;
    }
    return sum > 0 ? (double)squares / (double)sum : 1;
}

static bool make_leaves(const struct model *m, void *const *states, uint32_t n,
                        const struct numbers *numbers, const struct side *sides,
                        struct model_causes *c)
{
    c->leaves = c->q.figure != MODEL_CAUSES_HOLD_RATE && c->frauds > 0 &&
                c->frauds <= ROOTCAUSE_LEAVES_MAX && c->days[MODEL_BEFORE] > 0 &&
                c->days[MODEL_NOW] > 0;
    if (!c->leaves) {
        return true;
    }
    c->cube.leaves = ARENA_ARRAY(c->a, struct rootcause_leaf, c->frauds);
    if (c->cube.leaves == NULL) {
        return false;
    }
    for (uint32_t s = 0; s < MODEL_SIDES; s++) {
        for (uint32_t k = 0; k < n; k++) {
            add_frauds(m, model_shard_of(states, k), &numbers[k], &sides[s], c);
        }
    }
    c->cube.dims_count = c->dims_count;
    c->cube.scale = (double)c->days[MODEL_NOW] / c->days[MODEL_BEFORE];
    c->cube.unit = unit_of(c);
    rootcause_leaves_merge(&c->cube);
    return true;
}

bool model_causes_gather(struct model *m, void *const *states, uint32_t n, struct model_causes *c)
{
    complete(m, states, n, &c->q);
    const struct model_query query = {
        .as_of_ns = T_NS_NONE, .age_ns = c->q.age_ns, .version = c->q.version};
    const struct side sides[MODEL_SIDES] = {
        {MODEL_BEFORE, c->q.against_from, c->q.against_to, query},
        {MODEL_NOW, c->q.day_from, c->q.day_to, query}};
    c->dims_count = (uint32_t)size_min(m->c->segments.count, RECORD_DIMS_MAX);
    for (uint32_t d = 0; d < c->dims_count; d++) {
        if (!collect_values(states, n, d, c)) {
            return false;
        }
    }
    struct numbers *numbers = ARENA_ARRAY(c->a, struct numbers, n);
    for (uint32_t k = 0; k < n; k++) {
        if (numbers == NULL || !number_values(model_shard_of(states, k), c, &numbers[k])) {
            return false;
        }
        for (uint32_t s = 0; s < MODEL_SIDES; s++) {
            add_cohorts(m, model_shard_of(states, k), &numbers[k], &sides[s], c);
            add_frauds(m, model_shard_of(states, k), &numbers[k], &sides[s], c);
        }
    }
    add_missing(c);
    return count_days(m, states, n, &sides[MODEL_BEFORE], c) &&
           count_days(m, states, n, &sides[MODEL_NOW], c) &&
           make_leaves(m, states, n, numbers, sides, c);
}
