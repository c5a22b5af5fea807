/* What the files of this module share: the common head of every detector and the table of
 * functions of a kind. */
#ifndef ENGINES_DETECT_DETECT_INT_H
#define ENGINES_DETECT_DETECT_INT_H

#include "engines/detect/detect.h"

struct detect_ops;

/* Every kind's struct begins with it. Lifetime engine: one block, taken in detect_new. */
struct detect {
    const struct detect_ops *ops;
    struct mem *mem; /* borrows */
    size_t bytes;    /* of the whole block */
    uint64_t events, refused, warnings, alarms;
    uint64_t run_events; /* of this run: since new, reset or the last alarm */
    uint64_t onset;      /* of the last update, 0 when it was calm */
    bool ended;          /* the last event gave an alarm: the next one starts a run */
    struct detect_config cfg;
};

struct detect_ops {
    size_t (*bytes)(const struct detect_config *c);
    /* Tables that follow from cfg; the memory is zero. May be NULL. */
    void (*prepare)(struct detect *d);
    bool (*takes)(const struct detect *d, double x); /* x is finite */
    /* Empties the statistics. after_alarm: what the method carries over is kept. */
    void (*clear)(struct detect *d, bool after_alarm);
    /* Sets d->onset when it does not return DETECT_CALM. */
    enum detect_verdict (*update)(struct detect *d, double x);
    void (*save)(const struct detect *d, struct buf *out);
    MUST_USE bool (*load)(struct detect *d, struct rd *r); /* false: not a state of a run */
    double (*log_evidence)(const struct detect *d);        /* NULL: NaN */
};

extern const struct detect_ops detect_ops_sr, detect_ops_cells, detect_ops_adwin, detect_ops_ph,
    detect_ops_ddm, detect_ops_eddm, detect_ops_hddm_a, detect_ops_hddm_w, detect_ops_kswin;

bool detect_takes_bit(const struct detect *d, double x);   /* 0 or 1 */
bool detect_takes_share(const struct detect *d, double x); /* 0..1 */
bool detect_takes_any(const struct detect *d, double x);

/* The number of the event that was the k-th of this run, 1 = the first. */
static inline uint64_t detect_event_of_run(const struct detect *d, uint64_t k)
{
    return d->events - d->run_events + k;
}

/* Reads n numbers of [lo, hi]; false when one is not. */
MUST_USE bool detect_read_f64(struct rd *r, double *to, size_t n, double lo, double hi);
void detect_write_f64(struct buf *out, const double *from, size_t n);

/* What both e-detectors do with their sums over all components: r of the products, v of age times
 * product. Sets the onset unless it is calm. */
enum detect_verdict detect_sr_verdict(struct detect *d, double r, double v, double warn,
                                      double arl);
/* Reads S and V of n components; false when no run can have left them: ages are between one event
 * and the whole run. */
MUST_USE bool detect_sr_read(const struct detect *d, struct rd *r, double *s, double *v, size_t n);

void detect_config_write(const struct detect_config *c, struct buf *out);
MUST_USE bool detect_config_read(struct detect_config *c, struct rd *r, struct err *e);

#endif
