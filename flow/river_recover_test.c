/* Starts of the river: after power loss, kill -9, damage and faults what was acknowledged is there,
 * once; checkpoints are made when due. */
#include "flow/river_testing_int.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

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
