/* Records, the writing half: check the values, then lay the bytes down in one pass.
 *
 * Exists because the encoded form travels three ways - between threads, to the journal, back from
 * it - and each record is encoded once and decoded once by the shard that owns it. All numbers are
 * little-endian, nothing is aligned. Every record starts with the same nine bytes, so that a reader
 * passes over other shards' records without looking inside:
 *
 *   off  size  field
 *     0     4  length of the record in bytes, with this field
 *     4     4  route: low 32 bits of e2e_hash(id); 0 for a name
 *     8     1  kind: 0 name, 1 decision, 2 label, 3 stage
 *
 * name      9  s     text; the n-th name of a batch has id n (from 0)
 *
 * decision  9  1 verdict   10 1 fallback   11 1 direction   12 1 settlement   13 1 form
 *          14  1 dims      15 1 latencies  16 2 features (counts)
 *          18 32 id        50 8 t_ns       58 8 score       66 8 threshold (one fixed NaN = none)
 *          74  8 amount    82 8 hold_deadline_ns            90 8 clock_offset_us
 *          98  s model, s model_version, s model_sha256, s host, s dims[],
 *              latencies[] {2 name, 8 ns}, features[] {2 name, 1 kind, value}
 *              value: null nothing; number 8 (double); category s; bool 1 (0 or 1)
 *
 * label     9  1 truth     10 1 source     11 32 id         43 8 t_ns
 *          51  s source_name, s event_id, s supersedes
 *
 * stage     9  1 outcome   10 1 sla        11 2 stage name  13 4 attempt   17 32 id
 *          49  8 start_ns  57 8 end_ns     65 8 queue_ns    73 8 work_ns   81 8 amount
 *          89  8 clock_offset_us           97 4 partition
 *         101  s reason, s version, s host
 *
 * s = one byte of length, then that many bytes.
 *
 * Invariants: what is written here is accepted by record_next and comes back field for field; equal
 * records have equal bytes. The batch carries no version: the journal's segment header does. */
#include "flow/record.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "flow/e2e.h"
#include "flow/record_int.h"

#include <math.h>
#include <string.h>

_Static_assert(RECORD_STR_MAX == UINT8_MAX, "a string's length is one byte");
_Static_assert(RECORD_DIMS_MAX <= UINT8_MAX && RECORD_LATENCIES_MAX <= UINT8_MAX &&
                   RECORD_FEATURES_MAX <= UINT16_MAX,
               "counts fit their fields");

static bool t_ok(int64_t t_ns)
{
    return t_ns >= 0 && t_ns <= RECORD_T_NS_MAX;
}

static bool within(int64_t v, int64_t max)
{
    return v >= -max && v <= max;
}

static bool amount_ok(int64_t centavos)
{
    return centavos == AMOUNT_NONE || (centavos >= 0 && centavos <= RECORD_AMOUNT_MAX);
}

/* -1 = not given; a little below zero happens when clocks differ, and is for the pillar to
 * judge. */
static bool span_ok(int64_t ns)
{
    return within(ns, RECORD_SPAN_NS_MAX);
}

static bool field(struct err *e, const char *name)
{
    return err_set(e, ERR_INPUT, "field '%s' is out of its range", name);
}

static bool check_lists(const struct decision *d, struct err *e)
{
    if (d->dims_count > RECORD_DIMS_MAX || d->latencies_count > RECORD_LATENCIES_MAX ||
        d->features_count > RECORD_FEATURES_MAX) {
        return err_set(e, ERR_INPUT, "expected at most %d features, %d latencies, %d dimensions",
                       RECORD_FEATURES_MAX, RECORD_LATENCIES_MAX, RECORD_DIMS_MAX);
    }
    for (uint32_t i = 0; i < d->latencies_count; i++) {
        if (!span_ok(d->latencies[i].ns)) {
            return field(e, "latency_us");
        }
    }
    return true;
}

bool record_check_decision(const struct decision *d, struct err *e)
{
    struct e2e id;
    if (!e2e_parse(e2e_str(&d->id), &id, e)) {
        return false;
    }
    if (!t_ok(d->t_ns)) {
        return field(e, "ts");
    }
    /* The model may have timed out, and the pipeline decided without it; else there is a score. */
    bool no_score = isnan(d->score) && d->fallback != FALLBACK_NONE;
    if (!no_score && !(d->score >= 0 && d->score <= 1)) { /* NaN fails too */
        return field(e, "score");
    }
    if (isinf(d->threshold)) {
        return field(e, "threshold");
    }
    if ((unsigned)d->verdict >= VERDICTS || (unsigned)d->fallback >= FALLBACKS ||
        (unsigned)d->direction >= DIRECTIONS || (unsigned)d->settlement >= SETTLEMENTS ||
        (unsigned)d->form >= FORMS) {
        return field(e, "decision, fallback, direction, settlement or form");
    }
    if (!amount_ok(d->amount_centavos)) {
        return field(e, "amount");
    }
    if (d->hold_deadline_ns != T_NS_NONE && !t_ok(d->hold_deadline_ns)) {
        return field(e, "hold_deadline");
    }
    if (!within(d->clock_offset_us, RECORD_OFFSET_US_MAX)) {
        return field(e, "clock_offset_us");
    }
    return check_lists(d, e);
}

bool record_check_label(const struct fraud_label *l, struct err *e)
{
    struct e2e id;
    if (!e2e_parse(e2e_str(&l->id), &id, e)) {
        return false;
    }
    if (!t_ok(l->t_ns)) {
        return field(e, "ts");
    }
    if ((unsigned)l->truth >= TRUTHS || (unsigned)l->source >= LABEL_SOURCES) {
        return field(e, "label or source");
    }
    return true;
}

bool record_check_stage(const struct stage_event *s, struct err *e)
{
    struct e2e id;
    if (!e2e_parse(e2e_str(&s->id), &id, e)) {
        return false;
    }
    if (!t_ok(s->start_ns) || !t_ok(s->end_ns)) {
        return field(e, t_ok(s->end_ns) ? "start_ts" : "end_ts");
    }
    if ((unsigned)s->outcome >= STAGE_OUTCOMES || (unsigned)s->sla >= SLA_SEGMENTS) {
        return field(e, "outcome or sla_segment");
    }
    if (!span_ok(s->queue_ns) || !span_ok(s->work_ns)) {
        return field(e, span_ok(s->queue_ns) ? "work_ns" : "queue_ns");
    }
    if (!amount_ok(s->amount_centavos)) {
        return field(e, "amount");
    }
    if (!within(s->clock_offset_us, RECORD_OFFSET_US_MAX)) {
        return field(e, "clock_offset_us");
    }
    return s->partition >= -1 || field(e, "partition");
}

static size_t str_bytes(struct str s)
{
    return 1 + size_min(s.n, RECORD_STR_MAX);
}

/* Most strings are a few bytes long, for which a call of memcpy costs more than the copy. */
static inline void copy_short(char *to, const char *from, size_t n)
{
    if (n > 16) {
        memcpy(to, from, n);
    } else if (n >= 8) { /* two overlapping halves */
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++) {
            to[i] = from[i];
        }
    }
}

static inline char *put_str(char *p, struct str s)
{
    size_t n = size_min(s.n, RECORD_STR_MAX);
    *p = (char)n;
    copy_short(p + 1, s.p, n);
    return p + 1 + n;
}

static void put_u16(char *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}

static void put_i64(char *p, int64_t v)
{
    memcpy(p, &v, sizeof v);
}

static void put_f64(char *p, double v)
{
    memcpy(p, &v, sizeof v);
}

/* Equal records have equal bytes, and there are many NaNs. */
static double one_nan(double v)
{
    return isnan(v) ? (double)NAN : v;
}

/* Seals a record that begins at `at` and ends at `end`. */
static void finish(struct buf *b, char *at, const char *end, uint32_t route, enum record_kind kind)
{
    size_t n = (size_t)(end - at);
    ASSERT(b->n + n <= b->cap);
    put_u32le(at + REC_LENGTH, (uint32_t)n);
    put_u32le(at + REC_ROUTE, route);
    at[REC_KIND] = (char)kind;
    b->n += n;
}

void record_put_name(struct buf *b, struct str name)
{
    char *at = buf_room(b, NAM_TEXT + str_bytes(name));
    if (at == NULL) {
        return;
    }
    finish(b, at, put_str(at + NAM_TEXT, name), 0, RECORD_NAME);
}

static size_t features_bytes(const struct decision *d)
{
    size_t n = (size_t)d->features_count * FEATURE_BYTES;
    for (uint32_t i = 0; i < d->features_count; i++) {
        if (d->features[i].kind == FEATURE_CATEGORY) {
            n += str_bytes(d->features[i].category);
        }
    }
    return n;
}

static char *put_feature(char *p, const struct feature *f)
{
    put_u16(p, f->name);
    char *v = p + FEATURE_HEAD;
    switch (f->kind) {
    case FEATURE_NUMBER:
        if (!isfinite(f->number)) {
            break;
        }
        p[2] = FEATURE_NUMBER;
        put_f64(v, f->number);
        return v + sizeof(double);
    case FEATURE_CATEGORY: p[2] = FEATURE_CATEGORY; return put_str(v, f->category);
    case FEATURE_BOOL:
        p[2] = FEATURE_BOOL;
        v[0] = f->number != 0 ? 1 : 0;
        return v + 1;
    case FEATURE_NULL: break;
    }
    p[2] = FEATURE_NULL;
    return v;
}

static size_t decision_bytes_max(const struct decision *d)
{
    size_t n = DEC_FIXED + str_bytes(d->model) + str_bytes(d->model_version) +
               str_bytes(d->model_sha256) + str_bytes(d->host) +
               (size_t)d->latencies_count * LATENCY_BYTES + features_bytes(d);
    for (uint32_t i = 0; i < d->dims_count; i++) {
        n += str_bytes(d->dims[i]);
    }
    return n;
}

void record_put_decision(struct buf *b, const struct decision *d)
{
    if (!record_check_decision(d, NULL)) {
        b->failed = true;
        return;
    }
    char *at = buf_room(b, decision_bytes_max(d));
    if (at == NULL) {
        return;
    }
    at[DEC_VERDICT] = (char)d->verdict;
    at[DEC_FALLBACK] = (char)d->fallback;
    at[DEC_DIRECTION] = (char)d->direction;
    at[DEC_SETTLEMENT] = (char)d->settlement;
    at[DEC_FORM] = (char)d->form;
    at[DEC_DIMS] = (char)d->dims_count;
    at[DEC_LATENCIES] = (char)d->latencies_count;
    put_u16(at + DEC_FEATURES, (uint16_t)d->features_count);
    memcpy(at + DEC_ID, d->id.c, E2E_BYTES);
    put_i64(at + DEC_T, d->t_ns);
    put_f64(at + DEC_SCORE, one_nan(d->score));
    put_f64(at + DEC_THRESHOLD, one_nan(d->threshold));
    put_i64(at + DEC_AMOUNT, d->amount_centavos);
    put_i64(at + DEC_HOLD, d->hold_deadline_ns);
    put_i64(at + DEC_OFFSET, d->clock_offset_us);
    char *p = put_str(at + DEC_FIXED, d->model);
    p = put_str(p, d->model_version);
    p = put_str(p, d->model_sha256);
    p = put_str(p, d->host);
    for (uint32_t i = 0; i < d->dims_count; i++) {
        p = put_str(p, d->dims[i]);
    }
    for (uint32_t i = 0; i < d->latencies_count; i++) {
        put_u16(p, d->latencies[i].stage_name);
        put_i64(p + 2, d->latencies[i].ns);
        p += LATENCY_BYTES;
    }
    for (uint32_t i = 0; i < d->features_count; i++) {
        p = put_feature(p, &d->features[i]);
    }
    finish(b, at, p, record_route(e2e_hash(&d->id)), RECORD_DECISION);
}

void record_put_label(struct buf *b, const struct fraud_label *l)
{
    if (!record_check_label(l, NULL)) {
        b->failed = true;
        return;
    }
    char *at = buf_room(b, LAB_FIXED + str_bytes(l->source_name) + str_bytes(l->event_id) +
                               str_bytes(l->supersedes));
    if (at == NULL) {
        return;
    }
    at[LAB_TRUTH] = (char)l->truth;
    at[LAB_SOURCE] = (char)l->source;
    memcpy(at + LAB_ID, l->id.c, E2E_BYTES);
    put_i64(at + LAB_T, l->t_ns);
    char *p = put_str(at + LAB_FIXED, l->source_name);
    p = put_str(p, l->event_id);
    p = put_str(p, l->supersedes);
    finish(b, at, p, record_route(e2e_hash(&l->id)), RECORD_LABEL);
}

void record_put_stage(struct buf *b, const struct stage_event *s)
{
    if (!record_check_stage(s, NULL)) {
        b->failed = true;
        return;
    }
    char *at =
        buf_room(b, STA_FIXED + str_bytes(s->reason) + str_bytes(s->version) + str_bytes(s->host));
    if (at == NULL) {
        return;
    }
    at[STA_OUTCOME] = (char)s->outcome;
    at[STA_SLA] = (char)s->sla;
    put_u16(at + STA_NAME, s->stage_name);
    put_u32le(at + STA_ATTEMPT, s->attempt);
    memcpy(at + STA_ID, s->id.c, E2E_BYTES);
    put_i64(at + STA_START, s->start_ns);
    put_i64(at + STA_END, s->end_ns);
    put_i64(at + STA_QUEUE, s->queue_ns);
    put_i64(at + STA_WORK, s->work_ns);
    put_i64(at + STA_AMOUNT, s->amount_centavos);
    put_i64(at + STA_OFFSET, s->clock_offset_us);
    put_u32le(at + STA_PARTITION, (uint32_t)s->partition);
    char *p = put_str(at + STA_FIXED, s->reason);
    p = put_str(p, s->version);
    p = put_str(p, s->host);
    finish(b, at, p, record_route(e2e_hash(&s->id)), RECORD_STAGE);
}
