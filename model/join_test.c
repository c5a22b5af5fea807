/* The join store: memory, spilling to run files and back, damage, dropping. */
#include "base/file.h"
#include "model/model_testing_int.h"

#define HOUR0 400000

static struct hash128 id_of(uint64_t i)
{
    return (struct hash128){i * 0x9E3779B97F4A7C15u, (i + 1) * 0xD1342543DE82EF95u};
}

struct store {
    struct mem m;
    struct simos *sim;
    struct model_names names;
    struct model_join j;
};

/* Every test of files passes with filters and without. */
static const size_t budgets[] = {16 << 20, 0};

static void store_init_with(struct store *s, uint32_t rows_max, size_t filter_bytes)
{
    mem_init(&s->m, 0);
    s->sim = simos_new(3);
    model_names_init(&s->names, &s->m, 8, 8);
    model_join_init(&s->j, &s->m, simos_os(s->sim), "join", NULL, 0, rows_max, filter_bytes, 42);
}

static void store_init(struct store *s, uint32_t rows_max)
{
    store_init_with(s, rows_max, budgets[0]);
}

static void store_release(struct store *s)
{
    model_join_release(&s->j);
    model_names_release(&s->names);
    assert_int_equal(s->m.bytes, 0);
    simos_free(s->sim);
}

static struct model_row row_of(struct store *s, uint64_t i)
{
    struct model_row r = {.id = id_of(i),
                          .t_ns = (int64_t)i * 7,
                          .score = i % 11 == 0 ? (double)NAN : (double)(i % 1000) / 1000,
                          .amount_centavos = (int64_t)i,
                          .verdict = i % VERDICTS};
    r.version = model_names_add(&s->names, 0, i % 2 ? STR("v1") : STR("v2"));
    r.dims[1] = model_names_add(&s->names, 2, i % 3 ? STR("web") : STR("app"));
    return r;
}

static void check_row(struct store *s, uint64_t i, int32_t hour)
{
    struct model_row scratch;
    struct model_row want = row_of(s, i);
    const struct model_row *got =
        model_join_find(&s->j, &s->names, NULL, 0, id_of(i), hour, &scratch);
    assert_non_null(got);
    assert_true(got->t_ns == want.t_ns && got->verdict == want.verdict);
    assert_true(got->score == want.score || (isnan(got->score) && isnan(want.score)));
    assert_int_equal(got->amount_centavos, want.amount_centavos);
    assert_int_equal(got->version, want.version);
    assert_memory_equal(got->dims, want.dims, sizeof want.dims);
}

static void check_spilling(size_t filter_bytes)
{
    struct store s;
    struct model_row scratch;
    store_init_with(&s, 1000, filter_bytes);
    for (uint64_t i = 0; i < 6000; i++) {
        struct model_row r = row_of(&s, i);
        assert_true(model_join_add(&s.j, &s.names, HOUR0 + (int32_t)(i / 300), &r));
        assert_true(s.j.rows_used <= 1000);
    }
    assert_true(s.j.spilled >= 5000);
    assert_true(s.j.runs_count >= 15);
    for (uint64_t i = 0; i < 6000; i++) {
        check_row(&s, i, HOUR0 + (int32_t)(i / 300));
    }
    assert_null(model_join_find(&s.j, &s.names, NULL, 0, id_of(6001), HOUR0 + 2, &scratch));
    assert_null(model_join_find(&s.j, &s.names, NULL, 0, id_of(5), HOUR0 + 9, &scratch));
    /* A late one opens its hour again and becomes a second file of it. */
    struct model_row late = row_of(&s, 9000);
    assert_true(model_join_add(&s.j, &s.names, HOUR0, &late));
    check_row(&s, 9000, HOUR0);
    check_row(&s, 5, HOUR0);
    assert_int_equal(s.j.filters.bytes > 0, filter_bytes > 0);
    store_release(&s);
}

TEST(join_rows_survive_spilling_and_come_back)
{
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        check_spilling(budgets[i]);
    }
}

static void check_large_run(size_t filter_bytes)
{
    struct store s;
    struct model_row scratch;
    store_init_with(&s, 20000, filter_bytes);
    for (uint64_t i = 0; i < 20001; i++) {
        struct model_row r = row_of(&s, i);
        assert_true(model_join_add(&s.j, &s.names, HOUR0, &r));
    }
    assert_int_equal(s.j.runs_count, 1);
    for (uint64_t i = 0; i < 20001; i += 7) {
        check_row(&s, i, HOUR0);
        assert_null(model_join_find(&s.j, &s.names, NULL, 0, id_of(i + 50000), HOUR0, &scratch));
    }
    assert_int_equal(s.j.read_failures, 0);
    store_release(&s);
}

TEST(join_one_large_run_is_searched_right)
{
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        check_large_run(budgets[i]);
    }
}

TEST(join_damage_is_found_and_counted)
{
    struct store s;
    struct model_row scratch;
    store_init(&s, 200);
    for (uint64_t i = 0; i < 201; i++) {
        struct model_row r = row_of(&s, i);
        assert_true(model_join_add(&s.j, &s.names, HOUR0, &r));
    }
    char file[MODEL_RUN_FILE_BYTES];
    char path[64];
    model_run_file(&s.j.runs[0], file);
    snprintf(path, sizeof path, "join/%s", file);
    struct buf b;
    struct err e = {0};
    buf_init(&b, &s.m, 1 << 20);
    assert_true(file_read(s.j.os, path, &b, &e));
    assert_true(model_run_validate(buf_str(&b), &e));
    for (size_t at = 0; at < b.n; at++) {
        b.p[at] ^= 16;
        assert_false(model_run_validate(buf_str(&b), &e));
        assert_int_equal(e.code, ERR_CORRUPT);
        b.p[at] ^= 16;
    }
    assert_false(model_run_validate(str_of(b.p, b.n - 1), &e));
    /* Damaged rows behind an intact filter, and the file of the version without one. */
    b.p[7] = '1';
    assert_false(model_run_validate(buf_str(&b), &e));
    assert_true(model_run_validate(str_of(b.p, b.n - 8 - model_filter_bytes(201)), &e));
    for (uint64_t at = 0; at < b.n; at += 64) {
        assert_true(simos_flip(s.sim, path, at, 3));
    }
    assert_null(model_join_find(&s.j, &s.names, NULL, 0, id_of(5), HOUR0, &scratch));
    assert_int_equal(s.j.read_failures, 1);
    buf_release(&b);
    store_release(&s);
}

TEST(join_a_full_disk_sheds_and_counts)
{
    struct store s;
    struct model_row scratch;
    store_init(&s, 100);
    simos_fault_from(s.sim, 1, SIMOS_FULL);
    for (uint64_t i = 0; i < 101; i++) {
        struct model_row r = row_of(&s, i);
        assert_true(model_join_add(&s.j, &s.names, HOUR0 + (int32_t)(i / 70), &r));
    }
    assert_int_equal(s.j.spill_failures, 1);
    assert_int_equal(s.j.shed, 70);
    assert_int_equal(s.j.rows_used, 31);
    assert_null(model_join_find(&s.j, &s.names, NULL, 0, id_of(5), HOUR0, &scratch));
    check_row(&s, 80, HOUR0 + 1);
    store_release(&s);
}

TEST(join_drops_old_hours)
{
    struct store s;
    struct model_row scratch;
    store_init(&s, 1000);
    for (uint64_t i = 0; i < 100; i++) {
        struct model_row r = row_of(&s, i);
        assert_true(model_join_add(&s.j, &s.names, HOUR0 + (int32_t)(i % 10), &r));
    }
    model_join_drop_before(&s.j, HOUR0 + 4);
    assert_int_equal(s.j.rows_used, 60);
    assert_null(model_join_find(&s.j, &s.names, NULL, 0, id_of(3), HOUR0 + 3, &scratch));
    check_row(&s, 4, HOUR0 + 4);
    store_release(&s);
}

TEST(join_file_names_round_trip)
{
    const struct model_run runs[] = {{0}, {-5, 1, 2, 0, NULL}, {438291, 63, UINT32_MAX, 0, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        char name[MODEL_RUN_FILE_BYTES];
        struct model_run back;
        model_run_file(&runs[i], name);
        assert_true(model_run_file_parse(str_from_c(name), &back));
        assert_true(back.hour == runs[i].hour && back.shard == runs[i].shard);
        assert_int_equal(back.number, runs[i].number);
    }
    static const char *const bad[] = {"join-1-2-3.run.tmp",     "join-1-2.run", "join--0-1-1.run",
                                      "join-01-2-3.run",        "join-.run",    "x",
                                      "join-1-2-4294967296.run"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct model_run back;
        assert_false(model_run_file_parse(str_from_c(bad[i]), &back));
    }
}

TEST(ids_survive_growth_and_removal)
{
    struct mem m;
    struct model_ids t;
    mem_init(&m, 0);
    model_ids_init(&t, &m);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_true(model_ids_add(&t, id_of(i), i));
    }
    for (uint32_t i = 0; i < 5000; i += 2) {
        model_ids_remove(&t, id_of(i), i);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        size_t at = SIZE_MAX;
        uint32_t found = MODEL_NIL;
        bool hit = false;
        while ((found = model_ids_next(&t, id_of(i), &at)) != MODEL_NIL) {
            hit = hit || found == i;
        }
        assert_int_equal(hit, i % 2);
    }
    model_ids_release(&t);
    assert_int_equal(m.bytes, 0);
}
