/* Pools: what runs of each job, built from the configuration and from files of targets.
 *
 * A pool is built as a list of targets that should be; those that run already (same labels, same
 * URL) stay as they are with their caches and slots, new ones get a slot, the others leave. A file
 * of targets that cannot be read keeps what it said last; one that is gone takes its targets
 * along. */
#include "ingest/scrape/loop_int.h"

#include "base/file.h"
#include "base/hash.h"

#include <stdlib.h>

#define POOL_TARGETS_MAX  (1U << 20)
#define FILES_CHECK_NS    (5 * NS_PER_S) /* files are looked at this often, whatever refresh says */
#define DROPPED_BYTES_MAX (16 << 20)
#define FILE_GROUPS_BYTES (256 << 20)

/* --- lists -------------------------------------------------------------------------------- */

struct list {
    struct target **v;
    size_t n, cap;
};

static bool list_add(struct scrape *s, struct list *l, struct target *t)
{
    void *v = l->v;
    bool ok = mem_array_grow(s->mem, &v, &l->cap, l->n + 1, POOL_TARGETS_MAX, sizeof *l->v);
    l->v = v;
    if (ok) {
        l->v[l->n++] = t;
    }
    return ok;
}

static void remember_dropped(struct scrape *s, struct pool *p, struct target *t)
{
    size_t max = p->job->keep_dropped > 0 ? (size_t)p->job->keep_dropped : SCRAPE_DROPPED_KEPT;
    struct labels copy;
    p->dropped_total++;
    if (p->dropped_n >= max || !labels_copy(t->discovered, &p->dropped_arena, &copy, NULL)) {
        return;
    }
    void *v = p->dropped;
    bool ok =
        mem_array_grow(s->mem, &v, &p->dropped_cap, p->dropped_n + 1, max, sizeof *p->dropped);
    p->dropped = v;
    if (ok) {
        p->dropped[p->dropped_n++] = copy;
    }
}

static void log_target(struct scrape *s, const struct pool *p, const struct err *e)
{
    s->stats.discovery_failures++;
    log_line(s->o.log, LOG_WARN, "scrape", "job %.*s: %s", STR_FMT(p->name), e->msg);
}

static void add_group(struct scrape *s, struct pool *p, const struct scrape_group *g,
                      struct str file, struct list *want)
{
    for (uint32_t i = 0; i < g->targets.count; i++) {
        struct target *t = NULL;
        bool keep = false;
        struct err e = {.code = ERR_NONE};
        if (!target_new(s, p->job, g, g->targets.v[i], file, &t, &keep, &e)) {
            log_target(s, p, &e);
            continue;
        }
        t->pool = p;
        if (!keep) {
            remember_dropped(s, p, t);
        }
        if (!keep || !list_add(s, want, t)) {
            target_free(s, t);
        }
    }
}

/* --- changing over ------------------------------------------------------------------------ */

static void start_target(struct scrape *s, struct target *t, int64_t wall_ns, int64_t mono_ns)
{
    int64_t next = slot_before(wall_ns, t->interval_ns, slot_hash(s, t)) + t->interval_ns;
    t->next_mono_ns = mono_ns + (next - wall_ns);
    s->targets_n++;
    if (!heap_add(s, t)) {
        log_line(s->o.log, LOG_ERROR, "scrape", "no memory to plan a target of job %.*s",
                 STR_FMT(t->pool->name));
    }
}

static void stop_target(struct scrape *s, struct target *t, int64_t wall_ns, int64_t mono_ns)
{
    leaving_add(s, t, wall_ns, mono_ns);
    heap_remove(s, t);
    s->targets_n--;
    s->stats.cache_bytes -= size_min(cache_bytes(&t->cache), s->stats.cache_bytes);
}

/* Target t of the wanted list is one that runs: returns that one. Linear only among equal
 * hashes. */
static struct target *running(struct pool *p, const struct target *t, uint32_t *slots, size_t mask)
{
    for (size_t i = t->hash & mask; slots[i]; i = (i + 1) & mask) {
        struct target *old = p->targets[slots[i] - 1];
        if (target_same(old, t)) {
            return old;
        }
    }
    return NULL;
}

static uint32_t *index_targets(struct scrape *s, const struct pool *p, size_t *slots_n)
{
    *slots_n = 16;
    while (*slots_n < p->targets_n * 2) {
        *slots_n *= 2;
    }
    uint32_t *slots = mem_take(s->mem, *slots_n * sizeof *slots);
    for (size_t i = 0; slots && i < p->targets_n; i++) {
        size_t at = p->targets[i]->hash & (*slots_n - 1);
        while (slots[at]) {
            at = (at + 1) & (*slots_n - 1);
        }
        slots[at] = (uint32_t)i + 1;
    }
    return slots;
}

/* Replaces new targets in want by those that run already; the same target twice is one. */
static bool match(struct scrape *s, struct pool *p, struct list *want)
{
    size_t slots_n = 0;
    uint32_t *slots = index_targets(s, p, &slots_n);
    if (!slots) {
        return false;
    }
    size_t kept = 0;
    for (size_t i = 0; i < want->n; i++) {
        struct target *t = want->v[i];
        struct target *old = running(p, t, slots, slots_n - 1);
        if (old) {
            target_free(s, t);
            if (!old->kept) {
                old->kept = true;
                want->v[kept++] = old;
            }
        } else {
            want->v[kept++] = t;
        }
    }
    want->n = kept;
    mem_give(s->mem, slots, slots_n * sizeof *slots);
    return true;
}

static int by_hash(const void *a, const void *b)
{
    const struct target *const *x = a;
    const struct target *const *y = b;
    return (*x)->hash < (*y)->hash ? -1 : (*x)->hash > (*y)->hash;
}

/* New targets that are equal among themselves. */
static void unique(struct scrape *s, struct list *want)
{
    size_t kept = 0;
    if (want->n > 0) {
        qsort(want->v, want->n, sizeof *want->v, by_hash);
    }
    for (size_t i = 0; i < want->n; i++) {
        bool twice = false;
        for (size_t k = kept; k > 0 && want->v[k - 1]->hash == want->v[i]->hash; k--) {
            twice = twice || target_same(want->v[k - 1], want->v[i]);
        }
        if (twice) {
            target_free(s, want->v[i]);
        } else {
            want->v[kept++] = want->v[i];
        }
    }
    want->n = kept;
}

static void change_over(struct scrape *s, struct pool *p, struct list *want)
{
    int64_t wall_ns = os_now_ns(s->o.os);
    int64_t mono_ns = os_mono_ns(s->o.os);
    unique(s, want);
    if (!match(s, p, want)) { /* without memory everything stays as it is */
        for (size_t i = 0; i < want->n; i++) {
            target_free(s, want->v[i]);
        }
        mem_give(s->mem, want->v, want->cap * sizeof *want->v);
        return;
    }
    for (size_t i = 0; i < p->targets_n; i++) {
        struct target *t = p->targets[i];
        if (!t->kept) {
            stop_target(s, t, wall_ns, mono_ns);
        }
    }
    for (size_t i = 0; i < want->n; i++) {
        if (!want->v[i]->kept) {
            start_target(s, want->v[i], wall_ns, mono_ns);
        }
    }
    for (size_t i = 0; i < p->targets_n; i++) {
        if (!p->targets[i]->kept) {
            flights_forget(s, p->targets[i]);
            target_free(s, p->targets[i]);
        }
    }
    mem_give(s->mem, p->targets, p->targets_cap * sizeof *p->targets);
    p->targets = want->v;
    p->targets_n = want->n;
    p->targets_cap = want->cap;
    for (size_t i = 0; i < p->targets_n; i++) {
        p->targets[i]->kept = false;
    }
    int64_t limit = p->job->target_limit;
    p->over_limit = limit > 0 && p->targets_n > (size_t)limit;
}

static void build(struct scrape *s, struct pool *p)
{
    struct list want = {.n = 0};
    arena_reset(&p->dropped_arena);
    p->dropped_n = 0;
    p->dropped_total = 0;
    for (uint32_t i = 0; i < p->job->groups_n; i++) {
        add_group(s, p, &p->job->groups[i], str_of("", 0), &want);
    }
    for (struct sd_file *f = p->files; f; f = f->next) {
        for (uint32_t i = 0; i < f->groups_n; i++) {
            add_group(s, p, &f->groups[i], str_from_c(f->path), &want);
        }
    }
    change_over(s, p, &want);
}

/* --- files -------------------------------------------------------------------------------- */

static void sd_file_free(struct scrape *s, struct sd_file *f)
{
    arena_release(&f->arena);
    mem_give(s->mem, f->path, strlen(f->path) + 1);
    mem_give(s->mem, f, sizeof *f);
}

static struct sd_file *sd_file_get(struct scrape *s, struct pool *p, const char *path)
{
    struct sd_file **at = &p->files;
    while (*at && strcmp((*at)->path, path) != 0) {
        at = &(*at)->next;
    }
    if (*at) {
        return *at;
    }
    struct sd_file *f = mem_take(s->mem, sizeof *f);
    char *copy = f ? mem_take(s->mem, strlen(path) + 1) : NULL;
    if (!copy) {
        mem_give(s->mem, f, f ? sizeof *f : 0);
        return NULL;
    }
    memcpy(copy, path, strlen(path) + 1);
    f->path = copy;
    arena_init(&f->arena, s->mem, FILE_GROUPS_BYTES);
    *at = f;
    return f;
}

struct scan {
    struct scrape *s;
    struct pool *p;
    bool changed;
};

static void parse_file(struct scan *c, struct sd_file *f, struct str text)
{
    struct arena fresh;
    struct scrape_group *groups = NULL;
    uint32_t n = 0;
    struct err e = {.code = ERR_NONE};
    arena_init(&fresh, c->s->mem, FILE_GROUPS_BYTES);
    if (!scrape_sd_parse(text, f->path, &fresh, &groups, &n, &e)) {
        c->s->stats.discovery_failures++;
        log_err(c->s->o.log, LOG_ERROR, "scrape", &e);
        arena_release(&fresh);
        return; /* what it said last stays */
    }
    arena_release(&f->arena);
    f->arena = fresh;
    f->groups = groups;
    f->groups_n = n;
    c->changed = true;
}

static void scan_file(void *ctx, const char *path)
{
    struct scan *c = ctx;
    struct buf text;
    struct err e = {.code = ERR_NONE};
    buf_init(&text, c->s->mem, SCRAPE_SD_FILE_BYTES_MAX);
    bool ok = file_read(c->s->o.os, path, &text, &e);
    struct sd_file *f = ok ? sd_file_get(c->s, c->p, path) : NULL;
    if (f) {
        uint64_t hash = hash64(buf_str(&text));
        bool first = f->groups == NULL && f->content_hash == 0;
        if (first || hash != f->content_hash) {
            f->content_hash = hash;
            parse_file(c, f, buf_str(&text));
        }
        f->present = true;
    }
    buf_release(&text);
}

static bool scan_files(struct scrape *s, struct pool *p)
{
    struct scan c = {s, p, false};
    for (struct sd_file *f = p->files; f; f = f->next) {
        f->present = false;
    }
    for (uint32_t i = 0; i < p->job->files_n; i++) {
        for (uint32_t k = 0; k < p->job->files[i].files.count; k++) {
            struct arena a;
            arena_init(&a, s->mem, 1 << 16);
            char *pattern = arena_cstr(&a, p->job->files[i].files.v[k]);
            if (pattern) {
                (void)!scrape_glob(s->o.os, pattern, scan_file, &c, NULL);
            }
            arena_release(&a);
        }
    }
    for (struct sd_file **at = &p->files; *at;) {
        struct sd_file *f = *at;
        if (f->present) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        sd_file_free(s, f);
        c.changed = true;
    }
    return c.changed;
}

static void plan_files(struct scrape *s, struct pool *p)
{
    int64_t wait = FILES_CHECK_NS;
    for (uint32_t i = 0; i < p->job->files_n; i++) {
        int64_t refresh_ms = p->job->files[i].refresh_ms;
        wait = refresh_ms > 0 ? i64_min(wait, ns_from_ms(refresh_ms)) : wait;
    }
    p->files_due_ns = p->job->files_n ? os_mono_ns(s->o.os) + wait : INT64_MAX;
}

void pools_refresh(struct scrape *s, int64_t mono_ns)
{
    for (size_t i = 0; i < s->pools_n; i++) {
        struct pool *p = s->pools[i];
        if (p->files_due_ns > mono_ns) {
            continue;
        }
        if (scan_files(s, p)) {
            build(s, p);
        }
        plan_files(s, p);
    }
}

int64_t pools_due_ns(const struct scrape *s)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < s->pools_n; i++) {
        due = i64_min(due, s->pools[i]->files_due_ns);
    }
    return due;
}

/* --- configuration ------------------------------------------------------------------------ */

static void pool_free(struct scrape *s, struct pool *p)
{
    for (size_t i = 0; i < p->targets_n; i++) {
        heap_remove(s, p->targets[i]);
        s->targets_n--;
        s->stats.cache_bytes -= size_min(cache_bytes(&p->targets[i]->cache), s->stats.cache_bytes);
        flights_forget(s, p->targets[i]);
        target_free(s, p->targets[i]);
    }
    while (p->files) {
        struct sd_file *f = p->files;
        p->files = f->next;
        sd_file_free(s, f);
    }
    mem_give(s->mem, p->targets, p->targets_cap * sizeof *p->targets);
    mem_give(s->mem, p->dropped, p->dropped_cap * sizeof *p->dropped);
    arena_release(&p->dropped_arena);
    arena_release(&p->names);
    mem_give(s->mem, p, sizeof *p);
}

static struct pool *pool_new(struct scrape *s, const struct scrape_job *job)
{
    struct pool *p = mem_take(s->mem, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->s = s;
    arena_init(&p->names, s->mem, 1 << 16);
    arena_init(&p->dropped_arena, s->mem, DROPPED_BYTES_MAX);
    p->name = arena_str(&p->names, job->name);
    p->job = job;
    p->files_due_ns = INT64_MAX;
    if (!p->name.p) {
        pool_free(s, p);
        return NULL;
    }
    p->source = tsdb_source(s->o.db, job->name, 0);
    return p;
}

static bool pools_add(struct scrape *s, struct pool *p)
{
    void *v = s->pools;
    bool ok = mem_array_grow(s->mem, &v, &s->pools_cap, s->pools_n + 1, SCRAPE_JOBS_MAX * 2,
                             sizeof *s->pools);
    s->pools = v;
    if (ok) {
        s->pools[s->pools_n++] = p;
    }
    return ok;
}

static struct pool *pool_find(struct scrape *s, struct str name)
{
    for (size_t i = 0; i < s->pools_n; i++) {
        if (str_eq(s->pools[i]->name, name)) {
            return s->pools[i];
        }
    }
    return NULL;
}

static const struct scrape_job *job_find(const struct scrape_config *c, struct str name)
{
    for (uint32_t i = 0; i < c->jobs_n; i++) {
        if (str_eq(c->jobs[i].name, name)) {
            return &c->jobs[i];
        }
    }
    return NULL;
}

/* What makes names in caches mean something else. */
static bool same_series(const struct scrape_job *a, const struct scrape_job *b)
{
    return a->honor_labels == b->honor_labels && a->legacy_names == b->legacy_names &&
           a->label_limit == b->label_limit && a->label_name_max == b->label_name_max &&
           a->label_value_max == b->label_value_max &&
           relabel_same(&a->metric_relabel, &b->metric_relabel);
}

/* Gives a running pool its job of the new configuration. */
static void pool_rejoin(struct pool *p, const struct scrape_job *job)
{
    bool same = same_series(p->job, job);
    p->job = job;
    for (size_t i = 0; i < p->targets_n; i++) {
        p->targets[i]->fetch_old = true;
        if (!same) {
            cache_forget(&p->targets[i]->cache);
        }
    }
}

/* All targets of a job that is gone leave as if discovery had taken them away. */
static void pool_leave(struct scrape *s, struct pool *p)
{
    int64_t wall_ns = os_now_ns(s->o.os);
    int64_t mono_ns = os_mono_ns(s->o.os);
    for (size_t i = 0; i < p->targets_n; i++) {
        leaving_add(s, p->targets[i], wall_ns, mono_ns);
    }
    pool_free(s, p);
}

void pools_apply(struct scrape *s, struct scrape_config *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->pools_n; i++) {
        struct pool *p = s->pools[i];
        const struct scrape_job *job = job_find(c, p->name);
        if (job) {
            pool_rejoin(p, job);
            s->pools[kept++] = p;
        } else {
            pool_leave(s, p);
        }
    }
    s->pools_n = kept;
    for (uint32_t i = 0; i < c->jobs_n; i++) {
        struct pool *p = pool_find(s, c->jobs[i].name);
        if (!p) {
            p = pool_new(s, &c->jobs[i]);
            if (!p || !pools_add(s, p)) {
                log_line(s->o.log, LOG_ERROR, "scrape", "no memory for job %.*s",
                         STR_FMT(c->jobs[i].name));
                if (p) {
                    pool_free(s, p);
                }
                continue;
            }
        }
        (void)scan_files(s, p);
        build(s, p);
        plan_files(s, p);
    }
    scrape_config_free(s->config);
    s->config = c;
}

void pools_release(struct scrape *s)
{
    for (size_t i = 0; i < s->pools_n; i++) {
        pool_free(s, s->pools[i]);
    }
    mem_give(s->mem, s->pools, s->pools_cap * sizeof *s->pools);
    s->pools = NULL;
    s->pools_n = s->pools_cap = 0;
}
