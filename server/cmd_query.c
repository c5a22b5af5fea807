/* farol query: a PromQL expression asked of a running farol (or of any Prometheus), as a table,
 * CSV, JSON, or lines drawn in the terminal; --explain: what the expression does instead. */
#include "base/clock.h"
#include "net/http_client.h"
#include "server/answer_int.h"
#include "server/client_int.h"
#include "server/commands_int.h"
#include "server/term_int.h"
#include "server/text_int.h"

#include <stdio.h>

#define TIMEOUT_MS     130000
#define URL_BYTES_MAX  512
#define FORM_BYTES_MAX (4U << 20)
#define TEXT_BYTES_MAX ((size_t)256 << 20)
#define ARENA_MAX      ((size_t)1 << 30)
#define POINTS_DRAWN   200
#define PLOT_ROWS      14

static const struct command_option options[] = {
    {"time",
     't',
     "TIME",
     NULL,
     {"instante da consulta ou fim do intervalo (RFC 3339 ou segundos Unix); agora, se ausente",
      "instant of the query or end of the range (RFC 3339 or Unix seconds); now when absent"}},
    {"range",
     'r',
     "DURATION",
     NULL,
     {"consulta o intervalo que termina no instante, por exemplo 1h",
      "query the range that ends at the instant, such as 1h"}},
    {"step",
     's',
     "DURATION",
     NULL,
     {"passo do intervalo; um para cada ponto do desenho, se ausente",
      "step of the range; one for each point of the plot when absent"}},
    {"output",
     'o',
     "FORMAT",
     "table|plot|csv|json",
     {"formato da saída: tabela, ou desenho quando há intervalo",
      "output format: table, or plot when there is a range"}},
    {"explain",
     'e',
     "MODE",
     "plan|run",
     {"explica a consulta em árvore: o plano, sem ler amostras, ou o que cada nó fez",
      "explain the query as a tree: the plan, reading no sample, or what each node did"}},
};

static void put_form(struct buf *b, const char *name, struct str value)
{
    static const char hex[] = "0123456789ABCDEF";
    buf_fmt(b, "%s%s=", b->n > 0 ? "&" : "", name);
    for (size_t i = 0; i < value.n; i++) {
        const unsigned char c = (unsigned char)value.p[i];
        const bool plain =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (plain) {
            buf_char(b, (char)c);
        } else {
            const char text[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(b, text, sizeof text);
        }
    }
}

static void put_seconds(struct buf *b, const char *name, int64_t t_ms)
{
    char text[48];
    (void)snprintf(text, sizeof text, "%.3f", (double)t_ms / 1000);
    put_form(b, name, str_from_c(text));
}

/* The instant of --time in ms; false after saying what is wrong. */
static bool time_option(const struct command_args *a, int64_t *t_ms)
{
    const char *text = command_value(a, "time");
    double seconds;
    int64_t t_ns;
    *t_ms = ms_from_ns(os_now_ns(a->os));
    if (!text) {
        return true;
    }
    if (str_to_f64(str_from_c(text), &seconds) && seconds > -1e11 && seconds < 1e11) {
        *t_ms = (int64_t)(seconds * 1000);
        return true;
    }
    if (time_parse(str_from_c(text), &t_ns)) {
        *t_ms = ms_from_ns(t_ns);
        return true;
    }
    TELL(a->lang, BAD_NUMBER, STR("time"), str_from_c(server_text(a->lang, TEXT_A_TIME)),
         str_sub(str_from_c(text), 0, 40));
    return false;
}

/* Writes the form of the request; *range tells which endpoint it is for. */
static bool build_form(const struct command_args *a, struct buf *form, bool *range)
{
    int64_t end_ms, back_ms, step_ms;
    *range = command_value(a, "range") != NULL;
    if (!time_option(a, &end_ms) || !server_duration_option(a, "range", 3600000, &back_ms)) {
        return false;
    }
    const int64_t step =
        back_ms / POINTS_DRAWN > 1000 ? back_ms / POINTS_DRAWN / 1000 * 1000 : 1000;
    if (!server_duration_option(a, "step", step, &step_ms)) {
        return false;
    }
    put_form(form, "query", str_from_c(a->operands[0]));
    if (command_value(a, "explain")) {
        put_form(form, "explain", str_from_c(command_value(a, "explain")));
    }
    if (*range) {
        put_seconds(form, "start", end_ms - back_ms);
        put_seconds(form, "end", end_ms);
        put_seconds(form, "step", step_ms);
    } else {
        put_seconds(form, "time", end_ms);
    }
    return true;
}

static int show(const struct command_args *a, const struct server_answer *x, struct str json,
                bool range)
{
    struct mem mem;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&out, &mem, TEXT_BYTES_MAX);
    const char *format = command_value(a, "output");
    const struct str kind = format ? str_from_c(format) : range ? STR("plot") : STR("table");
    for (uint32_t i = 0; i < x->notes_n; i++) {
        TELL(a->lang, QUERY_NOTE, x->notes[i]);
    }
    if (str_eq(kind, STR("json"))) {
        buf_str_add(&out, json);
        buf_char(&out, '\n');
    } else if (str_eq(kind, STR("csv"))) {
        server_answer_csv(x, &out);
    } else {
        uint32_t columns, rows;
        server_term_size(&columns, &rows);
        if (str_eq(kind, STR("plot"))) {
            server_answer_plot(x, columns, PLOT_ROWS, a->color, &out);
        }
        if (out.n == 0) {
            server_answer_table(x, &out);
        }
    }
    const int code = server_put(a, &out);
    return code == EXIT_OK && x->series_n == 0 ? EXIT_NO_DATA : code;
}

static int show_explain(const struct command_args *a, const struct server_answer *x,
                        struct str json, struct arena *arena)
{
    struct mem mem;
    struct buf out;
    struct err e = {0};
    const char *format = command_value(a, "output");
    if (!x->explain) {
        TELL(a->lang, EXPLAIN_ABSENT, str_from_c(a->url));
        return EXIT_FAILED;
    }
    mem_init(&mem, 0);
    buf_init(&out, &mem, TEXT_BYTES_MAX);
    if (format && str_eq(str_from_c(format), STR("json"))) {
        buf_str_add(&out, json);
        buf_char(&out, '\n');
    } else if (!server_explain_write(x->explain, a->lang, arena, &out, &e)) {
        buf_release(&out);
        return server_fail(a, &e, EXIT_FAILED);
    }
    return server_put(a, &out);
}

/* --explain has a shape of its own. */
static bool format_fits(const struct command_args *a)
{
    const char *format = command_value(a, "output");
    if (command_value(a, "explain") && format && !str_eq(str_from_c(format), STR("table")) &&
        !str_eq(str_from_c(format), STR("json"))) {
        TELL(a->lang, EXPLAIN_FORMAT, str_from_c(format));
        return false;
    }
    return true;
}

static int ask(const struct command_args *a, struct http_client *http, struct mem *mem,
               struct arena *arena, struct str form, bool range)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    char url[URL_BYTES_MAX];
    struct http_answer answer;
    struct server_answer x;
    struct err e = {0};
    struct str base = str_from_c(a->url);
    while (str_ends(base, STR("/"))) {
        base.n--;
    }
    const int n =
        snprintf(url, sizeof url, "%.*s/api/v1/%s", STR_FMT(base), range ? "query_range" : "query");
    if (n < 0 || (size_t)n >= sizeof url) {
        (void)err_set(&e, ERR_INPUT, "the address is longer than %zu bytes", sizeof url);
        return server_fail(a, &e, EXIT_USAGE);
    }
    if (!http_client_do(http, "POST", url, headers, form, ANSWER_JSON_BYTES_MAX, &answer, &e)) {
        TELL(a->lang, CANNOT_CONNECT, str_from_c(a->url), str_from_c(e.msg));
        return EXIT_NO_CONNECTION;
    }
    const struct str text = str_trim(buf_str(&answer.body));
    struct json_parser *json = json_parser_new(mem, ANSWER_TOKENS_MAX, ANSWER_JSON_BYTES_MAX);
    int code;
    if (!json || !server_answer_read(json, text, arena, &x, &e)) {
        TELL(a->lang, BAD_ANSWER, str_from_c(a->url), str_from_c(e.msg));
        code = EXIT_NO_CONNECTION;
    } else if (x.error.n > 0) {
        TELL(a->lang, QUERY_REFUSED, x.error);
        code = EXIT_FAILED;
    } else {
        code = command_value(a, "explain") ? show_explain(a, &x, text, arena)
                                           : show(a, &x, text, range);
    }
    if (json) {
        json_parser_free(json);
    }
    buf_release(&answer.body);
    return code;
}

static int run_query(const struct command_args *a)
{
    struct mem mem;
    struct arena arena;
    struct buf form;
    bool range;
    int code = EXIT_USAGE;
    mem_init(&mem, 0);
    arena_init(&arena, &mem, ARENA_MAX);
    buf_init(&form, &mem, FORM_BYTES_MAX);
    if (format_fits(a) && build_form(a, &form, &range)) {
        struct http_client *http = http_client_new(&mem, TIMEOUT_MS, TIMEOUT_MS);
        code = http ? ask(a, http, &mem, &arena, buf_str(&form), range) : EXIT_FAILED;
        http_client_free(http);
    }
    buf_release(&form);
    arena_release(&arena);
    return code;
}

const struct command command_query = {
    .name = "query",
    .operands = "EXPR",
    .summary = {"consulta as séries em PromQL", "query the series in PromQL"},
    .about =
        {"Avalia uma expressão PromQL no servidor. Sem --range, o valor no instante, em tabela; "
         "com "
         "--range, as linhas no tempo, desenhadas no terminal. Serve também para um Prometheus "
         "(--url). Sai com 4 quando a resposta é vazia.\n\n"
         "--explain mostra a consulta nó a nó, em vez da resposta. Com plan, as séries achadas por "
         "cada seletor e o intervalo em que ele procura; com run, também as amostras lidas, as "
         "séries e os pontos que cada nó entregou, o tempo dele próprio e com os nós abaixo "
         "(somado sobre as threads), e os atalhos que o motor tomou.",
         "Evaluates a PromQL expression at the server. Without --range, the value at the instant, "
         "as "
         "a table; with --range, lines over time, drawn in the terminal. Works with a Prometheus "
         "too (--url). Exits with 4 when the answer is empty.\n\n"
         "--explain shows the query node by node instead of its answer. With plan, the series that "
         "each selector matches and the range it looks in; with run, also the samples read, the "
         "series and points that each node gave, its own time and that with the nodes below "
         "(summed over threads), and the shortcuts that the engine took."},
    .examples = {"  farol query 'sum by (stage) (rate(pix_stage_events_total[1m]))'\n"
                 "  farol query --range 15m 'rate(pix_ledger_entered_total[1m])'\n"
                 "  farol query -o csv --range 1h --step 1m 'fraud_threshold'\n"
                 "  farol query --explain run 'sum by (stage) (rate(pix_stage_events_total[5m]))'",
                 "  farol query 'sum by (stage) (rate(pix_stage_events_total[1m]))'\n"
                 "  farol query --range 15m 'rate(pix_ledger_entered_total[1m])'\n"
                 "  farol query -o csv --range 1h --step 1m 'fraud_threshold'\n"
                 "  farol query --explain run 'sum by (stage) (rate(pix_stage_events_total[5m]))'"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_query,
};
