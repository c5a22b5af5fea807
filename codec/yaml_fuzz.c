/* Any bytes: a tree within its bounds, or an error with a place inside the text. */
#include "codec/yaml.h"

#include "codec/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t walk(const struct yaml_node *n, uint32_t depth)
{
    uint64_t count = 1;
    uint32_t children = 0;
    ASSERT(n->line >= 1 && n->col >= 1);
    ASSERT(n->kind == YAML_SCALAR || depth < YAML_DEPTH_MAX);
    ASSERT(n->kind != YAML_SCALAR || !n->first);
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        count += walk(c, depth + 1);
        ASSERT(count <= YAML_NODES_MAX);
        children++;
        ASSERT(n->kind != YAML_MAPPING || children > 64 || yaml_get(n, c->key) == c);
    }
    ASSERT(children == n->children_count);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 16384) {
        return 0;
    }
    struct mem mem;
    struct arena arena;
    struct yaml_node *root = NULL;
    struct err e = {0};
    struct buf out;
    struct str text = str_of((const char *)data, size);
    mem_init(&mem, 0);
    arena_init(&arena, &mem, 64 << 20);
    buf_init(&out, &mem, 1 << 20);
    if (yaml_parse(text, "fuzz", &arena, &root, &e)) {
        walk(root, 0);
    } else {
        size_t lines = 2;
        for (size_t i = 0; i < size; i++) {
            lines += data[i] == '\n' || data[i] == '\r' || data[i] >= 0x80;
        }
        ASSERT(e.code == ERR_INPUT || e.code == ERR_LIMIT);
        ASSERT(e.line >= 1 && e.line <= lines && e.col >= 1 && e.col <= size + 1);
        ASSERT(e.msg[0] != 0);
        conf_err_show(&e, text, &out);
        ASSERT(!out.failed);
    }
    bool more = false;
    struct err e2 = {0};
    arena_reset(&arena);
    if (yaml_parse_first(text, "fuzz", &arena, &root, &more, &e2)) {
        walk(root, 0);
    } else {
        ASSERT(e2.msg[0] != 0);
    }
    buf_release(&out);
    arena_release(&arena);
    ASSERT(mem.bytes == 0);
    return 0;
}
