/* How long change detectors take to tell of a change when all are held to the same false alarms.
 *
 * Every peer keeps its published parameters but for its threshold, which is searched, for each law
 * before the change, as the loosest one whose mean run length without a change (ARL0) is at least
 * 50,000 events; the ARL0 printed is measured again on other streams. The sr_* detectors are not
 * calibrated: they get arl_events = 50,000 and the law before the change, which the peers learn
 * from QUIET events; those marked 100k know only 100,000 events of it. Three rows are not peers:
 * `ph, size known` is a Page-Hinkley that is told the size of the change to come; `floor` knows
 * both laws, and says how much there is to gain at all.
 *
 * All contenders see the same streams: QUIET events, then up to AFTER changed ones. A false alarm
 * (before the change) restarts its detector. Delay: events from the change to the first alarm after
 * it; a stream without one counts as AFTER in median and mean.
 *
 *     build/bench_drift [streams, default 1000] [part of a scenario's name] */
#include "engines/detect/detect.h"

#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUIET       10000
#define AFTER       20000
#define ARL_EVENTS  50000
#define SEARCH_STEP 8
#define CELLS       64
#define SEEN        100000 /* events behind an estimated reference */
#define NAME_WIDTH  16

/* A law of events: bits of rate p, or values of mean 0 (and deviation 1 before the change). */
struct law {
    enum { BITS, NORMAL, TWO_HUMPS, SKEWED, SPIKE, TAILS } form;
    double a, b; /* BITS: rate; NORMAL: mean, deviation; others: see draw() */
};

struct scenario {
    const char *name;
    struct law before, after;
};

static const struct scenario scenarios[] = {
    {"rate 0.5% -> 1%", {BITS, 0.005, 0}, {BITS, 0.01, 0}},
    {"rate 0.5% -> 2%", {BITS, 0.005, 0}, {BITS, 0.02, 0}},
    {"rate 1% -> 2%", {BITS, 0.01, 0}, {BITS, 0.02, 0}},
    {"rate 1% -> 5%", {BITS, 0.01, 0}, {BITS, 0.05, 0}},
    {"rate 2% -> 3%", {BITS, 0.02, 0}, {BITS, 0.03, 0}},
    {"rate 10% -> 15%", {BITS, 0.1, 0}, {BITS, 0.15, 0}},
    {"rate 10% -> 20%", {BITS, 0.1, 0}, {BITS, 0.2, 0}},
    {"mean +0.25 sd", {NORMAL, 0, 1}, {NORMAL, 0.25, 1}},
    {"mean +0.5 sd", {NORMAL, 0, 1}, {NORMAL, 0.5, 1}},
    {"mean +1 sd", {NORMAL, 0, 1}, {NORMAL, 1, 1}},
    {"shape: sd x2", {NORMAL, 0, 1}, {NORMAL, 0, 2}},
    {"shape: sd /2", {NORMAL, 0, 1}, {NORMAL, 0, 0.5}},
    {"shape: two humps, same sd", {NORMAL, 0, 1}, {TWO_HUMPS, 0.95, 0}},
    {"shape: skewed, same sd", {NORMAL, 0, 1}, {SKEWED, 0, 0}},
    {"shape: 32% are one value", {NORMAL, 0, 1}, {SPIKE, 0.32, 0}},
    {"shape: heavy tails", {NORMAL, 0, 1}, {TAILS, 1.5, 0}},
};

static double draw(const struct law *l, struct rng *r)
{
    switch (l->form) {
    case BITS: return rng_f64(r) < l->a;
    case NORMAL: return l->a + l->b * rng_normal(r);
    case TWO_HUMPS: /* at -a and +a, with what is left of the variance */
        return (rng_u64(r) >> 63 != 0 ? l->a : -l->a) + sqrt(1 - l->a * l->a) * rng_normal(r);
    case SKEWED: return rng_exp(r) - 1;
    case SPIKE: return rng_f64(r) < l->a ? 0 : rng_normal(r);
    case TAILS: return l->a * tan(3.14159265358979 * (rng_f64(r) - 0.5)); /* Cauchy */
    }
    return 0;
}

static double normal_below(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}

/* One way of running a detector. strict(t), t in [0, 1], is its threshold from loose to strict. */
struct contender {
    const char *name;
    enum detect_kind kind;
    enum {
        OURS,
        OURS_TOO,
        OURS_SEEN,
        PEER,
        TOLD,
        FLOOR
    } role;                /* the ratio is of OURS to the best PEER */
    enum detect_side side; /* of sr_*; the peers' are as published */
    bool bits, values;
    double strict_from, strict_to; /* ends of the search */
    bool by_factor;                /* the search is over the logarithm */
};

static const struct contender contenders[] = {
    {"sr, up", DETECT_SR_BERNOULLI, OURS, DETECT_UP, true, false, 0, 0, false},
    {"sr, both sides", DETECT_SR_BERNOULLI, OURS_TOO, DETECT_BOTH, true, false, 0, 0, false},
    {"sr, up, 100k", DETECT_SR_BERNOULLI, OURS_SEEN, DETECT_UP, true, false, 0, 0, false},
    {"sr_cells", DETECT_SR_CELLS, OURS, DETECT_BOTH, false, true, 0, 0, false},
    {"sr_cells, 100k", DETECT_SR_CELLS, OURS_SEEN, DETECT_BOTH, false, true, 0, 0, false},
    {"sr_bounded", DETECT_SR_BOUNDED, OURS_TOO, DETECT_BOTH, false, true, 0, 0, false},
    {"adwin", DETECT_ADWIN, PEER, DETECT_BOTH, true, true, 0.9, 1e-12, true},
    {"page_hinkley", DETECT_PAGE_HINKLEY, PEER, DETECT_UP, true, true, 0.5, 5000, true},
    {"ddm", DETECT_DDM, PEER, DETECT_UP, true, false, 1, 30, true},
    {"eddm", DETECT_EDDM, PEER, DETECT_UP, true, false, 0.98, 0.02, false},
    {"hddm_a", DETECT_HDDM_A, PEER, DETECT_UP, true, true, 0.9, 1e-12, true},
    {"hddm_w", DETECT_HDDM_W, PEER, DETECT_UP, true, true, 0.9, 1e-12, true},
    {"kswin", DETECT_KSWIN, PEER, DETECT_BOTH, true, true, 0.3, 1e-16, true},
    {"ph, size known", DETECT_PAGE_HINKLEY, TOLD, DETECT_UP, true, true, 0.1, 5000, true},
    {"floor", DETECT_SR_BERNOULLI, FLOOR, DETECT_UP, true, false, 1000, 60000, true},
};
#define CONTENDERS ARRAY_LEN(contenders)

static bool is_calibrated(const struct contender *c)
{
    return c->role == PEER || c->role == TOLD || c->role == FLOOR;
}

static double threshold_of(const struct contender *c, double t)
{
    return c->by_factor ? c->strict_from * pow(c->strict_to / c->strict_from, t)
                        : c->strict_from + (c->strict_to - c->strict_from) * t;
}

/* Everything about a law that does not change from stream to stream. */
struct setting {
    const struct law *before, *after;
    double edges[CELLS - 1];
};

static void edges_make(struct setting *s)
{
    for (int i = 0; i < CELLS - 1; i++) {
        double lo = -10;
        double hi = 10;
        for (int k = 0; k < 60; k++) {
            double mid = (lo + hi) / 2;
            *(normal_below(mid) < (i + 1.0) / CELLS ? &lo : &hi) = mid;
        }
        s->edges[i] = lo;
    }
}

static double clipped(double x)
{
    return x < -4 ? -4 : x > 4 ? 4 : x;
}

/* The event as the contender takes it. */
static double fed(const struct contender *c, const struct setting *s, double x)
{
    if (c->kind == DETECT_SR_CELLS) {
        return detect_cell_of(s->edges, CELLS - 1, x);
    }
    if (c->kind == DETECT_SR_BOUNDED) {
        return clipped(x);
    }
    bool share = c->kind == DETECT_HDDM_A || c->kind == DETECT_HDDM_W;
    return share && s->before->form != BITS ? (clipped(x) + 4) / 8 : x;
}

/* A reference: known, or as SEEN events show it (the 90 % Wilson interval of a rate). */
static void reference(struct detect_config *d, const struct contender *c, const struct setting *s,
                      struct rng *r)
{
    if (c->kind == DETECT_SR_BERNOULLI) {
        d->u.bernoulli.side = c->side;
        d->u.bernoulli.p_lo = d->u.bernoulli.p_hi = s->before->a;
        if (c->role == OURS_SEEN) {
            double k = 0;
            for (int i = 0; i < SEEN; i++) {
                k += draw(s->before, r);
            }
            double z = 1.645;
            double centre = (k + z * z / 2) / (SEEN + z * z);
            double half = z * sqrt(k * (SEEN - k) / SEEN + z * z / 4) / (SEEN + z * z);
            d->u.bernoulli.p_lo = centre - half;
            d->u.bernoulli.p_hi = centre + half;
        }
    } else if (c->kind == DETECT_SR_CELLS) {
        d->u.cells.cells = d->u.cells.ordered = CELLS;
        for (int i = 0; i < CELLS; i++) {
            d->u.cells.mass[i] = c->role == OURS;
        }
        for (int i = 0; i < SEEN && c->role == OURS_SEEN; i++) {
            d->u.cells.mass[detect_cell_of(s->edges, CELLS - 1, draw(s->before, r))]++;
        }
    } else if (c->kind == DETECT_SR_BOUNDED) {
        d->u.bounded.lo = -4;
        d->u.bounded.hi = 4;
    }
}

static struct detect_config config_of(const struct contender *c, const struct setting *s, double t,
                                      struct rng *r)
{
    struct detect_config d = detect_config_of(c->kind);
    double v = threshold_of(c, t);
    switch (c->kind) {
    case DETECT_ADWIN: d.u.adwin.delta = v; break;
    case DETECT_PAGE_HINKLEY:
        d.u.ph.threshold = v;
        if (c->role == TOLD) {
            d.u.ph.delta = fabs(s->after->a - s->before->a) / 2;
            d.u.ph.alpha = 1;
        }
        break;
    case DETECT_DDM: d.u.ddm.alarm_level = d.u.ddm.warn_level = v; break;
    case DETECT_EDDM: d.u.eddm.alarm_level = d.u.eddm.warn_level = v; break;
    case DETECT_HDDM_A:
    case DETECT_HDDM_W: d.u.hddm.alarm_confidence = d.u.hddm.warn_confidence = v; break;
    case DETECT_KSWIN: d.u.kswin.alpha = v; break;
    case DETECT_SR_BERNOULLI:
    case DETECT_SR_BOUNDED:
    case DETECT_SR_CELLS: reference(&d, c, s, r); break;
    }
    return d;
}

/* A detector at work, or the floor: the Shiryaev-Roberts sum with the one bet that knows both
 * laws, which no detector of the same ARL0 can beat by more than a few events (Pollak, Tartakovsky
 * 2009). */
struct runner {
    const struct contender *c;
    const struct setting *s;
    struct detect *d;      /* NULL: the floor */
    double r, least, l[2]; /* of the floor: sum, threshold, likelihood ratios of 0 and 1 */
    uint64_t alarms;
};

static void runner_start(struct runner *u, struct mem *m, const struct contender *c,
                         const struct setting *s, double t, struct rng *r)
{
    *u = (struct runner){.c = c, .s = s};
    if (c->role == FLOOR) {
        u->least = threshold_of(c, t);
        u->l[0] = (1 - s->after->a) / (1 - s->before->a);
        u->l[1] = s->after->a / s->before->a;
        return;
    }
    struct detect_config config = config_of(c, s, t, r);
    struct err e = {0};
    if (!detect_new(&config, m, &u->d, &e)) {
        fprintf(stderr, "drift: %s\n", e.msg);
        exit(1);
    }
}

/* Whether this event gave an alarm. */
static bool runner_step(struct runner *u, double x)
{
    bool alarm;
    if (u->d != NULL) {
        alarm = detect_update(u->d, fed(u->c, u->s, x)) == DETECT_ALARM;
    } else {
        u->r = (1 + u->r) * u->l[x != 0];
        alarm = u->r >= u->least;
        u->r = alarm ? 0 : u->r;
    }
    u->alarms += alarm;
    return alarm;
}

/* Mean events between alarms while nothing changes, over streams of 50,000 events; after an alarm a
 * detector goes on with a new run, as in service. */
static double arl0(struct mem *m, const struct contender *c, const struct setting *s, double t,
                   uint64_t seed)
{
    uint64_t streams = c->kind == DETECT_KSWIN ? 24 : 80;
    uint64_t alarms = 0;
    uint64_t events = 0;
    for (uint64_t i = 0; i < streams && alarms < 2 * streams; i++) {
        struct rng r;
        struct runner u;
        rng_fork(&r, seed, i);
        runner_start(&u, m, c, s, t, &r);
        for (int k = 0; k < 50000 && u.alarms < 2 * streams; k++) {
            runner_step(&u, draw(s->before, &r));
            events++;
        }
        alarms += u.alarms;
        detect_free(u.d);
    }
    return (double)events / (double)(alarms > 0 ? alarms : 1);
}

#define NOT_HERE     -2.0 /* the contender does not take such events */
#define NO_THRESHOLD -1.0 /* none keeps the false alarms */

/* The loosest threshold with ARL0 of at least ARL_EVENTS, or NO_THRESHOLD. */
static double calibrate(struct mem *m, const struct contender *c, const struct setting *s)
{
    double loose = 0;
    double strict = 1;
    if (arl0(m, c, s, strict, 1) < ARL_EVENTS) {
        return NO_THRESHOLD;
    }
    for (int i = 0; i < SEARCH_STEP; i++) {
        double mid = (loose + strict) / 2;
        *(arl0(m, c, s, mid, 1) < ARL_EVENTS ? &loose : &strict) = mid;
    }
    return strict;
}

struct outcome {
    double t, arl0; /* t < 0: one of the two above */
    uint64_t false_alarms;
    uint32_t *delay; /* one per stream; AFTER: missed */
};

static void run(struct mem *m, const struct contender *c, const struct setting *s,
                const double *stream, uint64_t seed, struct outcome *o, uint32_t k)
{
    struct rng r;
    struct runner u;
    rng_fork(&r, seed, 7);
    runner_start(&u, m, c, s, o->t, &r);
    for (uint32_t i = 0; i < QUIET; i++) {
        runner_step(&u, stream[i]);
    }
    o->false_alarms += u.alarms;
    uint32_t i = 0;
    while (i < AFTER && !runner_step(&u, stream[QUIET + i])) {
        i++;
    }
    o->delay[k] = i < AFTER ? i + 1 : AFTER;
    detect_free(u.d);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double missed(const uint32_t *delay, uint32_t n, uint32_t within)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        k += delay[i] > within || delay[i] == AFTER;
    }
    return 100.0 * k / n;
}

static double median(const struct outcome *o, uint32_t n)
{
    return (o->delay[(n - 1) / 2] + o->delay[n / 2]) / 2.0;
}

static double mean(const struct outcome *o, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += o->delay[i];
    }
    return sum / n;
}

/* The largest difference between the two laws' shares below any value: of two bits, or of
 * values. */
static double ks_of(const struct scenario *s)
{
    if (s->before.form == BITS) {
        return fabs(s->after.a - s->before.a);
    }
    enum { DRAWS = 200000, BINS = 2000 };
    uint32_t *bin = calloc(BINS + 1, sizeof *bin);
    struct rng r;
    rng_init(&r, 11);
    for (int i = 0; bin != NULL && i < DRAWS; i++) {
        bin[(int)((clipped(draw(&s->after, &r)) + 4) / 8 * BINS)]++;
    }
    double below = 0;
    double most = 0;
    for (int i = 0; bin != NULL && i < BINS; i++) { /* a bin holds [i, i + 1) */
        below += bin[i];
        most = fmax(most, fabs(below / DRAWS - normal_below(-4 + 8.0 * (i + 1) / BINS)));
    }
    free(bin);
    return most;
}

static void print_row(const struct contender *c, const struct outcome *o, uint32_t n)
{
    printf("%-*s ", NAME_WIDTH, c->name);
    if (o->t < 0) {
        printf("no threshold keeps the false alarms\n");
        return;
    }
    if (is_calibrated(c)) {
        printf("%10.3g", threshold_of(c, o->t));
    } else {
        printf("%10s", "-");
    }
    printf(" %9.0f %7.1f %8.0f %8.0f %8.1f %8.1f %8.1f\n", o->arl0,
           (double)o->false_alarms * 1e6 / QUIET / n, median(o, n), mean(o, n),
           missed(o->delay, n, 500), missed(o->delay, n, 5000), missed(o->delay, n, AFTER - 1));
}

static void print_ratio(const struct outcome *all, bool bits, uint32_t n)
{
    double ours[2] = {0, 0};
    double best[2] = {AFTER, AFTER};
    const char *who[2] = {"none", "none"};
    for (size_t i = 0; i < CONTENDERS; i++) {
        const struct contender *c = &contenders[i];
        if (all[i].t < 0 || !(bits ? c->bits : c->values)) {
            continue;
        }
        double now[2] = {median(&all[i], n), mean(&all[i], n)};
        for (int k = 0; k < 2; k++) {
            if (c->role == OURS) {
                ours[k] = now[k];
            } else if (c->role == PEER && now[k] < best[k]) {
                best[k] = now[k];
                who[k] = c->name;
            }
        }
    }
    for (int k = 0; k < 2; k++) { /* a peer that mostly misses has a delay of AFTER or more */
        printf("%s of the best peer: %s%.2f (%s)\n", k == 0 ? "median" : "mean",
               best[k] < AFTER ? "" : "at most ", ours[k] / best[k], who[k]);
    }
}

/* Thresholds and ARL0. Those found for the last scenario stay when its law before is the same. */
static void prepare(struct mem *m, const struct setting *s, bool same, struct outcome *all)
{
    bool bits = s->before->form == BITS;
    bool has_size = s->after->form == s->before->form && s->after->a != s->before->a;
    for (size_t i = 0; i < CONTENDERS; i++) {
        const struct contender *c = &contenders[i];
        struct outcome *o = &all[i];
        o->false_alarms = 0;
        if (same && c->role != TOLD && c->role != FLOOR) {
            continue;
        }
        o->t = NOT_HERE;
        if ((bits ? c->bits : c->values) && (c->role != TOLD || has_size)) {
            o->t = is_calibrated(c) ? calibrate(m, c, s) : 0;
        }
        o->arl0 = o->t >= 0 ? arl0(m, c, s, o->t, 2) : 0;
    }
}

static void run_scenario(struct mem *m, const struct scenario *s, bool same, uint32_t n,
                         uint64_t seed, struct outcome *all, double *stream)
{
    struct setting set = {.before = &s->before, .after = &s->after};
    edges_make(&set);
    prepare(m, &set, same, all);
    for (uint32_t k = 0; k < n; k++) {
        struct rng r;
        rng_fork(&r, seed, k);
        for (uint32_t i = 0; i < QUIET + AFTER; i++) {
            stream[i] = draw(i < QUIET ? &s->before : &s->after, &r);
        }
        for (size_t i = 0; i < CONTENDERS; i++) {
            if (all[i].t >= 0) {
                run(m, &contenders[i], &set, stream, seed + k, &all[i], k);
            }
        }
    }
    printf("\n== %s (KS %.3f), %u streams\n%-*s %10s %9s %7s %8s %8s %8s %8s %8s\n", s->name,
           ks_of(s), n, NAME_WIDTH, "", "threshold", "ARL0", "false/M", "median", "mean",
           "miss500%", "miss5k%", "never%");
    for (size_t i = 0; i < CONTENDERS; i++) {
        if (all[i].t != NOT_HERE) {
            qsort(all[i].delay, n, sizeof all[i].delay[0], by_size);
            print_row(&contenders[i], &all[i], n);
        }
    }
    print_ratio(all, s->before.form == BITS, n);
    fflush(stdout);
}

/* What an update costs while nothing happens, all kinds on the streams that they take. */
static void print_speed(struct mem *m, double *stream)
{
    static const struct scenario *const both[2] = {&scenarios[6], &scenarios[8]};
    printf("nanoseconds per update, while nothing changes:");
    for (size_t i = 0; i < CONTENDERS; i++) {
        const struct contender *c = &contenders[i];
        const struct scenario *s = both[!c->bits];
        struct setting set = {.before = &s->before, .after = &s->after};
        struct rng r;
        if (c->role != OURS && c->role != PEER && c->kind != DETECT_SR_BOUNDED) {
            continue;
        }
        edges_make(&set);
        rng_init(&r, 5);
        for (int k = 0; k < QUIET; k++) {
            stream[k] = fed(c, &set, draw(&s->before, &r));
        }
        struct runner u;
        runner_start(&u, m, c, &set, 0.5, &r);
        int rounds = c->kind == DETECT_KSWIN ? 5 : 200;
        struct timespec from;
        struct timespec to;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        for (int k = 0; k < rounds * QUIET; k++) {
            detect_update(u.d, stream[k % QUIET]);
        }
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
        printf(" %s %.0f", c->name, ns / rounds / QUIET);
        detect_free(u.d);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    long streams = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    const char *only = argc > 2 ? argv[2] : "";
    uint32_t n = streams < 1 ? 1 : streams > 100000 ? 100000 : (uint32_t)streams;
    struct outcome all[CONTENDERS] = {0};
    struct mem m;
    mem_init(&m, 0);
    double *stream = calloc(QUIET + AFTER, sizeof *stream);
    uint32_t *delay = calloc((size_t)n * CONTENDERS, sizeof *delay);
    if (stream == NULL || delay == NULL) {
        fprintf(stderr, "drift: no memory\n");
        return 1;
    }
    for (size_t i = 0; i < CONTENDERS; i++) {
        all[i].delay = delay + i * n;
    }
    print_speed(&m, stream);
    const struct scenario *last = NULL;
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        const struct scenario *s = &scenarios[i];
        if (strstr(s->name, only) != NULL) {
            bool same = last != NULL && last->before.form == s->before.form &&
                        last->before.a == s->before.a;
            run_scenario(&m, s, same, n, 1000000 * (i + 1), all, stream);
            last = s;
        }
    }
    free(delay);
    free(stream);
    return 0;
}
