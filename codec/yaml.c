/* YAML events (libyaml) to a tree with positions, for files that people write by hand.
 *
 * Why not libyaml's own documents: they allow what configuration must not have (two equal keys,
 * keys that are lists, several documents) and expand nothing. Here each of those is an error with a
 * place.
 *
 * Expansion of an alias shares the children of the anchored node, so it costs one node of memory;
 * but it counts as many nodes as a reader will meet, and that count is what YAML_NODES_MAX bounds.
 * Nesting is bounded in the same sense: an alias counts with the height of what it stands for.
 *
 * Invariants: depth of the tree, aliases followed, is at most YAML_DEPTH_MAX; nodes met in a full
 * walk are at most YAML_NODES_MAX; keys of a mapping differ. Lines and columns count from 1,
 * columns in characters. libyaml takes its own memory from malloc and gives it back before
 * yaml_parse returns. Source: YAML 1.1 (yaml.org/spec/1.1). */
#include "codec/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

/* Looked up by walking a list. */
#define ANCHORS_MAX 256
/* Keys of a mapping with a merge key: they are compared in pairs. */
#define MERGED_KEYS_MAX 2048

struct anchor;

struct frame {
    struct yaml_node *node;
    struct yaml_node *last; /* newest child */
    struct anchor *anchor;  /* NULL: none */
    struct str key;         /* mapping: read and waiting for its value */
    uint32_t key_line, key_col;
    bool has_key;
};

struct anchor {
    struct str name;
    const struct yaml_node *node;
    bool open; /* its node has not ended: an alias to it would be a circle */
    struct anchor *next;
};

struct builder {
    yaml_parser_t parser;
    struct str text;
    const char *where;
    struct arena *arena;
    struct err *e;
    struct frame frames[YAML_DEPTH_MAX];
    uint32_t depth;
    uint64_t nodes;
    struct anchor *anchors; /* newest first: a name may be used again */
    uint32_t anchors_count;
    struct yaml_node *root;
    bool merge; /* merge keys are followed and documents after the first ignored */
    bool more;  /* one was */
};

PRINTF_LIKE(5, 6)
static bool fail_at(struct builder *b, enum err_code code, uint32_t line, uint32_t col,
                    const char *fmt, ...)
{
    char msg[sizeof b->e->msg];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    err_at(b->e, code, line, col, "%s", msg);
    if (b->e) {
        b->e->where = b->where;
    }
    return false;
}

static bool no_memory(struct builder *b)
{
    return fail_at(b, ERR_LIMIT, 0, 0, "file needs more memory than it may have");
}

static uint32_t line_of(yaml_mark_t m)
{
    return (uint32_t)m.line + 1;
}

static uint32_t col_of(yaml_mark_t m)
{
    return (uint32_t)m.column + 1;
}

static struct str text_of(const yaml_char_t *p, size_t n)
{
    return str_of((const char *)p, n);
}

static struct str name_of(const yaml_char_t *p)
{
    return str_from_c((const char *)p);
}

static struct yaml_node *node_new(struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
    b->nodes++;
    if (b->nodes > YAML_NODES_MAX) {
        fail_at(b, ERR_LIMIT, line_of(mark), col_of(mark), "file has more than %d values",
                YAML_NODES_MAX);
        return NULL;
    }
    struct yaml_node *n = ARENA_NEW(b->arena, struct yaml_node);
    if (!n) {
        no_memory(b);
        return NULL;
    }
    n->kind = kind;
    n->line = line_of(mark);
    n->col = col_of(mark);
    return n;
}

/* Hangs a value into the open container, or makes it the root. */
static void attach(struct builder *b, struct yaml_node *n)
{
    if (b->depth == 0) {
        b->root = n;
        return;
    }
    struct frame *f = &b->frames[b->depth - 1];
    if (f->node->kind == YAML_MAPPING) {
        ASSERT(f->has_key);
        n->key = f->key;
        n->key_line = f->key_line;
        n->key_col = f->key_col;
        f->has_key = false;
    }
    if (f->last) {
        f->last->next = n;
    } else {
        f->node->first = n;
    }
    f->last = n;
    f->node->children_count++;
}

static bool wants_key(const struct builder *b)
{
    return b->depth > 0 && b->frames[b->depth - 1].node->kind == YAML_MAPPING &&
           !b->frames[b->depth - 1].has_key;
}

static bool anchor_add(struct builder *b, const yaml_char_t *name, const struct yaml_node *n,
                       bool open)
{
    if (!name) {
        return true;
    }
    if (b->anchors_count == ANCHORS_MAX) {
        return fail_at(b, ERR_LIMIT, n->line, n->col, "file has more than %d anchors", ANCHORS_MAX);
    }
    struct anchor *a = ARENA_NEW(b->arena, struct anchor);
    struct str copy = a ? arena_str(b->arena, name_of(name)) : str_of(NULL, 0);
    if (!copy.p) {
        return no_memory(b);
    }
    *a = (struct anchor){copy, n, open, b->anchors};
    b->anchors = a;
    b->anchors_count++;
    return true;
}

/* Only the core types are known, and they change nothing but !!str, which makes a string of
 * anything. */
static bool check_tag(struct builder *b, const yaml_char_t *tag, yaml_mark_t mark, bool *is_string)
{
    static const struct str core = STR_INIT("tag:yaml.org,2002:");
    static const struct str known[] = {STR_INIT("str"),  STR_INIT("int"),      STR_INIT("float"),
                                       STR_INIT("bool"), STR_INIT("seq"),      STR_INIT("map"),
                                       STR_INIT("null"), STR_INIT("timestamp")};
    *is_string = false;
    struct str t = tag ? name_of(tag) : str_of(NULL, 0);
    if (t.n == 0 || str_eq(t, STR("!"))) {
        *is_string = t.n > 0;
        return true;
    }
    if (str_starts(t, core)) {
        t = str_sub(t, core.n, t.n);
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            if (str_eq(t, known[i])) {
                *is_string = i == 0;
                return true;
            }
        }
    }
    return fail_at(b, ERR_INPUT, line_of(mark), col_of(mark),
                   "expected a plain value, found the tag \"%.*s\"", STR_FMT(str_sub(t, 0, 60)));
}

static bool on_key(struct builder *b, const yaml_event_t *ev)
{
    struct frame *f = &b->frames[b->depth - 1];
    struct str key = text_of(ev->data.scalar.value, ev->data.scalar.length);
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    f->key_line = line_of(ev->start_mark);
    f->key_col = col_of(ev->start_mark);
    if (ev->data.scalar.anchor) {
        return fail_at(b, ERR_INPUT, f->key_line, f->key_col, "expected a key without an anchor");
    }
    if (plain && !b->merge && str_eq(key, STR("<<"))) {
        return fail_at(b, ERR_INPUT, f->key_line, f->key_col,
                       "merge keys (<<) are not supported, write the keys out");
    }
    f->key = key.n ? arena_str(b->arena, key) : str_of("", 0);
    if (!f->key.p) {
        return no_memory(b);
    }
    f->has_key = true;
    return true;
}

static bool on_scalar(struct builder *b, const yaml_event_t *ev)
{
    bool is_string = false;
    if (!check_tag(b, ev->data.scalar.tag, ev->start_mark, &is_string)) {
        return false;
    }
    if (wants_key(b)) {
        return on_key(b, ev);
    }
    struct yaml_node *n = node_new(b, YAML_SCALAR, ev->start_mark);
    if (!n) {
        return false;
    }
    struct str text = text_of(ev->data.scalar.value, ev->data.scalar.length);
    n->quoted = is_string || ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->text = text.n ? arena_str(b->arena, text) : str_of("", 0);
    if (!n->text.p) {
        return no_memory(b);
    }
    attach(b, n);
    return anchor_add(b, ev->data.scalar.anchor, n, false);
}

static bool on_start(struct builder *b, enum yaml_kind kind, const yaml_char_t *anchor,
                     const yaml_char_t *tag, yaml_mark_t mark)
{
    bool is_string = false;
    if (wants_key(b)) {
        return fail_at(b, ERR_INPUT, line_of(mark), col_of(mark), "expected a key, found a %s",
                       kind == YAML_MAPPING ? "mapping" : "list");
    }
    if (!check_tag(b, tag, mark, &is_string)) {
        return false;
    }
    if (b->depth == YAML_DEPTH_MAX) {
        return fail_at(b, ERR_LIMIT, line_of(mark), col_of(mark),
                       "values are nested more than %d levels", YAML_DEPTH_MAX);
    }
    struct yaml_node *n = node_new(b, kind, mark);
    if (!n) {
        return false;
    }
    attach(b, n);
    b->frames[b->depth] = (struct frame){.node = n};
    b->depth++;
    if (!anchor_add(b, anchor, n, true)) {
        return false;
    }
    b->frames[b->depth - 1].anchor = anchor ? b->anchors : NULL;
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct yaml_node *const *x = a;
    const struct yaml_node *const *y = b;
    int order = str_cmp((*x)->key, (*y)->key);
    if (order == 0) {
        order = (*x)->key_line < (*y)->key_line ? -1 : (*x)->key_line > (*y)->key_line;
    }
    return order ? order : ((*x)->key_col > (*y)->key_col) - ((*x)->key_col < (*y)->key_col);
}

/* Sorting keeps a mapping of 100,000 keys from costing 10^10 comparisons. */
static bool check_keys(struct builder *b, const struct yaml_node *map)
{
    if (map->children_count < 2) {
        return true;
    }
    const struct yaml_node **v =
        ARENA_ARRAY(b->arena, const struct yaml_node *, map->children_count);
    if (!v) {
        return no_memory(b);
    }
    size_t n = 0;
    for (const struct yaml_node *c = map->first; c; c = c->next) {
        v[n++] = c;
    }
    qsort(v, n, sizeof v[0], by_key);
    for (size_t i = 1; i < n; i++) {
        if (str_eq(v[i - 1]->key, v[i]->key)) {
            return fail_at(b, ERR_INPUT, v[i]->key_line, v[i]->key_col,
                           "key \"%.*s\" is already set on line %u",
                           STR_FMT(str_sub(v[i]->key, 0, 60)), v[i - 1]->key_line);
        }
    }
    return true;
}

static bool has_key(const struct yaml_node *map, struct str key)
{
    const struct yaml_node *c = map->first;
    while (c && !str_eq(c->key, key)) {
        c = c->next;
    }
    return c != NULL;
}

/* Adds to map what `from` has and map has not. The nodes were counted when the alias was read. */
static bool merge_from(struct builder *b, struct yaml_node *map, const struct yaml_node *from)
{
    if (from->kind != YAML_MAPPING) {
        return fail_at(b, ERR_INPUT, from->line, from->col,
                       "expected a mapping for the merge key, found a %s",
                       from->kind == YAML_SCALAR ? "value" : "list");
    }
    if (map->children_count + (uint64_t)from->children_count > MERGED_KEYS_MAX) {
        return fail_at(b, ERR_LIMIT, map->line, map->col, "a merge makes more than %d keys",
                       MERGED_KEYS_MAX);
    }
    struct yaml_node **end = &map->first;
    while (*end) {
        end = &(*end)->next;
    }
    for (const struct yaml_node *c = from->first; c; c = c->next) {
        if (has_key(map, c->key)) {
            continue;
        }
        struct yaml_node *n = node_new(b, c->kind, (yaml_mark_t){0});
        if (!n) {
            return false;
        }
        *n = *c;
        n->next = NULL;
        *end = n;
        end = &n->next;
        map->children_count++;
    }
    return true;
}

/* Takes the merge key out of a mapping and puts what it names in. Earlier ones of a list win. */
static bool merge_keys(struct builder *b, struct yaml_node *map)
{
    struct yaml_node **at = &map->first;
    while (*at && !str_eq((*at)->key, STR("<<"))) {
        at = &(*at)->next;
    }
    const struct yaml_node *m = *at;
    if (!m) {
        return true;
    }
    *at = m->next;
    map->children_count--;
    if (m->kind != YAML_SEQUENCE) {
        return merge_from(b, map, m);
    }
    bool ok = true;
    for (const struct yaml_node *c = m->first; ok && c; c = c->next) {
        ok = merge_from(b, map, c);
    }
    return ok;
}

static bool on_end(struct builder *b)
{
    ASSERT(b->depth > 0);
    b->depth--;
    struct yaml_node *n = b->frames[b->depth].node;
    if (b->frames[b->depth].anchor) {
        b->frames[b->depth].anchor->open = false;
    }
    return n->kind != YAML_MAPPING || (check_keys(b, n) && (!b->merge || merge_keys(b, n)));
}

/* Nodes below n, aliases followed; stops counting above `most`. *height: levels of n, 1 for a
 * scalar. Recursion is bounded: trees are at most YAML_DEPTH_MAX deep. */
static uint64_t measure(const struct yaml_node *n, uint64_t most, uint32_t depth, uint32_t *height)
{
    ASSERT(depth <= YAML_DEPTH_MAX);
    uint64_t count = 0;
    uint32_t top = 0;
    for (const struct yaml_node *c = n->first; c && count <= most; c = c->next) {
        uint32_t h = 0;
        count += 1 + measure(c, most - count, depth + 1, &h);
        top = h > top ? h : top;
    }
    *height = top + 1;
    return count;
}

static bool on_alias(struct builder *b, const yaml_event_t *ev)
{
    uint32_t line = line_of(ev->start_mark);
    uint32_t col = col_of(ev->start_mark);
    struct str name = name_of(ev->data.alias.anchor);
    if (wants_key(b)) {
        return fail_at(b, ERR_INPUT, line, col, "expected a key, found an alias");
    }
    const struct anchor *a = b->anchors;
    while (a && !str_eq(a->name, name)) {
        a = a->next;
    }
    if (!a || a->open) {
        return fail_at(b, ERR_INPUT, line, col, "alias *%.*s %s", STR_FMT(str_sub(name, 0, 60)),
                       a ? "stands inside what it names" : "has no anchor before it");
    }
    uint32_t height = 0;
    uint64_t below = measure(a->node, YAML_NODES_MAX - b->nodes, 0, &height);
    if (below > YAML_NODES_MAX - b->nodes) {
        return fail_at(b, ERR_LIMIT, line, col, "file has more than %d values, aliases expanded",
                       YAML_NODES_MAX);
    }
    b->nodes += below;
    /* A container at level d may hold containers down to YAML_DEPTH_MAX; a scalar is no level. */
    if (a->node->kind != YAML_SCALAR && b->depth + height > YAML_DEPTH_MAX) {
        return fail_at(b, ERR_LIMIT, line, col, "values are nested more than %d levels",
                       YAML_DEPTH_MAX);
    }
    struct yaml_node *n = node_new(b, a->node->kind, ev->start_mark);
    if (!n) {
        return false;
    }
    n->quoted = a->node->quoted;
    n->text = a->node->text;
    n->first = a->node->first;
    n->children_count = a->node->children_count;
    attach(b, n);
    return true;
}

/* Line and column (in characters) of a byte, for the reader's errors, which have only an offset. */
static void place_of(struct str text, size_t off, uint32_t *line, uint32_t *col)
{
    *line = 1;
    *col = 1;
    for (size_t i = 0; i < off && i < text.n; i++) {
        if (text.p[i] == '\n') {
            (*line)++;
            *col = 1;
        } else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
            (*col)++;
        }
    }
}

/* The character libyaml stopped at, 0 when there is none. */
static char char_at(struct str text, uint32_t line, uint32_t col)
{
    size_t i = 0;
    for (uint32_t l = 1; l < line && i < text.n; i++) {
        l += text.p[i] == '\n';
    }
    for (uint32_t c = 1; c < col && i < text.n && text.p[i] != '\n'; c++) {
        i++;
        while (i < text.n && ((unsigned char)text.p[i] & 0xc0) == 0x80) {
            i++;
        }
    }
    return i < text.n ? text.p[i] : 0;
}

/* libyaml's words in our form: lower case, one line, the context behind. */
static bool parser_failed(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    uint32_t line = line_of(p->problem_mark);
    uint32_t col = col_of(p->problem_mark);
    const char *problem = p->problem ? p->problem : "this is not YAML";
    if (p->error == YAML_MEMORY_ERROR) {
        return fail_at(b, ERR_NOMEM, 0, 0, "no memory to read the file");
    }
    if (p->error == YAML_READER_ERROR) {
        place_of(b->text, p->problem_offset, &line, &col);
        return fail_at(b, ERR_INPUT, line, col, "expected UTF-8 text, found something else (%s)",
                       problem);
    }
    if (p->error == YAML_SCANNER_ERROR && char_at(b->text, line, col) == '\t') {
        return fail_at(b, ERR_INPUT, line, col, "expected spaces, found a tab");
    }
    if (p->context) {
        return fail_at(b, ERR_INPUT, line, col, "%s (%s on line %u)", problem, p->context,
                       line_of(p->context_mark));
    }
    return fail_at(b, ERR_INPUT, line, col, "%s", problem);
}

static bool on_event(struct builder *b, const yaml_event_t *ev, bool *done)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT: return on_scalar(b, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(b, YAML_SEQUENCE, ev->data.sequence_start.anchor,
                        ev->data.sequence_start.tag, ev->start_mark);
    case YAML_MAPPING_START_EVENT:
        return on_start(b, YAML_MAPPING, ev->data.mapping_start.anchor, ev->data.mapping_start.tag,
                        ev->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return on_end(b);
    case YAML_ALIAS_EVENT: return on_alias(b, ev);
    case YAML_DOCUMENT_START_EVENT:
        b->more = b->root && b->merge;
        *done = b->more;
        return *done || !b->root ||
               fail_at(b, ERR_INPUT, line_of(ev->start_mark), col_of(ev->start_mark),
                       "expected one document, found a second");
    case YAML_STREAM_END_EVENT: *done = true; return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: return true;
    }
    return true;
}

static bool build(struct str text, const char *where, struct arena *a, struct yaml_node **out,
                  bool *first_only, struct err *e)
{
    *out = NULL;
    struct builder b = {.text = text, .where = where, .arena = a, .e = e, .merge = first_only};
    if (!yaml_parser_initialize(&b.parser)) {
        return fail_at(&b, ERR_NOMEM, 0, 0, "no memory to read the file");
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    bool ok = true;
    for (bool done = false; ok && !done;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&b.parser, &ev)) {
            ok = parser_failed(&b);
            break;
        }
        ok = on_event(&b, &ev, &done);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&b.parser);
    if (!ok) {
        return false;
    }
    ASSERT(b.depth == 0);
    if (!b.root || yaml_is_null(b.root)) {
        b.root = node_new(&b, YAML_MAPPING, (yaml_mark_t){0});
        if (!b.root) {
            return false;
        }
    }
    *out = b.root;
    if (first_only) {
        *first_only = b.more;
    }
    return true;
}

bool yaml_parse(struct str text, const char *where, struct arena *a, struct yaml_node **out,
                struct err *e)
{
    return build(text, where, a, out, NULL, e);
}

bool yaml_parse_first(struct str text, const char *where, struct arena *a, struct yaml_node **out,
                      bool *more, struct err *e)
{
    *more = false;
    return build(text, where, a, out, more, e);
}

const struct yaml_node *yaml_get(const struct yaml_node *n, struct str key)
{
    if (!n || n->kind != YAML_MAPPING) {
        return NULL;
    }
    const struct yaml_node *c = n->first;
    while (c && !str_eq(c->key, key)) {
        c = c->next;
    }
    return c;
}

bool yaml_is_null(const struct yaml_node *n)
{
    return n->kind == YAML_SCALAR && !n->quoted &&
           (n->text.n == 0 || str_eq(n->text, STR("~")) || str_eq_nocase(n->text, STR("null")));
}
