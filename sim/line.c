/* One NDJSON line of schema farol.pix/1 per event, written straight into the buffer.
 *
 * This is the hot path (eight lines a transaction): room is asked for once a line, then bytes are
 * copied and integers printed two digits at a time; nothing here formats with printf and nothing
 * needs escaping, because every text is from our own tables or was checked to be plain when it was
 * read. Invariant: a line is at most SIM_LINE_BYTES_MAX bytes (asserted after writing). */
#include "sim/sim_int.h"

#include <math.h>

const struct str sim_stage_names[SIM_STAGES] = {
    STR_INIT("ingest"), STR_INIT("enrich"), STR_INIT("features"), STR_INIT("score"),
    STR_INIT("decide"), STR_INIT("act"),    STR_INIT("settle"),
};
const struct str sim_key_names[SIM_KEYS] = {
    STR_INIT("CPF"),   STR_INIT("CNPJ"), STR_INIT("PHONE"),
    STR_INIT("EMAIL"), STR_INIT("EVP"),  STR_INIT("none"),
};

#define LIT(p, text) lit((p), "" text, sizeof(text) - 1)

static inline char *lit(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

static inline char *put_str(char *p, struct str s)
{
    return lit(p, s.p, s.n);
}

static inline char *put_u64(char *p, uint64_t v)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char text[20];
    size_t i = sizeof text;
    while (v >= 100) {
        i -= 2;
        memcpy(text + i, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        i -= 2;
        memcpy(text + i, pairs + v * 2, 2);
    } else {
        text[--i] = (char)('0' + v);
    }
    return lit(p, text + i, sizeof text - i);
}

static inline char *put_i64(char *p, int64_t v)
{
    if (v < 0) {
        *p++ = '-';
        return put_u64(p, -(uint64_t)v);
    }
    return put_u64(p, (uint64_t)v);
}

/* v / 10^dp with exactly dp fraction digits. */
static char *put_fixed(char *p, int64_t v, int dp)
{
    static const uint64_t unit[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    if (v < 0) {
        *p++ = '-';
    }
    p = put_u64(p, u / unit[dp]);
    if (dp > 0) {
        *p++ = '.';
        uint64_t rest = u % unit[dp];
        for (int i = dp - 1; i >= 0; i--) {
            p[i] = (char)('0' + rest % 10);
            rest /= 10;
        }
        p += dp;
    }
    return p;
}

/* A keyed token as the door of a real pipeline would carry it: t1_ and 26 base32 characters. */
static char *put_token(char *p, uint64_t seed, uint64_t kind, uint64_t id)
{
    static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint64_t a = sim_mix(seed ^ kind, id), b = sim_mix(a, kind);
    p = LIT(p, "t1_");
    for (int i = 0; i < 26; i++) {
        *p++ = base32[(i < 13 ? a >> (i * 4) : b >> ((i - 13) * 4)) & 31];
    }
    return p;
}

static int64_t host_offset_us(struct sim *s, uint8_t stage, uint8_t host, int64_t t)
{
    /* Good clocks are within 300 us of the truth, each by its own constant. */
    int64_t us = (int64_t)(sim_mix(s->run.seed ^ 0x636c6f636bULL, stage * 64U + host) % 601) - 300;
    struct fault_state *f = sim_fault_at(s, SIM_CLOCK_SKEW, t);
    if (f) {
        struct str want = str_from_c(f->f.host), name = sim_stage_names[stage];
        uint64_t n = 0;
        if (want.n > name.n + 1 && str_starts(want, name) && want.p[name.n] == '-' &&
            str_to_u64(str_sub(want, name.n + 1, want.n), &n) && n == host + 1U) {
            f->affected++;
            us += f->f.ns / NS_PER_US;
        }
    }
    return us;
}

static char *put_host(char *p, uint8_t stage, uint8_t host)
{
    p = LIT(p, ",\"host\":\"");
    p = put_str(p, sim_stage_names[stage]);
    *p++ = '-';
    p = put_u64(p, host + 1U);
    *p++ = '"';
    return p;
}

static char *stage_line(struct sim *s, const struct tx *t, const struct step *q, char *p)
{
    int64_t us = host_offset_us(s, q->stage, q->host, q->end);
    int64_t add = us * NS_PER_US;
    p = LIT(p, "{\"type\":\"stage\",\"schema\":\"farol.pix/1\",\"e2e_id\":\"");
    p = lit(p, t->id.c, E2E_BYTES);
    p = LIT(p, "\",\"stage\":\"");
    p = put_str(p, sim_stage_names[q->stage]);
    p = LIT(p, "\",\"outcome\":\"");
    p = put_str(p, stage_outcome_text((enum stage_outcome)q->outcome));
    p = LIT(p, "\",\"attempt\":");
    p = put_u64(p, q->attempt);
    p = LIT(p, ",\"start_ts\":");
    p = put_i64(p, q->start + add);
    p = LIT(p, ",\"end_ts\":");
    p = put_i64(p, q->end + add);
    p = LIT(p, ",\"ts\":");
    p = put_i64(p, q->end + add);
    p = LIT(p, ",\"queue_ns\":");
    p = put_i64(p, q->queue);
    p = LIT(p, ",\"work_ns\":");
    p = put_i64(p, q->end - q->start - q->queue);
    p = LIT(p, ",\"amount\":");
    p = put_i64(p, t->amount);
    p = LIT(p, ",\"partition\":");
    p = put_u64(p, sim_mix(5, t->number) % 12);
    p = put_host(p, q->stage, q->host);
    p = LIT(p, ",\"clock_offset_us\":");
    p = put_i64(p, us);
    p = LIT(p, ",\"version\":\"");
    struct str version = q->stage == ST_SCORE ? s->c.model.version : s->c.stages.version;
    p = put_str(p, q->version ? str_from_c(s->faults[q->version - 1].f.version) : version);
    if (q->reason) {
        p = LIT(p, "\",\"reason\":\"");
        p = put_str(p, str_from_c(q->reason));
    }
    if (q->stage == ST_ACT || q->stage == ST_SETTLE) {
        p = LIT(p, "\",\"sla_segment\":\"");
        p = q->stage == ST_SETTLE          ? LIT(p, "t6a_t0")
            : t->direction == DIRECTION_IN ? LIT(p, "t3_t2")
                                           : LIT(p, "t1_t0");
    }
    return LIT(p, "\"}\n");
}

static char *put_features(const struct tx *t, char *p)
{
    p = LIT(p, ",\"features\":{");
    for (int i = 0; i < SIM_NUMBERS; i++) {
        *p++ = '"';
        p = put_str(p, str_from_c(sim_numbers[i].name));
        p = LIT(p, "\":");
        p = t->values[i] == NUMBER_NULL ? LIT(p, "null")
                                        : put_fixed(p, t->values[i], sim_numbers[i].dp);
        *p++ = ',';
    }
    for (int i = 0; i < SIM_CATEGORIES; i++) {
        *p++ = '"';
        p = put_str(p, str_from_c(sim_categories[i].name));
        p = LIT(p, "\":\"");
        p = put_str(p, sim_categories[i].values[t->values_cat[i]]);
        p = LIT(p, "\",");
    }
    return t->active_call ? LIT(p, "\"active_call\":true}") : LIT(p, "\"active_call\":false}");
}

static char *put_people(const struct sim *s, const struct tx *t, char *p)
{
    bool payer_pf = t->kind == KIND_P2P || t->kind == KIND_P2B;
    bool payee_pf = t->kind == KIND_P2P || t->kind == KIND_B2P;
    p = LIT(p, ",\"key_type\":\"");
    p = put_str(p, sim_key_names[t->key]);
    p = LIT(p, "\",\"payer_ispb\":\"");
    p = lit(p, t->payer_ispb, 8);
    p = LIT(p, "\",\"payee_ispb\":\"");
    p = lit(p, t->payee_ispb, 8);
    p = LIT(p, "\",\"payer_type\":\"");
    p = payer_pf ? LIT(p, "PF") : LIT(p, "PJ");
    p = LIT(p, "\",\"payee_type\":\"");
    p = payee_pf ? LIT(p, "PF") : LIT(p, "PJ");
    p = LIT(p, "\",\"payer_ref\":\"");
    p = put_token(p, s->people.seed, 1, t->payer);
    p = LIT(p, "\",\"payee_ref\":\"");
    p = put_token(p, s->people.seed, 2, t->payee);
    p = LIT(p, "\",\"device_ref\":\"");
    p = put_token(p, s->people.seed, 3, t->device);
    p = LIT(p, "\",\"device_registered\":");
    p = t->new_device ? LIT(p, "false") : LIT(p, "true");
    p = LIT(p, ",\"channel\":\"");
    p = put_str(p, sim_categories[C_CHANNEL].values[t->values_cat[C_CHANNEL]]);
    return LIT(p, "\"");
}

static char *put_model(const struct sim *s, const struct tx *t, char *p)
{
    struct str version = s->c.model.version;
    if (t->model_version) {
        version = str_from_c(s->faults[t->model_version - 1].f.version);
    }
    p = LIT(p, ",\"decision\":\"");
    p = put_str(p, verdict_text((enum verdict)t->verdict));
    p = LIT(p, "\",\"score\":");
    p = put_fixed(p, (int64_t)llround(t->score * 1e6), 6);
    p = LIT(p, ",\"threshold\":");
    p = put_fixed(p, (int64_t)llround(t->threshold * 1e6), 6);
    p = LIT(p, ",\"model_id\":\"");
    p = put_str(p, s->c.model.name);
    p = LIT(p, "\",\"model_version\":\"");
    p = put_str(p, version);
    p = LIT(p, "\",\"model_sha256\":\"");
    p = put_str(p, s->c.model.sha256);
    p = LIT(p, "\",\"fallback\":\"");
    p = put_str(p, fallback_text((enum fallback)t->fallback));
    *p++ = '"';
    if (t->hold_deadline != T_NS_NONE) {
        p = LIT(p, ",\"hold_deadline\":");
        p = put_i64(p, t->hold_deadline);
    }
    p = LIT(p, ",\"latency_us\":{");
    for (int i = 0; i <= ST_DECIDE; i++) {
        p = i == 0 ? LIT(p, "\"") : LIT(p, ",\"");
        p = put_str(p, sim_stage_names[i]);
        p = LIT(p, "\":");
        p = put_i64(p, t->latency_ns[i] / NS_PER_US);
    }
    return LIT(p, "}");
}

static char *decision_line(struct sim *s, const struct tx *t, const struct step *q, char *p)
{
    int64_t us = host_offset_us(s, ST_DECIDE, q->host, q->end);
    p = LIT(p, "{\"type\":\"decision\",\"schema\":\"farol.pix/1\",\"e2e_id\":\"");
    p = lit(p, t->id.c, E2E_BYTES);
    p = LIT(p, "\",\"ts\":");
    p = put_i64(p, q->end + us * NS_PER_US);
    p = LIT(p, ",\"t0_accept\":");
    p = put_i64(p, t->t0);
    p = LIT(p, ",\"direction\":\"");
    p = put_str(p, direction_text((enum direction)t->direction));
    p = LIT(p, "\",\"settlement\":\"");
    p = put_str(p, settlement_text((enum settlement)t->settlement));
    p = LIT(p, "\",\"form\":\"");
    p = put_str(p, form_text((enum form)t->form));
    p = LIT(p, "\",\"amount\":");
    p = put_i64(p, t->amount);
    p = put_people(s, t, p);
    p = put_model(s, t, p);
    p = put_host(p, ST_DECIDE, q->host);
    p = LIT(p, ",\"clock_offset_us\":");
    p = put_i64(p, us);
    if (t->with_features) {
        p = put_features(t, p);
    }
    return LIT(p, "}\n");
}

void sim_line_step(struct sim *s, const struct tx *t, const struct step *q, struct buf *out)
{
    char *p = buf_room(out, SIM_LINE_BYTES_MAX);
    if (!p) {
        return;
    }
    char *end = q->stage == STEP_DECISION ? decision_line(s, t, q, p) : stage_line(s, t, q, p);
    ASSERT(end - p <= SIM_LINE_BYTES_MAX);
    out->n += (size_t)(end - p);
}

/* A UUIDv7 (RFC 9562): 48 bits of milliseconds, the rest from the label's identity. */
static char *put_uuid(char *p, int64_t t_ns, uint64_t seed, uint64_t number, uint8_t sequence)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t a = (uint64_t)ms_from_ns(t_ns) << 16;
    uint64_t b = sim_mix(seed ^ sequence, number);
    a |= 0x7000 | (sim_mix(b, number) & 0xfff);
    b = (b & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            *p++ = '-';
        }
        uint64_t w = i < 16 ? a : b;
        *p++ = hex[w >> (60 - i % 16 * 4) & 15];
    }
    return p;
}

static char *put_case(struct sim *s, const struct label_slot *l, char *p)
{
    bool agreed = l->truth == TRUTH_FRAUD;
    p = LIT(p, ",\"case_id\":\"");
    p = put_uuid(p, l->contested, s->run.seed, l->number, 3);
    p = LIT(p, "\",\"case_status\":\"CLOSED\",\"analysis_result\":\"");
    p = agreed ? LIT(p, "AGREED") : LIT(p, "DISAGREED");
    p = LIT(p, "\",\"contested_ts\":");
    p = put_i64(p, l->contested);
    p = LIT(p, ",\"analysed_ts\":");
    p = put_i64(p, l->t);
    if (agreed) { /* 6 in 100 get all back, the others a part or nothing: together the share */
        double u = sim_u01(s->run.seed ^ 0x726566, l->number);
        double share = s->c.labels.refund_share;
        bool all = u < share * 2 / 3, part = !all && u < share * 2;
        int64_t back = all ? l->amount : part ? l->amount / 4 : 0;
        p = LIT(p, ",\"refund_outcome\":\"");
        p = all ? LIT(p, "TOTALLY") : part ? LIT(p, "PARTIALLY") : LIT(p, "NOT");
        p = LIT(p, "\",\"refund_centavos\":");
        p = put_i64(p, back);
    }
    return p;
}

static struct str kind_of(const struct label_slot *l)
{
    static const struct str kinds[SIM_PATTERNS] = {
        STR_INIT("scam"),  STR_INIT("scam"),  STR_INIT("account_takeover"),
        STR_INIT("mule"),  STR_INIT("scam"),  STR_INIT("application"),
        STR_INIT("other"), STR_INIT("other"),
    };
    return l->pattern < SIM_PATTERNS ? kinds[l->pattern] : STR("other");
}

void sim_line_label(struct sim *s, const struct label_slot *l, struct buf *out)
{
    char *start = buf_room(out, SIM_LINE_BYTES_MAX);
    if (!start) {
        return;
    }
    char *p = LIT(start, "{\"type\":\"label\",\"schema\":\"farol.pix/1\",\"event_id\":\"");
    p = put_uuid(p, l->t, s->run.seed, l->number, l->sequence);
    p = LIT(p, "\",\"e2e_id\":\"");
    p = lit(p, l->id.c, E2E_BYTES);
    p = LIT(p, "\",\"ts\":");
    p = put_i64(p, l->t);
    p = LIT(p, ",\"label\":\"");
    p = put_str(p, truth_text((enum truth)l->truth));
    p = LIT(p, "\",\"source\":\"");
    p = put_str(p, label_source_text((enum label_source)l->source));
    *p++ = '"';
    if (l->truth == TRUTH_FRAUD) {
        p = LIT(p, ",\"fraud_kind\":\"");
        p = put_str(p, kind_of(l));
        *p++ = '"';
    }
    if (l->source == SOURCE_MED_INFRACTION) {
        p = put_case(s, l, p);
    }
    if (l->supersedes) {
        p = LIT(p, ",\"supersedes\":\"");
        p = put_uuid(p, l->first_t, s->run.seed, l->number, 0);
        *p++ = '"';
    }
    p = LIT(p, "}\n");
    ASSERT(p - start <= SIM_LINE_BYTES_MAX);
    out->n += (size_t)(p - start);
}
