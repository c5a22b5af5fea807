/* Building metric families: the pillars fill one struct expo a second, writers and readers walk it.
 *
 * Everything is in the arena of the collection, so building is bump allocation and forgetting is a
 * reset. Lists keep order because the page must not change shape between scrapes. When the arena is
 * full the structure stays well-formed and `failed` says that something is missing: the page then
 * lacks samples, the process lives.
 *
 * Names are ours and asserted (they come from literals); label values are data and only copied. */
#include "codec/expo.h"

static bool name_is_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return s.n > 0;
}

static struct str without_suffix(struct str s, struct str suffix)
{
    return str_ends(s, suffix) ? str_of(s.p, s.n - suffix.n) : s;
}

/* "pix_events_ingested" for what its samples call "pix_events_ingested_total". */
static struct str base_name(enum expo_type type, struct str name)
{
    if (type == EXPO_COUNTER) {
        return without_suffix(name, STR("_total"));
    }
    return type == EXPO_INFO ? without_suffix(name, STR("_info")) : name;
}

/* OpenMetrics: a unit is the last part of the name, behind an underscore. */
static bool unit_fits(struct str name, struct str unit)
{
    return unit.n == 0 ||
           (name.n > unit.n && str_ends(name, unit) && name.p[name.n - unit.n - 1] == '_');
}

void expo_init(struct expo *x, struct arena *a, int64_t t_ms)
{
    *x = (struct expo){.arena = a, .t_ms = t_ms};
}

struct expo_family *expo_family(struct expo *x, enum expo_type type, struct str name,
                                struct str unit, struct str help)
{
    name = base_name(type, name);
    ASSERT(name_is_valid(name));
    ASSERT(unit_fits(name, unit));
    struct expo_family *f = ARENA_NEW(x->arena, struct expo_family);
    struct str copy = f ? arena_str(x->arena, name) : str_of(NULL, 0);
    if (!copy.p) {
        x->failed = true;
        return NULL;
    }
    f->name = copy;
    f->help = help;
    f->unit = unit;
    f->type = type;
    if (x->last) {
        x->last->next = f;
    } else {
        x->first = f;
    }
    x->last = f;
    return f;
}

/* Copies labels; NULL with *ok false at the cap. */
static const struct label *copy_labels(struct arena *a, const struct label *labels, uint32_t count,
                                       bool *ok)
{
    struct label *copy = count ? ARENA_ARRAY(a, struct label, count) : NULL;
    *ok = count == 0 || copy;
    for (uint32_t i = 0; *ok && i < count; i++) {
        ASSERT(name_is_valid(labels[i].name));
        copy[i].name = arena_str(a, labels[i].name);
        copy[i].value = labels[i].value.n ? arena_str(a, labels[i].value) : str_of("", 0);
        *ok = copy[i].name.p && copy[i].value.p;
    }
    return copy;
}

static struct expo_sample *sample_new(struct expo *x, const struct label *labels, uint32_t count)
{
    struct expo_sample *s = ARENA_NEW(x->arena, struct expo_sample);
    bool ok = s != NULL;
    if (ok) {
        s->labels = copy_labels(x->arena, labels, count, &ok);
        s->labels_count = count;
    }
    if (!ok) {
        x->failed = true;
        return NULL;
    }
    return s;
}

static void sample_link(struct expo_family *f, struct expo_sample *s)
{
    if (f->last) {
        f->last->next = s;
    } else {
        f->first = s;
    }
    f->last = s;
    f->samples_count++;
}

void expo_add(struct expo *x, struct expo_family *f, const struct label *labels, uint32_t count,
              double value)
{
    if (!f) {
        return;
    }
    ASSERT(f->type != EXPO_HISTOGRAM);
    struct expo_sample *s = sample_new(x, labels, count);
    if (s) {
        s->value = value;
        sample_link(f, s);
    }
}

void expo_one(struct expo *x, enum expo_type type, const char *name, const char *unit,
              const char *help, double value)
{
    struct expo_family *f =
        expo_family(x, type, str_from_c(name), str_from_c(unit), str_from_c(help));
    expo_add(x, f, NULL, 0, value);
}

void expo_gauge(struct expo *x, const char *name, const char *unit, const char *help, double value)
{
    expo_one(x, EXPO_GAUGE, name, unit, help, value);
}

void expo_counter(struct expo *x, const char *name, const char *unit, const char *help,
                  uint64_t value)
{
    expo_one(x, EXPO_COUNTER, name, unit, help, (double)value);
}

void expo_add_histogram(struct expo *x, struct expo_family *f, const struct label *labels,
                        uint32_t count, const double *edges, uint32_t edges_count,
                        const uint64_t *buckets, double sum)
{
    if (!f) {
        return;
    }
    ASSERT(f->type == EXPO_HISTOGRAM);
    ASSERT(!f->first || (f->edges == edges && f->edges_count == edges_count));
    for (uint32_t i = 1; i < edges_count; i++) {
        ASSERT(edges[i - 1] < edges[i]);
    }
    struct expo_sample *s = sample_new(x, labels, count);
    uint64_t *copy = s ? ARENA_ARRAY(x->arena, uint64_t, (size_t)edges_count + 1) : NULL;
    if (!copy) {
        x->failed = true;
        return;
    }
    memcpy(copy, buckets, ((size_t)edges_count + 1) * sizeof *copy);
    f->edges = edges;
    f->edges_count = edges_count;
    s->buckets = copy;
    s->sum = sum;
    sample_link(f, s);
}

static bool sample_has(const struct expo_sample *s, const struct label *want)
{
    for (uint32_t i = 0; i < s->labels_count; i++) {
        if (str_eq(s->labels[i].name, want->name)) {
            return str_eq(s->labels[i].value, want->value);
        }
    }
    return false;
}

const struct expo_sample *expo_find(const struct expo *x, struct str family,
                                    const struct label *labels, uint32_t count)
{
    for (const struct expo_family *f = x->first; f; f = f->next) {
        if (!str_eq(f->name, base_name(f->type, family))) {
            continue;
        }
        for (const struct expo_sample *s = f->first; s; s = s->next) {
            uint32_t matched = 0;
            while (matched < count && sample_has(s, &labels[matched])) {
                matched++;
            }
            if (matched == count) {
                return s;
            }
        }
    }
    return NULL;
}
