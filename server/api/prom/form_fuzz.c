/* Fuzz target: the form parser on any bytes. Parameters are bounded, texts are never longer than
 * what they came from, and a form written from what was read reads back the same. */
#include "server/api/prom/prom_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void call_init(struct prom_call *c)
{
    memset(c, 0, sizeof *c);
    mem_init(&c->mem, 0);
    arena_init(&c->arena, &c->mem, 4U << 20);
}

static void write_text(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        buf_fmt(b, "%%%02x", (unsigned)(unsigned char)s.p[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prom_call c, again;
    struct buf form;
    size_t bytes = 0;
    call_init(&c);
    call_init(&again);
    prom_form(&c, str_of((const char *)data, size));
    buf_init(&form, &again.mem, size * 3 + (size_t)c.params_n * 2 + 64);
    for (uint32_t i = 0; i < c.params_n; i++) {
        bytes += c.params[i].name.n + c.params[i].value.n;
        write_text(&form, c.params[i].name);
        buf_char(&form, '=');
        write_text(&form, c.params[i].value);
        buf_char(&form, '&');
    }
    ASSERT(bytes <= size);
    if (!c.failed_memory && !form.failed) {
        prom_form(&again, buf_str(&form));
        ASSERT(again.params_n == c.params_n);
        for (uint32_t i = 0; i < c.params_n; i++) {
            ASSERT(str_eq(again.params[i].name, c.params[i].name));
            ASSERT(str_eq(again.params[i].value, c.params[i].value));
        }
    }
    buf_release(&form);
    arena_release(&c.arena);
    arena_release(&again.arena);
    ASSERT(c.mem.bytes == 0);
    ASSERT(again.mem.bytes == 0);
    return 0;
}
