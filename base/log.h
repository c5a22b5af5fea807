/* Farol's own log: one logfmt line per event on a file descriptor (standard error), level first.
 *
 *   ts=2026-11-23T13:45:41.120Z level=warn mod=journal msg="segment 7 cut at byte 4096: torn frame"
 *
 * Never personal data: names ending in _pii do not appear in these calls (checked), pii_mask is the
 * one door. thread: any (one write(2) a line). Rate: at most `lines_per_s_max` a second, the rest
 * are counted and reported. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"
#include "base/os.h"

#include <stdatomic.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
    const struct os *os;
    int fd;
    enum log_level level;
    uint32_t lines_per_s_max;    /* 0 = no bound */
    atomic_uint_fast64_t window; /* second << 32 | lines in it */
    atomic_uint_fast64_t lines_dropped;
};

void log_init(struct log *l, const struct os *os, int fd, enum log_level level);
/* l may be NULL: nothing is written. */
void log_line(struct log *l, enum log_level level, const char *mod, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void log_err(struct log *l, enum log_level level, const char *mod, const struct err *e);
MUST_USE bool log_level_parse(struct str s, enum log_level *out);

#endif
