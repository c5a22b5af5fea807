/* Templates, the functions that Prometheus adds: queries and their results, regular expressions,
 * texts, links. Numbers and times for people are in tpl_human.c. */
#include "engines/rules/tpl_int.h"

#include "codec/regex.h"

#include <stdio.h>

/* --- queries ---------------------------------------------------------------------------------- */

static bool list_new(struct texec *x, uint32_t n, struct tv_list **l, struct tval *out)
{
    *l = ARENA_NEW(x->arena, struct tv_list);
    struct tval *v = ARENA_ARRAY(x->arena, struct tval, n ? n : 1);
    if (!*l || !v) {
        return tpl_fail(x, "error calling query: out of memory");
    }
    **l = (struct tv_list){v, n};
    *out = (struct tval){.kind = TV_LIST, .u.list = *l};
    return true;
}

static bool sample_of(struct texec *x, struct labels ls, const struct promql_sample *p,
                      struct tval *out)
{
    struct tv_sample *s = ARENA_NEW(x->arena, struct tv_sample);
    if (!s || !tpl_map_of(x->arena, ls, &s->labels)) {
        return tpl_fail(x, "error calling query: out of memory");
    }
    s->value = p->h ? (struct tval){.kind = TV_HIST, .u.hist = p->h} : tv_float(p->v);
    *out = (struct tval){.kind = TV_SAMPLE, .u.sample = s};
    return true;
}

static bool fn_query(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct promql_query q = x->data->query;
    struct promql_node *expr = NULL;
    struct promql_result *r = ARENA_NEW(x->arena, struct promql_result);
    enum promql_failure why = PROMQL_BAD;
    struct err e = {0};
    (void)n;
    if (!q.source.select || !r) {
        return tpl_fail(x, "error calling query: no source of samples here");
    }
    if (!promql_parse(v[0].u.s, q.flags, x->arena, &expr, &e)) {
        return tpl_fail(x, "error calling query: %u:%u: parse error: %s", e.line, e.col, e.msg);
    }
    q.expr = expr;
    q.text = v[0].u.s;
    q.start_ms = q.end_ms = x->data->t_ms;
    q.step_ms = 0;
    if (!promql_eval(&q, x->arena, r, &why, &e)) {
        return tpl_fail(x, "error calling query: %s", e.msg);
    }
    struct tv_list *l = NULL;
    if (r->type == PROMQL_SCALAR) {
        return list_new(x, 1, &l, out) && sample_of(x, (struct labels){0}, &r->scalar, &l->v[0]);
    }
    if (r->type != PROMQL_VECTOR) {
        return tpl_fail(x, "error calling query: rule result is not a vector or scalar");
    }
    if (!list_new(x, r->series_n, &l, out)) {
        return false;
    }
    for (uint32_t i = 0; i < r->series_n; i++) {
        if (!sample_of(x, r->series[i].labels, r->series[i].samples, &l->v[i])) {
            return false;
        }
    }
    return true;
}

static bool fn_first(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    if (v->u.list->n == 0) {
        return tpl_fail(x, "error calling first: first() called on vector with no elements");
    }
    *out = v->u.list->v[0];
    return true;
}

static struct str label_of(const struct tval *sample, struct str name)
{
    bool found = false;
    return tpl_map_get(sample->u.sample->labels.u.map, name, &found).u.s;
}

static bool fn_label(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = tv_str(label_of(&v[1], v[0].u.s));
    return true;
}

static bool fn_value(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = v->u.sample->value;
    return true;
}

static bool fn_strvalue(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = tv_str(label_of(v, STR("__value__")));
    return true;
}

/* By insertion: results in templates are short, and equal ones keep their order. */
static bool fn_sort_by_label(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct tv_list *l = NULL;
    (void)n;
    uint32_t count = v[1].u.list->n;
    if (!list_new(x, count, &l, out)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct tval it = v[1].u.list->v[i];
        struct str key = label_of(&it, v[0].u.s);
        uint32_t k = i;
        while (k > 0 && str_cmp(label_of(&l->v[k - 1], v[0].u.s), key) > 0) {
            l->v[k] = l->v[k - 1];
            k--;
        }
        l->v[k] = it;
        x->steps += i - k;
        if (x->steps > TPL_STEPS_MAX) {
            return tpl_fail(x, "template ran more than %d steps", TPL_STEPS_MAX);
        }
    }
    return true;
}

static bool fn_args(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct tv_map *m = ARENA_NEW(x->arena, struct tv_map);
    struct tv_entry *e = ARENA_ARRAY(x->arena, struct tv_entry, n ? n : 1);
    if (!m || !e) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "arg%u", i);
        e[i].key = arena_str(x->arena, str_from_c(name));
        e[i].value = v[i];
        if (!e[i].key.p) {
            return false;
        }
    }
    *m = (struct tv_map){e, n, true};
    *out = (struct tval){.kind = TV_MAP, .u.map = m};
    return true;
}

/* --- texts ------------------------------------------------------------------------------------ */

static bool fn_match(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct regex *r = NULL;
    struct err e = {0};
    (void)n;
    if (!regex_new(x->arena->mem, v[0].u.s, false, &r, &e)) {
        return tpl_fail(x, "error calling match: %s", e.msg);
    }
    *out = tv_bool(regex_match(r, v[1].u.s));
    regex_free(r);
    return true;
}

static bool fn_replace(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct regex *r = NULL;
    struct err e = {0};
    (void)n;
    if (!regex_new(x->arena->mem, v[0].u.s, false, &r, &e)) {
        return tpl_fail(x, "error calling reReplaceAll: %s", e.msg);
    }
    struct buf b = tpl_buf(x);
    regex_replace_all(r, v[2].u.s, v[1].u.s, &b);
    regex_free(r);
    return tpl_keep(x, &b, out);
}

static bool fn_safe_html(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)x;
    (void)n;
    *out = (struct tval){.kind = TV_HTML, .u.s = v->u.s};
    return true;
}

/* Case of ASCII and of the two-byte letters of Latin-1, Latin Extended-A, Greek and Cyrillic; what
 * else there is stays as it is. */
static uint32_t change_case(uint32_t r, bool up)
{
    if (r < 0x80) {
        return up ? (r >= 'a' && r <= 'z' ? r - 32 : r) : (r >= 'A' && r <= 'Z' ? r + 32 : r);
    }
    if ((r >= 0xc0 && r <= 0xde && r != 0xd7 && !up) ||
        (r >= 0xe0 && r <= 0xfe && r != 0xf7 && up)) {
        return up ? r - 32 : r + 32;
    }
    if (r == 0xff && up) {
        return 0x178;
    }
    bool odd_upper = (r >= 0x139 && r <= 0x148) || (r >= 0x179 && r <= 0x17e);
    bool even_upper =
        (r >= 0x100 && r <= 0x137 && r != 0x130 && r != 0x131) || (r >= 0x14a && r <= 0x177);
    if (odd_upper || even_upper) {
        bool upper = (r & 1) == (odd_upper ? 1U : 0U);
        return upper == up ? r : up ? r - 1 : r + 1;
    }
    if ((r >= 0x391 && r <= 0x3a9 && !up) || (r >= 0x3b1 && r <= 0x3c9 && r != 0x3c2 && up)) {
        return up ? r - 32 : r + 32;
    }
    if ((r >= 0x410 && r <= 0x42f && !up) || (r >= 0x430 && r <= 0x44f && up)) {
        return up ? r - 32 : r + 32;
    }
    if ((r >= 0x400 && r <= 0x40f && !up) || (r >= 0x450 && r <= 0x45f && up)) {
        return up ? r - 80 : r + 80;
    }
    return r;
}

/* how: 'U', 'L', or 'T' (the first letter of each word goes up). */
static bool recase(struct texec *x, struct str s, char how, struct tval *out)
{
    struct buf b = tpl_buf(x);
    bool inside = false;
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        bool two =
            c >= 0xc3 && c <= 0xd1 && i + 1 < s.n && ((unsigned char)s.p[i + 1] & 0xc0) == 0x80;
        uint32_t r = two ? (uint32_t)(c & 31) << 6 | ((unsigned char)s.p[i + 1] & 63) : c;
        bool letter = c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'' ||
                      (c >= '0' && c <= '9') || c == '_';
        if ((c < 0x80 || two) && (how != 'T' || !inside)) {
            r = change_case(r, how != 'L');
        }
        inside = letter;
        if (two) {
            buf_char(&b, (char)(0xc0 | r >> 6));
            buf_char(&b, (char)(0x80 | (r & 63)));
        } else {
            buf_char(&b, (char)r);
        }
        i += two ? 2 : 1;
    }
    return tpl_keep(x, &b, out);
}

static bool fn_title(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return recase(x, v->u.s, 'T', out);
}

static bool fn_upper(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return recase(x, v->u.s, 'U', out);
}

static bool fn_lower(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return recase(x, v->u.s, 'L', out);
}

/* Go's url.QueryEscape. */
void rules_url_escape(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            buf_char(b, (char)c);
        } else if (c == ' ') {
            buf_char(b, '+');
        } else {
            buf_fmt(b, "%%%02X", c);
        }
    }
}

static bool link_to(struct texec *x, struct str expr, const char *tab, struct tval *out)
{
    struct buf b = tpl_buf(x);
    BUF_LIT(&b, "/graph?g0.expr=");
    rules_url_escape(&b, expr);
    buf_fmt(&b, "&g0.tab=%s", tab);
    return tpl_keep(x, &b, out);
}

static bool fn_graph_link(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return link_to(x, v->u.s, "0", out);
}

static bool fn_table_link(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)n;
    return link_to(x, v->u.s, "1", out);
}

static bool fn_url_escape(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct buf b = tpl_buf(x);
    (void)n;
    rules_url_escape(&b, v->u.s);
    return tpl_keep(x, &b, out);
}

static bool fn_external_url(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    (void)v;
    (void)n;
    *out = tv_str(x->data->external_url);
    return true;
}

static bool fn_path_prefix(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct str u = x->data->external_url;
    (void)v;
    (void)n;
    size_t i = 0;
    while (i + 2 < u.n && memcmp(u.p + i, "://", 3) != 0) {
        i++;
    }
    struct str rest = i + 2 < u.n ? str_sub(u, i + 3, u.n) : u;
    size_t slash = 0;
    while (slash < rest.n && rest.p[slash] != '/') {
        slash++;
    }
    struct str path = str_sub(rest, slash, rest.n);
    path = str_cut(path, '?').head;
    *out = tv_str(str_cut(path, '#').head);
    return true;
}

/* host:port, [v6]:port; false: there is no port to split. */
static bool split_port(struct str s, struct str *host, struct str *port)
{
    size_t colon = s.n;
    size_t colons = 0;
    for (size_t i = 0; i < s.n; i++) {
        colons += s.p[i] == ':';
        colon = s.p[i] == ':' ? i : colon;
    }
    if (colons == 0) {
        return false;
    }
    *host = str_sub(s, 0, colon);
    *port = str_sub(s, colon + 1, s.n);
    if (host->n && host->p[0] == '[') {
        bool closed = host->p[host->n - 1] == ']';
        *host = str_sub(*host, 1, host->n - 2);
        return closed;
    }
    return colons == 1;
}

static bool fn_strip_port(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct str host = {0};
    struct str port = {0};
    (void)x;
    (void)n;
    *out = tv_str(split_port(v->u.s, &host, &port) ? host : v->u.s);
    return true;
}

/* Digits and dots with four numbers, or anything with a colon. */
static bool is_address(struct str s)
{
    uint32_t dots = 0;
    bool digits = s.n > 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ':') {
            return true;
        }
        dots += s.p[i] == '.';
        digits = digits && (s.p[i] == '.' || (s.p[i] >= '0' && s.p[i] <= '9'));
    }
    return digits && dots == 3;
}

static bool fn_strip_domain(struct texec *x, const struct tval *v, uint32_t n, struct tval *out)
{
    struct str host = {0};
    struct str port = {0};
    (void)n;
    if (!split_port(v->u.s, &host, &port)) {
        host = v->u.s;
        port = STR("");
    }
    if (is_address(host)) {
        *out = v[0];
        return true;
    }
    struct buf b = tpl_buf(x);
    buf_str_add(&b, str_cut(host, '.').head);
    if (port.n) {
        buf_char(&b, ':');
        buf_str_add(&b, port);
    }
    return tpl_keep(x, &b, out);
}

const struct tfn tpl_prom_fns[] = {
    {STR_INIT("args"), 0, UINT32_MAX, fn_args, NULL},
    {STR_INIT("externalURL"), 0, 0, fn_external_url, NULL},
    {STR_INIT("first"), 1, 1, fn_first, "l"},
    {STR_INIT("graphLink"), 1, 1, fn_graph_link, "s"},
    {STR_INIT("label"), 2, 2, fn_label, "sp"},
    {STR_INIT("match"), 2, 2, fn_match, "s"},
    {STR_INIT("pathPrefix"), 0, 0, fn_path_prefix, NULL},
    {STR_INIT("query"), 1, 1, fn_query, "s"},
    {STR_INIT("reReplaceAll"), 3, 3, fn_replace, "s"},
    {STR_INIT("safeHtml"), 1, 1, fn_safe_html, "s"},
    {STR_INIT("sortByLabel"), 2, 2, fn_sort_by_label, "sl"},
    {STR_INIT("stripDomain"), 1, 1, fn_strip_domain, "s"},
    {STR_INIT("stripPort"), 1, 1, fn_strip_port, "s"},
    {STR_INIT("strvalue"), 1, 1, fn_strvalue, "p"},
    {STR_INIT("tableLink"), 1, 1, fn_table_link, "s"},
    {STR_INIT("title"), 1, 1, fn_title, "s"},
    {STR_INIT("toLower"), 1, 1, fn_lower, "s"},
    {STR_INIT("toUpper"), 1, 1, fn_upper, "s"},
    {STR_INIT("urlQueryEscape"), 1, 1, fn_url_escape, "s"},
    {STR_INIT("value"), 1, 1, fn_value, "p"},
};
const uint32_t tpl_prom_fns_n = ARRAY_LEN(tpl_prom_fns);
