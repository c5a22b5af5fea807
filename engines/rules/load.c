/* Reading rule files into groups, and replacing the groups of a running engine whole or not at all.
 *
 * A group that is the same in every respect goes on as it is. A group of the same file and name
 * that changed takes over the state of its rules that stayed the same (name and labels); series of
 * rules that are gone get stale markers at its next evaluation. Series of groups that are gone get
 * them two
 * intervals later, unless a renamed group writes them by then. */
#include "engines/rules/engine_int.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

/* Groups that were read and are not used yet. */
struct rules_change {
    struct rules *r;
    int64_t interval_ms, query_offset_ms;
    struct external *external; /* NULL: as it is */
    struct mem mem;
    struct arena arena;
    struct group **groups;
    size_t cap;
    uint32_t n;
    struct str *paths;
    uint32_t paths_n;
};

/* --- groups from files ------------------------------------------------------------------------ */

static void print_pairs(struct buf *b, const struct rule_pair *v, uint32_t n)
{
    buf_u32le(b, n);
    for (uint32_t i = 0; i < n; i++) {
        buf_str32(b, v[i].name);
        buf_str32(b, v[i].value);
    }
}

static bool print_of(const struct group *g, struct hash128 *out)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, RULES_FILE_BYTES * 4);
    buf_str32(&b, g->g->file);
    buf_str32(&b, g->g->name);
    buf_u64le(&b, (uint64_t)g->interval_ms);
    buf_u64le(&b, (uint64_t)g->query_offset_ms);
    buf_u32le(&b, g->g->limit);
    for (uint32_t i = 0; i < g->rules_n; i++) {
        const struct rule *r = g->rules[i].rule;
        buf_u8(&b, r->is_alert);
        buf_str32(&b, r->name);
        buf_str32(&b, g->rules[i].expr);
        buf_u64le(&b, (uint64_t)r->for_ms);
        buf_u64le(&b, (uint64_t)r->keep_firing_ms);
        print_pairs(&b, g->rules[i].labels, g->rules[i].labels_n);
        print_pairs(&b, r->annotations, r->annotations_n);
    }
    *out = hash128(buf_str(&b));
    bool ok = !b.failed;
    buf_release(&b);
    return ok;
}

/* The rule's labels over the group's; both are sorted. */
static bool merge_labels(struct group *g, struct rule_state *s)
{
    const struct rule_pair *a = g->g->labels;
    const struct rule_pair *b = s->rule->labels;
    uint32_t an = g->g->labels_n;
    uint32_t bn = s->rule->labels_n;
    s->labels = ARENA_ARRAY(&g->arena, struct rule_pair, an + bn + 1);
    if (!s->labels) {
        return false;
    }
    for (uint32_t i = 0, k = 0; i < an || k < bn;) {
        int order = i == an ? 1 : k == bn ? -1 : str_cmp(a[i].name, b[k].name);
        s->labels[s->labels_n++] = order < 0 ? a[i] : b[k];
        i += order <= 0;
        k += order >= 0;
    }
    return true;
}

static bool set_rule(struct group *g, struct rule_state *s, const struct rule *rule)
{
    struct mem scratch;
    struct buf b;
    s->rule = rule;
    mem_init(&scratch, g->engine->c.query_bytes_max);
    buf_init(&b, &scratch, PROMQL_TEXT_BYTES_MAX * 4);
    promql_print(rule->expr, &b);
    s->expr = arena_str(&g->arena, buf_str(&b));
    bool ok = !b.failed && s->expr.p && merge_labels(g, s);
    buf_release(&b);
    return ok;
}

static void file_put(struct loaded_file *f)
{
    if (--f->users == 0) {
        arena_release(&f->arena);
        free(f);
    }
}

void group_free(struct group *g)
{
    if (!g) {
        return;
    }
    for (uint32_t i = 0; i < g->rules_n; i++) {
        alerts_release(&g->rules[i], &g->mem);
        mem_give(&g->mem, g->rules[i].seen, g->rules[i].seen_cap * sizeof(uint32_t));
    }
    mem_give(&g->mem, g->stale, g->stale_cap * sizeof g->stale[0]);
    arena_release(&g->arena);
    (void)pthread_mutex_destroy(&g->mu);
    file_put(g->file);
    free(g);
}

static struct group *group_new(const struct rules_change *l, struct loaded_file *f,
                               const struct rule_group *from)
{
    struct rules *r = l->r;
    struct group *g = calloc(1, sizeof *g);
    if (!g) {
        return NULL;
    }
    mem_init(&g->mem, r->c.bytes_max);
    arena_init(&g->arena, &g->mem, SIZE_MAX);
    (void)pthread_mutex_init(&g->mu, NULL);
    g->engine = r;
    g->file = f;
    f->users++;
    g->g = from;
    g->interval_ms = from->interval_ms ? from->interval_ms : l->interval_ms;
    g->query_offset_ms = from->query_offset_ms >= 0 ? from->query_offset_ms : l->query_offset_ms;
    g->last_ms = T_MS_NONE;
    g->rules = ARENA_ARRAY(&g->arena, struct rule_state, from->rules_n + 1);
    bool ok = g->rules != NULL;
    for (uint32_t i = 0; ok && i < from->rules_n; i++) {
        g->rules_n = i + 1;
        ok = set_rule(g, &g->rules[i], &from->rules[i]);
    }
    if (!ok || !rule_order_make(g, &g->arena, &g->order) || !rule_turn_make(g) ||
        !print_of(g, &g->print)) {
        group_free(g);
        return NULL;
    }
    return g;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool add_group(struct rules_change *l, struct loaded_file *f, const struct rule_group *from,
                      struct err *e)
{
    union {
        struct group ***from;
        void **to;
    } u = {.from = &l->groups};
    if (!mem_array_grow(&l->r->mem, u.to, &l->cap, (size_t)l->n + 1, RULES_GROUPS_MAX,
                        sizeof l->groups[0])) {
        return err_set(e, ERR_LIMIT, "more than %d groups, or no memory for them",
                       RULES_GROUPS_MAX);
    }
    l->groups[l->n] = group_new(l, f, from);
    if (!l->groups[l->n]) {
        return err_set(e, ERR_LIMIT, "no memory for group \"%.*s\"",
                       STR_FMT(str_sub(from->name, 0, 60)));
    }
    l->n++;
    return true;
}

static bool load_file(struct rules_change *l, const char *path, struct err *e)
{
    struct loaded_file *f = calloc(1, sizeof *f);
    if (!f) {
        return err_set(e, ERR_NOMEM, "no memory for %s", path);
    }
    mem_init(&f->mem, l->r->c.bytes_max);
    arena_init(&f->arena, &f->mem, SIZE_MAX);
    f->users = 1;
    struct buf text;
    buf_init(&text, &l->mem, RULES_FILE_BYTES);
    bool ok = file_read(l->r->os, path, &text, e) &&
              rule_file_parse(buf_str(&text), path, l->r->c.promql_flags, &f->arena, &f->file, NULL,
                              NULL, e);
    if (ok && f->file.more_documents) {
        log_line(l->r->log, LOG_WARN, "rules", "%s holds several documents, only the first is read",
                 path);
    }
    for (uint32_t i = 0; ok && i < f->file.groups_n; i++) {
        ok = add_group(l, f, &f->file.groups[i], e);
    }
    buf_release(&text);
    file_put(f);
    return ok;
}

static bool seen_path(const struct rules_change *l, struct str path)
{
    for (uint32_t i = 0; i < l->paths_n; i++) {
        if (str_eq(l->paths[i], path)) {
            return true;
        }
    }
    return false;
}

/* Errors borrow the path, so it stays for good; each once, with its NUL. */
static const char *path_keep(struct rules *r, const char *path)
{
    uint32_t id = path ? intern_add(&r->paths, str_of(path, strlen(path) + 1)) : INTERN_FULL;
    return id == INTERN_FULL ? NULL : intern_str(&r->paths, id).p;
}

static bool load_pattern(struct rules_change *l, const char *dir, struct str pattern, struct err *e)
{
    struct str *v = NULL;
    uint32_t n = 0;
    if (!rules_glob(l->r->os, dir, pattern, &l->arena, &v, &n, e)) {
        return false;
    }
    if (n == 0) {
        log_line(l->r->log, LOG_WARN, "rules", "no file matches the pattern %.*s",
                 STR_FMT(pattern));
    }
    for (uint32_t i = 0; i < n; i++) {
        if (seen_path(l, v[i])) {
            continue;
        }
        const char *path = path_keep(l->r, arena_cstr(&l->arena, v[i]));
        if (!path || l->paths_n == RULES_FILES_MAX) {
            return err_set(e, ERR_LIMIT, "more than %d rule files", RULES_FILES_MAX);
        }
        l->paths[l->paths_n++] = str_from_c(path);
        if (!load_file(l, path, e)) {
            return false;
        }
    }
    return true;
}

/* --- taking over ------------------------------------------------------------------------------ */

static bool same_rule(const struct rule_state *a, const struct rule_state *b)
{
    bool same = a->rule->is_alert == b->rule->is_alert && str_eq(a->rule->name, b->rule->name) &&
                a->labels_n == b->labels_n;
    for (uint32_t i = 0; same && i < a->labels_n; i++) {
        same = str_eq(a->labels[i].name, b->labels[i].name) &&
               str_eq(a->labels[i].value, b->labels[i].value);
    }
    return same;
}

static bool copy_refs(struct mem *m, uint32_t **to, size_t *cap, uint32_t *n, const uint32_t *from,
                      uint32_t count)
{
    union {
        uint32_t **from;
        void **to;
    } u = {.from = to};
    if (!mem_array_grow(m, u.to, cap, (size_t)*n + count, UINT32_MAX, sizeof from[0])) {
        return false;
    }
    if (count) {
        memcpy(*to + *n, from, count * sizeof from[0]);
    }
    *n += count;
    return true;
}

static bool copy_alerts(struct group *g, struct rule_state *to, const struct rule_state *from)
{
    union {
        struct alert **from;
        void **to;
    } u = {.from = &to->alerts};
    if (!mem_array_grow(&g->mem, u.to, &to->alerts_cap, from->alerts_n, UINT32_MAX,
                        sizeof from->alerts[0])) {
        return false;
    }
    for (uint32_t i = 0; i < from->alerts_n; i++) {
        struct alert *a = &to->alerts[to->alerts_n];
        *a = from->alerts[i];
        a->labels = a->notes = (struct owned_labels){0};
        if (!owned_labels_set(&a->labels, &g->mem, from->alerts[i].labels.ls) ||
            !owned_labels_set(&a->notes, &g->mem, from->alerts[i].notes.ls)) {
            owned_labels_release(&a->labels, &g->mem);
            return false;
        }
        to->alerts_n++;
    }
    return true;
}

/* The state of old goes to g: rule by rule, each once, in order. */
static bool take_over(struct group *g, const struct group *old)
{
    bool ok = copy_refs(&g->mem, &g->stale, &g->stale_cap, &g->stale_n, old->stale, old->stale_n);
    bool *taken = ARENA_ARRAY(&g->arena, bool, g->rules_n + 1);
    ok = ok && taken;
    for (uint32_t i = 0; ok && i < old->rules_n; i++) {
        const struct rule_state *from = &old->rules[i];
        uint32_t k = 0;
        while (k < g->rules_n && (taken[k] || !same_rule(&g->rules[k], from))) {
            k++;
        }
        if (k == g->rules_n) {
            ok =
                copy_refs(&g->mem, &g->stale, &g->stale_cap, &g->stale_n, from->seen, from->seen_n);
            continue;
        }
        struct rule_state *to = &g->rules[k];
        taken[k] = true;
        to->restored = from->restored;
        ok = copy_refs(&g->mem, &to->seen, &to->seen_cap, &to->seen_n, from->seen, from->seen_n) &&
             (!to->rule->is_alert || copy_alerts(g, to, from));
    }
    g->restore = old->restore;
    g->evals_before_restore = old->evals_before_restore;
    g->iterations = old->iterations;
    g->missed = old->missed;
    return ok;
}

/* Its series get markers later. */
static void let_go(struct rules *r, const struct group *g, int64_t now_ms)
{
    for (uint32_t i = 0; i < g->rules_n; i++) {
        const struct rule_state *s = &g->rules[i];
        union {
            struct gone **from;
            void **to;
        } u = {.from = &r->gone};
        if (!mem_array_grow(&r->mem, u.to, &r->gone_cap, (size_t)r->gone_n + s->seen_n,
                            RULES_GONE_MAX, sizeof r->gone[0])) {
            r->gone_lost += s->seen_n;
            continue;
        }
        for (uint32_t k = 0; k < s->seen_n; k++) {
            r->gone[r->gone_n++] =
                (struct gone){s->seen[k], now_ms - g->query_offset_ms, now_ms + 2 * g->interval_ms};
        }
    }
}

static struct group **find_old(struct rules *r, const struct group *g)
{
    for (uint32_t i = 0; i < r->groups_n; i++) {
        struct group *old = r->groups[i];
        if (old && str_eq(old->g->name, g->g->name) && str_eq(old->g->file, g->g->file)) {
            return &r->groups[i];
        }
    }
    return NULL;
}

/* lock: r->mu, and no group is busy. */
static void replace_groups(struct rules *r, struct rules_change *l, int64_t now_ms)
{
    for (uint32_t i = 0; i < l->n; i++) {
        struct group *g = l->groups[i];
        struct group **old = find_old(r, g);
        g->next_ms = group_slot_after(g, now_ms);
        g->restore = !r->loaded;
        for (uint32_t k = 0; k < g->rules_n; k++) {
            g->rules[k].restored = r->loaded;
        }
        if (old && hash128_eq((*old)->print, g->print)) {
            l->groups[i] = *old;
            group_free(g);
            *old = NULL;
        } else if (old) {
            if (!take_over(g, *old)) {
                log_line(r->log, LOG_WARN, "rules", "no memory: group %.*s begins anew",
                         STR_FMT(str_sub(g->g->name, 0, 100)));
            }
            group_free(*old);
            *old = NULL;
        }
    }
    for (uint32_t i = 0; i < r->groups_n; i++) {
        if (r->groups[i]) {
            let_go(r, r->groups[i], now_ms);
            group_free(r->groups[i]);
        }
    }
    mem_give(&r->mem, r->groups, r->groups_cap * sizeof r->groups[0]);
    r->groups = l->groups;
    r->groups_cap = l->cap;
    r->groups_n = l->n;
    l->groups = NULL;
    l->cap = 0;
    l->n = 0;
    r->loaded = true;
}

/* lock: r->mu */
static void change_free(struct rules_change *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        group_free(c->groups[i]);
    }
    mem_give(&c->r->mem, c->groups, c->cap * sizeof c->groups[0]);
    arena_release(&c->arena);
    external_free(c->external);
    free(c);
}

static bool read_all(struct rules_change *c, const struct rules_globals *g, const char *dir,
                     const struct str *patterns, uint32_t n, struct err *e)
{
    bool ok = !g || external_new(g->external_labels, g->external_labels_n, &c->external, e);
    c->paths = ARENA_ARRAY(&c->arena, struct str, RULES_FILES_MAX);
    ok = ok && (c->paths || err_set(e, ERR_NOMEM, "no memory to read rule files"));
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = load_pattern(c, dir, patterns[i], e);
    }
    return ok;
}

bool rules_prepare(struct rules *r, const struct rules_globals *g, const char *dir,
                   const struct str *patterns, uint32_t n, struct rules_change **out, struct err *e)
{
    struct rules_change *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) {
        return err_set(e, ERR_NOMEM, "no memory to read rule files");
    }
    c->r = r;
    mem_init(&c->mem, r->c.bytes_max);
    arena_init(&c->arena, &c->mem, SIZE_MAX);
    (void)pthread_mutex_lock(&r->mu);
    c->interval_ms = !g                   ? r->c.interval_ms
                     : g->interval_ms > 0 ? g->interval_ms
                                          : RULES_INTERVAL_MS;
    c->query_offset_ms = g ? g->query_offset_ms : r->c.query_offset_ms;
    const bool ok = read_all(c, g, dir, patterns, n, e);
    r->load_failures += !ok;
    if (ok) {
        *out = c;
    } else {
        change_free(c);
    }
    (void)pthread_mutex_unlock(&r->mu);
    return ok;
}

void rules_commit(struct rules *r, struct rules_change *c)
{
    (void)pthread_mutex_lock(&r->mu);
    r->paused = true;
    while (r->busy > 0) {
        (void)pthread_cond_wait(&r->idle, &r->mu);
    }
    replace_groups(r, c, ms_from_ns(os_now_ns(r->os)));
    r->c.interval_ms = c->interval_ms;
    r->c.query_offset_ms = c->query_offset_ms;
    if (c->external) {
        struct external *old = r->external;
        r->external = c->external;
        c->external = old;
    }
    r->loads++;
    r->paused = false;
    change_free(c);
    (void)pthread_cond_broadcast(&r->wake);
    (void)pthread_mutex_unlock(&r->mu);
}

void rules_change_free(struct rules *r, struct rules_change *c)
{
    if (c) {
        (void)pthread_mutex_lock(&r->mu);
        change_free(c);
        (void)pthread_mutex_unlock(&r->mu);
    }
}

bool rules_load(struct rules *r, const char *dir, const struct str *patterns, uint32_t n,
                struct err *e)
{
    struct rules_change *c = NULL;
    if (!rules_prepare(r, NULL, dir, patterns, n, &c, e)) {
        return false;
    }
    rules_commit(r, c);
    return true;
}
