/* Lines over time in the terminal. Each character is a braille cell of 2 x 4 dots:
 *
 *     0 3        U+2800 + bits: dot k sets bit k. Two dots across and four down make a plot of
 *     1 4        columns x rows characters 2 * columns dots wide and 4 * rows dots high.
 *     2 5
 *     6 7
 *
 * A point's place is linear in time and value; between neighbours a line is drawn, unless their
 * distance says that points are missing. One character has one colour: the last series wins. */
#include "server/answer_int.h"

#include "base/clock.h"
#include "codec/f64.h"

#include <math.h>

#define SCALE_COLUMNS 12
#define SERIES_MAX    12
#define DOTS_MAX      (512U * 128U)
#define GAP_STEPS     3 /* a gap is where points are further apart than so many usual distances */

static const char *const colors[] = {"36", "33", "32", "35", "34", "31"};

struct canvas {
    uint8_t cells[DOTS_MAX], owner[DOTS_MAX];
    uint32_t columns, rows;
    double t0, t1, v0, v1;
};

static void dot(struct canvas *c, long x, long y, uint32_t series)
{
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (x < 0 || y < 0 || x >= (long)c->columns * 2 || y >= (long)c->rows * 4) {
        return;
    }
    const size_t at = (size_t)(y / 4) * c->columns + (size_t)(x / 2);
    c->cells[at] |= bits[y % 4][x % 2];
    c->owner[at] = (uint8_t)series;
}

static void line(struct canvas *c, const struct answer_point *a, const struct answer_point *b,
                 uint32_t series)
{
    const double width = (double)c->columns * 2 - 1, height = (double)c->rows * 4 - 1;
    const double x0 = (a->t_s - c->t0) / (c->t1 - c->t0) * width;
    const double x1 = (b->t_s - c->t0) / (c->t1 - c->t0) * width;
    const double y0 = (c->v1 - a->v) / (c->v1 - c->v0) * height;
    const double y1 = (c->v1 - b->v) / (c->v1 - c->v0) * height;
    const long steps = lround(fmax(fabs(x1 - x0), fabs(y1 - y0))) + 1;
    for (long i = 0; i <= steps; i++) {
        const double f = (double)i / (double)steps;
        dot(c, lround(x0 + (x1 - x0) * f), lround(y0 + (y1 - y0) * f), series);
    }
}

static bool find_bounds(struct canvas *c, const struct server_answer *x)
{
    bool some = false;
    for (uint32_t i = 0; i < x->series_n && i < SERIES_MAX; i++) {
        for (uint32_t k = 0; k < x->series[i].n; k++) {
            const struct answer_point *p = &x->series[i].points[k];
            if (!isfinite(p->v)) {
                continue;
            }
            c->t0 = some ? fmin(c->t0, p->t_s) : p->t_s;
            c->t1 = some ? fmax(c->t1, p->t_s) : p->t_s;
            c->v0 = some ? fmin(c->v0, p->v) : p->v;
            c->v1 = some ? fmax(c->v1, p->v) : p->v;
            some = true;
        }
    }
    if (c->v0 > 0 && c->v0 < c->v1 / 2) {
        c->v0 = 0; /* a scale from zero, when the data nearly reaches it */
    }
    if (c->v0 == c->v1) {
        c->v0 -= 1;
        c->v1 += 1;
    }
    return some && c->t1 > c->t0;
}

static void draw(struct canvas *c, const struct answer_series *s, uint32_t series)
{
    double step = (double)INFINITY;
    for (uint32_t k = 1; k < s->n; k++) {
        step = fmin(step, s->points[k].t_s - s->points[k - 1].t_s);
    }
    for (uint32_t k = 1; k < s->n; k++) {
        const struct answer_point *a = &s->points[k - 1], *b = &s->points[k];
        if (isfinite(a->v) && isfinite(b->v) && b->t_s - a->t_s <= step * GAP_STEPS) {
            line(c, a, b, series);
        }
    }
}

/* Four significant digits, right-aligned in the scale's columns. */
static void write_scale(struct buf *out, double v)
{
    const size_t from = out->n;
    double rounded = v;
    if (v != 0) {
        const double unit = pow(10, floor(log10(fabs(v))) - 3);
        rounded = unit > 0 ? round(v / unit) * unit : v;
    }
    buf_fmt(out, "%*.4g ", SCALE_COLUMNS - 2, rounded);
    ASSERT(out->failed || out->n > from);
}

static void write_rows(const struct canvas *c, bool color, struct buf *out)
{
    for (uint32_t y = 0; y < c->rows; y++) {
        if (y == 0 || y + 1 == c->rows || y == c->rows / 2) {
            write_scale(out, c->v1 - (c->v1 - c->v0) * y / (c->rows - 1));
        } else {
            buf_fmt(out, "%*s", SCALE_COLUMNS - 1, "");
        }
        buf_char(out, '|');
        for (uint32_t x = 0; x < c->columns; x++) {
            const size_t at = (size_t)y * c->columns + x;
            const unsigned cell = c->cells[at];
            const char text[3] = {(char)0xe2, (char)(0xa0 | cell >> 6),
                                  (char)(0x80 | (cell & 0x3f))};
            if (cell == 0) {
                buf_char(out, ' ');
                continue;
            }
            if (color) {
                buf_fmt(out, "\033[%sm", colors[c->owner[at] % ARRAY_LEN(colors)]);
            }
            buf_add(out, text, sizeof text);
            if (color) {
                BUF_LIT(out, "\033[0m");
            }
        }
        buf_char(out, '\n');
    }
}

/* The time of day alone where both ends with their dates have no room. */
static struct str end_text(struct buf *b, double t_s, bool narrow)
{
    buf_reset(b);
    time_format(b, ns_from_ms((int64_t)llround(t_s * 1000)));
    const struct str whole = buf_str(b);
    return narrow ? str_sub(str_cut(whole, 'T').tail, 0, 8) : whole;
}

static void write_axis(const struct canvas *c, struct buf *out)
{
    struct mem m;
    struct buf left, right;
    mem_init(&m, 0);
    buf_init(&left, &m, 64);
    buf_init(&right, &m, 64);
    struct str from = end_text(&left, c->t0, false), to = end_text(&right, c->t1, false);
    if (from.n + to.n >= c->columns) {
        from = end_text(&left, c->t0, true);
        to = end_text(&right, c->t1, true);
    }
    buf_fmt(out, "%*s%.*s", SCALE_COLUMNS, "", STR_FMT(from));
    for (size_t i = from.n; i + to.n < c->columns; i++) {
        buf_char(out, ' ');
    }
    buf_fmt(out, "%.*s\n", STR_FMT(to));
    buf_release(&left);
    buf_release(&right);
}

void server_answer_plot(const struct server_answer *x, uint32_t columns, uint32_t rows, bool color,
                        struct buf *out)
{
    struct canvas c = {.columns = columns > SCALE_COLUMNS + 20 ? columns - SCALE_COLUMNS : 20,
                       .rows = rows < 4 ? 4 : rows};
    c.columns = c.columns > 512 ? 512 : c.columns;
    c.rows = c.rows > 128 ? 128 : c.rows;
    if (!find_bounds(&c, x)) {
        return;
    }
    const uint32_t n = x->series_n < SERIES_MAX ? x->series_n : SERIES_MAX;
    for (uint32_t i = n; i > 0; i--) {
        draw(&c, &x->series[i - 1], i - 1);
    }
    write_rows(&c, color, out);
    write_axis(&c, out);
    for (uint32_t i = 0; i < n; i++) {
        const struct answer_series *s = &x->series[i];
        if (color) {
            buf_fmt(out, "\033[%sm", colors[i % ARRAY_LEN(colors)]);
        }
        BUF_LIT(out, "  \xe2\x96\xa0 ");
        if (color) {
            BUF_LIT(out, "\033[0m");
        }
        buf_str_add(out, s->labels);
        BUF_LIT(out, "  ");
        buf_str_add(out, s->n > 0 ? s->points[s->n - 1].text : STR("-"));
        buf_char(out, '\n');
    }
    if (x->series_n > n) {
        buf_fmt(out, "  + %u\n", x->series_n - n);
    }
}
