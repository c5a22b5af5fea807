/* Sequential change detectors: one number per event in, "nothing", "warning" or "alarm" out.
 *
 * Ten detectors behind one interface. The three named sr_* are for a stream whose law before the
 * change is known (a frozen reference): they hold their false alarm rate by construction. The seven
 * others learn the stream by themselves, as published, and are here for comparison and for streams
 * without a reference; their false alarm rate depends on the stream (measure it: bench/drift).
 *
 *   kind          takes            source
 *   sr_bernoulli  0 or 1           Shin, Ramdas, Rinaldo, E-detectors, 2022 (arXiv 2203.03532),
 *   sr_bounded    [lo, hi]         sections 2 (e-detectors, ARL) and 4 (mixtures); Shiryaev 1963,
 *   sr_cells      0..cells-1       Roberts 1966 for the sum over start times
 *   adwin         any              Bifet, Gavalda, SDM 2007, section 3 (ADWIN2)
 *   page_hinkley  any              Page, Biometrika 1954; Gama et al., ACM CSUR 2014, section 3.2
 *   ddm           0 or 1           Gama, Medas, Castillo, Rodrigues, SBIA 2004, section 3
 *   eddm          0 or 1           Baena-Garcia et al., IWKDDS 2006, section 3
 *   hddm_a        [0, 1]           Frias-Blanco et al., TKDE 27(3), 2015: A-test
 *   hddm_w        [0, 1]           the same: W-test
 *   kswin         any              Raab, Heusinger, Schleif, Neurocomputing 2020, section 3
 *
 * ARL (average run length): the mean number of events to the first false alarm while nothing has
 * changed. For sr_* it is at least `arl_events`, whatever the dependence between events, as long as
 * the conditional law of each event stays in the reference: the sum over start times R satisfies
 * E[R_n - n] <= 0, so E[T] >= E[R_T] >= threshold. Nothing is calibrated. A reference estimated
 * from few events is itself wrong: give an interval (p_lo, p_hi; mean_lo, mean_hi; mass_slack) and
 * the bound holds for every law inside it.
 *
 * After an alarm the next event starts a new run with empty statistics (adwin and kswin keep the
 * part of the window that is after the change, as published). Same events, same answers, on every
 * machine: no clock, no I/O; kswin draws from its own seeded generator, which is part of the state.
 *
 * Memory is taken once, in _new or _load; update takes none. Bytes held: 1.1 KiB of configuration,
 * and sr_bernoulli, sr_bounded 0.7 KiB; sr_cells 7 KiB with 64 ordered cells, 31 KiB with 128
 * without order; adwin 5 KiB; kswin 8 bytes per window event and 16 per stat event; the rest 0.2
 * KiB. Cost of update: O(mixture components) for sr_* (4 a side for bernoulli, 8 a side for
 * bounded; for cells 2, 48 more with ordered cells, 3 more per unordered cell); O(1) for
 * page_hinkley, ddm, eddm, hddm_*; adwin O(1), and O(log window) every `clock` events; kswin
 * O(stat^2) comparisons.
 * thread: a struct detect belongs to one thread at a time. */
#ifndef ENGINES_DETECT_DETECT_H
#define ENGINES_DETECT_DETECT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum detect_kind {
    DETECT_SR_BERNOULLI,
    DETECT_SR_BOUNDED,
    DETECT_SR_CELLS,
    DETECT_ADWIN,
    DETECT_PAGE_HINKLEY,
    DETECT_DDM,
    DETECT_EDDM,
    DETECT_HDDM_A,
    DETECT_HDDM_W,
    DETECT_KSWIN,
};
#define DETECT_KINDS 10

/* The name as in the table above, for configuration and labels; false: no such name. */
const char *detect_kind_name(enum detect_kind kind);
MUST_USE bool detect_kind_from(struct str name, enum detect_kind *out);

enum detect_side { DETECT_BOTH, DETECT_UP, DETECT_DOWN };
#define DETECT_SIDES 3

/* How page_hinkley forgets (alpha < 1). With alpha = 1 the forms are the same test. */
enum detect_ph_form {
    DETECT_PH_CLAMPED,  /* the sum is cut at 0: scikit-multiflow, early river */
    DETECT_PH_EXTREMES, /* distance from the lowest (highest) sum of the run: river from 0.15 */
};
#define DETECT_PH_FORMS 2

#define DETECT_CELLS_MAX        128
#define DETECT_MASS_MIN         1e-6 /* a reference mass below it (never seen) counts as this */
#define DETECT_ARL_MAX          1e15
#define DETECT_KSWIN_WINDOW_MAX 65536
#define DETECT_KSWIN_STAT_MAX   1024

struct detect_config {
    enum detect_kind kind;
    union {
        struct {
            double arl_events;  /* false alarms: at most one per so many events on average */
            double warn_events; /* the same for the first warning of a run; at most arl_events */
            enum detect_side side;
            double p_lo, p_hi; /* the reference rate, 0 < p_lo <= p_hi < 1; equal: known */
        } bernoulli;
        struct {
            double arl_events, warn_events;
            enum detect_side side;
            double lo, hi;           /* bounds of every event; outside is refused */
            double mean_lo, mean_hi; /* the reference mean, lo < mean_lo <= mean_hi < hi */
        } bounded;
        struct {
            double arl_events, warn_events;
            uint32_t cells; /* 2..DETECT_CELLS_MAX */
            /* Cells 0..ordered-1 are consecutive pieces of a line (quantile cells): smooth changes
             * of level, spread and shape are looked for. The rest (null, new, categories) have no
             * order: each is watched for its own share. */
            uint32_t ordered;
            double mass_slack; /* every mass is known within this share, 0 <= slack < 1 */
            double mass[DETECT_CELLS_MAX]; /* any scale (counts will do); not negative */
        } cells;
        struct {
            double delta;          /* 0.002 */
            uint32_t clock;        /* looks for a cut every so many events; 32 */
            uint32_t row_buckets;  /* M of the paper: buckets of one size; 5, 2 to 8 */
            uint32_t min_window;   /* smallest half of a cut, events; 5 */
            uint32_t grace_events; /* no cut below this window; 10 */
        } adwin;
        struct {
            double delta, threshold, alpha; /* 0.005, 50, 0.9999 */
            uint32_t min_events;            /* 30 */
            enum detect_side side;          /* up */
            enum detect_ph_form form;       /* clamped */
        } ph;
        struct {
            double warn_level, alarm_level; /* standard deviations: 2, 3 */
            uint32_t min_events;            /* 30 */
        } ddm;
        struct {
            double warn_level, alarm_level; /* shares of the best distance: 0.95, 0.9 */
            uint32_t min_events;            /* events and errors: 30 */
        } eddm;
        struct {
            double alarm_confidence, warn_confidence; /* 0.001, 0.005 */
            double lambda;                            /* hddm_w: weight of the newest; 0.05 */
            bool two_sided;                           /* false: increases only */
        } hddm;
        struct {
            double alpha;          /* 0.005 */
            double min_distance;   /* and the distance must be above this; 0.1 */
            uint32_t window, stat; /* 100, 30; 2 * stat <= window */
            uint64_t seed;         /* 1 */
        } kswin;
    } u;
};

/* The published defaults (river, scikit-multiflow); for sr_*: arl_events 50,000, warn_events 5,000,
 * both sides. The reference of sr_* has no default and must be filled in. */
struct detect_config detect_config_of(enum detect_kind kind);

/* ERR_INPUT with the field and the value when c cannot be run. */
MUST_USE bool detect_config_validate(const struct detect_config *c, struct err *e);

enum detect_verdict {
    DETECT_CALM,
    DETECT_WARNING, /* weaker evidence than an alarm; kinds without a warning never say it */
    DETECT_ALARM,
    DETECT_REFUSED, /* NaN, infinite or not a value of this kind (see the table): counted only */
};

struct detect;

/* Copies c. ERR_INPUT as detect_config_validate, ERR_NOMEM. The caller owns *out. */
MUST_USE bool detect_new(const struct detect_config *c, struct mem *m, struct detect **out,
                         struct err *e);
void detect_free(struct detect *d); /* NULL is allowed */

enum detect_verdict detect_update(struct detect *d, double x);

/* As new: statistics, counts and the generator of kswin. */
void detect_reset(struct detect *d);

struct detect_status {
    uint64_t events; /* taken since _new or _reset, refused ones apart */
    uint64_t refused, warnings, alarms;
    /* The first changed event by the detector's own estimate, 1 = the first ever; of the alarm or
     * warning that the last event taken gave, 0 when it gave none. sr_*: the mean start time under
     * the e-detector's own weights (how near: README.md); adwin, hddm_*, kswin: start of the newer
     * window; page_hinkley: the event after the sum was last at rest; ddm, eddm: where the warning
     * zone was entered. */
    uint64_t onset_event;
    /* sr_*: natural logarithm of the e-detector (at log(arl_events) it alarms), -inf before the
     * first event of a run; NaN for the other kinds. */
    double log_evidence;
};
struct detect_status detect_status(const struct detect *d);
const struct detect_config *detect_config(const struct detect *d); /* borrows d */

/* Appends the whole detector, configuration included: under 0.4 KiB, but sr_cells 1.9 KiB with 64
 * ordered cells and 12 KiB at most, adwin 4.2 KiB at most, kswin 8 bytes per event of its window.
 * Ask buf_ok afterwards. */
void detect_save(const struct detect *d, struct buf *out);
/* The detector that was saved, which answers as the original would have. Bytes are not trusted:
 * ERR_CORRUPT for counts that do not agree, for a state that would break what a kind promises (as
 * an unfair bet of sr_* would), and for bytes that are left over; ERR_NOMEM. */
MUST_USE bool detect_load(struct str bytes, struct mem *m, struct detect **out, struct err *e);

/* The cell of v among n edges in rising order, for sr_cells: cell i holds edges[i-1] < v <=
 * edges[i], so n edges make n + 1 cells. O(log n). */
uint32_t detect_cell_of(const double *edges, uint32_t n, double v);

#endif
