/* The ledger against an oracle that keeps every event and decides from the definitions, on random
 * streams: drops, duplicates, reordering up to 60 s, holds, denials, book transfers, errors
 * repaired and not, dead letters, restarts with other numbers of shards. Every loss that was made
 * must be found, none invented. */
#include "pipeline/rig_int.h"

#define TXS        3000
#define EVENTS_MAX (TXS * 24)
#define SPAN_S     5400

struct oracle_event {
    int64_t arrival_ns;
    bool is_decision;
    uint64_t number;
    struct stage_event s;
    struct decision d;
};

struct oracle {
    struct oracle_event *events;
    size_t count;
    bool lost[TXS]; /* what the generator took away */
    uint32_t lost_from[TXS];
};

static struct oracle_event *new_event(struct oracle *o, struct rng *r, uint64_t number, int64_t t)
{
    assert_true(o->count < EVENTS_MAX);
    struct oracle_event *e = &o->events[o->count++];
    *e = (struct oracle_event){.number = number};
    e->arrival_ns = t + (int64_t)rng_below(r, 60 * NS_PER_S);
    return e;
}

static void gen_stage(struct oracle *o, struct rng *r, uint64_t number, uint32_t position,
                      enum stage_outcome outcome, uint32_t attempt, int64_t t)
{
    struct oracle_event *e = new_event(o, r, number, t);
    e->s = rig_event(number, position, outcome, t);
    e->s.attempt = attempt;
    if (rng_below(r, 3) == 0) {
        e->s.amount_centavos = (int64_t)(number * 100 + 7);
    }
    if (rng_below(r, 25) == 0) { /* delivered twice */
        struct oracle_event *again = new_event(o, r, number, t);
        again->s = e->s;
    }
}

static void gen_decision(struct oracle *o, struct rng *r, uint64_t number, enum verdict v,
                         int64_t t, int64_t deadline, bool internal)
{
    struct oracle_event *e = new_event(o, r, number, t);
    e->is_decision = true;
    e->d = rig_decision(number, v, t);
    e->d.hold_deadline_ns = deadline;
    e->d.amount_centavos = (int64_t)(number * 100 + 7);
    e->d.settlement = internal ? SETTLEMENT_INTERNAL : SETTLEMENT_SPI_PRIMARY;
}

/* One transaction; its path is cut after a random stage when it is to be lost. */
static void gen_tx(struct oracle *o, struct rng *r, uint64_t number)
{
    enum { PLAIN, DENY, INTERNAL, HOLD_RELEASED, HOLD_DENIED, HOLD_LOST, KINDS };
    int64_t t = RIG_T0 + (int64_t)rng_below(r, SPAN_S) * NS_PER_S + (int64_t)rng_below(r, NS_PER_S);
    uint32_t kind = rng_below(r, 10) < 6 ? PLAIN : (uint32_t)rng_below(r, KINDS);
    uint32_t last = kind == DENY || kind == INTERNAL || kind == HOLD_DENIED ? 6 : 7;
    uint32_t cut = rng_below(r, 12) == 0 ? 1 + (uint32_t)rng_below(r, last - 1) : 0;
    uint32_t special = (uint32_t)rng_below(r, 20); /* 0 dlq, 1 drop, 2 dead error */
    uint32_t special_at = 2 + (uint32_t)rng_below(r, 4);
    for (uint32_t p = 1; p <= last; p++) {
        t += (int64_t)rng_below(r, 2 * NS_PER_S);
        if (cut > 0 && p > cut) {
            o->lost[number] = true;
            o->lost_from[number] = cut;
            return;
        }
        if (special < 3 && p == special_at) {
            static const enum stage_outcome ends[3] = {OUTCOME_DLQ, OUTCOME_DROP, OUTCOME_ERROR};
            gen_stage(o, r, number, p, ends[special], 1, t);
            return;
        }
        uint32_t attempt = 1;
        while (attempt < 6 && rng_below(r, 10) == 0) {
            gen_stage(o, r, number, p, rng_below(r, 2) ? OUTCOME_RETRY : OUTCOME_ERROR, attempt++,
                      t);
            t += (int64_t)rng_below(r, 20 * NS_PER_S);
        }
        gen_stage(o, r, number, p, rng_below(r, 15) ? OUTCOME_OK : OUTCOME_SKIP, attempt, t);
        if (p == 5) {
            bool hold = kind == HOLD_RELEASED || kind == HOLD_DENIED || kind == HOLD_LOST;
            int64_t minutes = 2 + (int64_t)rng_below(r, 40);
            enum verdict v = kind == DENY ? VERDICT_DENY : hold ? VERDICT_HOLD : VERDICT_APPROVE;
            gen_decision(o, r, number, v, t, hold ? t + minutes * 60 * NS_PER_S : T_NS_NONE,
                         kind == INTERNAL);
            if (kind == HOLD_LOST) {
                o->lost[number] = true;
                o->lost_from[number] = 5;
                return;
            }
            if (hold) {
                t += (int64_t)rng_below(r, (uint64_t)minutes * 60 * NS_PER_S);
                gen_decision(o, r, number, kind == HOLD_DENIED ? VERDICT_DENY : VERDICT_APPROVE, t,
                             T_NS_NONE, false);
            }
        }
    }
}

static int by_arrival(const void *a, const void *b)
{
    const struct oracle_event *x = a;
    const struct oracle_event *y = b;
    return (x->arrival_ns > y->arrival_ns) - (x->arrival_ns < y->arrival_ns);
}

static void gen(struct oracle *o, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    *o = (struct oracle){.events = calloc(EVENTS_MAX, sizeof *o->events)};
    assert_non_null(o->events);
    for (uint64_t i = 0; i < TXS; i++) {
        gen_tx(o, &r, i);
    }
    qsort(o->events, o->count, sizeof *o->events, by_arrival);
}

/* The definitions, word for word, over all events of one transaction that arrived. */
struct verdict_of {
    bool entered;
    enum pipeline_state state;
    uint32_t position;
    int64_t amount;
};

static struct verdict_of judge(const struct oracle_event *const *ev, size_t n, int64_t watermark)
{
    struct verdict_of v = {.state = PIPELINE_IN_FLIGHT, .amount = AMOUNT_NONE};
    const struct decision *last = NULL;
    int64_t newest = 0;
    bool internal = false;
    for (size_t i = 0; i < n; i++) {
        int64_t t = ev[i]->is_decision ? ev[i]->d.t_ns : ev[i]->s.end_ns;
        int64_t a = ev[i]->is_decision ? ev[i]->d.amount_centavos : ev[i]->s.amount_centavos;
        newest = t > newest ? t : newest;
        v.amount = a > v.amount ? a : v.amount;
        if (ev[i]->is_decision) {
            internal = internal || ev[i]->d.settlement == SETTLEMENT_INTERNAL;
            last = !last || t > last->t_ns ? &ev[i]->d : last;
            continue;
        }
        v.entered = true;
        uint32_t position = ev[i]->s.stage_name + 1u;
        if (ev[i]->s.outcome == OUTCOME_OK || ev[i]->s.outcome == OUTCOME_SKIP) {
            v.position = position > v.position ? position : v.position;
        }
    }
    bool denied = last && last->verdict == VERDICT_DENY && v.position >= 6;
    bool failed = false;
    bool dropped = false;
    bool dlq = false;
    for (size_t i = 0; i < n; i++) {
        if (!ev[i]->is_decision && ev[i]->s.stage_name + 1u > v.position) {
            dropped = dropped || ev[i]->s.outcome == OUTCOME_DROP;
            dlq = dlq || ev[i]->s.outcome == OUTCOME_DLQ;
            failed = failed || ev[i]->s.outcome == OUTCOME_ERROR;
        }
    }
    int64_t until = newest + 60 * NS_PER_S;
    if (last && last->verdict == VERDICT_HOLD) {
        int64_t hold = (last->hold_deadline_ns - last->t_ns + NS_PER_S - 1) / NS_PER_S * NS_PER_S;
        until = last->t_ns + hold > until ? last->t_ns + hold : until;
    }
    bool over = watermark != T_NS_NONE && watermark > until + 60 * NS_PER_S;
    v.state = dlq                           ? PIPELINE_DLQ
              : dropped                     ? PIPELINE_DROPPED
              : v.position >= 7             ? PIPELINE_SETTLED
              : denied                      ? PIPELINE_DENIED
              : internal && v.position >= 6 ? PIPELINE_SETTLED
              : !over                       ? PIPELINE_IN_FLIGHT
              : failed                      ? PIPELINE_FAILED
                                            : PIPELINE_LOST;
    return v;
}

struct sums {
    uint64_t entered, state[PIPELINE_STATES], lost[PIPELINE_STAGES_MAX + 1];
    int64_t lost_centavos;
};

static struct sums oracle_sums(const struct oracle *o, size_t arrived, int64_t watermark)
{
    struct sums s = {.entered = 0};
    const struct oracle_event **of = calloc(arrived + 1, sizeof *of);
    size_t *start = calloc(TXS + 2, sizeof *start);
    for (size_t i = 0; i < arrived; i++) {
        start[o->events[i].number + 1]++;
    }
    for (size_t i = 0; i < TXS; i++) {
        start[i + 1] += start[i];
    }
    size_t *fill = calloc(TXS + 1, sizeof *fill);
    for (size_t i = 0; i < arrived; i++) {
        uint64_t number = o->events[i].number;
        of[start[number] + fill[number]++] = &o->events[i];
    }
    for (size_t i = 0; i < TXS; i++) {
        struct verdict_of v = judge(of + start[i], fill[i], watermark);
        if (!v.entered) {
            continue;
        }
        s.entered++;
        s.state[v.state]++;
        if (v.state == PIPELINE_LOST) {
            s.lost[v.position]++;
            s.lost_centavos += v.amount == AMOUNT_NONE ? 0 : v.amount;
        }
    }
    free(of);
    free(start);
    free(fill);
    return s;
}

static void compare(const struct rig *g, const struct oracle *o, size_t arrived)
{
    struct sums want = oracle_sums(o, arrived, g->p->watermark_ns);
    struct pipeline_total t = rig_total(g);
    assert_int_equal(t.ledger.entered, want.entered);
    for (uint32_t i = PIPELINE_IN_FLIGHT; i < PIPELINE_STATES; i++) {
        assert_int_equal(t.ledger.state[i], want.state[i]);
    }
    for (uint32_t i = 0; i <= PIPELINE_STAGES_MAX; i++) {
        assert_int_equal(t.ledger.lost[i] - t.ledger.recovered[i], want.lost[i]);
        assert_int_equal(t.ledger.recovered[i], 0); /* within 60 s nothing is declared too early */
    }
    assert_int_equal(t.ledger.lost_centavos - t.ledger.recovered_centavos, want.lost_centavos);
    assert_int_equal(t.ledger.too_old, 0);
}

static void put(struct rig *g, const struct oracle_event *e)
{
    if (e->is_decision) {
        rig_decide(g, &e->d);
    } else {
        rig_stage(g, &e->s);
    }
}

/* Plays the stream; shards[] are the numbers of shards between restarts. */
static void play(struct rig *g, const struct oracle *o, const uint32_t *shards, uint32_t phases,
                 bool compare_on_the_way)
{
    int64_t next_tick = RIG_T0;
    uint32_t phase = 0;
    for (size_t i = 0; i < o->count; i++) {
        put(g, &o->events[i]);
        bool restart = phase + 1 < phases && i == o->count * (phase + 1) / phases;
        if (o->events[i].arrival_ns >= next_tick || restart) {
            rig_tick(g, o->events[i].arrival_ns);
            next_tick = o->events[i].arrival_ns + 20 * NS_PER_S;
            if (compare_on_the_way && i % 7 == 0) {
                compare(g, o, i + 1);
            }
        }
        if (restart) {
            struct err e = {.code = ERR_NONE};
            if (!rig_restart(g, shards[++phase], &e)) {
                print_error("%s\n", e.msg);
                fail();
            }
            rig_tick(g, o->events[i].arrival_ns);
            compare(g, o, i + 1);
        }
    }
    int64_t end = o->events[o->count - 1].arrival_ns;
    rig_silence(g, end, 2 * 3600 * NS_PER_S);
    compare(g, o, o->count);
}

static void play_fresh(const struct oracle *o, const uint32_t *shards, uint32_t phases,
                       struct pipeline_total *out, bool compare_on_the_way)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, shards[0], NULL));
    play(&g, o, shards, phases, compare_on_the_way);
    uint64_t made = 0;
    for (uint32_t i = 0; i < TXS; i++) {
        made += o->lost[i];
    }
    *out = rig_total(&g);
    assert_int_equal(pipeline_ledger_lost_now(&out->ledger), made);
    /* The list names exactly the transactions that the generator took away. */
    for (uint32_t s = 0; s < g.n; s++) {
        const struct pipeline_ledger *l = &((struct pipeline_shard *)g.states[s])->ledger;
        for (uint32_t i = 0; i < l->lost_count; i++) {
            struct e2e id;
            pipeline_id_unpack(l->lost[i].id, &id);
            uint64_t number;
            assert_true(str_to_u64(str_of(id.c + 21, 11), &number));
            assert_true(o->lost[number]);
            assert_int_equal(l->lost[i].position, o->lost_from[number]);
            made--;
        }
    }
    assert_int_equal(made, 0);
    rig_release(&g);
    assert_int_equal(m.bytes, 0);
}

TEST(ledger_agrees_with_the_oracle_all_the_way)
{
    for (uint64_t round = 0; round < 2; round++) {
        struct oracle o;
        gen(&o, test_seed() + round);
        struct pipeline_total t;
        uint32_t one = 1;
        play_fresh(&o, &one, 1, &t, true);
        free(o.events);
    }
}

TEST(number_of_shards_and_restarts_change_no_number)
{
    struct oracle o;
    gen(&o, test_seed() + 77);
    struct pipeline_total a, b, c;
    play_fresh(&o, (uint32_t[]){1}, 1, &a, false);
    play_fresh(&o, (uint32_t[]){4}, 1, &b, false);
    play_fresh(&o, (uint32_t[]){1, 3, 2}, 3, &c, false);
    assert_memory_equal(&a.ledger, &b.ledger, sizeof a.ledger);
    assert_memory_equal(&a.ledger, &c.ledger, sizeof a.ledger);
    for (uint32_t i = 0; i < PIPELINE_STAGES_MAX; i++) {
        const size_t numbers = offsetof(struct pipeline_stage, reasons);
        assert_memory_equal(&a.stages.stage[i], &b.stages.stage[i], numbers);
        assert_memory_equal(&a.stages.stage[i], &c.stages.stage[i], numbers);
    }
    assert_memory_equal(&a.hold_hist, &b.hold_hist, sizeof a.hold_hist);
    assert_memory_equal(&a.hold_hist, &c.hold_hist, sizeof a.hold_hist);
    assert_int_equal(a.hold_open, 0);
    assert_true(pipeline_hist_count(&a.hold_hist) > 0);
    free(o.events);
}
