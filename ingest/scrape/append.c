/* One page of one target into a batch for the store.
 *
 *   parser -- raw known? --> ref -- batch
 *                  \ no --> labels, target labels, metric_relabel_configs, limits --> tsdb_series
 *
 * A page counts whole or not at all: at the first error the caller throws the batch away and marks
 * what the target had before as stale. Series that the rules drop are remembered too, so that they
 * cost as little as those that are kept. */
#include "ingest/scrape/loop_int.h"

const struct str scrape_report_names[REPORTS] = {STR_INIT("up"),
                                                 STR_INIT("scrape_duration_seconds"),
                                                 STR_INIT("scrape_samples_scraped"),
                                                 STR_INIT("scrape_samples_post_metric_relabeling"),
                                                 STR_INIT("scrape_series_added"),
                                                 STR_INIT("scrape_timeout_seconds"),
                                                 STR_INIT("scrape_sample_limit"),
                                                 STR_INIT("scrape_body_size_bytes")};

struct append {
    struct scrape *s;
    struct target *t;
    const struct scrape_job *job;
    struct tsdb_batch *batch;
    struct expo_parse p;
    struct page page;
};

/* --- labels of a series that is new ------------------------------------------------------- */

/* The target's labels onto the series'. A label that both have stays the series' (honor_labels), or
 * the series' one is renamed exported_..., as often as that takes. */
static void add_target_labels(const struct target *t, bool honor, struct lset *l, struct buf *b)
{
    struct lset conflicts;
    lset_init(&conflicts, l->arena);
    for (uint32_t i = 0; i < t->labels.n; i++) {
        struct label x = t->labels.v[i];
        struct str own = lset_get(l, x.name);
        if (own.n == 0) {
            lset_set(l, x.name, x.value);
        } else if (!honor) {
            lset_set(&conflicts, x.name, own);
            lset_set(l, x.name, x.value);
        }
    }
    /* Shortest first: exported_a is then known when exported_a itself is renamed. */
    while (conflicts.n > 0) {
        uint32_t least = 0;
        for (uint32_t i = 1; i < conflicts.n; i++) {
            least = conflicts.v[i].name.n < conflicts.v[least].name.n ? i : least;
        }
        struct label x = conflicts.v[least];
        lset_del(&conflicts, x.name);
        struct str name = x.name;
        do {
            buf_reset(b);
            BUF_LIT(b, "exported_");
            buf_str_add(b, name);
            name = b->failed ? str_of(NULL, 0) : arena_str(l->arena, buf_str(b));
        } while (name.p && lset_get(l, name).n > 0);
        l->failed = l->failed || !name.p;
        if (name.p) {
            lset_set(l, name, x.value);
        }
    }
    l->failed = l->failed || conflicts.failed;
}

static bool check_limits(const struct append *a, struct labels l, struct err *e)
{
    const struct scrape_job *j = a->job;
    struct str name = str_sub(labels_get(l, STR(LABEL_NAME)), 0, 50);
    if (j->label_limit > 0 && l.n > j->label_limit) {
        return err_set(e, ERR_LIMIT,
                       "label_limit exceeded (metric: %.*s, number of labels: %u, limit: %lld)",
                       STR_FMT(name), l.n, (long long)j->label_limit);
    }
    for (uint32_t i = 0; i < l.n; i++) {
        struct label x = l.v[i];
        struct str shown = str_sub(x.name, 0, 50);
        if (j->label_name_max > 0 && x.name.n > (size_t)j->label_name_max) {
            return err_set(e, ERR_LIMIT,
                           "label_name_length_limit exceeded (metric: %.*s, label name: %.*s, "
                           "length: %zu, limit: %lld)",
                           STR_FMT(name), STR_FMT(shown), x.name.n, (long long)j->label_name_max);
        }
        if (j->label_value_max > 0 && x.value.n > (size_t)j->label_value_max) {
            return err_set(e, ERR_LIMIT,
                           "label_value_length_limit exceeded (metric: %.*s, label name: %.*s, "
                           "length: %zu, limit: %lld)",
                           STR_FMT(name), STR_FMT(shown), x.value.n, (long long)j->label_value_max);
        }
    }
    return true;
}

static bool check_names(const struct append *a, struct labels l, struct err *e)
{
    struct str name = labels_get(l, STR(LABEL_NAME));
    bool legacy = a->job->legacy_names > 0;
    if (name.n == 0) {
        return err_set(e, ERR_INPUT, "a series has no metric name");
    }
    bool ok = legacy ? label_is_legacy_metric(name) : str_is_utf8(name);
    for (uint32_t i = 0; ok && i < l.n; i++) {
        ok = label_name_is_valid(l.v[i].name, legacy);
    }
    struct str shown = str_sub(name, 0, 60);
    return ok || err_set(e, ERR_INPUT, "invalid metric name or label names: %.*s", STR_FMT(shown));
}

/* Labels of the current entry to a series of the store. *ref 0: dropped by the rules, or (refused)
 * the store takes no more series. */
static bool resolve(struct append *a, uint32_t *ref, bool *refused, struct err *e)
{
    struct scrape *s = a->s;
    struct label *v = NULL;
    uint32_t n = 0;
    struct lset l;
    *ref = 0;
    *refused = false;
    arena_reset(&s->series);
    lset_init(&l, &s->series);
    if (!expo_parse_labels(&a->p, &s->series, &v, &n, e) || !labels_normalize(v, &n, e)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        lset_set(&l, v[i].name, v[i].value);
    }
    add_target_labels(a->t, a->job->honor_labels, &l, &s->scratch);
    bool keep = relabel_apply(&a->job->metric_relabel, &l, &s->scratch) && l.n > 0;
    if (l.failed) {
        return err_set(e, ERR_LIMIT, "labels of a series need more memory than they may have");
    }
    if (!keep) {
        return true;
    }
    n = l.n;
    if (!labels_normalize(l.v, &n, e)) {
        return false;
    }
    struct labels labels = {l.v, n};
    if (!check_names(a, labels, e) || !check_limits(a, labels, e)) {
        return false;
    }
    struct err local = {.code = ERR_NONE};
    if (tsdb_series(s->o.db, a->t->pool->source, labels, ref, &local)) {
        return true;
    }
    *ref = 0;
    *refused = local.code == ERR_LIMIT;
    if (!*refused && e) {
        *e = local;
    }
    return *refused; /* counted by the store; the rest of the page is worth having */
}

/* --- samples ------------------------------------------------------------------------------ */

static size_t runes(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    }
    return n;
}

static bool add_exemplars(struct append *a, uint32_t ref, int64_t t_ms, struct err *e)
{
    bool hist = a->p.entry == EXPO_PARSE_HIST;
    bool found = true;
    if (a->p.form == EXPO_PARSE_OPENMETRICS && a->p.exemplar.n == 0) {
        return true;
    }
    arena_reset(&a->s->series);
    for (uint32_t i = 0; found; i++) {
        struct expo_exemplar x;
        struct err local = {.code = ERR_NONE};
        if (!expo_parse_exemplar(&a->p, i, &a->s->series, &found, &x, &local)) {
            a->s->stats.exemplars_dropped++; /* bad labels: the sample itself is good */
            return true;
        }
        size_t total = 0;
        for (uint32_t k = 0; found && k < x.labels_n; k++) {
            total += runes(x.labels[k].name) + runes(x.labels[k].value);
        }
        if (!found || (hist && !x.has_t)) {
            continue;
        }
        if (total > SCRAPE_EXEMPLAR_RUNES) {
            a->s->stats.exemplars_dropped++;
            continue;
        }
        if (!tsdb_batch_add_exemplar(a->batch, ref, (struct labels){x.labels, x.labels_n},
                                     x.has_t ? x.t_ms : t_ms, x.value, e)) {
            return false;
        }
    }
    return true;
}

/* Buckets that hold anything; custom ones are few, and all of them count. */
static uint64_t buckets_of(const struct nhist *h)
{
    const struct nhist_side *sides[] = {&h->pos, &h->neg};
    uint64_t n = h->schema == NHIST_SCHEMA_CUSTOM ? h->pos.counts_n : 0;
    for (size_t i = 0; h->schema != NHIST_SCHEMA_CUSTOM && i < ARRAY_LEN(sides); i++) {
        for (uint32_t k = 0; k < sides[i]->counts_n; k++) {
            n += sides[i]->counts[k] != 0;
        }
    }
    return n;
}

/* The current histogram as the job wants it: of a lower resolution when it is finer than the job's,
 * or has more buckets than it may. */
static bool fit_hist(struct append *a, const struct nhist **out, struct err *e)
{
    const struct scrape_job *j = a->job;
    const struct nhist *h = a->p.hist;
    const int64_t max = j->bucket_limit > 0 ? j->bucket_limit : INT64_MAX;
    uint64_t n = max < INT64_MAX ? buckets_of(h) : 0;
    if (h->schema > j->schema_max || (n > (uint64_t)max && h->schema > NHIST_SCHEMA_MIN)) {
        arena_reset(&a->s->series);
        struct nhist *own = nhist_copy(h, &a->s->series);
        if (!own) {
            return err_set(e, ERR_LIMIT, "a histogram needs more memory than it may have");
        }
        if (own->schema > j->schema_max && !nhist_reduce(own, j->schema_max, e)) {
            return false;
        }
        while ((n = buckets_of(own)) > (uint64_t)max && own->schema > NHIST_SCHEMA_MIN) {
            if (!nhist_reduce(own, own->schema - 1, e)) {
                return false;
            }
        }
        h = own;
    }
    *out = h;
    return n > (uint64_t)max
               ? err_set(e, ERR_LIMIT,
                         "native_histogram_bucket_limit exceeded (buckets: %llu, limit: %lld)",
                         (unsigned long long)n, (long long)max)
               : nhist_validate(h, e);
}

static bool add_value(struct append *a, uint32_t ref, int64_t t_ms, struct err *e)
{
    int64_t st_ms = a->s->o.start_timestamps ? expo_parse_start_ms(&a->p) : 0;
    const struct nhist *h = NULL;
    if (a->p.entry == EXPO_PARSE_HIST) {
        return fit_hist(a, &h, e) && tsdb_batch_add_nhist(a->batch, ref, t_ms, st_ms, h, e);
    }
    return st_ms ? tsdb_batch_add_st(a->batch, ref, t_ms, st_ms, a->p.value, e)
                 : tsdb_batch_add(a->batch, ref, t_ms, a->p.value, e);
}

/* The cache's entry of the current sample, made when it is new. UINT32_MAX: there is none; then
 * *ref is all that is known. */
static bool entry_of(struct append *a, uint32_t *entry, uint32_t *ref, bool *fresh, bool *skip,
                     struct err *e)
{
    struct cache *c = &a->t->cache;
    bool refused = false;
    *fresh = *skip = false;
    *entry = a->p.expected ? cache_take_expected(c) : cache_find(c, a->p.raw);
    if (*entry != UINT32_MAX) {
        *ref = c->v[*entry].ref;
        return true;
    }
    if (!resolve(a, ref, &refused, e)) {
        return false;
    }
    if (refused) {
        a->page.post++;
        *skip = true;
        return true;
    }
    size_t before = cache_bytes(c);
    if (a->s->stats.cache_bytes <= a->s->o.cache_bytes_max) {
        *entry = cache_add(c, a->p.raw, *ref);
    }
    a->s->stats.cache_bytes += cache_bytes(c) - before;
    a->s->stats.cache_full += *entry == UINT32_MAX;
    *fresh = *ref != 0;
    return true;
}

static bool within_limit(const struct append *a, struct err *e)
{
    return a->job->sample_limit <= 0 || a->page.post <= (uint64_t)a->job->sample_limit ||
           err_set(e, ERR_LIMIT, "sample limit exceeded (limit: %lld)",
                   (long long)a->job->sample_limit);
}

/* Takes the lines that name what they named last time: most of almost every page. */
static bool add_known(struct append *a, struct err *e)
{
    struct cache *c = &a->t->cache;
    const int64_t t_ms = a->t->t_ms;
    const struct cache_entry *x;
    while ((x = cache_next(c)) != NULL && expo_parse_known(&a->p, cache_next_raw(c, x))) {
        cache_pass(c);
        a->page.samples++;
        if (x->ref == 0) {
            continue;
        }
        a->page.post++;
        if (!within_limit(a, e) || !tsdb_batch_add(a->batch, x->ref, t_ms, a->p.value, e)) {
            return false;
        }
    }
    return true;
}

static bool add_sample(struct append *a, struct err *e)
{
    struct cache *c = &a->t->cache;
    uint32_t entry = UINT32_MAX;
    uint32_t ref = 0;
    bool fresh = false;
    bool skip = false;
    bool own_time = a->p.has_t && a->job->honor_timestamps;
    int64_t t_ms = own_time ? a->p.t_ms : a->t->t_ms;
    a->page.samples++;
    if (!entry_of(a, &entry, &ref, &fresh, &skip, e)) {
        return false;
    }
    if (skip) {
        return true;
    }
    bool again = entry != UINT32_MAX && c->v[entry].seen == c->scrape;
    if (!again && entry != UINT32_MAX &&
        !cache_note(c, entry, ref && (!own_time || a->job->track_timestamps_staleness))) {
        return err_set(e, ERR_NOMEM, "no memory for the series of a target");
    }
    if (ref == 0) {
        return true;
    }
    a->page.post++;
    if (!within_limit(a, e)) {
        return false;
    }
    if (again && !own_time) {
        a->s->stats.duplicates++;
        return true;
    }
    a->page.added += fresh;
    return add_value(a, ref, t_ms, e) &&
           (a->p.form == EXPO_PARSE_TEXT || add_exemplars(a, ref, t_ms, e));
}

bool page_append(struct scrape *s, struct target *t, enum expo_parse_form form, struct str body,
                 struct tsdb_batch *b, struct page *out, struct err *e)
{
    struct append a = {.s = s, .t = t, .job = t->pool->job, .batch = b};
    bool ok = true;
    expo_parse_init(&a.p, form, body, s->mem);
    a.p.keep_classic = a.job->always_classic > 0;
    a.p.ignore_native = a.job->native <= 0;
    a.p.skip_created = s->o.start_timestamps;
    a.p.to_nhcb = a.job->nhcb > 0;
    /* Start timestamps stand in other lines; protobuf has no lines. */
    bool lines =
        form == EXPO_PARSE_TEXT || (form == EXPO_PARSE_OPENMETRICS && !s->o.start_timestamps);
    do {
        ok = !lines || add_known(&a, e);
        a.p.expect = cache_expect(&t->cache);
        ok = ok && expo_parse_next(&a.p, e);
        if (ok && (a.p.entry == EXPO_PARSE_SAMPLE || a.p.entry == EXPO_PARSE_HIST)) {
            ok = add_sample(&a, e);
        } else if (ok && a.p.entry != EXPO_PARSE_END) {
            meta_set(s, t, &a.p);
        }
    } while (ok && a.p.entry != EXPO_PARSE_END);
    s->stats.nhcb_refused += a.p.nhcb_refused;
    expo_parse_release(&a.p);
    *out = a.page;
    return ok;
}

/* --- staleness and reports ---------------------------------------------------------------- */

bool page_stale(struct scrape *s, struct target *t, struct tsdb_batch *b, struct err *e)
{
    size_t n = s->stale.n / sizeof(uint32_t);
    for (size_t i = 0; i < n; i++) {
        uint32_t ref = get_u32le(s->stale.p + i * sizeof(uint32_t));
        if (!tsdb_batch_add(b, ref, t->t_ms, stale_nan(), e)) {
            return false;
        }
    }
    s->stats.stale_markers += n;
    return true;
}

static bool report_ref(struct scrape *s, struct target *t, unsigned report, struct err *e)
{
    struct lset l;
    arena_reset(&s->series);
    lset_init(&l, &s->series);
    for (uint32_t i = 0; i < t->labels.n; i++) {
        lset_set(&l, t->labels.v[i].name, t->labels.v[i].value);
    }
    lset_set(&l, STR(LABEL_NAME), scrape_report_names[report]);
    uint32_t n = l.n;
    if (l.failed) {
        return err_set(e, ERR_LIMIT, "labels of a target need more memory than they may have");
    }
    return labels_normalize(l.v, &n, e) &&
           tsdb_series(s->o.db, t->pool->source, (struct labels){l.v, n}, &t->reports[report], e);
}

bool report_append(struct scrape *s, struct target *t, struct tsdb_batch *b, int64_t t_ms,
                   const double values[REPORTS], struct err *e)
{
    unsigned count = t->pool->job->extra_metrics > 0 ? REPORTS : REPORT_TIMEOUT;
    for (unsigned i = 0; i < count; i++) {
        if (!t->reports[i] && !report_ref(s, t, i, e)) {
            return false;
        }
        if (!tsdb_batch_add(b, t->reports[i], t_ms, values[i], e)) {
            return false;
        }
    }
    return true;
}
