/* Records: what travels the river. Decoders make them, pillars read them, nobody parses twice.
 *
 * Structs over slices; the slices borrow from whatever they were read from. A record's encoded form
 * is at once the form in memory between threads and the form in the journal; record.c draws it.
 * Encoded records do not depend on the number of shards: each carries its routing hash, and shard k
 * of N takes those with hash % N == k.
 *
 * Field meanings: schema farol.pix/1, domain.md section 6. Only these fields exist inside Farol:
 * what a mapping does not name is not carried (allow-list), and no field here identifies a
 * person. */
#ifndef FLOW_RECORD_H
#define FLOW_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "flow/e2e.h"

#define RECORD_FEATURES_MAX  1024
#define RECORD_DIMS_MAX      8
#define RECORD_LATENCIES_MAX 16
#define RECORD_NAMES_MAX     4096 /* distinct names in one batch */
#define RECORD_STR_MAX       255  /* longer strings are cut by the decoder, which counts it */
#define AMOUNT_NONE          INT64_MIN

/* Bounds of values, so that pillars may add and subtract without overflow. */
#define RECORD_T_NS_MAX      (7258118400LL * NS_PER_S) /* 2200-01-01; times are 0..this */
#define RECORD_SPAN_NS_MAX   (10000000LL * NS_PER_S)   /* |latency|, queue, work: 115 days */
#define RECORD_OFFSET_US_MAX 1000000000000LL           /* |clock offset|: 11 days */
#define RECORD_AMOUNT_MAX    1000000000000000LL        /* centavos, 0..this: R$ 10 trillion */

enum record_kind { RECORD_NAME = 0, RECORD_DECISION = 1, RECORD_LABEL = 2, RECORD_STAGE = 3 };
#define RECORD_KINDS 4

/* Enumerations keep these numbers on disk; add at the end only. *_text give the schema's words. */
enum verdict {
    VERDICT_APPROVE,
    VERDICT_HOLD,
    VERDICT_DENY,
    VERDICT_CAUTELAR_BLOCK,
    VERDICT_STEP_UP
};
#define VERDICTS 5
enum fallback {
    FALLBACK_NONE,
    FALLBACK_MODEL,
    FALLBACK_FEATURES,
    FALLBACK_DICT,
    FALLBACK_RULES,
    FALLBACK_TIMEOUT
};
#define FALLBACKS 6
enum direction { DIRECTION_NONE, DIRECTION_OUT, DIRECTION_IN, DIRECTION_INTERNAL };
#define DIRECTIONS 4
enum settlement {
    SETTLEMENT_NONE,
    SETTLEMENT_SPI_PRIMARY,
    SETTLEMENT_SPI_SECONDARY,
    SETTLEMENT_INTERNAL
};
#define SETTLEMENTS 4
enum form {
    FORM_NONE,
    FORM_MANU,
    FORM_DICT,
    FORM_QRES,
    FORM_QRDN,
    FORM_INIC,
    FORM_AUTO,
    FORM_APDN,
    FORM_APES
};
#define FORMS 9
enum truth { TRUTH_UNDETERMINED, TRUTH_LEGIT, TRUTH_FRAUD };
#define TRUTHS 3
enum label_source {
    SOURCE_OTHER,
    SOURCE_MED_INFRACTION,
    SOURCE_FRAUD_MARKER,
    SOURCE_ANALYST,
    SOURCE_CUSTOMER_CONTEST,
    SOURCE_CHARGEBACK_PA,
    SOURCE_LAW_ENFORCEMENT
};
#define LABEL_SOURCES 7
enum stage_outcome {
    OUTCOME_OK,
    OUTCOME_RETRY,
    OUTCOME_ERROR,
    OUTCOME_DROP,
    OUTCOME_DLQ,
    OUTCOME_DUP,
    OUTCOME_SKIP
};
#define STAGE_OUTCOMES 7
enum sla_segment { SLA_NONE, SLA_T1_T0, SLA_T3_T2, SLA_T6A_T0 };
#define SLA_SEGMENTS 4

struct str verdict_text(enum verdict v);
struct str fallback_text(enum fallback v);
struct str direction_text(enum direction v);
struct str settlement_text(enum settlement v);
struct str form_text(enum form v);
struct str truth_text(enum truth v);
struct str label_source_text(enum label_source v);
struct str stage_outcome_text(enum stage_outcome v);
struct str sla_segment_text(enum sla_segment v);

enum feature_kind { FEATURE_NULL, FEATURE_NUMBER, FEATURE_CATEGORY, FEATURE_BOOL };

struct feature {
    uint16_t name; /* id of a RECORD_NAME of the same batch */
    enum feature_kind kind;
    double number;       /* NUMBER; BOOL: 0 or 1 */
    struct str category; /* CATEGORY */
};

struct latency {
    uint16_t stage_name; /* id of a RECORD_NAME of the same batch */
    int64_t ns;
};

struct decision {
    struct e2e id;
    int64_t t_ns;     /* event time */
    double score;     /* 0..1; NaN = none, as when the model timed out: never with FALLBACK_NONE */
    double threshold; /* NaN when not given */
    enum verdict verdict;
    enum fallback fallback;
    enum direction direction;
    enum settlement settlement;
    enum form form;
    int64_t amount_centavos;                       /* AMOUNT_NONE when not given */
    int64_t hold_deadline_ns;                      /* T_NS_NONE when not given */
    int64_t clock_offset_us;                       /* 0 when not given */
    struct str model, model_version, model_sha256; /* empty when not given */
    struct str host;
    struct str
        dims[RECORD_DIMS_MAX]; /* value of each configured segment dimension, empty = missing */
    uint32_t dims_count;
    const struct feature *features;
    uint32_t features_count;
    const struct latency *latencies;
    uint32_t latencies_count;
};

struct fraud_label {
    struct e2e id;
    int64_t t_ns; /* when the label became known */
    enum truth truth;
    enum label_source source;
    struct str source_name;          /* the word as given, for sources of the user's own */
    struct str event_id, supersedes; /* empty when not given */
};

struct stage_event {
    struct e2e id;
    uint16_t stage_name; /* id of a RECORD_NAME of the same batch */
    enum stage_outcome outcome;
    uint32_t attempt;          /* 1, 2, ... */
    int64_t start_ns, end_ns;  /* event times; end is the record's time */
    int64_t queue_ns, work_ns; /* -1 when not given */
    int64_t amount_centavos;   /* AMOUNT_NONE when not given */
    int64_t clock_offset_us;
    int32_t partition; /* -1 when not given */
    enum sla_segment sla;
    struct str reason, version, host;
};

struct record {
    enum record_kind kind;
    uint32_t route;      /* low 32 bits of e2e_hash */
    struct hash128 hash; /* e2e_hash of the id */
    union {
        struct decision decision;
        struct fraud_label label;
        struct stage_event stage;
    } u;
};

/* Is every value inside its bounds (times, score, amount, enumerations, counts)? A door asks this
 * of each record that it made and counts the refused line by reason; ERR_INPUT says which field.
 * Name ids are not checked here: only the batch knows them. */
MUST_USE bool record_check_decision(const struct decision *d, struct err *e);
MUST_USE bool record_check_label(const struct fraud_label *l, struct err *e);
MUST_USE bool record_check_stage(const struct stage_event *s, struct err *e);

/* Writing. A batch is names and records in any order, a name before its first use. Ids of names are
 * 0, 1, 2... in order of record_put_name within the batch. Failure shows in b->failed: no room, or
 * a record that record_check_* refuses (one such record would make the batch unreadable, so none
 * gets in). Strings are cut at RECORD_STR_MAX, a feature that is a non-finite number becomes null,
 * any NaN threshold or score is "not given". */
void record_put_name(struct buf *b, struct str name);
void record_put_decision(struct buf *b, const struct decision *d);
void record_put_label(struct buf *b, const struct fraud_label *l);
void record_put_stage(struct buf *b, const struct stage_event *s);

/* The shard of N that owns a route: used here and by pillars when they load. */
static inline uint32_t record_shard(uint32_t route, uint32_t shards)
{
    return route % shards;
}
static inline uint32_t record_route(struct hash128 hash)
{
    return (uint32_t)hash.lo;
}

/* Reading. The bytes may come from disk: everything is checked. A reader is 100 KB: keep one a
 * thread. */
struct record_reader {
    struct rd rd;
    uint32_t shard, shards; /* records of other shards are passed over unread */
    struct str names[RECORD_NAMES_MAX];
    uint32_t names_count;
    uint64_t records; /* returned so far */
    struct feature features[RECORD_FEATURES_MAX];
    struct latency latencies[RECORD_LATENCIES_MAX];
};

void record_reader_init(struct record_reader *r, struct str payload, uint32_t shard,
                        uint32_t shards);
/* true with the next record of this shard (names are kept aside, not returned); false at the end
 * or, with e->code ERR_CORRUPT, at damage. Slices borrow the payload, arrays the reader, until the
 * next call. */
bool record_next(struct record_reader *r, struct record *out, struct err *e);

#endif
