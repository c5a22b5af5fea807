/* Any bytes as a histogram message: what is accepted is valid, and is the same after being written
 * and read again. */
#include "codec/prompb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct arena a;
    struct buf out;
    struct err e = {0};
    mem_init(&m, 8U << 20);
    arena_init(&a, &m, 4U << 20);
    buf_init(&out, &m, 1U << 20);
    struct nhist *h, *again;
    int64_t t_ms, st_ms, t2_ms, st2_ms;
    if (prompb_histogram_read(str_of((const char *)data, size), &a, &h, &t_ms, &st_ms, &e)) {
        const bool valid = nhist_validate(h, &e);
        ASSERT(valid);
        prompb_histogram_write(&out, 1, h, t_ms, st_ms);
        struct pb p = pb_of(buf_str(&out));
        struct pb_field f;
        const bool one = pb_next(&p, &f);
        ASSERT(one || out.failed);
        if (one && prompb_histogram_read(f.bytes, &a, &again, &t2_ms, &st2_ms, &e)) {
            ASSERT(t_ms == t2_ms && st_ms == st2_ms);
            ASSERT(nhist_same(h, again));
        } else {
            ASSERT(h->integer || out.failed || e.code == ERR_LIMIT); /* counts above 2^53 round */
        }
    } else {
        ASSERT(e.code == ERR_INPUT || e.code == ERR_LIMIT);
    }
    buf_release(&out);
    arena_release(&a);
    return 0;
}
