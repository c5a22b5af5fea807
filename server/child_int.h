/* A child process of this one: another command of the same program. It ends when this process does,
 * however that happens. */
#ifndef SERVER_CHILD_INT_H
#define SERVER_CHILD_INT_H

#include "base/err.h"

#include <sys/types.h>

struct child {
    pid_t pid; /* 0: none, or it has ended */
    int code;  /* exit code once ended; 128 + signal when killed */
};

/* Runs /proc/self/exe with argv (argv[0] included, NULL-terminated); its output goes to the file
 * `output`. */
MUST_USE bool server_child_start(struct child *c, const char *const *argv, const char *output,
                                 struct err *e);
/* false once it has ended; c->code then says how. Does not wait. */
bool server_child_alive(struct child *c);
/* SIGTERM, and SIGKILL when it has not ended after two seconds. */
void server_child_stop(struct child *c);

#endif
