/* The log: one logfmt line per event, made on the stack and written with one write(2), so that
 * lines of several threads do not mix and logging needs no memory.
 *
 *   ts=2026-11-23T13:45:41.120Z level=warn mod=journal msg="segment 7 cut at byte 4096: torn frame"
 *
 * The message is quoted: quote, backslash and control bytes are escaped and bytes that are not
 * UTF-8 become '?', so that a hostile value can neither forge a line nor drive a terminal. A line
 * is at most 1024 bytes with its newline; a longer message ends in "...".
 *
 * Rate: `window` holds the current second and how many lines it was asked for. Whoever opens the
 * next second sees by how much the last one was over the bound and writes that down. A write that
 * fails is counted in lines_dropped too: there is nowhere else to say it. */
#include "base/log.h"

#include "base/clock.h"
#include "base/utf8_int.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES_MAX 1024
#define LINE_END_BYTES 5 /* ..."\n */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(struct log *l, const struct os *os, int fd, enum log_level level)
{
    *l = (struct log){.os = os, .fd = fd, .level = level};
    atomic_init(&l->window, 0);
    atomic_init(&l->lines_dropped, 0);
}

struct line {
    char p[LINE_BYTES_MAX];
    size_t n;
};

/* false: no room for n more bytes and the end of the line. */
static bool line_add(struct line *line, const char *p, size_t n)
{
    if (n > sizeof line->p - LINE_END_BYTES - line->n) {
        return false;
    }
    memcpy(line->p + line->n, p, n);
    line->n += n;
    return true;
}

/* The escaped form of one control byte, quote or backslash; returns its length. */
static size_t escape(char out[8], unsigned char c)
{
    out[0] = '\\';
    out[1] = (char)c;
    switch (c) {
    case '"':
    case '\\': return 2;
    case '\n': out[1] = 'n'; return 2;
    case '\r': out[1] = 'r'; return 2;
    case '\t': out[1] = 't'; return 2;
    default: return (size_t)snprintf(out, 8, "\\u%04x", c);
    }
}

static void line_add_quoted(struct line *line, struct str msg, bool cut)
{
    const unsigned char *p = (const unsigned char *)msg.p;
    size_t i = 0;
    while (i < msg.n) {
        size_t step = utf8_step(p + i, msg.n - i);
        bool fits;
        if (step == 0) {
            fits = line_add(line, "?", 1);
            step = 1;
        } else if (p[i] < 0x20 || p[i] == 0x7F || p[i] == '"' || p[i] == '\\') {
            char text[8];
            size_t n = escape(text, p[i]);
            fits = line_add(line, text, n);
        } else if (p[i] == 0xC2 && p[i + 1] < 0xA0) {
            fits = line_add(line, "?", 1); /* C1 controls drive terminals too */
        } else {
            fits = line_add(line, msg.p + i, step);
        }
        if (!fits) {
            cut = true;
            break;
        }
        i += step;
    }
    memcpy(line->p + line->n, cut ? "...\"\n" : "\"\n", cut ? 5 : 2);
    line->n += cut ? 5 : 2;
}

static void line_write(struct log *l, enum log_level level, const char *mod, struct str msg,
                       bool cut)
{
    struct line line;
    int64_t now_ns = os_now_ns(l->os);
    struct civil c = civil_from_ns(now_ns);
    int n = snprintf(line.p, sizeof line.p,
                     "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=%s mod=%.64s msg=\"", c.year,
                     c.month, c.day, c.hour, c.minute, c.second, (int)(c.ns / NS_PER_MS),
                     level_names[level], mod);
    line.n = n > 0 ? (size_t)n : 0;
    line_add_quoted(&line, msg, cut);
    size_t put = 0;
    int rc = l->os->write(l->os->ctx, l->fd, line.p, line.n, &put);
    if (rc != 0 || put != line.n) {
        atomic_fetch_add_explicit(&l->lines_dropped, 1, memory_order_relaxed);
    }
}

/* Counts this line in its second. false: it is over the bound. *dropped gets how many lines the
 * second before lost, when this call is the first of a new one. */
static bool rate_allows(struct log *l, uint64_t *dropped)
{
    *dropped = 0;
    if (l->lines_per_s_max == 0) {
        return true;
    }
    uint64_t second = (uint64_t)(os_mono_ns(l->os) / NS_PER_S) & UINT32_MAX;
    uint_fast64_t old = atomic_load_explicit(&l->window, memory_order_relaxed);
    uint64_t next;
    bool fresh;
    do {
        fresh = old >> 32 != second;
        uint64_t lines = old & UINT32_MAX;
        next = second << 32 | (fresh ? 1 : lines + (lines < UINT32_MAX ? 1 : 0));
    } while (!atomic_compare_exchange_weak_explicit(&l->window, &old, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    uint64_t lines_before = old & UINT32_MAX;
    if (fresh && lines_before > l->lines_per_s_max) {
        *dropped = lines_before - l->lines_per_s_max;
    }
    return fresh || lines_before < l->lines_per_s_max;
}

void log_line(struct log *l, enum log_level level, const char *mod, const char *fmt, ...)
{
    if (l == NULL || level < __atomic_load_n(&l->level, __ATOMIC_RELAXED)) {
        return;
    }
    ASSERT((unsigned)level < ARRAY_LEN(level_names));
    uint64_t dropped;
    if (!rate_allows(l, &dropped)) {
        atomic_fetch_add_explicit(&l->lines_dropped, 1, memory_order_relaxed);
        return;
    }
    char msg[LINE_BYTES_MAX];
    if (dropped > 0) {
        int n = snprintf(msg, sizeof msg, "%llu lines dropped: more than %u in a second",
                         (unsigned long long)dropped, l->lines_per_s_max);
        line_write(l, LOG_WARN, "log", str_of(msg, (size_t)n), false);
    }
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    bool cut = n >= (int)sizeof msg;
    size_t bytes = n < 0 ? 0 : cut ? sizeof msg - 1 : (size_t)n;
    line_write(l, level, mod, str_of(msg, bytes), cut);
}

void log_err(struct log *l, enum log_level level, const char *mod, const struct err *e)
{
    char text[512];
    size_t n = err_format(e, text, sizeof text);
    log_line(l, level, mod, "%.*s", (int)n, text);
}

bool log_level_parse(struct str s, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_eq(s, str_from_c(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}
