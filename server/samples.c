/* See samples_int.h. A series is found by a key of bytes - family, suffix, labels - so that a tick
 * of thousands of series builds no label sets:
 *
 *     name 0 suffix 0 { label name 0 value 0 }... [ le ]
 *
 * Sizes: a histogram of k edges is k + 3 series (buckets with +Inf, _sum, _count). */
#include "server/samples_int.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>

#define BATCH_BYTES_MAX ((size_t)64 << 20)
#define ARENA_BYTES_MAX ((size_t)1 << 20)
#define NAMES_BYTES_MAX ((size_t)64 << 20)
#define KEY_BYTES_MAX   ((size_t)1 << 16)
#define SERIES_MAX      1000000

bool server_samples_init(struct server_samples *s, struct tsdb *db, struct str instance,
                         struct err *e)
{
    memset(s, 0, sizeof *s);
    mem_init(&s->mem, BATCH_BYTES_MAX * 2 + NAMES_BYTES_MAX);
    arena_init(&s->arena, &s->mem, ARENA_BYTES_MAX);
    buf_init(&s->key, &s->mem, KEY_BYTES_MAX);
    s->db = db;
    s->second = INT64_MIN;
    const size_t n = size_min(instance.n, sizeof s->instance - 1);
    memcpy(s->instance, instance.p, n);
    s->instance[n] = 0;
    s->source = tsdb_source(db, STR("farol"), TSDB_SERIES_OWN);
    s->batch = tsdb_batch_new(&s->mem, BATCH_BYTES_MAX);
    if (!s->batch) {
        return err_set(e, ERR_NOMEM, "no memory for the series of the pillars");
    }
    return tsdb_names_new(db, NAMES_BYTES_MAX, &s->names, e);
}

void server_samples_release(struct server_samples *s)
{
    if (!s->db) {
        return;
    }
    tsdb_names_free(s->names);
    tsdb_batch_free(s->batch);
    buf_release(&s->key);
    arena_release(&s->arena);
    mem_give(&s->mem, s->seen, s->seen_cap * sizeof *s->seen);
    mem_give(&s->mem, s->before, s->before_cap * sizeof *s->before);
    s->db = NULL;
}

/* One series to be: the family's name with a suffix, a sample's labels, and maybe le. */
struct wanted {
    const struct expo_family *family;
    const struct expo_sample *sample;
    struct str suffix;
    struct str le; /* empty: none */
};

static void put_part(struct buf *b, struct str s)
{
    buf_str_add(b, s);
    buf_char(b, 0);
}

static void write_key(struct buf *b, const struct wanted *w)
{
    buf_reset(b);
    put_part(b, w->family->name);
    put_part(b, w->suffix);
    for (uint32_t i = 0; i < w->sample->labels_count; i++) {
        put_part(b, w->sample->labels[i].name);
        put_part(b, w->sample->labels[i].value);
    }
    buf_str_add(b, w->le);
}

static bool intern_series(struct server_samples *s, const struct wanted *w, uint32_t *ref,
                          struct err *e)
{
    struct label l[LABELS_COUNT_MAX];
    struct buf name;
    uint32_t n = 0;
    if (w->sample->labels_count + 4 > LABELS_COUNT_MAX) {
        return err_set(e, ERR_LIMIT, "series of more than %d labels", LABELS_COUNT_MAX);
    }
    arena_reset(&s->arena);
    buf_init(&name, &s->mem, KEY_BYTES_MAX);
    buf_str_add(&name, w->family->name);
    buf_str_add(&name, w->suffix);
    l[n++] = (struct label){STR(LABEL_NAME), buf_str(&name)};
    l[n++] = (struct label){STR("job"), STR("farol")};
    l[n++] = (struct label){STR("instance"), str_from_c(s->instance)};
    if (w->le.n > 0) {
        l[n++] = (struct label){STR("le"), w->le};
    }
    for (uint32_t i = 0; i < w->sample->labels_count; i++) {
        l[n++] = w->sample->labels[i];
    }
    const bool ok = buf_ok(&name, e) && labels_normalize(l, &n, e) &&
                    tsdb_series(s->db, s->source, (struct labels){l, n}, ref, e);
    buf_release(&name);
    return ok;
}

static bool put(struct server_samples *s, const struct wanted *w, int64_t t_ms, double v,
                struct err *e)
{
    write_key(&s->key, w);
    if (!buf_ok(&s->key, e)) {
        return false;
    }
    const uint64_t hash = hash64(buf_str(&s->key));
    uint32_t ref = tsdb_names_find(s->names, hash, buf_str(&s->key));
    if (ref == 0) {
        if (!intern_series(s, w, &ref, e)) {
            return false;
        }
        tsdb_names_put(s->names, hash, buf_str(&s->key), ref);
    }
    if (s->seen_n == s->seen_cap) {
        void *p = s->seen;
        if (!mem_array_grow(&s->mem, &p, &s->seen_cap, s->seen_n + 1U, SERIES_MAX,
                            sizeof *s->seen)) {
            return err_set(e, ERR_LIMIT, "more than %u series in one second", s->seen_n);
        }
        s->seen = p;
    }
    s->seen[s->seen_n++] = ref;
    return tsdb_batch_add(s->batch, ref, t_ms, v, e);
}

/* Prometheus writes bounds with at least one decimal: "1.0", "0.5", "1e+10". */
static void write_le(struct buf *b, double edge)
{
    const size_t from = b->n;
    buf_f64(b, edge);
    if (!b->failed && memchr(b->p + from, '.', b->n - from) == NULL &&
        memchr(b->p + from, 'e', b->n - from) == NULL) {
        BUF_LIT(b, ".0");
    }
}

static bool put_histogram(struct server_samples *s, struct wanted *w, int64_t t_ms, struct err *e)
{
    char text[64];
    struct mem m;
    uint64_t below = 0;
    w->suffix = STR("_bucket");
    for (uint32_t i = 0; i <= w->family->edges_count; i++) {
        below += w->sample->buckets[i];
        w->le = STR("+Inf");
        if (i < w->family->edges_count) {
            struct buf b;
            mem_init(&m, 4096);
            buf_init(&b, &m, 4096);
            write_le(&b, w->family->edges[i]);
            const size_t n = size_min(b.n, sizeof text);
            memcpy(text, b.p, n);
            buf_release(&b);
            w->le = str_of(text, n);
        }
        if (!put(s, w, t_ms, (double)below, e)) {
            return false;
        }
    }
    w->le = STR("");
    w->suffix = STR("_count");
    if (!put(s, w, t_ms, (double)below, e)) {
        return false;
    }
    w->suffix = STR("_sum");
    return put(s, w, t_ms, w->sample->sum, e);
}

static bool put_family(struct server_samples *s, const struct expo_family *f, int64_t t_ms,
                       struct err *e)
{
    for (const struct expo_sample *x = f->first; x; x = x->next) {
        struct wanted w = {.family = f, .sample = x, .suffix = STR(""), .le = STR("")};
        bool ok;
        if (f->type == EXPO_HISTOGRAM) {
            ok = put_histogram(s, &w, t_ms, e);
        } else {
            w.suffix = f->type == EXPO_COUNTER ? STR("_total")
                       : f->type == EXPO_INFO  ? STR("_info")
                                               : STR("");
            ok = put(s, &w, t_ms, x->value, e);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static int by_ref(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* What the second before had and this one has not. */
static bool put_stale(struct server_samples *s, int64_t t_ms, struct err *e)
{
    qsort(s->seen, s->seen_n, sizeof *s->seen, by_ref);
    uint32_t at = 0;
    for (uint32_t i = 0; i < s->before_n; i++) {
        while (at < s->seen_n && s->seen[at] < s->before[i]) {
            at++;
        }
        if ((at == s->seen_n || s->seen[at] != s->before[i]) &&
            !tsdb_batch_add(s->batch, s->before[i], t_ms, stale_nan(), e)) {
            return false;
        }
    }
    return true;
}

static void remember_seen(struct server_samples *s)
{
    uint32_t *v = s->before;
    const size_t cap = s->before_cap;
    s->before = s->seen;
    s->before_cap = s->seen_cap;
    s->before_n = s->seen_n;
    s->seen = v;
    s->seen_cap = cap;
}

void server_samples_write(struct server_samples *s, const struct expo *x)
{
    const int64_t second = x->t_ms / MS_PER_S;
    if (second <= s->second) {
        return;
    }
    const int64_t t_ms = second * MS_PER_S;
    struct err e = {0};
    struct tsdb_result r = {0};
    s->second = second;
    s->seen_n = 0;
    tsdb_batch_reset(s->batch);
    for (const struct expo_family *f = x->first; f; f = f->next) {
        if (!put_family(s, f, t_ms, &e)) {
            s->dropped++;
        }
    }
    if (!put_stale(s, t_ms, &e) || !tsdb_commit_wait(s->db, s->batch, TSDB_SYNC_SOON, &r, &e)) {
        s->dropped += tsdb_batch_count(s->batch);
        return;
    }
    s->samples += r.samples;
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        s->dropped += r.refused[i];
    }
    remember_seen(s);
}
