/* Any bytes as an expression, a selector, a metric and a series line: each must return. What is
 * accepted as an expression must print to text that parses, and prints again as itself; so must its
 * formatted text. The first byte chooses the feature flags. */
#include "engines/promql/parser_int.h"

#include "engines/promql/promql.h"

#include <stdlib.h>

#define ARENA_MAX ((size_t)16 << 20)
#define TEXT_MAX  ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct mem mem;
    struct arena arena;
    struct buf first, second;
};

/* The text in f->first must parse and print as itself. */
static void check_text(struct fuzz *f, bool formatted, const struct promql_node *original)
{
    struct promql_node *n = NULL;
    struct err e = {0};
    buf_reset(&f->second);
    if (!promql_parse(buf_str(&f->first), PROMQL_ALL_FLAGS, &f->arena, &n, &e)) {
        ASSERT(e.code == ERR_LIMIT); /* parentheses that printing adds count as levels too */
        return;
    }
    if (formatted) {
        buf_reset(&f->first);
        promql_print(original, &f->first);
    }
    promql_print(n, &f->second);
    ASSERT(str_eq(buf_str(&f->first), buf_str(&f->second)));
}

static void check_expression(struct fuzz *f, struct str text, unsigned flags)
{
    struct promql_node *n = NULL;
    struct err e = {0};
    if (!promql_parse(text, flags, &f->arena, &n, &e)) {
        ASSERT(e.code != ERR_NONE);
        ASSERT(e.msg[0] != '\0');
        return;
    }
    promql_json(n, &f->first);
    buf_reset(&f->first);
    promql_print(n, &f->first);
    check_text(f, false, n);
    buf_reset(&f->first);
    promql_format(n, &f->first);
    check_text(f, true, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {0};
    if (size == 0 || size > 1 << 16) {
        return 0;
    }
    mem_init(&f.mem, 0);
    arena_init(&f.arena, &f.mem, ARENA_MAX);
    buf_init(&f.first, &f.mem, TEXT_MAX);
    buf_init(&f.second, &f.mem, TEXT_MAX);
    const struct str text = {(const char *)data + 1, size - 1};
    const unsigned flags = data[0] == '*' ? PROMQL_ALL_FLAGS : data[0] & PROMQL_ALL_FLAGS;
    check_expression(&f, text, flags);

    struct err e = {0};
    struct matcher *m = NULL;
    uint32_t m_n = 0;
    struct labels labels;
    const bool selected = promql_selector(text, &f.arena, &m, &m_n, &e);
    ASSERT(selected || e.code != ERR_NONE);
    e = (struct err){0};
    const bool named = promql_metric(text, &f.arena, &labels, &e);
    ASSERT(named || e.code != ERR_NONE);
    buf_release(&f.first);
    buf_release(&f.second);
    arena_release(&f.arena);
    ASSERT(f.mem.bytes == 0);
    return 0;
}
