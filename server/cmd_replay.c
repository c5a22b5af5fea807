/* farol replay: sends files of events to a running farol, as fast as it takes them or paced by
 * event time.
 *
 * The sending is ingest/ndjson's; here are the options, the progress line on a terminal, the
 * summary and the exit code. Data goes to standard output (the summary), everything else to
 * standard error. */
#include "base/base.h"
#include "base/clock.h"
#include "base/num.h"
#include "ingest/ndjson/ndjson.h"
#include "server/client_int.h"
#include "server/commands_int.h"
#include "server/text_int.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define BATCH_LINES_DEFAULT 5000
#define BATCH_LINES_MAX     100000
#define RETRY_MS_DEFAULT    60000
#define SPEED_MAX           1e6
#define TEXT_BYTES_MAX      (64 * 1024)
#define QUIET_NS            (500 * NS_PER_MS) /* shorter runs show no progress line */
#define DRAW_NS             (100 * NS_PER_MS)
#define BAR_CELLS           24

static const struct command_option options[] = {
    {"speed",
     's',
     "FACTOR",
     NULL,
     {"ritmo pelo tempo dos eventos: 1x, 60x (uma hora em um minuto) ou max (padrão)",
      "pace by the time of the events: 1x, 60x (an hour in a minute) or max (default)"}},
    {"batch-lines",
     'b',
     "N",
     NULL,
     {"linhas por envio (padrão 5000)", "lines of one request (default 5000)"}},
    {"retry",
     0,
     "DURATION",
     NULL,
     {"por quanto tempo insistir num envio sem resposta (padrão 60s)",
      "how long to try a request again that got no answer (default 60s)"}},
    {"time-field",
     0,
     "NAME",
     NULL,
     {"campo com o tempo do evento, para --speed (padrão ts, senão end_ts)",
      "field with the time of the event, for --speed (default ts, else end_ts)"}},
    {"output", 'o', "FORMAT", "text|json", {"formato do resumo", "format of the summary"}},
};

/* thread: the command's. */
struct replay {
    const struct command_args *args;
    const struct ndjson_sent *sent;
    uint64_t total_bytes; /* of all files, 0 = not known */
    int64_t start_ns, drawn_ns;
    bool bar, drawn;
    struct mem mem;
};

static const char *pick(const struct replay *r, const char *pt, const char *en)
{
    return r->args->lang == LANG_PT ? pt : en;
}

static double seconds_since(const struct replay *r)
{
    return s_from_ns(os_mono_ns(r->args->os) - r->start_ns);
}

static void wipe(struct replay *r)
{
    if (r->drawn) {
        (void)fputs("\r\033[K", stderr);
        r->drawn = false;
    }
}

static void bar_text(const struct replay *r, double share, struct buf *out)
{
    int full = (int)(share * BAR_CELLS);
    buf_char(out, '[');
    for (int i = 0; i < BAR_CELLS; i++) {
        buf_char(out, i < full ? '#' : '.');
    }
    BUF_LIT(out, "] ");
    num_percent(out, r->args->lang, share, 0);
    BUF_LIT(out, "  ");
}

/* "[######......] 52%  1,2 mi linhas  210 mil/s  faltam 5 s" */
static void draw(void *ctx, const struct ndjson_sent *sent)
{
    struct replay *r = ctx;
    enum lang lang = r->args->lang;
    double seconds = seconds_since(r);
    int64_t now_ns = os_mono_ns(r->args->os);
    if (!r->bar || now_ns - r->start_ns < QUIET_NS || now_ns - r->drawn_ns < DRAW_NS) {
        return;
    }
    r->drawn_ns = now_ns;
    struct buf out;
    buf_init(&out, &r->mem, 1024);
    BUF_LIT(&out, "\r");
    double share = 0;
    if (r->total_bytes > 0) {
        share = (double)sent->file_bytes / (double)r->total_bytes;
        share = share > 1 ? 1 : share; /* a file that grows meanwhile */
        bar_text(r, share, &out);
    }
    num_short(&out, lang, (double)sent->lines);
    buf_str_add(&out, str_from_c(pick(r, " linhas  ", " lines  ")));
    num_short(&out, lang, (double)sent->lines / seconds);
    BUF_LIT(&out, "/s");
    if (sent->waiting != NULL) {
        bool busy = str_eq(str_from_c(sent->waiting), STR("busy"));
        buf_str_add(&out, str_from_c(busy ? pick(r, "  farol ocupado, esperando",
                                                 "  farol is busy, waiting")
                                          : pick(r, "  sem conexão, tentando de novo",
                                                 "  no connection, trying again")));
    } else if (share > 0 && share < 1) {
        buf_str_add(&out, str_from_c(pick(r, "  faltam ", "  left ")));
        num_span(&out, (int64_t)(seconds * (1 - share) / share) + 1);
    }
    BUF_LIT(&out, "\033[K");
    if (!out.failed) {
        (void)fwrite(out.p, 1, out.n, stderr);
        (void)fflush(stderr);
        r->drawn = true;
    }
    buf_release(&out);
}

/* Bytes of all files together; 0 when one has no size (standard input, a pipe) or cannot be opened.
 * */
static uint64_t total_bytes(const struct command_args *a)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < a->operands_count; i++) {
        int fd;
        uint64_t bytes = 0;
        if (str_eq(str_from_c(a->operands[i]), STR("-")) ||
            a->os->open(a->os->ctx, a->operands[i], OS_READ, &fd) != 0) {
            return 0;
        }
        int rc = a->os->size(a->os->ctx, fd, &bytes);
        a->os->close(a->os->ctx, fd);
        if (rc != 0 || bytes == 0) {
            return 0;
        }
        total += bytes;
    }
    return total;
}

/* "max" is 0; "60x", "60", "0.5x". */
static bool speed_parse(struct str text, double *out)
{
    if (str_eq(text, STR("max"))) {
        *out = 0;
        return true;
    }
    if (str_ends(text, STR("x"))) {
        text.n--;
    }
    return str_to_f64(text, out) && *out > 0 && *out <= SPEED_MAX;
}

static bool read_options(const struct command_args *a, struct ndjson_sender_config *c)
{
    uint64_t batch_lines = 0;
    const char *speed = command_value(a, "speed");
    if (speed != NULL && !speed_parse(str_from_c(speed), &c->speed)) {
        TELL(a->lang, BAD_NUMBER, STR("speed"), STR("1x, 60x, max"),
             str_sub(str_from_c(speed), 0, 40));
        return false;
    }
    if (!server_number_option(a, "batch-lines", 1, BATCH_LINES_MAX, BATCH_LINES_DEFAULT,
                              &batch_lines) ||
        !server_duration_option(a, "retry", RETRY_MS_DEFAULT, &c->retry_ms)) {
        return false;
    }
    c->batch_lines_max = (uint32_t)batch_lines;
    c->time_field = command_value(a, "time-field");
    c->os = a->os;
    c->url = a->url;
    return true;
}

static void summary_json(const struct replay *r, double seconds, struct buf *out)
{
    const struct ndjson_sent *s = r->sent;
    buf_fmt(out,
            "{\"accepted\":%llu,\"rejected\":%llu,\"batches\":%llu,\"retries\":%llu,\"seconds\":",
            (unsigned long long)s->accepted, (unsigned long long)s->rejected,
            (unsigned long long)s->batches, (unsigned long long)s->retries);
    buf_json_f64(out, round(seconds * 1000) / 1000);
    BUF_LIT(out, ",\"events_per_s\":");
    buf_json_f64(out, seconds > 0 ? round((double)s->accepted / seconds) : 0);
    BUF_LIT(out, ",\"errors\":[");
    for (uint32_t i = 0; i < s->errors_count; i++) {
        const struct ndjson_sent_error *e = &s->errors[i];
        buf_str_add(out, i > 0 ? STR(",") : STR(""));
        BUF_LIT(out, "{\"file\":");
        buf_json_str(out, str_from_c(e->path));
        buf_fmt(out, ",\"line\":%llu,\"column\":%u,\"message\":", (unsigned long long)e->line,
                e->col);
        buf_json_str(out, str_from_c(e->msg));
        buf_char(out, '}');
    }
    BUF_LIT(out, "]}\n");
}

static void summary_text(const struct replay *r, double seconds, struct buf *out)
{
    enum lang lang = r->args->lang;
    const struct ndjson_sent *s = r->sent;
    num_u64(out, lang, s->accepted);
    buf_str_add(out, str_from_c(pick(r, " aceitos, ", " accepted, ")));
    num_u64(out, lang, s->rejected);
    buf_str_add(out, str_from_c(pick(r, " rejeitados, ", " rejected, ")));
    num_f64(out, lang, seconds, seconds < 100 ? 2 : 0);
    BUF_LIT(out, " s, ");
    num_u64(out, lang, seconds > 0 ? (uint64_t)((double)s->accepted / seconds) : 0);
    buf_str_add(out, str_from_c(pick(r, " eventos/s\n", " events/s\n")));
}

/* FILE:LINE:COL: message, as compilers and editors have it. */
static void show_errors(const struct replay *r)
{
    const struct ndjson_sent *s = r->sent;
    for (uint32_t i = 0; i < s->errors_count; i++) {
        const struct ndjson_sent_error *e = &s->errors[i];
        (void)fprintf(stderr, "%s:%llu:%u: %s\n", e->path, (unsigned long long)e->line, e->col,
                      e->msg);
    }
    if (s->rejected > s->errors_count) {
        (void)fprintf(stderr, "%s %llu\n", pick(r, "... e mais", "... and more:"),
                      (unsigned long long)(s->rejected - s->errors_count));
    }
}

static int finish(struct replay *r, int code)
{
    const char *format = command_value(r->args, "output");
    double seconds = seconds_since(r);
    struct buf out;
    wipe(r);
    buf_init(&out, &r->mem, TEXT_BYTES_MAX);
    if (format != NULL && str_eq(str_from_c(format), STR("json"))) {
        summary_json(r, seconds, &out);
    } else {
        show_errors(r);
        summary_text(r, seconds, &out);
    }
    int put = server_put(r->args, &out);
    return code != EXIT_OK ? code : r->sent->rejected > 0 ? EXIT_FAILED : put;
}

static int run_replay(const struct command_args *a)
{
    struct replay r = {.args = a};
    struct ndjson_sender_config c = {.progress = draw, .progress_ctx = &r};
    struct ndjson_sender *s = NULL;
    struct err e = {0};
    int code = EXIT_OK;
    if (!read_options(a, &c)) {
        return EXIT_USAGE;
    }
    mem_init(&r.mem, 0);
    r.bar = isatty(STDERR_FILENO) == 1 && !command_flag(a, "quiet") && !command_flag(a, "plain");
    r.total_bytes = total_bytes(a);
    r.start_ns = os_mono_ns(a->os);
    if (!ndjson_sender_new(&c, &r.mem, &s, &e)) {
        return server_fail(a, &e, e.code == ERR_INPUT ? EXIT_USAGE : EXIT_FAILED);
    }
    r.sent = ndjson_sender_sent(s);
    for (uint32_t i = 0; i < a->operands_count && code == EXIT_OK; i++) {
        if (ndjson_send_file(s, a->operands[i], &e)) {
            continue;
        }
        wipe(&r);
        code = e.code == ERR_BUSY ? EXIT_NO_CONNECTION : EXIT_FAILED;
        if (code == EXIT_NO_CONNECTION) {
            TELL(a->lang, CANNOT_CONNECT, str_from_c(a->url), str_from_c(e.msg));
        } else {
            (void)server_fail(a, &e, code);
        }
    }
    if (code == EXIT_OK || r.sent->batches > 0) {
        code = finish(&r, code);
    }
    ndjson_sender_free(s);
    ASSERT(r.mem.bytes == 0);
    return code;
}

const struct command command_replay = {
    .name = "replay",
    .operands = "FILE...",
    .summary = {"envia arquivos de eventos a um farol", "send files of events to a farol"},
    .about =
        {"Lê arquivos NDJSON (puros, .gz ou .zst; - é a entrada padrão) e os envia em lotes ao "
         "farol de "
         "--url, na ordem dada. Sem --speed, tão rápido quanto ele aceita; com --speed 60x, uma "
         "hora de "
         "eventos passa em um minuto.\n\n"
         "Um lote sem resposta é enviado de novo: eventos repetidos são reconhecidos pelo id. "
         "Linhas recusadas aparecem como ARQUIVO:LINHA:COLUNA. Saída: 0 tudo aceito, 1 algo "
         "recusado, "
         "5 sem conexão.",
         "Reads NDJSON files (plain, .gz or .zst; - is standard input) and sends them in batches "
         "to the "
         "farol at --url, in the order given. Without --speed as fast as it takes them; with "
         "--speed "
         "60x an hour of events passes in a minute.\n\n"
         "A batch without an answer is sent again: repeated events are known by their id. Refused "
         "lines are shown as FILE:LINE:COLUMN. Exit: 0 all accepted, 1 something refused, 5 cannot "
         "connect."},
    .examples = {"  farol replay decisoes.ndjson.zst rotulos.ndjson.zst\n"
                 "  farol replay --speed 60x ontem.ndjson.gz\n"
                 "  kcat -C -t decisoes | farol replay -",
                 "  farol replay decisions.ndjson.zst labels.ndjson.zst\n"
                 "  farol replay --speed 60x yesterday.ndjson.gz\n"
                 "  kcat -C -t decisions | farol replay -"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_replay,
};
