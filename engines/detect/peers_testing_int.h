/* What the tests of the published detectors share: streams, and answers to compare. */
#ifndef ENGINES_DETECT_PEERS_TESTING_INT_H
#define ENGINES_DETECT_PEERS_TESTING_INT_H

#include "base/rng.h"
#include "base/test.h"
#include "engines/detect/detect.h"

#define EVENTS 3000

struct answers {
    enum detect_verdict verdict[EVENTS];
    uint64_t onset[EVENTS];
};

static inline void run(const struct detect_config *c, const double *x, struct answers *out)
{
    struct mem m;
    struct err e = {0};
    struct detect *d;
    mem_init(&m, 0);
    assert_true(detect_new(c, &m, &d, &e));
    for (int i = 0; i < EVENTS; i++) {
        out->verdict[i] = detect_update(d, x[i]);
        out->onset[i] = detect_status(d).onset_event;
    }
    detect_free(d);
    assert_int_equal(m.bytes, 0);
}

/* Bits whose rate goes up, and down, and up again. */
static inline void bits(double *x, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    for (int i = 0; i < EVENTS; i++) {
        x[i] = rng_f64(&r) < (i < 900 ? 0.15 : i < 1800 ? 0.4 : i < 2400 ? 0.05 : 0.3);
    }
}

static inline void values(double *x, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    for (int i = 0; i < EVENTS; i++) {
        x[i] = rng_normal(&r) + (i < 1000 ? 0 : i < 2000 ? 1.2 : -1);
    }
}

/* Compares, and asks that the stream has shown something. */
static inline void assert_answers(const struct answers *a, const struct answers *b,
                                  unsigned alarms_least)
{
    unsigned alarms = 0;
    for (int i = 0; i < EVENTS; i++) {
        if (a->verdict[i] != b->verdict[i] || a->onset[i] != b->onset[i]) {
            print_error("event %d: %d from %u, expected %d from %u\n", i + 1, (int)a->verdict[i],
                        (unsigned)a->onset[i], (int)b->verdict[i], (unsigned)b->onset[i]);
            fail();
        }
        alarms += a->verdict[i] == DETECT_ALARM;
    }
    assert_true(alarms >= alarms_least);
}

static inline double mean_of(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += x[i];
    }
    return sum / n;
}

#endif
