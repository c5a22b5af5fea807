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
#include "server/text_int.h"

#include <math.h>

#define RATIO_UP       1.25 /* less is the noise of a minute */
#define RATIO_DOWN     0.8
#define SCRATCH_BYTES  512
#define SYMPTOMS_COUNT 3

/* The last SYMPTOMS_COUNT are symptoms. */
static const enum view_cause order[] = {
    VIEW_CAUSE_LOST,        VIEW_CAUSE_FALLBACK, VIEW_CAUSE_FEATURE,   VIEW_CAUSE_OTHER,
    VIEW_CAUSE_LABELS_LATE, VIEW_CAUSE_SLA,      VIEW_CAUSE_PRECISION, VIEW_CAUSE_RECALL};
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
        if (present && !c->present) {
            double nan = (double)NAN;
            c->since_ns = s->seen ? v->t_ns : T_NS_NONE;
            c->before = s->seen ? s->last : (struct story_numbers){nan, nan, nan, nan};
        }
        c->present = present;
    }
    s->last = numbers_of(v);
    s->seen = true;
}

/* NULL: no reason is given. Of two pillars the worse one is told, and nothing of the other: that
 * both are in trouble does not make one the reason of the other. */
static const struct view_reason *lead_find(const struct server_view *v, bool *of_model)
{
    const struct view_reason *lead = NULL;
    *of_model = v->model.state > v->pipeline.state;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        const struct view_reason *r = pillar_reason(*of_model ? &v->model : &v->pipeline, order[i]);
        bool symptom = i + SYMPTOMS_COUNT >= ARRAY_LEN(order);
        if (r && (!lead || (!symptom && r->level > lead->level))) {
            lead = r;
        }
    }
    return lead;
}

struct teller {
    const struct server_view *v;
    enum lang lang;
    struct mem mem;
    struct buf a, b; /* one number each */
    struct buf *out;
    bool more; /* a fact stands behind the lead already */
};

static struct str percent(const struct teller *t, struct buf *b, double share)
{
    buf_reset(b);
    num_percent(b, t->lang, share, 1);
    return buf_str(b);
}

static void tell_lead(struct teller *t, const struct view_reason *lead)
{
    const struct server_view *v = t->v;
    const struct view_reason *feature = reason_find(v, VIEW_CAUSE_FEATURE);
    struct str name = view_str(&v->feature_name);
    bool named = feature && name.n > 0 && isfinite(v->feature_share);
    if (lead->cause == VIEW_CAUSE_FALLBACK && isfinite(v->fallback_share)) {
        struct str share = percent(t, &t->a, v->fallback_share);
        if (named) {
            SAY(t->out, t->lang, STORY_FALLBACK_FEATURE, share, name,
                percent(t, &t->b, v->feature_share));
        } else {
            SAY(t->out, t->lang, STORY_FALLBACK, share);
        }
    } else if (lead->cause == VIEW_CAUSE_FEATURE && named) {
        SAY(t->out, t->lang, STORY_FEATURE, name, percent(t, &t->a, v->feature_share));
    } else if (lead->cause == VIEW_CAUSE_LOST && v->lost > 0) {
        buf_reset(&t->a);
        buf_reset(&t->b);
        num_f64(&t->a, t->lang, v->lost, 0);
        num_brl(&t->b, t->lang, v->lost_brl);
        SAY(t->out, t->lang, STORY_LOST, buf_str(&t->a), buf_str(&t->b));
    } else {
        struct str text = str_trim(view_str(&lead->text[t->lang]));
        text.n -= str_ends(text, STR("."));
        buf_str_add(t->out, text);
    }
}

static void next_fact(struct teller *t)
{
    buf_str_add(t->out, t->more ? STR(", ") : STR("; "));
    t->more = true;
}

static void tell_holds(struct teller *t, const struct story_numbers *before)
{
    double ratio = t->v->hold_share / before->hold_share;
    if (!isfinite(ratio) || (ratio < RATIO_UP && ratio > RATIO_DOWN)) {
        return;
    }
    next_fact(t);
    buf_reset(&t->a);
    num_f64(&t->a, t->lang, ratio, 1);
    SAY(t->out, t->lang, STORY_HOLDS, buf_str(&t->a));
}

/* A fall is told when it is proven: the whole interval is below the earlier one. */
static void tell_precision(struct teller *t, const struct story_numbers *before, bool is_lead)
{
    const struct view_estimate *p = &t->v->precision;
    if (!isfinite(p->value) || is_lead) {
        return;
    }
    if (isfinite(before->precision_lo) && p->hi < before->precision_lo) {
        next_fact(t);
        SAY(t->out, t->lang, STORY_PRECISION_WAS, percent(t, &t->a, p->value),
            percent(t, &t->b, before->precision));
    } else if (reason_find(t->v, VIEW_CAUSE_PRECISION)) {
        next_fact(t);
        SAY(t->out, t->lang, STORY_PRECISION, percent(t, &t->a, p->value));
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
    buf_reset(&t->a);
    buf_reset(&t->b);
    num_ms(&t->a, t->lang, now);
    num_ms(&t->b, t->lang, before->decision_p99_ms);
    if (!isfinite(ratio)) {
        SAY(t->out, t->lang, STORY_LATENCY, buf_str(&t->a));
    } else if (ratio < RATIO_UP && ratio > RATIO_DOWN) {
        SAY(t->out, t->lang, STORY_LATENCY_SAME, buf_str(&t->a));
    } else {
        SAY(t->out, t->lang, STORY_LATENCY_WAS, buf_str(&t->a), buf_str(&t->b));
    }
}

static void clock_of(struct buf *b, int64_t t_ns, int32_t utc_offset_s)
{
    struct civil at = civil_from_ns(t_ns + utc_offset_s * NS_PER_S);
    buf_reset(b);
    buf_fmt(b, "%02d:%02d", at.hour, at.minute);
}

/* The newest deploy, of whatever stage: that it came shortly before is a fact, that it is the
 * reason is not ours to say. Of equally new ones the first stage is told. */
static void tell_deploy(struct teller *t, int32_t utc_offset_s)
{
    const struct view_stage *newest = NULL;
    for (uint32_t i = 0; i < t->v->stages_count; i++) {
        const struct view_stage *s = &t->v->stages[i];
        if (server_view_is_changed(t->v, s) &&
            (!newest || s->version_since_ns > newest->version_since_ns)) {
            newest = s;
        }
    }
    if (newest) {
        clock_of(&t->a, newest->version_since_ns, utc_offset_s);
        SAY(t->out, t->lang, STORY_DEPLOY, view_str(&newest->name), view_str(&newest->version),
            buf_str(&t->a));
    }
}

static void tell_trouble(struct teller *t, const struct server_story *s,
                         const struct view_reason *lead, bool of_model, int32_t utc_offset_s)
{
    static const struct story_cause unknown = {
        .since_ns = T_NS_NONE, .before = {(double)NAN, (double)NAN, (double)NAN, (double)NAN}};
    const struct story_cause *c =
        s && s->causes[lead->cause].present ? &s->causes[lead->cause] : &unknown;
    tell_lead(t, lead);
    if (c->since_ns != T_NS_NONE) {
        clock_of(&t->a, c->since_ns, utc_offset_s);
        SAY(t->out, t->lang, STORY_SINCE, buf_str(&t->a));
    }
    if (of_model) {
        tell_holds(t, &c->before);
        tell_precision(t, &c->before, lead->cause == VIEW_CAUSE_PRECISION);
    }
    tell_latency(t, &c->before);
    if (c->since_ns != T_NS_NONE) {
        tell_deploy(t, utc_offset_s);
    }
    buf_char(t->out, '.');
}

void server_story_text(const struct server_story *s, const struct server_view *v, enum lang lang,
                       int32_t utc_offset_s, struct buf *out)
{
    bool of_model = false;
    const struct view_reason *lead = lead_find(v, &of_model);
    struct teller t = {.v = v, .lang = lang, .out = out};
    mem_init(&t.mem, 0);
    buf_init(&t.a, &t.mem, SCRATCH_BYTES);
    buf_init(&t.b, &t.mem, SCRATCH_BYTES);
    if (lead) {
        tell_trouble(&t, s, lead, of_model, utc_offset_s);
    } else if (v->state == VIEW_OK && s && s->ok_since_ns != T_NS_NONE && v->t_ns != T_NS_NONE) {
        num_span(&t.a, (v->t_ns - s->ok_since_ns) / NS_PER_S);
        SAY(out, lang, STORY_OK_FOR, buf_str(&t.a));
    } else if (v->state == VIEW_OK) {
        buf_str_add(out, str_from_c(server_text(lang, TEXT_STORY_OK)));
    }
    buf_release(&t.b);
    buf_release(&t.a);
}
