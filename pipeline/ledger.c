/* The ledger: where each transaction is, decided from the set of its events and from event time.
 *
 * An event only ever adds to what is known of a transaction: the furthest stage passed, the
 * furthest drop and error, the newest time, the largest amount, the newest decision. All are
 * maxima, so the order of arrival does not matter, and the state follows from them and the
 * watermark (classify):
 *
 *   a drop or dlq beyond the position           -> dropped, dlq
 *   the last stage passed                       -> settled
 *   decided_stage passed and denied (internal)  -> denied (settled)
 *   watermark > newest + window + lateness      -> failed when an error lies beyond the position,
 *                                                  else lost
 *     (newest + window is at least the deadline while the newest decision is a hold)
 *   otherwise                                   -> in flight
 *
 * Time comes as a wheel of one-second buckets of event time. An entry stays in its bucket when its
 * due time moves on, and is looked at and put further when the bucket's second has passed; it is
 * moved at once only when its due time comes nearer. Each look either ends a state or follows an
 * event, or is one of at most ceil(hold / 68 min): amortised O(1).
 *
 * Forgetting: after its loss could be decided, an id is kept for `remember` more. An unknown id
 * whose event is older than window + lateness + remember before the watermark may be a forgotten
 * one, so it is counted as too old and not entered: a ghost would be a second transaction, and
 * soon a false loss.
 *
 * Invariants: entered = in flight + left + lost (pipeline_ledger_closes); lost = declared -
 * recovered by position; an entry is in exactly one bucket, at or before its due second, never
 * before wheel_s. */
#include "pipeline/pipeline_int.h"

#define DECIDED_ONLY_MAX 65536 /* kept while no stage event was ever seen */
#define WHEEL_BACK_S     3600  /* the first event may be this far ahead of the rest */
#define ATTEMPT_MASK     ((1u << PIPELINE_ATTEMPT_BITS) - 1)

/* What an entry counted for before an event or a second changed it. */
struct before {
    uint32_t state, position;
    int64_t amount, due_ns, deadline_ns, decision_ns;
    bool hold;
};

void pipeline_ledger_init(struct pipeline_ledger *l, const struct pipeline_plan *p, struct mem *m)
{
    *l = (struct pipeline_ledger){.plan = p, .mem = m, .wheel_s = INT64_MIN};
    pipeline_table_init(&l->table, m, p->transactions_max);
    pipeline_watermark_init(&l->watermark);
    for (uint32_t i = 0; i < PIPELINE_WHEEL; i++) {
        l->wheel[i] = PIPELINE_NIL;
    }
}

void pipeline_ledger_release(struct pipeline_ledger *l)
{
    pipeline_table_release(&l->table);
    mem_give(l->mem, l->lost, l->lost_cap * sizeof *l->lost);
    l->lost = NULL;
    l->lost_cap = 0;
    l->lost_count = 0;
}

static int64_t floor_s(int64_t ns)
{
    ASSERT(ns >= 0);
    return ns / NS_PER_S;
}

static int64_t deadline_ns(const struct pipeline_tx *tx)
{
    return tx->decision_ns + ns_from_s((int64_t)tx->hold_s);
}

/* Later than this the transaction is lost or failed. */
static int64_t expiry_ns(const struct pipeline_ledger *l, const struct pipeline_tx *tx)
{
    int64_t t = tx->newest_ns + l->plan->window_ns;
    if (pipeline_tx_is_hold(tx)) {
        t = i64_max(t, deadline_ns(tx));
    }
    return t + l->plan->lateness_ns;
}

/* When the entry has to be looked at: the loss of one in flight, the forgetting of the rest. */
static int64_t due_ns(const struct pipeline_ledger *l, const struct pipeline_tx *tx)
{
    if (tx->state == PIPELINE_IN_FLIGHT) {
        return expiry_ns(l, tx);
    }
    if (tx->state == PIPELINE_DECIDED_ONLY) {
        return tx->newest_ns + l->plan->window_ns + l->plan->lateness_ns;
    }
    return expiry_ns(l, tx) + l->plan->remember_ns;
}

static enum pipeline_state classify(const struct pipeline_ledger *l, const struct pipeline_tx *tx)
{
    if (tx->drop >> 1 > tx->position) {
        return tx->drop & 1 ? PIPELINE_DLQ : PIPELINE_DROPPED;
    }
    if (tx->position >= l->plan->stages_count) {
        return PIPELINE_SETTLED;
    }
    if (tx->decided && tx->position >= l->plan->decided_position) {
        if (tx->verdict == VERDICT_DENY || tx->verdict == VERDICT_CAUTELAR_BLOCK) {
            return PIPELINE_DENIED;
        }
    }
    if (tx->internal && tx->position >= l->plan->decided_position) {
        return PIPELINE_SETTLED;
    }
    if (l->watermark.t_ns != T_NS_NONE && l->watermark.t_ns > expiry_ns(l, tx)) {
        return tx->error > tx->position ? PIPELINE_FAILED : PIPELINE_LOST;
    }
    return PIPELINE_IN_FLIGHT;
}

static void wheel_put(struct pipeline_ledger *l, uint32_t idx, int64_t due)
{
    int64_t s = floor_s(due);
    s = i64_max(s, l->wheel_s);
    s = i64_min(s, l->wheel_s + PIPELINE_WHEEL - 1);
    uint32_t b = (uint32_t)(s & (PIPELINE_WHEEL - 1));
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    tx->prev = PIPELINE_HEAD_OF | b;
    tx->next = l->wheel[b];
    if (tx->next != PIPELINE_NIL) {
        pipeline_table_at(&l->table, tx->next)->prev = idx;
    }
    l->wheel[b] = idx;
}

static void wheel_take(struct pipeline_ledger *l, uint32_t idx)
{
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    if (tx->prev & PIPELINE_HEAD_OF) {
        l->wheel[tx->prev & ~PIPELINE_HEAD_OF] = tx->next;
    } else {
        pipeline_table_at(&l->table, tx->prev)->next = tx->next;
    }
    if (tx->next != PIPELINE_NIL) {
        pipeline_table_at(&l->table, tx->next)->prev = tx->prev;
    }
}

static uint32_t hold_bucket(int64_t deadline)
{
    return (uint32_t)(deadline / PIPELINE_HOLD_NS & (PIPELINE_HOLD_BUCKETS - 1));
}

static struct before before_of(const struct pipeline_ledger *l, const struct pipeline_tx *tx)
{
    return (struct before){
        .state = tx->state,
        .position = tx->position,
        .amount = tx->amount_centavos,
        .due_ns = due_ns(l, tx),
        .deadline_ns = deadline_ns(tx),
        .decision_ns = tx->decision_ns,
        .hold = tx->state == PIPELINE_IN_FLIGHT && pipeline_tx_is_hold(tx),
    };
}

static int64_t value_of(int64_t amount)
{
    return i64_max(amount, 0); /* AMOUNT_NONE is negative */
}

static void account_hold(struct pipeline_ledger *l, const struct pipeline_tx *tx,
                         const struct before *b, int64_t at_ns)
{
    bool hold = tx->state == PIPELINE_IN_FLIGHT && pipeline_tx_is_hold(tx);
    if (b->hold) {
        ASSERT(l->hold_open > 0 && l->holds[hold_bucket(b->deadline_ns)] > 0);
        l->holds[hold_bucket(b->deadline_ns)]--;
        l->hold_open--;
    }
    if (hold) {
        l->holds[hold_bucket(deadline_ns(tx))]++;
        l->hold_open++;
    }
    bool ended = b->hold && !hold && tx->state != PIPELINE_LOST && tx->state != PIPELINE_FAILED;
    if (ended && at_ns >= b->decision_ns) {
        pipeline_hold_hist_add(&l->hold_hist, at_ns - b->decision_ns);
    }
}

static void account_lost(struct pipeline_ledger *l, struct pipeline_tx *tx, const struct before *b)
{
    struct pipeline_ledger_counts *c = &l->counts;
    bool was = b->state == PIPELINE_LOST;
    bool is = tx->state == PIPELINE_LOST;
    if (was && is && b->position == tx->position) {
        /* Its value became known late; amounts only grow. */
        pipeline_centavos_add(&c->lost_centavos,
                              value_of(tx->amount_centavos) - value_of(b->amount));
        if (tx->lost_slot != PIPELINE_LOST_SLOT_NIL) {
            struct pipeline_lost *x = &l->lost[tx->lost_slot];
            if (memcmp(x->id, tx->id, sizeof tx->id) == 0) {
                x->amount_centavos = tx->amount_centavos;
                x->last_ns = tx->newest_ns;
            }
        }
        return;
    }
    if (was) {
        c->recovered[b->position]++;
        pipeline_centavos_add(&c->recovered_centavos, value_of(b->amount));
        pipeline_lost_forget(l, tx->lost_slot, tx->id);
        tx->lost_slot = PIPELINE_LOST_SLOT_NIL;
    }
    if (is) {
        c->lost[tx->position]++;
        pipeline_centavos_add(&c->lost_centavos, value_of(tx->amount_centavos));
        struct pipeline_lost x = {
            .id = {tx->id[0], tx->id[1], tx->id[2]},
            .last_ns = tx->newest_ns,
            .lost_ns = expiry_ns(l, tx),
            .amount_centavos = tx->amount_centavos,
            .position = tx->position,
        };
        tx->lost_slot = pipeline_lost_push(l, &x) & 0x3fffu;
    }
}

/* Brings every counter from what the entry was to what it is. at_ns: time of the event, for holds.
 * */
static void account(struct pipeline_ledger *l, struct pipeline_tx *tx, const struct before *b,
                    int64_t at_ns)
{
    struct pipeline_ledger_counts *c = &l->counts;
    if (b->state != tx->state) {
        ASSERT(c->state[b->state] > 0);
        c->state[b->state]--;
        c->state[tx->state]++;
        if (b->state == PIPELINE_DECIDED_ONLY) {
            c->entered++;
        } else if (pipeline_is_left(b->state)) {
            c->reopened[b->state]++;
        }
    }
    if (b->state == PIPELINE_LOST || tx->state == PIPELINE_LOST) {
        account_lost(l, tx, b);
    }
    account_hold(l, tx, b, at_ns);
}

/* Decides the state again after the fields changed. New entries are not in the wheel yet. */
static void settle(struct pipeline_ledger *l, uint32_t idx, const struct before *b, int64_t at_ns,
                   bool is_new, bool enter)
{
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    if (enter || tx->state != PIPELINE_DECIDED_ONLY) {
        tx->state = classify(l, tx) & 7u;
    }
    account(l, tx, b, at_ns);
    int64_t due = due_ns(l, tx);
    if (is_new) {
        wheel_put(l, idx, due);
    } else if (due < b->due_ns) {
        wheel_take(l, idx);
        wheel_put(l, idx, due);
    }
}

static bool is_too_old(const struct pipeline_ledger *l, int64_t t_ns)
{
    const struct pipeline_plan *p = l->plan;
    return l->watermark.t_ns != T_NS_NONE &&
           t_ns < l->watermark.t_ns - p->window_ns - p->lateness_ns - p->remember_ns;
}

static uint32_t enter_id(struct pipeline_ledger *l, struct hash128 h, const uint64_t id[3],
                         int64_t t_ns)
{
    uint32_t idx = pipeline_table_add(&l->table, h, id);
    if (idx == PIPELINE_NIL) {
        return idx;
    }
    if (l->wheel_s == INT64_MIN) {
        l->wheel_s = i64_max(floor_s(t_ns) - WHEEL_BACK_S, 0);
    }
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    tx->newest_ns = t_ns;
    tx->amount_centavos = AMOUNT_NONE;
    tx->lost_slot = PIPELINE_LOST_SLOT_NIL;
    l->counts.state[PIPELINE_DECIDED_ONLY]++;
    return idx;
}

/* Marks the attempt; true when it was marked before. Attempts from 5 on share a mark and are never
 * taken for duplicates. */
static bool mark_attempt(struct pipeline_tx *tx, const struct stage_event *s, uint32_t position,
                         bool *first_at_stage)
{
    unsigned shift = (position - 1) * PIPELINE_ATTEMPT_BITS;
    uint32_t marks = (uint32_t)(tx->attempts >> shift) & ATTEMPT_MASK;
    uint32_t attempt = s->attempt == 0 ? 1 : s->attempt;
    bool exact = attempt < PIPELINE_ATTEMPT_BITS;
    uint32_t bit = 1u << (exact ? attempt - 1 : PIPELINE_ATTEMPT_BITS - 1);
    *first_at_stage = marks == 0;
    tx->attempts |= (uint64_t)bit << shift;
    return exact && (marks & bit) != 0;
}

static void learn_stage(struct pipeline_tx *tx, const struct stage_event *s, uint32_t position)
{
    switch (s->outcome) {
    case OUTCOME_OK:
    case OUTCOME_SKIP:
        tx->position = (position > tx->position ? position : tx->position) & 15u;
        break;
    case OUTCOME_ERROR: tx->error = (position > tx->error ? position : tx->error) & 15u; break;
    case OUTCOME_DROP:
    case OUTCOME_DLQ: {
        uint32_t drop = position * 2 + (s->outcome == OUTCOME_DLQ);
        tx->drop = (drop > tx->drop ? drop : tx->drop) & 31u;
        break;
    }
    case OUTCOME_RETRY:
    case OUTCOME_DUP: break;
    }
    tx->newest_ns = i64_max(tx->newest_ns, s->end_ns);
    tx->amount_centavos = i64_max(tx->amount_centavos, s->amount_centavos);
}

enum pipeline_seen pipeline_ledger_stage(struct pipeline_ledger *l, struct hash128 h,
                                         const struct stage_event *s, uint32_t position,
                                         bool *first_at_stage)
{
    ASSERT(position >= 1 && position <= l->plan->stages_count);
    uint64_t id[3];
    *first_at_stage = false;
    l->stages_seen = true;
    if (!pipeline_id_pack(&s->id, id)) {
        l->counts.shed++; /* the doors let no such id in; a damaged journal is not trusted */
        return PIPELINE_SEEN_SHED;
    }
    uint32_t idx = pipeline_table_find(&l->table, h, id);
    bool is_new = idx == PIPELINE_NIL;
    if (is_new) {
        if (is_too_old(l, s->end_ns)) {
            l->counts.too_old++;
            return PIPELINE_SEEN_TOO_OLD;
        }
        idx = enter_id(l, h, id, s->end_ns);
        if (idx == PIPELINE_NIL) {
            l->counts.shed++;
            pipeline_sla_refused(&l->sla, s);
            return PIPELINE_SEEN_SHED;
        }
    }
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    struct before b = before_of(l, tx);
    /* A stage that says "dup" saw the message twice; its own attempt is another event. */
    bool dup = s->outcome == OUTCOME_DUP || mark_attempt(tx, s, position, first_at_stage);
    learn_stage(tx, s, position);
    if (!dup) {
        pipeline_sla_event(&l->sla, l->plan, tx, s, position);
    }
    settle(l, idx, &b, s->end_ns, is_new, true);
    return dup ? PIPELINE_SEEN_DUP : PIPELINE_SEEN_NEW;
}

static void learn_decision(struct pipeline_ledger *l, struct pipeline_tx *tx,
                           const struct decision *d)
{
    tx->newest_ns = i64_max(tx->newest_ns, d->t_ns);
    tx->amount_centavos = i64_max(tx->amount_centavos, d->amount_centavos);
    tx->internal = tx->internal || d->settlement == SETTLEMENT_INTERNAL;
    tx->sla_exempt =
        tx->sla_exempt || d->verdict == VERDICT_HOLD || d->settlement == SETTLEMENT_SPI_SECONDARY;
    if (tx->decided && tx->decision_ns == d->t_ns && tx->verdict == d->verdict) {
        l->counts.decision_duplicates++;
        return;
    }
    bool newer = !tx->decided || d->t_ns > tx->decision_ns ||
                 (d->t_ns == tx->decision_ns && d->verdict > tx->verdict);
    if (tx->decided && tx->verdict != d->verdict) {
        /* A hold or a step-up is meant to be followed by another verdict, the rest are final. */
        uint32_t older = newer ? tx->verdict : d->verdict;
        l->counts.decision_conflicts += older != VERDICT_HOLD && older != VERDICT_STEP_UP;
    }
    if (!newer) {
        return;
    }
    int64_t hold = l->plan->hold_ns;
    if (d->hold_deadline_ns != T_NS_NONE) {
        hold = d->hold_deadline_ns > d->t_ns ? d->hold_deadline_ns - d->t_ns : 0;
    }
    int64_t hold_s = (hold + NS_PER_S - 1) / NS_PER_S;
    tx->decided = true;
    tx->decision_ns = d->t_ns;
    tx->verdict = (uint32_t)d->verdict & 7u;
    tx->hold_s = (uint32_t)i64_min(hold_s, PIPELINE_HOLD_S_MAX) & PIPELINE_HOLD_S_MAX;
}

void pipeline_ledger_decision(struct pipeline_ledger *l, struct hash128 h, const struct decision *d)
{
    uint64_t id[3];
    if (!pipeline_id_pack(&d->id, id)) {
        return;
    }
    uint32_t idx = pipeline_table_find(&l->table, h, id);
    bool is_new = idx == PIPELINE_NIL;
    if (is_new) {
        bool useless =
            !l->stages_seen && l->counts.state[PIPELINE_DECIDED_ONLY] >= DECIDED_ONLY_MAX;
        if (useless || is_too_old(l, d->t_ns)) {
            return;
        }
        idx = enter_id(l, h, id, d->t_ns);
        if (idx == PIPELINE_NIL) {
            return; /* its stage events, if any come, are shed and counted */
        }
    }
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    struct before b = before_of(l, tx);
    learn_decision(l, tx, d);
    settle(l, idx, &b, d->t_ns, is_new, false);
}

/* A second has passed over this entry, which is out of the wheel: ends it, or puts it further. */
static void look(struct pipeline_ledger *l, uint32_t idx)
{
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    int64_t due = due_ns(l, tx);
    if (due < l->watermark.t_ns && tx->state == PIPELINE_IN_FLIGHT) {
        struct before b = before_of(l, tx);
        tx->state = classify(l, tx) & 7u;
        ASSERT(tx->state != PIPELINE_IN_FLIGHT);
        account(l, tx, &b, l->watermark.t_ns);
        due = due_ns(l, tx);
    }
    if (due >= l->watermark.t_ns) {
        wheel_put(l, idx, due);
        return;
    }
    if (tx->state == PIPELINE_DECIDED_ONLY) {
        l->counts.state[PIPELINE_DECIDED_ONLY]--;
    }
    pipeline_sla_forget(&l->sla, tx);
    pipeline_table_remove(&l->table, idx);
}

static void fire(struct pipeline_ledger *l, int64_t second)
{
    uint32_t b = (uint32_t)(second & (PIPELINE_WHEEL - 1));
    uint32_t idx = l->wheel[b];
    l->wheel[b] = PIPELINE_NIL;
    while (idx != PIPELINE_NIL) {
        uint32_t next = pipeline_table_at(&l->table, idx)->next;
        look(l, idx);
        idx = next;
    }
}

void pipeline_ledger_advance(struct pipeline_ledger *l, int64_t watermark_ns, bool exact)
{
    ASSERT(watermark_ns >= 0);
    l->watermark.t_ns = i64_max(l->watermark.t_ns, watermark_ns);
    if (l->wheel_s == INT64_MIN) {
        return;
    }
    int64_t target = floor_s(l->watermark.t_ns);
    int64_t from = l->wheel_s;
    if (target > from) {
        /* First the base, so that entries put further land at or after it. */
        l->wheel_s = target;
        int64_t end = i64_min(target, from + PIPELINE_WHEEL);
        for (int64_t s = from; s < end; s++) {
            fire(l, s);
        }
    }
    if (exact) {
        fire(l, l->wheel_s);
    }
}

void pipeline_ledger_rebase(struct pipeline_ledger *l, int64_t watermark_ns)
{
    uint32_t all = PIPELINE_NIL;
    for (uint32_t b = 0; b < PIPELINE_WHEEL; b++) {
        for (uint32_t idx = l->wheel[b]; idx != PIPELINE_NIL;) {
            struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
            uint32_t next = tx->next;
            tx->next = all;
            all = idx;
            idx = next;
        }
        l->wheel[b] = PIPELINE_NIL;
    }
    l->watermark.t_ns = watermark_ns;
    l->wheel_s = watermark_ns == T_NS_NONE ? l->wheel_s : floor_s(watermark_ns);
    while (all != PIPELINE_NIL) {
        uint32_t idx = all;
        all = pipeline_table_at(&l->table, idx)->next;
        wheel_put(l, idx, due_ns(l, pipeline_table_at(&l->table, idx)));
    }
}

bool pipeline_ledger_restore(struct pipeline_ledger *l, const struct pipeline_tx *from,
                             struct hash128 h)
{
    uint32_t idx = pipeline_table_add(&l->table, h, from->id);
    if (idx == PIPELINE_NIL) {
        return false;
    }
    if (l->wheel_s == INT64_MIN) {
        l->wheel_s = i64_max(floor_s(from->newest_ns) - WHEEL_BACK_S, 0);
    }
    struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
    *tx = *from;
    tx->lost_slot = PIPELINE_LOST_SLOT_NIL;
    if (tx->state == PIPELINE_IN_FLIGHT && pipeline_tx_is_hold(tx)) {
        l->holds[hold_bucket(deadline_ns(tx))]++;
        l->hold_open++;
    }
    wheel_put(l, idx, due_ns(l, tx));
    return true;
}

uint64_t pipeline_ledger_holds_due(const struct pipeline_ledger *l, int64_t watermark_ns,
                                   int64_t within_ns)
{
    if (watermark_ns == T_NS_NONE) {
        return 0;
    }
    /* Deadlines already passed count too: their loss is decided only `lateness` later. */
    int64_t first = i64_max(watermark_ns - l->plan->lateness_ns, 0) / PIPELINE_HOLD_NS;
    int64_t last = (watermark_ns + within_ns) / PIPELINE_HOLD_NS;
    uint64_t due = 0;
    for (int64_t b = first; b <= last && b < first + PIPELINE_HOLD_BUCKETS; b++) {
        due += l->holds[b & (PIPELINE_HOLD_BUCKETS - 1)];
    }
    return due;
}
