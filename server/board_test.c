/* Tests of the board: frames against golden files (testdata/board_*.txt) and the rules that hold
 * for any frame. FAROL_GOLDEN=write writes the files anew; read the difference before you keep
 * them. */
#include "server/board_int.h"

#include "base/file.h"
#include "base/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct server_view *load(struct mem *mem)
{
    struct buf text;
    struct err e = {0};
    buf_init(&text, mem, 1U << 20);
    assert_true(file_read(os_real(), test_path("server/testdata/status.json"), &text, &e));
    struct json_parser *p = json_parser_new(mem, VIEW_TOKENS_MAX, VIEW_JSON_BYTES_MAX);
    struct server_view *v = mem_take(mem, sizeof *v);
    assert_true(server_view_read(p, buf_str(&text), v, &e));
    json_parser_free(p);
    buf_release(&text);
    return v;
}

/* Ninety seconds: the ring has turned once, and a gap of no data is in it. */
static struct server_history *remember(struct mem *mem, const struct server_view *v)
{
    struct server_history *h = mem_take(mem, sizeof *h);
    struct server_view *at = mem_take(mem, sizeof *at);
    for (int i = 0; i < 90; i++) {
        *at = *v;
        double wave = 1 + 0.5 * sin(i / 6.0);
        at->tx_per_s = i == 70 ? (double)NAN : v->tx_per_s * wave;
        at->hold_share = i < 60 ? 0.01 : v->hold_share;
        for (uint32_t s = 0; s < at->stages_count; s++) {
            at->stages[s].rate_per_s = v->stages[s].rate_per_s * wave;
        }
        server_history_add(h, at);
    }
    mem_give(mem, at, sizeof *at);
    return h;
}

static void golden(const char *name, struct str found)
{
    char path[256];
    struct mem mem;
    struct buf want;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "server/testdata/%s", name);
    mem_init(&mem, 0);
    buf_init(&want, &mem, 1U << 20);
    const char *mode = getenv("FAROL_GOLDEN");
    if (mode && str_eq(str_from_c(mode), STR("write"))) {
        assert_true(file_replace(os_real(), test_path(path), found, &e));
    }
    assert_true(file_read(os_real(), test_path(path), &want, &e));
    assert_str(found, buf_str(&want));
    buf_release(&want);
}

struct rig {
    struct mem mem;
    struct server_view *view;
    struct server_history *history;
    struct buf out;
    struct server_board board;
};

static void rig_init(struct rig *r)
{
    mem_init(&r->mem, 0);
    r->view = load(&r->mem);
    r->history = remember(&r->mem, r->view);
    buf_init(&r->out, &r->mem, 1U << 20);
    r->board = (struct server_board){.view = r->view,
                                     .history = r->history,
                                     .lang = LANG_PT,
                                     .width = 80,
                                     .height = 24,
                                     .silent_since_ns = T_NS_NONE,
                                     .utc_offset_s = -3 * 3600,
                                     .zone = "-03",
                                     .url = "http://127.0.0.1:9480"};
}

static void rig_release(struct rig *r)
{
    buf_release(&r->out);
    mem_give(&r->mem, r->history, sizeof *r->history);
    mem_give(&r->mem, r->view, sizeof *r->view);
    assert_int_equal(r->mem.bytes, 0);
}

static void frame(struct rig *r, const char *name)
{
    buf_reset(&r->out);
    server_board_draw(&r->board, &r->out);
    assert_false(r->out.failed);
    golden(name, buf_str(&r->out));
}

TEST(board_golden_frames)
{
    struct rig r;
    rig_init(&r);
    frame(&r, "board_pt_80.txt");
    r.board.lang = LANG_EN;
    frame(&r, "board_en_80.txt");
    r.board.width = 120;
    frame(&r, "board_en_120.txt");
    r.board.lang = LANG_PT;
    r.board.color = true;
    frame(&r, "board_pt_120_color.txt");
    r.board.plain = true;
    r.board.width = 80;
    frame(&r, "board_pt_80_plain.txt");
    rig_release(&r);
}

TEST(board_golden_silent_paused_help)
{
    struct rig r;
    rig_init(&r);
    r.board.live = true;
    r.board.paused = true;
    r.board.silent_since_ns = r.view->t_ns;
    frame(&r, "board_pt_silent.txt");
    r.board.help = true;
    r.board.height = 40;
    r.board.lang = LANG_EN;
    frame(&r, "board_en_help.txt");
    r.board.view = NULL;
    r.board.help = false;
    r.board.lang = LANG_PT;
    frame(&r, "board_pt_nothing.txt");
    rig_release(&r);
}

TEST(board_golden_status)
{
    struct rig r;
    rig_init(&r);
    server_status_text(r.view, LANG_PT, false, false, -3 * 3600, &r.out);
    golden("status_pt.txt", buf_str(&r.out));
    buf_reset(&r.out);
    server_status_text(r.view, LANG_EN, false, true, -3 * 3600, &r.out);
    golden("status_en_plain.txt", buf_str(&r.out));
    buf_reset(&r.out);
    server_status_line(r.view, NULL, LANG_PT, false, 0, &r.out);
    golden("line_pt.txt", buf_str(&r.out));
    r.view->recall = (struct view_estimate){.value = 0.652, .lo = 0.61, .hi = 0.69};
    buf_reset(&r.out);
    server_status_line(r.view, NULL, LANG_EN, true, 0, &r.out);
    assert_true(str_contains(buf_str(&r.out), STR(", recall 65.2% (61.0-69.0), holds 2.1%")));
    assert_false(str_contains(buf_str(&r.out), STR("Alerts firing")));
    r.view->alerts_firing = 1;
    r.view->alerts_count = 1;
    const struct str name = STR("PixDictDown");
    memcpy(r.view->alerts[0].p, name.p, name.n);
    r.view->alerts[0].n = (uint16_t)name.n;
    const struct str said = STR("Alerts firing: 1 (PixDictDown)\n");
    buf_reset(&r.out);
    server_status_line(r.view, NULL, LANG_EN, true, 0, &r.out);
    assert_true(str_ends(buf_str(&r.out), said));
    buf_reset(&r.out);
    server_status_text(r.view, LANG_EN, false, true, 0, &r.out);
    assert_true(str_contains(buf_str(&r.out), said));
    rig_release(&r);
}

/* No line is wider than the screen, no live frame taller, whatever the size. */
TEST(board_fits_any_screen)
{
    struct rig r;
    rig_init(&r);
    r.board.live = true;
    for (uint32_t width = 40; width <= 240; width += 7) {
        for (uint32_t height = 2; height < 60; height += 5) {
            r.board.width = width;
            r.board.height = height;
            buf_reset(&r.out);
            server_board_draw(&r.board, &r.out);
            struct str rest = buf_str(&r.out);
            uint32_t lines = 0;
            while (rest.n > 0) {
                struct str_cut cut = str_cut(rest, '\n');
                uint32_t columns = 0;
                for (size_t i = 0; i < cut.head.n; i++) {
                    columns += ((unsigned char)cut.head.p[i] & 0xC0) != 0x80;
                }
                assert_true(columns <= width);
                lines++;
                rest = cut.tail;
            }
            assert_true(lines <= height);
        }
    }
    rig_release(&r);
}

/* Plain text is for screen readers, logs and old terminals: letters and ASCII only. */
TEST(board_plain_has_no_drawing)
{
    struct rig r;
    rig_init(&r);
    r.board.plain = true;
    r.board.color = true;
    r.board.width = 120;
    server_board_draw(&r.board, &r.out);
    server_status_text(r.view, LANG_PT, true, true, 0, &r.out);
    server_status_line(r.view, NULL, LANG_PT, true, 0, &r.out);
    struct str s = buf_str(&r.out);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        assert_true(c != 0x1B);
        assert_true(c < 0xE0); /* two-byte letters such as ç; no shapes, bars or dashes */
    }
    rig_release(&r);
}

TEST(board_says_when_the_sum_does_not_close)
{
    struct rig r;
    rig_init(&r);
    server_board_draw(&r.board, &r.out);
    assert_true(str_contains(buf_str(&r.out), STR("a soma fecha")));
    r.view->closes = false;
    buf_reset(&r.out);
    server_board_draw(&r.board, &r.out);
    assert_true(str_contains(buf_str(&r.out), STR("A SOMA NÃO FECHA")));
    rig_release(&r);
}
