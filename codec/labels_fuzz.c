/* Any bytes as pairs of texts (name NUL value NUL): what is accepted is sorted, without empty
 * values, and equal to its copy; the text of it has no byte below a space. */
#include "codec/labels.h"

#define COUNT_MAX (LABELS_COUNT_MAX + 8)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct label *v, uint32_t n, struct mem *m)
{
    struct labels l = {v, n};
    struct labels copy;
    struct arena a;
    struct buf out;
    struct err e;
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(v[i].value.n > 0 && v[i].name.n > 0);
        ASSERT(i == 0 || str_cmp(v[i - 1].name, v[i].name) < 0);
        ASSERT(str_eq(labels_get(l, v[i].name), v[i].value));
        ASSERT(!label_is_legacy_name(v[i].name) || label_is_legacy_metric(v[i].name));
    }
    arena_init(&a, m, 1 << 24);
    ASSERT(labels_copy(l, &a, &copy, &e));
    ASSERT(labels_eq(l, copy) && labels_cmp(l, copy) == 0 && labels_hash(l) == labels_hash(copy));
    if (n > 0) {
        struct labels shorter = {v, n - 1};
        ASSERT(labels_cmp(shorter, l) < 0 && labels_cmp(l, shorter) > 0);
    }
    buf_init(&out, m, 1 << 24);
    labels_print(copy, &out);
    ASSERT(buf_ok(&out, &e));
    for (size_t i = 0; i < out.n; i++) {
        ASSERT((unsigned char)out.p[i] >= ' ');
    }
    ASSERT(str_is_utf8(buf_str(&out)));
    buf_release(&out);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct label v[COUNT_MAX];
    uint32_t n = 0;
    struct str s = str_of((const char *)data, size);
    while (s.n > 0 && n < COUNT_MAX) {
        struct str_cut name = str_cut(s, '\0');
        struct str_cut value = str_cut(name.tail, '\0');
        v[n++] = (struct label){name.head, value.head};
        s = value.tail;
    }
    struct mem m;
    struct err e = {0};
    mem_init(&m, 0);
    if (labels_normalize(v, &n, &e)) {
        check(v, n, &m);
    } else {
        ASSERT(e.code == ERR_INPUT || e.code == ERR_LIMIT);
    }
    ASSERT(m.bytes == 0);
    return 0;
}
