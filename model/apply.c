/* The hot path: one decision or label at a time, on the shard's thread. Never fails: what a
 * bound or lack of memory leaves out is counted by reason.
 *
 * A decision: is it new (join store)? Then its statistics are computed once and added to the
 * cohorts of its day and version: all, and one per segment dimension. Its cohorts are reserved
 * first, so that it is in all of them or in none. A repeat is never applied: the first wins. */
#include "model/model_int.h"

#include <math.h>

void model_batch_begin(void *state, const struct record_reader *r)
{
    struct model_shard *s = state;
    (void)r;
    model_features_batch(&s->features);
    drift_batch_begin(s->drift);
    s->now_ns = os_now_ns(s->model->os);
    s->slot = model_slot_of(s->now_ns);
}

static void note_time(struct model_shard *s, int64_t t_ns)
{
    if (t_ns <= s->times[s->times_min] || t_ns > s->now_ns + MODEL_FUTURE_NS) {
        return; /* clocks that run ahead must not age everybody else's decisions */
    }
    s->times[s->times_min] = t_ns;
    for (uint32_t i = 0; i < MODEL_WATERMARK_K; i++) {
        if (s->times[i] < s->times[s->times_min]) {
            s->times_min = i;
        }
    }
}

static void note_sha(struct model_shard *s, const struct decision *d, uint16_t version)
{
    if (d->model.n == 0 && d->model_sha256.n == 0) {
        return;
    }
    struct str name = str_sub(d->model, 0, MODEL_NAME_TEXT_MAX);
    struct str sha = str_sub(d->model_sha256, 0, MODEL_SHA_TEXT_MAX);
    uint32_t i = 0;
    uint32_t oldest = 0;
    for (; i < s->shas_count; i++) {
        struct model_sha *x = &s->shas[i];
        if (x->version == version && str_eq(sha, str_of(x->sha, x->sha_n)) &&
            str_eq(name, str_of(x->model, x->model_n))) {
            x->seen_slot = s->slot;
            return;
        }
        oldest = x->seen_slot < s->shas[oldest].seen_slot ? i : oldest;
    }
    if (i == MODEL_SHAS_MAX) {
        i = oldest; /* the one not seen for longest makes room */
    } else {
        s->shas_count++;
    }
    struct model_sha *x = &s->shas[i];
    *x = (struct model_sha){.version = version,
                            .model_n = (uint8_t)name.n,
                            .sha_n = (uint8_t)sha.n,
                            .seen_slot = s->slot};
    if (name.n > 0) {
        memcpy(x->model, name.p, name.n);
    }
    if (sha.n > 0) {
        memcpy(x->sha, sha.p, sha.n);
    }
}

static uint32_t bucket_of(const double *edges, uint32_t count, double v)
{
    uint32_t i = 0;
    while (i < count && v > edges[i]) {
        i++;
    }
    return i;
}

static void note_version(struct model_shard *s, const struct record_reader *r,
                         const struct decision *d, uint16_t version, const struct model_event *ev)
{
    struct model_version *v = model_version_at(s, version);
    if (v == NULL) {
        return;
    }
    v->used = true;
    v->decisions[d->verdict][d->fallback][d->form]++;
    if (!isnan(d->threshold) && (d->t_ns > v->threshold_ns ||
                                 (d->t_ns == v->threshold_ns && d->threshold > v->threshold))) {
        v->threshold = d->threshold;
        v->threshold_ns = d->t_ns;
    }
    for (uint32_t i = 0; i < d->latencies_count; i++) {
        const struct latency *l = &d->latencies[i];
        if (str_eq(r->names[l->stage_name], STR("score"))) {
            v->latencies[bucket_of(model_latency_edges, MODEL_LATENCY_EDGES, s_from_ns(l->ns))]++;
            v->latency_ns += l->ns;
        }
    }
    if (ev->scored) {
        v->scores[bucket_of(model_score_edges, MODEL_SCORE_EDGES, ev->score)]++;
        v->score_sum += ev->s;
        v->seen_slot[ev->cell_coarse] = s->slot + 1; /* 0 = never */
    }
}

/* What every accepted decision counts in, with a score or without. */
static void note_decision(struct model_shard *s, const struct record_reader *r,
                          const struct decision *d, uint16_t version, const struct model_event *ev)
{
    struct model_slot *slot = &s->slots[s->slot % MODEL_SLOTS];
    if (slot->slot != s->slot) {
        *slot = (struct model_slot){.slot = s->slot};
    }
    slot->decisions++;
    slot->verdicts[d->verdict]++;
    slot->fallback += d->fallback != FALLBACK_NONE;
    if (d->amount_centavos != AMOUNT_NONE) {
        s->brl[d->verdict] += d->amount_centavos;
    }
    note_version(s, r, d, version, ev);
    note_sha(s, d, version);
    note_time(s, d->t_ns);
    model_features_add(&s->features, s->model->c, r, d, s->slot);
}

/* Adds the event to the cohorts of its day, version, segments and verdict: all or none. */
static bool add_to_cohorts(struct model_shard *s, int32_t day_number, const struct model_row *row,
                           const struct model_event *ev)
{
    struct model_cohort *into[MODEL_FLAGGED_DIM + 1];
    uint32_t count = 0;
    struct model_day *day = model_day_at(&s->labels, day_number);
    if (day == NULL) {
        return false;
    }
    const bool flagged = model_is_positive(s->model->c, row->verdict);
    for (uint8_t dim = MODEL_ALL_DIM; dim <= MODEL_FLAGGED_DIM; dim++) {
        const bool segment = dim != MODEL_ALL_DIM && dim != MODEL_FLAGGED_DIM;
        uint16_t value = segment ? row->dims[dim - 1] : 0;
        if ((segment && value == MODEL_NAME_NONE) || (dim == MODEL_FLAGGED_DIM && !flagged)) {
            continue;
        }
        struct model_cohort *c = model_cohort_at(&s->cohorts, day_number, row->version, dim, value);
        if (c == NULL || !model_cohort_reserve(&s->cohorts, c, ev)) {
            return false;
        }
        into[count++] = c;
    }
    for (uint32_t i = 0; i < count; i++) {
        model_cohort_add(into[i], ev);
    }
    day->changes++;
    return true;
}

struct joining {
    struct model_shard *s;
    const struct model_row *row;
};

static void note_label(struct model_shard *s, const struct model_row *row,
                       const struct model_waiting *w)
{
    int64_t delay = 0;
    if (__builtin_sub_overflow(w->t_ns, row->t_ns, &delay) || delay < 0) {
        delay = 0; /* labels that claim to be older than their decision, and broken clocks */
    }
    s->judged[model_is_positive(s->model->c, row->verdict)][w->truth]++;
    s->delays[bucket_of(model_delay_edges, MODEL_DELAY_EDGES, s_from_ns(delay))]++;
    s->delay_ns += delay;
}

static void join_waiting(void *ctx, const struct model_waiting *w)
{
    struct joining *j = ctx;
    if (model_label_join(j->s, j->row, w)) {
        note_label(j->s, j->row, w);
    }
}

static void row_of(struct model_shard *s, const struct record *rec, struct model_row *row)
{
    const struct decision *d = &rec->u.decision;
    *row = (struct model_row){.id = rec->hash,
                              .t_ns = d->t_ns,
                              .score = d->score,
                              .amount_centavos = d->amount_centavos,
                              .version = model_names_add(&s->names, 0, d->model_version),
                              .verdict = (uint8_t)d->verdict};
    for (uint32_t i = 0; i < d->dims_count && i < RECORD_DIMS_MAX; i++) {
        row->dims[i] = model_names_add(&s->names, i + 1, d->dims[i]);
    }
}

static void apply_decision(struct model_shard *s, const struct record *rec,
                           const struct record_reader *r)
{
    const struct decision *d = &rec->u.decision;
    struct model *m = s->model;
    int32_t day = day_from_ns(d->t_ns);
    int32_t hour = model_hour_of(&d->id);
    struct model_row row;
    struct model_row scratch;
    struct model_event ev;
    if (day < m->day_first || !model_day_sane(day)) {
        s->refusals[MODEL_REFUSE_TOO_OLD]++;
        return;
    }
    row_of(s, rec, &row);
    const struct model_row *seen =
        model_join_find(&s->join, &s->names, m->runs, m->runs_count, rec->hash, hour, &scratch);
    if (seen != NULL) {
        bool same = seen->verdict == row.verdict &&
                    (seen->score == row.score || (isnan(seen->score) && isnan(row.score)));
        s->refusals[same ? MODEL_REFUSE_DUPLICATE : MODEL_REFUSE_CONFLICT]++;
        return;
    }
    model_event_of(d->score, d->verdict, d->amount_centavos, &ev);
    if (!add_to_cohorts(s, day, &row, &ev)) {
        s->refusals[MODEL_REFUSE_MEMORY]++;
        return;
    }
    note_decision(s, r, d, row.version, &ev);
    drift_add(s->drift, r, d, row.dims);
    if (!model_join_add(&s->join, &s->names, hour, &row)) {
        s->refusals[MODEL_REFUSE_UNJOINED]++;
    }
    struct joining j = {s, &row};
    model_labels_resolve(&s->labels, rec->hash, join_waiting, &j);
}

static uint64_t id_hash(struct str s)
{
    uint64_t h = s.n == 0 ? 0 : hash64(s);
    return s.n != 0 && h == 0 ? 1 : h;
}

static void apply_label(struct model_shard *s, const struct record *rec)
{
    const struct fraud_label *l = &rec->u.label;
    struct model *m = s->model;
    struct model_row scratch;
    struct model_waiting w = {.id = rec->hash,
                              .t_ns = l->t_ns,
                              .event = id_hash(l->event_id),
                              .supersedes = id_hash(l->supersedes),
                              .truth = (uint8_t)l->truth,
                              .source = (uint8_t)l->source};
    s->label_seen_ns = s->now_ns;
    const struct model_row *row = model_join_find(&s->join, &s->names, m->runs, m->runs_count,
                                                  rec->hash, model_hour_of(&l->id), &scratch);
    bool taken = false;
    if (row != NULL) {
        taken = model_label_join(s, row, &w);
        if (taken) {
            note_label(s, row, &w);
        }
    } else {
        enum model_label_result res = model_labels_wait(&s->labels, &w);
        taken = res == MODEL_LABEL_WAITS;
        if (!taken) {
            s->label_drops[res == MODEL_LABEL_DUPLICATE  ? MODEL_DROP_DUPLICATE
                           : res == MODEL_LABEL_TOO_MANY ? MODEL_DROP_TOO_MANY
                                                         : MODEL_DROP_WAITING_FULL]++;
        }
    }
    if (taken) {
        s->labels_in[l->truth][l->source]++;
    }
}

void model_apply(void *state, const struct record *rec, const struct record_reader *r)
{
    struct model_shard *s = state;
    if (rec->kind == RECORD_DECISION) {
        apply_decision(s, rec, r);
    } else if (rec->kind == RECORD_LABEL) {
        apply_label(s, rec);
    }
}
