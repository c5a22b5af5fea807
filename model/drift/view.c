/* Views of tables for the tests: a sorted copy and the few sums that rules ask for. */
#include "model/drift/view_int.h"

#include <math.h>

static void sum(struct drift_view *v, enum drift_kind kind)
{
    uint64_t kinds[DRIFT_KINDS] = {0};
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t key = drift_slot_key(v->slots[i]);
        uint64_t n = drift_slot_count(v->slots[i]);
        kinds[drift_key_kind(key)] += n;
        v->defaults += key & DRIFT_DEFAULT ? n : 0;
    }
    v->nulls = kinds[DRIFT_NULL];
    v->kind = DRIFT_NULL;
    uint64_t most = 0;
    for (uint32_t k = DRIFT_NULL + 1; k < DRIFT_KINDS; k++) {
        v->present += kinds[k];
        if (kinds[k] > most) {
            most = kinds[k];
            v->kind = (enum drift_kind)k;
        }
    }
    v->kind = kind == DRIFT_KINDS ? v->kind : kind;
    v->main = v->kind == DRIFT_NULL ? 0 : kinds[v->kind];
}

/* What is asked of the main kind alone. */
static void sum_main(struct drift_view *v)
{
    double logs = 0;
    while (v->first < v->count && drift_key_kind(drift_slot_key(v->slots[v->first])) < v->kind) {
        v->first++;
    }
    v->end = v->first;
    while (v->end < v->count && drift_key_kind(drift_slot_key(v->slots[v->end])) == v->kind) {
        uint32_t key = drift_slot_key(v->slots[v->end]);
        uint64_t n = drift_slot_count(v->slots[v->end++]);
        v->top = n > v->top ? n : v->top;
        double x = v->kind == DRIFT_NUMBER ? drift_key_number(key, v->coarse) : 0;
        if (x > 0) {
            v->positive += n;
            logs += (double)n * log10(x);
        }
    }
    v->log10_mean = v->positive > 0 ? logs / (double)v->positive : 0;
}

bool drift_view_of(const struct drift *d, const struct drift_grid *g, uint32_t feature,
                   uint32_t segment, enum drift_kind kind, struct drift_view *out)
{
    const struct drift_cells *c = drift_grid_at(g, feature, segment);
    *out = (struct drift_view){.coarse = out->coarse || segment != 0, .kind = kind};
    if (c != NULL && c->used > 0) {
        out->slots = mem_take(d->mem, c->used * sizeof *out->slots);
        if (out->slots == NULL) {
            return false;
        }
        out->count = c->used;
        drift_cells_sorted(c, out->slots);
    }
    sum(out, kind);
    if (out->kind != DRIFT_NULL) {
        sum_main(out);
    }
    uint64_t all = drift_decisions(&d->names, g, segment);
    out->total = out->present + out->nulls;
    out->total = all > out->total ? all : out->total;
    return true;
}

void drift_view_release(struct drift_view *v, struct mem *m)
{
    mem_give(m, v->slots, v->count * sizeof *v->slots);
    *v = (struct drift_view){0};
}

bool drift_view_sketch(const struct drift_view *v, struct dist_sketch *s)
{
    bool ok = true;
    for (uint32_t i = v->first; i < v->end && ok; i++) {
        uint64_t slot = v->slots[i];
        ok = dist_sketch_add_n(s, drift_key_number(drift_slot_key(slot), v->coarse),
                               drift_slot_count(slot));
    }
    return ok;
}

bool drift_walk_next(struct drift_walk *w)
{
    bool any = false;
    w->n[0] = w->n[1] = 0;
    for (int k = 0; k < 2; k++) {
        if (w->i[k] < w->v[k]->end) {
            uint32_t payload = drift_key_payload(drift_slot_key(w->v[k]->slots[w->i[k]]));
            w->payload = any && w->payload < payload ? w->payload : payload;
            any = true;
        }
    }
    for (int k = 0; k < 2; k++) {
        while (w->i[k] < w->v[k]->end &&
               drift_key_payload(drift_slot_key(w->v[k]->slots[w->i[k]])) == w->payload) {
            w->n[k] += drift_slot_count(w->v[k]->slots[w->i[k]++]);
        }
    }
    return any;
}

uint64_t drift_view_fresh(const struct drift_view *v, const struct drift_view *ref)
{
    uint64_t n = 0;
    if (ref->kind == DRIFT_CATEGORY || ref->kind == DRIFT_BOOL) {
        struct drift_walk w = drift_walk_of(ref, v);
        while (drift_walk_next(&w)) {
            n += w.n[0] == 0 ? w.n[1] : 0;
        }
    }
    return n;
}

uint64_t drift_view_outside(const struct drift_view *v, const struct drift_view *ref)
{
    uint64_t n = 0;
    if (ref->kind != DRIFT_NUMBER || ref->main == 0) {
        return 0;
    }
    uint32_t lo = drift_key_payload(drift_slot_key(ref->slots[ref->first]));
    uint32_t hi = drift_key_payload(drift_slot_key(ref->slots[ref->end - 1]));
    const bool coarse = ref->coarse || v->coarse; /* such cells hold two payloads */
    lo &= coarse ? ~1u : ~0u;
    hi |= coarse ? 1u : 0u;
    for (uint32_t i = v->first; i < v->end; i++) {
        uint32_t payload = drift_key_payload(drift_slot_key(v->slots[i]));
        n += payload < lo || payload > hi ? drift_slot_count(v->slots[i]) : 0;
    }
    return n;
}
