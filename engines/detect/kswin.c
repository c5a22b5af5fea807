/* kswin: the newest `stat` events against as many drawn from the older part of a sliding window,
 * by the two-sample Kolmogorov-Smirnov test at every event.
 *
 * Why: the published detector for changes of shape.
 *
 * Both samples have n = stat events, so the exact p-value depends on the largest difference of
 * their counts k alone (no ties: the reflection formula),
 *
 *     P(D >= k/n) = 2 sum_{j>=1} (-1)^(j-1) C(2n, n - jk) / C(2n, n),
 *
 * and the test is one comparison with the least k whose p-value is at most alpha. Ties (bits,
 * cells) make it conservative. After an alarm the newest `stat` events stay, as published. A test
 * per event of overlapping windows repeats itself: its false alarm rate is not alpha.
 *
 * Saved: generator, 32 bytes; events in the window, 4 bytes; the window, oldest first.
 * Sources: Raab, Heusinger, Schleif, Neurocomputing 2020, section 3; Gnedenko, Korolyuk 1951 for
 * the p-value; Floyd, CACM 30(9), 1987 for the draw without replacement. */
#include "engines/detect/detect_int.h"

#include "base/rng.h"

#include <math.h>

struct kswin {
    struct detect base;
    struct rng rng;
    uint32_t k_alarm; /* counts; above stat: no difference can be an alarm */
    uint32_t count;   /* events in the window */
    uint32_t head;    /* place of the oldest */
    double *window;   /* ring; these four lie behind the struct */
    double *newest;   /* sorted */
    double *drawn;    /* sorted */
    uint64_t *taken;  /* bits, for the draw; all 0 between updates */
};

static uint32_t words(const struct detect_config *c)
{
    return (c->u.kswin.window + 63) / 64;
}

static size_t kswin_bytes(const struct detect_config *c)
{
    return sizeof(struct kswin) +
           sizeof(double) * (c->u.kswin.window + 2 * (size_t)c->u.kswin.stat + words(c));
}

/* P(D >= k/n) under no change. */
static double p_value(uint32_t n, uint32_t k)
{
    double sum = 0;
    double ratio = 1; /* C(2n, n - i) / C(2n, n) */
    uint32_t i = 0;
    for (uint32_t j = 1; (uint64_t)j * k <= n; j++) {
        for (; i < j * k; i++) {
            ratio *= (double)(n - i) / (double)(n + i + 1);
        }
        sum += j % 2 == 1 ? ratio : -ratio;
    }
    return 2 * sum;
}

static void kswin_prepare(struct detect *d)
{
    struct kswin *s = (struct kswin *)d;
    uint32_t n = d->cfg.u.kswin.stat;
    s->window = (double *)(s + 1);
    s->newest = s->window + d->cfg.u.kswin.window;
    s->drawn = s->newest + n;
    s->taken = (uint64_t *)(s->drawn + n);
    uint32_t k = 1;
    while (k <= n &&
           (p_value(n, k) > d->cfg.u.kswin.alpha || (double)k / n <= d->cfg.u.kswin.min_distance)) {
        k++;
    }
    s->k_alarm = k;
}

/* The event that is the i-th oldest. */
static double at(const struct kswin *s, uint32_t i)
{
    uint32_t place = s->head + i;
    uint32_t window = s->base.cfg.u.kswin.window;
    return s->window[place < window ? place : place - window];
}

static void sorted_add(double *a, uint32_t n, double x)
{
    uint32_t i = n;
    for (; i > 0 && a[i - 1] > x; i--) {
        a[i] = a[i - 1];
    }
    a[i] = x;
}

static void sorted_remove(double *a, uint32_t n, double x)
{
    uint32_t i = 0;
    while (i < n && a[i] != x) {
        i++;
    }
    ASSERT(i < n);
    memmove(a + i, a + i + 1, (n - i - 1) * sizeof *a);
}

/* The newest events, sorted: made anew, when events leave other than one by one. */
static void newest_make(struct kswin *s)
{
    uint32_t stat = s->base.cfg.u.kswin.stat;
    uint32_t n = s->count < stat ? s->count : stat;
    for (uint32_t i = 0; i < n; i++) {
        sorted_add(s->newest, i, at(s, s->count - n + i));
    }
}

static void kswin_clear(struct detect *d, bool after_alarm)
{
    struct kswin *s = (struct kswin *)d;
    if (after_alarm) {
        uint32_t gone = s->count - d->cfg.u.kswin.stat;
        s->head = (s->head + gone) % d->cfg.u.kswin.window;
        s->count = d->cfg.u.kswin.stat;
        return; /* the newest are still the newest */
    }
    rng_init(&s->rng, d->cfg.u.kswin.seed);
    s->count = 0;
    s->head = 0;
}

static void push(struct kswin *s, double x)
{
    uint32_t window = s->base.cfg.u.kswin.window;
    uint32_t stat = s->base.cfg.u.kswin.stat;
    uint32_t n = s->count < stat ? s->count : stat;
    if (n == stat) {
        sorted_remove(s->newest, n, at(s, s->count - stat));
        n--;
    }
    sorted_add(s->newest, n, x);
    if (s->count == window) {
        s->window[s->head] = x;
        s->head = s->head + 1 == window ? 0 : s->head + 1;
        return;
    }
    uint32_t place = s->head + s->count;
    s->window[place < window ? place : place - window] = x;
    s->count++;
}

static void draw(struct kswin *s, uint32_t older)
{
    uint32_t stat = s->base.cfg.u.kswin.stat;
    uint32_t n = 0;
    for (uint32_t j = older - stat; j < older; j++) {
        uint32_t i = (uint32_t)rng_below(&s->rng, (uint64_t)j + 1);
        if ((s->taken[i / 64] >> (i % 64) & 1) != 0) {
            i = j;
        }
        s->taken[i / 64] |= (uint64_t)1 << (i % 64);
        sorted_add(s->drawn, n++, at(s, i));
    }
    memset(s->taken, 0, words(&s->base.cfg) * sizeof s->taken[0]);
}

/* The largest difference between how many of a and of b are at most v, over all v. */
static uint32_t distance(const double *a, const double *b, uint32_t n)
{
    uint32_t i = 0;
    uint32_t j = 0;
    uint32_t most = 0;
    while (i < n && j < n) {
        double v = a[i] < b[j] ? a[i] : b[j];
        while (i < n && a[i] == v) {
            i++;
        }
        while (j < n && b[j] == v) {
            j++;
        }
        uint32_t off = i > j ? i - j : j - i;
        most = off > most ? off : most;
    }
    return most;
}

static enum detect_verdict kswin_update(struct detect *d, double x)
{
    struct kswin *s = (struct kswin *)d;
    push(s, x);
    if (s->count < d->cfg.u.kswin.window) {
        return DETECT_CALM;
    }
    draw(s, d->cfg.u.kswin.window - d->cfg.u.kswin.stat);
    if (distance(s->drawn, s->newest, d->cfg.u.kswin.stat) < s->k_alarm) {
        return DETECT_CALM;
    }
    d->onset = d->events - d->cfg.u.kswin.stat + 1;
    return DETECT_ALARM;
}

static void kswin_save(const struct detect *d, struct buf *out)
{
    const struct kswin *s = (const struct kswin *)d;
    for (int i = 0; i < 4; i++) {
        buf_u64le(out, s->rng.s[i]);
    }
    buf_u32le(out, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        buf_f64le(out, at(s, i));
    }
}

static bool kswin_load(struct detect *d, struct rd *r)
{
    struct kswin *s = (struct kswin *)d;
    uint64_t any = 0;
    for (int i = 0; i < 4; i++) {
        s->rng.s[i] = rd_u64le(r);
        any |= s->rng.s[i];
    }
    s->count = rd_u32le(r);
    s->head = 0;
    if (any == 0 || s->count > d->cfg.u.kswin.window || s->count > d->events ||
        (d->ended && s->count < d->cfg.u.kswin.window) ||
        !detect_read_f64(r, s->window, s->count, -1e100, 1e100)) {
        return false;
    }
    newest_make(s);
    return true;
}

const struct detect_ops detect_ops_kswin = {.bytes = kswin_bytes,
                                            .prepare = kswin_prepare,
                                            .takes = detect_takes_any,
                                            .clear = kswin_clear,
                                            .update = kswin_update,
                                            .save = kswin_save,
                                            .load = kswin_load};
