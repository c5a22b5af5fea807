/* Errors: filling struct err, and the one table from code to name and HTTP status.
 *
 * Messages are formatted into a local first, so that a caller may wrap an error in itself:
 * err_set(e, e->code, "segment 7: %s", e->msg). A message that is too long is cut at a whole UTF-8
 * character, because it ends up in JSON. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct code_row {
    const char *name;
    int http_status;
};

static const struct code_row code_rows[ERR_CODES] = {
    [ERR_NONE] = {"none", 200},       [ERR_INPUT] = {"input", 400}, [ERR_LIMIT] = {"limit", 413},
    [ERR_CORRUPT] = {"corrupt", 500}, [ERR_IO] = {"io", 500},       [ERR_NOMEM] = {"nomem", 503},
    [ERR_BUSY] = {"busy", 503},
};

noreturn void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

/* Takes away a UTF-8 character that the end of the buffer cut in two. */
static void trim_cut_character(char *msg)
{
    size_t n = strlen(msg);
    size_t tail = 0;
    while (tail < 3 && tail < n && ((unsigned char)msg[n - 1 - tail] & 0xC0) == 0x80) {
        tail++;
    }
    if (tail >= n) {
        return;
    }
    unsigned char lead = (unsigned char)msg[n - 1 - tail];
    size_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (want > tail) {
        msg[n - 1 - tail] = '\0';
    }
}

PRINTF_LIKE(5, 0)
static bool set_v(struct err *e, enum err_code code, uint32_t line, uint32_t col, const char *fmt,
                  va_list args)
{
    if (e == NULL) {
        return false;
    }
    char msg[sizeof e->msg];
    int n = vsnprintf(msg, sizeof msg, fmt, args);
    if (n < 0) {
        msg[0] = '\0';
    } else if ((size_t)n >= sizeof msg) {
        trim_cut_character(msg);
    }
    *e = (struct err){.code = code, .line = line, .col = col};
    memcpy(e->msg, msg, strlen(msg) + 1);
    return false;
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_v(e, code, 0, 0, fmt, args);
    va_end(args);
    return false;
}

bool err_at(struct err *e, enum err_code code, uint32_t line, uint32_t col, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_v(e, code, line, col, fmt, args);
    va_end(args);
    return false;
}

bool err_errno(struct err *e, int errno_value, const char *fmt, ...)
{
    if (e == NULL) {
        return false;
    }
    va_list args;
    va_start(args, fmt);
    set_v(e, errno_value == ENOMEM ? ERR_NOMEM : ERR_IO, 0, 0, fmt, args);
    va_end(args);
    const char *text = strerrordesc_np(errno_value);
    size_t n = strlen(e->msg);
    if (text == NULL) {
        snprintf(e->msg + n, sizeof e->msg - n, ": error %d", errno_value);
        return false;
    }
    /* The C library begins with a capital, our messages do not; acronyms (two capitals) stay. */
    char first = text[0];
    bool acronym = text[0] != '\0' && text[1] >= 'A' && text[1] <= 'Z';
    if (first >= 'A' && first <= 'Z' && !acronym) {
        first = (char)(first - 'A' + 'a');
    }
    snprintf(e->msg + n, sizeof e->msg - n, ": %c%s", first, first == '\0' ? "" : text + 1);
    return false;
}

void err_clear(struct err *e)
{
    if (e != NULL) {
        *e = (struct err){.code = ERR_NONE};
    }
}

const char *err_code_name(enum err_code code)
{
    ASSERT((unsigned)code < ERR_CODES);
    return code_rows[code].name;
}

int err_http_status(enum err_code code)
{
    ASSERT((unsigned)code < ERR_CODES);
    return code_rows[code].http_status;
}

size_t err_format(const struct err *e, char *out, size_t cap)
{
    if (cap == 0) {
        return 0;
    }
    const char *where = e->where != NULL ? e->where : "";
    char place[32] = "";
    if (e->line != 0 && e->col != 0) {
        snprintf(place, sizeof place, "%u:%u: ", e->line, e->col);
    } else if (e->line != 0) {
        snprintf(place, sizeof place, "%u: ", e->line);
    }
    const char *colon = where[0] == '\0' ? "" : place[0] == '\0' ? ": " : ":";
    int n = snprintf(out, cap, "%s%s%s%s", where, colon, place, e->msg);
    if (n < 0) {
        out[0] = '\0';
        return 0;
    }
    if ((size_t)n >= cap) {
        trim_cut_character(out);
    }
    return strlen(out);
}
