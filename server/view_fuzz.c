/* Any bytes as the answer of a server: read or refused; what is read is drawn within its screen and
 * without control bytes. */
#include "server/board_int.h"
#include "server/view_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frame(struct str s, uint32_t width)
{
    uint32_t columns = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        ASSERT(c >= 0x20 || c == '\n');
        ASSERT(c != 0x7F);
        columns = c == '\n' ? 0 : columns + ((c & 0xC0) != 0x80);
        ASSERT(columns <= width);
    }
    ASSERT(str_is_utf8(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct err e = {0};
    if (size > 65536) {
        return 0;
    }
    mem_init(&mem, 0);
    struct json_parser *p = json_parser_new(&mem, VIEW_TOKENS_MAX, VIEW_JSON_BYTES_MAX);
    struct server_view *v = mem_take(&mem, sizeof *v);
    struct server_history *h = mem_take(&mem, sizeof *h);
    struct server_story *story = mem_take(&mem, sizeof *story);
    ASSERT(p != NULL);
    ASSERT(v != NULL);
    ASSERT(h != NULL);
    ASSERT(story != NULL);
    if (server_view_read(p, str_of((const char *)data, size), v, &e)) {
        struct buf out;
        buf_init(&out, &mem, 1U << 20);
        server_history_add(h, v);
        server_story_add(story, v);
        server_story_add(story, v);
        static const uint32_t widths[] = {40, 80, 132};
        for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
            struct server_board b = {.view = v,
                                     .history = h,
                                     .story = i == 0 ? NULL : story,
                                     .lang = (enum lang)(i & 1),
                                     .width = widths[i],
                                     .height = 24,
                                     .live = i == 2,
                                     .silent_since_ns = T_NS_NONE,
                                     .zone = "UTC",
                                     .url = "http://x"};
            buf_reset(&out);
            server_board_draw(&b, &out);
            ASSERT(!out.failed);
            check_frame(buf_str(&out), widths[i]);
        }
        buf_reset(&out);
        server_status_text(v, LANG_PT, false, false, -3 * 3600, &out);
        server_status_line(v, story, LANG_EN, true, -3 * 3600, &out);
        check_frame(buf_str(&out), UINT32_MAX);
        buf_release(&out);
    } else {
        ASSERT(e.code != ERR_NONE);
    }
    mem_give(&mem, story, sizeof *story);
    mem_give(&mem, h, sizeof *h);
    mem_give(&mem, v, sizeof *v);
    json_parser_free(p);
    ASSERT(mem.bytes == 0);
    return 0;
}
