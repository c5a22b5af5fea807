/* The samples of one series from all inputs of a merge, in order of time, a stretch at a time.
 *
 * Columns are taken by their first time. As long as a column begins after the one before has ended,
 * it is only appended. Columns that overlap (late samples, a backfill) form a cluster that is mixed
 * as a whole; of equal times the one from the younger input stays, and within one block that of the
 * later column. Deleted and too old samples never get in, and neither does a column that cannot be
 * read: it is counted and the series goes on without it.
 *
 * Memory: what is at hand, at most a stretch of the series plus one cluster. */
#include "engines/tsdb/merge_member_int.h"

#include <stdlib.h>

#define COLUMNS_MAX    (1U << 20) /* of one series in one merge */
#define SAMPLES_MAX    (1U << 28)
#define HISTS_MAX      (256U << 20)
#define HISTS_TIDY_MAX (4U << 20)
#define PLACE_SPARSE   16 /* one series in so many: bits would take more than the ids do */

void merge_member_init(struct merge_member *s, struct mem *m)
{
    *s = (struct merge_member){0};
    arena_init(&s->hists, m, HISTS_MAX);
    arena_init(&s->hists_old, m, HISTS_MAX);
}

void merge_cols_release(struct merge_cols *c, struct mem *m)
{
    mem_give(m, c->t, c->t_cap * sizeof *c->t);
    mem_give(m, c->v, c->v_cap * sizeof *c->v);
    mem_give(m, c->h, c->h_cap * sizeof(struct nhist *));
    mem_give(m, c->st, c->st_cap * sizeof *c->st);
    *c = (struct merge_cols){0};
}

void merge_member_release(struct merge_member *s, struct mem *m)
{
    merge_cols_release(&s->cols, m);
    mem_give(m, s->sources, s->sources_cap * sizeof *s->sources);
    arena_release(&s->hists);
    arena_release(&s->hists_old);
}

static bool grow(struct mem *m, void *array, size_t *cap, size_t n)
{
    void *p = NULL;
    memcpy(&p, array, sizeof p);
    bool ok = mem_array_grow(m, &p, cap, n, SAMPLES_MAX, sizeof(int64_t));
    memcpy(array, &p, sizeof p);
    return ok;
}

/* Room for n samples in all, in the arrays that are in use. */
static bool cols_room(struct merge_cols *c, struct mem *m, size_t n, struct err *e)
{
    _Static_assert(sizeof(double) == 8 && sizeof(int64_t) == 8 && sizeof(void *) == 8, "one size");
    size_t want = n + COL_SLACK;
    bool ok = grow(m, &c->t, &c->t_cap, want) && grow(m, &c->v, &c->v_cap, want) &&
              (!c->has_h || grow(m, &c->h, &c->h_cap, want)) &&
              (!c->has_st || grow(m, &c->st, &c->st_cap, want));
    return ok || err_set(e, ERR_NOMEM, "no memory to merge %zu samples of a series", n);
}

/* From now on the columns have histograms or start times; what is there has none. */
static bool cols_kinds(struct merge_cols *c, struct mem *m, bool has_h, bool has_st, struct err *e)
{
    bool new_h = has_h && !c->has_h;
    bool new_st = has_st && !c->has_st;
    c->has_h |= has_h;
    c->has_st |= has_st;
    if (!cols_room(c, m, c->n, e)) {
        return false;
    }
    if (new_h) {
        memset(c->h, 0, c->n * sizeof(struct nhist *));
    }
    if (new_st) {
        memset(c->st, 0, c->n * sizeof *c->st);
    }
    return true;
}

/* --- places ----------------------------------------------------------------------------------- */

static size_t place_words(const struct merge_work *w)
{
    return (size_t)w->refs_end / 64 + 1;
}

static void place_release(struct merge_work *w, struct merge_place *p)
{
    struct mem *m = w->job->mem;
    mem_give(m, p->bits, p->bits != NULL ? place_words(w) * sizeof *p->bits : 0);
    mem_give(m, p->before, p->before != NULL ? place_words(w) * sizeof *p->before : 0);
    p->bits = NULL;
    p->before = NULL;
}

/* false: a series has several columns. */
static bool place_mark(const struct block *b, struct merge_place *p)
{
    for (uint32_t i = 0; i < block_columns(b); i++) {
        uint32_t ref = block_ref_at(b, i);
        uint64_t bit = 1ULL << (ref % 64);
        if ((p->bits[ref / 64] & bit) != 0) {
            return false;
        }
        p->bits[ref / 64] |= bit;
    }
    return true;
}

static bool place_init(struct merge_work *w, uint32_t in, struct err *e)
{
    struct merge_place *p = &w->places[in];
    struct mem *m = w->job->mem;
    if (block_columns(w->job->in[in]) < w->refs_end / PLACE_SPARSE) {
        return true;
    }
    p->bits = mem_take(m, place_words(w) * sizeof *p->bits);
    p->before = mem_take(m, place_words(w) * sizeof *p->before);
    if (p->bits == NULL || p->before == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to merge %u blocks", w->job->in_n);
    }
    if (!place_mark(w->job->in[in], p)) {
        place_release(w, p);
        return true;
    }
    uint32_t n = 0;
    for (size_t i = 0; i < place_words(w); i++) {
        p->before[i] = n;
        n += (uint32_t)__builtin_popcountll(p->bits[i]);
    }
    ASSERT(n == block_columns(w->job->in[in]));
    block_cool(w->job->in[in]);
    return true;
}

bool merge_places_new(struct merge_work *w, struct err *e)
{
    w->places = mem_take(w->job->mem, w->job->in_n * sizeof *w->places);
    if (w->places == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to merge %u blocks", w->job->in_n);
    }
    for (uint32_t i = 0; i < w->job->in_n; i++) {
        if (!place_init(w, i, e)) {
            return false;
        }
    }
    return true;
}

void merge_places_free(struct merge_work *w)
{
    for (uint32_t i = 0; w->places != NULL && i < w->job->in_n; i++) {
        place_release(w, &w->places[i]);
    }
    mem_give(w->job->mem, w->places, w->places != NULL ? w->job->in_n * sizeof *w->places : 0);
    w->places = NULL;
}

uint32_t merge_place_find(struct merge_work *w, uint32_t in, uint32_t ref, uint32_t *first)
{
    struct merge_place *p = &w->places[in];
    if (p->bits == NULL) {
        uint32_t n = block_find(w->job->in[in], ref, p->hint, first);
        p->hint = *first;
        return n;
    }
    uint64_t word = p->bits[ref / 64];
    uint64_t bit = 1ULL << (ref % 64);
    *first = p->before[ref / 64] + (uint32_t)__builtin_popcountll(word & (bit - 1));
    return (word & bit) != 0 ? 1 : 0;
}

/* --- sources ---------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    const struct merge_source *x = a;
    const struct merge_source *y = b;
    if (x->min_ms != y->min_ms) {
        return x->min_ms < y->min_ms ? -1 : 1;
    }
    return x->in != y->in ? (x->in < y->in ? -1 : 1) : x->col < y->col ? -1 : x->col > y->col;
}

static int by_age(const void *a, const void *b)
{
    const struct merge_source *x = a;
    const struct merge_source *y = b;
    return x->in != y->in ? (x->in < y->in ? -1 : 1) : x->col < y->col ? -1 : x->col > y->col;
}

bool merge_member_start(struct merge_member *s, struct merge_work *w, uint32_t ref, struct err *e)
{
    const struct merge_job *j = w->job;
    s->ref = ref;
    s->sources_n = 0;
    s->next = 0;
    s->cols.from = s->cols.n = 0;
    s->cols.has_h = s->cols.has_st = false;
    s->tombs = tombs_of(j->tombs, ref, &s->tombs_n);
    arena_reset(&s->hists);
    bool sorted = true;
    for (uint32_t i = 0; i < j->in_n; i++) {
        uint32_t first = 0;
        uint32_t n = merge_place_find(w, i, ref, &first);
        void *p = s->sources;
        if (!mem_array_grow(j->mem, &p, &s->sources_cap, s->sources_n + n, COLUMNS_MAX,
                            sizeof *s->sources)) {
            return err_set(e, ERR_NOMEM, "no memory for %zu columns of a series", s->sources_n + n);
        }
        s->sources = p;
        for (uint32_t k = 0; k < n; k++) {
            /* Not by block_entry, which looks at the list of ids. */
            struct block_times t = block_times_at(j->in[i], block_tim_at(j->in[i], first + k));
            struct merge_source *to = &s->sources[s->sources_n++];
            *to = (struct merge_source){i, first + k, t.n, t.min_ms, t.max_ms};
            sorted = sorted && (s->sources_n == 1 || by_time(to - 1, to) < 0);
        }
    }
    if (!sorted) {
        qsort(s->sources, s->sources_n, sizeof *s->sources, by_time);
    }
    return true;
}

/* --- one column ------------------------------------------------------------------------------- */

/* Takes out what is deleted or too old, from place `at` on. */
static void cols_filter(struct merge_member *s, struct merge_work *w, struct merge_cols *c,
                        uint32_t at, const struct merge_source *x)
{
    const struct merge_job *j = w->job;
    uint64_t seq = block_info(j->in[x->in])->seq;
    uint32_t n = c->n - at;
    uint32_t left = n;
    struct nhist **h = c->has_h ? c->h + at : NULL;
    int64_t *st = c->has_st ? c->st + at : NULL;
    if (s->tombs_n > 0 && tombs_touch(s->tombs, s->tombs_n, seq, x->min_ms, x->max_ms)) {
        left = tombs_filter(s->tombs, s->tombs_n, seq, c->t + at, c->t + at, c->v + at, h, st, n);
    }
    if (x->min_ms < j->from_ms) {
        struct tomb old = {.from_ms = INT64_MIN, .to_ms = j->from_ms - 1, .seq = UINT64_MAX};
        left = tombs_filter(&old, 1, seq, c->t + at, c->t + at, c->v + at, h, st, left);
    }
    w->dropped += n - left;
    c->n = at + left;
}

/* Appends the column to c, or nothing when it is damaged (counted). */
static bool source_read(struct merge_member *s, struct merge_work *w, const struct merge_source *x,
                        struct merge_cols *c, struct err *e)
{
    struct block *b = w->job->in[x->in];
    struct mem *m = w->job->mem;
    unsigned flags = b->flags != NULL ? b->flags[x->col] : 0;
    bool has_h = (flags & BLOCK_HAS_HISTS) != 0;
    bool has_st = (flags & BLOCK_HAS_ST) != 0;
    const int64_t *t = NULL;
    uint32_t at = c->n;
    if (!cols_kinds(c, m, has_h, has_st, e) || !cols_room(c, m, at + x->n, e)) {
        return false;
    }
    struct nhist **h = c->has_h ? c->h + at : NULL;
    int64_t *st = c->has_st ? c->st + at : NULL;
    if (h != NULL && !has_h) {
        memset(h, 0, x->n * sizeof(struct nhist *));
    }
    if (st != NULL && !has_st) {
        memset(st, 0, x->n * sizeof *st);
    }
    struct err damage = {0};
    if (!block_read(b, w->cursors[x->in], x->col, &t, c->v + at, h, &s->hists, st, &damage)) {
        w->damaged += damage.code == ERR_CORRUPT;
        return damage.code == ERR_CORRUPT || err_set(e, damage.code, "%s", damage.msg);
    }
    memcpy(c->t + at, t, x->n * sizeof *t);
    c->n = at + x->n;
    cols_filter(s, w, c, at, x);
    return true;
}

/* --- columns that overlap --------------------------------------------------------------------- */

static void sample_copy(struct merge_cols *to, const struct merge_cols *from, uint32_t i)
{
    uint32_t n = to->n++;
    to->t[n] = from->t[i];
    to->v[n] = from->v[i];
    if (to->has_h) {
        to->h[n] = from->has_h ? from->h[i] : NULL;
    }
    if (to->has_st) {
        to->st[n] = from->has_st ? from->st[i] : 0;
    }
}

/* a from place `at` on, and b: mixed into `to`; of equal times b's. */
static void cols_mix(struct merge_cols *to, const struct merge_cols *a, uint32_t at,
                     const struct merge_cols *b)
{
    uint32_t i = at;
    uint32_t k = 0;
    to->n = 0;
    while (i < a->n || k < b->n) {
        if (k == b->n || (i < a->n && a->t[i] < b->t[k])) {
            sample_copy(to, a, i++);
        } else {
            i += i < a->n && a->t[i] == b->t[k];
            sample_copy(to, b, k++);
        }
    }
}

static bool cluster_read(struct merge_member *s, struct merge_work *w, size_t end, struct err *e)
{
    struct merge_cols *c = &s->cols;
    struct mem *m = w->job->mem;
    uint32_t at = c->n;
    qsort(s->sources + s->next, end - s->next, sizeof *s->sources, by_age);
    for (; s->next < end; s->next++) {
        w->one.from = w->one.n = w->two.n = 0;
        w->one.has_h = w->one.has_st = false;
        if (!source_read(s, w, &s->sources[s->next], &w->one, e) ||
            !cols_kinds(c, m, w->one.has_h, w->one.has_st, e)) {
            return false;
        }
        w->two.has_h = c->has_h;
        w->two.has_st = c->has_st;
        uint32_t most = c->n - at + w->one.n;
        if (!cols_room(&w->two, m, most, e) || !cols_room(c, m, at + most, e)) {
            return false;
        }
        cols_mix(&w->two, c, at, &w->one);
        c->n = at;
        for (uint32_t i = 0; i < w->two.n; i++) {
            sample_copy(c, &w->two, i);
        }
    }
    return true;
}

/* --- going on --------------------------------------------------------------------------------- */

/* What was taken away leaves its place; histograms nobody points to leave their memory. */
static bool cols_tidy(struct merge_member *s, struct err *e)
{
    struct merge_cols *c = &s->cols;
    uint32_t n = merge_member_left(s);
    if (c->from > 0) {
        memmove(c->t, c->t + c->from, n * sizeof *c->t);
        memmove(c->v, c->v + c->from, n * sizeof *c->v);
        if (c->has_h) {
            memmove(c->h, c->h + c->from, n * sizeof(struct nhist *));
        }
        if (c->has_st) {
            memmove(c->st, c->st + c->from, n * sizeof *c->st);
        }
        c->from = 0;
        c->n = n;
    }
    if (!c->has_h || s->hists.bytes < HISTS_TIDY_MAX) {
        return true;
    }
    arena_reset(&s->hists_old);
    for (uint32_t i = 0; i < n; i++) {
        if (c->h[i] != NULL) {
            c->h[i] = nhist_copy(c->h[i], &s->hists_old);
            if (c->h[i] == NULL) {
                return err_set(e, ERR_NOMEM, "no memory for the histograms of a series");
            }
        }
    }
    struct arena a = s->hists;
    s->hists = s->hists_old;
    s->hists_old = a;
    return true;
}

bool merge_member_fill(struct merge_member *s, struct merge_work *w, uint32_t n, int64_t until_ms,
                       struct err *e)
{
    struct merge_cols *c = &s->cols;
    while (s->next < s->sources_n && merge_member_left(s) < n &&
           (merge_member_left(s) == 0 || c->t[c->n - 1] < until_ms)) {
        if (!cols_tidy(s, e)) {
            return false;
        }
        size_t end = s->next + 1;
        int64_t max_ms = s->sources[s->next].max_ms;
        while (end < s->sources_n && s->sources[end].min_ms <= max_ms) {
            max_ms = i64_max(max_ms, s->sources[end].max_ms);
            end++;
        }
        if (end == s->next + 1) {
            if (!source_read(s, w, &s->sources[s->next++], c, e)) {
                return false;
            }
        } else if (!cluster_read(s, w, end, e)) {
            return false;
        }
    }
    return true;
}
