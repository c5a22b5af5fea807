/* See sending_int.h. The sections are read once, at the start: alerting and remote_write of a
 * running server change with a restart. */
#include "server/sending_int.h"

#include "server/commands_int.h"

#include <stdio.h>

#define ARENA_BYTES_MAX ((size_t)16 << 20)

static const char agent[] = "Farol";

static const struct yaml_node *section(const struct yaml_node *root, const char *name)
{
    const struct yaml_node *n = root ? yaml_get(root, str_from_c(name)) : NULL;
    return n && yaml_is_null(n) ? NULL : n;
}

/* The folder of a file, "." without one. */
static void folder_of(const char *where, char *out, size_t cap)
{
    size_t slash = 0;
    for (size_t i = 0; where && where[i]; i++) {
        slash = where[i] == '/' ? i + 1 : slash;
    }
    (void)snprintf(out, cap, "%.*s", slash > 0 ? (int)slash : 1, slash > 0 ? where : ".");
}

static bool read_lists(struct server_sending *s, struct err *e)
{
    const struct notify_am_config *c = &s->alerting;
    s->entries = ARENA_ARRAY(&s->arena, struct scrape_relabel *, c->entries_n + 1);
    s->outgoing = ARENA_ARRAY(&s->arena, struct scrape_relabel *, s->forwards_n + 1);
    if (!s->entries || !s->outgoing) {
        return err_set(e, ERR_LIMIT, "alerting and remote_write are too large");
    }
    if (c->relabel && !scrape_relabel_new(c->relabel, &s->mem, &s->alerts, e)) {
        return false;
    }
    for (uint32_t i = 0; i < c->entries_n; i++) {
        if (c->entry_relabel && c->entry_relabel[i] &&
            !scrape_relabel_new(c->entry_relabel[i], &s->mem, &s->entries[i], e)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < s->forwards_n; i++) {
        if (s->forwards[i].relabel &&
            !scrape_relabel_new(s->forwards[i].relabel, &s->mem, &s->outgoing[i], e)) {
            return false;
        }
    }
    return true;
}

bool server_sending_read(struct server_sending *s, const struct yaml_node *root, const char *where,
                         struct err *e)
{
    char dir[PATH_BYTES_MAX];
    folder_of(where, dir, sizeof dir);
    memset(s, 0, sizeof *s);
    mem_init(&s->mem, 0); /* bounded by the arena and by REGEX_PROGRAM_MAX per rule */
    arena_init(&s->arena, &s->mem, ARENA_BYTES_MAX);
    s->read = true;
    return notify_am_config_read(section(root, "alerting"), dir, &s->arena, &s->alerting, e) &&
           forward_config_read(section(root, "remote_write"), dir, &s->arena, &s->forwards,
                               &s->forwards_n, e) &&
           read_lists(s, e);
}

bool server_sending_check(const struct yaml_node *root, const char *where, struct err *e)
{
    struct server_sending s;
    const bool ok = server_sending_read(&s, root, where, e);
    server_sending_stop(&s);
    return ok;
}

uint64_t server_sending_log_bytes(const struct server_sending *s)
{
    return forward_log_bytes(s->forwards, s->forwards_n);
}

/* thread: the rules' */
static bool relabel_alert(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                          struct arena *a)
{
    const struct server_sending *s = ctx;
    const struct scrape_relabel *r = entry == UINT32_MAX ? s->alerts : s->entries[entry];
    return !r || scrape_relabel_apply(r, v, n, cap, a);
}

/* thread: the senders' */
static bool relabel_series(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                           struct arena *a)
{
    const struct server_sending *s = ctx;
    return !s->outgoing[entry] || scrape_relabel_apply(s->outgoing[entry], v, n, cap, a);
}

bool server_sending_alerts(struct server_sending *s, const struct os *os, struct log *log,
                           struct err *e)
{
    const struct notify_am_options o = {
        .os = os, .log = log, .relabel = {s, relabel_alert}, .user_agent = agent};
    return notify_am_new(&s->alerting, &o, &s->alertmanagers, e);
}

bool server_sending_samples(struct server_sending *s, struct tsdb *db, const char *dir,
                            struct labels external, const struct os *os, struct log *log,
                            struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (s->forwards_n == 0) {
        return true;
    }
    const struct forward_options o = {.db = db,
                                      .os = os,
                                      .log = log,
                                      .mem = &s->mem,
                                      .dir = path,
                                      .external = external,
                                      .relabel = {s, relabel_series},
                                      .user_agent = agent};
    return path_join(path, sizeof path, dir, "forward", e) &&
           forward_new(s->forwards, s->forwards_n, &o, &s->forward, e);
}

void server_sending_stop_samples(struct server_sending *s)
{
    forward_free(s->forward);
    s->forward = NULL;
}

void server_sending_stop(struct server_sending *s)
{
    if (!s->read) {
        return;
    }
    server_sending_stop_samples(s);
    notify_am_free(s->alertmanagers);
    s->alertmanagers = NULL;
    scrape_relabel_free(s->alerts);
    for (uint32_t i = 0; s->entries && i < s->alerting.entries_n; i++) {
        scrape_relabel_free(s->entries[i]);
    }
    for (uint32_t i = 0; s->outgoing && i < s->forwards_n; i++) {
        scrape_relabel_free(s->outgoing[i]);
    }
    arena_release(&s->arena);
    ASSERT(s->mem.bytes == 0);
    s->read = false;
}

void server_sending_publish(struct server_sending *s, struct expo *x)
{
    notify_am_publish(s->alertmanagers, x);
    if (s->forward) {
        forward_publish(s->forward, x);
    }
}
