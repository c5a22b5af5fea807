/* Remote read as a stream of chunks. */
#ifndef SERVER_API_PROM_CHUNKED_INT_H
#define SERVER_API_PROM_CHUNKED_INT_H

#include "base/buf.h"
#include "codec/labels.h"
#include "engines/tsdb/tsdb.h"

#define CHUNKED_TYPE "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
/* As Prometheus cuts them: a frame ends with the chunk that brings it to this. */
#define CHUNKED_FRAME_BYTES (1U << 20)

/* Memory for one frame at a time. */
struct chunked {
    struct buf frame;
    struct arena scratch;
};
void chunked_init(struct chunked *c, struct mem *m, size_t frame_bytes_max);
void chunked_release(struct chunked *c);
/* Appends the frames of one series: col->n > 0. query: index of its query. ERR_LIMIT when out or
 * the frame is full. */
MUST_USE bool chunked_series(struct chunked *c, uint64_t query, struct labels l,
                             const struct tsdb_column *col, struct buf *out, struct err *e);

#endif
