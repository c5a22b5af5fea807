/* farol check rules FILE...: are the rule files valid? Every problem with file, line and column. */
#include "base/file.h"
#include "engines/rules/cmd_int.h"

#include <stdio.h>

#define FILE_BYTES_MAX  (64U << 20)
#define ARENA_BYTES_MAX ((size_t)2 << 30)

extern const struct command command_check_rules;

static void tell(void *ctx, const struct err *e)
{
    struct buf *out = ctx;
    char text[700];
    (void)err_format(e, text, sizeof text);
    buf_fmt(out, "  %s\n", text);
}

static uint32_t count_rules(const struct rule_file *f, uint32_t *alerts)
{
    uint32_t n = 0;
    *alerts = 0;
    for (uint32_t i = 0; i < f->groups_n; i++) {
        n += f->groups[i].rules_n;
        for (uint32_t k = 0; k < f->groups[i].rules_n; k++) {
            *alerts += f->groups[i].rules[k].is_alert;
        }
    }
    return n;
}

static void tell_good(struct buf *out, enum lang lang, const char *path, const struct rule_file *f)
{
    uint32_t alerts = 0;
    uint32_t rules = count_rules(f, &alerts);
    if (lang == LANG_PT) {
        buf_fmt(out, "%s: certo: %u grupos, %u regras, das quais %u alertas\n", path, f->groups_n,
                rules, alerts);
    } else {
        buf_fmt(out, "%s: good: %u groups, %u rules, %u of them alerts\n", path, f->groups_n, rules,
                alerts);
    }
    if (f->more_documents) {
        buf_fmt(out, "  %s\n",
                lang == LANG_PT ? "aviso: só o primeiro documento YAML vale"
                                : "warning: only the first YAML document counts");
    }
}

static bool check_file(const struct command_args *a, const char *path, unsigned flags,
                       struct buf *out)
{
    struct mem mem;
    struct arena arena;
    struct buf text;
    struct rule_file f;
    struct err e = {0};
    struct buf problems;
    mem_init(&mem, 0);
    arena_init(&arena, &mem, ARENA_BYTES_MAX);
    buf_init(&text, &mem, FILE_BYTES_MAX);
    buf_init(&problems, &mem, CMD_OUT_MAX);
    bool read = file_read(a->os, path, &text, &e);
    bool ok = read && rule_file_parse(buf_str(&text), path, flags, &arena, &f, tell, &problems, &e);
    if (ok) {
        tell_good(out, a->lang, path, &f);
    } else {
        buf_fmt(out, "%s: %s\n", path, a->lang == LANG_PT ? "com erro" : "failed");
        if (problems.n == 0) {
            tell(&problems, &e);
        }
        buf_str_add(out, buf_str(&problems));
    }
    buf_release(&problems);
    buf_release(&text);
    arena_release(&arena);
    return ok;
}

static int run(const struct command_args *a)
{
    struct mem mem;
    struct buf out;
    unsigned flags = 0;
    if (!rules_cmd_flags(a, "check rules", &flags)) {
        return EXIT_USAGE;
    }
    mem_init(&mem, 0);
    buf_init(&out, &mem, CMD_OUT_MAX);
    bool ok = true;
    for (uint32_t i = 0; i < a->operands_count; i++) {
        ok = check_file(a, a->operands[i], flags, &out) && ok;
    }
    return rules_cmd_put(a, &out, ok ? EXIT_OK : EXIT_FAILED);
}

const struct command command_check_rules = {
    .name = "check rules",
    .operands = "FILE...",
    .summary = {"confere arquivos de regras", "check rule files"},
    .about =
        {"Lê arquivos de regras do Prometheus (gravação e alerta) como o servidor os leria: "
         "chaves, "
         "nomes, durações, expressões e modelos de texto. Cada problema sai com arquivo, linha e "
         "coluna; o código de saída é 1 se houve algum.",
         "Reads rule files of Prometheus (recording and alerting) as the server would: keys, "
         "names, "
         "durations, expressions and templates. Each problem comes with file, line and column; the "
         "exit code is 1 when there was one."},
    .examples = {"  farol check rules regras/*.yml    # confere todos",
                 "  farol check rules rules/*.yml     # check them all"},
    .options = rules_cmd_options,
    .options_count = RULES_CMD_OPTIONS,
    .run = run,
};
