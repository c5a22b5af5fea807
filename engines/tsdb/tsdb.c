/* The store as a whole: opening, closing, configuration, sources, statistics. The parts are in the
 * files that tsdb_int.h and README.md name. */
#include "engines/tsdb/tsdb.h"

#include "engines/tsdb/commit_int.h"
#include "engines/tsdb/exemplar_int.h"
#include "engines/tsdb/family_int.h"
#include "engines/tsdb/merge_int.h"
#include "engines/tsdb/names_int.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define GROUP_BYTES_MAX  ((uint64_t)1 << 30)
#define SOURCE_NAME_MAX  1024
#define POOL_PAGES_SPARE 16

void tsdb_config_default(struct tsdb_config *c)
{
    *c = (struct tsdb_config){
        .retention_ms = 15 * MS_PER_DAY,
        .out_of_order_ms = 60 * 60 * MS_PER_S,
        .future_ms = 10 * 60 * MS_PER_S,
        .block_ms = 2 * 60 * 60 * MS_PER_S,
        .head_bytes_max = (uint64_t)24 << 20,
        .head_ms = 10 * 60 * MS_PER_S,
        .series_max = 2000000,
        .exemplars_max = 100000,
        .queue_bytes_max = (uint64_t)64 << 20,
        .sources_max = 4096,
    };
}

void tsdb_config_get(struct tsdb *db, struct tsdb_config *out)
{
    pthread_mutex_lock(&db->config_mu);
    *out = db->config;
    pthread_mutex_unlock(&db->config_mu);
}

static void config_set(struct tsdb *db, const struct tsdb_config *c)
{
    pthread_mutex_lock(&db->config_mu);
    db->config = *c;
    db->config.dir = db->dir;
    db->config.head_bytes_max =
        c->head_bytes_max > POOL_PAGE_BYTES ? c->head_bytes_max : POOL_PAGE_BYTES;
    db->config.sources_max = c->sources_max > 0 ? c->sources_max : 1;
    pthread_mutex_unlock(&db->config_mu);
}

void tsdb_reconfigure(struct tsdb *db, const struct tsdb_config *c)
{
    struct tsdb_config was;
    tsdb_config_get(db, &was);
    struct tsdb_config next = *c;
    next.sources_max = was.sources_max;
    config_set(db, &next);
    index_series_max(db->index, c->series_max);
    exemplars_max(db->exemplars, c->exemplars_max);
}

/* -- opening -- */

static void mutexes_init(struct tsdb *db)
{
    pthread_mutex_t *all[] = {&db->config_mu, &db->keep_mu, &db->view_mu, &db->source_mu,
                              &db->queue_mu};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int rc = pthread_mutex_init(all[i], NULL);
        ASSERT(rc == 0);
    }
    pthread_condattr_t steady; /* the flusher's naps must not follow a clock that is set */
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&db->commit_wake, NULL);
    pthread_cond_init(&db->flush_wake, &steady);
    pthread_cond_init(&db->flush_done, NULL);
    pthread_condattr_destroy(&steady);
}

static bool lock_take(struct tsdb *db, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (!dir_make(db->os, db->dir, e) || !path_join(path, sizeof path, db->dir, "lock", e)) {
        return false;
    }
    int rc = db->os->open(db->os->ctx, path, OS_WRITE | OS_CREATE, &db->lock_fd);
    if (rc != 0) {
        db->lock_fd = -1;
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    rc = db->os->lock(db->os->ctx, db->lock_fd);
    if (rc == EWOULDBLOCK) {
        return err_set(e, ERR_BUSY, "another process has the store '%s'", db->dir);
    }
    return rc == 0 || err_errno(e, rc, "cannot lock '%s'", path);
}

static bool parts_new(struct tsdb *db, struct err *e)
{
    struct tsdb_config *c = &db->config;
    uint64_t group_bytes = c->queue_bytes_max * 2 + ((uint64_t)256 << 20);
    group_bytes = group_bytes < GROUP_BYTES_MAX ? group_bytes : GROUP_BYTES_MAX;
    bool ok = lock_take(db, e) && index_new(&db->index_mem, c->series_max, &db->index, e) &&
              head_new(&db->head, e) && exemplars_new(&db->exemplars, c->exemplars_max, e) &&
              commit_new(db, e) && wal_open(&db->wal, db->os, db->dir, group_bytes, db->log, e);
    if (ok) {
        db->wal->tap_bytes_max = c->tap_bytes_max;
    }
    return ok;
}

static bool threads_start(struct tsdb *db, struct err *e)
{
    db->flush_wanted = db->frozen != NULL;
    db->freeze_number = db->frozen != NULL ? 1 : 0;
    int rc = pthread_create(&db->flusher, NULL, flush_run, db);
    db->flusher_runs = rc == 0;
    if (rc == 0) {
        rc = pthread_create(&db->committer, NULL, commit_run, db);
        db->committer_runs = rc == 0;
    }
    return rc == 0 || err_errno(e, rc, "cannot start the store's threads");
}

bool tsdb_open(struct tsdb **out, const struct tsdb_config *c, const struct os *os, struct log *log,
               struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct tsdb *db = mem_take(&m, sizeof *db);
    if (db == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the store");
    }
    db->open_mem = m;
    db->os = os;
    db->log = log;
    db->lock_fd = -1;
    mem_init(&db->index_mem, 0);
    mem_init(&db->keep_mem, 0);
    mem_init(&db->view_mem, 0);
    mutexes_init(db);
    struct str dir = str_from_c(c->dir);
    bool ok =
        dir.n < sizeof db->dir ||
        err_set(e, ERR_LIMIT, "the path of the store is longer than %zu bytes", sizeof db->dir - 1);
    if (ok) {
        memcpy(db->dir, dir.p, dir.n);
        config_set(db, c);
        ok = parts_new(db, e) && recover(db, e) && threads_start(db, e);
    }
    if (!ok) {
        tsdb_close(db);
        return false;
    }
    *out = db;
    return true;
}

/* -- closing -- */

static void threads_stop(struct tsdb *db)
{
    pthread_mutex_lock(&db->queue_mu);
    db->stopping = true;
    pthread_cond_broadcast(&db->commit_wake);
    pthread_mutex_unlock(&db->queue_mu);
    if (db->committer_runs) {
        pthread_join(db->committer, NULL);
    }
    pthread_mutex_lock(&db->queue_mu);
    db->flusher_stop = true;
    pthread_cond_broadcast(&db->flush_wake);
    pthread_cond_broadcast(&db->flush_done);
    pthread_mutex_unlock(&db->queue_mu);
    if (db->flusher_runs) {
        pthread_join(db->flusher, NULL);
    }
}

/* A last record, so that damage at the end of the log is told from a write that did not finish; and
 * a sync for the batches that did not ask for one. */
static void log_end(struct tsdb *db)
{
    struct err e = {.code = ERR_NONE};
    if (db->wal == NULL || db->wal->fd < 0 || !db->committer_runs) {
        return;
    }
    buf_reset(&db->wal->group);
    wal_record_begin(db->wal, LOG_CLEAN);
    wal_record_end(db->wal);
    if (!wal_commit(db->wal, true, &e)) {
        log_err(db->log, LOG_WARN, "tsdb", &e);
    }
}

static void sources_free(struct tsdb *db)
{
    for (uint32_t i = 0; i < db->sources_n; i++) {
        struct source *s = db->sources[i];
        if (s != NULL) {
            mem_give(&db->open_mem, s, sizeof *s + s->name.n);
        }
    }
    mem_give(&db->open_mem, db->sources, db->sources_cap * sizeof *db->sources);
}

static void keep_free(struct tsdb *db)
{
    family_free(db->family);
    mem_give(&db->keep_mem, db->looked, db->looked_bytes);
    if (db->blocks != NULL) {
        tsdb_blocks_unref(db, db->blocks);
    }
    tsdb_blocks_sweep(db);
    tombs_unref(db->tombs);
    ASSERT(db->keep_mem.bytes == 0);
    ASSERT(db->view_mem.bytes == 0);
}

void tsdb_close(struct tsdb *db)
{
    if (db == NULL) {
        return;
    }
    threads_stop(db);
    ASSERT(db->views_first == NULL); /* a view must not outlive its store */
    log_end(db);
    commit_free(db);
    keep_free(db);
    gen_free(db->active);
    gen_free(db->frozen);
    head_free(db->head);
    exemplars_free(db->exemplars);
    wal_close(db->wal);
    index_free(db->index);
    ASSERT(db->index_mem.bytes == 0);
    if (db->lock_fd >= 0) {
        (void)db->os->close(db->os->ctx, db->lock_fd);
    }
    sources_free(db);
    pthread_cond_destroy(&db->commit_wake);
    pthread_cond_destroy(&db->flush_wake);
    pthread_cond_destroy(&db->flush_done);
    pthread_mutex_destroy(&db->config_mu);
    pthread_mutex_destroy(&db->keep_mu);
    pthread_mutex_destroy(&db->view_mu);
    pthread_mutex_destroy(&db->source_mu);
    pthread_mutex_destroy(&db->queue_mu);
    struct mem m = db->open_mem;
    mem_give(&m, db, sizeof *db);
    ASSERT(m.bytes == 0);
}

/* -- series -- */

static bool source_keep(struct tsdb *db, uint32_t id, struct str name)
{
    void *p = db->sources;
    bool ok = mem_array_grow(&db->open_mem, &p, &db->sources_cap, (size_t)id + 1, UINT32_MAX,
                             sizeof(struct source *));
    db->sources = p;
    struct source *s = ok ? mem_take(&db->open_mem, sizeof *s + name.n) : NULL;
    if (s == NULL) {
        return false;
    }
    char *copy = (char *)(s + 1);
    memcpy(copy, name.p, name.n);
    s->name = str_of(copy, name.n);
    db->sources[id] = s;
    db->sources_n = id >= db->sources_n ? id + 1 : db->sources_n;
    return true;
}

uint32_t tsdb_source(struct tsdb *db, struct str name, uint32_t series_max)
{
    if (name.n == 0 || name.n > SOURCE_NAME_MAX) {
        return 0;
    }
    struct tsdb_config config;
    tsdb_config_get(db, &config);
    pthread_mutex_lock(&db->source_mu);
    uint32_t id = index_source(db->index, name, series_max);
    bool known = id < db->sources_n && db->sources[id] != NULL;
    if (id >= config.sources_max || (id != 0 && !known && !source_keep(db, id, name))) {
        id = 0;
    }
    pthread_mutex_unlock(&db->source_mu);
    return id;
}

uint32_t tsdb_source_series(struct tsdb *db, uint32_t source, uint64_t *refused)
{
    return index_source_series(db->index, source, refused);
}

bool tsdb_series(struct tsdb *db, uint32_t source, struct labels ls, uint32_t *out, struct err *e)
{
    bool is_new;
    if (!index_series(db->index, source, ls, out, &is_new, e)) {
        return false;
    }
    return *out < REFS_MAX || err_set(e, ERR_LIMIT, "more than %u series", REFS_MAX);
}

bool tsdb_names_new(struct tsdb *db, size_t bytes_max, struct tsdb_names **out, struct err *e)
{
    uint64_t seed = 0;
    int rc = db->os->random(db->os->ctx, &seed, sizeof seed);
    if (rc != 0) {
        *out = NULL;
        return err_errno(e, rc, "cannot draw the seed of a cache of series names");
    }
    return names_new_in(db->index, seed, bytes_max, NULL, NULL, out, e);
}

/* -- statistics -- */

static void stats_of_views(struct tsdb *db, struct tsdb_stats *out)
{
    pthread_mutex_lock(&db->view_mu);
    const struct gen *gens[2] = {db->active, db->frozen};
    for (size_t i = 0; i < 2; i++) {
        if (gens[i] != NULL) {
            out->head_samples += gens[i]->samples;
            out->min_ms = i64_min(out->min_ms, gens[i]->min_ms);
            out->max_ms = i64_max(out->max_ms, gens[i]->max_ms);
        }
    }
    const struct block_list *l = db->blocks;
    out->min_ms = i64_min(out->min_ms, l->min_ms);
    out->max_ms = i64_max(out->max_ms, l->max_ms);
    out->blocks = l->n;
    for (uint32_t i = 0; i < l->n; i++) {
        out->block_bytes += block_info(l->v[i]->block)->bytes;
        out->block_samples += block_info(l->v[i]->block)->samples;
    }
    pthread_mutex_unlock(&db->view_mu);
}

void tsdb_stats(struct tsdb *db, struct tsdb_stats *out)
{
    struct tsdb_counters *k = &db->counters;
    *out = (struct tsdb_stats){.min_ms = INT64_MAX, .max_ms = INT64_MIN};
    out->series = index_count(db->index);
    out->index_bytes = index_bytes(db->index);
    out->label_pairs = index_pairs_count(db->index);
    out->series_refused = index_refused(db->index);
    out->samples = k->samples;
    out->histograms = k->histograms;
    out->exemplars = k->exemplars;
    out->duplicates = k->duplicates;
    for (size_t i = 0; i < TSDB_REFUSALS; i++) {
        out->refused[i] = k->refused[i];
    }
    out->log_bytes = wal_bytes(db->wal);
    out->log_syncs = k->log_syncs;
    out->log_records_damaged = k->records_damaged;
    out->log_failures = k->log_failures;
    out->blocks_damaged = k->blocks_damaged;
    out->flushes = k->flushes;
    out->merges = k->merges;
    out->retired = k->retired;
    out->flush_failures = k->flush_failures;
    out->flush_ns_last = k->flush_ns_last;
    out->merge_ns_last = k->merge_ns_last;
    out->recovery_ns = k->recovery_ns;
    stats_of_views(db, out);
    pthread_mutex_lock(&db->head->pool.mu);
    size_t idle = db->head->pool.free_n * POOL_PAGE_BYTES;
    out->head_bytes = db->head->pool.mem.bytes - idle;
    pthread_mutex_unlock(&db->head->pool.mu);
}
