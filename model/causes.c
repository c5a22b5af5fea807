/* GET /farol/v1/model/causes: which segments explain that a figure changed between two ranges of
 * days. Parameters in, one JSON object out.
 *
 * Two answers in one list. "adtributor" reads single dimensions; it always names something, so that
 * it is asked only when the figure changed by more than chance (CHANGED_P);
 * "scan" or, when leaves hold many frauds, "squeeze" reads combinations of up to three dimensions,
 * which exist for frauds only: cohorts of all decisions are by single dimensions (causes_gather.c).
 *
 * Both ranges are read at one age, by default that of the newest day asked for: young days know few
 * of their frauds, and a change that is only youth must not find a cause. Ranges of different
 * length are compared per day with decisions. */
#include "model/causes_int.h"

#include <math.h>

#define CHANGED_P 0.05

static const struct str figure_names[MODEL_CAUSES_FIGURES] = {
    STR_INIT("loss"), STR_INIT("false_negatives"), STR_INIT("hold_rate")};

static bool bad(struct err *e, const char *name, const char *want, struct str found)
{
    return err_set(e, ERR_INPUT, "expected %s for '%s', found '%.*s'", want, name,
                   STR_FMT(str_sub(found, 0, 40)));
}

/* Both or none: none leaves *from alone. */
static bool parse_range(const char *from_name, struct str from, const char *to_name, struct str to,
                        int32_t *day_from, int32_t *day_to, struct err *e)
{
    if (from.n == 0 && to.n == 0) {
        return true;
    }
    if (!date_parse(from, day_from) || !model_day_sane(*day_from)) {
        return bad(e, from_name, "a date as 2026-11-23", from);
    }
    if (!date_parse(to, day_to) || !model_day_sane(*day_to)) {
        return bad(e, to_name, "a date as 2026-11-23", to);
    }
    return *day_from <= *day_to || err_set(e, ERR_INPUT, "'%s' is after '%s'", from_name, to_name);
}

bool model_causes_parse(struct str figure, struct str from, struct str to, struct str against_from,
                        struct str against_to, struct str age, struct str version,
                        struct model_causes_query *out, struct err *e)
{
    *out = (struct model_causes_query){
        .day_from = INT32_MIN, .against_from = INT32_MIN, .age_ns = -1, .version = version};
    uint32_t k = 0;
    while (k < MODEL_CAUSES_FIGURES && !str_eq(figure, figure_names[k])) {
        k++;
    }
    if (k == MODEL_CAUSES_FIGURES && figure.n > 0) {
        return bad(e, "figure", "loss, false_negatives or hold_rate", figure);
    }
    out->figure = figure.n > 0 ? (enum model_causes_figure)k : MODEL_CAUSES_LOSS;
    if (!parse_range("from", from, "to", to, &out->day_from, &out->day_to, e) ||
        !parse_range("against_from", against_from, "against_to", against_to, &out->against_from,
                     &out->against_to, e)) {
        return false;
    }
    if (out->against_from != INT32_MIN && out->day_from == INT32_MIN) {
        return err_set(e, ERR_INPUT, "'against_from' needs 'from' and 'to'");
    }
    if (out->against_from != INT32_MIN && out->against_from <= out->day_to &&
        out->against_to >= out->day_from) {
        return err_set(e, ERR_INPUT, "the two ranges of days overlap");
    }
    int64_t ms = 0;
    if (age.n > 0 && !str_eq(age, STR("0")) &&
        (!str_to_duration_ms(age, &ms) || ms < 0 || ms > 4000 * MS_PER_DAY)) {
        return bad(e, "age", "a duration up to 4000d, as 3d", age);
    }
    out->age_ns = age.n > 0 ? ns_from_ms(ms) : -1;
    return true;
}

/* ---- finding ---- */

static double per_day(const struct model_causes *c, enum model_side s, double sum)
{
    double unit = c->q.figure == MODEL_CAUSES_LOSS ? 100 : 1; /* centavos */
    return c->days[s] > 0 ? sum / c->days[s] / unit : (double)NAN;
}

static double sum_of(const struct model_causes *c, const struct model_segment_sum *sum)
{
    switch (c->q.figure) {
    case MODEL_CAUSES_LOSS: return (double)sum->missed_amount;
    case MODEL_CAUSES_FALSE_NEGATIVES: return (double)sum->missed;
    case MODEL_CAUSES_HOLD_RATE: break;
    }
    return (double)sum->held;
}

static bool find_single(struct model_causes *c, struct rootcause_causes *out, struct err *e)
{
    struct rootcause_table tables[RECORD_DIMS_MAX];
    double scale = (double)c->days[MODEL_NOW] / c->days[MODEL_BEFORE];
    for (uint32_t d = 0; d < c->dims_count; d++) {
        struct rootcause_cell *cells = ARENA_ARRAY(c->a, struct rootcause_cell, c->dims[d].count);
        if (cells == NULL) {
            return err_set(e, ERR_LIMIT, "the question has too many segments");
        }
        for (uint32_t i = 0; i < c->dims[d].count; i++) {
            const struct model_segment_sum *before = &c->dims[d].sums[MODEL_BEFORE][i];
            const struct model_segment_sum *now = &c->dims[d].sums[MODEL_NOW][i];
            cells[i] = (struct rootcause_cell){.before = sum_of(c, before) * scale,
                                               .now = sum_of(c, now),
                                               .before_of = (double)before->n * scale,
                                               .now_of = (double)now->n};
        }
        tables[d] = (struct rootcause_table){cells, c->dims[d].count};
    }
    return rootcause_adtributor(tables, c->dims_count, c->q.figure == MODEL_CAUSES_HOLD_RATE, c->a,
                                out, e);
}

/* How likely is a difference like this when nothing changed? The likelihood ratio of two Poisson
 * counts, or of two shares; for money a case counts as unit_of (causes_gather.c) says. NaN: not
 * known. */
static double change_p(const struct model_causes *c)
{
    double v[MODEL_SIDES];
    double of[MODEL_SIDES];
    bool share = c->q.figure == MODEL_CAUSES_HOLD_RATE;
    if (c->days[MODEL_BEFORE] == 0 || c->days[MODEL_NOW] == 0 ||
        (c->q.figure == MODEL_CAUSES_LOSS && !c->leaves && c->frauds > 0)) {
        return (double)NAN; /* nothing to compare, or what a case weighs is not known */
    }
    for (uint32_t s = 0; s < MODEL_SIDES; s++) {
        v[s] = sum_of(c, &c->all[s]) / (c->leaves ? c->cube.unit : 1);
        of[s] = share ? (double)c->all[s].n : c->days[s];
    }
    double both = v[0] + v[1];
    double all = of[0] + of[1];
    double gain = 0;
    for (uint32_t s = 0; s < MODEL_SIDES; s++) {
        double want = both * of[s] / all;
        gain += v[s] > 0 ? v[s] * log(v[s] / want) : 0;
        double rest = of[s] - v[s];
        gain += share && rest > 0 ? rest * log(rest / (of[s] - want)) : 0;
    }
    return gain > 0 ? erfc(sqrt(gain)) : 1; /* chi2 of one degree at twice the gain */
}

/* ---- writing ---- */

static void put_range(struct buf *b, const char *prefix, int32_t from, int32_t to, uint32_t days)
{
    buf_fmt(b, ",\"%sfrom\":\"", prefix);
    date_format(b, from);
    buf_fmt(b, "\",\"%sto\":\"", prefix);
    date_format(b, to);
    buf_fmt(b, "\",\"%sdays\":%u", prefix, days);
}

static void put_change(struct buf *b, const struct model_causes *c, double p)
{
    static const char *const units[MODEL_CAUSES_FIGURES] = {"brl_per_day", "per_day", "share"};
    double v[MODEL_SIDES];
    for (uint32_t s = 0; s < MODEL_SIDES; s++) {
        double sum = sum_of(c, &c->all[s]);
        v[s] = c->q.figure != MODEL_CAUSES_HOLD_RATE ? per_day(c, s, sum)
               : c->all[s].n > 0                     ? sum / (double)c->all[s].n
                                                     : (double)NAN;
    }
    buf_fmt(b, ",\"change\":{\"unit\":\"%s\",\"before\":", units[c->q.figure]);
    buf_json_f64(b, v[MODEL_BEFORE]);
    BUF_LIT(b, ",\"now\":");
    buf_json_f64(b, v[MODEL_NOW]);
    BUF_LIT(b, ",\"relative\":");
    buf_json_f64(b, v[MODEL_BEFORE] > 0 ? v[MODEL_NOW] / v[MODEL_BEFORE] - 1 : (double)NAN);
    BUF_LIT(b, ",\"p\":");
    buf_json_f64(b, p);
    buf_fmt(b, ",\"differs\":%s}", p <= CHANGED_P ? "true" : "false");
}

static void put_value(struct buf *b, const struct model_causes *c, uint32_t dim, uint32_t value)
{
    if (value == MODEL_CAUSES_MISSING) {
        BUF_LIT(b, "null");
    } else {
        buf_json_str(b, c->dims[dim].values[value]);
    }
}

static void put_cause(struct buf *b, const struct model *m, const struct model_causes *c,
                      const char *method, const struct rootcause_cause *cause)
{
    if (b->n > 0 && b->p[b->n - 1] == '}') {
        buf_char(b, ',');
    }
    buf_fmt(b, "{\"method\":\"%s\",\"dimensions\":[", method);
    for (uint32_t d = 0; d < cause->dims_count; d++) {
        if (d > 0) {
            buf_char(b, ',');
        }
        buf_json_str(b, m->c->segments.v[cause->dims[d]]);
    }
    BUF_LIT(b, "],\"values\":[");
    for (uint32_t i = 0; i < cause->elements_count && cause->dims_count > 0; i++) {
        for (uint32_t d = 0; d < cause->dims_count; d++) {
            buf_str_add(b, d > 0 ? STR(",") : i > 0 ? STR(",[") : STR("["));
            put_value(b, c, cause->dims[d], cause->elements[i][d]);
        }
        buf_char(b, ']');
    }
    BUF_LIT(b, "],\"before\":");
    buf_json_f64(b, per_day(c, MODEL_NOW, cause->before)); /* scaled to the days of now */
    BUF_LIT(b, ",\"now\":");
    buf_json_f64(b, per_day(c, MODEL_NOW, cause->now));
    BUF_LIT(b, ",\"explained\":");
    buf_json_f64(b, cause->explained);
    BUF_LIT(b, ",\"surprise\":");
    buf_json_f64(b, cause->surprise);
    BUF_LIT(b, ",\"score\":");
    buf_json_f64(b, cause->score);
    buf_char(b, '}');
}

static void put_combinations(struct buf *b, const struct model_causes *c)
{
    buf_fmt(b, ",\"combinations\":{\"searched\":%s,\"frauds\":%llu,\"why_not\":",
            c->leaves ? "true" : "false", (unsigned long long)c->frauds);
    if (c->leaves) {
        BUF_LIT(b, "null}");
    } else if (c->q.figure == MODEL_CAUSES_HOLD_RATE) {
        BUF_LIT(b, "\"decisions are counted by single dimensions\"}");
    } else if (c->frauds > ROOTCAUSE_LEAVES_MAX) {
        BUF_LIT(b, "\"too many frauds in these days\"}");
    } else {
        BUF_LIT(b, "\"no frauds, or no decisions in one of the ranges\"}");
    }
}

static bool answer(struct model *m, struct model_causes *c, struct buf *out)
{
    struct err e = {0};
    struct rootcause_causes single = {0};
    struct rootcause_causes combined = {0};
    bool dense = c->leaves && rootcause_dense(&c->cube);
    const double p = change_p(c);
    if (p <= CHANGED_P && !find_single(c, &single, &e)) {
        return false;
    }
    if (c->leaves && !(dense ? rootcause_squeeze(&c->cube, c->a, &combined, &e)
                             : rootcause_scan(&c->cube, c->a, &combined, &e))) {
        return false;
    }
    BUF_LIT(out, "{\"figure\":");
    buf_json_str(out, figure_names[c->q.figure]);
    put_range(out, "", c->q.day_from, c->q.day_to, c->days[MODEL_NOW]);
    put_range(out, "against_", c->q.against_from, c->q.against_to, c->days[MODEL_BEFORE]);
    BUF_LIT(out, ",\"age_days\":");
    buf_json_f64(out, (double)c->q.age_ns / (double)NS_PER_DAY);
    BUF_LIT(out, ",\"version\":");
    if (c->q.version.n > 0) {
        buf_json_str(out, c->q.version);
    } else {
        BUF_LIT(out, "null");
    }
    put_change(out, c, p);
    put_combinations(out, c);
    BUF_LIT(out, ",\"causes\":[");
    for (uint32_t i = 0; i < combined.count; i++) {
        put_cause(out, m, c, dense ? "squeeze" : "scan", &combined.v[i]);
    }
    for (uint32_t i = 0; i < single.count; i++) {
        put_cause(out, m, c, "adtributor", &single.v[i]);
    }
    buf_char(out, ']');
    if (!model_segments_json(m, c, out)) {
        return false;
    }
    buf_char(out, '}');
    return true;
}

void model_causes_json(void *app, void *const *states, uint32_t n,
                       const struct model_causes_query *q, struct buf *out)
{
    struct model *m = app;
    struct arena a;
    arena_init(&a, m->mem, MODEL_CAUSES_BYTES_MAX);
    struct model_causes c = {.a = &a, .q = *q};
    if (!model_causes_gather(m, states, n, &c) || !answer(m, &c, out)) {
        out->failed = true;
    }
    arena_release(&a);
}
