/* Sections alerting and remote_write as they are read: a copy of the text's nodes, because a reload
 * forgets the file when it is done, and the relabelling made from them. Its print says whether a
 * reload has to do anything. */
#include "server/sending_int.h"

#include "server/scraping_int.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES_MAX ((size_t)16 << 20)

/* The folder of a file, "." without one. */
static void folder_of(const char *where, char *out, size_t cap)
{
    size_t slash = 0;
    for (size_t i = 0; where && where[i]; i++) {
        slash = where[i] == '/' ? i + 1 : slash;
    }
    (void)snprintf(out, cap, "%.*s", slash > 0 ? (int)slash : 1, slash > 0 ? where : ".");
}

/* n and all below it; aliases are written out, so the arena bounds it. */
static struct yaml_node *copy_node(const struct yaml_node *n, struct arena *a, int depth)
{
    struct yaml_node *to = depth <= YAML_DEPTH_MAX ? ARENA_NEW(a, struct yaml_node) : NULL;
    if (!to) {
        return NULL;
    }
    *to = *n;
    to->first = to->next = NULL;
    to->text = n->text.n ? arena_str(a, n->text) : n->text;
    to->key = n->key.n ? arena_str(a, n->key) : n->key;
    bool ok = (to->text.p || !n->text.n) && (to->key.p || !n->key.n);
    struct yaml_node **last = &to->first;
    for (const struct yaml_node *k = n->first; ok && k; k = k->next) {
        *last = copy_node(k, a, depth + 1);
        ok = *last != NULL;
        last = ok ? &(*last)->next : last;
    }
    return ok ? to : NULL;
}

static void print_node(struct buf *b, const struct yaml_node *n)
{
    buf_u8(b, (uint8_t)n->kind);
    buf_u8(b, n->quoted);
    buf_str32(b, n->key);
    buf_str32(b, n->text);
    buf_u32le(b, n->children_count);
    for (const struct yaml_node *k = n->first; k; k = k->next) {
        print_node(b, k);
    }
}

static bool print_of(const struct yaml_node *n, struct labels external, struct hash128 *out,
                     struct err *e)
{
    struct mem m;
    struct buf b;
    mem_init(&m, 0);
    buf_init(&b, &m, ARENA_BYTES_MAX * 2);
    if (n) {
        print_node(&b, n);
    }
    labels_print(external, &b);
    *out = hash128(buf_str(&b));
    const bool ok = buf_ok(&b, e);
    buf_release(&b);
    return ok;
}

/* *out NULL: the section is not there, or null. */
static bool section(const struct yaml_node *root, const char *name, struct arena *a,
                    const struct yaml_node **out, struct err *e)
{
    const struct yaml_node *n = root ? yaml_get(root, str_from_c(name)) : NULL;
    *out = NULL;
    if (!n || yaml_is_null(n)) {
        return true;
    }
    *out = copy_node(n, a, 0);
    return *out || err_set(e, ERR_LIMIT, "the section %s is too large", name);
}

/* --- alerting --- */

static bool alerts_lists(struct sending_alerts *s, struct err *e)
{
    const struct notify_am_config *c = &s->config;
    s->entries = ARENA_ARRAY(&s->arena, struct scrape_relabel *, c->entries_n + 1);
    if (!s->entries) {
        return err_set(e, ERR_LIMIT, "alerting is too large");
    }
    if (c->relabel && !scrape_relabel_new(c->relabel, &s->mem, &s->all, e)) {
        return false;
    }
    for (uint32_t i = 0; i < c->entries_n; i++) {
        if (c->entry_relabel && c->entry_relabel[i] &&
            !scrape_relabel_new(c->entry_relabel[i], &s->mem, &s->entries[i], e)) {
            return false;
        }
    }
    return true;
}

bool sending_alerts_read(const struct yaml_node *root, const char *where,
                         struct sending_alerts **out, struct err *e)
{
    char dir[PATH_BYTES_MAX];
    const struct yaml_node *node = NULL;
    struct sending_alerts *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return err_set(e, ERR_NOMEM, "no memory for alerting");
    }
    folder_of(where, dir, sizeof dir);
    mem_init(&s->mem, 0); /* bounded by the arena and by REGEX_PROGRAM_MAX per rule */
    arena_init(&s->arena, &s->mem, ARENA_BYTES_MAX);
    if (!section(root, "alerting", &s->arena, &node, e) ||
        !notify_am_config_read(node, dir, &s->arena, &s->config, e) || !alerts_lists(s, e) ||
        !print_of(node, (struct labels){0}, &s->print, e)) {
        sending_alerts_free(s);
        return false;
    }
    *out = s;
    return true;
}

void sending_alerts_free(struct sending_alerts *s)
{
    if (!s) {
        return;
    }
    notify_am_free(s->am);
    scrape_relabel_free(s->all);
    for (uint32_t i = 0; s->entries && i < s->config.entries_n; i++) {
        scrape_relabel_free(s->entries[i]);
    }
    arena_release(&s->arena);
    ASSERT(s->mem.bytes == 0);
    free(s);
}

/* --- remote_write --- */

static bool read_external(const struct yaml_node *root, const char *where, const struct os *os,
                          struct sending_samples *s, struct err *e)
{
    struct scrape_config *c = NULL;
    struct mem mem;
    mem_init(&mem, 0);
    const bool ok =
        server_scraping_read(root, where, os, &mem, &c, e) &&
        labels_copy(scrape_config_global(c)->external_labels, &s->arena, &s->external, e);
    scrape_config_free(c);
    return ok;
}

static bool samples_lists(struct sending_samples *s, struct err *e)
{
    s->entries = ARENA_ARRAY(&s->arena, struct scrape_relabel *, s->n + 1);
    if (!s->entries) {
        return err_set(e, ERR_LIMIT, "remote_write is too large");
    }
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->v[i].relabel && !scrape_relabel_new(s->v[i].relabel, &s->mem, &s->entries[i], e)) {
            return false;
        }
    }
    return true;
}

bool sending_samples_read(const struct yaml_node *root, const char *where, const struct os *os,
                          struct sending_samples **out, struct err *e)
{
    char dir[PATH_BYTES_MAX];
    const struct yaml_node *node = NULL;
    struct sending_samples *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return err_set(e, ERR_NOMEM, "no memory for remote_write");
    }
    folder_of(where, dir, sizeof dir);
    mem_init(&s->mem, 0); /* bounded by the arena and by REGEX_PROGRAM_MAX per rule */
    arena_init(&s->arena, &s->mem, ARENA_BYTES_MAX);
    if (!section(root, "remote_write", &s->arena, &node, e) ||
        !forward_config_read(node, dir, &s->arena, &s->v, &s->n, e) || !samples_lists(s, e) ||
        !read_external(root, where, os, s, e) || !print_of(node, s->external, &s->print, e)) {
        sending_samples_free(s);
        return false;
    }
    *out = s;
    return true;
}

void sending_samples_free(struct sending_samples *s)
{
    if (!s) {
        return;
    }
    forward_free(s->forward);
    for (uint32_t i = 0; s->entries && i < s->n; i++) {
        scrape_relabel_free(s->entries[i]);
    }
    arena_release(&s->arena);
    ASSERT(s->mem.bytes == 0);
    free(s);
}
