/* Decisions, labels and stage events as newline-delimited JSON: POST /ingest/v1/events.
 *
 * Two halves. The decoder is pure: one line in, one record out or an error with reason and column.
 * The door is the HTTP side: it unpacks, cuts lines while the body arrives, collects a batch, gives
 * it to the river and answers when the batch is on disk. One request is one batch: all of its good
 * lines are durable, or none of it is stored and the sender sends it again.
 *
 * Lines are read by a mapping: schema farol.pix/1 is built in, `ingest.mapping` describes a user's
 * own JSON. Only mapped fields are carried (allow-list); README.md shows both. */
#ifndef INGEST_NDJSON_NDJSON_H
#define INGEST_NDJSON_NDJSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "codec/conf.h"
#include "codec/expo.h"
#include "flow/record.h"
#include "flow/river.h"
#include "net/http_server.h"

struct ndjson;
struct ndjson_map;

/* Process lifetime; everything it points to lives in the arena it was read into. */
struct ndjson_config {
    uint64_t body_bytes_max;      /* as sent */
    uint64_t unpacked_bytes_max;  /* after decompression */
    uint64_t line_bytes_max;      /* one line */
    int64_t features_max;         /* of one decision */
    int64_t requests_max;         /* received at the same time */
    uint64_t receiving_bytes_max; /* memory of all requests being received */
    const struct yaml_node *mapping_node;
    const struct ndjson_map *builtin; /* farol.pix/1 */
    const struct ndjson_map *user;    /* NULL: none configured */
};

extern const struct conf_field ndjson_fields[];
extern const size_t ndjson_fields_count;

/* section: the `ingest:` mapping or NULL. dims: model.segments, at most RECORD_DIMS_MAX. Errors
 * carry line and column of the key or value that is wrong. */
MUST_USE bool ndjson_config_read(const struct yaml_node *section, const struct conf_strs *dims,
                                 struct arena *a, struct ndjson_config *out, struct err *e);

/* Why a line was refused. The names are metric labels: a closed set. */
#define NDJSON_REASON_LIST(X)                                       \
    X(JSON, "json")         /* not JSON */                          \
    X(UTF8, "utf8")         /* not UTF-8 */                         \
    X(KIND, "unknown_kind") /* type is absent or not one of ours */ \
    X(SCHEMA, "schema")     /* a schema that we do not speak */     \
    X(MISSING, "missing")   /* a required field is absent */        \
    X(TYPE, "type")         /* a value of the wrong JSON type */    \
    X(WORD, "word")         /* not one of the field's words */      \
    X(RANGE, "range")       /* a number outside its bounds */       \
    X(E2E_ID, "e2e_id")     /* not an EndToEndId */                 \
    X(TIME, "time")         /* not a time, or far from the id's */  \
    X(LIMIT, "limit")       /* line, values or features too many */

enum ndjson_reason {
#define X(name, text) NDJSON_##name,
    NDJSON_REASON_LIST(X)
#undef X
        NDJSON_REASONS
};

/* Single values left out or cut while their record stayed. */
#define NDJSON_DROP_LIST(X)                                                     \
    X(PII, "pii")     /* a text that looks like personal data */                \
    X(KIND, "type")   /* a list where a value was expected */                   \
    X(NAME, "name")   /* a name that is empty, too long or one too many */      \
    X(CUT, "cut")     /* a text over RECORD_STR_MAX bytes: its start is kept */ \
    X(EXTRA, "extra") /* a latency beyond RECORD_LATENCIES_MAX */

enum ndjson_drop {
#define X(name, text) NDJSON_DROP_##name,
    NDJSON_DROP_LIST(X)
#undef X
        NDJSON_DROPS
};

struct str ndjson_reason_text(enum ndjson_reason r);
struct str ndjson_drop_text(enum ndjson_drop d);

/* accepted and rejected are by enum record_kind; [0] = the kind could not be told. */
struct ndjson_counts {
    uint64_t accepted[RECORD_KINDS], rejected[RECORD_KINDS];
    uint64_t reasons[NDJSON_REASONS];
    uint64_t drops[NDJSON_DROPS];
};

/* -- The pure decoder. thread: one at a time. About 0.5 MiB, no allocation per line. -- */

struct ndjson_decoder;

/* c is borrowed until _free. NULL without memory. */
struct ndjson_decoder *ndjson_decoder_new(const struct ndjson_config *c, struct mem *m);
void ndjson_decoder_free(struct ndjson_decoder *d);
/* Starts a batch: names are numbered from 0 again, counts are zero. Must be called before the first
 * line. */
void ndjson_decoder_begin(struct ndjson_decoder *d);
/* Appends the line's record, and names not yet in the batch, to payload. line has no newline;
 * `padded` says that JSON_PADDING readable bytes follow it. On failure nothing is appended but
 * perhaps names; e has the message and the column, and either
 *   ERR_INPUT  the line is refused and counted, ndjson_decoder_reason says why; go on with the
 * next;
 *   ERR_LIMIT, ERR_NOMEM  payload or memory is full: the batch cannot be completed.
 * Linear in the line. */
MUST_USE bool ndjson_decode_line(struct ndjson_decoder *d, struct str line, bool padded,
                                 struct buf *payload, struct err *e);
/* Counts a line that never got as far as the decoder (too long to be kept), with its error in e. */
void ndjson_decoder_refuse(struct ndjson_decoder *d, enum ndjson_reason why);
enum ndjson_reason ndjson_decoder_reason(const struct ndjson_decoder *d);
/* Since begin. Borrows. */
const struct ndjson_counts *ndjson_decoder_counts(const struct ndjson_decoder *d);

/* -- The door. -- */

/* c, r, m and log are borrowed until ndjson_free. thread of m: taken from under the door's own lock
 * only; give it one that nobody else uses. */
MUST_USE bool ndjson_new(const struct ndjson_config *c, struct river *r, struct mem *m,
                         struct log *log, struct ndjson **out, struct err *e);
/* After http_server_stop and river_stop: no request and no batch may be under way. */
void ndjson_free(struct ndjson *n);
/* The table to copy into the server's; set `app` of each copy to the struct ndjson *. */
const struct http_route *ndjson_routes(size_t *count);
/* thread: any. Counters farol_ingest_*. */
void ndjson_publish(struct ndjson *n, struct expo *x);
/* Appends one JSON object. thread: any. */
void ndjson_status(struct ndjson *n, struct buf *json);

/* -- The sender: files of lines to a door, for `farol replay`. thread: one, blocking. -- */

#define NDJSON_SENT_ERRORS_MAX 20

struct ndjson_sent_error {
    const char *path; /* as given to ndjson_send_file; borrows */
    uint64_t line;    /* of the file */
    uint32_t col;
    char msg[192];
};

struct ndjson_sent {
    uint64_t accepted, rejected, lines;
    uint64_t batches, retries;
    uint64_t file_bytes; /* read so far, as stored */
    struct ndjson_sent_error errors[NDJSON_SENT_ERRORS_MAX];
    uint32_t errors_count;
    const char *waiting; /* why nothing moves just now ("busy", "no connection"), or NULL */
};

struct ndjson_sender_config {
    const struct os *os;
    const char *url; /* http://host:port */
    uint32_t batch_lines_max;
    double speed;           /* 0: as fast as the door takes it; 60: an hour of events in a minute */
    const char *time_field; /* key with the event time, for speed; NULL: ts, else end_ts */
    int64_t retry_ms;       /* how long one batch is tried again */
    void (*progress)(void *ctx,
                     const struct ndjson_sent *s); /* about 5 times a second; may be NULL */
    void *progress_ctx;
};

struct ndjson_sender;

/* c is borrowed until _free. */
MUST_USE bool ndjson_sender_new(const struct ndjson_sender_config *c, struct mem *m,
                                struct ndjson_sender **out, struct err *e);
void ndjson_sender_free(struct ndjson_sender *s);
/* Sends a whole file (plain, gzip or zstd, told by its first bytes; "-" = standard input) in
 * batches and returns when all of it was answered. A batch without an answer is sent again: ids are
 * deduplicated behind the door. ERR_BUSY: the door cannot be reached or stays busy; a first
 * connection that is refused is not tried again. Refused lines are no failure: they are counted. */
MUST_USE bool ndjson_send_file(struct ndjson_sender *s, const char *path, struct err *e);
const struct ndjson_sent *ndjson_sender_sent(const struct ndjson_sender *s);

#endif
