/* A native histogram of a lower resolution: see nhist_reduce in nhist.h.
 *
 *     schema 1   ... (1.41..2] 3   (2..2.83] 4   (2.83..4] 5      index 2, 3, 4
 *     schema 0   ... (1..2]    3   (2..4]    9                    index 1, 2
 *
 * A schema less by one joins pairs of neighbours, so the bucket of index i is in the one of
 * ceil(i / 2). Neighbours stay neighbours: what is written never overtakes what is read, and it is
 * done in place. Source: the specification of native histograms, "Schema". */
#include "codec/nhist.h"

static int64_t coarser(int64_t idx, int32_t down)
{
    return ((idx - 1) >> down) + 1;
}

static bool reduce_side(struct nhist_side *s, int32_t down, struct err *e)
{
    int64_t idx = 0;  /* of the bucket that is read */
    int64_t last = 0; /* of the bucket that was written */
    uint32_t read = 0;
    uint32_t spans = 0;
    uint32_t counts = 0;
    for (uint32_t i = 0; i < s->spans_n; i++) {
        struct nhist_span from = s->spans[i];
        if ((i > 0 && from.offset < 0) || from.length > s->counts_n - read) {
            return err_set(e, ERR_INPUT, "span number %u has no place or no counts", i + 1);
        }
        idx += from.offset;
        for (uint32_t k = 0; k < from.length; k++) {
            double count = s->counts[read++];
            int64_t to = coarser(idx++, down);
            if (counts > 0 && to == last) {
                s->counts[counts - 1] += count;
                continue;
            }
            int64_t gap = counts > 0 ? to - last - 1 : to;
            if (gap > INT32_MAX) {
                return err_set(e, ERR_INPUT, "span number %u begins too far away", i + 1);
            }
            if (counts == 0 || gap > 0) {
                s->spans[spans++] = (struct nhist_span){(int32_t)gap, 0};
            }
            s->spans[spans - 1].length++;
            s->counts[counts++] = count;
            last = to;
        }
    }
    ASSERT(spans <= s->spans_n);
    s->spans_n = spans;
    s->counts_n = counts;
    return true;
}

bool nhist_reduce(struct nhist *h, int32_t schema, struct err *e)
{
    if (h->schema > NHIST_SCHEMA_READ_MAX || schema >= h->schema || schema < NHIST_SCHEMA_MIN) {
        return err_set(e, ERR_INPUT, "schema %d cannot become schema %d", h->schema, schema);
    }
    int32_t down = h->schema - schema;
    if (!reduce_side(&h->pos, down, e) || !reduce_side(&h->neg, down, e)) {
        return false;
    }
    h->schema = schema;
    return true;
}
