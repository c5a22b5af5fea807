/* Loading what save.c wrote (the picture is there): everything is checked, and spread over any
 * number of shards. Transactions are checked and put in one pass, LOOK_AHEAD at a time, so that the
 * index lines of all of them are fetched while the first is put; a restart waits for this.
 *
 * The sums go to shard 0; then each transaction takes its share to the shard that owns it, so that
 * every shard's sums close as well. When the configured stages are others than those saved,
 * positions no longer mean the same: totals are kept by name, open transactions are forgotten and
 * counted, and what enters anew is followed by the new list.
 *
 * Invariants: on failure every shard is empty, as after shard_new. */
#include "pipeline/pipeline_int.h"

#define LOOK_AHEAD 16

struct loader {
    struct pipeline *p;
    void *const *states;
    uint32_t n;
    struct rd rd;
    uint32_t stages; /* of the file */
    struct str names[PIPELINE_STAGES_MAX];
    uint8_t map[PIPELINE_STAGES_MAX + 1]; /* position of the file -> position now */
    bool same;
    struct pipeline_top top;
    int64_t watermark_ns;
    uint64_t resets, ahead;
    bool stages_seen;
};

static bool damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "saved pipeline state: %s", what);
}

static int64_t get_i64(struct rd *r)
{
    return (int64_t)rd_u64le(r);
}

static bool time_ok(int64_t t)
{
    return t >= 0 && t <= PIPELINE_T_MAX;
}

static bool amount_ok(int64_t v)
{
    return v == AMOUNT_NONE || (v > -(1LL << 53) && v < 1LL << 53);
}

static struct pipeline_shard *shard_at(const struct loader *k, uint32_t i)
{
    return k->states[i];
}

static bool get_hist(struct rd *r, struct pipeline_hist *h)
{
    for (uint32_t i = 0; i < ARRAY_LEN(h->buckets); i++) {
        h->buckets[i] = rd_u64le(r);
    }
    u128 lo = rd_u64le(r);
    u128 hi = rd_u64le(r);
    h->sum_ns = (i128)(hi << 64 | lo);
    return !r->failed && h->sum_ns >= 0;
}

static bool get_counted(struct rd *r, struct pipeline_counted *c)
{
    uint64_t other = rd_u64le(r);
    uint32_t names = rd_u32le(r);
    if (c) {
        c->counts[c->max] += other;
    }
    for (uint32_t i = 0; i < names && !r->failed; i++) {
        struct str name = rd_str32(r);
        uint64_t count = rd_u64le(r);
        if (c && !r->failed) {
            pipeline_counted_add(c, name, count);
        }
    }
    return !r->failed;
}

static bool get_stage_names(struct loader *k, struct err *e)
{
    struct rd *r = &k->rd;
    if (rd_u32le(r) != PIPELINE_SAVE_MAGIC) {
        return damaged(e, "no magic number");
    }
    uint32_t version = rd_u32le(r);
    if (version != PIPELINE_SAVE_VERSION) {
        return err_set(e, ERR_CORRUPT, "saved pipeline state: expected version %u, found %u",
                       PIPELINE_SAVE_VERSION, version);
    }
    k->stages = rd_u8(r);
    if (k->stages < 2 || k->stages > PIPELINE_STAGES_MAX) {
        return damaged(e, "number of stages");
    }
    const struct pipeline_plan *plan = &k->p->plan;
    k->same = k->stages == plan->stages_count;
    for (uint32_t i = 0; i < k->stages; i++) {
        k->names[i] = rd_str32(r);
        k->same = k->same && str_eq(k->names[i], plan->config->stages.v[i]);
        /* A stage that is no more counts with the nearest one before it. */
        k->map[i + 1] = k->map[i];
        for (uint32_t j = 0; j < plan->stages_count; j++) {
            if (str_eq(k->names[i], plan->config->stages.v[j])) {
                k->map[i + 1] = (uint8_t)(j + 1);
            }
        }
    }
    return !r->failed || damaged(e, "names of stages");
}

static bool get_watermark(struct loader *k, struct err *e)
{
    struct rd *r = &k->rd;
    k->watermark_ns = get_i64(r);
    k->resets = rd_u64le(r);
    k->stages_seen = rd_u8(r) != 0;
    k->ahead = rd_u64le(r);
    uint32_t count = rd_u8(r);
    if (count > PIPELINE_WATERMARK_K ||
        (k->watermark_ns != T_NS_NONE && !time_ok(k->watermark_ns))) {
        return damaged(e, "watermark");
    }
    for (uint32_t i = 0; i < count; i++) {
        int64_t t = get_i64(r);
        if (r->failed || !time_ok(t)) {
            return damaged(e, "largest event times");
        }
        pipeline_top_add(&k->top, t);
    }
    return !r->failed || damaged(e, "cut short in the watermark");
}

static bool get_counts(struct loader *k, struct pipeline_ledger_counts *c, struct err *e)
{
    struct rd *r = &k->rd;
    const uint64_t max = 1ULL << 60; /* sums of these cannot wrap */
    bool ok = true;
    c->entered = rd_u64le(r);
    for (uint32_t i = 0; i < PIPELINE_STATES; i++) {
        c->state[i] = rd_u64le(r);
        ok = ok && c->state[i] < max;
    }
    for (uint32_t i = 0; i < PIPELINE_STATES; i++) {
        c->reopened[i] = rd_u64le(r);
    }
    for (uint32_t i = 0; i <= k->stages; i++) {
        c->lost[i] = rd_u64le(r);
        c->recovered[i] = rd_u64le(r);
        ok = ok && c->lost[i] < max && c->recovered[i] <= c->lost[i];
    }
    c->lost_centavos = get_i64(r);
    c->recovered_centavos = get_i64(r);
    c->shed = rd_u64le(r);
    c->too_old = rd_u64le(r);
    c->forgotten = rd_u64le(r);
    c->decision_duplicates = rd_u64le(r);
    c->decision_conflicts = rd_u64le(r);
    if (r->failed || !ok || c->entered >= max || c->lost[k->stages] != 0) {
        return damaged(e, "counters of the ledger");
    }
    return pipeline_ledger_closes(c) || damaged(e, "entered is not in flight + left + lost");
}

static bool get_sla(struct rd *r, struct pipeline_sla *s)
{
    bool ok = true;
    for (uint32_t i = 0; i < SLA_SEGMENTS; i++) {
        ok = get_hist(r, &s->segment[i]) && ok;
    }
    for (uint32_t i = 0; i < PIPELINE_SLA_INVALIDS; i++) {
        s->invalid[i] = rd_u64le(r);
    }
    return ok && !r->failed;
}

static bool get_stage(struct loader *k, struct pipeline_stage *st)
{
    struct rd *r = &k->rd;
    struct pipeline_stage unused = {.watermark_ns = T_NS_NONE};
    struct pipeline_counted *reasons = st ? &st->reasons : NULL;
    st = st ? st : &unused;
    for (uint32_t o = 0; o < STAGE_OUTCOMES; o++) {
        st->events[o] = rd_u64le(r);
    }
    st->entered = rd_u64le(r);
    st->duplicates = rd_u64le(r);
    st->retries = rd_u64le(r);
    st->negative = rd_u64le(r);
    st->watermark_ns = get_i64(r);
    return get_hist(r, &st->work) && get_hist(r, &st->queue) && get_hist(r, &st->duration) &&
           get_hist(r, &st->decision_latency) && get_counted(r, reasons) &&
           pipeline_versions_get(r, &st->versions) &&
           (st->watermark_ns == T_NS_NONE || time_ok(st->watermark_ns));
}

static bool get_stages(struct loader *k, struct pipeline_stages *s, struct err *e)
{
    struct rd *r = &k->rd;
    for (uint32_t i = 0; i < k->stages; i++) {
        bool exists = k->map[i + 1] > 0 &&
                      str_eq(k->p->plan.config->stages.v[k->map[i + 1] - 1], k->names[i]);
        if (!get_stage(k, exists ? &s->stage[k->map[i + 1] - 1] : NULL)) {
            return damaged(e, "statistics of a stage");
        }
    }
    if (!get_counted(r, &s->unknown)) {
        return damaged(e, "unknown stages");
    }
    for (uint32_t i = 0; i < FORMS; i++) {
        s->decisions[i] = rd_u64le(r);
    }
    bool ok = get_hist(r, &s->decision_latency);
    uint32_t hosts = rd_u32le(r);
    for (uint32_t i = 0; i < hosts && !r->failed; i++) {
        struct str name = rd_str32(r);
        int64_t t = get_i64(r);
        int64_t offset = get_i64(r);
        if (!r->failed) {
            pipeline_stages_host(s, name, t, offset);
        }
    }
    s->hosts_shed = rd_u64le(r);
    s->bad_times = rd_u64le(r);
    s->latency_negative = rd_u64le(r);
    return (ok && !r->failed) || damaged(e, "statistics");
}

static uint32_t owner(const struct loader *k, const uint64_t id[3])
{
    return record_shard(record_route(pipeline_id_hash(id)), k->n);
}

static bool id_ok(const uint64_t id[3], struct e2e *text)
{
    /* What is packed may hold more than 12 digits, which the text would not show. */
    if ((id[1] & ((1ULL << 40) - 1)) >= 1000000000000ULL) {
        return false;
    }
    struct e2e parsed;
    pipeline_id_unpack(id, text);
    return e2e_parse(e2e_str(text), &parsed, NULL);
}

static bool get_lost(struct loader *k, struct err *e)
{
    struct rd *r = &k->rd;
    uint32_t count = rd_u32le(r);
    for (uint32_t i = 0; i < count; i++) {
        struct pipeline_lost x;
        struct e2e text;
        for (uint32_t j = 0; j < 3; j++) {
            x.id[j] = rd_u64le(r);
        }
        x.last_ns = get_i64(r);
        x.lost_ns = get_i64(r);
        x.amount_centavos = get_i64(r);
        x.position = rd_u8(r);
        if (r->failed || !id_ok(x.id, &text) || !time_ok(x.last_ns) || x.lost_ns < 0 ||
            x.position >= k->stages || !amount_ok(x.amount_centavos)) {
            return damaged(e, "a lost transaction");
        }
        uint32_t now = k->map[x.position];
        x.position = now < k->p->plan.stages_count ? now : k->p->plan.stages_count - 1;
        pipeline_lost_push(&shard_at(k, owner(k, x.id))->ledger, &x);
    }
    return !r->failed || damaged(e, "cut short in the lost transactions");
}

/* The fields as they stand; *rest gets the bits that no field has. */
static struct pipeline_tx read_tx(const char *p, uint32_t *rest)
{
    uint32_t hold_s = get_u32le(p + 64);
    uint32_t flags = get_u32le(p + 68);
    *rest = (hold_s & ~PIPELINE_HOLD_S_MAX) | flags >> 29;
    return (struct pipeline_tx){
        .id = {get_u64le(p), get_u64le(p + 8), get_u64le(p + 16)},
        .newest_ns = (int64_t)get_u64le(p + 24),
        .amount_centavos = (int64_t)get_u64le(p + 32),
        .decision_ns = (int64_t)get_u64le(p + 40),
        .attempts = get_u64le(p + 48),
        .sla = get_u64le(p + 56),
        .hold_s = hold_s & PIPELINE_HOLD_S_MAX,
        .position = flags & 15u,
        .drop = flags >> 4 & 31u,
        .error = flags >> 9 & 15u,
        .state = flags >> 13 & 7u,
        .verdict = flags >> 16 & 7u,
        .decided = flags >> 19 & 1u,
        .internal = flags >> 20 & 1u,
        .sla_started = flags >> 21 & 1u,
        .sla_exempt = flags >> 22 & 1u,
        .sla_seen = flags >> 23 & 7u,
        .sla_wait = flags >> 26 & 3u,
        .sla_wait6 = flags >> 28 & 1u,
    };
}

static bool sla_ok(const struct pipeline_tx *tx)
{
    uint32_t waits = 1u << tx->sla_wait >> 1 | (uint32_t)tx->sla_wait6 << (SLA_T6A_T0 - 1);
    if (tx->sla_started) {
        return waits == 0 && ((int64_t)tx->sla == T_NS_NONE || time_ok((int64_t)tx->sla));
    }
    return tx->sla_wait != SLA_T6A_T0 && (waits & ~(uint32_t)tx->sla_seen) == 0 &&
           (tx->sla_wait != SLA_NONE || (uint32_t)tx->sla == 0) &&
           (tx->sla_wait6 || tx->sla >> 32 == 0);
}

static bool tx_ok(const struct loader *k, const struct pipeline_tx *tx, struct e2e *text)
{
    unsigned bits = k->stages * PIPELINE_ATTEMPT_BITS;
    return id_ok(tx->id, text) && time_ok(tx->newest_ns) && time_ok(tx->decision_ns) &&
           amount_ok(tx->amount_centavos) && tx->position <= k->stages &&
           (uint32_t)tx->drop >> 1 <= k->stages && tx->error <= k->stages &&
           tx->verdict < VERDICTS && (bits == 64 || tx->attempts >> bits == 0) && sla_ok(tx) &&
           (tx->state != PIPELINE_LOST || tx->position < k->stages);
}

static void move_share(struct pipeline_ledger_counts *from, struct pipeline_ledger_counts *to,
                       const struct pipeline_tx *tx)
{
    from->state[tx->state]--;
    to->state[tx->state]++;
    if (tx->state != PIPELINE_DECIDED_ONLY) {
        from->entered--;
        to->entered++;
    }
    if (tx->state == PIPELINE_LOST) {
        int64_t v = i64_max(tx->amount_centavos, 0);
        from->lost[tx->position]--;
        to->lost[tx->position]++;
        /* Wraps only in a file that lies about its sum, and then only the R$ are wrong. */
        (void)__builtin_sub_overflow(from->lost_centavos, v, &from->lost_centavos);
        (void)__builtin_add_overflow(to->lost_centavos, v, &to->lost_centavos);
    }
}

/* A transaction on its way from the bytes to its shard. */
struct incoming {
    struct pipeline_tx tx;
    struct hash128 hash;
    struct pipeline_shard *shard;
};

static bool put_one(struct loader *k, const struct incoming *x, struct err *e)
{
    struct pipeline_ledger *l = &x->shard->ledger;
    if (pipeline_table_find(&l->table, x->hash, x->tx.id) != PIPELINE_NIL) {
        return damaged(e, "a transaction is there twice");
    }
    if (!pipeline_ledger_restore(l, &x->tx, x->hash)) {
        return err_set(e, ERR_LIMIT,
                       "the saved transactions do not fit: raise pipeline.transactions_max or the "
                       "memory of a shard");
    }
    if (x->shard != shard_at(k, 0)) {
        move_share(&shard_at(k, 0)->ledger.counts, &l->counts, &x->tx);
    }
    return true;
}

/* What the transactions of the file add up to. */
struct tally {
    uint64_t state[PIPELINE_STATES];
    uint64_t lost[PIPELINE_STAGES_MAX + 1];
};

static bool get_some(struct loader *k, uint32_t n, struct tally *t, struct err *e)
{
    struct incoming in[LOOK_AHEAD];
    ASSERT(n <= LOOK_AHEAD);
    for (uint32_t i = 0; i < n; i++) {
        struct incoming *x = &in[i];
        struct str bytes = rd_bytes(&k->rd, PIPELINE_SAVE_TX);
        ASSERT(!k->rd.failed); /* get_transactions compared the count with the bytes */
        uint32_t rest;
        struct e2e text;
        x->tx = read_tx(bytes.p, &rest);
        if (rest != 0 || !tx_ok(k, &x->tx, &text)) {
            return damaged(e, "a transaction");
        }
        t->state[x->tx.state]++;
        t->lost[x->tx.position] += x->tx.state == PIPELINE_LOST;
        x->hash = e2e_hash(&text);
        x->shard = shard_at(k, record_shard(record_route(x->hash), k->n));
        pipeline_table_prefetch(&x->shard->ledger.table, x->hash);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!k->same) {
            /* Given up, see forget_open. */
            pipeline_sla_forget(&shard_at(k, 0)->ledger.sla, &in[i].tx);
        } else if (!put_one(k, &in[i], e)) {
            return false;
        }
    }
    return true;
}

static bool tally_ok(const struct loader *k, const struct tally *t,
                     const struct pipeline_ledger_counts *c)
{
    bool ok = t->state[PIPELINE_DECIDED_ONLY] == c->state[PIPELINE_DECIDED_ONLY] &&
              t->state[PIPELINE_IN_FLIGHT] == c->state[PIPELINE_IN_FLIGHT];
    for (uint32_t i = 0; i < PIPELINE_STATES; i++) {
        ok = ok && t->state[i] <= c->state[i];
    }
    for (uint32_t i = 0; i <= k->stages; i++) {
        ok = ok && t->lost[i] <= c->lost[i] - c->recovered[i];
    }
    return ok;
}

static bool get_transactions(struct loader *k, const struct pipeline_ledger_counts *c,
                             struct err *e)
{
    struct tally t = {.state = {0}};
    uint64_t count = rd_u64le(&k->rd);
    if (k->rd.failed || count > rd_left(&k->rd) / PIPELINE_SAVE_TX) {
        return damaged(e, "cut short in the transactions");
    }
    for (uint32_t i = 0; k->same && i < k->n; i++) {
        pipeline_table_reserve(&shard_at(k, i)->ledger.table, count / k->n);
    }
    for (uint64_t i = 0; i < count; i += LOOK_AHEAD) {
        uint64_t left = count - i;
        if (!get_some(k, left < LOOK_AHEAD ? (uint32_t)left : LOOK_AHEAD, &t, e)) {
            return false;
        }
    }
    if (rd_u32le(&k->rd) != PIPELINE_SAVE_MAGIC || k->rd.failed || rd_left(&k->rd) != 0) {
        return damaged(e, "the end is not where it should be");
    }
    return tally_ok(k, &t, c) || damaged(e, "transactions and sums disagree");
}

/* Ties each lost transaction that is still known to its line in the list. */
static void link_lost(struct pipeline_ledger *l)
{
    for (uint32_t i = 0; i < l->lost_count; i++) {
        const uint64_t *id = l->lost[i].id;
        uint32_t idx = pipeline_table_find(&l->table, pipeline_id_hash(id), id);
        if (idx != PIPELINE_NIL) {
            struct pipeline_tx *tx = pipeline_table_at(&l->table, idx);
            if (tx->state == PIPELINE_LOST) {
                tx->lost_slot = i & 0x3fffu;
            }
        }
    }
}

/* Totals under the new list of stages; open transactions are given up. */
static void forget_open(const struct loader *k, struct pipeline_ledger_counts *c)
{
    struct pipeline_ledger_counts old = *c;
    uint32_t last = k->p->plan.stages_count - 1;
    for (uint32_t i = 0; i <= PIPELINE_STAGES_MAX; i++) {
        c->lost[i] = 0;
        c->recovered[i] = 0;
    }
    for (uint32_t i = 0; i < k->stages; i++) {
        uint32_t to = k->map[i] < last ? k->map[i] : last;
        c->lost[to] += old.lost[i];
        c->recovered[to] += old.recovered[i];
    }
    c->forgotten += c->state[PIPELINE_IN_FLIGHT];
    c->entered -= c->state[PIPELINE_IN_FLIGHT];
    c->state[PIPELINE_IN_FLIGHT] = 0;
    c->state[PIPELINE_DECIDED_ONLY] = 0;
}

static bool load_all(struct loader *k, struct err *e)
{
    struct pipeline_shard *first = shard_at(k, 0);
    struct pipeline_ledger_counts *counts = &first->ledger.counts;
    if (!get_stage_names(k, e) || !get_watermark(k, e) || !get_counts(k, counts, e)) {
        return false;
    }
    struct pipeline_ledger_counts saved = *counts;
    if (!get_hist(&k->rd, &first->ledger.hold_hist) || !get_sla(&k->rd, &first->ledger.sla)) {
        return damaged(e, "holds or segments");
    }
    if (!get_stages(k, &first->stages, e) || !get_lost(k, e)) {
        return false;
    }
    for (uint32_t i = 0; i < k->n; i++) {
        struct pipeline_ledger *l = &shard_at(k, i)->ledger;
        l->watermark.t_ns = k->watermark_ns;
        l->stages_seen = k->stages_seen;
        if (k->watermark_ns != T_NS_NONE) {
            l->wheel_s = k->watermark_ns / NS_PER_S;
        }
    }
    /* In one shard only: copies would make the same event several of the K largest. */
    first->ledger.watermark.top = k->top;
    first->ledger.watermark.ahead_total = k->ahead;
    if (!get_transactions(k, &saved, e)) {
        return false;
    }
    if (!k->same) {
        forget_open(k, counts);
        return true;
    }
    for (uint32_t i = 0; i < k->n; i++) {
        link_lost(&shard_at(k, i)->ledger);
        ASSERT(pipeline_ledger_closes(&shard_at(k, i)->ledger.counts));
    }
    return true;
}

static void empty(const struct loader *k)
{
    for (uint32_t i = 0; i < k->n; i++) {
        struct pipeline_shard *s = shard_at(k, i);
        pipeline_ledger_release(&s->ledger);
        pipeline_ledger_init(&s->ledger, &k->p->plan, s->mem);
        pipeline_stages_reset(&s->stages);
        s->records = 0;
    }
}

bool pipeline_load(void *app, void *const *states, uint32_t n, struct str bytes, struct err *e)
{
    struct loader k = {.p = app, .states = states, .n = n, .rd = rd_of(bytes)};
    ASSERT(n > 0);
    empty(&k);
    bool ok = load_all(&k, e);
    if (!ok) {
        empty(&k);
    }
    k.p->watermark_ns = ok ? k.watermark_ns : T_NS_NONE;
    k.p->watermark_resets = ok ? k.resets : 0;
    k.p->active_ns = T_NS_NONE;
    k.p->active_watermark_ns = T_NS_NONE;
    k.p->records_last = 0;
    pipeline_window_reset(&k.p->window);
    return ok;
}
