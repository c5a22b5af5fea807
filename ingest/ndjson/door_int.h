/* The door's structs, shared by door.c (HTTP, batches) and door_stats.c (counters to metrics). */
#ifndef INGEST_NDJSON_DOOR_INT_H
#define INGEST_NDJSON_DOOR_INT_H

#include "ingest/ndjson/ndjson.h"

#include <pthread.h>
#include <stdatomic.h>

/* How requests ended. */
#define NDJSON_RESULT_LIST(X)                                             \
    X(STORED, "stored")       /* at least one line, durable */            \
    X(REFUSED, "refused")     /* no line was good */                      \
    X(BUSY, "busy")           /* told to come back */                     \
    X(BROKEN, "broken")       /* damaged compression, unknown encoding */ \
    X(TOO_LARGE, "too_large") /* over a bound */                          \
    X(FAILED, "failed")       /* the store or memory said no */           \
    X(ABANDONED, "abandoned") /* the sender went away */

enum ndjson_result {
#define X(name, text) NDJSON_RESULT_##name,
    NDJSON_RESULT_LIST(X)
#undef X
        NDJSON_RESULTS
};

struct ndjson_request;

/* Process lifetime. */
struct ndjson {
    const struct ndjson_config *config; /* borrows, as the three below */
    struct river *river;
    struct mem *mem; /* lock: mu */
    struct log *log;
    pthread_mutex_t mu;
    struct ndjson_request *free_list; /* lock: mu */
    uint32_t made, in_use;            /* lock: mu; in_use <= made <= requests_max */
    atomic_uint_fast64_t receiving_bytes;
    /* Counters; thread: any. Lines of a request count when it was answered for good: a sender that
     * was told to come back sends them again. */
    atomic_uint_fast64_t accepted[RECORD_KINDS], rejected[RECORD_KINDS];
    atomic_uint_fast64_t reasons[NDJSON_REASONS], drops[NDJSON_DROPS];
    atomic_uint_fast64_t results[NDJSON_RESULTS];
    atomic_uint_fast64_t body_bytes, unpacked_bytes;
};

void ndjson_count_lines(struct ndjson *n, const struct ndjson_counts *c);
void ndjson_count_result(struct ndjson *n, enum ndjson_result r);

#endif
