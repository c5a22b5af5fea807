/* Backfill: the samples of a batch become blocks at once, past head and log. For importers, whose
 * samples are older than the head's window.
 *
 *     count by series -> place by series -> sort each by time -> one block for each day
 *
 * Days (BACKFILL_SPAN times block_ms) keep retention by whole files possible; inside a block
 * columns end at multiples of block_ms as in a merge. Of equal times the first with its bits stays:
 * the same bits again are accepted, others refused. What other blocks have at these times gives
 * way, because the new blocks are younger.
 *
 * Durable on return: series table first, then each block. A failure in between leaves whole days
 * that are stored, and the call reports the error; giving the same batch again is harmless. */
#include "engines/tsdb/round_int.h"
#include "engines/tsdb/tsdb_int.h"

#include <stdlib.h>

#define BACKFILL_SPAN 12
#define COLUMN_MIN    400
#define COLUMN_MAX    2048
#define HISTS_MAX     (256U << 20)
#define DAYS_MAX      4096 /* blocks of one call */

struct bsample {
    int64_t t_ms, st_ms;
    double v;
    struct str hist; /* p NULL: a float */
};

struct backfill {
    struct tsdb *db;
    struct mem *mem;
    struct merge_policy policy;
    int64_t from_ms, to_ms; /* accepted times */
    uint32_t refs_end;
    uint64_t *start; /* refs_end + 1: where each series' samples begin; NULL until counted */
    uint32_t *at;    /* refs_end: samples of the series that are written already */
    uint32_t *left;  /* refs_end: samples of the series, after sorting */
    struct bsample *v;
    uint64_t n;
    struct tsdb_result *r;
    /* One column. */
    int64_t t[COLUMN_MAX], st[COLUMN_MAX];
    double vals[COLUMN_MAX];
    const struct nhist *h[COLUMN_MAX];
    struct arena hists;
    struct block *made[DAYS_MAX];
    uint32_t made_n;
};

static void refuse(struct backfill *f, uint32_t ref, int64_t t_ms, enum tsdb_refusal why)
{
    if (f->r->first_ref == 0) {
        f->r->first_ref = ref;
        f->r->first_t_ms = t_ms;
        f->r->first_why = why;
    }
    f->r->refused[why]++;
    f->db->counters.refused[why]++;
}

/* Whether the sample is taken; refusals are counted in the first of the two walks only. */
static bool takes(struct backfill *f, const struct batch_sample *s, bool count)
{
    enum tsdb_refusal why;
    if (s->ref == 0 || s->ref >= f->refs_end || !index_has(f->db->index, s->ref)) {
        why = TSDB_GONE;
    } else if (s->t_ms < f->from_ms) {
        why = TSDB_TOO_OLD;
    } else if (s->t_ms > f->to_ms) {
        why = TSDB_TOO_NEW;
    } else {
        return true;
    }
    if (count) {
        refuse(f, s->ref, s->t_ms, why);
    }
    return false;
}

static bool arrays_take(struct backfill *f, uint64_t n, struct err *e)
{
    f->start = mem_take(f->mem, ((size_t)f->refs_end + 1) * sizeof *f->start);
    f->at = mem_take(f->mem, f->refs_end * sizeof *f->at);
    f->left = mem_take(f->mem, f->refs_end * sizeof *f->left);
    f->v = mem_take(f->mem, n * sizeof *f->v);
    f->n = n;
    return (f->start != NULL && f->at != NULL && f->left != NULL && f->v != NULL) ||
           err_set(e, ERR_NOMEM, "no memory to backfill %llu samples", (unsigned long long)n);
}

static bool samples_place(struct backfill *f, const struct tsdb_batch *b, struct err *e)
{
    struct batch_sample s;
    uint64_t n = tsdb_batch_count(b);
    if (!arrays_take(f, n, e)) {
        return false;
    }
    struct batch_cursor c = {0};
    for (uint64_t i = 0; i < n; i++) {
        if (!tsdb_batch_next(b, &c, &s)) {
            return err_set(e, ERR_INPUT, "sample %llu of the batch cannot be read",
                           (unsigned long long)i);
        }
        if (takes(f, &s, true)) {
            f->start[s.ref + 1]++;
        }
    }
    for (uint32_t ref = 0; ref < f->refs_end; ref++) {
        f->start[ref + 1] += f->start[ref];
    }
    c = (struct batch_cursor){0};
    for (uint64_t i = 0; i < n; i++) {
        if (tsdb_batch_next(b, &c, &s) && takes(f, &s, false)) {
            uint64_t to = f->start[s.ref] + f->left[s.ref]++;
            f->v[to] = (struct bsample){.t_ms = s.t_ms, .st_ms = s.st_ms, .v = s.v};
            if (s.kind == BATCH_HIST) {
                f->v[to].hist = s.nhist;
            }
        }
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct bsample *x = a;
    const struct bsample *y = b;
    return x->t_ms < y->t_ms ? -1 : x->t_ms > y->t_ms;
}

static bool same_bits(const struct bsample *a, const struct bsample *b)
{
    return (a->hist.p == NULL) == (b->hist.p == NULL) && str_eq(a->hist, b->hist) &&
           (a->hist.p != NULL || memcmp(&a->v, &b->v, sizeof a->v) == 0);
}

/* By time, each time once. Samples mostly come in order. */
static void series_sort(struct backfill *f, uint32_t ref)
{
    struct bsample *v = f->v + f->start[ref];
    uint32_t n = f->left[ref];
    uint32_t kept = 0;
    for (uint32_t i = 1; i < n; i++) {
        if (v[i - 1].t_ms > v[i].t_ms) {
            qsort(v, n, sizeof *v, by_time);
            break;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (kept > 0 && v[kept - 1].t_ms == v[i].t_ms) {
            if (!same_bits(&v[kept - 1], &v[i])) {
                refuse(f, ref, v[i].t_ms, TSDB_DUPLICATE);
                continue;
            }
        } else {
            v[kept++] = v[i];
        }
        f->r->samples += v[i].hist.p == NULL;
        f->r->histograms += v[i].hist.p != NULL;
    }
    f->left[ref] = kept;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static int64_t window_of(int64_t t_ms, int64_t span_ms)
{
    int64_t q = t_ms / span_ms;
    return t_ms % span_ms < 0 ? q - 1 : q;
}

static int64_t day_of(const struct backfill *f, int64_t t_ms)
{
    int64_t span;
    if (__builtin_mul_overflow(f->policy.block_ms, BACKFILL_SPAN, &span)) {
        span = f->policy.block_ms;
    }
    return window_of(t_ms, span);
}

/* The earliest day that still has samples; false: none has. */
static bool day_next(const struct backfill *f, int64_t *day)
{
    bool any = false;
    for (uint32_t ref = 0; ref < f->refs_end; ref++) {
        if (f->at[ref] < f->left[ref]) {
            int64_t d = day_of(f, f->v[f->start[ref] + f->at[ref]].t_ms);
            *day = any ? i64_min(*day, d) : d;
            any = true;
        }
    }
    return any;
}

/* Samples of the next column of the day. */
static uint32_t column_end(const struct backfill *f, const struct bsample *v, uint32_t n,
                           int64_t day)
{
    uint32_t end = 0;
    int64_t span = f->policy.block_ms;
    while (end < n && end < COLUMN_MAX && day_of(f, v[end].t_ms) == day &&
           (end < COLUMN_MIN || window_of(v[end - 1].t_ms, span) == window_of(v[end].t_ms, span))) {
        end++;
    }
    return end;
}

static bool column_write(struct backfill *f, struct block_writer *w, uint32_t ref,
                         const struct bsample *v, uint32_t n, uint32_t family, struct err *e)
{
    bool has_h = false;
    arena_reset(&f->hists);
    for (uint32_t i = 0; i < n; i++) {
        f->t[i] = v[i].t_ms;
        f->st[i] = v[i].st_ms;
        f->vals[i] = v[i].v;
        f->h[i] = NULL;
        if (v[i].hist.p != NULL) {
            struct rd r = rd_of(v[i].hist);
            struct nhist *h = NULL;
            if (!nhist_decode(&r, &f->hists, &h, e)) {
                return false;
            }
            f->h[i] = h;
            has_h = true;
        }
    }
    struct block_column c = {.ref = ref,
                             .n = n,
                             .t = f->t,
                             .v = f->vals,
                             .h = has_h ? f->h : NULL,
                             .st = f->st,
                             .family = family};
    return block_writer_add(w, &c, e);
}

static struct bsample *samples_of(const struct backfill *f, uint32_t ref, uint32_t *n)
{
    *n = ref < f->refs_end ? f->left[ref] - f->at[ref] : 0;
    return *n > 0 ? f->v + f->start[ref] + f->at[ref] : NULL;
}

/* What the series has up to last_ms, as columns. */
static bool series_write(struct backfill *f, struct block_writer *w, const struct family_ref *x,
                         int64_t last_ms, struct err *e)
{
    for (;;) {
        uint32_t left = 0;
        uint32_t n = 0;
        const struct bsample *v = samples_of(f, x->ref, &left);
        while (n < left && n < COLUMN_MAX && v[n].t_ms <= last_ms) {
            n++;
        }
        if (n == 0) {
            return true;
        }
        if (!column_write(f, w, x->ref, v, n, x->family, e)) {
            return false;
        }
        f->at[x->ref] += n;
    }
}

/* Columns of one family end at the same times, and come one after the other: so they can be coded
 * against each other. The first member that has samples says where. */
static bool group_write(struct backfill *f, struct block_writer *w, const struct family_ref *x,
                        uint32_t n, int64_t day, struct err *e)
{
    for (;;) {
        uint32_t end = 0;
        int64_t last_ms = 0;
        for (uint32_t i = 0; i < n && end == 0; i++) {
            uint32_t left = 0;
            const struct bsample *v = samples_of(f, x[i].ref, &left);
            end = column_end(f, v, left, day);
            last_ms = end > 0 ? v[end - 1].t_ms : 0;
        }
        if (end == 0) {
            return true;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (!series_write(f, w, &x[i], last_ms, e)) {
                return false;
            }
        }
    }
}

static bool day_write(struct backfill *f, int64_t day, struct err *e)
{
    struct tsdb *db = f->db;
    struct block_writer *w = NULL;
    uint64_t id = tsdb_block_number(db);
    uint32_t n = 0;
    const struct family_ref *all = family_all(db->family, &n);
    if (f->made_n == DAYS_MAX) {
        return err_set(e, ERR_LIMIT, "a batch that spans more than %d days", DAYS_MAX);
    }
    if (!block_writer_open(&w, f->mem, db->os, db->dir, id, 0, e)) {
        return false;
    }
    for (uint32_t i = 0, end = 0; i < n; i = end) {
        end = i + 1;
        while (end < n && all[i].family != 0 && all[end].family == all[i].family) {
            end++;
        }
        if (!group_write(f, w, &all[i], end - i, day, e)) {
            block_writer_abort(w);
            return false;
        }
    }
    if (!block_writer_finish(w, tsdb_covered(db), NULL, e) ||
        !block_open(&f->made[f->made_n], f->mem, db->os, db->dir, id, e)) {
        return false;
    }
    f->made_n++;
    return true;
}

static bool days_write(struct backfill *f, struct err *e)
{
    int64_t day = 0;
    bool ok = true;
    if (!round_family(f->db, e) || !tsdb_series_save(f->db, false, e)) {
        return false;
    }
    while (ok && day_next(f, &day)) {
        ok = day_write(f, day, e);
    }
    /* Also after a failure: what has a name on disk is to be seen, or the next open would find it.
     * */
    if (f->made_n > 0 && !tsdb_blocks_replace(f->db, NULL, 0, f->made, f->made_n, e)) {
        for (uint32_t i = 0; i < f->made_n; i++) {
            block_close(f->made[i]);
        }
        return false;
    }
    return ok;
}

static bool backfill_run(struct backfill *f, const struct tsdb_batch *b, struct err *e)
{
    if (!samples_place(f, b, e)) {
        return false;
    }
    for (uint32_t ref = 0; ref < f->refs_end; ref++) {
        if (f->left[ref] > 0) {
            series_sort(f, ref);
        }
    }
    f->db->counters.samples += f->r->samples;
    f->db->counters.histograms += f->r->histograms;
    return days_write(f, e);
}

static void backfill_free(struct backfill *f)
{
    struct mem *m = f->mem;
    arena_release(&f->hists);
    mem_give(m, f->start, f->start != NULL ? ((size_t)f->refs_end + 1) * sizeof *f->start : 0);
    mem_give(m, f->at, f->at != NULL ? f->refs_end * sizeof *f->at : 0);
    mem_give(m, f->left, f->left != NULL ? f->refs_end * sizeof *f->left : 0);
    mem_give(m, f->v, f->v != NULL ? f->n * sizeof *f->v : 0);
    mem_give(m, f, sizeof *f);
}

bool tsdb_backfill(struct tsdb *db, struct tsdb_batch *b, struct tsdb_result *r, struct err *e)
{
    struct tsdb_config config;
    *r = (struct tsdb_result){0};
    tsdb_config_get(db, &config);
    pthread_mutex_lock(&db->keep_mu);
    struct backfill *f = mem_take(&db->keep_mem, sizeof *f);
    bool ok = f != NULL || err_set(e, ERR_NOMEM, "no memory to backfill");
    if (ok) {
        f->db = db;
        f->mem = &db->keep_mem;
        f->r = r;
        f->refs_end = index_refs_end(db->index);
        round_policy(db, &f->policy);
        f->from_ms = retain_from_ms(&f->policy);
        f->to_ms = INT64_MAX;
        if (config.future_ms > 0) {
            f->to_ms = f->policy.now_ms + config.future_ms;
        }
        arena_init(&f->hists, f->mem, HISTS_MAX);
        ok = backfill_run(f, b, e);
        backfill_free(f);
    }
    pthread_mutex_unlock(&db->keep_mu);
    return ok;
}
