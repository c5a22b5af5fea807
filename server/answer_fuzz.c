/* Any bytes as the answer of a server: read or refused; what is read is shown in every form without
 * control bytes, and a plot within its columns. */
#include "server/answer_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        ASSERT(c >= 0x20 || c == '\n');
        ASSERT(c != 0x7f);
    }
    ASSERT(str_is_utf8(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena arena;
    struct buf out;
    struct server_answer x;
    struct err e = {0};
    if (size > 65536) {
        return 0;
    }
    mem_init(&mem, 0);
    arena_init(&arena, &mem, 16U << 20);
    buf_init(&out, &mem, 64U << 20);
    struct json_parser *p = json_parser_new(&mem, 70000, 65536);
    ASSERT(p != NULL);
    if (server_answer_read(p, str_of((const char *)data, size), &arena, &x, &e)) {
        check_text(x.error);
        server_answer_csv(&x, &out);
        check_text(buf_str(&out));
        buf_reset(&out);
        server_answer_table(&x, &out);
        check_text(buf_str(&out));
        static const uint32_t widths[] = {20, 80, 600};
        for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
            buf_reset(&out);
            server_answer_plot(&x, widths[i], 14, false, &out);
            check_text(buf_str(&out));
        }
        if (x.explain) {
            buf_reset(&out);
            ASSERT(server_explain_write(x.explain, LANG_PT, &arena, &out, &e));
            check_text(buf_str(&out));
        }
        ASSERT(!out.failed);
    } else {
        ASSERT(e.code != ERR_NONE);
    }
    json_parser_free(p);
    buf_release(&out);
    arena_release(&arena);
    ASSERT(mem.bytes == 0);
    return 0;
}
