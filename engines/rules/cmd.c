/* Options that `farol check rules` and `farol test rules` share. */
#include "engines/rules/cmd_int.h"

#include "base/file.h"

#include <stdio.h>
#include <unistd.h>

const struct command_option rules_cmd_options[RULES_CMD_OPTIONS] = {
    {"enable-feature",
     0,
     "NAME",
     NULL,
     {"partes de PromQL que vêm desligadas: promql-experimental-functions, promql-duration-expr, "
      "promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal",
      "parts of PromQL that are off: promql-experimental-functions, promql-duration-expr, "
      "promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal"}},
    {"ignore-unknown-fields",
     0,
     NULL,
     NULL,
     {"aceita chaves desconhecidas nos arquivos", "accept keys that are not known in the files"}},
    {"legacy-names",
     0,
     NULL,
     NULL,
     {"nomes só com letras, números e _ (sem UTF-8)",
      "names of letters, digits and _ only (no UTF-8)"}},
};

static bool feature(struct str name, unsigned *out)
{
    static const struct {
        struct str name;
        unsigned flag;
    } all[] = {{STR_INIT("promql-experimental-functions"), PROMQL_EXPERIMENTAL_FUNCTIONS},
               {STR_INIT("promql-duration-expr"), PROMQL_DURATION_EXPR},
               {STR_INIT("promql-extended-range-selectors"), PROMQL_EXTENDED_RANGES},
               {STR_INIT("promql-binop-fill-modifiers"), PROMQL_BINOP_FILL},
               {STR_INIT("promql-delayed-name-removal"), PROMQL_DELAYED_NAME_REMOVAL},
               {STR_INIT("type-and-unit-labels"), PROMQL_TYPE_AND_UNIT}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (str_eq(all[i].name, name)) {
            *out |= all[i].flag;
            return true;
        }
    }
    return false;
}

bool rules_cmd_flags(const struct command_args *a, const char *command, unsigned *out)
{
    *out = (command_flag(a, "ignore-unknown-fields") ? RULES_UNKNOWN_KEYS : 0) |
           (command_flag(a, "legacy-names") ? RULES_LEGACY_NAMES : 0);
    for (uint32_t i = 0; i < a->options_count; i++) {
        if (!str_eq(str_from_c(a->options[i].option->name), STR("enable-feature"))) {
            continue;
        }
        struct str_cut cut = {.tail = str_from_c(a->options[i].value), .ok = true};
        while (cut.ok) {
            cut = str_cut(cut.tail, ',');
            if (!feature(cut.head, out)) {
                (void)fprintf(stderr, "farol %s: %s \"%.*s\"\n", command,
                              a->lang == LANG_PT ? "não há o recurso" : "there is no feature",
                              STR_FMT(str_sub(cut.head, 0, 60)));
                return false;
            }
        }
    }
    return true;
}

int rules_cmd_put(const struct command_args *a, struct buf *out, int code)
{
    struct err e = {0};
    char text[512];
    bool ok = buf_ok(out, &e) &&
              file_write_all(a->os, STDOUT_FILENO, buf_str(out), "standard output", &e);
    buf_release(out);
    if (ok) {
        return code;
    }
    (void)err_format(&e, text, sizeof text);
    (void)fprintf(stderr, "farol: %s\n", text);
    return EXIT_FAILED;
}
