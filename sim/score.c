/* The score model inside the simulator: logistic over the features, plus noise, plus a signal that
 * stands for the hundreds of features that are not simulated.
 *
 *   logit = base + k * sum(contribution of each feature) + noise * N(0,1) + signal
 *
 * base and k put good payments at mean -7, deviation 1.5. The signal of frauds is then chosen so
 * that the target recall is met at the threshold. Precision is made by good payments that look
 * like fraud (somebody with a new phone pays a new shop): a quarter of them pass the threshold,
 * and there are as many of them as the target precision asks for. So both targets hold at any
 * fraud rate, and faults in the features still move the score, because it is computed from the
 * features as they were sent. */
#include "sim/sim_int.h"

#include <math.h>
#include <stdlib.h>

#define SAMPLES         4096
#define LOOKALIKE_SHARE 0.25 /* of the lookalikes that pass the threshold */
#define REDIS_SHARDS    8

/* Contributions of missing values are 0: an imputed value says nothing. */
static double value_of(const struct tx *t, enum number n)
{
    static const double unit[] = {1, 0.1, 0.01, 0.001};
    return (double)t->values[n] * unit[sim_numbers[n].dp];
}

static bool known(const struct tx *t, enum number n)
{
    return t->values[n] != NUMBER_NULL && t->values[n] >= 0;
}

static double clamp(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static double young(const struct tx *t, enum number n, double ln_days, double w)
{
    return known(t, n) ? w * clamp(ln_days - log1p(value_of(t, n)), -3, ln_days) : 0;
}

static double grows(const struct tx *t, enum number n, double w, double max)
{
    return known(t, n) ? w * clamp(log1p(value_of(t, n)), 0, max) : 0;
}

static double contributions(const struct tx *t)
{
    double z = 0;
    z += known(t, N_AMOUNT) ? 0.25 * clamp(log(value_of(t, N_AMOUNT) + 0.01), -5, 16) : 0;
    z += known(t, N_VS_P95) ? 0.6 * clamp(log(value_of(t, N_VS_P95) + 0.001), -3, 4) : 0;
    z += young(t, N_PAYEE_AGE, 4, 0.35) + young(t, N_KEY_AGE, 3, 0.25);
    z += young(t, N_DEVICE_AGE, 3, 0.25);
    z += known(t, N_KNOWN_DAYS) && t->values[N_KNOWN_DAYS] == 0 ? 0.9 : 0;
    z += grows(t, N_TX_1H, 0.4, 3) + grows(t, N_AMOUNT_24H, 0.05, 12);
    z += grows(t, N_PAYERS_1H, 0.1, 5) + grows(t, N_DEVICE_PAYERS, 0.6, 4);
    z += known(t, N_OUT_RATIO) ? 1.5 * clamp(value_of(t, N_OUT_RATIO), 0, 1) : 0;
    z += known(t, N_BALANCE_LEFT) ? 1 - clamp(value_of(t, N_BALANCE_LEFT), 0, 1) : 0;
    z += known(t, N_GAP) && t->values[N_GAP] < 60 ? 0.7 : 0;
    z += grows(t, N_SESSION, 0.15, 8) + grows(t, N_MARKERS, 0.8, 3);
    z += t->values_cat[C_NETWORK] * 0.4 + (t->values_cat[C_AGE_BAND] == 4) * 0.2;
    z += (t->values_cat[C_QR_PAYEE] == 2) * 2.5 + t->active_call * 1.2;
    return z;
}

double sim_logit(const struct scorer *m, const struct tx *t)
{
    return m->base + m->k * contributions(t) + t->signal;
}

void sim_signal_draw(const struct scorer *m, struct rng *r, struct tx *t)
{
    t->signal = m->noise * rng_normal(r);
    if (t->pattern != PAT_NONE) {
        t->signal += m->fraud_shift;
    } else if (t->looks_like != PAT_NONE) {
        t->signal += m->lookalike_shift;
    }
}

/* What velocity would say of a payment in the middle of its campaign: the tables are empty here. */
static void recent_of_campaign(struct rng *r, const struct campaign *c, struct tx *t)
{
    bool one_payee = c->pattern == PAT_IMPOSTOR || c->pattern == PAT_CALL_CENTRE ||
                     c->pattern == PAT_MULE || c->pattern == PAT_QR_SWAP;
    int64_t before = (int64_t)c->done * 100;
    if (c->done > 0 && (c->victim || c->pattern == PAT_SUPPLIER)) {
        t->values[N_TX_1H] = before;
        t->values[N_AMOUNT_24H] = (int64_t)c->done * t->amount;
        t->values[N_GAP] = (int64_t)((double)c->gap_ns / 1e9 * rng_exp(r));
    }
    if (one_payee) {
        t->values[N_PAYERS_1H] = before;
    }
}

static void sample(struct sim *s, struct rng *r, int what, uint64_t i, struct tx *t)
{
    memset(t, 0, sizeof *t);
    t->t0 = s->run.from_ns;
    t->number = (1ULL << 62) | i;
    sim_tx_legit(s, r, t);
    struct campaign c = {.pattern = PAT_NONE};
    if (what != 0) {
        sim_campaign_init(s, r, (enum pattern)sim_choose(&s->fraud_mix, rng_f64(r)), 0, &c);
        c.done = (uint32_t)rng_below(r, c.count);
    }
    if (what == 1) {
        sim_campaign_people(s, r, &c, t);
    } else {
        t->looks_like = c.pattern;
    }
    sim_tx_features(s, r, t);
    if (what == 1) {
        recent_of_campaign(r, &c, t);
    }
    sim_campaign_shape(s, r, &c, t);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* logits without signal of frauds (1) or lookalikes (2), sorted */
static void sample_sorted(struct sim *s, struct rng *r, int what, double *out)
{
    struct tx t;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        sample(s, r, what, i, &t);
        t.signal = s->scorer.noise * rng_normal(r);
        out[i] = sim_logit(&s->scorer, &t);
    }
    qsort(out, SAMPLES, sizeof *out, by_value);
}

static double logit(double p)
{
    return log(p / (1 - p));
}

bool sim_scorer_init(struct sim *s, struct err *e)
{
    struct scorer *m = &s->scorer;
    struct rng r;
    struct tx t;
    double *v = mem_take(s->mem, SAMPLES * sizeof *v);
    if (!v) {
        return err_set(e, ERR_NOMEM, "no memory to calibrate the score model");
    }
    rng_fork(&r, s->run.seed, 0x73636f7265ULL);
    *m = (struct scorer){.k = 1, .noise = s->c.model.noise};
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        sample(s, &r, 0, i, &t);
        double z = contributions(&t);
        sum += z;
        squares += z * z;
    }
    double mean = sum / SAMPLES;
    m->k = 1.5 / fmax(1e-6, sqrt(fmax(0, squares / SAMPLES - mean * mean)));
    m->base = -7 - m->k * mean;
    double at = logit(s->c.model.threshold), deny = logit(fmin(s->c.model.deny, 0.999999));
    sample_sorted(s, &r, 1, v);
    m->fraud_shift = at - v[(size_t)((1 - s->c.model.recall) * (SAMPLES - 1))];
    size_t held = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        held += v[i] + m->fraud_shift >= at && v[i] + m->fraud_shift < deny;
    }
    sample_sorted(s, &r, 2, v);
    m->lookalike_shift = at - v[(size_t)((1 - LOOKALIKE_SHARE) * (SAMPLES - 1))];
    double rate = s->c.fraud.rate, recall = s->c.model.recall;
    m->lookalike_rate = rate * recall * (1 / s->c.model.precision - 1) / LOOKALIKE_SHARE;
    m->lookalike_rate = fmin(m->lookalike_rate, 0.5);
    m->redis_share = rate * (double)held / SAMPLES / s->c.model.precision * REDIS_SHARDS;
    m->claim_share = rate * (1 - recall) * s->c.labels.contested * s->c.labels.false_ratio;
    mem_give(s->mem, v, SAMPLES * sizeof *v);
    return true;
}
