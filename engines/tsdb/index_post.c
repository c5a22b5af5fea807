/* Postings: the ids of the series that have one pair.
 *
 * Most pairs are in a handful of series (an instance, a path), some in most (a job). So up to
 * POST_FEW_MAX ids stand in the pair itself, up to POST_ARRAY_MAX in a sorted array that doubles,
 * and more in a roaring bitmap. A bitmap that shrinks goes back to an array at a quarter of the
 * bound, so that one id coming and going does not convert it each time.
 *
 * Roaring 0.2.66 takes its memory from malloc and has no way to say that there is none. What a
 * bitmap holds is therefore measured from its containers and charged to struct mem, before it
 * grows with some room in advance: the cap is met here, with an error, and not there.
 *
 * Source: Lemire et al., Roaring Bitmaps: Implementation of an Optimized Software Library, 2018. */
#include "engines/tsdb/index_core_int.h"

#include <roaring/containers/containers.h>
#include <roaring/roaring.h>

#define MEASURE_EVERY 64  /* additions between measurements of a bitmap */
#define MAP_SLACK     512 /* bytes that many additions may take before the next one */
#define POST_SHRINK   (POST_ARRAY_MAX / 4)

struct post_map {
    roaring_bitmap_t *r;
    size_t charged;
};

/* Bytes that the bitmap took from malloc. */
static size_t map_measure(const roaring_bitmap_t *r)
{
    const roaring_array_t *a = &r->high_low_container;
    size_t bytes = sizeof *r + (size_t)a->allocation_size * (sizeof(void *) + 2 + 1);
    for (int32_t i = 0; i < a->size; i++) {
        uint8_t type = a->typecodes[i];
        const void *c = container_unwrap_shared(a->containers[i], &type);
        if (type == ARRAY_CONTAINER_TYPE_CODE) {
            const array_container_t *array = c;
            bytes += sizeof *array + (size_t)array->capacity * sizeof(uint16_t);
        } else if (type == RUN_CONTAINER_TYPE_CODE) {
            const run_container_t *run = c;
            bytes += sizeof *run + (size_t)run->capacity * sizeof(rle16_t);
        } else {
            bytes += sizeof(bitset_container_t) + 8192;
        }
    }
    return bytes;
}

/* Makes struct mem count `bytes` for m, subject to its cap and to the tests' faults. */
static bool map_charge(struct index *x, struct post_map *m, size_t bytes)
{
    struct mem *mem = x->mem;
    if (bytes > m->charged) {
        size_t more = bytes - m->charged;
        bool fits = mem->bytes_max == 0 || mem->bytes + more <= mem->bytes_max;
        if (!fits || (mem->allow != NULL && !mem->allow(mem->allow_ctx, more))) {
            return false;
        }
    }
    mem->bytes = mem->bytes - m->charged + bytes;
    mem->bytes_top = size_max(mem->bytes_top, mem->bytes);
    x->map_bytes = x->map_bytes - m->charged + bytes;
    m->charged = bytes;
    return true;
}

static void map_free(struct index *x, struct post_map *m)
{
    if (m->r != NULL) {
        roaring_bitmap_free(m->r);
    }
    ASSERT(map_charge(x, m, 0));
    index_slab_give(&x->slab, m, sizeof *m);
}

/* A bitmap with these ids, charged; NULL at the cap. */
static struct post_map *map_make(struct index *x, const uint32_t *refs, uint32_t n)
{
    struct post_map *m = index_slab_take(x->mem, &x->slab, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    *m = (struct post_map){0};
    /* The bound of what an ascending list can take: 2 bytes an id, doubled by growth, and a
     * container for each 65,536 ids. */
    size_t containers = (refs[n - 1] >> 16) - (refs[0] >> 16) + 1;
    if (!map_charge(x, m, sizeof(roaring_bitmap_t) + (size_t)n * 4 + containers * 64)) {
        map_free(x, m);
        return NULL;
    }
    m->r = roaring_bitmap_create();
    if (m->r == NULL) {
        map_free(x, m);
        return NULL;
    }
    roaring_bitmap_add_many(m->r, n, refs);
    roaring_bitmap_shrink_to_fit(m->r);
    if (!map_charge(x, m, map_measure(m->r) + MAP_SLACK)) {
        map_free(x, m);
        return NULL;
    }
    return m;
}

static uint32_t *ids_of(struct pair *p)
{
    return p->kind == POST_FEW ? p->post.few : p->post.array;
}

static const uint32_t *ids_read(const struct pair *p)
{
    return p->kind == POST_FEW ? p->post.few : p->post.array;
}

static size_t array_bytes(const struct pair *p)
{
    return sizeof(uint32_t) << p->array_log2;
}

/* Moves the ids to an array of 2^log2, or in place. */
static bool array_resize(struct index *x, struct pair *p, uint8_t log2)
{
    uint32_t *array = index_slab_take(x->mem, &x->slab, sizeof(uint32_t) << log2);
    if (array == NULL) {
        return false;
    }
    memcpy(array, ids_of(p), p->n * sizeof *array);
    if (p->kind == POST_ARRAY) {
        index_slab_give(&x->slab, p->post.array, array_bytes(p));
    }
    p->post.array = array;
    p->kind = POST_ARRAY;
    p->array_log2 = log2;
    return true;
}

static bool array_to_map(struct index *x, struct pair *p)
{
    struct post_map *m = map_make(x, p->post.array, p->n);
    if (m == NULL) {
        return false;
    }
    index_slab_give(&x->slab, p->post.array, array_bytes(p));
    p->post.map = m;
    p->kind = POST_MAP;
    return true;
}

bool index_post_reserve(struct index *x, struct pair *p)
{
    switch ((enum post_kind)p->kind) {
    case POST_FEW: return p->n < POST_FEW_MAX || array_resize(x, p, 2);
    case POST_ARRAY:
        if (p->n < UINT32_C(1) << p->array_log2) {
            return true;
        }
        return p->n < POST_ARRAY_MAX ? array_resize(x, p, (uint8_t)(p->array_log2 + 1))
                                     : array_to_map(x, p);
    case POST_MAP: {
        struct post_map *m = p->post.map;
        if (p->n % MEASURE_EVERY != 0) {
            return true;
        }
        /* A container's array may double, or become a bitset, at any addition. */
        size_t now = map_measure(m->r);
        return map_charge(x, m, now + MAP_SLACK + size_min(now / 4, 8192));
    }
    case POST_FREE: break;
    }
    ASSERT(p->kind != POST_FREE);
    return false;
}

static uint32_t place_of(const uint32_t *v, uint32_t n, uint32_t ref)
{
    uint32_t i = n;
    while (i > 0 && v[i - 1] >= ref) {
        i--;
    }
    return i;
}

void index_post_add(struct index *x, struct pair *p, uint32_t ref)
{
    (void)x;
    if (p->kind == POST_MAP) {
        roaring_bitmap_add(p->post.map->r, ref);
        p->n++;
        return;
    }
    uint32_t *v = ids_of(p);
    uint32_t i = place_of(v, p->n, ref);
    memmove(v + i + 1, v + i, (p->n - i) * sizeof *v);
    v[i] = ref;
    p->n++;
}

/* A smaller form when there is memory for it; else the large one stays. */
static void map_shrink(struct index *x, struct pair *p)
{
    struct post_map *m = p->post.map;
    uint32_t *array = index_slab_take(x->mem, &x->slab, POST_ARRAY_MAX * sizeof *array);
    if (array == NULL) {
        return;
    }
    roaring_bitmap_to_uint32_array(m->r, array);
    map_free(x, m);
    p->post.array = array;
    p->kind = POST_ARRAY;
    p->array_log2 = 6;
    _Static_assert(POST_ARRAY_MAX == 1 << 6, "the logarithm above");
}

void index_post_remove(struct index *x, struct pair *p, uint32_t ref)
{
    ASSERT(p->n > 0);
    if (p->kind == POST_MAP) {
        roaring_bitmap_remove(p->post.map->r, ref);
        p->n--;
        if (p->n <= POST_SHRINK) {
            map_shrink(x, p);
        }
        return;
    }
    uint32_t *v = ids_of(p);
    uint32_t i = place_of(v, p->n, ref);
    ASSERT(i < p->n && v[i] == ref);
    memmove(v + i, v + i + 1, (p->n - i - 1) * sizeof *v);
    p->n--;
    if (p->n == 0) {
        index_post_release(x, p);
    }
}

void index_post_release(struct index *x, struct pair *p)
{
    if (p->kind == POST_ARRAY) {
        index_slab_give(&x->slab, p->post.array, array_bytes(p));
    } else if (p->kind == POST_MAP) {
        map_free(x, p->post.map);
    }
    p->kind = POST_FEW;
    p->n = 0;
    memset(&p->post, 0, sizeof p->post);
}

bool index_post_fill(struct index *x, struct pair *p, const uint32_t *refs, uint32_t n)
{
    ASSERT(p->kind == POST_FEW && p->n == 0);
    if (n > POST_ARRAY_MAX) {
        struct post_map *m = map_make(x, refs, n);
        if (m == NULL) {
            return false;
        }
        p->post.map = m;
        p->kind = POST_MAP;
        p->n = n;
        return true;
    }
    if (n > POST_FEW_MAX) {
        uint8_t log2 = (uint8_t)(32 - __builtin_clz(n - 1));
        if (!array_resize(x, p, log2)) {
            return false;
        }
    }
    memcpy(ids_of(p), refs, n * sizeof *refs);
    p->n = n;
    return true;
}

void index_post_read(const struct pair *p, uint32_t *out)
{
    if (p->kind == POST_MAP) {
        roaring_bitmap_to_uint32_array(p->post.map->r, out);
    } else if (p->n > 0) {
        memcpy(out, ids_read(p), p->n * sizeof *out);
    }
}

static bool mark_one(uint32_t ref, void *bits)
{
    uint64_t *v = bits;
    v[ref / 64] |= UINT64_C(1) << (ref % 64);
    return true;
}

void index_post_mark(const struct pair *p, uint64_t *bits)
{
    if (p->kind == POST_MAP) {
        roaring_iterate(p->post.map->r, mark_one, bits);
        return;
    }
    const uint32_t *v = ids_read(p);
    for (uint32_t i = 0; i < p->n; i++) {
        mark_one(v[i], bits);
    }
}

struct each {
    bool (*each)(void *ctx, uint32_t ref);
    void *ctx;
};

static bool each_one(uint32_t ref, void *arg)
{
    const struct each *e = arg;
    return e->each(e->ctx, ref);
}

bool index_post_each(const struct pair *p, bool (*each)(void *ctx, uint32_t ref), void *ctx)
{
    if (p->kind == POST_MAP) {
        struct each e = {each, ctx};
        return roaring_iterate(p->post.map->r, each_one, &e);
    }
    const uint32_t *v = ids_read(p);
    for (uint32_t i = 0; i < p->n; i++) {
        if (!each(ctx, v[i])) {
            return false;
        }
    }
    return true;
}
