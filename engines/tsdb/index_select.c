/* Selectors: matchers to series ids.
 *
 * A matcher that does not match the empty value wants a pair out of a set; one that does match it
 * forbids a pair out of a set (an absent label is an empty value). So each becomes a test on the
 * pairs of a series:
 *
 *     job="a"     wants   job=a              job!=""     wants   any job
 *     job!="a"    forbids job=a              job=""      forbids any job
 *     job=~"a|b"  wants   job=a or job=b     job=~"a|"   forbids any job but a
 *     job!~"a|b"  forbids job=a and job=b    job!~"a|"   wants   any job but a
 *
 * The wanted set with the fewest ids gives the candidates, and one pass over each candidate's list
 * (which is a cache line, read in order of ids) does all other tests: a set of many pairs is a
 * bitmap over pair ids, so a test costs one look per label whatever the matcher was. */
#include "engines/tsdb/index_core_int.h"

#define MATCHERS_MAX 1024 /* of one selector; a bound against nonsense, not a goal */

struct test {
    uint32_t pair;  /* not 0: the set is this one */
    uint64_t *bits; /* else by pair id */
    uint32_t name;  /* of all in the set */
    bool want;
    uint64_t cost; /* ids in the postings of the set */
};

struct selection {
    const struct index *x;
    struct arena *a;
    struct test *tests;
    uint32_t tests_n;
    bool none; /* something wanted does not exist */
};

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "selecting series needs more memory than the query may use");
}

static uint64_t *bits_take(struct arena *a, uint32_t n)
{
    return ARENA_ARRAY(a, uint64_t, (size_t)n / 64 + 1);
}

static bool bit_get(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void bit_flip(uint64_t *bits, uint32_t i)
{
    bits[i / 64] ^= UINT64_C(1) << (i % 64);
}

/* The pairs of `name` in v[0..n), or all others of its values. */
struct pair_set {
    uint32_t name;
    const uint32_t *v;
    uint32_t n;
    bool complement;
};

static bool set_build(struct selection *s, const struct pair_set *set, struct test *t,
                      struct err *e)
{
    const struct name *name = index_name_at(s->x, set->name);
    t->name = set->name;
    if (!set->complement && set->n == 1) {
        t->pair = set->v[0];
        t->cost = index_pair_at(s->x, t->pair)->n;
        return true;
    }
    t->bits = bits_take(s->a, s->x->pairs_end);
    if (t->bits == NULL) {
        return no_memory(e);
    }
    for (uint32_t i = 0; set->complement && i < name->values_n; i++) {
        bit_flip(t->bits, name->values[i]);
    }
    for (uint32_t i = 0; i < set->n; i++) {
        bit_flip(t->bits, set->v[i]);
        t->cost += index_pair_at(s->x, set->v[i])->n;
    }
    if (set->complement) {
        t->cost = name->series - t->cost;
    }
    return true;
}

/* Adds the test unless it says nothing: all or none is in the set. */
static bool test_add(struct selection *s, bool want, const struct pair_set *set, struct err *e)
{
    bool empty = set->name == 0;
    if (!empty) {
        const struct name *name = index_name_at(s->x, set->name);
        empty = set->n == (set->complement ? name->values_n : 0);
        bool all = set->complement && set->n == 0;
        if (want && all && name->series == s->x->count) {
            return true;
        }
    }
    if (empty) {
        s->none = s->none || want;
        return true;
    }
    struct test *t = &s->tests[s->tests_n++];
    *t = (struct test){.want = want};
    return set_build(s, set, t, e);
}

static bool matcher_add(struct index *x, struct selection *s, const struct matcher *m,
                        struct err *e)
{
    bool negative = m->op == MATCH_NE || m->op == MATCH_NRE;
    struct pair_set set = {.name = index_name_find(x, m->name)};
    struct regex_pairs found = {0};
    uint32_t pair = 0;
    bool empty_in; /* is the empty value among those named? */
    if (m->op == MATCH_EQ || m->op == MATCH_NE) {
        empty_in = m->value.n == 0;
        pair = set.name != 0 && !empty_in ? index_pair_find(x, set.name, m->value) : 0;
        set.v = &pair;
        set.n = pair != 0;
    } else {
        if (!index_regex_pairs(x, set.name, m->value, &found, e)) {
            return false;
        }
        empty_in = found.matches_empty;
        set.v = found.v;
        set.n = found.n;
    }
    bool want = empty_in == negative;
    set.complement = want == negative;
    bool ok = test_add(s, want, &set, e);
    index_regex_release(x, &found);
    return ok;
}

/* Candidates: ids of one test's set, or all; exact, ascending. */
struct candidates {
    uint32_t *v;
    uint32_t n;
};

static bool bits_to_ids(const uint64_t *bits, uint32_t end, uint64_t n_max, struct arena *a,
                        struct candidates *out)
{
    out->v = ARENA_ARRAY(a, uint32_t, (size_t)n_max + 1);
    if (out->v == NULL) {
        return false;
    }
    for (uint32_t w = 0; w <= end / 64; w++) {
        for (uint64_t left = bits[w]; left != 0; left &= left - 1) {
            out->v[out->n++] = w * 64 + (uint32_t)__builtin_ctzll(left);
        }
    }
    ASSERT(out->n <= n_max);
    return true;
}

static bool candidates_of_set(const struct selection *s, const struct test *t,
                              struct candidates *out)
{
    if (t->pair != 0) {
        const struct pair *p = index_pair_at(s->x, t->pair);
        out->v = ARENA_ARRAY(s->a, uint32_t, (size_t)p->n + 1);
        if (out->v == NULL) {
            return false;
        }
        index_post_read(p, out->v);
        out->n = p->n;
        return true;
    }
    uint64_t *marks = bits_take(s->a, s->x->series_end);
    if (marks == NULL) {
        return false;
    }
    const struct name *name = index_name_at(s->x, t->name);
    for (uint32_t i = 0; i < name->values_n; i++) {
        if (bit_get(t->bits, name->values[i])) {
            index_post_mark(index_pair_at(s->x, name->values[i]), marks);
        }
    }
    return bits_to_ids(marks, s->x->series_end, t->cost, s->a, out);
}

static bool candidates_all(const struct selection *s, struct candidates *out)
{
    uint32_t end = s->x->series_end;
    out->v = ARENA_ARRAY(s->a, uint32_t, (size_t)s->x->count + 1);
    if (out->v == NULL) {
        return false;
    }
    for (uint32_t ref = 1; ref < end; ref++) {
        if (index_series_at(s->x, ref)->state == SERIES_LIVE) {
            out->v[out->n++] = ref;
        }
    }
    ASSERT(out->n == s->x->count);
    return true;
}

static bool list_has(const struct test *t, const uint32_t *list, uint32_t n)
{
    if (t->pair != 0) {
        for (uint32_t i = 0; i < n; i++) {
            if (list[i] == t->pair) {
                return true;
            }
        }
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (bit_get(t->bits, list[i])) {
            return true;
        }
    }
    return false;
}

static bool passes(const struct selection *s, uint32_t ref)
{
    const struct series *series = index_series_at(s->x, ref);
    for (uint32_t i = 0; i < s->tests_n; i++) {
        if (list_has(&s->tests[i], series->u.list, series->n) != s->tests[i].want) {
            return false;
        }
    }
    return true;
}

/* Fills the candidates from the cheapest wanted set, whose test is then done. */
static bool candidates_make(struct selection *s, struct candidates *out)
{
    uint32_t best = s->tests_n;
    for (uint32_t i = 0; i < s->tests_n; i++) {
        if (s->tests[i].want && (best == s->tests_n || s->tests[i].cost < s->tests[best].cost)) {
            best = i;
        }
    }
    if (best == s->tests_n) {
        return candidates_all(s, out);
    }
    struct test t = s->tests[best];
    s->tests[best] = s->tests[--s->tests_n];
    return candidates_of_set(s, &t, out);
}

bool index_select_locked(struct index *x, const struct matcher *m, uint32_t m_n,
                         bool (*keep)(void *ctx, uint32_t ref), void *ctx, uint32_t series_max,
                         struct arena *a, uint32_t **ids, uint32_t *n, struct err *e)
{
    *ids = NULL;
    *n = 0;
    if (m_n > MATCHERS_MAX) {
        return err_set(e, ERR_LIMIT, "a selector of %u matchers, at most %d", m_n, MATCHERS_MAX);
    }
    struct selection s = {.x = x, .a = a};
    s.tests = ARENA_ARRAY(a, struct test, (size_t)m_n + 1);
    if (s.tests == NULL) {
        return no_memory(e);
    }
    /* Every matcher is looked at, so that a bad expression is told whatever the data. */
    for (uint32_t i = 0; i < m_n; i++) {
        if (!matcher_add(x, &s, &m[i], e)) {
            return false;
        }
    }
    struct candidates c = {0};
    if (s.none) {
        return true;
    }
    if (!candidates_make(&s, &c)) {
        return no_memory(e);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c.n; i++) {
        uint32_t ref = c.v[i];
        if (!passes(&s, ref) || (keep != NULL && !keep(ctx, ref))) {
            continue;
        }
        if (series_max != 0 && kept == series_max) {
            return err_set(e, ERR_LIMIT, "the selector matches more than %u series", series_max);
        }
        c.v[kept++] = ref;
    }
    *ids = c.v;
    *n = kept;
    return true;
}

bool index_select(struct index *x, const struct matcher *m, uint32_t m_n,
                  bool (*keep)(void *ctx, uint32_t ref), void *ctx, uint32_t series_max,
                  struct arena *a, uint32_t **ids, uint32_t *n, struct err *e)
{
    index_lock_shared(x);
    bool ok = index_select_locked(x, m, m_n, keep, ctx, series_max, a, ids, n, e);
    index_unlock(x);
    return ok;
}
