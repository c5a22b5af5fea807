/* What the doors of samples over HTTP share: the states of requests, kept with their memory in a
 * free list; what the store did with them, counted; errors as answers.
 *
 *     struct state {                 the protocol's own, beginning with
 *         struct door_request rq;
 *         ...
 *     };
 *
 *     begin  door_take      NULL: tell the sender to come back (door_busy)
 *     data   bytes into rq.bytes, unpacked
 *     end    decode into rq.batch, tsdb_commit --> (committer) door_count, answer, door_give
 *     abort  door_abort
 *
 * At most requests_max states are made; each is bounded by mem_bytes_max.
 *
 * thread: init and release the owner's; the others any; a request belongs to one at a time. */
#ifndef INGEST_DOOR_DOOR_H
#define INGEST_DOOR_DOOR_H

#include "base/buf.h"
#include "codec/expo.h"
#include "engines/tsdb/tsdb.h"
#include "net/http_server.h"

#include <pthread.h>
#include <stdatomic.h>

struct door;

/* One request; the first member of a protocol's state. lifetime: engine, in the free list. */
struct door_request {
    struct door *door;
    struct door_request *next;
    struct http_request *http; /* valid from end to the answer */
    struct mem mem;            /* of everything below and of the protocol's own members */
    struct buf bytes;          /* of the request, unpacked */
    struct arena arena;        /* of the request */
    struct tsdb_batch *batch;
};

/* What a protocol adds to a request: init once (the rest of the state is zero), reset after each
 * answer, release at the end. */
struct door_protocol {
    size_t state_bytes; /* sizeof the struct that begins with a struct door_request */
    void (*init)(struct door_request *rq);
    void (*reset)(struct door_request *rq);
    void (*release)(struct door_request *rq);
};

struct door_options {
    const struct door_protocol *protocol; /* borrows */
    struct tsdb *db;                      /* borrows */
    struct mem *mem;                      /* borrows; of the states themselves. lock: mu */
    struct str source;                    /* name of the protocol in the store */
    int64_t series_max;                   /* 0 = the store's bound */
    int64_t requests_max;
    size_t bytes_max, mem_bytes_max, arena_bytes_max, batch_bytes_max; /* of one request */
};

struct door {
    struct door_options o;
    uint32_t source;
    pthread_mutex_t mu;
    struct door_request *free_list; /* lock: mu */
    int64_t made, in_use;           /* lock: mu */
    atomic_uint_fast64_t samples, histograms, exemplars, body_bytes, refused[TSDB_REFUSALS];
};

void door_init(struct door *d, const struct door_options *o);
/* No request may be in use. */
void door_release(struct door *d);

/* From the free list, or new; NULL: too many, or no memory. */
struct door_request *door_take(struct door *d);
/* Empties the request, gives large buffers back to the system, and puts it into the free list. */
void door_give(struct door_request *rq);
/* Empties a buffer; a large one is given back. */
void door_trim(struct buf *b);
/* For struct http_route: state is what door_take returned, or NULL. */
void door_abort(void *app, void *state);

/* ERR_BUSY for a sender that got no state; returns false. */
bool door_busy(struct err *e);
/* 413 for ERR_LIMIT, 400 for ERR_INPUT, 503 for the rest: nothing was stored, send it again. */
int door_status(const struct err *e);
/* What http_respond is given as headers: Retry-After with 503, else NULL. */
const char *const *door_headers(int status);

/* Adds what the store did to the door's counters. */
void door_count(struct door *d, const struct tsdb_result *r);
/* Samples that the store refused. Exemplars are not among them: they are a sample of samples. */
uint64_t door_refused(const struct tsdb_result *r);
/* Why, as a label ("too_old") and for a person ("sample is older than retention"). */
const char *door_refusal_name(enum tsdb_refusal why);
const char *door_refusal_text(enum tsdb_refusal why);

/* A family of counters, one sample for each text as the value of label. */
void door_publish_by(struct expo *x, const char *name, const char *help, const char *label,
                     const char *const *texts, atomic_uint_fast64_t *v, int n);
/* d->refused, by reason. */
void door_publish_refused(struct door *d, struct expo *x, const char *name, const char *help);

#endif
