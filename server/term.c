/* See term_int.h. Signals arrive by signalfd and are handled in the loop like keys, so there is no
 * state shared with handlers. Crashes are the exception: their handler may only call what is safe
 * in a signal, and writes a constant sequence that leaves the alternate screen before the default
 * action follows.
 *
 * Escape sequences (xterm ctlseqs, understood by all terminals of the last decade):
 *   ?1049 h/l alternate screen   ?25 h/l cursor   ?2026 h/l draw the frame at once   H home   K, J
 * erase to the end */
#include "server/term_int.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define ENTER_SCREEN "\033[?1049h\033[?25l\033[2J"
#define LEAVE_SCREEN "\033[?2026l\033[0m\033[?25h\033[?1049l"

static void put(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put_bytes = write(STDOUT_FILENO, p, n);
        if (put_bytes < 0 && errno == EINTR) {
            continue;
        }
        if (put_bytes <= 0) {
            return; /* the terminal went away: the next signal is SIGHUP */
        }
        p += put_bytes;
        n -= (size_t)put_bytes;
    }
}

/* Called in a signal: only async-signal-safe functions (POSIX.1-2017 2.4.3; tcsetattr is one). */
static void crashed(int signal_number)
{
    struct termios t;
    put(LEAVE_SCREEN, sizeof LEAVE_SCREEN - 1);
    if (tcgetattr(STDIN_FILENO, &t) == 0) {
        t.c_lflag |= ECHO | ICANON | ISIG;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &t);
    }
    (void)raise(signal_number); /* SA_RESETHAND: now the default action */
}

static void crash_handlers(bool ours)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ours ? crashed : SIG_DFL;
    action.sa_flags = ours ? (int)SA_RESETHAND : 0;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)sigaction(numbers[i], &action, NULL);
    }
}

static void screen_take(struct term *t)
{
    if (tcgetattr(STDIN_FILENO, &t->before) == 0) {
        struct termios raw = t->before;
        raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    }
    crash_handlers(true);
    put(ENTER_SCREEN, sizeof ENTER_SCREEN - 1);
    t->taken = true;
}

static void screen_give(struct term *t)
{
    if (t->taken) {
        put(LEAVE_SCREEN, sizeof LEAVE_SCREEN - 1);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &t->before);
        crash_handlers(false);
        t->taken = false;
    }
}

bool server_term_open(struct term *t, bool screen, struct err *e)
{
    memset(t, 0, sizeof *t);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGWINCH);
    if (screen) {
        (void)sigaddset(&set, SIGTSTP);
    }
    (void)sigprocmask(SIG_BLOCK, &set, &t->mask_before);
    t->signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (t->signals_fd < 0) {
        int code = errno;
        (void)sigprocmask(SIG_SETMASK, &t->mask_before, NULL);
        return err_errno(e, code, "cannot watch signals");
    }
    if (screen) {
        screen_take(t);
    }
    return true;
}

void server_term_close(struct term *t)
{
    screen_give(t);
    (void)close(t->signals_fd);
    (void)sigprocmask(SIG_SETMASK, &t->mask_before, NULL);
}

void server_term_suspend(struct term *t)
{
    screen_give(t);
    (void)raise(SIGSTOP);
    screen_take(t);
}

void server_term_size(uint32_t *columns, uint32_t *rows)
{
    struct winsize w = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0;
    *columns = known ? w.ws_col : 80;
    *rows = known ? w.ws_row : 24;
}

void server_term_frame(struct str lines, struct buf *scratch)
{
    buf_reset(scratch);
    BUF_LIT(scratch, "\033[?2026h\033[H");
    while (lines.n > 0) {
        struct str_cut cut = str_cut(lines, '\n');
        buf_str_add(scratch, cut.head);
        BUF_LIT(scratch, "\033[K");
        if (cut.ok) {
            BUF_LIT(scratch, "\r\n");
        }
        lines = cut.tail;
    }
    BUF_LIT(scratch, "\033[J\033[?2026l");
    if (!scratch->failed) {
        put(scratch->p, scratch->n);
    }
}

int server_term_key(const struct term *t, bool keys, int64_t timeout_ms)
{
    struct pollfd fds[2] = {{.fd = t->signals_fd, .events = POLLIN},
                            {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN}};
    int timeout = timeout_ms < 0 ? 0 : timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    if (poll(fds, 2, timeout) <= 0) {
        return 0;
    }
    if (fds[0].revents & POLLIN) {
        struct signalfd_siginfo info;
        if (read(t->signals_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            return -(int)info.ssi_signo;
        }
    }
    unsigned char c = 0;
    if (fds[1].revents != 0) {
        ssize_t n = read(STDIN_FILENO, &c, 1);
        return n == 1 ? c : n == 0 && (fds[1].revents & (POLLHUP | POLLERR)) ? -SIGHUP : 0;
    }
    return 0;
}
