/* Filters of runs: never a false negative, few false positives, the budget, damage, restart. */
#include "base/file.h"
#include "model/model_testing_int.h"

#define HOUR0 400000
#define ROWS  20000u

/* splitmix64: ids as hashes are, uniform and independent. */
static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* The low half of lo is the route: with 8 shards its low three bits are the same for all. */
static struct hash128 id_of(uint64_t i)
{
    return (struct hash128){.lo = mix(2 * i) & ~UINT64_C(7), .hi = mix(2 * i + 1)};
}

TEST(filter_has_no_false_negative_and_few_false_positives)
{
    static const uint32_t sizes[] = {1, 42, 43, 63, 1000, ROWS};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        size_t bytes = model_filter_bytes(sizes[k]);
        assert_true(bytes % 64 == 0 && bytes * 8 >= (size_t)sizes[k] * 12);
        char *f = calloc(1, bytes);
        assert_non_null(f);
        for (uint64_t i = 0; i < sizes[k]; i++) {
            model_filter_add(f, bytes, id_of(i));
        }
        for (uint64_t i = 0; i < sizes[k]; i++) {
            assert_true(model_filter_may(f, bytes, id_of(i)));
        }
        uint32_t hits = 0;
        for (uint64_t i = 0; i < 100000; i++) {
            hits += model_filter_may(f, bytes, id_of(1000000 + i));
        }
        print_message("filter of %u rows: %.2f %% false positives\n", (unsigned)sizes[k],
                      (double)hits / 1000);
        assert_true(hits < (sizes[k] == ROWS ? 1000 : 2000));
        free(f);
    }
}

static void store_fill(struct model_join *j, struct model_names *names, uint32_t hours)
{
    for (uint64_t i = 0; i < (uint64_t)hours * 1000; i++) {
        struct model_row r = {.id = id_of(i), .score = 0.5};
        assert_true(model_join_add(j, names, HOUR0 + (int32_t)(i / 1000), &r));
        assert_true(j->filters.bytes <= j->filters.bytes_max);
    }
}

TEST(filter_budget_holds_and_the_oldest_hours_go_first)
{
    struct mem m;
    struct model_names names;
    struct model_join j;
    struct model_row scratch;
    struct simos *sim = simos_new(3);
    mem_init(&m, 0);
    model_names_init(&names, &m, 8, 8);
    model_join_init(&j, &m, simos_os(sim), "join", NULL, 0, 1000, 4000, 42);
    store_fill(&j, &names, 12);
    assert_true(j.runs_count >= 10);
    size_t kept = 0;
    for (uint32_t i = 0; i < j.runs_count; i++) {
        kept += j.runs[i].filter != NULL;
        assert_true(i == 0 || j.runs[i].filter != NULL || j.runs[i - 1].filter == NULL);
    }
    assert_int_equal(kept, 2);
    assert_true(j.filters.refused);
    for (uint64_t i = 0; i < 12000; i += 11) {
        assert_non_null(
            model_join_find(&j, &names, NULL, 0, id_of(i), HOUR0 + (int32_t)(i / 1000), &scratch));
    }
    model_filters_bound(&j.filters, j.runs, j.runs_count, 2000);
    assert_true(j.filters.bytes > 0 && j.filters.bytes <= 2000);
    assert_non_null(j.runs[j.runs_count - 1].filter);
    /* Without memory: no filter, no error. */
    model_filters_bound(&j.filters, j.runs, j.runs_count, 0);
    assert_int_equal(j.filters.bytes, 0);
    j.filters.bytes_max = 1 << 20;
    m.bytes_max = m.bytes;
    struct err e = {0};
    assert_true(model_filters_load(&j.filters, j.os, "join", &j.runs[0], &e));
    assert_null(j.runs[0].filter);
    m.bytes_max = 0;
    assert_true(model_filters_load(&j.filters, j.os, "join", &j.runs[0], &e));
    assert_non_null(j.runs[0].filter);
    model_join_release(&j);
    model_names_release(&names);
    assert_int_equal(m.bytes, 0);
    simos_free(sim);
}

/* A filter answers without the file: an id that is nowhere costs no failure when files are gone. */
TEST(filter_spares_the_file_and_its_damage_only_costs_the_shortcut)
{
    struct mem m;
    struct model_names names;
    struct model_join j;
    struct model_row scratch;
    struct err e = {0};
    char file[MODEL_RUN_FILE_BYTES];
    char path[PATH_BYTES_MAX];
    struct simos *sim = simos_new(3);
    mem_init(&m, 0);
    model_names_init(&names, &m, 8, 8);
    model_join_init(&j, &m, simos_os(sim), "join", NULL, 0, 1000, 1 << 20, 42);
    store_fill(&j, &names, 2);
    assert_int_equal(j.runs_count, 1);
    struct model_run *run = &j.runs[0];
    model_run_file(run, file);
    assert_true(path_join(path, sizeof path, "join", file, &e));
    struct buf b;
    buf_init(&b, &m, 1 << 20);
    assert_true(file_read(j.os, path, &b, &e));
    size_t bytes = model_filter_bytes(run->rows);
    for (size_t at = b.n - bytes - 8; at < b.n; at += 61) {
        model_filters_drop(&j.filters, run);
        assert_true(simos_flip(sim, path, at, 3));
        assert_false(model_filters_load(&j.filters, j.os, "join", run, &e));
        assert_int_equal(e.code, ERR_CORRUPT);
        assert_null(run->filter);
        assert_non_null(model_join_find(&j, &names, NULL, 0, id_of(7), HOUR0, &scratch));
        assert_true(simos_flip(sim, path, at, 3));
    }
    assert_true(model_filters_load(&j.filters, j.os, "join", run, &e));
    assert_memory_equal(run->filter + (64 - (uintptr_t)run->filter % 64) % 64, b.p + b.n - bytes,
                        bytes);
    assert_int_equal(j.os->unlink(j.os->ctx, path), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_null(model_join_find(&j, &names, NULL, 0, id_of(50000 + i), HOUR0, &scratch));
    }
    assert_true(j.read_failures < 20);
    buf_release(&b);
    model_join_release(&j);
    model_names_release(&names);
    assert_int_equal(m.bytes, 0);
    simos_free(sim);
}
