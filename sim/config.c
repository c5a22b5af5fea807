/* The simulator's configuration: one table per section, and everything from it - reading, bounds,
 * suggestions, and sim/default.yml, which is the printed form of these tables, so the two cannot
 * disagree (a test compares them byte for byte).
 *
 * Every default is a figure of design/domain.md section 7 unless its help says [D], "our own
 * choice". Invariant: after sim_config_read every field is set, whatever the text left out. */
#include "sim/sim.h"

#include "base/clock.h"
#include "sim/sim_int.h"

struct section {
    const char *name, *help;
    const struct conf_field *fields;
    size_t count;
};

#define AT(path) offsetof(struct sim_config, path)
#define F64(path, key, d, lo, hi, h)                  \
    {                                                 \
        key, CONF_T_F64, AT(path), d, lo, hi, h, NULL \
    }
#define I64(path, key, d, lo, hi, h)                  \
    {                                                 \
        key, CONF_T_I64, AT(path), d, lo, hi, h, NULL \
    }
#define DUR(path, key, d, lo, hi, h)                       \
    {                                                      \
        key, CONF_T_DURATION, AT(path), d, lo, hi, h, NULL \
    }
#define TXT(path, key, d, h)                        \
    {                                               \
        key, CONF_T_STR, AT(path), d, 0, 0, h, NULL \
    }
#define OWN(path, key, d, h, f)                     \
    {                                               \
        key, CONF_T_CUSTOM, AT(path), d, 0, 0, h, f \
    }
#define SHARE(path, key, d, h) F64(path, key, d, 0, 1, h)
#define ABSENT_S               1e6 /* upper bound for weights and means */

static bool numbers_read(const struct yaml_node *n, double *out, uint32_t count, struct err *e)
{
    if (n->kind != YAML_SEQUENCE || n->children_count != count) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a list of %u numbers", count);
    }
    uint32_t i = 0;
    for (const struct yaml_node *c = n->first; c; c = c->next, i++) {
        double v = 0;
        if (c->kind != YAML_SCALAR || !str_to_f64(c->text, &v) || v < 0 || v > ABSENT_S) {
            return err_at(e, ERR_INPUT, c->line, c->col,
                          "expected a number from 0 to 1000000, found '%.*s'", STR_FMT(c->text));
        }
        out[i] = v;
    }
    return true;
}

#define NUMBERS_READER(count)                                                                      \
    static bool read_##count(const struct yaml_node *n, void *dst, struct arena *a, struct err *e) \
    {                                                                                              \
        (void)a;                                                                                   \
        return numbers_read(n, (double *)dst, (count), e);                                         \
    }
NUMBERS_READER(3)
NUMBERS_READER(7)
NUMBERS_READER(24)

static bool ispb_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool good = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'A' && s.p[i] <= 'Z');
        if (!good) {
            return false;
        }
    }
    return s.n == 8;
}

/* dst is the first element of participants.v. Absent rows get weight 0 and end the list. */
static bool read_participants(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    struct sim_weighted *v = dst;
    (void)a;
    if (n->kind != YAML_MAPPING || n->children_count == 0 ||
        n->children_count > SIM_PARTICIPANTS_MAX) {
        return err_at(e, ERR_INPUT, n->line, n->col, "expected a mapping of 1 to %d ISPB: weight",
                      SIM_PARTICIPANTS_MAX);
    }
    memset(v, 0, sizeof *v * SIM_PARTICIPANTS_MAX);
    uint32_t i = 0;
    for (const struct yaml_node *c = n->first; c; c = c->next, i++) {
        if (!ispb_ok(c->key)) {
            return err_at(e, ERR_INPUT, c->key_line, c->key_col,
                          "expected an ISPB of 8 characters 0-9 A-Z, found '%.*s'",
                          STR_FMT(c->key));
        }
        double w = 0;
        if (c->kind != YAML_SCALAR || !str_to_f64(c->text, &w) || w < 0 || w > ABSENT_S) {
            return err_at(e, ERR_INPUT, c->line, c->col,
                          "expected a weight from 0 to 1000000, found '%.*s'", STR_FMT(c->text));
        }
        memcpy(v[i].ispb, c->key.p, 8);
        v[i].weight = w;
    }
    return true;
}

static const struct conf_field volume_fields[] = {
    F64(volume.rate, "rate", "100", 0.001, 1000000,
        "mean transactions per second over an ordinary day"),
    {"shape", CONF_T_BOOL, AT(volume.shape), "true", 0, 0,
     "false: constant rate (only the Poisson noise remains)", NULL},
    OWN(volume.weekday, "weekday_hours",
        "[0.94, 0.57, 0.39, 0.33, 0.42, 0.83, 1.77, 3.12, 4.57, 5.61, 6.13, 6.55, 6.86, 6.34, "
        "6.13, 6.03, 6.03, 6.44, 6.96, 6.65, 6.13, 5.30, 3.74, 2.18]",
        "share of a weekday in each local hour, 00 to 23 (normalised)", read_24),
    OWN(volume.weekend, "weekend_hours",
        "[2.01, 1.41, 0.96, 0.70, 0.60, 0.75, 1.21, 2.21, 3.62, 5.03, 6.04, 6.64, 6.94, 6.44, "
        "5.84, 5.53, 5.63, 5.94, 6.44, 6.64, 6.34, 5.53, 4.33, 3.22]",
        "the same for Saturdays, Sundays and holidays", read_24),
    OWN(volume.day, "day_factors", "[1.00, 1.00, 1.00, 1.02, 1.12, 0.95, 0.72]",
        "factor of each day, Monday to Sunday", read_7),
    F64(volume.fifth_business_day, "fifth_business_day", "1.35", 0, 10,
        "further factor on the 5th business day of a month"),
    F64(volume.salary_13, "salary_13", "1.45", 0, 10, "30 November and 20 December"),
    F64(volume.salary_13_fifth, "salary_13_fifth", "1.54", 0, 10,
        "when both fall together (the record of 5 December 2025)"),
    F64(volume.black_friday, "black_friday", "1.46", 0, 10,
        "the day after November's 4th Thursday"),
    F64(volume.holiday, "holiday", "0.80", 0, 10, "further factor on a national holiday"),
    {"holidays", CONF_T_STR_LIST, AT(volume.holidays), "[]", 0, 64,
     "further holidays as YYYY-MM-DD; the national ones are known", NULL},
    F64(volume.burst, "burst", "1.5", 0, 100, "factor at the top of every hour"),
    DUR(volume.burst_ms, "burst_length", "2m", 0, 3600000, "how long that lasts"),
    F64(volume.noise_cv, "noise_cv", "0.05", 0, 1,
        "coefficient of variation of the gamma noise of each minute"),
    F64(volume.growth, "growth", "0.26", -1, 10, "growth a year, counted from the begin"),
    F64(volume.utc_offset_h, "utc_offset_hours", "-3", -14, 14, "local time minus UTC"),
};

#define AMOUNT(i, name, w, mu_, sigma_)                                               \
    F64(amounts.kind[i].weight, name "_weight", w, 0, 1000, "share of transactions"), \
        F64(amounts.kind[i].mu, name "_mu", mu_, -10, 20, "mean of ln(R$)"),          \
        F64(amounts.kind[i].sigma, name "_sigma", sigma_, 0, 5, "deviation of ln(R$)")
static const struct conf_field amount_fields[] = {
    AMOUNT(0, "p2p", "0.47", "3.744", "1.9"),
    AMOUNT(1, "p2b", "0.43", "3.886", "1.5"),
    AMOUNT(2, "b2p", "0.06", "5.522", "1.6"),
    AMOUNT(3, "b2b", "0.04", "6.517", "2.0"),
    SHARE(amounts.round_share, "round_share", "0.35",
          "share of person-to-person amounts rounded to 5, 10 or 50"),
    SHARE(amounts.small_share, "small_share", "0",
          "share of person-to-person amounts that are 5, 10, 20 or 50 exactly"),
    F64(amounts.cap_person_brl, "cap_person_brl", "100000", 1, 1200000000,
        "largest amount a person pays"),
    SHARE(amounts.weekend_b2b, "weekend_b2b", "0.05", "weight of b2b on days without business"),
};

#define WEIGHT(path, key, d, h) F64(path, key, d, 0, ABSENT_S, h)
static const struct conf_field mix_fields[] = {
    WEIGHT(mix.form[FORM_DICT], "form_dict", "0.42", "key typed or chosen [D]"),
    WEIGHT(mix.form[FORM_QRDN], "form_qrdn", "0.27", "dynamic QR code [D]"),
    WEIGHT(mix.form[FORM_QRES], "form_qres", "0.10", "static QR code [D]"),
    WEIGHT(mix.form[FORM_MANU], "form_manu", "0.09", "branch and account typed [D]"),
    WEIGHT(mix.form[FORM_INIC], "form_inic", "0.07", "payment initiator, Open Finance [D]"),
    WEIGHT(mix.form[FORM_AUTO], "form_auto", "0.03", "Pix Automatico [D]"),
    WEIGHT(mix.form[FORM_APDN], "form_apdn", "0.01", "approximation, dynamic [D]"),
    WEIGHT(mix.form[FORM_APES], "form_apes", "0.01", "approximation, static [D]"),
    WEIGHT(mix.key[0], "key_cpf", "0.34", "use of CPF keys in payments with a key [D]"),
    WEIGHT(mix.key[1], "key_cnpj", "0.12", "CNPJ [D]"),
    WEIGHT(mix.key[2], "key_phone", "0.33", "phone [D]"),
    WEIGHT(mix.key[3], "key_email", "0.07", "e-mail [D]"),
    WEIGHT(mix.key[4], "key_evp", "0.14", "random key [D]"),
    SHARE(mix.internal, "internal", "0.15", "transfers inside one institution: no settle stage"),
    SHARE(mix.out, "out", "0.5", "share of the others that leave (the rest arrives)"),
};

static const struct conf_field participant_fields[] = {
    TXT(participants.own, "own", "99999008",
        "ISPB of the watched institution; empty: payer and payee are both drawn"),
    OWN(participants.v, "weights",
        "{'18236120': 0.16, '00360305': 0.10, '60701190': 0.10, '60746948': 0.09, "
        "'00000000': 0.08, '90400888': 0.06, '10573521': 0.09, '22896431': 0.05, "
        "'00416968': 0.05, '08561701': 0.05, '31872495': 0.03, '16501555': 0.03, "
        "'01181521': 0.02, '02038232': 0.02, '18189547': 0.015, '13370835': 0.01, "
        "'20855875': 0.01, '30306294': 0.008, '33264668': 0.005, '58160789': 0.005, "
        "'92702067': 0.006, '07237373': 0.004, '59285411': 0.008, '10664513': 0.004, "
        "'59588111': 0.004, '19540550': 0.006, '13935893': 0.006, '09089356': 0.005, "
        "'54403563': 0.003, '71027866': 0.003, '24313102': 0.003, '05463212': 0.003}",
        "ISPB of the other institutions and their weights (normalised) [D]", read_participants),
};

static const struct conf_field customer_fields[] = {
    F64(customers.payers_per_day_tx, "payers_per_day_tx", "0.5", 0, 1000,
        "payers per transaction of a mean day"),
    I64(customers.payers_min, "payers_min", "1000", 64, 100000000, "at least this many payers [D]"),
    I64(customers.payers_max, "payers_max", "20000000", 64, 100000000, "and at most [D]"),
    F64(customers.zeta, "zeta", "2.1", 1.1, 5, "exponent of payments per payer"),
    SHARE(customers.known_share, "known_share", "0.8",
          "share of person-to-person payments to a known payee"),
    F64(customers.age_years, "age_years", "4", 0.01, 50, "mean age of an account, exponential"),
    SHARE(customers.new_device, "new_device", "0.03", "share of sessions from a new device"),
};

static const struct conf_field fraud_fields[] = {
    F64(fraud.rate, "rate", "0.00007", 0, 0.2, "frauds per transaction (70 per million)"),
    F64(fraud.mu, "mu", "6.25", -10, 20, "mean of ln(R$) of a fraud"),
    F64(fraud.sigma, "sigma", "1.4", 0, 5, "its deviation"),
    WEIGHT(fraud.weight[0], "impostor", "0.27", "share of frauds: WhatsApp impostor [D]"),
    WEIGHT(fraud.weight[1], "call_centre", "0.20", "fake call centre [D]"),
    WEIGHT(fraud.weight[2], "takeover", "0.15", "account takeover [D]"),
    WEIGHT(fraud.weight[3], "mule", "0.18", "mule fan-in and fan-out (fake shops pay in) [D]"),
    WEIGHT(fraud.weight[4], "qr_swap", "0.08", "QR code swapped at the till [D]"),
    WEIGHT(fraud.weight[5], "device_farm", "0.08", "device-emulator farm [D]"),
    WEIGHT(fraud.weight[6], "wrong_pix", "0.03999", "'wrong Pix' abuse of the MED [D]"),
    WEIGHT(fraud.weight[7], "supplier", "0.00001",
           "supplier attack, C&M-like; rare, but moves the mean [D]"),
};

static const struct conf_field model_fields[] = {
    TXT(model.name, "name", "fraud-gbm", "model id of the decisions"),
    TXT(model.version, "version", "7.3.0", "model version"),
    TXT(model.sha256, "sha256", "9f2b6c1d4e8a7053b1c6d2f4e8a9075316c2d4f8e0a1b3c5d7e9f1032547698b",
        "artifact digest"),
    F64(model.threshold, "threshold", "0.95", 0.01, 0.9999, "score from which a payment is held"),
    F64(model.deny, "deny", "0.99", 0.01, 1, "score from which it is denied [D]"),
    F64(model.step_up, "step_up", "0.9", 0.01, 1, "score from which a second factor is asked [D]"),
    F64(model.precision, "precision", "0.85", 0.01, 0.999,
        "target share of frauds among held and denied: sets how many legitimate payments look "
        "like fraud"),
    F64(model.recall, "recall", "0.65", 0.05, 0.99,
        "target share of frauds that are held or denied: sets how well the score separates"),
    F64(model.noise, "noise", "0.8", 0, 5, "deviation of the noise on the score's logit [D]"),
    SHARE(model.features_share, "features_share", "1", "share of decisions that carry features"),
};

#define STAGE(i, name, d) \
    OWN(stages.stage[i], name, d, "[median work ms, sigma, mean queue ms] [D]", read_3)
static const struct conf_field stage_fields[] = {
    STAGE(0, "ingest", "[1.5, 0.4, 0.3]"),
    STAGE(1, "enrich", "[13, 0.45, 0.6]"),
    STAGE(2, "features", "[4.2, 0.35, 0.4]"),
    STAGE(3, "score", "[6.2, 0.35, 0.6]"),
    STAGE(4, "decide", "[2.5, 0.45, 0.2]"),
    STAGE(5, "act", "[6, 0.5, 0.4]"),
    STAGE(6, "settle", "[1600, 0.35, 5]"),
    F64(stages.common_sigma, "common_sigma", "0.5", 0, 3,
        "slowness that all stages of a transaction before settle share (deviation of ln) [D]"),
    SHARE(stages.retry_share, "retry_share", "0.001",
          "share of enrich calls that need a retry [D]"),
    SHARE(stages.reject_share, "reject_share", "0.005", "share of settlements that are rejected"),
    WEIGHT(stages.reject[0], "reject_ac03", "0.2", "weight of each reason: AC03"),
    WEIGHT(stages.reject[1], "reject_ac06", "0.1", "AC06"),
    WEIGHT(stages.reject[2], "reject_ab03", "0.05", "AB03 (40 s timeout)"),
    WEIGHT(stages.reject[3], "reject_ds04", "0.15", "DS04"),
    WEIGHT(stages.reject[4], "reject_am02", "0.2", "AM02"),
    WEIGHT(stages.reject[5], "reject_be01", "0.1", "BE01"),
    WEIGHT(stages.reject[6], "reject_am04", "0.02", "AM04 (PI balance)"),
    WEIGHT(stages.reject[7], "reject_other", "0.18", "RR04, for all others"),
    I64(stages.hosts, "hosts", "3", 1, 16, "hosts of each stage [D]"),
    TXT(stages.version, "version", "2.8.0", "version of the services"),
};

static const struct conf_field hold_fields[] = {
    DUR(holds.day_window_ms, "day_window", "30m", 1000, 86400000, "longest hold by day"),
    DUR(holds.night_window_ms, "night_window", "60m", 1000, 86400000,
        "by night, at weekends and on holidays"),
    F64(holds.day_from_h, "day_from_hour", "6", 0, 24, "the day begins (sources disagree)"),
    F64(holds.day_to_h, "day_to_hour", "20", 0, 24, "and ends"),
    DUR(holds.cautelar_ms, "cautelar_window", "72h", 1000, 864000000,
        "longest block of a received payment"),
    DUR(holds.review_ms, "review", "6m", 1, 86400000, "median time until an analyst decides [D]"),
    F64(holds.review_sigma, "review_sigma", "0.6", 0, 3, "deviation of its logarithm [D]"),
    SHARE(holds.expired_share, "expired_share", "0.01",
          "holds nobody looks at: released at the deadline [D]"),
};

static const struct conf_field label_fields[] = {
    WEIGHT(labels.day_share, "within_24h", "0.55", "contested within a day [D]"),
    WEIGHT(labels.week_share, "within_7d", "0.25", "in 1 to 7 days [D]"),
    WEIGHT(labels.month_share, "within_30d", "0.15", "in 7 to 30 days [D]"),
    WEIGHT(labels.late_share, "within_80d", "0.05", "in 30 to 80 days [D]"),
    SHARE(labels.contested, "contested", "0.7", "share of completed frauds that are contested [D]"),
    DUR(labels.analysis_max_ms, "analysis_max", "7d", 0, 8640000000,
        "analysis takes 0 to this, uniform"),
    F64(labels.false_ratio, "false_claims", "1.6", 0, 100,
        "contests of good payments per contested fraud (38 % AGREED)"),
    SHARE(labels.deny_review, "deny_review", "0.5", "denied payments that an analyst labels [D]"),
    SHARE(labels.analyst_error, "analyst_error", "0.02", "labels of analysts that are wrong [D]"),
    SHARE(labels.correction, "corrections", "0.02",
          "labels that are wrong at first and superseded within 3 days [D]"),
    SHARE(labels.refund_share, "refund_share", "0.09", "share of value recovered after AGREED"),
    F64(labels.delay_scale, "delay_scale", "1", 0.000001, 10,
        "factor on contest, analysis and correction times (a demo compresses them)"),
};

static const struct conf_field limit_fields[] = {
    I64(limits.transactions_max, "transactions", "1000000", 16, 50000000,
        "transactions under way; more are shed and counted"),
    I64(limits.labels_max, "labels", "1000000", 16, 50000000, "labels waiting for their day"),
    I64(limits.lost_max, "lost", "4000000", 16, 50000000, "lost transactions listed in the truth"),
};

#define SECTION(name, fields, help)           \
    {                                         \
        name, help, fields, ARRAY_LEN(fields) \
    }
static const struct section sections[] = {
    SECTION("volume", volume_fields, "When transactions arrive."),
    SECTION("amounts", amount_fields, "Lognormal mixture of amounts, in R$."),
    SECTION("mix", mix_fields, "Weights of initiation forms, key types and directions."),
    SECTION("participants", participant_fields, "Institutions."),
    SECTION("customers", customer_fields, "Payers and payees: derived by hash, nothing is stored."),
    SECTION("fraud", fraud_fields, "Frauds: how many, how much, which patterns."),
    SECTION("model", model_fields, "The score: calibrated so that the two targets come out."),
    SECTION("stages", stage_fields, "Latencies and rejects of the stages."),
    SECTION("holds", hold_fields, "Held and blocked payments."),
    SECTION("labels", label_fields, "What becomes known afterwards, and when."),
    SECTION("limits", limit_fields, "Bounds of memory."),
};

static bool read_nothing(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    (void)dst;
    (void)a;
    if (n->kind == YAML_MAPPING || yaml_is_null(n)) {
        return true;
    }
    return err_at(e, ERR_INPUT, n->line, n->col, "expected a mapping");
}

static bool weights_ok(const double *w, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += w[i];
    }
    return sum > 0;
}

/* Relations between keys, which a table of single keys cannot say. */
static bool config_check(struct sim_config *c, struct err *e)
{
    double kinds[SIM_KINDS];
    for (int i = 0; i < SIM_KINDS; i++) {
        kinds[i] = c->amounts.kind[i].weight;
    }
    kinds[KIND_B2B] *= c->amounts.weekend_b2b; /* the day on which it is smallest */
    if (!weights_ok(kinds, SIM_KINDS)) {
        return err_set(e, ERR_INPUT, "amounts: all weights are zero on a weekend");
    }
    if (!weights_ok(c->mix.form, FORMS) || !weights_ok(c->mix.key, SIM_KEYS - 1)) {
        return err_set(e, ERR_INPUT, "mix: all weights of forms or of keys are zero");
    }
    if (!weights_ok(c->fraud.weight, SIM_PATTERNS) || !weights_ok(c->stages.reject, SIM_REJECTS)) {
        return err_set(e, ERR_INPUT, "fraud or stages: all weights are zero");
    }
    const double *l = &c->labels.day_share;
    if (l[0] + c->labels.week_share + c->labels.month_share + c->labels.late_share <= 0) {
        return err_set(e, ERR_INPUT, "labels: all weights of the delay are zero");
    }
    if (!weights_ok(c->volume.weekday, 24) || !weights_ok(c->volume.weekend, 24)) {
        return err_set(e, ERR_INPUT, "volume: all hours of a day are zero");
    }
    if (c->participants.own.n != 0 && !ispb_ok(c->participants.own)) {
        return err_set(e, ERR_INPUT, "participants: own is not an ISPB of 8 characters 0-9 A-Z");
    }
    if (c->model.deny < c->model.threshold || c->model.step_up > c->model.threshold) {
        return err_set(e, ERR_INPUT, "model: expected step_up <= threshold <= deny");
    }
    if (c->customers.payers_min > c->customers.payers_max) {
        return err_set(e, ERR_INPUT, "customers: payers_min is above payers_max");
    }
    struct str words[] = {c->model.name, c->model.version, c->model.sha256, c->stages.version};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (size_t k = 0; k < words[i].n; k++) {
            unsigned char ch = (unsigned char)words[i].p[k];
            if (ch < 0x21 || ch > 0x7e || ch == '"' || ch == '\\') {
                return err_set(e, ERR_INPUT,
                               "names and versions are printable ASCII without "
                               "spaces, quotes and backslashes");
            }
        }
        if (words[i].n > 64) {
            return err_set(e, ERR_INPUT, "names and versions have at most 64 bytes");
        }
    }
    c->participants.count = 0;
    double sum = 0;
    while (c->participants.count < SIM_PARTICIPANTS_MAX &&
           c->participants.v[c->participants.count].ispb[0] != 0) {
        sum += c->participants.v[c->participants.count++].weight;
    }
    return sum > 0 || err_set(e, ERR_INPUT, "participants: all weights are zero");
}

static bool holidays_check(const struct conf_strs *h, struct err *e)
{
    for (uint32_t i = 0; i < h->count; i++) {
        int32_t day = 0;
        if (!date_parse(h->v[i], &day)) {
            return err_set(e, ERR_INPUT, "volume: holidays: expected YYYY-MM-DD, found '%.*s'",
                           STR_FMT(h->v[i]));
        }
    }
    return true;
}

bool sim_config_read(struct str text, const char *where, struct arena *a, struct sim_config *out,
                     struct err *e)
{
    struct yaml_node *root = NULL;
    struct conf_field top[ARRAY_LEN(sections)];
    memset(out, 0, sizeof *out);
    if (!yaml_parse(text, where, a, &root, e)) {
        return false;
    }
    if (e) {
        e->where = where;
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        top[i] = (struct conf_field){sections[i].name, CONF_T_CUSTOM, 0, NULL, 0, 0,
                                     sections[i].help, read_nothing};
    }
    if (!conf_read(top, ARRAY_LEN(top), root, out, a, e)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct yaml_node *n = yaml_get(root, str_from_c(sections[i].name));
        n = n && yaml_is_null(n) ? NULL : n;
        if (!conf_read(sections[i].fields, sections[i].count, n, out, a, e)) {
            return false;
        }
    }
    return config_check(out, e) && holidays_check(&out->volume.holidays, e);
}

void sim_config_print(struct buf *out)
{
    BUF_LIT(out,
            "# Parameters of `farol sim`, with their defaults. Printed by `farol sim\n"
            "# --print-config`; sources and grades are in the domain notes. [D]: our choice.\n");
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct section *s = &sections[i];
        buf_fmt(out, "\n# %s\n%s:\n", s->help, s->name);
        for (size_t k = 0; k < s->count; k++) {
            const char *quote = s->fields[k].type == CONF_T_STR ? "'" : "";
            buf_fmt(out, "  # %s\n  %s: %s%s%s\n", s->fields[k].help, s->fields[k].key, quote,
                    s->fields[k].fallback, quote);
        }
    }
}

/* A demonstration, not Brazil: 3 % of payments are frauds, where the country has about 70 in a
 * million (the default), so that a minute gives hundreds of judged holds and an interval narrow
 * enough to see precision move. Time is pressed as well: analysts decide in 6 s, a day of label
 * delay becomes 4.3 s and the whole 87 days 6.3 minutes. Holds keep the rule's own windows, and
 * somebody looks at every one of them, so that none comes near its end in a calm hour. */
struct str sim_preset(struct str name)
{
    static const char demo[] = "volume: {rate: 400, shape: false}\n"
                               "fraud: {rate: 0.03}\n"
                               "model: {precision: 0.92}\n"
                               "holds: {day_window: 30m, night_window: 60m, cautelar_window: 72h, "
                               "review: 6s, expired_share: 0}\n"
                               "labels: {delay_scale: 0.00005}\n";
    return str_eq(name, STR("demo")) ? str_of(demo, sizeof demo - 1) : str_of(NULL, 0);
}
