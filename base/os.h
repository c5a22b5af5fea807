/* The outside world as a struct: clock, files, randomness. The real one is os_real; tests, fuzzing
 * and the simulator pass their own (base/simos.h), so that a run with a seed is reproducible and
 * every write, sync and rename can fail, be short or be lost in a crash.
 *
 * Paths are NUL-terminated. Calls return 0 or a positive errno; counts come back by pointer. Short
 * reads and writes happen: use base/file.h, which loops. thread: any; implementations lock
 * themselves. */
#ifndef BASE_OS_H
#define BASE_OS_H

#include "base/base.h"

enum os_open {
    OS_READ = 0,
    OS_WRITE = 1,
    OS_CREATE = 2,
    OS_TRUNCATE = 4,
    OS_APPEND = 8,
    OS_EXCL = 16
};

struct os {
    void *ctx;
    int64_t (*now_ns)(void *ctx);  /* wall clock, UTC */
    int64_t (*mono_ns)(void *ctx); /* never steps back */
    void (*sleep_ns)(void *ctx, int64_t ns);
    int (*random)(void *ctx, void *p, size_t n);

    /* Mode 0600. A file opened for writing (any flag but OS_EXCL) may also be read. */
    int (*open)(void *ctx, const char *path, unsigned flags, int *fd);
    int (*close)(void *ctx, int fd);
    int (*read)(void *ctx, int fd, void *p, size_t n, size_t *got); /* got 0: end of file */
    int (*pread)(void *ctx, int fd, void *p, size_t n, uint64_t off, size_t *got);
    int (*write)(void *ctx, int fd, const void *p, size_t n, size_t *put);
    int (*datasync)(void *ctx, int fd);
    int (*truncate)(void *ctx, int fd, uint64_t bytes);
    int (*size)(void *ctx, int fd, uint64_t *bytes);

    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path); /* also an empty folder */
    int (*mkdir)(void *ctx, const char *path);  /* EEXIST is reported */
    int (*dirsync)(void *ctx, const char *path);
    /* Calls each(arg, name) for every entry but . and .., in byte order of the names. */
    int (*list)(void *ctx, const char *path, void (*each)(void *arg, const char *name), void *arg);
    int (*disk_free)(void *ctx, const char *path, uint64_t *bytes);
    /* Advisory lock held until the process ends or the file is closed; EWOULDBLOCK when taken. */
    int (*lock)(void *ctx, int fd);
};

/* The machine itself. Stateless. */
const struct os *os_real(void);

static inline int64_t os_now_ns(const struct os *os)
{
    return os->now_ns(os->ctx);
}
static inline int64_t os_mono_ns(const struct os *os)
{
    return os->mono_ns(os->ctx);
}

#endif
