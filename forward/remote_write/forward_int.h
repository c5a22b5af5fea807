/* The inside of remote write out: a round, a request, a destination. */
#ifndef FORWARD_REMOTE_WRITE_FORWARD_INT_H
#define FORWARD_REMOTE_WRITE_FORWARD_INT_H

#include "forward/remote_write/remote_write.h"

#include "base/file.h"
#include "base/intern.h"
#include "net/http_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define FORWARD_SHARDS_MAX 64

enum forward_drop {
    FORWARD_REFUSED,   /* 400: out of order there, too old, bad */
    FORWARD_DENIED,    /* 401, 403 */
    FORWARD_NOT_FOUND, /* 404, 405, 415 and the like: not what we think it is */
    FORWARD_GONE,      /* the series was dropped here before it was sent */
    FORWARD_RELABELLED,
    FORWARD_TOO_OLD,   /* sample_age_limit */
    FORWARD_HISTOGRAM, /* send_native_histograms is off */
};
#define FORWARD_DROPS 7

/* One sample of a round. lifetime: the round's. */
struct forward_item {
    uint32_t ref, seq; /* seq: place in the round */
    int64_t t_ms, st_ms;
    double v;
    const struct nhist *h;         /* NULL: v */
    const struct labels *exemplar; /* NULL: a sample */
};

/* --- state.c: NAME.position ------------------------------------------------------------------- */

/* A stretch of the log, and how it is cut: from == to: nothing is on its way. */
struct forward_state {
    uint64_t from, to;
    uint32_t shards, samples_max;
};
#define FORWARD_STATE_BYTES 40
void forward_state_write(const struct forward_state *s, char out[static FORWARD_STATE_BYTES]);
/* ERR_CORRUPT. */
MUST_USE bool forward_state_read(struct str bytes, struct forward_state *out, struct err *e);

/* --- encode.c: requests ----------------------------------------------------------------------- */

struct forward_encoder {
    const struct forward_config *config;
    const struct forward_options *options;
    uint32_t entry;
    int64_t now_ms;
    struct tsdb_view *view; /* of the request */
    struct mem *mem;
    struct arena arena; /* of the request */
    struct buf plain, packed;
    struct label labels[LABELS_COUNT_MAX];
    struct buf series;     /* 2.0: they follow the symbols */
    struct intern symbols; /* 2.0; of the request */
    /* Of the request that was made. */
    uint64_t samples, histograms, exemplars, dropped[FORWARD_DROPS];
    int64_t newest_ms;
};
void forward_encoder_init(struct forward_encoder *x, struct mem *m);
void forward_encoder_release(struct forward_encoder *x);
/* The request for items [0, n), grouped by series, into x->packed; empty when all were dropped. */
MUST_USE bool forward_encode(struct forward_encoder *x, const struct forward_item *items, size_t n,
                             struct err *e);

/* --- send.c: one destination ------------------------------------------------------------------ */

struct forward_counters {
    atomic_uint_fast64_t samples, histograms, exemplars, bytes, requests, retries, save_failures,
        dropped[FORWARD_DROPS];
    atomic_int_fast64_t newest_ms; /* newest sample that was sent */
    atomic_uint shards;
    atomic_bool busy; /* a round is on its way */
};

struct forward_to;
struct forward_worker {
    struct forward_to *to;
    pthread_t thread;
    bool runs;
    struct mem mem;
    struct http_client *client;
    struct forward_encoder encoder;
};

/* One destination. lifetime: from forward_new to forward_free. */
struct forward_to {
    const struct forward_config *config;
    const struct forward_options *options;
    uint32_t entry;
    char path[PATH_BYTES_MAX]; /* of its position */
    char *url;                 /* owns; with url_bytes */
    size_t url_bytes;
    struct tsdb_tap *tap;
    struct forward_state state; /* thread: the rounds' */
    struct forward_counters counters;
    atomic_bool stop;

    /* The round. thread: the rounds' while no shard is open, workers read it else */
    struct mem mem;
    struct arena arena;
    struct forward_item *items;
    size_t items_n, items_cap;
    size_t shard_end[FORWARD_SHARDS_MAX];
    uint32_t shards;
    char auth[2048]; /* the Authorization header, "" = none */

    pthread_mutex_t mu;
    pthread_cond_t wake;             /* workers: a shard; rounds: all done; all: stop */
    uint32_t shard_next, shard_left; /* lock: mu */

    pthread_t thread;
    bool runs;
    struct forward_worker *workers;
    uint32_t workers_n;
};
/* The thread of the rounds, and of the workers. */
void *forward_rounds_run(void *to);
void *forward_worker_run(void *worker);
/* Waits up to ms, less when stopping. */
void forward_wait(struct forward_to *t, int64_t ms);
MUST_USE bool forward_save(struct forward_to *t, struct err *e);
/* Sends one shard; worker's thread. false: stopped before its end. */
bool forward_shard_send(struct forward_worker *w, const struct forward_item *items, size_t n);
/* The Authorization header of a configuration into out; password files are read. */
MUST_USE bool forward_auth(const struct forward_config *c, const struct os *os, char *out,
                           size_t cap, struct err *e);

#endif
