/* Names of block files: blocks/%016llx.blk, the number in sixteen hexadecimal digits, so that the
 * order of names is the order of numbers. A file being written ends in .tmp and means nothing until
 * it is renamed; a damaged one is renamed to .bad, keeps its number taken, and is never read. */
#include "engines/tsdb/block_file_int.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>

#define DIGITS 16

bool block_path(char *out, const char *dir, uint64_t id, const char *suffix, struct err *e)
{
    int n =
        snprintf(out, PATH_BYTES_MAX, "%s/blocks/%016llx%s", dir, (unsigned long long)id, suffix);
    if (n < 0 || n >= PATH_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "path of a block in '%s' is longer than %d bytes", dir,
                       PATH_BYTES_MAX - 1);
    }
    return true;
}

static bool folder_path(char *out, const char *dir, struct err *e)
{
    return path_join(out, PATH_BYTES_MAX, dir, "blocks", e);
}

/* false: not a name of ours. */
static bool name_parse(const char *name, uint64_t *id, struct str *suffix)
{
    struct str s = str_from_c(name);
    if (s.n < DIGITS) {
        return false;
    }
    *id = 0;
    for (int i = 0; i < DIGITS; i++) {
        char c = s.p[i];
        unsigned v = 0;
        if (c >= '0' && c <= '9') {
            v = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            v = (unsigned)(c - 'a') + 10;
        } else {
            return false;
        }
        *id = *id << 4 | v;
    }
    *suffix = str_sub(s, DIGITS, s.n);
    return true;
}

struct listing {
    struct mem *mem;
    uint64_t *ids, *halves;
    size_t n, cap, halves_n, halves_cap;
    uint32_t max;
    uint64_t id_top;
    bool failed;
};

static void listing_add(struct listing *l, uint64_t **v, size_t *n, size_t *cap, uint64_t id)
{
    void *p = *v;
    if (!mem_array_grow(l->mem, &p, cap, *n + 1, l->max, sizeof id)) {
        l->failed = true;
        return;
    }
    *v = p;
    (*v)[(*n)++] = id;
}

static void listing_each(void *arg, const char *name)
{
    struct listing *l = arg;
    uint64_t id = 0;
    struct str suffix;
    if (!name_parse(name, &id, &suffix)) {
        return;
    }
    l->id_top = id > l->id_top ? id : l->id_top;
    if (str_eq(suffix, STR(".blk"))) {
        listing_add(l, &l->ids, &l->n, &l->cap, id);
    } else if (str_eq(suffix, STR(".tmp"))) {
        listing_add(l, &l->halves, &l->halves_n, &l->halves_cap, id);
    }
}

static bool halves_remove(const struct listing *l, const struct os *os, const char *dir,
                          struct err *e)
{
    char path[PATH_BYTES_MAX];
    for (size_t i = 0; i < l->halves_n; i++) {
        if (!block_path(path, dir, l->halves[i], ".tmp", e)) {
            return false;
        }
        int rc = os->unlink(os->ctx, path);
        if (rc != 0 && rc != ENOENT) {
            return err_errno(e, rc, "cannot remove '%s'", path);
        }
    }
    return true;
}

bool block_list(struct mem *m, const struct os *os, const char *dir, uint32_t max, uint64_t **ids,
                uint32_t *n, uint32_t *cap, uint64_t *id_top, struct err *e)
{
    char path[PATH_BYTES_MAX];
    struct listing l = {.mem = m, .max = max};
    if (!folder_path(path, dir, e) || !dir_make(os, path, e)) {
        return false;
    }
    int rc = os->list(os->ctx, path, listing_each, &l);
    bool ok = rc == 0 || err_errno(e, rc, "cannot list '%s'", path);
    if (ok && l.failed) {
        ok =
            err_set(e, ERR_LIMIT, "'%s' has more than %u blocks, or there is no memory", path, max);
    }
    ok = ok && halves_remove(&l, os, dir, e);
    mem_give(m, l.halves, l.halves_cap * sizeof *l.halves);
    if (!ok) {
        mem_give(m, l.ids, l.cap * sizeof *l.ids);
        return false;
    }
    *ids = l.ids; /* list() goes by name, which is by number */
    *n = (uint32_t)l.n;
    *cap = (uint32_t)l.cap;
    *id_top = l.id_top;
    return true;
}

static bool folder_sync(const struct os *os, const char *dir, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (!folder_path(path, dir, e)) {
        return false;
    }
    int rc = os->dirsync(os->ctx, path);
    return rc == 0 || err_errno(e, rc, "cannot sync folder '%s'", path);
}

bool block_remove_all(const struct os *os, const char *dir, const uint64_t *ids, uint32_t n,
                      struct err *e)
{
    char path[PATH_BYTES_MAX];
    for (uint32_t i = 0; i < n; i++) {
        if (!block_path(path, dir, ids[i], ".blk", e)) {
            return false;
        }
        int rc = os->unlink(os->ctx, path);
        if (rc != 0 && rc != ENOENT) {
            return err_errno(e, rc, "cannot remove '%s'", path);
        }
    }
    return n == 0 || folder_sync(os, dir, e);
}

bool block_remove(const struct os *os, const char *dir, uint64_t id, struct err *e)
{
    return block_remove_all(os, dir, &id, 1, e);
}

bool block_set_aside(const struct os *os, const char *dir, uint64_t id, struct err *e)
{
    char from[PATH_BYTES_MAX];
    char to[PATH_BYTES_MAX];
    if (!block_path(from, dir, id, ".blk", e) || !block_path(to, dir, id, ".bad", e)) {
        return false;
    }
    int rc = os->rename(os->ctx, from, to);
    if (rc != 0) {
        return err_errno(e, rc, "cannot rename '%s' to '%s'", from, to);
    }
    return folder_sync(os, dir, e);
}
