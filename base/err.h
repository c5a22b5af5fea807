/* An error carries a code that callers branch on, a message for a person, and a place.
 *
 * Fallible functions return bool, are MUST_USE and take struct err * last. err_set returns false,
 * so that failing is one line: return err_set(e, ERR_INPUT, "expected %s, found '%c'", ...).
 * Messages are lower case, without a full stop: what was expected, what was found. No personal
 * data. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"
#include "base/str.h"

enum err_code {
    ERR_NONE = 0,
    ERR_INPUT,   /* what the outside gave is not what was expected */
    ERR_LIMIT,   /* a bound was reached */
    ERR_CORRUPT, /* stored bytes are damaged */
    ERR_IO,      /* the operating system said no */
    ERR_NOMEM,
    ERR_BUSY, /* try again later */
};
#define ERR_CODES 7

struct err {
    enum err_code code;
    uint32_t line, col; /* 1-based, 0 = not known */
    const char *where;  /* file or source name; borrows, lives as long as the caller's input */
    char msg[192];
};

/* All return false. e may be NULL when the caller does not care. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool err_at(struct err *e, enum err_code code, uint32_t line, uint32_t col, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
/* ERR_IO (ERR_NOMEM for ENOMEM) with the text of errno_value appended: "cannot open 'x': no such
 * file". */
bool err_errno(struct err *e, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);
void err_clear(struct err *e);

/* One word per code, for labels and JSON: "input", "limit", ... */
const char *err_code_name(enum err_code code);
int err_http_status(enum err_code code); /* 400, 413, 500, 500, 503, 503 */

/* "where:line:col: msg" with the parts that are known. Returns bytes written, NUL-terminated. */
size_t err_format(const struct err *e, char *out, size_t cap);

#endif
