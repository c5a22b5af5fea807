/* farol completion: a script that teaches a shell the commands and their options. */
#include "server/commands_int.h"

#define SCRIPT_BYTES_MAX (4U << 20)

static int run_completion(const struct command_args *a)
{
    struct str name = str_from_c(a->operands[0]);
    struct mem mem;
    mem_init(&mem, 0);
    struct buf out;
    buf_init(&out, &mem, SCRIPT_BYTES_MAX);
    server_completion(&out, a->lang,
                      str_eq(name, STR("bash"))  ? SHELL_BASH
                      : str_eq(name, STR("zsh")) ? SHELL_ZSH
                                                 : SHELL_FISH);
    return server_put(a, &out);
}

const struct command command_completion = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .summary = {"escreve o script de completar comandos para o seu shell",
                "write the script that completes commands in your shell"},
    .examples = {"  source <(farol completion bash)   # nesta sessão\n"
                 "  farol completion zsh > \"${fpath[1]}/_farol\"\n"
                 "  farol completion fish > ~/.config/fish/completions/farol.fish",
                 "  source <(farol completion bash)   # in this session\n"
                 "  farol completion zsh > \"${fpath[1]}/_farol\"\n"
                 "  farol completion fish > ~/.config/fish/completions/farol.fish"},
    .run = run_completion,
};
