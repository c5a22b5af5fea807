/* Commands of the program `farol`: each is a const struct command that registers itself; the build
 * lists the folders and writes the table. Help, man pages (pt_BR, en) and completions come from
 * here, so that they cannot disagree. Texts come in pairs: [LANG_PT], [LANG_EN]. */
#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include "base/base.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/os.h"

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_LINT = 3,
    EXIT_NO_DATA = 4,
    EXIT_NO_CONNECTION = 5,
    EXIT_AUDIT = 6,
    EXIT_CONFIG = 78
};

struct command_option {
    const char *name;    /* long, without dashes */
    char letter;         /* 0 = none */
    const char *arg;     /* metavariable, NULL for a flag */
    const char *choices; /* "table|json", NULL = free */
    const char *help[LANGS];
};

#define COMMAND_OPERANDS_MAX 256
#define COMMAND_OPTIONS_MAX  64

/* What a command is given. Options are in parsed order; values borrow argv. */
struct command_args {
    const struct os *os;
    struct log *log;
    enum lang lang;
    bool color; /* standard output is a terminal and NO_COLOR, --no-color, --plain are not set */
    bool tty;   /* standard output is a terminal */
    const char *url; /* --url, FAROL_URL or http://127.0.0.1:9480 */
    struct {
        const struct command_option *option;
        const char *value; /* NULL for flags */
    } options[COMMAND_OPTIONS_MAX];
    uint32_t options_count;
    const char *const *operands; /* = operand_store */
    uint32_t operands_count;
    const char *operand_store[COMMAND_OPERANDS_MAX];
};

struct command {
    const char *name; /* "replay", "alert list" */
    /* Words: FILE (wanted), [FILE] (optional), FILE... (one or more), [FILE...] (any number),
     * bash|zsh|fish (one of these). NULL = none allowed. */
    const char *operands;
    const char *summary[LANGS];
    const char *about[LANGS];    /* paragraphs for the man page */
    const char *examples[LANGS]; /* lines "  command   # what it does" */
    const struct command_option *options;
    uint32_t options_count;
    int (*run)(const struct command_args *a); /* an exit code */
};

/* Last value of a long option, NULL when not given (flags: ""). */
const char *command_value(const struct command_args *a, const char *name);
static inline bool command_flag(const struct command_args *a, const char *name)
{
    return command_value(a, name) != NULL;
}
/* Options of every command: -h/--help, --url, --lang, --no-color, --plain, -q/--quiet,
 * -v/--verbose. A command may list an option of the same name or letter; its own wins. */
const struct command_option *command_common(uint32_t *count);

/* Parses argv (without the program and command names). The caller has set os, log, lang, color, tty
 * and url in out; --lang, --url, --no-color and --plain move them, the rest is written here.
 * Options and operands mix freely, "--" ends options, "--name=value" and "-nvalue" are read.
 * ERR_INPUT names the option, in out->lang, and suggests the nearest one; ERR_LIMIT: too many
 * words. With --help the operands are not checked. */
MUST_USE bool command_parse(const struct command *c, int argc, const char *const *argv,
                            struct command_args *out, struct err *e);

#endif
