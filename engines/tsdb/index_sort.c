/* Sorting series by labels.
 *
 * Series of one selector mostly agree in their first labels (the metric's name comes early) and
 * differ in one or two. So the ids are sorted label by label, most significant first: all keys of
 * one label are fetched and sorted (by radix when there are many), and each run of equal keys goes
 * on to the next label; labels that all agree in are stepped over by comparing ids. A key is the
 * rank of the name and the rank of the value; the end of a list is 0, so a prefix sorts first.
 *
 * The keys come from malloc, 64 bytes per id for the time of the call: a sort is a reader's, and
 * the index' struct mem is the writers'. Without that memory the sort is by text.
 *
 * Measured by bench/index.c. Source: McIlroy, Bostic, McIlroy, Engineering Radix Sort, 1993 (the
 * idea of sorting by position); the keys are ours. */
#include "engines/tsdb/index_core_int.h"

#include <stdlib.h>

#define RADIX_MIN   192 /* below, insertion or heap sort wins; any value from 100 to 400 does */
#define INSERT_MAX  12
#define RADIX_BITS  8
#define RADIX_SLOTS (1 << RADIX_BITS)

struct key {
    uint64_t rank;
    const uint32_t *list, *end; /* what is left of the series' labels */
    uint32_t ref;
};

static uint64_t key_rank(const struct index *x, const uint32_t *list, const uint32_t *end)
{
    if (list == end) {
        return 0;
    }
    const struct pair *p = index_pair_at(x, *list);
    return (uint64_t)index_name_at(x, p->name)->rank << 32 | p->rank;
}

/* By all that is left of the labels. Most of it is equal pairs, which need no rank. */
static int key_cmp(const struct index *x, const struct key *a, const struct key *b)
{
    const uint32_t *p = a->list;
    const uint32_t *q = b->list;
    while (p < a->end && q < b->end && *p == *q) {
        p++;
        q++;
    }
    uint64_t r = key_rank(x, p, a->end);
    uint64_t s = key_rank(x, q, b->end);
    return (r > s) - (r < s);
}

static void insert_sort(const struct index *x, struct key *v, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct key k = v[i];
        uint32_t j = i;
        for (; j > 0 && key_cmp(x, &v[j - 1], &k) > 0; j--) {
            v[j] = v[j - 1];
        }
        v[j] = k;
    }
}

static int rank_order(const void *a, const void *b)
{
    uint64_t x = ((const struct key *)a)->rank;
    uint64_t y = ((const struct key *)b)->rank;
    return (x > y) - (x < y);
}

/* Stable passes over the digits in which the keys differ at all. */
static void radix_sort(struct key *v, struct key *tmp, uint32_t n, uint64_t differ)
{
    uint32_t counts[RADIX_SLOTS];
    struct key *from = v;
    struct key *to = tmp;
    for (unsigned shift = 0; shift < 64; shift += RADIX_BITS) {
        if ((differ >> shift & (RADIX_SLOTS - 1)) == 0) {
            continue;
        }
        memset(counts, 0, sizeof counts);
        for (uint32_t i = 0; i < n; i++) {
            counts[from[i].rank >> shift & (RADIX_SLOTS - 1)]++;
        }
        uint32_t sum = 0;
        for (uint32_t i = 0; i < RADIX_SLOTS; i++) {
            uint32_t c = counts[i];
            counts[i] = sum;
            sum += c;
        }
        for (uint32_t i = 0; i < n; i++) {
            to[counts[from[i].rank >> shift & (RADIX_SLOTS - 1)]++] = from[i];
        }
        struct key *swap = from;
        from = to;
        to = swap;
    }
    if (from != v) {
        memcpy(v, from, n * sizeof *v);
    }
}

/* Steps over labels that all have; false: nothing is left, the ids are the same one. */
static bool skip_equal(struct key *v, uint32_t n)
{
    for (;;) {
        if (v[0].list == v[0].end) {
            return false;
        }
        uint32_t pair = *v[0].list;
        for (uint32_t i = 1; i < n; i++) {
            if (v[i].list == v[i].end || *v[i].list != pair) {
                return true;
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            v[i].list++;
        }
    }
}

/* Sorts by the next label that differs, and goes on inside runs of equals. depth is bounded by the
 * number of labels of a series: each step takes one off at least. */
static void group_sort(const struct index *x, struct key *v, struct key *tmp, uint32_t n,
                       uint32_t depth)
{
    ASSERT(depth <= LABELS_COUNT_MAX);
    if (n <= INSERT_MAX) {
        insert_sort(x, v, n);
        return;
    }
    if (!skip_equal(v, n)) {
        return;
    }
    uint64_t differ = 0;
    for (uint32_t i = 0; i < n; i++) {
        v[i].rank = key_rank(x, v[i].list, v[i].end);
        v[i].list += v[i].list != v[i].end;
        differ |= v[i].rank ^ v[0].rank;
    }
    if (n < RADIX_MIN) {
        qsort(v, n, sizeof *v, rank_order);
    } else {
        radix_sort(v, tmp, n, differ);
    }
    for (uint32_t i = 0; i < n;) {
        uint32_t from = i;
        while (i < n && v[i].rank == v[from].rank) {
            i++;
        }
        if (i - from > 1 && v[from].rank != 0) {
            group_sort(x, v + from, tmp, i - from, depth + 1);
        }
    }
}

/* lock: shared, all ranked */
static bool sort_ranked(const struct index *x, uint32_t *ids, uint32_t n)
{
    struct key *v = malloc((size_t)n * 2 * sizeof *v);
    if (v == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t count;
        const uint32_t *list = index_pairs(x, ids[i], &count);
        v[i] = (struct key){.list = list, .end = list + count, .ref = ids[i]};
    }
    group_sort(x, v, v + n, n, 0);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = v[i].ref;
    }
    free(v);
    return true;
}

int index_cmp(const struct index *x, uint32_t a, uint32_t b)
{
    uint32_t a_n;
    uint32_t b_n;
    const uint32_t *ap = index_pairs(x, a, &a_n);
    const uint32_t *bp = index_pairs(x, b, &b_n);
    for (uint32_t i = 0; i < a_n && i < b_n; i++) {
        if (ap[i] == bp[i]) {
            continue;
        }
        struct label l = index_pair(x, ap[i]);
        struct label r = index_pair(x, bp[i]);
        int c = str_cmp(l.name, r.name);
        return c != 0 ? c : str_cmp(l.value, r.value);
    }
    return (a_n > b_n) - (a_n < b_n);
}

static int id_order(const void *a, const void *b, void *x)
{
    return index_cmp(x, *(const uint32_t *)a, *(const uint32_t *)b);
}

void index_sort(struct index *x, uint32_t *ids, uint32_t n)
{
    if (n < 2) {
        return;
    }
    bool ok = index_lock_ranked(x) && sort_ranked(x, ids, n);
    index_unlock(x);
    if (!ok) {
        /* No memory, or new series came in all the time: by text. */
        qsort_r(ids, n, sizeof *ids, id_order, x);
    }
}
