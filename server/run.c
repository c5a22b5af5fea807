/* See run_int.h. A start that fails says what happened and what to do: the second half is what the
 * person at the prompt needs. */
#include "server/run_int.h"

#include "server/commands_int.h"
#include "server/text_int.h"

#include <signal.h>
#include <stdio.h>

#define ARENA_BYTES_MAX ((size_t)64 << 20)

static bool setup_init(struct server_setup *s, struct err *e)
{
    mem_init(&s->mem, 0);
    arena_init(&s->arena, &s->mem, ARENA_BYTES_MAX);
    buf_init(&s->text, &s->mem, SERVER_CONFIG_BYTES_MAX);
    s->config = ARENA_NEW(&s->arena, struct server_config);
    return s->config || err_set(e, ERR_NOMEM, "no memory for the configuration");
}

static int setup_read(struct server_setup *s, const struct command_args *a, const char *where)
{
    struct err e = {0};
    if (server_config_read(buf_str(&s->text), where, &s->arena, s->config, &e)) {
        return EXIT_OK;
    }
    if (!where) {
        return server_fail(a, &e, EXIT_CONFIG);
    }
    struct buf shown;
    buf_init(&shown, &s->mem, SERVER_CONFIG_BYTES_MAX);
    conf_err_show(&e, buf_str(&s->text), &shown);
    (void)fprintf(stderr, "%.*s", STR_FMT(buf_str(&shown)));
    buf_release(&shown);
    return EXIT_CONFIG;
}

int server_setup_file(struct server_setup *s, const struct command_args *a, const char *path)
{
    struct err e = {0};
    if (!setup_init(s, &e)) {
        return server_fail(a, &e, EXIT_FAILED);
    }
    if (path && !file_read(a->os, path, &s->text, &e)) {
        return server_fail(a, &e, EXIT_CONFIG);
    }
    return setup_read(s, a, path);
}

int server_setup_text(struct server_setup *s, const struct command_args *a, struct str text,
                      const char *where)
{
    struct err e = {0};
    if (!setup_init(s, &e)) {
        return server_fail(a, &e, EXIT_FAILED);
    }
    buf_str_add(&s->text, text);
    if (!buf_ok(&s->text, &e)) {
        return server_fail(a, &e, EXIT_FAILED);
    }
    return setup_read(s, a, where);
}

void server_setup_release(struct server_setup *s)
{
    s->config = NULL;
    buf_release(&s->text);
    arena_release(&s->arena);
}

int server_setup_override(struct server_setup *s, const struct command_args *a, const char *listen,
                          const char *data)
{
    struct err e = {0};
    if (listen && !server_config_listen(&s->config->server, str_from_c(listen))) {
        (void)err_set(&e, ERR_INPUT,
                      "--listen: expected ADDRESS:PORT such as 127.0.0.1:9480, found '%.60s'",
                      listen);
        return server_fail(a, &e, EXIT_USAGE);
    }
    struct server_storage_config *storage = &s->config->storage;
    if (data) {
        int n = snprintf(storage->dir, sizeof storage->dir, "%s", data);
        if (n <= 0 || (size_t)n >= sizeof storage->dir) {
            (void)err_set(&e, ERR_INPUT, "--data: expected a folder of at most %zu bytes",
                          sizeof storage->dir - 1);
            return server_fail(a, &e, EXIT_USAGE);
        }
    }
    return EXIT_OK;
}

void server_signals_block(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

void server_run_advise(const struct command_args *a, const struct server_setup *s,
                       enum service_trouble trouble, const struct err *e)
{
    struct str dir = str_from_c(s->config->storage.dir);
    (void)server_fail(a, e, EXIT_FAILED);
    if (trouble == TROUBLE_PORT) {
        TELL(a->lang, ADVICE_PORT, STR(""));
    } else if (trouble == TROUBLE_STORAGE && e->code == ERR_BUSY) {
        TELL(a->lang, ADVICE_LOCKED, dir);
    } else if (trouble == TROUBLE_STORAGE && e->code == ERR_IO) {
        TELL(a->lang, ADVICE_WRITE, dir);
    } else if (trouble == TROUBLE_STORAGE && e->code == ERR_CORRUPT) {
        TELL(a->lang, ADVICE_STORAGE, dir);
    }
}

bool server_run_start(struct service **out, struct server_setup *s, const char *path,
                      const struct command_args *a, enum service_trouble *trouble)
{
    struct err e = {0};
    if (server_service_start(out, s->config, path, a->os, a->log, trouble, &e)) {
        return true;
    }
    server_run_advise(a, s, *trouble, &e);
    return false;
}

void server_run_url(const struct service *s, char *out, size_t cap)
{
    const char *address = s->config->server.address;
    bool v6 = str_contains(str_from_c(address), STR(":"));
    bool any =
        str_eq(str_from_c(address), STR("0.0.0.0")) || str_eq(str_from_c(address), STR("::"));
    (void)snprintf(out, cap, "http://%s%s%s:%u", v6 && !any ? "[" : "", any ? "127.0.0.1" : address,
                   v6 && !any ? "]" : "", server_service_port(s));
}
