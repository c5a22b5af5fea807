/* The simulator: Pix traffic, fraud and faults as farol.pix/1 lines, from one seed.
 *
 * A run is a pull: every sim_next appends one NDJSON line, in order of emission time. Nothing here
 * reads a clock, so pacing and batching are the caller's and change no byte: same seed,
 * configuration and run give the same lines and the same truth. Memory is bounded by the `limits`
 * section; nothing grows with the length of a run except the list of lost transactions in the
 * truth, which is capped. thread: one simulator belongs to one thread. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/buf.h"
#include "base/command.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/conf.h"
#include "codec/yaml.h"
#include "flow/record.h"

#define SIM_STAGES           7
#define SIM_KINDS            4 /* P2P, P2B, B2P, B2B */
#define SIM_KEYS             6 /* key types, none last */
#define SIM_PATTERNS         8
#define SIM_REJECTS          8
#define SIM_NUMBERS          15
#define SIM_CATEGORIES       4
#define SIM_PARTICIPANTS_MAX 128
#define SIM_FAULTS_MAX       32
#define SIM_LINE_BYTES_MAX   4096

/* Configuration: one struct per section of the YAML; meanings, units and bounds are in the tables
 * of config.c, which also print sim/default.yml. */
struct sim_weighted {
    char ispb[8];
    double weight;
};
struct sim_config {
    struct {
        double rate;
        bool shape;
        double weekday[24], weekend[24], day[7];
        double fifth_business_day, salary_13, salary_13_fifth, black_friday, holiday;
        double burst, noise_cv, growth, utc_offset_h;
        int64_t burst_ms;
        struct conf_strs holidays;
    } volume;
    struct {
        struct {
            double weight, mu, sigma;
        } kind[SIM_KINDS];
        double round_share, small_share, cap_person_brl, weekend_b2b;
    } amounts;
    struct {
        double form[FORMS], key[SIM_KEYS - 1];
        double internal, out;
    } mix;
    struct {
        struct str own;
        struct sim_weighted v[SIM_PARTICIPANTS_MAX];
        uint32_t count;
    } participants;
    struct {
        double payers_per_day_tx, zeta, known_share, age_years, new_device;
        int64_t payers_min, payers_max;
    } customers;
    struct {
        double rate, mu, sigma, weight[SIM_PATTERNS];
    } fraud;
    struct {
        double threshold, deny, step_up, precision, recall, noise, features_share;
        struct str name, version, sha256;
    } model;
    struct {
        struct {
            double work_ms, sigma, queue_ms;
        } stage[SIM_STAGES];
        double common_sigma, retry_share, reject_share, reject[SIM_REJECTS];
        int64_t hosts;
        struct str version;
    } stages;
    struct {
        int64_t day_window_ms, night_window_ms, cautelar_ms, review_ms;
        double day_from_h, day_to_h, review_sigma, expired_share;
    } holds;
    struct {
        double day_share, week_share, month_share, late_share;
        double contested, false_ratio, deny_review, analyst_error, correction, delay_scale;
        double refund_share;
        int64_t analysis_max_ms;
    } labels;
    struct {
        int64_t transactions_max, labels_max, lost_max;
    } limits;
};

/* Built-in defaults when text is empty. Strings borrow the arena. e gets where, line and column. */
MUST_USE bool sim_config_read(struct str text, const char *where, struct arena *a,
                              struct sim_config *out, struct err *e);
/* The defaults as documented YAML: the content of sim/default.yml. */
void sim_config_print(struct buf *out);
/* A named set of overrides as YAML: "demo" (frauds dense enough to watch, labels within minutes).
 * Empty when there is none of that name. */
struct str sim_preset(struct str name);

/* Features of a decision, for whoever must declare them (model.features). */
struct sim_feature_info {
    const char *name;
    enum feature_kind kind;
    double fallback; /* the value that stands for "missing" in fault redis: -1 */
    const char *help;
};
const struct sim_feature_info *sim_features(uint32_t *count);

/* Faults. The table is the catalogue of domain.md section 5.2, number 0 = not in it. */
enum sim_fault_id {
    SIM_LOST,
    SIM_DUPLICATES,
    SIM_LOCAL_TIME,
    SIM_CLOCK_SKEW,
    SIM_DICT,
    SIM_NULLS,
    SIM_UNIT,
    SIM_SLOW_SCORE,
    SIM_THRESHOLD,
    SIM_FAIL_OPEN,
    SIM_CONSTANT,
    SIM_AB03,
    SIM_HOLDS,
    SIM_LABELS,
    SIM_MULES,
    SIM_SUPPLIER,
    SIM_REORDER,
    SIM_REDIS,
    SIM_FAULT_KINDS
};
struct sim_fault_info {
    const char *name;
    int number;
    const char *params;   /* "share,stage" */
    const char *defaults; /* a specification with every default, parsed by the same code */
    const char *help[LANGS];
};
const struct sim_fault_info *sim_fault_info(enum sim_fault_id id);

#define SIM_TO_THE_END INT64_MAX
struct sim_fault {
    enum sim_fault_id id;
    int64_t start_ns, end_ns; /* relative to the begin of the run; end may be SIM_TO_THE_END */
    double share, value;
    int64_t ns;      /* offset, delay or deadline */
    int32_t stage;   /* index, -1 = any */
    int32_t feature; /* index of a number feature, -1 = none */
    char host[32], version[16];
};
/* NAME[:key=value,...][@START[+DURATION|+end]]: what is not given comes from the table. NAME may be
 * the catalogue number. col of e is the 1-based byte of the specification. */
MUST_USE bool sim_fault_parse(struct str spec, struct sim_fault *out, struct err *e);

struct sim_run {
    uint64_t seed;
    int64_t from_ns;
    int64_t duration_ns;       /* arrivals stop then, what is under way ends; 0 = never stops */
    uint64_t transactions_max; /* arrivals also stop after this many; 0 = no bound */
    bool labels_all;           /* also emit labels that become known after the end of the run */
    const struct sim_fault *faults;
    uint32_t faults_count;
};

struct sim;

/* Copies c and r; strings of c are borrowed until sim_free. ERR_INPUT: weights that are all zero,
 * times out of range. Calibrates the score model (about 10 ms). */
MUST_USE bool sim_new(const struct sim_config *c, const struct sim_run *r, struct mem *m,
                      struct sim **out, struct err *e);
void sim_free(struct sim *s);

/* Appends one line with its '\n'; *emit_ns is the simulated time at which it leaves (never
 * decreases). false: the run is over (e->code ERR_NONE), or out or memory is full (ERR_LIMIT,
 * ERR_NOMEM). */
MUST_USE bool sim_next(struct sim *s, struct buf *out, int64_t *emit_ns, struct err *e);

/* Counts of what was emitted so far, for summaries and tests. */
struct sim_totals {
    uint64_t lines, transactions, decisions, labels, stage_events;
    uint64_t stage[SIM_STAGES], duplicates[SIM_STAGES], decision_duplicates;
    uint64_t outcome[SIM_STAGES][STAGE_OUTCOMES];
    uint64_t verdict[VERDICTS], fallback[FALLBACKS];
    uint64_t fraud, pattern[SIM_PATTERNS], tp, fp, fn, tn;
    uint64_t label[TRUTHS], labels_corrected, labels_agreed, labels_disagreed, labels_shed;
    uint64_t lost, lost_listed, shed, abandoned;
    int64_t lost_centavos;
};
const struct sim_totals *sim_totals(const struct sim *s);
/* What was injected, as one JSON document (README.md lists the keys). */
void sim_truth_write(const struct sim *s, struct buf *out);

#endif
