/* The saved form of the pillar: one section of a checkpoint. It does not depend on the number of
 * shards.
 *
 *   u32 magic "FPL1"   u32 version 3
 *   u8 stages, then per stage: str32 name
 *   i64 watermark of the river   u64 times it was set back   u8 stage events were seen
 *   u64 events from wild clocks   u8 count, then that many i64: the largest event times
 *   counts:  u64 entered, state[8], reopened[8]
 *            per position 0..stages: u64 lost, u64 recovered
 *            i64 lost and recovered centavos
 *            u64 shed, too_old, forgotten, decision_duplicates, decision_conflicts
 *   hist     holds
 *   hist     sla[4]   u64 invalid by clock, negative, no_start, exempt
 *   per stage: u64 events[7], entered, duplicates, retries, negative; i64 watermark;
 *            hist work, queue, duration, decision_latency; counted reasons;
 *            versions, drawn in versions.c
 *   counted  unknown stage names
 *   u64      decisions[9 forms]   hist decision latency
 *   u32      hosts, then per host: str32 name, i64 t, i64 offset
 *   u64      hosts shed, bad times, negative latencies
 *   u32      lost ring entries, oldest declaration first within a shard, each 49 bytes:
 *            u64 id[3], i64 last, i64 declared, i64 amount, u8 position
 *   u64      transactions, each 72 bytes:
 *            u64 id[3], i64 newest, i64 amount, i64 decision, u64 attempts, u64 sla, u32 hold_s,
 *            u32 flags, from bit 0: position 4, drop 5, error 4, state 3, verdict 3, decided 1,
 *            internal 1, sla started 1, exempt 1, seen 3, wait 2, wait6 1
 *   u32      magic again: the end is where it should be
 *
 *   hist     u64 buckets[26], u64 low and high half of the sum in ns
 *   counted  u64 other, u32 names, then per name: str32, u64
 *
 * All integers are little-endian. The window of the last 60 seconds and the runs of events outside
 * the credible span are not saved. */
#include "pipeline/pipeline_int.h"

static void put_i64(struct buf *b, int64_t v)
{
    buf_u64le(b, (uint64_t)v);
}

static void put_hist(struct buf *b, const struct pipeline_hist *h)
{
    for (uint32_t i = 0; i < ARRAY_LEN(h->buckets); i++) {
        buf_u64le(b, h->buckets[i]);
    }
    u128 sum = (u128)h->sum_ns;
    buf_u64le(b, (uint64_t)sum);
    buf_u64le(b, (uint64_t)(sum >> 64));
}

/* A name that is in several shards is written once for each: load adds them up. */
static void put_counted(struct buf *b, void *const *states, uint32_t n,
                        const struct pipeline_counted *(*get)(const struct pipeline_shard *,
                                                              uint32_t),
                        uint32_t which)
{
    uint64_t other = 0;
    uint32_t names = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_counted *c = get(states[i], which);
        other += c->counts[c->max];
        names += c->names.count;
    }
    buf_u64le(b, other);
    buf_u32le(b, names);
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_counted *c = get(states[i], which);
        for (uint32_t j = 0; j < c->names.count; j++) {
            buf_str32(b, intern_str(&c->names, j));
            buf_u64le(b, c->counts[j]);
        }
    }
}

static const struct pipeline_counted *reasons_of(const struct pipeline_shard *s, uint32_t stage)
{
    return &s->stages.stage[stage].reasons;
}

static const struct pipeline_counted *unknown_of(const struct pipeline_shard *s, uint32_t unused)
{
    (void)unused;
    return &s->stages.unknown;
}

static void put_counts(struct buf *b, const struct pipeline_ledger_counts *c, uint32_t stages)
{
    buf_u64le(b, c->entered);
    for (uint32_t i = 0; i < PIPELINE_STATES; i++) {
        buf_u64le(b, c->state[i]);
    }
    for (uint32_t i = 0; i < PIPELINE_STATES; i++) {
        buf_u64le(b, c->reopened[i]);
    }
    for (uint32_t i = 0; i <= stages; i++) {
        buf_u64le(b, c->lost[i]);
        buf_u64le(b, c->recovered[i]);
    }
    put_i64(b, c->lost_centavos);
    put_i64(b, c->recovered_centavos);
    buf_u64le(b, c->shed);
    buf_u64le(b, c->too_old);
    buf_u64le(b, c->forgotten);
    buf_u64le(b, c->decision_duplicates);
    buf_u64le(b, c->decision_conflicts);
}

static void put_stages(struct buf *b, const struct pipeline_stages *s, void *const *states,
                       uint32_t n, uint32_t stages)
{
    for (uint32_t i = 0; i < stages; i++) {
        const struct pipeline_stage *st = &s->stage[i];
        for (uint32_t o = 0; o < STAGE_OUTCOMES; o++) {
            buf_u64le(b, st->events[o]);
        }
        buf_u64le(b, st->entered);
        buf_u64le(b, st->duplicates);
        buf_u64le(b, st->retries);
        buf_u64le(b, st->negative);
        put_i64(b, st->watermark_ns);
        put_hist(b, &st->work);
        put_hist(b, &st->queue);
        put_hist(b, &st->duration);
        put_hist(b, &st->decision_latency);
        put_counted(b, states, n, reasons_of, i);
        pipeline_versions_put(b, &st->versions);
    }
    put_counted(b, states, n, unknown_of, 0);
    for (uint32_t i = 0; i < FORMS; i++) {
        buf_u64le(b, s->decisions[i]);
    }
    put_hist(b, &s->decision_latency);
}

static void put_hosts(struct buf *b, const struct pipeline_stages *sum, void *const *states,
                      uint32_t n)
{
    uint32_t hosts = 0;
    for (uint32_t i = 0; i < n; i++) {
        hosts += ((const struct pipeline_shard *)states[i])->stages.hosts.count;
    }
    buf_u32le(b, hosts);
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_stages *s = &((const struct pipeline_shard *)states[i])->stages;
        for (uint32_t j = 0; j < s->hosts.count; j++) {
            buf_str32(b, intern_str(&s->hosts, j));
            put_i64(b, s->host[j].t_ns);
            put_i64(b, s->host[j].offset_us);
        }
    }
    buf_u64le(b, sum->hosts_shed);
    buf_u64le(b, sum->bad_times);
    buf_u64le(b, sum->latency_negative);
}

static void put_lost(struct buf *b, void *const *states, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_ledger *l = &((const struct pipeline_shard *)states[i])->ledger;
        for (uint32_t j = 0; j < l->lost_count; j++) {
            count += l->lost[j].id[2] != 0;
        }
    }
    buf_u32le(b, count);
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_ledger *l = &((const struct pipeline_shard *)states[i])->ledger;
        for (uint32_t j = 0; j < l->lost_count; j++) {
            const struct pipeline_lost *x = &l->lost[(l->lost_head + j) % l->lost_count];
            if (x->id[2] == 0) {
                continue;
            }
            for (uint32_t k = 0; k < 3; k++) {
                buf_u64le(b, x->id[k]);
            }
            put_i64(b, x->last_ns);
            put_i64(b, x->lost_ns);
            put_i64(b, x->amount_centavos);
            buf_u8(b, (uint8_t)x->position);
        }
    }
}

static void put_tx(char *p, const struct pipeline_tx *tx)
{
    put_u64le(p, tx->id[0]);
    put_u64le(p + 8, tx->id[1]);
    put_u64le(p + 16, tx->id[2]);
    put_u64le(p + 24, (uint64_t)tx->newest_ns);
    put_u64le(p + 32, (uint64_t)tx->amount_centavos);
    put_u64le(p + 40, (uint64_t)tx->decision_ns);
    put_u64le(p + 48, tx->attempts);
    put_u64le(p + 56, tx->sla);
    put_u32le(p + 64, tx->hold_s);
    uint32_t flags = tx->position | (uint32_t)tx->drop << 4 | (uint32_t)tx->error << 9 |
                     (uint32_t)tx->state << 13 | (uint32_t)tx->verdict << 16 |
                     (uint32_t)tx->decided << 19 | (uint32_t)tx->internal << 20 |
                     (uint32_t)tx->sla_started << 21 | (uint32_t)tx->sla_exempt << 22 |
                     (uint32_t)tx->sla_seen << 23 | (uint32_t)tx->sla_wait << 26 |
                     (uint32_t)tx->sla_wait6 << 28;
    put_u32le(p + 68, flags);
}

/* In the order of the pool, which is the order of memory: over the index every entry would be a
 * miss. */
static void put_transactions(struct buf *b, void *const *states, uint32_t n)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        count += ((const struct pipeline_shard *)states[i])->ledger.table.count;
    }
    buf_u64le(b, count);
    char *p = buf_room(b, (size_t)count * PIPELINE_SAVE_TX);
    if (!p) {
        return;
    }
    const char *end = p + count * PIPELINE_SAVE_TX;
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_table *t = &((const struct pipeline_shard *)states[i])->ledger.table;
        for (uint32_t j = 0; j < t->used_top; j++) {
            const struct pipeline_tx *tx = pipeline_table_at(t, j);
            if (pipeline_table_is_used(tx)) {
                ASSERT(p < end);
                put_tx(p, tx);
                p += PIPELINE_SAVE_TX;
            }
        }
    }
    ASSERT(p == end);
    b->n += (size_t)count * PIPELINE_SAVE_TX;
}

static void put_sla(struct buf *b, const struct pipeline_sla *s)
{
    for (uint32_t i = 0; i < SLA_SEGMENTS; i++) {
        put_hist(b, &s->segment[i]);
    }
    for (uint32_t i = 0; i < PIPELINE_SLA_INVALIDS; i++) {
        buf_u64le(b, s->invalid[i]);
    }
}

void pipeline_save(void *app, void *const *states, uint32_t n, struct buf *out)
{
    const struct pipeline *p = app;
    struct pipeline_total t;
    pipeline_total_of(p, states, n, &t);
    buf_u32le(out, PIPELINE_SAVE_MAGIC);
    buf_u32le(out, PIPELINE_SAVE_VERSION);
    buf_u8(out, (uint8_t)p->plan.stages_count);
    for (uint32_t i = 0; i < p->plan.stages_count; i++) {
        buf_str32(out, p->plan.config->stages.v[i]);
    }
    struct pipeline_top top = {.count = 0};
    bool stages_seen = false;
    int64_t watermark = p->watermark_ns;
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_ledger *l = &((const struct pipeline_shard *)states[i])->ledger;
        watermark = i64_max(watermark, l->watermark.t_ns);
        stages_seen = stages_seen || l->stages_seen;
        for (uint32_t j = 0; j < l->watermark.top.count; j++) {
            pipeline_top_add(&top, l->watermark.top.t[j]);
        }
    }
    put_i64(out, watermark);
    buf_u64le(out, p->watermark_resets);
    buf_u8(out, stages_seen);
    buf_u64le(out, t.ahead);
    buf_u8(out, (uint8_t)top.count);
    for (uint32_t i = 0; i < top.count; i++) {
        put_i64(out, top.t[i]);
    }
    put_counts(out, &t.ledger, p->plan.stages_count);
    put_hist(out, &t.hold_hist);
    put_sla(out, &t.sla);
    put_stages(out, &t.stages, states, n, p->plan.stages_count);
    put_hosts(out, &t.stages, states, n);
    put_lost(out, states, n);
    put_transactions(out, states, n);
    buf_u32le(out, PIPELINE_SAVE_MAGIC);
}
