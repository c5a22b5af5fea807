/* The head: samples of the last minutes in memory, readable while they are written. head.c draws
 * it. A generation (struct gen) is filled by the committer, then frozen, flushed into a block and
 * freed when no view refers to it.
 *
 * thread: the committer writes; views read what was published before they were opened; the flusher
 * reads frozen generations. Counts of references: view_mu. */
#ifndef ENGINES_TSDB_HEAD_INT_H
#define ENGINES_TSDB_HEAD_INT_H

#include "engines/tsdb/tsdb.h"

#include <pthread.h>
#include <stdatomic.h>

/* --- memory: pages of one size, kept for the next generation ---------------------------------- */

#define POOL_PAGE_BYTES ((size_t)256 << 10)

struct pool_page {
    struct pool_page *next;
};

/* locks itself */
struct pool {
    pthread_mutex_t mu;
    struct mem mem;
    struct pool_page *free, *fresh; /* were in use before; were not */
    size_t free_n, pages_n;
};

void pool_init(struct pool *p);
void pool_release(struct pool *p); /* every page was given back */
/* At least n pages are free afterwards, so that n takes cannot fail. */
MUST_USE bool pool_reserve(struct pool *p, size_t n);
void *pool_take(struct pool *p); /* not zeroed; NULL without memory */
void pool_give(struct pool *p, void *page);
/* Gives free pages above n back to the system. */
void pool_trim(struct pool *p, size_t n);
/* Other sizes, zeroed. */
void *pool_take_bytes(struct pool *p, size_t bytes);
void pool_give_bytes(struct pool *p, void *q, size_t bytes);

/* --- a generation ----------------------------------------------------------------------------- */

/* An address in a generation: page << GEN_UNIT_BITS | offset in units of 8 bytes; 0 = none. */
#define GEN_UNIT_BITS    15
#define GEN_UNIT_BYTES   8
#define GEN_PAGES_MAX    ((uint32_t)1 << 14) /* 4 GiB */
#define CHUNK_SAMPLES    32
#define CHUNK_SAMPLES_LO 10 /* of a series' first chunk */

_Static_assert(POOL_PAGE_BYTES == (size_t)GEN_UNIT_BYTES << GEN_UNIT_BITS, "a page is all units");

enum chunk_kind {
    CHUNK_FLOAT = 0,
    CHUNK_ST = 1,   /* with start timestamps */
    CHUNK_HIST = 2, /* values are addresses of blobs */
};

/* Times shared by series that are sampled together. n is the committer's; readers look below what a
 * slot's count tells them. */
struct time_col {
    uint32_t next; /* goes on there when this one is full */
    uint16_t n, cap;
    int64_t t[];
};

/* Up to cap samples of one series: its i-th has the time col->t[start + i]. Values follow, then
 * start timestamps when the kind has CHUNK_ST. */
struct chunk {
    uint32_t prev; /* older chunk of the series */
    uint32_t col;
    uint32_t base; /* samples of the series in this generation before this chunk */
    uint16_t start;
    uint8_t cap;
    uint8_t kind;
    uint64_t v[];
};
_Static_assert(sizeof(struct chunk) == 16, "values begin in the header's cache line");

/* A sample older than the series' newest. */
struct late {
    uint64_t epoch; /* views of an older epoch do not see it */
    int64_t t, st;
    uint64_t bits;
    uint32_t next; /* older in order of arrival */
    uint32_t kind;
    uint32_t ref;
    uint32_t spare;
};

/* Histogram bytes of nhist_encode. */
struct blob {
    uint32_t n;
    char p[];
};

struct slot {
    _Atomic uint32_t count;         /* published last: release */
    _Atomic uint32_t chunk;         /* newest */
    _Atomic uint32_t late;          /* newest */
    uint8_t used, cap, kind, spare; /* of the newest chunk; committer's */
};
_Static_assert(sizeof(struct slot) == 16, "four slots a cache line");

#define SLOTS_PER_PAGE 1024
#define SLOT_PAGES_MAX ((uint32_t)1 << 16)
#define REFS_MAX       (SLOTS_PER_PAGE * SLOT_PAGES_MAX)

/* Counts as they were for epochs from <= e < until. */
struct slot_old {
    uint64_t from, until;
    struct slot_old *next; /* older */
    uint32_t counts[SLOTS_PER_PAGE];
};

struct slot_page {
    _Atomic uint64_t modified; /* epoch of the newest change */
    _Atomic(struct slot_old *) old;
    bool blurred; /* a copy could not be made; the others are kept then. Committer's */
    struct slot slots[SLOTS_PER_PAGE];
};

#define COL_CACHE 64

struct col_place {
    int64_t t;
    uint32_t col;
    uint32_t pos;
};

struct late_set { /* (ref, t) -> struct late; committer's */
    uint32_t *v;
    size_t cap;
    size_t n; /* slots that are not empty */
};

/* Owned by the store; refs under view_mu. */
struct gen {
    struct pool *pool; /* borrows */
    uint32_t refs;
    uint64_t log_upto;      /* set when frozen */
    int64_t min_ms, max_ms; /* of applied samples; lock: view_mu */
    uint64_t samples;       /* applied, late ones included; lock: view_mu */
    int64_t born_mono_ns;
    uint32_t refs_end; /* ids below this may have samples */

    size_t bytes; /* taken; committer's */
    uint32_t unit, unit_end;
    uint32_t pages_n;
    _Atomic(char *) *pages;             /* GEN_PAGES_MAX, untouched ones cost nothing */
    uint32_t *page_bytes;               /* of pages that are not POOL_PAGE_BYTES; same length */
    _Atomic(struct slot_page *) *slots; /* SLOT_PAGES_MAX */
    struct late_set lates;
    struct col_place cache[COL_CACHE];
};

struct gen *gen_new(struct pool *p); /* NULL without memory */
void gen_free(struct gen *g);

static inline void *gen_at(const struct gen *g, uint32_t address)
{
    char *page = atomic_load_explicit(&g->pages[address >> GEN_UNIT_BITS], memory_order_relaxed);
    return page + (size_t)(address & (((uint32_t)1 << GEN_UNIT_BITS) - 1)) * GEN_UNIT_BYTES;
}

static inline struct slot_page *gen_slot_page(const struct gen *g, uint32_t ref)
{
    return atomic_load_explicit(&g->slots[ref / SLOTS_PER_PAGE], memory_order_acquire);
}

/* Asks the memory for what an append to the series will touch: the slot, and, once that is there,
 * the end of its newest chunk. */
static inline void gen_fetch_slot(const struct gen *g, uint32_t ref)
{
    struct slot_page *p = gen_slot_page(g, ref);
    if (p != NULL) {
        __builtin_prefetch(&p->slots[ref % SLOTS_PER_PAGE], 1);
    }
}
static inline void gen_fetch_chunk(const struct gen *g, uint32_t ref)
{
    struct slot_page *p = gen_slot_page(g, ref);
    if (p == NULL) {
        return;
    }
    const struct slot *s = &p->slots[ref % SLOTS_PER_PAGE];
    uint32_t at = atomic_load_explicit(&s->chunk, memory_order_relaxed);
    if (at != 0) {
        const struct chunk *c = gen_at(g, at);
        __builtin_prefetch(c);
        __builtin_prefetch(&c->v[s->used], 1);
    }
}

/* Committer: the slot of a series, its page made when new; NULL without memory. */
struct slot *gen_slot(struct gen *g, uint32_t ref);

/* Bytes that samples need at most, in runs of one time: each may begin a chunk, and each run a time
 * column, which the others of the run then share. */
static inline size_t gen_bytes_max(size_t samples, size_t runs, bool has_st)
{
    const size_t chunk = sizeof(struct chunk) + CHUNK_SAMPLES * (size_t)(has_st ? 16 : 8);
    const size_t col = sizeof(struct time_col) + CHUNK_SAMPLES * sizeof(int64_t) + GEN_UNIT_BYTES;
    return samples * chunk + runs * col;
}
/* Pages for so many bytes in pieces of that size: the end of a page may stay empty. */
static inline size_t gen_pages_of(size_t bytes)
{
    return bytes / (POOL_PAGE_BYTES - 4096) + 2;
}
/* One sample in order. Cannot fail when the pages of gen_bytes_max were reserved for its run. bits:
 * of the double, or the address of a blob. */
void gen_append(struct gen *g, struct slot *s, int64_t t_ms, int64_t st_ms, unsigned kind,
                uint64_t bits);

/* Stores bytes and gives their address; 0 without memory. */
uint32_t gen_blob(struct gen *g, struct str bytes);
struct str gen_blob_str(const struct gen *g, uint32_t address);

/* A late sample, in two steps: made and found by gen_late_find from now on, not yet visible; 0
 * without memory. Then published or taken back. */
uint32_t gen_late_add(struct gen *g, uint32_t ref, int64_t t_ms, int64_t st_ms, unsigned kind,
                      uint64_t bits);
void gen_late_publish(struct gen *g, uint32_t late, uint64_t epoch);
void gen_late_undo(struct gen *g, uint32_t late);
const struct late *gen_late_find(const struct gen *g, uint32_t ref, int64_t t_ms);

/* Looks for a sample with this very time among those in order. */
bool gen_find(const struct gen *g, uint32_t ref, int64_t t_ms, unsigned *kind, uint64_t *bits);

/* Before slots of a page change in `epoch`: keeps the counts for views of an older epoch that may
 * look (views_newest, 0 = no view open) and frees what no view (views_oldest) can ask for. */
void gen_page_touch(struct gen *g, struct slot_page *p, uint64_t epoch, uint64_t views_newest,
                    uint64_t views_oldest, bool views_open);

/* --- reading a generation --------------------------------------------------------------------- */

/* Samples in order that a view of `epoch` sees. */
uint32_t gen_count(const struct gen *g, uint32_t ref, uint64_t epoch);
/* Whether the view sees any late sample of the series. */
bool gen_has_late(const struct gen *g, uint32_t ref, uint64_t epoch);

/* --- what the committer knows of every series ------------------------------------------------- */

#define NO_TIME INT64_MIN

struct last {
    int64_t last_t; /* newest sample that was checked in, NO_TIME */
    uint64_t last_bits;
    uint32_t undo; /* newest undo record of the series, when group is the current one */
    uint32_t group;
};

#define SERIES_PER_PAGE 4096
#define SERIES_PAGES    (REFS_MAX / SERIES_PER_PAGE)

struct series_page {
    uint64_t known[SERIES_PER_PAGE / 64];  /* met since the start: logged, last_t is right */
    uint64_t logged[SERIES_PER_PAGE / 64]; /* definition is in the log or the saved table */
    struct last v[SERIES_PER_PAGE];
};

/* thread: committer, and open before it runs. */
struct head {
    struct mem own; /* of this struct */
    struct pool pool;
    struct series_page **pages; /* SERIES_PAGES */
};

MUST_USE bool head_new(struct head **out, struct err *e);
void head_free(struct head *h); /* generations are free already */
/* NULL without memory, or beyond REFS_MAX. */
struct series_page *head_page(struct head *h, uint32_t ref);

static inline bool bit_get(const uint64_t *b, uint32_t i)
{
    return (b[i / 64] >> (i % 64) & 1) != 0;
}
static inline void bit_set(uint64_t *b, uint32_t i)
{
    b[i / 64] |= (uint64_t)1 << (i % 64);
}
static inline void bit_clear(uint64_t *b, uint32_t i)
{
    b[i / 64] &= ~((uint64_t)1 << (i % 64));
}

#endif
