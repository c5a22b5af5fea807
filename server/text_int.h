/* Every sentence that people read, in Portuguese and English, from one table (server/text.def). */
#ifndef SERVER_TEXT_INT_H
#define SERVER_TEXT_INT_H

#include "base/buf.h"
#include "base/command.h"

enum text_id {
#define TEXT(id, pt, en) TEXT_##id,
#include "server/text.def"
#undef TEXT
    TEXTS
};

/* NUL-terminated, static. */
const char *server_text(enum lang lang, enum text_id id);
/* Appends the text with {1}..{9} replaced by args; a number without an argument is left as it is.
 */
void server_say_args(struct buf *out, enum lang lang, enum text_id id, const struct str *args,
                     uint32_t count);
#define SAY(out, lang, id, ...)                                                  \
    server_say_args((out), (lang), TEXT_##id, (const struct str[]){__VA_ARGS__}, \
                    (uint32_t)ARRAY_LEN(((const struct str[]){__VA_ARGS__})))
/* "farol: " and the text on standard error, one line. */
void server_tell_args(enum lang lang, enum text_id id, const struct str *args, uint32_t count);
#define TELL(lang, id, ...)                                                \
    server_tell_args((lang), TEXT_##id, (const struct str[]){__VA_ARGS__}, \
                     (uint32_t)ARRAY_LEN(((const struct str[]){__VA_ARGS__})))

/* The language of an environment value: "pt_BR.UTF-8" is LANG_PT, everything else LANG_EN. */
enum lang server_lang_of(const char *value);

#endif
