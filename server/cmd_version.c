/* farol version: what exactly is running here. */
#include "server/commands_int.h"

static const struct command_option options[] = {
    {"output", 'o', "FORMAT", "text|json", {"formato da saída", "output format"}},
};

static int run_version(const struct command_args *a)
{
    const char *format = command_value(a, "output");
    struct mem mem;
    mem_init(&mem, 0);
    struct buf out;
    buf_init(&out, &mem, 4096);
    if (format && str_eq(str_from_c(format), STR("json"))) {
        BUF_LIT(&out, "{\"name\":\"farol\",\"version\":");
        buf_json_str(&out, str_from_c(server_version));
        BUF_LIT(&out, ",\"commit\":");
        buf_json_str(&out, str_from_c(server_commit));
        BUF_LIT(&out, ",\"compiler\":");
        buf_json_str(&out, STR(__VERSION__));
        BUF_LIT(&out, "}\n");
    } else {
        buf_fmt(&out, "farol %s (%s)\n", server_version, server_commit);
    }
    return server_put(a, &out);
}

const struct command command_version = {
    .name = "version",
    .summary = {"mostra a versão", "show the version"},
    .examples = {"  farol version\n  farol version -o json   # para programas",
                 "  farol version\n  farol version -o json   # for programs"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_version,
};
