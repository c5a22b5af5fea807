/* The sums of the ledger: what must close, how shards add up, and a check that walks everything.
 *
 * Exists beside ledger.c so that the rule entered = in flight + left + lost is written down apart
 * from the code that has to keep it. */
#include "pipeline/pipeline_int.h"

void pipeline_centavos_add(int64_t *sum, int64_t v)
{
    if (__builtin_add_overflow(*sum, v, sum)) {
        *sum = INT64_MAX;
    }
}

uint64_t pipeline_ledger_left(const struct pipeline_ledger_counts *c)
{
    uint64_t left = 0;
    for (uint32_t s = PIPELINE_SETTLED; s < PIPELINE_STATES; s++) {
        left += c->state[s];
    }
    return left;
}

uint64_t pipeline_ledger_lost_now(const struct pipeline_ledger_counts *c)
{
    uint64_t lost = 0;
    for (uint32_t p = 0; p <= PIPELINE_STAGES_MAX; p++) {
        lost += c->lost[p] - c->recovered[p];
    }
    return lost;
}

int64_t pipeline_lost_centavos(const struct pipeline_ledger_counts *c)
{
    int64_t v;
    return __builtin_sub_overflow(c->lost_centavos, c->recovered_centavos, &v) ? 0 : i64_max(v, 0);
}

bool pipeline_ledger_closes(const struct pipeline_ledger_counts *c)
{
    uint64_t lost = pipeline_ledger_lost_now(c);
    return lost == c->state[PIPELINE_LOST] &&
           c->entered == pipeline_ledger_left(c) + c->state[PIPELINE_IN_FLIGHT] + lost;
}

void pipeline_ledger_counts_merge(struct pipeline_ledger_counts *to,
                                  const struct pipeline_ledger_counts *from)
{
    to->entered += from->entered;
    for (uint32_t i = 0; i < PIPELINE_STATES; i++) {
        to->state[i] += from->state[i];
        to->reopened[i] += from->reopened[i];
    }
    for (uint32_t i = 0; i <= PIPELINE_STAGES_MAX; i++) {
        to->lost[i] += from->lost[i];
        to->recovered[i] += from->recovered[i];
    }
    pipeline_centavos_add(&to->lost_centavos, from->lost_centavos);
    pipeline_centavos_add(&to->recovered_centavos, from->recovered_centavos);
    to->shed += from->shed;
    to->too_old += from->too_old;
    to->forgotten += from->forgotten;
    to->decision_duplicates += from->decision_duplicates;
    to->decision_conflicts += from->decision_conflicts;
}

static void each_entry(const struct pipeline_ledger *l, void (*fn)(void *ctx, uint32_t idx),
                       void *ctx)
{
    for (uint32_t i = 0; i < PIPELINE_SEGMENTS; i++) {
        const struct pipeline_segment *s = &l->table.segments[i];
        for (uint32_t j = 0; j < s->cap; j++) {
            if (s->slots[j].idx1 != 0) {
                fn(ctx, s->slots[j].idx1 - 1);
            }
        }
    }
}

struct check {
    const struct pipeline_ledger *l;
    uint64_t in_flight, decided_only, holds, seen;
};

static void check_one(void *ctx, uint32_t idx)
{
    struct check *k = ctx;
    const struct pipeline_tx *tx = pipeline_table_at(&k->l->table, idx);
    k->seen++;
    k->in_flight += tx->state == PIPELINE_IN_FLIGHT;
    k->decided_only += tx->state == PIPELINE_DECIDED_ONLY;
    k->holds += tx->state == PIPELINE_IN_FLIGHT && pipeline_tx_is_hold(tx);
    ASSERT(pipeline_table_find(&k->l->table, pipeline_id_hash(tx->id), tx->id) == idx);
    uint32_t first_or_prev = tx->prev & PIPELINE_HEAD_OF
                                 ? k->l->wheel[tx->prev & ~PIPELINE_HEAD_OF]
                                 : pipeline_table_at(&k->l->table, tx->prev)->next;
    ASSERT(first_or_prev == idx);
}

void pipeline_ledger_check(const struct pipeline_ledger *l)
{
    struct check k = {.l = l};
    each_entry(l, check_one, &k);
    uint64_t linked = 0;
    for (uint32_t b = 0; b < PIPELINE_WHEEL; b++) {
        for (uint32_t i = l->wheel[b]; i != PIPELINE_NIL;
             i = pipeline_table_at(&l->table, i)->next) {
            linked++;
        }
    }
    ASSERT(k.seen == l->table.count);
    ASSERT(linked == l->table.count);
    ASSERT(k.in_flight == l->counts.state[PIPELINE_IN_FLIGHT]);
    ASSERT(k.decided_only == l->counts.state[PIPELINE_DECIDED_ONLY]);
    ASSERT(k.holds == l->hold_open);
    ASSERT(pipeline_ledger_closes(&l->counts));
}
