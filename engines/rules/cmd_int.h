/* What the commands on rule files share. Private to engines/rules. */
#ifndef ENGINES_RULES_CMD_INT_H
#define ENGINES_RULES_CMD_INT_H

#include "base/command.h"
#include "engines/rules/rules.h"

#define CMD_OUT_MAX (256U << 20)

extern const struct command_option rules_cmd_options[];
#define RULES_CMD_OPTIONS 3

/* --enable-feature (may be given several times, names joined by commas), --ignore-unknown-fields,
 * --legacy-names. false: an unknown feature, which was told. */
MUST_USE bool rules_cmd_flags(const struct command_args *a, const char *command, unsigned *out);
/* Writes to standard output and releases. Returns code, or EXIT_FAILED when it could not. */
int rules_cmd_put(const struct command_args *a, struct buf *out, int code);

#endif
