/* Completion scripts for bash, zsh and fish, from the table of commands. Every word that a shell
 * offers is a row of the table; nothing is asked of the program at completion time.
 *
 * What is written are names and help texts of ours (never user data); quotes in help texts are
 * escaped for the shell in question. */
#include "server/commands_int.h"

/* The i-th option that c accepts, its own first; NULL at the end. */
static const struct command_option *option_at(const struct command *c, uint32_t i)
{
    if (i < c->options_count) {
        return &c->options[i];
    }
    uint32_t count;
    const struct command_option *common = command_common(&count);
    return i - c->options_count < count ? &common[i - c->options_count] : NULL;
}

static void spaced(struct buf *out, const char *choices)
{
    for (const char *p = choices; *p; p++) {
        buf_char(out, *p == '|' ? ' ' : *p);
    }
}

/* Operands that are one of a few words: "bash|zsh|fish". */
static const char *operand_words(const struct command *c)
{
    struct str s = str_from_c(c->operands);
    return str_contains(s, STR("|")) && !str_contains(s, STR("[")) && !str_contains(s, STR(" "))
               ? c->operands
               : NULL;
}

static bool operand_command(const struct command *c)
{
    return str_contains(str_from_c(c->operands), STR("CMD"));
}

/* Names of all commands; `sep` between them. */
static void command_names(struct buf *out, char sep)
{
    for (uint32_t i = 0; i < server_commands_count; i++) {
        if (i > 0) {
            buf_char(out, sep);
        }
        /* The second word of a two-word command is completed after the first. */
        buf_str_add(out, str_cut(str_from_c(server_commands[i]->name), ' ').head);
    }
}

static void bash_command(struct buf *out, const struct command *c)
{
    const struct command_option *o;
    buf_fmt(out, "    '%s')\n        case \"$prev\" in\n", c->name);
    for (uint32_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        if (!o->arg) {
            continue;
        }
        if (o->letter) {
            buf_fmt(out, "        -%c | --%s) ", o->letter, o->name);
        } else {
            buf_fmt(out, "        --%s) ", o->name);
        }
        if (o->choices) {
            BUF_LIT(out, "words='");
            spaced(out, o->choices);
            BUF_LIT(out, "' ;;\n");
        } else {
            BUF_LIT(out, "files=1 ;;\n");
        }
    }
    BUF_LIT(out, "        *)\n            words='");
    for (uint32_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        if (o->letter) {
            buf_fmt(out, "-%c ", o->letter);
        }
        buf_fmt(out, "--%s ", o->name);
    }
    if (operand_words(c)) {
        spaced(out, operand_words(c));
    } else if (operand_command(c)) {
        command_names(out, ' ');
    }
    BUF_LIT(out, "'\n");
    if (c->operands && !operand_words(c) && !operand_command(c)) {
        BUF_LIT(out, "            case \"$cur\" in -*) ;; *) files=1 ;; esac\n");
    }
    BUF_LIT(out, "            ;;\n        esac\n        ;;\n");
}

static void bash(struct buf *out)
{
    BUF_LIT(out, "# bash completion of farol; written by: farol completion bash\n"
                 "_farol() {\n"
                 "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                 "    local command=${COMP_WORDS[1]} words= files=\n"
                 "    COMPREPLY=()\n"
                 "    if ((COMP_CWORD == 1)); then\n"
                 "        COMPREPLY=($(compgen -W '");
    command_names(out, ' ');
    BUF_LIT(out, " --help --version --lang' -- \"$cur\"))\n        return\n    fi\n");
    for (uint32_t i = 0; i < server_commands_count; i++) {
        struct str_cut name = str_cut(str_from_c(server_commands[i]->name), ' ');
        if (name.ok) {
            buf_fmt(out, "    if [[ $command == '%.*s' ]] && ((COMP_CWORD == 2)); then words+=' ",
                    STR_FMT(name.head));
            buf_fmt(out, "%.*s'; fi\n", STR_FMT(name.tail));
            buf_fmt(out, "    [[ \"$command ${COMP_WORDS[2]}\" == '%.*s ", STR_FMT(name.head));
            buf_fmt(out, "%.*s' ]] && command='%s'\n", STR_FMT(name.tail),
                    server_commands[i]->name);
        }
    }
    BUF_LIT(out, "    case \"$command\" in\n");
    for (uint32_t i = 0; i < server_commands_count; i++) {
        bash_command(out, server_commands[i]);
    }
    BUF_LIT(out, "    esac\n"
                 "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                 "    if [[ $files ]]; then\n"
                 "        COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
                 "    fi\n"
                 "}\n"
                 "complete -o filenames -F _farol farol\n");
}

/* Text between single quotes of zsh's _arguments: ' : [ ] need an escape. */
static void zsh_text(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'') {
            BUF_LIT(out, "'\\''");
        } else if (*p == ':' || *p == '[' || *p == ']' || *p == '\\') {
            buf_fmt(out, "\\%c", *p);
        } else {
            buf_char(out, *p);
        }
    }
}

static void zsh_option(struct buf *out, enum lang lang, const struct command_option *o)
{
    BUF_LIT(out, " \\\n            ");
    if (o->letter) {
        buf_fmt(out, "'(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter,
                o->arg ? "+" : "", o->name, o->arg ? "=" : "");
    } else {
        buf_fmt(out, "'--%s%s[", o->name, o->arg ? "=" : "");
    }
    zsh_text(out, o->help[lang]);
    buf_char(out, ']');
    if (o->arg) {
        buf_char(out, ':');
        zsh_text(out, o->arg);
        buf_char(out, ':');
        if (o->choices) {
            buf_char(out, '(');
            spaced(out, o->choices);
            buf_char(out, ')');
        } else {
            BUF_LIT(out, "_files");
        }
    }
    buf_char(out, '\'');
}

static void zsh_command(struct buf *out, enum lang lang, const struct command *c)
{
    const struct command_option *o;
    buf_fmt(out, "    '%s')\n        _arguments -s -S", c->name);
    for (uint32_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        zsh_option(out, lang, o);
    }
    if (operand_words(c)) {
        BUF_LIT(out, " \\\n            '1:word:(");
        spaced(out, operand_words(c));
        BUF_LIT(out, ")'");
    } else if (operand_command(c)) {
        BUF_LIT(out, " \\\n            '1:command:(");
        command_names(out, ' ');
        BUF_LIT(out, ")'");
    } else if (c->operands) {
        BUF_LIT(out, " \\\n            '*:file:_files'");
    }
    BUF_LIT(out, "\n        ;;\n");
}

static void zsh(struct buf *out, enum lang lang)
{
    BUF_LIT(out, "#compdef farol\n"
                 "# zsh completion of farol; written by: farol completion zsh\n"
                 "_farol() {\n"
                 "    local command=$words[2]\n"
                 "    if ((CURRENT == 2)); then\n"
                 "        local -a commands=(\n");
    for (uint32_t i = 0; i < server_commands_count; i++) {
        const struct command *c = server_commands[i];
        buf_fmt(out, "            '%.*s:", STR_FMT(str_cut(str_from_c(c->name), ' ').head));
        zsh_text(out, c->summary[lang]);
        BUF_LIT(out, "'\n");
    }
    BUF_LIT(out, "        )\n"
                 "        _describe command commands\n"
                 "        return\n"
                 "    fi\n"
                 "    shift words\n"
                 "    ((CURRENT--))\n");
    for (uint32_t i = 0; i < server_commands_count; i++) {
        struct str_cut name = str_cut(str_from_c(server_commands[i]->name), ' ');
        if (name.ok) {
            buf_fmt(out, "    [[ \"$command $words[2]\" == '%s' ]] && command='%s'\n",
                    server_commands[i]->name, server_commands[i]->name);
        }
    }
    BUF_LIT(out, "    case \"$command\" in\n");
    for (uint32_t i = 0; i < server_commands_count; i++) {
        zsh_command(out, lang, server_commands[i]);
    }
    BUF_LIT(out, "    esac\n"
                 "}\n"
                 "compdef _farol farol\n");
}

static void fish_text(struct buf *out, const char *text)
{
    buf_char(out, '\'');
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\') {
            buf_char(out, '\\');
        }
        buf_char(out, *p);
    }
    buf_char(out, '\'');
}

static void fish_command(struct buf *out, enum lang lang, const struct command *c)
{
    struct str_cut name = str_cut(str_from_c(c->name), ' ');
    BUF_LIT(out, "complete -c farol -n __fish_use_subcommand -a '");
    buf_str_add(out, name.head);
    BUF_LIT(out, "' -d ");
    fish_text(out, c->summary[lang]);
    buf_char(out, '\n');
    const struct command_option *o;
    for (uint32_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        buf_fmt(out, "complete -c farol -n '__farol_is %s' -l '%s'", c->name, o->name);
        if (o->letter) {
            buf_fmt(out, " -s '%c'", o->letter);
        }
        if (o->choices) {
            BUF_LIT(out, " -x -a '");
            spaced(out, o->choices);
            buf_char(out, '\'');
        } else if (o->arg) {
            BUF_LIT(out, " -r");
        }
        BUF_LIT(out, " -d ");
        fish_text(out, o->help[lang]);
        buf_char(out, '\n');
    }
    if (name.ok || operand_words(c) || operand_command(c)) {
        buf_fmt(out, "complete -c farol -f -n '__farol_is %.*s' -a '", STR_FMT(name.head));
        if (name.ok) {
            buf_str_add(out, name.tail);
        } else if (operand_words(c)) {
            spaced(out, operand_words(c));
        } else {
            command_names(out, ' ');
        }
        BUF_LIT(out, "'\n");
    }
}

void server_completion(struct buf *out, enum lang lang, enum shell shell)
{
    if (shell == SHELL_BASH) {
        bash(out);
        return;
    }
    if (shell == SHELL_ZSH) {
        zsh(out, lang);
        return;
    }
    BUF_LIT(out, "# fish completion of farol; written by: farol completion fish\n"
                 "function __farol_is\n"
                 "    set -l words (commandline -opc)\n"
                 "    for i in (seq (count $argv))\n"
                 "        test \"$words[(math $i + 1)]\" = \"$argv[$i]\"; or return 1\n"
                 "    end\n"
                 "end\n");
    for (uint32_t i = 0; i < server_commands_count; i++) {
        fish_command(out, lang, server_commands[i]);
    }
}
