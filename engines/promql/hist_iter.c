/* The buckets of a native histogram in order, and its text.
 *
 * Order from the most negative to the most positive: the negative side from its end, the zero
 * bucket, the positive side from its beginning; or the mirror of it. Where a bucket overlaps the
 * zero bucket its inner bound is the zero bucket's. */
#include "engines/promql/functions_int.h"
#include "engines/promql/hist_side_int.h"

enum phase { PHASE_INWARD, PHASE_ZERO, PHASE_OUTWARD, PHASE_END };

static const struct nhist_side *side_of(const struct hist_iter *it, bool *positive)
{
    *positive = (it->phase == PHASE_INWARD) == it->reverse;
    return *positive ? &it->h->pos : &it->h->neg;
}

/* Whether spans and counts agree and the indexes (*end: behind the last) have a meaning; a side
 * where they do not is passed over in both directions. */
static bool sound_side(const struct nhist_side *side, int64_t *end)
{
    uint64_t total = 0;
    bool sound = side->spans_n > 0;
    *end = 0;
    for (uint32_t i = 0; i < side->spans_n; i++) {
        sound = sound && (i == 0 || side->spans[i].offset >= 0);
        *end += (int64_t)side->spans[i].offset + side->spans[i].length;
        total += side->spans[i].length;
        sound = sound && *end <= HIST_IDX_MAX && *end >= -HIST_IDX_MAX;
    }
    return sound && total == side->counts_n;
}

/* To the end of the side that is walked toward zero. */
static void start_inward(struct hist_iter *it)
{
    bool positive = false;
    const struct nhist_side *side = side_of(it, &positive);
    int64_t end;
    if (!sound_side(side, &end)) {
        it->phase = PHASE_ZERO;
        return;
    }
    it->span = (int32_t)side->spans_n - 1;
    it->in_span = (int32_t)side->spans[it->span].length;
    it->idx = (int32_t)end;
    it->bucket = (int32_t)side->counts_n;
}

static void init(struct hist_iter *it, const struct nhist *h, bool reverse, bool raw)
{
    *it = (struct hist_iter){.h = h, .phase = PHASE_INWARD, .reverse = reverse, .raw = raw};
    start_inward(it);
}

void hist_iter_init(struct hist_iter *it, const struct nhist *h)
{
    init(it, h, false, false);
}

void hist_iter_init_reverse(struct hist_iter *it, const struct nhist *h)
{
    init(it, h, true, false);
}

static bool next_inward(struct hist_iter *it, const struct nhist_side *side, double *count)
{
    while (it->in_span == 0 && it->span > 0) {
        it->idx -= side->spans[it->span].offset;
        it->span--;
        it->in_span = (int32_t)side->spans[it->span].length;
    }
    if (it->in_span == 0) {
        return false;
    }
    it->in_span--;
    it->idx--;
    it->bucket--;
    *count = side->counts[it->bucket];
    return true;
}

static bool next_outward(struct hist_iter *it, const struct nhist_side *side, int32_t *idx,
                         double *count)
{
    struct hist_walk w = {.side = side,
                          .span = (uint32_t)it->span,
                          .in_span = (uint32_t)it->in_span,
                          .bucket = (uint32_t)it->bucket,
                          .idx = it->idx};
    const bool more = hist_walk_next(&w, idx, count);
    it->span = (int32_t)w.span;
    it->in_span = (int32_t)w.in_span;
    it->bucket = (int32_t)w.bucket;
    it->idx = more ? (int32_t)w.idx : 0;
    return more;
}

static void fill(const struct hist_iter *it, bool positive, int32_t idx, double count,
                 struct hist_bucket *out)
{
    const struct nhist *h = it->h;
    const double near = hist_upper(h, idx - 1);
    const double far = hist_upper(h, idx);
    *out = (struct hist_bucket){
        .lower = positive ? near : -far, .upper = positive ? far : -near, .count = count};
    if (hist_custom(h)) {
        out->lower_inclusive = idx == 0;
        out->upper_inclusive = true;
    } else {
        out->lower_inclusive = out->lower < 0;
        out->upper_inclusive = out->upper > 0;
    }
    if (it->raw) {
        return;
    }
    if (out->lower > 0 && out->lower < h->zero_threshold) {
        out->lower = h->zero_threshold;
    } else if (out->upper < 0 && out->upper > -h->zero_threshold) {
        out->upper = -h->zero_threshold;
    }
}

static void start_outward(struct hist_iter *it)
{
    bool positive = false;
    int64_t end;
    it->phase = PHASE_OUTWARD;
    const struct nhist_side *side = side_of(it, &positive);
    if (!sound_side(side, &end)) {
        it->phase = PHASE_END;
        return;
    }
    it->idx = side->spans[0].offset;
    it->span = it->in_span = it->bucket = 0;
}

bool hist_iter_next(struct hist_iter *it, struct hist_bucket *out)
{
    double count = 0;
    bool positive = false;
    if (it->phase == PHASE_INWARD) {
        const struct nhist_side *side = side_of(it, &positive);
        if (next_inward(it, side, &count)) {
            fill(it, positive, it->idx, count, out);
            return true;
        }
        it->phase = PHASE_ZERO;
    }
    if (it->phase == PHASE_ZERO) {
        const double zero = it->h->zero_count;
        const double width = it->h->zero_threshold;
        start_outward(it);
        if (zero > 0 || (it->raw && zero != 0)) {
            *out = (struct hist_bucket){-width, width, zero, true, true};
            return true;
        }
    }
    if (it->phase == PHASE_OUTWARD) {
        const struct nhist_side *side = side_of(it, &positive);
        int32_t idx = 0;
        if (next_outward(it, side, &idx, &count)) {
            fill(it, positive, idx, count, out);
            return true;
        }
        it->phase = PHASE_END;
    }
    return false;
}

void hist_print(const struct nhist *h, struct buf *out)
{
    buf_fmt(out, "{count:%s, sum:%s", g_text(h->count).text, g_text(h->sum).text);
    struct hist_iter it;
    init(&it, h, false, true);
    struct hist_bucket b;
    while (hist_iter_next(&it, &b)) {
        if (b.count != 0) {
            buf_fmt(out, ", %c%s,%s%c:%s", b.lower_inclusive ? '[' : '(', g_text(b.lower).text,
                    g_text(b.upper).text, b.upper_inclusive ? ']' : ')', g_text(b.count).text);
        }
    }
    buf_char(out, '}');
}
