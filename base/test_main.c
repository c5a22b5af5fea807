/* The test program of a module: runs what the X_test.c files registered, through cmocka.
 *
 * A FAULT_TEST is a loop of runs, each in a fresh world. The clean run must succeed; then
 * allocation 1, 2, 3... fails, and file operation 1, 2, 3... fails, finds the disk full or is
 * short, each until a run ends without having met its fault. Every run must give back all its
 * memory.
 *
 * The list of tests and the options are file-level variables, the one exception to "no mutable
 * state": constructors and cmocka's callbacks have no other place to put them. */
#include "base/test.h"

#include "base/simos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_USUAL      20181114
#define FAULT_RUNS_MAX  20000
#define TESTS_MAX       4096
#define PATH_BYTES_KEPT 4096

static struct test_case *first_test;

struct kept_path {
    struct kept_path *next;
    char text[PATH_BYTES_KEPT];
};
static struct kept_path *kept_paths;

void test_register(struct test_case *t)
{
    t->next = first_test;
    first_test = t;
}

uint64_t test_seed(void)
{
    const char *text = getenv("FAROL_SEED");
    uint64_t seed = SEED_USUAL;
    if (text != NULL && !str_to_u64(str_from_c(text), &seed)) {
        fprintf(stderr, "FAROL_SEED is not a number: '%s'\n", text);
        exit(2);
    }
    return seed;
}

const char *test_path(const char *name)
{
    const char *root = getenv("FAROL_ROOT");
    struct kept_path *k = calloc(1, sizeof *k);
    ASSERT(k != NULL);
    int n = snprintf(k->text, sizeof k->text, "%s/%s", root != NULL ? root : ".", name);
    ASSERT(n > 0 && (size_t)n < sizeof k->text);
    k->next = kept_paths;
    kept_paths = k;
    return k->text;
}

/* Makes allocation number `at` fail, once. */
struct alloc_fault {
    uint64_t at, seen;
};

static bool alloc_allow(void *ctx, size_t bytes)
{
    struct alloc_fault *f = ctx;
    (void)bytes;
    f->seen++;
    return f->seen != f->at;
}

struct fault_run {
    const char *what;
    uint64_t alloc_at, op_at; /* 0 = none */
    enum simos_fault fault;
    bool worked, met; /* results */
};

static void fault_run_once(const struct test_case *t, struct fault_run *run)
{
    struct alloc_fault allocs = {.at = run->alloc_at};
    struct test_world w;
    mem_init(&w.mem, 0);
    w.mem.allow = alloc_allow;
    w.mem.allow_ctx = &allocs;
    w.simos = simos_new(test_seed());
    w.os = simos_os(w.simos);
    simos_fault_at(w.simos, run->op_at, run->fault);
    run->worked = t->run_faulty(&w);
    run->met = (run->alloc_at != 0 && allocs.seen >= run->alloc_at) ||
               (run->op_at != 0 && simos_ops(w.simos) >= run->op_at);
    simos_free(w.simos);
    if (w.mem.bytes != 0) {
        print_error("%s, %s %llu: %zu bytes were not given back\n", t->name, run->what,
                    (unsigned long long)(run->alloc_at + run->op_at), w.mem.bytes);
        fail();
    }
    if (!run->met && !run->worked) {
        print_error("%s, %s %llu: failed without having met a fault\n", t->name, run->what,
                    (unsigned long long)(run->alloc_at + run->op_at));
        fail();
    }
}

static void fault_runs(const struct test_case *t)
{
    static const struct fault_run kinds[] = {
        {.what = "failed allocation", .alloc_at = 1},
        {.what = "failed operation", .op_at = 1, .fault = SIMOS_FAIL},
        {.what = "full disk at operation", .op_at = 1, .fault = SIMOS_FULL},
        {.what = "short operation", .op_at = 1, .fault = SIMOS_SHORT},
    };
    struct fault_run clean = {.what = "clean run"};
    fault_run_once(t, &clean);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        uint64_t at = 0;
        struct fault_run run;
        do {
            at++;
            run = kinds[i];
            run.alloc_at *= at;
            run.op_at *= at;
            if (at > FAULT_RUNS_MAX) {
                print_error("%s: still meets a fault after %d runs\n", t->name, FAULT_RUNS_MAX);
                fail();
            }
            fault_run_once(t, &run);
        } while (run.met);
    }
}

static void run_one(void **state)
{
    const struct test_case *t = *state;
    if (t->run != NULL) {
        t->run();
    } else {
        fault_runs(t);
    }
}

static size_t tests_select(const char *part, struct CMUnitTest *out)
{
    size_t n = 0;
    for (struct test_case *t = first_test; t != NULL; t = t->next) {
        if (!str_contains(str_from_c(t->name), str_from_c(part))) {
            continue;
        }
        ASSERT(n < TESTS_MAX);
        out[n] = (struct CMUnitTest){.name = t->name, .test_func = run_one, .initial_state = t};
        n++;
    }
    /* Registration went backwards; people read the file forwards. */
    for (size_t i = 0; i < n / 2; i++) {
        struct CMUnitTest swap = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = swap;
    }
    return n;
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";
    struct CMUnitTest *tests = calloc(TESTS_MAX, sizeof *tests);
    ASSERT(tests != NULL);
    size_t n = tests_select(part, tests);
    int failed = 0;
    if (n == 0) {
        fprintf(stderr, "no test has '%s' in its name\n", part);
        failed = 1;
    } else {
        failed = _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
    }
    if (failed != 0) {
        printf("seed: FAROL_SEED=%llu\n", (unsigned long long)test_seed());
    }
    size_t failures = size_min(failed < 0 ? n : (size_t)failed, n);
    fflush(stderr);
    printf("%zu passed, %zu failed\n", n - failures, n == 0 ? 1 : failures);
    free(tests);
    while (kept_paths != NULL) {
        struct kept_path *next = kept_paths->next;
        free(kept_paths);
        kept_paths = next;
    }
    return failed == 0 ? 0 : 1;
}
