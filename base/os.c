/* The real machine behind struct os: Linux system calls, each returning 0 or its errno.
 *
 * Every descriptor is close-on-exec, because Farol starts helper programs. A call that a signal
 * interrupted is made again; close is the exception: Linux has freed the descriptor by then, and a
 * second close could hit somebody else's. No state, so any thread may call. */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define RETRY(result, call) \
    do {                    \
        (result) = (call);  \
    } while ((result) == -1 && errno == EINTR)

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;
    int rc = clock_gettime(id, &t);
    ASSERT(rc == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t real_now_ns(void *ctx)
{
    (void)ctx;
    return clock_ns(CLOCK_REALTIME);
}

static int64_t real_mono_ns(void *ctx)
{
    (void)ctx;
    return clock_ns(CLOCK_MONOTONIC);
}

static void real_sleep_ns(void *ctx, int64_t ns)
{
    (void)ctx;
    if (ns <= 0) {
        return;
    }
    int64_t until;
    if (__builtin_add_overflow(clock_ns(CLOCK_MONOTONIC), ns, &until)) {
        until = INT64_MAX;
    }
    struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static int real_random(void *ctx, void *p, size_t n)
{
    (void)ctx;
    char *to = p;
    while (n > 0) {
        ssize_t got;
        RETRY(got, getrandom(to, n, 0));
        if (got < 0) {
            return errno;
        }
        to += got;
        n -= (size_t)got;
    }
    return 0;
}

static int real_open(void *ctx, const char *path, unsigned flags, int *fd)
{
    (void)ctx;
    /* Writers may also read: a journal reads its own tail back. */
    bool writes = (flags & (OS_WRITE | OS_CREATE | OS_TRUNCATE | OS_APPEND)) != 0;
    int mode = O_CLOEXEC | (writes ? O_RDWR : O_RDONLY);
    mode |= (flags & OS_CREATE) != 0 ? O_CREAT : 0;
    mode |= (flags & OS_TRUNCATE) != 0 ? O_TRUNC : 0;
    mode |= (flags & OS_APPEND) != 0 ? O_APPEND : 0;
    mode |= (flags & OS_EXCL) != 0 ? O_EXCL : 0;
    int got;
    RETRY(got, open(path, mode, 0600));
    if (got < 0) {
        return errno;
    }
    *fd = got;
    return 0;
}

static int real_close(void *ctx, int fd)
{
    (void)ctx;
    return close(fd) == 0 || errno == EINTR ? 0 : errno;
}

static int real_read(void *ctx, int fd, void *p, size_t n, size_t *got)
{
    (void)ctx;
    ssize_t r;
    RETRY(r, read(fd, p, n));
    if (r < 0) {
        return errno;
    }
    *got = (size_t)r;
    return 0;
}

static int real_pread(void *ctx, int fd, void *p, size_t n, uint64_t off, size_t *got)
{
    (void)ctx;
    if (off > INT64_MAX) {
        return EINVAL;
    }
    ssize_t r;
    RETRY(r, pread(fd, p, n, (off_t)off));
    if (r < 0) {
        return errno;
    }
    *got = (size_t)r;
    return 0;
}

static int real_write(void *ctx, int fd, const void *p, size_t n, size_t *put)
{
    (void)ctx;
    ssize_t r;
    RETRY(r, write(fd, p, n));
    if (r < 0) {
        return errno;
    }
    *put = (size_t)r;
    return 0;
}

static int real_datasync(void *ctx, int fd)
{
    (void)ctx;
    int r;
    RETRY(r, fdatasync(fd));
    return r == 0 ? 0 : errno;
}

static int real_truncate(void *ctx, int fd, uint64_t bytes)
{
    (void)ctx;
    if (bytes > INT64_MAX) {
        return EFBIG;
    }
    int r;
    RETRY(r, ftruncate(fd, (off_t)bytes));
    return r == 0 ? 0 : errno;
}

static int real_size(void *ctx, int fd, uint64_t *bytes)
{
    (void)ctx;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return errno;
    }
    *bytes = (uint64_t)st.st_size;
    return 0;
}

static int real_rename(void *ctx, const char *from, const char *to)
{
    (void)ctx;
    return rename(from, to) == 0 ? 0 : errno;
}

static int real_unlink(void *ctx, const char *path)
{
    (void)ctx;
    if (unlink(path) == 0) {
        return 0;
    }
    if (errno != EISDIR) {
        return errno;
    }
    return rmdir(path) == 0 ? 0 : errno;
}

static int real_mkdir(void *ctx, const char *path)
{
    (void)ctx;
    return mkdir(path, 0700) == 0 ? 0 : errno;
}

static int real_dirsync(void *ctx, const char *path)
{
    (void)ctx;
    int fd;
    RETRY(fd, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0) {
        return errno;
    }
    int r;
    RETRY(r, fsync(fd));
    int rc = r == 0 ? 0 : errno;
    int closed = real_close(ctx, fd);
    return rc != 0 ? rc : closed;
}

static int entry_is_real(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* scandir's own alphasort follows the locale; byte order does not. */
static int entry_cmp(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int real_list(void *ctx, const char *path, void (*each)(void *arg, const char *name),
                     void *arg)
{
    (void)ctx;
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, entry_is_real, entry_cmp);
    if (n < 0) {
        return errno;
    }
    for (int i = 0; i < n; i++) {
        each(arg, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static int real_disk_free(void *ctx, const char *path, uint64_t *bytes)
{
    (void)ctx;
    struct statvfs v;
    int r;
    RETRY(r, statvfs(path, &v));
    if (r != 0) {
        return errno;
    }
    if (__builtin_mul_overflow((uint64_t)v.f_bavail, (uint64_t)v.f_frsize, bytes)) {
        *bytes = UINT64_MAX;
    }
    return 0;
}

static int real_lock(void *ctx, int fd)
{
    (void)ctx;
    int r;
    RETRY(r, flock(fd, LOCK_EX | LOCK_NB));
    return r == 0 ? 0 : errno;
}

static const struct os real = {
    .now_ns = real_now_ns,
    .mono_ns = real_mono_ns,
    .sleep_ns = real_sleep_ns,
    .random = real_random,
    .open = real_open,
    .close = real_close,
    .read = real_read,
    .pread = real_pread,
    .write = real_write,
    .datasync = real_datasync,
    .truncate = real_truncate,
    .size = real_size,
    .rename = real_rename,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .dirsync = real_dirsync,
    .list = real_list,
    .disk_free = real_disk_free,
    .lock = real_lock,
};

const struct os *os_real(void)
{
    return &real;
}
