/* Whole operations on files: the loops around short reads and writes, the replacement of a file
 * that a crash cannot tear, and error messages with the path.
 *
 * file_replace in steps: write path.tmp, datasync it, rename it over path, sync the folder. A crash
 * before the last step leaves the old content or the new one, never a part: the bytes are durable
 * before the name is. Source: Pillai et al., "All File Systems Are Not Created Equal", OSDI
 * 2014. */
#include "base/file.h"

#include <errno.h>

#define PROBE_BYTES 4096

/* Reads what is there behind the announced size (a growing file, or /proc, which announces 0). */
static bool read_rest(const struct os *os, int fd, const char *path, struct buf *out, struct err *e)
{
    char probe[PROBE_BYTES];
    for (;;) {
        size_t got = 0;
        int rc = os->read(os->ctx, fd, probe, sizeof probe, &got);
        if (rc != 0) {
            return err_errno(e, rc, "cannot read '%s'", path);
        }
        if (got == 0) {
            return true;
        }
        buf_add(out, probe, got);
        if (out->failed) {
            return err_set(e, ERR_LIMIT, "file '%s' is larger than %zu bytes", path,
                           out->bytes_max);
        }
    }
}

static bool read_fd(const struct os *os, int fd, const char *path, struct buf *out, struct err *e)
{
    uint64_t bytes = 0;
    int rc = os->size(os->ctx, fd, &bytes);
    if (rc != 0) {
        return err_errno(e, rc, "cannot read the size of '%s'", path);
    }
    while (bytes > 0) {
        char *to = bytes <= SIZE_MAX ? buf_room(out, (size_t)bytes) : NULL;
        if (to == NULL) {
            out->failed = true;
            return err_set(e, ERR_LIMIT, "file '%s' is larger than %zu bytes", path,
                           out->bytes_max);
        }
        size_t got = 0;
        rc = os->read(os->ctx, fd, to, (size_t)bytes, &got);
        if (rc != 0) {
            return err_errno(e, rc, "cannot read '%s'", path);
        }
        if (got == 0) {
            return true; /* it was cut since we asked for its size */
        }
        out->n += got;
        bytes -= got;
    }
    return read_rest(os, fd, path, out, e);
}

bool file_read(const struct os *os, const char *path, struct buf *out, struct err *e)
{
    if (!buf_ok(out, e)) {
        return false;
    }
    int fd = -1;
    int rc = os->open(os->ctx, path, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    size_t n_before = out->n;
    bool ok = read_fd(os, fd, path, out, e);
    /* Closing a file that was only read has nothing left to lose. */
    (void)os->close(os->ctx, fd);
    if (!ok) {
        out->n = n_before;
    }
    return ok;
}

bool file_write_all(const struct os *os, int fd, struct str bytes, const char *path, struct err *e)
{
    size_t done = 0;
    while (done < bytes.n) {
        size_t put = 0;
        int rc = os->write(os->ctx, fd, bytes.p + done, bytes.n - done, &put);
        if (rc != 0) {
            return err_errno(e, rc, "cannot write to '%s'", path);
        }
        if (put == 0) {
            return err_set(e, ERR_IO, "cannot write to '%s': no bytes were taken", path);
        }
        done += put;
    }
    return true;
}

bool file_pread_all(const struct os *os, int fd, void *p, size_t n, uint64_t off, const char *path,
                    struct err *e)
{
    size_t done = 0;
    while (done < n) {
        size_t got = 0;
        int rc = os->pread(os->ctx, fd, (char *)p + done, n - done, off + done, &got);
        if (rc != 0) {
            return err_errno(e, rc, "cannot read '%s'", path);
        }
        if (got == 0) {
            return err_set(e, ERR_CORRUPT, "'%s' ends at byte %llu, expected %zu bytes at %llu",
                           path, (unsigned long long)(off + done), n, (unsigned long long)off);
        }
        done += got;
    }
    return true;
}

/* The folder that holds path, into out (PATH_BYTES_MAX bytes). Trailing slashes do not count. */
static bool path_parent(char *out, const char *path, struct err *e)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    if (n >= PATH_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "path is longer than %d bytes", PATH_BYTES_MAX - 1);
    }
    memcpy(out, n > 0 ? path : ".", n > 0 ? n : 1);
    out[n > 0 ? n : 1] = '\0';
    return true;
}

static bool tmp_write(const struct os *os, const char *tmp, struct str content, struct err *e)
{
    int fd = -1;
    int rc = os->open(os->ctx, tmp, OS_WRITE | OS_CREATE | OS_TRUNCATE, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot create '%s'", tmp);
    }
    bool ok = file_write_all(os, fd, content, tmp, e);
    if (ok) {
        rc = os->datasync(os->ctx, fd);
        ok = rc == 0 || err_errno(e, rc, "cannot sync '%s'", tmp);
    }
    rc = os->close(os->ctx, fd);
    if (ok && rc != 0) {
        ok = err_errno(e, rc, "cannot close '%s'", tmp);
    }
    return ok;
}

bool file_replace(const struct os *os, const char *path, struct str content, struct err *e)
{
    char tmp[PATH_BYTES_MAX];
    char parent[PATH_BYTES_MAX];
    size_t n = strlen(path);
    if (n + sizeof ".tmp" > sizeof tmp) {
        return err_set(e, ERR_LIMIT, "path is longer than %d bytes", PATH_BYTES_MAX - 5);
    }
    memcpy(tmp, path, n);
    memcpy(tmp + n, ".tmp", sizeof ".tmp");
    if (!path_parent(parent, path, e)) {
        return false;
    }
    if (!tmp_write(os, tmp, content, e)) {
        (void)os->unlink(os->ctx, tmp); /* best effort: the next try truncates it anyway */
        return false;
    }
    int rc = os->rename(os->ctx, tmp, path);
    if (rc != 0) {
        (void)os->unlink(os->ctx, tmp);
        return err_errno(e, rc, "cannot rename '%s' to '%s'", tmp, path);
    }
    rc = os->dirsync(os->ctx, parent);
    return rc == 0 || err_errno(e, rc, "cannot sync folder '%s'", parent);
}

/* One folder whose parent exists; its name is durable afterwards. */
static int make_one(const struct os *os, const char *path, struct err *e)
{
    char parent[PATH_BYTES_MAX];
    if (!path_parent(parent, path, e)) {
        return ENAMETOOLONG;
    }
    int rc = os->mkdir(os->ctx, path);
    if (rc == 0) {
        rc = os->dirsync(os->ctx, parent);
    } else if (rc == EEXIST) {
        /* Says ENOTDIR when what exists is a file. */
        rc = os->dirsync(os->ctx, path);
    }
    if (rc != 0) {
        err_errno(e, rc, "cannot create folder '%s'", path);
    }
    return rc;
}

bool dir_make(const struct os *os, const char *path, struct err *e)
{
    int rc = make_one(os, path, e);
    if (rc != ENOENT) {
        return rc == 0;
    }
    size_t n = strlen(path);
    if (n >= PATH_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "path is longer than %d bytes", PATH_BYTES_MAX - 1);
    }
    char part[PATH_BYTES_MAX];
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        if (path[i - 1] == '/') {
            continue;
        }
        part[i] = '\0';
        if (make_one(os, part, e) != 0) {
            return false;
        }
        part[i] = path[i];
    }
    err_clear(e);
    return true;
}

bool path_join(char *out, size_t cap, const char *dir, const char *name, struct err *e)
{
    size_t dir_n = strlen(dir);
    size_t name_n = strlen(name);
    bool slash = dir_n > 0 && dir[dir_n - 1] != '/';
    size_t n = dir_n + (slash ? 1 : 0) + name_n;
    if (n >= cap) {
        return err_set(e, ERR_LIMIT, "path of %zu bytes does not fit in %zu", n, cap);
    }
    memcpy(out, dir, dir_n);
    if (slash) {
        out[dir_n] = '/';
    }
    memcpy(out + n - name_n, name, name_n + 1);
    return true;
}
