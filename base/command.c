/* Reading a command line by a table. Exists so that what is parsed, what help and man pages say and
 * what shells complete come from the same rows (server/help.c, server/man.c, server/completion.c).
 *
 * Grammar: options (--name, --name=value, --name value, -n, -nvalue, -n value, -abc for flags) and
 * operands in any order; "--" makes the rest operands; "-" is an operand. Nothing is allocated,
 * argv is borrowed. Messages are for the person at the prompt, so they follow the language already
 * chosen; a
 * --lang later on the same line counts from there on.
 */
#include "base/command.h"

#include "base/err.h"
#include "base/str.h"

static const struct command_option common[] = {
    {"help", 'h', NULL, NULL, {"mostra a ajuda do comando", "show the help of the command"}},
    {"url",
     0,
     "URL",
     NULL,
     {"endereço do farol; sem ela, FAROL_URL ou http://127.0.0.1:9480",
      "address of farol; without it, FAROL_URL or http://127.0.0.1:9480"}},
    {"lang",
     0,
     "LANG",
     "pt|en|pt-BR",
     {"idioma do texto; sem ela, LC_ALL, LC_MESSAGES ou LANG",
      "language of the text; without it, LC_ALL, LC_MESSAGES or LANG"}},
    {"no-color", 0, NULL, NULL, {"não usa cores (como NO_COLOR)", "use no colour (as NO_COLOR)"}},
    {"plain",
     0,
     NULL,
     NULL,
     {"texto simples: sem cores, sem caracteres de desenho",
      "plain text: no colour, no drawing characters"}},
    {"quiet", 'q', NULL, NULL, {"só avisos e erros", "warnings and errors only"}},
    {"verbose", 'v', NULL, NULL, {"diz mais do que faz", "say more of what is done"}},
};

struct cursor {
    const struct command *command;
    const char *const *argv;
    int argc, at;
    struct command_args *out;
};

const struct command_option *command_common(uint32_t *count)
{
    *count = ARRAY_LEN(common);
    return common;
}

const char *command_value(const struct command_args *a, const char *name)
{
    for (uint32_t i = a->options_count; i > 0; i--) {
        if (str_eq(str_from_c(a->options[i - 1].option->name), str_from_c(name))) {
            return a->options[i - 1].value ? a->options[i - 1].value : "";
        }
    }
    return NULL;
}

/* The i-th option that c knows: its own first, then those of every command. NULL at the end. */
static const struct command_option *option_at(const struct command *c, uint32_t i)
{
    if (i < c->options_count) {
        return &c->options[i];
    }
    i -= c->options_count;
    return i < ARRAY_LEN(common) ? &common[i] : NULL;
}

static const struct command_option *option_named(const struct command *c, struct str name)
{
    const struct command_option *o;
    for (uint32_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        if (str_eq(str_from_c(o->name), name)) {
            return o;
        }
    }
    return NULL;
}

static const struct command_option *option_lettered(const struct command *c, char letter)
{
    const struct command_option *o;
    for (uint32_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        if (o->letter != 0 && o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

/* The nearest known name, or NULL when nothing is near enough to be what was meant. */
static const char *option_near(const struct command *c, struct str name)
{
    const struct command_option *o;
    const char *best = NULL;
    size_t best_distance = name.n / 3 + 2;
    for (uint32_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        size_t d = str_distance(str_from_c(o->name), name);
        if (d < best_distance) {
            best = o->name;
            best_distance = d;
        }
    }
    return best;
}

static bool choice_listed(struct str choices, struct str value)
{
    struct str rest = choices;
    while (rest.n > 0) {
        struct str_cut cut = str_cut(rest, '|');
        if (str_eq(cut.head, value)) {
            return true;
        }
        rest = cut.tail;
    }
    return false;
}

static bool unknown_option(const struct cursor *c, struct str name, struct err *e)
{
    const char *near = option_near(c->command, name);
    if (c->out->lang == LANG_PT) {
        return near ? err_set(e, ERR_INPUT, "opção desconhecida '--%.*s'; quis dizer '--%s'?",
                              STR_FMT(str_sub(name, 0, 40)), near)
                    : err_set(e, ERR_INPUT, "opção desconhecida '--%.*s'",
                              STR_FMT(str_sub(name, 0, 40)));
    }
    return near ? err_set(e, ERR_INPUT, "unknown option '--%.*s', did you mean '--%s'?",
                          STR_FMT(str_sub(name, 0, 40)), near)
                : err_set(e, ERR_INPUT, "unknown option '--%.*s'", STR_FMT(str_sub(name, 0, 40)));
}

static void move_common(struct command_args *out, const struct command_option *o, const char *value)
{
    struct str name = str_from_c(o->name);
    if (str_eq(name, STR("url"))) {
        out->url = value;
    } else if (str_eq(name, STR("lang"))) {
        out->lang = str_starts(str_from_c(value), STR("pt")) ? LANG_PT : LANG_EN;
    } else if (str_eq(name, STR("no-color")) || str_eq(name, STR("plain"))) {
        out->color = false;
    }
}

static bool option_add(struct cursor *c, const struct command_option *o, const char *value,
                       struct err *e)
{
    bool pt = c->out->lang == LANG_PT;
    if (o->choices && !choice_listed(str_from_c(o->choices), str_from_c(value))) {
        return pt ? err_set(e, ERR_INPUT, "--%s: esperava um de %s, recebeu '%.40s'", o->name,
                            o->choices, value)
                  : err_set(e, ERR_INPUT, "--%s: expected one of %s, found '%.40s'", o->name,
                            o->choices, value);
    }
    if (c->out->options_count >= COMMAND_OPTIONS_MAX) {
        return pt ? err_set(e, ERR_LIMIT, "mais de %d opções", COMMAND_OPTIONS_MAX)
                  : err_set(e, ERR_LIMIT, "more than %d options", COMMAND_OPTIONS_MAX);
    }
    c->out->options[c->out->options_count].option = o;
    c->out->options[c->out->options_count].value = value;
    c->out->options_count++;
    if (o >= common && o < common + ARRAY_LEN(common)) {
        move_common(c->out, o, value);
    }
    return true;
}

/* The value of an option that wants one: `here` (after '=' or after the letter) or the next word.
 */
static bool value_take(struct cursor *c, const struct command_option *o, const char *here,
                       const char **value, struct err *e)
{
    if (here) {
        *value = here;
        return true;
    }
    if (c->at < c->argc) {
        *value = c->argv[c->at++];
        return true;
    }
    if (c->out->lang == LANG_PT) {
        return err_set(e, ERR_INPUT, "--%s precisa de um valor: --%s %s", o->name, o->name, o->arg);
    }
    return err_set(e, ERR_INPUT, "--%s needs a value: --%s %s", o->name, o->name, o->arg);
}

static bool parse_long(struct cursor *c, const char *word, struct err *e)
{
    struct str_cut cut = str_cut(str_from_c(word), '=');
    const struct command_option *o = option_named(c->command, cut.head);
    if (!o) {
        return unknown_option(c, cut.head, e);
    }
    const char *value = cut.ok ? cut.tail.p : NULL;
    if (!o->arg) {
        if (value) {
            return c->out->lang == LANG_PT ? err_set(e, ERR_INPUT, "--%s não recebe valor", o->name)
                                           : err_set(e, ERR_INPUT, "--%s takes no value", o->name);
        }
        return option_add(c, o, NULL, e);
    }
    return value_take(c, o, value, &value, e) && option_add(c, o, value, e);
}

static bool parse_letters(struct cursor *c, const char *letters, struct err *e)
{
    for (const char *p = letters; *p; p++) {
        const struct command_option *o = option_lettered(c->command, *p);
        if (!o) {
            char shown = *p > ' ' && *p < 127 ? *p : '?';
            return c->out->lang == LANG_PT
                       ? err_set(e, ERR_INPUT, "opção desconhecida '-%c'", shown)
                       : err_set(e, ERR_INPUT, "unknown option '-%c'", shown);
        }
        if (o->arg) {
            const char *value = p[1] ? p + 1 : NULL;
            return value_take(c, o, value, &value, e) && option_add(c, o, value, e);
        }
        if (!option_add(c, o, NULL, e)) {
            return false;
        }
    }
    return true;
}

static bool operand_add(struct cursor *c, const char *word, struct err *e)
{
    if (c->out->operands_count >= COMMAND_OPERANDS_MAX) {
        return c->out->lang == LANG_PT
                   ? err_set(e, ERR_LIMIT, "mais de %d argumentos", COMMAND_OPERANDS_MAX)
                   : err_set(e, ERR_LIMIT, "more than %d arguments", COMMAND_OPERANDS_MAX);
    }
    c->out->operand_store[c->out->operands_count++] = word;
    return true;
}

/* Compares the operands with the words of c->operands (see command.h). */
static bool operands_check(const struct command *c, const struct command_args *a, struct err *e)
{
    bool pt = a->lang == LANG_PT;
    struct str rest = str_from_c(c->operands);
    uint32_t i = 0;
    while (rest.n > 0) {
        struct str_cut cut = str_cut(rest, ' ');
        struct str word = cut.head;
        rest = cut.tail;
        bool optional = str_starts(word, STR("["));
        bool many = str_ends(word, STR("...")) || str_ends(word, STR("...]"));
        if (i >= a->operands_count) {
            if (optional) {
                continue;
            }
            return pt ? err_set(e, ERR_INPUT, "falta %.*s", STR_FMT(word))
                      : err_set(e, ERR_INPUT, "%.*s is missing", STR_FMT(word));
        }
        if (str_contains(word, STR("|")) && !optional &&
            !choice_listed(word, str_from_c(a->operands[i]))) {
            return pt ? err_set(e, ERR_INPUT, "esperava um de %.*s, recebeu '%.40s'", STR_FMT(word),
                                a->operands[i])
                      : err_set(e, ERR_INPUT, "expected one of %.*s, found '%.40s'", STR_FMT(word),
                                a->operands[i]);
        }
        i = many ? a->operands_count : i + 1;
    }
    if (i < a->operands_count) {
        return pt ? err_set(e, ERR_INPUT, "argumento a mais: '%.60s'", a->operands[i])
                  : err_set(e, ERR_INPUT, "one argument too many: '%.60s'", a->operands[i]);
    }
    return true;
}

bool command_parse(const struct command *c, int argc, const char *const *argv,
                   struct command_args *out, struct err *e)
{
    out->options_count = 0;
    out->operands_count = 0;
    out->operands = out->operand_store;
    struct cursor cur = {.command = c, .argv = argv, .argc = argc, .out = out};
    bool only_operands = false;
    while (cur.at < argc) {
        const char *word = argv[cur.at++];
        bool ok;
        if (only_operands || word[0] != '-' || word[1] == '\0') {
            ok = operand_add(&cur, word, e);
        } else if (word[1] != '-') {
            ok = parse_letters(&cur, word + 1, e);
        } else if (word[2] == '\0') {
            only_operands = true;
            ok = true;
        } else {
            ok = parse_long(&cur, word + 2, e);
        }
        if (!ok) {
            return false;
        }
    }
    return command_flag(out, "help") || operands_check(c, out, e);
}
