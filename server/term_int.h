/* The terminal as a place to draw: alternate screen, no echo, single keys; given back on every
 * exit. */
#ifndef SERVER_TERM_INT_H
#define SERVER_TERM_INT_H

#include "base/buf.h"
#include "base/err.h"

#include <signal.h>
#include <termios.h>

struct term {
    struct termios before;
    bool taken;
    int signals_fd; /* signalfd of SIGINT SIGTERM SIGHUP SIGWINCH SIGTSTP, which are blocked */
    sigset_t mask_before;
};

/* Blocks the signals and opens signals_fd; takes the screen when `screen`. thread: the main one,
 * before others. */
MUST_USE bool server_term_open(struct term *t, bool screen, struct err *e);
void server_term_close(struct term *t);
/* Leaves the screen, stops the process as Ctrl-Z does, and takes the screen again when continued.
 */
void server_term_suspend(struct term *t);
/* Columns and rows; 80 x 24 when the terminal does not say. */
void server_term_size(uint32_t *columns, uint32_t *rows);
/* Writes a frame of lines over the last one, without clearing first: nothing flickers. */
void server_term_frame(struct str lines, struct buf *scratch);
/* The next key within timeout_ms: a byte; 0 when none came; -signal when a signal came. */
int server_term_key(const struct term *t, bool keys, int64_t timeout_ms);

#endif
