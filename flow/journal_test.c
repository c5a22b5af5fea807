/* The journal: what was acknowledged is there, in order, once; nothing else is. */
#include "flow/journal.h"

#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "flow/journal_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR_J     "/j"
#define FIRST     "/j/journal-0000000000000001.log"
#define BATCH_MAX 4096

struct world {
    struct simos *sim;
    const struct os *os;
    struct mem mem;
};

static struct world world_new(uint64_t seed)
{
    struct world w = {.sim = simos_new(seed)};
    w.os = simos_os(w.sim);
    mem_init(&w.mem, 0);
    assert_int_equal(w.os->mkdir(w.os->ctx, DIR_J), 0);
    assert_int_equal(w.os->dirsync(w.os->ctx, "/"), 0);
    return w;
}

static void world_free(struct world *w)
{
    assert_int_equal(w->mem.bytes, 0);
    simos_free(w->sim);
}

static struct journal_config config(uint64_t segment_bytes)
{
    return (struct journal_config){
        .dir = DIR_J, .segment_bytes_max = segment_bytes, .bytes_max = 1 << 24};
}

static struct journal *open_ok(struct world *w, uint64_t segment_bytes)
{
    struct journal_config c = config(segment_bytes);
    struct journal *j = NULL;
    struct err e = {.code = ERR_NONE};
    if (!journal_open(&j, &c, w->os, &w->mem, NULL, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return j;
}

/* The payload of a tag: its length and bytes follow from it, so that a reader can check all of
 * it. */
static struct str payload_of(uint64_t tag, char out[BATCH_MAX])
{
    struct rng rng;
    rng_init(&rng, tag);
    size_t n = 8 + (size_t)rng_below(&rng, tag % 5 == 0 ? 2000 : 60);
    memcpy(out, &tag, 8);
    for (size_t i = 8; i < n; i++) {
        out[i] = (char)rng_u64(&rng);
    }
    return str_of(out, n);
}

static uint64_t append_ok(struct journal *j, uint64_t tag)
{
    char bytes[BATCH_MAX];
    uint64_t seq = 0;
    struct err e = {.code = ERR_NONE};
    if (!journal_append(j, payload_of(tag, bytes), &seq, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return seq;
}

static void sync_ok(struct journal *j)
{
    struct err e = {.code = ERR_NONE};
    if (!journal_sync(j, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

/* What a replay saw: seq and tag of each batch; the bytes were checked against the tag. */
#define SEEN_MAX 4096
struct seen {
    uint64_t seq[SEEN_MAX], tag[SEEN_MAX];
    size_t n, stop_after;
};

static bool see(void *ctx, uint64_t seq, struct str payload, struct err *e)
{
    struct seen *s = ctx;
    char want[BATCH_MAX];
    uint64_t tag = 0;
    assert_true(payload.n >= 8 && s->n < SEEN_MAX);
    memcpy(&tag, payload.p, 8);
    assert_str(payload, payload_of(tag, want));
    assert_true(s->n == 0 || seq > s->seq[s->n - 1]);
    s->seq[s->n] = seq;
    s->tag[s->n++] = tag;
    return s->n != s->stop_after || err_set(e, ERR_LIMIT, "enough");
}

static struct seen *replay_ok(struct journal *j, uint64_t from)
{
    struct seen *s = calloc(1, sizeof *s);
    assert_non_null(s);
    struct err e = {.code = ERR_NONE};
    if (!journal_replay(j, from, see, s, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return s;
}

static void assert_tags(struct journal *j, uint64_t from, uint64_t first_tag, size_t n)
{
    struct seen *s = replay_ok(j, from);
    assert_int_equal(s->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s->tag[i], first_tag + i);
        assert_int_equal(s->seq[i], from + i);
    }
    free(s);
}

TEST(journal_gives_back_what_it_was_given)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 1 << 20);
    struct journal_stats st;
    journal_stats(j, &st);
    assert_int_equal(st.seq_next, 1);
    assert_int_equal(st.seq_first, 1);
    for (uint64_t t = 1; t <= 20; t++) {
        assert_int_equal(append_ok(j, t), t);
    }
    sync_ok(j);
    assert_tags(j, 1, 1, 20);
    assert_tags(j, 15, 15, 6);
    journal_close(j);
    j = open_ok(&w, 1 << 20);
    assert_int_equal(append_ok(j, 21), 21);
    sync_ok(j);
    assert_tags(j, 1, 1, 21);
    journal_stats(j, &st);
    assert_int_equal(st.seq_first, 1);
    assert_int_equal(st.seq_next, 22);
    assert_int_equal(st.segments, 2);
    assert_int_equal(st.appended, 1);
    assert_int_equal(st.torn_bytes + st.damaged_frames + st.damaged_bytes, 0);
    struct seen stop = {.stop_after = 3};
    struct err e = {.code = ERR_NONE};
    assert_false(journal_replay(j, 1, see, &stop, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(stop.n, 3);
    journal_close(j);
    world_free(&w);
}

TEST(journal_rolls_and_trims_segments)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 512);
    struct journal_stats st;
    struct err e = {.code = ERR_NONE};
    for (uint64_t t = 1; t <= 100; t++) {
        append_ok(j, t);
        if (t % 7 == 0) {
            sync_ok(j);
        }
    }
    sync_ok(j);
    journal_stats(j, &st);
    assert_true(st.segments > 10);
    assert_tags(j, 1, 1, 100);
    uint64_t bytes = st.bytes;
    assert_true(journal_trim(j, 51, &e));
    journal_stats(j, &st);
    assert_true(st.seq_first <= 51 && st.seq_first > 30);
    assert_true(st.bytes < bytes);
    assert_tags(j, 51, 51, 50);
    assert_int_equal(st.damaged_frames, 0);
    assert_true(journal_trim(j, 1000, &e)); /* the newest stays: its name holds the number */
    journal_stats(j, &st);
    assert_int_equal(st.segments, 1);
    journal_close(j);
    j = open_ok(&w, 512);
    journal_stats(j, &st);
    assert_int_equal(st.seq_next, 101);
    /* From the start, a trimmed journal is a journal that lost its start. */
    struct seen *s = replay_ok(j, 1);
    journal_stats(j, &st);
    assert_int_equal(st.damaged_frames, 100 - s->n);
    free(s);
    journal_close(j);
    world_free(&w);
}

TEST(journal_refuses_above_its_bounds)
{
    struct world w = world_new(test_seed());
    struct journal_config c = config(256);
    c.bytes_max = 1024;
    struct journal *j = NULL;
    struct err e = {.code = ERR_NONE};
    assert_true(journal_open(&j, &c, w.os, &w.mem, NULL, &e));
    uint64_t n = 0;
    char bytes[200] = {0};
    uint64_t seq;
    while (journal_append(j, str_of(bytes, sizeof bytes), &seq, &e)) {
        n++;
        sync_ok(j);
    }
    assert_int_equal(e.code, ERR_LIMIT);
    assert_true(n >= 2 && n <= 5);
    struct journal_stats st;
    journal_stats(j, &st);
    assert_true(st.bytes <= 1024);
    assert_true(journal_trim(j, n, &e));
    assert_true(journal_append(j, str_of(bytes, sizeof bytes), &seq, &e));
    assert_int_equal(seq, n + 1);
    e.code = ERR_NONE;
    assert_false(
        journal_append(j, str_of(bytes, JOURNAL_PAYLOAD_MAX + 1), &seq, &e)); /* not read */
    assert_int_equal(e.code, ERR_LIMIT);
    journal_close(j);
    world_free(&w);
}

static uint64_t file_bytes(struct world *w, const char *path)
{
    int fd;
    uint64_t n = 0;
    assert_int_equal(w->os->open(w->os->ctx, path, OS_READ, &fd), 0);
    assert_int_equal(w->os->size(w->os->ctx, fd, &n), 0);
    w->os->close(w->os->ctx, fd);
    return n;
}

static void file_cut(struct world *w, const char *path, uint64_t bytes)
{
    int fd;
    assert_int_equal(w->os->open(w->os->ctx, path, OS_WRITE, &fd), 0);
    assert_int_equal(w->os->truncate(w->os->ctx, fd, bytes), 0);
    w->os->close(w->os->ctx, fd);
}

/* A journal of n batches, each synced, closed again. ends[i] = file size after batch i. */
static void build(struct world *w, uint64_t n, uint64_t *ends)
{
    struct journal *j = open_ok(w, 1 << 20);
    ends[0] = SEGMENT_HEAD;
    for (uint64_t t = 1; t <= n; t++) {
        append_ok(j, t);
        sync_ok(j);
        ends[t] = file_bytes(w, FIRST);
    }
    journal_close(j);
}

TEST(journal_torn_at_every_byte)
{
    uint64_t ends[8];
    struct world probe = world_new(test_seed());
    build(&probe, 6, ends);
    uint64_t total = file_bytes(&probe, FIRST);
    world_free(&probe);
    for (uint64_t cut = 0; cut <= total; cut++) {
        struct world w = world_new(test_seed());
        build(&w, 6, ends);
        file_cut(&w, FIRST, cut);
        uint64_t whole = 0;
        while (whole < 6 && ends[whole + 1] <= cut) {
            whole++;
        }
        char bytes[BATCH_MAX];
        size_t pad = (size_t)(journal_frame_bytes(payload_of(whole + 1, bytes).n) - FRAME_HEAD -
                              payload_of(whole + 1, bytes).n);
        if (whole < 6 && cut >= ends[whole + 1] - pad) {
            whole++; /* only padding is missing */
        }
        struct journal *j = open_ok(&w, 1 << 20);
        assert_tags(j, 1, 1, whole);
        struct journal_stats st;
        journal_stats(j, &st);
        assert_int_equal(st.damaged_frames, 0);
        assert_int_equal(st.torn_bytes, cut > ends[whole] ? cut - ends[whole] : 0);
        assert_int_equal(append_ok(j, whole + 1), whole + 1);
        sync_ok(j);
        assert_tags(j, 1, 1, whole + 1);
        journal_close(j);
        world_free(&w);
    }
}

/* Which batches may be missing after a flip at byte `at`: the one it lies in. */
TEST(journal_flip_at_every_bit)
{
    uint64_t ends[8];
    struct world w = world_new(test_seed());
    build(&w, 6, ends);
    uint64_t total = file_bytes(&w, FIRST);
    world_free(&w);
    for (uint64_t at = 0; at < total; at++) {
        unsigned bit = (unsigned)(at * 5 % 8);
        w = world_new(test_seed());
        build(&w, 6, ends);
        assert_true(simos_flip(w.sim, FIRST, at, bit));
        uint64_t hit = 0; /* 0 = the head */
        while (at >= ends[hit]) {
            hit++;
        }
        struct journal_config c = config(1 << 20);
        struct journal *j = NULL;
        struct err e = {.code = ERR_NONE};
        assert_true(journal_open(&j, &c, w.os, &w.mem, NULL, &e));
        struct seen *s = replay_ok(j, 1);
        struct journal_stats st;
        journal_stats(j, &st);
        assert_true(s->n >= 5);
        if (hit == 0) {
            assert_int_equal(s->n, 6);
        }
        uint64_t next = 1;
        for (size_t i = 0; i < s->n; i++) {
            next += s->tag[i] == next + 1 && next == hit ? 1 : 0;
            assert_int_equal(s->tag[i], next);
            assert_int_equal(s->seq[i], next);
            next++;
        }
        /* Counted: as loss, or for the last one as torn; a flip in padding changes nothing. */
        if (s->n == 5 && hit < 6) {
            assert_int_equal(st.damaged_frames, 1);
            assert_int_equal(st.damaged_bytes, ends[hit] - ends[hit - 1]);
        }
        if (s->n == 5 && hit == 6) {
            assert_int_equal(st.torn_bytes, ends[6] - ends[5]);
        }
        if (s->n == 6) {
            assert_int_equal(st.damaged_frames + st.damaged_bytes, 0);
        }
        free(s);
        journal_close(j);
        world_free(&w);
    }
}

TEST(journal_lost_segments_are_loss)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 512);
    for (uint64_t t = 1; t <= 60; t++) {
        append_ok(j, t);
        sync_ok(j);
    }
    uint64_t gone = j->segments[2].first;
    uint64_t after = j->segments[3].first;
    char path[PATH_BYTES_MAX];
    struct err e = {.code = ERR_NONE};
    assert_true(journal_segment_path(j, gone, path, &e));
    journal_close(j);
    assert_int_equal(w.os->unlink(w.os->ctx, path), 0);
    j = open_ok(&w, 512);
    struct seen *s = replay_ok(j, 1);
    struct journal_stats st;
    journal_stats(j, &st);
    assert_int_equal(s->n, 60 - (after - gone));
    assert_int_equal(st.damaged_frames, after - gone);
    free(s);
    journal_close(j);
    world_free(&w);
}

TEST(journal_never_gives_a_checkpointed_number_again)
{
    struct world w = world_new(test_seed());
    uint64_t ends[8];
    build(&w, 5, ends);
    file_cut(&w, FIRST, ends[3]);
    struct journal_config c = config(1 << 20);
    c.seq_min = 6;
    struct journal *j = NULL;
    struct err e = {.code = ERR_NONE};
    assert_true(journal_open(&j, &c, w.os, &w.mem, NULL, &e));
    struct seen *s = replay_ok(j, 6);
    struct journal_stats st;
    journal_stats(j, &st);
    assert_int_equal(s->n, 0);
    assert_int_equal(st.damaged_frames, 0); /* the checkpoint has them */
    free(s);
    assert_int_equal(append_ok(j, 6), 6);
    sync_ok(j);
    journal_close(j);
    j = open_ok(&w, 1 << 20);
    s = replay_ok(j, 1); /* without the checkpoint they are lost */
    journal_stats(j, &st);
    assert_int_equal(s->n, 4);
    assert_int_equal(st.damaged_frames, 2);
    free(s);
    journal_close(j);
    world_free(&w);
}

TEST(journal_of_another_version_is_not_touched)
{
    struct world w = world_new(test_seed());
    uint64_t ends[8];
    build(&w, 3, ends);
    char head[SEGMENT_HEAD];
    int fd;
    size_t n = 0;
    assert_int_equal(w.os->open(w.os->ctx, FIRST, OS_READ, &fd), 0);
    assert_int_equal(w.os->pread(w.os->ctx, fd, head, sizeof head, 0, &n), 0);
    w.os->close(w.os->ctx, fd);
    put_u32le(head + 8, 2);
    put_u64le(head + 40, journal_segment_hash(head));
    assert_int_equal(w.os->open(w.os->ctx, FIRST, OS_WRITE, &fd), 0);
    assert_int_equal(w.os->write(w.os->ctx, fd, head, sizeof head, &n), 0);
    w.os->close(w.os->ctx, fd);
    struct journal_config c = config(1 << 20);
    struct journal *j = NULL;
    struct err e = {.code = ERR_NONE};
    assert_false(journal_open(&j, &c, w.os, &w.mem, NULL, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_int_equal(file_bytes(&w, FIRST), ends[3]);
    world_free(&w);
}

/* -- crashes -- */

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

/* A frame that stands there twice (a copied tail, a disk that wrote elsewhere) counts once. */
TEST(journal_reads_a_repeated_frame_once)
{
    struct world w = world_new(test_seed());
    struct journal *j = open_ok(&w, 1 << 20);
    append_ok(j, 1);
    sync_ok(j);
    struct journal_stats st;
    journal_stats(j, &st);
    uint64_t from = st.bytes;
    append_ok(j, 2);
    sync_ok(j);
    journal_stats(j, &st);
    journal_close(j);
    char frame[BATCH_MAX];
    size_t n = (size_t)(st.bytes - from);
    assert_true(n <= sizeof frame);
    int fd;
    assert_int_equal(w.os->open(w.os->ctx, FIRST, OS_WRITE | OS_APPEND, &fd), 0);
    assert_true(file_pread_all(w.os, fd, frame, n, from, FIRST, NULL));
    assert_true(file_write_all(w.os, fd, str_of(frame, n), FIRST, NULL));
    w.os->close(w.os->ctx, fd);
    j = open_ok(&w, 1 << 20);
    assert_tags(j, 1, 1, 2);
    assert_int_equal(append_ok(j, 3), 3);
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
