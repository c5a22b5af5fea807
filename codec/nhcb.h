/* A classic histogram as a native one with custom bounds (schema -53, "NHCB"): the bucket counters
 * of one series and one time are collected, then turned into one value.
 *
 *     nhcb_bucket(&h, 0.1, 3); nhcb_bucket(&h, HUGE_VAL, 5); nhcb_sum(&h, 0.7); nhcb_count(&h, 5);
 *     ok = nhcb_convert(&h, &arena, &hist, &e);
 *     nhcb_reset(&h);
 *
 * The rules are those of Prometheus 3:
 *
 *   - buckets may come in any order; the second one with the same bound is ignored;
 *   - refused: a bound that is NaN, a count that is negative, a count that falls from a bound to a
 *     higher one, a count of the whole that is not the one of +Inf;
 *   - without +Inf the count of the whole stands for it, without a count the highest bucket does,
 *     without a sum it is 0;
 *   - whole counts become an integer histogram, anything else one of floats; empty buckets at the
 *     ends are left out, between others when more than two (floats: any) are empty in a row.
 *
 * A refusal sticks: what comes after it is not looked at until nhcb_reset. thread: one. */
#ifndef CODEC_NHCB_H
#define CODEC_NHCB_H

#include "base/err.h"
#include "base/mem.h"
#include "codec/nhist.h"

/* More than real instruments have, and few enough that sorting in one by one stays cheap; more are
 * refused with ERR_LIMIT. */
#define NHCB_BUCKETS_MAX 4096

struct nhcb_bucket {
    double le, count; /* cumulative */
};

struct nhcb {
    struct mem *mem; /* borrows */
    struct nhcb_bucket *v;
    size_t n, cap;
    double count, sum;
    bool has_count, refused;
    struct err why; /* when refused */
};

void nhcb_init(struct nhcb *h, struct mem *m);
void nhcb_release(struct nhcb *h);
/* Empty again; keeps its memory. */
void nhcb_reset(struct nhcb *h);

/* A bucket of observations up to le, all smaller ones included. Constant in order, else linear. */
void nhcb_bucket(struct nhcb *h, double le, double count);
void nhcb_count(struct nhcb *h, double count);
void nhcb_sum(struct nhcb *h, double sum);

/* What was collected as a valid histogram in the arena. ERR_INPUT: why it is none; ERR_LIMIT: too
 * many buckets, or no room. Linear. */
MUST_USE bool nhcb_convert(const struct nhcb *h, struct arena *a, struct nhist **out,
                           struct err *e);

#endif
