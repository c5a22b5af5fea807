/* The parts of the PromQL script runner (promql_script.c): what a file says, where its samples go,
 * and whether an answer is the one expected. Everything of one file lives in one arena. */
#ifndef TEST_CONFORMANCE_SCRIPT_H
#define TEST_CONFORMANCE_SCRIPT_H

#include "base/buf.h"
#include "base/os.h"
#include "codec/regex.h"
#include "engines/promql/promql.h"

#define SCRIPT_FLAGS (PROMQL_ALL_FLAGS & ~PROMQL_TYPE_AND_UNIT)

enum expect_kind {
    EXPECT_ORDERED,
    EXPECT_FAIL,
    EXPECT_WARN,
    EXPECT_NO_WARN,
    EXPECT_INFO,
    EXPECT_NO_INFO,
    EXPECT_KINDS
};

struct expect {
    enum expect_kind kind;
    struct str message; /* exact, when pattern is NULL */
    struct regex *pattern;
    struct expect *next;
};

struct expected {
    struct promql_points points;
    uint32_t place; /* 1-based, for ordered */
    bool seen;
    struct expected *next;
};

/* One eval with what it expects. */
struct evaluation {
    struct str expr;
    uint32_t line;
    bool range, warn, info, ordered, fail;
    int64_t start_ms, end_ms, step_ms, at_ms;
    struct expect *expects;
    struct expected *series;
    bool number_given, string_given, range_vector;
    double number;
    struct str string;
};

/* Where the samples are. */
struct store;
enum store_kind { STORE_MEMORY, STORE_HEAD, STORE_BLOCK };
struct store *store_new(struct mem *m, enum store_kind kind, struct err *e);
void store_free(struct store *s);
MUST_USE bool store_clear(struct store *s, struct err *e);
/* lines: a load command's lines after the first. */
MUST_USE bool store_load(struct store *s, const struct str *lines, uint32_t n, int64_t step_ms,
                         bool with_nhcb, struct arena *a, struct err *e);
/* Between loads and evaluations: flushes, opens a view. */
MUST_USE bool store_source(struct store *s, struct promql_source *out, struct err *e);

struct runner {
    struct mem *mem;
    struct arena *arena; /* of the file */
    struct store *store;
    uint32_t threads;
    uint32_t passed, failed;
    const char *file;
    bool verbose;
};

MUST_USE bool script_duration(struct str s, int64_t *ms);
/* NULL: what went wrong is in why. */
MUST_USE bool script_evaluate(struct runner *r, struct evaluation *v, struct buf *why);

/* Compares; false with the reason in why. */
MUST_USE bool check_result(struct evaluation *v, const struct promql_result *r, struct arena *a,
                           struct buf *why);
MUST_USE bool check_notes(const struct evaluation *v, const struct promql_result *r,
                          struct buf *why);
MUST_USE bool check_failure(const struct evaluation *v, struct str message, struct buf *why);
bool check_expects(const struct evaluation *v, enum expect_kind kind);
bool check_sorted(const struct promql_result *r, struct buf *why);

#endif
