/* Figures to expect before labels are in (engines/calib has the method), and the concept alarm.
 *
 * What a score means is learnt from decision days whose labels are in: by default the newest 28
 * mature ones before the days asked for. While none is mature, from the oldest 14 that are three
 * days old or more; frauds that are not known yet are then allowed for: every known one weighs 1 /
 * the share expected to be known, let through and predicted apart (late.c). Never from days after
 * those that are asked for, while there are earlier ones. A version or segment with few frauds of
 * its own learns from all.
 *
 * The estimate supposes that scores mean what they meant. So when figures corrected for late labels
 * differ from it by more than chance explains, the meaning has changed: concept drift. The test is
 * the difference of logits over its deviation (labels to come, draw of the truths, map): at 99 %
 * for recall, whose interval is wide on young days, at 99.9 % for precision, which is nearly known
 * at once and is looked at again and again. Not while a label source has stopped, and not against a
 * map learnt from the same days.
 *
 * Sums run over merged integers in a fixed order: N shards give the bits of one. */
#include "model/model_int.h"

#include <math.h>

#define MATURE_DAYS_MAX 28
#define YOUNG_DAYS_MAX  14
#define YOUNG_AGE_NS    (3 * NS_PER_DAY)
#define WEIGHT_MAX      50.0 /* a share of labels below 1/50 says nothing (late.c) */
#define CONCEPT_FRAUDS  30
#define RECALL_Z        2.5758293035489004 /* 99 %, two-sided */
#define PRECISION_Z     3.2905267314919255 /* 99.9 % */
#define WATCH_NS        (60 * NS_PER_S)
#define WATCH_NONE_NS   (5 * NS_PER_S) /* while there is nothing to show */

/* ---- cells: scores, frauds and flags of a question, by rising score ---- */

struct cells {
    struct mem *mem; /* borrows */
    struct calib_cell *v;
    size_t cap, count;
    const struct model_quality_in *in, *flagged; /* borrow m's */
    const double *weights;                       /* of a known fraud: [predicted] */
    size_t p;                                    /* positives not yet taken, best first */
};

static void add_positive(struct calib_cell *x, double weight)
{
    x->positives += weight;
    x->squares += weight * weight;
}

static void take_positive(struct cells *c, struct calib_cell *x)
{
    add_positive(x, c->weights[c->in->positives[--c->p].predicted]);
}

/* Frauds without a score are the last. */
static size_t scored_positives(const struct model_quality_in *in)
{
    size_t p = in->positives_count;
    while (p > 0 && isnan(in->positives[p - 1].score)) {
        p--;
    }
    return p;
}

/* Rounding may have put the mean of a narrow cell on that of the one below: they share one. */
static void append(struct cells *c, const struct calib_cell *x)
{
    struct calib_cell *last = c->count > 0 ? &c->v[c->count - 1] : NULL;
    if (last == NULL || x->score > last->score) {
        ASSERT(c->count < c->cap);
        c->v[c->count] = *x;
        last = &c->v[c->count++];
    } else {
        last->n += x->n;
        last->positives += x->positives;
        last->squares += x->squares;
        last->flagged += x->flagged;
    }
    last->flagged = fmin(last->flagged, last->n);
}

static void read_list(struct cells *c)
{
    const struct model_quality_in *in = c->in;
    size_t f = c->flagged->scores_count;
    for (size_t i = in->scores_count; i > 0;) {
        const double s = in->scores[i - 1];
        struct calib_cell x = {.score = s};
        for (; i > 0 && !(in->scores[i - 1] > s); i--) {
            x.n++;
        }
        for (; f > 0 && !(c->flagged->scores[f - 1] > s); f--) {
            x.flagged++;
        }
        while (c->p > 0 && !(in->positives[c->p - 1].score > s)) {
            take_positive(c, &x);
        }
        append(c, &x);
    }
}

static void read_cells(struct cells *c)
{
    const struct model_quality_in *in = c->in;
    for (uint32_t i = 0; i < MODEL_CELLS; i++) {
        struct calib_cell x = {.n = in->cells[i].n, .flagged = c->flagged->cells[i].n};
        while (c->p > 0 && model_score_cell(in->positives[c->p - 1].score, in->coarse) <= i) {
            take_positive(c, &x);
        }
        if (in->cells[i].n > 0) {
            x.score = (double)in->cells[i].sum / MODEL_CELL_FIX / x.n;
            append(c, &x);
        }
    }
}

/* The best scores, as many as there are predicted positives. */
static void flag_best(struct cells *c)
{
    double left = (double)c->in->predicted;
    for (size_t i = c->count; i-- > 0;) {
        c->v[i].flagged = fmin(left, c->v[i].n);
        left -= c->v[i].flagged;
    }
}

/* Of what the last gatherings hold. false without memory. cells_give in any case. */
static bool cells_take(struct cells *c, struct model *m, bool flags_known, const double weights[2])
{
    const struct model_quality_in *in = m->work;
    *c = (struct cells){.mem = m->mem,
                        .cap = in->exact ? in->scores_count : MODEL_CELLS,
                        .in = in,
                        .flagged = m->flagged,
                        .weights = weights,
                        .p = scored_positives(in)};
    c->v = mem_take(m->mem, c->cap * sizeof *c->v);
    if (c->v == NULL) {
        return false;
    }
    if (in->exact) {
        read_list(c);
    } else {
        read_cells(c);
    }
    if (!flags_known) {
        flag_best(c);
    }
    return true;
}

static void cells_give(struct cells *c)
{
    mem_give(c->mem, c->v, c->v == NULL ? 0 : c->cap * sizeof *c->v);
}

/* ---- learning ---- */

static int32_t day_oldest(void *const *states, uint32_t n)
{
    int32_t first = INT32_MAX;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_labels *l = &model_shard_of(states, k)->labels;
        first = l->days_count > 0 && l->days[0].day < first ? l->days[0].day : first;
    }
    return first;
}

/* The newest day whose end is at least age_ns before t_ns. */
static int64_t day_aged(int64_t t_ns, int64_t age_ns)
{
    return (int64_t)day_from_ns(t_ns - age_ns) - 1;
}

static void choose_days(const struct model *m, void *const *states, uint32_t n,
                        const struct model_query *q, struct model_estimate *out)
{
    const int64_t known_ns = i64_max(model_known_ns(m, states, n, q), -MODEL_T_NS_SANE);
    const int64_t oldest = day_oldest(states, n);
    const int64_t mature = day_aged(known_ns, m->c->mature_days * NS_PER_DAY);
    int64_t from = q->reference_from;
    int64_t to = q->reference_to;
    if (!q->reference) {
        const int64_t before = oldest < q->day_from ? (int64_t)q->day_from - 1 : INT32_MAX;
        to = i64_min(before, mature >= oldest ? mature
                                              : i64_min(oldest + YOUNG_DAYS_MAX - 1,
                                                        day_aged(known_ns, YOUNG_AGE_NS)));
        from = mature >= oldest ? i64_max(oldest, to - MATURE_DAYS_MAX + 1) : oldest;
    }
    out->learnt_from = (int32_t)i64_min(from, INT32_MAX);
    out->learnt_to = (int32_t)i64_max(to, INT32_MIN);
    out->learnt_mature = to <= mature;
}

/* What the question may learn from: itself, or all segments, or all versions too. m->work then
 * holds it. */
static bool gather_learnt(struct model *m, void *const *states, uint32_t n,
                          struct model_query *from, struct model_quality *now)
{
    for (;;) {
        if (!model_gather(m, states, n, from, now)) {
            return false;
        }
        if (now->tp + now->fn >= MODEL_LEARN_FRAUDS_MIN ||
            (from->dim.n == 0 && from->version.n == 0)) {
            return true;
        }
        if (from->dim.n > 0) {
            from->dim = from->value = (struct str){0};
        } else {
            from->version = (struct str){0};
        }
    }
}

/* How much a known fraud counts while others are to come. */
static bool weights_of(struct model *m, void *const *states, uint32_t n,
                       const struct model_query *from, const struct model_quality *now,
                       struct model_estimate *out, double weights[2])
{
    struct model_late late;
    weights[0] = weights[1] = 1;
    out->learnt_share = 1;
    if (out->learnt_mature) {
        return true;
    }
    if (!model_late_figures(m, states, n, from, now, &late)) {
        return false;
    }
    for (int p = 0; p < 2; p++) {
        if (late.expected[p] > 0) {
            weights[p] = fmin(WEIGHT_MAX, fmax(1, 1 / late.expected[p]));
        }
    }
    out->learnt_share = late.expected_all;
    return true;
}

/* From cells, as m->work has them. */
static bool learn_cells(struct model *m, void *const *states, uint32_t n,
                        const struct model_query *from, const double weights[2], struct calib *map)
{
    struct cells cells = {0};
    bool known = false;
    const bool ok = model_gather_flagged(m, states, n, from, &known) &&
                    cells_take(&cells, m, true, weights) && calib_fit(map, cells.v, cells.count);
    cells_give(&cells);
    return ok;
}

/* From the scores one by one, when they are few enough to be known; else nothing is learnt. Edges
 * of blocks then are where they are: cells move them by up to a cell, which on days with few
 * predicted positives shows in the third decimal of precision. */
static bool learn_scores(struct model *m, void *const *states, uint32_t n,
                         const struct model_query *from, const double weights[2], struct calib *map)
{
    const struct model_quality_in *in = m->work;
    struct model_scores scores;
    if ((int64_t)from->day_to - from->day_from >= MODEL_SCORES_DAYS_MAX) {
        return true;
    }
    bool ok = model_gather_scores(m, states, n, from, &scores);
    size_t p = scored_positives(in);
    for (size_t i = 0; ok && i < scores.count;) {
        struct calib_cell x = {.score = scores.v[i]};
        for (; i < scores.count && !(scores.v[i] > x.score); i++) {
            x.n++;
        }
        for (; p > 0 && !(in->positives[p - 1].score > x.score); p--) {
            add_positive(&x, weights[in->positives[p - 1].predicted]);
        }
        ok = calib_learn(map, &x);
    }
    model_scores_release(&scores);
    return ok;
}

static bool learn(struct model *m, void *const *states, uint32_t n, const struct model_query *q,
                  struct calib *map, struct model_estimate *out)
{
    choose_days(m, states, n, q, out);
    out->learnt_share = (double)NAN;
    if (out->learnt_from > out->learnt_to) {
        return true;
    }
    struct model_query from = {.day_from = out->learnt_from,
                               .day_to = out->learnt_to,
                               .as_of_ns = q->as_of_ns,
                               .age_ns = -1,
                               .version = q->version,
                               .dim = q->dim,
                               .value = q->value};
    struct model_quality now;
    double weights[2];
    if (!gather_learnt(m, states, n, &from, &now) ||
        !weights_of(m, states, n, &from, &now, out, weights)) {
        return false;
    }
    out->learnt_version = from.version.n > 0;
    out->learnt_dim = from.dim.n > 0;
    out->learnt_n = now.n_scored;
    out->learnt_frauds = now.tp + now.fn;
    if (now.damaged || out->learnt_frauds < MODEL_LEARN_FRAUDS_MIN) {
        return true;
    }
    return learn_scores(m, states, n, &from, weights, map) &&
           (map->count > 0 || learn_cells(m, states, n, &from, weights, map));
}

static bool estimate(struct model *m, void *const *states, uint32_t n, const struct model_query *q,
                     const struct calib *map, struct model_estimate *out)
{
    const double weights[2] = {1, 1};
    struct cells cells;
    if (!model_gather(m, states, n, q, &out->now) ||
        !model_gather_flagged(m, states, n, q, &out->flags_known)) {
        return false;
    }
    model_quality_bins(m->work, out->bins);
    const bool ok = cells_take(&cells, m, out->flags_known, weights);
    if (ok) {
        calib_estimate(map, cells.v, cells.count, &out->figures);
    }
    cells_give(&cells);
    return ok;
}

bool model_estimate_find(struct model *m, void *const *states, uint32_t n,
                         const struct model_query *q, struct model_estimate *out)
{
    struct calib map;
    memset(out, 0, sizeof *out);
    calib_init(&map, m->mem);
    const bool ok = learn(m, states, n, q, &map, out) && estimate(m, states, n, q, &map, out);
    calib_release(&map);
    return ok;
}

/* ---- concept ---- */

static double logit(double share)
{
    const double x = fmin(fmax(share, 1e-6), 1 - 1e-6);
    return log(x / (1 - x));
}

static void leave(const struct calib_figure *expected, const struct model_figure *corrected,
                  double limit, struct model_leave *out)
{
    *out = (struct model_leave){.corrected = *corrected, .z = (double)NAN};
    if (isnan(expected->value) || isnan(corrected->value)) {
        return;
    }
    const double v = fmin(fmax(expected->value, 1e-6), 1 - 1e-6);
    const double gap = logit(corrected->value) - logit(v);
    const double half = gap < 0 ? logit(corrected->hi) - logit(corrected->value)
                                : logit(corrected->value) - logit(corrected->lo);
    const double sd = hypot(expected->sampling_sd, expected->calibration_sd) / (v * (1 - v));
    const double spread = hypot(sd, fmax(0, half) / MODEL_Z);
    out->z = spread > 0 ? gap / spread : (double)NAN;
    out->leaves = fabs(out->z) > limit;
}

bool model_concept_find(struct model *m, void *const *states, uint32_t n,
                        const struct model_query *q, const struct model_estimate *expected,
                        struct model_concept *out)
{
    struct model_late late;
    *out = (struct model_concept){0};
    if (!model_late_figures(m, states, n, q, &expected->now, &late)) {
        return false;
    }
    leave(&expected->figures.recall, &late.recall, RECALL_Z, &out->recall);
    leave(&expected->figures.precision, &late.precision, PRECISION_Z, &out->precision);
    const bool stopped =
        late.frozen_ns != T_NS_NONE && late.frozen_ns < ns_from_day(q->day_to + 1) + YOUNG_AGE_NS;
    out->judged = expected->learnt_to < q->day_from && !stopped &&
                  late.frauds.value >= CONCEPT_FRAUDS && !isnan(out->recall.z);
    out->drift = out->judged && (out->recall.leaves || out->precision.leaves);
    return true;
}

/* ---- what is published ---- */

/* Two days show a change soonest, a week shows a small one and rings on. Of yesterday's labels too
 * few may be expected to say anything: then the days before. */
static const struct {
    int32_t back, days;
} windows[] = {{1, 2}, {2, 2}, {1, 7}, {2, 7}};

#define WINDOWS_REACH 9 /* days back of the earliest of them */

/* learnt: only its learnt_ fields. */
static bool watch_concept(struct model *m, void *const *states, uint32_t n, const struct calib *map,
                          const struct model_estimate *learnt, struct model_watch *w)
{
    const int32_t today = day_from_ns(m->watermark_ns);
    int32_t judged_days = 0;
    for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
        struct model_estimate e = *learnt;
        struct model_concept c;
        const int32_t to = today - windows[i].back;
        const struct model_query q = {.day_from = to - windows[i].days + 1,
                                      .day_to = to,
                                      .as_of_ns = T_NS_NONE,
                                      .age_ns = -1};
        if (windows[i].days == judged_days) {
            continue;
        }
        if (!estimate(m, states, n, &q, map, &e) || !model_concept_find(m, states, n, &q, &e, &c)) {
            return false;
        }
        judged_days = c.judged ? windows[i].days : judged_days;
        w->judged = w->judged || c.judged;
        w->drift = w->drift || c.drift;
    }
    return true;
}

static bool watch(struct model *m, void *const *states, uint32_t n, struct calib *map,
                  struct model_watch *w)
{
    const int32_t today = day_from_ns(m->watermark_ns);
    struct model_query q = {
        .day_from = today - WINDOWS_REACH, .day_to = today, .as_of_ns = T_NS_NONE, .age_ns = -1};
    struct model_estimate learnt;
    memset(&learnt, 0, sizeof learnt);
    if (!learn(m, states, n, &q, map, &learnt)) { /* once for all, before all of them */
        return false;
    }
    w->today = learnt;
    q.day_from = today;
    return estimate(m, states, n, &q, map, &w->today) &&
           watch_concept(m, states, n, map, &learnt, w);
}

void model_watch_update(struct model *m, void *const *states, uint32_t n, int64_t now_ns)
{
    struct model_watch *w = &m->watch;
    const int64_t keep_ns = isnan(w->today.figures.recall.value) ? WATCH_NONE_NS : WATCH_NS;
    const bool fresh = w->valid && now_ns >= w->at_ns && now_ns - w->at_ns < keep_ns;
    if (m->watermark_ns == T_NS_NONE || fresh) {
        return;
    }
    struct calib map;
    *w = (struct model_watch){.at_ns = now_ns};
    calib_init(&map, m->mem);
    w->valid = watch(m, states, n, &map, w);
    calib_release(&map);
}
