/* Regular expressions of selectors: compiled once, and what they matched remembered.
 *
 * A dashboard asks the same patterns again every few seconds. For each (name, pattern) the matching
 * pairs are kept; values that came since are matched when somebody asks, and when the name lost
 * values (index_reuse) everything is matched anew. An alternation of literals is looked up instead
 * of scanned, and so not remembered beyond its compiled form.
 *
 * Entries in use are pinned; beyond ENTRIES_MAX or BYTES_MAX the longest unused one goes.
 * lock: mu, also while matching, so that two askers do not match the same values twice. The caller
 * holds the index' lock shared, which keeps the name's list of values still. */
#include "engines/tsdb/index_core_int.h"

#include <stdlib.h>

#define ENTRIES_MAX 64
#define BYTES_MAX   ((size_t)32 << 20)

struct regex_entry {
    struct regex_entry *next; /* most recently used first */
    struct regex *regex;      /* owns */
    struct str pattern;       /* owns */
    uint32_t name;
    uint32_t removals; /* of the name when seen was counted */
    uint32_t seen;     /* values of the name that were matched */
    uint32_t users;
    bool matches_empty;
    uint32_t *pairs;
    size_t pairs_cap;
    uint32_t pairs_n;
};

struct regex_cache {
    pthread_mutex_t mu;
    struct mem mem;
    struct regex_entry *first;
    uint32_t entries;
};

struct regex_cache *index_regexes_new(void)
{
    struct regex_cache *c = calloc(1, sizeof *c);
    if (c != NULL && pthread_mutex_init(&c->mu, NULL) != 0) {
        free(c);
        c = NULL;
    }
    if (c != NULL) {
        mem_init(&c->mem, BYTES_MAX);
    }
    return c;
}

static void entry_free(struct regex_cache *c, struct regex_entry *r)
{
    ASSERT(r->users == 0);
    regex_free(r->regex);
    mem_give(&c->mem, (void *)(uintptr_t)r->pattern.p, r->pattern.n);
    mem_give(&c->mem, r->pairs, r->pairs_cap * sizeof *r->pairs);
    mem_give(&c->mem, r, sizeof *r);
}

/* Forgets the least recently used entries that nobody holds until at most `max` are left. */
static void trim(struct regex_cache *c, uint32_t max)
{
    uint32_t kept = 0;
    struct regex_entry **at = &c->first;
    while (*at != NULL) {
        struct regex_entry *r = *at;
        if (r->users > 0 || kept < max) {
            kept++;
            at = &r->next;
        } else {
            *at = r->next;
            c->entries--;
            entry_free(c, r);
        }
    }
}

void index_regexes_free(struct regex_cache *c)
{
    if (c == NULL) {
        return;
    }
    trim(c, 0);
    ASSERT(c->mem.bytes == 0);
    pthread_mutex_destroy(&c->mu);
    free(c);
}

size_t index_regexes_bytes(struct regex_cache *c)
{
    ASSERT(pthread_mutex_lock(&c->mu) == 0);
    size_t bytes = c->mem.bytes;
    pthread_mutex_unlock(&c->mu);
    return bytes;
}

/* Finds the entry and moves it to the front. */
static struct regex_entry *entry_find(struct regex_cache *c, uint32_t name, struct str pattern)
{
    for (struct regex_entry **at = &c->first; *at != NULL; at = &(*at)->next) {
        struct regex_entry *r = *at;
        if (r->name == name && str_eq(r->pattern, pattern)) {
            *at = r->next;
            r->next = c->first;
            c->first = r;
            return r;
        }
    }
    return NULL;
}

static struct regex_entry *entry_make(struct regex_cache *c, uint32_t name, struct str pattern,
                                      struct err *e)
{
    struct regex *regex;
    if (!regex_new(&c->mem, pattern, true, &regex, e)) {
        return NULL;
    }
    struct regex_entry *r = mem_take(&c->mem, sizeof *r);
    char *text = mem_take(&c->mem, pattern.n);
    if (r == NULL || text == NULL) {
        regex_free(regex);
        mem_give(&c->mem, r, sizeof *r);
        mem_give(&c->mem, text, pattern.n);
        err_set(e, ERR_NOMEM, "no memory for a regular expression");
        return NULL;
    }
    if (pattern.n > 0) {
        memcpy(text, pattern.p, pattern.n);
    }
    *r = (struct regex_entry){.regex = regex,
                              .pattern = str_of(text, pattern.n),
                              .name = name,
                              .matches_empty = regex_match(regex, STR("")),
                              .next = c->first};
    c->first = r;
    c->entries++;
    return r;
}

static bool entry_add(struct regex_cache *c, struct regex_entry *r, uint32_t pair)
{
    void *pairs = r->pairs;
    if (!mem_array_grow(&c->mem, &pairs, &r->pairs_cap, (size_t)r->pairs_n + 1, TAB_IDS_MAX,
                        sizeof *r->pairs)) {
        return false;
    }
    r->pairs = pairs;
    r->pairs[r->pairs_n++] = pair;
    return true;
}

/* Looks the literals up: cheaper than any scan once there are fewer of them than values. */
static bool match_literals(const struct index *x, struct regex_entry *r, const struct str *v,
                           uint32_t n)
{
    r->pairs_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t pair = v[i].n > 0 ? index_pair_find(x, r->name, v[i]) : 0;
        if (pair != 0 && !entry_add(x->regexes, r, pair)) {
            return false;
        }
    }
    r->seen = 0;
    return true;
}

static bool match_values(const struct index *x, struct regex_entry *r)
{
    const struct name *n = index_name_at(x, r->name);
    for (; r->seen < n->values_n; r->seen++) {
        uint32_t pair = n->values[r->seen];
        if (regex_match(r->regex, index_pair_text(index_pair_at(x, pair))) &&
            !entry_add(x->regexes, r, pair)) {
            return false;
        }
    }
    return true;
}

/* Brings the entry up to date. Nobody else uses it, or there is nothing to bring: while the index
 * is locked shared the values stay as they are. */
static bool entry_match(const struct index *x, struct regex_entry *r)
{
    const struct name *n = index_name_at(x, r->name);
    if (r->removals != n->removals) {
        r->removals = n->removals;
        r->seen = 0;
        r->pairs_n = 0;
    }
    if (r->seen == n->values_n) {
        return true;
    }
    const struct str *literals;
    uint32_t literals_n = regex_literals(r->regex, &literals);
    if (literals_n > 0 && literals_n < n->values_n - r->seen) {
        return r->users > 0 || match_literals(x, r, literals, literals_n);
    }
    return match_values(x, r);
}

bool index_regex_pairs(struct index *x, uint32_t name, struct str pattern, struct regex_pairs *out,
                       struct err *e)
{
    struct regex_cache *c = x->regexes;
    ASSERT(pthread_mutex_lock(&c->mu) == 0);
    struct regex_entry *r = entry_find(c, name, pattern);
    if (r == NULL) {
        trim(c, ENTRIES_MAX - 1);
        struct err first = {0};
        r = entry_make(c, name, pattern, &first);
        if (r == NULL && first.code != ERR_INPUT) {
            trim(c, 0);
            r = entry_make(c, name, pattern, e);
        } else if (r == NULL && e != NULL) {
            *e = first;
        }
    }
    bool ok = r != NULL;
    if (ok && name != 0 && !entry_match(x, r)) {
        /* Once more with the memory of what others remembered. */
        r->users++;
        trim(c, 0);
        r->users--;
        ok = entry_match(x, r) ||
             err_set(e, ERR_LIMIT, "the values that '%.*s' matches need more than %zu bytes",
                     STR_FMT(str_sub(pattern, 0, 60)), BYTES_MAX);
    }
    if (ok) {
        r->users++;
        *out = (struct regex_pairs){.entry = r,
                                    .v = r->pairs,
                                    .n = name != 0 ? r->pairs_n : 0,
                                    .matches_empty = r->matches_empty};
    }
    pthread_mutex_unlock(&c->mu);
    return ok;
}

void index_regex_release(struct index *x, struct regex_pairs *r)
{
    if (r->entry == NULL) {
        return;
    }
    struct regex_cache *c = x->regexes;
    ASSERT(pthread_mutex_lock(&c->mu) == 0);
    ASSERT(r->entry->users > 0);
    r->entry->users--;
    pthread_mutex_unlock(&c->mu);
    *r = (struct regex_pairs){0};
}
