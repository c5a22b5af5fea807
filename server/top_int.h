/* The live board: asks a farol once per interval and draws what it says. For `farol top` and `farol
 * demo`. */
#ifndef SERVER_TOP_INT_H
#define SERVER_TOP_INT_H

#include "base/command.h"

struct server_top {
    const char *url;
    int64_t interval_ms;
    uint64_t frames_max; /* 0 = until somebody ends it */
    bool screen;         /* a live screen with keys; else one plain frame after the other */
    bool json;           /* the server's JSON, one line per interval, instead of frames */
    bool plain;
    bool lines;          /* instead of frames: one line when the state changes and every 15 s */
    int64_t end_mono_ns; /* end by itself then; 0 = never */
    /* Called between frames; false ends the board. May be NULL. */
    bool (*alive)(void *ctx);
    void *ctx;
};

/* Runs until q, a signal, frames_max or end_mono_ns. EXIT_OK, or EXIT_NO_CONNECTION when no answer
 * ever came. */
int server_top_run(const struct command_args *a, const struct server_top *t);

#endif
