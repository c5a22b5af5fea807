/* The law of label delays: delay.h tells the method.
 *
 * Invariants: hazards are below 1, so that shares are above 0; log shares rise to 0 at the last
 * age; variances fall to 0 there. All sums run over rows in the order given and ages upward: the
 * same rows give the same bits. */
#include "engines/delay/delay.h"

#include <math.h>
#include <string.h>

#define MED_DAYS       80   /* a MED may be opened for so long */
#define HAZARD_MAX     0.99 /* a day that brought everything has not shown that none was before */
#define GENERAL_FRAUDS 2.0  /* the general law counts as so many frauds */
#define PARENT_FRAUDS  50.0 /* a parent law counts as so many, if it has them */
#define GUESS_FRAUDS   0.5  /* the usual number of frauds of a day counts as so many */
#define TAIL_MISFIT    0.50 /* standard deviation of the guessed tail, share of its logarithm */
/* Evidence that is a week away may be of another law: standard deviation of a hazard, as a share,
 * reaching FAR_MISFIT far away. */
#define FAR_MISFIT 0.4
#define FAR_DAYS   7.0

struct sums {
    /* By age, weighted by nearness: known in that day; known by then; distance times known. */
    double in[DELAY_AGES], by[DELAY_AGES], far[DELAY_AGES];
    double in_squares[DELAY_AGES], by_squares[DELAY_AGES]; /* weights squared: variances */
};

static double general_share(unsigned k)
{
    return k < MED_DAYS ? log(1.5 + k) / log(1.5 + MED_DAYS) : 1;
}

static double general_hazard(unsigned k)
{
    return 1 - general_share(k - 1) / general_share(k);
}

static void add_row(struct sums *s, const struct delay_row *row, int32_t about, double known_days)
{
    const double distance = fabs((double)row->day - about);
    const double w = exp2(-distance / DELAY_HALF_LIFE_DAYS);
    double by = row->seen[0];
    for (unsigned k = 1; k < DELAY_AGES && (double)row->day + 1 + k <= known_days; k++) {
        by += row->seen[k];
        s->in[k] += w * row->seen[k];
        s->in_squares[k] += w * w * row->seen[k];
        s->by[k] += w * by;
        s->by_squares[k] += w * w * by;
        s->far[k] += w * by * distance;
    }
}

/* What is believed before the rows are looked at. */
struct prior {
    double hazard[DELAY_AGES];
    double frauds;   /* it counts as so many */
    double var_tail; /* of the logarithm of what it contributes, as a share of it squared */
};

/* The weight of a fraud that is known by age k: the days that are old enough may all be far. */
static double scale_of(const struct sums *s, unsigned k)
{
    return s->by[k] > 0 ? s->by_squares[k] / s->by[k] : 1;
}

/* The general law to the power that fits the older half of the ages that are known: it is needed
 * for those beyond. */
static void general_prior(const struct sums *s, struct prior *p)
{
    unsigned oldest = 0;
    for (unsigned k = 1; k < DELAY_AGES; k++) {
        oldest = s->by[k] > 0 ? k : oldest;
    }
    double seen = 0;
    double expected = 0;
    for (unsigned k = oldest / 2 + 1; k <= oldest; k++) {
        seen += s->in[k] / scale_of(s, k);
        expected += s->by[k] / scale_of(s, k) * general_hazard(k);
    }
    const double power = (seen + GENERAL_FRAUDS) / (expected + GENERAL_FRAUDS);
    for (unsigned k = 1; k < DELAY_AGES; k++) {
        p->hazard[k] = fmin(power * general_hazard(k), HAZARD_MAX);
    }
    p->frauds = GENERAL_FRAUDS;
    p->var_tail = 1 / (seen + GENERAL_FRAUDS) + TAIL_MISFIT * TAIL_MISFIT;
}

static void parent_prior(const struct delay_law *parent, struct prior *p)
{
    memcpy(p->hazard, parent->hazard, sizeof p->hazard);
    p->frauds = fmin(PARENT_FRAUDS, fmax(parent->weight, GENERAL_FRAUDS));
    p->var_tail = TAIL_MISFIT * TAIL_MISFIT;
}

/* From the last age, where all is known, down. */
static void integrate(const struct sums *s, const struct prior *p, const struct delay_law *parent,
                      struct delay_law *out)
{
    double own = 0;     /* variance from counting */
    double guessed = 0; /* part of the logarithm that the prior gave */
    double far = 0;     /* standard deviation from distance */
    out->log_share[DELAY_AGES - 1] = 0;
    out->var[DELAY_AGES - 1] = 0;
    for (unsigned k = DELAY_AGES - 1; k >= 1; k--) {
        /* The prior's frauds weigh as little as the others. */
        const double scale = scale_of(s, k);
        const double before = p->frauds * scale;
        const double weight = s->by[k] + before;
        const double h = fmin((s->in[k] + before * p->hazard[k]) / weight, HAZARD_MAX);
        const double step = -log1p(-h);
        const double count = fmax(s->in_squares[k], s->in[k] * scale / 2);
        own += count / (weight * weight) / (1 - h);
        guessed += step * before / weight;
        const double distance = s->by[k] > 0 ? s->far[k] / s->by[k] : (double)INFINITY;
        far += step * FAR_MISFIT * (1 - exp2(-distance / FAR_DAYS));
        out->hazard[k] = h;
        out->log_share[k - 1] = out->log_share[k] - step;
        out->var[k - 1] = own + guessed * guessed * p->var_tail + far * far;
        if (parent != NULL) {
            /* What it took from its parent is as doubtful as the parent. */
            const double share = before / weight;
            out->var[k - 1] += share * share * parent->var[k - 1];
        }
    }
    out->hazard[0] = 1;
}

static double daily_of(const struct delay_row *rows, size_t rows_count, int32_t about,
                       double known_days, const struct delay_law *law)
{
    double known = 0;
    double expected = 0;
    for (size_t i = 0; i < rows_count; i++) {
        const double age = fmin(floor(known_days - 1 - rows[i].day), DELAY_AGES - 1);
        if (age < 0) {
            continue;
        }
        const double w = exp2(-fabs((double)rows[i].day - about) / DELAY_HALF_LIFE_DAYS);
        double all = 0;
        for (unsigned k = 0; k <= (unsigned)age; k++) {
            all += rows[i].seen[k];
        }
        known += w * all;
        expected += w * exp(law->log_share[(unsigned)age]);
    }
    return expected > 0 ? known / expected : 0;
}

void delay_law_fit(const struct delay_row *rows, size_t rows_count, int32_t about,
                   double known_days, const struct delay_law *parent, struct delay_law *out)
{
    struct sums s = {0};
    for (size_t i = 0; i < rows_count; i++) {
        add_row(&s, &rows[i], about, known_days);
    }
    double all = 0;
    double squares = 0;
    for (unsigned k = 1; k < DELAY_AGES; k++) {
        all += s.in[k];
        squares += s.in_squares[k];
    }
    const double n = all > 0 ? all * all / squares : 0;
    struct prior p = {0};
    if (parent == NULL) {
        general_prior(&s, &p);
    } else {
        parent_prior(parent, &p);
    }
    out->weight = n;
    integrate(&s, &p, parent, out);
    out->daily = daily_of(rows, rows_count, about, known_days, out);
}

bool delay_share(const struct delay_law *law, double age_days, double *share, double *var_log)
{
    if (!(age_days >= 0)) {
        return false;
    }
    const double at = fmin(age_days, DELAY_AGES - 1);
    const unsigned k = (unsigned)at;
    const double part = at - k;
    const unsigned next = k + 1 < DELAY_AGES ? k + 1 : k;
    *share = exp(law->log_share[k] * (1 - part) + law->log_share[next] * part);
    *var_log = law->var[k] * (1 - part) + law->var[next] * part;
    return *share >= DELAY_SHARE_MIN;
}

struct delay_estimate delay_complete(const struct delay_law *law, uint64_t observed, double share,
                                     double var_log)
{
    ASSERT(share > 0 && share <= 1);
    const double n = (double)observed;
    const double shape = n + GUESS_FRAUDS;
    const double mean = law->daily > 0 ? law->daily : shape / share;
    const double unseen = (1 - share) * shape / (GUESS_FRAUDS / mean + share);
    return (struct delay_estimate){n + unseen, unseen + unseen * unseen / shape,
                                   (n + unseen) * sqrt(var_log)};
}
