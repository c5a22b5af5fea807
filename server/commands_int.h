/* The table of commands that the build writes, and what is generated from it: help, completion,
 * manual. */
#ifndef SERVER_COMMANDS_INT_H
#define SERVER_COMMANDS_INT_H

#include "base/buf.h"
#include "base/command.h"

/* Written by the build (table.c.in), in the order people meet them. */
extern const struct command *const server_commands[];
extern const uint32_t server_commands_count;
extern const char server_version[]; /* "0.1.0" */
extern const char server_commit[]; /* what `git describe` said, or "release" outside a repository */

/* The command that words[0] or words[0] words[1] name; *used = how many words. NULL: none. */
const struct command *server_command_find(const char *const *words, int count, int *used);
/* The nearest name to an unknown one, NULL when none is near. */
const char *server_command_near(struct str name);

/* Runs the program: words are argv without the program's name. Returns an exit code. */
int server_dispatch(const struct os *os, struct log *log, enum lang lang, int count,
                    const char *const *words);

/* `farol help` and `farol help CMD`. */
void server_help(struct buf *out, enum lang lang);
void server_help_command(struct buf *out, enum lang lang, const struct command *c);

enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH };
void server_completion(struct buf *out, enum lang lang, enum shell shell);

/* troff of farol(1), farol-CMD(1), farol.conf(5). */
void server_man_program(struct buf *out, enum lang lang);
void server_man_command(struct buf *out, enum lang lang, const struct command *c);
bool server_man_conf(struct buf *out, enum lang lang, struct err *e);
/* "alert list" -> "alert-list": the name of a command in file and page names. */
void server_man_name(struct buf *out, const struct command *c);

/* Writes out's bytes to standard output and releases it; EXIT_OK, or EXIT_FAILED with a message. */
int server_put(const struct command_args *a, struct buf *out);
/* Prints e on standard error, "farol NAME: message"; returns `code`. */
int server_fail(const struct command_args *a, const struct err *e, int code);

#endif
