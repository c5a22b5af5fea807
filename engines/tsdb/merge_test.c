#include "base/file.h"
#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "engines/tsdb/block_file_int.h"
#include "engines/tsdb/merge_int.h"

#include <math.h>
#include <stdlib.h>

#define DIR_NAME "store"
#define REFS     12
#define SLOTS    4000 /* times of the model: 0, 1, ... in steps of STEP_MS */
#define STEP_MS  1000

/* What should be there: by series and time the last value written. */
struct model {
    bool has[REFS + 1][SLOTS];
    double v[REFS + 1][SLOTS];
    uint64_t seq[REFS + 1][SLOTS];
    int64_t st[REFS + 1][SLOTS];
};

static int64_t time_of(uint32_t slot)
{
    return 1000000 + (int64_t)slot * STEP_MS;
}

/* One block of random stretches of random series, entered into the model too. Refs 1..5 are the
 * buckets of a family and have equal times. */
static bool block_random(struct mem *m, const struct os *os, struct rng *r, uint64_t id,
                         uint32_t from, uint32_t span, struct model *want, struct err *e)
{
    struct block_writer *w = NULL;
    static int64_t t[SLOTS];
    static double v[SLOTS];
    static int64_t st[SLOTS];
    if (!block_writer_open(&w, m, os, DIR_NAME, id, 0, e)) {
        return false;
    }
    uint32_t shared_at = from + (uint32_t)rng_below(r, span / 2);
    for (uint32_t ref = 1; ref <= REFS; ref++) {
        uint32_t at = ref <= 5 ? shared_at : from + (uint32_t)rng_below(r, span / 2);
        uint32_t n = 0;
        for (uint32_t slot = at; slot < from + span && slot < SLOTS; slot++) {
            if (ref > 5 && rng_below(r, 50) == 0) {
                continue;
            }
            t[n] = time_of(slot);
            v[n] = ref <= 5 ? (double)(slot * ref + id) : (double)rng_below(r, 1000) / 8;
            st[n] = ref == 7 ? 500 + (int64_t)id : 0;
            want->has[ref][slot] = true;
            want->v[ref][slot] = v[n];
            want->st[ref][slot] = st[n];
            want->seq[ref][slot] = id;
            n++;
        }
        struct block_column c = {
            .ref = ref, .n = n, .t = t, .v = v, .st = ref == 7 ? st : NULL, .family = ref <= 5};
        if (n > 0 && !block_writer_add(w, &c, e)) {
            block_writer_abort(w);
            return false;
        }
    }
    return block_writer_finish(w, id * 10, NULL, e);
}

/* All samples of the block are those of the model, in order, none missing. */
static bool block_is_model(struct mem *m, struct block *b, const struct model *want, struct err *e)
{
    static double v[COL_VALUES_MAX + COL_SLACK];
    static int64_t st[COL_VALUES_MAX + COL_SLACK];
    bool ok = true;
    struct block_cursor *c = block_cursor_new(m);
    if (c == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a cursor");
    }
    for (uint32_t ref = 1; ok && ref <= REFS; ref++) {
        uint32_t first = 0;
        uint32_t n = block_find(b, ref, 0, &first);
        uint32_t slot = 0;
        for (uint32_t i = first; ok && i < first + n; i++) {
            const int64_t *t = NULL;
            struct block_entry x;
            block_entry(b, i, &x);
            ok = block_read(b, c, i, &t, v, NULL, NULL, x.has_st ? st : NULL, e);
            for (uint32_t k = 0; ok && k < x.n; k++, slot++) {
                while (slot < SLOTS && !want->has[ref][slot]) {
                    slot++;
                }
                assert_true(slot < SLOTS);
                assert_true(t[k] == time_of(slot));
                assert_true(v[k] == want->v[ref][slot]);
                assert_true((x.has_st ? st[k] : 0) == want->st[ref][slot]);
            }
        }
        while (ok && slot < SLOTS) {
            assert_false(want->has[ref][slot]);
            slot++;
        }
    }
    block_cursor_free(c);
    return ok;
}

static void model_delete(struct model *w, const struct tomb *t)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (time_of(slot) >= t->from_ms && time_of(slot) <= t->to_ms &&
            w->seq[t->ref][slot] <= t->seq) {
            w->has[t->ref][slot] = false;
        }
    }
}

static const struct family_ref order_of_test[] = {{1, 1}, {2, 1}, {3, 1},  {4, 1}, {5, 1}, {9, 0},
                                                  {6, 0}, {8, 0}, {11, 0}, {7, 0}, {50, 0}};

struct scene {
    struct block *in[8];
    uint32_t in_n;
    struct tombs *tombs;
    struct model *want;
};

static void scene_close(struct scene *s)
{
    for (uint32_t i = 0; i < s->in_n; i++) {
        block_close(s->in[i]);
    }
    tombs_unref(s->tombs);
    free(s->want);
}

/* Blocks 1.. of stretches that follow each other with some overlap; the last one falls in the
 * middle of the others, as late samples do. */
static bool scene_open(struct scene *s, struct mem *m, const struct os *os, struct rng *r,
                       uint32_t blocks, uint32_t span, struct err *e)
{
    *s = (struct scene){.want = calloc(1, sizeof *s->want)};
    assert_non_null(s->want);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t from = i + 1 == blocks ? span : i * (span - span / 10);
        if (!block_random(m, os, r, i + 1, from, span, s->want, e) ||
            !block_open(&s->in[i], m, os, DIR_NAME, i + 1, e)) {
            return false;
        }
        s->in_n++;
    }
    return true;
}

static struct merge_job job_of(const struct scene *s, struct mem *m, const struct os *os)
{
    return (struct merge_job){.mem = m,
                              .os = os,
                              .dir = DIR_NAME,
                              .in = s->in,
                              .in_n = s->in_n,
                              .id = 100,
                              .level = 1,
                              .block_ms = 500 * STEP_MS,
                              .from_ms = INT64_MIN,
                              .tombs = s->tombs,
                              .family = order_of_test,
                              .family_n = ARRAY_LEN(order_of_test)};
}

TEST(merge_keeps_every_sample_and_the_later_of_two)
{
    struct mem m;
    struct rng r;
    struct err e = {0};
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    for (uint32_t round = 0; round < 20; round++) {
        struct simos *sim = simos_new(test_seed());
        struct scene s;
        struct merge_result res;
        struct block *b = NULL;
        uint32_t span = 20 + (uint32_t)rng_below(&r, 800);
        assert_true(scene_open(&s, &m, simos_os(sim), &r, 5, span, &e));
        struct merge_job j = job_of(&s, &m, simos_os(sim));
        j.family_n = round % 3 == 0 ? 0 : j.family_n; /* then all are unknown to the order */
        assert_true(merge_run(&j, &res, &e));
        assert_true(res.info.log_upto == 50 && res.info.seq == 5 && res.info.seq_min == 1);
        assert_true(res.info.level == 1 && block_supersedes(&res.info, block_info(s.in[2])));
        assert_true(res.damaged == 0 && res.dropped == 0);
        assert_true(block_open(&b, &m, simos_os(sim), DIR_NAME, 100, &e));
        assert_true(block_is_model(&m, b, s.want, &e));
        block_close(b);
        scene_close(&s);
        simos_free(sim);
    }
    assert_int_equal(m.bytes, 0);
}

/* Buckets are coded against each other in the result too, and only there where the order says that
 * they belong together. */
TEST(merge_keeps_families_together)
{
    struct mem m;
    struct err e = {0};
    struct rng r;
    struct simos *sim = simos_new(test_seed());
    const struct os *os = simos_os(sim);
    struct scene s = {.want = calloc(1, sizeof *s.want)};
    struct family_ref order[] = {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}};
    double sums[6] = {0};
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    for (uint32_t id = 1; id <= 3; id++) {
        struct block_writer *w = NULL;
        static double v[6][500];
        static int64_t t[500];
        for (uint32_t i = 0; i < 500; i++) {
            double more = 0;
            t[i] = time_of((id - 1) * 500 + i);
            for (uint32_t ref = 1; ref <= 5; ref++) {
                more += (double)rng_below(&r, 20);
                sums[ref] += more;
                v[ref][i] = sums[ref];
                s.want->has[ref][(id - 1) * 500 + i] = true;
                s.want->v[ref][(id - 1) * 500 + i] = v[ref][i];
            }
        }
        assert_true(block_writer_open(&w, &m, os, DIR_NAME, id, 0, &e));
        for (uint32_t ref = 1; ref <= 5; ref++) {
            struct block_column c = {.ref = ref, .n = 500, .t = t, .v = v[ref], .family = 1};
            assert_true(block_writer_add(w, &c, &e));
        }
        assert_true(block_writer_finish(w, id, NULL, &e));
        assert_true(block_open(&s.in[id - 1], &m, os, DIR_NAME, id, &e));
        s.in_n++;
    }
    uint32_t chained[2] = {0};
    for (uint32_t k = 0; k < 2; k++) {
        struct merge_result res;
        struct block *b = NULL;
        struct merge_job j = job_of(&s, &m, os);
        j.id = 100 + k;
        j.family = order;
        j.family_n = k == 0 ? 5 : 0;
        assert_true(merge_run(&j, &res, &e));
        assert_true(block_open(&b, &m, os, DIR_NAME, j.id, &e));
        assert_true(block_is_model(&m, b, s.want, &e));
        for (uint32_t i = 0; i < block_columns(b); i++) {
            struct block_record rec;
            assert_true(block_record_validate(b, get_u32le(b->offs + (size_t)i * 4), &rec, &e));
            chained[k] += (rec.flags & BLOCK_CHAINED) != 0;
        }
        assert_int_equal(b->times_n, block_columns(b) / 5);
        assert_true(k == 1 || chained[0] == block_columns(b) / 5 * 4);
        block_close(b);
    }
    assert_int_equal(chained[1], 0);
    scene_close(&s);
    simos_free(sim);
    assert_int_equal(m.bytes, 0);
}

/* Three blocks of one good column for each series. One bucket has a deletion in the second block,
 * one series ends before the third. */
TEST(merge_takes_good_columns_over_as_they_are)
{
    struct mem m;
    struct err e = {0};
    struct rng r;
    struct simos *sim = simos_new(test_seed());
    const struct os *os = simos_os(sim);
    struct scene s = {.want = calloc(1, sizeof *s.want)};
    double sums[REFS + 1] = {0};
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    for (uint32_t id = 1; id <= 3; id++) {
        struct block_writer *w = NULL;
        static double v[500];
        static int64_t t[500];
        assert_true(block_writer_open(&w, &m, os, DIR_NAME, id, 1, &e));
        for (uint32_t ref = 1; ref <= REFS - (id == 3); ref++) {
            for (uint32_t i = 0; i < 500; i++) {
                uint32_t slot = (id - 1) * 500 + i;
                sums[ref] += ref <= 5 ? (i * 7919U % 20) * ref : (double)rng_below(&r, 100) / 8;
                t[i] = time_of(slot);
                v[i] = sums[ref];
                s.want->has[ref][slot] = true;
                s.want->v[ref][slot] = v[i];
                s.want->seq[ref][slot] = id;
            }
            struct block_column c = {.ref = ref, .n = 500, .t = t, .v = v, .family = ref <= 5};
            assert_true(block_writer_add(w, &c, &e));
        }
        assert_true(block_writer_finish(w, id, NULL, &e));
        assert_true(block_open(&s.in[id - 1], &m, os, DIR_NAME, id, &e));
        s.in_n++;
    }
    for (uint32_t k = 0; k < 2; k++) {
        struct merge_result res;
        struct block *b = NULL;
        struct tomb dead = {.ref = 2, .from_ms = time_of(600), .to_ms = time_of(610), .seq = 2};
        if (k == 1) {
            assert_true(tombs_add(&s.tombs, &m, NULL, &dead, 1, &e));
            model_delete(s.want, &dead);
        }
        struct merge_job j = job_of(&s, &m, os);
        j.id = 100 + k;
        assert_true(merge_run(&j, &res, &e));
        assert_true(block_open(&b, &m, os, DIR_NAME, j.id, &e));
        assert_true(block_is_model(&m, b, s.want, &e));
        assert_int_equal(block_columns(b), 3 * REFS - 1);
        /* The family's second column, and the third, which was read ahead to cut the second. */
        assert_int_equal(res.copied, k == 0 ? 3 * REFS - 1 : 3 * REFS - 1 - 10);
        assert_int_equal(res.dropped, k == 0 ? 0 : 11);
        block_close(b);
    }
    scene_close(&s);
    simos_free(sim);
    assert_int_equal(m.bytes, 0);
}

TEST(merge_drops_the_deleted_and_the_old)
{
    struct mem m;
    struct rng r;
    struct err e = {0};
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    for (uint32_t round = 0; round < 20; round++) {
        struct simos *sim = simos_new(test_seed());
        struct scene s;
        struct merge_result res;
        struct tomb dead[4];
        struct block *b = NULL;
        uint32_t span = 100 + (uint32_t)rng_below(&r, 600);
        assert_true(scene_open(&s, &m, simos_os(sim), &r, 4, span, &e));
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t from = (uint32_t)rng_below(&r, 3 * span);
            dead[i] = (struct tomb){.ref = 1 + (uint32_t)rng_below(&r, REFS),
                                    .from_ms = time_of(from),
                                    .to_ms = time_of(from + (uint32_t)rng_below(&r, span)),
                                    .seq = 1 + rng_below(&r, 4)};
        }
        dead[3].from_ms = INT64_MIN; /* a series without any sample up to block 3 */
        dead[3].to_ms = INT64_MAX;
        dead[3].seq = 3;
        assert_true(tombs_add(&s.tombs, &m, NULL, dead, 4, &e));
        struct merge_job j = job_of(&s, &m, simos_os(sim));
        j.from_ms = time_of(span / 3);
        for (uint32_t i = 0; i < 4; i++) {
            model_delete(s.want, &dead[i]);
        }
        for (uint32_t ref = 1; ref <= REFS; ref++) {
            struct tomb old = {ref, INT64_MIN, j.from_ms - 1, UINT64_MAX};
            model_delete(s.want, &old);
        }
        assert_true(merge_run(&j, &res, &e));
        assert_true(res.dropped > 0);
        assert_true(block_open(&b, &m, simos_os(sim), DIR_NAME, 100, &e));
        assert_true(block_is_model(&m, b, s.want, &e));
        block_close(b);
        scene_close(&s);
        simos_free(sim);
    }
    assert_int_equal(m.bytes, 0);
}

/* What is deleted in an older block and written again in a younger one comes back: the deletion
 * concerns only the older. A model by last writer cannot show that the older value is not there, so
 * it is written out. */
TEST(merge_a_deletion_does_not_reach_younger_blocks)
{
    struct mem m;
    struct err e = {0};
    struct simos *sim = simos_new(test_seed());
    const struct os *os = simos_os(sim);
    struct scene s = {.want = calloc(1, sizeof *s.want)};
    struct tomb dead = {.ref = 3, .from_ms = time_of(10), .to_ms = time_of(19), .seq = 1};
    struct merge_result res;
    struct block *b = NULL;
    mem_init(&m, 0);
    for (uint32_t id = 1; id <= 2; id++) {
        struct block_writer *w = NULL;
        int64_t t[30];
        double v[30];
        uint32_t n = 0;
        for (uint32_t slot = id == 1 ? 0 : 15; slot < (id == 1 ? 30 : 17); slot++, n++) {
            t[n] = time_of(slot);
            v[n] = id;
        }
        struct block_column c = {.ref = 3, .n = n, .t = t, .v = v};
        assert_true(block_writer_open(&w, &m, os, DIR_NAME, id, 0, &e));
        assert_true(block_writer_add(w, &c, &e));
        assert_true(block_writer_finish(w, id, NULL, &e));
        assert_true(block_open(&s.in[id - 1], &m, os, DIR_NAME, id, &e));
        s.in_n++;
    }
    for (uint32_t slot = 0; slot < 30; slot++) {
        s.want->has[3][slot] = slot < 10 || slot > 19 || slot == 15 || slot == 16;
        s.want->v[3][slot] = slot == 15 || slot == 16 ? 2 : 1;
    }
    assert_true(tombs_add(&s.tombs, &m, NULL, &dead, 1, &e));
    struct merge_job j = job_of(&s, &m, os);
    assert_true(merge_run(&j, &res, &e));
    assert_int_equal(res.dropped, 10);
    assert_true(block_open(&b, &m, os, DIR_NAME, 100, &e));
    assert_true(block_is_model(&m, b, s.want, &e));
    block_close(b);
    scene_close(&s);
    simos_free(sim);
    assert_int_equal(m.bytes, 0);
}

TEST(merge_of_nothing_left_leaves_no_file)
{
    struct mem m;
    struct rng r;
    struct err e = {0};
    struct simos *sim = simos_new(test_seed());
    struct scene s;
    struct merge_result res;
    struct block *b = NULL;
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    assert_true(scene_open(&s, &m, simos_os(sim), &r, 2, 50, &e));
    struct merge_job j = job_of(&s, &m, simos_os(sim));
    j.from_ms = time_of(SLOTS);
    assert_true(merge_run(&j, &res, &e));
    assert_true(res.info.columns == 0 && res.dropped > 0);
    assert_false(block_open(&b, &m, simos_os(sim), DIR_NAME, 100, &e));
    assert_int_equal(e.code, ERR_IO);
    uint64_t *ids = NULL;
    uint64_t top = 0;
    uint32_t n = 0;
    uint32_t cap = 0;
    assert_true(block_list(&m, simos_os(sim), DIR_NAME, 9, &ids, &n, &cap, &top, &e));
    assert_true(n == 2 && top == 2);
    mem_give(&m, ids, cap * sizeof *ids);
    scene_close(&s);
    simos_free(sim);
    assert_int_equal(m.bytes, 0);
}

/* A damaged column costs its own samples and no others, and is counted. */
TEST(merge_counts_damaged_columns)
{
    struct mem m;
    struct rng r;
    struct err e = {0};
    struct simos *sim = simos_new(test_seed());
    const struct os *os = simos_os(sim);
    struct scene s;
    struct merge_result res;
    struct block *b = NULL;
    char path[PATH_BYTES_MAX];
    mem_init(&m, 0);
    rng_init(&r, test_seed());
    assert_true(scene_open(&s, &m, os, &r, 2, 100, &e));
    uint32_t first = 0;
    assert_int_equal(block_find(s.in[0], 9, 0, &first), 1);
    uint32_t off = get_u32le(s.in[0]->offs + (size_t)first * 4);
    block_close(s.in[0]);
    assert_true(block_path(path, DIR_NAME, 1, ".blk", &e));
    assert_true(simos_flip(sim, path, off + 9, 3));
    assert_true(block_open(&s.in[0], &m, os, DIR_NAME, 1, &e));
    struct tomb lost = {9, INT64_MIN, INT64_MAX, 1};
    model_delete(s.want, &lost);
    struct merge_job j = job_of(&s, &m, os);
    assert_true(merge_run(&j, &res, &e));
    assert_int_equal(res.damaged, 1);
    assert_true(block_open(&b, &m, os, DIR_NAME, 100, &e));
    assert_true(block_is_model(&m, b, s.want, &e));
    block_close(b);
    scene_close(&s);
    simos_free(sim);
    assert_int_equal(m.bytes, 0);
}

static bool stop_now(void *ctx)
{
    uint32_t *asked = ctx;
    (*asked)++;
    return true;
}

TEST(merge_stops_when_told)
{
    struct mem m;
    struct err e = {0};
    struct simos *sim = simos_new(test_seed());
    const struct os *os = simos_os(sim);
    struct block_writer *w = NULL;
    struct block *in[1];
    struct merge_result res;
    uint32_t asked = 0;
    mem_init(&m, 0);
    assert_true(block_writer_open(&w, &m, os, DIR_NAME, 1, 0, &e));
    for (uint32_t ref = 1; ref <= 300; ref++) {
        int64_t t = 5;
        double v = ref;
        struct block_column c = {.ref = ref, .n = 1, .t = &t, .v = &v};
        assert_true(block_writer_add(w, &c, &e));
    }
    assert_true(block_writer_finish(w, 0, NULL, &e));
    assert_true(block_open(&in[0], &m, os, DIR_NAME, 1, &e));
    struct merge_job j = {.mem = &m,
                          .os = os,
                          .dir = DIR_NAME,
                          .in = in,
                          .in_n = 1,
                          .id = 2,
                          .block_ms = 1000,
                          .from_ms = INT64_MIN,
                          .stop = stop_now,
                          .stop_ctx = &asked};
    assert_false(merge_run(&j, &res, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(asked, 1);
    block_close(in[0]);
    simos_free(sim);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(merge_survives_any_fault)
{
    struct rng r;
    struct err e = {0};
    struct scene s;
    struct merge_result res;
    struct block *b = NULL;
    rng_init(&r, test_seed());
    bool ok = scene_open(&s, &w->mem, w->os, &r, 3, 16, &e);
    struct merge_job j = job_of(&s, &w->mem, w->os);
    ok = ok && merge_run(&j, &res, &e) && block_open(&b, &w->mem, w->os, DIR_NAME, 100, &e) &&
         block_is_model(&w->mem, b, s.want, &e);
    assert_true(ok || e.code != ERR_CORRUPT);
    block_close(b);
    scene_close(&s);
    return ok;
}
