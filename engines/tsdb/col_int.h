/* Columns: n values of one series (or n times shared by many) as bytes, lossless, bit for bit.
 *
 * A column's first byte names its codec; the encoder looks once at the values and takes what will
 * be smallest. The caller stores n and the length. All decoders bound every read and return
 * ERR_CORRUPT; speed comes from fixed-size frames of bit-packed integers. Pictures: col_*.c. */
#ifndef ENGINES_TSDB_COL_INT_H
#define ENGINES_TSDB_COL_INT_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/nhist.h"

#define COL_VALUES_MAX 65536 /* values of one column */
#define COL_SLACK      64    /* extra elements that output arrays must have room for */

/* Memory for one encoder or decoder, reused from column to column. thread: one. */
struct col_scratch;
struct col_scratch *col_scratch_new(struct mem *m);
void col_scratch_free(struct col_scratch *s);
/* For encoding: columns that decode twice as fast and are about 4 % larger (no entropy coding). */
void col_scratch_quick(struct col_scratch *s, bool quick);

/* Times ascend strictly. */
MUST_USE bool col_times_encode(struct col_scratch *s, const int64_t *t, uint32_t n, struct buf *out,
                               struct err *e);
MUST_USE bool col_times_decode(struct col_scratch *s, struct str bytes, uint32_t n, int64_t *t,
                               struct err *e);

/* ref: the values of the neighbouring bucket at the same times, or NULL; the encoder uses it when
 * that is smaller, and says so in the codec byte (col_values_uses_ref). Decoding such a column
 * needs the same ref. */
MUST_USE bool col_values_encode(struct col_scratch *s, const double *v, const double *ref,
                                uint32_t n, struct buf *out, struct err *e);
bool col_values_uses_ref(struct str bytes);
/* v has room for n + COL_SLACK. */
MUST_USE bool col_values_decode(struct col_scratch *s, struct str bytes, const double *ref,
                                uint32_t n, double *v, struct err *e);
/* Values [lo, hi) of the n alone, into v[0..hi - lo) with COL_SLACK; ref: the neighbour's [lo, hi).
 * Costs about hi - lo values where each stands alone, the smaller of hi and n - lo where they are
 * sums, and all n where they are entropy coded. */
MUST_USE bool col_values_decode_part(struct col_scratch *s, struct str bytes, const double *ref,
                                     uint32_t n, uint32_t lo, uint32_t hi, double *v,
                                     struct err *e);

/* Any int64 (start timestamps; 0 = none). */
MUST_USE bool col_ints_encode(struct col_scratch *s, const int64_t *v, uint32_t n, struct buf *out,
                              struct err *e);
MUST_USE bool col_ints_decode(struct col_scratch *s, struct str bytes, uint32_t n, int64_t *v,
                              struct err *e);

/* Histograms; h[i] NULL is allowed and comes back NULL (a float sample stands there). ERR_INPUT:
 * spans and counts of one do not agree. Decoded ones of a column share their spans and custom
 * bounds (read only; counts are each one's own). ERR_LIMIT: more than the arena holds. */
MUST_USE bool col_nhists_encode(struct col_scratch *s, const struct nhist *const *h, uint32_t n,
                                struct buf *out, struct err *e);
MUST_USE bool col_nhists_decode(struct col_scratch *s, struct str bytes, uint32_t n,
                                struct arena *a, struct nhist **h, struct err *e);

#endif
