/* Labels of a query as integers. A label set is a list of pair ids; a pair's name is an integer
 * too.
 *
 * Pairs of the source have its ids. A query that makes labels (label_replace, count_values ...)
 * gets ids from EVAL_LOCAL on, kept by text in a table. A made pair may have the text of one of the
 * source, which the source cannot be asked for; so names of made pairs are marked, and before sets
 * are compared eval_canon looks the source's pairs of those names up by text too: one text, one id.
 *
 * Invariant: after eval_canon over both, two sets are equal exactly when their ids are. */
#include "engines/promql/eval_int.h"

#include "base/hash.h"

#define NAMES_MAX 100000

struct pair_slot {
    uint32_t pair; /* + 1 */
    uint32_t hash;
};

bool eval_symbols_init(struct symbols *s, const struct promql_source *src, struct mem *m)
{
    static const struct str known[NAMES_KNOWN] = {
        [NAME_METRIC] = STR_INIT("__name__"),
        [NAME_TYPE] = STR_INIT("__type__"),
        [NAME_UNIT] = STR_INIT("__unit__"),
        [NAME_LE] = STR_INIT("le"),
    };
    *s = (struct symbols){.source = src, .mem = m};
    intern_init(&s->names, m, NAMES_MAX);
    for (uint32_t i = 0; i < NAMES_KNOWN; i++) {
        if (intern_add(&s->names, known[i]) != i) {
            return false;
        }
    }
    return true;
}

void eval_symbols_release(struct symbols *s)
{
    intern_release(&s->names);
    mem_give(s->mem, s->name_of, s->name_of_cap * sizeof *s->name_of);
    mem_give(s->mem, s->locals, s->locals_cap * sizeof *s->locals);
    mem_give(s->mem, s->local_names, s->local_names_cap * sizeof *s->local_names);
    mem_give(s->mem, s->slots, s->slots_cap * sizeof *s->slots);
    mem_give(s->mem, s->dirty, s->dirty_cap);
    *s = (struct symbols){0};
}

uint32_t eval_name(struct query *q, struct str name)
{
    return intern_add(&q->sym.names, name);
}

struct label eval_label(const struct query *q, uint32_t pair)
{
    if (pair >= EVAL_LOCAL) {
        return q->sym.locals[pair - EVAL_LOCAL];
    }
    return q->sym.source->pair(q->sym.source->ctx, pair);
}

uint32_t eval_name_of(struct query *q, uint32_t pair)
{
    struct symbols *s = &q->sym;
    if (pair >= EVAL_LOCAL) {
        return s->local_names[pair - EVAL_LOCAL];
    }
    if (pair < s->name_of_cap && s->name_of[pair] != 0) {
        return s->name_of[pair] - 1;
    }
    uint32_t id = eval_name(q, eval_label(q, pair).name);
    void *p = s->name_of;
    s->failed = s->failed || id == INTERN_FULL;
    if (id != INTERN_FULL && mem_array_grow(s->mem, &p, &s->name_of_cap, (size_t)pair + 1,
                                            EVAL_LOCAL, sizeof *s->name_of)) {
        s->name_of = p;
        s->name_of[pair] = id + 1;
    }
    return id;
}

static uint32_t pair_hash(struct str name, struct str value)
{
    uint64_t h = hash64_seed(value, hash64(name));
    return (uint32_t)(h ^ (h >> 32));
}

static bool slots_grow(struct query *q)
{
    struct symbols *s = &q->sym;
    if ((size_t)s->slots_n * 2 < s->slots_cap) {
        return true;
    }
    size_t cap = size_max(64, s->slots_cap * 2);
    struct pair_slot *fresh = mem_take(s->mem, cap * sizeof *fresh);
    if (fresh == NULL) {
        return false;
    }
    for (size_t i = 0; i < s->slots_cap; i++) {
        if (s->slots[i].pair != 0) {
            size_t at = s->slots[i].hash & (cap - 1);
            while (fresh[at].pair != 0) {
                at = (at + 1) & (cap - 1);
            }
            fresh[at] = s->slots[i];
        }
    }
    mem_give(s->mem, s->slots, s->slots_cap * sizeof *s->slots);
    s->slots = fresh;
    s->slots_cap = cap;
    return true;
}

/* Slot of the text: of a pair that has it, or an empty one. NULL without memory. */
static struct pair_slot *slot_of(struct query *q, struct str name, struct str value)
{
    if (!slots_grow(q)) {
        return NULL;
    }
    struct symbols *s = &q->sym;
    uint32_t hash = pair_hash(name, value);
    size_t at = hash & (s->slots_cap - 1);
    for (; s->slots[at].pair != 0; at = (at + 1) & (s->slots_cap - 1)) {
        if (s->slots[at].hash == hash) {
            struct label l = eval_label(q, s->slots[at].pair - 1);
            if (str_eq(l.name, name) && str_eq(l.value, value)) {
                return &s->slots[at];
            }
        }
    }
    s->slots[at].hash = hash;
    return &s->slots[at];
}

static bool mark_dirty(struct symbols *s, uint32_t name)
{
    void *p = s->dirty;
    if (!mem_array_grow(s->mem, &p, &s->dirty_cap, (size_t)name + 1, NAMES_MAX + 1, 1)) {
        return false;
    }
    s->dirty = p;
    s->dirty[name] = 1;
    return true;
}

uint32_t eval_pair(struct query *q, struct str name, struct str value)
{
    struct symbols *s = &q->sym;
    struct pair_slot *slot = slot_of(q, name, value);
    if (slot == NULL) {
        return UINT32_MAX;
    }
    if (slot->pair != 0) {
        return slot->pair - 1;
    }
    uint32_t id = eval_name(q, name);
    void *p = s->locals;
    if (id == INTERN_FULL || !mark_dirty(s, id) ||
        !mem_array_grow(s->mem, &p, &s->locals_cap, (size_t)s->locals_n + 1, EVAL_LOCAL - 2,
                        sizeof *s->locals)) {
        return UINT32_MAX;
    }
    s->locals = p;
    p = s->local_names;
    if (!mem_array_grow(s->mem, &p, &s->local_names_cap, (size_t)s->locals_n + 1, EVAL_LOCAL - 2,
                        sizeof *s->local_names)) {
        return UINT32_MAX;
    }
    s->local_names = p;
    struct label *l = &s->locals[s->locals_n];
    l->name = intern_str(&s->names, id);
    l->value = arena_str(q->arena, value);
    if (l->value.p == NULL && value.n > 0) {
        return UINT32_MAX;
    }
    s->local_names[s->locals_n] = id;
    slot->pair = EVAL_LOCAL + s->locals_n + 1;
    s->slots_n++;
    return EVAL_LOCAL + s->locals_n++;
}

static bool is_dirty(const struct symbols *s, uint32_t name)
{
    return name < s->dirty_cap && s->dirty[name] != 0;
}

/* The one id of the pair's text. UINT32_MAX without memory. */
static uint32_t canon_pair(struct query *q, uint32_t pair)
{
    if (pair >= EVAL_LOCAL || !is_dirty(&q->sym, eval_name_of(q, pair))) {
        return pair;
    }
    struct label l = eval_label(q, pair);
    struct pair_slot *slot = slot_of(q, l.name, l.value);
    if (slot == NULL) {
        return UINT32_MAX;
    }
    if (slot->pair == 0) {
        slot->pair = pair + 1;
        q->sym.slots_n++;
    }
    return slot->pair - 1;
}

bool eval_canon(struct query *q, struct mat *m, struct err *e)
{
    if (q->sym.locals_n == 0) {
        return true;
    }
    for (uint32_t i = 0; i < m->n; i++) {
        struct lset *ls = &m->rows[i].ls;
        uint32_t *copy = NULL;
        for (uint32_t j = 0; j < ls->n; j++) {
            uint32_t id = canon_pair(q, ls->p[j]);
            if (id == UINT32_MAX) {
                return eval_no_memory(q, e);
            }
            if (id == ls->p[j]) {
                continue;
            }
            if (copy == NULL) {
                copy = ARENA_ARRAY(q->arena, uint32_t, ls->n);
                if (copy == NULL) {
                    return eval_no_memory(q, e);
                }
                memcpy(copy, ls->p, ls->n * sizeof *copy);
                ls->p = copy;
            }
            copy[j] = id;
        }
    }
    return true;
}

uint32_t eval_find(struct query *q, struct lset ls, uint32_t name)
{
    for (uint32_t i = 0; i < ls.n; i++) {
        if (eval_name_of(q, ls.p[i]) == name) {
            return ls.p[i];
        }
    }
    return UINT32_MAX;
}

struct str eval_get(struct query *q, struct lset ls, uint32_t name)
{
    uint32_t pair = eval_find(q, ls, name);
    return pair == UINT32_MAX ? (struct str){0} : eval_label(q, pair).value;
}

struct str eval_metric(struct query *q, struct lset ls)
{
    return eval_get(q, ls, NAME_METRIC);
}

bool eval_names(struct query *q, const struct str *v, uint32_t n, struct name_set *out,
                struct err *e)
{
    uint32_t most = NAMES_KNOWN;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = eval_name(q, v[i]);
        if (id == INTERN_FULL) {
            return eval_no_memory(q, e);
        }
        most = id + 1 > most ? id + 1 : most;
    }
    out->n = most;
    out->in = ARENA_ARRAY(q->arena, uint8_t, most);
    if (out->in == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < n; i++) {
        out->in[eval_name(q, v[i])] = 1;
    }
    return true;
}

bool eval_lset_filter(struct query *q, struct lset ls, const struct name_set *s, bool keep,
                      struct lset *out, struct err *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ls.n; i++) {
        n += name_set_has(s, eval_name_of(q, ls.p[i])) == keep;
    }
    if (n == ls.n) {
        *out = ls;
        return true;
    }
    uint32_t *p = ARENA_ARRAY(q->arena, uint32_t, size_max(n, 1));
    if (p == NULL) {
        return eval_no_memory(q, e);
    }
    *out = (struct lset){p, n};
    for (uint32_t i = 0; i < ls.n; i++) {
        if (name_set_has(s, eval_name_of(q, ls.p[i])) == keep) {
            *p++ = ls.p[i];
        }
    }
    return true;
}

bool eval_lset_drop_meta(struct query *q, struct lset ls, struct lset *out, struct err *e)
{
    uint8_t in[NAMES_KNOWN] = {[NAME_METRIC] = 1, [NAME_TYPE] = 1, [NAME_UNIT] = 1};
    const struct name_set s = {in, NAMES_KNOWN};
    return eval_lset_filter(q, ls, &s, false, out, e);
}

bool eval_lset_put_pair(struct query *q, struct lset ls, uint32_t name, uint32_t pair,
                        struct lset *out, struct err *e)
{
    uint32_t *p = ARENA_ARRAY(q->arena, uint32_t, (size_t)ls.n + 1);
    if (p == NULL || name == INTERN_FULL) {
        return eval_no_memory(q, e);
    }
    struct str text = intern_str(&q->sym.names, name);
    uint32_t n = 0;
    bool put = pair == UINT32_MAX;
    for (uint32_t i = 0; i < ls.n; i++) {
        uint32_t other = eval_name_of(q, ls.p[i]);
        if (other == INTERN_FULL) {
            return eval_no_memory(q, e);
        }
        if (!put && other != name && str_cmp(text, intern_str(&q->sym.names, other)) < 0) {
            p[n++] = pair;
            put = true;
        }
        if (other != name) {
            p[n++] = ls.p[i];
        }
    }
    if (!put) {
        p[n++] = pair;
    }
    *out = (struct lset){p, n};
    return true;
}

bool eval_lset_put(struct query *q, struct lset ls, struct str name, struct str value,
                   struct lset *out, struct err *e)
{
    uint32_t id = eval_name(q, name);
    uint32_t pair = value.n == 0 ? UINT32_MAX : eval_pair(q, name, value);
    if (id == INTERN_FULL || (pair == UINT32_MAX && value.n > 0)) {
        return eval_no_memory(q, e);
    }
    return eval_lset_put_pair(q, ls, id, pair, out, e);
}

bool eval_lset_labels(struct query *q, struct lset ls, struct arena *a, struct labels *out,
                      struct err *e)
{
    struct label *v = ARENA_ARRAY(a, struct label, size_max(ls.n, 1));
    if (v == NULL) {
        return eval_no_memory(q, e);
    }
    for (uint32_t i = 0; i < ls.n; i++) {
        v[i] = eval_label(q, ls.p[i]);
    }
    *out = (struct labels){v, ls.n};
    return true;
}

int eval_lset_cmp(const struct query *q, struct lset a, struct lset b)
{
    for (uint32_t i = 0; i < a.n && i < b.n; i++) {
        if (a.p[i] == b.p[i]) {
            continue;
        }
        struct label x = eval_label(q, a.p[i]);
        struct label y = eval_label(q, b.p[i]);
        int c = str_cmp(x.name, y.name);
        c = c != 0 ? c : str_cmp(x.value, y.value);
        if (c != 0) {
            return c;
        }
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

uint32_t eval_lset_hash(struct lset ls)
{
    uint64_t h = 0x9e3779b97f4a7c15ULL ^ ls.n;
    for (uint32_t i = 0; i < ls.n; i++) {
        h = (h ^ ls.p[i]) * 0xff51afd7ed558ccdULL;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

bool eval_map_init(struct query *q, struct set_map *m, uint32_t sets, struct err *e)
{
    uint32_t cap = 16;
    while (cap < sets * 2 && cap < (1U << 30)) {
        cap *= 2;
    }
    *m = (struct set_map){.cap = cap, .sets_cap = cap / 2};
    m->slots = ARENA_ARRAY(q->arena, uint32_t, cap);
    m->sets = ARENA_ARRAY(q->arena, struct lset, m->sets_cap);
    m->hashes = ARENA_ARRAY(q->arena, uint32_t, m->sets_cap);
    if (m->slots == NULL || m->sets == NULL || m->hashes == NULL) {
        return eval_no_memory(q, e);
    }
    return true;
}

static bool map_grow(struct query *q, struct set_map *m)
{
    struct err e;
    struct set_map big;
    if (!eval_map_init(q, &big, m->cap, &e)) {
        return false;
    }
    big.n = m->n;
    memcpy(big.sets, m->sets, m->n * sizeof *m->sets);
    memcpy(big.hashes, m->hashes, m->n * sizeof *m->hashes);
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t at = m->hashes[i] & (big.cap - 1);
        while (big.slots[at] != 0) {
            at = (at + 1) & (big.cap - 1);
        }
        big.slots[at] = i + 1;
    }
    *m = big;
    return true;
}

uint32_t eval_map_put(struct query *q, struct set_map *m, struct lset ls)
{
    uint32_t hash = eval_lset_hash(ls);
    uint32_t at = hash & (m->cap - 1);
    for (; m->slots[at] != 0; at = (at + 1) & (m->cap - 1)) {
        uint32_t i = m->slots[at] - 1;
        if (m->hashes[i] == hash && lset_eq(m->sets[i], ls)) {
            return i;
        }
    }
    if (m->n == m->sets_cap) {
        if (!map_grow(q, m)) {
            return UINT32_MAX;
        }
        at = hash & (m->cap - 1);
        while (m->slots[at] != 0) {
            at = (at + 1) & (m->cap - 1);
        }
    }
    m->slots[at] = m->n + 1;
    m->sets[m->n] = ls;
    m->hashes[m->n] = hash;
    return m->n++;
}
