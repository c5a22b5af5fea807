/* A pen that writes one line of a frame and knows its column: clips at the width, aligns, colours.
 */
#ifndef SERVER_BOARD_PEN_INT_H
#define SERVER_BOARD_PEN_INT_H

#include "base/buf.h"
#include "server/view_int.h"

enum pen_style { PEN_NORMAL, PEN_DIM, PEN_BOLD, PEN_OK, PEN_WARN, PEN_CRIT, PEN_BANNER };

struct pen {
    struct buf *out;
    enum lang lang;
    bool color, plain;
    uint32_t width, column;    /* columns written on this line */
    enum pen_style style;      /* of what was written last */
    uint32_t lines, lines_max; /* 0 = no bound; lines above it are not written */
};

/* Columns that s takes: its code points (texts are made of single-width ones, see view.c). */
uint32_t server_pen_columns(struct str s);
void server_pen_text(struct pen *p, enum pen_style style, struct str s);
/* Spaces up to a column; at least none. */
void server_pen_to(struct pen *p, uint32_t column);
/* s ends at column `end`; when it does not fit there, it follows after one space. */
void server_pen_right(struct pen *p, uint32_t end, enum pen_style style, struct str s);
void server_pen_newline(struct pen *p);
/* After the last text of a frame that does not end in a new line. */
void server_pen_end(struct pen *p);
/* The lamp: shape and word ("■ crítico"); in plain text the word in brackets. */
void server_pen_lamp(struct pen *p, enum view_state s);
/* Eight heights, oldest first; NaN is a space. Nothing in plain text. values is a ring of `cap`. */
void server_pen_spark(struct pen *p, const double *values, uint32_t cap, uint32_t at,
                      uint32_t count, uint32_t columns);

#endif
