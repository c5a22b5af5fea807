/* Saved forms of any bytes: the first byte chooses whose. The loader returns; what it accepts saves
 * to the same bytes again, and can be read, added to, merged and compared without breaking an
 * invariant. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Saves, and asks that the bytes are those that were read. */
#define SAME_BYTES(b, read, save_call)                           \
    do {                                                         \
        buf_reset(b);                                            \
        save_call;                                               \
        ASSERT(buf_ok((b), NULL) && str_eq(buf_str(b), (read))); \
    } while (0)

static void sketch(struct str bytes, struct mem *m, struct buf *b)
{
    static const double values[6] = {0, 1, -1e300, 0x1p-1074, 123.456, 1e308};
    struct dist_sketch s, other;
    struct dist_distances d;
    struct err e = {0};
    struct rd r = rd_of(bytes);
    if (!dist_sketch_load(&s, m, &r, &e)) {
        ASSERT(e.code == ERR_CORRUPT && s.cells == NULL);
        return;
    }
    SAME_BYTES(b, str_sub(bytes, 0, bytes.n - rd_left(&r)), dist_sketch_save(&s, b));
    dist_sketch_init(&other, m, s.bits_first, s.cells_max);
    ASSERT(dist_sketch_compare(&s, &s, &d) == (s.n > 0));
    ASSERT(s.n == 0 || (d.ks.value == 0 && d.w1.value == 0));
    for (int i = 0; i < 6; i++) {
        dist_sketch_add(&s, values[i]);
        dist_sketch_add(&other, values[5 - i]);
    }
    (void)!dist_sketch_merge(&s, &other, &e);
    ASSERT(dist_sketch_compare(&s, &other, &d));
    ASSERT(d.ks.lo <= d.ks.value && d.ks.value <= d.ks.hi && d.ks.value <= 1);
    double mean = dist_sketch_mean(&s);
    double half = dist_sketch_quantile(&s, 0.5);
    ASSERT(mean >= s.min && mean <= s.max && half >= s.min && half <= s.max);
    ASSERT(dist_sketch_std(&s) >= 0);
    struct dist_edges edges;
    uint64_t slots[DIST_SLOTS] = {0};
    dist_edges_from_sketch(&edges, &s, DIST_EDGE_CELLS);
    dist_edges_count_sketch(&edges, &s, slots);
    ASSERT(slots[DIST_SLOT_UNDER] == 0 && slots[DIST_SLOT_OVER] == 0);
    dist_sketch_release(&s);
    dist_sketch_release(&other);
}

static void values(struct str bytes, struct mem *m, struct buf *b)
{
    struct dist_values v;
    struct err e = {0};
    struct rd r = rd_of(bytes);
    if (!dist_values_load(&v, m, &r, &e)) {
        ASSERT(e.code == ERR_CORRUPT);
        return;
    }
    SAME_BYTES(b, str_sub(bytes, 0, bytes.n - rd_left(&r)), dist_values_save(&v, b));
    dist_values_add(&v, 17);
    dist_values_add(&v, -0.0);
    if (dist_values_settle(&v)) {
        struct dist_edges edges;
        uint64_t slots[DIST_SLOTS] = {0};
        dist_edges_from_values(&edges, &v, DIST_EDGE_CELLS);
        dist_edges_count_values(&edges, &v, slots);
        ASSERT(slots[DIST_SLOT_UNDER] == 0 && slots[DIST_SLOT_OVER] == 0);
    }
    dist_values_release(&v);
}

static void edges(struct str bytes, struct mem *m, struct buf *b)
{
    struct dist_edges edges;
    struct err e = {0};
    struct rd r = rd_of(bytes);
    uint64_t slots[DIST_SLOTS] = {0};
    uint64_t out[DIST_EDGE_CELLS_MAX];
    (void)m;
    if (!dist_edges_load(&edges, &r, &e)) {
        ASSERT(e.code == ERR_CORRUPT && edges.cells == 0);
        return;
    }
    SAME_BYTES(b, str_sub(bytes, 0, bytes.n - rd_left(&r)), dist_edges_save(&edges, b));
    for (uint32_t i = 0; edges.cells > 0 && i <= edges.cells; i++) {
        uint32_t slot = dist_edges_slot(&edges, edges.edge[i]);
        ASSERT(slot == (i < edges.cells ? i : i - 1));
        slots[slot]++;
    }
    ASSERT(dist_edges_fine(&edges, slots, out) == edges.cells);
    ASSERT(dist_edges_coarse(&edges, slots, out) <= DIST_COARSE);
}

static void cats(struct str bytes, const struct dist_cats *like, struct mem *m, struct buf *b)
{
    struct dist_cats c, other;
    struct dist_shares shares;
    struct dist_heavy heavy[4];
    struct err e = {0};
    struct rd r = rd_of(bytes);
    if (!dist_cats_load(&c, m, like, &r, &e)) {
        ASSERT(e.code == ERR_CORRUPT && c.counts == NULL && c.more == NULL);
        return;
    }
    SAME_BYTES(b, str_sub(bytes, 0, bytes.n - rd_left(&r)), dist_cats_save(&c, b));
    dist_cats_init(&other, m, c.own_max);
    other.like = like;
    ASSERT(dist_cats_add(&other, STR("other")) && dist_cats_add(&c, STR("app")));
    ASSERT(dist_cats_merge(&other, &c, &e));
    ASSERT(other.n == c.n + 1 && dist_cats_heavy(&other, heavy, 4) <= 4);
    ASSERT(dist_cats_distinct(&other) >= 1);
    if (like != NULL) {
        dist_cats_compare(like, &other, &shares);
        ASSERT(shares.tvd >= 0 && shares.tvd <= 1 + 1e-9);
    }
    dist_cats_release(&c);
    dist_cats_release(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct buf b;
    struct dist_cats like;
    if (size == 0) {
        return 0;
    }
    struct str bytes = str_of((const char *)data + 1, size - 1);
    mem_init(&m, 0);
    buf_init(&b, &m, 1 << 24);
    dist_cats_init(&like, &m, 2);
    ASSERT(dist_cats_add(&like, STR("app")) && dist_cats_add(&like, STR("web")));
    switch (data[0] % 5) {
    case 0: sketch(bytes, &m, &b); break;
    case 1: values(bytes, &m, &b); break;
    case 2: edges(bytes, &m, &b); break;
    case 3: cats(bytes, NULL, &m, &b); break;
    default: cats(bytes, &like, &m, &b); break;
    }
    dist_cats_release(&like);
    buf_release(&b);
    ASSERT(m.bytes == 0);
    return 0;
}
