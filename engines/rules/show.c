/* The state of rules and alerts as JSON in the shapes of Prometheus' HTTP API, and as metrics. */
#include "engines/rules/rules.h"

#include "base/clock.h"
#include "engines/rules/engine_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* strconv.FormatFloat(v, 'e', -1, 64): the fewest digits that read back. */
static void put_value(struct buf *b, double v)
{
    char text[48];
    if (!isfinite(v)) {
        buf_str_add(b, isnan(v) ? STR("\"NaN\"") : v > 0 ? STR("\"+Inf\"") : STR("\"-Inf\""));
        return;
    }
    for (int digits = 0; digits < 18; digits++) {
        (void)snprintf(text, sizeof text, "%.*e", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    buf_json_str(b, str_from_c(text));
}

static void put_time(struct buf *b, int64_t t_ms, bool known)
{
    if (!known) {
        BUF_LIT(b, "\"0001-01-01T00:00:00Z\"");
        return;
    }
    buf_char(b, '"');
    time_format(b, ns_from_ms(t_ms));
    buf_char(b, '"');
}

static void put_labels(struct buf *b, struct labels ls)
{
    buf_char(b, '{');
    for (uint32_t i = 0; i < ls.n; i++) {
        if (i) {
            buf_char(b, ',');
        }
        buf_json_str(b, ls.v[i].name);
        buf_char(b, ':');
        buf_json_str(b, ls.v[i].value);
    }
    buf_char(b, '}');
}

static void put_pairs(struct buf *b, const struct rule_pair *v, uint32_t n)
{
    buf_char(b, '{');
    for (uint32_t i = 0; i < n; i++) {
        if (i) {
            buf_char(b, ',');
        }
        buf_json_str(b, v[i].name);
        buf_char(b, ':');
        buf_json_str(b, v[i].value);
    }
    buf_char(b, '}');
}

static void put_alert(struct buf *b, const struct alert *a)
{
    BUF_LIT(b, "{\"labels\":");
    put_labels(b, a->labels.ls);
    BUF_LIT(b, ",\"annotations\":");
    put_labels(b, a->notes.ls);
    buf_fmt(b, ",\"state\":\"%s\",\"activeAt\":", alert_state_name(a->state));
    put_time(b, a->active_ms, true);
    if (a->keep_ms != T_MS_NONE) {
        BUF_LIT(b, ",\"keepFiringSince\":");
        put_time(b, a->keep_ms, true);
    }
    BUF_LIT(b, ",\"value\":");
    put_value(b, a->value);
    buf_char(b, '}');
}

/* Those that are not resolved. */
static void put_alerts(struct buf *b, const struct rule_state *s, bool *first)
{
    for (uint32_t i = 0; i < s->alerts_n; i++) {
        if (s->alerts[i].resolved_ms != T_MS_NONE) {
            continue;
        }
        if (!*first) {
            buf_char(b, ',');
        }
        *first = false;
        put_alert(b, &s->alerts[i]);
    }
}

static const char *state_of(const struct rule_state *s)
{
    enum alert_state top = ALERT_INACTIVE;
    for (uint32_t i = 0; i < s->alerts_n; i++) {
        top = s->alerts[i].state > top ? s->alerts[i].state : top;
    }
    return s->evaluated ? alert_state_name(top) : "unknown";
}

static void put_ms(struct buf *b, int64_t ms)
{
    buf_json_f64(b, (double)ms / 1000);
}

static void put_rule(struct buf *b, const struct rule_state *s, bool alerts)
{
    const struct rule *r = s->rule;
    bool first = true;
    buf_char(b, '{');
    if (r->is_alert) {
        buf_fmt(b, "\"state\":\"%s\",", state_of(s));
    }
    BUF_LIT(b, "\"name\":");
    buf_json_str(b, r->name);
    BUF_LIT(b, ",\"query\":");
    buf_json_str(b, s->expr);
    if (r->is_alert) {
        BUF_LIT(b, ",\"duration\":");
        put_ms(b, r->for_ms);
        BUF_LIT(b, ",\"keepFiringFor\":");
        put_ms(b, r->keep_firing_ms);
    }
    if (r->is_alert || s->labels_n) {
        BUF_LIT(b, ",\"labels\":");
        put_pairs(b, s->labels, s->labels_n);
    }
    if (r->is_alert) {
        BUF_LIT(b, ",\"annotations\":");
        put_pairs(b, r->annotations, r->annotations_n);
        BUF_LIT(b, ",\"alerts\":[");
        if (alerts) {
            put_alerts(b, s, &first);
        }
        buf_char(b, ']');
    }
    buf_fmt(b, ",\"health\":\"%s\"", !s->evaluated ? "unknown" : s->failed ? "err" : "ok");
    if (s->failed) {
        BUF_LIT(b, ",\"lastError\":");
        buf_json_str(b, str_from_c(s->error));
    }
    BUF_LIT(b, ",\"evaluationTime\":");
    buf_json_f64(b, s_from_ns(s->last_ns));
    BUF_LIT(b, ",\"lastEvaluation\":");
    put_time(b, s->last_ms, s->evaluated);
    buf_fmt(b, ",\"type\":\"%s\"}", r->is_alert ? "alerting" : "recording");
}

static void put_group(struct buf *b, struct group *g, const struct rules_choice *c)
{
    uint32_t shown = 0;
    BUF_LIT(b, "{\"name\":");
    buf_json_str(b, g->g->name);
    BUF_LIT(b, ",\"file\":");
    buf_json_str(b, g->g->file);
    BUF_LIT(b, ",\"rules\":[");
    (void)pthread_mutex_lock(&g->mu);
    for (uint32_t i = 0; i < g->rules_n; i++) {
        if (rules_choice_rule(c, &g->rules[i])) {
            if (shown++) {
                buf_char(b, ',');
            }
            put_rule(b, &g->rules[i], !c->f->exclude_alerts);
        }
    }
    BUF_LIT(b, "],\"interval\":");
    put_ms(b, g->interval_ms);
    buf_fmt(b, ",\"limit\":%u,\"evaluationTime\":", g->g->limit);
    buf_json_f64(b, s_from_ns(g->last_ns));
    BUF_LIT(b, ",\"lastEvaluation\":");
    put_time(b, g->last_ms, g->last_ms != T_MS_NONE);
    (void)pthread_mutex_unlock(&g->mu);
    buf_char(b, '}');
}

static int by_file(const void *a, const void *b)
{
    const struct group *x = *(struct group *const *)a;
    const struct group *y = *(struct group *const *)b;
    int order = str_cmp(x->g->file, y->g->file);
    return order ? order : str_cmp(x->g->name, y->g->name);
}

/* v: all groups in order. A page ends where the next one begins: at a group that is wanted too. */
static void put_groups(struct buf *b, struct group *const *v, uint32_t from, uint32_t n,
                       const struct rules_choice *c)
{
    char token[RULES_TOKEN_BYTES + 1] = "";
    uint32_t shown = 0;
    BUF_LIT(b, "{\"groups\":[");
    for (uint32_t i = from; i < n && !token[0]; i++) {
        if (!rules_choice_group(c, v[i])) {
            continue;
        }
        if (c->f->group_limit > 0 && shown == c->f->group_limit) {
            rules_token_of(v[i], token);
            continue;
        }
        if (shown++) {
            buf_char(b, ',');
        }
        put_group(b, v[i], c);
    }
    buf_char(b, ']');
    if (token[0]) {
        buf_fmt(b, ",\"groupNextToken\":\"%s\"", token);
    }
    buf_char(b, '}');
}

bool rules_json(struct rules *r, const struct rules_filter *f, struct buf *out, struct err *e)
{
    struct rules_choice c;
    uint32_t from = 0;
    bool ok = rules_choice_init(&c, f, e);
    (void)pthread_mutex_lock(&r->mu);
    struct group **v = calloc(r->groups_n + 1, sizeof(struct group *));
    ok = ok && (v || err_set(e, ERR_NOMEM, "no memory for the groups"));
    if (ok && r->groups_n) {
        memcpy(v, r->groups, r->groups_n * sizeof v[0]);
        qsort(v, r->groups_n, sizeof v[0], by_file);
    }
    ok =
        ok && (f->group_token.n == 0 || rules_token_find(v, r->groups_n, f->group_token, &from, e));
    if (ok) {
        put_groups(out, v, from, r->groups_n, &c);
    }
    (void)pthread_mutex_unlock(&r->mu);
    free(v);
    rules_choice_release(&c);
    return ok;
}

void rules_alerts_json(struct rules *r, struct buf *out)
{
    bool first = true;
    BUF_LIT(out, "{\"alerts\":[");
    (void)pthread_mutex_lock(&r->mu);
    for (uint32_t i = 0; i < r->groups_n; i++) {
        struct group *g = r->groups[i];
        (void)pthread_mutex_lock(&g->mu);
        for (uint32_t k = 0; k < g->rules_n; k++) {
            put_alerts(out, &g->rules[k], &first);
        }
        (void)pthread_mutex_unlock(&g->mu);
    }
    (void)pthread_mutex_unlock(&r->mu);
    BUF_LIT(out, "]}");
}

struct firing {
    struct buf *names;
    uint64_t alerts[3];
    uint32_t names_n, names_max;
};

static void firing_group(const struct group *g, struct firing *f)
{
    for (uint32_t i = 0; i < g->rules_n; i++) {
        const struct rule_state *r = &g->rules[i];
        bool fires = false;
        for (uint32_t k = 0; k < r->alerts_n; k++) {
            f->alerts[r->alerts[k].state]++;
            fires = fires || r->alerts[k].state == ALERT_FIRING;
        }
        if (fires && f->names_n < f->names_max) {
            if (f->names_n++ > 0) {
                buf_char(f->names, ',');
            }
            buf_json_str(f->names, r->rule->name);
        }
    }
}

void rules_firing_json(struct rules *r, uint32_t names_max, struct buf *out)
{
    struct buf names;
    struct firing f = {.names = &names, .names_max = names_max};
    buf_init(&names, out->mem, out->bytes_max);
    (void)pthread_mutex_lock(&r->mu);
    for (uint32_t i = 0; i < r->groups_n; i++) {
        struct group *g = r->groups[i];
        (void)pthread_mutex_lock(&g->mu);
        firing_group(g, &f);
        (void)pthread_mutex_unlock(&g->mu);
    }
    (void)pthread_mutex_unlock(&r->mu);
    buf_fmt(out, "{\"firing\":%llu,\"pending\":%llu,\"names\":[",
            (unsigned long long)f.alerts[ALERT_FIRING],
            (unsigned long long)f.alerts[ALERT_PENDING]);
    buf_str_add(out, buf_str(&names));
    BUF_LIT(out, "]}");
    out->failed = out->failed || names.failed;
    buf_release(&names);
}

/* --- metrics ---------------------------------------------------------------------------------- */

struct sums {
    uint64_t evaluations, failures, alerts[3];
};

static void count_group(struct group *g, struct sums *s)
{
    *s = (struct sums){0};
    for (uint32_t i = 0; i < g->rules_n; i++) {
        const struct rule_state *r = &g->rules[i];
        s->evaluations += r->evaluations;
        s->failures += r->failures;
        for (uint32_t k = 0; k < r->alerts_n; k++) {
            s->alerts[r->alerts[k].state]++;
        }
    }
}

enum { F_EVALS, F_FAILS, F_ITER, F_MISSED, F_LAST, F_DURATION, F_INTERVAL, F_RULES, FAMILIES };

static void group_families(struct expo *x, struct expo_family **f)
{
    f[F_EVALS] = expo_family(x, EXPO_COUNTER, STR("farol_rules_evaluations_total"), STR(""),
                             STR("Evaluations of rules."));
    f[F_FAILS] = expo_family(x, EXPO_COUNTER, STR("farol_rules_failures_total"), STR(""),
                             STR("Evaluations of rules that failed."));
    f[F_ITER] = expo_family(x, EXPO_COUNTER, STR("farol_rules_group_slots_total"), STR(""),
                            STR("Slots in which the group was evaluated."));
    f[F_MISSED] = expo_family(x, EXPO_COUNTER, STR("farol_rules_group_slots_missed_total"), STR(""),
                              STR("Slots that passed while the group could not run."));
    f[F_LAST] = expo_family(x, EXPO_GAUGE, STR("farol_rules_group_last_slot_timestamp_seconds"),
                            STR("seconds"), STR("Time of the slot evaluated last."));
    f[F_DURATION] = expo_family(x, EXPO_GAUGE, STR("farol_rules_group_last_duration_seconds"),
                                STR("seconds"), STR("How long the last evaluation took."));
    f[F_INTERVAL] = expo_family(x, EXPO_GAUGE, STR("farol_rules_group_interval_seconds"),
                                STR("seconds"), STR("Interval of the group."));
    f[F_RULES] = expo_family(x, EXPO_GAUGE, STR("farol_rules_group_rules"), STR(""),
                             STR("Rules in the group."));
}

static void publish_group(struct expo *x, struct expo_family *const *f, struct group *g,
                          uint64_t *alerts)
{
    struct sums s;
    struct label l[2] = {{STR("file"), g->g->file}, {STR("group"), g->g->name}};
    (void)pthread_mutex_lock(&g->mu);
    count_group(g, &s);
    expo_add(x, f[F_EVALS], l, 2, (double)s.evaluations);
    expo_add(x, f[F_FAILS], l, 2, (double)s.failures);
    expo_add(x, f[F_ITER], l, 2, (double)g->iterations);
    expo_add(x, f[F_MISSED], l, 2, (double)g->missed);
    expo_add(x, f[F_LAST], l, 2, g->last_ms == T_MS_NONE ? 0 : (double)g->last_ms / 1000);
    expo_add(x, f[F_DURATION], l, 2, s_from_ns(g->last_ns));
    expo_add(x, f[F_INTERVAL], l, 2, (double)g->interval_ms / 1000);
    expo_add(x, f[F_RULES], l, 2, g->rules_n);
    (void)pthread_mutex_unlock(&g->mu);
    for (int i = 0; i < 3; i++) {
        alerts[i] += s.alerts[i];
    }
}

static void one(struct expo *x, enum expo_type type, struct str name, struct str help, double v)
{
    expo_add(x, expo_family(x, type, name, STR(""), help), NULL, 0, v);
}

void rules_publish(struct rules *r, struct expo *x)
{
    struct expo_family *f[FAMILIES];
    uint64_t alerts[3] = {0};
    group_families(x, f);
    (void)pthread_mutex_lock(&r->mu);
    for (uint32_t i = 0; i < r->groups_n; i++) {
        publish_group(x, f, r->groups[i], alerts);
    }
    uint64_t loads = r->loads;
    uint64_t load_failures = r->load_failures;
    uint64_t lost = r->gone_lost;
    uint64_t beside = r->side_by_side;
    (void)pthread_mutex_unlock(&r->mu);
    struct expo_family *a = expo_family(x, EXPO_GAUGE, STR("farol_rules_alerts"), STR(""),
                                        STR("Alerts of the rules by state."));
    for (int i = 0; i < 3; i++) {
        struct label l = {STR("state"), str_from_c(alert_state_name((enum alert_state)i))};
        expo_add(x, a, &l, 1, (double)alerts[i]);
    }
    one(x, EXPO_COUNTER, STR("farol_rules_samples_total"), STR("Samples that rules produced."),
        (double)atomic_load(&r->samples));
    one(x, EXPO_COUNTER, STR("farol_rules_alerts_sent_total"), STR("Alerts given to the senders."),
        (double)atomic_load(&r->alerts_sent));
    one(x, EXPO_COUNTER, STR("farol_rules_write_failures_total"),
        STR("Results that the store could not take."), (double)atomic_load(&r->write_failures));
    one(x, EXPO_COUNTER, STR("farol_rules_side_by_side_total"),
        STR("Rules that began while another one of their group was evaluated."), (double)beside);
    one(x, EXPO_COUNTER, STR("farol_rules_loads_total"), STR("Rule files read whole."),
        (double)loads);
    one(x, EXPO_COUNTER, STR("farol_rules_load_failures_total"),
        STR("Rule files refused; the groups stayed as they were."), (double)load_failures);
    one(x, EXPO_COUNTER, STR("farol_rules_stale_markers_lost_total"),
        STR("Series of removed groups that get no stale marker for lack of memory."), (double)lost);
}
