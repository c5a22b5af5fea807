/* The journal and its files: what was put in comes out, in order, once; damage is found and
 * said. */
#include "flow/journal_testing_int.h"

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
