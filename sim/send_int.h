/* Private to sim/: where the command's lines go. See send.c. */
#ifndef SIM_SEND_INT_H
#define SIM_SEND_INT_H

#include "base/buf.h"
#include "base/command.h"
#include "base/os.h"
#include "net/http_client.h"
#include "sim/sim.h"

#define SIM_SEND_LINES_MAX  1000
#define SIM_SEND_AGE_NS     (200LL * 1000 * 1000)
#define SIM_SEND_FILE_BYTES (1U << 20)
/* A full batch of the longest lines fits; buf_room asks for one line more than it uses. */
#define SIM_SEND_BYTES_MAX ((SIM_SEND_LINES_MAX + 2U) * SIM_LINE_BYTES_MAX)

struct sim_send {
    const struct os *os;
    struct mem *mem;
    enum lang lang;
    struct http_client *http; /* NULL: a file */
    const char *path;
    char url[512];
    int fd;
    bool paced, stop, signals_blocked;
    struct buf batch;
    uint32_t lines, batch_lines;
    int64_t opened_ns; /* monotonic: when the first line of the batch was added */
    int64_t retry_ns;
    uint64_t batches, sent, resent;
};

void sim_send_init(struct sim_send *d, const struct os *os, struct mem *m, enum lang lang);
MUST_USE bool sim_send_open_file(struct sim_send *d, const char *path, struct err *e);
MUST_USE bool sim_send_open_url(struct sim_send *d, const char *url, struct err *e);
/* After a line was appended to d->batch. */
MUST_USE bool sim_send_line_added(struct sim_send *d, struct err *e);
MUST_USE bool sim_send_flush(struct sim_send *d, struct err *e);
MUST_USE bool sim_send_wait(struct sim_send *d, int64_t due_mono_ns, struct err *e);
bool sim_send_stop_asked(struct sim_send *d);
MUST_USE bool sim_send_close(struct sim_send *d, struct err *e);

#endif
