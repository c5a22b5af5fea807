/* Private to ingest/scrape: targets, their caches, and the state of the loop. */
#ifndef INGEST_SCRAPE_LOOP_INT_H
#define INGEST_SCRAPE_LOOP_INT_H

#include "base/clock.h"
#include "base/intern.h"
#include "ingest/scrape/scrape_int.h"

/* --- names cache (cache.c) ---------------------------------------------------------------- */

/* Series of one target by the raw bytes that name them, in the order of its page.
 *
 * The page of a target names the same series in the same order almost every time, so the cache
 * expects the next one (expo_parse's expect) and hashing is only for those that moved. */
struct cache_entry {
    uint32_t ref; /* of the store; 0: dropped by relabelling */
    uint32_t raw_off, raw_n;
    uint32_t hash; /* low half */
    uint32_t seen; /* scrape in which it was given last */
    uint32_t pos;  /* its place in that scrape's order */
    bool track;    /* becomes stale when it vanishes */
    bool orphan;   /* its name is forgotten, only its staleness is still due */
};

struct cache {
    struct mem *mem; /* borrows */
    char *raw;
    size_t raw_n, raw_cap;
    struct cache_entry *v;
    size_t n, cap;
    uint32_t *slots; /* hash -> index + 1; a power of two */
    size_t slots_n;
    uint32_t *order, *order_old; /* entries of this and of the last good scrape */
    size_t order_n, order_cap, order_old_n, order_old_cap;
    uint32_t scrape; /* number of the current one, from 1 */
    uint32_t next;   /* place in order_old that is expected next */
    uint32_t same_n; /* noted while the page is the same; see cache.c */
    bool same;       /* the page gives what the last good one gave, so far */
};

void cache_init(struct cache *c, struct mem *m);
void cache_release(struct cache *c);
void cache_begin(struct cache *c);
/* What the page should say next; empty: nothing. Borrows until the next add. */
struct str cache_expect(const struct cache *c);
/* The entry that was expected, or the one of this name; UINT32_MAX: unknown. */
uint32_t cache_take_expected(struct cache *c);
uint32_t cache_find(struct cache *c, struct str raw);
/* UINT32_MAX without memory: the series then lives without a cache. */
uint32_t cache_add(struct cache *c, struct str raw, uint32_t ref);
/* While the page has been the same as the last good one: the next entry of that, when a line
 * without a time of its own would be noted for it as then. Else NULL. cache_next_raw is its
 * name. */
static inline const struct cache_entry *cache_next(const struct cache *c)
{
    if (!c->same || c->next >= c->order_old_n) {
        return NULL;
    }
    const struct cache_entry *x = &c->v[c->order_old[c->next]];
    return x->orphan || x->track != (x->ref != 0) ? NULL : x;
}
static inline struct str cache_next_raw(const struct cache *c, const struct cache_entry *x)
{
    return str_of(c->raw + x->raw_off, x->raw_n);
}
/* Takes and notes the entry of cache_next. */
static inline void cache_pass(struct cache *c)
{
    c->next++;
    c->same_n++;
}
/* Notes that the entry stands on this page; false without memory. */
bool cache_note(struct cache *c, uint32_t entry, bool track);
/* Ends a scrape. Appends to stale the refs that were tracked in the last good scrape and did not
 * come in this one (ok), or all of them (not ok: nothing of this page counts). */
bool cache_end(struct cache *c, bool ok, struct buf *stale);
/* Forgets all names, keeps what is due to become stale: the rules have changed. */
void cache_forget(struct cache *c);
size_t cache_bytes(const struct cache *c);

/* --- metadata (metadata.c) ---------------------------------------------------------------- */

struct meta {
    uint32_t name, help, unit; /* in the loop's texts; INTERN_FULL = none */
    uint32_t seen;
    enum expo_kind type;
};
struct metas {
    struct meta *v;
    size_t n, cap;
    size_t hint;
};

/* --- targets ------------------------------------------------------------------------------ */

enum {
    REPORT_UP,
    REPORT_DURATION,
    REPORT_SAMPLES,
    REPORT_POST,
    REPORT_ADDED,
    REPORT_TIMEOUT,
    REPORT_LIMIT,
    REPORT_BYTES
};
#define REPORTS 8
extern const struct str scrape_report_names[REPORTS];

struct pool;

/* thread: loop; what scrape_targets shows changes under the loop's lock. */
struct target {
    struct pool *pool; /* borrows */
    struct arena arena;
    struct labels all;        /* after relabelling, with __address__ and so on; sorted */
    struct labels labels;     /* public ones, sorted */
    struct labels discovered; /* before relabelling, sorted */
    char *url;
    uint64_t hash;
    int64_t interval_ns;
    int64_t timeout_ms;

    struct http_fetch *fetch;
    bool fetch_old; /* options have changed: make a new one before the next request */
    bool kept;      /* while a pool is built anew: is in the new list too */
    int64_t next_mono_ns;
    size_t heap_at;     /* SIZE_MAX: not in it */
    int64_t t_ms;       /* time of the running scrape */
    int64_t started_ns; /* monotonic */
    uint32_t flying;    /* commits not done */
    uint32_t reports[REPORTS];
    struct cache cache;
    struct metas metas;

    enum scrape_health health;
    int64_t last_scrape_ms;
    double last_duration_s;
    char last_error[224];
};

struct sd_file {
    struct sd_file *next;
    char *path;
    uint64_t content_hash;
    struct arena arena;
    struct scrape_group *groups;
    uint32_t groups_n;
    bool present;
};

/* What runs of one job. */
struct pool {
    struct scrape *s;             /* borrows */
    const struct scrape_job *job; /* borrows the current configuration */
    struct str name;              /* own copy in `names` */
    struct arena names;
    struct target **targets;
    size_t targets_n, targets_cap;
    struct arena dropped_arena;
    struct labels *dropped;
    size_t dropped_n, dropped_cap;
    uint64_t dropped_total;
    struct sd_file *files;
    int64_t files_due_ns;
    uint32_t source;
    bool over_limit;
};

/* Series of a target that went away, waiting to be marked stale. */
struct leaving {
    struct leaving *next;
    uint32_t *refs; /* sorted */
    size_t n, refs_cap;
    int64_t t_ms, due_ns;
};

/* A batch at the store, or on its way there. */
struct flight {
    struct flight *next, *all_next;
    struct scrape *s;
    struct tsdb_batch *batch;
    struct target *target; /* NULL when it is gone */
    struct tsdb_result result;
    bool failed;
};

struct scrape {
    struct scrape_options o;
    struct mem *mem;
    struct http_multi *multi;
    struct scrape_config *config; /* owns */
    struct pool **pools;
    size_t pools_n, pools_cap;
    struct target **heap; /* by next_mono_ns */
    size_t heap_n, heap_cap;
    struct leaving *leaving;
    struct intern texts; /* names, helps and units of metadata */
    struct arena series; /* labels of one series */
    struct buf scratch, stale;
    struct flight *all;                            /* every flight there is */
    struct flight *spare, *waiting, **waiting_end; /* waiting: held, or the store was busy */
    size_t waiting_n;
    uint64_t held_samples;
    int64_t held_until_ns; /* monotonic; INT64_MAX when nothing waits */
    bool busy;             /* the store took no more: it is tried again at every turn */
    struct scrape_stats stats;
    size_t targets_n;

    pthread_mutex_t mu; /* the loop holds it except while it waits */
    pthread_t thread;
    bool started;
    pthread_mutex_t hand_mu; /* below: handed over between threads */
    struct scrape_config *pending;
    bool has_pending, stopping;
    struct flight *landed;
    size_t flights; /* given to the store and not landed */
    pthread_cond_t landed_cond;
};

/* Labels of all targets of a group by the rules of a job (target.c). *keep false: dropped, only
 * discovered is set. ERR_INPUT: the labels cannot be a target's. */
bool target_new(struct scrape *s, const struct scrape_job *job, const struct scrape_group *g,
                struct str address, struct str file, struct target **out, bool *keep,
                struct err *e);
void target_free(struct scrape *s, struct target *t);
bool target_same(const struct target *a, const struct target *b);
bool target_fetch(struct scrape *s, struct target *t,
                  void (*done)(void *ctx, const struct http_got *got), struct err *e);
/* Refreshes what is read from files before each request. */
bool target_refresh_secrets(struct scrape *s, struct target *t, struct err *e);
void duration_text(int64_t ms, struct buf *out);

/* One page into a batch (append.c). */
struct page {
    uint64_t samples, post, added;
};
bool page_append(struct scrape *s, struct target *t, enum expo_parse_form form, struct str body,
                 struct tsdb_batch *b, struct page *out, struct err *e);
bool page_stale(struct scrape *s, struct target *t, struct tsdb_batch *b, struct err *e);
bool report_append(struct scrape *s, struct target *t, struct tsdb_batch *b, int64_t t_ms,
                   const double values[REPORTS], struct err *e);

void meta_set(struct scrape *s, struct target *t, const struct expo_parse *p);
void metas_release(struct scrape *s, struct metas *m);

/* Commits (commit.c). */
struct flight *flight_new(struct scrape *s);
void flight_give(struct scrape *s, struct flight *f);
void flight_send(struct scrape *s, struct flight *f);
void flights_collect(struct scrape *s);
/* Sends what is held when the next turn may come too late for it. */
void flights_due(struct scrape *s, int64_t next_turn_ns);
void flights_wait(struct scrape *s);
void flights_forget(struct scrape *s, const struct target *t);
void flights_release(struct scrape *s);

/* Targets of the pools from configuration and files (pools.c). */
void pools_apply(struct scrape *s, struct scrape_config *c);
void pools_refresh(struct scrape *s, int64_t mono_ns);
void pools_release(struct scrape *s);
int64_t pools_due_ns(const struct scrape *s);

/* The heap of targets, and the slot arithmetic (slots.c). */
bool heap_add(struct scrape *s, struct target *t);
void heap_remove(struct scrape *s, struct target *t);
void heap_moved(struct scrape *s, struct target *t);
uint64_t slot_offset(uint64_t hash, int64_t interval_ns);
static inline uint64_t slot_hash(const struct scrape *s, const struct target *t)
{
    return slot_offset(t->hash ^ s->o.offset_seed, t->interval_ns);
}
/* The last slot at or before wall_ns. */
int64_t slot_before(int64_t wall_ns, int64_t interval_ns, uint64_t hash);
/* Time for a scrape that starts at wall_ns: the slot's when it is near enough. */
int64_t slot_time_ms(int64_t wall_ns, int64_t interval_ns, uint64_t hash);

/* Series of targets that left (leaving.c). */
void leaving_add(struct scrape *s, struct target *t, int64_t wall_ns, int64_t mono_ns);
void leaving_run(struct scrape *s, int64_t mono_ns);
void leaving_release(struct scrape *s);
int64_t leaving_due_ns(const struct scrape *s);

#endif
