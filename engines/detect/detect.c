/* The common part of all detectors: making, feeding, saving and loading.
 *
 * Why: a monitor runs thousands of detectors of kinds that its configuration names; whoever runs
 * them sees one struct, and a checkpoint holds them as bytes.
 *
 *   off  size  field of the saved form (little-endian)
 *     0     4  "FDT1"
 *     4     1  kind, then the fields of its configuration (config.c)
 *     n     8  events, then refused, warnings, alarms, events of this run, onset: 8 each
 *  n+48     1  1 when the last event ended a run with an alarm
 *  n+49     .  the kind's own state (its file says which)
 *
 * Invariants: run_events <= events; after an alarm, ended is set until the next event; update takes
 * no memory. The checksum is the checkpoint's; here every field is checked for meaning. */
#include "engines/detect/detect.h"

#include "engines/detect/detect_int.h"

#include <math.h>

#define SAVED_MAGIC "FDT1"

static const struct detect_ops *ops_of(enum detect_kind kind)
{
    switch (kind) {
    case DETECT_SR_BERNOULLI:
    case DETECT_SR_BOUNDED: return &detect_ops_sr;
    case DETECT_SR_CELLS: return &detect_ops_cells;
    case DETECT_ADWIN: return &detect_ops_adwin;
    case DETECT_PAGE_HINKLEY: return &detect_ops_ph;
    case DETECT_DDM: return &detect_ops_ddm;
    case DETECT_EDDM: return &detect_ops_eddm;
    case DETECT_HDDM_A: return &detect_ops_hddm_a;
    case DETECT_HDDM_W: return &detect_ops_hddm_w;
    case DETECT_KSWIN: return &detect_ops_kswin;
    }
    return NULL;
}

bool detect_new(const struct detect_config *c, struct mem *m, struct detect **out, struct err *e)
{
    *out = NULL;
    if (!detect_config_validate(c, e)) {
        return false;
    }
    const struct detect_ops *ops = ops_of(c->kind);
    ASSERT(ops != NULL);
    size_t bytes = ops->bytes(c);
    struct detect *d = mem_take(m, bytes);
    if (d == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a detector of %zu bytes", bytes);
    }
    d->ops = ops;
    d->mem = m;
    d->bytes = bytes;
    d->cfg = *c;
    if (ops->prepare != NULL) {
        ops->prepare(d);
    }
    ops->clear(d, false);
    *out = d;
    return true;
}

void detect_free(struct detect *d)
{
    if (d != NULL) {
        mem_give(d->mem, d, d->bytes);
    }
}

enum detect_verdict detect_update(struct detect *d, double x)
{
    if (!isfinite(x) || !d->ops->takes(d, x)) {
        d->refused++;
        return DETECT_REFUSED;
    }
    if (d->ended) {
        d->ops->clear(d, true);
        d->ended = false;
        d->run_events = 0;
    }
    d->events++;
    d->run_events++;
    d->onset = 0;
    enum detect_verdict v = d->ops->update(d, x);
    ASSERT(d->onset <= d->events);
    if (v == DETECT_ALARM) {
        d->alarms++;
        d->ended = true;
    } else if (v == DETECT_WARNING) {
        d->warnings++;
    }
    return v;
}

void detect_reset(struct detect *d)
{
    d->events = 0;
    d->refused = 0;
    d->warnings = 0;
    d->alarms = 0;
    d->run_events = 0;
    d->onset = 0;
    d->ended = false;
    d->ops->clear(d, false);
}

struct detect_status detect_status(const struct detect *d)
{
    return (struct detect_status){
        .events = d->events,
        .refused = d->refused,
        .warnings = d->warnings,
        .alarms = d->alarms,
        .onset_event = d->onset,
        .log_evidence = d->ops->log_evidence != NULL ? d->ops->log_evidence(d) : (double)NAN,
    };
}

const struct detect_config *detect_config(const struct detect *d)
{
    return &d->cfg;
}

void detect_save(const struct detect *d, struct buf *out)
{
    buf_add(out, SAVED_MAGIC, 4);
    detect_config_write(&d->cfg, out);
    buf_u64le(out, d->events);
    buf_u64le(out, d->refused);
    buf_u64le(out, d->warnings);
    buf_u64le(out, d->alarms);
    buf_u64le(out, d->run_events);
    buf_u64le(out, d->onset);
    buf_u8(out, d->ended);
    d->ops->save(d, out);
}

/* Counts first, then the kind's state, which may rely on them. */
static bool read_state(struct detect *d, struct rd *r, struct err *e)
{
    d->events = rd_u64le(r);
    d->refused = rd_u64le(r);
    d->warnings = rd_u64le(r);
    d->alarms = rd_u64le(r);
    d->run_events = rd_u64le(r);
    d->onset = rd_u64le(r);
    uint8_t ended = rd_u8(r);
    bool counts = d->events < UINT64_MAX / 4 && d->run_events <= d->events &&
                  d->alarms <= d->events && d->warnings <= d->events - d->alarms &&
                  d->onset <= d->events && ended <= 1 && (ended == 0 || d->alarms > 0) &&
                  (ended == 0 || d->run_events > 0);
    d->ended = ended != 0;
    if (r->failed || !counts) {
        return err_set(e, ERR_CORRUPT, "the counts of a saved %s detector do not agree",
                       detect_kind_name(d->cfg.kind));
    }
    if (!d->ops->load(d, r) || r->failed || rd_left(r) != 0) {
        return err_set(e, ERR_CORRUPT, "the saved state of a %s detector is not one of a run",
                       detect_kind_name(d->cfg.kind));
    }
    return true;
}

bool detect_load(struct str bytes, struct mem *m, struct detect **out, struct err *e)
{
    struct rd r = rd_of(bytes);
    struct detect_config c;
    *out = NULL;
    const unsigned char *magic = rd_take(&r, 4);
    if (magic == NULL || memcmp(magic, SAVED_MAGIC, 4) != 0) {
        return err_set(e, ERR_CORRUPT, "a saved detector begins with %s", SAVED_MAGIC);
    }
    struct detect *d;
    if (!detect_config_read(&c, &r, e) || !detect_new(&c, m, &d, e)) {
        return false;
    }
    if (!read_state(d, &r, e)) {
        detect_free(d);
        return false;
    }
    *out = d;
    return true;
}

uint32_t detect_cell_of(const double *edges, uint32_t n, double v)
{
    uint32_t lo = 0;
    uint32_t hi = n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (edges[mid] < v) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

bool detect_takes_bit(const struct detect *d, double x)
{
    (void)d;
    return x == 0 || x == 1;
}

bool detect_takes_share(const struct detect *d, double x)
{
    (void)d;
    return x >= 0 && x <= 1;
}

/* Beyond 1e100 sums of squares would overflow. */
bool detect_takes_any(const struct detect *d, double x)
{
    (void)d;
    return fabs(x) <= 1e100;
}

bool detect_read_f64(struct rd *r, double *to, size_t n, double lo, double hi)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = rd_f64le(r);
        if (r->failed || !(to[i] >= lo && to[i] <= hi)) {
            return false;
        }
    }
    return true;
}

void detect_write_f64(struct buf *out, const double *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_f64le(out, from[i]);
    }
}
