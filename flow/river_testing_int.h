/* What the tests of the river share: a toy pillar that counts the records of each batch, and lives
 * of a river on one disk. For tests only. */
#ifndef FLOW_RIVER_TESTING_INT_H
#define FLOW_RIVER_TESTING_INT_H

#include "flow/river.h"

#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "flow/record_gen.h"
#include "flow/river_int.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define DIR_R       "/farol"
#define BATCHES_MAX 2048

/* -- the toy: how many records of each batch have been applied -- */

struct toy_app {
    atomic_int gate; /* > 0: shards wait in apply */
    atomic_int load_fails;
    uint32_t ticks;
};

struct toy {
    struct mem *mem;
    struct toy_app *app;
    uint32_t shard, shards;
    uint32_t last; /* batch of the newest record: order */
    uint32_t records[BATCHES_MAX];
    int64_t centavos;
};

static inline void *toy_new(void *app, uint32_t shard, uint32_t shards, struct mem *m,
                            struct err *e)
{
    struct toy *t = mem_take(m, sizeof *t);
    if (t == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the toy");
        return NULL;
    }
    t->mem = m;
    t->app = app;
    t->shard = shard;
    t->shards = shards;
    return t;
}

static inline void toy_free(void *state)
{
    struct toy *t = state;
    mem_give(t->mem, t, sizeof *t);
}

static inline void toy_begin(void *state, const struct record_reader *r)
{
    struct toy *t = state;
    ASSERT(r->shard == t->shard && r->shards == t->shards);
    while (atomic_load(&t->app->gate) > 0) {
    }
}

static inline void toy_apply(void *state, const struct record *rec, const struct record_reader *r)
{
    struct toy *t = state;
    ASSERT(rec->kind == RECORD_STAGE);
    ASSERT(record_shard(rec->route, t->shards) == t->shard);
    ASSERT(str_eq(r->names[rec->u.stage.stage_name], STR("score")));
    uint32_t b = rec->u.stage.attempt;
    ASSERT(b < BATCHES_MAX && b >= t->last);
    t->last = b;
    t->records[b]++;
    t->centavos += rec->u.stage.amount_centavos;
}

static inline void toy_tick(void *app, void *const *states, uint32_t n, int64_t now_ns)
{
    struct toy_app *a = app;
    (void)states;
    (void)n;
    (void)now_ns;
    a->ticks++;
}

/* Sums over shards do not depend on their number. */
struct toy_sum {
    uint32_t records[BATCHES_MAX];
    int64_t centavos;
};

static inline void toy_sum(void *const *states, uint32_t n, struct toy_sum *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t s = 0; s < n; s++) {
        const struct toy *t = states[s];
        for (size_t b = 0; b < BATCHES_MAX; b++) {
            out->records[b] += t->records[b];
        }
        out->centavos += t->centavos;
    }
}

static inline void toy_save(void *app, void *const *states, uint32_t n, struct buf *out)
{
    (void)app;
    struct toy_sum *sum = calloc(1, sizeof *sum);
    assert_non_null(sum);
    toy_sum(states, n, sum);
    for (size_t b = 0; b < BATCHES_MAX; b++) {
        buf_u32le(out, sum->records[b]);
    }
    buf_u64le(out, (uint64_t)sum->centavos);
    free(sum);
}

static inline bool toy_load(void *app, void *const *states, uint32_t n, struct str bytes,
                            struct err *e)
{
    struct toy_app *a = app;
    struct toy *t = states[n - 1];
    struct rd rd = rd_of(bytes);
    for (size_t b = 0; b < BATCHES_MAX; b++) {
        t->records[b] = rd_u32le(&rd);
    }
    t->centavos = (int64_t)rd_u64le(&rd);
    if (rd.failed || rd_left(&rd) > 0 || atomic_load(&a->load_fails) > 0) {
        return err_set(e, ERR_CORRUPT, "the toy's section does not fit");
    }
    return true;
}

static inline struct pillar toy_pillar(struct toy_app *app)
{
    return (struct pillar){.name = "toy",
                           .app = app,
                           .shard_new = toy_new,
                           .shard_free = toy_free,
                           .batch_begin = toy_begin,
                           .apply = toy_apply,
                           .tick = toy_tick,
                           .save = toy_save,
                           .load = toy_load};
}

/* -- a world with one disk and lives on it -- */

enum fate { PENDING, STORED, REFUSED };

struct life {
    struct simos *sim;
    const struct os *os;
    struct toy_app app;
    struct pillar pillar;
    struct river *river;
    struct river_config config;
    atomic_int fate[BATCHES_MAX]; /* what done said */
    uint32_t size[BATCHES_MAX];   /* records in the batch */
    uint32_t next;                /* batch to make */
    struct rng rng;
};

static inline struct life *life_new(uint64_t seed, uint32_t shards)
{
    struct life *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->sim = simos_new(seed);
    l->os = simos_os(l->sim);
    l->pillar = toy_pillar(&l->app);
    rng_init(&l->rng, seed);
    l->next = 1;
    l->config = (struct river_config){.dir = DIR_R,
                                      .shards = shards,
                                      .queue_bytes_max = 1 << 20,
                                      .segment_bytes_max = 16 << 10,
                                      .journal_bytes_max = 1 << 20,
                                      .checkpoint_ms = 60000,
                                      .checkpoint_bytes = 1 << 20,
                                      .shard_mem_bytes_max = 1 << 20};
    return l;
}

static inline void life_free(struct life *l)
{
    simos_free(l->sim);
    free(l);
}

static inline bool try_start(struct life *l, struct err *e)
{
    return river_start(&l->river, &l->config, &l->pillar, 1, l->os, NULL, e);
}

static inline void start(struct life *l)
{
    struct err e = {.code = ERR_NONE};
    if (!try_start(l, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

static inline void done(void *ctx, const struct err *e)
{
    atomic_int *fate = ctx;
    ASSERT(atomic_load(fate) == PENDING);
    atomic_store(fate, e == NULL ? STORED : REFUSED);
}

static inline struct batch *make(struct life *l, uint32_t id)
{
    struct batch *b = river_batch_new(1 << 20);
    assert_non_null(b);
    struct record_gen *g = calloc(1, sizeof *g);
    assert_non_null(g);
    rng_init(&g->rng, id);
    record_put_name(&b->payload, STR("score"));
    l->size[id] = 1 + (uint32_t)rng_below(&g->rng, 12);
    for (uint32_t i = 0; i < l->size[id]; i++) {
        struct stage_event s;
        record_gen_stage(g, &s, 1, 10);
        s.attempt = id;
        s.amount_centavos = 1000 + id;
        record_put_stage(&b->payload, &s);
    }
    b->records = l->size[id];
    b->done = done;
    b->ctx = &l->fate[id];
    free(g);
    return b;
}

/* One batch, not waited for. false: refused at the door. */
static inline bool submit(struct life *l, struct err *e)
{
    ASSERT(l->next < BATCHES_MAX);
    uint32_t id = l->next;
    struct batch *b = make(l, id);
    if (!river_submit(l->river, b, e)) {
        river_batch_free(b);
        return false;
    }
    l->next++;
    return true;
}

static inline void submit_all(struct life *l, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct err e = {.code = ERR_NONE};
        while (!submit(l, &e)) {
            assert_int_equal(e.code, ERR_BUSY);
        }
    }
}

/* Waits for what was submitted to be acknowledged or refused. */
static inline void settle(struct life *l)
{
    for (uint32_t i = 1; i < l->next; i++) {
        while (atomic_load(&l->fate[i]) == PENDING) {
            sched_yield();
        }
    }
    river_drain(l->river);
}

static inline void sum_states(void *ctx, void *const *const *states, uint32_t shards)
{
    toy_sum(states[0], shards, ctx);
}

static inline struct toy_sum *look(struct life *l)
{
    struct toy_sum *sum = calloc(1, sizeof *sum);
    assert_non_null(sum);
    river_rest(l->river, sum_states, sum);
    return sum;
}

/* Stored batches are there once, refused ones are not, undecided ones are whole or absent; money
 * agrees. */
static inline void assert_state(struct life *l)
{
    struct toy_sum *sum = look(l);
    int64_t centavos = 0;
    for (uint32_t i = 1; i < l->next; i++) {
        uint32_t n = sum->records[i];
        int fate = atomic_load(&l->fate[i]);
        if ((n != 0 && n != l->size[i]) || (fate == STORED && n == 0)) {
            print_error("batch %u (fate %d): %u of %u records\n", i, fate, n, l->size[i]);
            fail();
        }
        centavos += (int64_t)n * (1000 + i);
    }
    assert_int_equal(sum->centavos, centavos);
    free(sum);
}

static inline struct river_stats stats(struct life *l)
{
    struct river_stats st;
    river_stats(l->river, &st);
    return st;
}

#endif
