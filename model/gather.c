/* Quality of any set of cohorts: base statistics of all shards merged, folded with what labels
 * said as of the question's time. Integers until the last step, so N shards give the bits of
 * one. */
#include "model/model_int.h"

#include <stdlib.h>

static bool dim_of(const struct model *m, struct str name, uint8_t *out)
{
    for (uint32_t i = 0; i < m->c->segments.count && i < RECORD_DIMS_MAX; i++) {
        if (str_eq(m->c->segments.v[i], name)) {
            *out = (uint8_t)(i + 1);
            return true;
        }
    }
    return false;
}

struct model_filter model_filter_of(const struct model *m, const struct model_shard *s,
                                    const struct model_query *q)
{
    struct model_filter f = {.version_to = (uint16_t)(model_names_count(&s->names, 0) - 1),
                             .as_of_ns = q->as_of_ns,
                             .age_ns = q->age_ns};
    if (q->version.n > 0) {
        f.none = !model_names_find(&s->names, 0, q->version, &f.version_from);
        f.version_to = f.version_from;
    }
    if (q->dim.n > 0) {
        f.none = f.none || !dim_of(m, q->dim, &f.dim) ||
                 !model_names_find(&s->names, f.dim, q->value, &f.value);
    }
    return f;
}

/* Into cells, unless the whole answer is exact. */
static void merge_cohort(struct model_quality_in *in, const struct model_cohort *c)
{
    model_base_merge(&in->base, &c->base);
    for (uint32_t i = 0; c->money != NULL && i < MODEL_MONEY_CELLS; i++) {
        in->money[i] += c->money[i];
    }
    if (!c->celled) {
        for (uint64_t i = 0; i < c->base.scored; i++) {
            model_quality_put_score(in, model_cohort_score(c, i));
        }
        return;
    }
    for (uint32_t i = 0; i < model_cohort_cells(c); i++) {
        const struct model_cell *cell = model_cohort_cell(c, i);
        if (cell != NULL) {
            model_cell_merge(&in->cells[i], cell->n, cell->tag, cell->sum);
        }
    }
}

int64_t model_horizon(const struct model_filter *f, int32_t day)
{
    int64_t t = f->as_of_ns == T_NS_NONE ? INT64_MAX : f->as_of_ns;
    int64_t age_end = 0;
    if (f->age_ns >= 0 && !__builtin_mul_overflow((int64_t)day + 1, NS_PER_DAY, &age_end) &&
        !__builtin_add_overflow(age_end, f->age_ns, &age_end)) {
        t = i64_min(t, age_end);
    }
    return t;
}

static bool fold_labels(struct model *m, const struct model_shard *s, const struct model_day *day,
                        const struct model_filter *f)
{
    struct model_quality_in *in = m->work;
    int64_t as_of_ns = model_horizon(f, day->day);
    for (uint32_t i = day->labels_first; i != MODEL_NIL; i = s->labels.v[i].next_of_day) {
        const struct model_label *l = &s->labels.v[i];
        if (!l->newest || !model_filter_takes(f, l)) {
            continue;
        }
        enum truth truth = model_labels_truth(&s->labels, l, as_of_ns);
        bool predicted = model_is_positive(m->c, l->verdict);
        in->judged_positive += predicted && truth != TRUTH_UNDETERMINED;
        in->judged_legit += truth == TRUTH_LEGIT;
        if (truth != TRUTH_FRAUD) {
            continue;
        }
        void *p = m->positives;
        bool ok = mem_array_grow(m->mem, &p, &m->positives_cap, in->positives_count + 1,
                                 (size_t)m->c->labels_max + 1, sizeof *m->positives);
        m->positives = p;
        if (!ok) {
            return false;
        }
        m->positives[in->positives_count++] =
            (struct model_positive){l->score, l->amount_centavos, predicted};
    }
    return true;
}

/* Calls fn for every cohort that the query names; flagged: those of the predicted positives. */
static void each_cohort(const struct model *m, const struct model_shard *s,
                        const struct model_query *q, bool flagged, struct model_quality_in *in,
                        void (*fn)(struct model_quality_in *, const struct model_cohort *))
{
    struct model_filter f = model_filter_of(m, s, q);
    f.dim = flagged ? MODEL_FLAGGED_DIM : f.dim;
    for (uint32_t d = 0; d < s->labels.days_count && !f.none; d++) {
        const struct model_day *day = &s->labels.days[d];
        if (day->day < q->day_from || day->day > q->day_to) {
            continue;
        }
        for (uint32_t v = f.version_from; v <= f.version_to; v++) {
            const struct model_cohort *c =
                model_cohort_find(&s->cohorts, day->day, (uint16_t)v, f.dim, f.value);
            if (c != NULL) {
                fn(in, c);
            }
        }
    }
}

/* Exact while all scores asked for are in lists and few. A list holds what a whole answer may, so
 * this is a matter of the total, not of the shards it is spread over. */
static void weigh_cohort(struct model_quality_in *in, const struct model_cohort *c)
{
    in->scores_count += c->base.scored;
    in->exact = in->exact && !c->celled;
}

static bool fold_shard(struct model *m, const struct model_shard *s, const struct model_query *q)
{
    struct model_filter f = model_filter_of(m, s, q);
    for (uint32_t d = 0; d < s->labels.days_count && !f.none; d++) {
        const struct model_day *day = &s->labels.days[d];
        if (day->day >= q->day_from && day->day <= q->day_to && !fold_labels(m, s, day, &f)) {
            return false;
        }
    }
    return true;
}

bool model_gather(struct model *m, void *const *states, uint32_t n, const struct model_query *q,
                  struct model_quality *out)
{
    if (m->work == NULL && (m->work = mem_take(m->mem, sizeof *m->work)) == NULL) {
        return false;
    }
    memset(m->work, 0, sizeof *m->work);
    m->work->coarse = q->dim.n > 0 ? MODEL_COARSE : 0;
    m->work->exact = true;
    for (uint32_t k = 0; k < n; k++) {
        each_cohort(m, model_shard_of(states, k), q, false, m->work, weigh_cohort);
    }
    m->work->exact = m->work->exact && m->work->scores_count <= model_exact_max(m->work->coarse);
    m->work->scores_count = 0;
    for (uint32_t k = 0; k < n; k++) {
        each_cohort(m, model_shard_of(states, k), q, false, m->work, merge_cohort);
        if (!fold_shard(m, model_shard_of(states, k), q)) {
            return false;
        }
    }
    m->work->positives = m->positives;
    for (uint32_t v = 0; v < VERDICTS; v++) {
        if (model_is_positive(m->c, v)) {
            m->work->predicted += m->work->base.verdicts[v];
            m->work->predicted_amount += m->work->base.amounts[v];
        }
    }
    model_quality_sort(m->work);
    model_quality_compute(m->work, out);
    return true;
}

bool model_gather_flagged(struct model *m, void *const *states, uint32_t n,
                          const struct model_query *q, bool *known)
{
    if (m->flagged == NULL && (m->flagged = mem_take(m->mem, sizeof *m->flagged)) == NULL) {
        return false;
    }
    memset(m->flagged, 0, sizeof *m->flagged);
    m->flagged->exact = true;
    for (uint32_t k = 0; k < n; k++) {
        each_cohort(m, model_shard_of(states, k), q, true, m->flagged, weigh_cohort);
    }
    /* They are some of the decisions of m->work: their list is not longer, and theirs are cells
     * only where those are, unless a checkpoint was damaged. */
    const bool fits = m->flagged->exact && m->flagged->scores_count <= MODEL_EXACT_MAX;
    *known = q->dim.n == 0 && (fits || !m->work->exact);
    m->flagged->exact = m->work->exact;
    m->flagged->scores_count = 0;
    for (uint32_t k = 0; k < n && *known; k++) {
        each_cohort(m, model_shard_of(states, k), q, true, m->flagged, merge_cohort);
    }
    *known = *known && m->flagged->base.n == m->work->predicted;
    model_quality_sort(m->flagged);
    return true;
}

/* Scores of one day; *sum grows by how many. to: NULL, or where they go from *sum on. false: some
 * are in cells. */
static bool day_scores(const struct model *m, void *const *states, uint32_t n,
                       const struct model_query *q, int32_t day, double *to, size_t *sum)
{
    for (uint32_t k = 0; k < n; k++) {
        const struct model_shard *s = model_shard_of(states, k);
        const struct model_filter f = model_filter_of(m, s, q);
        for (uint32_t v = f.version_from; v <= f.version_to && !f.none; v++) {
            const struct model_cohort *c =
                model_cohort_find(&s->cohorts, day, (uint16_t)v, f.dim, f.value);
            for (size_t i = 0; c != NULL && !c->celled && to != NULL && i < c->base.scored; i++) {
                to[*sum + i] = model_cohort_score(c, i);
            }
            *sum += c == NULL ? 0 : c->base.scored;
            if (c != NULL && c->celled) {
                return false;
            }
        }
    }
    return true;
}

static int lowest_first(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

bool model_gather_scores(struct model *m, void *const *states, uint32_t n,
                         const struct model_query *q, struct model_scores *out)
{
    *out = (struct model_scores){.mem = m->mem};
    const uint32_t max = model_exact_max(q->dim.n > 0 ? MODEL_COARSE : 0);
    size_t count = 0;
    ASSERT(q->day_from <= q->day_to);
    ASSERT((int64_t)q->day_to - q->day_from < MODEL_SCORES_DAYS_MAX);
    for (int32_t d = q->day_from; d <= q->day_to; d++) {
        size_t of_day = 0;
        const bool listed = day_scores(m, states, n, q, d, NULL, &of_day);
        count += of_day;
        if (!listed || of_day > max || count > MODEL_SCORES_MAX) {
            return true;
        }
    }
    out->v = mem_take(m->mem, count * sizeof *out->v);
    if (out->v == NULL) {
        return false;
    }
    out->cap = count;
    for (int32_t d = q->day_from; d <= q->day_to; d++) {
        const bool listed = day_scores(m, states, n, q, d, out->v, &out->count);
        ASSERT(listed);
    }
    qsort(out->v, out->count, sizeof *out->v, lowest_first);
    return true;
}

void model_scores_release(struct model_scores *s)
{
    mem_give(s->mem, s->v, s->v == NULL ? 0 : s->cap * sizeof *s->v);
    *s = (struct model_scores){.mem = s->mem};
}

uint64_t model_changes(void *const *states, uint32_t n, int32_t day_from, int32_t day_to)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_labels *t = &model_shard_of(states, k)->labels;
        for (uint32_t d = 0; d < t->days_count; d++) {
            if (t->days[d].day >= day_from && t->days[d].day <= day_to) {
                sum += t->days[d].changes;
            }
        }
    }
    return sum;
}

const struct str model_band_text[MODEL_BANDS] = {STR_INIT("d0"), STR_INIT("d1"), STR_INIT("d7"),
                                                 STR_INIT("d30"), STR_INIT("mature")};

/* Newest days that have the age, and how they are read. */
static void band_place(const struct model *m, uint32_t band, struct model_band *b)
{
    const int64_t ages[MODEL_BANDS] = {0, 1, 7, 30, m->c->mature_days};
    int32_t today = day_from_ns(m->watermark_ns);
    if (band == 0) {
        b->day_from = b->day_to = today;
        b->age_ns = -1;
        return;
    }
    b->day_to = day_from_ns(m->watermark_ns - ages[band] * NS_PER_DAY) - 1;
    b->day_from = band == 1 ? b->day_to : b->day_to - 6;
    b->age_ns = ages[band] * NS_PER_DAY;
}

/* Reading all labels for the law of delays takes longer than a tick should; labels are slow. */
#define LATE_EVERY_NS (60 * NS_PER_S)

static void band_late(struct model *m, void *const *states, uint32_t n, int64_t now_ns,
                      const struct model_query *q, const struct model_band *old,
                      struct model_band *b)
{
    const bool same = old->valid && old->day_from == b->day_from && old->day_to == b->day_to;
    if (same && now_ns - old->late_ns < LATE_EVERY_NS && now_ns >= old->late_ns) {
        b->late = old->late;
        b->late_ns = old->late_ns;
        return;
    }
    b->late_ns = now_ns;
    b->valid = b->valid && model_late_figures(m, states, n, q, &b->q, &b->late);
}

void model_bands_update(struct model *m, void *const *states, uint32_t n, int64_t now_ns)
{
    for (uint32_t i = 0; i < MODEL_BANDS && m->watermark_ns != T_NS_NONE; i++) {
        struct model_band b = {0};
        band_place(m, i, &b);
        b.changes = model_changes(states, n, b.day_from, b.day_to);
        struct model_band *old = &m->bands[i];
        if (old->valid && old->day_from == b.day_from && old->day_to == b.day_to &&
            old->changes == b.changes && now_ns - old->late_ns < LATE_EVERY_NS) {
            continue;
        }
        struct model_query q = {
            .day_from = b.day_from, .day_to = b.day_to, .as_of_ns = T_NS_NONE, .age_ns = b.age_ns};
        b.valid = model_gather(m, states, n, &q, &b.q);
        band_late(m, states, n, now_ns, &q, old, &b);
        *old = b;
    }
}
