/* Drift inside: cells, grids of them, what shards hold, what they share. Private to model/drift. */
#ifndef MODEL_DRIFT_DRIFT_INT_H
#define MODEL_DRIFT_DRIFT_INT_H

#include "base/clock.h"
#include "base/intern.h"
#include "model/drift/drift.h"

#define DRIFT_HOURS_PER_DAY  24
#define DRIFT_HOURS_PER_WEEK 168

/* ---- cells.c: counts of one feature in one segment and window ----
 *
 * A slot is key << 41 | count; 0 = empty.
 * A key is kind << 21 | payload << 2 | exact << 1 | default:
 *
 *   kind      payload (19 bits)
 *   null      0
 *   bool      0, 1
 *   category  number of the value's name, DRIFT_CATEGORY_OTHER above the bound
 *   number    sign, exponent and 7 mantissa bits of the double, turned so that order is kept
 *
 * exact: the number is the lower end of its cell, as whole numbers up to 256 are; they have cells
 * of their own. default: the value equals the configured stand-in for "no value". Tables of
 * segments drop the last bit of the mantissa of numbers that are not exact. */
enum drift_kind { DRIFT_NULL, DRIFT_BOOL, DRIFT_CATEGORY, DRIFT_NUMBER };
#define DRIFT_KINDS          4
#define DRIFT_COUNT_BITS     41
#define DRIFT_COUNT_MAX      (((uint64_t)1 << DRIFT_COUNT_BITS) - 1)
#define DRIFT_PAYLOADS       ((uint32_t)1 << 19)
#define DRIFT_CATEGORY_OTHER (DRIFT_PAYLOADS - 1)
#define DRIFT_CELLS_MAX      ((uint32_t)1 << 16) /* distinct keys of one table */
#define DRIFT_EXACT          2u
#define DRIFT_DEFAULT        1u

struct drift_cells {
    uint64_t *slots; /* owns; open addressing, linear */
    uint32_t cap, used;
};

static inline uint32_t drift_key(enum drift_kind kind, uint32_t payload)
{
    return (uint32_t)kind << 21 | payload << 2;
}
static inline enum drift_kind drift_key_kind(uint32_t key)
{
    return (enum drift_kind)(key >> 21);
}
static inline uint32_t drift_key_payload(uint32_t key)
{
    return key >> 2 & (DRIFT_PAYLOADS - 1);
}
static inline uint32_t drift_slot_key(uint64_t slot)
{
    return (uint32_t)(slot >> DRIFT_COUNT_BITS);
}
static inline uint64_t drift_slot_count(uint64_t slot)
{
    return slot & DRIFT_COUNT_MAX;
}
/* x is finite. */
static inline uint32_t drift_number_key(double x)
{
    const uint32_t half = DRIFT_PAYLOADS >> 1;
    uint64_t bits = 0;
    x = x == 0 ? 0 : x; /* -0 is 0 */
    memcpy(&bits, &x, sizeof bits);
    uint32_t top = (uint32_t)(bits >> 45);
    uint32_t payload = top & half ? ~top & (DRIFT_PAYLOADS - 1) : top | half;
    return drift_key(DRIFT_NUMBER, payload) | (bits << 19 == 0 ? DRIFT_EXACT : 0);
}
/* The key in tables of segments. */
static inline uint32_t drift_key_coarse(uint32_t key)
{
    return drift_key_kind(key) == DRIFT_NUMBER && (key & DRIFT_EXACT) == 0 ? key & ~4u : key;
}
/* The number that stands for a cell: its value when exact, else its middle. coarse: of a table of
 * a segment. */
double drift_key_number(uint32_t key, bool coarse);

/* false without memory or above a bound; then nothing changed. */
MUST_USE bool drift_cells_grow(struct drift_cells *c, struct mem *m);
static inline MUST_USE bool drift_cells_add(struct drift_cells *c, struct mem *m, uint32_t key,
                                            uint64_t n)
{
    for (;;) {
        const uint32_t mask = c->cap - 1;
        /* The table of no slots has cap 0: the loop body is then not entered. */
        for (uint32_t i = key * 0x9e3779b1u >> 7, left = c->cap; left > 0; i++, left--) {
            uint64_t *slot = &c->slots[i & mask];
            if (*slot != 0 && drift_slot_key(*slot) == key) {
                *slot += n;
                return true;
            }
            if (*slot == 0) {
                if (4 * (c->used + 1) > 3 * c->cap) {
                    break;
                }
                *slot = (uint64_t)key << DRIFT_COUNT_BITS | n;
                c->used++;
                return true;
            }
        }
        if (!drift_cells_grow(c, m)) {
            return false;
        }
    }
}
void drift_cells_release(struct drift_cells *c, struct mem *m);
/* Slots by key into out (room for c->used). */
void drift_cells_sorted(const struct drift_cells *c, uint64_t *out);

/* ---- grid.c: cells of all features and segments of one window ---- */
struct drift_grid {
    int32_t at;                /* hour or day since 1970 */
    struct drift_cells **rows; /* owns; by feature, NULL = not seen; each has `stride` tables */
    size_t rows_cap;
};
/* Tables of a feature, made when absent; NULL without memory. */
struct drift_cells *drift_grid_row(struct drift_grid *g, struct mem *m, uint32_t stride,
                                   uint32_t feature);
/* NULL or an empty table when there is none. */
static inline const struct drift_cells *drift_grid_at(const struct drift_grid *g, uint32_t feature,
                                                      uint32_t segment)
{
    return feature < g->rows_cap && g->rows[feature] != NULL ? &g->rows[feature][segment] : NULL;
}
void drift_grid_release(struct drift_grid *g, struct mem *m, uint32_t stride);
/* from is of the same names, its stride not larger. */
MUST_USE bool drift_grid_merge(struct drift_grid *to, uint32_t stride,
                               const struct drift_grid *from, uint32_t from_stride, struct mem *m);
/* Adds the table of all decisions of each feature with coarse keys; `to` has a stride of 1. */
MUST_USE bool drift_grid_merge_all(struct drift_grid *to, const struct drift_grid *from,
                                   struct mem *m);

/* Open windows by time. */
struct drift_grids {
    struct drift_grid *v; /* owns; by at */
    size_t cap;
    uint32_t count;
};
#define DRIFT_OPEN_MAX 4096
struct drift_grid *drift_grids_at(struct drift_grids *t, struct mem *m, int32_t at);
void drift_grids_drop_first(struct drift_grids *t, struct mem *m, uint32_t stride);
void drift_grids_release(struct drift_grids *t, struct mem *m, uint32_t stride);

/* ---- names ---- */

/* Names of features, segments ("dimension:value", number 0 = all) and of each feature's
 * categories. */
struct drift_names {
    struct mem *mem; /* borrows */
    struct intern features, segments;
    struct intern *categories; /* owns; by feature */
    size_t categories_cap;
    uint32_t features_max, segments_max, categories_max;
};
void drift_names_init(struct drift_names *t, struct mem *m, uint32_t features_max,
                      uint32_t segments_max, uint32_t categories_max);
void drift_names_release(struct drift_names *t);
/* INTERN_FULL at the bound or without memory. */
uint32_t drift_names_feature(struct drift_names *t, struct str name);
/* Number of a segment, from 1; 0 at the bound or without memory. */
uint32_t drift_names_segment(struct drift_names *t, struct str dim, struct str value);
uint32_t drift_names_segment_text(struct drift_names *t, struct str text);
/* Categories of a feature; NULL over the bound of features or without memory. */
struct intern *drift_names_categories(struct drift_names *t, uint32_t feature);
/* DRIFT_CATEGORY_OTHER at the bound or without memory. */
uint32_t drift_names_category(struct drift_names *t, uint32_t feature, struct str value);
/* Text of a segment; empty for all. */
static inline struct str drift_names_segment_str(const struct drift_names *t, uint32_t segment)
{
    return segment == 0 ? (struct str){NULL, 0} : intern_str(&t->segments, segment - 1);
}

/* Decisions of a segment: each has exactly one verdict. */
uint64_t drift_decisions(const struct drift_names *t, const struct drift_grid *g, uint32_t segment);
/* ---- shard.c: the hot path ---- */

#define DRIFT_PEND_ROWS 1024

enum drift_left { DRIFT_LEFT_LATE, DRIFT_LEFT_NAMES, DRIFT_LEFT_MEMORY };
#define DRIFT_LEFTS 3

/* Decisions wait here as columns, so that the tables of one feature are in the cache while all of
 * them are added. */
struct drift_column {
    uint32_t keys[DRIFT_PEND_ROWS]; /* key + 1; 0 = absent */
    double fallback;                /* NaN = none */
    struct drift_dict {
        uint32_t *slots; /* owns; key to id, open addressing; 0 = empty */
        struct drift_id {
            uint32_t key, coarse; /* coarse: the id of the key in segments */
        } * ids;                  /* owns; from 1 */
        uint32_t slots_cap, count;
        size_t ids_cap;
    } dict;
};

/* Counts by id of open windows; dense.c. */
struct drift_dense {
    uint32_t *n; /* owns; [segment * ids + id] */
    uint32_t ids, segments;
};
struct drift_counts {
    int32_t at;
    struct drift_dense *v; /* owns; by feature */
    size_t cap;
};
struct drift_open {
    struct drift_counts *v; /* owns */
    size_t cap;
    uint32_t count;
};

/* thread: the shard's while the river flows, any at rest. Owns what it points to. */
struct drift_shard {
    const struct drift *drift; /* borrows */
    struct mem *mem;           /* borrows */
    struct drift_names names;
    struct drift_column **columns; /* by feature */
    size_t columns_cap;
    uint16_t map[RECORD_NAMES_MAX]; /* name of the batch -> feature + 1; 0 = not looked up */
    uint32_t map_count;
    uint16_t *segment_of[DRIFT_DIMS_MAX]; /* number of a value -> segment + 1; 0 = not yet */
    size_t segment_of_cap[DRIFT_DIMS_MAX];
    int32_t hours[DRIFT_PEND_ROWS];
    uint16_t segments[DRIFT_DIMS_MAX][DRIFT_PEND_ROWS];
    uint32_t rows;
    struct drift_open hours_open, days_open; /* all decisions; each segment */
    struct drift_grids hours_packed, days_packed;
    uint64_t left[DRIFT_LEFTS];
};
/* Counts what waits. */
void drift_shard_flush(struct drift_shard *s);
void drift_shard_reset(struct drift_shard *s);

/* dense.c */
void drift_count(struct drift_shard *s, uint32_t feature, uint32_t from, uint32_t to);
void drift_dict_release(struct drift_dict *t, struct mem *m);
void drift_dense_release(struct drift_dense *c, struct mem *m);
void drift_counts_release(struct drift_counts *w, struct mem *m);
void drift_open_release(struct drift_open *t, struct mem *m);

/* pour.c */
/* Packs the first opened windows of t (hours_open or days_open) until `keep` are left. */
void drift_pack(struct drift_shard *s, struct drift_open *t, uint32_t keep);
/* At rest: all counts of a shard into the shared hours and days. false: without memory for some of
 * them, which are gone. */
MUST_USE bool drift_pour(struct drift *d, struct drift_shard *s);

/* ---- what shards share ---- */

/* Shares that are tested against the worst of the reference's own days. */
enum drift_rate {
    DRIFT_RATE_MISSING,
    DRIFT_RATE_DEFAULT,
    DRIFT_RATE_NEW,
    DRIFT_RATE_RANGE,
    DRIFT_RATE_TYPE
};
#define DRIFT_RATES 5
/* Rules without a share, after those. */
enum drift_rule {
    DRIFT_RULE_DISTRIBUTION = DRIFT_RATES,
    DRIFT_RULE_UNIT_X100,
    DRIFT_RULE_UNIT_X1000,
    DRIFT_RULE_CONSTANT,
    DRIFT_RULE_ABSENT
};
#define DRIFT_RULES (DRIFT_RATES + 5)
extern const struct str drift_rule_text[DRIFT_RULES];

/* What the reference's own days, each against the days before it, showed of a feature and
 * segment: scaled statistics and the worst shares. */
#define DRIFT_SPREAD_MAX 32
struct drift_spread {
    uint32_t days;                 /* that had a statistic */
    float stats[DRIFT_SPREAD_MAX]; /* of the newest of them */
    float worst[DRIFT_RATES];
};

struct drift_spreads {
    struct drift_spread **v; /* owns; by feature, each of `stride` */
    size_t cap;
    uint32_t stride;
};
/* NULL without memory. */
struct drift_spread *drift_spread_at(struct drift_spreads *t, struct mem *m, uint32_t feature,
                                     uint32_t segment);
static inline const struct drift_spread *drift_spread_find(const struct drift_spreads *t,
                                                           uint32_t feature, uint32_t segment)
{
    return feature < t->cap && t->v[feature] != NULL && segment < t->stride
               ? &t->v[feature][segment]
               : NULL;
}
void drift_spreads_release(struct drift_spreads *t, struct mem *m);

struct drift_result {
    uint16_t feature, segment;
    uint8_t kind; /* enum drift_kind */
    bool drifted;
    uint32_t rules; /* bit per enum drift_rule: what drifted */
    uint64_t n, present, nulls, fresh, outside;
    double psi, js, kl, hellinger, ks, w1, w1_norm, cvm, ad, chi2, tvd, linf;
    double p, q; /* of the distribution; NaN = not tested */
    double p_rate[DRIFT_RATES];
    /* chi2 with thin categories together, for the test alone: not kept. */
    double chi2_pooled;
    uint32_t dof_pooled;
};

struct drift_window {
    int32_t at;
    struct drift_result *v; /* owns */
    size_t cap;
    uint32_t count;
    uint32_t tests, rejected;
    double dispersion; /* median over features of all decisions */
};
struct drift_windows {
    struct drift_window *v; /* owns; oldest first */
    size_t cap;
    uint32_t count;
};

struct drift {
    struct mem *mem; /* borrows, as setup's pointers */
    struct drift_setup setup;
    uint32_t stride;  /* segments_max + 1 */
    int32_t from, to; /* named range; INT32_MIN, MAX: none */
    struct drift_names names;
    int32_t hour_first;  /* earlier hours are closed; INT32_MIN before the first */
    bool day_seen;       /* an hour has closed since the start */
    int32_t day_partial; /* the first day, when it began after its first hour; INT32_MIN = none */
    struct drift_grids hours; /* open; all decisions, a stride of 1 */
    struct drift_grids days;  /* open; segments, and all decisions of closed hours */
    bool sealed;
    uint32_t ref_days;
    int32_t ref_from, ref_to;
    struct drift_grid ref;
    struct drift_spreads spreads;
    /* Hours are compared with the same hour of the week: all decisions only, coarse keys. */
    struct drift_grids hour_refs; /* by hour of the week, 0..167 */
    struct drift_spreads hour_spreads;
    struct drift_windows day_results, hour_results;
    uint64_t left[DRIFT_LEFTS]; /* of before the last start */
    uint64_t memory_failures;
};

/* close.c */
/* Back to no reference; results stay. */
void drift_reference_forget(struct drift *d);
void drift_window_release(struct drift_window *w, struct mem *m);

/* eval.c */

/* What a window is compared with. */
struct drift_against {
    const struct drift *d;
    const struct drift_grid *ref;
    const struct drift_spreads *spreads;
    uint32_t segments; /* highest number of a segment that is tested */
    bool coarse;       /* also tables of all decisions */
};
/* Tests a closed window. false without memory. */
MUST_USE bool drift_eval(const struct drift_against *a, const struct drift_grid *g,
                         struct drift_window *out);
/* Before a window joins the reference: what it says about the spread between windows. grown: the
 * part of the reference that is there, 0..1. */
MUST_USE bool drift_eval_spread(const struct drift_against *a, const struct drift_grid *g,
                                double grown, struct drift_spreads *to);

/* hours.c: the reference of hours */
MUST_USE bool drift_hours_learn(struct drift *d, const struct drift_grid *g);
/* Tests g (an hour, all decisions). */
MUST_USE bool drift_hours_eval(const struct drift *d, const struct drift_grid *g,
                               struct drift_window *out);

#endif
