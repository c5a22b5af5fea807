/* farol status: the verdict now, for people and for scripts (exit code). */
#include "server/board_int.h"
#include "server/client_int.h"
#include "server/commands_int.h"
#include "server/text_int.h"

#include <time.h>

#define TIMEOUT_MS     5000
#define TEXT_BYTES_MAX (1U << 20)

static const struct command_option options[] = {
    {"output", 'o', "FORMAT", "text|json", {"formato da saída", "output format"}},
};

static int verdict_code(enum view_state s)
{
    switch (s) {
    case VIEW_OK: return EXIT_OK;
    case VIEW_WARN: return 1;
    case VIEW_CRIT: return 2;
    case VIEW_NONE: break;
    }
    return EXIT_NO_DATA;
}

static int refused(const struct command_args *a, const struct err *e)
{
    bool answered = e->code == ERR_INPUT || e->code == ERR_LIMIT || e->code == ERR_CORRUPT;
    if (answered) {
        TELL(a->lang, BAD_ANSWER, str_from_c(a->url), str_from_c(e->msg));
    } else {
        TELL(a->lang, CANNOT_CONNECT, str_from_c(a->url), str_from_c(e->msg));
    }
    return EXIT_NO_CONNECTION;
}

/* Of the viewer's zone at t_ns; 0 when it is not known. */
static int32_t zone_offset_s(int64_t t_ns)
{
    time_t seconds = (time_t)(t_ns / NS_PER_S);
    struct tm tm;
    return t_ns != T_NS_NONE && localtime_r(&seconds, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

static int run_status(const struct command_args *a)
{
    struct server_client client;
    struct err e = {0};
    if (!server_client_init(&client, a->url, TIMEOUT_MS, &e)) {
        return server_fail(a, &e, EXIT_USAGE);
    }
    struct server_view view;
    int code;
    if (!server_client_status(&client, &view, &e)) {
        code = refused(a, &e);
    } else {
        struct mem mem;
        mem_init(&mem, 0);
        struct buf out;
        buf_init(&out, &mem, TEXT_BYTES_MAX);
        const char *format = command_value(a, "output");
        if (format && str_eq(str_from_c(format), STR("json"))) {
            buf_str_add(&out, str_trim(buf_str(&client.body)));
            buf_char(&out, '\n');
        } else {
            server_status_text(&view, a->lang, a->color, command_flag(a, "plain"),
                               zone_offset_s(view.t_ns), &out);
        }
        code = server_put(a, &out);
        code = code == EXIT_OK ? verdict_code(view.state) : code;
    }
    server_client_release(&client);
    return code;
}

const struct command command_status = {
    .name = "status",
    .summary = {"diz como está o pipeline e o modelo agora", "tell how pipeline and model are now"},
    .about = {"Uma linha por pilar: estado, o motivo e os números. O código de saída é o veredito: "
              "0 ok, 1 atenção, "
              "2 crítico, 4 sem dados, 5 sem conexão.",
              "One line per pillar: state, the reason and the numbers. The exit code is the "
              "verdict: 0 ok, 1 "
              "warning, 2 critical, 4 no data, 5 cannot connect."},
    .examples = {"  farol status\n"
                 "  farol status -o json | jq .pipeline.ledger\n"
                 "  farol status --url http://10.0.0.5:9480 || avisa-o-plantao",
                 "  farol status\n"
                 "  farol status -o json | jq .pipeline.ledger\n"
                 "  farol status --url http://10.0.0.5:9480 || page-somebody"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_status,
};
