/* Any Accept header gives a format; any label value gives a page of whole, escaped lines. */
#include "codec/expo.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The line `g{v="..."} 1`, unescaped: the value that a reader would see. */
static size_t unescaped(struct str line)
{
    size_t n = 0;
    ASSERT(str_starts(line, STR("g{v=\"")));
    ASSERT(str_ends(line, STR("\"} 1")));
    for (size_t i = 5; i < line.n - 4; i++, n++) {
        ASSERT(line.p[i] != '"' && line.p[i] != '\n');
        if (line.p[i] == '\\') {
            i++;
            ASSERT(line.p[i] == '\\' || line.p[i] == '"' || line.p[i] == 'n');
            ASSERT(i < line.n - 4);
        }
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_of((const char *)data, size);
    struct mem mem;
    struct arena arena;
    struct expo x;
    struct buf out;
    enum expo_format f = expo_negotiate(s);
    ASSERT(f == EXPO_TEXT_0_0_4 || f == EXPO_OPENMETRICS_1_0_0);
    if (size > 4096) {
        return 0;
    }
    mem_init(&mem, 0);
    arena_init(&arena, &mem, 1 << 20);
    buf_init(&out, &mem, 1 << 20);
    expo_init(&x, &arena, 0);
    const struct label label = {STR("v"), s};
    expo_add(&x, expo_family(&x, EXPO_GAUGE, STR("g"), STR(""), STR("h")), &label, 1, 1);
    ASSERT(!x.failed);
    expo_write(&x, f, &out);
    ASSERT(str_is_utf8(buf_str(&out)));
    struct str rest = str_cut(str_cut(buf_str(&out), '\n').tail, '\n').tail; /* HELP, TYPE */
    ASSERT(unescaped(str_cut(rest, '\n').head) == size);
    ASSERT(expo_find(&x, STR("g"), &label, 1) != NULL);
    buf_release(&out);
    arena_release(&arena);
    ASSERT(mem.bytes == 0);
    return 0;
}
