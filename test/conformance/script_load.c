/* The load commands of scripts, and where the samples go: the memory source, or a real store in a
 * folder of its own (head: as written; block: flushed and merged before each evaluation).
 *
 * Histograms get the reset hints that Prometheus' store would give them back: unknown for the first
 * of a run, "not reset" for the following ones, gauges stay gauges. A run ends where the layout
 * changes, a count falls, a reset is written, or something else than a histogram comes. */
#include "test/conformance/script.h"

#include "engines/promql/hist_int.h"
#include "engines/promql/testing_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DIR_DEPTH_MAX 4

struct known { /* a series of the script */
    struct labels labels;
    uint32_t id;
    const struct nhist *last; /* last histogram, NULL after anything else */
};

struct store {
    struct mem *mem;
    enum store_kind kind;
    struct arena arena; /* of what was loaded since the last clear */
    struct memory_source *memory;
    struct tsdb *db;
    struct tsdb_view *view;
    struct tsdb_batch *batch;
    uint32_t dirs;
    char dir[64];
    struct known *known;
    size_t known_cap;
    uint32_t known_n;
    bool dirty;
};

/* --- the store -------------------------------------------------------------------------------- */

static void view_close(struct store *s)
{
    if (s->view != NULL) {
        tsdb_view_close(s->view);
        s->view = NULL;
    }
}

static bool db_open(struct store *s, struct err *e)
{
    struct tsdb_config c;
    tsdb_config_default(&c);
    int n = snprintf(s->dir, sizeof s->dir, "/tmp/promql_script.%ld.%u", (long)getpid(), s->dirs++);
    ASSERT(n > 0 && (size_t)n < sizeof s->dir);
    c.dir = s->dir;
    c.out_of_order_ms = INT64_MAX / 4;
    c.retention_ms = 0;
    c.future_ms = 0;
    return tsdb_open(&s->db, &c, os_real(), NULL, e);
}

struct doomed {
    const char *dir;
    uint32_t depth;
};

static void remove_tree(const char *dir, uint32_t depth);

static void remove_entry(void *arg, const char *name)
{
    const struct doomed *d = arg;
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%s", d->dir, name);
    if (n > 0 && (size_t)n < sizeof path && os_real()->unlink(NULL, path) != 0) {
        remove_tree(path, d->depth + 1);
    }
}

static void remove_tree(const char *dir, uint32_t depth)
{
    struct doomed d = {dir, depth};
    if (depth < DIR_DEPTH_MAX) {
        (void)os_real()->list(NULL, dir, remove_entry, &d);
        (void)os_real()->unlink(NULL, dir);
    }
}

static void db_close(struct store *s)
{
    view_close(s);
    if (s->db != NULL) {
        tsdb_close(s->db);
        s->db = NULL;
        remove_tree(s->dir, 0);
    }
}

bool store_clear(struct store *s, struct err *e)
{
    memory_source_clear(s->memory);
    arena_reset(&s->arena);
    s->known_n = 0;
    if (s->kind == STORE_MEMORY) {
        return true;
    }
    db_close(s);
    return db_open(s, e);
}

struct store *store_new(struct mem *m, enum store_kind kind, struct err *e)
{
    struct store *s = mem_take(m, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->mem = m;
    s->kind = kind;
    arena_init(&s->arena, m, SIZE_MAX / 2);
    s->memory = memory_source_new(m);
    if (kind != STORE_MEMORY) {
        s->batch = tsdb_batch_new(m, 64U << 20);
    }
    if (s->memory == NULL || (kind != STORE_MEMORY && s->batch == NULL) || !store_clear(s, e)) {
        store_free(s);
        return NULL;
    }
    return s;
}

void store_free(struct store *s)
{
    if (s == NULL) {
        return;
    }
    db_close(s);
    if (s->batch != NULL) {
        tsdb_batch_free(s->batch);
    }
    memory_source_free(s->memory);
    mem_give(s->mem, s->known, s->known_cap * sizeof *s->known);
    arena_release(&s->arena);
    mem_give(s->mem, s, sizeof *s);
}

bool store_source(struct store *s, struct promql_source *out, struct err *e)
{
    if (s->kind == STORE_MEMORY) {
        *out = memory_source_of(s->memory);
        return true;
    }
    if (s->view == NULL) {
        if (s->kind == STORE_BLOCK && !tsdb_flush(s->db, true, e)) {
            return false;
        }
        if (!tsdb_view_open(s->db, &s->view, e)) {
            return false;
        }
    }
    *out = promql_source_tsdb(s->view);
    return true;
}

static struct known *known_of(struct store *s, struct labels ls, struct err *e)
{
    for (uint32_t i = 0; i < s->known_n; i++) {
        if (labels_eq(s->known[i].labels, ls)) {
            return &s->known[i];
        }
    }
    void *p = s->known;
    struct known k = {0};
    if (!mem_array_grow(s->mem, &p, &s->known_cap, (size_t)s->known_n + 1, 1U << 24,
                        sizeof *s->known)) {
        (void)err_set(e, ERR_NOMEM, "no memory for a series");
        return NULL;
    }
    s->known = p;
    if (!labels_copy(ls, &s->arena, &k.labels, e)) {
        return NULL;
    }
    if (s->kind == STORE_MEMORY) {
        k.id = memory_source_series(s->memory, ls);
    } else if (!tsdb_series(s->db, 0, ls, &k.id, e)) {
        return NULL;
    }
    s->known[s->known_n] = k;
    return &s->known[s->known_n++];
}

static bool put(struct store *s, struct known *k, int64_t t, int64_t st, double v,
                const struct nhist *h, struct err *e)
{
    if (s->kind == STORE_MEMORY) {
        return memory_source_add(s->memory, k->id, t, st, v, h) ||
               err_set(e, ERR_NOMEM, "no memory for a sample");
    }
    return h != NULL ? tsdb_batch_add_nhist(s->batch, k->id, t, st, h, e)
                     : tsdb_batch_add_st(s->batch, k->id, t, st, v, e);
}

static bool commit(struct store *s, struct err *e)
{
    struct tsdb_result r;
    view_close(s);
    if (s->kind == STORE_MEMORY) {
        return true;
    }
    bool ok = tsdb_commit_wait(s->db, s->batch, 0, &r, e);
    tsdb_batch_reset(s->batch);
    return ok;
}

/* --- hints ------------------------------------------------------------------------------------ */

static bool same_bounds(const struct nhist *a, const struct nhist *b)
{
    return a->custom_n == b->custom_n &&
           (a->custom_n == 0 || memcmp(a->custom, b->custom, a->custom_n * sizeof *a->custom) == 0);
}

static enum nhist_reset stored_hint(const struct nhist *last, const struct nhist *h)
{
    if (h->reset == NHIST_GAUGE) {
        return NHIST_GAUGE;
    }
    if (last == NULL || last->reset == NHIST_GAUGE || h->reset == NHIST_RESET ||
        is_stale_nan(h->sum) || is_stale_nan(last->sum) || h->count < last->count ||
        h->schema != last->schema || h->zero_threshold != last->zero_threshold ||
        !same_bounds(h, last) || h->zero_count < last->zero_count) {
        return NHIST_UNKNOWN;
    }
    struct nhist x = *h;
    struct nhist y = *last;
    x.reset = y.reset = NHIST_UNKNOWN;
    return hist_detect_reset(&x, &y) ? NHIST_UNKNOWN : NHIST_NO_RESET;
}

static bool put_sample(struct store *s, struct known *k, int64_t t, int64_t st, double v,
                       const struct nhist *h, struct err *e)
{
    if (h == NULL) {
        k->last = NULL;
        return put(s, k, t, st, v, NULL, e);
    }
    struct nhist *copy = nhist_copy(h, &s->arena);
    if (copy == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a histogram");
    }
    copy->reset = stored_hint(k->last, h);
    k->last = copy;
    return put(s, k, t, st, 0, copy, e);
}

/* --- start timestamps: name{..}@st -1m -1mx2 -30s-1mx2 _ _x3 ---------------------------------- */

static bool st_duration(struct str *s, int64_t *ms)
{
    size_t i = 0;
    bool minus = s->n > 0 && s->p[0] == '-';
    i += s->n > 0 && (s->p[0] == '-' || s->p[0] == '+');
    size_t from = i;
    while (i < s->n && s->p[i] >= '0' && s->p[i] <= '9') {
        i++;
    }
    while (i < s->n && ((s->p[i] >= 'a' && s->p[i] <= 'z') || (s->p[i] >= 'A' && s->p[i] <= 'Z')) &&
           s->p[i] != 'x') {
        i++;
    }
    if (!script_duration(str_of(s->p + from, i - from), ms)) {
        return false;
    }
    *ms = minus ? -*ms : *ms;
    *s = str_sub(*s, i, s->n);
    return true;
}

struct starts {
    int64_t *offset;
    bool *gap;
    uint32_t n, cap;
};

static bool start_put(struct starts *o, int64_t offset, bool gap)
{
    if (o->n == o->cap) {
        return false;
    }
    o->offset[o->n] = offset;
    o->gap[o->n++] = gap;
    return true;
}

static bool start_item(struct starts *o, struct str item)
{
    int64_t base = 0;
    int64_t delta = 0;
    uint64_t times = 0;
    bool gap = item.p[0] == '_';
    if (gap) {
        item = str_sub(item, 1, item.n);
        if (item.n == 0) {
            return start_put(o, 0, true);
        }
    } else if (!st_duration(&item, &base)) {
        return false;
    }
    if (!gap && item.n > 0 && item.p[0] != 'x') {
        bool minus = item.p[0] == '-';
        if (item.p[0] != '-' && item.p[0] != '+') {
            return false;
        }
        item = str_sub(item, 1, item.n);
        if (!st_duration(&item, &delta) || item.n == 0) {
            return false;
        }
        delta = minus ? -delta : delta;
    }
    if (item.n > 0 && (item.p[0] != 'x' || !str_to_u64(str_sub(item, 1, item.n), &times))) {
        return false;
    }
    uint64_t n = gap ? times : times + 1;
    for (uint64_t i = 0; i < n; i++) {
        if (!start_put(o, base + (int64_t)i * delta, gap)) {
            return false;
        }
    }
    return true;
}

/* Metric and offsets of a line "metric@st values"; *is false: another kind of line. */
static bool start_line(struct str line, struct arena *a, bool *is, struct labels *metric,
                       struct starts *out, struct err *e)
{
    size_t i = 0;
    while (i < line.n && line.p[i] != ' ' && line.p[i] != '\t') {
        i++;
    }
    struct str head = str_of(line.p, i);
    *is = i < line.n && str_ends(head, STR("@st"));
    if (!*is) {
        return true;
    }
    out->n = 0;
    out->cap = 65536;
    out->offset = ARENA_ARRAY(a, int64_t, out->cap);
    out->gap = ARENA_ARRAY(a, bool, out->cap);
    if (out->offset == NULL || out->gap == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for start timestamps");
    }
    if (!promql_metric(str_of(head.p, head.n - 3), a, metric, e)) {
        return false;
    }
    struct str rest = str_trim(str_sub(line, i, line.n));
    while (rest.n > 0) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t') {
            n++;
        }
        if (!start_item(out, str_of(rest.p, n))) {
            return err_set(e, ERR_INPUT, "invalid @st item '%.*s'", STR_FMT(str_of(rest.p, n)));
        }
        rest = str_trim(str_sub(rest, n, rest.n));
    }
    return true;
}

/* --- classic histograms as custom-bucket ones ------------------------------------------------- */

enum part { PART_NONE, PART_BUCKET, PART_SUM, PART_COUNT };

struct piece { /* one sample of a classic histogram */
    struct labels base;
    int64_t t;
    enum part part;
    double le, v;
};

static enum part part_of(struct str name, struct str *base)
{
    static const struct {
        struct str suffix;
        enum part part;
    } parts[] = {{STR_INIT("_bucket"), PART_BUCKET},
                 {STR_INIT("_sum"), PART_SUM},
                 {STR_INIT("_count"), PART_COUNT}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (str_ends(name, parts[i].suffix)) {
            *base = str_of(name.p, name.n - parts[i].suffix.n);
            return parts[i].part;
        }
    }
    return PART_NONE;
}

static int piece_cmp(const void *pa, const void *pb)
{
    const struct piece *a = pa;
    const struct piece *b = pb;
    int c = labels_cmp(a->base, b->base);
    if (c != 0) {
        return c;
    }
    if (a->t != b->t) {
        return a->t < b->t ? -1 : 1;
    }
    return a->le < b->le ? -1 : a->le > b->le;
}

static bool base_labels(struct labels ls, struct str name, struct arena *a, struct labels *out)
{
    struct label *v = ARENA_ARRAY(a, struct label, size_max(ls.n, 1));
    uint32_t n = 0;
    if (v == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < ls.n; i++) {
        if (str_eq(ls.v[i].name, STR("le"))) {
            continue;
        }
        v[n] = ls.v[i];
        if (str_eq(v[n].name, STR(LABEL_NAME))) {
            v[n].value = name;
        }
        n++;
    }
    *out = (struct labels){v, n};
    return true;
}

/* One histogram of the pieces of one time, which ascend by bound. */
static bool convert(struct store *s, const struct piece *p, uint32_t n, struct arena *a,
                    struct err *e)
{
    struct nhist h = {.schema = NHIST_SCHEMA_CUSTOM, .integer = false};
    double *counts = ARENA_ARRAY(a, double, (size_t)n + 1);
    struct nhist_span *span = ARENA_NEW(a, struct nhist_span);
    h.custom = ARENA_ARRAY(a, double, (size_t)n + 1);
    bool has_count = false;
    double below = 0;
    double last = 0;
    uint32_t buckets = 0;
    bool inf = false;
    if (counts == NULL || span == NULL || h.custom == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a histogram");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (p[i].part == PART_SUM) {
            h.sum = p[i].v;
        } else if (p[i].part == PART_COUNT) {
            h.count = p[i].v;
            has_count = true;
        } else if (buckets == 0 || p[i].le != last) {
            if (p[i].v < below || isinf(p[i].le) < 0) {
                return err_set(e, ERR_INPUT, "classic histogram is not cumulative");
            }
            counts[buckets] = p[i].v - below;
            inf = isinf(p[i].le) != 0;
            if (!inf) {
                h.custom[h.custom_n++] = p[i].le;
            }
            buckets++;
            below = p[i].v;
            last = p[i].le;
        }
    }
    if (!has_count) {
        h.count = below;
    }
    if (!inf) {
        counts[buckets++] = h.count - below;
        below = h.count;
    }
    if (h.count != below) {
        return err_set(e, ERR_INPUT, "count of a classic histogram is not its +Inf bucket");
    }
    *span = (struct nhist_span){0, buckets};
    h.pos = (struct nhist_side){span, counts, 1, buckets};
    const struct nhist *small = hist_compact(&h, a);
    struct known *k = small == NULL ? NULL : known_of(s, p[0].base, e);
    return k != NULL && put_sample(s, k, p[0].t, 0, 0, small, e);
}

static bool convert_all(struct store *s, struct piece *v, uint32_t n, struct arena *a,
                        struct err *e)
{
    qsort(v, n, sizeof *v, piece_cmp);
    for (uint32_t i = 0; i < n;) {
        uint32_t j = i + 1;
        while (j < n && v[j].t == v[i].t && labels_eq(v[j].base, v[i].base)) {
            j++;
        }
        if (!convert(s, v + i, j - i, a, e)) {
            return false;
        }
        i = j;
    }
    return true;
}

/* --- loading ---------------------------------------------------------------------------------- */

struct pieces {
    struct piece *v;
    uint32_t n;
};

static bool classic(const struct promql_points *p, int64_t step_ms, struct pieces *out,
                    struct arena *a)
{
    struct str base;
    struct str le_text = labels_get(p->labels, STR("le"));
    enum part part = part_of(labels_get(p->labels, STR(LABEL_NAME)), &base);
    double le = -HUGE_VAL;
    struct labels labels;
    if (part == PART_NONE) {
        return true;
    }
    if (part == PART_BUCKET) {
        if (str_eq_nocase(le_text, STR("+inf")) || str_eq_nocase(le_text, STR("inf"))) {
            le = HUGE_VAL;
        } else if (!str_to_f64(le_text, &le)) {
            return true;
        }
    }
    if (!base_labels(p->labels, base, a, &labels)) {
        return false;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        if (!p->gap[i] && p->h[i] == NULL) {
            out->v[out->n++] = (struct piece){labels, (int64_t)i * step_ms, part, le, p->v[i]};
        }
    }
    return true;
}

static bool load_points(struct store *s, const struct promql_points *p, const struct starts *st,
                        int64_t step_ms, struct err *e)
{
    struct known *k = known_of(s, p->labels, e);
    if (k == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < p->n; i++) {
        int64_t t = (int64_t)i * step_ms;
        if (!p->gap[i] && !put_sample(s, k, t, st->n > i && !st->gap[i] ? t + st->offset[i] : 0,
                                      p->v[i], p->h[i], e)) {
            return false;
        }
    }
    return true;
}

/* A series of a load with the start timestamps written before it. */
struct line {
    struct promql_points points;
    struct starts starts;
    bool replaced; /* the same series comes again further down: that one counts */
};

static bool read_lines(const struct str *lines, uint32_t n, struct arena *a, struct line *out,
                       uint32_t *series, struct err *e)
{
    struct labels st_metric = {0};
    struct starts st = {0};
    *series = 0;
    for (uint32_t i = 0; i < n; i++) {
        bool is_start;
        struct starts next = {0};
        struct line *x = &out[*series];
        if (!start_line(lines[i], a, &is_start, &st_metric, &next, e)) {
            return false;
        }
        if (is_start) {
            st = next;
            continue;
        }
        if (!promql_series_line(lines[i], a, &x->points, e)) {
            return false;
        }
        if (st.n > 0 && (st.n != x->points.n || !labels_eq(st_metric, x->points.labels))) {
            return err_set(e, ERR_INPUT, "@st line does not fit the series after it");
        }
        x->starts = st;
        st.n = 0;
        for (uint32_t j = 0; j < *series; j++) {
            out[j].replaced |= labels_eq(out[j].points.labels, x->points.labels);
        }
        ++*series;
    }
    return true;
}

bool store_load(struct store *s, const struct str *lines, uint32_t n, int64_t step_ms,
                bool with_nhcb, struct arena *a, struct err *e)
{
    struct pieces pieces = {0};
    struct line *v = ARENA_ARRAY(a, struct line, size_max(n, 1));
    uint64_t points = 0;
    uint32_t series;
    if (v == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a load");
    }
    if (!read_lines(lines, n, a, v, &series, e)) {
        return false;
    }
    for (uint32_t i = 0; i < series; i++) {
        points += v[i].points.n;
        if (!v[i].replaced && !load_points(s, &v[i].points, &v[i].starts, step_ms, e)) {
            return false;
        }
    }
    if (with_nhcb) {
        pieces.v = ARENA_ARRAY(a, struct piece, (size_t)points + 1);
        if (pieces.v == NULL) {
            return err_set(e, ERR_NOMEM, "no memory for a load");
        }
        for (uint32_t i = 0; i < series; i++) {
            if (!v[i].replaced && !classic(&v[i].points, step_ms, &pieces, a)) {
                return err_set(e, ERR_NOMEM, "no memory for a load");
            }
        }
        if (!convert_all(s, pieces.v, pieces.n, a, e)) {
            return false;
        }
    }
    return commit(s, e);
}
