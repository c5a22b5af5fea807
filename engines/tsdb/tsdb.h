/* The sample store: label sets interned once, a head in memory that is queryable at once, a log
 * that is synced before the acknowledgement, and immutable blocks of compressed columns.
 *
 *     tsdb_batch_add..., tsdb_commit --> [queue] --> committer: check, log, sync, apply --> done
 *                                                         | head full or old
 *     readers: tsdb_view (head + blocks, no lock)  <---- flusher: block, rename; merge; retire
 *
 * Acknowledged = in the log and synced, and visible to every view taken later. A series keeps its
 * id (uint32_t ref, 0 = none) for as long as retention keeps any of its samples.
 *
 * Times are int64 ms UTC. Per series times are unique. A sample newer than the series' last one is
 * in order; an older one within out_of_order_ms of it is stored too; the same time with the same
 * bits is a duplicate and accepted silently; with another value, or too old, it is refused and
 * counted.
 *
 * thread: every function may be called from any thread unless it says otherwise. */
#ifndef ENGINES_TSDB_TSDB_H
#define ENGINES_TSDB_TSDB_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "codec/labels.h"
#include "codec/nhist.h"

struct tsdb;

struct tsdb_config {
    const char *dir;          /* copied */
    int64_t retention_ms;     /* 0 = for ever */
    uint64_t retention_bytes; /* of blocks; 0 = no bound */
    int64_t out_of_order_ms;  /* window of late samples */
    int64_t future_ms;        /* a sample later than now + this is refused; 0 = no check */
    int64_t block_ms;         /* span that merging aims at first: 2 h; larger ones are multiples */
    uint64_t head_bytes_max;  /* of samples, or 140 B per series: above the greater it is flushed */
    int64_t head_ms;          /* the head is flushed when it spans this much */
    uint32_t series_max;      /* in memory; more are refused and counted */
    uint32_t exemplars_max;   /* ring over all series; 0 = none kept */
    uint64_t queue_bytes_max; /* batches committed and not yet applied; above it ERR_BUSY */
    uint32_t sources_max;     /* 4,096: more share source 0 */
    uint64_t
        tap_bytes_max; /* log kept for taps beyond what recovery needs; 0 = none. Set at open */
};
/* The defaults, for callers that set a few. */
void tsdb_config_default(struct tsdb_config *c);

/* Recovers (newest series table, blocks, log) and starts the committer and the flusher. ERR_BUSY:
 * another process has the folder. Damaged blocks and log records are set aside, counted and logged,
 * never an error. os is borrowed; files are read by pread and mapped when os is the real one. */
MUST_USE bool tsdb_open(struct tsdb **out, const struct tsdb_config *c, const struct os *os,
                        struct log *log, struct err *e);
/* Finishes the queue, syncs, joins. The head stays in the log: opening again is quick. */
void tsdb_close(struct tsdb *db);
/* Applies the keys that may change while running: retention, windows, bounds. */
void tsdb_reconfigure(struct tsdb *db, const struct tsdb_config *c);

/* --- series ------------------------------------------------------------------------------- */

/* Whose series: a scrape job, a remote writer, a pillar; limits and top lists are per source.
 * series_max 0 = only the common bound; TSDB_SERIES_OWN = none, for what the program makes itself
 * and bounds where it makes it: a flood from outside must not take the monitor's own series away.
 * The same name gives the same id; 0 is "other". */
#define TSDB_SERIES_OWN UINT32_MAX
uint32_t tsdb_source(struct tsdb *db, struct str name, uint32_t series_max);

/* The id of a label set, which is interned when new. ls is normalized (labels_normalize) and has at
 * least one label. ERR_LIMIT: a series bound (counted by source); ERR_INPUT: bounds of labels. The
 * definition becomes durable with the first commit that uses it. O(labels), one lookup. */
MUST_USE bool tsdb_series(struct tsdb *db, uint32_t source, struct labels ls, uint32_t *out,
                          struct err *e);

/* Remembers the raw bytes in which a sender names a series (a protobuf label block, the text before
 * a value), so that the next time costs two hashes: one that the caller brings and one with a
 * secret seed, since a hash alone would merge series. Bounded; forgets by itself when a series is
 * dropped. One cache per source of bytes (door, scrape target). thread: the owner's. */
struct tsdb_names;
MUST_USE bool tsdb_names_new(struct tsdb *db, size_t bytes_max, struct tsdb_names **out,
                             struct err *e);
void tsdb_names_free(struct tsdb_names *n);
/* Hash first for a whole request, then find: the two steps let the misses overlap. find gives 0
 * when unknown. */
void tsdb_names_prefetch(const struct tsdb_names *n, uint64_t hash);
uint32_t tsdb_names_find(struct tsdb_names *n, uint64_t hash, struct str raw);
/* Best effort: at the bound something else is forgotten. hash = hash64(raw). */
void tsdb_names_put(struct tsdb_names *n, uint64_t hash, struct str raw, uint32_t ref);

/* --- writing ------------------------------------------------------------------------------ */

enum tsdb_refusal {
    TSDB_OUT_OF_ORDER, /* older than the window allows */
    TSDB_DUPLICATE,    /* same time, another value */
    TSDB_TOO_OLD,      /* before retention */
    TSDB_TOO_NEW,      /* future_ms */
    TSDB_GONE,         /* the series was dropped between tsdb_series and the commit */
    TSDB_HEAD_FULL,    /* memory */
};
#define TSDB_REFUSALS 6

struct tsdb_batch;
/* What became of a batch; refused[] counts samples by reason, first_* names one of them. Samples
 * that were not refused are durable and visible. */
struct tsdb_result {
    uint64_t samples, histograms, exemplars; /* stored (duplicates with equal bits included) */
    uint64_t refused[TSDB_REFUSALS];
    uint64_t refused_exemplars;
    uint32_t first_ref; /* of the first refused sample; 0 = none refused */
    int64_t first_t_ms;
    enum tsdb_refusal first_why;
};

enum tsdb_flags {
    TSDB_ALL_OR_NOTHING = 1, /* one refused sample refuses the batch (remote write 1.0) */
    TSDB_NO_FUTURE_CHECK = 2,
    TSDB_NO_SYNC = 4,   /* logged, synced with the next group that syncs */
    TSDB_SYNC_SOON = 8, /* nobody waits for it to be safe: syncs only when the last sync is about a
                           second old. Several such sources share the syncs. */
};

/* bytes_max bounds the batch; NULL without memory. A batch is reused after tsdb_batch_reset. */
struct tsdb_batch *tsdb_batch_new(struct mem *m, size_t bytes_max);
void tsdb_batch_reset(struct tsdb_batch *b);
void tsdb_batch_free(struct tsdb_batch *b);
/* Samples in any order; those of one series in the order given. false (ERR_LIMIT) when full. Equal
 * times in a row are what makes a batch cheap: keep the samples of one scrape together. */
MUST_USE bool tsdb_batch_add(struct tsdb_batch *b, uint32_t ref, int64_t t_ms, double v,
                             struct err *e);
/* st_ms: start timestamp of the counter or histogram, 0 = not known. */
MUST_USE bool tsdb_batch_add_st(struct tsdb_batch *b, uint32_t ref, int64_t t_ms, int64_t st_ms,
                                double v, struct err *e);
MUST_USE bool tsdb_batch_add_nhist(struct tsdb_batch *b, uint32_t ref, int64_t t_ms, int64_t st_ms,
                                   const struct nhist *h, struct err *e);
MUST_USE bool tsdb_batch_add_exemplar(struct tsdb_batch *b, uint32_t ref, struct labels ls,
                                      int64_t t_ms, double v, struct err *e);
uint64_t tsdb_batch_count(const struct tsdb_batch *b);

/* Gives the batch to the committer, which borrows it until done. done runs once on the committer's
 * thread, after the sync; e is NULL unless the log failed (nothing of the batch was stored) or,
 * with TSDB_ALL_OR_NOTHING, a sample was refused (ERR_INPUT). ERR_BUSY: the queue is full; done
 * does not run. */
MUST_USE bool tsdb_commit(struct tsdb *db, struct tsdb_batch *b, unsigned flags,
                          void (*done)(void *ctx, const struct tsdb_result *r, const struct err *e),
                          void *ctx, struct err *e);
/* The same, waiting. */
MUST_USE bool tsdb_commit_wait(struct tsdb *db, struct tsdb_batch *b, unsigned flags,
                               struct tsdb_result *r, struct err *e);

/* --- reading ------------------------------------------------------------------------------ */

/* What can be seen now: later commits are not in it, flushes and merges do not change it. Cheap.
 * Close soon: it keeps memory and files alive. */
struct tsdb_view;
MUST_USE bool tsdb_view_open(struct tsdb *db, struct tsdb_view **out, struct err *e);
void tsdb_view_close(struct tsdb_view *v);

/* Series with all matchers true and, unless from_ms > to_ms, perhaps a sample in [from_ms, to_ms]
 * (bounds of head and blocks; not decoded). Ids ascend by labels (Prometheus' order) when sorted is
 * true, else by id. ERR_LIMIT above series_max; ERR_INPUT: a bad regular expression. ids: arena. */
MUST_USE bool tsdb_select(struct tsdb_view *v, const struct matcher *m, uint32_t m_n,
                          int64_t from_ms, int64_t to_ms, uint32_t series_max, bool sorted,
                          struct arena *a, uint32_t **ids, uint32_t *n, struct err *e);

/* Labels as ids of (name, value) pairs, in order of label names: equal ids are equal labels, so
 * grouping and joining compare integers. Borrows the view. */
const uint32_t *tsdb_pairs(struct tsdb_view *v, uint32_t ref, uint32_t *n);
struct label tsdb_pair(struct tsdb_view *v, uint32_t pair); /* borrows the view */
/* Text labels of a series; the array is the arena's, the bytes the view's. n = 0 at the cap. */
struct labels tsdb_labels(struct tsdb_view *v, uint32_t ref, struct arena *a);

/* Samples of one series as columns; grows its memory and is reused from series to series. Where
 * h[i] is not NULL the sample is a histogram and v[i] is its sum. h and st are NULL when the range
 * has none. */
struct tsdb_column {
    int64_t *t; /* ascending */
    double *v;
    struct nhist **h;
    int64_t *st; /* 0 = not known */
    uint32_t n;
    /* below: the reader's own */
    struct mem *mem;
    size_t t_cap, v_cap, h_cap, st_cap;
    struct arena hists;
    void *scratch;
};
void tsdb_column_init(struct tsdb_column *c, struct mem *m);
void tsdb_column_release(struct tsdb_column *c);
/* All samples of the series with from_ms <= t <= to_ms, without deleted ones. thread: a column is
 * one thread's; many threads may read one view, each with its column. Reading ids in the order of
 * tsdb_select(sorted) is cheapest. ERR_LIMIT above samples_max. */
MUST_USE bool tsdb_read(struct tsdb_view *v, uint32_t ref, int64_t from_ms, int64_t to_ms,
                        uint32_t samples_max, struct tsdb_column *c, struct err *e);

/* Only the newest sample of the range (c->n 0 or 1): what an instant query needs, without decoding
 * what lies before it. */
MUST_USE bool tsdb_read_newest(struct tsdb_view *v, uint32_t ref, int64_t from_ms, int64_t to_ms,
                               struct tsdb_column *c, struct err *e);

/* Names of labels, values of one label, sorted by bytes, among series that match (m_n = 0: all) and
 * may have samples in the range. limit 0 = all. Texts borrow the view. */
MUST_USE bool tsdb_label_names(struct tsdb_view *v, const struct matcher *m, uint32_t m_n,
                               int64_t from_ms, int64_t to_ms, uint32_t limit, struct arena *a,
                               struct str **out, uint32_t *n, struct err *e);
MUST_USE bool tsdb_label_values(struct tsdb_view *v, struct str name, const struct matcher *m,
                                uint32_t m_n, int64_t from_ms, int64_t to_ms, uint32_t limit,
                                struct arena *a, struct str **out, uint32_t *n, struct err *e);

struct tsdb_exemplar {
    uint32_t ref;
    int64_t t_ms;
    double v;
    struct labels labels;
};
/* Exemplars of the series that match, by series then time. */
MUST_USE bool tsdb_exemplars(struct tsdb_view *v, const struct matcher *m, uint32_t m_n,
                             int64_t from_ms, int64_t to_ms, struct arena *a,
                             struct tsdb_exemplar **out, uint32_t *n, struct err *e);

/* --- following ---------------------------------------------------------------------------- */

/* A tap follows what is committed, in the order of the log, for those who send it on. It reads the
 * log's own files: nothing is written twice, and what was acknowledged before kill -9 is found
 * after it. The log is kept from the tap's `keep` position on, as long as all that is kept for
 * taps fits in tap_bytes_max; above it the oldest goes, counted in lost_bytes. Backfilled and
 * imported samples are not in the log. Open all taps right after the store; until the first is
 * open everything is kept. thread: one per tap; close before the store. */
struct tsdb_tap;
/* from: a position that was saved, 0 = only what is committed from now on. */
MUST_USE bool tsdb_tap_open(struct tsdb *db, uint64_t from, struct tsdb_tap **out, struct err *e);
void tsdb_tap_close(struct tsdb_tap *t);
/* Another tsdb_config.tap_bytes_max, when who taps the log changes. thread: any. */
void tsdb_tap_bytes_max_set(struct tsdb *db, uint64_t bytes_max);

/* One sample, or one exemplar; valid during the call. */
struct tsdb_tapped {
    uint32_t ref;
    int64_t t_ms, st_ms; /* st_ms 0 = not known */
    double v;
    const struct nhist *h;         /* NULL: v counts */
    const struct labels *exemplar; /* NULL: a sample */
};
/* Calls each() for what stands at the tap's position and after it, batch by batch, until
 * samples_max or more were given, or the position is `upto` (0 = all there is). false: each()
 * failed, or the disk; the position is then at the batch that failed. */
MUST_USE bool tsdb_tap_read(struct tsdb_tap *t, uint64_t upto, uint64_t samples_max,
                            bool (*each)(void *ctx, const struct tsdb_tapped *x, struct err *e),
                            void *ctx, struct err *e);
uint64_t tsdb_tap_position(const struct tsdb_tap *t);
/* Reads from there next; a position this tap has had and still keeps. */
void tsdb_tap_seek(struct tsdb_tap *t, uint64_t position);
/* What lies before the position is not needed any more, by this tap. */
void tsdb_tap_keep(struct tsdb_tap *t, uint64_t position);
struct tsdb_tap_stats {
    uint64_t behind_bytes;        /* of the log, from the position to its end */
    uint64_t lost_bytes, damaged; /* removed at the bound; records that could not be read */
};
/* thread: any */
void tsdb_tap_stats(struct tsdb_tap *t, struct tsdb_tap_stats *out);

/* --- keeping ------------------------------------------------------------------------------ */

/* Deletes [from_ms, to_ms] of the series that match: durable on return, gone from later views; the
 * bytes go at the next merge (or tsdb_clean). */
MUST_USE bool tsdb_delete(struct tsdb *db, const struct matcher *m, uint32_t m_n, int64_t from_ms,
                          int64_t to_ms, uint64_t *series, struct err *e);
MUST_USE bool tsdb_clean(struct tsdb *db, struct err *e);
/* Writes what the head holds into blocks and merges until nothing is left to do. For tests,
 * benchmarks, backup. */
MUST_USE bool tsdb_flush(struct tsdb *db, bool merge, struct err *e);
/* A copy that opens as a store of its own: links or copies of blocks, series table, head flushed.
 * dir must not exist. */
MUST_USE bool tsdb_snapshot(struct tsdb *db, const char *dir, struct err *e);
/* For importers: a batch whose samples go straight into a block, bypassing head and window. Any
 * age within retention; series as by tsdb_series. Durable on return. Samples sorted by the call. */
MUST_USE bool tsdb_backfill(struct tsdb *db, struct tsdb_batch *b, struct tsdb_result *r,
                            struct err *e);

/* --- importing ---------------------------------------------------------------------------- */

struct tsdb_import {
    uint64_t blocks;              /* of Prometheus, or files, read to their end */
    uint64_t series;              /* met, each block counting anew */
    uint64_t samples, histograms; /* stored */
    uint64_t refused;             /* by retention, future_ms, series bounds, another value */
    uint64_t deleted;             /* were deleted there */
    uint64_t chunks_damaged;      /* or of an encoding that is not known; they are left out */
    uint64_t blocks_damaged;      /* could not be read to their end */
};

/* Everything in a data folder of Prometheus 2 or 3 that is not being written to (a snapshot, or the
 * server stopped): its blocks, index versions 1 and 2, floats and native histograms, without what
 * was deleted; and what its write-ahead log holds. Samples go straight into blocks (tsdb_backfill),
 * days one after the other, so memory is bounded. May be repeated: the same samples change nothing.
 * A damaged block or chunk is counted and left out; false is for failures of our own or when the
 * folder is none of Prometheus (ERR_INPUT). progress (may be NULL) returns false to stop: ERR_BUSY.
 * */
MUST_USE bool tsdb_import_prometheus(struct tsdb *db, const struct os *os, const char *dir,
                                     bool (*progress)(void *ctx, const struct tsdb_import *so_far),
                                     void *progress_ctx, struct tsdb_import *out, struct err *e);
/* A file of OpenMetrics 1.0 text whose samples have timestamps (others are refused and counted),
 * such as promtool reads for create-blocks-from. ERR_INPUT with the line for a file that is not
 * OpenMetrics; what came before stays stored. */
MUST_USE bool tsdb_import_openmetrics(struct tsdb *db, const struct os *os, const char *path,
                                      bool (*progress)(void *ctx, const struct tsdb_import *so_far),
                                      void *progress_ctx, struct tsdb_import *out, struct err *e);

struct tsdb_stats {
    uint64_t series, series_refused, label_pairs, index_bytes, names_bytes;
    uint64_t head_samples, head_bytes;
    uint64_t samples, histograms, exemplars, duplicates, refused[TSDB_REFUSALS];
    uint64_t log_bytes, log_syncs, log_records_damaged, log_failures;
    uint64_t blocks, block_bytes, block_samples, blocks_damaged;
    uint64_t flushes, merges, retired, flush_failures;
    int64_t flush_ns_last, merge_ns_last, recovery_ns;
    int64_t min_ms, max_ms; /* of all samples; INT64_MAX/MIN when empty */
};
void tsdb_stats(struct tsdb *db, struct tsdb_stats *out);

struct tsdb_top {
    struct str name; /* arena */
    uint64_t count;
};
enum tsdb_top_kind {
    TSDB_TOP_METRICS, /* series per metric name */
    TSDB_TOP_PAIRS,   /* series per name=value */
    TSDB_TOP_LABELS,  /* values per label name */
    TSDB_TOP_MEMORY,  /* bytes per label name */
    TSDB_TOP_SOURCES, /* series per source */
};
MUST_USE bool tsdb_top(struct tsdb_view *v, enum tsdb_top_kind kind, uint32_t limit,
                       struct arena *a, struct tsdb_top **out, uint32_t *n, struct err *e);
uint32_t tsdb_source_series(struct tsdb *db, uint32_t source, uint64_t *refused);

#endif
