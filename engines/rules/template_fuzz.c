/* Templates: any text is refused with a place, or runs within its bounds. */
#include "engines/rules/rules.h"

#include "engines/rules/tpl_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct label l[] = {{STR_INIT("instance"), STR_INIT("a:1")},
                                     {STR_INIT("job"), STR_INIT("b")}};
    struct mem mem;
    struct arena a;
    struct buf out;
    struct err e = {0};
    if (size > 4096) {
        return 0;
    }
    struct str text = str_of((const char *)data, size);
    mem_init(&mem, 0);
    arena_init(&a, &mem, 32U << 20);
    buf_init(&out, &mem, 4U << 20);
    struct tpl t;
    if (tpl_parse(text, &a, &t, &e)) {
        ASSERT(t.main && t.main->frame >= 1);
    }
    e = (struct err){0};
    bool ok = rules_template_check(text, &e);
    ASSERT(ok || (e.msg[0] && (e.line >= 1 || e.code == ERR_LIMIT)));
    const struct rules_template_data d = {
        .labels = {l, 2}, .value = 1.5, .external_url = STR("http://x/y"), .t_ms = 1000};
    rules_template_expand(STR("t"), text, &d, &a, &out);
    ASSERT(ok || out.n > 0);
    buf_release(&out);
    arena_release(&a);
    ASSERT(mem.bytes == 0);
    return 0;
}
