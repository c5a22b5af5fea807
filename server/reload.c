/* Reading the configuration again while running. The file is read and checked whole first; when it
 * is not valid nothing changes. Of what differs, the live keys are applied and the others are
 * named: they keep their running values until a restart. */
#include "server/service_int.h"

#include "base/file.h"

#define ARENA_BYTES_MAX ((size_t)64 << 20)

struct split {
    struct buf *out;
    bool live;
    uint32_t count;
};

static void add_key(void *ctx, const char *section, const char *key)
{
    struct split *s = ctx;
    if (server_config_is_live(section, key) == s->live) {
        buf_fmt(s->out, "%s\"%s%s%s\"", s->count > 0 ? "," : "", section, key[0] ? "." : "", key);
        s->count++;
    }
}

static struct str level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return str_from_c(names[level]);
}

static void apply(struct service *s, const struct server_config *fresh)
{
    s->config->server.tick_ms = fresh->server.tick_ms;
    s->config->server.level = fresh->server.level;
    s->config->server.log_level = level_name(fresh->server.level);
    atomic_store(&s->tick_ms, fresh->server.tick_ms);
    __atomic_store_n(&s->log->level, fresh->server.level, __ATOMIC_RELAXED);
    (void)pthread_mutex_lock(&s->mu);
    s->reload_wakeups++;
    (void)pthread_cond_broadcast(&s->wake);
    (void)pthread_mutex_unlock(&s->mu);
}

static bool reread(struct service *s, struct arena *a, struct buf *text, struct buf *out,
                   struct err *e)
{
    struct server_config *fresh = ARENA_NEW(a, struct server_config);
    if (!fresh) {
        return err_set(e, ERR_NOMEM, "no memory for the configuration");
    }
    if (!file_read(s->os, s->config_path, text, e) ||
        !server_config_read(buf_str(text), s->config_path, a, fresh, e)) {
        return false;
    }
    if (!server_metrics_reload(&s->metrics, fresh, e)) {
        return false;
    }
    struct split split = {.out = out, .live = true};
    BUF_LIT(out, "{\"applied\":[");
    server_config_diff(s->config, fresh, add_key, &split);
    split = (struct split){.out = out, .live = false};
    BUF_LIT(out, "],\"needs_restart\":[");
    server_config_diff(s->config, fresh, add_key, &split);
    BUF_LIT(out, "]}\n");
    apply(s, fresh);
    log_line(s->log, LOG_INFO, "server", "configuration read again: %.*s",
             STR_FMT(str_trim(buf_str(out))));
    return true;
}

bool server_service_reload(struct service *s, struct buf *out, struct err *e)
{
    struct mem mem;
    struct arena arena;
    struct buf text;
    if (!s->config_path) {
        return err_set(e, ERR_INPUT, "this server runs without a configuration file");
    }
    mem_init(&mem, 0);
    arena_init(&arena, &mem, ARENA_BYTES_MAX);
    buf_init(&text, &mem, SERVER_CONFIG_BYTES_MAX);
    (void)pthread_mutex_lock(&s->reload_mu);
    bool ok = reread(s, &arena, &text, out, e);
    (void)pthread_mutex_unlock(&s->reload_mu);
    buf_release(&text);
    arena_release(&arena);
    atomic_fetch_add(ok ? &s->reloads : &s->reload_failures, 1);
    if (!ok) {
        log_err(s->log, LOG_ERROR, "server", e);
    }
    return ok;
}
