/* Inside the pipeline pillar: the state of a shard and the functions its files share.
 *
 * struct pipeline_shard is touched by its shard's thread, and by any thread while the river rests.
 * struct pipeline is read-only for shards, and written at rest only. */
#ifndef PIPELINE_PIPELINE_INT_H
#define PIPELINE_PIPELINE_INT_H

#include "base/clock.h"
#include "base/intern.h"
#include "pipeline/pipeline.h"

#define PIPELINE_NIL          UINT32_MAX
#define PIPELINE_REASONS_MAX  64  /* per stage, then "other" */
#define PIPELINE_HOSTS_MAX    256 /* hosts with a clock offset */
#define PIPELINE_UNKNOWN_MAX  16  /* names of stages that are not configured, then "other" */
#define PIPELINE_VERSIONS_MAX 8   /* per stage */
#define PIPELINE_LABEL_MAX    64  /* bytes of a label value taken from events */
/* Times outside 1970..2096 are refused, so that adding windows to a time cannot overflow. */
#define PIPELINE_T_MAX 4000000000000000000LL

/* What the configuration means, in the units the hot path wants. Positions are 1-based stage
 * numbers; 0 means that no stage was passed yet. */
struct pipeline_plan {
    const struct pipeline_config *config; /* borrows */
    uint32_t stages_count;
    uint32_t decided_position;
    int64_t window_ns, lateness_ns, remember_ns, hold_ns, idle_ns, ahead_ns;
    int64_t clock_error_us;
    uint32_t transactions_max;
};
void pipeline_plan_init(struct pipeline_plan *p, const struct pipeline_config *c);
/* Name of a position as label from/to: "start" for 0. */
struct str pipeline_position_name(const struct pipeline_plan *p, uint32_t position);

/* --- one transaction ----------------------------------------------------------------------------
 * */

enum pipeline_state {
    PIPELINE_DECIDED_ONLY, /* known from a decision, not entered */
    PIPELINE_IN_FLIGHT,
    PIPELINE_LOST,
    PIPELINE_SETTLED, /* from here on: left */
    PIPELINE_DENIED,
    PIPELINE_DROPPED,
    PIPELINE_DLQ,
    PIPELINE_FAILED,
};
#define PIPELINE_STATES 8
static inline bool pipeline_is_left(uint32_t state)
{
    return state >= PIPELINE_SETTLED;
}
struct str pipeline_state_text(uint32_t state);

/* 80 bytes; with its 8-byte slots in the index (load 7/12..7/8) 89..94 bytes per transaction. */
#define PIPELINE_ATTEMPT_BITS  5 /* attempts 1..4 exactly, the fifth bit is "5 or more" */
#define PIPELINE_LOST_SLOT_NIL 16383u
#define PIPELINE_HOLD_S_MAX    262143u /* 3 days: the longest block, 72 h, fits */
struct pipeline_tx {
    uint64_t id[3]; /* the 32 bytes packed, see table.c */
    int64_t newest_ns;
    int64_t amount_centavos; /* largest seen, AMOUNT_NONE when none */
    int64_t decision_ns;     /* of the newest decision */
    uint64_t attempts;       /* PIPELINE_ATTEMPT_BITS per stage */
    uint64_t sla;            /* start (T_NS_NONE: bad clock), before that waiting ends; see sla.c */
    uint32_t hold_s : 18;    /* deadline = decision_ns + hold_s, when verdict is hold */
    uint32_t lost_slot : 14;
    uint32_t position : 4; /* furthest stage with ok or skip */
    uint32_t drop : 5;     /* furthest drop (2 * stage) or dlq (2 * stage + 1) */
    uint32_t error : 4;    /* furthest stage with an error */
    uint32_t state : 3;
    uint32_t verdict : 3;
    uint32_t decided : 1;
    uint32_t internal : 1;
    uint32_t sla_started : 1;
    uint32_t sla_exempt : 1; /* held, or settled over the secondary channel */
    uint32_t sla_seen : 3;   /* segments whose end was seen, bit = enum sla_segment - 1 */
    uint32_t sla_wait : 2;   /* t1_t0 or t3_t2 waits for the start */
    uint32_t sla_wait6 : 1;  /* t6a_t0 waits */
    uint32_t next, prev;     /* wheel list, or free list */
};
_Static_assert(sizeof(struct pipeline_tx) == 80, "an open transaction costs at most 96 bytes");
_Static_assert(PIPELINE_STAGES_MAX *PIPELINE_ATTEMPT_BITS <= 64, "attempt marks fit a word");
_Static_assert(PIPELINE_LOST_MAX < PIPELINE_LOST_SLOT_NIL, "lost slots fit their bits");

static inline bool pipeline_tx_is_hold(const struct pipeline_tx *tx)
{
    return tx->decided && tx->verdict == VERDICT_HOLD;
}

/* --- table.c: transactions by id
 * ------------------------------------------------------------------ */

#define PIPELINE_SEGMENTS   64
#define PIPELINE_CHUNK_BITS 12
struct pipeline_slot {
    uint32_t tag;
    uint32_t idx1; /* pool number + 1; 0 = empty */
};
struct pipeline_segment {
    struct pipeline_slot *slots;
    uint32_t cap, count; /* slots (0 at first), used */
};
struct pipeline_table {
    struct mem *mem; /* borrows */
    struct pipeline_segment segments[PIPELINE_SEGMENTS];
    struct pipeline_tx **chunks;
    size_t chunks_cap;
    uint32_t chunks_count;
    uint32_t free_head;
    uint32_t used_top;   /* pool numbers given out so far */
    uint32_t count, max; /* transactions now, cap */
};
void pipeline_table_init(struct pipeline_table *t, struct mem *m, uint32_t max);
void pipeline_table_release(struct pipeline_table *t);
/* false: not an EndToEndId. */
MUST_USE bool pipeline_id_pack(const struct e2e *id, uint64_t out[3]);
void pipeline_id_unpack(const uint64_t id[3], struct e2e *out);
struct hash128 pipeline_id_hash(const uint64_t id[3]);
/* PIPELINE_NIL when absent. */
uint32_t pipeline_table_find(const struct pipeline_table *t, struct hash128 h,
                             const uint64_t id[3]);
/* id must be absent. Zeroed apart from the id. PIPELINE_NIL at the cap or without memory. */
uint32_t pipeline_table_add(struct pipeline_table *t, struct hash128 h, const uint64_t id[3]);
void pipeline_table_remove(struct pipeline_table *t, uint32_t idx);
/* Room for `more` transactions, so that adding them grows no segment on the way. Best effort:
 * without memory the table grows as it is filled. */
void pipeline_table_reserve(struct pipeline_table *t, uint64_t more);
/* Fetches the index line that h leads to: for callers that know several ids ahead. */
void pipeline_table_prefetch(const struct pipeline_table *t, struct hash128 h);
/* False for pool numbers that no transaction has; idx < used_top. */
static inline bool pipeline_table_is_used(const struct pipeline_tx *tx)
{
    return tx->id[2] != 0; /* ids are text: never zero */
}
static inline struct pipeline_tx *pipeline_table_at(const struct pipeline_table *t, uint32_t idx)
{
    return &t->chunks[idx >> PIPELINE_CHUNK_BITS][idx & ((1u << PIPELINE_CHUNK_BITS) - 1)];
}
size_t pipeline_table_bytes(const struct pipeline_table *t);

/* --- watermark.c
 * ---------------------------------------------------------------------------------- */

#define PIPELINE_WATERMARK_K 8
struct pipeline_top {
    int64_t t[PIPELINE_WATERMARK_K]; /* ascending; t[0] is the K-th largest when full */
    uint32_t count;
};
struct pipeline_watermark {
    struct pipeline_top top;
    int64_t t_ns; /* T_NS_NONE until K events were seen */
    /* Events outside the credible span, in a row: */
    struct pipeline_top ahead_top;
    uint64_t ahead_host;
    uint32_t ahead_run;
    bool ahead_hosts_differ;
    uint32_t behind_run;
    int64_t behind_max_ns;
    uint64_t ahead_total; /* events that were not believed */
};
void pipeline_top_add(struct pipeline_top *top, int64_t t_ns);
void pipeline_watermark_init(struct pipeline_watermark *w);
/* true when t is within the credible span (then it may also move a stage's own watermark). */
bool pipeline_watermark_note(struct pipeline_watermark *w, const struct pipeline_plan *p,
                             int64_t t_ns, struct str host);

/* --- ledger.c
 * --------------------------------------------------------------------------------------- */

#define PIPELINE_WHEEL        4096        /* one-second buckets; what is later is looked at again */
#define PIPELINE_HEAD_OF      0x80000000u /* prev of a bucket's first entry: this | bucket */
#define PIPELINE_HOLD_BUCKETS 32768       /* of 10 s: 91 h, so 72 h of deadlines never meet */
#define PIPELINE_HOLD_NS      (10 * NS_PER_S)

/* What one look at a transaction found; the counters that follow from it. */
enum pipeline_seen {
    PIPELINE_SEEN_NEW,     /* a stage and attempt not seen before */
    PIPELINE_SEEN_DUP,     /* seen before, or the outcome says so */
    PIPELINE_SEEN_TOO_OLD, /* unknown id, older than what is remembered: not entered */
    PIPELINE_SEEN_SHED,    /* unknown id at the cap: not entered */
};

struct pipeline_ledger_counts {
    uint64_t entered;
    uint64_t
        state[PIPELINE_STATES]; /* transactions whose state is now this; lost and left forever */
    uint64_t lost[PIPELINE_STAGES_MAX + 1], recovered[PIPELINE_STAGES_MAX + 1]; /* by position */
    uint64_t reopened[PIPELINE_STATES]; /* left states that a later event took back */
    int64_t lost_centavos, recovered_centavos;
    uint64_t shed, too_old;
    uint64_t forgotten; /* open transactions given up because the list of stages changed */
    uint64_t decision_duplicates, decision_conflicts;
};

struct pipeline_lost {
    uint64_t id[3]; /* all zero: recovered since */
    int64_t last_ns, lost_ns, amount_centavos;
    uint32_t position;
};

#define PIPELINE_HOLD_EDGES 8
struct pipeline_hist {
    uint64_t buckets[26];
    i128 sum_ns;
};
extern const double pipeline_edges_s[25];
extern const double pipeline_hold_edges_s[PIPELINE_HOLD_EDGES];
void pipeline_hist_add(struct pipeline_hist *h, int64_t ns);
void pipeline_hold_hist_add(struct pipeline_hist *h, int64_t ns);
void pipeline_hist_merge(struct pipeline_hist *to, const struct pipeline_hist *from);
uint64_t pipeline_hist_count(const struct pipeline_hist *h);

/* sla.c: segments of the Manual de Tempos, and the samples that could not be observed. */
enum pipeline_sla_invalid {
    PIPELINE_SLA_CLOCK,    /* start or end from a host whose clock is off */
    PIPELINE_SLA_NEGATIVE, /* ended before the transaction started */
    PIPELINE_SLA_NO_START, /* the first stage was never seen */
    PIPELINE_SLA_EXEMPT,   /* held or secondary channel: other limits apply */
};
#define PIPELINE_SLA_INVALIDS 4
struct pipeline_sla {
    struct pipeline_hist segment[SLA_SEGMENTS];
    uint64_t invalid[PIPELINE_SLA_INVALIDS];
};
struct str pipeline_sla_invalid_text(enum pipeline_sla_invalid v);
/* An event that is no duplicate, after tx learned it. */
void pipeline_sla_event(struct pipeline_sla *s, const struct pipeline_plan *p,
                        struct pipeline_tx *tx, const struct stage_event *ev, uint32_t position);
/* An event without an entry (shed). */
void pipeline_sla_refused(struct pipeline_sla *s, const struct stage_event *ev);
/* The entry goes: what waits will never be observed. */
void pipeline_sla_forget(struct pipeline_sla *s, const struct pipeline_tx *tx);
void pipeline_sla_merge(struct pipeline_sla *to, const struct pipeline_sla *from);

struct pipeline_ledger {
    const struct pipeline_plan *plan; /* borrows */
    struct mem *mem;
    struct pipeline_table table;
    struct pipeline_watermark watermark;
    struct pipeline_ledger_counts counts;
    uint32_t wheel[PIPELINE_WHEEL];
    int64_t wheel_s; /* first second not yet passed; INT64_MIN before the first event */
    uint32_t holds[PIPELINE_HOLD_BUCKETS]; /* open holds by deadline */
    uint64_t hold_open;
    struct pipeline_hist hold_hist;
    struct pipeline_sla sla;
    struct pipeline_lost *lost; /* ring, newest at (lost_head - 1) mod PIPELINE_LOST_MAX */
    size_t lost_cap;
    uint32_t lost_count, lost_head;
    bool stages_seen; /* before, only the newest decisions are kept for the ledger */
};
void pipeline_ledger_init(struct pipeline_ledger *l, const struct pipeline_plan *p, struct mem *m);
void pipeline_ledger_release(struct pipeline_ledger *l);
/* position: 1-based, configured. The event's times are within 0..PIPELINE_T_MAX. */
enum pipeline_seen pipeline_ledger_stage(struct pipeline_ledger *l, struct hash128 h,
                                         const struct stage_event *s, uint32_t position,
                                         bool *first_at_stage);
void pipeline_ledger_decision(struct pipeline_ledger *l, struct hash128 h,
                              const struct decision *d);
/* Decides losses and forgets. exact: to the nanosecond; otherwise whole seconds only, which is
 * cheap enough for every event. Amortised O(1) per event. */
void pipeline_ledger_advance(struct pipeline_ledger *l, int64_t watermark_ns, bool exact);
/* Moves the wheel to a watermark that stepped back, or to a loaded one. O(transactions). */
void pipeline_ledger_rebase(struct pipeline_ledger *l, int64_t watermark_ns);
/* For load: puts a transaction whose fields were validated into the wheel, the holds and the table.
 * */
MUST_USE bool pipeline_ledger_restore(struct pipeline_ledger *l, const struct pipeline_tx *tx,
                                      struct hash128 h);
uint64_t pipeline_ledger_left(const struct pipeline_ledger_counts *c);
uint64_t pipeline_ledger_lost_now(const struct pipeline_ledger_counts *c);
int64_t pipeline_lost_centavos(const struct pipeline_ledger_counts *c); /* lost now, at least 0 */
bool pipeline_ledger_closes(const struct pipeline_ledger_counts *c);
void pipeline_ledger_counts_merge(struct pipeline_ledger_counts *to,
                                  const struct pipeline_ledger_counts *from);
uint64_t pipeline_ledger_holds_due(const struct pipeline_ledger *l, int64_t watermark_ns,
                                   int64_t within_ns);
/* Adding R$ never wraps: at the end of the range the sum stays there. */
void pipeline_centavos_add(int64_t *sum, int64_t v);
void pipeline_ledger_check(const struct pipeline_ledger *l); /* walks everything; ASSERTs */

/* --- lost.c
 * ----------------------------------------------------------------------------------------- */

uint32_t pipeline_lost_push(struct pipeline_ledger *l, const struct pipeline_lost *x);
void pipeline_lost_forget(struct pipeline_ledger *l, uint32_t slot, const uint64_t id[3]);

/* --- versions.c: the versions of a stage that have sent events
 * ---------------------------------------------------------------------------------------------- */

struct pipeline_version {
    char text[PIPELINE_LABEL_MAX];
    uint32_t n;                /* bytes of text */
    int64_t first_ns, last_ns; /* smallest and largest end_ns */
    uint64_t events;           /* without duplicates */
};
/* All zero is empty. */
struct pipeline_versions {
    uint32_t count;
    bool seen;
    int64_t first_ns; /* of any event, also of one without a version; 0 before */
    uint64_t replaced, refused;
    struct pipeline_version v[PIPELINE_VERSIONS_MAX];
};
struct str pipeline_version_text(const struct pipeline_version *v);
/* t_ns: credible. text may be empty: then only the stage's first event is noted. */
void pipeline_versions_note(struct pipeline_versions *s, struct str text, int64_t t_ns,
                            bool duplicate);
void pipeline_versions_merge(struct pipeline_versions *to, const struct pipeline_versions *from);
/* Of those with events in the last 60 s before the watermark (their number goes to *live) the one
 * first seen last; NULL without any. */
const struct pipeline_version *pipeline_versions_newest(const struct pipeline_versions *s,
                                                        int64_t watermark_ns, uint32_t *live);
/* Was v, which is one of s, new when the stage was already known? */
bool pipeline_version_is_deploy(const struct pipeline_versions *s,
                                const struct pipeline_version *v);
void pipeline_versions_put(struct buf *b, const struct pipeline_versions *s);
/* false: damaged; *out is then untouched. */
MUST_USE bool pipeline_versions_get(struct rd *r, struct pipeline_versions *out);

/* --- stages.c
 * --------------------------------------------------------------------------------------- */

struct pipeline_counted { /* strings with a counter each; the last counter is "other" */
    struct intern names;
    uint64_t *counts; /* max + 1 */
    uint32_t max;
};
struct pipeline_stage {
    uint64_t events[STAGE_OUTCOMES];
    uint64_t entered, duplicates, retries, negative;
    int64_t watermark_ns;
    struct pipeline_hist work, queue, duration, decision_latency;
    struct pipeline_counted reasons;
    struct pipeline_versions versions;
};
struct pipeline_host {
    int64_t t_ns, offset_us;
};
struct pipeline_stages {
    const struct pipeline_plan *plan;
    struct mem *mem;
    struct pipeline_stage stage[PIPELINE_STAGES_MAX];
    struct pipeline_counted unknown;
    uint64_t decisions[FORMS];
    struct pipeline_hist decision_latency;
    struct intern hosts;
    struct pipeline_host *host; /* PIPELINE_HOSTS_MAX */
    uint64_t hosts_shed, bad_times, latency_negative;
};
MUST_USE bool pipeline_stages_init(struct pipeline_stages *s, const struct pipeline_plan *p,
                                   struct mem *m, struct err *e);
void pipeline_stages_release(struct pipeline_stages *s);
/* All numbers to zero, all names forgotten; allocates nothing. */
void pipeline_stages_reset(struct pipeline_stages *s);
void pipeline_stages_event(struct pipeline_stages *s, const struct stage_event *ev,
                           uint32_t position, enum pipeline_seen seen, bool first_at_stage);
void pipeline_stages_host(struct pipeline_stages *s, struct str host, int64_t t_ns,
                          int64_t offset_us);
void pipeline_stages_merge_numbers(struct pipeline_stages *to, const struct pipeline_stages *from);
MUST_USE bool pipeline_counted_init(struct pipeline_counted *c, struct mem *m, uint32_t max);
void pipeline_counted_release(struct pipeline_counted *c, struct mem *m);
void pipeline_counted_merge(struct pipeline_counted *to, const struct pipeline_counted *from);
void pipeline_counted_add(struct pipeline_counted *c, struct str name, uint64_t n);

/* --- a shard, and what the shards share
 * -------------------------------------------------------------- */

struct pipeline_shard {
    struct mem *mem;
    struct pipeline_ledger ledger;
    struct pipeline_stages stages;
    uint64_t records; /* decisions and stage events applied */
    /* Per batch: what the batch's name numbers mean. 0 not looked up, 1 not a stage, else position
     * + 1; NAME_TOTAL is the latency called "total". */
    uint16_t names_used;
    uint8_t names[RECORD_NAMES_MAX];
};
#define PIPELINE_NAME_OTHER 1
#define PIPELINE_NAME_TOTAL 255

/* window.c: what arrived in the last 60 seconds, from snapshots of the sums every 5 seconds. */
#define PIPELINE_WINDOW_SLOTS 13
struct pipeline_window_stage {
    uint64_t events, errors, duplicates, retries;
    uint64_t duration[26], queue[26];
};
struct pipeline_snapshot {
    int64_t t_ns;
    uint64_t entered, decisions, stage_events, lost, too_old, shed, unknown;
    uint64_t sla[SLA_SEGMENTS][26];
    uint64_t decision_latency[26];
    struct pipeline_window_stage stage[PIPELINE_STAGES_MAX];
};
struct pipeline_window {
    struct pipeline_snapshot ring[PIPELINE_WINDOW_SLOTS];
    uint32_t count, head; /* newest at (head - 1) */
};
/* Differences between now and the oldest kept snapshot; seconds is 0 before the first. */
struct pipeline_rates {
    double seconds;
    struct pipeline_snapshot d;
};
void pipeline_window_reset(struct pipeline_window *w);
void pipeline_window_tick(struct pipeline_window *w, const struct pipeline_snapshot *now);
void pipeline_window_rates(const struct pipeline_window *w, const struct pipeline_snapshot *now,
                           struct pipeline_rates *out);
/* Quantile by linear interpolation inside the bucket; NaN without observations. The last bucket
 * answers its lower edge: a bound, not an estimate. */
double pipeline_quantile_s(const uint64_t buckets[26], double q);

struct pipeline {
    struct pipeline_plan plan;
    struct mem *mem;
    int64_t watermark_ns; /* of the river; T_NS_NONE at first */
    int64_t active_ns;    /* wall clock of the last tick that saw arrivals; T_NS_NONE at first */
    int64_t active_watermark_ns;
    uint64_t records_last;
    uint64_t watermark_resets;
    struct pipeline_window window;
};

/* Sums over shards. The caller gives the space: it is large. */
struct pipeline_total {
    struct pipeline_ledger_counts ledger;
    struct pipeline_hist hold_hist;
    struct pipeline_sla sla;
    uint64_t hold_open, hold_due_5m, remembered, records, ahead, unknown, table_bytes;
    struct pipeline_stages stages; /* numbers only: the interned sets are not merged here */
};
void pipeline_total_of(const struct pipeline *p, void *const *states, uint32_t n,
                       struct pipeline_total *out);
void pipeline_snapshot_of(const struct pipeline_total *t, const struct pipeline_plan *p,
                          int64_t now_ns, struct pipeline_snapshot *out);

/* publish.c, status.c, save.c, load.c: functions of the pillar */
void pipeline_publish(void *app, void *const *states, uint32_t n, int64_t now_ns, struct expo *x);
void pipeline_status(void *app, void *const *states, uint32_t n, int64_t now_ns, struct buf *out);
#define PIPELINE_SAVE_MAGIC   0x314c5046u /* "FPL1" */
#define PIPELINE_SAVE_VERSION 3u
#define PIPELINE_SAVE_TX      72 /* bytes of a transaction */
void pipeline_save(void *app, void *const *states, uint32_t n, struct buf *out);
MUST_USE bool pipeline_load(void *app, void *const *states, uint32_t n, struct str bytes,
                            struct err *e);

#endif
