/* The board: a frame of text for `farol top`, and the few lines of `farol status`. Pure: what is
 * drawn depends on the arguments alone, so golden files can hold frames. */
#ifndef SERVER_BOARD_INT_H
#define SERVER_BOARD_INT_H

#include "base/buf.h"
#include "server/story_int.h"
#include "server/view_int.h"

#define BOARD_SECONDS   60
#define BOARD_WIDTH_MIN 40
#define BOARD_WIDTH_MAX 240

/* The last minute, one value per second: what sparklines draw. */
struct server_history {
    uint32_t count, at; /* at: where the next goes */
    double tx[BOARD_SECONDS], hold[BOARD_SECONDS], precision[BOARD_SECONDS];
    double stage[VIEW_STAGES_MAX][BOARD_SECONDS];
};
void server_history_add(struct server_history *h, const struct server_view *v);

struct server_board {
    const struct server_view *view; /* NULL: nothing was ever received */
    const struct server_history *history;
    const struct server_story *story; /* NULL: the sentence has no "since" and no "was" */
    enum lang lang;
    bool color, plain;
    bool live; /* keys are listed at the end; the frame is cut to height */
    bool paused, help;
    uint32_t width, height;
    int64_t now_ns;          /* shown when the view has no time of its own */
    int64_t silent_since_ns; /* last answer of the server, when it has stopped answering; else
                                T_NS_NONE */
    int32_t utc_offset_s;    /* of the viewer's zone */
    const char *zone;        /* its name: "-03" */
    const char *url;
};

/* Appends the frame: lines ended by '\n', each at most `width` columns; no cursor movement. */
void server_board_draw(const struct server_board *b, struct buf *out);

/* `farol status`: the verdict, one pillar a line, with its reasons, what was deployed lately, and
 * what to do next. Times are in the viewer's zone. */
void server_status_text(const struct server_view *v, enum lang lang, bool color, bool plain,
                        int32_t utc_offset_s, struct buf *out);
/* One line for logs: "■ crítico  1.284 tx/s · 3 perdidas · precisão 84,3% · " and the sentence. */
void server_status_line(const struct server_view *v, const struct server_story *story,
                        enum lang lang, bool plain, int32_t utc_offset_s, struct buf *out);

#endif
