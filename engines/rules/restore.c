/* After a restart: how long alerts had been pending, from ALERTS_FOR_STATE.
 *
 *     remaining = for - (last sample - active since)
 *     remaining <= 0              it was firing: keeps its old time, fires at the next evaluation
 *     remaining < grace period    fires one grace period from now
 *     else                        the time we were down does not count
 *
 * Only rules that wait at least a grace period are restored. The first two evaluations run before,
 * because there may be no fresh data at first. Source: Prometheus' rules (RestoreForState). */
#include "engines/rules/engine_int.h"

#include <math.h>
#include <stdlib.h>

struct found {
    struct labels labels;
    uint32_t ref;
};

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(((const struct found *)a)->labels, ((const struct found *)b)->labels);
}

static bool find_series(struct tsdb_view *v, struct str alert, int64_t from, int64_t to,
                        struct arena *a, struct found **out, uint32_t *n, struct err *e)
{
    const struct matcher m[2] = {{MATCH_EQ, STR(LABEL_NAME), STR("ALERTS_FOR_STATE")},
                                 {MATCH_EQ, STR("alertname"), alert}};
    uint32_t *ids = NULL;
    if (!tsdb_select(v, m, 2, from, to, UINT32_MAX, false, a, &ids, n, e)) {
        return false;
    }
    *out = ARENA_ARRAY(a, struct found, *n + 1);
    if (!*out) {
        return err_set(e, ERR_LIMIT, "no memory to restore alerts");
    }
    for (uint32_t i = 0; i < *n; i++) {
        struct labels ls = tsdb_labels(v, ids[i], a);
        struct label *kept = ARENA_ARRAY(a, struct label, ls.n + 1);
        if (!kept) {
            return err_set(e, ERR_LIMIT, "no memory to restore alerts");
        }
        uint32_t k = 0;
        for (uint32_t j = 0; j < ls.n; j++) {
            if (!str_eq(ls.v[j].name, STR(LABEL_NAME))) {
                kept[k++] = ls.v[j];
            }
        }
        (*out)[i] = (struct found){{kept, k}, ids[i]};
    }
    qsort(*out, *n, sizeof(*out)[0], by_labels);
    return true;
}

static void restore_alert(const struct group *g, const struct rule *rule, struct alert *a,
                          int64_t last_ms, double value, int64_t ts_ms)
{
    if (!isfinite(value) || fabs(value) > 9e12) {
        return; /* stale: it was not active */
    }
    const struct rules_config *c = &g->engine->c;
    int64_t down_ms = last_ms / 1000 * 1000;
    int64_t active_ms = (int64_t)value * 1000;
    int64_t remaining = rule->for_ms - (down_ms - active_ms);
    if (remaining <= 0) {
        a->active_ms = active_ms;
    } else if (remaining < c->grace_period_ms) {
        a->active_ms = ts_ms + c->grace_period_ms - rule->for_ms;
    } else {
        a->active_ms = active_ms + (ts_ms - down_ms);
    }
}

static bool restore_rule(struct group *g, struct rule_state *s, struct tsdb_view *v, int64_t ts_ms,
                         struct err *e)
{
    struct mem scratch;
    struct arena a;
    struct found *f = NULL;
    uint32_t n = 0;
    struct tsdb_column col;
    int64_t from = ts_ms - g->engine->c.outage_tolerance_ms;
    mem_init(&scratch, g->engine->c.query_bytes_max);
    arena_init(&a, &scratch, SIZE_MAX);
    tsdb_column_init(&col, &scratch);
    bool ok = find_series(v, s->rule->name, from, ts_ms, &a, &f, &n, e);
    for (uint32_t i = 0; ok && i < s->alerts_n; i++) {
        struct found key = {s->alerts[i].labels.ls, 0};
        const struct found *hit = n ? bsearch(&key, f, n, sizeof f[0], by_labels) : NULL;
        if (!hit) {
            continue;
        }
        ok = tsdb_read(v, hit->ref, from, ts_ms, UINT32_MAX, &col, e);
        if (ok && col.n > 0) {
            (void)pthread_mutex_lock(&g->mu);
            restore_alert(g, s->rule, &s->alerts[i], col.t[col.n - 1], col.v[col.n - 1], ts_ms);
            (void)pthread_mutex_unlock(&g->mu);
        }
    }
    tsdb_column_release(&col);
    arena_release(&a);
    return ok;
}

void group_restore(struct group *g, int64_t ts_ms)
{
    struct tsdb_view *v = NULL;
    struct err e = {0};
    bool open = tsdb_view_open(g->engine->db, &v, &e);
    for (uint32_t i = 0; i < g->rules_n; i++) {
        struct rule_state *s = &g->rules[i];
        bool wanted = s->rule->is_alert && s->rule->for_ms >= g->engine->c.grace_period_ms;
        if (wanted && (!open || !restore_rule(g, s, v, ts_ms, &e))) {
            /* There is no second chance: the rule runs on with fresh times. */
            log_line(g->engine->log, LOG_WARN, "rules", "alerts of %.*s were not restored: %s",
                     STR_FMT(str_sub(s->rule->name, 0, 100)), e.msg);
        }
        s->restored = true;
    }
    if (open) {
        tsdb_view_close(v);
    }
    g->restore = false;
}
