/* An error in a file as people see it: the message, the line, a caret.
 *
 *   farol.yml:3:11: pipeline.window: expected a duration from 1s to 1h, found "90"
 *      3 |   window: 90
 *        |           ^
 *
 * The caret line repeats the tabs of the line, so that it stands right whatever a tab is worth.
 * Columns count characters. A long line is cut to a window around the column; control characters
 * become '?'. */
#include "codec/conf.h"

#define WINDOW_BEFORE 60 /* characters kept before and after the column */
#define WINDOW_AFTER  60

static bool is_char_start(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* Line number `line` (from 1) without its end; false when the text has fewer. */
static bool line_at(struct str text, uint32_t line, struct str *out)
{
    for (uint32_t i = 1; i < line; i++) {
        struct str_cut cut = str_cut(text, '\n');
        if (!cut.ok) {
            return false;
        }
        text = cut.tail;
    }
    *out = str_cut(text, '\n').head;
    if (out->n > 0 && out->p[out->n - 1] == '\r') {
        out->n--;
    }
    return true;
}

/* Byte offset of character `col` (from 1), at most the end of s. */
static size_t char_off(struct str s, size_t col)
{
    size_t i = 0;
    for (size_t c = 1; c < col && i < s.n; c++) {
        i++;
        while (i < s.n && !is_char_start(s.p[i])) {
            i++;
        }
    }
    return i;
}

static void shown_line(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        buf_char(out, (c < 0x20 && c != '\t') || c == 0x7f ? '?' : s.p[i]);
    }
}

static void shown_caret(struct buf *out, struct str before)
{
    for (size_t i = 0; i < before.n; i++) {
        if (is_char_start(before.p[i])) {
            buf_char(out, before.p[i] == '\t' ? '\t' : ' ');
        }
    }
    BUF_LIT(out, "^\n");
}

void conf_err_show(const struct err *e, struct str text, struct buf *out)
{
    char head[512];
    struct str line;
    buf_add(out, head, err_format(e, head, sizeof head));
    buf_char(out, '\n');
    if (e->line == 0 || !line_at(text, e->line, &line)) {
        return;
    }
    size_t chars = 1;
    for (size_t i = 0; i < line.n; i++) {
        chars += is_char_start(line.p[i]);
    }
    size_t col = e->col ? size_min(e->col, chars) : 1;
    size_t from = char_off(line, col > WINDOW_BEFORE ? col - WINDOW_BEFORE : 1);
    size_t caret = char_off(line, col);
    size_t to = caret + char_off(str_sub(line, caret, line.n), WINDOW_AFTER);
    const char *cut_front = from > 0 ? "..." : "";
    buf_fmt(out, "%4u | %s", e->line, cut_front);
    shown_line(out, str_sub(line, from, to - from));
    buf_str_add(out, to < line.n ? STR("...\n") : STR("\n"));
    if (e->col > 0) {
        buf_fmt(out, "     | %*s", (int)strlen(cut_front), "");
        shown_caret(out, str_sub(line, from, caret - from));
    }
}
