/* Reads what save.c wrote (it draws the form) into any number of shards. The bytes come from a
 * disk: every count is bounded by what is left to read, every number is checked against its
 * range, and after a failure the shards are empty again. Sums go to shard 0; what has an id goes
 * to its shard.
 *
 * Segment dimensions may have been configured otherwise then: they are matched by name, and
 * cohorts and values of dimensions that are gone are dropped. */
#include "model/model_int.h"
#include "model/saved_int.h"

#include "base/file.h"

#include <math.h>

#define KINDS     (RECORD_DIMS_MAX + 1)
#define NAMES_MAX (UINT16_MAX - MODEL_NAME_FIRST)
#define U64_SANE  ((uint64_t)1 << 56) /* counts of a lifetime */
#define I128_SANE ((i128)1 << 100)

struct loader {
    struct rd r;
    struct model *m;
    void *const *states;
    uint32_t n;
    uint32_t version;
    uint32_t dims_count;      /* as saved */
    uint8_t kinds[KINDS];     /* saved kind to kind now; UINT8_MAX = gone */
    struct str *names[KINDS]; /* owns the arrays; text borrows the bytes */
    uint32_t names_count[KINDS];
    bool sane;   /* false: a value out of range */
    bool memory; /* false: there was not enough */
};

static bool fine(const struct loader *l)
{
    return l->sane && l->memory && !l->r.failed;
}

static struct model_shard *shard_of_id(const struct loader *l, struct hash128 id)
{
    return model_shard_of(l->states, (uint32_t)id.lo % l->n);
}

static uint32_t get_count(struct loader *l, size_t bytes_each)
{
    uint32_t n = rd_u32le(&l->r);
    if ((uint64_t)n * bytes_each > rd_left(&l->r)) {
        l->sane = false;
        return 0;
    }
    return n;
}

static uint64_t get_sane(struct loader *l)
{
    uint64_t v = rd_u64le(&l->r);
    l->sane = l->sane && v <= U64_SANE;
    return v;
}

static i128 get_i128(struct loader *l)
{
    uint64_t lo = rd_u64le(&l->r);
    uint64_t hi = rd_u64le(&l->r);
    i128 v = (i128)((u128)hi << 64 | lo);
    if (v > I128_SANE || v < -I128_SANE) {
        l->sane = false;
        return 0;
    }
    return v;
}

static struct hash128 get_id(struct loader *l)
{
    struct hash128 id = {0};
    id.hi = rd_u64le(&l->r);
    id.lo = rd_u64le(&l->r);
    return id;
}

static double get_score(struct loader *l)
{
    double s = rd_f64le(&l->r);
    if (isnan(s)) {
        return (double)NAN; /* none */
    }
    if (!(s >= 0 && s <= 1)) {
        l->sane = false;
        return 0;
    }
    return s;
}

static uint8_t get_below(struct loader *l, uint8_t end)
{
    uint8_t v = rd_u8(&l->r);
    if (v >= end) {
        l->sane = false;
        return 0;
    }
    return v;
}

/* A saved number of a name as the shard's; missing when its dimension is gone. */
static uint16_t get_name(struct loader *l, uint32_t kind, struct model_shard *s)
{
    uint16_t id = rd_u16le(&l->r);
    if (id < MODEL_NAME_FIRST) {
        return id;
    }
    if ((uint32_t)id - MODEL_NAME_FIRST >= l->names_count[kind]) {
        l->sane = false;
        return MODEL_NAME_NONE;
    }
    return l->kinds[kind] == UINT8_MAX
               ? MODEL_NAME_NONE
               : model_names_add(&s->names, l->kinds[kind], l->names[kind][id - MODEL_NAME_FIRST]);
}

/* Version and values of a row or label of shard s. */
static void get_dims(struct loader *l, struct model_shard *s, uint16_t dims[RECORD_DIMS_MAX])
{
    memset(dims, 0, RECORD_DIMS_MAX * sizeof *dims);
    for (uint32_t i = 0; i < RECORD_DIMS_MAX; i++) {
        uint16_t id = get_name(l, i + 1, s);
        if (l->kinds[i + 1] != UINT8_MAX) {
            dims[l->kinds[i + 1] - 1] = id;
        }
    }
}

static void load_names(struct loader *l)
{
    const struct conf_strs *now = &l->m->c->segments;
    memset(l->kinds, UINT8_MAX, sizeof l->kinds);
    l->kinds[0] = 0;
    l->dims_count = get_count(l, 4);
    l->sane = l->sane && l->dims_count <= RECORD_DIMS_MAX;
    for (uint32_t i = 0; i < l->dims_count && fine(l); i++) {
        struct str name = rd_str32(&l->r);
        for (uint32_t k = 0; k < now->count; k++) {
            if (str_eq(name, now->v[k])) {
                l->kinds[i + 1] = (uint8_t)(k + 1);
            }
        }
    }
    for (uint32_t kind = 0; kind < KINDS && fine(l); kind++) {
        uint32_t count = get_count(l, 4);
        l->sane = l->sane && count <= NAMES_MAX;
        if (!fine(l)) {
            return;
        }
        l->names[kind] = mem_take(l->m->mem, count * sizeof **l->names);
        l->memory = l->names[kind] != NULL;
        l->names_count[kind] = l->memory ? count : 0;
        for (uint32_t i = 0; i < count && fine(l); i++) {
            l->names[kind][i] = rd_str32(&l->r);
            l->sane = l->sane && l->names[kind][i].n > 0 && l->names[kind][i].n <= RECORD_STR_MAX;
        }
    }
}

/* c: NULL when its dimension is gone. had: scores that it has from other shards' parts. */
static void load_cell(struct loader *l, struct model_shard *s, struct model_cohort *c, uint32_t end,
                      size_t had)
{
    uint16_t at = rd_u16le(&l->r);
    struct model_cell x = {.n = rd_u32le(&l->r)};
    x.tag = rd_u32le(&l->r);
    x.sum = (int64_t)rd_u64le(&l->r);
    l->sane = l->sane && at < end && x.n > 0 && x.n <= INT32_MAX && x.tag != 0 && x.sum >= 0 &&
              (double)x.sum <= (double)x.n * MODEL_CELL_FIX;
    if (fine(l) && c != NULL) {
        l->memory = model_cohort_put_cell(&s->cohorts, c, had, at, &x);
    }
}

/* The list or the cells of one cohort. */
static void load_scores(struct loader *l, struct model_shard *s, struct model_cohort *c,
                        uint8_t dim, uint64_t scored)
{
    size_t had = c == NULL ? 0 : c->base.scored;
    uint32_t scores = get_count(l, 8);
    l->sane = l->sane && (scores == 0 || scores == scored) &&
              scores <= model_exact_max(model_coarse_of(dim));
    for (uint32_t i = 0; i < scores && fine(l); i++) {
        double score = get_score(l);
        l->sane = l->sane && !isnan(score);
        if (fine(l) && c != NULL) {
            l->memory = model_cohort_put_score(&s->cohorts, c, had + i, score);
        }
    }
    uint32_t cells = get_count(l, 18);
    l->sane = l->sane && (cells > 0) == (scores == 0 && scored > 0);
    for (uint32_t i = 0; i < cells && fine(l); i++) {
        load_cell(l, s, c, model_coarse_of(dim) == 0 ? MODEL_CELLS : MODEL_COARSE_CELLS, had);
    }
}

static void load_money(struct loader *l, struct model_shard *s, struct model_cohort *c, uint8_t dim)
{
    const uint32_t cells = l->version < 3 ? 0 : get_count(l, 18);
    l->sane = l->sane && (cells == 0 || dim == MODEL_ALL_DIM);
    for (uint32_t i = 0; i < cells && fine(l); i++) {
        const uint16_t at = rd_u16le(&l->r);
        const i128 centavos = get_i128(l);
        l->sane = l->sane && at < MODEL_MONEY_CELLS;
        if (fine(l) && c != NULL) {
            l->memory = model_cohort_put_money(&s->cohorts, c, at, centavos);
        }
    }
}

/* Where the values of a cohort's dimension are named. */
static uint32_t kind_of(uint8_t dim)
{
    return dim == MODEL_FLAGGED_DIM ? MODEL_ALL_DIM : dim;
}

static void load_cohort(struct loader *l)
{
    struct model_shard *s = model_shard_of(l->states, 0);
    struct model_base b = {0};
    int32_t day = (int32_t)rd_u32le(&l->r);
    l->sane = l->sane && model_day_sane(day);
    uint16_t version = get_name(l, 0, s);
    uint8_t dim = get_below(l, l->version < 3 ? KINDS : MODEL_FLAGGED_DIM + 1);
    uint16_t value = get_name(l, kind_of(dim), s);
    b.n = get_sane(l);
    b.amounts_missing = get_sane(l);
    b.scored = get_sane(l);
    l->sane = l->sane && b.scored <= b.n;
    for (uint32_t v = 0; v < VERDICTS; v++) {
        b.verdicts[v] = get_sane(l);
    }
    for (uint32_t v = 0; v < VERDICTS; v++) {
        b.amounts[v] = get_i128(l);
    }
    b.s = get_i128(l);
    b.s2 = get_i128(l);
    b.s4 = get_i128(l);
    b.nll = get_i128(l);
    b.nll2 = get_i128(l);
    struct model_cohort *c = NULL;
    if (fine(l) && l->kinds[kind_of(dim)] != UINT8_MAX) {
        /* The day must be listed for its cohorts to be found. */
        struct model_day *d = model_day_at(&s->labels, day);
        const bool segment = dim != MODEL_ALL_DIM && dim != MODEL_FLAGGED_DIM;
        c = d == NULL ? NULL
                      : model_cohort_at(&s->cohorts, day, version, segment ? l->kinds[dim] : dim,
                                        segment ? value : 0);
        l->memory = c != NULL;
        if (c != NULL) {
            d->changes += b.n;
        }
    }
    load_scores(l, s, c, dim, b.scored);
    load_money(l, s, c, dim);
    if (fine(l) && c != NULL) {
        model_base_merge(&c->base, &b);
        l->sane = c->base.n <= U64_SANE;
    }
}

static void load_label(struct loader *l)
{
    struct model_row row = {.id = get_id(l)};
    struct model_shard *s = shard_of_id(l, row.id);
    struct model_label x = {.id = row.id};
    x.t_ns = (int64_t)rd_u64le(&l->r);
    x.score = get_score(l);
    x.amount_centavos = (int64_t)rd_u64le(&l->r);
    x.event = rd_u64le(&l->r);
    x.supersedes = rd_u64le(&l->r);
    x.day = (int32_t)rd_u32le(&l->r);
    l->sane = l->sane && model_day_sane(x.day);
    x.version = get_name(l, 0, s);
    get_dims(l, s, x.dims);
    x.truth = get_below(l, TRUTHS);
    x.source = get_below(l, LABEL_SOURCES);
    x.verdict = get_below(l, VERDICTS);
    if (fine(l)) {
        enum model_label_result res = model_labels_add(&s->labels, &x);
        l->memory = res != MODEL_LABEL_FULL;
        l->sane = res == MODEL_LABEL_ADDED || res == MODEL_LABEL_FULL;
    }
}

static void load_waiting(struct loader *l)
{
    struct model_waiting w = {.id = get_id(l)};
    w.t_ns = (int64_t)rd_u64le(&l->r);
    w.event = rd_u64le(&l->r);
    w.supersedes = rd_u64le(&l->r);
    w.truth = get_below(l, TRUTHS);
    w.source = get_below(l, LABEL_SOURCES);
    if (fine(l)) {
        struct model_shard *s = shard_of_id(l, w.id);
        enum model_label_result res = model_labels_wait(&s->labels, &w);
        if (res == MODEL_LABEL_FULL) {
            s->label_drops[MODEL_DROP_WAITING_FULL]++; /* a smaller bound than when it was saved */
        }
        l->sane = res == MODEL_LABEL_WAITS || res == MODEL_LABEL_FULL;
    }
}

static void load_row(struct loader *l)
{
    int32_t hour = (int32_t)rd_u32le(&l->r);
    struct model_row row = {.id = get_id(l)};
    struct model_row scratch;
    struct model_shard *s = shard_of_id(l, row.id);
    row.t_ns = (int64_t)rd_u64le(&l->r);
    row.score = get_score(l);
    row.amount_centavos = (int64_t)rd_u64le(&l->r);
    get_dims(l, s, row.dims);
    row.version = get_name(l, 0, s);
    row.verdict = get_below(l, VERDICTS);
    if (!fine(l)) {
        return;
    }
    if (model_join_find(&s->join, &s->names, NULL, 0, row.id, INT32_MIN, &scratch) != NULL) {
        l->sane = false;
    } else if (!model_join_add(&s->join, &s->names, hour, &row)) {
        l->memory = false;
    }
}

static void load_run(struct loader *l, struct model_run *run)
{
    run->hour = (int32_t)rd_u32le(&l->r);
    run->shard = rd_u32le(&l->r);
    run->number = rd_u32le(&l->r);
    run->rows = rd_u32le(&l->r);
    l->sane = l->sane && run->number < UINT32_MAX;
    for (uint32_t k = 0; k < l->n; k++) {
        struct model_join *j = &model_shard_of(l->states, k)->join;
        if (j->shard == run->shard && j->run_next <= run->number && fine(l)) {
            j->run_next = run->number + 1;
        }
    }
}

static void load_runs(struct loader *l)
{
    uint32_t count = get_count(l, 16);
    for (uint32_t i = 0; i < count && fine(l); i++) {
        struct model_run run = {0};
        load_run(l, &run);
        l->memory = !fine(l) || model_runs_add(l->m, &run);
    }
    count = get_count(l, 20);
    for (uint32_t i = 0; i < count && fine(l); i++) {
        struct model_leaving x = {0};
        load_run(l, &x.run);
        x.saves = rd_u32le(&l->r);
        void *p = l->m->leaving;
        bool ok = mem_array_grow(l->m->mem, &p, &l->m->leaving_cap, (size_t)l->m->leaving_count + 1,
                                 MODEL_RUNS_MAX * 4, sizeof x);
        l->m->leaving = p;
        l->memory = ok;
        if (ok && fine(l)) {
            l->m->leaving[l->m->leaving_count++] = x;
        }
    }
}

static void load_version(struct loader *l)
{
    struct model_shard *s = model_shard_of(l->states, 0);
    struct model_version *v = model_version_at(s, get_name(l, 0, s));
    l->memory = v != NULL;
    uint32_t pairs = get_count(l, 10);
    for (uint32_t i = 0; i < pairs && fine(l); i++) {
        uint16_t at = rd_u16le(&l->r);
        uint64_t count = get_sane(l);
        l->sane = l->sane && at < VERDICTS * FALLBACKS * FORMS;
        if (fine(l)) {
            (&v->decisions[0][0][0])[at] += count;
        }
    }
    for (uint32_t i = 0; i <= MODEL_SCORE_EDGES && fine(l); i++) {
        v->scores[i] += get_sane(l);
    }
    i128 score_sum = get_i128(l);
    for (uint32_t i = 0; i <= MODEL_LATENCY_EDGES && fine(l); i++) {
        v->latencies[i] += get_sane(l);
    }
    i128 latency_ns = get_i128(l);
    double threshold = rd_f64le(&l->r);
    int64_t threshold_ns = (int64_t)rd_u64le(&l->r);
    if (fine(l)) {
        v->used = true;
        v->score_sum = (v->score_sum + score_sum) % I128_SANE;
        v->latency_ns = (v->latency_ns + latency_ns) % I128_SANE;
        if (!isnan(threshold) && threshold_ns >= v->threshold_ns) {
            v->threshold = threshold;
            v->threshold_ns = threshold_ns;
        }
    }
}

static void load_model(struct loader *l)
{
    struct model_shard *s = model_shard_of(l->states, 0);
    struct str name = rd_str32(&l->r);
    struct str sha = rd_str32(&l->r);
    struct model_sha x = {.version = get_name(l, 0, s)};
    l->sane = l->sane && name.n <= sizeof x.model && sha.n <= sizeof x.sha;
    if (!fine(l) || s->shas_count == MODEL_SHAS_MAX) {
        return;
    }
    memcpy(x.model, name.n ? name.p : "", name.n);
    memcpy(x.sha, sha.n ? sha.p : "", sha.n);
    x.model_n = (uint8_t)name.n;
    x.sha_n = (uint8_t)sha.n;
    s->shas[s->shas_count++] = x;
}

static void load_feature(struct loader *l)
{
    struct model_shard *s = model_shard_of(l->states, 0);
    struct str name = rd_str32(&l->r);
    uint64_t values = get_sane(l);
    uint64_t nulls = get_sane(l);
    uint64_t defaults = get_sane(l);
    uint32_t idx = 0;
    l->sane = l->sane && name.n <= RECORD_STR_MAX;
    if (!fine(l)) {
        return;
    }
    struct model_feature *f = model_feature_at(&s->features, l->m->c, name, &idx);
    l->memory = f != NULL;
    if (f != NULL) {
        f->values += values;
        f->nulls += nulls;
        f->defaults += defaults;
    }
}

static void get_array(struct loader *l, uint64_t *to, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] += get_sane(l);
    }
}

static void load_counters(struct loader *l)
{
    struct model_shard *s = model_shard_of(l->states, 0);
    get_array(l, &s->labels_in[0][0], TRUTHS * LABEL_SOURCES);
    get_array(l, &s->judged[0][0], 2 * TRUTHS);
    get_array(l, s->delays, MODEL_DELAY_EDGES + 1);
    s->delay_ns = get_i128(l);
    get_array(l, s->label_drops, MODEL_DROPS);
    get_array(l, s->refusals, MODEL_REFUSALS);
    for (uint32_t v = 0; v < VERDICTS; v++) {
        s->brl[v] = get_i128(l);
    }
    s->label_seen_ns = (int64_t)rd_u64le(&l->r);
    l->sane = l->sane && (s->label_seen_ns == T_NS_NONE || model_time_sane(s->label_seen_ns));
}

static void load_each(struct loader *l, size_t bytes_each, void (*one)(struct loader *))
{
    uint32_t count = get_count(l, bytes_each);
    for (uint32_t i = 0; i < count && fine(l); i++) {
        one(l);
    }
}

/* Files that the checkpoint names and the disk has not: their decisions cannot be joined any
 * more. */
static void count_lost(struct model *m)
{
    char file[MODEL_RUN_FILE_BYTES];
    char path[PATH_BYTES_MAX];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->runs_count; i++) {
        int fd = -1;
        model_run_file(&m->runs[i], file);
        bool there = path_join(path, sizeof path, m->dir, file, NULL) &&
                     m->os->open(m->os->ctx, path, OS_READ, &fd) == 0;
        if (there) {
            m->os->close(m->os->ctx, fd);
            m->runs[kept++] = m->runs[i];
        } else {
            m->runs_lost++;
            log_line(m->log, LOG_ERROR, "model",
                     "file '%s' is missing: labels of %u decisions cannot be joined", file,
                     m->runs[i].rows);
        }
    }
    m->runs_count = kept;
}

/* Filters of the newest files, as many as there is room for while the shards keep theirs. */
static void load_filters(struct model *m, void *const *states, uint32_t n)
{
    size_t left = (size_t)m->c->join_filter_bytes;
    for (uint32_t k = 0; k < n; k++) {
        size_t bytes = model_shard_of(states, k)->join.filters.bytes;
        left -= bytes < left ? bytes : left;
    }
    size_t half = (size_t)m->c->join_filter_bytes / 2;
    m->filters.bytes_max = left < half ? left : half;
    m->filters.refused = false;
    for (uint32_t i = m->runs_count; i-- > 0 && !m->filters.refused;) {
        struct err e = {0};
        if (!model_filters_load(&m->filters, m->os, m->dir, &m->runs[i], &e)) {
            log_err(m->log, LOG_WARN, "model", &e);
        }
    }
    model_filters_balance(m, states, n);
}

static void empty(struct model *m, void *const *states, uint32_t n)
{
    for (uint32_t i = 0; i < m->runs_count; i++) {
        model_filters_drop(&m->filters, &m->runs[i]);
    }
    for (uint32_t k = 0; k < n; k++) {
        model_shard_reset(model_shard_of(states, k));
    }
    model_baselines_release(m);
    model_drift_reset(m, states, n);
    m->runs_count = 0;
    m->leaving_count = 0;
    m->runs_lost = 0;
    m->watermark_ns = T_NS_NONE;
    m->day_first = INT32_MIN;
    m->sweep = true;
    memset(m->bands, 0, sizeof m->bands);
    m->watch.valid = false;
}

static void load_all(struct loader *l)
{
    load_names(l);
    l->m->watermark_ns = (int64_t)rd_u64le(&l->r);
    l->m->day_first = (int32_t)rd_u32le(&l->r);
    l->sane = l->sane && (l->m->watermark_ns == T_NS_NONE || model_time_sane(l->m->watermark_ns));
    if (!fine(l)) {
        return;
    }
    load_each(l, 237, load_cohort);
    load_each(l, 81, load_label);
    load_each(l, 42, load_waiting);
    if (fine(l)) {
        load_runs(l); /* before rows: a row may spill, and then its file needs a free number */
    }
    load_each(l, 63, load_row);
    load_each(l, 382, load_version);
    load_each(l, 10, load_model);
    load_each(l, 28, load_feature);
    if (fine(l)) {
        load_counters(l);
    }
    if (fine(l) && l->version >= MODEL_SAVED_VERSION_DRIFT) {
        struct err e = {0};
        bool ok = model_drift_load(l->m, l->states, l->n, &l->r, &e);
        l->memory = ok || e.code != ERR_NOMEM;
        l->sane = ok || e.code == ERR_NOMEM;
    }
}

bool model_load(void *app, void *const *states, uint32_t n, struct str bytes, struct err *e)
{
    struct loader l = {
        .r = rd_of(bytes), .m = app, .states = states, .n = n, .sane = true, .memory = true};
    ASSERT(n > 0);
    empty(l.m, states, n);
    struct str magic = rd_bytes(&l.r, sizeof MODEL_SAVED_MAGIC - 1);
    l.version = rd_u32le(&l.r);
    if (l.r.failed || !str_eq(magic, STR(MODEL_SAVED_MAGIC))) {
        return err_set(e, ERR_CORRUPT,
                       "expected saved state of the model pillar, found other bytes");
    }
    if (l.version < MODEL_SAVED_VERSION_MIN || l.version > MODEL_SAVED_VERSION) {
        return err_set(e, ERR_CORRUPT,
                       "state of the model pillar has version %u, expected %u to %u",
                       (unsigned)l.version, MODEL_SAVED_VERSION_MIN, MODEL_SAVED_VERSION);
    }
    load_all(&l);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        mem_give(l.m->mem, l.names[kind], l.names_count[kind] * sizeof **l.names);
    }
    if (fine(&l) && rd_left(&l.r) == 0) {
        model_runs_sort(l.m);
        count_lost(l.m);
        load_filters(l.m, states, n);
        return true;
    }
    size_t at = bytes.n - rd_left(&l.r);
    empty(l.m, states, n);
    if (!l.memory) {
        return err_set(e, ERR_NOMEM, "no memory for the saved state of the model pillar");
    }
    return err_set(e, ERR_CORRUPT, "saved state of the model pillar is damaged near byte %zu", at);
}
