/* See board_pen_int.h. Colours are the terminal's own 16, so that the user's theme decides how they
 * look; state is never told by colour alone. */
#include "server/board_pen_int.h"

#include "server/text_int.h"

#include <math.h>

static const char *const codes[] = {
    [PEN_NORMAL] = "",         [PEN_DIM] = "\033[2m",   [PEN_BOLD] = "\033[1m",
    [PEN_OK] = "\033[32m",     [PEN_WARN] = "\033[33m", [PEN_CRIT] = "\033[1;31m",
    [PEN_BANNER] = "\033[7;1m"};

static bool silent(const struct pen *p)
{
    return p->lines_max > 0 && p->lines >= p->lines_max;
}

uint32_t server_pen_columns(struct str s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    }
    return n;
}

/* The first `columns` code points of s. */
static struct str clip(struct str s, uint32_t columns)
{
    size_t i = 0;
    while (i < s.n) {
        if (((unsigned char)s.p[i] & 0xC0) != 0x80 && columns-- == 0) {
            break;
        }
        i++;
    }
    return str_sub(s, 0, i);
}

/* Styles are switched only where they change, so that a frame stays small. */
static void set_style(struct pen *p, enum pen_style style)
{
    if (!p->color || style == p->style) {
        return;
    }
    if (p->style != PEN_NORMAL) {
        BUF_LIT(p->out, "\033[0m");
    }
    buf_str_add(p->out, str_from_c(codes[style]));
    p->style = style;
}

void server_pen_text(struct pen *p, enum pen_style style, struct str s)
{
    if (silent(p) || s.n == 0 || p->column >= p->width) {
        return;
    }
    s = clip(s, p->width - p->column);
    set_style(p, style);
    buf_str_add(p->out, s);
    p->column += server_pen_columns(s);
}

void server_pen_to(struct pen *p, uint32_t column)
{
    if (!silent(p) && p->column < column && p->column < p->width) {
        set_style(p, PEN_NORMAL);
    }
    while (!silent(p) && p->column < column && p->column < p->width) {
        buf_char(p->out, ' ');
        p->column++;
    }
}

void server_pen_right(struct pen *p, uint32_t end, enum pen_style style, struct str s)
{
    uint32_t columns = server_pen_columns(s);
    uint32_t from = end > columns ? end - columns : 0;
    server_pen_to(p, from > p->column || p->column == 0 ? from : p->column + 1);
    server_pen_text(p, style, s);
}

void server_pen_end(struct pen *p)
{
    set_style(p, PEN_NORMAL);
}

void server_pen_newline(struct pen *p)
{
    if (!silent(p)) {
        server_pen_end(p);
        buf_char(p->out, '\n');
        p->lines++;
    }
    p->column = 0;
}

void server_pen_lamp(struct pen *p, enum view_state s)
{
    static const struct {
        const char *shape;
        enum text_id word;
        enum pen_style style;
    } lamps[] = {[VIEW_OK] = {"● ", TEXT_STATE_OK, PEN_OK},
                 [VIEW_NONE] = {"◌ ", TEXT_STATE_NONE, PEN_DIM},
                 [VIEW_WARN] = {"▲ ", TEXT_STATE_WARN, PEN_WARN},
                 [VIEW_CRIT] = {"■ ", TEXT_STATE_CRIT, PEN_CRIT}};
    struct str word = str_from_c(server_text(p->lang, lamps[s].word));
    server_pen_text(p, lamps[s].style, p->plain ? STR("[") : str_from_c(lamps[s].shape));
    server_pen_text(p, lamps[s].style, word);
    if (p->plain) {
        server_pen_text(p, lamps[s].style, STR("]"));
    }
}

void server_pen_spark(struct pen *p, const double *values, uint32_t cap, uint32_t at,
                      uint32_t count, uint32_t columns)
{
    static const char bars[] = "▁▂▃▄▅▆▇█"; /* three bytes each */
    if (p->plain || columns == 0) {
        return;
    }
    uint32_t shown = count < columns ? count : columns;
    double top = 0;
    for (uint32_t i = 0; i < shown; i++) {
        double v = values[(at + cap - shown + i) % cap];
        top = isfinite(v) && v > top ? v : top;
    }
    server_pen_to(p, p->column + columns - shown);
    for (uint32_t i = 0; i < shown; i++) {
        double v = values[(at + cap - shown + i) % cap];
        if (!isfinite(v)) {
            server_pen_text(p, PEN_DIM, STR(" "));
            continue;
        }
        size_t level = top > 0 && v > 0 ? (size_t)(v / top * 7.0 + 0.5) : 0;
        server_pen_text(p, PEN_DIM, str_of(bars + 3 * size_min(level, 7), 3));
    }
}
