/* Remote write out: every sample that is committed goes on to other Prometheus-compatible engines
 * (`remote_write:` of prometheus.yml), in the background, without loss through their outages
 * and our restarts.
 *
 *     store's log --tap--> round --by series--> shards (threads) --HTTP--> the other engine
 *
 * The queue is the write-ahead log itself: nothing is written twice, and what waits is bounded by
 * tsdb_config.tap_bytes_max (give it forward_log_bytes). A round is a stretch of the log; it is
 * noted on disk before it is sent, so that a start after kill -9 sends the very same requests
 * again, and the
 * other side knows them. At least once; the samples of one series leave in the order they were
 * committed. Backfilled and imported samples are not sent.
 *
 * Answers of 5xx and 429, and no answer, are tried again for ever (Retry-After, else growing
 * pauses); other 4xx are counted and left behind; a request refused with 400 is cut in halves
 * first, so that
 * one bad sample does not take others with it.
 *
 * thread: forward_publish from any; the rest from the owner's. */
#ifndef FORWARD_REMOTE_WRITE_REMOTE_WRITE_H
#define FORWARD_REMOTE_WRITE_REMOTE_WRITE_H

#include "codec/expo.h"
#include "codec/http_conf.h"
#include "codec/labels.h"
#include "engines/tsdb/tsdb.h"

struct forward_header {
    struct str name, value;
};

/* One entry of `remote_write`. lifetime: the configuration's. */
struct forward_config {
    struct str url,
        name; /* name: of its series and of its file; made from the URL when not given */
    int64_t timeout_ms;
    struct forward_header *headers;
    uint32_t headers_n;
    /* write_relabel_configs, for whoever makes forward_relabel; NULL = none */
    const struct yaml_node *relabel;
    struct http_conf http; /* what net/http_client.h can do of it */
    bool exemplars, histograms, version_2;
    int64_t capacity, shards_min, shards_max, samples_max; /* of a request */
    int64_t deadline_ms, backoff_min_ms, backoff_max_ms, age_limit_ms;
    uint64_t log_bytes_max; /* what may wait in the log during an outage */
};
/* The keys of one entry. */
const struct conf_field *forward_config_fields(size_t *count);
/* A list of entries (NULL or null: none); paths begin in dir. Names are made unique or refused. */
MUST_USE bool forward_config_read(const struct yaml_node *list, const char *dir, struct arena *a,
                                  struct forward_config **out, uint32_t *n, struct err *e);
/* The most that any of them may leave waiting: for tsdb_config.tap_bytes_max. */
uint64_t forward_log_bytes(const struct forward_config *c, uint32_t n);

/* write_relabel_configs: rewrites v[0..*n), which has room for cap labels, in place; the result
 * need not be sorted. false: the series is not sent. apply NULL: nothing is rewritten. thread: any,
 * several at once. */
struct forward_relabel {
    void *ctx;
    bool (*apply)(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                  struct arena *a);
};

struct forward_options {
    struct tsdb *db;        /* borrows */
    const struct os *os;    /* borrows: clock, the files of positions */
    struct log *log;        /* borrows; may be NULL */
    struct mem *mem;        /* borrows; used by new and free only */
    const char *dir;        /* of the files NAME.position; made when absent; copied */
    struct labels external; /* added to series that do not have them; borrows */
    struct forward_relabel relabel;
    const char *user_agent; /* borrows */
};

struct forward;
/* Right after the store was opened; starts the threads. c is borrowed until free. */
MUST_USE bool forward_new(const struct forward_config *c, uint32_t n,
                          const struct forward_options *o, struct forward **out, struct err *e);
/* Before the store is closed. What is not sent waits in the log for the next start. NULL:
 * nothing. */
void forward_free(struct forward *f);
/* farol_forward_*{name}: samples sent, dropped by reason, retries, lag in bytes and seconds. */
void forward_publish(struct forward *f, struct expo *x);

#endif
