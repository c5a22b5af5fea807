/* Texts of the program by language. Exists so that a sentence has one home and both languages stand
 * side by side; placeholders are numbered because word order differs between them. */
#include "server/text_int.h"

#include <stdio.h>

#define TELL_BYTES_MAX 4096

static const char *const texts[TEXTS][LANGS] = {
#define TEXT(id, pt, en) [TEXT_##id] = {pt, en},
#include "server/text.def"
#undef TEXT
};

const char *server_text(enum lang lang, enum text_id id)
{
    ASSERT((unsigned)id < TEXTS);
    return texts[id][lang == LANG_PT ? LANG_PT : LANG_EN];
}

void server_say_args(struct buf *out, enum lang lang, enum text_id id, const struct str *args,
                     uint32_t count)
{
    const char *p = server_text(lang, id);
    while (*p) {
        if (p[0] == '{' && p[1] >= '1' && p[1] <= '9' && p[2] == '}' &&
            (uint32_t)(p[1] - '1') < count) {
            buf_str_add(out, args[p[1] - '1']);
            p += 3;
        } else {
            buf_char(out, *p++);
        }
    }
}

void server_tell_args(enum lang lang, enum text_id id, const struct str *args, uint32_t count)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct buf out;
    buf_init(&out, &mem, TELL_BYTES_MAX);
    server_say_args(&out, lang, id, args, count);
    (void)fprintf(stderr, "farol: %.*s\n", STR_FMT(buf_str(&out)));
    buf_release(&out);
}

enum lang server_lang_of(const char *value)
{
    return str_starts(str_from_c(value), STR("pt")) ? LANG_PT : LANG_EN;
}
