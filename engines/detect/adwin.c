/* adwin: a window that grows while its mean is one mean, and drops its past when it is not.
 *
 * Why: the best known detector that needs neither a reference nor the size of the change.
 *
 * The window is kept as an exponential histogram: row r holds buckets of 2^r events, each as the
 * sum and the squared deviation from its own mean; a row with more than `row_buckets` merges its
 * two oldest into one bucket of the next row. Every `clock` events each border between buckets is
 * tried as a cut: with n0 events before, n1 after, W = n0 + n1, v the variance of the window,
 *
 *     |mean0 - mean1| > sqrt(2 v D / m) + 2 D / (3 m),  1/m = 1/n0 + 1/n1,  D = ln(2 ln(W) / delta)
 *
 * drops the oldest bucket, and again until no cut holds (paper, section 3, equation 3.1). The sums
 * of the window are made from the buckets at each look, so dropping cannot gather rounding error.
 *
 * At 2^31 events per bucket the oldest is dropped: the window is at most about 2^34 events.
 *
 * Saved: rows, 4 bytes; for each row from the newest: buckets, 1 byte, then sum and squared
 * deviation of each, oldest first.
 * Source: Bifet, Gavalda, SDM 2007; clock, smallest half and grace are MOA's and river's. */
#include "engines/detect/detect_int.h"

#include <math.h>

#define ROWS_MAX        32
#define ROW_BUCKETS_MAX 8

struct bucket {
    double sum, m2; /* m2: sum of squared deviations from the bucket's mean */
};

struct row {
    uint32_t n;
    struct bucket b[ROW_BUCKETS_MAX + 1]; /* oldest first */
};

struct adwin {
    struct detect base;
    uint64_t width;
    uint32_t rows; /* in use */
    struct row row[ROWS_MAX];
};

static size_t adwin_bytes(const struct detect_config *c)
{
    (void)c;
    return sizeof(struct adwin);
}

static void adwin_clear(struct detect *d, bool after_alarm)
{
    struct adwin *a = (struct adwin *)d;
    if (!after_alarm) { /* the window has already dropped what was before the change */
        a->width = 0;
        a->rows = 0;
    }
}

/* Sum and squared deviation of two neighbours as one. */
static struct bucket joined(struct bucket a, double na, struct bucket b, double nb)
{
    if (na == 0) {
        return b;
    }
    double off = a.sum / na - b.sum / nb;
    return (struct bucket){a.sum + b.sum, a.m2 + b.m2 + off * off * na * nb / (na + nb)};
}

static double row_events(uint32_t r)
{
    return (double)((uint64_t)1 << r);
}

static void row_drop(struct row *row, uint32_t n)
{
    row->n -= n;
    memmove(row->b, row->b + n, row->n * sizeof row->b[0]);
}

static void drop_oldest(struct adwin *a)
{
    ASSERT(a->rows > 0);
    a->width -= (uint64_t)1 << (a->rows - 1);
    row_drop(&a->row[a->rows - 1], 1);
    while (a->rows > 0 && a->row[a->rows - 1].n == 0) {
        a->rows--;
    }
}

static void insert(struct adwin *a, double x)
{
    struct bucket b = {x, 0};
    a->width++;
    for (uint32_t r = 0;; r++) {
        if (r == a->rows) {
            a->row[r].n = 0;
            a->rows++;
        }
        struct row *row = &a->row[r];
        row->b[row->n++] = b;
        if (row->n <= a->base.cfg.u.adwin.row_buckets) {
            return;
        }
        if (r + 1 == ROWS_MAX) {
            drop_oldest(a);
            return;
        }
        b = joined(row->b[0], row_events(r), row->b[1], row_events(r));
        row_drop(row, 2);
    }
}

static bool has_cut(const struct adwin *a)
{
    struct bucket all = {0, 0};
    double width = 0;
    for (uint32_t r = a->rows; r-- > 0;) {
        for (uint32_t i = 0; i < a->row[r].n; i++) {
            all = joined(all, width, a->row[r].b[i], row_events(r));
            width += row_events(r);
        }
    }
    double least = a->base.cfg.u.adwin.min_window;
    double variance = all.m2 / width;
    double dd = log(2 * log(width) / a->base.cfg.u.adwin.delta);
    double n0 = 0;
    double sum0 = 0;
    for (uint32_t r = a->rows; r-- > 0;) {
        for (uint32_t i = 0; i < a->row[r].n; i++) {
            n0 += row_events(r);
            sum0 += a->row[r].b[i].sum;
            double n1 = width - n0;
            if (n0 < least || n1 < least) {
                continue;
            }
            double inverse = 1 / n0 + 1 / n1;
            double off = fabs(sum0 / n0 - (all.sum - sum0) / n1);
            if (off > sqrt(2 * inverse * variance * dd) + 2.0 / 3 * inverse * dd) {
                return true;
            }
        }
    }
    return false;
}

static enum detect_verdict adwin_update(struct detect *d, double x)
{
    struct adwin *a = (struct adwin *)d;
    insert(a, x);
    if (d->events % d->cfg.u.adwin.clock != 0 || a->width <= d->cfg.u.adwin.grace_events ||
        a->width < 2) {
        return DETECT_CALM;
    }
    bool cut = false;
    while (a->width >= 2 && has_cut(a)) {
        drop_oldest(a);
        cut = true;
    }
    if (!cut) {
        return DETECT_CALM;
    }
    d->onset = d->events - a->width + 1;
    return DETECT_ALARM;
}

static void adwin_save(const struct detect *d, struct buf *out)
{
    const struct adwin *a = (const struct adwin *)d;
    buf_u32le(out, a->rows);
    for (uint32_t r = 0; r < a->rows; r++) {
        buf_u8(out, (uint8_t)a->row[r].n);
        for (uint32_t i = 0; i < a->row[r].n; i++) {
            buf_f64le(out, a->row[r].b[i].sum);
            buf_f64le(out, a->row[r].b[i].m2);
        }
    }
}

/* Events within 1e100 (detect_takes_any) have no larger mean square, also when buckets join. */
static bool bucket_read(struct bucket *b, double n, struct rd *r)
{
    return detect_read_f64(r, &b->sum, 1, -n * 1e100, n * 1e100) &&
           detect_read_f64(r, &b->m2, 1, 0, n * 1e201) &&
           b->m2 / n + (b->sum / n) * (b->sum / n) <= 1e200 * (1 + 1e-9);
}

static bool adwin_load(struct detect *d, struct rd *r)
{
    struct adwin *a = (struct adwin *)d;
    a->rows = rd_u32le(r);
    a->width = 0;
    if (a->rows > ROWS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < a->rows; i++) {
        a->row[i].n = rd_u8(r);
        /* Merging leaves a bucket in each row, and dropping takes the last row whole. */
        if (a->row[i].n > d->cfg.u.adwin.row_buckets || a->row[i].n == 0) {
            return false;
        }
        a->width += a->row[i].n * ((uint64_t)1 << i);
        for (uint32_t k = 0; k < a->row[i].n; k++) {
            if (!bucket_read(&a->row[i].b[k], row_events(i), r)) {
                return false;
            }
        }
    }
    return a->width <= d->events && (a->width > 0) == (d->events > 0);
}

const struct detect_ops detect_ops_adwin = {.bytes = adwin_bytes,
                                            .takes = detect_takes_any,
                                            .clear = adwin_clear,
                                            .update = adwin_update,
                                            .save = adwin_save,
                                            .load = adwin_load};
