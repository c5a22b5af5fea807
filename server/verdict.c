/* See verdict_int.h. The rules are the table below: for each cause a title (what is wrong, in words
 * of the trade) and the next step (where to look). The sentence between them is the story's, word
 * for word what the terminal says. The newest deploy before the begin is named as the likely cause
 * only when both times are known. */
#include "server/verdict_int.h"

#include "base/num.h"
#include "server/fact_int.h"

#include <math.h>

#define SCRATCH_BYTES 4096

static const struct {
    enum text_id title, next;
} rules[] = {
    [VIEW_CAUSE_OTHER] = {TEXT_TITLE_PIPELINE, TEXT_NEXT_PIPELINE}, /* of the model: below */
    [VIEW_CAUSE_LOST] = {TEXT_TITLE_LOST, TEXT_NEXT_LOST},
    [VIEW_CAUSE_SLA] = {TEXT_TITLE_SLA, TEXT_NEXT_SLA},
    [VIEW_CAUSE_FALLBACK] = {TEXT_TITLE_FEATURES, TEXT_NEXT_FEATURES},
    [VIEW_CAUSE_FEATURE] = {TEXT_TITLE_FEATURES, TEXT_NEXT_FEATURES},
    [VIEW_CAUSE_LABELS_LATE] = {TEXT_TITLE_LABELS, TEXT_NEXT_LABELS},
    [VIEW_CAUSE_PRECISION] = {TEXT_TITLE_PRECISION, TEXT_NEXT_MODEL},
    [VIEW_CAUSE_RECALL] = {TEXT_TITLE_RECALL, TEXT_NEXT_MODEL},
    [VIEW_CAUSE_STAGE_ERRORS] = {TEXT_TITLE_STAGE_ERRORS, TEXT_NEXT_STAGE_ERRORS},
    [VIEW_CAUSE_LEDGER_FULL] = {TEXT_TITLE_LEDGER_FULL, TEXT_NEXT_LEDGER_FULL},
    [VIEW_CAUSE_TOO_OLD] = {TEXT_TITLE_TOO_OLD, TEXT_NEXT_SENDERS},
    [VIEW_CAUSE_UNKNOWN_STAGE] = {TEXT_TITLE_UNKNOWN_STAGE, TEXT_NEXT_SENDERS},
    [VIEW_CAUSE_HOLDS_EXPIRING] = {TEXT_TITLE_HOLDS_EXPIRING, TEXT_NEXT_HOLDS_EXPIRING},
    [VIEW_CAUSE_SCORE_CONSTANT] = {TEXT_TITLE_SCORE_CONSTANT, TEXT_NEXT_SCORE_CONSTANT},
    [VIEW_CAUSE_SILENT] = {TEXT_TITLE_NONE, TEXT_NEXT_NONE},
};
_Static_assert(ARRAY_LEN(rules) == VIEW_CAUSES, "every cause has its rule");

static const char *const states[] = {"ok", "none", "warn", "crit"}; /* by enum view_state */

struct judge {
    const struct verdict_facts *f;
    const struct server_view *v;
    struct mem mem;
    struct buf *out;
    struct buf text;      /* one language of one sentence */
    struct buf number[3]; /* within it */
    struct buf query;
    const struct view_reason *lead; /* NULL: nothing is wrong, or it is not said what */
    bool of_model;
    const struct view_stage *deploy;
};

static struct buf *fresh(struct buf *b)
{
    buf_reset(b);
    return b;
}

static void put_time(struct buf *out, const char *key, int64_t t_ns)
{
    buf_fmt(out, "\"%s\":", key);
    if (t_ns == T_NS_NONE) {
        BUF_LIT(out, "null");
    } else {
        buf_char(out, '"');
        time_format(out, t_ns);
        buf_char(out, '"');
    }
}

/* "key":{"pt":"...","en":"..."}: say appends one language to j->text. */
static void put_both(struct judge *j, const char *key, void (*say)(struct judge *j, enum lang lang))
{
    static const char *const names[LANGS] = {[LANG_PT] = "pt", [LANG_EN] = "en"};
    buf_fmt(j->out, "\"%s\":{", key);
    for (int lang = 0; lang < LANGS; lang++) {
        buf_reset(&j->text);
        say(j, (enum lang)lang);
        buf_fmt(j->out, "%s\"%s\":", lang > 0 ? "," : "", names[lang]);
        buf_json_str(j->out, buf_str(&j->text));
    }
    buf_char(j->out, '}');
}

static void say_id(struct judge *j, enum lang lang, enum text_id id)
{
    buf_str_add(&j->text, str_from_c(server_text(lang, id)));
}

/* --- title ------------------------------------------------------------------------------------ */

static void say_title(struct judge *j, enum lang lang)
{
    const struct server_view *v = j->v;
    bool other = !j->lead || j->lead->cause == VIEW_CAUSE_OTHER;
    if (v->state == VIEW_NONE) {
        say_id(j, lang, TEXT_TITLE_NONE);
        return;
    }
    if (v->state == VIEW_OK) {
        server_story_text(j->f->story, v, lang, j->f->utc_offset_s, &j->text);
        return;
    }
    if (other) {
        say_id(j, lang, j->of_model ? TEXT_TITLE_MODEL : TEXT_TITLE_PIPELINE);
    } else {
        say_id(j, lang, rules[j->lead->cause].title);
    }
    if (j->of_model && v->pipeline.state == VIEW_OK) {
        say_id(j, lang, TEXT_TITLE_PAYMENTS_GO_ON);
    }
}

/* --- text ------------------------------------------------------------------------------------- */

static struct part fact(struct judge *j, int i, enum fact f)
{
    server_fact_query(j->v, f, fresh(&j->query));
    return (struct part){buf_str(&j->number[i]), buf_str(&j->query), VIEW_OK, T_NS_NONE};
}

static void comma(struct parts *p, bool *more)
{
    server_parts_words(p, *more ? STR(", ") : STR(""));
    *more = true;
}

/* What was looked at and is as it should be: rule-outs are worth as much as findings. */
static void tell_quiet(struct judge *j, enum lang lang, struct parts *p)
{
    const struct server_view *v = j->v;
    bool more = false;
    if (isfinite(v->tx_per_s)) {
        comma(p, &more);
        num_short(fresh(&j->number[0]), lang, v->tx_per_s);
        SAY_PARTS(p, lang, QUIET_RATE, fact(j, 0, FACT_RATE));
    }
    if (isfinite(v->decision_p99_ms)) {
        comma(p, &more);
        num_ms(fresh(&j->number[0]), lang, v->decision_p99_ms);
        SAY_PARTS(p, lang, STORY_LATENCY, fact(j, 0, FACT_LATENCY));
    }
    if (isfinite(v->lost)) {
        comma(p, &more);
        num_f64(fresh(&j->number[0]), lang, v->lost, 0);
        SAY_PARTS(p, lang, QUIET_LOST, fact(j, 0, FACT_LOST));
    }
    if (isfinite(v->hold_share)) {
        comma(p, &more);
        num_percent(fresh(&j->number[0]), lang, v->hold_share, 1);
        SAY_PARTS(p, lang, QUIET_HOLDS, fact(j, 0, FACT_HOLDS));
    }
    if (isfinite(v->precision.value)) {
        comma(p, &more);
        num_percent(fresh(&j->number[0]), lang, v->precision.value, 1);
        num_percent(fresh(&j->number[1]), lang, v->precision.lo, 1);
        num_percent(fresh(&j->number[2]), lang, v->precision.hi, 1);
        SAY_PARTS(p, lang, QUIET_PRECISION, fact(j, 0, FACT_PRECISION),
                  part_of(buf_str(&j->number[1])), part_of(buf_str(&j->number[2])));
    }
    server_parts_words(p, more ? STR(".") : STR(""));
}

/* The first reason of a pillar as a sentence of its own. */
static void tell_reason(const struct view_pillar *pillar, enum lang lang, struct parts *p)
{
    if (pillar->reasons_count == 0) {
        return;
    }
    struct str text = str_trim(view_str(&pillar->reasons[0].text[lang]));
    server_parts_words(p, text);
    server_parts_words(p, str_ends(text, STR(".")) ? STR("") : STR("."));
}

static void put_text(struct judge *j)
{
    BUF_LIT(j->out, "\"text\":{");
    for (int i = 0; i < LANGS; i++) {
        enum lang lang = (enum lang)i;
        struct parts p;
        server_parts_init(&p, j->out, true, &j->mem);
        buf_fmt(j->out, "%s\"%s\":[", i > 0 ? "," : "", lang == LANG_PT ? "pt" : "en");
        if (j->lead) {
            server_story_tell(j->f->story, j->v, lang, j->f->utc_offset_s, &p);
        } else if (j->v->state == VIEW_OK) {
            tell_quiet(j, lang, &p);
        } else {
            tell_reason(j->of_model ? &j->v->model : &j->v->pipeline, lang, &p);
        }
        server_parts_end(&p);
        buf_char(j->out, ']');
    }
    buf_char(j->out, '}');
}

/* --- pillars ---------------------------------------------------------------------------------- */

static void say_pillar(struct judge *j, enum lang lang, const struct view_pillar *p, bool model)
{
    const struct view_reason *worst = server_story_worst(p);
    worst = !worst && p->reasons_count > 0 ? &p->reasons[0] : worst;
    if (worst) {
        struct str text = str_trim(view_str(&worst->text[lang]));
        text.n -= str_ends(text, STR("."));
        buf_str_add(&j->text, text);
        BUF_LIT(&j->text, ".");
    } else if (p->state == VIEW_OK) {
        say_id(j, lang, model ? TEXT_QUIET_MODEL : TEXT_QUIET_PIPELINE);
    } else {
        say_id(j, lang, TEXT_TITLE_NONE);
    }
}

static void say_pipeline(struct judge *j, enum lang lang)
{
    say_pillar(j, lang, &j->v->pipeline, false);
}

static void say_model(struct judge *j, enum lang lang)
{
    say_pillar(j, lang, &j->v->model, true);
}

static void put_pillars(struct judge *j)
{
    const struct verdict_pillar *given[] = {&j->f->pipeline, &j->f->model};
    BUF_LIT(j->out, "\"pillars\":[");
    for (int i = 0; i < 2; i++) {
        buf_fmt(j->out, "%s{\"id\":\"%s\",\"state\":\"%s\",", i > 0 ? "," : "",
                i > 0 ? "model" : "pipeline", states[given[i]->state]);
        put_time(j->out, "since", given[i]->since_ns);
        buf_char(j->out, ',');
        put_both(j, "text", i > 0 ? say_model : say_pipeline);
        buf_char(j->out, '}');
    }
    buf_char(j->out, ']');
}

/* --- money, cause, next ----------------------------------------------------------------------- */

static void put_money(struct judge *j, const char *key, const struct verdict_money *m)
{
    buf_fmt(j->out, "\"%s\":", key);
    if (!isfinite(m->brl)) {
        BUF_LIT(j->out, "null");
        return;
    }
    BUF_LIT(j->out, "{\"brl\":");
    buf_json_f64(j->out, m->brl);
    BUF_LIT(j->out, ",\"lo\":");
    buf_json_f64(j->out, m->lo);
    BUF_LIT(j->out, ",\"hi\":");
    buf_json_f64(j->out, m->hi);
    buf_char(j->out, ',');
    put_time(j->out, "since", m->since_ns);
    BUF_LIT(j->out, ",\"query\":");
    buf_json_str(j->out, m->query);
    BUF_LIT(j->out, ",\"label\":{\"pt\":");
    buf_json_str(j->out, str_from_c(server_text(LANG_PT, m->label)));
    BUF_LIT(j->out, ",\"en\":");
    buf_json_str(j->out, str_from_c(server_text(LANG_EN, m->label)));
    BUF_LIT(j->out, "}}");
}

static void say_clock(struct judge *j, int i, int64_t t_ns)
{
    struct civil at = civil_from_ns(t_ns + j->f->utc_offset_s * NS_PER_S);
    buf_fmt(fresh(&j->number[i]), "%02d:%02d", at.hour, at.minute);
}

static void say_cause(struct judge *j, enum lang lang)
{
    say_clock(j, 0, j->deploy->version_since_ns);
    SAY(&j->text, lang, CAUSE_DEPLOY, view_str(&j->deploy->name), view_str(&j->deploy->version),
        buf_str(&j->number[0]));
}

static void put_cause(struct judge *j)
{
    if (!j->deploy) {
        BUF_LIT(j->out, "\"cause\":null");
        return;
    }
    struct str stage = view_str(&j->deploy->name);
    struct str version = view_str(&j->deploy->version);
    BUF_LIT(j->out, "\"cause\":{\"kind\":\"deploy\",\"stage\":");
    buf_json_str(j->out, stage);
    BUF_LIT(j->out, ",\"version\":");
    buf_json_str(j->out, version);
    buf_char(j->out, ',');
    put_time(j->out, "since", j->deploy->version_since_ns);
    buf_char(j->out, ',');
    put_both(j, "text", say_cause);
    struct buf *q = fresh(&j->query);
    BUF_LIT(q, "pix_stage_version_first_seen_seconds{stage=");
    buf_json_str(q, stage);
    BUF_LIT(q, ",version=");
    buf_json_str(q, version);
    BUF_LIT(q, "}");
    BUF_LIT(j->out, ",\"query\":");
    buf_json_str(j->out, buf_str(q));
    buf_char(j->out, '}');
}

static void say_next(struct judge *j, enum lang lang)
{
    if (j->deploy) {
        SAY(&j->text, lang, NEXT_DEPLOY, view_str(&j->deploy->name), view_str(&j->deploy->version));
    } else if (j->lead && j->lead->cause != VIEW_CAUSE_OTHER) {
        say_id(j, lang, rules[j->lead->cause].next);
    } else if (j->v->state == VIEW_NONE) {
        say_id(j, lang, TEXT_NEXT_NONE);
    } else {
        say_id(j, lang, j->of_model ? TEXT_NEXT_MODEL : TEXT_NEXT_PIPELINE);
    }
}

/* When what the verdict is about began. */
static int64_t since_of(const struct judge *j)
{
    const struct verdict_facts *f = j->f;
    int64_t lead_ns = server_story_since(f->story, j->v);
    if (j->v->state == VIEW_OK) {
        return f->story ? f->story->ok_since_ns : T_NS_NONE;
    }
    return lead_ns != T_NS_NONE ? lead_ns : (j->of_model ? &f->model : &f->pipeline)->since_ns;
}

static void put_all(struct judge *j)
{
    struct buf *out = j->out;
    buf_fmt(out, "{\"state\":\"%s\",", states[j->v->state]);
    put_time(out, "since", since_of(j));
    buf_char(out, ',');
    put_both(j, "title", say_title);
    buf_char(out, ',');
    put_text(j);
    buf_char(out, ',');
    put_pillars(j);
    buf_char(out, ',');
    put_money(j, "risk", &j->f->risk);
    buf_char(out, ',');
    put_money(j, "protected", &j->f->guarded);
    buf_char(out, ',');
    put_cause(j);
    buf_char(out, ',');
    if (j->v->state == VIEW_OK) {
        BUF_LIT(out, "\"next\":null}");
    } else {
        put_both(j, "next", say_next);
        buf_char(out, '}');
    }
}

void server_verdict_json(const struct verdict_facts *f, struct buf *out)
{
    struct judge j = {.f = f, .v = f->view, .out = out};
    struct buf *scratch[] = {&j.text, &j.query, &j.number[0], &j.number[1], &j.number[2]};
    mem_init(&j.mem, 0);
    for (size_t i = 0; i < ARRAY_LEN(scratch); i++) {
        buf_init(scratch[i], &j.mem, SCRATCH_BYTES);
    }
    j.lead = server_story_lead(f->view, &j.of_model);
    j.deploy = j.lead ? server_story_deploy(f->story, f->view) : NULL;
    put_all(&j);
    for (size_t i = 0; i < ARRAY_LEN(scratch); i++) {
        buf_release(scratch[i]);
    }
    ASSERT(j.mem.bytes == 0);
}
