/* The table of series on disk: series-%010u.bin, written whole whenever a flush meets series that
 * the last one does not have, so that the log's definitions may go.
 *
 *   off  size  field
 *     0     8  "FAROLSER"
 *     8     4  version, 1
 *    12     4  number, as in the name
 *    16     8  log_upto: definitions logged before this position are in here, or were dropped
 *    24     8  n, bytes of the table
 *    32     4  crc32c of the table
 *    36     4  crc32c of bytes 0..35
 *    40     n  the table, as index_save.c draws it
 *
 * A file is complete before it has its name (file_replace). A table is written twice, under an odd
 * number and the even one after it, because without it no block can be read: one damaged copy costs
 * nothing. The tables before go when the first copy is there. */
#include "engines/tsdb/commit_int.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mod = "tsdb";

#define SERIES_MAGIC     "FAROLSER"
#define SERIES_VERSION   1u
#define SERIES_HEAD      40
#define SERIES_BYTES_MAX ((size_t)8 << 30)
#define SERIES_FILES_MAX 1024
#define SERIES_GROWN_MIN 1000

static bool series_path(const char *dir, uint32_t number, char out[static PATH_BYTES_MAX],
                        struct err *e)
{
    char name[32];
    snprintf(name, sizeof name, "series-%010u.bin", number);
    return path_join(out, PATH_BYTES_MAX, dir, name, e);
}

/* -- saving -- */

/* A table that stays is older than the newest and never read. */
static void remove_number(struct tsdb *db, uint32_t number)
{
    char path[PATH_BYTES_MAX];
    if (number > 0 && series_path(db->dir, number, path, NULL)) {
        (void)db->os->unlink(db->os->ctx, path);
    }
}

static bool table_put(struct tsdb *db, const char *dir, uint32_t number, struct buf *out,
                      struct err *e)
{
    char path[PATH_BYTES_MAX];
    put_u32le(out->p + 12, number);
    put_u32le(out->p + 36, hash_crc32c(str_of(out->p, 36)));
    return series_path(dir, number, path, e) && file_replace(db->os, path, buf_str(out), e);
}

/* In memory, but for its number and what depends on it. */
static bool table_make(struct tsdb *db, uint64_t log_upto, struct buf *out, struct err *e)
{
    char *head = buf_room(out, SERIES_HEAD);
    if (head == NULL) {
        return buf_ok(out, e);
    }
    memset(head, 0, SERIES_HEAD);
    out->n = SERIES_HEAD;
    if (!index_save(db->index, out, e) || !buf_ok(out, e)) {
        return false;
    }
    struct str table = str_of(out->p + SERIES_HEAD, out->n - SERIES_HEAD);
    memcpy(out->p, SERIES_MAGIC, 8);
    put_u32le(out->p + 8, SERIES_VERSION);
    put_u64le(out->p + 16, log_upto);
    put_u64le(out->p + 24, table.n);
    put_u32le(out->p + 32, hash_crc32c(table));
    return true;
}

bool tsdb_series_write(struct tsdb *db, const char *dir, uint32_t number, uint64_t log_upto,
                       struct err *e)
{
    struct buf out;
    buf_init(&out, &db->keep_mem, SERIES_BYTES_MAX);
    bool ok = table_make(db, log_upto, &out, e) && table_put(db, dir, number, &out, e);
    buf_release(&out);
    return ok;
}

/* Both copies. The first one counts as saved even when the second fails. */
static bool tables_write(struct tsdb *db, uint64_t log_upto, struct err *e)
{
    uint32_t number = (db->series_number + 1) | 1;
    struct buf out;
    buf_init(&out, &db->keep_mem, SERIES_BYTES_MAX);
    bool ok = table_make(db, log_upto, &out, e) && table_put(db, db->dir, number, &out, e);
    if (ok) {
        remove_number(db, db->series_number);
        remove_number(db, db->series_number > 0 ? db->series_number - 1 : 0);
        db->series_number = number;
        ok = table_put(db, db->dir, number + 1, &out, e);
        db->series_number += ok ? 1 : 0;
    }
    buf_release(&out);
    return ok;
}

bool tsdb_series_save(struct tsdb *db, bool force, struct err *e)
{
    uint32_t count = index_count(db->index);
    uint32_t end = index_refs_end(db->index);
    if (!force && !db->series_dropped && count == db->series_saved && end == db->series_saved_end) {
        return true;
    }
    if (db->series_number >= UINT32_MAX - 4) {
        return err_set(e, ERR_LIMIT, "the tables of series have used up their numbers");
    }
    /* What is logged before this position was in the index before it was logged. */
    uint64_t upto = atomic_load(&db->log_position);
    upto = upto > db->series_log_upto ? upto : db->series_log_upto;
    if (!tables_write(db, upto, e)) {
        return false;
    }
    db->series_log_upto = upto;
    db->series_saved = count;
    db->series_saved_end = end;
    db->series_dropped = false;
    return true;
}

bool tsdb_series_save_grown(struct tsdb *db, struct err *e)
{
    uint32_t end = index_refs_end(db->index);
    uint32_t grown = end > db->series_saved_end ? end - db->series_saved_end : 0;
    return grown < SERIES_GROWN_MIN || grown < db->series_saved_end / 8 ||
           tsdb_series_save(db, false, e);
}

/* -- loading -- */

struct numbers {
    uint32_t v[SERIES_FILES_MAX];
    uint32_t n;
};

static void numbers_each(void *arg, const char *name)
{
    struct numbers *l = arg;
    struct str s = str_from_c(name);
    uint64_t number;
    if (s.n == 21 && str_starts(s, STR("series-")) && str_ends(s, STR(".bin")) &&
        str_to_u64(str_sub(s, 7, 10), &number) && number > 0 && number < UINT32_MAX) {
        /* The newest come last, and count. */
        if (l->n == SERIES_FILES_MAX) {
            memmove(l->v, l->v + 1, (SERIES_FILES_MAX - 1) * sizeof *l->v);
            l->n--;
        }
        l->v[l->n++] = (uint32_t)number;
    }
}

static bool table_validate(struct str bytes, uint32_t number, uint64_t *upto, struct str *table,
                           struct err *e)
{
    bool ok = bytes.n >= SERIES_HEAD && memcmp(bytes.p, SERIES_MAGIC, 8) == 0 &&
              get_u32le(bytes.p + 36) == hash_crc32c(str_of(bytes.p, 36)) &&
              get_u32le(bytes.p + 8) == SERIES_VERSION && get_u32le(bytes.p + 12) == number &&
              get_u64le(bytes.p + 24) == bytes.n - SERIES_HEAD;
    if (ok) {
        *table = str_sub(bytes, SERIES_HEAD, bytes.n - SERIES_HEAD);
        *upto = get_u64le(bytes.p + 16);
        ok = get_u32le(bytes.p + 32) == hash_crc32c(*table);
    }
    return ok || err_set(e, ERR_CORRUPT, "the table of series %u is damaged", number);
}

static bool table_load(struct tsdb *db, uint32_t number, struct err *e)
{
    char path[PATH_BYTES_MAX];
    struct buf bytes;
    struct str table = {NULL, 0};
    uint64_t upto = 0;
    buf_init(&bytes, &db->keep_mem, SERIES_BYTES_MAX);
    bool ok = series_path(db->dir, number, path, e) && file_read(db->os, path, &bytes, e) &&
              table_validate(buf_str(&bytes), number, &upto, &table, e) &&
              index_load(db->index, table, e);
    buf_release(&bytes);
    if (ok) {
        db->series_log_upto = upto;
        db->series_saved = index_count(db->index);
        db->series_saved_end = index_refs_end(db->index);
    }
    return ok;
}

static void set_aside(struct tsdb *db, uint32_t number, const struct err *why)
{
    char path[PATH_BYTES_MAX];
    char bad[PATH_BYTES_MAX];
    db->counters.blocks_damaged++;
    log_err(db->log, LOG_ERROR, mod, why);
    if (series_path(db->dir, number, path, NULL) &&
        snprintf(bad, sizeof bad, "%s.bad", path) < (int)sizeof bad) {
        (void)db->os->rename(db->os->ctx, path, bad);
    }
}

bool series_load(struct tsdb *db, struct err *e)
{
    struct numbers l = {.n = 0};
    int rc = db->os->list(db->os->ctx, db->dir, numbers_each, &l);
    if (rc != 0) {
        return err_errno(e, rc, "cannot list '%s'", db->dir);
    }
    db->series_number = l.n > 0 ? l.v[l.n - 1] : 0;
    bool found = false;
    uint32_t loaded = 0;
    while (l.n > 0) {
        uint32_t number = l.v[--l.n];
        struct err why = {.code = ERR_NONE};
        if (found) {
            /* The copy of an even one is the odd one before it. */
            if (loaded % 2 != 0 || number != loaded - 1) {
                remove_number(db, number);
            }
        } else if (table_load(db, number, &why)) {
            found = true;
            loaded = number;
        } else if (why.code != ERR_CORRUPT) {
            if (e != NULL) {
                *e = why;
            }
            return false;
        } else {
            set_aside(db, number, &why);
            struct index *fresh;
            struct tsdb_config config;
            tsdb_config_get(db, &config);
            index_free(db->index);
            db->index = NULL;
            if (!index_new(&db->index_mem, config.series_max, &fresh, e)) {
                return false;
            }
            db->index = fresh;
        }
    }
    /* Only one whole copy is left: the next flush writes two. */
    db->series_dropped |= loaded != 0 && (loaded % 2 != 0 || loaded != db->series_number);
    return true;
}
