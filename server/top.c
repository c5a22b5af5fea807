/* See top_int.h. One thread: fetch, draw, wait for a key or a signal until the next fetch. A fetch
 * is bounded by a short timeout, so that keys answer even when the server does not. */
#include "server/top_int.h"

#include "base/file.h"
#include "server/board_int.h"
#include "server/client_int.h"
#include "server/commands_int.h"
#include "server/term_int.h"
#include "server/text_int.h"

#include <time.h>
#include <unistd.h>

#define FETCH_TIMEOUT_MS 1500
#define FRAME_BYTES_MAX  (1U << 20)
#define LINE_EVERY_NS    (15 * NS_PER_S)

struct top {
    const struct command_args *a;
    const struct server_top *config;
    struct server_client client;
    struct term term;
    struct server_view view;
    struct server_history history;
    struct server_story story;
    struct server_board board;
    struct mem mem;
    struct buf frame, screen;
    char zone[16];
    bool seen, quit;
    uint64_t frames;
    int64_t line_mono_ns;       /* when the last line was printed */
    enum view_state line_state; /* ... and what it said */
    uint32_t line_causes;       /* ... of which causes, as bits */
    double line_alerts;         /* ... and of how many alerts */
};

/* The viewer's zone and its offset at t_ns. */
static void set_zone(struct top *t, int64_t t_ns)
{
    time_t seconds = (time_t)(t_ns / NS_PER_S);
    struct tm tm;
    if (!localtime_r(&seconds, &tm)) {
        return;
    }
    t->board.utc_offset_s = (int32_t)tm.tm_gmtoff;
    if (strftime(t->zone, sizeof t->zone, "%Z", &tm) == 0) {
        t->zone[0] = '\0';
    }
    t->board.zone = t->zone;
}

static void fetch(struct top *t)
{
    struct server_view view;
    struct err e = {0};
    int64_t now_ns = os_now_ns(t->a->os);
    if (server_client_status(&t->client, &view, &e)) {
        t->view = view;
        t->seen = true;
        t->board.view = &t->view;
        t->board.silent_since_ns = T_NS_NONE;
        server_history_add(&t->history, &t->view);
        server_story_add(&t->story, &t->view);
    } else if (t->board.silent_since_ns == T_NS_NONE) {
        t->board.silent_since_ns = t->seen && t->view.t_ns != T_NS_NONE ? t->view.t_ns : now_ns;
    }
    t->board.now_ns = now_ns;
    set_zone(t, now_ns);
}

static bool print(struct top *t)
{
    struct err e = {0};
    if (buf_ok(&t->frame, &e) &&
        file_write_all(t->a->os, STDOUT_FILENO, buf_str(&t->frame), "standard output", &e)) {
        return true;
    }
    (void)server_fail(t->a, &e, EXIT_FAILED);
    return false;
}

static uint32_t causes(const struct server_story *s)
{
    uint32_t bits = 0;
    for (int i = 0; i < VIEW_CAUSES; i++) {
        bits |= s->causes[i].present ? 1U << i : 0;
    }
    return bits;
}

/* One line when the state, its causes or the alerts change, and now and then anyway. */
static bool draw_line(struct top *t)
{
    int64_t now = os_mono_ns(t->a->os);
    bool silent = t->board.silent_since_ns != T_NS_NONE;
    enum view_state state = silent || !t->seen ? VIEW_NONE : t->view.state;
    uint32_t why = causes(&t->story);
    double alerts = t->view.alerts_firing > 0 ? t->view.alerts_firing : 0;
    if (t->line_mono_ns != 0 && state == t->line_state && why == t->line_causes &&
        !(alerts > t->line_alerts) && !(alerts < t->line_alerts) &&
        now - t->line_mono_ns < LINE_EVERY_NS) {
        return true;
    }
    t->line_mono_ns = now;
    t->line_state = state;
    t->line_causes = why;
    t->line_alerts = alerts;
    struct civil c = civil_from_ns(t->board.now_ns + t->board.utc_offset_s * NS_PER_S);
    buf_fmt(&t->frame, "%02d:%02d:%02d  ", c.hour, c.minute, c.second);
    if (silent || !t->seen) {
        SAY(&t->frame, t->a->lang, BOARD_NOTHING, str_from_c(t->config->url));
        buf_char(&t->frame, '\n');
    } else {
        server_status_line(&t->view, &t->story, t->a->lang, t->config->plain, t->board.utc_offset_s,
                           &t->frame);
    }
    return print(t);
}

static bool draw(struct top *t)
{
    buf_reset(&t->frame);
    if (t->config->lines) {
        return draw_line(t);
    }
    if (t->config->json) {
        if (t->board.silent_since_ns != T_NS_NONE || !t->seen) {
            return true;
        }
        buf_str_add(&t->frame, str_trim(buf_str(&t->client.body)));
        buf_char(&t->frame, '\n');
        return print(t);
    }
    server_board_draw(&t->board, &t->frame);
    if (t->config->screen) {
        server_term_frame(buf_str(&t->frame), &t->screen);
        return true;
    }
    buf_char(&t->frame, '\n');
    return print(t);
}

/* What a key or a signal does. true: draw again now. */
static bool key(struct top *t, int k)
{
    switch (k) {
    case 'q':
    case 'Q':
    case 3: /* Ctrl-C, if the terminal does not turn it into a signal */
    case -SIGINT:
    case -SIGTERM:
    case -SIGHUP: t->quit = true; return false;
    case 'p':
    case ' ': t->board.paused = !t->board.paused; return true;
    case '?':
    case 'h': t->board.help = !t->board.help; return true;
    case 'l': t->board.lang = t->board.lang == LANG_PT ? LANG_EN : LANG_PT; return true;
    case -SIGWINCH: server_term_size(&t->board.width, &t->board.height); return true;
    case -SIGTSTP: server_term_suspend(&t->term); return true;
    default: return false;
    }
}

/* Waits for the next interval, serving keys. */
static bool wait_next(struct top *t, int64_t until_mono_ns)
{
    while (!t->quit) {
        int64_t left_ns = until_mono_ns - os_mono_ns(t->a->os);
        if (left_ns <= 0) {
            break;
        }
        int k = server_term_key(&t->term, t->config->screen, (left_ns + NS_PER_MS - 1) / NS_PER_MS);
        if (k != 0 && key(t, k) && t->config->screen && !draw(t)) {
            return false;
        }
    }
    return true;
}

static bool over(struct top *t)
{
    const struct server_top *c = t->config;
    return t->quit || (c->frames_max > 0 && t->frames >= c->frames_max) ||
           (c->end_mono_ns > 0 && os_mono_ns(t->a->os) >= c->end_mono_ns) ||
           (c->alive && !c->alive(c->ctx));
}

static bool loop(struct top *t)
{
    while (!over(t)) {
        int64_t next = os_mono_ns(t->a->os) + ns_from_ms(t->config->interval_ms);
        if (!t->board.paused) {
            fetch(t);
            if (!draw(t)) {
                return false;
            }
            t->frames++;
        }
        if (over(t)) {
            break;
        }
        if (t->config->end_mono_ns > 0 && next > t->config->end_mono_ns) {
            next = t->config->end_mono_ns;
        }
        if (!wait_next(t, next)) {
            return false;
        }
    }
    return true;
}

int server_top_run(const struct command_args *a, const struct server_top *config)
{
    struct top *t;
    struct mem mem;
    struct err e = {0};
    mem_init(&mem, 0);
    t = mem_take(&mem, sizeof *t); /* 60 KB: too much for a stack */
    if (!t) {
        (void)err_set(&e, ERR_NOMEM, "no memory for the board");
        return server_fail(a, &e, EXIT_FAILED);
    }
    t->a = a;
    t->config = config;
    t->board = (struct server_board){.history = &t->history,
                                     .story = &t->story,
                                     .lang = a->lang,
                                     .color = a->color,
                                     .plain = config->plain,
                                     .live = config->screen,
                                     .silent_since_ns = T_NS_NONE,
                                     .zone = "UTC",
                                     .url = config->url};
    server_term_size(&t->board.width, &t->board.height);
    mem_init(&t->mem, 0);
    buf_init(&t->frame, &t->mem, FRAME_BYTES_MAX);
    buf_init(&t->screen, &t->mem, FRAME_BYTES_MAX);
    int code = EXIT_USAGE;
    if (!server_client_init(&t->client, config->url, FETCH_TIMEOUT_MS, &e)) {
        (void)server_fail(a, &e, code);
    } else {
        code = EXIT_FAILED;
        if (!server_term_open(&t->term, config->screen, &e)) {
            (void)server_fail(a, &e, code);
        } else {
            bool ok = loop(t);
            server_term_close(&t->term);
            code = !ok ? EXIT_FAILED : t->seen || t->quit ? EXIT_OK : EXIT_NO_CONNECTION;
        }
        server_client_release(&t->client);
    }
    buf_release(&t->screen);
    buf_release(&t->frame);
    mem_give(&mem, t, sizeof *t);
    return code;
}
