/* Labels: appended, never overwritten. What is true of a transaction "as of T" is a fold over
 * its labels.
 *
 * A correction, a reversal (MED rejected) or a late finding is one more label; each question
 * reads the list with its own T, so that last week's answer can be asked for again and is the
 * same. Exact repeats (same id, time, truth, source) are duplicates and are not added.
 *
 * Labels of one id are a chain by arrival (prev); the newest is in the index. Labels of one
 * decision day are a list (next_of_day), so that a day's fold touches that day only.
 *
 * Bounds: labels_max and labels_pending_max shed the newest; one id keeps 64 labels. */
#include "model/labels_int.h"

void model_labels_init(struct model_labels *t, struct mem *m, size_t max, size_t waiting_max,
                       uint32_t days_max)
{
    *t = (struct model_labels){.mem = m,
                               .max = max,
                               .free = MODEL_NIL,
                               .days_max = days_max,
                               .w_max = waiting_max,
                               .w_free = MODEL_NIL};
    model_ids_init(&t->ids, m);
    model_ids_init(&t->w_ids, m);
}

void model_labels_release(struct model_labels *t)
{
    mem_give(t->mem, t->v, t->cap * sizeof *t->v);
    mem_give(t->mem, t->days, t->days_cap * sizeof *t->days);
    mem_give(t->mem, t->w, t->w_cap * sizeof *t->w);
    model_ids_release(&t->ids);
    model_ids_release(&t->w_ids);
    model_labels_init(t, t->mem, t->max, t->w_max, t->days_max);
}

static uint32_t day_lower(const struct model_labels *t, int32_t day)
{
    uint32_t lo = 0;
    uint32_t hi = t->days_count;
    if (hi > 0 && t->days[hi - 1].day == day) {
        return hi - 1;
    }
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (t->days[mid].day < day) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

struct model_day *model_day_at(struct model_labels *t, int32_t day)
{
    uint32_t at = day_lower(t, day);
    if (at < t->days_count && t->days[at].day == day) {
        return &t->days[at];
    }
    void *p = t->days;
    bool ok = mem_array_grow(t->mem, &p, &t->days_cap, (size_t)t->days_count + 1, t->days_max,
                             sizeof *t->days);
    t->days = p;
    if (!ok) {
        return NULL;
    }
    memmove(&t->days[at + 1], &t->days[at], (t->days_count - at) * sizeof *t->days);
    t->days[at] = (struct model_day){.day = day, .labels_first = MODEL_NIL};
    t->days_count++;
    return &t->days[at];
}

const struct model_day *model_day_find(const struct model_labels *t, int32_t day)
{
    uint32_t at = day_lower(t, day);
    return at < t->days_count && t->days[at].day == day ? &t->days[at] : NULL;
}

static uint32_t newest_of(const struct model_labels *t, struct hash128 id)
{
    size_t at = SIZE_MAX;
    uint32_t idx = MODEL_NIL;
    while ((idx = model_ids_next(&t->ids, id, &at)) != MODEL_NIL) {
        if (hash128_eq(t->v[idx].id, id)) {
            return idx;
        }
    }
    return MODEL_NIL;
}

/* A free place, MODEL_NIL at the bound. */
static uint32_t label_room(struct model_labels *t)
{
    if (t->free != MODEL_NIL) {
        return t->free;
    }
    void *p = t->v;
    bool ok = mem_array_grow(t->mem, &p, &t->cap, (size_t)t->made + 1, t->max, sizeof *t->v);
    t->v = p;
    if (!ok) {
        return MODEL_NIL;
    }
    t->v[t->made].next_of_day = MODEL_NIL;
    t->free = t->made++;
    return t->free;
}

enum model_label_result model_labels_add(struct model_labels *t, const struct model_label *l)
{
    uint32_t prev = newest_of(t, l->id);
    uint32_t of_id = 0;
    for (uint32_t i = prev; i != MODEL_NIL; i = t->v[i].prev) {
        const struct model_label *o = &t->v[i];
        if (o->t_ns == l->t_ns && o->truth == l->truth && o->source == l->source) {
            return MODEL_LABEL_DUPLICATE;
        }
        of_id++;
    }
    if (of_id >= MODEL_LABELS_PER_ID_MAX) {
        return MODEL_LABEL_TOO_MANY;
    }
    uint32_t idx = label_room(t);
    struct model_day *day = idx == MODEL_NIL ? NULL : model_day_at(t, l->day);
    if (day == NULL || (prev == MODEL_NIL && !model_ids_add(&t->ids, l->id, idx))) {
        return MODEL_LABEL_FULL;
    }
    if (prev != MODEL_NIL) {
        model_ids_replace(&t->ids, l->id, prev, idx);
        t->v[prev].newest = false;
    }
    t->free = t->v[idx].next_of_day;
    t->v[idx] = *l;
    t->v[idx].prev = prev;
    t->v[idx].newest = true;
    t->v[idx].next_of_day = day->labels_first;
    day->labels_first = idx;
    day->labels_count++;
    day->changes++;
    t->count++;
    return MODEL_LABEL_ADDED;
}

/* ---- waiting ---- */

static uint32_t waiting_newest(const struct model_labels *t, struct hash128 id)
{
    size_t at = SIZE_MAX;
    uint32_t idx = MODEL_NIL;
    while ((idx = model_ids_next(&t->w_ids, id, &at)) != MODEL_NIL) {
        if (hash128_eq(t->w[idx].id, id)) {
            return idx;
        }
    }
    return MODEL_NIL;
}

static uint32_t waiting_room(struct model_labels *t)
{
    if (t->w_free != MODEL_NIL) {
        return t->w_free;
    }
    void *p = t->w;
    bool ok = mem_array_grow(t->mem, &p, &t->w_cap, (size_t)t->w_made + 1, t->w_max, sizeof *t->w);
    t->w = p;
    if (!ok) {
        return MODEL_NIL;
    }
    t->w[t->w_made].prev = MODEL_NIL;
    t->w_free = t->w_made++;
    return t->w_free;
}

enum model_label_result model_labels_wait(struct model_labels *t, const struct model_waiting *w)
{
    uint32_t prev = waiting_newest(t, w->id);
    uint32_t of_id = 0;
    for (uint32_t i = prev; i != MODEL_NIL; i = t->w[i].prev) {
        const struct model_waiting *o = &t->w[i];
        if (o->t_ns == w->t_ns && o->truth == w->truth && o->source == w->source) {
            return MODEL_LABEL_DUPLICATE;
        }
        of_id++;
    }
    if (of_id >= MODEL_LABELS_PER_ID_MAX) {
        return MODEL_LABEL_TOO_MANY;
    }
    uint32_t idx = waiting_room(t);
    if (idx == MODEL_NIL || (prev == MODEL_NIL && !model_ids_add(&t->w_ids, w->id, idx))) {
        return MODEL_LABEL_FULL;
    }
    if (prev != MODEL_NIL) {
        model_ids_replace(&t->w_ids, w->id, prev, idx);
        t->w[prev].newest = false;
    }
    t->w_free = t->w[idx].prev;
    t->w[idx] = *w;
    t->w[idx].prev = prev;
    t->w[idx].used = true;
    t->w[idx].newest = true;
    t->w_count++;
    return MODEL_LABEL_WAITS;
}

static void waiting_free(struct model_labels *t, uint32_t idx)
{
    t->w[idx].used = false;
    t->w[idx].newest = false;
    t->w[idx].prev = t->w_free;
    t->w_free = idx;
    t->w_count--;
}

void model_labels_resolve(struct model_labels *t, struct hash128 id,
                          void (*fn)(void *ctx, const struct model_waiting *w), void *ctx)
{
    if (t->w_count == 0) {
        return;
    }
    uint32_t chain[MODEL_LABELS_PER_ID_MAX];
    uint32_t n = 0;
    uint32_t newest = waiting_newest(t, id);
    if (newest == MODEL_NIL) {
        return;
    }
    for (uint32_t i = newest; i != MODEL_NIL; i = t->w[i].prev) {
        ASSERT(n < MODEL_LABELS_PER_ID_MAX);
        chain[n++] = i;
    }
    model_ids_remove(&t->w_ids, id, newest);
    while (n > 0) {
        uint32_t idx = chain[--n];
        struct model_waiting w = t->w[idx];
        waiting_free(t, idx);
        fn(ctx, &w);
    }
}

/* An id waits as a whole: when its newest label is too old all of them go. */
static uint32_t waiting_drop_before(struct model_labels *t, int64_t t_ns)
{
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < t->w_made && t->w_count > 0; i++) {
        if (!t->w[i].used || !t->w[i].newest || t->w[i].t_ns >= t_ns) {
            continue;
        }
        model_ids_remove(&t->w_ids, t->w[i].id, i);
        for (uint32_t at = i; at != MODEL_NIL;) {
            uint32_t prev = t->w[at].prev;
            waiting_free(t, at);
            dropped++;
            at = prev;
        }
    }
    return dropped;
}

uint32_t model_labels_drop_before(struct model_labels *t, int32_t day, int64_t t_ns)
{
    uint32_t days = 0;
    for (; days < t->days_count && t->days[days].day < day; days++) {
        for (uint32_t i = t->days[days].labels_first; i != MODEL_NIL;) {
            uint32_t next = t->v[i].next_of_day;
            if (t->v[i].newest) {
                model_ids_remove(&t->ids, t->v[i].id, i);
            }
            t->v[i] = (struct model_label){.next_of_day = t->free};
            t->free = i;
            t->count--;
            i = next;
        }
    }
    if (days > 0) {
        t->days_count -= days;
        memmove(t->days, t->days + days, t->days_count * sizeof *t->days);
    }
    return waiting_drop_before(t, t_ns);
}

/* ---- reading ---- */

static bool superseded(const struct model_labels *t, const struct model_label *newest,
                       const struct model_label *l, int64_t as_of_ns)
{
    if (l->event == 0) {
        return false;
    }
    for (const struct model_label *o = newest;; o = &t->v[o->prev]) {
        if (o != l && o->t_ns <= as_of_ns && o->supersedes == l->event) {
            return true;
        }
        if (o->prev == MODEL_NIL) {
            return false;
        }
    }
}

enum truth model_labels_truth(const struct model_labels *t, const struct model_label *newest,
                              int64_t as_of_ns)
{
    const struct model_label *best = NULL;
    for (const struct model_label *l = newest;; l = &t->v[l->prev]) {
        /* From the newest arrival backwards: at equal times the later arrival wins. */
        if (l->t_ns <= as_of_ns && (best == NULL || l->t_ns > best->t_ns) &&
            !superseded(t, newest, l, as_of_ns)) {
            best = l;
        }
        if (l->prev == MODEL_NIL) {
            return best == NULL ? TRUTH_UNDETERMINED : (enum truth)best->truth;
        }
    }
}
