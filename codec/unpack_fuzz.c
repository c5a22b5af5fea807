/* Any bytes as any kind, in steps that the first byte chooses: bounds hold, the step changes
 * nothing. */
#include "codec/unpack.h"

#include <stdlib.h>

#define OUT_BYTES_MAX (4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t bytes, sum;
};

static bool each(void *ctx, struct str piece, struct err *e)
{
    struct seen *s = ctx;
    (void)e;
    ASSERT(piece.n > 0 && piece.n <= 64 * 1024);
    for (size_t i = 0; i < piece.n; i++) {
        s->sum = s->sum * 31 + (unsigned char)piece.p[i];
    }
    s->bytes += piece.n;
    ASSERT(s->bytes <= OUT_BYTES_MAX);
    return true;
}

static bool run(enum unpack_kind kind, struct str in, size_t step, struct seen *seen)
{
    struct mem mem;
    struct err e = {0};
    mem_init(&mem, 0);
    struct unpack *u = unpack_new(&mem, kind, OUT_BYTES_MAX);
    ASSERT(u != NULL);
    bool ok = true;
    for (size_t i = 0; ok && i < in.n; i += step) {
        ok = unpack_feed(u, str_sub(in, i, step), each, seen, &e);
    }
    ok = ok && unpack_finish(u, &e);
    ASSERT(ok || e.code == ERR_INPUT || e.code == ERR_LIMIT);
    ASSERT(mem.bytes_top < 32 * 1024 * 1024);
    unpack_free(u);
    ASSERT(mem.bytes == 0);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536) {
        return 0;
    }
    enum unpack_kind kind = data[0] % 3;
    size_t step = 1 + data[1];
    struct str in = str_of((const char *)data + 2, size - 2);
    enum unpack_kind named = UNPACK_IDENTITY;
    ASSERT(!unpack_kind_parse(in, &named) || in.n < 32 || str_trim(in).n < 9);
    ASSERT(unpack_kind_sniff(in) <= UNPACK_ZSTD);
    struct seen whole = {0};
    struct seen stepped = {0};
    bool a = run(kind, in, SIZE_MAX / 2, &whole);
    bool b = run(kind, in, step, &stepped);
    /* A ratio is met at another byte when the input comes in other pieces, so only success
     * compares. */
    ASSERT(!a || !b || (whole.bytes == stepped.bytes && whole.sum == stepped.sum));
    return 0;
}
