/* Figures corrected for late labels: observed counts completed by the law of delays.
 *
 * Strata: predicted or let through x source of the first label that said fraud (an analyst looks at
 * what was held within hours, a MED may come after weeks). The law of a stratum is learnt from all
 * decisions and their labels as known at the question's time, near the day asked for; a question
 * about a segment or a version learns from its own rows and takes that law as parent. engines/delay
 * has the method.
 *
 * Two times matter. What is counted ends at the question's age or as-of time. What the law is
 * learnt from ends at as-of, or now: "the first days of March, read at three days" uses all that
 * is known today about delays in March, and as_of gives the honest answer of that day.
 *
 * A silent source would look like one that has nothing to tell: hazards and with them the
 * expectation would fall and recall would rise. A source counts as stopped when it has been
 * silent for longer than labels_silent_ms and 1.5 times its longest silence of four weeks; then its
 * time stops with its last label.
 *
 * Doubles are summed in a fixed order over merged integers: N shards give the bits of one. */
#include "engines/delay/delay.h"
#include "model/model_int.h"

#include <math.h>

#define HOUR_NS          (3600 * NS_PER_S)
#define REACH_DAYS       100 /* rows further away weigh 2^-20 */
#define HABIT_HOURS      672 /* four weeks before a source's last label show its habits */
#define HABIT_LABELS_MIN 8   /* of fewer labels no habit is known */
#define SILENCE_TIMES    1.5
#define POOLED           LABEL_SOURCES /* the stratum of all sources together */
#define STRATA           (LABEL_SOURCES + 1)
#define LATE_DAYS_MAX    1200

struct triangle {
    struct mem *mem; /* borrows */
    int32_t day_first;
    uint32_t days;
    uint32_t halves;          /* 2: all rows, then only what the question names */
    struct delay_row *rows;   /* owns; [half][predicted][stratum][day] */
    int64_t known_ns[STRATA]; /* labels of the source are complete until then */
};

static size_t rows_bytes(const struct triangle *t)
{
    return (size_t)t->halves * 2 * STRATA * t->days * sizeof *t->rows;
}

static struct delay_row *rows_of(const struct triangle *t, uint32_t half, uint32_t predicted,
                                 uint32_t stratum)
{
    return t->rows + (((size_t)half * 2 + predicted) * STRATA + stratum) * t->days;
}

/* ---- when a source stopped ---- */

struct habit {
    int64_t last_ns;
    uint32_t labels;
    bool hours[HABIT_HOURS]; /* before its last label: did one come? */
};

static bool is_label(const struct model_label *l, int64_t known_ns)
{
    return !hash128_eq(l->id, (struct hash128){0}) && l->t_ns <= known_ns;
}

static void find_last(const struct model_shard *s, int64_t known_ns, struct habit *habits)
{
    for (uint32_t i = 0; i < s->labels.made; i++) {
        const struct model_label *l = &s->labels.v[i];
        if (is_label(l, known_ns)) {
            habits[l->source].last_ns = i64_max(habits[l->source].last_ns, l->t_ns);
        }
    }
}

static void find_habits(const struct model_shard *s, int64_t known_ns, struct habit *habits)
{
    for (uint32_t i = 0; i < s->labels.made; i++) {
        const struct model_label *l = &s->labels.v[i];
        struct habit *h = &habits[l->source];
        if (is_label(l, known_ns) && h->last_ns - l->t_ns < HABIT_HOURS * HOUR_NS) {
            h->hours[(h->last_ns - l->t_ns) / HOUR_NS] = true;
            h->labels++;
        }
    }
}

static bool has_stopped(const struct habit *h, int64_t known_ns, int64_t silent_ms)
{
    int64_t longest = 0;
    int64_t run = 0;
    for (uint32_t i = 0; i < HABIT_HOURS; i++) {
        longest = h->hours[i] ? i64_max(longest, run) : longest;
        run = h->hours[i] ? 0 : run + 1;
    }
    const double limit_ns = SILENCE_TIMES * (double)((longest + 1) * HOUR_NS);
    return h->labels >= HABIT_LABELS_MIN && known_ns - h->last_ns > ns_from_ms(silent_ms) &&
           (double)(known_ns - h->last_ns) > limit_ns;
}

static void freeze(struct triangle *t, const struct model *m, void *const *states, uint32_t n,
                   int64_t known_ns, struct model_late *out)
{
    struct habit habits[LABEL_SOURCES];
    memset(habits, 0, sizeof habits);
    for (uint32_t i = 0; i < LABEL_SOURCES; i++) {
        habits[i].last_ns = INT64_MIN / 2;
    }
    for (uint32_t k = 0; k < n; k++) {
        find_last(model_shard_of(states, k), known_ns, habits);
    }
    for (uint32_t k = 0; k < n; k++) {
        find_habits(model_shard_of(states, k), known_ns, habits);
    }
    t->known_ns[POOLED] = known_ns;
    for (uint32_t i = 0; i < LABEL_SOURCES; i++) {
        out->frozen[i] = has_stopped(&habits[i], known_ns, m->c->labels_silent_ms);
        t->known_ns[i] = out->frozen[i] ? habits[i].last_ns : known_ns;
        t->known_ns[POOLED] = i64_min(t->known_ns[POOLED], t->known_ns[i]);
    }
    out->frozen_ns = t->known_ns[POOLED] < known_ns ? t->known_ns[POOLED] : T_NS_NONE;
}

/* ---- rows ---- */

/* The label that first said fraud, of an id whose truth is fraud as of known_ns; NULL: it is not.
 * */
static const struct model_label *first_fraud(const struct model_labels *t,
                                             const struct model_label *newest, int64_t known_ns)
{
    if (model_labels_truth(t, newest, known_ns) != TRUTH_FRAUD) {
        return NULL;
    }
    const struct model_label *first = NULL;
    for (const struct model_label *l = newest;; l = &t->v[l->prev]) {
        if (l->truth == TRUTH_FRAUD && l->t_ns <= known_ns &&
            (first == NULL || l->t_ns <= first->t_ns)) {
            first = l;
        }
        if (l->prev == MODEL_NIL) {
            return first;
        }
    }
}

/* Whole days after the end of the decision day until t_ns, upward; 0: on the day itself. */
static uint32_t age_of(int32_t day, int64_t t_ns)
{
    const int64_t late_ns = t_ns - ns_from_day(day + 1);
    const int64_t days = late_ns <= 0 ? 0 : (late_ns - 1) / NS_PER_DAY + 1;
    return (uint32_t)i64_min(days, DELAY_AGES - 1);
}

static void add_row(struct triangle *t, uint32_t half, uint32_t predicted, uint32_t source,
                    uint32_t day, uint32_t age)
{
    rows_of(t, half, predicted, source)[day].seen[age]++;
    rows_of(t, half, predicted, POOLED)[day].seen[age]++;
}

static void fill(struct triangle *t, const struct model *m, const struct model_shard *s,
                 const struct model_filter *f, int64_t known_ns)
{
    for (uint32_t d = 0; d < s->labels.days_count; d++) {
        const struct model_day *day = &s->labels.days[d];
        if (day->day < t->day_first || day->day >= t->day_first + (int32_t)t->days) {
            continue;
        }
        for (uint32_t i = day->labels_first; i != MODEL_NIL; i = s->labels.v[i].next_of_day) {
            const struct model_label *l = &s->labels.v[i];
            const struct model_label *first =
                l->newest ? first_fraud(&s->labels, l, known_ns) : NULL;
            if (first == NULL) {
                continue;
            }
            const uint32_t predicted = model_is_positive(m->c, l->verdict);
            const uint32_t at = (uint32_t)(day->day - t->day_first);
            const uint32_t age = age_of(day->day, first->t_ns);
            add_row(t, 0, predicted, first->source, at, age);
            if (t->halves == 2 && model_filter_takes(f, l)) {
                add_row(t, 1, predicted, first->source, at, age);
            }
        }
    }
}

/* ---- what a day will have ---- */

/* Counts of one decision day, as known at the question's time. */
struct seen {
    uint64_t n[2][LABEL_SOURCES];
    int64_t missed_centavos[LABEL_SOURCES];
};

static void count(const struct model *m, const struct model_shard *s, const struct model_day *day,
                  const struct model_filter *f, int64_t horizon_ns, struct seen *out)
{
    for (uint32_t i = day->labels_first; i != MODEL_NIL; i = s->labels.v[i].next_of_day) {
        const struct model_label *l = &s->labels.v[i];
        if (!l->newest || !model_filter_takes(f, l)) {
            continue;
        }
        const struct model_label *first = first_fraud(&s->labels, l, horizon_ns);
        if (first == NULL) {
            continue;
        }
        const uint32_t predicted = model_is_positive(m->c, l->verdict);
        out->n[predicted][first->source]++;
        out->missed_centavos[first->source] += predicted ? 0 : l->amount_centavos;
    }
}

struct sums {
    double value[2], var[2];      /* completed counts: [predicted] */
    double law[2][LABEL_SOURCES]; /* by what laws are wrong; they are so for all days alike */
    double seen[2];
    double missed_brl;
    bool unknown; /* a day is too young to say */
};

static double days_of(int64_t t_ns)
{
    return (double)t_ns / (double)NS_PER_DAY;
}

/* The law of a stratum near a day: of its own rows, its parent's where they are thin. */
static void law_of(const struct triangle *t, uint32_t predicted, uint32_t source, int32_t day,
                   const struct delay_law *pooled, struct delay_law *out)
{
    const double known_days = days_of(t->known_ns[source]);
    delay_law_fit(rows_of(t, 0, predicted, source), t->days, day, known_days, pooled, out);
    if (t->halves == 2) {
        const struct delay_law all = *out;
        delay_law_fit(rows_of(t, 1, predicted, source), t->days, day, known_days, &all, out);
    }
}

static void complete(const struct triangle *t, int32_t day, int64_t horizon_ns,
                     const struct seen *seen, struct sums *out)
{
    for (uint32_t p = 0; p < 2; p++) {
        struct delay_law pooled;
        delay_law_fit(rows_of(t, 0, p, POOLED), t->days, day, days_of(t->known_ns[POOLED]), NULL,
                      &pooled);
        for (uint32_t i = 0; i < LABEL_SOURCES; i++) {
            struct delay_law law;
            law_of(t, p, i, day, &pooled, &law);
            if (seen->n[p][i] == 0 && !(law.daily > 0)) {
                continue; /* this source never finds frauds of this kind */
            }
            const double age = days_of(i64_min(horizon_ns, t->known_ns[i]) - ns_from_day(day + 1));
            double share = 0;
            double var = 0;
            if (!delay_share(&law, age, &share, &var)) {
                out->unknown = true;
                continue;
            }
            const struct delay_estimate e = delay_complete(&law, seen->n[p][i], share, var);
            out->value[p] += e.value;
            out->var[p] += e.var;
            out->law[p][i] += e.law;
            out->seen[p] += (double)seen->n[p][i];
            out->missed_brl += p == 0 ? (double)seen->missed_centavos[i] / 100 / share : 0;
        }
    }
}

/* ---- figures ---- */

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

/* A share and the deviation of its logit, within what is certain. */
static struct model_figure share_figure(double value, double deviation, double floor,
                                        double ceiling)
{
    const double at = fmin(fmax(value, floor), ceiling);
    const double inside = fmin(fmax(at, 1e-6), 1 - 1e-6);
    const double logit = log(inside / (1 - inside));
    return (struct model_figure){at, fmax(logistic(logit - MODEL_Z * deviation), floor),
                                 fmin(logistic(logit + MODEL_Z * deviation), ceiling)};
}

/* A count, not below what is seen; on the logarithm of what is to come. */
static struct model_figure count_figure(double value, double var, double seen)
{
    const double unseen = fmax(value - seen, 0);
    const double spread = unseen > 0 ? exp(MODEL_Z * fmin(sqrt(var) / unseen, 3)) : 1;
    return (struct model_figure){value, seen + unseen / spread, seen + unseen * spread};
}

void model_late_none(struct model_late *out)
{
    const struct model_figure none = {(double)NAN, (double)NAN, (double)NAN};
    *out = (struct model_late){.precision = none,
                               .recall = none,
                               .frauds = none,
                               .missed_brl = none,
                               .expected = {(double)NAN, (double)NAN},
                               .expected_all = (double)NAN,
                               .frozen_ns = T_NS_NONE};
}

static void figures(const struct sums *s, const struct model_quality *q, struct model_late *out)
{
    double var[2] = {s->var[0], s->var[1]};
    for (uint32_t p = 0; p < 2; p++) {
        for (uint32_t i = 0; i < LABEL_SOURCES; i++) {
            var[p] += s->law[p][i] * s->law[p][i];
        }
        out->expected[p] = s->value[p] > 0 ? s->seen[p] / s->value[p] : (double)NAN;
    }
    const double caught = s->value[1];
    const double missed = s->value[0];
    const double all = caught + missed;
    if (!(all > 0)) {
        return;
    }
    out->expected_all = (s->seen[0] + s->seen[1]) / all;
    out->frauds = count_figure(all, var[0] + var[1], s->seen[0] + s->seen[1]);
    const double a = fmax(caught, 0.5);
    const double b = fmax(missed, 0.5);
    out->recall = share_figure(caught / all, sqrt(var[1] / (a * a) + var[0] / (b * b)), 0, 1);
    const double relative = sqrt(var[0]) / b;
    out->missed_brl = (struct model_figure){s->missed_brl, s->missed_brl / (1 + MODEL_Z * relative),
                                            s->missed_brl * (1 + MODEL_Z * relative)};
    const double positives = (double)(q->tp + q->fp);
    if (positives > 0) {
        /* What an analyst has found to be legit will not be a fraud. */
        const uint64_t legit = q->judged > q->tp ? q->judged - q->tp : 0;
        const double ceiling = 1 - (double)legit / positives;
        const double value = fmin(caught / positives, 1);
        const double doubt = sqrt(var[1]) / fmax(caught * (1 - value), 0.5);
        out->precision = share_figure(value, doubt, (double)q->tp / positives, ceiling);
    }
}

/* ---- the question ---- */

int64_t model_known_ns(const struct model *m, void *const *states, uint32_t n,
                       const struct model_query *q)
{
    int64_t t = m->watermark_ns == T_NS_NONE ? INT64_MIN / 2 : m->watermark_ns;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_labels *l = &model_shard_of(states, k)->labels;
        for (uint32_t i = 0; i < l->made; i++) {
            t = is_label(&l->v[i], INT64_MAX) ? i64_max(t, l->v[i].t_ns) : t;
        }
    }
    return q->as_of_ns == T_NS_NONE ? t : i64_min(t, q->as_of_ns);
}

int32_t model_day_newest(void *const *states, uint32_t n)
{
    int32_t last = INT32_MIN;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_labels *l = &model_shard_of(states, k)->labels;
        if (l->days_count > 0) {
            last = (int32_t)i64_max(last, l->days[l->days_count - 1].day);
        }
    }
    return last;
}

/* The days that the question and its law need; false: there are none. */
static bool place(struct triangle *t, void *const *states, uint32_t n, const struct model_query *q)
{
    int64_t first = INT32_MAX;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_labels *l = &model_shard_of(states, k)->labels;
        first = l->days_count > 0 ? i64_min(first, l->days[0].day) : first;
    }
    first = i64_max(first, (int64_t)q->day_from - REACH_DAYS);
    const int64_t last = i64_min(model_day_newest(states, n), (int64_t)q->day_to + REACH_DAYS);
    t->day_first = (int32_t)first;
    t->days = last < first ? 0 : (uint32_t)i64_min(last - first + 1, LATE_DAYS_MAX);
    return t->days > 0;
}

static void ask(const struct triangle *t, struct model *m, void *const *states, uint32_t n,
                const struct model_query *q, int64_t known_ns, struct sums *out)
{
    const int32_t from = (int32_t)i64_max(q->day_from, t->day_first);
    const int32_t to = (int32_t)i64_min(q->day_to, t->day_first + (int64_t)t->days - 1);
    for (int32_t d = from; d <= to; d++) {
        struct seen seen;
        memset(&seen, 0, sizeof seen);
        bool any = false;
        int64_t horizon_ns = known_ns;
        for (uint32_t k = 0; k < n; k++) {
            const struct model_shard *s = model_shard_of(states, k);
            const struct model_filter f = model_filter_of(m, s, q);
            const struct model_day *day = f.none ? NULL : model_day_find(&s->labels, d);
            horizon_ns = i64_min(known_ns, model_horizon(&f, d));
            if (day != NULL) {
                any = true;
                count(m, s, day, &f, horizon_ns, &seen);
            }
        }
        if (any) {
            complete(t, d, horizon_ns, &seen, out);
        }
    }
}

bool model_late_figures(struct model *m, void *const *states, uint32_t n,
                        const struct model_query *q, const struct model_quality *figures_now,
                        struct model_late *out)
{
    model_late_none(out);
    struct triangle t = {.mem = m->mem, .halves = q->dim.n > 0 || q->version.n > 0 ? 2 : 1};
    const int64_t known_ns = model_known_ns(m, states, n, q);
    if (!place(&t, states, n, q)) {
        return true;
    }
    t.rows = mem_take(m->mem, rows_bytes(&t));
    if (t.rows == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < t.halves * 2 * STRATA * t.days; i++) {
        t.rows[i].day = t.day_first + (int32_t)(i % t.days);
    }
    freeze(&t, m, states, n, known_ns, out);
    for (uint32_t k = 0; k < n; k++) {
        const struct model_filter f = model_filter_of(m, model_shard_of(states, k), q);
        fill(&t, m, model_shard_of(states, k), &f, known_ns);
    }
    struct sums s = {0};
    ask(&t, m, states, n, q, known_ns, &s);
    if (!s.unknown) {
        figures(&s, figures_now, out);
    }
    mem_give(m->mem, t.rows, rows_bytes(&t));
    return true;
}
