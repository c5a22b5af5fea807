/* Exemplars: traces that stand for a sample, the newest exemplars_max of them in a ring.
 *
 * They are in the log too, and come back from it after a restart as far as it reaches: a flush does
 * not keep them. A ring entry owns its labels as one block of text. Few are written and fewer are
 * read, so one lock does. */
#include "engines/tsdb/exemplar_int.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define EXEMPLAR_LABELS_BYTES_MAX ((size_t)64 << 10)

struct entry {
    uint64_t epoch;
    uint32_t ref; /* 0 = empty */
    uint32_t labels_n;
    int64_t t_ms;
    double v;
    struct label *labels; /* owns: the array, then the texts */
    size_t bytes;
};

struct exemplars {
    pthread_mutex_t mu;
    struct mem mem;
    struct entry *ring;
    uint32_t max, next;
};

bool exemplars_new(struct exemplars **out, uint32_t max, struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct exemplars *x = mem_take(&m, sizeof *x);
    struct entry *ring = mem_take(&m, (size_t)max * sizeof *ring);
    if (x == NULL || ring == NULL) {
        mem_give(&m, x, sizeof *x);
        mem_give(&m, ring, (size_t)max * sizeof *ring);
        return err_set(e, ERR_NOMEM, "no memory for %u exemplars", max);
    }
    x->mem = m;
    x->ring = ring;
    x->max = max;
    int rc = pthread_mutex_init(&x->mu, NULL);
    ASSERT(rc == 0);
    *out = x;
    return true;
}

static void entry_clear(struct exemplars *x, struct entry *en)
{
    mem_give(&x->mem, en->labels, en->bytes);
    *en = (struct entry){.ref = 0};
}

void exemplars_free(struct exemplars *x)
{
    if (x == NULL) {
        return;
    }
    for (uint32_t i = 0; i < x->max; i++) {
        entry_clear(x, &x->ring[i]);
    }
    mem_give(&x->mem, x->ring, (size_t)x->max * sizeof *x->ring);
    pthread_mutex_destroy(&x->mu);
    struct mem m = x->mem;
    mem_give(&m, x, sizeof *x);
    ASSERT(m.bytes == 0);
}

void exemplars_max(struct exemplars *x, uint32_t max)
{
    pthread_mutex_lock(&x->mu);
    struct entry *ring = max != x->max ? mem_take(&x->mem, (size_t)max * sizeof *ring) : NULL;
    if (ring != NULL) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < x->max; i++) {
            /* Oldest first; those that will not fit go. */
            struct entry *en = &x->ring[(x->next + i) % x->max];
            if (x->max - i > max) {
                entry_clear(x, en);
            } else {
                ring[kept++] = *en;
            }
        }
        mem_give(&x->mem, x->ring, (size_t)x->max * sizeof *x->ring);
        x->ring = ring;
        x->max = max;
        x->next = max > 0 ? kept % max : 0;
    }
    pthread_mutex_unlock(&x->mu);
}

bool exemplars_wanted(struct exemplars *x)
{
    pthread_mutex_lock(&x->mu);
    bool wanted = x->max > 0;
    pthread_mutex_unlock(&x->mu);
    return wanted;
}

static bool labels_keep(struct exemplars *x, struct labels ls, struct entry *en)
{
    size_t bytes = ls.n * sizeof *ls.v;
    for (uint32_t i = 0; i < ls.n; i++) {
        bytes += ls.v[i].name.n + ls.v[i].value.n;
    }
    if (bytes > EXEMPLAR_LABELS_BYTES_MAX) {
        return false;
    }
    en->labels = mem_take(&x->mem, bytes);
    if (en->labels == NULL) {
        return false;
    }
    en->bytes = bytes;
    en->labels_n = ls.n;
    char *p = (char *)(en->labels + ls.n);
    for (uint32_t i = 0; i < ls.n; i++) {
        struct str from[2] = {ls.v[i].name, ls.v[i].value};
        struct str *to[2] = {&en->labels[i].name, &en->labels[i].value};
        for (int k = 0; k < 2; k++) {
            if (from[k].n > 0) {
                memcpy(p, from[k].p, from[k].n);
            }
            *to[k] = str_of(p, from[k].n);
            p += from[k].n;
        }
    }
    return true;
}

static bool repeats(const struct entry *en, const struct tsdb_exemplar *one)
{
    return en->ref == one->ref && en->t_ms == one->t_ms &&
           memcmp(&en->v, &one->v, sizeof en->v) == 0 &&
           labels_eq((struct labels){en->labels, en->labels_n}, one->labels);
}

bool exemplars_add(struct exemplars *x, uint64_t epoch, const struct tsdb_exemplar *one)
{
    pthread_mutex_lock(&x->mu);
    bool ok = x->max > 0;
    bool known = false;
    /* A sender repeats an exemplar until it has a newer one; those come close together. */
    uint32_t back = x->max < 64 ? x->max : 64;
    for (uint32_t i = 1; ok && i <= back && !known; i++) {
        known = repeats(&x->ring[(x->next + x->max - i) % x->max], one);
    }
    struct entry en = {.epoch = epoch, .ref = one->ref, .t_ms = one->t_ms, .v = one->v};
    if (ok && !known) {
        ok = labels_keep(x, one->labels, &en);
        if (ok) {
            entry_clear(x, &x->ring[x->next]);
            x->ring[x->next] = en;
            x->next = (x->next + 1) % x->max;
        }
    }
    pthread_mutex_unlock(&x->mu);
    return ok;
}

static int by_series(const void *a, const void *b)
{
    const struct tsdb_exemplar *x = a;
    const struct tsdb_exemplar *y = b;
    if (x->ref != y->ref) {
        return x->ref < y->ref ? -1 : 1;
    }
    return x->t_ms < y->t_ms ? -1 : x->t_ms > y->t_ms;
}

static bool has(const uint32_t *ids, uint32_t n, uint32_t ref)
{
    uint32_t low = 0;
    uint32_t high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ids[middle] < ref) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < n && ids[low] == ref;
}

static bool wanted(const struct entry *en, uint64_t epoch, const uint32_t *ids, uint32_t ids_n,
                   int64_t from_ms, int64_t to_ms)
{
    return en->ref != 0 && en->epoch <= epoch && en->t_ms >= from_ms && en->t_ms <= to_ms &&
           has(ids, ids_n, en->ref);
}

static bool select_locked(struct exemplars *x, uint64_t epoch, const uint32_t *ids, uint32_t ids_n,
                          int64_t from_ms, int64_t to_ms, struct arena *a,
                          struct tsdb_exemplar **out, uint32_t *n, struct err *e)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < x->max; i++) {
        k += wanted(&x->ring[i], epoch, ids, ids_n, from_ms, to_ms) ? 1 : 0;
    }
    struct tsdb_exemplar *v = ARENA_ARRAY(a, struct tsdb_exemplar, k);
    if (v == NULL) {
        return err_set(e, ERR_LIMIT, "exemplars need more memory than the query may use");
    }
    k = 0;
    for (uint32_t i = 0; i < x->max; i++) {
        const struct entry *en = &x->ring[(x->next + i) % x->max];
        if (!wanted(en, epoch, ids, ids_n, from_ms, to_ms)) {
            continue;
        }
        v[k] = (struct tsdb_exemplar){.ref = en->ref, .t_ms = en->t_ms, .v = en->v};
        if (!labels_copy((struct labels){en->labels, en->labels_n}, a, &v[k].labels, e)) {
            return false;
        }
        k++;
    }
    *out = v;
    *n = k;
    return true;
}

bool exemplars_select(struct exemplars *x, uint64_t epoch, const uint32_t *ids, uint32_t ids_n,
                      int64_t from_ms, int64_t to_ms, struct arena *a, struct tsdb_exemplar **out,
                      uint32_t *n, struct err *e)
{
    pthread_mutex_lock(&x->mu);
    bool ok = select_locked(x, epoch, ids, ids_n, from_ms, to_ms, a, out, n, e);
    pthread_mutex_unlock(&x->mu);
    if (ok && *n > 1) {
        qsort(*out, *n, sizeof **out, by_series);
    }
    return ok;
}
