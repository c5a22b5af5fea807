/* Private to sim/: the transaction while it is under way, and the parts that make it.
 *
 * A transaction is drawn whole when it arrives (people, amount, features, score, every stage's
 * times) from its own random stream, keyed by seed and number: a fault changes only what it
 * touches, and the rest of the run keeps its bytes. Then only its next step waits in the queue. */
#ifndef SIM_SIM_INT_H
#define SIM_SIM_INT_H

#include "base/clock.h"
#include "base/rng.h"
#include "sim/sim.h"

enum stage_idx { ST_INGEST, ST_ENRICH, ST_FEATURES, ST_SCORE, ST_DECIDE, ST_ACT, ST_SETTLE };
#define STEP_DECISION 7 /* pseudo stage: the decision event */
#define STEPS_MAX     12
#define HOSTS_MAX     16

enum kind { KIND_P2P, KIND_P2B, KIND_B2P, KIND_B2B };
enum key_type { KEY_CPF, KEY_CNPJ, KEY_PHONE, KEY_EMAIL, KEY_EVP, KEY_NONE };
enum pattern {
    PAT_IMPOSTOR,
    PAT_CALL_CENTRE,
    PAT_TAKEOVER,
    PAT_MULE,
    PAT_QR_SWAP,
    PAT_DEVICE_FARM,
    PAT_WRONG_PIX,
    PAT_SUPPLIER,
    PAT_NONE
};

/* Numbers are fixed point: value * 10^dp, so that printing them is integer work. */
enum number {
    N_AMOUNT,
    N_VS_P95,
    N_PAYEE_AGE,
    N_KEY_AGE,
    N_KNOWN_DAYS,
    N_TX_1H,
    N_AMOUNT_24H,
    N_PAYERS_1H,
    N_OUT_RATIO,
    N_DEVICE_AGE,
    N_DEVICE_PAYERS,
    N_SESSION,
    N_BALANCE_LEFT,
    N_GAP,
    N_MARKERS
};
#define NUMBER_NULL INT64_MIN
struct number_info {
    const char *name;
    uint8_t dp;
    bool store; /* comes from the feature store: fault redis reaches it */
    bool dict;  /* comes from the DICT: fault dict reaches it */
};
extern const struct number_info sim_numbers[SIM_NUMBERS];

enum category { C_CHANNEL, C_AGE_BAND, C_NETWORK, C_QR_PAYEE };
struct category_info {
    const char *name;
    struct str values[5];
};
extern const struct category_info sim_categories[SIM_CATEGORIES];
extern const struct str sim_stage_names[SIM_STAGES];
extern const struct str sim_pattern_names[SIM_PATTERNS];
extern const struct str sim_key_names[SIM_KEYS];

struct step {
    int64_t start, end; /* true times; the clock of the host is added when written */
    int64_t queue;
    const char *reason; /* static, NULL = none */
    uint8_t stage, outcome, attempt, host;
    uint8_t version; /* 1 + the fault that brought it; 0 = the configured one */
};

struct tx {
    struct e2e id;
    uint64_t number; /* counts arrivals: key of every later draw */
    int64_t t0;
    int64_t amount; /* centavos */
    uint64_t payer, payee, device;
    int64_t values[SIM_NUMBERS];
    double signal; /* what the model sees beyond the features, see score.c */
    double score, threshold;
    int64_t hold_deadline; /* T_NS_NONE */
    int64_t latency_ns[SIM_STAGES];
    char payer_ispb[8], payee_ispb[8];
    uint8_t values_cat[SIM_CATEGORIES];
    uint8_t kind, form, key, direction, settlement, verdict, fallback;
    uint8_t model_version; /* as step.version */
    uint8_t pattern;       /* PAT_NONE: legitimate */
    uint8_t looks_like;    /* a legitimate payment with a fraud's features */
    bool active_call, with_features, new_device, payee_known, redis;
    bool forced_hold, local_id;
    uint8_t lost_to; /* stage it never finished; SIM_STAGES = not lost */
    uint8_t steps_count, next;
    uint32_t refs; /* entries of the queue that point here */
    struct step steps[STEPS_MAX];
};

struct campaign {
    uint8_t pattern;
    uint32_t done, count;
    uint64_t actor;  /* the fraudster's account, device or till */
    uint64_t victim; /* fixed payer, 0 = a new one each time */
    int64_t gap_ns;  /* mean time between its transactions */
    double scale;    /* ln of the amount level */
    uint32_t fault;  /* 1 + index of the fault that started it */
};

struct label_slot {
    struct e2e id;
    int64_t t, contested, amount;
    uint64_t number;
    uint8_t truth, source, pattern;
    uint8_t sequence;   /* 0 first, 1 its correction */
    uint8_t supersedes; /* corrects sequence 0 */
    int64_t first_t;    /* time of sequence 0, to rebuild its event_id */
};

/* Queue: 4-ary heap by (time, order of insertion). */
enum entry_kind { Q_STEP, Q_AGAIN, Q_LABEL, Q_CAMPAIGN };
struct entry {
    int64_t t;
    uint64_t order;
    uint32_t slot;
    uint8_t kind, step;
    bool dup;
};
struct queue {
    struct mem *mem;
    struct entry *v;
    size_t n, cap, max;
    uint64_t order;
};
void sim_queue_init(struct queue *q, struct mem *m, size_t max);
void sim_queue_release(struct queue *q);
MUST_USE bool sim_queue_push(struct queue *q, struct entry e);
struct entry sim_queue_pop(struct queue *q); /* n > 0 */

/* Slots of one size with a free list, growing to a cap. */
struct pool {
    struct mem *mem;
    char *v;
    uint32_t *free;
    size_t element, cap, free_cap, max;
    uint32_t used, free_count;
};
#define POOL_FULL UINT32_MAX
void sim_pool_init(struct pool *p, struct mem *m, size_t element, size_t max);
void sim_pool_release(struct pool *p);
uint32_t sim_pool_take(struct pool *p); /* zeroed; POOL_FULL at the cap */
void sim_pool_give(struct pool *p, uint32_t slot);
static inline void *sim_pool_at(const struct pool *p, uint32_t slot)
{
    return p->v + (size_t)slot * p->element;
}

/* Weighted choice: cumulative sums, linear for the few. */
struct choice {
    double cum[SIM_PARTICIPANTS_MAX];
    uint32_t n;
};
void sim_choice_init(struct choice *c, const double *w, uint32_t n);
uint32_t sim_choose(const struct choice *c, double u);

/* Stateless draws: the same arguments give the same number. */
uint64_t sim_mix(uint64_t a, uint64_t b);
double sim_u01(uint64_t a, uint64_t b);
double sim_gamma(struct rng *r, double shape);
double sim_gauss_of(uint64_t a, uint64_t b); /* N(0,1) from a hash */

/* Arrivals (calendar.c). */
struct calendar {
    const struct sim_config *c;
    uint64_t seed;
    int64_t from_ns;
    double hours[2][24]; /* [business day, other], mean 1 */
    int32_t extra[64];
    uint32_t extra_count;
    struct {
        int32_t day;
        double factor;
        bool business;
    } memo;
    struct {
        int64_t minute;
        double noise;
    } gamma;
    double scale; /* takes campaigns' own transactions out of the base rate */
};
void sim_calendar_init(struct calendar *k, const struct sim_config *c, uint64_t seed,
                       int64_t from_ns);
double sim_day_factor(struct calendar *k, int32_t day); /* local day */
bool sim_is_business_day(const struct calendar *k, int32_t day);
bool sim_is_holiday(const struct calendar *k, int32_t day);
double sim_rate_at(struct calendar *k, int64_t t_ns); /* per second, constant within a second */
double sim_local_hour(const struct calendar *k, int64_t t_ns); /* 0..24 */
int64_t sim_next_arrival(struct calendar *k, struct rng *r, int64_t t_ns, int64_t until_ns);

/* Velocity of a payer or payee: decayed counters in a direct-mapped table, newest id wins. */
struct velocity {
    uint64_t id;
    int64_t t;
    float count_1h, brl_24h;
};
#define VELOCITY_SLOTS 65536U
#define DEGREES        512U

struct people {
    uint64_t seed, payers, merchants;
    uint64_t class_from[DEGREES + 1]; /* first payer of each degree */
    double class_cum[DEGREES];        /* share of transactions */
    struct velocity *payer, *payee;
};

/* The score (score.c). z = base + k * sum(features) + noise + signal. */
struct scorer {
    double base, k, noise;
    double fraud_shift, lookalike_shift;
    double lookalike_rate; /* per arrival */
    double redis_share; /* of affected good payments that fault redis pushes over the threshold */
    double claim_share; /* of good completed payments that are contested */
};

struct fault_state {
    struct sim_fault f; /* times absolute here */
    uint64_t affected;
};

struct lost {
    struct e2e id;
    int64_t t, amount;
    uint8_t from, to;
};

struct sim {
    struct mem *mem;
    struct sim_config c;
    struct sim_run run;
    int64_t until_ns;
    struct fault_state faults[SIM_FAULTS_MAX];
    uint32_t faults_count;
    uint32_t fault_mask; /* bit per sim_fault_id in use */
    struct calendar calendar;
    struct rng arrivals;
    int64_t arrival_ns; /* next one; INT64_MAX = none */
    struct people people;
    struct scorer scorer;
    struct choice kinds, kinds_weekend, forms, keys, ispbs, rejects, label_delays;
    struct choice patterns[24]; /* campaigns, by local hour */
    struct choice fraud_mix;    /* fraudulent payments, over a whole day */
    double campaign_rate[24];   /* campaigns per arrival */
    struct queue queue;
    struct pool txs, labels, campaigns;
    struct sim_totals totals;
    struct lost *lost;
    size_t lost_cap;
    uint64_t numbers; /* transactions numbered so far */
    int64_t emitted_ns;
};

/* fault.c: the first fault of that kind whose window holds t, or NULL. */
struct fault_state *sim_fault_at(struct sim *s, enum sim_fault_id id, int64_t t);
/* Draws the fault's share for transaction `number`; counts it as affected when it strikes. */
bool sim_fault_strikes(struct sim *s, struct fault_state *f, uint64_t number, uint64_t salt);
static inline uint8_t sim_fault_index(const struct sim *s, const struct fault_state *f)
{
    return (uint8_t)(1 + (f - s->faults));
}

/* people.c */
MUST_USE bool sim_people_init(struct people *p, const struct sim_config *c, uint64_t seed,
                              struct mem *m);
void sim_people_release(struct people *p, struct mem *m);
uint64_t sim_payer_draw(const struct people *p, struct rng *r);
void sim_tx_legit(struct sim *s, struct rng *r, struct tx *t);
void sim_tx_seal(const struct sim *s, struct tx *t);
/* Features of a payment without fraud, from people and velocity. */
void sim_tx_features(struct sim *s, struct rng *r, struct tx *t);
void sim_velocity_note(struct sim *s, struct tx *t);
int64_t sim_amount_draw(const struct sim_config *c, struct rng *r, enum kind kind);

/* fraud.c */
void sim_patterns_init(struct sim *s);
uint32_t sim_campaign_size(enum pattern p, struct rng *r);
double sim_campaign_size_mean(enum pattern p);
void sim_campaign_init(struct sim *s, struct rng *r, enum pattern p, uint32_t slot,
                       struct campaign *c);
/* Who pays whom, before features; then what the features look like. */
void sim_campaign_people(struct sim *s, struct rng *r, const struct campaign *c, struct tx *t);
void sim_campaign_shape(struct sim *s, struct rng *r, const struct campaign *c, struct tx *t);
int64_t sim_campaign_gap(const struct campaign *c, struct rng *r);

/* score.c */
MUST_USE bool sim_scorer_init(struct sim *s, struct err *e);
double sim_logit(const struct scorer *m, const struct tx *t);
void sim_signal_draw(const struct scorer *m, struct rng *r, struct tx *t);

/* plan.c: times, score, verdict and steps of a drawn transaction. */
void sim_plan(struct sim *s, struct rng *r, struct tx *t);
/* label.c: schedules what will become known. */
MUST_USE bool sim_labels_plan(struct sim *s, struct rng *r, const struct tx *t);

/* line.c: one NDJSON line each. */
void sim_line_step(struct sim *s, const struct tx *t, const struct step *p, struct buf *out);
void sim_line_label(struct sim *s, const struct label_slot *l, struct buf *out);

#endif
