/* The last lost transactions by id, beside the exact counters: a ring of PIPELINE_LOST_MAX per
 * shard.
 *
 * A transaction that comes back leaves a blank in the ring; an entry of the ledger knows its slot,
 * and the slot knows its id, so that a slot written over since is left alone. Once the id is
 * forgotten the slot stays: that loss is final. Without memory the list is shorter, never the
 * counters. */
#include "pipeline/pipeline_int.h"

#include <stdlib.h>

uint32_t pipeline_lost_push(struct pipeline_ledger *l, const struct pipeline_lost *x)
{
    if (l->lost_count < PIPELINE_LOST_MAX) {
        void *lost = l->lost;
        if (!mem_array_grow(l->mem, &lost, &l->lost_cap, l->lost_count + 1u, PIPELINE_LOST_MAX,
                            sizeof *l->lost)) {
            return PIPELINE_LOST_SLOT_NIL;
        }
        l->lost = lost;
        l->lost_head = l->lost_count;
        l->lost_count++;
    }
    uint32_t slot = l->lost_head;
    ASSERT(slot < l->lost_count);
    l->lost[slot] = *x;
    l->lost_head = (slot + 1) % PIPELINE_LOST_MAX;
    return slot;
}

void pipeline_lost_forget(struct pipeline_ledger *l, uint32_t slot, const uint64_t id[3])
{
    if (slot == PIPELINE_LOST_SLOT_NIL) {
        return;
    }
    ASSERT(slot < l->lost_count);
    if (memcmp(l->lost[slot].id, id, sizeof l->lost[slot].id) == 0) {
        l->lost[slot] = (struct pipeline_lost){.last_ns = 0};
    }
}

static int newest_first(const void *a, const void *b)
{
    const struct pipeline_lost *x = *(const struct pipeline_lost *const *)a;
    const struct pipeline_lost *y = *(const struct pipeline_lost *const *)b;
    if (x->last_ns != y->last_ns) {
        return x->last_ns > y->last_ns ? -1 : 1;
    }
    return memcmp(x->id, y->id, sizeof x->id);
}

static void put_one(const struct pipeline *p, const struct pipeline_lost *x, struct buf *out)
{
    struct e2e id;
    pipeline_id_unpack(x->id, &id);
    BUF_LIT(out, "{\"e2e_id\":");
    buf_json_str(out, e2e_str(&id));
    BUF_LIT(out, ",\"from\":");
    buf_json_str(out, pipeline_position_name(&p->plan, x->position));
    BUF_LIT(out, ",\"to\":");
    buf_json_str(out, pipeline_position_name(&p->plan, x->position + 1));
    BUF_LIT(out, ",\"last_ts\":\"");
    time_format(out, x->last_ns);
    BUF_LIT(out, "\",\"age_s\":");
    int64_t now = p->watermark_ns == T_NS_NONE ? x->last_ns : p->watermark_ns;
    buf_i64(out, i64_max(now - x->last_ns, 0) / NS_PER_S);
    BUF_LIT(out, ",\"amount_centavos\":");
    if (x->amount_centavos == AMOUNT_NONE) {
        BUF_LIT(out, "null");
    } else {
        buf_i64(out, x->amount_centavos);
    }
    buf_char(out, '}');
}

void pipeline_lost_json(void *app, void *const *states, uint32_t n, uint32_t limit, struct buf *out)
{
    const struct pipeline *p = app;
    struct pipeline_ledger_counts total = {.entered = 0};
    size_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct pipeline_shard *s = states[i];
        pipeline_ledger_counts_merge(&total, &s->ledger.counts);
        kept += s->ledger.lost_count;
    }
    const struct pipeline_lost **list = mem_take(p->mem, kept * sizeof *list);
    size_t count = 0;
    for (uint32_t i = 0; list && i < n; i++) {
        const struct pipeline_ledger *l = &((const struct pipeline_shard *)states[i])->ledger;
        for (uint32_t j = 0; j < l->lost_count; j++) {
            if (l->lost[j].id[2] != 0) {
                list[count++] = &l->lost[j];
            }
        }
    }
    if (count > 0) {
        qsort(list, count, sizeof *list, newest_first);
    }
    size_t shown = size_min(size_min(count, limit), PIPELINE_LOST_MAX);
    BUF_LIT(out, "{\"lost\":[");
    for (size_t i = 0; i < shown; i++) {
        if (i > 0) {
            buf_char(out, ',');
        }
        put_one(p, list[i], out);
    }
    uint64_t lost = pipeline_ledger_lost_now(&total);
    int64_t centavos = pipeline_lost_centavos(&total);
    BUF_LIT(out, "],\"count\":");
    buf_u64(out, lost);
    buf_fmt(out, ",\"brl\":%lld.%02lld", (long long)(centavos / 100), (long long)(centavos % 100));
    buf_fmt(out, ",\"truncated\":%s}", shown < lost ? "true" : "false");
    mem_give(p->mem, list, kept * sizeof *list);
}
