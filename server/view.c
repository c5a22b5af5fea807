/* See view_int.h. Absent or oddly typed members read as "no data": a newer server may say more and
 * an older one less, and a board that refuses to draw during an incident helps nobody. */
#include "server/view_int.h"

#include <math.h>

/* Code points that are drawn in one column and move nothing: Latin, Greek, Cyrillic, punctuation,
 * arrows and shapes, without the bidirectional and invisible controls. */
static bool harmless(uint32_t cp)
{
    if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0xAD) {
        return false;
    }
    if ((cp >= 0x300 && cp < 0x370) || (cp >= 0x483 && cp <= 0x489)) {
        return false; /* combining marks take no column */
    }
    if (cp >= 0x590) {
        return (cp >= 0x2010 && cp <= 0x2027) || (cp >= 0x2030 && cp <= 0x205E) ||
               (cp >= 0x20A0 && cp <= 0x22FF) || (cp >= 0x2500 && cp <= 0x25FC);
    }
    return true;
}

/* One code point of valid UTF-8 (the parser has checked it) and its length. */
static uint32_t decode(struct str s, size_t i, size_t *n)
{
    unsigned char c = (unsigned char)s.p[i];
    size_t want = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (want > s.n - i) {
        *n = s.n - i;
        return 0;
    }
    uint32_t cp = want == 1 ? c : c & (0x7FU >> want);
    for (size_t k = 1; k < want; k++) {
        cp = cp << 6 | ((unsigned char)s.p[i + k] & 0x3FU);
    }
    *n = want;
    return cp;
}

static void text_set(struct view_text *out, struct str s)
{
    out->n = 0;
    for (size_t i = 0; i < s.n;) {
        size_t n;
        uint32_t cp = decode(s, i, &n);
        bool keep = harmless(cp);
        if (out->n + (keep ? n : 1) > sizeof out->p) {
            break;
        }
        if (keep) {
            memcpy(out->p + out->n, s.p + i, n);
            out->n = (uint16_t)(out->n + n);
        } else {
            out->p[out->n++] = '?';
        }
        i += n;
    }
}

static const struct json_token *member(const struct json_doc *d, const struct json_token *object,
                                       const char *key)
{
    if (!object || object->kind != JSON_OBJECT) {
        return NULL;
    }
    struct str wanted = str_from_c(key);
    uint32_t i = (uint32_t)(object - d->tokens) + 1;
    while (i < object->next) {
        if (str_eq(d->tokens[i].key, wanted)) {
            return &d->tokens[i];
        }
        i = d->tokens[i].next;
    }
    return NULL;
}

static double number(const struct json_doc *d, const struct json_token *object, const char *key)
{
    const struct json_token *t = member(d, object, key);
    return t && json_is_number(t) ? json_as_f64(t) : (double)NAN;
}

static void text(const struct json_doc *d, const struct json_token *object, const char *key,
                 struct view_text *out)
{
    const struct json_token *t = member(d, object, key);
    text_set(out, t && t->kind == JSON_STR ? t->v.str : STR(""));
}

static enum view_state state_of(const struct json_token *t)
{
    if (!t || t->kind != JSON_STR) {
        return VIEW_NONE;
    }
    return str_eq(t->v.str, STR("ok"))     ? VIEW_OK
           : str_eq(t->v.str, STR("warn")) ? VIEW_WARN
           : str_eq(t->v.str, STR("crit")) ? VIEW_CRIT
                                           : VIEW_NONE;
}

static const struct {
    const char *code;
    enum view_cause cause;
} codes[] = {{"lost_transactions", VIEW_CAUSE_LOST},
             {"sla", VIEW_CAUSE_SLA},
             {"fallback", VIEW_CAUSE_FALLBACK},
             {"feature_missing", VIEW_CAUSE_FEATURE},
             {"labels_silent", VIEW_CAUSE_LABELS_LATE},
             {"precision_low", VIEW_CAUSE_PRECISION},
             {"recall_low", VIEW_CAUSE_RECALL},
             {"stage_errors", VIEW_CAUSE_STAGE_ERRORS},
             {"ledger_full", VIEW_CAUSE_LEDGER_FULL},
             {"too_old", VIEW_CAUSE_TOO_OLD},
             {"unknown_stage", VIEW_CAUSE_UNKNOWN_STAGE},
             {"holds_expiring", VIEW_CAUSE_HOLDS_EXPIRING},
             {"score_constant", VIEW_CAUSE_SCORE_CONSTANT},
             {"no_arrivals", VIEW_CAUSE_SILENT},
             {"no_data", VIEW_CAUSE_SILENT}};

static enum view_cause cause_of(const struct json_token *code)
{
    for (size_t i = 0; i < ARRAY_LEN(codes) && code && code->kind == JSON_STR; i++) {
        if (str_eq(code->v.str, str_from_c(codes[i].code))) {
            return codes[i].cause;
        }
    }
    return VIEW_CAUSE_OTHER;
}

const char *server_view_cause_code(enum view_cause cause)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (codes[i].cause == cause) {
            return codes[i].code;
        }
    }
    return "other";
}

/* The worst reason first; equal ones stay in the server's order. */
static void reasons_sort(struct view_pillar *p)
{
    for (uint32_t i = 1; i < p->reasons_count; i++) {
        struct view_reason r = p->reasons[i];
        uint32_t k = i;
        for (; k > 0 && p->reasons[k - 1].level < r.level; k--) {
            p->reasons[k] = p->reasons[k - 1];
        }
        p->reasons[k] = r;
    }
}

static void read_pillar(const struct json_doc *d, const struct json_token *o,
                        struct view_pillar *out)
{
    out->state = state_of(member(d, o, "state"));
    const struct json_token *list = member(d, o, "reasons");
    if (!list || list->kind != JSON_ARRAY) {
        return;
    }
    uint32_t i = (uint32_t)(list - d->tokens) + 1;
    while (i < list->next && out->reasons_count < VIEW_REASONS_MAX) {
        const struct json_token *r = &d->tokens[i];
        struct view_reason *reason = &out->reasons[out->reasons_count];
        reason->level = state_of(member(d, r, "level"));
        reason->cause = cause_of(member(d, r, "code"));
        text(d, r, "pt", &reason->text[LANG_PT]);
        text(d, r, "en", &reason->text[LANG_EN]);
        for (int lang = 0; lang < LANGS; lang++) {
            if (reason->text[lang].n == 0) {
                text(d, r, "code", &reason->text[lang]);
            }
        }
        out->reasons_count += reason->text[LANG_PT].n > 0;
        i = r->next;
    }
    reasons_sort(out);
}

static int64_t time_of(const struct json_doc *d, const struct json_token *object, const char *key)
{
    const struct json_token *t = member(d, object, key);
    int64_t t_ns;
    return t && t->kind == JSON_STR && time_parse(t->v.str, &t_ns) ? t_ns : T_NS_NONE;
}

static void read_pipeline(const struct json_doc *d, const struct json_token *o,
                          struct server_view *out)
{
    read_pillar(d, o, &out->pipeline);
    const struct json_token *ledger = member(d, o, "ledger");
    const struct json_token *closes = member(d, ledger, "closes");
    out->ledger_given = ledger && ledger->kind == JSON_OBJECT;
    out->entered = number(d, ledger, "entered");
    out->left = number(d, ledger, "left");
    out->in_flight = number(d, ledger, "in_flight");
    out->lost = number(d, ledger, "lost");
    out->lost_brl = number(d, ledger, "lost_brl");
    /* The server's word is not enough: the sum is done again on what will be shown. */
    out->closes = closes && closes->kind == JSON_TRUE &&
                  out->entered == out->left + out->in_flight + out->lost;
    out->tx_per_s = number(d, o, "tx_per_s");
    out->decision_p50_ms = number(d, o, "decision_p50_ms");
    out->decision_p99_ms = number(d, o, "decision_p99_ms");
    const struct json_token *list = member(d, o, "stages");
    if (!list || list->kind != JSON_ARRAY) {
        return;
    }
    uint32_t i = (uint32_t)(list - d->tokens) + 1;
    while (i < list->next && out->stages_count < VIEW_STAGES_MAX) {
        const struct json_token *t = &d->tokens[i];
        struct view_stage *s = &out->stages[out->stages_count++];
        text(d, t, "name", &s->name);
        s->rate_per_s = number(d, t, "rate_per_s");
        s->errors_per_s = number(d, t, "errors_per_s");
        s->p50_ms = number(d, t, "p50_ms");
        s->p99_ms = number(d, t, "p99_ms");
        s->queue_p99_ms = number(d, t, "queue_p99_ms");
        s->duplicates = number(d, t, "duplicates");
        s->retries = number(d, t, "retries");
        s->lost_after = number(d, t, "lost_after");
        text(d, t, "version", &s->version);
        s->version_since_ns = time_of(d, t, "version_since");
        const struct json_token *deployed = member(d, t, "version_deployed");
        s->version_deployed = deployed && deployed->kind == JSON_TRUE;
        i = t->next;
    }
}

static void read_estimate(const struct json_doc *d, const struct json_token *o,
                          struct view_estimate *out)
{
    out->value = number(d, o, "value");
    out->lo = number(d, o, "lo");
    out->hi = number(d, o, "hi");
    out->n = number(d, o, "n");
    text(d, o, "cohort", &out->cohort);
}

/* Counts or shares: what is shown is the share of their sum. */
static void read_decisions(const struct json_doc *d, const struct json_token *o,
                           struct server_view *out)
{
    if (!o || o->kind != JSON_OBJECT) {
        return;
    }
    double sum = 0;
    uint32_t i = (uint32_t)(o - d->tokens) + 1;
    while (i < o->next && out->decisions_count < VIEW_DECISIONS_MAX) {
        const struct json_token *t = &d->tokens[i];
        if (json_is_number(t) && json_as_f64(t) >= 0) {
            text_set(&out->decisions[out->decisions_count].name, t->key);
            out->decisions[out->decisions_count++].share = json_as_f64(t);
            sum += json_as_f64(t);
        }
        i = t->next;
    }
    for (uint32_t k = 0; k < out->decisions_count; k++) {
        out->decisions[k].share = sum > 0 ? out->decisions[k].share / sum : (double)NAN;
    }
}

static void read_model(const struct json_doc *d, const struct json_token *o,
                       struct server_view *out)
{
    read_pillar(d, o, &out->model);
    out->decisions_per_s = number(d, o, "decisions_per_s");
    out->fallback_share = number(d, o, "fallback_share");
    out->hold_share = number(d, o, "hold_share");
    out->threshold = number(d, o, "threshold");
    out->labels_pending = number(d, o, "labels_pending");
    read_decisions(d, member(d, o, "decisions"), out);
    const struct json_token *worst = member(d, o, "feature_worst");
    text(d, worst, "name", &out->feature_name);
    out->feature_share = number(d, worst, "null_or_default_share");
    read_estimate(d, member(d, o, "precision"), &out->precision);
    read_estimate(d, member(d, o, "recall"), &out->recall);
    const struct json_token *list = member(d, o, "versions");
    if (!list || list->kind != JSON_ARRAY) {
        return;
    }
    uint32_t i = (uint32_t)(list - d->tokens) + 1;
    while (i < list->next && out->versions_count < VIEW_VERSIONS_MAX) {
        const struct json_token *t = &d->tokens[i];
        if (t->kind == JSON_STR) {
            text_set(&out->versions[out->versions_count++], t->v.str);
        } else if (t->kind == JSON_OBJECT) {
            text(d, t, "version", &out->versions[out->versions_count]);
            out->versions_count += out->versions[out->versions_count].n > 0;
        }
        i = t->next;
    }
}

static void read_alerts(const struct json_doc *d, const struct json_token *o,
                        struct server_view *out)
{
    out->alerts_firing = number(d, o, "firing");
    out->alerts_pending = number(d, o, "pending");
    const struct json_token *list = member(d, o, "names");
    if (!list || list->kind != JSON_ARRAY) {
        return;
    }
    uint32_t i = (uint32_t)(list - d->tokens) + 1;
    while (i < list->next && out->alerts_count < VIEW_ALERTS_MAX) {
        const struct json_token *t = &d->tokens[i];
        if (t->kind == JSON_STR) {
            text_set(&out->alerts[out->alerts_count++], t->v.str);
        }
        i = t->next;
    }
}

bool server_view_read(struct json_parser *p, struct str json, struct server_view *out,
                      struct err *e)
{
    struct json_doc d;
    memset(out, 0, sizeof *out);
    if (!json_parse(p, json, false, &d, e)) {
        return false;
    }
    const struct json_token *root = &d.tokens[0];
    const struct json_token *state = member(&d, root, "state");
    if (!state || state->kind != JSON_STR) {
        return err_set(e, ERR_INPUT, "expected the status of a farol: an object with \"state\"");
    }
    out->state = state_of(state);
    out->t_ns = time_of(&d, root, "time");
    text(&d, root, "version", &out->version);
    read_pipeline(&d, member(&d, root, "pipeline"), out);
    read_model(&d, member(&d, root, "model"), out);
    read_alerts(&d, member(&d, root, "alerts"), out);
    return true;
}

bool server_view_is_changed(const struct server_view *v, const struct view_stage *s)
{
    return s->version_deployed && s->version.n > 0 && v->t_ns != T_NS_NONE &&
           s->version_since_ns != T_NS_NONE && s->version_since_ns <= v->t_ns &&
           s->version_since_ns >= v->t_ns - VIEW_CHANGED_NS;
}
