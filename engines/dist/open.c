/* Values of an open set: the heaviest by SpaceSaving, how many there are by HyperLogLog.
 *
 * SpaceSaving: DIST_HEAVY counters; a value without one takes over the smallest counter, whose
 * count becomes what the new value may be counted too high. Counters are a heap by count, smallest
 * first, and chained by hash. Two sets are merged by adding what each knows of a value, where a
 * full set knows of a value without a counter that its count is at most the smallest one.
 *
 * HyperLogLog: the first 12 bits of a hash choose a register, which keeps the largest position of
 * the first 1 in the others.
 *
 *   off  size  field of the saved form (little-endian)
 *     0     4  counters, by falling count, then bytes
 *     4     .  each: length (4), bytes, count (8), over (8)
 *     n  4096  registers
 *
 * Invariants: heap[h] is the counter whose heap_at is h; a counter's count is larger than its
 * `over`; its value is in the chain of its hash, once. Sources: Metwally, Agrawal, El Abbadi, ICDT
 * 2005; Agarwal et al., PODS 2012, section 3.1 (merge); Flajolet, Fusy, Gandouet, Meunier, AofA
 * 2007. */
#include "engines/dist/dist.h"

#include "base/hash.h"
#include "engines/dist/dist_int.h"

#define REGISTERS   (1u << DIST_HLL_BITS)
#define RANK_MAX    (64 - DIST_HLL_BITS + 1)
#define CHAINS      512u
#define CHAIN_END   UINT16_MAX
#define HASH_OFF(h) ((uint32_t)(h) & (CHAINS - 1))

struct counter {
    uint64_t hash, n, over;
    uint16_t heap_at, chain; /* the next of the same chain */
    uint8_t bytes;
    char text[DIST_VALUE_BYTES];
};

struct dist_open {
    struct counter counters[DIST_HEAVY];
    uint16_t heap[DIST_HEAVY];
    uint16_t chains[CHAINS];
    uint32_t count;
    uint8_t registers[REGISTERS];
};

_Static_assert(DIST_VALUE_BYTES <= UINT8_MAX, "a length is one byte");

static struct dist_open *make(struct mem *m)
{
    struct dist_open *o = mem_take(m, sizeof *o);
    for (uint32_t i = 0; o != NULL && i < CHAINS; i++) {
        o->chains[i] = CHAIN_END;
    }
    return o;
}

void dist_open_free(struct dist_open *o, struct mem *m)
{
    mem_give(m, o, sizeof *o);
}

static struct str text_of(const struct counter *c)
{
    return str_of(c->text, c->bytes);
}

static struct counter *find(struct dist_open *o, struct str value, uint64_t hash)
{
    for (uint16_t i = o->chains[HASH_OFF(hash)]; i != CHAIN_END; i = o->counters[i].chain) {
        struct counter *c = &o->counters[i];
        if (c->hash == hash && str_eq(text_of(c), value)) {
            return c;
        }
    }
    return NULL;
}

static void place(struct dist_open *o, uint32_t at, uint16_t idx)
{
    o->heap[at] = idx;
    o->counters[idx].heap_at = (uint16_t)at;
}

/* The counter at heap[at] has grown. */
static void sink(struct dist_open *o, uint32_t at)
{
    uint16_t idx = o->heap[at];
    for (uint32_t child = 2 * at + 1; child < o->count; child = 2 * at + 1) {
        if (child + 1 < o->count &&
            o->counters[o->heap[child + 1]].n < o->counters[o->heap[child]].n) {
            child++;
        }
        if (o->counters[idx].n <= o->counters[o->heap[child]].n) {
            break;
        }
        place(o, at, o->heap[child]);
        at = child;
    }
    place(o, at, idx);
}

/* The counter at heap[at] is new. */
static void rise(struct dist_open *o, uint32_t at)
{
    uint16_t idx = o->heap[at];
    while (at > 0 && o->counters[o->heap[(at - 1) / 2]].n > o->counters[idx].n) {
        place(o, at, o->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(o, at, idx);
}

static void unchain(struct dist_open *o, uint16_t idx)
{
    uint16_t *link = &o->chains[HASH_OFF(o->counters[idx].hash)];
    while (*link != idx) {
        ASSERT(*link != CHAIN_END);
        link = &o->counters[*link].chain;
    }
    *link = o->counters[idx].chain;
}

/* Gives counter idx to a value. */
static void seat(struct dist_open *o, uint16_t idx, struct str value, uint64_t hash)
{
    struct counter *c = &o->counters[idx];
    ASSERT(value.n <= DIST_VALUE_BYTES);
    c->hash = hash;
    c->bytes = (uint8_t)value.n;
    if (value.n > 0) {
        memcpy(c->text, value.p, value.n);
    }
    c->chain = o->chains[HASH_OFF(hash)];
    o->chains[HASH_OFF(hash)] = idx;
}

static void put_new(struct dist_open *o, struct str value, uint64_t hash, uint64_t n, uint64_t over)
{
    uint16_t idx = (uint16_t)o->count;
    ASSERT(o->count < DIST_HEAVY);
    seat(o, idx, value, hash);
    o->counters[idx].n = n;
    o->counters[idx].over = over;
    place(o, o->count++, idx);
    rise(o, o->counters[idx].heap_at);
}

static void note_distinct(struct dist_open *o, uint64_t hash)
{
    uint64_t rest = hash << DIST_HLL_BITS;
    uint8_t rank = (uint8_t)(rest == 0 ? RANK_MAX : __builtin_clzll(rest) + 1);
    uint8_t *at = &o->registers[hash >> (64 - DIST_HLL_BITS)];
    *at = rank > *at ? rank : *at;
}

bool dist_open_add(struct dist_open **to, struct mem *m, struct str value, uint64_t times)
{
    struct dist_open *o = *to != NULL ? *to : make(m);
    if (o == NULL) {
        return false;
    }
    *to = o;
    uint64_t hash = hash64(value);
    struct counter *c = find(o, value, hash);
    note_distinct(o, hash);
    if (c != NULL) {
        c->n += times;
        sink(o, c->heap_at);
    } else if (o->count < DIST_HEAVY) {
        put_new(o, value, hash, times, 0);
    } else {
        uint16_t idx = o->heap[0];
        unchain(o, idx);
        seat(o, idx, value, hash);
        o->counters[idx].over = o->counters[idx].n;
        o->counters[idx].n += times;
        sink(o, 0);
    }
    return true;
}

/* What is known of a value without a counter: it came at most so often. */
static uint64_t floor_of(const struct dist_open *o)
{
    return o->count == DIST_HEAVY ? o->counters[o->heap[0]].n : 0;
}

static bool is_before(const struct dist_heavy *a, const struct dist_heavy *b)
{
    return a->n != b->n ? a->n > b->n : str_cmp(a->value, b->value) < 0;
}

/* Falling by count, then by bytes: heap sort with the last on top. */
static void sink_heavy(struct dist_heavy *v, uint32_t at, uint32_t n)
{
    struct dist_heavy x = v[at];
    for (uint32_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && is_before(&v[child], &v[child + 1]);
        if (!is_before(&x, &v[child])) {
            break;
        }
        v[at] = v[child];
        at = child;
    }
    v[at] = x;
}

static void sort_heavy(struct dist_heavy *v, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;) {
        sink_heavy(v, i, n);
    }
    for (uint32_t left = n; left > 1; left--) {
        struct dist_heavy x = v[0];
        v[0] = v[left - 1];
        v[left - 1] = x;
        sink_heavy(v, 0, left - 1);
    }
}

static uint32_t all_of(const struct dist_open *o, struct dist_heavy *out)
{
    for (uint32_t i = 0; i < o->count; i++) {
        out[i] =
            (struct dist_heavy){text_of(&o->counters[i]), o->counters[i].n, o->counters[i].over};
    }
    sort_heavy(out, o->count);
    return o->count;
}

uint32_t dist_open_heavy(const struct dist_open *o, struct dist_heavy *out, uint32_t max)
{
    struct dist_heavy all[DIST_HEAVY];
    uint32_t n = all_of(o, all);
    n = n < max ? n : max;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = all[i];
    }
    return n;
}

bool dist_open_merge(struct dist_open **to, struct mem *m, const struct dist_open *from)
{
    struct dist_heavy all[2 * DIST_HEAVY];
    struct dist_open *joint = make(m);
    struct dist_open *had = *to;
    if (joint == NULL) {
        return false;
    }
    uint32_t n = had != NULL ? all_of(had, all) : 0;
    uint32_t mine = n;
    uint64_t floor_had = had != NULL ? floor_of(had) : 0;
    uint64_t floor_from = floor_of(from);
    for (uint32_t i = 0; i < mine; i++) {
        all[i].n += floor_from; /* taken back for those that `from` has */
        all[i].over += floor_from;
    }
    for (uint32_t i = 0; i < from->count; i++) {
        const struct counter *c = &from->counters[i];
        uint32_t at = 0;
        while (at < mine && !str_eq(all[at].value, text_of(c))) {
            at++;
        }
        if (at < mine) {
            all[at].n += c->n - floor_from;
            all[at].over += c->over - floor_from;
        } else {
            all[n++] = (struct dist_heavy){text_of(c), c->n + floor_had, c->over + floor_had};
        }
    }
    sort_heavy(all, n);
    for (uint32_t i = 0; i < n && i < DIST_HEAVY; i++) {
        put_new(joint, all[i].value, hash64(all[i].value), all[i].n, all[i].over);
    }
    for (uint32_t i = 0; i < REGISTERS; i++) {
        uint8_t mine_at = had != NULL ? had->registers[i] : 0;
        joint->registers[i] = from->registers[i] > mine_at ? from->registers[i] : mine_at;
    }
    dist_open_free(had, m);
    *to = joint;
    return true;
}

double dist_open_distinct(const struct dist_open *o)
{
    double sum = 0;
    double empty = 0;
    for (uint32_t i = 0; i < REGISTERS; i++) {
        sum += ldexp(1, -o->registers[i]);
        empty += o->registers[i] == 0;
    }
    double m = REGISTERS;
    double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    return estimate <= 2.5 * m && empty > 0 ? m * log(m / empty) : estimate;
}

void dist_open_save(const struct dist_open *o, struct buf *out)
{
    struct dist_heavy all[DIST_HEAVY];
    uint32_t n = all_of(o, all);
    buf_u32le(out, n);
    for (uint32_t i = 0; i < n; i++) {
        buf_str32(out, all[i].value);
        buf_u64le(out, all[i].n);
        buf_u64le(out, all[i].over);
    }
    buf_add(out, o->registers, sizeof o->registers);
}

static bool load(struct dist_open *o, struct rd *r, uint64_t total)
{
    uint32_t count = rd_u32le(r);
    struct dist_heavy last = {0};
    if (r->failed || count == 0 || count > DIST_HEAVY) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct dist_heavy h = {.value = rd_str32(r)};
        h.n = rd_u64le(r);
        h.over = rd_u64le(r);
        if (r->failed || h.value.n > DIST_VALUE_BYTES || h.n > total || h.over >= h.n ||
            (i > 0 && !is_before(&last, &h)) || find(o, h.value, hash64(h.value)) != NULL) {
            return false;
        }
        put_new(o, h.value, hash64(h.value), h.n, h.over);
        last = h;
    }
    const unsigned char *registers = rd_take(r, REGISTERS);
    for (uint32_t i = 0; registers != NULL && i < REGISTERS; i++) {
        if (registers[i] > RANK_MAX) {
            return false;
        }
        o->registers[i] = registers[i];
    }
    return registers != NULL;
}

bool dist_open_load(struct dist_open **out, struct mem *m, struct rd *r, uint64_t total,
                    struct err *e)
{
    struct dist_open *o = make(m);
    if (o == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for saved open values");
    }
    if (!load(o, r, total)) {
        dist_open_free(o, m);
        return err_set(e, ERR_CORRUPT, "saved open values do not agree with themselves");
    }
    *out = o;
    return true;
}
