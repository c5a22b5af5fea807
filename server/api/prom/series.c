/* series, labels, label/NAME/values: what there is, rather than what its samples say. */
#include "server/api/prom/prom_int.h"

#include <stdlib.h>

#define FORM_BYTES_MAX (4U << 20)

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void write_texts(struct prom_call *c, const struct str *v, uint32_t n)
{
    BUF_LIT(&c->out, "[");
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) {
            BUF_LIT(&c->out, ",");
        }
        buf_json_str(&c->out, v[i]);
    }
    BUF_LIT(&c->out, "]");
}

/* Texts of several selectors, each once. */
struct texts {
    struct str *v;
    uint32_t n;
};

static bool join_texts(struct prom_call *c, struct texts *all, const struct str *more, uint32_t n)
{
    if (all->n == 0) {
        struct str *v = ARENA_ARRAY(&c->arena, struct str, n ? n : 1);
        if (!v) {
            return prom_fail(c, PROM_EXECUTION_ERROR, "too many label values");
        }
        if (n > 0) {
            memcpy(v, more, n * sizeof *v);
        }
        *all = (struct texts){v, n};
        return true;
    }
    struct str *v = ARENA_ARRAY(&c->arena, struct str, (size_t)all->n + n);
    if (!v) {
        return prom_fail(c, PROM_EXECUTION_ERROR, "too many label values");
    }
    memcpy(v, all->v, all->n * sizeof *v);
    if (n > 0) {
        memcpy(v + all->n, more, n * sizeof *v);
    }
    qsort(v, (size_t)all->n + n, sizeof *v, by_text);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < all->n + n; i++) {
        if (kept == 0 || !str_eq(v[i], v[kept - 1])) {
            v[kept++] = v[i];
        }
    }
    *all = (struct texts){v, kept};
    return true;
}

/* Names of labels, or values of one (name.n > 0), for every match[] or for all series. */
static bool texts_of(struct prom_call *c, struct tsdb_view *view, struct str name)
{
    struct prom_selector *s;
    struct texts all = {NULL, 0};
    struct err e = {0};
    int64_t from_ms, to_ms;
    uint32_t n, limit;
    if (!prom_limit(c, &limit) || !prom_range(c, &from_ms, &to_ms) ||
        !prom_matches(c, PROM_MATCH_SOME, &s, &n)) {
        return false;
    }
    const bool every = n == 0;
    if (to_ms < from_ms) {
        BUF_LIT(&c->out, "[]");
        return true;
    }
    for (uint32_t i = 0; i < (every ? 1 : n); i++) {
        const struct matcher *m = every ? NULL : s[i].m;
        const uint32_t m_n = every ? 0 : s[i].n;
        const uint32_t ask = every && limit > 0 && limit < UINT32_MAX ? limit + 1 : 0;
        struct str *v;
        uint32_t count;
        const bool ok = name.n > 0 ? tsdb_label_values(view, name, m, m_n, from_ms, to_ms, ask,
                                                       &c->arena, &v, &count, &e)
                                   : tsdb_label_names(view, m, m_n, from_ms, to_ms, ask, &c->arena,
                                                      &v, &count, &e);
        if (!ok) {
            return prom_fail_err(c, &e);
        }
        if (!join_texts(c, &all, v, count)) {
            return false;
        }
    }
    if (limit > 0 && all.n > limit) {
        all.n = limit;
        c->truncated = true;
    }
    write_texts(c, all.v, all.n);
    return true;
}

static bool with_texts(struct prom_call *c, struct str name)
{
    struct tsdb_view *view;
    struct err e = {0};
    if (!tsdb_view_open(c->api->deps.db, &view, &e)) {
        return prom_fail_err(c, &e);
    }
    const bool ok = texts_of(c, view, name);
    tsdb_view_close(view);
    return ok;
}

static bool run_labels(struct prom_call *c)
{
    return with_texts(c, STR(""));
}

static int hex(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

/* The value escaping of names in paths: "U__" then letters as they are, "__" for one underscore and
 * _hex_ for a code point. What is not well-formed is taken as it stands. */
static struct str unescape_name(struct prom_call *c, struct str s)
{
    if (!str_starts(s, STR("U__"))) {
        return s;
    }
    char *p = arena_take(&c->arena, s.n, 1);
    size_t n = 0;
    for (size_t i = 3; p && i < s.n; i++) {
        if (s.p[i] != '_') {
            p[n++] = s.p[i];
            continue;
        }
        if (i + 1 < s.n && s.p[i + 1] == '_') {
            p[n++] = '_';
            i++;
            continue;
        }
        uint32_t code = 0;
        size_t k = i + 1;
        while (k < s.n && k < i + 7 && hex(s.p[k]) >= 0) {
            code = code * 16 + (uint32_t)hex(s.p[k++]);
        }
        if (k == i + 1 || k == s.n || s.p[k] != '_' || code > 0x10ffff) {
            return s;
        }
        if (code < 0x80) {
            p[n++] = (char)code;
        } else if (code < 0x800) {
            p[n++] = (char)(0xc0 | code >> 6);
            p[n++] = (char)(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            p[n++] = (char)(0xe0 | code >> 12);
            p[n++] = (char)(0x80 | (code >> 6 & 0x3f));
            p[n++] = (char)(0x80 | (code & 0x3f));
        } else {
            p[n++] = (char)(0xf0 | code >> 18);
            p[n++] = (char)(0x80 | (code >> 12 & 0x3f));
            p[n++] = (char)(0x80 | (code >> 6 & 0x3f));
            p[n++] = (char)(0x80 | (code & 0x3f));
        }
        i = k;
    }
    return p && str_is_utf8(str_of(p, n)) ? str_of(p, n) : s;
}

static bool run_label_values(struct prom_call *c)
{
    static const struct str tail = STR_INIT("/values");
    if (!str_ends(c->path_rest, tail) || c->path_rest.n == tail.n) {
        return prom_fail(c, PROM_NOT_FOUND, "expected /api/v1/label/NAME/values");
    }
    const struct str raw = str_sub(c->path_rest, 0, c->path_rest.n - tail.n);
    const struct str name = unescape_name(c, raw);
    if (!str_is_utf8(name)) {
        return prom_fail(c, PROM_BAD_DATA, "invalid label name: \"%.*s\"",
                         STR_FMT(str_sub(name, 0, 100)));
    }
    return with_texts(c, name);
}

static int by_id(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool write_series(struct prom_call *c, struct tsdb_view *view)
{
    struct prom_selector *s;
    struct err e = {0};
    int64_t from_ms, to_ms;
    uint32_t n, limit, all_n = 0;
    uint32_t *all = NULL;
    if (!prom_limit(c, &limit) || !prom_range(c, &from_ms, &to_ms) ||
        !prom_matches(c, PROM_MATCH_WANTED | PROM_MATCH_SOME | PROM_MATCH_NAMED, &s, &n)) {
        return false;
    }
    if (to_ms < from_ms) {
        BUF_LIT(&c->out, "[]");
        return true;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *ids, count;
        if (!tsdb_select(view, s[i].m, s[i].n, from_ms, to_ms,
                         (uint32_t)i64_min(c->api->config.series_max, UINT32_MAX), n == 1,
                         &c->arena, &ids, &count, &e)) {
            return prom_fail_err(c, &e);
        }
        uint32_t *joined =
            n == 1 ? ids : ARENA_ARRAY(&c->arena, uint32_t, (size_t)all_n + count + 1);
        if (!joined && count > 0) {
            return prom_fail(c, PROM_EXECUTION_ERROR, "too many series");
        }
        if (n > 1) {
            if (all_n > 0) {
                memcpy(joined, all, all_n * sizeof *joined);
            }
            if (count > 0) {
                memcpy(joined + all_n, ids, count * sizeof *joined);
            }
        }
        all = joined;
        all_n += count;
    }
    if (n > 1 && all_n > 0) {
        qsort(all, all_n, sizeof *all, by_id);
    }
    BUF_LIT(&c->out, "[");
    struct arena row;
    arena_init(&row, &c->mem, 1U << 20);
    uint32_t written = 0;
    for (uint32_t i = 0; i < all_n && !c->out.failed; i++) {
        if (i > 0 && all[i] == all[i - 1]) {
            continue;
        }
        if (limit > 0 && written == limit) {
            c->truncated = true;
            break;
        }
        if (written++ > 0) {
            BUF_LIT(&c->out, ",");
        }
        prom_json_labels(&c->out, tsdb_labels(view, all[i], &row));
        arena_reset(&row);
    }
    arena_release(&row);
    BUF_LIT(&c->out, "]");
    return true;
}

static bool run_series(struct prom_call *c)
{
    struct tsdb_view *view;
    struct err e = {0};
    if (!tsdb_view_open(c->api->deps.db, &view, &e)) {
        return prom_fail_err(c, &e);
    }
    const bool ok = write_series(c, view);
    tsdb_view_close(view);
    return ok;
}

const struct prom_endpoint prom_endpoints_series[] = {
    {"GET", "/api/v1/series", "label sets of series: match[], start, end, limit", 0, false,
     run_series},
    {"POST", "/api/v1/series", "label sets of series: match[], start, end, limit", FORM_BYTES_MAX,
     false, run_series},
    {"GET", "/api/v1/labels", "names of labels: match[], start, end, limit", 0, false, run_labels},
    {"POST", "/api/v1/labels", "names of labels: match[], start, end, limit", FORM_BYTES_MAX, false,
     run_labels},
    {"GET", "/api/v1/label/*", "values of a label: NAME/values, match[], start, end, limit", 0,
     false, run_label_values},
};
const uint32_t prom_endpoints_series_n = ARRAY_LEN(prom_endpoints_series);
