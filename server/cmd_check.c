/* farol check [config] FILE: is the configuration valid, and are the rule files that it names?
 * Says file, line and column, shows the line with a caret, and what was probably meant. */
#include "server/commands_int.h"

#include "base/file.h"
#include "server/config_int.h"
#include "server/text_int.h"

#include <stdio.h>

#define ARENA_BYTES_MAX ((size_t)64 << 20)
#define PRINT_BYTES_MAX (1U << 20)

static const struct command_option options[] = {
    {"print-defaults",
     0,
     NULL,
     NULL,
     {"imprime todas as chaves com valor padrão e explicação",
      "print every key with its default and help"}},
};

static void show_problem(void *ctx, const struct err *e, struct str text)
{
    struct buf out;
    buf_init(&out, ctx, PRINT_BYTES_MAX);
    conf_err_show(e, text, &out);
    (void)fprintf(stderr, "%.*s", STR_FMT(buf_str(&out)));
    buf_release(&out);
}

static int check_file(const struct command_args *a, const char *path)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct arena arena;
    arena_init(&arena, &mem, ARENA_BYTES_MAX);
    struct buf text;
    buf_init(&text, &mem, SERVER_CONFIG_BYTES_MAX);
    struct buf out;
    buf_init(&out, &mem, PRINT_BYTES_MAX);
    struct server_config *c = ARENA_NEW(&arena, struct server_config);
    struct err e = {0};
    int code = EXIT_CONFIG;
    if (!c) {
        (void)err_set(&e, ERR_NOMEM, "no memory for the configuration");
        code = server_fail(a, &e, EXIT_FAILED);
    } else if (!file_read(a->os, path, &text, &e)) {
        (void)server_fail(a, &e, EXIT_CONFIG);
    } else if (!server_config_read(buf_str(&text), path, &arena, c, &e)) {
        conf_err_show(&e, buf_str(&text), &out);
        (void)fprintf(stderr, "%.*s", STR_FMT(buf_str(&out)));
    } else if (server_rulebook_check_files(&c->rules, c->query.flags, c->root, path, buf_str(&text),
                                           a->os, show_problem, &mem)) {
        SAY(&out, a->lang, CHECK_OK, str_from_c(path));
        code = server_put(a, &out);
    }
    buf_release(&out);
    buf_release(&text);
    arena_release(&arena);
    return code;
}

static int run_check(const struct command_args *a)
{
    if (command_flag(a, "print-defaults")) {
        struct mem mem;
        mem_init(&mem, 0);
        struct buf out;
        buf_init(&out, &mem, PRINT_BYTES_MAX);
        server_config_print(&out, a->lang);
        return server_put(a, &out);
    }
    uint32_t first = a->operands_count > 1 && str_eq(str_from_c(a->operands[0]), STR("config"));
    if (a->operands_count == first) {
        TELL(a->lang, CHECK_NO_FILE, STR(""));
        return EXIT_USAGE;
    }
    int worst = EXIT_OK;
    for (uint32_t i = first; i < a->operands_count; i++) {
        int code = check_file(a, a->operands[i]);
        worst = code > worst ? code : worst;
    }
    return worst;
}

const struct command command_check = {
    .name = "check",
    .operands = "[config] [FILE...]",
    .summary = {"confere um arquivo de configuração", "check a configuration file"},
    .about =
        {"Lê o arquivo como farol run o leria, e os arquivos de regras que ele nomeia, sem começar "
         "nada. Um erro mostra arquivo, "
         "linha, coluna, a "
         "própria linha e o que se esperava; o código de saída é 78, ou 0 se está tudo certo.",
         "Reads the file as farol run would, and the rule files that it names, without starting "
         "anything. An error shows file, "
         "line, column, "
         "the line itself and what was expected; the exit code is 78, or 0 when all is well."},
    .examples = {"  farol check farol.yml                        # confere\n"
                 "  farol check --print-defaults > farol.yml     # um arquivo para começar",
                 "  farol check farol.yml                        # check it\n"
                 "  farol check --print-defaults > farol.yml     # a file to begin with"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_check,
};
