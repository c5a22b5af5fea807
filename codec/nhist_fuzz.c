/* Any bytes decode or are refused; what decodes is the same after encode and decode, may be
 * validated, and its copy is the same. */
#include "codec/nhist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(struct rd *r, struct mem *mem)
{
    struct arena a;
    struct buf b;
    struct nhist *h = NULL;
    struct nhist *again = NULL;
    struct err e = {0};
    arena_init(&a, mem, 16 << 20);
    buf_init(&b, mem, 16 << 20);
    if (nhist_decode(r, &a, &h, &e)) {
        nhist_encode(h, &b);
        ASSERT(!b.failed);
        struct rd back = rd_of(buf_str(&b));
        ASSERT(nhist_decode(&back, &a, &again, &e));
        ASSERT(rd_left(&back) == 0);
        ASSERT(nhist_same(h, again));
        again = nhist_copy(h, &a);
        ASSERT(again != NULL);
        ASSERT(nhist_same(h, again));
        bool valid = nhist_validate(h, &e);
        ASSERT(valid || e.code == ERR_INPUT);
    } else {
        ASSERT(e.code == ERR_CORRUPT || e.code == ERR_LIMIT);
        r->failed = true;
    }
    buf_release(&b);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct rd r = rd_of(str_of((const char *)data, size));
    mem_init(&mem, 0);
    for (int i = 0; i < 8 && !r.failed && rd_left(&r) > 0; i++) {
        one(&r, &mem);
    }
    ASSERT(mem.bytes == 0);
    return 0;
}
