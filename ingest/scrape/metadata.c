/* TYPE, HELP and UNIT of the families of each target, for /api/v1/metadata and targets/metadata.
 *
 * Targets of one job say the same words, so texts are interned once for all and a target keeps
 * numbers. Families come in the order of the last page; the hint makes a look-up one comparison.
 * Those not given for ten scrapes are forgotten. When the table of texts is full, new families are
 * not remembered: metadata is a help, not data. */
#include "ingest/scrape/loop_int.h"

#define METAS_MAX  (1U << 20)
#define KEPT_AFTER 10

void metas_release(struct scrape *s, struct metas *m)
{
    mem_give(s->mem, m->v, m->cap * sizeof *m->v);
    *m = (struct metas){.n = 0};
}

static struct meta *find(struct metas *m, uint32_t name)
{
    for (size_t i = m->hint; i < m->n && i < m->hint + 2; i++) {
        if (m->v[i].name == name) {
            m->hint = i;
            return &m->v[i];
        }
    }
    for (size_t i = 0; i < m->n; i++) {
        if (m->v[i].name == name) {
            m->hint = i;
            return &m->v[i];
        }
    }
    return NULL;
}

static struct meta *add(struct scrape *s, struct target *t, uint32_t name)
{
    struct metas *m = &t->metas;
    size_t kept = 0;
    for (size_t i = 0; m->n == m->cap && i < m->n; i++) { /* before growing: what is old? */
        if (t->cache.scrape - m->v[i].seen <= KEPT_AFTER) {
            m->v[kept++] = m->v[i];
        }
    }
    m->n = m->n == m->cap ? kept : m->n;
    void *v = m->v;
    bool ok = mem_array_grow(s->mem, &v, &m->cap, m->n + 1, METAS_MAX, sizeof *m->v);
    m->v = v;
    if (!ok) {
        return NULL;
    }
    m->hint = m->n;
    m->v[m->n] = (struct meta){.name = name, .help = INTERN_FULL, .unit = INTERN_FULL};
    return &m->v[m->n++];
}

void meta_set(struct scrape *s, struct target *t, const struct expo_parse *p)
{
    uint32_t name = intern_add(&s->texts, p->family);
    struct meta *x = name == INTERN_FULL ? NULL : find(&t->metas, name);
    if (!x && name != INTERN_FULL) {
        x = add(s, t, name);
    }
    if (!x) {
        return;
    }
    x->seen = t->cache.scrape;
    if (p->entry == EXPO_PARSE_TYPE) {
        x->type = p->type;
    } else if (p->entry == EXPO_PARSE_HELP) {
        x->help = intern_add(&s->texts, p->text);
    } else {
        x->unit = intern_add(&s->texts, p->text);
    }
}

/* --- reading ------------------------------------------------------------------------------ */

struct compiled {
    const struct matcher *m;
    struct regex *regex;
};

static bool fits(const struct compiled *c, uint32_t n, struct labels labels)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct matcher *m = c[i].m;
        struct str v = labels_get(labels, m->name);
        bool equal =
            c[i].regex ? regex_match(c[i].regex, v.p ? v : str_of("", 0)) : str_eq(v, m->value);
        if (equal != (m->op == MATCH_EQ || m->op == MATCH_RE)) {
            return false;
        }
    }
    return true;
}

struct out {
    struct scrape_metadata *v;
    uint32_t n, max;
    struct arena *a;
};

static struct str text_of(struct scrape *s, uint32_t id, struct arena *a)
{
    struct str t = id == INTERN_FULL ? str_of("", 0) : intern_str(&s->texts, id);
    return t.n ? arena_str(a, t) : str_of("", 0);
}

static bool put(struct scrape *s, const struct target *t, struct labels labels,
                const struct meta *x, struct out *o)
{
    (void)t;
    struct scrape_metadata *d = &o->v[o->n++];
    d->target = labels;
    d->metric = text_of(s, x->name, o->a);
    d->help = text_of(s, x->help, o->a);
    d->unit = text_of(s, x->unit, o->a);
    d->type = x->type;
    return d->metric.p && d->help.p && d->unit.p;
}

static bool of_target(struct scrape *s, const struct target *t, uint32_t metric, bool all,
                      struct out *o, struct err *e)
{
    struct labels labels = {NULL, 0};
    for (size_t i = 0; i < t->metas.n && o->n < o->max; i++) {
        const struct meta *x = &t->metas.v[i];
        if (!all && x->name != metric) {
            continue;
        }
        if (!labels.v && !labels_copy(t->labels, o->a, &labels, e)) {
            return false;
        }
        if (!put(s, t, labels, x, o)) {
            return err_set(e, ERR_LIMIT, "metadata needs more memory than it may have");
        }
    }
    return true;
}

static bool compile(struct scrape *s, const struct matcher *m, uint32_t n, struct compiled *c,
                    struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        c[i] = (struct compiled){&m[i], NULL};
        if ((m[i].op == MATCH_RE || m[i].op == MATCH_NRE) &&
            !regex_new(s->mem, m[i].value, true, &c[i].regex, e)) {
            return false;
        }
    }
    return true;
}

static size_t count_metas(const struct scrape *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->heap_n; i++) {
        n += s->heap[i]->metas.n;
    }
    return n;
}

bool scrape_metadata(struct scrape *s, const struct matcher *m, uint32_t m_n, struct str metric,
                     uint32_t limit, struct arena *a, struct scrape_metadata **out, uint32_t *n,
                     struct err *e)
{
    *n = 0;
    pthread_mutex_lock(&s->mu);
    struct compiled *c = ARENA_ARRAY(a, struct compiled, m_n);
    bool ok =
        (m_n == 0 || c) ? compile(s, m, m_n, c, e) : err_set(e, ERR_LIMIT, "too many matchers");
    uint32_t name = metric.n ? intern_find(&s->texts, metric) : INTERN_FULL;
    bool none = metric.n > 0 && name == INTERN_FULL;
    size_t max = ok && !none ? count_metas(s) : 0;
    max = metric.n ? size_min(max, s->heap_n) : max;
    max = limit ? size_min(max, limit) : max;
    struct out o = {.v = ARENA_ARRAY(a, struct scrape_metadata, max), .max = (uint32_t)max, .a = a};
    if (ok && max > 0 && !o.v) {
        ok = err_set(e, ERR_LIMIT, "metadata needs more memory than it may have");
    }
    for (size_t p = 0; ok && max > 0 && p < s->pools_n; p++) {
        for (size_t i = 0; ok && i < s->pools[p]->targets_n; i++) {
            struct target *t = s->pools[p]->targets[i];
            ok = !fits(c, m_n, t->labels) || of_target(s, t, name, metric.n == 0, &o, e);
        }
    }
    for (uint32_t i = 0; c && i < m_n; i++) {
        regex_free(c[i].regex);
    }
    *out = o.v;
    *n = o.n;
    pthread_mutex_unlock(&s->mu);
    return ok;
}
