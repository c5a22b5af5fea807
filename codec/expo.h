/* Metric families with samples, and their text: Prometheus exposition 0.0.4 and OpenMetrics 1.0.0.
 *
 * The pillars fill a struct expo once a second; the /metrics page writes it, and the TSDB reads the
 * same structure. A writer that meets a name, label or value it may not print is a bug of ours, so
 * names are asserted; label values are data and are escaped. Owned by its arena. */
#ifndef CODEC_EXPO_H
#define CODEC_EXPO_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/labels.h"

enum expo_type { EXPO_COUNTER, EXPO_GAUGE, EXPO_HISTOGRAM, EXPO_INFO };

struct expo_sample {
    const struct label *labels;
    uint32_t labels_count;
    double value; /* counter, gauge; info: 1 */
    /* histogram: counts per bucket, not cumulative; buckets_count = edges + 1, the last is +Inf */
    const uint64_t *buckets;
    double sum;
    struct expo_sample *next;
};

struct expo_family {
    struct str name; /* without _total or _info, which writers add */
    struct str help,
        unit; /* unit "" or the suffix of name (OpenMetrics' rule): "seconds", "bytes" */
    enum expo_type type;
    const double *edges; /* histogram: upper bounds, ascending, without +Inf */
    uint32_t edges_count;
    struct expo_sample *first, *last;
    uint32_t samples_count;
    struct expo_family *next;
};

struct expo {
    struct arena *arena; /* borrows; holds everything */
    struct expo_family *first, *last;
    int64_t t_ms; /* when it was collected */
    bool failed;  /* the arena's cap was reached: some samples are missing */
};

void expo_init(struct expo *x, struct arena *a, int64_t t_ms);

/* A new family; help and unit are literals. A counter may be named with _total and an info with
 * _info, which is cut. A unit must be the last word of the name (asserted). NULL (and failed) at
 * the arena's cap; the calls below accept a NULL family and do nothing. */
struct expo_family *expo_family(struct expo *x, enum expo_type type, struct str name,
                                struct str unit, struct str help);
/* labels are copied. */
void expo_add(struct expo *x, struct expo_family *f, const struct label *labels, uint32_t count,
              double value);
/* A family of one sample without labels; name, unit and help are literals. */
void expo_one(struct expo *x, enum expo_type type, const char *name, const char *unit,
              const char *help, double value);
void expo_gauge(struct expo *x, const char *name, const char *unit, const char *help, double value);
void expo_counter(struct expo *x, const char *name, const char *unit, const char *help,
                  uint64_t value);
/* edges are borrowed (static tables) and equal for all samples of a family; buckets are copied. */
void expo_add_histogram(struct expo *x, struct expo_family *f, const struct label *labels,
                        uint32_t count, const double *edges, uint32_t edges_count,
                        const uint64_t *buckets, double sum);

enum expo_format { EXPO_TEXT_0_0_4, EXPO_OPENMETRICS_1_0_0 };

/* Content negotiation by an Accept header, q-values included; text 0.0.4 when in doubt. */
enum expo_format expo_negotiate(struct str accept);
struct str expo_content_type(enum expo_format f);
/* OpenMetrics ends with "# EOF". Families in order of x; samples in order of addition. */
void expo_write(const struct expo *x, enum expo_format f, struct buf *out);

/* First sample of `family` (its name with or without _total, _info) whose labels contain all the
 * given; NULL when absent. For tests and the terminal board. */
const struct expo_sample *expo_find(const struct expo *x, struct str family,
                                    const struct label *labels, uint32_t count);

#endif
