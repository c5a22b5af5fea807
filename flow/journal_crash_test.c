/* The journal when power, disk or process fail: what was acknowledged is there, once; nothing else
 * is. */
#include "flow/journal_testing_int.h"

/* What a writer knows about a run: which tag each seq was acknowledged with. */
struct ledger {
    uint64_t tag_of[SEEN_MAX]; /* by seq; 0 = not acknowledged */
    uint64_t acked_max;
    uint64_t tag_next;
    bool sync_failed;
};

/* Appends and syncs in groups until something fails or `groups` are done; notes what was
 * acknowledged. */
static void write_groups(struct journal *j, struct ledger *l, struct rng *rng, int groups)
{
    for (int g = 0; g < groups; g++) {
        uint64_t first_tag[8];
        uint64_t seqs[8];
        int n = 0;
        int want = 1 + (int)rng_below(rng, 5);
        for (int i = 0; i < want; i++) {
            char bytes[BATCH_MAX];
            uint64_t tag = l->tag_next++;
            uint64_t seq;
            if (journal_append(j, payload_of(tag, bytes), &seq, NULL)) {
                first_tag[n] = tag;
                seqs[n++] = seq;
            }
        }
        if (!journal_sync(j, NULL)) {
            l->sync_failed = true;
            continue;
        }
        for (int i = 0; i < n; i++) {
            assert_int_equal(l->tag_of[seqs[i]], 0); /* a number is acknowledged once */
            l->tag_of[seqs[i]] = first_tag[i];
            l->acked_max = seqs[i];
        }
        if (rng_below(rng, 6) == 0 && l->acked_max > 8) {
            (void)!journal_trim(j, l->acked_max - 8, NULL);
        }
    }
}

/* Everything acknowledged that trims cannot have taken is there, with its bytes. What is there
 * beyond was at least appended, and no acknowledged number carries anything else. */
static void assert_kept(struct journal *j, struct ledger *l)
{
    uint64_t from = l->acked_max > 8 ? l->acked_max - 8 : 1;
    struct seen *s = replay_ok(j, from);
    struct journal_stats st;
    journal_stats(j, &st);
    assert_int_equal(st.damaged_frames, 0);
    uint64_t next = from;
    for (size_t i = 0; i < s->n; i++) {
        assert_true(s->tag[i] < l->tag_next);
        if (s->seq[i] <= l->acked_max) {
            assert_int_equal(s->seq[i], next);
            assert_int_equal(s->tag[i], l->tag_of[next]);
            next++;
        }
    }
    assert_int_equal(next, l->acked_max + 1);
    /* What survived without an acknowledgement counts from now on: it was read, so it must stay. */
    for (size_t i = 0; i < s->n; i++) {
        if (s->seq[i] > l->acked_max) {
            assert_int_equal(s->seq[i] > l->acked_max, 1);
            l->tag_of[s->seq[i]] = s->tag[i];
        }
    }
    free(s);
}

/* Power is lost at a random operation; opened again, it must all be there. Several lives on one
 * disk. */
TEST(journal_survives_power_loss_at_any_operation)
{
    for (uint64_t round = 0; round < 400; round++) {
        struct world w = world_new(test_seed() + round);
        struct rng rng;
        rng_init(&rng, test_seed() * 31 + round);
        struct ledger *l = calloc(1, sizeof *l);
        assert_non_null(l);
        l->tag_next = 1;
        for (int life = 0; life < 4; life++) {
            /* From some operation on the machine is dead; what had been acknowledged before
             * counts. */
            simos_fault_from(w.sim, 1 + rng_below(&rng, 120), SIMOS_FAIL);
            struct journal_config c = config(700);
            struct journal *j = NULL;
            bool opened = journal_open(&j, &c, w.os, &w.mem, NULL, NULL);
            if (opened) {
                write_groups(j, l, &rng, 12);
                journal_close(j);
            }
            simos_fault_from(w.sim, 0, SIMOS_OK);
            simos_crash(w.sim);
            j = open_ok(&w, 700);
            assert_kept(j, l);
            struct journal_stats st;
            journal_stats(j, &st);
            /* Numbers of what was found without an acknowledgement are used up as well. */
            assert_true(st.seq_next > l->acked_max);
            l->acked_max = st.seq_next - 1;
            bool holes = false;
            for (uint64_t q = l->acked_max > 8 ? l->acked_max - 8 : 1; q <= l->acked_max; q++) {
                holes |= l->tag_of[q] == 0;
            }
            journal_close(j);
            if (holes) {
                break; /* a hole in the last group: legal, but the ledger above cannot follow it */
            }
        }
        free(l);
        world_free(&w);
    }
}

/* One operation fails in the middle of a life, then the process is killed (no power loss), or power
 * is lost. */
TEST(journal_survives_one_failing_operation_anywhere)
{
    static const enum simos_fault faults[] = {SIMOS_FAIL, SIMOS_FULL, SIMOS_SHORT};
    for (uint64_t at = 1; at < 140; at++) {
        for (int kind = 0; kind < 6; kind++) {
            struct world w = world_new(test_seed() + at);
            struct rng rng;
            rng_init(&rng, test_seed() + at);
            struct ledger *l = calloc(1, sizeof *l);
            assert_non_null(l);
            l->tag_next = 1;
            simos_fault_at(w.sim, at, faults[kind % 3]);
            struct journal_config c = config(600);
            struct journal *j = NULL;
            if (journal_open(&j, &c, w.os, &w.mem, NULL, NULL)) {
                write_groups(j, l, &rng, 14);
                journal_close(j);
            }
            simos_fault_at(w.sim, 0, SIMOS_OK);
            if (kind >= 3) {
                simos_crash(w.sim);
            }
            j = open_ok(&w, 600);
            assert_kept(j, l);
            struct journal_stats st;
            journal_stats(j, &st);
            /* Nothing that was refused came back, unless power went before the disk knew of the
             * cut. */
            assert_true(st.seq_next == l->acked_max + 1 ||
                        (kind >= 3 && st.seq_next > l->acked_max));
            journal_close(j);
            free(l);
            world_free(&w);
        }
    }
}

/* The disk is gone for a few operations and comes back: a failed sync cannot even be cut away. */
TEST(journal_survives_a_disk_that_goes_and_returns)
{
    for (uint64_t round = 0; round < 1500; round++) {
        struct world w = world_new(test_seed() + round);
        struct rng rng;
        rng_init(&rng, test_seed() * 17 + round);
        struct ledger *l = calloc(1, sizeof *l);
        assert_non_null(l);
        l->tag_next = 1;
        struct journal *j = open_ok(&w, 600);
        for (int outage = 0; outage < 3; outage++) {
            uint64_t from = simos_ops(w.sim) + 1 + rng_below(&rng, 40);
            uint64_t width = 1 + rng_below(&rng, 8);
            simos_fault_from(w.sim, from - simos_ops(w.sim),
                             rng_below(&rng, 3) == 0 ? SIMOS_FULL : SIMOS_FAIL);
            for (int g = 0; g < 60 && simos_ops(w.sim) < from + width; g++) {
                write_groups(j, l, &rng, 1);
            }
            simos_fault_from(w.sim, 0, SIMOS_OK);
            write_groups(j, l, &rng, (int)rng_below(&rng, 4));
        }
        assert_kept(j, l);
        journal_close(j);
        if (round % 2 == 0) {
            simos_crash(w.sim);
        }
        j = open_ok(&w, 600);
        assert_kept(j, l);
        journal_close(j);
        free(l);
        world_free(&w);
    }
}

/* Sync fails and so does cutting: the old file keeps whole frames whose numbers are given again. */
TEST(journal_leftovers_of_a_failed_sync_stay_dead)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 1 << 20);
    for (uint64_t t = 1; t <= 3; t++) {
        append_ok(j, t);
    }
    sync_ok(j);
    append_ok(j, 100);
    append_ok(j, 101);
    simos_fault_from(w.sim, 1, SIMOS_FAIL);
    struct err e = {.code = ERR_NONE};
    assert_false(journal_sync(j, &e));
    assert_int_equal(e.code, ERR_IO);
    simos_fault_from(w.sim, 0, SIMOS_OK);
    assert_int_equal(append_ok(j, 4), 4);
    sync_ok(j);
    assert_tags(j, 1, 1, 4);
    journal_close(j);
    j = open_ok(&w, 1 << 20);
    assert_tags(j, 1, 1, 4);
    struct journal_stats st;
    journal_stats(j, &st);
    assert_true(st.torn_bytes > 0);
    assert_int_equal(st.damaged_frames, 0);
    journal_close(j);
    world_free(&w);
}

/* An unlinked file can be written and synced as before; what it takes is gone with the process. */
TEST(journal_in_a_removed_folder_acknowledges_nothing)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 1 << 20);
    struct err e = {.code = ERR_NONE};
    append_ok(j, 1);
    sync_ok(j);
    assert_int_equal(w.os->unlink(w.os->ctx, FIRST), 0);
    append_ok(j, 100);
    assert_false(journal_sync(j, &e));
    assert_int_equal(e.code, ERR_IO);
    /* With the folder there again it goes on, in a file that has a name. */
    assert_int_equal(append_ok(j, 2), 2);
    sync_ok(j);
    journal_close(j);
    j = open_ok(&w, 1 << 20);
    assert_tags(j, 2, 2, 1);
    journal_close(j);
    /* Something else in its place, shorter, is not it either. */
    j = open_ok(&w, 1 << 20);
    append_ok(j, 3);
    sync_ok(j);
    char third[PATH_BYTES_MAX];
    assert_true(path_join(third, sizeof third, DIR_J, "journal-0000000000000003.log", NULL));
    int fd;
    assert_int_equal(w.os->unlink(w.os->ctx, third), 0);
    assert_int_equal(w.os->open(w.os->ctx, third, OS_WRITE | OS_CREATE, &fd), 0);
    w.os->close(w.os->ctx, fd);
    append_ok(j, 101);
    assert_false(journal_sync(j, &e));
    journal_close(j);
    world_free(&w);
}

/* A write fails half way and so does cutting: what follows goes to a file of its own. */
TEST(journal_half_a_frame_that_cannot_be_cut)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 1 << 20);
    append_ok(j, 1);
    append_ok(j, 2);
    struct journal_stats st;
    journal_stats(j, &st);
    char bytes[3000] = {0};
    uint64_t seq;
    /* The disk takes a part of the frame; from then on nothing works, for two operations. */
    simos_disk_bytes_max(w.sim, st.bytes + 1000);
    simos_fault_from(w.sim, 2, SIMOS_FAIL);
    assert_false(journal_append(j, str_of(bytes, sizeof bytes), &seq, NULL));
    simos_fault_from(w.sim, 0, SIMOS_OK);
    simos_disk_bytes_max(w.sim, 0);
    assert_int_equal(append_ok(j, 3), 3);
    sync_ok(j);
    assert_tags(j, 1, 1, 3);
    journal_stats(j, &st);
    assert_int_equal(st.segments, 2);
    assert_true(st.torn_bytes >= 1000);
    assert_int_equal(st.damaged_frames, 0);
    journal_close(j);
    world_free(&w);
}

TEST(journal_read_after_a_kill_stays_after_power_loss)
{
    for (uint64_t round = 0; round < 40; round++) {
        struct world w = world_new(test_seed() + round);
        struct journal *j = open_ok(&w, 1 << 20);
        append_ok(j, 1);
        sync_ok(j);
        for (uint64_t t = 2; t <= 12; t++) {
            append_ok(j, t);
        }
        journal_close(j); /* killed: no sync, but the bytes are in the page cache */
        j = open_ok(&w, 1 << 20);
        assert_tags(j, 1, 1, 12);
        assert_int_equal(append_ok(j, 13), 13);
        sync_ok(j);
        journal_close(j);
        simos_crash(w.sim);
        j = open_ok(&w, 1 << 20);
        assert_tags(j, 1, 1, 13);
        journal_close(j);
        world_free(&w);
    }
}

/* Power loss in a group of several: the disk may keep a later batch and not an earlier one. That is
 * no loss. */
TEST(journal_power_loss_in_a_group_is_not_called_loss)
{
    uint64_t holes = 0;
    for (uint64_t round = 0; round < 200; round++) {
        struct world w = world_new(test_seed() + round);
        struct journal *j = open_ok(&w, 1 << 20);
        append_ok(j, 1);
        sync_ok(j);
        for (uint64_t t = 2; t <= 30; t++) {
            append_ok(j, t);
        }
        journal_close(j);
        simos_crash(w.sim);
        for (int again = 0; again < 2; again++) {
            j = open_ok(&w, 1 << 20);
            struct seen *s = replay_ok(j, 1);
            struct journal_stats st;
            journal_stats(j, &st);
            assert_true(s->n >= 1);
            assert_int_equal(st.damaged_frames, 0);
            holes += s->n + 1 < st.seq_next && again == 0 ? 1 : 0;
            append_ok(j, 31);
            sync_ok(j);
            free(s);
            journal_close(j);
        }
        world_free(&w);
    }
    assert_true(holes > 10); /* or this test has tested nothing */
}

TEST(journal_full_disk_then_space_again)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 4096);
    for (uint64_t t = 1; t <= 10; t++) {
        append_ok(j, t);
        sync_ok(j);
    }
    struct journal_stats st;
    journal_stats(j, &st);
    simos_disk_bytes_max(w.sim, st.bytes + 200);
    char bytes[BATCH_MAX] = {0};
    uint64_t seq;
    struct err e = {.code = ERR_NONE};
    for (int i = 0; i < 5; i++) {
        assert_false(journal_append(j, str_of(bytes, 1500), &seq, &e));
        assert_int_equal(e.code, ERR_IO);
        sync_ok(j);
    }
    struct journal_stats full;
    journal_stats(j, &full);
    assert_true(full.bytes <= st.bytes + SEGMENT_HEAD); /* at most the head of a new segment */
    assert_int_equal(append_ok(j, 11), 11);             /* a small one fits */
    sync_ok(j);
    simos_disk_bytes_max(w.sim, 0);
    for (uint64_t t = 12; t <= 20; t++) {
        assert_int_equal(append_ok(j, t), t);
    }
    sync_ok(j);
    assert_tags(j, 1, 1, 20);
    journal_close(j);
    simos_crash(w.sim);
    j = open_ok(&w, 4096);
    assert_tags(j, 1, 1, 20);
    journal_close(j);
    world_free(&w);
}

FAULT_TEST(journal_reports_every_fault)
{
    struct err e = {.code = ERR_NONE};
    struct journal_config c = config(256);
    struct journal *j = NULL;
    if (!dir_make(w->os, DIR_J, &e) || !journal_open(&j, &c, w->os, &w->mem, NULL, &e)) {
        assert_int_not_equal(e.code, ERR_NONE);
        return false;
    }
    bool ok = true;
    uint64_t acked = 0;
    uint64_t tag_of[16] = {0};
    for (uint64_t t = 1; t <= 8; t++) {
        char bytes[BATCH_MAX];
        uint64_t seq = 0;
        bool in = journal_append(j, payload_of(t, bytes), &seq, &e);
        ok = in && ok;
        bool synced = journal_sync(j, &e);
        ok = synced && ok;
        if (in && synced) {
            acked = seq;
            tag_of[seq] = t;
        }
    }
    struct seen *s = calloc(1, sizeof *s);
    assert_non_null(s);
    if (journal_replay(j, 1, see, s, &e)) {
        assert_int_equal(s->n, acked);
        for (size_t i = 0; i < s->n; i++) {
            assert_int_equal(s->tag[i], tag_of[s->seq[i]]);
        }
    } else {
        ok = false;
    }
    ok = journal_trim(j, acked, &e) && ok;
    free(s);
    journal_close(j);
    return ok;
}
