/* The store of samples of a farol that is not running, for the commands backup and import: opening
 * it, reading it to its end, progress on a terminal. */
#ifndef SERVER_STORED_INT_H
#define SERVER_STORED_INT_H

#include "base/command.h"
#include "engines/tsdb/tsdb.h"
#include "server/config_int.h"

/* Where samples are below a farol's storage.path. */
#define SERVER_STORED_FOLDER "metrics"

/* Opens the store in a folder. c NULL: nothing expires and nothing is bounded, so that opening
 * loses nothing. ERR_BUSY: a program holds it. */
MUST_USE bool server_stored_open(const struct command_args *a, const char *folder,
                                 const struct server_metrics_config *c, struct tsdb **out,
                                 struct err *e);

struct server_stored_sums {
    uint64_t series, samples, histograms; /* series: known; the rest were read */
    uint64_t blocks, block_bytes;
    uint64_t damaged;       /* blocks or columns that could not be read */
    int64_t min_ms, max_ms; /* INT64_MAX, INT64_MIN when empty */
};
/* Reads every sample, a week after the other, so that memory is bounded. progress (may be NULL) is
 * given the share done; false stops: ERR_BUSY. */
MUST_USE bool server_stored_read(struct tsdb *db, bool (*progress)(void *ctx, double share),
                                 void *ctx, struct server_stored_sums *out, struct err *e);

/* One line on standard error that is written over again, when that is a terminal. */
struct server_ticker {
    const struct command_args *args;
    int64_t start_ns, drawn_ns;
    bool live, drawn;
};
/* Also blocks the signals that end a program, before any thread starts: see _go_on. */
void server_ticker_start(struct server_ticker *t, const struct command_args *a);
/* Whether it is time to draw again. */
bool server_ticker_due(struct server_ticker *t);
/* Consumes line. */
void server_ticker_draw(struct server_ticker *t, struct buf *line);
void server_ticker_wipe(struct server_ticker *t);
double server_ticker_seconds(const struct server_ticker *t);
/* false: somebody pressed Ctrl-C, or asked the program to end. */
bool server_ticker_go_on(void);

#endif
