/* Any bytes as a checkpoint; the checksum at the end is made right when the first byte is odd. What
 * is accepted is written again from its sections and must have the same bytes. */
#include "base/hash.h"
#include "flow/river_int.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t n = size - 1;
    char *copy = malloc(n > 0 ? n : 1);
    ASSERT(copy != NULL);
    if (n > 0) {
        memcpy(copy, data + 1, n);
    }
    if ((data[0] & 1) != 0 && n >= 8) {
        put_u64le(copy + n - 8, hash64(str_of(copy, n - 8)));
    }
    struct river_saved saved;
    struct err e = {.code = ERR_NONE};
    if (river_saved_validate(str_of(copy, n), &saved, &e)) {
        struct mem mem;
        struct buf b;
        mem_init(&mem, 0);
        buf_init(&b, &mem, n);
        struct str name;
        struct str section;
        river_saved_begin(&b, saved.seq, saved.t_ns, saved.sections);
        while (river_saved_next(&saved, &name, &section)) {
            size_t at = river_saved_section_begin(&b, name);
            buf_str_add(&b, section);
            river_saved_section_end(&b, at);
        }
        river_saved_end(&b);
        ASSERT(!b.failed && str_eq(buf_str(&b), str_of(copy, n)));
        buf_release(&b);
    } else {
        ASSERT(e.code == ERR_CORRUPT || e.code == ERR_INPUT);
    }
    free(copy);
    return 0;
}
