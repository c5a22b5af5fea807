/* Compiles a mapping: paths of the JSON become nodes of a tree, found by (parent, key) in one hash
 * table, so that the decoder pays one look-up a key and nothing for the number of fields mapped.
 *
 *     mapping:                                 root -- "id"        -> decision.id, label.id
 *       decision:                                   -- "features"  -> features of a decision
 *         id: id                                          -- "amount" -> decision.amount (reais)
 *         amount: {field: features.amount, unit: reais}
 *         features: features
 *
 * One tree serves the three kinds, because the kind is known only after the line was walked. A dot
 * in a path separates keys; "\." is a dot inside a key. Paths do not enter lists.
 *
 * Invariant: node 0 is the root and is never bound, so that 0 can mean "no path". */
#include "ingest/ndjson/map_int.h"

#include "base/base.h"
#include "base/str.h"
#include "ingest/ndjson/map_build_int.h"

/* Both ends of the key and its length: the table holds some dozens of keys of a configuration, so
 * this tells them apart as well as a real hash, without its call. What a sender puts into its keys
 * cannot make probes longer than the longest run of the table, which is built once. */
static uint32_t hash_of(uint32_t parent, struct str key)
{
    uint64_t h = key.n;
    if (key.n >= 8) {
        h ^= get_u64le(key.p) ^ get_u64le(key.p + key.n - 8) * 31;
    } else if (key.n >= 4) {
        h ^= get_u32le(key.p) ^ (uint64_t)get_u32le(key.p + key.n - 4) << 32;
    } else if (key.n > 0) {
        h ^= (uint64_t)(unsigned char)key.p[0] << 8 ^
             (uint64_t)(unsigned char)key.p[key.n / 2] << 16 ^
             (uint64_t)(unsigned char)key.p[key.n - 1] << 24;
    }
    h = (h ^ (uint64_t)parent << 56 ^ parent) * 0x9E3779B97F4A7C15ull; /* 2^64 / golden ratio */
    return (uint32_t)(h >> 32);
}

uint32_t ndjson_map_find(const struct ndjson_map *m, uint32_t parent, struct str key)
{
    if ((m->nodes[parent].child_lengths >> (key.n % 64) & 1) == 0) {
        return 0;
    }
    uint32_t hash = hash_of(parent, key);
    for (uint32_t i = hash >> NDJSON_SLOT_SHIFT;; i = (i + 1) % NDJSON_SLOTS) {
        const struct ndjson_slot *s = &m->slots[i];
        if (s->node == 0) {
            return 0;
        }
        const struct ndjson_node *n = &m->nodes[s->node];
        if (s->hash == hash && n->parent == parent && ndjson_key_eq(n->key, key)) {
            return s->node;
        }
    }
}

static bool node_add(struct map_build *b, uint32_t parent, struct str key,
                     const struct yaml_node *at, uint32_t *out, struct err *e)
{
    struct ndjson_map *m = b->map;
    uint32_t found = ndjson_map_find(m, parent, key);
    if (found != 0) {
        *out = found;
        return true;
    }
    if (m->nodes_count == NDJSON_NODES_MAX) {
        return map_err(at, ERR_LIMIT, e, "a mapping may name at most %d path elements",
                       NDJSON_NODES_MAX);
    }
    uint32_t id = m->nodes_count++;
    m->nodes[id] = (struct ndjson_node){.key = key, .parent = parent};
    m->nodes[parent].inner = true;
    m->nodes[parent].child_lengths |= 1ull << (key.n % 64);
    uint32_t hash = hash_of(parent, key);
    uint32_t i = hash >> NDJSON_SLOT_SHIFT;
    while (m->slots[i].node != 0) {
        i = (i + 1) % NDJSON_SLOTS;
    }
    m->slots[i] = (struct ndjson_slot){hash, id};
    *out = id;
    return true;
}

/* The next element of a path, unescaped; *rest moves behind its dot. */
static bool path_element(struct map_build *b, struct str *rest, struct str *out,
                         const struct yaml_node *at, struct err *e)
{
    char *p = arena_take(b->arena, rest->n + 1, 1);
    if (p == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the mapping");
    }
    size_t n = 0;
    size_t i = 0;
    while (i < rest->n && rest->p[i] != '.') {
        i += rest->p[i] == '\\' && i + 1 < rest->n && rest->p[i + 1] == '.' ? 1 : 0;
        p[n++] = rest->p[i++];
    }
    if (n == 0 || i + 1 == rest->n) { /* "", ".x", "a..b" or "a." */
        return map_err(at, ERR_INPUT, e, "expected a path such as features.amount, found '%.*s'",
                       STR_FMT(at ? at->text : *rest));
    }
    *out = str_of(p, n);
    *rest = i < rest->n ? str_sub(*rest, i + 1, rest->n) : (struct str){NULL, 0};
    return true;
}

bool ndjson_build_path(struct map_build *b, struct str path, const struct yaml_node *at,
                       uint32_t *node, struct str *last, struct err *e)
{
    uint32_t parent = 0;
    struct str rest = path;
    uint32_t depth = 0;
    do {
        struct str key;
        if (depth++ == NDJSON_DEPTH_MAX) {
            return map_err(at, ERR_LIMIT, e, "a path may have at most %d elements",
                           NDJSON_DEPTH_MAX);
        }
        if (!path_element(b, &rest, &key, at, e) || !node_add(b, parent, key, at, &parent, e)) {
            return false;
        }
        if (last != NULL) {
            *last = key;
        }
    } while (rest.n > 0);
    *node = parent;
    return true;
}

static bool words_of(struct map_build *b, enum ndjson_words set, struct ndjson_word_list *out,
                     struct err *e)
{
    uint32_t count = ndjson_words_count(set);
    struct ndjson_word *w = ARENA_ARRAY(b->arena, struct ndjson_word, count + 1);
    if (w == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the mapping");
    }
    out->v = w;
    out->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct str text = ndjson_word_at(set, i);
        if (text.n > 0) {
            w[out->count++] = (struct ndjson_word){text, i};
        }
    }
    return true;
}

bool ndjson_build_init(struct map_build *b, const struct conf_strs *dims, struct arena *a,
                       struct err *e)
{
    *b = (struct map_build){.arena = a, .dims = dims};
    b->map = ARENA_NEW(a, struct ndjson_map);
    if (b->map == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the mapping");
    }
    struct ndjson_map *m = b->map;
    m->nodes = ARENA_ARRAY(a, struct ndjson_node, NDJSON_NODES_MAX);
    m->slots = ARENA_ARRAY(a, struct ndjson_slot, NDJSON_SLOTS);
    if (m->nodes == NULL || m->slots == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the mapping");
    }
    m->nodes_count = 1;
    for (enum record_kind k = RECORD_DECISION; k <= RECORD_STAGE; k++) {
        struct ndjson_kind_map *km = &m->kind[k];
        km->bindings = ARENA_ARRAY(a, struct ndjson_binding, NDJSON_BINDINGS_MAX);
        if (km->bindings == NULL) {
            return err_set(e, ERR_LIMIT, "no memory for the mapping");
        }
    }
    for (uint32_t set = 0; set < NDJSON_WORD_SETS; set++) {
        if (!words_of(b, (enum ndjson_words)set, &b->words[set], e)) {
            return false;
        }
    }
    m->kinds = b->words[NDJSON_W_KIND];
    return node_add(b, 0, STR("schema"), NULL, &m->schema_node, e);
}

struct ndjson_binding *ndjson_build_binding(struct map_build *b, enum record_kind k,
                                            const struct ndjson_field *f)
{
    struct ndjson_kind_map *km = &b->map->kind[k];
    for (uint32_t i = 0; i < km->bindings_count; i++) {
        if (km->bindings[i].field == f) {
            return &km->bindings[i];
        }
    }
    ASSERT(km->bindings_count < NDJSON_BINDINGS_MAX);
    struct ndjson_binding *n = &km->bindings[km->bindings_count++];
    n->field = f;
    n->words = b->words[f->words];
    return n;
}

static const struct map_dim *dim_given(const struct map_build *b, struct str name)
{
    for (uint32_t i = 0; i < b->given_count; i++) {
        if (str_eq(b->given[i].name, name)) {
            return &b->given[i];
        }
    }
    return NULL;
}

/* Fields that have a text: only these can be dimensions by their struct member. */
static const struct ndjson_field *dim_member(const struct ndjson_kind_map *km, struct str name)
{
    const struct ndjson_field *f = ndjson_field_find(RECORD_DECISION, name);
    if (f == NULL || (f->type != NDJSON_T_WORD && f->type != NDJSON_T_STR)) {
        return NULL;
    }
    for (uint32_t i = 0; i < km->bindings_count; i++) {
        if (km->bindings[i].field == f) {
            return f;
        }
    }
    return NULL;
}

bool ndjson_build_dims(struct map_build *b, bool builtin, struct err *e)
{
    struct ndjson_kind_map *km = &b->map->kind[RECORD_DECISION];
    uint32_t count = b->dims ? b->dims->count : 0;
    if (count > RECORD_DIMS_MAX) {
        return err_set(e, ERR_LIMIT, "model.segments: at most %d, found %u", RECORD_DIMS_MAX,
                       count);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct str name = b->dims->v[i];
        struct ndjson_dim *d = &km->dims[i];
        const struct map_dim *given = dim_given(b, name);
        d->feature = name;
        if (given != NULL) {
            d->node = given->node;
            continue;
        }
        d->field = dim_member(km, name);
        if (str_starts(name, STR("features."))) {
            d->feature = str_sub(name, sizeof "features." - 1, name.n);
        } else if (d->field == NULL && (builtin ? ndjson_dim_field(name) : false)) {
            if (!ndjson_build_path(b, name, NULL, &d->node, NULL, e)) {
                return false;
            }
        } else if (str_contains(name, STR(".")) &&
                   !ndjson_build_path(b, name, NULL, &d->node, NULL, e)) {
            return false;
        }
    }
    km->dims_count = count;
    return true;
}

static bool builtin_kind(struct map_build *b, enum record_kind k, struct err *e)
{
    struct ndjson_field_list f = ndjson_schema_fields(k);
    b->map->kind[k].used = true;
    for (uint32_t i = 0; i < f.count; i++) {
        struct ndjson_binding *n = ndjson_build_binding(b, k, &f.v[i]);
        n->path = f.v[i].name;
        n->path_alt = f.v[i].alias;
        if (!ndjson_build_path(b, n->path, NULL, &n->node, NULL, e)) {
            return false;
        }
        if (n->path_alt.n > 0 && !ndjson_build_path(b, n->path_alt, NULL, &n->node_alt, NULL, e)) {
            return false;
        }
    }
    return true;
}

bool ndjson_map_builtin(const struct conf_strs *dims, struct arena *a,
                        const struct ndjson_map **out, struct err *e)
{
    struct map_build b;
    if (!ndjson_build_init(&b, dims, a, e)) {
        return false;
    }
    b.map->type_path = STR("type");
    if (!ndjson_build_path(&b, b.map->type_path, NULL, &b.map->type_node, NULL, e)) {
        return false;
    }
    for (enum record_kind k = RECORD_DECISION; k <= RECORD_STAGE; k++) {
        if (!builtin_kind(&b, k, e)) {
            return false;
        }
    }
    struct ndjson_kind_map *km = &b.map->kind[RECORD_DECISION];
    km->features = ARENA_NEW(a, struct ndjson_features);
    if (km->features == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the mapping");
    }
    km->features_count = 1;
    km->features[0].object_only = true;
    if (!ndjson_build_path(&b, STR("features"), NULL, &km->features[0].node, &km->features[0].name,
                           e) ||
        !ndjson_build_dims(&b, true, e)) {
        return false;
    }
    *out = b.map;
    return true;
}
