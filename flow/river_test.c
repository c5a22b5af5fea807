/* The river with a toy pillar: every acknowledged batch is applied once, wholly, in order, on any
 * number of shards, across stops, kills, power loss, damaged checkpoints and full disks. */
#include "flow/river.h"

#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "flow/record_gen.h"
#include "flow/river_int.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void *toy_new(void *app, uint32_t shard, uint32_t shards, struct mem *m, struct err *e)
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

static void toy_free(void *state)
{
    struct toy *t = state;
    mem_give(t->mem, t, sizeof *t);
}

static void toy_begin(void *state, const struct record_reader *r)
{
    struct toy *t = state;
    ASSERT(r->shard == t->shard && r->shards == t->shards);
    while (atomic_load(&t->app->gate) > 0) {
    }
}

static void toy_apply(void *state, const struct record *rec, const struct record_reader *r)
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

static void toy_tick(void *app, void *const *states, uint32_t n, int64_t now_ns)
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

static void toy_sum(void *const *states, uint32_t n, struct toy_sum *out)
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

static void toy_save(void *app, void *const *states, uint32_t n, struct buf *out)
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

static bool toy_load(void *app, void *const *states, uint32_t n, struct str bytes, struct err *e)
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

static struct pillar toy_pillar(struct toy_app *app)
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

static struct life *life_new(uint64_t seed, uint32_t shards)
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

static void life_free(struct life *l)
{
    simos_free(l->sim);
    free(l);
}

static bool try_start(struct life *l, struct err *e)
{
    return river_start(&l->river, &l->config, &l->pillar, 1, l->os, NULL, e);
}

static void start(struct life *l)
{
    struct err e = {.code = ERR_NONE};
    if (!try_start(l, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

static void done(void *ctx, const struct err *e)
{
    atomic_int *fate = ctx;
    ASSERT(atomic_load(fate) == PENDING);
    atomic_store(fate, e == NULL ? STORED : REFUSED);
}

static struct batch *make(struct life *l, uint32_t id)
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
static bool submit(struct life *l, struct err *e)
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

static void submit_all(struct life *l, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct err e = {.code = ERR_NONE};
        while (!submit(l, &e)) {
            assert_int_equal(e.code, ERR_BUSY);
        }
    }
}

/* Waits for what was submitted to be acknowledged or refused. */
static void settle(struct life *l)
{
    for (uint32_t i = 1; i < l->next; i++) {
        while (atomic_load(&l->fate[i]) == PENDING) {
            sched_yield();
        }
    }
    river_drain(l->river);
}

static void sum_states(void *ctx, void *const *const *states, uint32_t shards)
{
    toy_sum(states[0], shards, ctx);
}

static struct toy_sum *look(struct life *l)
{
    struct toy_sum *sum = calloc(1, sizeof *sum);
    assert_non_null(sum);
    river_rest(l->river, sum_states, sum);
    return sum;
}

/* Stored batches are there once, refused ones are not, undecided ones are whole or absent; money
 * agrees. */
static void assert_state(struct life *l)
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

static struct river_stats stats(struct life *l)
{
    struct river_stats st;
    river_stats(l->river, &st);
    return st;
}

TEST(river_shards_do_not_change_the_answer)
{
    struct toy_sum *sums[2];
    static const uint32_t shards[2] = {1, 4};
    for (int i = 0; i < 2; i++) {
        struct life *l = life_new(test_seed(), shards[i]);
        start(l);
        submit_all(l, 300);
        settle(l);
        assert_state(l);
        sums[i] = look(l);
        struct river_stats st = stats(l);
        assert_int_equal(st.batches, 300);
        assert_int_equal(st.damaged, 0);
        assert_int_equal(st.queue_bytes, 0);
        uint64_t records = 0;
        for (uint32_t b = 1; b <= 300; b++) {
            records += l->size[b];
        }
        assert_int_equal(st.records, records);
        river_stop(l->river);
        life_free(l);
    }
    assert_memory_equal(sums[0], sums[1], sizeof *sums[0]);
    free(sums[0]);
    free(sums[1]);
}

TEST(river_goes_on_after_a_stop_with_other_shards)
{
    struct life *l = life_new(test_seed(), 3);
    for (uint32_t life = 0; life < 6; life++) {
        l->config.shards = 1 + (life * 3 + 2) % 5;
        start(l);
        struct river_stats st = stats(l);
        assert_int_equal(st.recovered_batches, 0); /* the checkpoint had it all */
        assert_int_equal(st.journal.seq_next, l->next);
        assert_state(l);
        submit_all(l, 40);
        settle(l);
        assert_state(l);
        river_tick(l->river, 1, NULL);
        assert_int_equal(l->app.ticks, life + 1);
        river_stop(l->river);
    }
    life_free(l);
}

/* The machine dies at a random moment; what was acknowledged is there afterwards. */
TEST(river_survives_a_hundred_power_losses)
{
    struct life *l = life_new(test_seed(), 2);
    for (uint32_t stop = 0; stop < 100; stop++) {
        start(l);
        settle(l);
        assert_state(l);
        /* What is in the state now must stay, whether or not its acknowledgement got out. */
        struct toy_sum *sum = look(l);
        for (uint32_t i = 1; i < l->next; i++) {
            atomic_store(&l->fate[i], sum->records[i] > 0 ? STORED : REFUSED);
        }
        free(sum);
        simos_fault_from(l->sim, 1 + rng_below(&l->rng, 60), SIMOS_FAIL);
        uint32_t n = 1 + (uint32_t)rng_below(&l->rng, 16);
        for (uint32_t i = 0; i < n; i++) {
            struct err e;
            if (rng_below(&l->rng, 8) == 0) {
                (void)!river_checkpoint(l->river, true, &e);
            } else {
                (void)submit(l, &e);
            }
        }
        river_stop(l->river); /* all its writing fails, if the machine is dead by then */
        simos_fault_from(l->sim, 0, SIMOS_OK);
        simos_crash(l->sim);
    }
    start(l);
    assert_state(l);
    uint32_t stored = 0;
    for (uint32_t i = 1; i < l->next; i++) {
        stored += atomic_load(&l->fate[i]) == STORED ? 1 : 0;
    }
    assert_true(stored > 100);
    assert_int_equal(stats(l).journal.damaged_frames, 0);
    river_stop(l->river);
    life_free(l);
}

static void flip_checkpoint(struct life *l, const char *path, uint64_t at)
{
    assert_true(simos_flip(l->sim, path, at, 3));
}

TEST(river_falls_back_to_the_older_checkpoint)
{
    static const char *const paths[2] = {DIR_R "/checkpoint-a.bin", DIR_R "/checkpoint-b.bin"};
    for (int newest = 0; newest < 2; newest++) {
        struct life *l = life_new(test_seed(), 2);
        struct err e = {.code = ERR_NONE};
        start(l);
        /* Three checkpoints and the one of the stop: a, b, a, b. With one more it ends in a. */
        for (int i = 0; i < 3 + (newest == 0 ? 1 : 0); i++) {
            submit_all(l, 30);
            settle(l);
            assert_true(river_checkpoint(l->river, true, &e));
        }
        submit_all(l, 10);
        settle(l);
        river_stop(l->river);
        flip_checkpoint(l, paths[newest], 100);
        start(l);
        assert_state(l);
        assert_int_equal(stats(l).recovered_batches, 10);
        assert_int_equal(stats(l).journal.damaged_frames, 0);
        river_stop(l->river);
        life_free(l);
    }
}

TEST(river_reports_what_two_damaged_checkpoints_cost)
{
    struct life *l = life_new(test_seed(), 2);
    struct err e = {.code = ERR_NONE};
    l->config.segment_bytes_max = 2048;
    start(l);
    for (int i = 0; i < 4; i++) {
        submit_all(l, 30);
        settle(l);
        assert_true(river_checkpoint(l->river, true, &e));
    }
    river_stop(l->river);
    flip_checkpoint(l, DIR_R "/checkpoint-a.bin", 500);
    flip_checkpoint(l, DIR_R "/checkpoint-b.bin", 500);
    start(l);
    struct river_stats st = stats(l);
    assert_true(st.journal.damaged_frames > 0);
    assert_int_equal(st.journal.damaged_frames + st.recovered_batches, 120);
    submit_all(l, 5); /* and goes on */
    settle(l);
    assert_int_equal(stats(l).batches, 5);
    river_stop(l->river);
    life_free(l);
}

/* The journal lost its end, which a checkpoint has: numbers go on behind the checkpoint. */
TEST(river_goes_on_when_the_journal_is_gone)
{
    struct life *l = life_new(test_seed(), 2);
    l->config.segment_bytes_max = 256 << 10; /* one segment */
    start(l);
    submit_all(l, 30);
    settle(l);
    river_stop(l->river);
    assert_int_equal(l->os->unlink(l->os->ctx, DIR_R "/journal/journal-0000000000000001.log"), 0);
    start(l);
    assert_int_equal(stats(l).journal.seq_next, 31);
    assert_int_equal(stats(l).journal.damaged_frames, 0);
    submit_all(l, 5);
    settle(l);
    simos_fault_from(l->sim, 1, SIMOS_FAIL); /* no checkpoint at the end */
    river_stop(l->river);
    simos_fault_from(l->sim, 0, SIMOS_OK);
    start(l);
    assert_int_equal(stats(l).recovered_batches, 5);
    assert_state(l);
    river_stop(l->river);
    life_free(l);
}

TEST(river_full_disk_then_space_again)
{
    struct life *l = life_new(test_seed(), 2);
    start(l);
    submit_all(l, 20);
    settle(l);
    simos_disk_bytes_max(l->sim, 1); /* nothing more fits */
    uint32_t first = l->next;
    submit_all(l, 20);
    settle(l);
    for (uint32_t i = first; i < l->next; i++) {
        assert_int_equal(atomic_load(&l->fate[i]), REFUSED);
    }
    struct err e = {.code = ERR_NONE};
    assert_false(river_checkpoint(l->river, true, &e));
    struct toy_sum *sum = look(l);
    for (uint32_t i = first; i < l->next; i++) {
        assert_int_equal(sum->records[i], 0);
    }
    free(sum);
    assert_int_equal(stats(l).refused_io, 20);
    assert_int_equal(stats(l).queue_bytes, 0);
    simos_disk_bytes_max(l->sim, 0);
    first = l->next;
    submit_all(l, 20);
    settle(l);
    for (uint32_t i = first; i < l->next; i++) {
        assert_int_equal(atomic_load(&l->fate[i]), STORED);
    }
    assert_state(l);
    river_stop(l->river);
    simos_crash(l->sim);
    start(l);
    assert_state(l);
    river_stop(l->river);
    life_free(l);
}

TEST(river_failed_sync_is_neither_acknowledged_nor_applied)
{
    struct life *l = life_new(test_seed(), 2);
    start(l);
    submit_all(l, 3);
    settle(l);
    for (int round = 0; round < 30; round++) {
        uint32_t first = l->next;
        simos_fault_at(l->sim, 1 + (uint64_t)round % 4, SIMOS_FAIL);
        submit_all(l, 3);
        settle(l);
        simos_fault_at(l->sim, 0, SIMOS_OK);
        struct toy_sum *sum = look(l);
        for (uint32_t i = first; i < l->next; i++) {
            assert_int_equal(sum->records[i], atomic_load(&l->fate[i]) == STORED ? l->size[i] : 0);
        }
        free(sum);
    }
    assert_true(stats(l).refused_io > 0);
    river_stop(l->river);
    start(l);
    struct toy_sum *sum = look(l);
    for (uint32_t i = 1; i < l->next; i++) { /* no power was lost: what was refused stays away */
        assert_int_equal(sum->records[i], atomic_load(&l->fate[i]) == STORED ? l->size[i] : 0);
    }
    free(sum);
    river_stop(l->river);
    life_free(l);
}

TEST(river_bounds_its_queue)
{
    struct life *l = life_new(test_seed(), 2);
    struct err e = {.code = ERR_NONE};
    l->config.queue_bytes_max = 20 << 10;
    start(l);
    atomic_store(&l->app.gate, 1); /* shards do not get on */
    uint32_t n = 0;
    while (submit(l, &e)) {
        n++;
        assert_true(stats(l).queue_bytes <= 20 << 10);
    }
    assert_int_equal(e.code, ERR_BUSY);
    assert_true(n > 3);
    assert_int_equal(stats(l).refused_busy, 1);
    atomic_store(&l->app.gate, 0);
    settle(l);
    assert_state(l);
    assert_true(submit(l, &e));
    struct batch *large = river_batch_new(1 << 20);
    assert_non_null(large);
    buf_add(&large->payload, l, 64);
    assert_non_null(buf_room(&large->payload, 30 << 10));
    assert_false(river_submit(l->river, large, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_reset(&large->payload);
    assert_false(river_submit(l->river, large, &e));
    assert_int_equal(e.code, ERR_INPUT);
    river_batch_free(large);
    settle(l);
    river_stop(l->river);
    life_free(l);
}

TEST(river_trims_a_full_journal_by_itself)
{
    struct life *l = life_new(test_seed(), 2);
    l->config.journal_bytes_max = 24 << 10;
    l->config.segment_bytes_max = 4 << 10;
    start(l);
    for (int i = 0; i < 30; i++) {
        submit_all(l, 20); /* asks again while it is refused */
        settle(l);
        assert_true(stats(l).journal.bytes <= 24 << 10);
    }
    struct river_stats st = stats(l);
    assert_true(st.checkpoints >= 2);
    river_stop(l->river);
    start(l);
    struct toy_sum *sum = look(l);
    for (uint32_t i = 1; i < l->next; i++) {
        assert_int_equal(sum->records[i], atomic_load(&l->fate[i]) == STORED ? l->size[i] : 0);
    }
    free(sum);
    river_stop(l->river);
    life_free(l);
}

/* As above on a disk that fails now and then: what is refused stays away, and it gets on. */
TEST(river_gets_on_with_a_full_journal_and_a_bad_disk)
{
    struct life *l = life_new(test_seed(), 2);
    l->config.journal_bytes_max = 24 << 10;
    l->config.segment_bytes_max = 4 << 10;
    start(l);
    for (int i = 0; i < 60; i++) {
        simos_fault_at(l->sim, 1 + rng_below(&l->rng, 40), SIMOS_FAIL);
        for (int k = 0; k < 20; k++) {
            struct err e = {.code = ERR_NONE};
            while (!submit(l, &e)) {
                assert_int_equal(e.code, ERR_BUSY);
                simos_clock_add(l->sim, NS_PER_MS); /* a failed checkpoint waits before the next */
            }
        }
        settle(l);
    }
    simos_fault_at(l->sim, 0, SIMOS_OK);
    struct toy_sum *sum = look(l);
    uint32_t stored = 0;
    for (uint32_t i = 1; i < l->next; i++) {
        bool in = atomic_load(&l->fate[i]) == STORED;
        stored += in ? 1 : 0;
        assert_int_equal(sum->records[i], in ? l->size[i] : 0);
    }
    assert_true(stored > 100 && stored < l->next - 1);
    free(sum);
    river_stop(l->river);
    simos_crash(l->sim);
    start(l);
    assert_state(l);
    assert_int_equal(stats(l).journal.damaged_frames, 0);
    river_stop(l->river);
    life_free(l);
}

/* -- the real machine -- */

/* The child: submits batches, and writes the number of each acknowledged one to the pipe. */
static void acknowledge_to(void *ctx, const struct err *e)
{
    const uint32_t *note = ctx; /* {batch, pipe} */
    if (e == NULL && write((int)note[1], &note[0], sizeof note[0]) != sizeof note[0]) {
        _exit(3);
    }
}

static noreturn void child(struct life *l, int out)
{
    struct err e = {.code = ERR_NONE};
    uint32_t(*notes)[2] = calloc(BATCHES_MAX, sizeof *notes);
    if (notes == NULL || !try_start(l, &e)) {
        _exit(2);
    }
    for (;;) {
        uint32_t id = l->next++;
        if (id >= BATCHES_MAX) {
            _exit(0);
        }
        struct batch *b = make(l, id);
        notes[id][0] = id;
        notes[id][1] = (uint32_t)out;
        b->done = acknowledge_to;
        b->ctx = notes[id];
        while (!river_submit(l->river, b, &e)) {
            sched_yield();
        }
        if (id % 16 == 0 && !river_checkpoint(l->river, true, &e)) {
            _exit(2);
        }
    }
}

/* Runs a child on dir, kills it after `kill_after` acknowledgements, marks what it acknowledged. */
static void child_life(struct life *l, uint32_t kill_after)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(l, fds[1]);
    }
    close(fds[1]);
    uint32_t id;
    uint32_t seen = 0;
    while (read(fds[0], &id, sizeof id) == sizeof id) {
        assert_true(id < BATCHES_MAX);
        atomic_store(&l->fate[id], STORED);
        seen++;
        if (seen == kill_after) {
            assert_int_equal(kill(pid, SIGKILL), 0);
        }
    }
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    assert_true(seen > 0);
}

static void remove_name(void *arg, const char *name)
{
    const char *dir = arg;
    char path[PATH_BYTES_MAX];
    if (path_join(path, sizeof path, dir, name, NULL)) {
        (void)os_real()->unlink(NULL, path);
    }
}

TEST(river_survives_kill_9_on_the_real_machine)
{
    char dir[] = "/tmp/farol-river-XXXXXX";
    char journal_dir[64];
    assert_non_null(mkdtemp(dir));
    snprintf(journal_dir, sizeof journal_dir, "%s/journal", dir);
    struct life *l = life_new(test_seed(), 2);
    l->os = os_real();
    l->config.dir = dir;
    for (uint32_t i = 1; i < BATCHES_MAX; i++) {
        river_batch_free(make(l, i)); /* for its size */
    }
    for (uint32_t kills = 0; kills < 8; kills++) {
        child_life(l, 10 + (uint32_t)rng_below(&l->rng, 60));
        start(l);
        uint32_t made = l->next;
        l->next = BATCHES_MAX;
        assert_state(l);
        assert_int_equal(stats(l).journal.damaged_frames, 0);
        /* The next child goes on behind the newest batch that is there. */
        struct toy_sum *sum = look(l);
        for (uint32_t i = 1; i < BATCHES_MAX; i++) {
            made = sum->records[i] > 0 ? i + 1 : made;
        }
        free(sum);
        l->next = made;
        river_stop(l->river);
    }
    const struct os *os = os_real();
    assert_int_equal(os->list(os->ctx, journal_dir, remove_name, journal_dir), 0);
    assert_int_equal(os->list(os->ctx, dir, remove_name, dir), 0);
    (void)rmdir(journal_dir); /* unless the removal of names took it too */
    assert_int_equal(rmdir(dir), 0);
    life_free(l);
}

/* -- rest -- */

struct prefix {
    struct life *l;
    struct toy_sum *sum;
    bool whole;
    uint32_t seen;
};

/* At rest every batch is wholly in or wholly out, and those in are a prefix. */
static void check_prefix(void *ctx, void *const *const *states, uint32_t shards)
{
    struct prefix *p = ctx;
    toy_sum(states[0], shards, p->sum);
    p->seen = 0;
    bool ended = false;
    p->whole = true;
    for (uint32_t i = 1; i < BATCHES_MAX; i++) {
        uint32_t n = p->sum->records[i];
        if (n == 0) {
            ended = true;
            continue;
        }
        p->seen++;
        p->whole = p->whole && !ended && n == p->l->size[i];
    }
}

static void *rest_loop(void *arg)
{
    struct prefix *p = arg;
    struct err e;
    uint32_t before = 0;
    for (int i = 0; i < 60; i++) {
        if (i % 10 == 3) {
            (void)!river_checkpoint(p->l->river, true, &e);
        }
        river_rest(p->l->river, check_prefix, p);
        ASSERT(p->whole);
        ASSERT(p->seen >= before);
        before = p->seen;
    }
    return NULL;
}

TEST(river_rests_at_the_same_batch_everywhere)
{
    struct life *l = life_new(test_seed(), 4);
    struct prefix p = {.l = l, .sum = calloc(1, sizeof(struct toy_sum))};
    struct prefix q = {.l = l, .sum = calloc(1, sizeof(struct toy_sum))};
    assert_true(p.sum != NULL && q.sum != NULL);
    for (uint32_t i = 1; i < 600; i++) { /* sizes first: the other threads read them */
        struct batch *b = make(l, i);
        river_batch_free(b);
    }
    start(l);
    pthread_t a;
    pthread_t b;
    assert_int_equal(pthread_create(&a, NULL, rest_loop, &p), 0);
    assert_int_equal(pthread_create(&b, NULL, rest_loop, &q), 0);
    for (uint32_t i = 1; i < 600; i++) {
        struct batch *batch = river_batch_new(1 << 20);
        assert_non_null(batch);
        struct record_gen *g = calloc(1, sizeof *g);
        assert_non_null(g);
        rng_init(&g->rng, i);
        record_put_name(&batch->payload, STR("score"));
        for (uint32_t k = 0; k < l->size[i]; k++) {
            struct stage_event s;
            record_gen_stage(g, &s, 1, 10);
            s.attempt = i;
            s.amount_centavos = 1000 + i;
            record_put_stage(&batch->payload, &s);
        }
        free(g);
        batch->done = done;
        batch->ctx = &l->fate[i];
        struct err e = {.code = ERR_NONE};
        while (!river_submit(l->river, batch, &e)) {
            assert_int_equal(e.code, ERR_BUSY);
        }
        l->next = i + 1;
    }
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    settle(l);
    assert_state(l);
    river_rest(l->river, check_prefix, &p);
    assert_true(p.whole);
    assert_int_equal(p.seen, 599);
    river_stop(l->river);
    free(p.sum);
    free(q.sum);
    life_free(l);
}

/* -- starting -- */

TEST(river_folder_has_one_owner)
{
    struct life *l = life_new(test_seed(), 1);
    struct err e = {.code = ERR_NONE};
    start(l);
    struct river *second = NULL;
    assert_false(river_start(&second, &l->config, &l->pillar, 1, l->os, NULL, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_true(str_contains(str_from_c(e.msg), STR(DIR_R)));
    river_stop(l->river);
    start(l);
    river_stop(l->river);
    life_free(l);
}

TEST(river_does_not_start_on_a_checkpoint_it_cannot_read)
{
    struct life *l = life_new(test_seed(), 1);
    struct err e = {.code = ERR_NONE};
    start(l);
    submit_all(l, 3);
    settle(l);
    river_stop(l->river);
    l->pillar.name = "other";
    assert_false(try_start(l, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_true(str_contains(str_from_c(e.msg), STR("'toy'")));
    l->pillar.name = "toy";
    atomic_store(&l->app.load_fails, 1);
    assert_false(try_start(l, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    atomic_store(&l->app.load_fails, 0);
    start(l);
    assert_state(l);
    river_stop(l->river);
    l->config.shards = 0;
    assert_false(try_start(l, &e));
    assert_int_equal(e.code, ERR_INPUT);
    l->config.shards = 1;
    l->config.shard_mem_bytes_max = 10; /* the pillar does not fit */
    assert_false(try_start(l, &e));
    assert_int_equal(e.code, ERR_NOMEM);
    life_free(l);
}

/* Any one operation of a start fails: either an error and a next start that works, or a state that
 * is whole. */
TEST(river_start_survives_any_failing_operation)
{
    struct life *l = life_new(test_seed(), 2);
    struct err e = {.code = ERR_NONE};
    start(l);
    submit_all(l, 20);
    settle(l);
    assert_true(river_checkpoint(l->river, true, &e));
    submit_all(l, 20);
    settle(l);
    simos_fault_from(l->sim, 1, SIMOS_FAIL); /* no checkpoint at the end */
    river_stop(l->river);
    simos_fault_from(l->sim, 0, SIMOS_OK);
    uint32_t errors = 0;
    for (uint64_t at = 1; at < 60; at++) {
        simos_fault_at(l->sim, at, SIMOS_FAIL);
        bool started = try_start(l, &e);
        errors += started ? 0 : 1;
        if (started) {
            simos_fault_at(l->sim, 0, SIMOS_OK);
            assert_state(l);
            simos_fault_from(l->sim, 1, SIMOS_FAIL);
            river_stop(l->river);
        }
        simos_fault_from(l->sim, 0, SIMOS_OK);
        simos_fault_at(l->sim, 0, SIMOS_OK);
    }
    assert_true(errors > 5 && errors < 59);
    start(l);
    assert_state(l);
    assert_int_equal(stats(l).recovered_batches, 20);
    river_stop(l->river);
    life_free(l);
}

TEST(river_checkpoints_when_due)
{
    struct life *l = life_new(test_seed(), 2);
    struct err e = {.code = ERR_NONE};
    start(l);
    assert_true(river_checkpoint(l->river, false, &e));
    assert_int_equal(stats(l).checkpoints, 0);
    submit_all(l, 2);
    settle(l);
    assert_true(river_checkpoint(l->river, false, &e));
    assert_int_equal(stats(l).checkpoints, 0); /* not yet */
    simos_clock_add(l->sim, 61 * NS_PER_S);
    assert_true(river_checkpoint(l->river, false, &e));
    assert_int_equal(stats(l).checkpoints, 1);
    simos_clock_add(l->sim, 61 * NS_PER_S);
    assert_true(river_checkpoint(l->river, false, &e));
    assert_int_equal(stats(l).checkpoints, 1); /* nothing changed */
    submit_all(l, 1);
    settle(l);
    river_tick(l->river, 0, NULL); /* wakes the saver, if the commit has not */
    for (int i = 0; i < 1000000 && stats(l).checkpoints < 2; i++) {
        sched_yield();
    }
    assert_int_equal(stats(l).checkpoints, 2);
    river_stop(l->river);
    life_free(l);
}

/* Killed again and again, each time before a checkpoint, a journal only grows: replay is followed
 * by one at once, without waiting for the clock. */
TEST(river_checkpoints_at_the_first_tick_after_a_replay)
{
    struct life *l = life_new(test_seed(), 2);
    struct err e = {.code = ERR_NONE};
    start(l);
    submit_all(l, 5);
    settle(l);
    simos_fault_from(l->sim, 1, SIMOS_FAIL); /* the stop leaves no checkpoint */
    river_stop(l->river);
    simos_fault_from(l->sim, 0, SIMOS_OK);
    start(l);
    assert_true(stats(l).recovered_batches > 0);
    assert_true(river_checkpoint(l->river, false, &e));
    assert_int_equal(stats(l).checkpoints, 1);
    assert_state(l);
    river_stop(l->river);
    life_free(l);
}
