/* What functions say about their input beside the answer. The texts are Prometheus', word for word:
 * tests and people look for them. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"
#include "engines/promql/parser_int.h"

#define NAME_BYTES_MAX 4096

static const struct {
    const char *text;
    bool warning;
} texts[] = {
    [FN_NOTE_MIXED] = {"encountered a mix of histograms and floats for metric name", true},
    [FN_NOTE_MIXED_SCHEMAS] = {"vector contains a mix of histograms with exponential and custom "
                               "buckets schemas for metric name",
                               true},
    [FN_NOTE_NOT_COUNTER] = {"this native histogram metric is not a counter:", true},
    [FN_NOTE_NOT_GAUGE] = {"this native histogram metric is not a gauge:", true},
    [FN_NOTE_IGNORED] = {"ignored histograms in a range containing both floats and histograms for "
                         "metric name",
                         false},
    [FN_NOTE_OVERLAP] = {"sample has start time that overlaps with previous sample timestamp for "
                         "metric",
                         true},
};

struct pos fn_pos(const struct fn_call *c)
{
    if (c->node == NULL || c->node->u.call.args.n == 0) {
        return (struct pos){0};
    }
    return c->node->u.call.args.v[0]->pos;
}

static bool is_plain(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        const char ch = name.p[i];
        if (ch < 0x20 || ch == 0x7F || ch == '"' || ch == '\\') {
            return false;
        }
    }
    return true;
}

/* The text and the metric's name in quotes. */
static void note_named(struct notes *n, struct pos pos, bool warning, const char *text,
                       struct str name)
{
    struct mem mem;
    mem_init(&mem, NAME_BYTES_MAX);
    struct buf quoted;
    buf_init(&quoted, &mem, NAME_BYTES_MAX);
    if (is_plain(name)) {
        buf_char(&quoted, '"');
        buf_str_add(&quoted, name);
        buf_char(&quoted, '"');
    } else {
        promql_quote(&quoted, name);
    }
    if (warning) {
        note_warn(n, pos, "%s %.*s", text, STR_FMT(buf_str(&quoted)));
    } else {
        note_info(n, pos, "%s %.*s", text, STR_FMT(buf_str(&quoted)));
    }
    buf_release(&quoted);
}

void fn_note(const struct fn_call *c, enum fn_note what)
{
    note_named(c->notes, fn_pos(c), texts[what].warning, texts[what].text, c->metric);
}

void fn_note_trouble(const struct fn_call *c, unsigned trouble, const char *operation,
                     bool conflicts)
{
    if ((trouble & HIST_INCOMPATIBLE_SCHEMA) != 0) {
        fn_note(c, FN_NOTE_MIXED_SCHEMAS);
    }
    if ((trouble & HIST_BOUNDS_RECONCILED) != 0) {
        note_info(c->notes, fn_pos(c), "mismatched custom buckets were reconciled during %s",
                  operation);
    }
    if (conflicts && (trouble & HIST_RESET_CONFLICT) != 0) {
        note_warn(c->notes, fn_pos(c), "conflicting counter resets during histogram %s", operation);
    }
}

void note_bad_quantile(double q, struct notes *n, struct pos pos)
{
    if (!(q >= 0 && q <= 1)) {
        note_warn(n, pos, "quantile value should be between 0 and 1, got %s", g_text(q).text);
    }
}

/* The name is mentioned only when there is one. */
static void note_nan(struct notes *n, struct pos pos, const char *text, const char *text_named,
                     struct str metric)
{
    if (metric.n == 0) {
        note_info(n, pos, "%s", text);
    } else {
        note_named(n, pos, false, text_named, metric);
    }
}

#define NAMED      " for metric name"
#define NAN_RESULT "input to histogram_quantile has NaN observations, result is NaN"
#define NAN_SKEW   "input to histogram_quantile has NaN observations, result is skewed higher"
#define NAN_EXCLUDED \
    "input to histogram_fraction has NaN observations, which are excluded from all fractions"

double note_hist_quantile(double q, const struct nhist *h, struct notes *n, struct pos pos,
                          struct str metric)
{
    unsigned nan = 0;
    const double v = hist_quantile(q, h, &nan);
    if ((nan & HIST_NAN_RESULT) != 0) {
        note_nan(n, pos, NAN_RESULT, NAN_RESULT NAMED, metric);
    }
    if ((nan & HIST_NAN_SKEW) != 0) {
        note_nan(n, pos, NAN_SKEW, NAN_SKEW NAMED, metric);
    }
    return v;
}

double note_hist_fraction(double lower, double upper, const struct nhist *h, struct notes *n,
                          struct pos pos, struct str metric)
{
    unsigned nan = 0;
    const double v = hist_fraction(lower, upper, h, &nan);
    if ((nan & HIST_NAN_EXCLUDED) != 0) {
        note_nan(n, pos, NAN_EXCLUDED, NAN_EXCLUDED NAMED, metric);
    }
    return v;
}
