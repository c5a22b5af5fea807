/* farol top: the live board. */
#include "server/client_int.h"
#include "server/commands_int.h"
#include "server/text_int.h"
#include "server/top_int.h"

#define INTERVAL_MS       1000
#define INTERVAL_MS_LEAST 100

static const struct command_option options[] = {
    {"interval",
     'i',
     "DURATION",
     NULL,
     {"tempo entre quadros (padrão: 1s; no mínimo 100ms)",
      "time between frames (default 1s, at least 100ms)"}},
    {"frames", 'n', "N", NULL, {"termina depois de N quadros", "end after N frames"}},
    {"output",
     'o',
     "FORMAT",
     "text|json",
     {"json: o estado em JSON, uma linha por intervalo",
      "json: the status as JSON, one line per interval"}},
};

static int run_top(const struct command_args *a)
{
    struct server_top top = {.url = a->url, .plain = command_flag(a, "plain") || !a->tty};
    const char *format = command_value(a, "output");
    top.json = format && str_eq(str_from_c(format), STR("json"));
    top.screen = a->tty && !top.json;
    if (!server_duration_option(a, "interval", INTERVAL_MS, &top.interval_ms) ||
        !server_number_option(a, "frames", 1, UINT32_MAX, 0, &top.frames_max)) {
        return EXIT_USAGE;
    }
    top.interval_ms = i64_max(top.interval_ms, INTERVAL_MS_LEAST);
    int code = server_top_run(a, &top);
    if (code == EXIT_NO_CONNECTION) {
        TELL(a->lang, BOARD_NOTHING, str_from_c(a->url));
    }
    return code;
}

const struct command command_top = {
    .name = "top",
    .summary = {"painel ao vivo no terminal", "live board on the terminal"},
    .about = {"Estado por pilar, etapas com taxa e latência do último minuto, o livro de "
              "transações que fecha "
              "(Entraram = Saíram + Em voo + Perdidas) e a qualidade do modelo com intervalo. Se o "
              "servidor para de "
              "responder, o painel diz desde quando.\n\n"
              "Teclas: q sai, ? ajuda, p pausa, l troca o idioma. Sem terminal na saída, escreve "
              "um quadro simples "
              "por intervalo.",
              "State per pillar, stages with rate and latency of the last minute, the ledger that "
              "closes (Entered = "
              "Left + In flight + Lost) and the quality of the model with intervals. When the "
              "server stops answering, "
              "the board says since when.\n\n"
              "Keys: q quits, ? helps, p pauses, l changes the language. When the output is not a "
              "terminal, one plain "
              "frame is written per interval."},
    .examples = {"  farol top\n"
                 "  farol top --url http://10.0.0.5:9480\n"
                 "  farol top --frames 1 --plain          # um quadro, para um e-mail\n"
                 "  farol top -o json | jq .pipeline.tx_per_s",
                 "  farol top\n"
                 "  farol top --url http://10.0.0.5:9480\n"
                 "  farol top --frames 1 --plain          # one frame, for a mail\n"
                 "  farol top -o json | jq .pipeline.tx_per_s"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_top,
};
