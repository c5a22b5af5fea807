/* The command `farol sim`: reads flags and configuration, pulls lines out of the simulator at the
 * wanted speed and hands them to send.c, then writes the truth.
 *
 * Pacing maps simulated to monotonic time by one factor from the begin of the run; it delays lines
 * and changes none. Ctrl-C ends a run in order: the batch is sent, the truth is written. */
#include "base/clock.h"
#include "base/command.h"
#include "base/file.h"
#include "sim/send_int.h"
#include "sim/sim.h"
#include "sim/tell_int.h"

#include <pthread.h>
#include <signal.h>

#define CONFIG_BYTES_MAX (1U << 20)
#define ARENA_BYTES_MAX  (16U << 20)
#define FILE_BEGIN       "2026-03-02T00:00:00Z"

extern const struct command command_sim;

static const struct command_option options[] = {
    {"from",
     0,
     "TIME",
     NULL,
     {"início simulado (RFC 3339 ou now); sem ela: now, em arquivo " FILE_BEGIN,
      "simulated begin (RFC 3339 or now); without it: now, to a file " FILE_BEGIN}},
    {"duration",
     'd',
     "TIME",
     NULL,
     {"tempo simulado (10m, 24h); sem ela: 1h em arquivo, até Ctrl-C ao vivo",
      "simulated time (10m, 24h); without it: 1h to a file, until Ctrl-C live"}},
    {"count", 0, "N", NULL, {"para depois de N transações", "stop after N transactions"}},
    {"speed",
     0,
     "N",
     NULL,
     {"1x tempo real, 60x, max; sem ela: 1x para --url, max em arquivo",
      "1x real time, 60x, max; without it: 1x to --url, max to a file"}},
    {"seed", 's', "N", NULL, {"semente; sem ela: 1", "seed; without it: 1"}},
    {"rate",
     'r',
     "N",
     NULL,
     {"transações por segundo, em média", "transactions per second, on average"}},
    {"out",
     'o',
     "FILE",
     NULL,
     {"escreve NDJSON num arquivo (- = saída padrão) em vez de enviar a --url",
      "write NDJSON to a file (- = standard output) instead of sending to --url"}},
    {"truth",
     0,
     "FILE",
     NULL,
     {"escreve o que foi injetado, em JSON", "write what was injected, as JSON"}},
    {"fault",
     'f',
     "SPEC",
     NULL,
     {"injeta uma falha: NOME ou número[:chave=valor,...][@INÍCIO+DURAÇÃO]; repetível",
      "inject a fault: NAME or number[:key=value,...][@START+LENGTH]; repeatable"}},
    {"config", 'c', "FILE", NULL, {"parâmetros em YAML", "parameters as YAML"}},
    {"preset", 0, "NAME", "demo", {"conjunto pronto de parâmetros", "a ready set of parameters"}},
    {"labels",
     0,
     "WHICH",
     "all|window",
     {"rótulos além do fim: all emite, window descarta; sem ela: all em arquivo",
      "labels after the end: all emits, window drops them; without it: all to a file"}},
    {"retry-for",
     0,
     "TIME",
     NULL,
     {"insiste com a porta fora do ar por até (5m)", "keep trying a closed door for up to (5m)"}},
    {"summary",
     0,
     "FORMAT",
     "text|json",
     {"resumo ao fim: uma frase na saída de erro (text) ou JSON na saída padrão",
      "summary at the end: a sentence on standard error (text) or JSON on standard output"}},
    {"list-faults", 0, NULL, NULL, {"lista as falhas", "list the faults"}},
    {"list-features",
     0,
     NULL,
     NULL,
     {"lista as variáveis das decisões", "list the features of decisions"}},
    {"print-config",
     0,
     NULL,
     NULL,
     {"mostra os parâmetros com seus valores", "print the parameters and their defaults"}},
};

struct job {
    const struct command_args *args;
    struct mem mem;
    struct arena arena;
    struct sim_config config;
    struct sim_fault faults[SIM_FAULTS_MAX];
    struct sim_run run;
    struct sim_send send;
    const char *out, *truth;
    double speed; /* 0 = max */
};

static void print(const struct command_args *a, struct buf *b)
{
    struct err e = {0};
    if (!file_write_all(a->os, 1, buf_str(b), "standard output", &e)) {
        sim_tell_err(a->os, &e);
    }
}

static void list_faults(const struct command_args *a, struct buf *b)
{
    buf_fmt(b, "%-15s %2s  %s\n", a->lang == LANG_PT ? "falha" : "fault", "n",
            a->lang == LANG_PT ? "padrão e efeito" : "default and effect");
    for (int i = 0; i < SIM_FAULT_KINDS; i++) {
        const struct sim_fault_info *f = sim_fault_info((enum sim_fault_id)i);
        buf_fmt(b, "%-15s %2d  %s\n                    %s\n                    %s\n", f->name,
                f->number, f->defaults, f->help[a->lang], f->help[!a->lang]);
    }
    BUF_LIT(b, "\n");
    buf_fmt(b, "%s\n",
            a->lang == LANG_PT ? "n: número no catálogo de falhas (0 = fora dele)"
                               : "n: number in the failure catalogue (0 = not in it)");
}

static void list_features(struct buf *b)
{
    uint32_t n = 0;
    const struct sim_feature_info *f = sim_features(&n);
    for (uint32_t i = 0; i < n; i++) {
        const char *kind = f[i].kind == FEATURE_NUMBER     ? "number"
                           : f[i].kind == FEATURE_CATEGORY ? "category"
                                                           : "bool";
        buf_fmt(b, "%-22s %-9s %s\n", f[i].name, kind, f[i].help);
    }
}

/* true when the command was one of the listings, and is done. */
static bool lists(const struct command_args *a, struct mem *m)
{
    struct buf b;
    buf_init(&b, m, 1U << 20);
    bool faults = command_flag(a, "list-faults"), features = command_flag(a, "list-features");
    bool config = command_flag(a, "print-config");
    if (faults) {
        list_faults(a, &b);
    } else if (features) {
        list_features(&b);
    } else if (config) {
        sim_config_print(&b);
    }
    if (b.n > 0) {
        print(a, &b);
    }
    buf_release(&b);
    return faults || features || config;
}

/* The configuration's error with its line and a caret, on standard error. */
static void config_error(struct job *j, struct err *e, struct str text)
{
    struct buf b;
    struct err ignored = {0};
    buf_init(&b, &j->mem, 1U << 16);
    conf_err_show(e, text, &b);
    if (!file_write_all(j->args->os, 2, buf_str(&b), "standard error", &ignored)) {
        sim_tell_err(j->args->os, e);
    }
    buf_release(&b);
}

static bool config_load(struct job *j, struct err *e)
{
    const char *path = command_value(j->args, "config");
    const char *preset = command_value(j->args, "preset");
    struct buf b;
    buf_init(&b, &j->mem, CONFIG_BYTES_MAX);
    struct str text = preset ? sim_preset(str_from_c(preset)) : str_of(NULL, 0);
    if (path && preset) {
        return err_set(e, ERR_INPUT, "--config and --preset exclude each other");
    }
    if (path) {
        if (!file_read(j->args->os, path, &b, e)) {
            buf_release(&b);
            return false;
        }
        text = arena_str(&j->arena, buf_str(&b));
        buf_release(&b);
    }
    if (!sim_config_read(text, path ? path : "preset", &j->arena, &j->config, e)) {
        config_error(j, e, text);
        return false;
    }
    return true;
}

static bool number_read(const struct command_args *a, const char *name, double lo, double hi,
                        double *out, struct err *e)
{
    const char *v = command_value(a, name);
    double x = 0;
    if (!v) {
        return true;
    }
    if (!str_to_f64(str_from_c(v), &x) || x < lo || x > hi) {
        return err_set(e, ERR_INPUT, "--%s: expected a number from %g to %g, found '%s'", name, lo,
                       hi, v);
    }
    *out = x;
    return true;
}

static bool count_read(const struct command_args *a, const char *name, uint64_t *out, struct err *e)
{
    const char *v = command_value(a, name);
    return !v || str_to_u64(str_from_c(v), out) ||
           err_set(e, ERR_INPUT, "--%s: expected a whole number, found '%s'", name, v);
}

static bool duration_read(const struct command_args *a, const char *name, int64_t *out_ns,
                          struct err *e)
{
    const char *v = command_value(a, name);
    int64_t ms = 0;
    if (!v) {
        return true;
    }
    if (!str_to_duration_ms(str_from_c(v), &ms) || ms <= 0 || ms > 3660 * MS_PER_DAY) {
        return err_set(e, ERR_INPUT, "--%s: expected a time like 10m or 24h, found '%s'", name, v);
    }
    *out_ns = ns_from_ms(ms);
    return true;
}

static bool speed_read(struct job *j, struct err *e)
{
    const char *v = command_value(j->args, "speed");
    j->speed = j->out ? 0 : 1;
    if (!v) {
        return true;
    }
    struct str s = str_from_c(v);
    if (str_eq(s, STR("max"))) {
        j->speed = 0;
        return true;
    }
    s.n -= s.n > 0 && s.p[s.n - 1] == 'x';
    if (!str_to_f64(s, &j->speed) || j->speed < 0.001 || j->speed > 1e6) {
        return err_set(e, ERR_INPUT, "--speed: expected max or a factor like 60x, found '%s'", v);
    }
    return true;
}

static bool from_read(struct job *j, struct err *e)
{
    const char *v = command_value(j->args, "from");
    if (!v) {
        v = j->out ? FILE_BEGIN : "now";
    }
    if (strcmp(v, "now") == 0) {
        j->run.from_ns = os_now_ns(j->args->os);
        return true;
    }
    return time_parse(str_from_c(v), &j->run.from_ns) ||
           err_set(e, ERR_INPUT, "--from: expected RFC 3339 or now, found '%s'", v);
}

static bool faults_read(struct job *j, struct err *e)
{
    for (uint32_t i = 0; i < j->args->options_count; i++) {
        if (strcmp(j->args->options[i].option->name, "fault") != 0) {
            continue;
        }
        if (j->run.faults_count == SIM_FAULTS_MAX) {
            return err_set(e, ERR_LIMIT, "at most %d faults", SIM_FAULTS_MAX);
        }
        const char *spec = j->args->options[i].value;
        e->where = spec;
        if (!sim_fault_parse(str_from_c(spec), &j->faults[j->run.faults_count], e)) {
            return false;
        }
        e->where = NULL;
        j->run.faults_count++;
    }
    j->run.faults = j->faults;
    return true;
}

static bool job_read(struct job *j, struct err *e)
{
    const struct command_args *a = j->args;
    const char *labels = command_value(a, "labels");
    j->out = command_value(a, "out");
    j->truth = command_value(a, "truth");
    const char *summary = command_value(a, "summary");
    if (summary && strcmp(summary, "json") == 0 && j->out && strcmp(j->out, "-") == 0) {
        return err_set(e, ERR_INPUT, "--summary json and --out - exclude each other");
    }
    j->run.seed = 1;
    j->run.duration_ns = j->out && !command_value(a, "count") ? 3600 * NS_PER_S : 0;
    j->run.labels_all = labels ? strcmp(labels, "all") == 0 : j->out != NULL;
    return number_read(a, "rate", 0.001, 1e6, &j->config.volume.rate, e) &&
           count_read(a, "seed", &j->run.seed, e) &&
           count_read(a, "count", &j->run.transactions_max, e) &&
           duration_read(a, "duration", &j->run.duration_ns, e) &&
           duration_read(a, "retry-for", &j->send.retry_ns, e) && speed_read(j, e) &&
           from_read(j, e) && faults_read(j, e);
}

static bool job_pump(struct job *j, struct sim *s, struct err *e)
{
    struct sim_send *d = &j->send;
    int64_t began = os_mono_ns(j->args->os), at = 0;
    uint32_t check = 0;
    /* Paced, a line is held here until its time: the batch ends before it. */
    struct buf line;
    buf_init(&line, &j->mem, 2 * SIM_LINE_BYTES_MAX);
    struct buf *to = j->speed > 0 ? &line : &d->batch;
    bool ok = true;
    while (ok && !((check++ & 1023) == 0 && sim_send_stop_asked(d)) && !d->stop) {
        if (!sim_next(s, to, &at, e)) {
            ok = e->code == ERR_NONE;
            break;
        }
        if (j->speed > 0) {
            double ahead = (double)(at - j->run.from_ns) / j->speed;
            ok = sim_send_wait(d, began + (int64_t)ahead, e);
            buf_str_add(&d->batch, buf_str(&line));
            buf_reset(&line);
        }
        ok = ok && sim_send_line_added(d, e);
    }
    buf_release(&line);
    return ok && sim_send_flush(d, e);
}

static bool truth_save(struct job *j, const struct sim *s, struct err *e)
{
    if (!j->truth) {
        return true;
    }
    struct buf b;
    buf_init(&b, &j->mem, (size_t)1 << 30);
    sim_truth_write(s, &b);
    bool ok = buf_ok(&b, e) && file_replace(j->args->os, j->truth, buf_str(&b), e);
    buf_release(&b);
    return ok;
}

/* The last line: a sentence on standard error, or an object on standard output for a script. */
static void summarise(struct job *j, const struct sim *s)
{
    const struct command_args *a = j->args;
    const struct sim_send *d = &j->send;
    const char *format = command_value(a, "summary");
    struct sim_summary summary = {sim_totals(s), d->sent, d->batches, d->resent,
                                  j->out ? j->out : a->url};
    struct err ignored = {0};
    struct buf b;
    buf_init(&b, &j->mem, 4096);
    if (format && strcmp(format, "json") == 0) {
        sim_summary_json(&summary, &b);
        print(a, &b);
    } else if (!command_flag(a, "quiet")) {
        sim_summary_text(&summary, a->lang, &b);
        (void)!file_write_all(a->os, 2, buf_str(&b), "standard error", &ignored);
    }
    buf_release(&b);
}

static bool job_run(struct job *j, struct err *e)
{
    struct sim *s = NULL;
    struct sim_send *d = &j->send;
    bool ok = j->out ? sim_send_open_file(d, j->out, e) : sim_send_open_url(d, j->args->url, e);
    d->paced = j->speed > 0;
    d->batch_lines = SIM_SEND_LINES_MAX;
    ok = ok && sim_new(&j->config, &j->run, &j->mem, &s, e) && job_pump(j, s, e);
    if (s) {
        struct err more = {0};
        summarise(j, s);
        if (!truth_save(j, s, &more) && ok) {
            ok = false;
            *e = more;
        }
    }
    sim_free(s);
    return ok;
}

static int exit_code(const struct err *e)
{
    return e->code == ERR_BUSY ? EXIT_NO_CONNECTION : EXIT_FAILED;
}

static int job_finish(struct job *j, bool ok, struct err *e)
{
    struct err more = {0};
    bool closed = sim_send_close(&j->send, &more);
    if (!ok || !closed) {
        sim_tell_err(j->args->os, ok ? &more : e);
    }
    arena_release(&j->arena);
    return !ok ? exit_code(e) : closed ? EXIT_OK : EXIT_FAILED;
}

static int run(const struct command_args *a)
{
    struct mem m;
    mem_init(&m, 0);
    if (lists(a, &m)) {
        return EXIT_OK;
    }
    struct job *j = mem_take(&m, sizeof *j);
    struct err e = {0};
    if (!j) {
        return EXIT_FAILED;
    }
    j->args = a;
    mem_init(&j->mem, 0);
    arena_init(&j->arena, &j->mem, ARENA_BYTES_MAX);
    sim_send_init(&j->send, a->os, &j->mem, a->lang);
    int code = EXIT_CONFIG;
    if (!config_load(j, &e)) {
        if (e.code != ERR_INPUT || e.line == 0) {
            sim_tell_err(a->os, &e);
        }
        (void)job_finish(j, true, &e);
    } else if (!job_read(j, &e)) {
        sim_tell_err(a->os, &e);
        (void)job_finish(j, true, &e);
        code = EXIT_USAGE;
    } else {
        sigset_t stop, before;
        sigemptyset(&stop);
        sigaddset(&stop, SIGINT);
        sigaddset(&stop, SIGTERM);
        j->send.signals_blocked = pthread_sigmask(SIG_BLOCK, &stop, &before) == 0;
        bool ok = job_run(j, &e);
        code = job_finish(j, ok, &e);
        if (j->send.signals_blocked) {
            (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        }
    }
    mem_give(&m, j, sizeof *j);
    return code;
}

const struct command command_sim = {
    .name = "sim",
    .summary = {"simula tráfego Pix, fraudes e falhas", "simulate Pix traffic, fraud and failures"},
    .about =
        {"Gera decisões, rótulos e eventos de etapa no esquema farol.pix/1 e os envia à porta "
         "de ingestão de um Farol, ou a um arquivo. A mesma semente, os mesmos parâmetros e "
         "as mesmas opções dão os mesmos bytes, em qualquer velocidade.",
         "Generates decisions, labels and stage events of schema farol.pix/1 and sends them to "
         "the ingest door of a Farol, or to a file. The same seed, parameters and options give "
         "the same bytes, at any speed."},
    .examples = {"  farol sim --preset demo --fault redis   # a noite do Redis, ao vivo\n"
                 "  farol sim -o dia.ndjson -d 24h -s 7 --truth dia.json\n"
                 "  farol sim -d 10m --fault 3:share=0.01,stage=act@2m+3m --truth t.json\n",
                 "  farol sim --preset demo --fault redis   # the night of the Redis shard, live\n"
                 "  farol sim -o day.ndjson -d 24h -s 7 --truth day.json\n"
                 "  farol sim -d 10m --fault 3:share=0.01,stage=act@2m+3m --truth t.json\n"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run,
};
