/* farol demo: the server in this process, the simulator as a child, the board in front. Everything
 * is real but the traffic: events come in over HTTP, are journalled, counted and judged as any
 * bank's would be. */
#include "server/child_int.h"
#include "server/client_int.h"
#include "server/commands_int.h"
#include "server/run_int.h"
#include "server/text_int.h"
#include "server/top_int.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INTRO_PAUSE_MS 4000
#define DEMO_PORT      9480
#define DEMO_FAULT     "redis@60s+end"
#define TREE_FDS       8

static const struct command_option options[] = {
    {"for", 0, "DURATION", NULL, {"termina depois desse tempo", "end after this long"}},
    {"incident",
     'i',
     "NAME",
     "redis|none",
     {"o que dá errado (padrão: redis)", "what goes wrong (default: redis)"}},
    {"port",
     'p',
     "N",
     NULL,
     {"porta (padrão: 9480, ou uma livre)", "port (default: 9480, or a free one)"}},
    {"data",
     'd',
     "DIR",
     NULL,
     {"guarda os dados em DIR em vez de uma pasta temporária",
      "keep the data in DIR instead of a temporary folder"}},
};

/* Flagged means stopped: a second factor (step_up) is not a hold. The objective lies between what
 * the preset reaches (about 82 % of judged cases) and what the incident leaves of it, so that
 * precision becomes an alarm when, and only when, its whole interval is below. The defaults are of
 * the features that the simulator keeps in the store that fails (sim/people.c), so that "fell to
 * its default" can be told from "has a value". */
static const char demo_config[] = "server:\n"
                                  "  tick: 250ms\n"
                                  "storage:\n"
                                  "  checkpoint: 30s\n"
                                  "model:\n"
                                  "  segments: [form, direction]\n"
                                  "  positive: [hold, deny, cautelar_block]\n"
                                  "  objectives: {precision: 0.75}\n"
                                  "  defaults:\n"
                                  "    amount_vs_p95: -1\n"
                                  "    payee_age_days: -1\n"
                                  "    payee_known_days: -1\n"
                                  "    payer_tx_1h: -1\n"
                                  "    payer_amount_24h_brl: -1\n"
                                  "    payee_payers_1h: -1\n"
                                  "    payee_out_ratio_5m: -1\n"
                                  "    device_age_days: -1\n"
                                  "    device_payers: -1\n"
                                  "    payer_gap_seconds: -1\n";

struct demo {
    const struct command_args *a;
    struct server_setup setup;
    struct service *service;
    struct child sim;
    char dir[PATH_BYTES_MAX], data[PATH_BYTES_MAX], sim_log[PATH_BYTES_MAX],
        own_log[PATH_BYTES_MAX];
    char url[128];
    uint16_t port;
    int64_t for_ms;
    bool temporary; /* dir is ours to remove */
    bool redis, sim_ended;
    int log_fd; /* the log while the board has the screen; -1 */
};

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status;
    (void)kind;
    (void)at;
    return remove(path);
}

static bool make_dir(struct demo *d, struct err *e)
{
    const char *given = command_value(d->a, "data");
    const char *base = getenv("TMPDIR");
    int n = given ? snprintf(d->dir, sizeof d->dir, "%s", given)
                  : snprintf(d->dir, sizeof d->dir, "%s/farol-demo-XXXXXX",
                             base && base[0] ? base : "/tmp");
    if (n <= 0 || (size_t)n >= sizeof d->dir) {
        return err_set(e, ERR_INPUT, "the folder's name is too long");
    }
    if (given) {
        if (!dir_make(d->a->os, d->dir, e)) {
            return false;
        }
    } else if (!mkdtemp(d->dir)) {
        return err_errno(e, errno, "cannot make the folder '%s'", d->dir);
    }
    d->temporary = !given;
    return path_join(d->data, sizeof d->data, d->dir, "data", e) &&
           path_join(d->sim_log, sizeof d->sim_log, d->dir, "sim.log", e) &&
           path_join(d->own_log, sizeof d->own_log, d->dir, "farol.log", e);
}

/* On the asked port, or 9480, or any free one. */
static bool start_server(struct demo *d)
{
    d->setup.config->server.port = d->port;
    enum service_trouble trouble;
    struct err e = {0};
    if (!server_service_start(&d->service, d->setup.config, NULL, d->a->os, d->a->log, &trouble,
                              &e)) {
        if (trouble != TROUBLE_PORT || command_value(d->a, "port")) {
            server_run_advise(d->a, &d->setup, trouble, &e);
            return false;
        }
        TELL(d->a->lang, DEMO_PORT, STR(""));
        d->setup.config->server.port = 0;
        if (!server_run_start(&d->service, &d->setup, NULL, d->a, &trouble)) {
            return false;
        }
    }
    server_run_url(d->service, d->url, sizeof d->url);
    return true;
}

static bool start_sim(struct demo *d, struct err *e)
{
    const char *const argv[] = {
        "farol",    "sim", "--url", d->url, "--preset", "demo", d->redis ? "--fault" : NULL,
        DEMO_FAULT, NULL};
    return server_child_start(&d->sim, argv, d->sim_log, e);
}

static bool sim_alive(void *ctx)
{
    struct demo *d = ctx;
    if (server_child_alive(&d->sim)) {
        return true;
    }
    d->sim_ended = true;
    return false;
}

static int say_intro(struct demo *d)
{
    struct mem mem;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&out, &mem, 1U << 16);
    SAY(&out, d->a->lang, DEMO_INTRO, str_from_c(d->url), str_from_c(d->dir));
    buf_str_add(&out,
                str_from_c(server_text(d->a->lang, d->redis ? TEXT_DEMO_REDIS : TEXT_DEMO_CALM)));
    buf_str_add(&out, str_from_c(server_text(d->a->lang, TEXT_DEMO_STOP)));
    return server_put(d->a, &out);
}

/* The log may not write over the board: it goes to a file while the board is up. */
static void log_to_file(struct demo *d)
{
    d->log_fd = open(d->own_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (d->log_fd >= 0) {
        d->a->log->fd = d->log_fd;
    }
}

static int show(struct demo *d)
{
    struct server_top top = {.url = d->url,
                             .interval_ms = MS_PER_S,
                             .plain = command_flag(d->a, "plain"),
                             .screen = d->a->tty,
                             .lines = !d->a->tty,
                             .alive = sim_alive,
                             .ctx = d};
    top.end_mono_ns = d->for_ms > 0 ? os_mono_ns(d->a->os) + ns_from_ms(d->for_ms) : 0;
    int code = say_intro(d);
    if (code == EXIT_OK && d->a->tty) {
        d->a->os->sleep_ns(d->a->os->ctx, ns_from_ms(INTRO_PAUSE_MS));
    }
    return code == EXIT_OK ? server_top_run(d->a, &top) : code;
}

static int perform(struct demo *d)
{
    struct err e = {0};
    int code =
        server_setup_text(&d->setup, d->a, str_of(demo_config, sizeof demo_config - 1), "demo");
    if (code == EXIT_OK) {
        code = server_setup_override(&d->setup, d->a, NULL, d->data);
    }
    if (code != EXIT_OK) {
        return code;
    }
    if (!command_flag(d->a, "verbose")) {
        d->a->log->level = LOG_WARN;
    }
    if (d->a->tty) {
        log_to_file(d);
    }
    server_signals_block();
    if (!start_server(d)) {
        return EXIT_FAILED;
    }
    if (!start_sim(d, &e)) {
        code = server_fail(d->a, &e, EXIT_FAILED);
    } else {
        code = show(d);
        server_child_stop(&d->sim);
    }
    if (d->sim_ended && d->sim.code != 0) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", d->sim.code);
        TELL(d->a->lang, DEMO_SIM_ENDED, str_from_c(text));
        code = EXIT_FAILED;
    }
    server_service_stop(d->service);
    return code;
}

static int run_demo(const struct command_args *a)
{
    const char *incident = command_value(a, "incident");
    struct demo d = {.a = a, .log_fd = -1};
    struct err e = {0};
    d.redis = !incident || str_eq(str_from_c(incident), STR("redis"));
    uint64_t port = 0;
    if (!server_number_option(a, "port", 0, UINT16_MAX, DEMO_PORT, &port) ||
        !server_duration_option(a, "for", 0, &d.for_ms)) {
        return EXIT_USAGE;
    }
    d.port = (uint16_t)port;
    if (!make_dir(&d, &e)) {
        return server_fail(a, &e, EXIT_FAILED);
    }
    int code = perform(&d);
    server_setup_release(&d.setup);
    if (d.log_fd >= 0) {
        a->log->fd = STDERR_FILENO;
        (void)close(d.log_fd);
    }
    if (d.temporary && !d.sim_ended) {
        (void)nftw(d.dir, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS);
    }
    if (code == EXIT_OK) {
        (void)fputs(server_text(a->lang, TEXT_DEMO_END), stderr);
    }
    return code;
}

const struct command command_demo = {
    .name = "demo",
    .summary = {"tudo de uma vez, com um pipeline do Pix simulado",
                "everything at once, with a simulated Pix pipeline"},
    .about = {"Começa o servidor, um simulador do pipeline e o painel, com dados numa pasta "
              "temporária que some no fim. "
              "Depois de um minuto acontece o incidente: um deploy enche uma partição do Redis, "
              "variáveis caem no valor "
              "padrão, as retenções sobem e a precisão cai, com a latência sempre verde.\n\n"
              "Sem terminal na saída, escreve uma linha quando o estado muda e a cada 15 s.",
              "Starts the server, a simulator of the pipeline and the board, with data in a "
              "temporary folder that is gone "
              "at the end. After a minute the incident happens: a deploy fills a Redis shard, "
              "features fall to their "
              "defaults, holds rise and precision falls, with latency green all along.\n\n"
              "When the output is not a terminal, a line is written when the state changes and "
              "every 15 s."},
    .examples = {"  farol demo                           # com o incidente\n"
                 "  farol demo --incident none           # sem ele\n"
                 "  farol demo --for 3m > demo.txt       # sem painel, para um script",
                 "  farol demo                           # with the incident\n"
                 "  farol demo --incident none           # without it\n"
                 "  farol demo --for 3m > demo.txt       # without the board, for a script"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_demo,
};
