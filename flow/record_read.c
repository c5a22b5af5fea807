/* Records, the reading half: bytes to structs, trusting nothing. record.c draws the format.
 *
 * The bytes may be from a disk, so lengths, enumerations, name ids, values and the route itself are
 * checked; damage is ERR_CORRUPT and the reader then stays where it is and says so again. Slices
 * point into the payload, features and latencies into the reader's own arrays. */
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

/* The inside of one record. `failed` is sticky; a failed cursor gives empty values. */
struct cursor {
    const unsigned char *p, *end;
    bool failed;
};

static struct str get_str(struct cursor *c)
{
    size_t left = (size_t)(c->end - c->p);
    if (left == 0 || left - 1 < c->p[0]) {
        c->failed = true;
        return (struct str){NULL, 0};
    }
    struct str s = {(const char *)c->p + 1, c->p[0]};
    c->p += 1 + s.n;
    return s;
}

static uint16_t get_u16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static int64_t get_i64(const unsigned char *p)
{
    int64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static double get_f64(const unsigned char *p)
{
    double v;
    memcpy(&v, p, sizeof v);
    return v;
}

static bool damaged(struct record_reader *r, struct err *e, const char *what)
{
    r->rd.failed = true;
    return err_set(e, ERR_CORRUPT, "record is damaged: %s", what);
}

static void get_id(struct e2e *out, const unsigned char *p)
{
    memcpy(out->c, p, E2E_BYTES);
}

/* The value of a feature whose kind was read; false when the bytes are not such a value. */
static bool get_value(struct cursor *c, struct feature *f)
{
    size_t left = (size_t)(c->end - c->p);
    f->number = 0;
    f->category = (struct str){NULL, 0};
    switch (f->kind) {
    case FEATURE_NULL: return true;
    case FEATURE_NUMBER:
        if (left < sizeof(double)) {
            return false;
        }
        f->number = get_f64(c->p);
        c->p += sizeof(double);
        return isfinite(f->number);
    case FEATURE_CATEGORY: f->category = get_str(c); return !c->failed;
    case FEATURE_BOOL:
        if (left < 1 || c->p[0] > 1) {
            return false;
        }
        f->number = c->p[0];
        c->p += 1;
        return true;
    }
    return false;
}

static bool get_features(struct record_reader *r, struct cursor *c, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (c->end - c->p < FEATURE_HEAD) {
            return false;
        }
        struct feature *f = &r->features[i];
        f->name = get_u16(c->p);
        unsigned kind = c->p[2];
        if (f->name >= r->names_count || kind > FEATURE_BOOL) {
            return false;
        }
        f->kind = (enum feature_kind)kind;
        c->p += FEATURE_HEAD;
        if (!get_value(c, f)) {
            return false;
        }
    }
    return true;
}

static bool get_latencies(struct record_reader *r, struct cursor *c, uint32_t count)
{
    if ((size_t)(c->end - c->p) < (size_t)count * LATENCY_BYTES) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        r->latencies[i].stage_name = get_u16(c->p);
        r->latencies[i].ns = get_i64(c->p + 2);
        if (r->latencies[i].stage_name >= r->names_count) {
            return false;
        }
        c->p += LATENCY_BYTES;
    }
    return true;
}

static bool get_decision(struct record_reader *r, const unsigned char *at, size_t n,
                         struct decision *d, struct err *e)
{
    if (n < DEC_FIXED) {
        return damaged(r, e, "a decision is too short");
    }
    get_id(&d->id, at + DEC_ID);
    d->verdict = (enum verdict)at[DEC_VERDICT];
    d->fallback = (enum fallback)at[DEC_FALLBACK];
    d->direction = (enum direction)at[DEC_DIRECTION];
    d->settlement = (enum settlement)at[DEC_SETTLEMENT];
    d->form = (enum form)at[DEC_FORM];
    d->t_ns = get_i64(at + DEC_T);
    d->score = get_f64(at + DEC_SCORE);
    d->threshold = get_f64(at + DEC_THRESHOLD);
    d->amount_centavos = get_i64(at + DEC_AMOUNT);
    d->hold_deadline_ns = get_i64(at + DEC_HOLD);
    d->clock_offset_us = get_i64(at + DEC_OFFSET);
    d->dims_count = at[DEC_DIMS];
    d->latencies_count = at[DEC_LATENCIES];
    d->features_count = get_u16(at + DEC_FEATURES);
    if (d->dims_count > RECORD_DIMS_MAX || d->latencies_count > RECORD_LATENCIES_MAX ||
        d->features_count > RECORD_FEATURES_MAX) {
        return damaged(r, e, "a decision's counts are too large");
    }
    d->score = isnan(d->score) ? (double)NAN : d->score;
    d->threshold = isnan(d->threshold) ? (double)NAN : d->threshold;
    struct cursor c = {at + DEC_FIXED, at + n, false};
    d->model = get_str(&c);
    d->model_version = get_str(&c);
    d->model_sha256 = get_str(&c);
    d->host = get_str(&c);
    for (uint32_t i = 0; i < RECORD_DIMS_MAX; i++) {
        d->dims[i] = i < d->dims_count ? get_str(&c) : (struct str){NULL, 0};
    }
    d->latencies = r->latencies;
    d->features = r->features;
    if (c.failed || !get_latencies(r, &c, d->latencies_count) ||
        !get_features(r, &c, d->features_count) || c.p != c.end) {
        return damaged(r, e, "a decision's lists do not fit it");
    }
    return record_check_decision(d, NULL) || damaged(r, e, "a decision's value is out of range");
}

static bool get_label(struct record_reader *r, const unsigned char *at, size_t n,
                      struct fraud_label *l, struct err *e)
{
    if (n < LAB_FIXED) {
        return damaged(r, e, "a label is too short");
    }
    get_id(&l->id, at + LAB_ID);
    l->truth = (enum truth)at[LAB_TRUTH];
    l->source = (enum label_source)at[LAB_SOURCE];
    l->t_ns = get_i64(at + LAB_T);
    struct cursor c = {at + LAB_FIXED, at + n, false};
    l->source_name = get_str(&c);
    l->event_id = get_str(&c);
    l->supersedes = get_str(&c);
    if (c.failed || c.p != c.end) {
        return damaged(r, e, "a label's strings do not fit it");
    }
    return record_check_label(l, NULL) || damaged(r, e, "a label's value is out of range");
}

static bool get_stage(struct record_reader *r, const unsigned char *at, size_t n,
                      struct stage_event *s, struct err *e)
{
    if (n < STA_FIXED) {
        return damaged(r, e, "a stage event is too short");
    }
    get_id(&s->id, at + STA_ID);
    s->outcome = (enum stage_outcome)at[STA_OUTCOME];
    s->sla = (enum sla_segment)at[STA_SLA];
    s->stage_name = get_u16(at + STA_NAME);
    s->attempt = get_u32le(at + STA_ATTEMPT);
    s->start_ns = get_i64(at + STA_START);
    s->end_ns = get_i64(at + STA_END);
    s->queue_ns = get_i64(at + STA_QUEUE);
    s->work_ns = get_i64(at + STA_WORK);
    s->amount_centavos = get_i64(at + STA_AMOUNT);
    s->clock_offset_us = get_i64(at + STA_OFFSET);
    s->partition = (int32_t)get_u32le(at + STA_PARTITION);
    struct cursor c = {at + STA_FIXED, at + n, false};
    s->reason = get_str(&c);
    s->version = get_str(&c);
    s->host = get_str(&c);
    if (c.failed || c.p != c.end || s->stage_name >= r->names_count) {
        return damaged(r, e, "a stage event's strings or name do not fit it");
    }
    return record_check_stage(s, NULL) || damaged(r, e, "a stage event's value is out of range");
}

static bool get_name(struct record_reader *r, const unsigned char *at, size_t n, struct err *e)
{
    struct cursor c = {at + NAM_TEXT, at + n, false};
    struct str name = get_str(&c);
    if (c.failed || c.p != c.end || get_u32le(at + REC_ROUTE) != 0) {
        return damaged(r, e, "a name does not fit its length");
    }
    if (r->names_count == RECORD_NAMES_MAX) {
        return damaged(r, e, "a batch has too many names");
    }
    r->names[r->names_count++] = name;
    return true;
}

static bool get_record(struct record_reader *r, const unsigned char *at, size_t n,
                       struct record *out, struct err *e)
{
    const struct e2e *id;
    switch (out->kind) {
    case RECORD_DECISION:
        if (!get_decision(r, at, n, &out->u.decision, e)) {
            return false;
        }
        id = &out->u.decision.id;
        break;
    case RECORD_LABEL:
        if (!get_label(r, at, n, &out->u.label, e)) {
            return false;
        }
        id = &out->u.label.id;
        break;
    case RECORD_STAGE:
        if (!get_stage(r, at, n, &out->u.stage, e)) {
            return false;
        }
        id = &out->u.stage.id;
        break;
    case RECORD_NAME:
    default: return damaged(r, e, "its kind is not known");
    }
    out->hash = e2e_hash(id);
    out->route = record_route(out->hash);
    return out->route == get_u32le(at + REC_ROUTE) ||
           damaged(r, e, "its route is not that of its id");
}

void record_reader_init(struct record_reader *r, struct str payload, uint32_t shard,
                        uint32_t shards)
{
    ASSERT(shards > 0 && shard < shards);
    r->rd = rd_of(payload);
    r->shard = shard;
    r->shards = shards;
    r->names_count = 0; /* the arrays stay as they are: only what is counted is read */
    r->records = 0;
}

bool record_next(struct record_reader *r, struct record *out, struct err *e)
{
    if (r->rd.failed) {
        return err_set(e, ERR_CORRUPT, "record is damaged: an earlier one was");
    }
    while (r->rd.p != r->rd.end) {
        const unsigned char *at = r->rd.p;
        size_t left = rd_left(&r->rd);
        if (left < REC_HEAD) {
            return damaged(r, e, "its header is cut");
        }
        size_t n = get_u32le(at + REC_LENGTH);
        if (n < REC_HEAD || n > left) {
            return damaged(r, e, "its length does not fit the batch");
        }
        unsigned kind = at[REC_KIND];
        if (kind == RECORD_NAME) {
            if (!get_name(r, at, n, e)) {
                return false;
            }
            r->rd.p = at + n;
            continue;
        }
        if (r->shards > 1 && record_shard(get_u32le(at + REC_ROUTE), r->shards) != r->shard) {
            r->rd.p = at + n;
            continue;
        }
        out->kind = (enum record_kind)(kind < RECORD_KINDS ? kind : RECORD_NAME);
        if (!get_record(r, at, n, out, e)) {
            return false;
        }
        r->rd.p = at + n;
        r->records++;
        return true;
    }
    err_clear(e);
    return false;
}
