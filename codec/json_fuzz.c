/* Any bytes: the fast and the slow path agree on what is JSON, tokens are well-formed, strings are
 * UTF-8, places lie within the text. */
#include "codec/json.h"
#include "codec/json_int.h"

#include <stdlib.h>

#define TOKENS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tokens(const struct json_doc *d)
{
    ASSERT(d->tokens_count > 0);
    ASSERT(d->tokens[0].next == d->tokens_count);
    for (uint32_t i = 0; i < d->tokens_count; i++) {
        const struct json_token *t = &d->tokens[i];
        const struct json_token *parent = &d->tokens[t->parent];
        ASSERT(t->next > i);
        ASSERT(i == 0 || t->parent < i);
        ASSERT(t->next <= parent->next);
        ASSERT(i == 0 || parent->kind == JSON_OBJECT || parent->kind == JSON_ARRAY);
        ASSERT(t->kind == JSON_OBJECT || t->kind == JSON_ARRAY || t->next == i + 1);
        ASSERT(str_is_utf8(t->key));
        ASSERT(t->kind != JSON_STR || str_is_utf8(t->v.str));
        ASSERT((i > 0 && parent->kind == JSON_OBJECT) == (t->key.p != NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) {
        return 0;
    }
    struct mem mem;
    mem_init(&mem, 0);
    struct json_parser *p = json_parser_new(&mem, TOKENS_MAX, 4096);
    ASSERT(p != NULL);
    struct str text = str_of((const char *)data, size);
    struct json_doc doc;
    struct err fast = {0};
    struct err slow = {0};
    bool accepted = json_parse(p, text, false, &doc, &fast);
    bool valid = json_scan_valid(text, &slow);
    if (accepted) {
        ASSERT(valid);
        check_tokens(&doc);
        ASSERT(json_locate(text, STR("")) > 0);
    } else if (valid) {
        ASSERT(fast.code == ERR_LIMIT); /* too many values */
    } else {
        ASSERT(fast.code == slow.code);
        ASSERT(fast.col == slow.col && fast.col >= 1 && fast.col <= size + 1);
    }
    ASSERT(json_locate(text, STR("a")) <= size);
    ASSERT(json_locate(text, STR("a.0.b")) <= size);
    json_parser_free(p);
    ASSERT(mem.bytes == 0);
    return 0;
}
