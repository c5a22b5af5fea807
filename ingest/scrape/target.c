/* One target: its labels by discovery and relabelling, its URL, the request that asks it.
 *
 *   group labels + __address__ + job, __scrape_interval__, __scrape_timeout__, __metrics_path__,
 *   __scheme__, __param_NAME  --relabel_configs-->  drop __meta_*, instance = __address__
 *
 * Labels that begin with __ decide the URL and the times and do not go on the series. Two targets
 * are the same when all their labels and their URL are equal. */
#include "ingest/scrape/loop_int.h"

#include "base/file.h"
#include "base/hash.h"

#include <stdlib.h>

#define TARGET_BYTES_MAX (1 << 20)
#define SECRET_BYTES_MAX 65536

void duration_text(int64_t ms, struct buf *out)
{
    static const struct {
        const char *unit;
        int64_t ms;
        bool whole; /* only when nothing is left over */
    } units[] = {{"y", 31536000000, true}, {"w", 604800000, true}, {"d", 86400000, true},
                 {"h", 3600000, false},    {"m", 60000, false},    {"s", 1000, false},
                 {"ms", 1, false}};
    if (ms == 0) {
        BUF_LIT(out, "0s");
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].whole && ms % units[i].ms != 0) {
            continue;
        }
        if (ms / units[i].ms > 0) {
            buf_fmt(out, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
            ms %= units[i].ms;
        }
    }
}

/* --- labels ------------------------------------------------------------------------------- */

static void set_default(struct lset *l, struct str name, struct str value)
{
    if (lset_get(l, name).n == 0) {
        lset_set(l, name, value);
    }
}

static struct str put_text(struct lset *l, const struct buf *b)
{
    struct str s = arena_str(l->arena, buf_str(b));
    l->failed = l->failed || b->failed || !s.p;
    return s.p ? s : str_of("", 0);
}

static void set_duration(struct lset *l, struct str name, int64_t ms, struct buf *scratch)
{
    buf_reset(scratch);
    duration_text(ms, scratch);
    set_default(l, name, put_text(l, scratch));
}

void scrape_discovered(const struct scrape_job *job, const struct scrape_group *g,
                       struct str address, struct str file, struct lset *l, struct buf *scratch)
{
    lset_set(l, STR("__address__"), address);
    for (uint32_t i = 0; i < g->labels_n; i++) {
        set_default(l, g->labels[i].name, g->labels[i].value);
    }
    set_default(l, STR("__meta_filepath"), file);
    set_default(l, STR("job"), job->name);
    set_duration(l, STR("__scrape_interval__"), job->interval_ms, scratch);
    set_duration(l, STR("__scrape_timeout__"), job->timeout_ms, scratch);
    set_default(l, STR("__metrics_path__"), job->metrics_path);
    set_default(l, STR("__scheme__"), job->scheme);
    for (uint32_t i = 0; i < job->params_n; i++) {
        buf_reset(scratch);
        BUF_LIT(scratch, "__param_");
        buf_str_add(scratch, job->params[i].name);
        if (job->params[i].values.count > 0) {
            set_default(l, put_text(l, scratch), job->params[i].values.v[0]);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

/* A sorted copy in the target's arena; only public ones when asked. */
static bool keep_labels(struct target *t, const struct lset *l, bool public, struct labels *out)
{
    struct label *v = ARENA_ARRAY(&t->arena, struct label, l->n);
    uint32_t n = 0;
    for (uint32_t i = 0; v && i < l->n; i++) {
        if (public && str_starts(l->v[i].name, STR("__"))) {
            continue;
        }
        v[n].name = arena_str(&t->arena, l->v[i].name);
        v[n].value = arena_str(&t->arena, l->v[i].value);
        if (!v[n].name.p || !v[n].value.p) {
            return false;
        }
        n++;
    }
    if (n > 0) {
        qsort(v, n, sizeof *v, by_name);
    }
    *out = (struct labels){v, n};
    return v || l->n == 0;
}

static bool times_of(const struct lset *l, struct target *t, struct err *e)
{
    int64_t interval_ms = 0;
    struct str i = lset_get(l, STR("__scrape_interval__"));
    struct str o = lset_get(l, STR("__scrape_timeout__"));
    if (!str_to_duration_ms(i, &interval_ms) || interval_ms <= 0 ||
        interval_ms > INT64_MAX / NS_PER_MS / 4) {
        return err_set(e, ERR_INPUT, "expected a duration in __scrape_interval__, found \"%.*s\"",
                       STR_FMT(str_sub(i, 0, 40)));
    }
    if (!str_to_duration_ms(o, &t->timeout_ms) || t->timeout_ms <= 0) {
        return err_set(e, ERR_INPUT, "expected a duration in __scrape_timeout__, found \"%.*s\"",
                       STR_FMT(str_sub(o, 0, 40)));
    }
    if (t->timeout_ms > interval_ms) {
        return err_set(e, ERR_INPUT, "the scrape timeout is greater than the interval");
    }
    t->interval_ns = ns_from_ms(interval_ms);
    return true;
}

/* --- URL ---------------------------------------------------------------------------------- */

static void escape(struct buf *out, struct str s, const char *plain, bool plus)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr(plain, c));
        if (keep) {
            buf_char(out, (char)c);
        } else if (plus && c == ' ') {
            buf_char(out, '+');
        } else {
            const char text[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(out, text, sizeof text);
        }
    }
}

struct param {
    struct str name, value;
    uint32_t order;
};

static int by_param(const void *a, const void *b)
{
    const struct param *x = a;
    const struct param *y = b;
    int c = str_cmp(x->name, y->name);
    return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

/* All values of the job's parameters, the first of each replaced by the label __param_NAME; then
 * parameters that only labels know. */
static uint32_t collect_params(const struct scrape_job *job, const struct lset *l, struct param *v,
                               struct buf *scratch)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < job->params_n; i++) {
        buf_reset(scratch);
        BUF_LIT(scratch, "__param_");
        buf_str_add(scratch, job->params[i].name);
        struct str label = lset_get(l, buf_str(scratch));
        for (uint32_t k = 0; k < job->params[i].values.count; k++) {
            bool first = k == 0 && label.n > 0;
            v[n] =
                (struct param){job->params[i].name, first ? label : job->params[i].values.v[k], n};
            n++;
        }
    }
    uint32_t known = n;
    for (uint32_t i = 0; i < l->n; i++) {
        bool ours = false;
        if (!str_starts(l->v[i].name, STR("__param_"))) {
            continue;
        }
        struct str name = str_sub(l->v[i].name, 8, l->v[i].name.n);
        for (uint32_t k = 0; k < known; k++) {
            ours = ours || str_eq(v[k].name, name);
        }
        if (!ours) {
            v[n] = (struct param){name, l->v[i].value, n};
            n++;
        }
    }
    return n;
}

static bool make_url(struct scrape *s, const struct scrape_job *job, const struct lset *l,
                     struct target *t)
{
    struct buf out;
    uint32_t max = l->n;
    for (uint32_t i = 0; i < job->params_n; i++) {
        max += job->params[i].values.count;
    }
    struct param *v = ARENA_ARRAY(l->arena, struct param, max);
    if (max > 0 && !v) {
        return false;
    }
    uint32_t n = collect_params(job, l, v, &s->scratch);
    if (n > 0) {
        qsort(v, n, sizeof *v, by_param);
    }
    buf_init(&out, s->mem, 1 << 16);
    struct str path = lset_get(l, STR("__metrics_path__"));
    buf_str_add(&out, lset_get(l, STR("__scheme__")));
    BUF_LIT(&out, "://");
    buf_str_add(&out, lset_get(l, STR("__address__")));
    if (path.n > 0 && path.p[0] != '/') {
        buf_char(&out, '/');
    }
    escape(&out, path, "/-_.~$&+,:;=@!*'()", false);
    for (uint32_t i = 0; i < n; i++) {
        buf_char(&out, i ? '&' : '?');
        escape(&out, v[i].name, "-_.~", true);
        buf_char(&out, '=');
        escape(&out, v[i].value, "-_.~", true);
    }
    t->url = out.failed ? NULL : arena_cstr(&t->arena, buf_str(&out));
    buf_release(&out);
    return t->url != NULL;
}

/* --- life --------------------------------------------------------------------------------- */

void target_free(struct scrape *s, struct target *t)
{
    if (!t) {
        return;
    }
    http_fetch_free(t->fetch);
    cache_release(&t->cache);
    metas_release(s, &t->metas);
    arena_release(&t->arena);
    mem_give(s->mem, t, sizeof *t);
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a target");
}

static bool relabelled(struct scrape *s, const struct scrape_job *job, struct lset *l,
                       struct target *t, struct err *e)
{
    struct str address = lset_get(l, STR("__address__"));
    if (address.n == 0) {
        return err_set(e, ERR_INPUT, "a target has no address");
    }
    if (memchr(address.p, '/', address.n)) {
        return err_set(e, ERR_INPUT, "expected a target like host:port, found \"%.*s\"",
                       STR_FMT(str_sub(address, 0, 80)));
    }
    if (!times_of(l, t, e)) {
        return false;
    }
    for (uint32_t i = 0; i < l->n;) {
        if (str_starts(l->v[i].name, STR("__meta_"))) {
            lset_del(l, l->v[i].name);
        } else {
            i++;
        }
    }
    set_default(l, STR("instance"), address);
    for (uint32_t i = 0; i < l->n; i++) {
        if (!str_is_utf8(l->v[i].value) || !label_name_is_valid(l->v[i].name, false)) {
            return err_set(e, ERR_INPUT, "a label of a target is not valid UTF-8");
        }
    }
    if (l->failed || !keep_labels(t, l, false, &t->all) || !keep_labels(t, l, true, &t->labels) ||
        !make_url(s, job, l, t)) {
        return no_memory(e);
    }
    t->hash = labels_hash(t->all) ^ hash64(str_from_c(t->url));
    return true;
}

bool target_new(struct scrape *s, const struct scrape_job *job, const struct scrape_group *g,
                struct str address, struct str file, struct target **out, bool *keep, struct err *e)
{
    struct arena scratch;
    struct lset l;
    struct target *t = mem_take(s->mem, sizeof *t);
    *out = NULL;
    *keep = false;
    if (!t) {
        return no_memory(e);
    }
    arena_init(&t->arena, s->mem, TARGET_BYTES_MAX);
    arena_init(&scratch, s->mem, TARGET_BYTES_MAX);
    cache_init(&t->cache, s->mem);
    t->heap_at = SIZE_MAX;
    lset_init(&l, &scratch);
    scrape_discovered(job, g, address, file, &l, &s->scratch);
    bool ok = keep_labels(t, &l, false, &t->discovered) || no_memory(e);
    *keep = ok && relabel_apply(&job->relabel, &l, &s->scratch);
    ok = ok && (!*keep || relabelled(s, job, &l, t, e));
    arena_release(&scratch);
    if (!ok) {
        target_free(s, t);
        return false;
    }
    *out = t;
    return true;
}

bool target_same(const struct target *a, const struct target *b)
{
    return a->hash == b->hash && labels_eq(a->all, b->all) && strcmp(a->url, b->url) == 0;
}

/* --- request ------------------------------------------------------------------------------ */

static void accept_header(const struct scrape_job *job, struct buf *out)
{
    int weight = SCRAPE_PROTOCOLS + 1;
    BUF_LIT(out, "Accept: ");
    for (uint32_t i = 0; i < job->protocols_n; i++) {
        enum scrape_protocol p = (enum scrape_protocol)job->protocols[i];
        buf_str_add(out, scrape_protocol_media(p));
        if (p == PROTO_TEXT_1_0_0 || p == PROTO_OPENMETRICS_1_0_0) {
            BUF_LIT(out, ";escaping=");
            buf_str_add(out, job->escaping);
        }
        buf_fmt(out, ";q=0.%d,", weight--);
    }
    buf_fmt(out, "*/*;q=0.%d", weight);
}

#define HEADERS_MAX 64

struct headers {
    const char *v[HEADERS_MAX + 1];
    uint32_t n;
    struct arena *a;
    bool failed;
};

static void header(struct headers *h, struct buf *line)
{
    char *c = h->n < HEADERS_MAX && !line->failed ? arena_cstr(h->a, buf_str(line)) : NULL;
    h->failed = h->failed || !c;
    if (c) {
        h->v[h->n++] = c;
    }
    buf_reset(line);
}

/* First line of a file, trimmed, in the arena. */
static bool read_secret(struct scrape *s, struct str path, struct arena *a, struct str *out,
                        struct err *e)
{
    struct buf text;
    char *name = arena_cstr(a, path);
    buf_init(&text, s->mem, SECRET_BYTES_MAX);
    bool ok = name && file_read(s->o.os, name, &text, e);
    if (ok) {
        struct str t = str_trim(buf_str(&text));
        *out = t.n ? arena_str(a, t) : str_of("", 0);
        ok = out->p && !memchr(t.n ? t.p : "", '\n', t.n);
        ok = ok || err_set(e, ERR_INPUT, "expected one line in '%s'", name);
    }
    buf_release(&text);
    return ok;
}

static bool authorization(struct scrape *s, const struct http_conf *http, struct headers *h,
                          struct buf *line, struct err *e)
{
    struct str secret = http->credentials;
    if (!http->authorization) {
        return true;
    }
    if (http->credentials_file.n && !read_secret(s, http->credentials_file, h->a, &secret, e)) {
        return false;
    }
    BUF_LIT(line, "Authorization: ");
    buf_str_add(line, http->auth_type);
    BUF_LIT(line, " ");
    buf_str_add(line, secret);
    header(h, line);
    return true;
}

static bool make_headers(struct scrape *s, const struct target *t, struct headers *h, struct err *e)
{
    const struct scrape_job *job = t->pool->job;
    struct buf line;
    buf_init(&line, s->mem, 1 << 17);
    accept_header(job, &line);
    header(h, &line);
    buf_fmt(&line, "User-Agent: %s", s->o.user_agent);
    header(h, &line);
    BUF_LIT(&line, "X-Prometheus-Scrape-Timeout-Seconds: ");
    buf_f64(&line, (double)t->timeout_ms / 1000);
    header(h, &line);
    if (!job->gzip) {
        BUF_LIT(&line, "Accept-Encoding: identity");
        header(h, &line);
    }
    for (uint32_t i = 0; i < job->http.headers_n; i++) {
        const struct http_conf_header *x = &job->http.headers[i];
        for (uint32_t k = 0; k < x->values.count; k++) {
            buf_str_add(&line, x->name);
            BUF_LIT(&line, ": ");
            buf_str_add(&line, x->values.v[k]);
            header(h, &line);
        }
    }
    bool ok = authorization(s, &job->http, h, &line, e);
    buf_release(&line);
    return ok && (!h->failed || err_set(e, ERR_LIMIT, "too many or too long headers"));
}

static const char *text_or_null(struct str s, struct arena *a)
{
    return s.n ? arena_cstr(a, s) : NULL;
}

bool target_fetch(struct scrape *s, struct target *t,
                  void (*done)(void *ctx, const struct http_got *got), struct err *e)
{
    const struct scrape_job *job = t->pool->job;
    const struct http_conf *http = &job->http;
    struct arena a;
    struct str password = http->password;
    arena_init(&a, s->mem, 1 << 20);
    struct headers h = {.a = &a};
    bool ok = make_headers(s, t, &h, e) &&
              (!http->password_file.n || read_secret(s, http->password_file, &a, &password, e));
    if (ok) {
        struct http_fetch_options o = {
            .url = t->url,
            .headers = h.v,
            .timeout_ms = t->timeout_ms,
            .body_bytes_max =
                job->body_bytes_max ? (size_t)job->body_bytes_max : SCRAPE_BODY_BYTES_MAX,
            .gzip = job->gzip,
            .follow_redirects = http->follow_redirects,
            .username = http->basic_auth ? arena_cstr(&a, http->username) : NULL,
            .password = http->basic_auth ? arena_cstr(&a, password) : NULL,
            .proxy = text_or_null(http->proxy_url, &a),
            .no_proxy = text_or_null(http->no_proxy, &a),
            .proxy_from_environment = http->proxy_from_environment,
            .ca_file = text_or_null(http->tls.ca_file, &a),
            .cert_file = text_or_null(http->tls.cert_file, &a),
            .key_file = text_or_null(http->tls.key_file, &a),
            .server_name = text_or_null(http->tls.server_name, &a),
            .insecure_skip_verify = http->tls.insecure_skip_verify,
            .tls_min = http->tls.tls_min,
            .tls_max = http->tls.tls_max,
        };
        http_fetch_free(t->fetch);
        t->fetch = NULL;
        t->fetch_old = false;
        ok = http_fetch_new(s->multi, &o, done, t, &t->fetch, e);
    }
    arena_release(&a);
    return ok;
}

bool target_refresh_secrets(struct scrape *s, struct target *t, struct err *e)
{
    const struct http_conf *http = &t->pool->job->http;
    struct arena a;
    struct str password = http->password;
    if (!http->password_file.n && !http->credentials_file.n) {
        return true;
    }
    arena_init(&a, s->mem, 1 << 20);
    struct headers h = {.a = &a};
    bool ok = make_headers(s, t, &h, e) &&
              (!http->password_file.n || read_secret(s, http->password_file, &a, &password, e));
    const char *text = ok && http->password_file.n ? arena_cstr(&a, password) : NULL;
    ok = ok && http_fetch_set(t->fetch, h.v, text, e);
    arena_release(&a);
    return ok;
}
