/* Any configuration and any sequence of updates, resets, and saves: bytes choose a kind and the
 * fields of its configuration; a configuration that validates makes a detector, and two copies of
 * it, one of them saved and loaded now and then, answer alike to every event.
 *
 *   byte 0: kind; the next 7 fields of 2 bytes: parameters; then events, one byte each: 255 saves
 *   and loads, 254 resets, others are values */
#include "engines/detect/detect.h"

#include "engines/detect/detect_int.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* (0, 1] in powers, or a small integer: what most fields take. */
static double share(struct rd *r)
{
    return exp2(-(double)rd_u16le(r) / 4096);
}

static struct detect_config config_of(struct rd *r)
{
    struct detect_config c = detect_config_of((enum detect_kind)(rd_u8(r) % DETECT_KINDS));
    switch (c.kind) {
    case DETECT_SR_BERNOULLI:
        c.u.bernoulli.arl_events = c.u.bernoulli.warn_events = 10 / share(r);
        c.u.bernoulli.side = rd_u8(r) % 4;
        c.u.bernoulli.p_lo = share(r);
        c.u.bernoulli.p_hi = share(r);
        break;
    case DETECT_SR_BOUNDED:
        c.u.bounded.arl_events = 10 / share(r);
        c.u.bounded.warn_events = 10;
        c.u.bounded.side = rd_u8(r) % 4;
        c.u.bounded.lo = -1 / share(r);
        c.u.bounded.hi = 1 / share(r);
        c.u.bounded.mean_lo = -share(r);
        c.u.bounded.mean_hi = share(r);
        break;
    case DETECT_SR_CELLS:
        c.u.cells.arl_events = c.u.cells.warn_events = 10 / share(r);
        c.u.cells.cells = rd_u8(r);
        c.u.cells.ordered = rd_u8(r);
        c.u.cells.mass_slack = 1 - share(r);
        for (uint32_t i = 0; i < DETECT_CELLS_MAX; i++) {
            c.u.cells.mass[i] = i % 5 == 4 ? 0 : share(r) * (1 + i % 7);
        }
        break;
    case DETECT_ADWIN:
        c.u.adwin.delta = share(r);
        c.u.adwin.clock = rd_u8(r);
        c.u.adwin.row_buckets = rd_u8(r) % 11;
        c.u.adwin.min_window = rd_u8(r);
        c.u.adwin.grace_events = rd_u8(r);
        break;
    case DETECT_PAGE_HINKLEY:
        c.u.ph.delta = 1 - share(r);
        c.u.ph.threshold = 1 / share(r);
        c.u.ph.alpha = share(r);
        c.u.ph.min_events = rd_u8(r);
        c.u.ph.side = rd_u8(r) % 4;
        c.u.ph.form = rd_u8(r) % 3;
        break;
    case DETECT_DDM:
        c.u.ddm.alarm_level = 1 / share(r);
        c.u.ddm.warn_level = share(r);
        c.u.ddm.min_events = rd_u8(r);
        break;
    case DETECT_EDDM:
        c.u.eddm.warn_level = share(r);
        c.u.eddm.alarm_level = share(r);
        c.u.eddm.min_events = rd_u8(r);
        break;
    case DETECT_HDDM_A:
    case DETECT_HDDM_W:
        c.u.hddm.warn_confidence = share(r);
        c.u.hddm.alarm_confidence = share(r);
        c.u.hddm.lambda = share(r);
        c.u.hddm.two_sided = rd_u8(r) % 2 != 0;
        break;
    case DETECT_KSWIN:
        c.u.kswin.alpha = share(r);
        c.u.kswin.min_distance = 1 - share(r);
        c.u.kswin.stat = rd_u8(r);
        c.u.kswin.window = rd_u16le(r) % 1024;
        c.u.kswin.seed = rd_u8(r);
        break;
    }
    return c;
}

static double value_of(const struct detect_config *c, uint8_t from)
{
    switch (c->kind) {
    case DETECT_SR_CELLS:
    case DETECT_KSWIN: return from;
    case DETECT_SR_BOUNDED:
        return c->u.bounded.lo + (c->u.bounded.hi - c->u.bounded.lo) * (from / 250.0);
    case DETECT_SR_BERNOULLI:
    case DETECT_DDM:
    case DETECT_EDDM: return from < 250 ? from % 2 : from;
    case DETECT_ADWIN:
    case DETECT_PAGE_HINKLEY:
    case DETECT_HDDM_A:
    case DETECT_HDDM_W: return from < 250 ? from / 249.0 : from % 2 ? -1e100 : 1e100;
    }
    return 0;
}

static struct detect *reloaded(struct detect *d, struct mem *m)
{
    struct err e = {0};
    struct buf b;
    struct detect *out;
    buf_init(&b, m, 1 << 24);
    detect_save(d, &b);
    ASSERT(buf_ok(&b, &e));
    ASSERT(detect_load(buf_str(&b), m, &out, &e)); /* every state of a run can be loaded */
    buf_release(&b);
    detect_free(d);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_of(str_of((const char *)data, size));
    struct detect_config c = config_of(&r);
    struct mem m;
    struct err e = {0};
    struct detect *d;
    struct detect *twin;
    mem_init(&m, 0);
    if (r.failed || size > 20000) {
        return 0;
    }
    if (!detect_config_validate(&c, &e)) {
        ASSERT(e.code == ERR_INPUT && !detect_new(&c, &m, &d, &e) && m.bytes == 0);
        return 0;
    }
    ASSERT(detect_new(&c, &m, &d, &e) && detect_new(&c, &m, &twin, &e));
    while (rd_left(&r) > 0) {
        uint8_t op = rd_u8(&r);
        if (op == 255) {
            twin = reloaded(twin, &m);
            continue;
        }
        if (op == 254) {
            detect_reset(d);
            detect_reset(twin);
            continue;
        }
        enum detect_verdict v = detect_update(d, value_of(&c, op));
        ASSERT(detect_update(twin, value_of(&c, op)) == v);
        struct detect_status s = detect_status(d);
        ASSERT(s.onset_event == detect_status(twin).onset_event && s.onset_event <= s.events);
        ASSERT(v == DETECT_REFUSED || (s.onset_event > 0) == (v != DETECT_CALM));
        ASSERT(s.alarms + s.warnings <= s.events);
    }
    detect_free(d);
    detect_free(twin);
    ASSERT(m.bytes == 0);
    return 0;
}
