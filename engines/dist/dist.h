/* Distributions in bounded memory, how far two of them are apart, and whether that means anything.
 *
 *   dist_sketch   any numbers: log-linear cells, exact count, extremes, mean and deviation
 *   dist_values   every number while the distinct ones are few: exact quantiles for a reference
 *   dist_edges    the frozen cells of a reference, and counts of slots held by the caller
 *   dist_cats     categories: known values exact, new ones exact while few, then bounded sketches
 *   dist_pairs    PSI, KL, JS, Hellinger, chi2, TVD, L-infinity of two vectors of counts
 *   dist_*_sf     the laws of the tests: p-values
 *   dist_bh...    many tests at once, over-dispersion
 *
 * Values are of any unit; distances that have a unit (w1) are in the unit of the values. A
 * reference is always the first of two arguments, the current window the second. Nothing here reads
 * a clock or draws a random number. Except where it is said of dist_cats, N parts merged equal the
 * one stream bit for bit, in whatever order and however split.
 *
 * thread: everything belongs to one thread at a time; const functions may be called by many.
 * Memory: engine lifetime, from the struct mem given to _init, which is borrowed. After a failed
 * allocation a struct is as it was before the call. */
#ifndef ENGINES_DIST_DIST_H
#define ENGINES_DIST_DIST_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/intern.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- sketch ----------------------------------------------------------------------------------
 *
 * A cell is sign, exponent and the first `bits` bits of the mantissa: about 0.7 * 2^-bits to
 * 2^-bits of the value wide, whatever its size. Cells that are empty take no memory. What is exact:
 * n, every kind of absence, min, max, mean, std (sums of x and x^2 are kept to the last bit), and
 * the granule: the largest power of two that divides all values. A cell with room for only one
 * multiple of the granule is an atom, so that counts and small whole numbers have no cell error.
 *
 * When a value needs more than cells_max cells, neighbours are joined by dropping the last bit of
 * every key: nothing is refused, and the result does not depend on the order of values or merges
 * (bits are the most with which the set of all values fits). Errors grow twofold; `bits` tells.
 *
 * Family of DDSketch (Masson, Rim, Lee, VLDB 2019, arXiv 1908.10693) and of HDR histograms; the
 * exact sums are Neal's small superaccumulator (arXiv 1505.05571) with carries done at once. */

#define DIST_BITS_MIN 4
#define DIST_BITS     8 /* what to take: a cell is at most 0.4 % wide */
#define DIST_BITS_MAX 10

#define DIST_CELLS_MIN 64
#define DIST_CELLS     4096 /* what to take for cells_max: 48 KiB when all are in use */
#define DIST_CELLS_MAX 32768

#define DIST_N_MAX ((1ull << 42) - 1) /* values of one sketch */

/* 64-bit limbs that hold every sum of DIST_N_MAX finite doubles, and of their squares. */
#define DIST_SUM_LIMBS    34
#define DIST_SQUARE_LIMBS 67

/* Fields are read, never written, by callers. Inline 1.2 KiB; each used cell takes 8 bytes and 2 to
 * 4 of an index. */
struct dist_sketch {
    struct mem *mem;
    uint64_t *cells; /* owns; sorted: key << 42 | count, no count is 0 */
    uint16_t *hints; /* owns; where a key was last found, by its low bits */
    uint32_t cells_count, cells_cap, cells_max;
    uint32_t hints_mask;
    int16_t granule_exp; /* all values are multiples of 2^granule_exp; INT16_MAX: only zeros */
    int8_t bits;         /* of the mantissa; below 0 a cell is several powers of two */
    int8_t bits_first;   /* as given to _init */
    uint64_t n;          /* finite values */
    uint64_t nulls;      /* absent */
    uint64_t nans, infs_up, infs_down;
    uint64_t lost;   /* not taken: no memory, or n at DIST_N_MAX */
    double min, max; /* of the finite values; +inf and -inf when there is none */
    uint64_t sum_up[DIST_SUM_LIMBS], sum_down[DIST_SUM_LIMBS], squares[DIST_SQUARE_LIMBS];
};

/* bits: DIST_BITS_MIN..DIST_BITS_MAX; cells_max: DIST_CELLS_MIN..DIST_CELLS_MAX. Takes no memory
 * before the first value. */
void dist_sketch_init(struct dist_sketch *s, struct mem *m, int bits, uint32_t cells_max);
void dist_sketch_release(struct dist_sketch *s);
/* As after _init, but keeps the memory for the next window. */
void dist_sketch_clear(struct dist_sketch *s);

/* One value; NaN and infinities go to their own counts. O(1), and O(cells) when a cell is new,
 * which happens at most once per cell. false: counted as lost. */
bool dist_sketch_add(struct dist_sketch *s, double v);
/* The same value `times` times, 0 allowed. */
bool dist_sketch_add_n(struct dist_sketch *s, double v, uint64_t times);
static inline void dist_sketch_null(struct dist_sketch *s)
{
    s->nulls++;
}

/* Adds all of `from`. Both must have been made with the same bits and cells_max. false without
 * memory or past DIST_N_MAX: nothing has changed. O(cells of both). */
MUST_USE bool dist_sketch_merge(struct dist_sketch *to, const struct dist_sketch *from,
                                struct err *e);

/* NaN without values. Off by one rounding (mean), by less than 1e-14 relative (std, divisor n),
 * also where the values are nearly equal. */
double dist_sketch_mean(const struct dist_sketch *s);
double dist_sketch_std(const struct dist_sketch *s);

/* The q-quantile, 0 <= q <= 1, as numpy's default (linear between order statistics). Relative error
 * at most 2^-(bits+1): 0.2 % with 8 bits, 0.78 % with 6; none at 0, at 1 and in atoms. NaN without
 * values. O(cells). */
double dist_sketch_quantile(const struct dist_sketch *s, double q);
/* The share of values <= v, within the mass of the cell that v is in. */
double dist_sketch_share_below(const struct dist_sketch *s, double v);

/* A cell as it is seen by a reader: `n` values, all within [lo, hi]; an atom when lo == hi. */
struct dist_cell {
    double lo, hi;
    uint64_t n;
};
/* The idx-th cell in rising order, idx < cells_count. */
struct dist_cell dist_sketch_cell(const struct dist_sketch *s, uint32_t idx);

/* Appends the whole sketch; the same values give the same bytes. Ask buf_ok afterwards. */
void dist_sketch_save(const struct dist_sketch *s, struct buf *out);
/* Reads what _save wrote from r (other things may follow) into s, which the caller gives without
 * contents (it is as by _init, with what was saved, or without anything to release on failure).
 * Bytes are not trusted: ERR_CORRUPT, ERR_NOMEM. */
MUST_USE bool dist_sketch_load(struct dist_sketch *s, struct mem *m, struct rd *r, struct err *e);

/* ---- every value -----------------------------------------------------------------------------
 *
 * A multiset: the distinct values and how often each came, while the distinct ones are at most
 * distinct_max. For the reference, whose quantiles freeze the edges. 16 bytes per distinct value
 * and 8 per pending one. */

struct dist_atom {
    double v;
    uint64_t n;
};

struct dist_values {
    struct mem *mem;
    struct dist_atom *atoms; /* owns; rising, after _settle */
    double *pending;         /* owns */
    size_t count, cap, pending_count, pending_cap;
    uint32_t distinct_max;
    uint64_t n; /* values in atoms and pending */
    bool over;  /* there were more distinct values, or memory was short: holds nothing more */
};

void dist_values_init(struct dist_values *v, struct mem *m, uint32_t distinct_max);
void dist_values_release(struct dist_values *v);
/* x is finite (others are passed over). Amortised O(log pending). */
void dist_values_add(struct dist_values *v, double x);
/* Sorts what is pending; false when `over`. Call it before the functions below read atoms. */
MUST_USE bool dist_values_settle(struct dist_values *v);
/* `to` is over when either is or when together they are. `from` is settled as well. */
void dist_values_merge(struct dist_values *to, struct dist_values *from);
/* Settled: exactly numpy.quantile(x, q), method 'linear', to the last bit. NaN without values. */
double dist_values_quantile(const struct dist_values *v, double q);
void dist_values_save(struct dist_values *v, struct buf *out); /* settles */
MUST_USE bool dist_values_load(struct dist_values *v, struct mem *m, struct rd *r, struct err *e);

/* ---- frozen edges ----------------------------------------------------------------------------
 *
 * Cells of equal mass in the reference, edges merged where quantiles repeat. Cell i holds
 * edge[i] <= v < edge[i+1], the last one also its upper edge; edge[0] and edge[cells] are the least
 * and the largest value of the reference, and what is outside is counted apart. Counts on them have
 * no sketch error: two windows counted on the same edges are compared exactly.
 *
 * Coarse cells: 10 of them (or fewer, when quantiles repeat), each the sum of whole fine cells, so
 * that one search serves both: PSI on the ten reference bins everybody knows, and shape on up to
 * 64. Take 60 cells, of which 10 is a divisor; with other numbers coarse_count is 0.
 *
 * The counts are the caller's: an array of DIST_SLOTS of any integer width, per window, per
 * segment. slots[dist_edges_slot(e, v)]++. */

#define DIST_EDGE_CELLS_MAX 64
#define DIST_EDGE_CELLS     60
#define DIST_COARSE         10

#define DIST_SLOT_UNDER 64 /* below the reference's least value */
#define DIST_SLOT_OVER  65 /* above its largest */
#define DIST_SLOT_NULL  66 /* absent; counted by the caller, as is _NEW for other types */
#define DIST_SLOT_NEW   67 /* what the reference never had: another type, NaN, infinities */
#define DIST_SLOTS      68

struct dist_edges {
    uint32_t cells;        /* 1..64; 0: the reference had no values, everything is DIST_SLOT_NEW */
    uint32_t coarse_count; /* 0 or 1..10 */
    double edge[DIST_EDGE_CELLS_MAX + 1];
    uint8_t coarse[DIST_EDGE_CELLS_MAX]; /* the coarse cell of each cell */
    /* For the search: inner edges, then +inf up to 63 of them. */
    double inner[DIST_EDGE_CELLS_MAX];
};

/* cells: 1..64 wanted, of n values in rising order (all finite). Edges are numpy's linear quantiles
 * at i / cells; those of coarse cells are at numpy.linspace(0, 1, 11). */
void dist_edges_from_sorted(struct dist_edges *e, const double *v, size_t n, uint32_t cells);
/* Settled values: the same edges as from all of them sorted. */
void dist_edges_from_values(struct dist_edges *e, const struct dist_values *v, uint32_t cells);
/* When the values were too many: edges at lower ends of cells of the sketch, nearest to the
 * quantiles. dist_edges_count_sketch is then exact too. */
void dist_edges_from_sketch(struct dist_edges *e, const struct dist_sketch *s, uint32_t cells);

/* The slot of v. Six steps without branches. */
uint32_t dist_edges_slot(const struct dist_edges *e, double v);

/* Adds the values (nulls, NaN and infinities of the sketch as well) to slots[DIST_SLOTS]. Cells of
 * the sketch that an edge cuts count where their middle is. */
void dist_edges_count_values(const struct dist_edges *e, const struct dist_values *v,
                             uint64_t *slots);
void dist_edges_count_sketch(const struct dist_edges *e, const struct dist_sketch *s,
                             uint64_t *slots);

/* Counts of the cells alone, outer ones with what is under and over (edges -inf and +inf), for
 * dist_counts_compare: out[64], returns how many; nulls and new are left out. */
uint32_t dist_edges_fine(const struct dist_edges *e, const uint64_t *slots, uint64_t *out);
uint32_t dist_edges_coarse(const struct dist_edges *e, const uint64_t *slots, uint64_t *out);

/* Edges go through a checkpoint; ERR_CORRUPT unless they rise and fit. */
void dist_edges_save(const struct dist_edges *e, struct buf *out);
MUST_USE bool dist_edges_load(struct dist_edges *e, struct rd *r, struct err *e_out);

/* ---- categories ------------------------------------------------------------------------------
 *
 * A reference (made by _init) learns its values: the first known_max distinct ones are counted
 * exactly. A window (made by _init_like) borrows the names of its reference; values that the
 * reference does not know are new, the first new_max distinct ones counted exactly. What comes
 * after goes to SpaceSaving (DIST_HEAVY counters, count too high by at most open / DIST_HEAVY;
 * Metwally, Agrawal, El Abbadi, ICDT 2005) and to a HyperLogLog of 2^12 registers (1.6 % standard
 * error; Flajolet et al. 2007, small-range correction by linear counting), memory for which is
 * taken then.
 *
 * Merges are exact, and independent of order, while no value is open; beyond, the counts of
 * SpaceSaving keep their bound (Agarwal et al., Mergeable Summaries, PODS 2012), the HyperLogLog is
 * independent of order, and which values are among the exact ones depends on who came first. A
 * value longer than DIST_VALUE_BYTES is known by its beginning and a hash of the whole. */

#define DIST_VALUE_BYTES 96
#define DIST_KNOWN_MAX   65535
#define DIST_HEAVY       256
#define DIST_HLL_BITS    12
#define DIST_OPEN        UINT32_MAX /* not one of the values that are counted exactly */

struct dist_open; /* private */
struct dist_cats {
    struct mem *mem;
    const struct dist_cats *like; /* borrows: must outlive this one and not change; NULL: none */
    struct intern own;            /* names: all of a reference, the new ones of a window */
    uint64_t *counts;             /* owns; by index: those of like->own, then own */
    size_t counts_cap;
    uint32_t own_max;
    uint64_t n;             /* values, without nulls */
    uint64_t nulls;         /* absent */
    uint64_t open;          /* of n: not counted by name */
    uint64_t lost;          /* no memory: neither in n nor anywhere */
    struct dist_open *more; /* owns; NULL while open is 0 */
};

/* known_max, new_max: up to DIST_KNOWN_MAX; 0 sends all to the sketches. */
void dist_cats_init(struct dist_cats *c, struct mem *m, uint32_t known_max);
void dist_cats_init_like(struct dist_cats *c, struct mem *m, const struct dist_cats *reference,
                         uint32_t new_max);
void dist_cats_release(struct dist_cats *c);
void dist_cats_clear(struct dist_cats *c); /* forgets counts and new names, keeps `like` */

/* One value. O(1): a hash and a look, then at most O(log DIST_HEAVY). false: counted as lost. */
bool dist_cats_add(struct dist_cats *c, struct str value);
static inline void dist_cats_null(struct dist_cats *c)
{
    c->nulls++;
}
/* The index of a value that is counted exactly, or DIST_OPEN. Indexes of `like` never change; a
 * caller that keeps them adds by dist_cats_add_at. */
uint32_t dist_cats_find(const struct dist_cats *c, struct str value);
bool dist_cats_add_at(struct dist_cats *c, uint32_t idx);

/* Values counted by name: index 0..dist_cats_count-1; from dist_cats_new_from on they are new. */
uint32_t dist_cats_count(const struct dist_cats *c);
uint32_t dist_cats_new_from(const struct dist_cats *c);
struct str dist_cats_value(const struct dist_cats *c, uint32_t idx); /* borrows c or its like */
uint64_t dist_cats_n(const struct dist_cats *c, uint32_t idx);
/* Distinct values: exact ones and an estimate of the open ones. */
double dist_cats_distinct(const struct dist_cats *c);

struct dist_heavy {
    struct str value; /* borrows c */
    uint64_t n, over; /* the true count is in [n - over, n] */
};
/* The open values with the largest counts, falling, at most max; returns how many. */
uint32_t dist_cats_heavy(const struct dist_cats *c, struct dist_heavy *out, uint32_t max);

/* Both have the same like (and bounds), or both have none. */
MUST_USE bool dist_cats_merge(struct dist_cats *to, const struct dist_cats *from, struct err *e);

/* Saved without the names of `like`: the loader gives the same reference. Values in byte order, so
 * that equal contents give equal bytes; after loading, own indexes are in that order. */
void dist_cats_save(const struct dist_cats *c, struct buf *out);
MUST_USE bool dist_cats_load(struct dist_cats *c, struct mem *m, const struct dist_cats *like,
                             struct rd *r, struct err *e);

/* ---- two numeric distributions ---------------------------------------------------------------*/

/* A figure from cells, and the interval that the exact figure of the values is in, whatever they
 * are within their cells. */
struct dist_bound {
    double value, lo, hi;
};

/* Equal values are one point, which counts for each of them. Without ties cvm is what scipy's
 * cramervonmises_2samp gives, ad what anderson_ksamp(midrank=False) gives. The intervals of cvm and
 * ad are for any way at all through the cells and wide when they are large; their errors on
 * data without atoms are about the square of the largest cell mass times n. */
struct dist_distances {
    uint64_t ref_n, cur_n;
    struct dist_bound ks;  /* Kolmogorov-Smirnov: max |F - G|. Error <= the largest cell mass */
    struct dist_bound w1;  /* Wasserstein-1, unit of the values. Error <= sum of mass x width */
    struct dist_bound cvm; /* Cramer-von Mises T = nm / N^2 * sum of (F - G)^2 over all values */
    struct dist_bound ad;  /* Anderson-Darling A2, k = 2: the same, each over H (1 - H) */
    double w1_norm;        /* w1 / max(std of the reference, DIST_STD_FLOOR) */
    double w1_norm_err;    /* how far w1_norm may be off: the larger side of w1's interval / std */
};
#define DIST_STD_FLOOR 1e-3

/* One pass over the cells of both, which may have different bits. false when either has no values:
 * all figures are NaN. Nulls play no part. About 60 ns per cell. */
bool dist_sketch_compare(const struct dist_sketch *ref, const struct dist_sketch *cur,
                         struct dist_distances *out);

/* ---- two vectors of counts -------------------------------------------------------------------
 *
 * r, c: shares of the totals. Pairs of which both counts are 0 are passed over. A vector whose
 * total is 0 has no shares: all figures are NaN. */

#define DIST_SHARE_FLOOR 1e-4 /* in psi and kl a smaller share counts as this */

struct dist_shares {
    uint64_t ref_n, cur_n;
    uint32_t pairs;   /* with a count in either */
    double psi;       /* sum (c - r) ln(c / r), shares floored */
    double kl;        /* sum c ln(c / r), shares floored; nats, current against reference */
    double js;        /* Jensen-Shannon distance: root of the divergence in bits, 0..1 */
    double hellinger; /* root of half the sum of (sqrt r - sqrt c)^2, 0..1 */
    double tvd;       /* half the sum of |c - r| */
    double linf;      /* max |c - r| */
    double chi2;      /* Pearson's, 2 x pairs table; Yates' correction when dof is 1 (as scipy) */
    uint32_t dof;     /* pairs - 1 */
    double chi2_p;    /* 1 when dof is 0 */
};

/* Pair by pair, when the counts are not in arrays: begin with the totals, add each, end. */
struct dist_pairs {
    double ref_n, cur_n, psi, kl, js, hellinger, tvd, linf, chi2;
    double pair[2][2]; /* the first two pairs, for Yates */
    uint64_t ref_left, cur_left;
    uint32_t pairs;
};
void dist_pairs_begin(struct dist_pairs *p, uint64_t ref_total, uint64_t cur_total);
void dist_pairs_add(struct dist_pairs *p, uint64_t ref, uint64_t cur);
/* Asserts that the pairs have used up the totals. */
void dist_pairs_end(const struct dist_pairs *p, struct dist_shares *out);

void dist_counts_compare(const uint64_t *ref, const uint64_t *cur, size_t n,
                         struct dist_shares *out);
/* cur is like ref, or both are by themselves (matched by name, O(values)). What is open in either
 * counts as one value. */
void dist_cats_compare(const struct dist_cats *ref, const struct dist_cats *cur,
                       struct dist_shares *out);

/* ---- p-values --------------------------------------------------------------------------------
 *
 * Survival functions: the chance of a figure at least as large when nothing has changed. NaN in,
 * NaN out. Sources and errors are with the code (laws.c, ks.c). */

double dist_normal_sf(double z);
/* Pearson's chi2, dof may be fractional; 1 when dof is 0. Relative error below 1e-12 down to
 * 1e-300. */
double dist_chi2_sf(double x, double dof);
/* Kolmogorov's limit law, P(sqrt(n) D > t). */
double dist_kolmogorov_sf(double t);
/* The law of one sample of n at distance d (scipy's kstwo.sf). */
double dist_kolmogorov_n_sf(double d, double n);
/* Two samples, as scipy's ks_2samp(method='asymp'): kstwo at round(n m / (n + m)). */
double dist_ks_p(double d, uint64_t ref_n, uint64_t cur_n);
/* T of two samples, as scipy's cramervonmises_2samp(method='asymptotic'). */
double dist_cvm_p(double t, uint64_t ref_n, uint64_t cur_n);
/* A2 of two samples, by the limit law. */
double dist_ad_p(double a2);
/* The limit laws of one sample. */
double dist_cvm_sf(double w2);
double dist_ad_sf(double a2);

/* ---- significance ----------------------------------------------------------------------------
 *
 * Days of one stream differ by more than sampling: the reference days, each against the reference,
 * show by how much. A factor of 1 is pure sampling; below 1 is taken as 1. */

/* Median of d[i] * sqrt(en[i]) over that of Kolmogorov's law, 0.82757; en = n m / (n + m). Divide d
 * by it before dist_ks_p. d becomes the scaled figures, sorted. 1 when n is 0. */
double dist_dispersion_ks(double *d, const double *en, size_t n);
/* Median of chi2[i] over the median of its law: divide chi2 by it. chi2 is written over. */
double dist_dispersion_chi2(double *chi2, const double *dof, size_t n);

/* p of a window: dist_ks_p(d / dispersion), 1 when d is under the minimum effect. */
double dist_ks_p_adjusted(double d, uint64_t ref_n, uint64_t cur_n, double dispersion,
                          double effect_min);

enum dist_fdr {
    DIST_BH, /* Benjamini, Hochberg 1995: independent or positively dependent tests */
    DIST_BY, /* Benjamini, Yekutieli 2001: any dependence, divides alpha by 1 + 1/2 + ... + 1/n */
};
/* q[i]: the smallest alpha at which test i would be rejected (the adjusted p), at most 1. NaN in p
 * is no test: its q is NaN and it does not count. Returns how many have q <= alpha. order: room for
 * n. q may be p. O(n log n). */
uint32_t dist_fdr_adjust(enum dist_fdr how, const double *p, uint32_t n, double alpha, double *q,
                         uint32_t *order);
/* The same for e-values (Wang, Ramdas, JRSS B 2022): any dependence. q[i] = the smallest alpha. */
uint32_t dist_ebh_adjust(const double *e, uint32_t n, double alpha, double *q, uint32_t *order);
/* An e-value of a p-value: 1 / (2 sqrt p) (Vovk, Wang 2021, calibrator with kappa 1/2). */
double dist_e_from_p(double p);

#endif
