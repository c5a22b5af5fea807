/* Unit tests of rules: the file as structs. Private to engines/rules. */
#ifndef ENGINES_RULES_UNIT_INT_H
#define ENGINES_RULES_UNIT_INT_H

#include "engines/rules/engine_int.h"
#include "engines/rules/yaml_int.h"

#define UNIT_EVALS_MAX  2000000 /* evaluations of one test */
#define UNIT_ARENA_MAX  ((size_t)2 << 30)
#define UNIT_OUT_MAX    (64U << 20)
#define UNIT_POINTS_MAX 50000000 /* samples of one test */

struct unit_alert {
    struct labels labels, notes;
};
struct unit_alert_test {
    int64_t eval_ms;
    struct str name;
    struct unit_alert *want;
    uint32_t want_n;
};
struct unit_sample {
    struct str labels, histogram; /* as written */
    double value;
};
struct unit_expr_test {
    int64_t eval_ms;
    struct str expr;
    struct unit_sample *want;
    uint32_t want_n;
};
struct unit_series {
    struct str series, values;
};
struct unit_test {
    struct str name;
    int64_t interval_ms, start_ms;
    struct unit_series *series;
    uint32_t series_n;
    struct unit_alert_test *alerts; /* in order of eval_ms */
    uint32_t alerts_n;
    struct unit_expr_test *exprs;
    uint32_t exprs_n;
    struct rule_pair *external;
    uint32_t external_n;
    struct str external_url;
};
struct unit_file {
    struct str *rule_files;
    uint32_t rule_files_n;
    int64_t interval_ms;
    struct str *order;
    uint32_t order_n;
    bool fuzzy;
    struct unit_test *tests;
    uint32_t tests_n;
};

/* Everything lives in the arena. */
MUST_USE bool unit_file_parse(struct str text, const char *path, bool unknown_keys, struct arena *a,
                              struct unit_file *out, struct err *e);

/* Text of results as promtool writes it (unit_show.c). */
void unit_put_duration(struct buf *b, int64_t ms);
void unit_put_hist(struct buf *b, const struct nhist *h, bool hint);
void unit_put_float(struct buf *b, double v);
void unit_put_alerts(struct buf *b, const struct unit_alert *v, uint32_t n);

#endif
