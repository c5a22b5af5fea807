/* Messages of Prometheus' protobuf (prompb) that more than one door and sender need: native
 * histograms of remote write 1.0 and 2.0 and of remote read, which share their field numbers.
 * Source: prompb/types.proto and io.prometheus.write.v2 of Prometheus. */
#ifndef CODEC_PROMPB_H
#define CODEC_PROMPB_H

#include "codec/nhist.h"
#include "codec/pb.h"

/* Reads a Histogram message; memory from the arena. Counts given as deltas become absolute.
 * ERR_INPUT when malformed or when nhist_validate refuses it. st_ms 0: not given. */
MUST_USE bool prompb_histogram_read(struct str bytes, struct arena *a, struct nhist **out,
                                    int64_t *t_ms, int64_t *st_ms, struct err *e);
/* Writes it as field `number`; st_ms 0 is left out. */
void prompb_histogram_write(struct buf *b, uint32_t number, const struct nhist *h, int64_t t_ms,
                            int64_t st_ms);

#endif
