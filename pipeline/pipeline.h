/* The pillar of the pipeline: where every Pix transaction is, what each stage costs, and what was
 * lost.
 *
 * The ledger follows each EndToEndId through the configured stages. At every moment a transaction
 * that was seen in a stage event is in exactly one of: in flight, left (settled, denied, dropped,
 * dlq, failed) or lost (after stage `from`, before stage `to`); entered = left + in flight + lost
 * is asserted whenever the series are published. The definitions stand in README.md, the mechanics
 * in ledger.c.
 *
 * Owned by the caller; its shard states are owned by the river. At a bound (transactions, reasons,
 * hosts, unknown stage names) the newest is shed and counted by reason; nothing here fails later.
 * */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "codec/conf.h"
#include "flow/pillar.h"

#define PIPELINE_STAGES_MAX 12 /* bits: 5 attempt marks a stage in 64 bits, see pipeline_int.h */
#define PIPELINE_LOST_MAX \
    10000 /* lost transactions kept by id, per shard; the counters are exact */

struct pipeline_config {
    struct conf_strs stages;  /* in order, 2..PIPELINE_STAGES_MAX */
    struct str decided_stage; /* where a denied or internal transaction ends */
    int64_t window_ms;        /* no next step for this long in event time ... */
    int64_t lateness_ms;      /* ... plus this much for reordering: lost */
    int64_t remember_ms;      /* ids are remembered this long after leaving */
    int64_t hold_window_ms;   /* window of a hold without its own deadline */
    int64_t idle_after_ms;    /* without arrivals the watermark follows the wall clock after this */
    int64_t ahead_max_ms;     /* an event this far ahead of the watermark is a wild clock */
    int64_t clock_error_max_ms; /* SLA samples of hosts further off are invalid */
    int64_t transactions_max;   /* per shard, at most 96 bytes each */
};

/* section: the mapping `pipeline:` or NULL for all defaults. Everything lives in the arena. */
MUST_USE bool pipeline_config_read(const struct yaml_node *section, struct arena *a,
                                   struct pipeline_config *out, struct err *e);
extern const struct conf_field pipeline_fields[];
extern const size_t pipeline_fields_count;

struct pipeline;

/* c is borrowed until pipeline_free. ERR_NOMEM. m: about 80 KB, used at rest only. */
MUST_USE bool pipeline_new(const struct pipeline_config *c, struct mem *m, struct pipeline **out,
                           struct err *e);
void pipeline_free(struct pipeline *p); /* NULL is allowed */
/* The pillar borrows p; its `app` is p. */
struct pillar pipeline_pillar(struct pipeline *p);

/* River at rest. {"lost":[{"e2e_id","from","to","last_ts","age_s","amount_centavos"}...newest
 * first], "count","brl","truncated"}: count and brl are all that are lost now, exact;
 * amount_centavos is null when no event carried it; truncated: the list is shorter than count.
 * limit is cut to PIPELINE_LOST_MAX. O(kept log kept); without memory for sorting the list is empty
 * and truncated. */
void pipeline_lost_json(void *app, void *const *states, uint32_t n, uint32_t limit,
                        struct buf *out);

#endif
