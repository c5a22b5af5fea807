/* Labels of a shard: an append-only list per decision day, and labels that wait for their
 * decision. */
#ifndef MODEL_LABELS_INT_H
#define MODEL_LABELS_INT_H

#include "flow/record.h"
#include "model/ids_int.h"

#define MODEL_LABELS_PER_ID_MAX 64 /* versions of one case; more are dropped and counted */

/* A label event joined to its decision. Never changed after it was added, but for links. */
struct model_label {
    struct hash128 id;
    int64_t t_ns;
    double score; /* of the decision, exact, as the next fields; NaN: none */
    int64_t amount_centavos;
    uint64_t event, supersedes; /* hashes of event ids, 0 = not given */
    uint16_t dims[RECORD_DIMS_MAX];
    int32_t day;
    uint32_t prev;        /* earlier label of the same id, by arrival */
    uint32_t next_of_day; /* any order; also the free list */
    uint16_t version;
    uint8_t truth, source, verdict;
    bool newest; /* no later arrival of this id: the one place that stands for the id */
};

/* A label whose decision has not come. */
struct model_waiting {
    struct hash128 id;
    int64_t t_ns;
    uint64_t event, supersedes;
    uint32_t prev; /* earlier arrival of the same id; also the free list */
    uint8_t truth, source;
    bool used, newest;
};

struct model_day {
    int32_t day;
    uint32_t labels_first, labels_count;
    uint64_t changes; /* decisions and labels so far: unequal = look again */
};

struct model_labels {
    struct mem *mem;       /* borrows */
    struct model_label *v; /* owns */
    size_t cap, max;
    uint32_t made, free, count;
    struct model_ids ids;   /* to the newest label of each id */
    struct model_day *days; /* owns, sorted */
    size_t days_cap;
    uint32_t days_count, days_max;
    struct model_waiting *w; /* owns */
    size_t w_cap, w_max;
    uint32_t w_made, w_free, w_count;
    struct model_ids w_ids;
};

enum model_label_result {
    MODEL_LABEL_ADDED,
    MODEL_LABEL_WAITS,
    MODEL_LABEL_DUPLICATE,
    MODEL_LABEL_FULL,     /* bound or memory */
    MODEL_LABEL_TOO_MANY, /* of one id */
};

void model_labels_init(struct model_labels *t, struct mem *m, size_t max, size_t waiting_max,
                       uint32_t days_max);
void model_labels_release(struct model_labels *t);
/* Finds or makes; NULL at the bound of days or without memory. Borrows until the next call. */
struct model_day *model_day_at(struct model_labels *t, int32_t day);
/* NULL when absent. */
const struct model_day *model_day_find(const struct model_labels *t, int32_t day);
/* `l` without links. */
enum model_label_result model_labels_add(struct model_labels *t, const struct model_label *l);
enum model_label_result model_labels_wait(struct model_labels *t, const struct model_waiting *w);
/* Takes the waiting labels of an id, oldest first, and calls fn for each. */
void model_labels_resolve(struct model_labels *t, struct hash128 id,
                          void (*fn)(void *ctx, const struct model_waiting *w), void *ctx);
/* Forgets days before `day`, and labels that have waited since before t_ns. Returns how many of
 * the latter. */
uint32_t model_labels_drop_before(struct model_labels *t, int32_t day, int64_t t_ns);
/* Truth of the id of a newest label as of t_ns: the last by (t_ns, arrival) of those known by
 * then and not superseded by one known by then. TRUTH_UNDETERMINED when there is none. */
enum truth model_labels_truth(const struct model_labels *t, const struct model_label *newest,
                              int64_t as_of_ns);

#endif
