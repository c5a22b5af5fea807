/* Checking a batch: what becomes of each sample, decided before anything is logged.
 *
 *     t > last            append                    t = last, same bits     duplicate, accepted
 *     t < last, window    late, unless the time     t = last, other bits    refused
 *                         is taken: then as t =     t < last - window       refused, unless the
 * head
 *     beyond retention or future_ms: refused                                has it with these bits
 *
 * Checking moves a series' `last` on at once, so that later batches of the group see it, although
 * nothing is applied before the log is synced; every move leaves an undo record, and a group that
 * fails, or a batch that is refused as a whole, is undone. Undo records of one series are chained:
 * they are also how a late sample finds what is checked in but not applied.
 *
 * Everything that can fail for want of memory fails here. */
#include "engines/tsdb/commit_int.h"

#include "base/clock.h"
#include "base/hash.h"
#include "engines/tsdb/exemplar_int.h"

#include <string.h>

#define AHEAD 24 /* samples whose series is fetched before it is needed; 8 to 48 measure alike */

/* -- undo -- */

static bool undo_room(struct commit *c, size_t n)
{
    void *p = c->undo;
    bool ok = mem_array_grow(&c->mem, &p, &c->undo_cap, c->undo_n + n, UNDO_NONE, sizeof *c->undo);
    c->undo = p;
    void *q = c->taken;
    ok = ok &&
         mem_array_grow(&c->mem, &q, &c->taken_cap, c->taken_n + n, UNDO_NONE, sizeof *c->taken);
    c->taken = q;
    return ok;
}

void check_undo(struct tsdb *db, size_t n)
{
    struct commit *c = db->commit;
    while (c->undo_n > n) {
        const struct undo *u = &c->undo[--c->undo_n];
        if (u->ref == 0) {
            gen_late_undo(db->active, u->late);
        } else {
            struct series_page *p = head_page(db->head, u->ref);
            p->v[u->ref % SERIES_PER_PAGE] = u->was;
        }
    }
}

static void advance(struct commit *c, uint32_t ref, struct last *s, int64_t t, uint64_t bits)
{
    struct undo *u = &c->undo[c->undo_n];
    u->ref = ref;
    u->was = *s;
    if (s->group != c->group) {
        s->undo = UNDO_NONE;
    }
    u->late = s->undo; /* the one before in this group */
    s->last_t = t;
    s->last_bits = bits;
    s->undo = (uint32_t)c->undo_n;
    s->group = c->group;
    c->undo_n++;
}

/* A time that is checked in, by this group, and not applied yet. */
static bool pending(const struct commit *c, const struct last *s, int64_t t, uint64_t *bits)
{
    uint32_t i = s->group == c->group ? s->undo : UNDO_NONE;
    while (i != UNDO_NONE && c->undo[i].was.last_t >= t) {
        if (c->undo[i].was.last_t == t) {
            *bits = c->undo[i].was.last_bits;
            return *bits != BITS_UNKNOWN;
        }
        i = c->undo[i].late;
    }
    return false;
}

/* -- series -- */

/* A series' first sample since the start: is it there, is its definition logged, how new is it? */
static bool meet(struct tsdb *db, struct series_page *p, uint32_t ref)
{
    struct commit *c = db->commit;
    uint32_t i = ref % SERIES_PER_PAGE;
    if (!index_has(db->index, ref)) {
        return false;
    }
    if (!bit_get(p->logged, i)) {
        void *met = c->met;
        if (!mem_array_grow(&c->mem, &met, &c->met_cap, c->met_n + 1, REFS_MAX, sizeof *c->met)) {
            return false;
        }
        c->met = met;
        c->met[c->met_n++] = ref;
        bit_set(p->logged, i);
    }
    int64_t t;
    if (find_newest(db, ref, &t) && t > p->v[i].last_t) {
        p->v[i].last_t = t;
        p->v[i].last_bits = BITS_UNKNOWN;
    }
    bit_set(p->known, i);
    return true;
}

void check_put_met(struct tsdb *db)
{
    struct commit *c = db->commit;
    if (c->met_n == c->met_put) {
        return;
    }
    wal_record_begin(db->wal, LOG_SERIES);
    for (size_t i = c->met_put; i < c->met_n; i++) {
        arena_reset(&c->arena);
        struct labels ls = index_labels(db->index, c->met[i], &c->arena);
        uint32_t source = index_source_of(db->index, c->met[i]);
        log_put_series(&db->wal->group, c->met[i], source, ls);
    }
    wal_record_end(db->wal);
    c->met_put = c->met_n;
}

/* -- verdicts -- */

static void refuse(struct tsdb_batch *b, size_t i, int64_t t, enum tsdb_refusal why)
{
    struct tsdb_result *r = &b->result;
    b->verdict[i] = VERDICT_REFUSED;
    b->clean = false;
    r->refused[why]++;
    if (r->first_ref == 0) {
        r->first_ref = b->refs[i];
        r->first_t_ms = t;
        r->first_why = why;
    }
}

static void refuse_run(struct tsdb_batch *b, size_t from, size_t to, int64_t t,
                       enum tsdb_refusal why)
{
    for (size_t i = from; i < to; i++) {
        refuse(b, i, t, why);
    }
}

/* A sample that is not newer than the series' newest. */
static void check_older(struct tsdb *db, struct tsdb_batch *b, size_t i, int64_t t, bool hist,
                        uint64_t bits, struct last *s)
{
    struct commit *c = db->commit;
    uint32_t ref = b->refs[i];
    b->clean = false;
    bool within = s->last_t - t <= c->config.out_of_order_ms;
    uint64_t is = s->last_bits;
    bool there = t == s->last_t && is != BITS_UNKNOWN;
    there = there || pending(c, s, t, &is);
    there = there || find_sample(db, ref, t, within, &is);
    if (there) {
        if (is == bits) {
            b->verdict[i] = VERDICT_DUPLICATE;
        } else {
            refuse(b, i, t, TSDB_DUPLICATE);
        }
        return;
    }
    if (!within) {
        refuse(b, i, t, TSDB_OUT_OF_ORDER);
        return;
    }
    uint64_t stored = b->bits[i];
    if (hist) {
        stored = gen_blob(db->active, tsdb_batch_hist(b, b->bits[i]));
    }
    uint32_t late = 0;
    if (!hist || stored != 0) {
        int64_t st = b->has_st ? b->st[i] : 0;
        late = gen_late_add(db->active, ref, t, st, hist ? CHUNK_HIST : CHUNK_FLOAT, stored);
    }
    if (late == 0) {
        refuse(b, i, t, TSDB_HEAD_FULL);
        return;
    }
    b->verdict[i] = VERDICT_LATE;
    c->taken[c->taken_n++] = late;
    c->undo[c->undo_n++] = (struct undo){.ref = 0, .late = late};
}

static inline void check_one(struct tsdb *db, struct tsdb_batch *b, size_t i, int64_t t, bool hist)
{
    uint32_t ref = b->refs[i];
    struct series_page *p = head_page(db->head, ref);
    uint32_t k = ref % SERIES_PER_PAGE;
    if (__builtin_expect(p == NULL || (!bit_get(p->known, k) && !meet(db, p, ref)), 0)) {
        refuse(b, i, t, TSDB_GONE);
        return;
    }
    if (__builtin_expect(gen_slot(db->active, ref) == NULL, 0)) {
        refuse(b, i, t, TSDB_HEAD_FULL);
        return;
    }
    struct last *s = &p->v[k];
    uint64_t bits = b->bits[i];
    struct str bytes = {NULL, 0};
    if (hist) {
        bytes = tsdb_batch_hist(b, bits);
        bits = find_hist_bits(bytes);
    }
    if (__builtin_expect(t <= s->last_t, 0)) {
        check_older(db, b, i, t, hist, bits, s);
        return;
    }
    if (hist) {
        uint32_t blob = gen_blob(db->active, bytes);
        if (blob == 0) {
            refuse(b, i, t, TSDB_HEAD_FULL);
            return;
        }
        db->commit->taken[db->commit->taken_n++] = blob;
    }
    b->verdict[i] = VERDICT_APPEND;
    advance(db->commit, ref, s, t, bits);
}

static void check_run(struct tsdb *db, struct tsdb_batch *b, size_t run)
{
    struct commit *c = db->commit;
    size_t from = b->runs[run].first;
    size_t to = batch_run_end(b, run);
    int64_t t = b->runs[run].t;
    bool hist = b->runs[run].kind == BATCH_HIST;
    int64_t ahead;
    bool new = __builtin_sub_overflow(t, c->now_ms, &ahead) ? t > 0 : ahead > c->config.future_ms;
    if (new && c->config.future_ms > 0 && (b->flags & TSDB_NO_FUTURE_CHECK) == 0) {
        refuse_run(b, from, to, t, TSDB_TOO_NEW);
        return;
    }
    /* The smallest time stands for "none". */
    bool old = c->config.retention_ms > 0 && t < c->now_ms - c->config.retention_ms;
    if (old || t == NO_TIME) {
        refuse_run(b, from, to, t, TSDB_TOO_OLD);
        return;
    }
    for (size_t i = from; i < to; i++) {
        if (i + AHEAD < b->n) {
            uint32_t ref = b->refs[i + AHEAD];
            const struct series_page *p =
                ref < REFS_MAX ? db->head->pages[ref / SERIES_PER_PAGE] : NULL;
            if (p != NULL) {
                __builtin_prefetch(&p->v[ref % SERIES_PER_PAGE], 1);
            }
        }
        check_one(db, b, i, t, hist);
    }
}

/* -- the batch -- */

static void count_stored(struct tsdb_batch *b)
{
    struct tsdb_result *r = &b->result;
    uint64_t refused = 0;
    for (size_t k = 0; k < TSDB_REFUSALS; k++) {
        refused += r->refused[k];
    }
    r->samples = b->n - refused;
    if (b->hists_n == 0) {
        return;
    }
    for (size_t k = 0; k < b->runs_n; k++) {
        if (b->runs[k].kind != BATCH_HIST) {
            continue;
        }
        for (size_t i = b->runs[k].first; i < batch_run_end(b, k); i++) {
            r->histograms += b->verdict[i] != VERDICT_REFUSED ? 1 : 0;
        }
    }
    r->samples -= r->histograms;
}

static bool any_refused(const struct tsdb_result *r)
{
    return r->first_ref != 0;
}

static void check_exemplars(struct tsdb *db, struct tsdb_batch *b)
{
    for (size_t i = 0; i < b->exemplars_n; i++) {
        struct batch_exemplar *x = &b->exemplars[i];
        struct series_page *p = x->ref != 0 ? head_page(db->head, x->ref) : NULL;
        bool known =
            p != NULL && (bit_get(p->known, x->ref % SERIES_PER_PAGE) || meet(db, p, x->ref));
        if (known && exemplars_wanted(db->exemplars)) {
            b->result.exemplars++;
        } else {
            x->ref = 0;
            b->result.refused_exemplars++;
        }
    }
}

void check_batch(struct tsdb *db, struct tsdb_batch *b)
{
    struct commit *c = db->commit;
    size_t undo_from = c->undo_n;
    size_t taken_from = c->taken_n;
    b->result = (struct tsdb_result){.samples = 0};
    b->refused = false;
    b->clean = true;
    b->taken_from = taken_from;
    size_t bytes = gen_bytes_max(b->n, b->runs_n, b->has_st);
    size_t pages = gen_pages_of(c->reserved + bytes);
    bool room = undo_room(c, b->n) && pool_reserve(&db->head->pool, pages) &&
                db->active->pages_n + pages < GEN_PAGES_MAX;
    for (size_t r = 0; r < b->runs_n; r++) {
        if (room) {
            check_run(db, b, r);
        } else {
            refuse_run(b, b->runs[r].first, batch_run_end(b, r), b->runs[r].t, TSDB_HEAD_FULL);
        }
    }
    count_stored(b);
    if ((b->flags & TSDB_ALL_OR_NOTHING) != 0 && any_refused(&b->result)) {
        b->refused = true;
        b->result.samples = 0;
        b->result.histograms = 0;
        check_undo(db, undo_from);
        c->taken_n = taken_from;
        return;
    }
    check_exemplars(db, b);
    c->reserved += bytes;
}
