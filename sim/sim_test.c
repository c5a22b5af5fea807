/* Runs: reproduction, shapes and totals. Faults are in inject_test.c. */
#include "sim/sim_test_int.h"

#include <math.h>
#include <stdlib.h>

#define BUSY "volume: {rate: 200, shape: false}\nfraud: {rate: 0.01}\n"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *v, size_t n, double p)
{
    qsort(v, n, sizeof *v, by_value);
    return v[(size_t)(p * (double)(n - 1))];
}

static void assert_near(const char *what, double got, double want, double within)
{
    if (!(fabs(got - want) <= within)) {
        fail_msg("%s: expected %g +- %g, found %g", what, want, within, got);
    }
}

TEST(sim_same_seed_same_bytes)
{
    struct sim_world a, b, c;
    const char *faults[] = {"lost@1s+20s", "duplicates@1s+20s", "reorder:delay=5s@1s+20s"};
    struct sim_world *all[] = {&a, &b, &c};
    for (int i = 0; i < 3; i++) {
        sim_world_init(all[i], BUSY, 30);
        for (int k = 0; k < 3; k++) {
            sim_world_fault(all[i], faults[k]);
        }
        all[i]->run.seed = i < 2 ? 42 : 43;
        sim_world_run(all[i], false);
    }
    assert_true(a.text.n > 10U << 20);
    assert_true(str_eq(buf_str(&a.text), buf_str(&b.text)));
    assert_true(str_eq(buf_str(&a.truth), buf_str(&b.truth)));
    assert_false(str_eq(buf_str(&a.text), buf_str(&c.text)));
    for (int i = 0; i < 3; i++) {
        sim_world_done(all[i]);
    }
}

TEST(sim_bytes_do_not_depend_on_how_they_are_pulled)
{
    struct sim_world a, b;
    struct err e = {0};
    int64_t emit;
    sim_world_init(&a, BUSY, 5);
    sim_world_init(&b, BUSY, 5);
    sim_world_run(&a, false);
    assert_true(sim_new(&b.c, &b.run, &b.mem, &b.s, &e));
    struct buf one; /* a fresh buffer for each line */
    size_t at = 0;
    buf_init(&one, &b.mem, 1U << 16);
    while (sim_next(b.s, &one, &emit, &e)) {
        assert_str(buf_str(&one), str_sub(buf_str(&a.text), at, one.n));
        at += one.n;
        buf_reset(&one);
    }
    assert_int_equal(at, a.text.n);
    buf_release(&one);
    sim_world_done(&a);
    sim_world_done(&b);
}

TEST(sim_truth_equals_what_was_emitted)
{
    struct sim_world w;
    sim_world_init(&w, BUSY "labels: {delay_scale: 0.001}\n", 120);
    sim_world_fault(&w, "lost:stage=any,share=0.05@10s+60s");
    sim_world_fault(&w, "duplicates@10s+60s");
    sim_world_fault(&w, "ab03@30s+30s");
    sim_world_run(&w, true);
    const struct sim_totals *n = sim_totals(w.s);
    uint64_t stage[SIM_STAGES] = {0}, verdict[VERDICTS] = {0}, labels = 0, decisions = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        for (int k = 0; k < SIM_STAGES; k++) {
            stage[k] += str_eq(str_from_c(l->stage), sim_stage_names[k]);
        }
        for (int k = 0; k < VERDICTS && l->verdict[0]; k++) {
            verdict[k] += str_eq(str_from_c(l->verdict), verdict_text((enum verdict)k));
        }
        labels += strcmp(l->type, "label") == 0;
        decisions += strcmp(l->type, "decision") == 0;
    }
    uint64_t lines = 0, verdicts = 0;
    for (int k = 0; k < SIM_STAGES; k++) {
        assert_int_equal(stage[k], n->stage[k] + n->duplicates[k]);
        lines += stage[k];
    }
    for (int k = 0; k < VERDICTS; k++) {
        verdicts += verdict[k];
    }
    assert_int_equal(verdicts, n->decisions + n->decision_duplicates);
    assert_int_equal(decisions, verdicts);
    assert_int_equal(labels, n->labels);
    assert_int_equal(n->lines, w.n);
    assert_int_equal(n->lines, lines + decisions + labels);
    assert_int_equal(n->tp + n->fp + n->fn + n->tn, n->decisions);
    assert_int_equal(n->transactions, n->stage[ST_INGEST]);
    assert_true(n->lost > 100 && n->lost == n->lost_listed);
    assert_true(n->duplicates[ST_SETTLE] > 100 && n->outcome[ST_SETTLE][OUTCOME_ERROR] > 50);
    sim_world_done(&w);
}

TEST(sim_stages_are_a_path)
{
    struct sim_world w;
    sim_world_init(&w, BUSY, 20);
    sim_world_run(&w, true);
    int64_t last = 0;
    uint64_t n = 0;
    char id[33] = "";
    for (size_t i = 0; i < w.n; i++) { /* the first transaction, followed by hand */
        const struct line *l = &w.lines[i];
        if (strcmp(l->type, "stage") == 0) {
            assert_int_equal(l->end - l->start, l->queue + l->work);
            assert_true(l->amount > 0 && l->attempt >= 1);
            assert_true(l->end == l->ts);
            assert_true(llabs(l->emit - l->end) <= 300 * NS_PER_US); /* the host's own clock */
        }
        if (i == 0) {
            memcpy(id, l->id, sizeof id);
        }
        if (strcmp(l->id, id) == 0 && strcmp(l->type, "stage") == 0) {
            assert_true(i == 0 || llabs(l->start - last) <= 600 * NS_PER_US);
            last = l->end;
            n++;
        }
    }
    assert_in_range(n, 6, 8);
    sim_world_done(&w);
}

TEST(sim_amounts_latencies_and_forms_are_those_of_the_domain)
{
    struct sim_world w;
    sim_world_init(&w, "volume: {rate: 400, shape: false}\n", 120);
    sim_world_run(&w, true);
    double *amount = calloc(w.n, sizeof *amount), *latency = calloc(w.n, sizeof *latency);
    size_t n = 0, small = 0, dict = 0, internal = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        if (strcmp(l->type, "decision") != 0) {
            continue;
        }
        amount[n] = (double)l->amount / 100;
        latency[n] = (double)l->latency_us / 1000;
        small += amount[n++] < 100;
        dict += strcmp(l->form, "DICT") == 0;
    }
    const struct sim_totals *t = sim_totals(w.s);
    internal = t->stage[ST_ACT] - t->stage[ST_SETTLE];
    assert_in_range(n, 47000, 49000);
    assert_near("share below R$ 100", (double)small / (double)n, 0.635, 0.01);
    assert_near("median R$", quantile(amount, n, 0.5), 53, 4);
    assert_near("share of DICT", (double)dict / (double)n, 0.42, 0.01);
    assert_near("share of internal", (double)internal / (double)n, 0.15, 0.01);
    assert_true(quantile(latency, n, 0.5) <= 40);
    assert_true(quantile(latency, n, 0.95) <= 100);
    assert_near("p99 of the decision, ms", quantile(latency, n, 0.99), 125, 25);
    double rejects = (double)t->outcome[ST_SETTLE][OUTCOME_ERROR] / (double)t->stage[ST_SETTLE];
    assert_near("rejects", rejects, 0.005, 0.0012);
    free(amount);
    free(latency);
    sim_world_done(&w);
}

TEST(sim_frauds_precision_recall_and_labels)
{
    struct sim_world w;
    sim_world_init(&w, "volume: {rate: 20, shape: false}\nfraud: {rate: 0.01}\n", 86400 / 4);
    sim_world_run(&w, true);
    const struct sim_totals *t = sim_totals(w.s);
    assert_near("fraud rate", (double)t->fraud / (double)t->transactions, 0.01, 0.0012);
    assert_near("precision", (double)t->tp / (double)(t->tp + t->fp), 0.85, 0.05);
    assert_near("recall", (double)t->tp / (double)(t->tp + t->fn), 0.65, 0.08);
    assert_near("AGREED",
                (double)t->labels_agreed / (double)(t->labels_agreed + t->labels_disagreed), 0.38,
                0.05);
    size_t contests = 0, day = 0, week = 0, month = 0;
    double *brl = calloc(w.n, sizeof *brl);
    for (size_t i = 0; i < w.n; i++) {
        const struct line *l = &w.lines[i];
        if (strcmp(l->source, "med_infraction") == 0 && l->supersedes[0] == 0) {
            assert_true(l->contested <= l->ts && l->ts <= l->contested + 7 * NS_PER_DAY);
            double days = (double)(l->contested - w.run.from_ns) / (double)NS_PER_DAY;
            day += days < 1.125;
            week += days < 7.125;
            month += days < 30.125;
            assert_true(days < 80.25);
            brl[contests++] = days;
        }
    }
    assert_true(contests > 1000);
    assert_near("contested in a day", (double)day / (double)contests, 0.55, 0.06);
    assert_near("in a week", (double)week / (double)contests, 0.80, 0.04);
    assert_near("in a month", (double)month / (double)contests, 0.95, 0.03);
    free(brl);
    sim_world_done(&w);
}

TEST(sim_default_fraud_rate_is_70_per_million)
{
    struct sim_world w;
    uint64_t fraud = 0, all = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) { /* campaigns are lumpy: four runs */
        sim_world_init(&w, "volume: {rate: 20, shape: false}\n", 43200);
        w.run.seed = seed;
        struct err e = {0};
        int64_t at;
        assert_true(sim_new(&w.c, &w.run, &w.mem, &w.s, &e));
        while (sim_next(w.s, &w.text, &at, &e)) {
            buf_reset(&w.text);
        }
        fraud += sim_totals(w.s)->fraud;
        all += sim_totals(w.s)->transactions;
        sim_world_done(&w);
    }
    assert_near("frauds per million", 1e6 * (double)fraud / (double)all, 70, 30);
}

TEST(sim_corrections_supersede_an_earlier_label)
{
    struct sim_world w;
    sim_world_init(&w, BUSY "labels: {corrections: 1, delay_scale: 0.001}\n", 60);
    sim_world_run(&w, true);
    size_t fixes = 0;
    for (size_t i = 0; i < w.n; i++) {
        const struct line *fix = &w.lines[i];
        if (fix->supersedes[0] == 0) {
            continue;
        }
        size_t k = 0;
        while (k < i && strcmp(w.lines[k].event_id, fix->supersedes) != 0) {
            k++;
        }
        assert_true(k < i);
        assert_string_equal(w.lines[k].id, fix->id);
        assert_string_not_equal(w.lines[k].label, fix->label);
        fixes++;
    }
    assert_true(fixes > 20);
    assert_int_equal(fixes, sim_totals(w.s)->labels_corrected);
    sim_world_done(&w);
}

TEST(sim_labels_of_the_window_only)
{
    struct sim_world w;
    sim_world_init(&w, BUSY, 60);
    w.run.labels_all = false;
    sim_world_run(&w, true);
    for (size_t i = 0; i < w.n; i++) {
        if (strcmp(w.lines[i].type, "label") == 0) {
            assert_true(w.lines[i].emit < w.run.from_ns + w.run.duration_ns);
        }
    }
    sim_world_done(&w);
}

TEST(sim_count_bounds_a_run)
{
    struct sim_world w;
    sim_world_init(&w, BUSY, 0);
    w.run.transactions_max = 500;
    sim_world_run(&w, false);
    assert_in_range(sim_totals(w.s)->transactions, 450, 500);
    sim_world_done(&w);
}

TEST(sim_full_pool_sheds_and_counts)
{
    struct sim_world w;
    sim_world_init(&w, BUSY "limits: {transactions: 50}\n", 5);
    sim_world_run(&w, true);
    const struct sim_totals *t = sim_totals(w.s);
    assert_true(t->shed > 100);
    assert_true(t->transactions > 10);
    sim_world_done(&w);
}

FAULT_TEST(sim_survives_without_memory)
{
    struct err e = {0};
    struct arena a;
    struct sim_config c;
    struct sim *s = NULL;
    struct buf b;
    int64_t at;
    struct sim_run run = {.seed = 1, .duration_ns = NS_PER_S};
    arena_init(&a, &w->mem, 4U << 20);
    buf_init(&b, &w->mem, 1U << 20);
    bool ok = sim_config_read(STR("volume: {rate: 30}\n"), "test", &a, &c, &e) &&
              sim_new(&c, &run, &w->mem, &s, &e);
    while (ok && sim_next(s, &b, &at, &e)) {
        buf_reset(&b);
    }
    ok = ok && e.code == ERR_NONE && sim_totals(s)->shed == 0 && sim_totals(s)->labels_shed == 0;
    sim_free(s);
    buf_release(&b);
    arena_release(&a);
    return ok;
}
