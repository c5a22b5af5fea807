/* The fixture of sim_test_int.h. */
#include "sim/sim_test_int.h"

void sim_world_init(struct sim_world *w, const char *yaml, int64_t duration_s)
{
    struct err e = {0};
    memset(w, 0, sizeof *w);
    mem_init(&w->mem, 0);
    arena_init(&w->arena, &w->mem, 4U << 20);
    buf_init(&w->text, &w->mem, (size_t)2 << 30);
    buf_init(&w->truth, &w->mem, (size_t)1 << 28);
    if (!sim_config_read(str_from_c(yaml), "test", &w->arena, &w->c, &e)) {
        fail_msg("%s", e.msg);
    }
    w->run.seed = 1;
    w->run.from_ns = ns_from_day(day_from_civil(2026, 3, 3)) + 15 * 3600 * NS_PER_S;
    w->run.duration_ns = duration_s * NS_PER_S;
    w->run.labels_all = true;
    w->run.faults = w->faults;
    w->json = json_parser_new(&w->mem, 512, 65536);
    assert_non_null(w->json);
}

void sim_world_fault(struct sim_world *w, const char *spec)
{
    struct err e = {0};
    if (!sim_fault_parse(str_from_c(spec), &w->faults[w->run.faults_count++], &e)) {
        fail_msg("%s", e.msg);
    }
}

static void text_of(const struct json_token *t, char *out, size_t cap)
{
    assert_int_equal(t->kind, JSON_STR);
    assert_true(t->v.str.n < cap);
    memcpy(out, t->v.str.p, t->v.str.n);
    out[t->v.str.n] = 0;
}

#define TEXT(key_, member)                       \
    if (str_eq(t->key, STR(key_))) {             \
        text_of(t, l->member, sizeof l->member); \
    }
#define INT(key_, member)                                        \
    if (str_eq(t->key, STR(key_))) {                             \
        assert_true(t->kind == JSON_I64 || t->kind == JSON_U64); \
        l->member = t->v.i64;                                    \
    }
#define REAL(key_, member)           \
    if (str_eq(t->key, STR(key_))) { \
        l->member = json_as_f64(t);  \
    }

static void texts_take(const struct json_token *t, struct line *l)
{
    TEXT("type", type)
    TEXT("stage", stage)
    TEXT("outcome", outcome)
    TEXT("reason", reason)
    TEXT("host", host)
    TEXT("version", version)
    TEXT("model_version", version)
    TEXT("decision", verdict)
    TEXT("fallback", fallback)
    TEXT("form", form)
    TEXT("source", source)
    TEXT("analysis_result", result)
    TEXT("fraud_kind", kind)
    TEXT("sla_segment", sla)
    TEXT("event_id", event_id)
    TEXT("supersedes", supersedes)
    TEXT("e2e_id", id)
    TEXT("label", label)
}

static void numbers_take(const struct json_token *t, struct line *l)
{
    INT("attempt", attempt)
    INT("start_ts", start)
    INT("end_ts", end)
    INT("ts", ts)
    INT("t0_accept", t0)
    INT("amount", amount)
    INT("hold_deadline", deadline)
    INT("clock_offset_us", offset)
    INT("contested_ts", contested)
    INT("queue_ns", queue)
    INT("work_ns", work)
    REAL("score", score)
    REAL("threshold", threshold)
}

static void nested_take(const struct json_doc *d, uint32_t at, struct line *l)
{
    bool latency = str_eq(d->tokens[at].key, STR("latency_us"));
    for (uint32_t i = at + 1; i < d->tokens[at].next; i++) {
        const struct json_token *t = &d->tokens[i];
        if (latency) {
            l->latency_us += t->v.i64;
        }
        for (int k = 0; k < SIM_NUMBERS && !latency; k++) {
            if (str_eq(t->key, str_from_c(sim_numbers[k].name))) {
                l->null[k] = t->kind == JSON_NULL;
                l->values[k] = t->kind == JSON_NULL ? 0 : json_as_f64(t);
            }
        }
    }
}

static void line_take(struct sim_world *w, struct str text, int64_t emit)
{
    struct json_doc d;
    struct err e = {0};
    struct e2e id;
    void *v = w->lines;
    assert_true(text.p[text.n - 1] == '\n');
    text.n--;
    if (!json_parse(w->json, text, false, &d, &e)) {
        fail_msg("%s: %.*s", e.msg, STR_FMT(text));
    }
    if (w->n == w->cap) {
        assert_true(mem_array_grow(&w->mem, &v, &w->cap, w->n + 1, 1U << 24, sizeof(struct line)));
        w->lines = v;
    }
    struct line *l = &w->lines[w->n++];
    memset(l, 0, sizeof *l);
    l->emit = emit;
    for (uint32_t i = 1; i < d.tokens_count; i = d.tokens[i].next) {
        const struct json_token *t = &d.tokens[i];
        if (t->kind == JSON_OBJECT) {
            nested_take(&d, i, l);
        } else {
            texts_take(t, l);
            numbers_take(t, l);
        }
    }
    if (!e2e_parse(str_from_c(l->id), &id, &e)) {
        fail_msg("%s: %s", l->id, e.msg);
    }
}

void sim_world_run(struct sim_world *w, bool parse)
{
    struct err e = {0};
    int64_t emit = 0, before = INT64_MIN;
    if (!sim_new(&w->c, &w->run, &w->mem, &w->s, &e)) {
        fail_msg("%s", e.msg);
    }
    for (;;) {
        size_t from = w->text.n;
        if (!sim_next(w->s, &w->text, &emit, &e)) {
            break;
        }
        assert_true(emit >= before);
        before = emit;
        if (parse) {
            line_take(w, str_sub(buf_str(&w->text), from, w->text.n - from), emit);
            buf_reset(&w->text);
        }
    }
    if (e.code != ERR_NONE) {
        fail_msg("%s", e.msg);
    }
    sim_truth_write(w->s, &w->truth);
    assert_true(buf_ok(&w->truth, &e));
}

void sim_world_done(struct sim_world *w)
{
    mem_give(&w->mem, w->lines, w->cap * sizeof *w->lines);
    json_parser_free(w->json);
    sim_free(w->s);
    buf_release(&w->text);
    buf_release(&w->truth);
    arena_release(&w->arena);
    assert_int_equal(w->mem.bytes, 0);
}
