/* The truth file: what a run injected and emitted, as one JSON document, for tests that compare it
 * with what a monitor found. README.md lists the keys. */
#include "sim/sim_int.h"

static void put_count(struct buf *b, struct str name, uint64_t n, bool *first)
{
    if (!*first) {
        buf_char(b, ',');
    }
    *first = false;
    buf_json_str(b, name);
    buf_char(b, ':');
    buf_u64(b, n);
}

static void put_stages(const struct sim_totals *n, struct buf *b)
{
    BUF_LIT(b, "\"stages\":[");
    for (int i = 0; i < SIM_STAGES; i++) {
        buf_fmt(b, "%s{\"stage\":\"%.*s\",\"events\":%llu,\"duplicates\":%llu,\"outcomes\":{",
                i ? ",\n " : "", STR_FMT(sim_stage_names[i]), (unsigned long long)n->stage[i],
                (unsigned long long)n->duplicates[i]);
        bool first = true;
        for (int o = 0; o < STAGE_OUTCOMES; o++) {
            put_count(b, stage_outcome_text((enum stage_outcome)o), n->outcome[i][o], &first);
        }
        BUF_LIT(b, "}}");
    }
    BUF_LIT(b, "],\n");
}

static void put_decisions(const struct sim_totals *n, struct buf *b)
{
    bool first = true;
    buf_fmt(b, "\"decisions\":{\"total\":%llu,\"duplicates\":%llu,\"verdicts\":{",
            (unsigned long long)n->decisions, (unsigned long long)n->decision_duplicates);
    for (int i = 0; i < VERDICTS; i++) {
        put_count(b, verdict_text((enum verdict)i), n->verdict[i], &first);
    }
    BUF_LIT(b, "},\"fallbacks\":{");
    first = true;
    for (int i = 0; i < FALLBACKS; i++) {
        put_count(b, fallback_text((enum fallback)i), n->fallback[i], &first);
    }
    double precision = n->tp + n->fp ? (double)n->tp / (double)(n->tp + n->fp) : 0;
    double recall = n->tp + n->fn ? (double)n->tp / (double)(n->tp + n->fn) : 0;
    buf_fmt(b, "},\"tp\":%llu,\"fp\":%llu,\"fn\":%llu,\"tn\":%llu,\"precision\":",
            (unsigned long long)n->tp, (unsigned long long)n->fp, (unsigned long long)n->fn,
            (unsigned long long)n->tn);
    buf_json_f64(b, precision);
    BUF_LIT(b, ",\"recall\":");
    buf_json_f64(b, recall);
    BUF_LIT(b, "},\n");
}

static void put_frauds(const struct sim *s, struct buf *b)
{
    const struct sim_totals *n = &s->totals;
    bool first = true;
    buf_fmt(b, "\"frauds\":{\"total\":%llu,\"patterns\":{", (unsigned long long)n->fraud);
    for (int i = 0; i < SIM_PATTERNS; i++) {
        put_count(b, sim_pattern_names[i], n->pattern[i], &first);
    }
    BUF_LIT(b, "}},\n\"labels\":{");
    first = true;
    put_count(b, STR("total"), n->labels, &first);
    for (int i = 0; i < TRUTHS; i++) {
        put_count(b, truth_text((enum truth)i), n->label[i], &first);
    }
    put_count(b, STR("corrections"), n->labels_corrected, &first);
    put_count(b, STR("agreed"), n->labels_agreed, &first);
    put_count(b, STR("disagreed"), n->labels_disagreed, &first);
    put_count(b, STR("shed"), n->labels_shed, &first);
    put_count(b, STR("pending"), s->labels.used - s->labels.free_count, &first);
    BUF_LIT(b, "},\n");
}

static void put_faults(const struct sim *s, struct buf *b)
{
    BUF_LIT(b, "\"faults\":[");
    for (uint32_t i = 0; i < s->faults_count; i++) {
        const struct sim_fault *f = &s->faults[i].f;
        const struct sim_fault_info *info = sim_fault_info(f->id);
        buf_fmt(b, "%s{\"name\":\"%s\",\"number\":%d,\"start_ns\":", i ? ",\n " : "", info->name,
                info->number);
        buf_i64(b, f->start_ns);
        BUF_LIT(b, ",\"end_ns\":");
        if (f->end_ns == INT64_MAX) {
            BUF_LIT(b, "null");
        } else {
            buf_i64(b, f->end_ns);
        }
        buf_fmt(b, ",\"affected\":%llu}", (unsigned long long)s->faults[i].affected);
    }
    BUF_LIT(b, "],\n");
}

static void put_lost(const struct sim *s, struct buf *b)
{
    const struct sim_totals *n = &s->totals;
    buf_fmt(b, "\"lost\":{\"count\":%llu,\"listed\":%llu,\"centavos\":%lld,\"transactions\":[",
            (unsigned long long)n->lost, (unsigned long long)n->lost_listed,
            (long long)n->lost_centavos);
    for (uint64_t i = 0; i < n->lost_listed; i++) {
        const struct lost *l = &s->lost[i];
        buf_fmt(b, "%s{\"e2e_id\":\"%.32s\",\"from\":\"%.*s\",\"to\":\"%.*s\",\"amount\":",
                i ? "," : "", l->id.c, STR_FMT(sim_stage_names[l->from]),
                STR_FMT(sim_stage_names[l->to]));
        buf_i64(b, l->amount);
        BUF_LIT(b, ",\"t_ns\":");
        buf_i64(b, l->t);
        BUF_LIT(b, "}\n");
    }
    BUF_LIT(b, "]}\n");
}

void sim_truth_write(const struct sim *s, struct buf *b)
{
    const struct sim_totals *n = &s->totals;
    bool first = true;
    BUF_LIT(b, "{\"schema\":\"farol.sim.truth/1\",\"seed\":");
    buf_u64(b, s->run.seed);
    BUF_LIT(b, ",\"from_ns\":");
    buf_i64(b, s->run.from_ns);
    BUF_LIT(b, ",\"until_ns\":");
    if (s->until_ns == INT64_MAX) {
        BUF_LIT(b, "null");
    } else {
        buf_i64(b, s->until_ns);
    }
    BUF_LIT(b, ",\n\"totals\":{");
    put_count(b, STR("lines"), n->lines, &first);
    put_count(b, STR("transactions"), n->transactions, &first);
    put_count(b, STR("stage_events"), n->stage_events, &first);
    put_count(b, STR("shed"), n->shed, &first);
    put_count(b, STR("abandoned"), n->abandoned, &first);
    put_count(b, STR("in_flight"), s->txs.used - s->txs.free_count, &first);
    BUF_LIT(b, "},\n");
    put_stages(n, b);
    put_decisions(n, b);
    put_frauds(s, b);
    put_faults(s, b);
    put_lost(s, b);
    BUF_LIT(b, "}\n");
}
