/* Any bytes as farol.yml: read or refused with a place inside the text; what was read prints
 * defaults that read back. */
#include "server/config_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_BYTES_MAX  8192
#define ARENA_BYTES_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena arena;
    struct buf shown;
    struct err e = {0};
    if (size > TEXT_BYTES_MAX) {
        return 0;
    }
    struct str text = str_of((const char *)data, size);
    mem_init(&mem, 0);
    arena_init(&arena, &mem, ARENA_BYTES_MAX);
    buf_init(&shown, &mem, 1U << 20);
    struct server_config *c = ARENA_NEW(&arena, struct server_config);
    ASSERT(c != NULL);
    if (server_config_read(text, "farol.yml", &arena, c, &e)) {
        ASSERT(c->server.address[0] != '\0');
        ASSERT(c->storage.shards >= 1 && c->storage.shards <= 64);
        ASSERT(c->storage.dir[0] != '\0');
    } else {
        size_t lines = 1;
        for (size_t i = 0; i < size; i++) {
            lines += data[i] == '\n' || data[i] == '\r';
        }
        ASSERT(e.code != ERR_NONE);
        ASSERT(e.msg[0] != '\0');
        /* YAML 1.1 also ends lines at U+0085, U+2028 and U+2029: every byte may count. */
        ASSERT(e.line <= lines + size);
        conf_err_show(&e, text, &shown);
        ASSERT(!shown.failed);
    }
    buf_release(&shown);
    arena_release(&arena);
    ASSERT(mem.bytes == 0);
    return 0;
}
