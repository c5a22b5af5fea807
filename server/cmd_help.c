/* farol help [CMD]: the list of commands, or one command in full. */
#include "server/commands_int.h"

#include "server/text_int.h"

#define HELP_BYTES_MAX (1U << 20)

static int run_help(const struct command_args *a)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct buf out;
    buf_init(&out, &mem, HELP_BYTES_MAX);
    if (a->operands_count == 0) {
        server_help(&out, a->lang);
        return server_put(a, &out);
    }
    int used = 0;
    const struct command *c = server_command_find(a->operands, (int)a->operands_count, &used);
    if (!c || used != (int)a->operands_count) {
        const char *near = server_command_near(str_from_c(a->operands[0]));
        struct str shown = str_sub(str_from_c(a->operands[0]), 0, 40);
        if (near) {
            TELL(a->lang, UNKNOWN_COMMAND_NEAR, shown, str_from_c(near));
        } else {
            TELL(a->lang, UNKNOWN_COMMAND, shown);
        }
        return EXIT_USAGE;
    }
    server_help_command(&out, a->lang, c);
    return server_put(a, &out);
}

const struct command command_help = {
    .name = "help",
    .operands = "[CMD...]",
    .summary = {"mostra os comandos, ou um deles por inteiro", "show the commands, or one in full"},
    .examples = {"  farol help          # todos os comandos\n  farol help status   # um comando",
                 "  farol help          # all commands\n  farol help status   # one command"},
    .run = run_help,
};
