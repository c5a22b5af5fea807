/* The pillars' series, and Farol's own, into the store: one sample a second of everything that
 * /metrics shows. Labels job="farol" and instance="..." are added, as a scrape would; le is written
 * as Prometheus writes it ("0.5", "10.0"). A series that disappears gets a stale marker.
 *
 * thread: the ticker's. */
#ifndef SERVER_SAMPLES_INT_H
#define SERVER_SAMPLES_INT_H

#include "codec/expo.h"
#include "engines/tsdb/tsdb.h"

struct server_samples {
    struct tsdb *db;
    struct tsdb_names *names;
    struct tsdb_batch *batch;
    struct mem mem;
    struct arena arena;
    struct buf key;
    char instance[96];
    uint32_t source;
    int64_t second;          /* of the last samples; INT64_MIN before the first */
    uint32_t *seen, *before; /* series of this second and of the one before, sorted */
    size_t seen_cap, before_cap;
    uint32_t seen_n, before_n;
    uint64_t samples, dropped; /* dropped: a bound was reached, or the queue was full */
};

MUST_USE bool server_samples_init(struct server_samples *s, struct tsdb *db, struct str instance,
                                  struct err *e);
void server_samples_release(struct server_samples *s);
/* Writes x if its second is a new one. Failing is counted in dropped, and tried again a second
 * later. */
void server_samples_write(struct server_samples *s, const struct expo *x);

#endif
