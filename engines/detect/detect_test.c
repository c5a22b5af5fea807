/* What all detectors share: names, refused configurations and values, counts, reset, and the saved
 * form. Each test runs over every kind, on streams with a change, so that alarms, warnings and the
 * event after an alarm are all met. */
#include "engines/detect/detect.h"

#include "base/rng.h"
#include "base/test.h"
#include "engines/detect/detect_int.h"

#include <math.h>

/* A configuration that can run, and alarms soon after a change. */
static struct detect_config config_of(enum detect_kind kind)
{
    struct detect_config c = detect_config_of(kind);
    switch (kind) {
    case DETECT_SR_BERNOULLI:
        c.u.bernoulli.p_lo = 0.19;
        c.u.bernoulli.p_hi = 0.21;
        break;
    case DETECT_SR_BOUNDED:
        c.u.bounded.lo = -1;
        c.u.bounded.hi = 2;
        c.u.bounded.mean_lo = 0.15;
        c.u.bounded.mean_hi = 0.25;
        break;
    case DETECT_SR_CELLS:
        c.u.cells.cells = 12;
        c.u.cells.ordered = 10;
        c.u.cells.mass_slack = 0.01;
        for (uint32_t i = 0; i < 12; i++) {
            c.u.cells.mass[i] = i < 10 ? 100 : 10;
        }
        break;
    case DETECT_PAGE_HINKLEY:
        c.u.ph.threshold = 10;
        c.u.ph.side = DETECT_BOTH;
        break;
    case DETECT_HDDM_A:
    case DETECT_HDDM_W: c.u.hddm.two_sided = true; break;
    case DETECT_ADWIN:
    case DETECT_DDM:
    case DETECT_EDDM:
    case DETECT_KSWIN: break;
    }
    return c;
}

/* Event i of a stream that changes every 1,000 events. */
static double event_of(enum detect_kind kind, struct rng *r, int i)
{
    double u = rng_f64(r);
    bool changed = i / 1000 % 2 == 1;
    if (kind == DETECT_SR_CELLS) {
        return changed && u < 0.4 ? 11 : u < 0.02 ? 10 : floor(rng_f64(r) * 10);
    }
    if (kind == DETECT_KSWIN) {
        return u + (changed ? 0.7 : 0);
    }
    return u < (changed ? 0.6 : 0.2);
}

static struct detect *made(const struct detect_config *c, struct mem *m)
{
    struct err e = {0};
    struct detect *d = NULL;
    if (!detect_new(c, m, &d, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return d;
}

static void saved(const struct detect *d, struct buf *out)
{
    buf_reset(out);
    detect_save(d, out);
    assert_true(buf_ok(out, NULL));
}

static void assert_same(const struct detect *a, const struct detect *b)
{
    struct detect_status x = detect_status(a);
    struct detect_status y = detect_status(b);
    assert_true(x.events == y.events && x.refused == y.refused && x.warnings == y.warnings);
    assert_true(x.alarms == y.alarms && x.onset_event == y.onset_event);
    assert_true(memcmp(&x.log_evidence, &y.log_evidence, sizeof x.log_evidence) == 0);
}

TEST(detect_kinds_have_names_that_read_back)
{
    for (unsigned k = 0; k < DETECT_KINDS; k++) {
        enum detect_kind back = DETECT_KINDS;
        assert_true(detect_kind_from(str_from_c(detect_kind_name(k)), &back));
        assert_true(back == k);
    }
    enum detect_kind kind;
    assert_false(detect_kind_from(STR("cusum"), &kind));
    assert_false(detect_kind_from(STR("adwin2"), &kind));
    assert_false(detect_kind_from(STR(""), &kind));
}

TEST(detect_published_defaults_run_and_references_are_asked_for)
{
    struct err e = {0};
    for (unsigned k = 0; k < DETECT_KINDS; k++) {
        struct detect_config c = detect_config_of(k);
        assert_true(detect_config_validate(&c, &e) == (k > DETECT_SR_CELLS));
    }
}

/* Every field at a value that must be refused, one at a time; the message names it. */
#define REFUSED(of_kind, field, value, word)                       \
    do {                                                           \
        struct detect_config c_ = config_of(of_kind);              \
        struct err e_ = {0};                                       \
        assert_true(detect_config_validate(&c_, &e_));             \
        c_.u.field = (value);                                      \
        assert_false(detect_config_validate(&c_, &e_));            \
        assert_int_equal(e_.code, ERR_INPUT);                      \
        assert_non_null(strstr(e_.msg, word));                     \
        struct detect *d_;                                         \
        assert_false(detect_new(&c_, &m, &d_, &e_) || d_ != NULL); \
    } while (0)

TEST(detect_configurations_that_cannot_run_are_refused)
{
    struct mem m;
    mem_init(&m, 0);
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.arl_events, 9, "arl_events");
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.arl_events, 2e15, "arl_events");
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.warn_events, 50001, "warn_events");
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.side, (enum detect_side)3, "side");
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.p_lo, 0, "p_lo");
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.p_hi, 1, "p_hi");
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.p_hi, 0.18, "p_hi");
    REFUSED(DETECT_SR_BERNOULLI, bernoulli.p_lo, NAN, "p_lo");
    REFUSED(DETECT_SR_BOUNDED, bounded.hi, -1, "lo below hi");
    REFUSED(DETECT_SR_BOUNDED, bounded.lo, -INFINITY, "lo");
    REFUSED(DETECT_SR_BOUNDED, bounded.mean_lo, -1, "means");
    REFUSED(DETECT_SR_BOUNDED, bounded.mean_hi, 2, "means");
    REFUSED(DETECT_SR_BOUNDED, bounded.mean_hi, 0.1, "means");
    REFUSED(DETECT_SR_CELLS, cells.cells, 1, "cells");
    REFUSED(DETECT_SR_CELLS, cells.cells, DETECT_CELLS_MAX + 1, "cells");
    REFUSED(DETECT_SR_CELLS, cells.ordered, 13, "ordered");
    REFUSED(DETECT_SR_CELLS, cells.mass_slack, 1, "mass_slack");
    REFUSED(DETECT_SR_CELLS, cells.mass[3], -1, "mass");
    REFUSED(DETECT_SR_CELLS, cells.mass[3], NAN, "mass");
    REFUSED(DETECT_ADWIN, adwin.delta, 0, "delta");
    REFUSED(DETECT_ADWIN, adwin.clock, 0, "clock");
    REFUSED(DETECT_ADWIN, adwin.row_buckets, 1, "row_buckets");
    REFUSED(DETECT_ADWIN, adwin.row_buckets, 9, "row_buckets");
    REFUSED(DETECT_ADWIN, adwin.min_window, 0, "min_window");
    REFUSED(DETECT_PAGE_HINKLEY, ph.threshold, 0, "threshold");
    REFUSED(DETECT_PAGE_HINKLEY, ph.alpha, 1.1, "alpha");
    REFUSED(DETECT_PAGE_HINKLEY, ph.delta, -1, "delta");
    REFUSED(DETECT_PAGE_HINKLEY, ph.min_events, 0, "min_events");
    REFUSED(DETECT_PAGE_HINKLEY, ph.form, (enum detect_ph_form)2, "form");
    REFUSED(DETECT_DDM, ddm.alarm_level, 0, "alarm_level");
    REFUSED(DETECT_DDM, ddm.warn_level, 4, "warn_level");
    REFUSED(DETECT_DDM, ddm.min_events, 0, "min_events");
    REFUSED(DETECT_EDDM, eddm.warn_level, 1.5, "warn_level");
    REFUSED(DETECT_EDDM, eddm.alarm_level, 0.96, "alarm_level");
    REFUSED(DETECT_HDDM_A, hddm.alarm_confidence, 0, "alarm_confidence");
    REFUSED(DETECT_HDDM_W, hddm.warn_confidence, 0.0001, "warn_confidence");
    REFUSED(DETECT_HDDM_W, hddm.lambda, 0, "lambda");
    REFUSED(DETECT_KSWIN, kswin.alpha, 0, "alpha");
    REFUSED(DETECT_KSWIN, kswin.stat, 51, "window");
    REFUSED(DETECT_KSWIN, kswin.stat, 1, "stat");
    REFUSED(DETECT_KSWIN, kswin.window, DETECT_KSWIN_WINDOW_MAX + 1, "window");
    assert_int_equal(m.bytes, 0);
    struct detect_config none = config_of(DETECT_SR_CELLS);
    struct err e = {0};
    memset(none.u.cells.mass, 0, sizeof none.u.cells.mass);
    assert_false(detect_config_validate(&none, &e));
    none.kind = (enum detect_kind)DETECT_KINDS;
    assert_false(detect_config_validate(&none, &e));
}

TEST(detect_refuses_values_of_another_kind_and_goes_on_as_if_they_had_not_been)
{
    static const double bad[DETECT_KINDS][4] = {
        {0.5, -1, 2, NAN},
        {-1.001, 2.001, INFINITY, NAN},
        {12, -1, 0.5, NAN},
        {1e101, -1e101, NAN, NAN},
        {1e101, -1e101, NAN, INFINITY},
        {0.5, 2, NAN, -INFINITY},
        {0.5, 2, NAN, -1},
        {-0.001, 1.001, NAN, INFINITY},
        {-0.001, 1.001, NAN, 2},
        {1e101, -1e101, NAN, INFINITY},
    };
    struct mem m;
    mem_init(&m, 0);
    for (unsigned k = 0; k < DETECT_KINDS; k++) {
        struct detect_config c = config_of(k);
        struct detect *d = made(&c, &m);
        struct detect *clean = made(&c, &m);
        struct rng r;
        rng_init(&r, 3);
        for (int i = 0; i < 1500; i++) {
            double x = event_of(k, &r, i);
            assert_true(detect_update(d, x) == detect_update(clean, x));
            assert_true(detect_update(d, bad[k][i % 4]) == DETECT_REFUSED);
        }
        struct detect_status s = detect_status(d);
        assert_true(s.refused == 1500 && s.events == 1500);
        assert_true(s.alarms == detect_status(clean).alarms && s.alarms > 0);
        assert_true(s.warnings == detect_status(clean).warnings);
        detect_free(d);
        detect_free(clean);
    }
    assert_int_equal(m.bytes, 0);
}

TEST(detect_reset_is_as_new)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf fresh;
    struct buf again;
    buf_init(&fresh, &m, 1 << 20);
    buf_init(&again, &m, 1 << 20);
    for (unsigned k = 0; k < DETECT_KINDS; k++) {
        struct detect_config c = config_of(k);
        struct detect *d = made(&c, &m);
        saved(d, &fresh);
        struct rng r;
        rng_init(&r, 4);
        for (int i = 0; i < 2100; i++) {
            detect_update(d, event_of(k, &r, i));
        }
        saved(d, &again);
        assert_false(str_eq(buf_str(&fresh), buf_str(&again)));
        detect_reset(d);
        saved(d, &again);
        assert_true(str_eq(buf_str(&fresh), buf_str(&again)));
        detect_free(d);
    }
    buf_release(&fresh);
    buf_release(&again);
    assert_int_equal(m.bytes, 0);
}

/* Saved and loaded after every `step` events, a detector answers as one that never was; the same
 * bytes come out again. Steps of 1 in the third thousand meet each alarm and what follows it. */
TEST(detect_loaded_detectors_answer_as_the_saved)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    struct buf b2;
    buf_init(&b, &m, 1 << 20);
    buf_init(&b2, &m, 1 << 20);
    for (unsigned k = 0; k < DETECT_KINDS; k++) {
        struct detect_config c = config_of(k);
        struct detect *d = made(&c, &m);
        struct detect *loaded = made(&c, &m);
        struct rng r;
        rng_init(&r, 5);
        for (int i = 0; i < 2600; i++) {
            double x = i % 700 == 5 ? NAN : event_of(k, &r, i);
            assert_true(detect_update(d, x) == detect_update(loaded, x));
            assert_same(d, loaded);
            if (i < 900 && i % 97 != 0) {
                continue;
            }
            struct err e = {0};
            saved(loaded, &b);
            detect_free(loaded);
            assert_true(detect_load(buf_str(&b), &m, &loaded, &e));
            saved(loaded, &b2);
            assert_true(str_eq(buf_str(&b), buf_str(&b2)));
            assert_int_equal(detect_config(loaded)->kind, k);
        }
        assert_true(detect_status(d).alarms > 0);
        detect_free(d);
        detect_free(loaded);
    }
    buf_release(&b);
    buf_release(&b2);
    assert_int_equal(m.bytes, 0);
}

TEST(detect_load_refuses_what_is_cut_longer_or_of_another_kind)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 1 << 20);
    for (unsigned k = 0; k < DETECT_KINDS; k++) {
        struct detect_config c = config_of(k);
        struct detect *d = made(&c, &m);
        struct detect *loaded;
        struct rng r;
        rng_init(&r, 6);
        for (int i = 0; i < 90; i++) {
            detect_update(d, event_of(k, &r, i));
        }
        saved(d, &b);
        struct str whole = buf_str(&b);
        for (size_t n = 0; n < whole.n; n++) {
            struct err e = {0};
            assert_false(detect_load(str_of(whole.p, n), &m, &loaded, &e));
            assert_int_equal(e.code, ERR_CORRUPT);
            assert_null(loaded);
        }
        buf_u8(&b, 0);
        assert_false(detect_load(buf_str(&b), &m, &loaded, NULL));
        b.p[4] = DETECT_KINDS;
        assert_false(detect_load(str_of(b.p, whole.n), &m, &loaded, NULL));
        b.p[4] = (char)((k + 3) % DETECT_KINDS);
        assert_false(detect_load(str_of(b.p, whole.n), &m, &loaded, NULL));
        b.p[4] = (char)k;
        b.p[0] = 'G';
        assert_false(detect_load(str_of(b.p, whole.n), &m, &loaded, NULL));
        detect_free(d);
    }
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}

/* Fields that lie behind the configuration: events, refused, warnings, alarms, run, onset,
 * ended. */
TEST(detect_load_refuses_counts_that_do_not_agree)
{
    struct mem m;
    mem_init(&m, 0);
    struct detect_config c = config_of(DETECT_DDM);
    struct detect *d = made(&c, &m);
    for (int i = 0; i < 90; i++) {
        detect_update(d, i % 5 == 0);
    }
    struct buf b;
    buf_init(&b, &m, 1 << 20);
    saved(d, &b);
    char *counts = b.p + 5 + 24;
    static const struct {
        int field;
        uint64_t value;
    } bad[] = {{0, 89}, {0, UINT64_MAX}, {2, 91}, {3, 91}, {4, 91}, {5, 91}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        uint64_t was = get_u64le(counts + 8 * bad[i].field);
        put_u64le(counts + 8 * bad[i].field, bad[i].value);
        struct detect *loaded;
        assert_false(detect_load(buf_str(&b), &m, &loaded, &e));
        assert_non_null(strstr(e.msg, "counts"));
        put_u64le(counts + 8 * bad[i].field, was);
    }
    struct detect *loaded;
    counts[48] = 1; /* ended, but without an alarm */
    assert_false(detect_load(buf_str(&b), &m, &loaded, NULL));
    counts[48] = 0;
    assert_true(detect_load(buf_str(&b), &m, &loaded, NULL));
    detect_free(loaded);
    detect_free(d);
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(detect_new_save_and_load_report_lack_of_memory)
{
    for (unsigned k = 0; k < DETECT_KINDS; k++) {
        struct detect_config c = config_of(k);
        struct err e = {0};
        struct detect *d;
        struct detect *loaded = NULL;
        struct buf b;
        if (!detect_new(&c, &w->mem, &d, &e)) {
            assert_int_equal(e.code, ERR_NOMEM);
            assert_null(d);
            return false;
        }
        struct rng r;
        rng_init(&r, 8);
        for (int i = 900; i < 1100; i++) {
            detect_update(d, event_of(k, &r, i));
        }
        buf_init(&b, &w->mem, 1 << 20);
        detect_save(d, &b);
        bool ok = buf_ok(&b, &e) && detect_load(buf_str(&b), &w->mem, &loaded, &e);
        assert_true(ok || e.code == ERR_NOMEM || e.code == ERR_LIMIT);
        assert_true(ok == (loaded != NULL));
        detect_free(loaded);
        detect_free(d);
        buf_release(&b);
        if (!ok) {
            return false;
        }
    }
    return true;
}

TEST(detect_cell_of_agrees_with_counting)
{
    static const double edges[7] = {-3, -1, -1, 0, 2.5, 2.5, 9};
    for (double v = -4; v <= 10; v += 0.25) {
        uint32_t below = 0;
        for (int i = 0; i < 7; i++) {
            below += edges[i] < v;
        }
        assert_int_equal(detect_cell_of(edges, 7, v), below);
    }
    assert_int_equal(detect_cell_of(edges, 0, 5), 0);
}
