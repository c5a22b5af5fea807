/* Commands of the program `farol`: each is a const struct command that registers itself; the build
 * lists the folders and writes the table. Help, man pages (pt_BR, en) and completions come from here,
 * so that they cannot disagree. Texts come in pairs: [LANG_PT], [LANG_EN]. */
#ifndef BASE_COMMAND_H
#define BASE_COMMAND_H

#include "base/base.h"
#include "base/log.h"
#include "base/os.h"

enum lang { LANG_PT, LANG_EN };
#define LANGS 2

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
    } options[64];
    uint32_t options_count;
    const char *const *operands;
    uint32_t operands_count;
};

struct command {
    const char *name;     /* "replay", "alert list" */
    const char *operands; /* "FILE...", NULL = none allowed */
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
/* Parses argv (without the program and command names). ERR_INPUT names the option and suggests the
 * nearest one. Every command has -h/--help, --url, --no-color, --plain, -q, -v, -o where it lists it. */
MUST_USE bool command_parse(const struct command *c, int argc, const char *const *argv,
                            struct command_args *out, struct err *e);

#endif
