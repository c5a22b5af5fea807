/* The pillar's part of GET /farol/v1/status: numbers of the last minute, newest quality with
 * interval, and sentences in Portuguese and English for whatever is not well.
 *
 * An alarm about quality needs proof: at least 30 cases and a 95 % interval that excludes the
 * objective. Precision is of judged positives only (a hold without a verdict is not a false
 * alarm yet); recall of young days is too high, so that one below the objective is an alarm all
 * the same. */
#include "base/num.h"
#include "model/model_int.h"

#include <math.h>
#include <stdio.h>

#define CASES_MIN       30
#define FEATURE_N_MIN   100 /* of 60 s, before a share of nulls means anything */
#define FEATURE_WARN    0.05
#define FEATURE_CRIT    0.20
#define FALLBACK_N_MIN  200
#define FALLBACK_WARN   0.005 /* domain.md 5.2, failure 41 */
#define FALLBACK_CRIT   0.05
#define CONSTANT_N_MIN  600
#define CONSTANT_CELLS  2
#define OBJECTIVE_SLACK 0.1 /* this far below an objective a warning becomes critical */
#define REASONS_MAX     16

enum level { LEVEL_NONE, LEVEL_OK, LEVEL_WARN, LEVEL_CRIT };

struct reason {
    const char *code;
    enum level level;
    char pt[320], en[320];
};

struct state {
    struct reason reasons[REASONS_MAX];
    uint32_t reasons_count;
    enum level level;
};

static struct reason *reason_add(struct state *s, const char *code, enum level level)
{
    if (s->reasons_count == REASONS_MAX) {
        return NULL;
    }
    struct reason *r = &s->reasons[s->reasons_count++];
    r->code = code;
    r->level = level;
    s->level = level > s->level ? level : s->level;
    return r;
}

/* The worst feature is the one furthest above its usual share. */
static void judge_features(struct state *s, const struct model *m, const struct model_merged *g,
                           struct str *worst, double *worst_share)
{
    double worst_excess = -2;
    *worst_share = -1;
    for (uint32_t i = 0; i < g->features_cap; i++) {
        const struct model_merged_feature *f = &g->features[i];
        if (f->n < FEATURE_N_MIN) {
            continue;
        }
        double share = (double)f->bad / (double)f->n;
        double usual = model_baseline(m, model_merged_name(g, i));
        double excess = isnan(usual) ? 0 : share - usual;
        if (excess > worst_excess) {
            worst_excess = excess;
            *worst_share = share;
            *worst = model_merged_name(g, i);
        }
    }
    if (worst_excess <= FEATURE_WARN) {
        return;
    }
    struct reason *r =
        reason_add(s, "feature_missing", worst_excess > FEATURE_CRIT ? LEVEL_CRIT : LEVEL_WARN);
    if (r != NULL) {
        struct str name = str_sub(*worst, 0, 64);
        snprintf(
            r->pt, sizeof r->pt,
            "A variável %.*s está nula ou no valor padrão em %s das decisões do último minuto.",
            STR_FMT(name), num_text_percent(LANG_PT, *worst_share, 1).text);
        snprintf(r->en, sizeof r->en,
                 "Feature %.*s is null or at its default in %s of the last minute's decisions.",
                 STR_FMT(name), num_text_percent(LANG_EN, *worst_share, 1).text);
    }
}

static void judge_fallback(struct state *s, const struct model_slot *w)
{
    double share = w->decisions == 0 ? 0 : (double)w->fallback / (double)w->decisions;
    if (w->decisions < FALLBACK_N_MIN || share <= FALLBACK_WARN) {
        return;
    }
    struct reason *r = reason_add(s, "fallback", share > FALLBACK_CRIT ? LEVEL_CRIT : LEVEL_WARN);
    if (r != NULL) {
        snprintf(r->pt, sizeof r->pt,
                 "%s das decisões do último minuto usaram contingência (fallback).",
                 num_text_percent(LANG_PT, share, 1).text);
        snprintf(r->en, sizeof r->en, "%s of the last minute's decisions used a fallback.",
                 num_text_percent(LANG_EN, share, 1).text);
    }
}

static void judge_constant(struct state *s, const struct model_merged *g,
                           const struct model_slot *w, int64_t now_ns)
{
    uint32_t cells = 0;
    for (uint32_t v = 0; v < g->versions_cap; v++) {
        cells += g->versions[v] == NULL ? 0 : model_distinct(g->versions[v], now_ns);
    }
    if (w->decisions < CONSTANT_N_MIN || cells == 0 || cells > CONSTANT_CELLS) {
        return;
    }
    struct reason *r = reason_add(s, "score_constant", LEVEL_CRIT);
    if (r != NULL) {
        snprintf(r->pt, sizeof r->pt, "O escore está constante: só %u %s no último minuto.", cells,
                 cells == 1 ? "valor" : "valores distintos");
        snprintf(r->en, sizeof r->en, "The score is constant: only %u %s in the last minute.",
                 cells, cells == 1 ? "value" : "distinct values");
    }
}

static void judge_labels(struct state *s, const struct model *m, void *const *states, uint32_t n,
                         const struct model_slot *w, int64_t now_ns)
{
    int64_t seen = T_NS_NONE;
    for (uint32_t k = 0; k < n; k++) {
        seen = i64_max(seen, model_shard_of(states, k)->label_seen_ns);
    }
    int64_t since = i64_max(seen, m->tick_ns_first);
    if (w->decisions == 0 || !m->ticked || now_ns - since <= ns_from_ms(m->c->labels_silent_ms)) {
        return;
    }
    struct reason *r = reason_add(s, "labels_silent", LEVEL_WARN);
    int minutes = (int)i64_min((now_ns - since) / (60 * NS_PER_S), INT32_MAX);
    if (r != NULL) {
        snprintf(r->pt, sizeof r->pt,
                 "Nenhum rótulo chega há %d min: os indicadores de qualidade estão congelados.",
                 minutes);
        snprintf(r->en, sizeof r->en,
                 "No label has arrived for %d min: the quality figures are frozen.", minutes);
    }
}

/* ---- quality: newest band with enough cases ---- */

struct shown {
    const struct model_band *band; /* NULL: nowhere enough cases */
    struct str name;
    struct model_figure f;
    uint64_t cases;
};

static struct shown newest(const struct model *m, bool precision)
{
    for (uint32_t i = 0; i < MODEL_BANDS; i++) {
        const struct model_band *b = &m->bands[i];
        uint64_t cases = precision ? b->q.judged : b->q.tp + b->q.fn;
        if (b->valid && cases >= CASES_MIN) {
            return (struct shown){b, model_band_text[i],
                                  precision ? b->q.precision_judged : b->q.recall, cases};
        }
    }
    return (struct shown){0};
}

static void judge_objective(struct state *s, const struct shown *v, double objective,
                            bool precision)
{
    if (v->band == NULL || objective <= 0 || !(v->f.hi < objective)) {
        return;
    }
    struct reason *r = reason_add(s, precision ? "precision_low" : "recall_low",
                                  v->f.hi < objective - OBJECTIVE_SLACK ? LEVEL_CRIT : LEVEL_WARN);
    if (r == NULL) {
        return;
    }
    snprintf(r->pt, sizeof r->pt,
             "%s: %s (com 95%% de confiança no máximo %s), abaixo do objetivo de %s.",
             precision ? "Precisão das retenções" : "Fraude detectada (recall)",
             num_text_percent(LANG_PT, v->f.value, 1).text,
             num_text_percent(LANG_PT, v->f.hi, 1).text,
             num_text_percent(LANG_PT, objective, 1).text);
    snprintf(
        r->en, sizeof r->en, "%s: %s (with 95%% confidence at most %s), below the objective of %s.",
        precision ? "Precision of holds" : "Fraud caught (recall)",
        num_text_percent(LANG_EN, v->f.value, 1).text, num_text_percent(LANG_EN, v->f.hi, 1).text,
        num_text_percent(LANG_EN, objective, 1).text);
}

/* ---- JSON ---- */

static void put_shown(struct buf *b, const char *name, const struct shown *v)
{
    buf_fmt(b, ",\"%s\":", name);
    if (v->band == NULL) {
        BUF_LIT(b, "null");
        return;
    }
    BUF_LIT(b, "{\"value\":");
    buf_json_f64(b, v->f.value);
    BUF_LIT(b, ",\"lo\":");
    buf_json_f64(b, v->f.lo);
    BUF_LIT(b, ",\"hi\":");
    buf_json_f64(b, v->f.hi);
    buf_fmt(b, ",\"cohort\":\"%.*s\",\"n\":%llu,\"from\":\"", STR_FMT(v->name),
            (unsigned long long)v->cases);
    date_format(b, v->band->day_from);
    BUF_LIT(b, "\",\"to\":\"");
    date_format(b, v->band->day_to);
    BUF_LIT(b, "\"}");
}

static void put_share(struct buf *b, const char *name, uint64_t part, uint64_t whole)
{
    buf_fmt(b, ",\"%s\":", name);
    buf_json_f64(b, whole == 0 ? (double)NAN : (double)part / (double)whole);
}

/* Seconds that the window really covers: its newest slot is not full yet, and after a start it
 * reaches back to the first tick only. */
static double covered_s(const struct model *m, int64_t now_ns)
{
    int64_t from_ns = (model_slot_of(now_ns) - MODEL_SLOTS + 2) * MODEL_SLOT_NS;
    if (m->ticked && m->tick_ns_first > from_ns) {
        from_ns = m->tick_ns_first;
    }
    return fmax(1, s_from_ns(now_ns - from_ns));
}

static void put_window(struct buf *b, const struct model *m, const struct model_slot *w,
                       int64_t now_ns)
{
    BUF_LIT(b, ",\"decisions_per_s\":");
    buf_json_f64(b, (double)w->decisions / covered_s(m, now_ns));
    BUF_LIT(b, ",\"decisions\":{");
    for (uint32_t v = 0; v < VERDICTS; v++) {
        buf_fmt(b, "%s\"%.*s\":%llu", v ? "," : "", STR_FMT(verdict_text(v)),
                (unsigned long long)w->verdicts[v]);
    }
    buf_char(b, '}');
    put_share(b, "fallback_share", w->fallback, w->decisions);
    put_share(b, "hold_share", w->verdicts[VERDICT_HOLD], w->decisions);
}

static void put_versions(struct buf *b, const struct model_merged *g)
{
    double threshold = (double)NAN;
    int64_t newest_ns = T_NS_NONE;
    for (uint32_t v = 0; v < g->versions_cap; v++) {
        const struct model_version *x = g->versions[v];
        if (x != NULL && !isnan(x->threshold) && x->threshold_ns > newest_ns) {
            threshold = x->threshold;
            newest_ns = x->threshold_ns;
        }
    }
    BUF_LIT(b, ",\"threshold\":");
    buf_json_f64(b, threshold);
    BUF_LIT(b, ",\"versions\":[");
    bool first = true;
    for (uint32_t v = 0; v < g->versions_cap; v++) {
        if (g->versions[v] != NULL) {
            if (!first) {
                buf_char(b, ',');
            }
            buf_json_str(b, model_names_str(&g->names, 0, (uint16_t)v));
            first = false;
        }
    }
    buf_char(b, ']');
}

static void put_reasons(struct buf *b, const struct state *s)
{
    static const char *const words[] = {"none", "ok", "warn", "crit"};
    buf_fmt(b, "{\"state\":\"%s\",\"reasons\":[", words[s->level]);
    for (uint32_t i = 0; i < s->reasons_count; i++) {
        const struct reason *r = &s->reasons[i];
        buf_fmt(b, "%s{\"code\":\"%s\",\"level\":\"%s\",\"pt\":", i ? "," : "", r->code,
                words[r->level]);
        buf_json_str(b, str_from_c(r->pt));
        BUF_LIT(b, ",\"en\":");
        buf_json_str(b, str_from_c(r->en));
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

void model_status(void *app, void *const *states, uint32_t n, int64_t now_ns, struct buf *out)
{
    struct model *m = app;
    struct model_merged g;
    struct model_slot w;
    struct str worst = {0};
    double worst_share = -1;
    if (!model_merge(m, states, n, now_ns, &g)) {
        model_merged_release(&g);
        out->failed = true;
        return;
    }
    model_slots_sum(states, n, now_ns, &w);
    model_bands_update(m, states, n, now_ns);
    struct state s = {.level = w.decisions > 0 ? LEVEL_OK : LEVEL_NONE};
    struct shown precision = newest(m, true);
    struct shown recall = newest(m, false);
    judge_features(&s, m, &g, &worst, &worst_share);
    judge_fallback(&s, &w);
    judge_constant(&s, &g, &w, now_ns);
    judge_labels(&s, m, states, n, &w, now_ns);
    judge_objective(&s, &precision, m->c->objectives.precision, true);
    judge_objective(&s, &recall, m->c->objectives.recall, false);
    put_reasons(out, &s);
    put_window(out, m, &w, now_ns);
    BUF_LIT(out, ",\"feature_worst\":");
    if (worst_share < 0) {
        BUF_LIT(out, "null");
    } else {
        BUF_LIT(out, "{\"name\":");
        buf_json_str(out, worst);
        BUF_LIT(out, ",\"null_or_default_share\":");
        buf_json_f64(out, worst_share);
        buf_char(out, '}');
    }
    put_shown(out, "precision", &precision);
    put_shown(out, "recall", &recall);
    uint64_t waiting = 0;
    for (uint32_t k = 0; k < n; k++) {
        waiting += model_shard_of(states, k)->labels.w_count;
    }
    buf_fmt(out, ",\"labels_pending\":%llu", (unsigned long long)waiting);
    put_versions(out, &g);
    buf_char(out, '}');
    model_merged_release(&g);
}
