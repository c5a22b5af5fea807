/* GET /farol/v1/model/thresholds: what another threshold would have done to the same decisions.
 *
 * Thresholds are the edges of the money cells (every 0.11 of the logit, and the tenths), because
 * there counts, frauds and money above are all exact. An edge belongs to the cell above it.
 * Decisions without a score are never held by a threshold; what they cost stays missed. Frauds are
 * those that labels tell as of the question's time: of young days they are too few, and
 * labels_expected_share says how many of them. */
#include "model/model_int.h"
#include "model/put_int.h"

#include <math.h>

/* All decisions at or above a threshold. */
struct cut {
    double threshold;
    uint64_t n, frauds;
    i128 caught, held; /* centavos */
};

struct curve {
    const struct model_quality_in *in;
    const struct model_quality *now;
    uint64_t frauds;
    i128 lost, all; /* centavos of frauds, of all decisions */
    bool money;     /* money by score is known for all decisions */
    size_t at;      /* next score of the list, or cells left */
    size_t p;       /* next positive */
    uint32_t tenth; /* of cell `at` */
    struct cut cut;
};

/* The money cell that holds a cell of the scores; cells come from above. */
static uint32_t money_of(struct curve *c, uint32_t cell)
{
    if (cell == 0 || cell + 1 == MODEL_CELLS) {
        return cell == 0 ? 0 : MODEL_MONEY_CELLS - 2;
    }
    while (c->tenth > 0 && cell < model_score_cell(c->tenth / 10.0, 0)) {
        c->tenth--;
    }
    return 1 + ((cell - 1 - c->tenth) >> MODEL_MONEY_SHIFT) + c->tenth;
}

/* Adds what lies in a money cell and above; false: nothing did. */
static bool lower(struct curve *c, uint32_t cell)
{
    const struct model_quality_in *in = c->in;
    const uint64_t had = c->cut.n;
    for (; in->exact && c->at < in->scores_count &&
           model_score_cell(in->scores[c->at], MODEL_MONEY_SHIFT) >= cell;
         c->at++) {
        c->cut.n++;
    }
    for (; !in->exact && c->at > 0 && money_of(c, (uint32_t)c->at - 1) >= cell; c->at--) {
        c->cut.n += in->cells[c->at - 1].n;
    }
    for (; c->p < in->positives_count && !isnan(in->positives[c->p].score) &&
           model_score_cell(in->positives[c->p].score, MODEL_MONEY_SHIFT) >= cell;
         c->p++) {
        const int64_t amount = in->positives[c->p].amount_centavos;
        c->cut.frauds++;
        c->cut.caught += amount == AMOUNT_NONE ? 0 : amount;
    }
    c->cut.held += in->money[cell];
    return c->cut.n > had;
}

static double threshold_of(uint32_t cell)
{
    double lo = 0;
    double hi = 0;
    model_cell_bounds(cell, MODEL_MONEY_SHIFT, &lo, &hi);
    if (cell == MODEL_MONEY_CELLS - 2) {
        return 1;
    }
    return isfinite(lo) ? 1 / (1 + exp(-lo)) : 0;
}

/* R$ won and lost, by what the question says each kind is worth. */
static double worth(const struct curve *c, const struct model_query *q)
{
    const i128 missed = c->lost - c->cut.caught;
    const i128 kinds[MODEL_WORTHS] = {c->cut.caught, missed, c->cut.held - c->cut.caught,
                                      c->all - c->cut.held - missed};
    double sum = 0;
    for (uint32_t i = 0; i < MODEL_WORTHS; i++) {
        sum += q->worth_of[i] * (double)kinds[i] / 100;
    }
    return sum;
}

static void put_share(struct buf *b, const char *name, uint64_t part, uint64_t whole)
{
    struct model_figure f;
    model_wilson(part, whole, &f);
    buf_fmt(b, ",\"%s\":", name);
    buf_json_f64(b, f.value);
    buf_fmt(b, ",\"%s_lo\":", name);
    buf_json_f64(b, f.lo);
    buf_fmt(b, ",\"%s_hi\":", name);
    buf_json_f64(b, f.hi);
}

static void put_money(struct buf *b, const char *name, bool known, i128 centavos)
{
    buf_fmt(b, ",\"%s\":", name);
    if (known) {
        model_put_brl(b, centavos);
    } else {
        BUF_LIT(b, "null");
    }
}

static void put_point(struct buf *b, const struct curve *c, const struct model_query *q, bool first)
{
    const struct cut *x = &c->cut;
    buf_fmt(b, "%s{\"threshold\":", first ? "" : ",");
    buf_json_f64(b, x->threshold);
    put_share(b, "precision", x->frauds, x->n);
    put_share(b, "recall", x->frauds, c->frauds);
    BUF_LIT(b, ",\"held_share\":");
    buf_json_f64(b, (double)x->n / (double)c->now->n);
    put_money(b, "brl_caught", true, x->caught);
    put_money(b, "brl_missed", true, c->lost - x->caught);
    put_money(b, "brl_held", c->money, x->held);
    if (q->worth) {
        BUF_LIT(b, ",\"worth_brl\":");
        buf_json_f64(b, c->money ? worth(c, q) : (double)NAN);
    }
    buf_char(b, '}');
}

/* The newest threshold in use, of the version asked for or of any. */
static double current(void *const *states, uint32_t n, const struct model_query *q)
{
    double threshold = (double)NAN;
    int64_t newest_ns = T_NS_NONE;
    for (uint32_t k = 0; k < n; k++) {
        const struct model_shard *s = model_shard_of(states, k);
        for (size_t v = 0; v < s->versions_cap; v++) {
            const struct model_version *x = s->versions[v];
            if (x == NULL || isnan(x->threshold) ||
                (q->version.n > 0 &&
                 !str_eq(q->version, model_names_str(&s->names, 0, (uint16_t)v)))) {
                continue;
            }
            if (x->threshold_ns > newest_ns ||
                (x->threshold_ns == newest_ns && !(x->threshold <= threshold))) {
                threshold = x->threshold;
                newest_ns = x->threshold_ns;
            }
        }
    }
    return threshold;
}

static void put_points(struct buf *b, struct curve *c, const struct model_query *q)
{
    double best = -(double)INFINITY;
    double best_threshold = (double)NAN;
    bool first = true;
    BUF_LIT(b, ",\"points\":[");
    for (uint32_t cell = MODEL_MONEY_CELLS - 1; cell-- > 0;) {
        /* The scores just above 0 share their edge with 0 itself; that point is always there. */
        const bool moved = lower(c, cell);
        if (cell == 1 || (!moved && cell > 0)) {
            continue;
        }
        c->cut.threshold = threshold_of(cell);
        put_point(b, c, q, first);
        first = false;
        if (q->worth && c->money && worth(c, q) > best) {
            best = worth(c, q);
            best_threshold = c->cut.threshold;
        }
    }
    buf_char(b, ']');
    if (q->worth) {
        BUF_LIT(b, ",\"best\":{\"threshold\":");
        buf_json_f64(b, best_threshold);
        BUF_LIT(b, ",\"worth_brl\":");
        buf_json_f64(b, isnan(best_threshold) ? (double)NAN : best);
        buf_char(b, '}');
    }
}

/* Amounts of all decisions, and whether all of them are also known by score. */
static void money(struct curve *c)
{
    i128 by_score = 0;
    for (uint32_t i = 0; i < MODEL_MONEY_CELLS; i++) {
        by_score += c->in->money[i];
    }
    for (uint32_t v = 0; v < VERDICTS; v++) {
        c->all += c->in->base.amounts[v];
    }
    c->money = by_score == c->all && c->in->base.amounts_missing < c->in->base.n;
}

void model_thresholds_json(void *app, void *const *states, uint32_t n, const struct model_query *q,
                           struct buf *out)
{
    struct model *m = app;
    struct model_quality now;
    struct model_late late;
    struct model_query all = *q;
    all.dim = all.value = (struct str){0}; /* money by score is not kept per segment */
    if (!model_gather(m, states, n, &all, &now) ||
        !model_late_figures(m, states, n, &all, &now, &late)) {
        out->failed = true;
        return;
    }
    struct curve c = {.in = m->work,
                      .now = &now,
                      .frauds = now.tp + now.fn,
                      .lost = now.amount_caught + now.amount_missed,
                      .at = m->work->exact ? 0 : MODEL_CELLS,
                      .tenth = 9};
    money(&c);
    buf_char(out, '{');
    model_put_question(out, &all);
    buf_fmt(out, "\"n\":%llu,\"n_scored\":%llu,\"frauds\":%llu,\"labels_expected_share\":",
            (unsigned long long)now.n, (unsigned long long)now.n_scored,
            (unsigned long long)c.frauds);
    buf_json_f64(out, late.expected_all);
    BUF_LIT(out, ",\"current\":");
    buf_json_f64(out, current(states, n, q));
    if (now.damaged || now.n == 0) {
        BUF_LIT(out, ",\"points\":[]");
    } else {
        put_points(out, &c, q);
    }
    buf_char(out, '}');
}
