/* From the bytes of one request to a batch. Pure but for the store's series and names. */
#ifndef INGEST_REMOTE_WRITE_DECODE_INT_H
#define INGEST_REMOTE_WRITE_DECODE_INT_H

#include "engines/tsdb/tsdb.h"

/* Why a whole series of a request was not stored. */
enum decode_drop {
    DROP_LABELS,    /* unsorted is fine; names twice, bad UTF-8, no name, above bounds are not */
    DROP_LIMIT,     /* a bound on series */
    DROP_HISTOGRAM, /* one histogram is not valid (that sample only) */
    DROP_EXEMPLAR,  /* one exemplar's labels are not valid, or the store has no room for it */
};
#define DECODE_DROPS 4

/* Where one series of the request stands. */
struct decode_item {
    struct str block; /* its label entries, raw */
    struct str rest;  /* everything after them */
    uint64_t hash;
};

struct decoder {
    struct tsdb *db;
    struct tsdb_names *names;
    uint32_t source;
    struct tsdb_batch *batch;
    struct mem *mem;     /* of what grows below */
    struct arena *arena; /* of the request */
    struct decode_item *items;
    size_t items_cap;
    uint32_t items_n;
    struct str *symbols; /* 2.0 */
    size_t symbols_cap;
    uint32_t symbols_n;
    struct label labels[LABELS_COUNT_MAX];
    uint64_t dropped[DECODE_DROPS];
    struct err first; /* of the first thing dropped */
};

/* Fills d->batch. false: nothing of the request can be used (ERR_INPUT: malformed; ERR_LIMIT: too
 * large). Linear in bytes. */
MUST_USE bool decode_v1(struct decoder *d, struct str bytes, struct err *e);
MUST_USE bool decode_v2(struct decoder *d, struct str bytes, struct err *e);

/* For both versions. */
MUST_USE bool decode_items_add(struct decoder *d, struct decode_item item, struct err *e);
/* Calls each for every item with its series; hashes and prefetches ahead so that the misses
 * overlap. Series that cannot be had are counted in dropped. */
MUST_USE bool decode_items_walk(struct decoder *d,
                                bool (*each)(struct decoder *d, uint32_t ref,
                                             const struct decode_item *item, struct err *e),
                                struct err *e);
/* 1 double value, 2 int64 ms and, of 2.0, 3 int64 start ms; st_ms NULL: read over. false:
 * malformed. */
MUST_USE bool decode_sample_read(struct str bytes, double *v, int64_t *t_ms, int64_t *st_ms);
/* 2 double value, 3 int64 ms; labels reads field 1 of the same message into d->labels (ERR_CORRUPT:
 * malformed). Labels that are no good are counted in dropped and true is returned. */
MUST_USE bool decode_exemplar_read(struct decoder *d, uint32_t ref, struct str bytes,
                                   bool (*labels)(struct decoder *d, struct str message,
                                                  uint32_t *n, struct err *e),
                                   struct err *e);
/* A histogram that is not valid is counted in dropped; it is ERR_INPUT when all of the request must
 * be good, and left out otherwise. */
MUST_USE bool decode_nhist_add(struct decoder *d, uint32_t ref, struct str bytes, bool all,
                               struct err *e);
void decode_drop(struct decoder *d, enum decode_drop why, const struct err *e);

#endif
