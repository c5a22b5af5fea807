/* Recovery: what a start makes of the files.
 *
 *     newest whole table -> index     blocks -> list; covered = the largest log_upto
 *     tombs.bin -> tombs              log at or after `covered` -> head
 *
 * Replay applies without checking: what is in the log was accepted. Series are told apart from
 * those that were dropped by the index; a definition logged before the table's position is in the
 * table, or was dropped. Memory is bounded as it is when running: when the head is full it is
 * frozen, and when one is frozen already that one is written into a block first.
 *
 * Damage never stops a start: blocks, tables and records that do not hold their checksum are set
 * aside, counted and logged. The disk's own errors do: an answer without data that is there would
 * be wrong. */
#include "engines/tsdb/commit_int.h"
#include "engines/tsdb/exemplar_int.h"
#include "engines/tsdb/merge_int.h"

#include "base/clock.h"

#include <string.h>

static const char *const mod = "tsdb";

#define AHEAD        16
#define BLOCKS_MAX   65536
#define LABELS_BYTES ((size_t)64 << 20)

struct replay {
    struct tsdb *db;
    struct log_reader reader;
    struct arena arena;
    uint32_t *sources; /* number in the log -> number now */
    size_t sources_cap;
    uint64_t samples, unknown;
    uint32_t unknown_top; /* the greatest id that samples have and no definition */
    struct err *e;
    bool failed;
};

/* -- blocks -- */

static bool block_take(struct tsdb *db, uint64_t id, struct err *e)
{
    struct block *b;
    struct err why = {.code = ERR_NONE};
    if (block_open(&b, &db->keep_mem, db->os, db->dir, id, &why)) {
        uint64_t upto = block_info(b)->log_upto;
        db->covered = upto > db->covered ? upto : db->covered;
        if (tsdb_blocks_replace(db, NULL, 0, &b, 1, e)) {
            return true;
        }
        block_close(b);
        return false;
    }
    if (why.code != ERR_CORRUPT) {
        if (e != NULL) {
            *e = why;
        }
        return false;
    }
    db->counters.blocks_damaged++;
    log_err(db->log, LOG_ERROR, mod, &why);
    if (!block_set_aside(db->os, db->dir, id, &why)) {
        log_err(db->log, LOG_ERROR, mod, &why);
    }
    return true;
}

/* A crash came between a merge and the removal of what it merged. */
static bool superseded_remove(struct tsdb *db, uint64_t *ids, struct err *e)
{
    struct block_list *l = tsdb_blocks_ref(db);
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct block_info *x = block_info(l->v[i]->block);
        bool gone = false;
        for (uint32_t k = 0; k < l->n && !gone; k++) {
            gone = k != i && block_supersedes(block_info(l->v[k]->block), x);
        }
        if (gone) {
            ids[n++] = x->id;
        }
    }
    bool ok = n == 0 || tsdb_blocks_replace(db, ids, n, NULL, 0, e);
    tsdb_blocks_unref(db, l);
    tsdb_blocks_sweep(db);
    return ok;
}

static bool blocks_load(struct tsdb *db, struct err *e)
{
    uint64_t *ids = NULL;
    uint32_t n = 0;
    uint32_t cap = 0;
    uint64_t top = 0;
    bool ok = tsdb_blocks_replace(db, NULL, 0, NULL, 0, e) &&
              block_list(&db->keep_mem, db->os, db->dir, BLOCKS_MAX, &ids, &n, &cap, &top, e);
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = block_take(db, ids[i], e);
    }
    ok = ok && (n < 2 || superseded_remove(db, ids, e));
    mem_give(&db->keep_mem, ids, (size_t)cap * sizeof *ids);
    db->block_id_next = top + 1;
    return ok;
}

/* -- replay -- */

static bool replay_source(struct replay *r, struct str payload, struct err *e)
{
    uint32_t source;
    struct str name;
    if (!log_get_source(payload, &source, &name, e)) {
        return false;
    }
    struct tsdb_config config;
    tsdb_config_get(r->db, &config);
    if (source >= config.sources_max) {
        return true; /* there are fewer than there were: "other" */
    }
    void *p = r->sources;
    bool ok = mem_array_grow(&r->db->commit->mem, &p, &r->sources_cap, (size_t)source + 1,
                             config.sources_max, sizeof *r->sources);
    r->sources = p;
    if (!ok) {
        return err_set(e, ERR_NOMEM, "no memory for the sources of the log");
    }
    r->sources[source] = index_source(r->db->index, name, 0) + 1;
    return true;
}

static bool replay_series(struct replay *r, uint64_t position, struct str payload, struct err *e)
{
    struct tsdb *db = r->db;
    struct rd rd = rd_of(payload);
    while (position >= db->series_log_upto && rd_left(&rd) > 0) {
        uint32_t ref;
        uint32_t source;
        struct labels ls;
        arena_reset(&r->arena);
        if (!log_get_series(&rd, &r->arena, &ref, &source, &ls, e)) {
            return false;
        }
        bool mapped = source < r->sources_cap && r->sources[source] != 0;
        if (!index_restore(db->index, ref, mapped ? r->sources[source] - 1 : source, ls, e)) {
            return false;
        }
    }
    return true;
}

/* Whether the series is still known; its definition needs no logging. */
static bool series_is(struct tsdb *db, struct series_page *p, uint32_t ref)
{
    uint32_t k = ref % SERIES_PER_PAGE;
    if (!bit_get(p->logged, k)) {
        if (!index_has(db->index, ref)) {
            return false;
        }
        bit_set(p->logged, k);
    }
    return true;
}

/* A sample that is not newer than the series' newest: late, unless it is there already. */
static bool replay_late(struct tsdb *db, uint32_t ref, int64_t t, int64_t st, bool hist,
                        struct str bytes, uint64_t bits)
{
    uint64_t is;
    if (find_sample(db, ref, t, false, &is)) {
        return true;
    }
    struct gen *g = db->active;
    uint64_t stored = hist ? gen_blob(g, bytes) : bits;
    uint32_t late = hist && stored == 0
                        ? 0
                        : gen_late_add(g, ref, t, st, hist ? CHUNK_HIST : CHUNK_FLOAT, stored);
    if (late != 0) {
        gen_late_publish(g, late, 0);
    }
    return late != 0;
}

/* refs are below REFS_MAX: log_record.c saw to that. */
static inline void fetch(const struct tsdb *db, const struct log_run *run, uint32_t i)
{
    const struct series_page *p = NULL;
    if (i + AHEAD * 2 < run->n) {
        uint32_t ref = run->refs[i + AHEAD * 2];
        p = db->head->pages[ref / SERIES_PER_PAGE];
        if (p != NULL) {
            __builtin_prefetch(&p->v[ref % SERIES_PER_PAGE], 1);
        }
        gen_fetch_slot(db->active, ref);
    }
    if (i + AHEAD < run->n) {
        gen_fetch_chunk(db->active, run->refs[i + AHEAD]);
    }
}

static bool nomem(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to replay the log");
}

static bool replay_run(struct replay *r, const struct log_run *run, struct err *e)
{
    struct tsdb *db = r->db;
    struct gen *g = db->active;
    size_t pages = gen_pages_of(gen_bytes_max(run->n, 1, run->st != NULL));
    if (!pool_reserve(&db->head->pool, pages) || g->pages_n + pages >= GEN_PAGES_MAX) {
        return nomem(e);
    }
    uint64_t before = r->samples;
    for (uint32_t i = 0; i < run->n; i++) {
        fetch(db, run, i);
        uint32_t ref = run->refs[i];
        struct series_page *p = head_page(db->head, ref);
        struct slot *slot = p != NULL ? gen_slot(g, ref) : NULL;
        if (slot == NULL) {
            return nomem(e);
        }
        if (!series_is(db, p, ref)) {
            r->unknown++;
            r->unknown_top = ref > r->unknown_top ? ref : r->unknown_top;
            continue;
        }
        struct last *s = &p->v[ref % SERIES_PER_PAGE];
        int64_t st = run->st != NULL ? run->st[i] : 0;
        struct str bytes = run->hist ? run->hists[i] : (struct str){NULL, 0};
        uint64_t bits = run->hist ? find_hist_bits(bytes) : get_u64le(run->values + 8 * (size_t)i);
        if (run->t <= s->last_t) {
            if (!replay_late(db, ref, run->t, st, run->hist, bytes, bits)) {
                return nomem(e);
            }
        } else {
            uint64_t stored = run->hist ? gen_blob(g, bytes) : bits;
            unsigned kind = (run->hist ? CHUNK_HIST : CHUNK_FLOAT) | (st != 0 ? CHUNK_ST : 0);
            if (run->hist && stored == 0) {
                return nomem(e);
            }
            gen_append(g, slot, run->t, st, kind, stored);
            s->last_t = run->t;
            s->last_bits = bits;
        }
        r->samples++;
    }
    if (r->samples > before) {
        g->samples += r->samples - before;
        g->min_ms = i64_min(g->min_ms, run->t);
        g->max_ms = i64_max(g->max_ms, run->t);
    }
    return true;
}

/* A histogram that does not decode would fail every read of its series: the record is damaged. */
static bool run_validate(struct replay *r, const struct log_run *run, struct err *e)
{
    for (uint32_t i = 0; run->hist && i < run->n; i++) {
        struct nhist *h;
        struct rd rd = rd_of(run->hists[i]);
        arena_reset(&r->arena);
        if (!nhist_decode(&rd, &r->arena, &h, e)) {
            return false;
        }
    }
    return true;
}

static bool replay_samples(struct replay *r, uint64_t position, struct str payload, struct err *e)
{
    struct tsdb *db = r->db;
    /* Writing blocks takes time that a start does not have: within the bounds of a running store it
     * is left to the flusher. */
    if (db->active->bytes >= freeze_bound(db) * 2) {
        struct err why = {.code = ERR_NONE};
        if (db->frozen != NULL && !flush_frozen(db, &why)) {
            log_err(db->log, LOG_ERROR, mod, &why);
        }
        if (db->frozen == NULL && !freeze_at(db, position)) {
            return nomem(e);
        }
    }
    struct log_run run;
    log_reader_start(&r->reader, payload);
    while (log_reader_next(&r->reader, &run, e)) {
        if (!run_validate(r, &run, e) || !replay_run(r, &run, e)) {
            return false;
        }
    }
    return e->code == ERR_NONE;
}

static bool replay_exemplars(struct replay *r, struct str payload, struct err *e)
{
    struct rd rd = rd_of(payload);
    while (rd_left(&rd) > 0) {
        struct tsdb_exemplar one;
        arena_reset(&r->arena);
        if (!log_get_exemplar(&rd, &r->arena, &one, e)) {
            return false;
        }
        if (index_has(r->db->index, one.ref)) {
            (void)exemplars_add(r->db->exemplars, 0, &one);
        }
    }
    return true;
}

static bool replay_record(void *ctx, uint64_t position, unsigned kind, struct str payload,
                          struct err *e)
{
    struct replay *r = ctx;
    err_clear(e);
    switch ((enum log_record)kind) {
    case LOG_SOURCE: return replay_source(r, payload, e);
    case LOG_SERIES: return replay_series(r, position, payload, e);
    case LOG_SAMPLES: return replay_samples(r, position, payload, e);
    case LOG_EXEMPLARS: return replay_exemplars(r, payload, e);
    case LOG_CLEAN: return true;
    }
    return err_set(e, ERR_CORRUPT, "the log has a record of unknown kind %u", kind);
}

static void replay_segment(void *ctx, uint32_t id, uint64_t bytes)
{
    struct replay *r = ctx;
    if (!wal_found(r->db->wal, id, bytes, r->e)) {
        r->failed = true;
    }
}

/* Samples whose definition was lost with a table or a record stay on disk under their id: it must
 * not come to mean another series. */
static bool ids_reserve(struct tsdb *db, uint32_t top, struct err *e)
{
    struct block_list *l = tsdb_blocks_ref(db);
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t n = block_columns(l->v[i]->block);
        if (n > 0) {
            struct block_entry last;
            block_entry(l->v[i]->block, n - 1, &last);
            top = last.ref > top ? last.ref : top;
        }
    }
    tsdb_blocks_unref(db, l);
    return top < index_refs_end(db->index) || index_reserve(db->index, top + 1, e);
}

static bool log_replay(struct tsdb *db, struct err *e)
{
    struct commit *c = db->commit;
    struct replay r = {.db = db, .e = e};
    log_reader_init(&r.reader, &c->mem);
    arena_init(&r.arena, &c->mem, LABELS_BYTES);
    struct log_scan s = {.os = db->os,
                         .mem = &c->mem,
                         .log = db->log,
                         .dir = db->wal->dir,
                         .covered = db->covered,
                         .record = replay_record,
                         .segment = replay_segment,
                         .ctx = &r};
    bool ok = log_scan_run(&s, e) && !r.failed;
    find_done(db);
    log_reader_release(&r.reader);
    arena_release(&r.arena);
    mem_give(&c->mem, r.sources, r.sources_cap * sizeof *r.sources);
    if (!ok) {
        return false;
    }
    db->covered = s.covered > db->covered ? s.covered : db->covered;
    uint32_t top = s.id_max;
    top = log_position_id(db->covered) > top ? log_position_id(db->covered) : top;
    top = log_position_id(db->series_log_upto) > top ? log_position_id(db->series_log_upto) : top;
    db->wal->id_next = top + 1;
    db->wal->prev = s.end;
    db->recovered_end = s.end;
    db->counters.records_damaged += s.damaged;
    if (!ids_reserve(db, r.unknown_top, e)) {
        return false;
    }
    if (r.unknown > 0) {
        log_line(db->log, LOG_WARN, mod, "%llu samples of series that are not known any more",
                 (unsigned long long)r.unknown);
    }
    return true;
}

bool recover(struct tsdb *db, struct err *e)
{
    int64_t t0 = os_mono_ns(db->os);
    db->active = gen_new(&db->head->pool);
    if (db->active == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the head");
    }
    db->active->born_mono_ns = t0;
    if (!series_load(db, e) || !blocks_load(db, e) || !tombs_load(db, e) || !log_replay(db, e)) {
        return false;
    }
    atomic_store(&db->covered_log, db->covered);
    atomic_store(&db->log_position, db->series_log_upto);
    wal_trim(db->wal, db->covered);
    db->epoch = 1;
    db->counters.recovery_ns = os_mono_ns(db->os) - t0;
    return true;
}
