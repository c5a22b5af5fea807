/* See child_int.h. Between fork and exec only what is safe in a signal handler is called, because
 * this process has threads. The kernel sends the child SIGTERM when its parent's main thread ends
 * (prctl(2), PR_SET_PDEATHSIG). */
#include "server/child_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_STEPS   100
#define STOP_STEP_MS 20

/* In the child: never returns. */
static noreturn void become(const char *const *argv, int output, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    /* Its own group: Ctrl-C at the terminal is for the parent, which ends the child in order. */
    (void)setpgid(0, 0);
    /* A parent that died between fork and prctl will send nothing any more. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent ||
        dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0) {
        _exit(127);
    }
    /* execv's signature predates const; it does not write. */
    union {
        const char *const *in;
        char *const *out;
    } words = {argv};
    (void)execv("/proc/self/exe", words.out);
    _exit(127);
}

bool server_child_start(struct child *c, const char *const *argv, const char *output, struct err *e)
{
    *c = (struct child){0};
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_errno(e, errno, "cannot write '%s'", output);
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        become(argv, fd, parent);
    }
    int code = errno;
    (void)close(fd);
    if (pid < 0) {
        return err_errno(e, code, "cannot start a process");
    }
    c->pid = pid;
    return true;
}

bool server_child_alive(struct child *c)
{
    int status = 0;
    if (c->pid == 0 || waitpid(c->pid, &status, WNOHANG) == 0) {
        return c->pid != 0;
    }
    c->pid = 0;
    c->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return false;
}

void server_child_stop(struct child *c)
{
    if (c->pid != 0) {
        (void)kill(c->pid, SIGTERM);
    }
    for (int i = 0; i < STOP_STEPS && server_child_alive(c); i++) {
        (void)poll(NULL, 0, STOP_STEP_MS);
    }
    if (c->pid != 0) {
        (void)kill(c->pid, SIGKILL);
        (void)waitpid(c->pid, NULL, 0);
        c->pid = 0;
    }
}
