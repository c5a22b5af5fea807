/* Tests: cmocka underneath, one line to declare one.
 *
 *     TEST(str_cut_splits_at_the_first) { ... assert_true(...); }
 *     FAULT_TEST(journal_survives_any_fault) { ... return ok; }
 *
 * A file X_test.c registers its tests by itself; all X_test.c of a module link with
 * base/test_main.c into one program, which takes an optional substring to select tests and ends
 * with "N passed, N failed". Random tests use test_seed(), printed on failure; FAROL_SEED=n sets
 * it. */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include "base/err.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct simos;

/* The world a test lives in: memory that can run out and a simulated machine (base/simos.h). */
struct test_world {
    struct mem mem; /* counts; test fails when not all of it was given back */
    struct simos *simos;
    const struct os *os; /* the simulated one */
};

struct test_case {
    const char *name;
    void (*run)(void);                       /* TEST */
    bool (*run_faulty)(struct test_world *); /* FAULT_TEST */
    struct test_case *next;
};

void test_register(struct test_case *t);
uint64_t test_seed(void);
/* Folder with the module's source, for testdata: path of `name` below the repository root. */
const char *test_path(const char *name);

#define TEST(test_name)                                                            \
    static void test_##test_name(void);                                            \
    __attribute__((constructor)) static void register_##test_name(void)            \
    {                                                                              \
        static struct test_case t = {.name = #test_name, .run = test_##test_name}; \
        test_register(&t);                                                         \
    }                                                                              \
    static void test_##test_name(void)

/* The body does one whole scenario and returns true when it worked, false when something in it
 * reported an error (never by aborting). It is run clean first (must return true), then again with
 * allocation 1, 2, 3... failing, then with file operation 1, 2, 3... failing or being short, until
 * a run meets no fault. After each run all memory of w->mem must have been given back; the body
 * asserts its own invariants (what was acknowledged is there...). */
#define FAULT_TEST(test_name)                                                             \
    static bool test_##test_name(struct test_world *w);                                   \
    __attribute__((constructor)) static void register_##test_name(void)                   \
    {                                                                                     \
        static struct test_case t = {.name = #test_name, .run_faulty = test_##test_name}; \
        test_register(&t);                                                                \
    }                                                                                     \
    static bool test_##test_name(struct test_world *w)

#define assert_str(a, b)                                                                    \
    do {                                                                                    \
        struct str a_ = (a), b_ = (b);                                                      \
        if (!str_eq(a_, b_)) {                                                              \
            print_error("expected \"%.*s\"\n  found \"%.*s\"\n", STR_FMT(b_), STR_FMT(a_)); \
            fail();                                                                         \
        }                                                                                   \
    } while (0)

#endif
