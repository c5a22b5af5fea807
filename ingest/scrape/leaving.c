/* Series of targets that were removed: stale, but not at once.
 *
 * A target that discovery takes away often comes back at once under other labels that make the same
 * series. So its series wait for two intervals and a bit; those that some target gave meanwhile are
 * left alone, the rest get a marker at the time of the first scrape that did not happen. */
#include "ingest/scrape/loop_int.h"

#include <stdlib.h>

static int by_ref(const void *a, const void *b)
{
    uint32_t x;
    uint32_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

void leaving_add(struct scrape *s, struct target *t, int64_t wall_ns, int64_t mono_ns)
{
    struct cache *c = &t->cache;
    size_t max = c->order_old_n + REPORTS;
    if (t->last_scrape_ms == 0) {
        return; /* never asked: nothing to mark */
    }
    struct leaving *l = mem_take(s->mem, sizeof *l);
    uint32_t *refs = l ? mem_take(s->mem, max * sizeof *refs) : NULL;
    if (!refs) {
        mem_give(s->mem, l, l ? sizeof *l : 0);
        return; /* without memory the series end by the lookback instead */
    }
    size_t n = 0;
    for (size_t i = 0; i < c->order_old_n; i++) {
        const struct cache_entry *x = &c->v[c->order_old[i]];
        if (x->track && x->ref) {
            refs[n++] = x->ref;
        }
    }
    for (unsigned i = 0; i < REPORTS; i++) {
        if (t->reports[i]) {
            refs[n++] = t->reports[i];
        }
    }
    qsort(refs, n, sizeof *refs, by_ref);
    l->refs = refs;
    l->refs_cap = max;
    l->n = n;
    int64_t slot = slot_before(wall_ns, t->interval_ns, slot_hash(s, t)) + t->interval_ns;
    l->t_ms = ms_from_ns(slot);
    l->due_ns = mono_ns + (slot - wall_ns) + t->interval_ns + t->interval_ns / 10;
    l->next = s->leaving;
    s->leaving = l;
}

/* Marks what living targets gave in their last good scrape, then closes the gaps. */
static void remove_living(struct scrape *s, struct leaving *l)
{
    char *gone = mem_take(s->mem, l->n);
    if (!gone) {
        l->n = 0;
        return;
    }
    for (size_t k = 0; k < s->heap_n; k++) {
        const struct target *t = s->heap[k];
        for (size_t i = 0; i < t->cache.order_old_n + REPORTS; i++) {
            uint32_t ref = i < t->cache.order_old_n ? t->cache.v[t->cache.order_old[i]].ref
                                                    : t->reports[i - t->cache.order_old_n];
            uint32_t *hit = ref ? bsearch(&ref, l->refs, l->n, sizeof ref, by_ref) : NULL;
            if (hit) {
                gone[hit - l->refs] = 1;
            }
        }
    }
    size_t kept = 0;
    size_t n = l->n;
    for (size_t i = 0; i < n; i++) {
        if (!gone[i]) {
            l->refs[kept++] = l->refs[i];
        }
    }
    mem_give(s->mem, gone, n);
    l->n = kept;
}

static void finish(struct scrape *s, struct leaving *l)
{
    struct flight *f = flight_new(s);
    struct err e = {.code = ERR_NONE};
    remove_living(s, l);
    bool ok = f != NULL;
    for (size_t i = 0; ok && i < l->n; i++) {
        ok = tsdb_batch_add(f->batch, l->refs[i], l->t_ms, stale_nan(), &e);
    }
    if (ok && l->n > 0) {
        s->stats.stale_markers += l->n;
        flight_send(s, f);
    } else if (f) {
        flight_give(s, f);
    }
}

void leaving_run(struct scrape *s, int64_t mono_ns)
{
    for (struct leaving **at = &s->leaving; *at;) {
        struct leaving *l = *at;
        if (l->due_ns > mono_ns) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        finish(s, l);
        mem_give(s->mem, l->refs, l->refs_cap * sizeof *l->refs);
        mem_give(s->mem, l, sizeof *l);
    }
}

void leaving_release(struct scrape *s)
{
    while (s->leaving) {
        struct leaving *l = s->leaving;
        s->leaving = l->next;
        mem_give(s->mem, l->refs, l->refs_cap * sizeof *l->refs);
        mem_give(s->mem, l, sizeof *l);
    }
}

int64_t leaving_due_ns(const struct scrape *s)
{
    int64_t due = INT64_MAX;
    for (const struct leaving *l = s->leaving; l; l = l->next) {
        due = i64_min(due, l->due_ns);
    }
    return due;
}
