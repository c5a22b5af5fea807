/* Answers packed for whoever asks (Accept-Encoding: gzip, as Prometheus does for every scrape). */
#ifndef CODEC_GZIP_H
#define CODEC_GZIP_H

#include "base/buf.h"
#include "base/str.h"

/* Whether the value of an Accept-Encoding header allows gzip: "gzip", "x-gzip" or "*", unless with
 * q=0. {NULL, 0}: no. */
bool gzip_wanted(struct str accept_encoding);
/* Appends body as one gzip member, at the cheapest level: on the lines of /metrics it costs about a
 * tenth of the time of the best level and gives nearly as much. false: out is full or memory is
 * short, and out holds nothing to use. thread: any. */
MUST_USE bool gzip_pack(struct str body, struct buf *out);

#endif
