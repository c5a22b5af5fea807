/* A saved detector of any bytes: detect_load returns; what it accepts has a configuration that
 * validates, saves to the same bytes again, and goes on without breaking an invariant, for values
 * of every sort, past alarms, and through another save and load. */
#include "engines/detect/detect.h"

#include "engines/detect/detect_int.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Values at the bounds of what kinds take, and between. */
static double value_of(const struct detect_config *c, unsigned i, uint8_t from)
{
    static const double edge[8] = {0, 1, 0.5, -1, 1e100, -1e100, (double)INFINITY, (double)NAN};
    if (c->kind == DETECT_SR_CELLS) {
        return from % c->u.cells.cells;
    }
    if (c->kind == DETECT_SR_BOUNDED) {
        return c->u.bounded.lo + (c->u.bounded.hi - c->u.bounded.lo) * (from / 255.0);
    }
    return i % 4 == 3 ? edge[from % 8] : c->kind == DETECT_KSWIN ? from : from % 2;
}

static void run_on(struct detect *d, const uint8_t *data, size_t size)
{
    const struct detect_config *c = detect_config(d);
    for (unsigned i = 0; i < 300; i++) {
        uint64_t events = detect_status(d).events;
        enum detect_verdict v = detect_update(d, value_of(c, i, data[(i * 7 + 5) % size]));
        struct detect_status s = detect_status(d);
        ASSERT(s.events == events + (v != DETECT_REFUSED));
        ASSERT(v == DETECT_REFUSED || (s.onset_event > 0) == (v != DETECT_CALM));
        ASSERT(s.onset_event <= s.events);
        ASSERT((c->kind <= DETECT_SR_CELLS) == !isnan(s.log_evidence));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct err e = {0};
    struct detect *d;
    struct detect *again;
    struct buf b;
    struct str bytes = str_of((const char *)data, size);
    mem_init(&m, 0);
    if (!detect_load(bytes, &m, &d, &e)) {
        ASSERT(e.code == ERR_CORRUPT && d == NULL && m.bytes == 0);
        return 0;
    }
    buf_init(&b, &m, 1 << 24);
    ASSERT(detect_config_validate(detect_config(d), &e));
    detect_save(d, &b);
    ASSERT(buf_ok(&b, &e) && str_eq(buf_str(&b), bytes));
    run_on(d, data, size);
    buf_reset(&b);
    detect_save(d, &b);
    ASSERT(detect_load(buf_str(&b), &m, &again, &e));
    detect_free(again);
    detect_reset(d);
    run_on(d, data, size);
    detect_free(d);
    buf_release(&b);
    ASSERT(m.bytes == 0);
    return 0;
}
