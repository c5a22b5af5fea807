/* The bytes of a block: mapped when the machine is the real one, read into memory when it is a
 * simulated one, whose files no mmap can see. Blocks never change once they have their name, and
 * whoever removes one only takes the name away: the mapping stays whole until it is closed.
 *
 * A mapped file that the disk fails to deliver raises SIGBUS, as in every program that maps; damage
 * that the disk does deliver is found by the checksums. */
#include "engines/tsdb/block_file_int.h"

#include "base/file.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static bool map_real(struct block_map *out, int fd, size_t bytes, const char *path, struct err *e)
{
    void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        return err_errno(e, errno, "cannot map '%s'", path);
    }
    *out = (struct block_map){.p = p, .n = bytes};
    return true;
}

static bool map_read(struct block_map *out, struct mem *m, const struct os *os, int fd,
                     size_t bytes, const char *path, struct err *e)
{
    void *p = mem_take(m, bytes);
    if (p == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the %zu bytes of '%s'", bytes, path);
    }
    if (!file_pread_all(os, fd, p, bytes, 0, path, e)) {
        mem_give(m, p, bytes);
        return false;
    }
    *out = (struct block_map){.p = p, .n = bytes, .mem = m, .taken = bytes};
    return true;
}

bool block_map_open(struct block_map *out, struct mem *m, const struct os *os, const char *path,
                    size_t bytes_min, struct err *e)
{
    int fd = -1;
    int rc = os->open(os->ctx, path, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    uint64_t bytes = 0;
    rc = os->size(os->ctx, fd, &bytes);
    bool ok = rc == 0 || err_errno(e, rc, "cannot read the size of '%s'", path);
    if (ok && (bytes < bytes_min || bytes == 0)) {
        ok = err_set(e, ERR_CORRUPT, "'%s' has only %llu bytes", path, (unsigned long long)bytes);
    }
    if (ok) {
        ok = os == os_real() ? map_real(out, fd, (size_t)bytes, path, e)
                             : map_read(out, m, os, fd, (size_t)bytes, path, e);
    }
    (void)os->close(os->ctx, fd); /* only read: there is nothing to lose */
    return ok;
}

void block_map_close(struct block_map *f)
{
    if (f->mem != NULL) {
        mem_give(f->mem, (void *)(uintptr_t)f->p, f->taken);
    } else if (f->p != NULL) {
        int rc = munmap((void *)(uintptr_t)f->p, f->n);
        ASSERT(rc == 0);
    }
    *f = (struct block_map){0};
}

static void cool(const struct block *b, size_t bytes)
{
    if (b->map.mem == NULL && b->map.p != NULL && bytes > 0) {
        (void)madvise((void *)(uintptr_t)b->map.p, bytes, MADV_DONTNEED); /* only a hint */
    }
}

void block_cool(const struct block *b)
{
    cool(b, b->map.n);
}

void block_cool_data(const struct block *b)
{
    cool(b, (size_t)b->data_end);
}

static bool copy_bytes(const struct block *b, const struct os *os, const char *to, struct err *e)
{
    int fd = -1;
    int rc = os->open(os->ctx, to, OS_WRITE | OS_CREATE | OS_TRUNCATE, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot create '%s'", to);
    }
    bool ok = file_write_all(os, fd, str_of((const char *)b->map.p, b->map.n), to, e);
    if (ok) {
        rc = os->datasync(os->ctx, fd);
        ok = rc == 0 || err_errno(e, rc, "cannot sync '%s'", to);
    }
    rc = os->close(os->ctx, fd);
    return ok && (rc == 0 || err_errno(e, rc, "cannot close '%s'", to));
}

bool block_copy(const struct block *b, const struct os *os, const char *from_dir,
                const char *to_dir, struct err *e)
{
    char from[PATH_BYTES_MAX];
    char to[PATH_BYTES_MAX];
    if (!block_path(from, from_dir, b->info.id, ".blk", e) ||
        !block_path(to, to_dir, b->info.id, ".blk", e)) {
        return false;
    }
    /* Blocks never change, so two names may share one file; on another file system they cannot. */
    if (os == os_real() && link(from, to) == 0) {
        return true;
    }
    return copy_bytes(b, os, to, e);
}
