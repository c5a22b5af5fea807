/* The simulated disk and its crash.
 *
 * Files keep two contents: what readers see and what the last datasync made durable, and the range
 * in which they may differ. At a crash the length becomes a random one between the two lengths, and
 * each 512-byte sector of that range is taken from the one or the other; bytes behind the end of
 * the one taken are zero.
 *
 * Folders keep two lists of entries and the operations between them. At a crash a random prefix of
 * the operations has reached the disk: a journalling file system keeps the order within a folder,
 * and promises nothing between folders. A rename within a folder is one operation; between two
 * folders it is a link in the one and an unlink in the other, so a crash can keep both names or
 * neither. A new file whose folder was not synced can vanish although its bytes were synced.
 *
 * Source: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, section 3. */
#include "base/simos_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_BYTES 512

void *simos_take(size_t bytes)
{
    void *p = calloc(1, size_max(bytes, 1));
    ASSERT(p != NULL);
    return p;
}

static void *regrow(void *p, size_t bytes)
{
    void *grown = realloc(p, bytes);
    ASSERT(grown != NULL);
    return grown;
}

static char *copy_name(const char *name)
{
    size_t n = strlen(name) + 1;
    char *copy = simos_take(n);
    memcpy(copy, name, n);
    return copy;
}

struct simos_node *simos_node_new(struct simos_disk *d, bool dir)
{
    struct simos_node *node = simos_take(sizeof *node);
    node->refs = 1;
    node->dir = dir;
    node->lock_fd = -1;
    node->prev = d->last;
    if (d->last != NULL) {
        d->last->next = node;
    } else {
        d->first = node;
    }
    d->last = node;
    return node;
}

static void view_release(struct simos_view *view)
{
    for (size_t i = 0; i < view->n; i++) {
        free(view->v[i].name);
    }
    free(view->v);
    *view = (struct simos_view){0};
}

static void dirop_release(struct simos_dirop *op)
{
    free(op->name);
    free(op->to);
    *op = (struct simos_dirop){0};
}

/* Frees the node only; what it refers to was let go by the caller, or goes with the whole disk. */
static void node_free(struct simos_disk *d, struct simos_node *node)
{
    *(node->prev != NULL ? &node->prev->next : &d->first) = node->next;
    *(node->next != NULL ? &node->next->prev : &d->last) = node->prev;
    d->bytes -= node->now.n;
    free(node->now.p);
    free(node->synced.p);
    view_release(&node->seen);
    view_release(&node->durable);
    for (size_t i = 0; i < node->pending_n; i++) {
        dirop_release(&node->pending[i]);
    }
    free(node->pending);
    free(node);
}

/* Depth is bounded by the nesting of folders in a test. */
void simos_node_unref(struct simos_disk *d, struct simos_node *node)
{
    if (node == NULL) {
        return;
    }
    ASSERT(node->refs > 0);
    node->refs--;
    if (node->refs > 0) {
        return;
    }
    for (size_t i = 0; i < node->seen.n; i++) {
        simos_node_unref(d, node->seen.v[i].node);
    }
    for (size_t i = 0; i < node->durable.n; i++) {
        simos_node_unref(d, node->durable.v[i].node);
    }
    for (size_t i = 0; i < node->pending_n; i++) {
        simos_node_unref(d, node->pending[i].node);
    }
    node_free(d, node);
}

void simos_disk_init(struct simos_disk *d)
{
    *d = (struct simos_disk){0};
    d->root = simos_node_new(d, true);
}

void simos_disk_release(struct simos_disk *d)
{
    /* Not by references: crashes can leave folders that hold each other. */
    while (d->first != NULL) {
        node_free(d, d->first);
    }
    *d = (struct simos_disk){0};
}

/* Where name is, or where it belongs. */
static size_t view_find(const struct simos_view *view, const char *name, bool *found)
{
    size_t low = 0, high = view->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(view->v[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < view->n && strcmp(view->v[low].name, name) == 0;
    return low;
}

static void view_put(struct simos_disk *d, struct simos_view *view, const char *name,
                     struct simos_node *node)
{
    bool found;
    size_t at = view_find(view, name, &found);
    node->refs++;
    if (found) {
        simos_node_unref(d, view->v[at].node);
        view->v[at].node = node;
        return;
    }
    if (view->n == view->cap) {
        view->cap = size_max(view->cap * 2, 8);
        view->v = regrow(view->v, view->cap * sizeof *view->v);
    }
    memmove(&view->v[at + 1], &view->v[at], (view->n - at) * sizeof *view->v);
    view->v[at] = (struct simos_entry){copy_name(name), node};
    view->n++;
}

static void view_remove(struct simos_disk *d, struct simos_view *view, const char *name)
{
    bool found;
    size_t at = view_find(view, name, &found);
    if (!found) {
        return;
    }
    struct simos_entry gone = view->v[at];
    memmove(&view->v[at], &view->v[at + 1], (view->n - at - 1) * sizeof *view->v);
    view->n--;
    free(gone.name);
    simos_node_unref(d, gone.node);
}

static void view_apply(struct simos_disk *d, struct simos_view *view, const struct simos_dirop *op)
{
    switch (op->kind) {
    case SIMOS_LINK: view_put(d, view, op->name, op->node); break;
    case SIMOS_UNLINK: view_remove(d, view, op->name); break;
    case SIMOS_RENAME: {
        bool found;
        size_t at = view_find(view, op->name, &found);
        ASSERT(found);
        view_put(d, view, op->to, view->v[at].node);
        view_remove(d, view, op->name);
        break;
    }
    }
}

/* Consumes op. */
static void dir_change(struct simos_disk *d, struct simos_node *dir, struct simos_dirop op)
{
    view_apply(d, &dir->seen, &op);
    if (dir->pending_n == dir->pending_cap) {
        dir->pending_cap = size_max(dir->pending_cap * 2, 8);
        dir->pending = regrow(dir->pending, dir->pending_cap * sizeof *dir->pending);
    }
    dir->pending[dir->pending_n] = op;
    dir->pending_n++;
}

void simos_dir_link(struct simos_disk *d, struct simos_node *dir, const char *name,
                    struct simos_node *node)
{
    node->refs++; /* the pending operation's */
    dir_change(d, dir, (struct simos_dirop){SIMOS_LINK, copy_name(name), NULL, node});
}

void simos_dir_unlink(struct simos_disk *d, struct simos_node *dir, const char *name)
{
    dir_change(d, dir, (struct simos_dirop){SIMOS_UNLINK, copy_name(name), NULL, NULL});
}

/* Whether `node` is `dir` or lies somewhere below it, as seen now. */
static bool dir_holds(const struct simos_node *dir, const struct simos_node *node)
{
    if (dir == node) {
        return true;
    }
    for (size_t i = 0; i < dir->seen.n; i++) {
        const struct simos_node *child = dir->seen.v[i].node;
        if (child == node || (child->dir && dir_holds(child, node))) {
            return true;
        }
    }
    return false;
}

int simos_dir_rename(struct simos_disk *d, const struct simos_place *from,
                     const struct simos_place *to)
{
    if (from->node == NULL) {
        return ENOENT;
    }
    if (from->parent == NULL || to->parent == NULL) {
        return EBUSY;
    }
    if (from->node == to->node) {
        return 0;
    }
    if (from->node->dir && dir_holds(from->node, to->parent)) {
        return EINVAL;
    }
    if (to->node != NULL && to->node->dir != from->node->dir) {
        return to->node->dir ? EISDIR : ENOTDIR;
    }
    if (to->node != NULL && to->node->dir && to->node->seen.n > 0) {
        return ENOTEMPTY;
    }
    if (from->parent == to->parent) {
        struct simos_dirop op = {SIMOS_RENAME, copy_name(from->name), copy_name(to->name), NULL};
        dir_change(d, from->parent, op);
        return 0;
    }
    simos_dir_link(d, to->parent, to->name, from->node);
    simos_dir_unlink(d, from->parent, from->name);
    return 0;
}

/* The first `n` pending operations reach the disk, the others are forgotten. */
static void dir_settle(struct simos_disk *d, struct simos_node *dir, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        view_apply(d, &dir->durable, &dir->pending[i]);
    }
    for (size_t i = 0; i < dir->pending_n; i++) {
        struct simos_node *node = dir->pending[i].node;
        dirop_release(&dir->pending[i]);
        simos_node_unref(d, node);
    }
    dir->pending_n = 0;
}

void simos_dir_sync(struct simos_disk *d, struct simos_node *dir)
{
    dir_settle(d, dir, dir->pending_n);
}

static void dir_crash(struct simos_disk *d, struct simos_node *dir, struct rng *rng)
{
    dir_settle(d, dir, (size_t)rng_below(rng, (uint64_t)dir->pending_n + 1));
    for (size_t i = 0; i < dir->seen.n; i++) {
        simos_node_unref(d, dir->seen.v[i].node);
    }
    view_release(&dir->seen);
    for (size_t i = 0; i < dir->durable.n; i++) {
        view_put(d, &dir->seen, dir->durable.v[i].name, dir->durable.v[i].node);
    }
}

/* Next part of *path (without slashes and "."), into name. 0 with an empty name at the end. */
static int part_next(const char **path, char name[SIMOS_NAME_BYTES_MAX])
{
    for (;;) {
        while (**path == '/') {
            (*path)++;
        }
        size_t n = strcspn(*path, "/");
        if (n >= SIMOS_NAME_BYTES_MAX) {
            return ENAMETOOLONG;
        }
        memcpy(name, *path, n);
        name[n] = '\0';
        *path += n;
        if (strcmp(name, "..") == 0) {
            return EINVAL;
        }
        if (strcmp(name, ".") != 0) {
            return 0;
        }
    }
}

int simos_walk(const struct simos_disk *d, const char *path, struct simos_place *out)
{
    *out = (struct simos_place){.node = d->root};
    if (path[0] == '\0') {
        return ENOENT;
    }
    for (;;) {
        char name[SIMOS_NAME_BYTES_MAX];
        int rc = part_next(&path, name);
        if (rc != 0 || name[0] == '\0') {
            return rc;
        }
        if (out->node == NULL) {
            return ENOENT;
        }
        if (!out->node->dir) {
            return ENOTDIR;
        }
        bool found;
        size_t at = view_find(&out->node->seen, name, &found);
        out->parent = out->node;
        out->node = found ? out->parent->seen.v[at].node : NULL;
        memcpy(out->name, name, sizeof name);
    }
}

/* Room for n bytes; new ones are zero. Does not change the length. */
static void bytes_reserve(struct simos_bytes *b, size_t n)
{
    if (n <= b->cap) {
        return;
    }
    size_t cap = size_max(b->cap * 2, n);
    b->p = regrow(b->p, cap);
    memset(b->p + b->cap, 0, cap - b->cap);
    b->cap = cap;
}

static void dirty_mark(struct simos_node *file, size_t from, size_t to)
{
    if (from >= to) {
        return;
    }
    bool clean = file->dirty_from == file->dirty_to;
    file->dirty_from = clean ? from : size_min(file->dirty_from, from);
    file->dirty_to = clean ? to : size_max(file->dirty_to, to);
}

static void length_set(struct simos_disk *d, struct simos_node *file, size_t n)
{
    bytes_reserve(&file->now, n);
    if (n < file->now.n) {
        /* What is cut off must read as zero when the file grows again. */
        memset(file->now.p + n, 0, file->now.n - n);
    }
    dirty_mark(file, size_min(n, file->now.n), size_max(n, file->now.n));
    d->bytes = d->bytes - file->now.n + n;
    file->now.n = n;
}

/* Largest length, at most `want`, that the disk has room for. */
static size_t length_allowed(const struct simos_disk *d, const struct simos_node *file, size_t want)
{
    if (d->bytes_max == 0 || want <= file->now.n) {
        return want;
    }
    uint64_t left = d->bytes < d->bytes_max ? d->bytes_max - d->bytes : 0;
    return want - file->now.n <= left ? want : file->now.n + (size_t)left;
}

size_t simos_file_write(struct simos_disk *d, struct simos_node *file, size_t off, const void *p,
                        size_t n)
{
    size_t end = length_allowed(d, file, off + n);
    if (n == 0 || end <= off) {
        return 0;
    }
    n = end - off;
    if (end > file->now.n) {
        length_set(d, file, end);
    }
    memcpy(file->now.p + off, p, n);
    dirty_mark(file, off, end);
    return n;
}

int simos_file_truncate(struct simos_disk *d, struct simos_node *file, size_t bytes)
{
    if (length_allowed(d, file, bytes) < bytes) {
        return ENOSPC;
    }
    length_set(d, file, bytes);
    return 0;
}

void simos_file_sync(struct simos_node *file)
{
    size_t to = size_min(file->dirty_to, file->now.n);
    bytes_reserve(&file->synced, file->now.n);
    if (file->dirty_from < to) {
        memcpy(file->synced.p + file->dirty_from, file->now.p + file->dirty_from,
               to - file->dirty_from);
    }
    file->synced.n = file->now.n;
    file->dirty_from = 0;
    file->dirty_to = 0;
}

static void file_crash(struct simos_disk *d, struct simos_node *file, struct rng *rng)
{
    file->lock_fd = -1;
    if (file->dirty_from == file->dirty_to) {
        return;
    }
    size_t shorter = size_min(file->now.n, file->synced.n);
    size_t longer = size_max(file->now.n, file->synced.n);
    size_t n = shorter + (size_t)rng_below(rng, (uint64_t)(longer - shorter) + 1);
    struct simos_bytes mixed = {0};
    bytes_reserve(&mixed, n);
    mixed.n = n;
    if (size_min(n, file->synced.n) > 0) {
        memcpy(mixed.p, file->synced.p, size_min(n, file->synced.n));
    }
    size_t dirty_to = size_min(file->dirty_to, n);
    for (size_t at = file->dirty_from / SECTOR_BYTES * SECTOR_BYTES; at < dirty_to;
         at += SECTOR_BYTES) {
        if (rng_below(rng, 2) == 0) {
            continue;
        }
        size_t end = size_min(at + SECTOR_BYTES, n);
        size_t have = size_min(end, size_max(at, file->now.n));
        if (have > at) {
            memcpy(mixed.p + at, file->now.p + at, have - at);
        }
        memset(mixed.p + have, 0, end - have);
    }
    d->bytes = d->bytes - file->now.n + n;
    free(file->now.p);
    file->now = mixed;
    file->dirty_from = 0;
    file->dirty_to = size_max(n, file->synced.n); /* all of it becomes durable below */
    simos_file_sync(file);
}

void simos_disk_crash(struct simos_disk *d, struct rng *rng)
{
    /* A reference to each node, so that none is freed while we walk the list. */
    for (struct simos_node *node = d->first; node != NULL; node = node->next) {
        node->refs++;
    }
    for (struct simos_node *node = d->first; node != NULL; node = node->next) {
        if (node->dir) {
            dir_crash(d, node, rng);
        } else {
            file_crash(d, node, rng);
        }
    }
    /* Letting one go can free others, but only those we let go before: each keeps ours till its
     * turn. */
    struct simos_node *next = NULL;
    for (struct simos_node *node = d->first; node != NULL; node = next) {
        next = node->next;
        simos_node_unref(d, node);
    }
}
