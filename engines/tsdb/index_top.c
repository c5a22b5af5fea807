/* Top lists: who has most series, values and bytes. The culprit of a flood of series is a name, a
 * pair or a source, and must be seen before a limit bites. O(pairs) each. */
#include "engines/tsdb/index_core_int.h"

#include <stdlib.h>

#define LIMIT_MAX 10000

struct cell {
    uint64_t count;
    uint32_t id;
};

/* The `limit` largest so far; a heap with the smallest on top, ties to the smaller id. */
struct top {
    struct cell *v;
    uint32_t n, limit;
};

static bool cell_less(struct cell a, struct cell b)
{
    return a.count < b.count || (a.count == b.count && a.id > b.id);
}

static void sift_down(struct top *t, struct cell c)
{
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < t->n && cell_less(t->v[child + 1], t->v[child])) {
            child++;
        }
        if (child >= t->n || !cell_less(t->v[child], c)) {
            break;
        }
        t->v[i] = t->v[child];
        i = child;
    }
    t->v[i] = c;
}

static void top_offer(struct top *t, struct cell c)
{
    if (c.count == 0) {
        return;
    }
    if (t->n == t->limit) {
        if (cell_less(t->v[0], c)) {
            sift_down(t, c);
        }
        return;
    }
    uint32_t i = t->n++;
    for (; i > 0 && cell_less(c, t->v[(i - 1) / 2]); i = (i - 1) / 2) {
        t->v[i] = t->v[(i - 1) / 2];
    }
    t->v[i] = c;
}

static int cell_order(const void *a, const void *b)
{
    struct cell x = *(const struct cell *)a;
    struct cell y = *(const struct cell *)b;
    return cell_less(x, y) - cell_less(y, x);
}

/* Bytes of a name's texts and tables; postings are counted by their ids. */
static uint64_t name_bytes(const struct name *n)
{
    return n->bytes + n->value_bytes + n->values_n * (uint64_t)sizeof(struct pair) +
           (n->values_cap + n->sorted_cap + n->series) * sizeof(uint32_t) + sizeof *n;
}

static void offer_names(const struct index *x, enum tsdb_top_kind kind, struct top *t)
{
    for (uint32_t id = 1; id < x->names_end; id++) {
        const struct name *n = index_name_at(x, id);
        if (n->series == 0) {
            continue;
        }
        uint64_t count = 0;
        for (uint32_t i = 0; kind == TSDB_TOP_LABELS && i < n->values_n; i++) {
            count += index_pair_at(x, n->values[i])->n > 0;
        }
        top_offer(t, (struct cell){kind == TSDB_TOP_MEMORY ? name_bytes(n) : count, id});
    }
}

static void offer_all(const struct index *x, enum tsdb_top_kind kind, struct top *t)
{
    uint32_t metric = index_name_find(x, STR(LABEL_NAME));
    switch (kind) {
    case TSDB_TOP_METRICS:
    case TSDB_TOP_PAIRS:
        for (uint32_t id = 1; id < x->pairs_end; id++) {
            const struct pair *p = index_pair_at(x, id);
            if (p->kind != POST_FREE && (kind == TSDB_TOP_PAIRS || p->name == metric)) {
                top_offer(t, (struct cell){p->n, id});
            }
        }
        break;
    case TSDB_TOP_LABELS:
    case TSDB_TOP_MEMORY: offer_names(x, kind, t); break;
    case TSDB_TOP_SOURCES:
        for (uint32_t i = 0; i < x->sources_n; i++) {
            top_offer(t, (struct cell){x->sources[i].series, i});
        }
        break;
    }
}

/* {NULL, 0} at the arena's cap. */
static struct str name_of(const struct index *x, enum tsdb_top_kind kind, uint32_t id,
                          struct arena *a)
{
    struct label l;
    switch (kind) {
    case TSDB_TOP_METRICS: return arena_str(a, index_pair_text(index_pair_at(x, id)));
    case TSDB_TOP_LABELS:
    case TSDB_TOP_MEMORY: return arena_str(a, index_name_text(index_name_at(x, id)));
    case TSDB_TOP_SOURCES: return arena_str(a, str_of(x->sources[id].text, x->sources[id].bytes));
    case TSDB_TOP_PAIRS: break;
    }
    l = index_pair(x, id);
    char *text = arena_take(a, l.name.n + 1 + l.value.n, 1);
    if (text == NULL) {
        return (struct str){NULL, 0};
    }
    memcpy(text, l.name.p, l.name.n);
    text[l.name.n] = '=';
    memcpy(text + l.name.n + 1, l.value.p, l.value.n);
    return str_of(text, l.name.n + 1 + l.value.n);
}

static bool top_write(const struct index *x, enum tsdb_top_kind kind, struct top *t,
                      struct arena *a, struct tsdb_top *out)
{
    qsort(t->v, t->n, sizeof *t->v, cell_order);
    for (uint32_t i = 0; i < t->n; i++) {
        out[i] = (struct tsdb_top){name_of(x, kind, t->v[i].id, a), t->v[i].count};
        if (out[i].name.p == NULL) {
            return false;
        }
    }
    return true;
}

bool index_top(struct index *x, enum tsdb_top_kind kind, uint32_t limit, struct arena *a,
               struct tsdb_top **out, uint32_t *n, struct err *e)
{
    limit = limit == 0 || limit > LIMIT_MAX ? LIMIT_MAX : limit;
    struct top t = {.v = ARENA_ARRAY(a, struct cell, limit), .limit = limit};
    *out = ARENA_ARRAY(a, struct tsdb_top, limit);
    *n = 0;
    if (t.v == NULL || *out == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for a top list of %u", limit);
    }
    index_lock_shared(x);
    offer_all(x, kind, &t);
    bool ok = top_write(x, kind, &t, a, *out);
    index_unlock(x);
    *n = ok ? t.n : 0;
    return ok || err_set(e, ERR_LIMIT, "no memory for a top list of %u", limit);
}
