/* See story_int.h. The sentence has a lead and what follows from it:
 *
 *   LEAD [since HH:MM] [; holds 2.1x, precision 53.1% (was 84.2%), latency unchanged (p99 54 ms)]
 *   [; features at 2.8.1 since HH:MM].
 *
 * The lead is of the worse pillar: the worst reason, in the order of `order` among equals. Causes
 * stand before symptoms there: when features are missing and precision fell, features lead. The
 * facts behind the lead stand beside it; the sentence does not say that it made them. */
#include "server/story_int.h"

#include "base/num.h"
#include "server/fact_int.h"

#include <math.h>

#define RATIO_UP       1.25 /* less is the noise of a minute */
#define RATIO_DOWN     0.8
#define SCRATCH_BYTES  4096
#define SYMPTOMS_COUNT 3
#define NUMBERS        2 /* of one text */

/* The last SYMPTOMS_COUNT are symptoms. */
static const enum view_cause order[] = {VIEW_CAUSE_LOST,
                                        VIEW_CAUSE_LEDGER_FULL,
                                        VIEW_CAUSE_FALLBACK,
                                        VIEW_CAUSE_FEATURE,
                                        VIEW_CAUSE_SCORE_CONSTANT,
                                        VIEW_CAUSE_STAGE_ERRORS,
                                        VIEW_CAUSE_OTHER,
                                        VIEW_CAUSE_UNKNOWN_STAGE,
                                        VIEW_CAUSE_TOO_OLD,
                                        VIEW_CAUSE_HOLDS_EXPIRING,
                                        VIEW_CAUSE_LABELS_LATE,
                                        VIEW_CAUSE_SILENT,
                                        VIEW_CAUSE_SLA,
                                        VIEW_CAUSE_PRECISION,
                                        VIEW_CAUSE_RECALL};
_Static_assert(ARRAY_LEN(order) == VIEW_CAUSES, "every cause has its place");

static struct story_numbers numbers_of(const struct server_view *v)
{
    return (struct story_numbers){v->hold_share, v->decision_p99_ms, v->precision.value,
                                  v->precision.lo};
}

static const struct view_reason *pillar_reason(const struct view_pillar *p, enum view_cause cause)
{
    for (uint32_t i = 0; i < p->reasons_count; i++) {
        if (p->reasons[i].cause == cause && p->reasons[i].level >= VIEW_WARN) {
            return &p->reasons[i];
        }
    }
    return NULL;
}

static const struct view_reason *reason_find(const struct server_view *v, enum view_cause cause)
{
    const struct view_reason *r = pillar_reason(&v->pipeline, cause);
    return r ? r : pillar_reason(&v->model, cause);
}

static void cause_begin(const struct server_story *s, struct story_cause *c, int64_t t_ns)
{
    double nan = (double)NAN;
    bool known = s->seen && t_ns != T_NS_NONE;
    bool same = known && c->seen_ns != T_NS_NONE && t_ns - c->seen_ns <= STORY_GAP_NS;
    if (!same) {
        c->since_ns = known ? t_ns : T_NS_NONE;
        c->before = known ? s->last : (struct story_numbers){nan, nan, nan, nan};
    }
}

void server_story_add(struct server_story *s, const struct server_view *v)
{
    bool ok = v->state == VIEW_OK;
    if (!s->seen || !ok) {
        s->ok_since_ns = ok ? v->t_ns : T_NS_NONE;
    } else if (s->ok_since_ns == T_NS_NONE) {
        s->ok_since_ns = v->t_ns;
    }
    for (int i = 0; i < VIEW_CAUSES; i++) {
        struct story_cause *c = &s->causes[i];
        bool present = reason_find(v, (enum view_cause)i) != NULL;
        if (!s->seen) {
            c->seen_ns = T_NS_NONE;
        }
        if (present && !c->present) {
            cause_begin(s, c, v->t_ns);
        }
        c->present = present;
        c->seen_ns = present ? v->t_ns : c->seen_ns;
    }
    s->last = numbers_of(v);
    s->seen = true;
}

const struct view_reason *server_story_worst(const struct view_pillar *p)
{
    const struct view_reason *lead = NULL;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        const struct view_reason *r = pillar_reason(p, order[i]);
        bool symptom = i + SYMPTOMS_COUNT >= ARRAY_LEN(order);
        if (r && (!lead || (!symptom && r->level > lead->level))) {
            lead = r;
        }
    }
    return lead;
}

/* Of two pillars the worse one is told, and nothing of the other: that both are in trouble does not
 * make one the reason of the other. */
const struct view_reason *server_story_lead(const struct server_view *v, bool *of_model)
{
    *of_model = v->model.state > v->pipeline.state;
    return server_story_worst(*of_model ? &v->model : &v->pipeline);
}

static const struct story_cause *cause_of(const struct server_story *s,
                                          const struct view_reason *lead)
{
    return s && lead && s->causes[lead->cause].present ? &s->causes[lead->cause] : NULL;
}

int64_t server_story_since(const struct server_story *s, const struct server_view *v)
{
    bool of_model = false;
    const struct story_cause *c = cause_of(s, server_story_lead(v, &of_model));
    return c ? c->since_ns : T_NS_NONE;
}

/* Of equally new ones the first stage is told. */
const struct view_stage *server_story_deploy(const struct server_story *s,
                                             const struct server_view *v)
{
    const struct view_stage *newest = NULL;
    int64_t began_ns = server_story_since(s, v);
    for (uint32_t i = 0; i < v->stages_count && began_ns != T_NS_NONE; i++) {
        const struct view_stage *x = &v->stages[i];
        int64_t at = x->version_since_ns;
        bool before = x->version_deployed && x->version.n > 0 && at != T_NS_NONE &&
                      at <= began_ns && at >= began_ns - VIEW_CHANGED_NS;
        if (before && (!newest || at > newest->version_since_ns)) {
            newest = x;
        }
    }
    return newest;
}

struct teller {
    const struct server_view *v;
    enum lang lang;
    int32_t utc_offset_s;
    enum view_state level; /* of the lead: the tone of its numbers */
    struct mem mem;
    struct buf text[NUMBERS], query[NUMBERS];
    struct parts *out;
    bool more; /* a fact stands behind the lead already */
};

static struct buf *fresh(struct buf *b)
{
    buf_reset(b);
    return b;
}

/* The number written in text[i], until text[i] is used again. */
static struct part number(struct teller *t, int i, enum fact f, enum view_state tone)
{
    server_fact_query(t->v, f, fresh(&t->query[i]));
    return (struct part){buf_str(&t->text[i]), buf_str(&t->query[i]), tone, T_NS_NONE};
}

static struct part percent(struct teller *t, int i, double share, enum fact f, enum view_state tone)
{
    num_percent(fresh(&t->text[i]), t->lang, share, 1);
    return number(t, i, f, tone);
}

static struct part clock_of(struct teller *t, int i, int64_t t_ns)
{
    struct civil at = civil_from_ns(t_ns + t->utc_offset_s * NS_PER_S);
    buf_fmt(fresh(&t->text[i]), "%02d:%02d", at.hour, at.minute);
    struct part p = part_of(buf_str(&t->text[i]));
    p.t_ns = t_ns;
    return p;
}

static void tell_reason(struct teller *t, const struct view_reason *lead)
{
    struct str text = str_trim(view_str(&lead->text[t->lang]));
    text.n -= str_ends(text, STR("."));
    server_fact_query(t->v, server_fact_of(lead->cause), fresh(&t->query[0]));
    const struct part p = {text, buf_str(&t->query[0]), t->level, T_NS_NONE};
    server_parts_put(t->out, &p);
}

static void tell_lead(struct teller *t, const struct view_reason *lead)
{
    const struct server_view *v = t->v;
    const struct view_reason *feature = reason_find(v, VIEW_CAUSE_FEATURE);
    const struct part name = part_of(view_str(&v->feature_name));
    bool named = feature && name.text.n > 0 && isfinite(v->feature_share);
    if (lead->cause == VIEW_CAUSE_FALLBACK && isfinite(v->fallback_share)) {
        const struct part share = percent(t, 0, v->fallback_share, FACT_FALLBACK, t->level);
        if (named) {
            SAY_PARTS(t->out, t->lang, STORY_FALLBACK_FEATURE, share, name,
                      percent(t, 1, v->feature_share, FACT_FEATURE, feature->level));
        } else {
            SAY_PARTS(t->out, t->lang, STORY_FALLBACK, share);
        }
    } else if (lead->cause == VIEW_CAUSE_FEATURE && named) {
        SAY_PARTS(t->out, t->lang, STORY_FEATURE, name,
                  percent(t, 0, v->feature_share, FACT_FEATURE, t->level));
    } else if (lead->cause == VIEW_CAUSE_LOST && v->lost > 0) {
        num_f64(fresh(&t->text[0]), t->lang, v->lost, 0);
        num_brl(fresh(&t->text[1]), t->lang, v->lost_brl);
        SAY_PARTS(t->out, t->lang, STORY_LOST, number(t, 0, FACT_LOST, t->level),
                  number(t, 1, FACT_LOST_BRL, t->level));
    } else {
        tell_reason(t, lead);
    }
}

static void next_fact(struct teller *t)
{
    server_parts_words(t->out, t->more ? STR(", ") : STR("; "));
    t->more = true;
}

static void tell_holds(struct teller *t, const struct story_numbers *before)
{
    double ratio = t->v->hold_share / before->hold_share;
    if (!isfinite(ratio) || (ratio < RATIO_UP && ratio > RATIO_DOWN)) {
        return;
    }
    next_fact(t);
    num_f64(fresh(&t->text[0]), t->lang, ratio, 1);
    SAY_PARTS(t->out, t->lang, STORY_HOLDS, number(t, 0, FACT_HOLDS, VIEW_WARN));
}

/* A fall is told when it is proven: the whole interval is below the earlier one. */
static void tell_precision(struct teller *t, const struct story_numbers *before, bool is_lead)
{
    const struct view_estimate *p = &t->v->precision;
    const struct view_reason *low = reason_find(t->v, VIEW_CAUSE_PRECISION);
    if (!isfinite(p->value) || is_lead) {
        return;
    }
    bool fell = isfinite(before->precision_lo) && p->hi < before->precision_lo;
    if (!fell && !low) {
        return;
    }
    next_fact(t);
    const struct part now = percent(t, 0, p->value, FACT_PRECISION, low ? low->level : VIEW_WARN);
    if (fell) {
        num_percent(fresh(&t->text[1]), t->lang, before->precision, 1);
        SAY_PARTS(t->out, t->lang, STORY_PRECISION_WAS, now, part_of(buf_str(&t->text[1])));
    } else {
        SAY_PARTS(t->out, t->lang, STORY_PRECISION, now);
    }
}

static void tell_latency(struct teller *t, const struct story_numbers *before)
{
    double now = t->v->decision_p99_ms;
    double ratio = now / before->decision_p99_ms;
    if (!isfinite(now)) {
        return;
    }
    next_fact(t);
    num_ms(fresh(&t->text[0]), t->lang, now);
    num_ms(fresh(&t->text[1]), t->lang, before->decision_p99_ms);
    if (!isfinite(ratio)) {
        SAY_PARTS(t->out, t->lang, STORY_LATENCY, number(t, 0, FACT_LATENCY, VIEW_OK));
    } else if (ratio < RATIO_UP && ratio > RATIO_DOWN) {
        SAY_PARTS(t->out, t->lang, STORY_LATENCY_SAME, number(t, 0, FACT_LATENCY, VIEW_OK));
    } else {
        SAY_PARTS(t->out, t->lang, STORY_LATENCY_WAS, number(t, 0, FACT_LATENCY, VIEW_OK),
                  part_of(buf_str(&t->text[1])));
    }
}

static void tell_deploy(struct teller *t, const struct server_story *s)
{
    const struct view_stage *x = server_story_deploy(s, t->v);
    if (x) {
        SAY_PARTS(t->out, t->lang, STORY_DEPLOY, part_of(view_str(&x->name)),
                  part_of(view_str(&x->version)), clock_of(t, 0, x->version_since_ns));
    }
}

static void tell_trouble(struct teller *t, const struct server_story *s,
                         const struct view_reason *lead, bool of_model)
{
    static const struct story_cause unknown = {
        .since_ns = T_NS_NONE, .before = {(double)NAN, (double)NAN, (double)NAN, (double)NAN}};
    const struct story_cause *seen = cause_of(s, lead);
    const struct story_cause *c = seen ? seen : &unknown;
    tell_lead(t, lead);
    if (c->since_ns != T_NS_NONE) {
        SAY_PARTS(t->out, t->lang, STORY_SINCE, clock_of(t, 0, c->since_ns));
    }
    if (of_model) {
        tell_holds(t, &c->before);
        tell_precision(t, &c->before, lead->cause == VIEW_CAUSE_PRECISION);
    }
    tell_latency(t, &c->before);
    tell_deploy(t, s);
    server_parts_words(t->out, STR("."));
}

/* A pillar without data is named: its silence is not health. */
static void tell_ok(struct teller *t, const struct server_story *s)
{
    const struct server_view *v = t->v;
    if (v->model.state == VIEW_NONE || v->pipeline.state == VIEW_NONE) {
        server_parts_say_args(t->out, t->lang,
                              v->model.state == VIEW_NONE ? TEXT_STORY_OK_NO_MODEL
                                                          : TEXT_STORY_OK_NO_PIPELINE,
                              NULL, 0);
    } else if (s && s->ok_since_ns != T_NS_NONE && v->t_ns != T_NS_NONE) {
        num_span(fresh(&t->text[0]), (v->t_ns - s->ok_since_ns) / NS_PER_S);
        SAY_PARTS(t->out, t->lang, STORY_OK_FOR, part_of(buf_str(&t->text[0])));
    } else {
        server_parts_words(t->out, str_from_c(server_text(t->lang, TEXT_STORY_OK)));
    }
}

void server_story_tell(const struct server_story *s, const struct server_view *v, enum lang lang,
                       int32_t utc_offset_s, struct parts *out)
{
    bool of_model = false;
    const struct view_reason *lead = server_story_lead(v, &of_model);
    struct teller t = {.v = v, .lang = lang, .utc_offset_s = utc_offset_s, .out = out};
    mem_init(&t.mem, 0);
    for (int i = 0; i < NUMBERS; i++) {
        buf_init(&t.text[i], &t.mem, SCRATCH_BYTES);
        buf_init(&t.query[i], &t.mem, SCRATCH_BYTES);
    }
    if (lead) {
        t.level = lead->level;
        tell_trouble(&t, s, lead, of_model);
    } else if (v->state == VIEW_OK) {
        tell_ok(&t, s);
    }
    for (int i = 0; i < NUMBERS; i++) {
        buf_release(&t.text[i]);
        buf_release(&t.query[i]);
    }
}

void server_story_text(const struct server_story *s, const struct server_view *v, enum lang lang,
                       int32_t utc_offset_s, struct buf *out)
{
    struct mem mem;
    struct parts parts;
    mem_init(&mem, 0);
    server_parts_init(&parts, out, false, &mem);
    server_story_tell(s, v, lang, utc_offset_s, &parts);
    server_parts_end(&parts);
}
