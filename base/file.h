/* Whole operations on files over the os seam: they loop over short reads and writes and report
 * errors with the path. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/os.h"

/* Appends the whole file to out; ERR_LIMIT when it does not fit in out's cap. */
MUST_USE bool file_read(const struct os *os, const char *path, struct buf *out, struct err *e);
/* Writes path + ".tmp", syncs, renames over path, syncs the folder: after success the new content
 * is durable; after failure or a crash path holds the old content or the new, whole. */
MUST_USE bool file_replace(const struct os *os, const char *path, struct str content,
                           struct err *e);
MUST_USE bool file_write_all(const struct os *os, int fd, struct str bytes, const char *path,
                             struct err *e);
/* Exactly n bytes at off, or ERR_CORRUPT when the file ends before. */
MUST_USE bool file_pread_all(const struct os *os, int fd, void *p, size_t n, uint64_t off,
                             const char *path, struct err *e);
/* Creates the folder and its parents; existing is success. */
MUST_USE bool dir_make(const struct os *os, const char *path, struct err *e);

/* "dir/name" into out (cap bytes); ERR_LIMIT when it does not fit. */
MUST_USE bool path_join(char *out, size_t cap, const char *dir, const char *name, struct err *e);
#define PATH_BYTES_MAX 512

#endif
