/* Chunks of Prometheus: up to some hundred samples of one series as its blocks, its write-ahead log
 * and its remote read hold them. Floats, and native histograms of integers or of floats, each in a
 * chunk of its own kind. The formats are drawn in xor_chunk.c; encoding here and decoding there
 * gives every bit of every double again. */
#ifndef CODEC_XOR_CHUNK_H
#define CODEC_XOR_CHUNK_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/nhist.h"

/* The numbers are those of the files and of prompb's Chunk.Encoding. */
enum xor_chunk_encoding { XOR_CHUNK_FLOATS = 1, XOR_CHUNK_HISTS = 2, XOR_CHUNK_FLOAT_HISTS = 3 };

/* -- Reading. -- */

/* h NULL: a float. A histogram is borrowed for the call. */
struct xor_chunk_sample {
    int64_t t_ms;
    double v;
    const struct nhist *h;
};
typedef bool (*xor_chunk_each)(void *ctx, const struct xor_chunk_sample *s, struct err *e);

/* Calls each for every sample, in order; each may fail. hists: memory of one chunk. ERR_CORRUPT for
 * bytes that are no chunk of that encoding, ERR_INPUT for an encoding that is not known here,
 * ERR_NOMEM at the arena's cap. */
MUST_USE bool xor_chunk_decode(unsigned encoding, struct str data, struct arena *hists,
                               xor_chunk_each each, void *ctx, struct err *e);

/* -- Writing. -- */

#define XOR_CHUNK_SAMPLES_MAX 120 /* of a chunk written here, as Prometheus' own */

/* Samples of one series: times ascend strictly; h NULL, or NULL where a sample is a float. */
struct xor_chunk_column {
    const int64_t *t_ms;
    const double *v;
    struct nhist *const *h;
    uint32_t n;
};
struct xor_chunk {
    enum xor_chunk_encoding encoding;
    uint32_t samples_count; /* how many of the column it took, 1..XOR_CHUNK_SAMPLES_MAX */
};

/* Appends one chunk that begins with sample `at` < c->n. It ends where the kind of sample or the
 * layout of histograms changes, and before a counter reset: readers take it that none happens
 * inside. Integer histograms whose counts are not whole numbers in 0..2^63 are written as floats.
 * a: scratch, of this call. ERR_LIMIT when out or a is full. Linear in samples and buckets. */
MUST_USE bool xor_chunk_encode(const struct xor_chunk_column *c, uint32_t at, struct arena *a,
                               struct buf *out, struct xor_chunk *chunk, struct err *e);

#endif
