/* Loading what index_save.c wrote (the format is drawn there). Nothing of the bytes is believed:
 * every count is bounded by what is left of them, every order checked, and at the first doubt the
 * index is empty again and the answer ERR_CORRUPT.
 *
 * Postings are not stored. They come from the lists by counting: how many series each pair has,
 * where each begins in one array, then one pass over the series in order of ids fills all of them
 * ascending. That is a tenth of the cost of adding ids one by one. */
#include "engines/tsdb/index_core_int.h"
#include "engines/tsdb/index_save_int.h"

#include <zstd.h>

#define GAPS_MAX (UINT32_C(1) << 24) /* ids that nobody has, above one per byte of the file */

#define AHEAD 16 /* power of two */

struct loader {
    struct index *x;
    struct rd r;
    uint32_t *sources; /* number in the file to id */
    uint32_t sources_n;
    uint64_t labels;    /* of all series */
    uint32_t *name_of;  /* by pair */
    uint32_t *count_of; /* series by pair; then where its ids go next */
    struct hash_slot ahead[AHEAD];
    uint32_t read; /* series */
};

static bool corrupt(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "the series table is damaged: %s", what);
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "no memory to load the series table");
}

static uint64_t get_v_slow(struct rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = rd_u8(r);
        if (shift == 63 && byte > 1) {
            break;
        }
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            return r->failed ? 0 : v;
        }
    }
    r->failed = true;
    return 0;
}

static inline uint64_t get_v(struct rd *r)
{
    if (r->p < r->end && *r->p < 0x80) {
        return *r->p++;
    }
    return get_v_slow(r);
}

/* A count of things that take at least one byte each. */
static bool get_count(struct rd *r, uint32_t *out)
{
    uint64_t n = get_v(r);
    if (r->failed || n > rd_left(r) || n >= TAB_IDS_MAX) {
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

static struct str get_text(struct rd *r)
{
    uint64_t n = get_v(r);
    if (n > rd_left(r)) {
        r->failed = true;
        n = 0;
    }
    return rd_bytes(r, (size_t)n);
}

static bool load_sources(struct loader *l, struct err *e)
{
    uint32_t n;
    if (!get_count(&l->r, &n) || n == 0 || n > UINT16_MAX) {
        return corrupt(e, "number of sources");
    }
    l->sources = mem_take(l->x->mem, n * sizeof *l->sources);
    if (l->sources == NULL) {
        return no_memory(e);
    }
    l->sources_n = n;
    for (uint32_t i = 0; i < n; i++) {
        struct str text = get_text(&l->r);
        if (l->r.failed) {
            return corrupt(e, "name of a source");
        }
        if (!index_source_put(l->x, text, &l->sources[i])) {
            return no_memory(e);
        }
    }
    return true;
}

/* The next value: what it shares with the one before, in text, and the rest. */
static bool get_value(struct rd *r, char *text, size_t *n)
{
    uint64_t shared = get_v(r);
    struct str rest = get_text(r);
    if (r->failed || shared > *n || rest.n > LABEL_BYTES_MAX - shared) {
        return false;
    }
    /* Ascending: the first byte that is not shared is greater, or there was none. */
    if (rest.n == 0 || (shared < *n && (unsigned char)rest.p[0] <= (unsigned char)text[shared])) {
        return false;
    }
    memcpy(text + shared, rest.p, rest.n);
    *n = (size_t)shared + rest.n;
    return true;
}

static bool load_values(struct loader *l, uint32_t name_id, uint32_t values, struct err *e)
{
    struct index *x = l->x;
    struct name *name = index_name_at(x, name_id);
    void *sorted = NULL;
    char text[LABEL_BYTES_MAX];
    size_t n = 0;
    if (!mem_array_grow(x->mem, &sorted, &name->sorted_cap, values, TAB_IDS_MAX,
                        sizeof *name->sorted)) {
        return no_memory(e);
    }
    name->sorted = sorted;
    for (uint32_t i = 0; i < values; i++) {
        if (!get_value(&l->r, text, &n) || !str_is_utf8(str_of(text, n))) {
            return corrupt(e, "value of a label");
        }
        uint32_t pair = index_pair_make(x, name_id, str_of(text, n));
        if (pair == 0) {
            return no_memory(e);
        }
        name->sorted[i] = pair;
        index_pair_at(x, pair)->rank = i + 1;
    }
    name->sorted_n = values;
    return true;
}

static bool load_names(struct loader *l, struct err *e)
{
    struct index *x = l->x;
    uint32_t names;
    uint32_t pairs;
    if (!get_count(&l->r, &names) || !get_count(&l->r, &pairs)) {
        return corrupt(e, "number of labels");
    }
    if (!index_hash_room(x->mem, &x->pairs_hash, pairs) ||
        !index_tab_grow(x->mem, &x->pairs, pairs + 1, sizeof(struct pair))) {
        return no_memory(e);
    }
    struct str before = {NULL, 0};
    for (uint32_t i = 0; i < names; i++) {
        struct str text = get_text(&l->r);
        uint32_t values;
        if (text.n == 0 || text.n > LABEL_BYTES_MAX || str_cmp(before, text) >= 0 ||
            !str_is_utf8(text) || !get_count(&l->r, &values) || values == 0) {
            return corrupt(e, "name of a label");
        }
        uint32_t id = index_name_make(x, text);
        if (id == 0) {
            return no_memory(e);
        }
        index_name_at(x, id)->rank = i + 1;
        if (!load_values(l, id, values, e)) {
            return false;
        }
        before = text;
    }
    x->names_unranked = false;
    x->values_unranked = false;
    return x->pairs_n == pairs || corrupt(e, "number of pairs");
}

static size_t by_pair_bytes(const struct loader *l)
{
    return l->x->pairs_end * sizeof(uint32_t);
}

static bool by_pair_make(struct loader *l, struct err *e)
{
    l->name_of = mem_take(l->x->mem, by_pair_bytes(l));
    l->count_of = mem_take(l->x->mem, by_pair_bytes(l));
    if (l->name_of == NULL || l->count_of == NULL) {
        return no_memory(e);
    }
    for (uint32_t pair = 1; pair < l->x->pairs_end; pair++) {
        l->name_of[pair] = index_pair_at(l->x, pair)->name;
    }
    return true;
}

static void by_pair_release(struct loader *l)
{
    mem_give(l->x->mem, l->name_of, l->name_of != NULL ? by_pair_bytes(l) : 0);
    mem_give(l->x->mem, l->count_of, l->count_of != NULL ? by_pair_bytes(l) : 0);
}

struct previous {
    uint32_t pairs[LABELS_COUNT_MAX];
    uint32_t n, source;
};

/* Reads the next list over the one before. */
static bool get_list(struct loader *l, struct previous *p, uint32_t n)
{
    uint32_t both = (uint32_t)size_min(n, p->n);
    struct str mask = rd_bytes(&l->r, (both + 7) / 8);
    for (uint32_t i = 0; i < n && !l->r.failed; i++) {
        uint64_t pair = p->pairs[i];
        if (i >= both) {
            pair = get_v(&l->r);
        } else if ((unsigned char)mask.p[i / 8] >> (i % 8) & 1) {
            uint64_t z = get_v(&l->r);
            pair += z >> 1 ^ (0 - (z & 1));
        }
        if (pair == 0 || pair >= l->x->pairs_end) {
            return false;
        }
        p->pairs[i] = (uint32_t)pair;
    }
    p->n = n;
    return !l->r.failed;
}

/* Names ascend, so no label is there twice; the names' ids are in the order of names. */
static bool list_is_ordered(const struct loader *l, const uint32_t *list, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (l->name_of[list[i - 1]] >= l->name_of[list[i]]) {
            return false;
        }
    }
    return true;
}

/* Puts the series of `slot`, whose list is in place, into the hash. */
static bool hash_one(struct loader *l, struct hash_slot slot, struct err *e)
{
    struct index *x = l->x;
    const struct series *s = index_series_at(x, slot.id);
    if (index_list_find(x, s->u.list, s->n, slot.hash) != 0) {
        return corrupt(e, "two series with the same labels");
    }
    index_hash_add(&x->series_hash, slot.hash, slot.id);
    return true;
}

/* Hashes the series read AHEAD ago and remembers this one; slot.id 0 = none. */
static bool hash_later(struct loader *l, struct hash_slot slot, struct err *e)
{
    struct hash_slot *at = &l->ahead[l->read++ % AHEAD];
    struct hash_slot before = *at;
    *at = slot;
    __builtin_prefetch(&l->x->series_hash.v[slot.hash & (l->x->series_hash.cap - 1)]);
    return before.id == 0 || hash_one(l, before, e);
}

static bool hash_rest(struct loader *l, struct err *e)
{
    for (uint32_t i = 0; i < AHEAD; i++) {
        if (!hash_later(l, (struct hash_slot){0}, e)) {
            return false;
        }
    }
    return true;
}

static bool load_list(struct loader *l, uint32_t ref, const struct previous *p, struct err *e)
{
    struct index *x = l->x;
    if (!list_is_ordered(l, p->pairs, p->n)) {
        return corrupt(e, "labels of a series");
    }
    uint32_t *list = index_slab_take(x->mem, &x->slab, p->n * sizeof *list);
    if (list == NULL) {
        return no_memory(e);
    }
    for (uint32_t i = 0; i < p->n; i++) {
        list[i] = p->pairs[i];
        l->count_of[list[i]]++;
    }
    struct series *s = index_series_at(x, ref);
    s->u.list = list;
    s->n = (uint16_t)p->n;
    s->source = (uint16_t)l->sources[p->source];
    s->state = SERIES_LIVE;
    atomic_store_explicit(&s->tag, x->tag, memory_order_release);
    x->sources[s->source].series++;
    l->labels += p->n;
    return hash_later(l, (struct hash_slot){index_list_hash(list, p->n), ref}, e);
}

static bool load_one(struct loader *l, uint32_t *ref, struct previous *p, struct err *e)
{
    uint64_t head = get_v(&l->r);
    uint64_t n = head & 2 ? get_v(&l->r) : p->n;
    uint64_t source = head & 1 ? get_v(&l->r) : p->source;
    uint64_t next = *ref + (head >> 2) + 1;
    bool sane = !l->r.failed && n > 0 && n <= LABELS_COUNT_MAX && source < l->sources_n &&
                head >> 2 < TAB_IDS_MAX && next < l->x->series_end;
    if (!sane || !get_list(l, p, (uint32_t)n)) {
        return corrupt(e, "a series");
    }
    *ref = (uint32_t)next;
    p->source = (uint32_t)source;
    return load_list(l, *ref, p, e);
}

static bool load_series(struct loader *l, struct err *e)
{
    struct index *x = l->x;
    uint64_t end = get_v(&l->r);
    uint32_t count;
    if (end == 0 || end > TAB_IDS_MAX || !get_count(&l->r, &count) || count >= end ||
        end - count > rd_left(&l->r) + GAPS_MAX) {
        return corrupt(e, "number of series");
    }
    if (!index_tab_grow(x->mem, &x->series, (uint32_t)end, sizeof(struct series)) ||
        !index_hash_room(x->mem, &x->series_hash, count)) {
        return no_memory(e);
    }
    x->series_end = (uint32_t)end;
    struct previous p = {.n = 0};
    uint32_t ref = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!load_one(l, &ref, &p, e)) {
            return false;
        }
    }
    x->count = count;
    return hash_rest(l, e);
}

static bool load_ids(struct loader *l, enum series_state state, struct err *e)
{
    struct index *x = l->x;
    uint32_t n;
    if (!get_count(&l->r, &n)) {
        return corrupt(e, "number of ids");
    }
    uint32_t ref = 0;
    uint32_t *tail = &x->series_free;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t gap = get_v(&l->r);
        if (l->r.failed || gap >= x->series_end - ref - 1 ||
            index_series_at(x, ref + (uint32_t)gap + 1)->state != SERIES_NONE) {
            return corrupt(e, "an id that is not in use");
        }
        ref += (uint32_t)gap + 1;
        struct series *s = index_series_at(x, ref);
        s->state = (uint8_t)state;
        if (state == SERIES_DROPPED) {
            x->dropped++;
        } else {
            *tail = ref;
            tail = &s->u.next_free;
        }
    }
    return true;
}

/* ids: room for all labels. */
static bool postings_fill(struct loader *l, uint32_t *ids, struct err *e)
{
    struct index *x = l->x;
    uint32_t at = 0;
    for (uint32_t pair = 1; pair < x->pairs_end; pair++) {
        uint32_t n = l->count_of[pair];
        if (n == 0) {
            return corrupt(e, "a pair without series");
        }
        index_name_at(x, l->name_of[pair])->series += n;
        l->count_of[pair] = at;
        at += n;
    }
    for (uint32_t ref = 1; ref < x->series_end; ref++) {
        const struct series *s = index_series_at(x, ref);
        for (uint32_t i = 0; s->state == SERIES_LIVE && i < s->n; i++) {
            ids[l->count_of[s->u.list[i]]++] = ref;
        }
    }
    uint32_t from = 0;
    for (uint32_t pair = 1; pair < x->pairs_end; pair++) {
        uint32_t end = l->count_of[pair];
        if (!index_post_fill(x, index_pair_at(x, pair), ids + from, end - from)) {
            return no_memory(e);
        }
        from = end;
    }
    return true;
}

static bool load_postings(struct loader *l, struct err *e)
{
    if (l->labels > UINT32_MAX) {
        return corrupt(e, "number of labels in all");
    }
    size_t bytes = (size_t)l->labels * sizeof(uint32_t);
    uint32_t *ids = mem_take(l->x->mem, bytes);
    bool ok = ids != NULL ? postings_fill(l, ids, e) : no_memory(e);
    mem_give(l->x->mem, ids, ids != NULL ? bytes : 0);
    return ok;
}

static bool load_payload(struct loader *l, struct err *e)
{
    bool ok = load_sources(l, e) && load_names(l, e) && by_pair_make(l, e) && load_series(l, e) &&
              load_ids(l, SERIES_DROPPED, e) && load_ids(l, SERIES_FREE, e);
    if (ok && rd_left(&l->r) != 0) {
        ok = corrupt(e, "bytes behind its end");
    }
    return ok && load_postings(l, e);
}

/* lock: write; the index is empty */
static bool load_raw(struct index *x, struct str raw, struct err *e)
{
    struct loader l = {.x = x, .r = rd_of(raw)};
    bool ok = load_payload(&l, e);
    mem_give(x->mem, l.sources, l.sources_n * sizeof *l.sources);
    by_pair_release(&l);
    if (!ok) {
        index_clear(x);
    }
    return ok;
}

bool index_load(struct index *x, struct str bytes, struct err *e)
{
    if (bytes.n < INDEX_HEADER_BYTES || memcmp(bytes.p, INDEX_MAGIC, INDEX_MAGIC_BYTES) != 0) {
        return corrupt(e, "its first bytes name another format");
    }
    uint64_t raw_n = get_u64le(bytes.p + INDEX_MAGIC_BYTES);
    struct str frame = str_sub(bytes, INDEX_HEADER_BYTES, bytes.n);
    if (raw_n > INDEX_RAW_MAX || ZSTD_getFrameContentSize(frame.p, frame.n) != raw_n) {
        return corrupt(e, "its size");
    }
    index_lock(x);
    ASSERT(x->series_end == 1 && x->pairs_end == 1);
    char *raw = mem_take(x->mem, (size_t)raw_n);
    bool ok = raw != NULL || no_memory(e);
    if (ok) {
        size_t got = ZSTD_decompress(raw, (size_t)raw_n, frame.p, frame.n);
        ok = ZSTD_isError(got) || got != raw_n ? corrupt(e, "its compression")
                                               : load_raw(x, str_of(raw, got), e);
        mem_give(x->mem, raw, (size_t)raw_n);
    }
    index_unlock(x);
    return ok;
}
