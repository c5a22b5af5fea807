/* The eight fraud patterns of domain.md section 7, as campaigns: one decision of a fraudster that
 * makes several payments over minutes. Each pattern says who pays whom, how much, how fast, and
 * what the features then look like, so that its statistical signature is in the stream and not
 * only in the score.
 *
 * Rates: `weight` is the share of fraudulent payments, so a pattern's campaigns start with weight
 * over mean size. Patterns keep their hours: the mix of each local hour is normalised on its own,
 * so the rate of frauds is the same at every hour.
 * Invariant: a pattern draws only from the stream of its own transaction. */
#include "sim/sim_int.h"

#include <math.h>

#define ACTOR_BIT (1ULL << 41)

const struct str sim_pattern_names[SIM_PATTERNS] = {
    STR_INIT("impostor"), STR_INIT("call_centre"), STR_INIT("takeover"),  STR_INIT("mule"),
    STR_INIT("qr_swap"),  STR_INIT("device_farm"), STR_INIT("wrong_pix"), STR_INIT("supplier"),
};

/* Payments per campaign, uniform from..to; gap: mean time between two of them. Hours: local, a
 * window that may pass midnight, and the weight of the pattern outside of it. */
static const struct {
    uint32_t from, to;
    int64_t gap_s;
    int hour_from, hour_to;
    double outside;
} shapes[SIM_PATTERNS] = {
    [PAT_IMPOSTOR] = {1, 3, 1200, 8, 20, 0.1}, [PAT_CALL_CENTRE] = {2, 6, 300, 9, 20, 0.1},
    [PAT_TAKEOVER] = {3, 20, 25, 20, 6, 0.05}, [PAT_MULE] = {10, 60, 60, 0, 24, 1},
    [PAT_QR_SWAP] = {10, 30, 240, 9, 21, 0},   [PAT_DEVICE_FARM] = {10, 40, 45, 0, 24, 1},
    [PAT_WRONG_PIX] = {1, 1, 60, 0, 24, 1},    [PAT_SUPPLIER] = {20, 100, 45, 2, 5, 0},
};

uint32_t sim_campaign_size(enum pattern p, struct rng *r)
{
    return shapes[p].from + (uint32_t)rng_below(r, shapes[p].to - shapes[p].from + 1);
}

double sim_campaign_size_mean(enum pattern p)
{
    return (shapes[p].from + shapes[p].to) / 2.0;
}

static double hour_weight(enum pattern p, int hour)
{
    int a = shapes[p].hour_from, b = shapes[p].hour_to;
    bool in = a < b ? hour >= a && hour < b : hour >= a || hour < b;
    return in ? 1 : shapes[p].outside;
}

void sim_patterns_init(struct sim *s)
{
    double rate = s->c.fraud.rate;
    double mix[SIM_PATTERNS] = {0};
    for (int hour = 0; hour < 24; hour++) {
        double w[SIM_PATTERNS], sum = 0, campaigns = 0;
        for (int p = 0; p < SIM_PATTERNS; p++) {
            double v = s->c.fraud.weight[p] * hour_weight((enum pattern)p, hour);
            sum += v;
            w[p] = v / sim_campaign_size_mean((enum pattern)p);
            campaigns += w[p];
        }
        if (campaigns <= 0) { /* every pattern with a weight sleeps at this hour */
            w[PAT_WRONG_PIX] = campaigns = sum = 1;
        }
        double traffic = s->c.volume.shape ? s->calendar.hours[0][hour] : 1;
        for (int p = 0; p < SIM_PATTERNS; p++) {
            mix[p] += traffic * w[p] * sim_campaign_size_mean((enum pattern)p) / sum;
        }
        sim_choice_init(&s->patterns[hour], w, SIM_PATTERNS);
        s->campaign_rate[hour] = rate / (1 - rate) * campaigns / sum;
    }
    sim_choice_init(&s->fraud_mix, mix, SIM_PATTERNS);
    s->calendar.scale = 1 - rate;
}

void sim_campaign_init(struct sim *s, struct rng *r, enum pattern p, uint32_t slot,
                       struct campaign *c)
{
    *c = (struct campaign){.pattern = (uint8_t)p};
    c->count = sim_campaign_size(p, r);
    c->actor = ACTOR_BIT | (rng_u64(r) >> 24) | slot;
    c->scale = rng_normal(r);
    /* A mule of 10 to 200 payers an hour; the others at their usual pace. */
    double pace = p == PAT_MULE ? 3600.0 / (10 + 190 * rng_f64(r)) : (double)shapes[p].gap_s;
    c->gap_ns = (int64_t)(pace * 1e9);
    if (p == PAT_IMPOSTOR || p == PAT_CALL_CENTRE || p == PAT_TAKEOVER) {
        c->victim = sim_payer_draw(&s->people, r);
        for (int i = 0; p == PAT_IMPOSTOR && i < 16; i++) { /* impostors look for the elderly */
            if (sim_u01(s->people.seed ^ 3, c->victim) >= 0.73) {
                break;
            }
            c->victim = sim_payer_draw(&s->people, r);
        }
    }
}

int64_t sim_campaign_gap(const struct campaign *c, struct rng *r)
{
    return 1 + (int64_t)((double)c->gap_ns * rng_exp(r));
}

static int64_t brl(double v)
{
    return (int64_t)llround(fmin(fmax(v, 0.01), 2e7) * 100);
}

static int64_t fraud_amount(struct sim *s, struct rng *r, const struct campaign *c)
{
    /* Payments of one campaign resemble each other: half of the variance is the campaign's. */
    double z = (c->scale + rng_normal(r)) * 0.7071067811865476;
    double v = exp(s->c.fraud.mu + s->c.fraud.sigma * z);
    double u = rng_f64(r);
    switch ((enum pattern)c->pattern) {
    case PAT_IMPOSTOR: return brl(round(fmin(fmax(v, 500), 5000) / 50) * 50);
    case PAT_CALL_CENTRE: return brl(v * pow(1.6, c->done) / pow(1.6, c->count / 2.0));
    case PAT_TAKEOVER: /* the limits of an unregistered device, then what is left */
        return c->done < 5 ? brl(190 + 9.99 * u) : c->done < 10 ? brl(950 + 49.99 * u) : brl(v * 2);
    case PAT_QR_SWAP: return sim_amount_draw(&s->c, r, KIND_P2B);
    case PAT_DEVICE_FARM: return c->done % 3 == 0 ? brl(0.01 + u) : brl(fmax(v, 500));
    case PAT_SUPPLIER: return brl(5e5 * exp(u * log(40)));
    case PAT_MULE:
    case PAT_WRONG_PIX:
    case PAT_NONE: break;
    }
    return brl(v);
}

/* t was drawn by sim_tx_legit; its ids are written again by the caller. */
void sim_campaign_people(struct sim *s, struct rng *r, const struct campaign *c, struct tx *t)
{
    enum pattern p = (enum pattern)c->pattern;
    bool qr = p == PAT_QR_SWAP;
    t->pattern = c->pattern;
    t->kind = p == PAT_SUPPLIER ? KIND_B2B : qr ? KIND_P2B : KIND_P2P;
    t->amount = fraud_amount(s, r, c);
    t->payee_known = false;
    if (c->victim) {
        t->payer = c->victim;
    }
    if (p == PAT_MULE || qr || p == PAT_IMPOSTOR || p == PAT_CALL_CENTRE) {
        t->payee = c->actor;
    } else if (p != PAT_WRONG_PIX) {
        t->payee = ACTOR_BIT | sim_mix(c->actor, c->done / 3) >> 24;
    }
    if (p == PAT_SUPPLIER) {
        t->payer = ACTOR_BIT | c->actor;
        t->form = FORM_MANU;
        t->key = KEY_NONE;
    } else if (qr) {
        t->form = rng_f64(r) < 0.7 ? FORM_QRES : FORM_QRDN;
        t->key = KEY_EVP;
    } else if (p != PAT_WRONG_PIX) {
        t->form = FORM_DICT;
        t->key = rng_f64(r) < 0.6 ? KEY_EVP : KEY_PHONE;
    }
    /* The victim's institution sees it leave; a mule's one sees it arrive. */
    if (t->direction == DIRECTION_INTERNAL && p == PAT_SUPPLIER) {
        t->direction = DIRECTION_OUT;
        t->settlement = SETTLEMENT_SPI_PRIMARY;
    }
    if (p == PAT_TAKEOVER || p == PAT_DEVICE_FARM) {
        t->device = sim_mix(c->actor, c->done % 3 * (p == PAT_DEVICE_FARM));
    }
}

static void shape_takeover(struct rng *r, const struct campaign *c, struct tx *t)
{
    t->values[N_DEVICE_AGE] = 0;
    t->values_cat[C_NETWORK] = 1;
    t->values[N_TX_1H] = i64_max(t->values[N_TX_1H], (int64_t)c->done * 100);
    t->values[N_GAP] = c->done == 0 ? t->values[N_GAP] : 5 + (int64_t)rng_below(r, 50);
    t->values[N_BALANCE_LEFT] = 900 - i64_min(800, (int64_t)c->done * 80);
}

static void shape_mule(struct rng *r, const struct campaign *c, struct tx *t)
{
    t->values[N_PAYEE_AGE] = (int64_t)rng_below(r, 30);
    t->values[N_KEY_AGE] = t->key == KEY_NONE ? NUMBER_NULL : t->values[N_PAYEE_AGE] / 2;
    t->values[N_PAYERS_1H] = i64_max(t->values[N_PAYERS_1H], (int64_t)c->done * 100);
    t->values[N_OUT_RATIO] = c->done == 0 ? 0 : 900 + (int64_t)rng_below(r, 101);
    t->values[N_MARKERS] = (int64_t)c->done / 10;
}

static void shape_device_farm(struct rng *r, const struct campaign *c, struct tx *t)
{
    t->values[N_DEVICE_PAYERS] = 20 + (int64_t)c->done + (int64_t)rng_below(r, 200);
    t->values_cat[C_NETWORK] = 2;
    t->values[N_SESSION] = 11 + (int64_t)rng_below(r, 3); /* scripted typing: always the same */
}

/* Overwrites the features that the pattern changes; also gives good payments a suspicious look. */
void sim_campaign_shape(struct sim *s, struct rng *r, const struct campaign *c, struct tx *t)
{
    (void)s;
    enum pattern p = (enum pattern)c->pattern;
    if (p != PAT_WRONG_PIX) {
        t->values[N_KNOWN_DAYS] = 0;
    }
    switch (p) {
    case PAT_IMPOSTOR:
        t->values[N_KEY_AGE] = t->key == KEY_NONE ? NUMBER_NULL : (int64_t)rng_below(r, 7);
        t->values[N_VS_P95] = i64_max(t->values[N_VS_P95], 1050 + (int64_t)rng_below(r, 2000));
        break;
    case PAT_CALL_CENTRE:
        t->values[N_SESSION] = 600 + (int64_t)rng_below(r, 1800);
        t->values[N_BALANCE_LEFT] =
            i64_max(20, 800 - 800 * (int64_t)(c->done + 1) / (int64_t)c->count);
        t->active_call = true;
        break;
    case PAT_TAKEOVER: shape_takeover(r, c, t); break;
    case PAT_MULE: shape_mule(r, c, t); break;
    case PAT_QR_SWAP:
        t->values_cat[C_QR_PAYEE] = 2;
        t->values[N_PAYEE_AGE] = (int64_t)rng_below(r, 60);
        break;
    case PAT_DEVICE_FARM: shape_device_farm(r, c, t); break;
    case PAT_SUPPLIER:
        t->values[N_PAYEE_AGE] = (int64_t)rng_below(r, 10);
        t->values[N_VS_P95] = i64_max(t->values[N_VS_P95], 40000);
        t->values[N_BALANCE_LEFT] = (int64_t)rng_below(r, 300);
        t->values_cat[C_CHANNEL] = 2;
        break;
    case PAT_WRONG_PIX: /* its signature is two return paths, not the payment */
    case PAT_NONE: break;
    }
}
