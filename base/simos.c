/* The simulated machine: struct os over a disk in memory (simos_disk.c), a clock that moves only
 * when told or slept on, seeded randomness, and faults at numbered operations.
 *
 * What counts as a file operation is in the header; close, size, disk_free, lock and the clock do
 * not count and never fail by a fault. Descriptors begin at 3 and are never used again, so that a
 * use after close is EBADF and not somebody else's file; what is written to 1 and 2 (the log) is
 * dropped.
 *
 * A crash invalidates every descriptor and every lock. The same seed and the same calls give the
 * same bytes; the random stream of a crash is apart from the one that os->random hands out. */
#include "base/simos.h"

#include "base/simos_int.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define START_NOW_NS       1767225600000000000 /* 2026-01-01 */
#define START_MONO_NS      1000000000
#define DISK_FREE_UNBOUND  ((uint64_t)1 << 40)
#define FILE_BYTES_MAX     ((uint64_t)1 << 32)
#define FD_FIRST           3
#define RNG_PURPOSE_CRASH  1
#define RNG_PURPOSE_RANDOM 2

struct open_file {
    int fd;
    struct simos_node *node; /* shares */
    size_t off;
    bool writes, appends;
};

struct simos {
    pthread_mutex_t mu;
    struct os os;
    struct simos_disk disk;
    struct rng crash_rng, random_rng;
    int64_t now_ns, mono_ns;
    struct open_file *files;
    size_t files_n, files_cap;
    int fd_next;
    _Atomic uint64_t ops;
    uint64_t fault_at, fault_from; /* numbers of operations; 0 = none */
    enum simos_fault fault_at_kind, fault_from_kind;
};

/* What kind of operation it is decides what a fault does to it. */
enum op_kind { OP_PLAIN, OP_TRANSFER = 1, OP_TAKES_SPACE = 2 };

static struct simos *locked(void *ctx)
{
    struct simos *s = ctx;
    int rc = pthread_mutex_lock(&s->mu);
    ASSERT(rc == 0);
    return s;
}

static int unlocked(struct simos *s, int result)
{
    int rc = pthread_mutex_unlock(&s->mu);
    ASSERT(rc == 0);
    return result;
}

/* Counts one file operation; 0 or the errno of its fault. *n is halved when it is to be short. */
static int op_begin(struct simos *s, unsigned kind, size_t *n)
{
    uint64_t number = atomic_fetch_add(&s->ops, 1) + 1;
    enum simos_fault fault = SIMOS_OK;
    if (s->fault_at != 0 && number == s->fault_at) {
        fault = s->fault_at_kind;
    } else if (s->fault_from != 0 && number >= s->fault_from) {
        fault = s->fault_from_kind;
    }
    switch (fault) {
    case SIMOS_OK: return 0;
    case SIMOS_FAIL: return EIO;
    case SIMOS_FULL: return (kind & OP_TAKES_SPACE) != 0 ? ENOSPC : 0;
    case SIMOS_SHORT: break;
    }
    if ((kind & OP_TRANSFER) == 0) {
        return EIO;
    }
    *n = *n > 1 ? *n / 2 : *n;
    return 0;
}

static struct open_file *file_of(struct simos *s, int fd)
{
    for (size_t i = 0; i < s->files_n; i++) {
        if (s->files[i].fd == fd) {
            return &s->files[i];
        }
    }
    return NULL;
}

static int64_t sim_now_ns(void *ctx)
{
    struct simos *s = locked(ctx);
    int64_t ns = s->now_ns;
    unlocked(s, 0);
    return ns;
}

static int64_t sim_mono_ns(void *ctx)
{
    struct simos *s = locked(ctx);
    int64_t ns = s->mono_ns;
    unlocked(s, 0);
    return ns;
}

static void sim_sleep_ns(void *ctx, int64_t ns)
{
    simos_clock_add(ctx, i64_max(ns, 0));
}

static int sim_random(void *ctx, void *p, size_t n)
{
    struct simos *s = locked(ctx);
    unsigned char *to = p;
    for (size_t i = 0; i < n; i++) {
        to[i] = (unsigned char)(rng_u64(&s->random_rng) >> 56);
    }
    return unlocked(s, 0);
}

static void file_add(struct simos *s, struct simos_node *node, unsigned flags, int *fd)
{
    if (s->files_n == s->files_cap) {
        s->files_cap = size_max(s->files_cap * 2, 8);
        struct open_file *grown = realloc(s->files, s->files_cap * sizeof *grown);
        ASSERT(grown != NULL);
        s->files = grown;
    }
    node->refs++;
    s->files[s->files_n] = (struct open_file){
        .fd = s->fd_next,
        .node = node,
        .writes = (flags & (OS_WRITE | OS_CREATE | OS_TRUNCATE | OS_APPEND)) != 0,
        .appends = (flags & OS_APPEND) != 0,
    };
    s->files_n++;
    *fd = s->fd_next;
    s->fd_next++;
}

static int open_locked(struct simos *s, const char *path, unsigned flags, int *fd)
{
    int rc = op_begin(s, (flags & OS_CREATE) != 0 ? OP_TAKES_SPACE : OP_PLAIN, NULL);
    struct simos_place at;
    if (rc == 0) {
        rc = simos_walk(&s->disk, path, &at);
    }
    if (rc != 0) {
        return rc;
    }
    if (at.node == NULL && (flags & OS_CREATE) == 0) {
        return ENOENT;
    }
    if (at.node != NULL && (flags & OS_CREATE) != 0 && (flags & OS_EXCL) != 0) {
        return EEXIST;
    }
    if (at.node != NULL && at.node->dir) {
        return EISDIR;
    }
    if (at.node == NULL) {
        struct simos_node *made = simos_node_new(&s->disk, false);
        simos_dir_link(&s->disk, at.parent, at.name, made);
        simos_node_unref(&s->disk, made); /* the folder has it now */
        at.node = made;
    } else if ((flags & OS_TRUNCATE) != 0) {
        rc = simos_file_truncate(&s->disk, at.node, 0);
        ASSERT(rc == 0);
    }
    file_add(s, at.node, flags, fd);
    return 0;
}

static int sim_open(void *ctx, const char *path, unsigned flags, int *fd)
{
    struct simos *s = locked(ctx);
    return unlocked(s, open_locked(s, path, flags, fd));
}

static int sim_close(void *ctx, int fd)
{
    struct simos *s = locked(ctx);
    struct open_file *f = file_of(s, fd);
    if (f == NULL) {
        return unlocked(s, EBADF);
    }
    if (f->node->lock_fd == fd) {
        f->node->lock_fd = -1;
    }
    struct simos_node *node = f->node;
    s->files_n--;
    *f = s->files[s->files_n];
    simos_node_unref(&s->disk, node);
    return unlocked(s, 0);
}

static size_t copy_out(const struct simos_node *node, uint64_t off, void *p, size_t n)
{
    if (off >= node->now.n) {
        return 0;
    }
    n = size_min(n, node->now.n - (size_t)off);
    if (n > 0) {
        memcpy(p, node->now.p + off, n);
    }
    return n;
}

static int sim_read(void *ctx, int fd, void *p, size_t n, size_t *got)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_TRANSFER, &n);
    struct open_file *f = file_of(s, fd);
    if (rc != 0 || f == NULL) {
        return unlocked(s, rc != 0 ? rc : EBADF);
    }
    *got = copy_out(f->node, f->off, p, n);
    f->off += *got;
    return unlocked(s, 0);
}

static int sim_pread(void *ctx, int fd, void *p, size_t n, uint64_t off, size_t *got)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_TRANSFER, &n);
    struct open_file *f = file_of(s, fd);
    if (rc != 0 || f == NULL) {
        return unlocked(s, rc != 0 ? rc : EBADF);
    }
    *got = copy_out(f->node, off, p, n);
    return unlocked(s, 0);
}

static int write_locked(struct simos *s, int fd, const void *p, size_t n, size_t *put)
{
    int rc = op_begin(s, OP_TRANSFER | OP_TAKES_SPACE, &n);
    struct open_file *f = file_of(s, fd);
    if (rc != 0) {
        return rc;
    }
    if (f == NULL || !f->writes) {
        return EBADF;
    }
    size_t off = f->appends ? f->node->now.n : f->off;
    if (off > FILE_BYTES_MAX || n > FILE_BYTES_MAX) {
        return EFBIG;
    }
    *put = simos_file_write(&s->disk, f->node, off, p, n);
    if (*put == 0 && n > 0) {
        return ENOSPC;
    }
    f->off = off + *put;
    return 0;
}

static int sim_write(void *ctx, int fd, const void *p, size_t n, size_t *put)
{
    if (fd == 1 || fd == 2) {
        *put = n;
        return 0;
    }
    struct simos *s = locked(ctx);
    return unlocked(s, write_locked(s, fd, p, n, put));
}

static int sim_datasync(void *ctx, int fd)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_TAKES_SPACE, NULL);
    struct open_file *f = file_of(s, fd);
    if (rc != 0 || f == NULL) {
        return unlocked(s, rc != 0 ? rc : EBADF);
    }
    simos_file_sync(f->node);
    return unlocked(s, 0);
}

static int sim_truncate(void *ctx, int fd, uint64_t bytes)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_PLAIN, NULL);
    struct open_file *f = file_of(s, fd);
    if (rc != 0 || f == NULL || !f->writes || bytes > FILE_BYTES_MAX) {
        return unlocked(s, rc != 0 ? rc : f == NULL ? EBADF : !f->writes ? EINVAL : EFBIG);
    }
    return unlocked(s, simos_file_truncate(&s->disk, f->node, (size_t)bytes));
}

static int sim_size(void *ctx, int fd, uint64_t *bytes)
{
    struct simos *s = locked(ctx);
    const struct open_file *f = file_of(s, fd);
    if (f == NULL) {
        return unlocked(s, EBADF);
    }
    *bytes = f->node->now.n;
    return unlocked(s, 0);
}

static int sim_rename(void *ctx, const char *from, const char *to)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_TAKES_SPACE, NULL);
    struct simos_place a, b;
    if (rc == 0) {
        rc = simos_walk(&s->disk, from, &a);
    }
    if (rc == 0) {
        rc = simos_walk(&s->disk, to, &b);
    }
    if (rc == 0) {
        rc = simos_dir_rename(&s->disk, &a, &b);
    }
    return unlocked(s, rc);
}

static int unlink_locked(struct simos *s, const char *path)
{
    int rc = op_begin(s, OP_PLAIN, NULL);
    struct simos_place at;
    if (rc == 0) {
        rc = simos_walk(&s->disk, path, &at);
    }
    if (rc != 0) {
        return rc;
    }
    if (at.node == NULL) {
        return ENOENT;
    }
    if (at.parent == NULL) {
        return EBUSY;
    }
    if (at.node->dir && at.node->seen.n > 0) {
        return ENOTEMPTY;
    }
    simos_dir_unlink(&s->disk, at.parent, at.name);
    return 0;
}

static int sim_unlink(void *ctx, const char *path)
{
    struct simos *s = locked(ctx);
    return unlocked(s, unlink_locked(s, path));
}

static int sim_mkdir(void *ctx, const char *path)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_TAKES_SPACE, NULL);
    struct simos_place at;
    if (rc == 0) {
        rc = simos_walk(&s->disk, path, &at);
    }
    if (rc == 0 && at.node != NULL) {
        rc = EEXIST;
    }
    if (rc == 0) {
        struct simos_node *made = simos_node_new(&s->disk, true);
        simos_dir_link(&s->disk, at.parent, at.name, made);
        simos_node_unref(&s->disk, made);
    }
    return unlocked(s, rc);
}

/* The folder at path. */
static int dir_of(struct simos *s, const char *path, struct simos_node **dir)
{
    struct simos_place at;
    int rc = simos_walk(&s->disk, path, &at);
    if (rc != 0) {
        return rc;
    }
    if (at.node == NULL || !at.node->dir) {
        return at.node == NULL ? ENOENT : ENOTDIR;
    }
    *dir = at.node;
    return 0;
}

static int sim_dirsync(void *ctx, const char *path)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_PLAIN, NULL);
    struct simos_node *dir = NULL;
    if (rc == 0) {
        rc = dir_of(s, path, &dir);
    }
    if (rc == 0) {
        simos_dir_sync(&s->disk, dir);
    }
    return unlocked(s, rc);
}

static int sim_list(void *ctx, const char *path, void (*each)(void *arg, const char *name),
                    void *arg)
{
    struct simos *s = locked(ctx);
    int rc = op_begin(s, OP_PLAIN, NULL);
    struct simos_node *dir = NULL;
    if (rc == 0) {
        rc = dir_of(s, path, &dir);
    }
    if (rc != 0) {
        return unlocked(s, rc);
    }
    /* Copies, because `each` may change the folder. */
    size_t n = dir->seen.n;
    char(*names)[SIMOS_NAME_BYTES_MAX] = simos_take(n * sizeof *names);
    for (size_t i = 0; i < n; i++) {
        memcpy(names[i], dir->seen.v[i].name, strlen(dir->seen.v[i].name) + 1);
    }
    unlocked(s, 0);
    for (size_t i = 0; i < n; i++) {
        each(arg, names[i]);
    }
    free(names);
    return 0;
}

static int sim_disk_free(void *ctx, const char *path, uint64_t *bytes)
{
    struct simos *s = locked(ctx);
    struct simos_place at;
    int rc = simos_walk(&s->disk, path, &at);
    if (rc != 0 || at.node == NULL) {
        return unlocked(s, rc != 0 ? rc : ENOENT);
    }
    uint64_t max = s->disk.bytes_max != 0 ? s->disk.bytes_max : DISK_FREE_UNBOUND;
    *bytes = s->disk.bytes < max ? max - s->disk.bytes : 0;
    return unlocked(s, 0);
}

static int sim_lock(void *ctx, int fd)
{
    struct simos *s = locked(ctx);
    const struct open_file *f = file_of(s, fd);
    if (f == NULL) {
        return unlocked(s, EBADF);
    }
    if (f->node->lock_fd != -1 && f->node->lock_fd != fd) {
        return unlocked(s, EWOULDBLOCK);
    }
    f->node->lock_fd = fd;
    return unlocked(s, 0);
}

static const struct os sim_os = {
    .now_ns = sim_now_ns,
    .mono_ns = sim_mono_ns,
    .sleep_ns = sim_sleep_ns,
    .random = sim_random,
    .open = sim_open,
    .close = sim_close,
    .read = sim_read,
    .pread = sim_pread,
    .write = sim_write,
    .datasync = sim_datasync,
    .truncate = sim_truncate,
    .size = sim_size,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .dirsync = sim_dirsync,
    .list = sim_list,
    .disk_free = sim_disk_free,
    .lock = sim_lock,
};

struct simos *simos_new(uint64_t seed)
{
    struct simos *s = simos_take(sizeof *s);
    int rc = pthread_mutex_init(&s->mu, NULL);
    ASSERT(rc == 0);
    s->os = sim_os;
    s->os.ctx = s;
    s->now_ns = START_NOW_NS;
    s->mono_ns = START_MONO_NS;
    s->fd_next = FD_FIRST;
    rng_fork(&s->crash_rng, seed, RNG_PURPOSE_CRASH);
    rng_fork(&s->random_rng, seed, RNG_PURPOSE_RANDOM);
    simos_disk_init(&s->disk);
    return s;
}

void simos_free(struct simos *s)
{
    if (s == NULL) {
        return;
    }
    simos_disk_release(&s->disk);
    free(s->files);
    pthread_mutex_destroy(&s->mu);
    free(s);
}

const struct os *simos_os(struct simos *s)
{
    return &s->os;
}

void simos_clock_set(struct simos *s, int64_t now_ns)
{
    locked(s);
    s->now_ns = now_ns;
    unlocked(s, 0);
}

void simos_clock_add(struct simos *s, int64_t ns)
{
    ASSERT(ns >= 0);
    locked(s);
    s->now_ns += ns;
    s->mono_ns += ns;
    unlocked(s, 0);
}

void simos_fault_at(struct simos *s, uint64_t at, enum simos_fault fault)
{
    locked(s);
    s->fault_at = at != 0 ? simos_ops(s) + at : 0;
    s->fault_at_kind = fault;
    unlocked(s, 0);
}

void simos_fault_from(struct simos *s, uint64_t at, enum simos_fault fault)
{
    locked(s);
    s->fault_from = at != 0 ? simos_ops(s) + at : 0;
    s->fault_from_kind = fault;
    unlocked(s, 0);
}

uint64_t simos_ops(const struct simos *s)
{
    return atomic_load(&s->ops);
}

void simos_crash(struct simos *s)
{
    locked(s);
    for (size_t i = 0; i < s->files_n; i++) {
        simos_node_unref(&s->disk, s->files[i].node);
    }
    s->files_n = 0;
    simos_disk_crash(&s->disk, &s->crash_rng);
    unlocked(s, 0);
}

void simos_disk_bytes_max(struct simos *s, uint64_t bytes)
{
    locked(s);
    s->disk.bytes_max = bytes;
    unlocked(s, 0);
}

bool simos_flip(struct simos *s, const char *path, uint64_t byte, unsigned bit)
{
    ASSERT(bit < 8);
    locked(s);
    struct simos_place at;
    int rc = simos_walk(&s->disk, path, &at);
    bool there = rc == 0 && at.node != NULL && !at.node->dir && byte < at.node->now.n;
    if (there) {
        unsigned char mask = (unsigned char)(1U << bit);
        at.node->now.p[byte] ^= mask;
        if (byte < at.node->synced.n) {
            at.node->synced.p[byte] ^= mask;
        }
    }
    unlocked(s, 0);
    return there;
}
