/* The fields of schema farol.pix/1 that Farol carries, as tables: one row adds a field.
 *
 * Exists so that the built-in mapping, the check of a user's mapping and the decoder agree on
 * names, types and bounds. Source: domain.md section 6. What is absent here is not carried,
 * whatever the sender puts into the line. */
#include "ingest/ndjson/map_int.h"

#include "base/base.h"
#include "flow/record.h"

#include <stddef.h>

_Static_assert(sizeof(enum verdict) == sizeof(uint32_t), "enumerations are stored by memcpy");

enum { UNLESS_FALLBACK = 2 }; /* a kind of required, beside true */

#define FIELD(rec, member, n, al, t, req, w, lo, hi)                                              \
    {                                                                                             \
        .name = STR_INIT(n), .alias = STR_INIT(al), .type = NDJSON_T_##t, .required = (req) != 0, \
        .unless_fallback = (req) == UNLESS_FALLBACK,                                              \
        .offset = (uint32_t)offsetof(struct rec, member), .words = NDJSON_W_##w, .min = (lo),     \
        .max = (hi)                                                                               \
    }
#define D(member, n, al, t, req, w, lo, hi) FIELD(decision, member, n, al, t, req, w, lo, hi)
#define L(member, n, al, t, req, w, lo, hi) FIELD(fraud_label, member, n, al, t, req, w, lo, hi)
#define S(member, n, al, t, req, w, lo, hi) FIELD(stage_event, member, n, al, t, req, w, lo, hi)

static const struct ndjson_field decision_fields[] = {
    D(id, "id", "e2e_id", E2E, true, NONE, 0, 0),
    D(t_ns, "ts", "", TIME, true, NONE, 0, 0),
    D(score, "score", "", UNIT, UNLESS_FALLBACK, NONE, 0, 0),
    D(verdict, "decision", "", WORD, true, VERDICT, 0, 0),
    D(threshold, "threshold", "", UNIT, false, NONE, 0, 0),
    D(fallback, "fallback", "", WORD, false, FALLBACK, 0, 0),
    D(direction, "direction", "", WORD, false, DIRECTION, 0, 0),
    D(settlement, "settlement", "", WORD, false, SETTLEMENT, 0, 0),
    D(form, "form", "", WORD, false, FORM, 0, 0),
    D(amount_centavos, "amount", "", MONEY, false, NONE, 0, 0),
    D(hold_deadline_ns, "hold_deadline", "", TIME, false, NONE, 0, 0),
    D(clock_offset_us, "clock_offset_us", "", I64, false, NONE, -RECORD_OFFSET_US_MAX,
      RECORD_OFFSET_US_MAX),
    D(model, "model", "model_id", STR, false, NONE, 0, 0),
    D(model_version, "model_version", "", STR, false, NONE, 0, 0),
    D(model_sha256, "model_sha256", "", STR, false, NONE, 0, 0),
    D(host, "host", "", STR, false, NONE, 0, 0),
    D(latencies, "latency_us", "", LATENCY, false, NONE, 0, 0),
};

static const struct ndjson_field label_fields[] = {
    L(id, "id", "e2e_id", E2E, true, NONE, 0, 0),
    L(t_ns, "ts", "", TIME, true, NONE, 0, 0),
    L(truth, "label", "", WORD, true, TRUTH, 0, 0),
    L(source, "source", "", SOURCE, false, SOURCE, 0, 0),
    L(event_id, "event_id", "", STR, false, NONE, 0, 0),
    L(supersedes, "supersedes", "", STR, false, NONE, 0, 0),
};

static const struct ndjson_field stage_fields[] = {
    S(id, "e2e_id", "id", E2E, true, NONE, 0, 0),
    S(stage_name, "stage", "", NAME, true, NONE, 0, 0),
    S(outcome, "outcome", "", WORD, true, OUTCOME, 0, 0),
    S(end_ns, "end_ts", "ts", TIME, true, NONE, 0, 0),
    S(start_ns, "start_ts", "", TIME, false, NONE, 0, 0),
    S(attempt, "attempt", "", U32, false, NONE, 1, UINT32_MAX),
    S(queue_ns, "queue_ns", "", SPAN, false, NONE, -RECORD_SPAN_NS_MAX, RECORD_SPAN_NS_MAX),
    S(work_ns, "work_ns", "", SPAN, false, NONE, -RECORD_SPAN_NS_MAX, RECORD_SPAN_NS_MAX),
    S(amount_centavos, "amount", "", MONEY, false, NONE, 0, 0),
    S(clock_offset_us, "clock_offset_us", "", I64, false, NONE, -RECORD_OFFSET_US_MAX,
      RECORD_OFFSET_US_MAX),
    S(partition, "partition", "", I32, false, NONE, -1, INT32_MAX),
    S(sla, "sla_segment", "", WORD, false, SLA, 0, 0),
    S(reason, "reason", "", STR, false, NONE, 0, 0),
    S(version, "version", "", STR, false, NONE, 0, 0),
    S(host, "host", "", STR, false, NONE, 0, 0),
};

_Static_assert(ARRAY_LEN(decision_fields) <= NDJSON_BINDINGS_MAX, "one binding a field");
_Static_assert(ARRAY_LEN(stage_fields) <= NDJSON_BINDINGS_MAX, "one binding a field");

/* Classes P0 and P2 only: no token, no reference to a person. */
static const struct str dim_fields[] = {
    STR_INIT("purpose"),         STR_INIT("service_level"),   STR_INIT("key_type"),
    STR_INIT("payer_ispb"),      STR_INIT("payee_ispb"),      STR_INIT("initiator_ispb"),
    STR_INIT("payer_type"),      STR_INIT("payee_type"),      STR_INIT("payer_acct_type"),
    STR_INIT("payee_acct_type"), STR_INIT("channel"),         STR_INIT("device_registered"),
    STR_INIT("region"),          STR_INIT("ruleset_version"), STR_INIT("feature_set_version"),
    STR_INIT("policy_version"),  STR_INIT("legal_basis"),     STR_INIT("env"),
    STR_INIT("pipeline"),        STR_INIT("producer"),
};

struct ndjson_field_list ndjson_schema_fields(enum record_kind k)
{
    switch (k) {
    case RECORD_DECISION:
        return (struct ndjson_field_list){decision_fields, ARRAY_LEN(decision_fields)};
    case RECORD_LABEL: return (struct ndjson_field_list){label_fields, ARRAY_LEN(label_fields)};
    case RECORD_STAGE: return (struct ndjson_field_list){stage_fields, ARRAY_LEN(stage_fields)};
    case RECORD_NAME: break;
    }
    return (struct ndjson_field_list){NULL, 0};
}

struct str ndjson_kind_text(enum record_kind k)
{
    static const struct str text[RECORD_KINDS] = {STR_INIT("unknown"), STR_INIT("decision"),
                                                  STR_INIT("label"), STR_INIT("stage")};
    return text[k];
}

const struct ndjson_field *ndjson_field_find(enum record_kind k, struct str name)
{
    struct ndjson_field_list f = ndjson_schema_fields(k);
    for (uint32_t i = 0; i < f.count; i++) {
        if (str_eq(f.v[i].name, name) || (name.n > 0 && str_eq(f.v[i].alias, name))) {
            return &f.v[i];
        }
    }
    return NULL;
}

bool ndjson_dim_field(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(dim_fields); i++) {
        if (str_eq(dim_fields[i], name)) {
            return true;
        }
    }
    return false;
}

uint32_t ndjson_words_count(enum ndjson_words set)
{
    switch (set) {
    case NDJSON_W_NONE: return 0;
    case NDJSON_W_VERDICT: return VERDICTS;
    case NDJSON_W_FALLBACK: return FALLBACKS;
    case NDJSON_W_DIRECTION: return DIRECTIONS;
    case NDJSON_W_SETTLEMENT: return SETTLEMENTS;
    case NDJSON_W_FORM: return FORMS;
    case NDJSON_W_TRUTH: return TRUTHS;
    case NDJSON_W_SOURCE: return LABEL_SOURCES;
    case NDJSON_W_OUTCOME: return STAGE_OUTCOMES;
    case NDJSON_W_SLA: return SLA_SEGMENTS;
    case NDJSON_W_KIND: return RECORD_KINDS;
    }
    return 0;
}

struct str ndjson_word_at(enum ndjson_words set, uint32_t code)
{
    switch (set) {
    case NDJSON_W_NONE: break;
    case NDJSON_W_VERDICT: return verdict_text((enum verdict)code);
    case NDJSON_W_FALLBACK: return fallback_text((enum fallback)code);
    case NDJSON_W_DIRECTION: return direction_text((enum direction)code);
    case NDJSON_W_SETTLEMENT: return settlement_text((enum settlement)code);
    case NDJSON_W_FORM: return form_text((enum form)code);
    case NDJSON_W_TRUTH: return truth_text((enum truth)code);
    case NDJSON_W_SOURCE: return label_source_text((enum label_source)code);
    case NDJSON_W_OUTCOME: return stage_outcome_text((enum stage_outcome)code);
    case NDJSON_W_SLA: return sla_segment_text((enum sla_segment)code);
    case NDJSON_W_KIND:
        /* Number 0 is the name record, which no sender may name. */
        return code == RECORD_NAME ? (struct str){NULL, 0}
                                   : ndjson_kind_text((enum record_kind)code);
    }
    return (struct str){NULL, 0};
}

bool ndjson_word_code(struct ndjson_word_list words, struct str text, uint32_t *code)
{
    for (uint32_t i = 0; i < words.count; i++) {
        if (str_eq(words.v[i].text, text)) {
            *code = words.v[i].code;
            return true;
        }
    }
    return false;
}
