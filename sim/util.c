/* The simulator's small parts: draws keyed by numbers, weighted choice, the queue of future events
 * and pools of slots.
 *
 * Queue: a 4-ary heap (fewer cache misses than a binary one at the same depth) ordered by (time,
 * insertion), so that equal times keep a fixed order and a run does not depend on the heap's shape.
 * Gamma: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000. */
#include "sim/sim_int.h"

#include <math.h>

/* splitmix64's finaliser over both arguments: a bijection of b for fixed a. */
uint64_t sim_mix(uint64_t a, uint64_t b)
{
    uint64_t z = b + a * 0x9e3779b97f4a7c15ULL + 0x632be59bd9b4e019ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

double sim_u01(uint64_t a, uint64_t b)
{
    return (double)(sim_mix(a, b) >> 11) * 0x1p-53;
}

double sim_gauss_of(uint64_t a, uint64_t b)
{
    double u = sim_u01(a, b) + 0x1p-54;
    double v = sim_u01(a ^ 0xa5a5a5a5a5a5a5a5ULL, b);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* shape >= 1; the mean is shape. */
double sim_gamma(struct rng *r, double shape)
{
    ASSERT(shape >= 1);
    double d = shape - 1.0 / 3;
    double c = 1 / sqrt(9 * d);
    for (int i = 0; i < 1000; i++) { /* accepts 95 % of the time: 1000 misses do not happen */
        double x = rng_normal(r);
        double v = 1 + c * x;
        if (v <= 0) {
            continue;
        }
        v = v * v * v;
        if (log(1 - rng_f64(r)) < 0.5 * x * x + d - d * v + d * log(v)) {
            return d * v;
        }
    }
    return shape;
}

void sim_choice_init(struct choice *c, const double *w, uint32_t n)
{
    ASSERT(n > 0 && n <= SIM_PARTICIPANTS_MAX);
    double sum = 0, at = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += w[i];
    }
    ASSERT(sum > 0);
    for (uint32_t i = 0; i < n; i++) {
        at += w[i] / sum;
        c->cum[i] = at;
    }
    c->n = n;
}

uint32_t sim_choose(const struct choice *c, double u)
{
    uint32_t i = 0;
    while (i + 1 < c->n && u >= c->cum[i]) {
        i++;
    }
    /* Rounding may leave u above the last sum: the last one with a weight takes it. */
    while (i > 0 && c->cum[i] - c->cum[i - 1] <= 0) {
        i--;
    }
    return i;
}

void sim_queue_init(struct queue *q, struct mem *m, size_t max)
{
    *q = (struct queue){.mem = m, .max = max};
}

void sim_queue_release(struct queue *q)
{
    mem_give(q->mem, q->v, q->cap * sizeof *q->v);
    q->v = NULL;
    q->n = q->cap = 0;
}

static inline bool entry_before(const struct entry *a, const struct entry *b)
{
    return a->t != b->t ? a->t < b->t : a->order < b->order;
}

bool sim_queue_push(struct queue *q, struct entry e)
{
    void *v = q->v;
    if (q->n == q->cap && !mem_array_grow(q->mem, &v, &q->cap, q->n + 1, q->max, sizeof e)) {
        return false;
    }
    q->v = v;
    e.order = q->order++;
    size_t i = q->n++;
    while (i > 0 && entry_before(&e, &q->v[(i - 1) / 4])) {
        q->v[i] = q->v[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    q->v[i] = e;
    return true;
}

struct entry sim_queue_pop(struct queue *q)
{
    ASSERT(q->n > 0);
    struct entry top = q->v[0];
    struct entry last = q->v[--q->n];
    size_t i = 0;
    for (;;) {
        size_t first = 4 * i + 1;
        if (first >= q->n) {
            break;
        }
        size_t least = first;
        size_t end = size_min(first + 4, q->n);
        for (size_t k = first + 1; k < end; k++) {
            if (entry_before(&q->v[k], &q->v[least])) {
                least = k;
            }
        }
        if (!entry_before(&q->v[least], &last)) {
            break;
        }
        q->v[i] = q->v[least];
        i = least;
    }
    if (q->n > 0) {
        q->v[i] = last;
    }
    return top;
}

void sim_pool_init(struct pool *p, struct mem *m, size_t element, size_t max)
{
    *p = (struct pool){.mem = m, .element = element, .max = size_min(max, POOL_FULL - 1)};
}

void sim_pool_release(struct pool *p)
{
    mem_give(p->mem, p->v, p->cap * p->element);
    mem_give(p->mem, p->free, p->free_cap * sizeof *p->free);
    p->v = NULL;
    p->free = NULL;
    p->cap = p->free_cap = 0;
    p->used = p->free_count = 0;
}

/* The free list grows with the slots, so that giving back never needs memory. */
uint32_t sim_pool_take(struct pool *p)
{
    uint32_t slot;
    if (p->free_count > 0) {
        slot = p->free[--p->free_count];
    } else {
        void *v = p->v, *f = p->free;
        bool ok = p->used < p->cap ||
                  mem_array_grow(p->mem, &v, &p->cap, p->used + 1U, p->max, p->element);
        p->v = v;
        ok = ok && (p->cap <= p->free_cap ||
                    mem_array_grow(p->mem, &f, &p->free_cap, p->cap, p->max, sizeof *p->free));
        p->free = f;
        if (!ok) {
            return POOL_FULL;
        }
        slot = p->used++;
    }
    memset(sim_pool_at(p, slot), 0, p->element);
    return slot;
}

void sim_pool_give(struct pool *p, uint32_t slot)
{
    ASSERT(slot < p->used);
    ASSERT(p->free_count < p->free_cap);
    p->free[p->free_count++] = slot;
}
