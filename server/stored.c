/* See stored_int.h. The store is opened as the server opens it; whoever holds its lock keeps it. */
#include "server/stored_int.h"

#include "base/clock.h"
#include "server/run_int.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MS       (7 * MS_PER_DAY)
#define WINDOWS_MAX     10000 /* more of a year than samples at second 0 and now ask for */
#define IDS_BYTES_MAX   ((size_t)4 << 30)
#define PROGRESS_SERIES 1024 /* between two looks at the clock */
#define QUIET_NS        (500 * NS_PER_MS)
#define DRAW_NS         (100 * NS_PER_MS)

bool server_stored_open(const struct command_args *a, const char *folder,
                        const struct server_metrics_config *c, struct tsdb **out, struct err *e)
{
    struct tsdb_config t;
    tsdb_config_default(&t);
    t.dir = folder;
    t.retention_ms = c ? c->retention_ms : 0;
    t.retention_bytes = c ? c->retention_bytes : 0;
    t.series_max = c ? (uint32_t)c->series_max : 0;
    if (c) {
        t.future_ms = c->future_ms;
        t.out_of_order_ms = c->out_of_order_ms;
        t.head_bytes_max = c->head_bytes_max;
        t.exemplars_max = (uint32_t)c->exemplars_max;
    }
    return tsdb_open(out, &t, a->os, a->log, e);
}

/* One window of all series. */
struct window {
    struct tsdb_view *view;
    struct arena ids;
    struct tsdb_column column;
    int64_t from_ms, to_ms;
};

static bool window_read(struct window *w, bool (*progress)(void *ctx, double share), void *ctx,
                        double share, struct server_stored_sums *out, struct err *e)
{
    uint32_t *ids = NULL;
    uint32_t n = 0;
    arena_reset(&w->ids);
    if (!tsdb_select(w->view, NULL, 0, w->from_ms, w->to_ms, UINT32_MAX, true, &w->ids, &ids, &n,
                     e)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i % PROGRESS_SERIES == 0 && progress && !progress(ctx, share)) {
            return err_set(e, ERR_BUSY, "stopped");
        }
        if (!tsdb_read(w->view, ids[i], w->from_ms, w->to_ms, UINT32_MAX, &w->column, e)) {
            return false;
        }
        uint32_t histograms = 0;
        for (uint32_t k = 0; w->column.h && k < w->column.n; k++) {
            histograms += w->column.h[k] != NULL;
        }
        out->histograms += histograms;
        out->samples += w->column.n - histograms;
    }
    return true;
}

static bool windows_read(struct window *w, const struct tsdb_stats *s,
                         bool (*progress)(void *ctx, double share), void *ctx,
                         struct server_stored_sums *out, struct err *e)
{
    const uint64_t span = (uint64_t)s->max_ms - (uint64_t)s->min_ms;
    uint64_t step = span / WINDOWS_MAX + 1;
    step = step > (uint64_t)WINDOW_MS ? step : (uint64_t)WINDOW_MS;
    for (uint64_t at = 0; at <= span; at += step) {
        const uint64_t last = span - at < step ? span : at + step - 1;
        w->from_ms = (int64_t)((uint64_t)s->min_ms + at);
        w->to_ms = (int64_t)((uint64_t)s->min_ms + last);
        if (!window_read(w, progress, ctx, (double)at / ((double)span + 1), out, e)) {
            return false;
        }
        if (last == span) {
            break;
        }
    }
    return true;
}

bool server_stored_read(struct tsdb *db, bool (*progress)(void *ctx, double share), void *ctx,
                        struct server_stored_sums *out, struct err *e)
{
    struct mem mem;
    struct window w;
    struct tsdb_stats s;
    *out = (struct server_stored_sums){0};
    tsdb_stats(db, &s);
    if (!tsdb_view_open(db, &w.view, e)) {
        return false;
    }
    mem_init(&mem, 0);
    arena_init(&w.ids, &mem, IDS_BYTES_MAX);
    tsdb_column_init(&w.column, &mem);
    const bool ok = s.min_ms > s.max_ms || windows_read(&w, &s, progress, ctx, out, e);
    tsdb_column_release(&w.column);
    arena_release(&w.ids);
    tsdb_view_close(w.view);
    ASSERT(mem.bytes == 0);
    tsdb_stats(db, &s);
    out->series = s.series;
    out->blocks = s.blocks;
    out->block_bytes = s.block_bytes;
    out->damaged = s.blocks_damaged + s.log_records_damaged;
    out->min_ms = s.min_ms;
    out->max_ms = s.max_ms;
    return ok;
}

/* --- the line on the terminal --- */

void server_ticker_start(struct server_ticker *t, const struct command_args *a)
{
    *t = (struct server_ticker){.args = a, .start_ns = os_mono_ns(a->os)};
    t->live = isatty(STDERR_FILENO) == 1 && !command_flag(a, "quiet") && !command_flag(a, "plain");
    server_signals_block();
}

double server_ticker_seconds(const struct server_ticker *t)
{
    return s_from_ns(os_mono_ns(t->args->os) - t->start_ns);
}

bool server_ticker_due(struct server_ticker *t)
{
    const int64_t now_ns = os_mono_ns(t->args->os);
    if (!t->live || now_ns - t->start_ns < QUIET_NS || now_ns - t->drawn_ns < DRAW_NS) {
        return false;
    }
    t->drawn_ns = now_ns;
    return true;
}

void server_ticker_draw(struct server_ticker *t, struct buf *line)
{
    if (!line->failed) {
        (void)fprintf(stderr, "\r%.*s\033[K", STR_FMT(buf_str(line)));
        (void)fflush(stderr);
        t->drawn = true;
    }
    buf_release(line);
}

void server_ticker_wipe(struct server_ticker *t)
{
    if (t->drawn) {
        (void)fputs("\r\033[K", stderr);
        t->drawn = false;
    }
}

bool server_ticker_go_on(void)
{
    const struct timespec now = {0};
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    return sigtimedwait(&set, NULL, &now) < 0;
}
