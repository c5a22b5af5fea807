/* A copy of a store that opens as a store of its own: the head is flushed, then blocks (second
 * names of the same files where that is possible), deletions and the series table are put into
 * DIR.tmp, which gets its name when all is durable. keep_mu is held, so no block comes or goes
 * meanwhile. */
#include "engines/tsdb/block_file_int.h"
#include "engines/tsdb/tombs_int.h"
#include "engines/tsdb/tsdb_int.h"

#include <errno.h>

static bool folder_sync(const struct os *os, const char *path, struct err *e)
{
    int rc = os->dirsync(os->ctx, path);
    return rc == 0 || err_errno(e, rc, "cannot sync folder '%s'", path);
}

/* The folder in which dir stands. */
static bool parent_of(char *out, const char *dir, struct err *e)
{
    struct str s = str_from_c(dir);
    while (s.n > 1 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    while (s.n > 0 && s.p[s.n - 1] != '/') {
        s.n--;
    }
    while (s.n > 1 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    s = s.n > 0 ? s : STR(".");
    if (s.n >= PATH_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "path is longer than %d bytes", PATH_BYTES_MAX - 1);
    }
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static bool blocks_copy(struct tsdb *db, const struct block_list *l, const char *tmp, struct err *e)
{
    char folder[PATH_BYTES_MAX];
    if (!path_join(folder, sizeof folder, tmp, "blocks", e) || !dir_make(db->os, folder, e)) {
        return false;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        if (!block_copy(l->v[i]->block, db->os, db->dir, tmp, e)) {
            return false;
        }
    }
    return folder_sync(db->os, folder, e);
}

static bool copy_into(struct tsdb *db, const struct block_list *l, const char *tmp, struct err *e)
{
    return blocks_copy(db, l, tmp, e) &&
           (tombs_count(db->tombs) == 0 || tombs_save(db->tombs, &db->keep_mem, db->os, tmp, e)) &&
           tsdb_series_write(db, tmp, 1, 0, e) && folder_sync(db->os, tmp, e);
}

struct names {
    struct tsdb *db;
    const char *dir;
};

static void remove_each(void *arg, const char *name)
{
    const struct names *n = arg;
    char path[PATH_BYTES_MAX];
    if (path_join(path, sizeof path, n->dir, name, NULL)) {
        (void)n->db->os->unlink(n->db->os->ctx, path); /* best effort: a half copy without a name */
    }
}

/* Takes away what a failed snapshot has written. */
static void folder_remove(struct tsdb *db, const char *tmp)
{
    char blocks[PATH_BYTES_MAX];
    const struct os *os = db->os;
    if (path_join(blocks, sizeof blocks, tmp, "blocks", NULL)) {
        (void)os->list(os->ctx, blocks, remove_each, &(struct names){db, blocks});
    }
    (void)os->list(os->ctx, tmp, remove_each, &(struct names){db, tmp});
    (void)os->unlink(os->ctx, tmp);
}

static void found_each(void *arg, const char *name)
{
    (void)name;
    *(bool *)arg = true;
}

/* Makes the folder DIR.tmp, empty; ERR_INPUT when dir is there already. */
static bool tmp_make(struct tsdb *db, const char *dir, char *tmp, struct err *e)
{
    const struct os *os = db->os;
    bool used = false;
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') {
        n--;
    }
    if (n == 0 || n + sizeof ".tmp" > PATH_BYTES_MAX) {
        return err_set(e, ERR_INPUT, "no folder for a snapshot: '%.80s'", dir);
    }
    if (os->list(os->ctx, dir, found_each, &used) == 0) {
        return err_set(e, ERR_INPUT, "snapshot folder '%s' exists already", dir);
    }
    memcpy(tmp, dir, n);
    memcpy(tmp + n, ".tmp", sizeof ".tmp");
    folder_remove(db, tmp); /* of a snapshot that a crash ended */
    return dir_make(os, tmp, e);
}

static bool publish(struct tsdb *db, const char *tmp, const char *dir, struct err *e)
{
    char parent[PATH_BYTES_MAX];
    if (!parent_of(parent, dir, e)) {
        return false;
    }
    int rc = db->os->rename(db->os->ctx, tmp, dir);
    if (rc != 0) {
        return err_errno(e, rc, "cannot rename '%s' to '%s'", tmp, dir);
    }
    return folder_sync(db->os, parent, e);
}

bool tsdb_snapshot(struct tsdb *db, const char *dir, struct err *e)
{
    char tmp[PATH_BYTES_MAX];
    if (!tmp_make(db, dir, tmp, e)) {
        return false;
    }
    bool ok = tsdb_head_flush(db, e);
    pthread_mutex_lock(&db->keep_mu);
    struct block_list *l = tsdb_blocks_ref(db);
    ok = ok && copy_into(db, l, tmp, e) && publish(db, tmp, dir, e);
    if (!ok) {
        folder_remove(db, tmp);
    }
    tsdb_blocks_unref(db, l);
    tsdb_blocks_sweep(db);
    pthread_mutex_unlock(&db->keep_mu);
    return ok;
}
