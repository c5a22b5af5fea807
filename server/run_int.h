/* What `farol run` and `farol demo` share: a configuration in memory and a server started from it.
 */
#ifndef SERVER_RUN_INT_H
#define SERVER_RUN_INT_H

#include "base/command.h"
#include "server/service_int.h"

/* Process lifetime: the configuration and everything it points to. */
struct server_setup {
    struct mem mem;
    struct arena arena;
    struct buf text;
    struct server_config *config;
};

/* Reads the file `path` (NULL: defaults). Errors are shown on standard error; returns EXIT_OK,
 * EXIT_CONFIG or EXIT_FAILED. Release in any case. */
int server_setup_file(struct server_setup *s, const struct command_args *a, const char *path);
/* The same from text that `where` names. */
int server_setup_text(struct server_setup *s, const struct command_args *a, struct str text,
                      const char *where);
void server_setup_release(struct server_setup *s);
/* --listen and --data on top of the file. EXIT_OK or EXIT_USAGE, said. */
int server_setup_override(struct server_setup *s, const struct command_args *a, const char *listen,
                          const char *data);

/* Blocks the signals a server waits for, ignores SIGPIPE. Before any thread starts. */
void server_signals_block(void);
/* Starts, or says why not and what to do about it. */
MUST_USE bool server_run_start(struct service **out, struct server_setup *s, const char *path,
                               const struct command_args *a, enum service_trouble *trouble);
void server_run_advise(const struct command_args *a, const struct server_setup *s,
                       enum service_trouble trouble, const struct err *e);
/* "http://127.0.0.1:9480" */
void server_run_url(const struct service *s, char *out, size_t cap);

#endif
