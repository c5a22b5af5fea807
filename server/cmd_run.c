/* farol run: the server, until a signal. */
#include "server/commands_int.h"
#include "server/run_int.h"
#include "server/text_int.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define RELOAD_BYTES_MAX (1U << 20)

static const struct command_option options[] = {
    {"config",
     'c',
     "FILE",
     NULL,
     {"arquivo de configuração (farol.yml)", "configuration file (farol.yml)"}},
    {"listen",
     'l',
     "ADDR:PORT",
     NULL,
     {"em vez de server.listen; porta 0 usa uma livre",
      "instead of server.listen; port 0 takes a free one"}},
    {"data", 'd', "DIR", NULL, {"em vez de storage.path", "instead of storage.path"}},
    {"port-file",
     0,
     "FILE",
     NULL,
     {"escreve a porta em FILE quando o servidor estiver pronto",
      "write the port to FILE when the server is ready"}},
};

static bool write_port(const struct command_args *a, const struct service *s, const char *path,
                       struct err *e)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%u\n", server_service_port(s));
    return file_replace(a->os, path, str_of(text, (size_t)n), e);
}

static void reload(const struct command_args *a, struct service *s)
{
    struct mem mem;
    struct buf out;
    struct err e = {0};
    mem_init(&mem, 0);
    buf_init(&out, &mem, RELOAD_BYTES_MAX);
    if (!server_service_reload(s, &out, &e)) {
        log_line(a->log, LOG_WARN, "server", "the running configuration is unchanged");
    }
    buf_release(&out);
}

/* Serves until SIGINT or SIGTERM; SIGHUP reloads. */
static bool wait_signals(const struct command_args *a, struct service *s, struct err *e)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0) {
        return err_errno(e, errno, "cannot wait for signals");
    }
    for (;;) {
        struct signalfd_siginfo info;
        ssize_t n = read(fd, &info, sizeof info);
        if (n == (ssize_t)sizeof info && info.ssi_signo == SIGHUP) {
            reload(a, s);
        } else if (n == (ssize_t)sizeof info || (n < 0 && errno != EINTR)) {
            break;
        }
    }
    (void)close(fd);
    /* From here a second signal has its default action and ends the process at once: everything
     * acknowledged is in the journal. */
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    return true;
}

static int serve(const struct command_args *a, struct server_setup *setup, const char *path)
{
    struct service *s = NULL;
    struct err e = {0};
    enum service_trouble trouble;
    server_signals_block();
    if (!server_run_start(&s, setup, path, a, &trouble)) {
        return EXIT_FAILED;
    }
    char url[128];
    server_run_url(s, url, sizeof url);
    log_line(a->log, LOG_INFO, "server", "listening on %s, farol %s", url, server_version);
    const char *port_file = command_value(a, "port-file");
    bool ok = !port_file || write_port(a, s, port_file, &e);
    if (ok) {
        server_notify("READY=1");
        mem_code_cool();
        ok = wait_signals(a, s, &e);
    }
    int code = ok ? EXIT_OK : server_fail(a, &e, EXIT_FAILED);
    server_notify("STOPPING=1");
    log_line(a->log, LOG_INFO, "server", "stopping; another signal stops at once");
    server_service_stop(s);
    log_line(a->log, LOG_INFO, "server", "stopped");
    return code;
}

static int run_run(const struct command_args *a)
{
    struct server_setup setup = {0};
    const char *path = command_value(a, "config");
    int code = server_setup_file(&setup, a, path);
    if (code == EXIT_OK) {
        code =
            server_setup_override(&setup, a, command_value(a, "listen"), command_value(a, "data"));
    }
    if (code == EXIT_OK) {
        if (!command_flag(a, "quiet") && !command_flag(a, "verbose")) {
            a->log->level = setup.config->server.level;
        }
        code = serve(a, &setup, path);
    }
    server_setup_release(&setup);
    return code;
}

const struct command command_run = {
    .name = "run",
    .summary = {"o servidor: recebe eventos, guarda, mede e responde",
                "the server: takes events, keeps, measures and answers"},
    .about = {"Sem -c, roda com os valores padrão: escuta em 127.0.0.1:9480 e guarda em "
              "./farol-data. O log vai para a "
              "saída de erros; com systemd, use Type=notify.\n\n"
              "SIGHUP ou POST /-/reload leem o arquivo de novo; um arquivo inválido não muda nada. "
              "SIGTERM ou Ctrl-C "
              "param depois de responder o que já chegou; o segundo sinal para na hora, sem perder "
              "o que foi "
              "confirmado.",
              "Without -c it runs with the defaults: it listens on 127.0.0.1:9480 and keeps its "
              "data in ./farol-data. "
              "The log goes to standard error; with systemd, use Type=notify.\n\n"
              "SIGHUP or POST /-/reload read the file again; an invalid file changes nothing. "
              "SIGTERM or Ctrl-C stop "
              "after answering what has arrived; the second signal stops at once, without losing "
              "anything "
              "acknowledged."},
    .examples = {"  farol run                          # valores padrão\n"
                 "  farol run -c /etc/farol/farol.yml\n"
                 "  curl http://127.0.0.1:9480/metrics",
                 "  farol run                          # defaults\n"
                 "  farol run -c /etc/farol/farol.yml\n"
                 "  curl http://127.0.0.1:9480/metrics"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_run,
};
