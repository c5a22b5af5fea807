/* Rule files checked as an engine would read them, without one: for who checks a configuration. */
#include "engines/rules/engine_int.h"

#include "base/file.h"

struct checking {
    struct rules_check *check;
    struct str text;
};

static void tell(void *ctx, const struct err *e)
{
    struct checking *k = ctx;
    k->check->problems++;
    k->check->each(k->check->ctx, e, k->text);
}

static bool check_file(struct rules_check *c, const struct os *os, const char *path, struct err *e)
{
    struct mem m;
    struct arena a;
    struct buf text;
    struct rule_file f;
    struct err first = {0};
    struct checking k = {.check = c};
    const uint32_t before = c->problems;
    mem_init(&m, c->bytes_max);
    arena_init(&a, &m, SIZE_MAX);
    buf_init(&text, &m, RULES_FILE_BYTES);
    const bool ok = file_read(os, path, &text, e);
    if (ok) {
        k.text = buf_str(&text);
    }
    if (ok && !rule_file_parse(k.text, path, c->promql_flags, &a, &f, tell, &k, &first) &&
        c->problems == before) {
        tell(&k, &first);
    }
    buf_release(&text);
    arena_release(&a);
    return ok;
}

bool rules_check(struct rules_check *c, const struct os *os, const char *dir, struct str pattern,
                 struct err *e)
{
    struct mem m;
    struct arena a;
    struct str *v = NULL;
    uint32_t n = 0;
    mem_init(&m, c->bytes_max);
    arena_init(&a, &m, SIZE_MAX);
    bool ok = rules_glob(os, dir, pattern, &a, &v, &n, e);
    for (uint32_t i = 0; ok && i < n; i++) {
        const char *path = arena_cstr(&a, v[i]);
        ok = (path || err_set(e, ERR_NOMEM, "no memory to check rule files")) &&
             check_file(c, os, path, e);
    }
    arena_release(&a);
    return ok;
}
