/* Payers, payees and the payments between them.
 *
 * People are not stored: everything about a payer is a function of (seed, payer number), so a
 * million of them cost nothing and are the same in every run with that seed. Only the recent past
 * is state: two tables of decayed counters of fixed size, direct-mapped, where a newcomer evicts
 * (then the evicted one looks quiet, as in a real store that expires keys).
 *
 * Payments per payer follow zeta(z): payers are numbered by degree, a draw picks the degree with
 * weight d * d^-z and then a payer of that class.
 * Invariant: no draw here depends on a fault. */
#include "sim/sim_int.h"

#include <math.h>

#define MERCHANT_BIT (1ULL << 40)

const struct number_info sim_numbers[SIM_NUMBERS] = {
    [N_AMOUNT] = {"amount_brl", 2, false, false},
    [N_VS_P95] = {"amount_vs_p95", 3, true, false},
    [N_PAYEE_AGE] = {"payee_age_days", 0, true, false},
    [N_KEY_AGE] = {"key_age_days", 0, false, true},
    [N_KNOWN_DAYS] = {"payee_known_days", 0, true, false},
    [N_TX_1H] = {"payer_tx_1h", 2, true, false},
    [N_AMOUNT_24H] = {"payer_amount_24h_brl", 2, true, false},
    [N_PAYERS_1H] = {"payee_payers_1h", 2, true, false},
    [N_OUT_RATIO] = {"payee_out_ratio_5m", 3, true, false},
    [N_DEVICE_AGE] = {"device_age_days", 0, true, false},
    [N_DEVICE_PAYERS] = {"device_payers", 0, true, false},
    [N_SESSION] = {"session_seconds", 0, false, false},
    [N_BALANCE_LEFT] = {"balance_left_ratio", 3, false, false},
    [N_GAP] = {"payer_gap_seconds", 0, true, false},
    [N_MARKERS] = {"dict_markers_90d", 0, false, true},
};

const struct category_info sim_categories[SIM_CATEGORIES] = {
    [C_CHANNEL] = {"channel",
                   {STR_INIT("app"), STR_INIT("web"), STR_INIT("api"), STR_INIT("branch"),
                    STR_INIT("pos")}},
    [C_AGE_BAND] = {"payer_age_band",
                    {STR_INIT("18-24"), STR_INIT("25-34"), STR_INIT("35-49"), STR_INIT("50-59"),
                     STR_INIT("60+")}},
    [C_NETWORK] = {"network", {STR_INIT("known"), STR_INIT("new"), STR_INIT("shared")}},
    [C_QR_PAYEE] = {"qr_payee", {STR_INIT("none"), STR_INIT("usual"), STR_INIT("changed")}},
};

const struct sim_feature_info *sim_features(uint32_t *count)
{
    static const struct sim_feature_info rows[] = {
        {"amount_brl", FEATURE_NUMBER, -1, "amount in reais"},
        {"amount_vs_p95", FEATURE_NUMBER, -1, "amount over the 95th percentile of the payer's own"},
        {"payee_age_days", FEATURE_NUMBER, -1, "age of the payee's account"},
        {"key_age_days", FEATURE_NUMBER, -1, "age of the key in the DICT; null without a key"},
        {"payee_known_days", FEATURE_NUMBER, -1, "since this payer first paid this payee; 0 = now"},
        {"payer_tx_1h", FEATURE_NUMBER, -1, "payments of the payer, decayed over an hour"},
        {"payer_amount_24h_brl", FEATURE_NUMBER, -1, "reais paid, decayed over a day"},
        {"payee_payers_1h", FEATURE_NUMBER, -1, "payments received, decayed over an hour"},
        {"payee_out_ratio_5m", FEATURE_NUMBER, -1, "share of receipts sent on within 5 minutes"},
        {"device_age_days", FEATURE_NUMBER, -1, "since the device was first seen"},
        {"device_payers", FEATURE_NUMBER, -1, "payers that used the device"},
        {"session_seconds", FEATURE_NUMBER, -1, "from login to confirmation"},
        {"balance_left_ratio", FEATURE_NUMBER, -1, "balance after over balance before"},
        {"payer_gap_seconds", FEATURE_NUMBER, -1, "since the payer's last payment"},
        {"dict_markers_90d", FEATURE_NUMBER, -1, "fraud markers of the payee in the DICT"},
        {"channel", FEATURE_CATEGORY, -1, "app, web, api, branch, pos"},
        {"payer_age_band", FEATURE_CATEGORY, -1, "18-24, 25-34, 35-49, 50-59, 60+"},
        {"network", FEATURE_CATEGORY, -1, "known, new, shared"},
        {"qr_payee", FEATURE_CATEGORY, -1, "none, usual, changed: payee of the merchant's code"},
        {"active_call", FEATURE_BOOL, -1, "a phone call is under way"},
    };
    *count = ARRAY_LEN(rows);
    return rows;
}

bool sim_people_init(struct people *p, const struct sim_config *c, uint64_t seed, struct mem *m)
{
    memset(p, 0, sizeof *p);
    p->seed = sim_mix(seed, 0x70656f706c65ULL);
    double n = c->volume.rate * 86400 * c->customers.payers_per_day_tx;
    n = fmin(fmax(n, (double)c->customers.payers_min), (double)c->customers.payers_max);
    p->payers = (uint64_t)n;
    p->merchants = p->payers / 20 + 50;
    double people = 0, paid = 0;
    for (uint32_t d = 1; d <= DEGREES; d++) {
        people += pow(d, -c->customers.zeta);
        paid += pow(d, 1 - c->customers.zeta);
    }
    double below = 0, share = 0;
    for (uint32_t d = 1; d <= DEGREES; d++) {
        p->class_from[d - 1] = (uint64_t)(below / people * (double)p->payers);
        below += pow(d, -c->customers.zeta);
        share += pow(d, 1 - c->customers.zeta) / paid;
        p->class_cum[d - 1] = share;
    }
    p->class_from[DEGREES] = p->payers;
    p->payer = mem_take(m, VELOCITY_SLOTS * sizeof *p->payer);
    p->payee = mem_take(m, VELOCITY_SLOTS * sizeof *p->payee);
    return p->payer && p->payee;
}

void sim_people_release(struct people *p, struct mem *m)
{
    mem_give(m, p->payer, VELOCITY_SLOTS * sizeof *p->payer);
    mem_give(m, p->payee, VELOCITY_SLOTS * sizeof *p->payee);
    p->payer = p->payee = NULL;
}

/* 1..payers. Binary search over the degrees; small populations leave high degrees empty, whose
 * payments then go to the last payer below. */
uint64_t sim_payer_draw(const struct people *p, struct rng *r)
{
    double u = rng_f64(r);
    uint32_t lo = 0, hi = DEGREES - 1;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (p->class_cum[mid] > u) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    uint64_t from = p->class_from[lo], to = p->class_from[lo + 1];
    if (to <= from) {
        return 1 + rng_below(r, p->payers);
    }
    return 1 + from + rng_below(r, to - from);
}

int64_t sim_amount_draw(const struct sim_config *c, struct rng *r, enum kind kind)
{
    double z = rng_normal(r);
    double u = rng_f64(r), v = rng_f64(r);
    double brl = exp(c->amounts.kind[kind].mu + c->amounts.kind[kind].sigma * z);
    if (kind == KIND_P2P && u < c->amounts.small_share) {
        static const double small[] = {5, 10, 20, 50};
        brl = small[(int)(v * 4)];
    } else if (kind == KIND_P2P && u < c->amounts.small_share + c->amounts.round_share) {
        double unit = brl >= 200 ? 50 : brl >= 30 ? 10 : brl >= 3 ? 5 : 0.01;
        brl = round(brl / unit) * unit;
    }
    double cap = kind == KIND_P2P || kind == KIND_P2B ? c->amounts.cap_person_brl : 1.2e9;
    brl = fmin(fmax(brl, 0.01), cap);
    return (int64_t)llround(brl * 100);
}

static void ispb_of(const struct sim *s, uint64_t person, char out[8])
{
    uint32_t i = sim_choose(&s->ispbs, sim_u01(s->people.seed ^ 0x69737062, person));
    memcpy(out, s->c.participants.v[i].ispb, 8);
}

static void ispbs_draw(const struct sim *s, struct tx *t)
{
    bool own = s->c.participants.own.n == 8;
    ispb_of(s, t->payer, t->payer_ispb);
    ispb_of(s, t->payee, t->payee_ispb);
    if (own && t->direction != DIRECTION_IN) {
        memcpy(t->payer_ispb, s->c.participants.own.p, 8);
    }
    if (own && t->direction == DIRECTION_IN) {
        memcpy(t->payee_ispb, s->c.participants.own.p, 8);
    }
    if (t->direction == DIRECTION_INTERNAL) {
        memcpy(t->payee_ispb, t->payer_ispb, 8);
    }
}

static void digits(char *out, int64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        out[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

/* The suffix is a bijection of the transaction's number, in base 62: ids never collide in a run. */
static void id_write(const struct sim *s, struct tx *t)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    int64_t minute = t->t0 + (t->local_id ? -3 * 3600 * NS_PER_S : 0);
    struct civil c = civil_from_ns(minute);
    char *p = t->id.c;
    p[0] = 'E';
    memcpy(p + 1, t->payer_ispb, 8);
    digits(p + 9, c.year, 4);
    digits(p + 13, c.month, 2);
    digits(p + 15, c.day, 2);
    digits(p + 17, c.hour, 2);
    digits(p + 19, c.minute, 2);
    uint64_t v = sim_mix(s->run.seed, t->number);
    for (int i = 31; i >= 21; i--) {
        p[i] = alphabet[v % 62];
        v /= 62;
    }
}

static void device_draw(const struct sim *s, struct rng *r, struct tx *t)
{
    uint64_t h = sim_mix(s->people.seed ^ 0x646576, t->payer);
    t->new_device = rng_f64(r) < s->c.customers.new_device;
    /* 1.4 devices each: 40 % have a second one, used for a third of their payments. */
    bool second = h % 10 < 4 && rng_f64(r) < 0.33;
    t->device = sim_mix(h, t->new_device ? t->number | (1ULL << 63) : second);
}

/* Direction, form and key: what both good and bad payments have. */
static void tx_route(const struct sim *s, struct rng *r, struct tx *t)
{
    static const uint8_t form_of[] = {FORM_NONE, FORM_MANU, FORM_DICT, FORM_QRES, FORM_QRDN,
                                      FORM_INIC, FORM_AUTO, FORM_APDN, FORM_APES};
    double u = rng_f64(r);
    t->form = form_of[sim_choose(&s->forms, rng_f64(r))];
    uint32_t key = sim_choose(&s->keys, rng_f64(r));
    t->key = t->form == FORM_MANU || t->form == FORM_AUTO ? KEY_NONE : (uint8_t)key;
    if (u < s->c.mix.internal) {
        t->direction = DIRECTION_INTERNAL;
        t->settlement = SETTLEMENT_INTERNAL;
        return;
    }
    bool out = (u - s->c.mix.internal) / (1 - s->c.mix.internal) < s->c.mix.out;
    t->direction = out ? DIRECTION_OUT : DIRECTION_IN;
    t->settlement = t->form == FORM_AUTO ? SETTLEMENT_SPI_SECONDARY : SETTLEMENT_SPI_PRIMARY;
}

/* A whole payment without fraud, but for its id; a campaign then overwrites what it determines. */
void sim_tx_legit(struct sim *s, struct rng *r, struct tx *t)
{
    struct calendar *k = &s->calendar;
    int64_t local = t->t0 + (int64_t)(s->c.volume.utc_offset_h * 3600) * NS_PER_S;
    (void)sim_day_factor(k, day_from_ns(local));
    t->kind = (uint8_t)sim_choose(k->memo.business ? &s->kinds : &s->kinds_weekend, rng_f64(r));
    t->pattern = PAT_NONE;
    t->looks_like = PAT_NONE;
    t->lost_to = SIM_STAGES;
    t->hold_deadline = T_NS_NONE;
    t->amount = sim_amount_draw(&s->c, r, t->kind);
    t->payer = sim_payer_draw(&s->people, r);
    double u = rng_f64(r), v = rng_f64(r);
    bool to_person = t->kind == KIND_P2P || t->kind == KIND_B2P;
    t->payee_known = rng_f64(r) < (to_person ? s->c.customers.known_share : 0.6);
    if (!to_person) {
        t->payee = MERCHANT_BIT | (uint64_t)((double)s->people.merchants * v * v * v);
    } else if (t->payee_known) {
        t->payee = 1 + sim_mix(t->payer, (uint64_t)(u * u * 8)) % s->people.payers;
    } else {
        t->payee = 1 + (uint64_t)(v * (double)s->people.payers);
    }
    tx_route(s, r, t);
    device_draw(s, r, t);
}

/* After payer, payee, direction and t0 are final: institutions and the EndToEndId. */
void sim_tx_seal(const struct sim *s, struct tx *t)
{
    ispbs_draw(s, t);
    id_write(s, t);
}

static int64_t exp_days(double u, double mean_days)
{
    return (int64_t)(-log(1 - u) * mean_days);
}

static const struct velocity *velocity_of(const struct velocity *table, uint64_t id)
{
    const struct velocity *v = &table[sim_mix(7, id) % VELOCITY_SLOTS];
    return v->id == id ? v : NULL;
}

static double decayed(float x, int64_t dt_ns, double tau_s)
{
    return dt_ns <= 0 ? (double)x : (double)x * exp(-s_from_ns(dt_ns) / tau_s);
}

static void recent_features(const struct people *p, struct rng *r, struct tx *t)
{
    const struct velocity *from = velocity_of(p->payer, t->payer);
    const struct velocity *to = velocity_of(p->payee, t->payee);
    double tx = from ? decayed(from->count_1h, t->t0 - from->t, 3600) : 0;
    double brl = from ? decayed(from->brl_24h, t->t0 - from->t, 86400) : 0;
    double in = to ? decayed(to->count_1h, t->t0 - to->t, 3600) : 0;
    double gap = rng_exp(r) * 86400;
    t->values[N_TX_1H] = (int64_t)(tx * 100);
    t->values[N_AMOUNT_24H] = (int64_t)(brl * 100);
    t->values[N_PAYERS_1H] = (int64_t)(in * 100);
    t->values[N_GAP] = from ? (t->t0 - from->t) / NS_PER_S : 60 + (int64_t)gap;
}

void sim_tx_features(struct sim *s, struct rng *r, struct tx *t)
{
    uint64_t seed = s->people.seed;
    double mean_days = s->c.customers.age_years * 365.25;
    double p95 = exp(s->c.amounts.kind[t->kind].mu + 1.2 * s->c.amounts.kind[t->kind].sigma +
                     0.3 * sim_gauss_of(seed ^ 11, t->payer));
    double u = rng_f64(r), left = rng_f64(r), rare = rng_f64(r), share = rng_f64(r);
    int64_t payee_age = exp_days(sim_u01(seed ^ 1, t->payee), mean_days);
    bool qr = t->form == FORM_QRES || t->form == FORM_QRDN || t->form == FORM_APDN ||
              t->form == FORM_APES;
    t->values[N_AMOUNT] = t->amount;
    t->values[N_VS_P95] = (int64_t)((double)t->amount / 100 / p95 * 1000);
    t->values[N_PAYEE_AGE] = payee_age;
    t->values[N_KEY_AGE] = t->key == KEY_NONE
                               ? NUMBER_NULL
                               : (int64_t)((double)payee_age * sim_u01(seed ^ 2, t->payee));
    t->values[N_KNOWN_DAYS] = t->payee_known ? 1 + (int64_t)(sim_u01(t->payer, t->payee) * 900) : 0;
    t->values[N_OUT_RATIO] = (int64_t)(500 * share * share * share * share);
    t->values[N_DEVICE_AGE] = t->new_device ? 0 : 1 + exp_days(sim_u01(seed, t->device), 400);
    t->values[N_DEVICE_PAYERS] = 1 + (rare > 0.88) + (rare > 0.98);
    t->values[N_SESSION] = 5 + (int64_t)(exp(3.8 + 0.7 * rng_normal(r)));
    t->values[N_BALANCE_LEFT] = (int64_t)(1000 * (1 - left * left * left));
    t->values[N_MARKERS] = u < 0.002;
    recent_features(&s->people, r, t);
    double age = sim_u01(seed ^ 3, t->payer), ch = rng_f64(r);
    bool person = t->kind == KIND_P2P || t->kind == KIND_P2B;
    t->values_cat[C_CHANNEL] = person ? (ch < 0.9    ? 0
                                         : ch < 0.96 ? 1
                                         : ch < 0.99 ? 4
                                                     : 3)
                                      : (ch < 0.2   ? 0
                                         : ch < 0.5 ? 1
                                                    : 2);
    t->values_cat[C_AGE_BAND] = age < 0.18   ? 0
                                : age < 0.43 ? 1
                                : age < 0.73 ? 2
                                : age < 0.87 ? 3
                                             : 4;
    t->values_cat[C_NETWORK] = t->new_device || u > 0.93 ? 1 : u > 0.9 ? 2 : 0;
    t->values_cat[C_QR_PAYEE] = !qr ? 0 : 1;
    t->active_call = rare < 0.01;
    t->with_features = s->c.model.features_share >= 1 || ch < s->c.model.features_share;
}

static void velocity_add(struct velocity *table, uint64_t id, int64_t t, double brl)
{
    struct velocity *v = &table[sim_mix(7, id) % VELOCITY_SLOTS];
    if (v->id != id) {
        *v = (struct velocity){.id = id, .t = t, .count_1h = 1, .brl_24h = (float)brl};
        return;
    }
    v->count_1h = (float)decayed(v->count_1h, t - v->t, 3600) + 1;
    v->brl_24h = (float)(decayed(v->brl_24h, t - v->t, 86400) + brl);
    v->t = t;
}

void sim_velocity_note(struct sim *s, struct tx *t)
{
    double brl = (double)t->amount / 100;
    velocity_add(s->people.payer, t->payer, t->t0, brl);
    velocity_add(s->people.payee, t->payee, t->t0, brl);
}
