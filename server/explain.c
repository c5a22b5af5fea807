/* See explain_int.h: nodes come as a flat list, parents before children, each with its depth; the
 * lines of the tree follow from the depths alone. */
#include "server/explain_int.h"

#include "base/clock.h"
#include "base/num.h"
#include "server/answer_int.h"
#include "server/text_int.h"

#include <math.h>
#include <stddef.h>

#define HEAD_COLUMNS_MAX 60 /* longer ones end in an ellipsis */
#define CELLS_MAX        8
#define CELL_BYTES_MAX   4096
#define TIME_MS_MAX      9e12 /* of nanoseconds in an int64: the year 2255 */

/* --- reading ---------------------------------------------------------------------------------- */

/* The members that are numbers, and where they go. */
struct member {
    const char *key;
    size_t off;
};
static const struct member row_members[] = {
    {"series_matched", offsetof(struct explain_row, matched)},
    {"steps", offsetof(struct explain_row, steps)},
    {"from_ms", offsetof(struct explain_row, from_ms)},
    {"to_ms", offsetof(struct explain_row, to_ms)},
    {"samples_read", offsetof(struct explain_row, samples)},
    {"series", offsetof(struct explain_row, series)},
    {"points", offsetof(struct explain_row, points)},
    {"self_ns", offsetof(struct explain_row, self_ns)},
    {"total_ns", offsetof(struct explain_row, total_ns)},
};
static const struct member total_members[] = {
    {"eval_ns", offsetof(struct server_explain, eval_ns)},
    {"threads", offsetof(struct server_explain, threads)},
    {"samples_read", offsetof(struct server_explain, samples_read)},
    {"series_read", offsetof(struct server_explain, series_read)},
    {"series", offsetof(struct server_explain, series)},
    {"points", offsetof(struct server_explain, points)},
    {"bytes", offsetof(struct server_explain, bytes)},
};

static void clear_numbers(const struct member *v, size_t n, void *to)
{
    for (size_t i = 0; i < n; i++) {
        *(double *)(void *)((char *)to + v[i].off) = (double)NAN;
    }
}

static void read_number(const struct json_token *t, const struct member *v, size_t n, void *to)
{
    for (size_t i = 0; i < n && json_is_number(t); i++) {
        if (str_eq(t->key, str_from_c(v[i].key))) {
            *(double *)(void *)((char *)to + v[i].off) = json_as_f64(t);
        }
    }
}

static void read_ways(const struct json_doc *d, uint32_t list, struct arena *a,
                      struct explain_row *r)
{
    for (uint32_t i = list + 1; i < d->tokens[list].next; i = d->tokens[i].next) {
        if (d->tokens[i].kind == JSON_STR && r->ways_n < EXPLAIN_WAYS_MAX) {
            r->ways[r->ways_n++] = server_answer_text(d->tokens[i].v.str, a);
        }
    }
}

static bool read_row(const struct json_doc *d, uint32_t at, struct arena *a, struct explain_row *r,
                     struct err *e)
{
    double depth = (double)NAN;
    clear_numbers(row_members, ARRAY_LEN(row_members), r);
    for (uint32_t i = at + 1; i < d->tokens[at].next; i = d->tokens[i].next) {
        const struct json_token *t = &d->tokens[i];
        if (t->kind == JSON_STR && str_eq(t->key, STR("head"))) {
            r->head = server_answer_text(t->v.str, a);
        } else if (t->kind == JSON_ARRAY && str_eq(t->key, STR("ways"))) {
            read_ways(d, i, a, r);
        } else if (json_is_number(t) && str_eq(t->key, STR("depth"))) {
            depth = json_as_f64(t);
        } else {
            read_number(t, row_members, ARRAY_LEN(row_members), r);
        }
    }
    if (d->tokens[at].kind != JSON_OBJECT || !(depth >= 0)) {
        return err_set(e, ERR_INPUT, "expected nodes of a plan with their depth");
    }
    if (depth > EXPLAIN_DEPTH_MAX) {
        return err_set(e, ERR_LIMIT, "the plan has more than %d levels", EXPLAIN_DEPTH_MAX);
    }
    r->depth = (uint32_t)depth;
    return true;
}

static bool read_rows(const struct json_doc *d, uint32_t list, struct arena *a,
                      struct server_explain *out, struct err *e)
{
    uint32_t n = 0;
    for (uint32_t i = list + 1; i < d->tokens[list].next; i = d->tokens[i].next) {
        n++;
    }
    if (n > EXPLAIN_ROWS_MAX) {
        return err_set(e, ERR_LIMIT, "the plan has more than %d nodes", EXPLAIN_ROWS_MAX);
    }
    out->rows = ARENA_ARRAY(a, struct explain_row, size_max(n, 1));
    if (!out->rows) {
        return err_set(e, ERR_LIMIT, "no memory for a plan of %u nodes", n);
    }
    for (uint32_t i = list + 1; i < d->tokens[list].next; i = d->tokens[i].next) {
        struct explain_row *r = &out->rows[out->rows_n];
        if (!read_row(d, i, a, r, e)) {
            return false;
        }
        const bool root = out->rows_n == 0;
        if (root ? r->depth != 0 : r->depth == 0 || r->depth > r[-1].depth + 1) {
            return err_set(e, ERR_INPUT, "expected the nodes of one tree, parents before children");
        }
        out->rows_n++;
    }
    return true;
}

bool server_explain_read(const struct json_doc *d, uint32_t at, struct arena *a,
                         struct server_explain *out, struct err *e)
{
    *out = (struct server_explain){.rows_all = 0};
    clear_numbers(total_members, ARRAY_LEN(total_members), out);
    if (d->tokens[at].kind != JSON_OBJECT) {
        return err_set(e, ERR_INPUT, "expected an object in data.explain");
    }
    for (uint32_t i = at + 1; i < d->tokens[at].next; i = d->tokens[i].next) {
        const struct json_token *t = &d->tokens[i];
        if (t->kind == JSON_STR && str_eq(t->key, STR("mode"))) {
            out->ran = str_eq(t->v.str, STR("run"));
        } else if (json_is_number(t) && str_eq(t->key, STR("nodes_all"))) {
            out->rows_all = json_as_f64(t);
        } else if (t->kind == JSON_ARRAY && str_eq(t->key, STR("nodes")) && !out->rows) {
            if (!read_rows(d, i, a, out, e)) {
                return false;
            }
        } else if (t->kind == JSON_OBJECT && str_eq(t->key, STR("totals"))) {
            for (uint32_t k = i + 1; k < t->next; k = d->tokens[k].next) {
                read_number(&d->tokens[k], total_members, ARRAY_LEN(total_members), out);
            }
        }
    }
    return out->rows_n > 0 || err_set(e, ERR_INPUT, "expected nodes in data.explain");
}

/* --- cells ------------------------------------------------------------------------------------ */

struct table {
    struct arena *a;
    enum lang lang;
    struct str (*cells)[CELLS_MAX]; /* the first row is the heading */
    uint32_t columns, ways_at;
    struct buf scratch;
    bool failed;
};

static void put_cell(struct table *t, uint32_t row, uint32_t column)
{
    struct str s = arena_str(t->a, buf_str(&t->scratch));
    t->failed = t->failed || t->scratch.failed || (s.n == 0 && t->scratch.n > 0);
    t->cells[row][column] = s;
    buf_reset(&t->scratch);
}

static void put_number(struct table *t, uint32_t row, uint32_t column, double v)
{
    if (!isnan(v)) {
        num_f64(&t->scratch, t->lang, v, 0);
    }
    put_cell(t, row, column);
}

/* Most nodes need less than a millisecond. */
static void put_duration(struct table *t, double ns)
{
    if (ns < 1e6) {
        num_short(&t->scratch, t->lang, ns / 1e3);
        BUF_LIT(&t->scratch, " µs");
    } else {
        num_ms(&t->scratch, t->lang, ns / 1e6);
    }
}

static void put_ns(struct table *t, uint32_t row, uint32_t column, double ns)
{
    put_duration(t, ns);
    put_cell(t, row, column);
}

static void put_time(struct table *t, uint32_t row, uint32_t column, double t_ms)
{
    if (fabs(t_ms) < TIME_MS_MAX) {
        time_format(&t->scratch, ns_from_ms((int64_t)t_ms));
    }
    put_cell(t, row, column);
}

static void put_ways(struct table *t, uint32_t row, const struct explain_row *r)
{
    static const struct {
        const char *name;
        enum text_id text;
    } known[] = {
        {"newest_sample", TEXT_EXPLAIN_NEWEST},
        {"no_buckets", TEXT_EXPLAIN_NO_BUCKETS},
        {"same_times", TEXT_EXPLAIN_SAME_TIMES},
        {"running_windows", TEXT_EXPLAIN_RUNNING},
        {"once", TEXT_EXPLAIN_ONCE},
        {"streamed", TEXT_EXPLAIN_STREAMED},
        {"whole_rows", TEXT_EXPLAIN_WHOLE_ROWS},
        {"parallel", TEXT_EXPLAIN_PARALLEL},
    };
    for (uint32_t i = 0; i < r->ways_n; i++) {
        struct str word = r->ways[i]; /* of a newer server */
        for (size_t k = 0; k < ARRAY_LEN(known); k++) {
            if (str_eq(word, str_from_c(known[k].name))) {
                word = str_from_c(server_text(t->lang, known[k].text));
            }
        }
        buf_str_add(&t->scratch, i > 0 ? STR(", ") : STR(""));
        buf_str_add(&t->scratch, str_sub(word, 0, CELL_BYTES_MAX / EXPLAIN_WAYS_MAX - 2));
    }
    put_cell(t, row, t->ways_at);
}

static void put_head(struct table *t, struct str s)
{
    size_t bytes = 0;
    uint32_t columns = 0;
    while (bytes < s.n &&
           (columns < HEAD_COLUMNS_MAX || ((unsigned char)s.p[bytes] & 0xc0) == 0x80)) {
        columns += ((unsigned char)s.p[bytes++] & 0xc0) != 0x80;
    }
    buf_add(&t->scratch, s.p, bytes);
    if (bytes < s.n) {
        BUF_LIT(&t->scratch, "…");
    }
}

/* The branches before a node: bar[d] tells that a line goes down at level d. */
static void put_branches(struct table *t, const bool *bar, uint32_t depth, bool last)
{
    for (uint32_t d = 1; d < depth; d++) {
        buf_str_add(&t->scratch, bar[d] ? STR("│  ") : STR("   "));
    }
    if (depth > 0) {
        buf_str_add(&t->scratch, last ? STR("└─ ") : STR("├─ "));
    }
}

/* Which nodes are the last child of their parent: seen from the end, the first of its level since a
 * level above was met. */
static bool *find_last(const struct server_explain *x, struct arena *a)
{
    bool after[EXPLAIN_DEPTH_MAX + 2] = {false};
    uint32_t deepest = 0;
    bool *last = ARENA_ARRAY(a, bool, size_max(x->rows_n, 1));
    for (uint32_t i = x->rows_n; last && i-- > 0;) {
        const uint32_t d = x->rows[i].depth;
        for (uint32_t k = d + 1; k <= deepest; k++) {
            after[k] = false;
        }
        deepest = d;
        last[i] = !after[d];
        after[d] = true;
    }
    return last;
}

static void put_tree(struct table *t, const struct server_explain *x, const bool *last)
{
    bool bar[EXPLAIN_DEPTH_MAX + 2] = {false};
    for (uint32_t i = 0; i < x->rows_n; i++) {
        const struct explain_row *r = &x->rows[i];
        bar[r->depth] = !last[i];
        put_branches(t, bar, r->depth, last[i]);
        put_head(t, r->head);
        put_cell(t, i + 1, 0);
    }
}

static void put_titles(struct table *t, const enum text_id *titles)
{
    for (uint32_t i = 0; i < t->columns; i++) {
        t->cells[0][i] = str_from_c(server_text(t->lang, titles[i]));
    }
}

static void put_run(struct table *t, const struct server_explain *x)
{
    static const enum text_id titles[] = {
        TEXT_EXPLAIN_NODE,   TEXT_EXPLAIN_MATCHED, TEXT_EXPLAIN_SAMPLES, TEXT_EXPLAIN_SERIES,
        TEXT_EXPLAIN_POINTS, TEXT_EXPLAIN_OWN,     TEXT_EXPLAIN_TOTAL,   TEXT_EXPLAIN_WAYS};
    _Static_assert(ARRAY_LEN(titles) == CELLS_MAX, "the widest table");
    t->columns = ARRAY_LEN(titles);
    t->ways_at = t->columns - 1;
    put_titles(t, titles);
    for (uint32_t i = 0; i < x->rows_n; i++) {
        const struct explain_row *r = &x->rows[i];
        put_number(t, i + 1, 1, r->matched);
        put_number(t, i + 1, 2, r->samples);
        put_number(t, i + 1, 3, r->series);
        put_number(t, i + 1, 4, r->points);
        put_ns(t, i + 1, 5, r->self_ns);
        put_ns(t, i + 1, 6, r->total_ns);
        put_ways(t, i + 1, r);
    }
}

static void put_plan(struct table *t, const struct server_explain *x)
{
    static const enum text_id titles[] = {TEXT_EXPLAIN_NODE,  TEXT_EXPLAIN_MATCHED,
                                          TEXT_EXPLAIN_STEPS, TEXT_EXPLAIN_FROM,
                                          TEXT_EXPLAIN_TO,    TEXT_EXPLAIN_WAYS};
    t->columns = ARRAY_LEN(titles);
    t->ways_at = t->columns - 1;
    put_titles(t, titles);
    for (uint32_t i = 0; i < x->rows_n; i++) {
        const struct explain_row *r = &x->rows[i];
        put_number(t, i + 1, 1, r->matched);
        put_number(t, i + 1, 2, r->steps);
        put_time(t, i + 1, 3, r->from_ms);
        put_time(t, i + 1, 4, r->to_ms);
        put_ways(t, i + 1, r);
    }
}

/* --- lines ------------------------------------------------------------------------------------ */

/* The tree and the ways stand to the left, what is between to the right. */
static void write_table(const struct table *t, uint32_t rows, struct buf *out)
{
    size_t widths[CELLS_MAX] = {0};
    for (uint32_t i = 0; i < rows; i++) {
        for (uint32_t k = 0; k < t->columns; k++) {
            widths[k] = size_max(widths[k], server_answer_columns(t->cells[i][k]));
        }
    }
    for (uint32_t i = 0; i < rows; i++) {
        size_t owed = 0; /* no spaces at the end of a line */
        for (uint32_t k = 0; k < t->columns; k++) {
            const struct str s = t->cells[i][k];
            const size_t pad = widths[k] - server_answer_columns(s);
            const bool left = k == 0 || k == t->ways_at;
            owed += left ? 0 : pad;
            if (s.n > 0) {
                server_answer_spaces(out, owed);
                buf_str_add(out, s);
                owed = 0;
            }
            owed += (left ? pad : 0) + 2;
        }
        buf_char(out, '\n');
    }
}

static struct str number_text(struct table *t, double v)
{
    num_f64(&t->scratch, t->lang, v, 0);
    const struct str s = arena_str(t->a, buf_str(&t->scratch));
    buf_reset(&t->scratch);
    return s;
}

static void write_totals(struct table *t, const struct server_explain *x, struct buf *out)
{
    put_duration(t, x->eval_ns);
    const struct str time = arena_str(t->a, buf_str(&t->scratch));
    buf_reset(&t->scratch);
    buf_char(out, '\n');
    if (x->ran) {
        SAY(out, t->lang, EXPLAIN_RAN, time, number_text(t, x->threads),
            number_text(t, x->samples_read), number_text(t, x->series_read),
            number_text(t, x->series), number_text(t, x->points), number_text(t, x->bytes / 1024));
    } else {
        SAY(out, t->lang, EXPLAIN_PLANNED, time, number_text(t, x->series_read));
    }
    if (x->rows_all > x->rows_n) {
        SAY(out, t->lang, EXPLAIN_MORE, number_text(t, x->rows_n), number_text(t, x->rows_all));
    }
}

bool server_explain_write(const struct server_explain *x, enum lang lang, struct arena *a,
                          struct buf *out, struct err *e)
{
    struct table t = {.a = a, .lang = lang};
    t.cells = arena_array(a, x->rows_n + 1, sizeof *t.cells, _Alignof(struct str));
    const bool *last = find_last(x, a);
    if (!t.cells || !last) {
        return err_set(e, ERR_LIMIT, "no memory for a table of %u nodes", x->rows_n);
    }
    buf_init(&t.scratch, out->mem, CELL_BYTES_MAX);
    put_tree(&t, x, last);
    if (x->ran) {
        put_run(&t, x);
    } else {
        put_plan(&t, x);
    }
    write_table(&t, x->rows_n + 1, out);
    write_totals(&t, x, out);
    buf_release(&t.scratch);
    if (t.failed) {
        return err_set(e, ERR_LIMIT, "no memory for a table of %u nodes", x->rows_n);
    }
    return true;
}
