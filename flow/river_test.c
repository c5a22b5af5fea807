/* The river with a toy pillar: every acknowledged batch is applied once, wholly, in order, on any
 * number of shards; queues and disks that are full. */
#include "flow/river_testing_int.h"

#include <pthread.h>

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
