/* farol man [CMD]: manual pages in troff, one to standard output or all into a folder (the build
 * does that). */
#include "server/commands_int.h"

#include "base/file.h"
#include "server/text_int.h"

#define PAGE_BYTES_MAX (4U << 20)

static const struct command_option options[] = {
    {"dir",
     'd',
     "DIR",
     NULL,
     {"escreve todas as páginas em DIR/man1 e DIR/man5, e os nomes na saída",
      "write all pages to DIR/man1 and DIR/man5, and their names to the output"}},
};

/* Writes page (and empties it) as DIR/manN/NAME.N; adds the path to `list`. */
static bool page_write(const struct command_args *a, const char *dir, int manual, struct str name,
                       struct buf *page, struct buf *list, struct err *e)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct buf path;
    buf_init(&path, &mem, PATH_BYTES_MAX);
    buf_fmt(&path, "%s/man%d", dir, manual);
    buf_char(&path, '\0');
    bool ok = buf_ok(&path, e) && buf_ok(page, e) && dir_make(a->os, path.p, e);
    buf_reset(&path);
    buf_fmt(&path, "%s/man%d/%.*s.%d", dir, manual, STR_FMT(name), manual);
    buf_str_add(list, buf_str(&path));
    buf_char(list, '\n');
    buf_char(&path, '\0');
    ok = ok && buf_ok(&path, e) && file_replace(a->os, path.p, buf_str(page), e);
    buf_release(&path);
    buf_reset(page);
    return ok;
}

static bool pages_write(const struct command_args *a, const char *dir, struct buf *page,
                        struct buf *list, struct err *e)
{
    server_man_program(page, a->lang);
    if (!page_write(a, dir, 1, STR("farol"), page, list, e)) {
        return false;
    }
    for (uint32_t i = 0; i < server_commands_count; i++) {
        struct mem mem;
        mem_init(&mem, 0);
        struct buf name;
        buf_init(&name, &mem, 256);
        BUF_LIT(&name, "farol-");
        server_man_name(&name, server_commands[i]);
        server_man_command(page, a->lang, server_commands[i]);
        bool ok = page_write(a, dir, 1, buf_str(&name), page, list, e);
        buf_release(&name);
        if (!ok) {
            return false;
        }
    }
    return server_man_conf(page, a->lang, e) &&
           page_write(a, dir, 5, STR("farol.conf"), page, list, e);
}

static int run_man(const struct command_args *a)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct buf out;
    buf_init(&out, &mem, PAGE_BYTES_MAX);
    const char *dir = command_value(a, "dir");
    struct err e = {0};
    if (dir) {
        struct buf list;
        buf_init(&list, &mem, PAGE_BYTES_MAX);
        bool ok = pages_write(a, dir, &out, &list, &e);
        buf_release(&out);
        if (!ok) {
            buf_release(&list);
            return server_fail(a, &e, EXIT_FAILED);
        }
        return server_put(a, &list);
    }
    if (a->operands_count == 0 || str_eq(str_from_c(a->operands[0]), STR("farol"))) {
        server_man_program(&out, a->lang);
        return server_put(a, &out);
    }
    int used = 0;
    const struct command *c = server_command_find(a->operands, (int)a->operands_count, &used);
    struct str word = str_from_c(a->operands[0]);
    if (c && used == (int)a->operands_count) {
        server_man_command(&out, a->lang, c);
    } else if (str_eq(word, STR("farol.conf")) || str_eq(word, STR("farol.yml"))) {
        if (!server_man_conf(&out, a->lang, &e)) {
            buf_release(&out);
            return server_fail(a, &e, EXIT_FAILED);
        }
    } else {
        TELL(a->lang, UNKNOWN_COMMAND, str_sub(word, 0, 40));
        return EXIT_USAGE;
    }
    return server_put(a, &out);
}

const struct command command_man = {
    .name = "man",
    .operands = "[CMD...]",
    .summary = {"escreve páginas de manual (troff)", "write manual pages (troff)"},
    .about = {"Sem CMD, farol(1); com um comando, farol-CMD(1); com farol.conf, farol.conf(5). O "
              "idioma é o de "
              "--lang.",
              "Without CMD, farol(1); with a command, farol-CMD(1); with farol.conf, "
              "farol.conf(5). The language "
              "is that of --lang."},
    .examples = {"  farol man | man -l -           # farol(1)\n"
                 "  farol man status | man -l -    # um comando\n"
                 "  farol man farol.conf | man -l -\n"
                 "  farol man --dir ~/.local/share/man/pt_BR",
                 "  farol man | man -l -           # farol(1)\n"
                 "  farol man status | man -l -    # one command\n"
                 "  farol man farol.conf | man -l -\n"
                 "  farol man --dir ~/.local/share/man"},
    .options = options,
    .options_count = ARRAY_LEN(options),
    .run = run_man,
};
