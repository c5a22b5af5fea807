/* farol test rules FILE...: unit tests of rules, promtool's files. */
#include "base/file.h"
#include "engines/rules/cmd_int.h"

#include <stdio.h>

#define FILE_BYTES_MAX (64U << 20)

extern const struct command command_test_rules;

static bool test_file(const struct command_args *a, const char *path, unsigned flags,
                      struct buf *out, struct rules_test_result *sum)
{
    struct mem mem;
    struct buf text;
    struct buf failures;
    struct err e = {0};
    struct rules_test_result r = {0};
    char why[700];
    bool pt = a->lang == LANG_PT;
    mem_init(&mem, 0);
    buf_init(&text, &mem, FILE_BYTES_MAX);
    buf_init(&failures, &mem, CMD_OUT_MAX);
    bool ran = file_read(a->os, path, &text, &e) &&
               rules_test_file(buf_str(&text), path, a->os, flags, &failures, &r, &e);
    bool ok = ran && r.failed == 0;
    buf_fmt(out, "%s: %s\n", path, ok ? (pt ? "passou" : "passed") : (pt ? "FALHOU" : "FAILED"));
    if (!ran) {
        (void)err_format(&e, why, sizeof why);
        buf_fmt(out, "    %s\n", why);
        r.failed += r.passed + r.failed == 0;
    }
    buf_str_add(out, buf_str(&failures));
    sum->passed += r.passed;
    sum->failed += r.failed;
    buf_release(&failures);
    buf_release(&text);
    return ok;
}

static int run(const struct command_args *a)
{
    struct mem mem;
    struct buf out;
    unsigned flags = 0;
    struct rules_test_result sum = {0};
    if (!rules_cmd_flags(a, "test rules", &flags)) {
        return EXIT_USAGE;
    }
    mem_init(&mem, 0);
    buf_init(&out, &mem, CMD_OUT_MAX);
    bool ok = true;
    for (uint32_t i = 0; i < a->operands_count; i++) {
        ok = test_file(a, a->operands[i], flags, &out, &sum) && ok;
    }
    buf_fmt(&out, "%u %s, %u %s\n", sum.passed, a->lang == LANG_PT ? "passaram" : "passed",
            sum.failed, a->lang == LANG_PT ? "falharam" : "failed");
    return rules_cmd_put(a, &out, ok ? EXIT_OK : EXIT_FAILED);
}

const struct command command_test_rules = {
    .name = "test rules",
    .operands = "FILE...",
    .summary = {"testa regras com séries escritas à mão", "test rules with series written by hand"},
    .about =
        {"Roda testes de regras no formato do promtool: séries de entrada, regras, e que alertas e "
         "valores se esperam em que minuto. Nada é gravado em disco. O código de saída é 1 se "
         "algum teste falhou.",
         "Runs unit tests of rules in promtool's format: input series, rules, and which alerts and "
         "values are expected at which minute. Nothing is written to disk. The exit code is 1 when "
         "a test failed."},
    .examples = {"  farol test rules regras/*_test.yml    # roda todos",
                 "  farol test rules rules/*_test.yml     # run them all"},
    .options = rules_cmd_options,
    .options_count = RULES_CMD_OPTIONS,
    .run = run,
};
