/* The decoder's struct and the calls between its three files: decode.c (line, kinds, records),
 * decode_lists.c (names, features, latencies, dimensions), refuse.c (messages of refused lines). */
#ifndef INGEST_NDJSON_DECODE_INT_H
#define INGEST_NDJSON_DECODE_INT_H

#include "base/buf.h"
#include "base/intern.h"
#include "codec/json.h"
#include "ingest/ndjson/map_int.h"
#include "ingest/ndjson/ndjson.h"

#define NDJSON_MESSAGE_BYTES 512

/* Where an interned name stands in this batch and in this record. The name is repeated here, so
 * that a name costs one cache line. */
struct name_slot {
    struct str name; /* borrows from `names` */
    uint32_t epoch;  /* batch that `id` belongs to */
    uint32_t seq;    /* record that `at` belongs to */
    uint16_t id, at;
};

/* Engine lifetime: all memory is taken in _new. */
struct ndjson_decoder {
    struct mem *mem; /* borrows */
    const struct ndjson_config *config;
    struct json_parser *parser;
    const struct ndjson_map *last; /* the mapping the last line used: tried first */
    struct ndjson_counts counts;
    enum ndjson_reason reason;
    struct intern names;
    struct buf message;
    uint32_t epoch, seq, names_count;

    /* The line being read. */
    struct str line;
    struct json_doc doc;
    struct buf *payload;
    uint32_t features_count, latencies_count;
    struct ndjson_texts texts;
    union {
        struct decision decision;
        struct fraud_label label;
        struct stage_event stage;
    } rec;
    char nested[RECORD_STR_MAX]; /* "a.b": name of a feature in an object inside the features */
    struct latency latencies[RECORD_LATENCIES_MAX];
    uint32_t latency_hint[RECORD_LATENCIES_MAX];
    uint32_t stage_hint;
    uint32_t hits[NDJSON_NODES_MAX];
    struct feature features[RECORD_FEATURES_MAX + 1]; /* one is scratch */
    uint32_t feature_hint[RECORD_FEATURES_MAX + 1];
    struct name_slot slots[RECORD_NAMES_MAX];
};

/* refuse.c: the slow path. All return false. */
void ndjson_count_refused(struct ndjson_decoder *d, enum record_kind k, enum ndjson_reason why);
/* With the text in d->message. */
bool ndjson_refuse(struct ndjson_decoder *d, enum record_kind k, enum ndjson_reason why,
                   uint32_t col, struct err *e);
bool ndjson_refuse_value(struct ndjson_decoder *d, enum record_kind k,
                         const struct ndjson_binding *b, struct str path,
                         const struct json_token *t, const struct ndjson_issue *issue,
                         struct err *e);
bool ndjson_refuse_missing(struct ndjson_decoder *d, enum record_kind k,
                           const struct ndjson_binding *b, struct err *e);
/* "decision.score (risk.score)" - the path only where it says something new. */
void ndjson_message_begin(struct ndjson_decoder *d, enum record_kind k, struct str field,
                          struct str path);
void ndjson_show_value(struct buf *b, const struct json_token *t);

/* decode_lists.c: into d->rec; false when the line is refused or memory is out. */
MUST_USE bool ndjson_put_features(struct ndjson_decoder *d, const struct ndjson_kind_map *km,
                                  struct err *e);
MUST_USE bool ndjson_put_latencies(struct ndjson_decoder *d, const struct ndjson_binding *b,
                                   struct str path, const struct json_token *t, struct err *e);
void ndjson_put_dims(struct ndjson_decoder *d, const struct ndjson_kind_map *km);
MUST_USE bool ndjson_put_stage_name(struct ndjson_decoder *d, const struct ndjson_binding *b,
                                    struct str path, const struct json_token *t, struct err *e);

#endif
