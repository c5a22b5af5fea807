/* Reads what save.c wrote (it draws the form). The bytes come from a disk: every count is bounded
 * by what is left to read, every number by its range, and after a failure everything is empty.
 *
 * Names are added in the order they were saved, so that a saved number is the number now, or,
 * when a bound is smaller than it was, one that is not there: its tables are passed over (those of
 * categories become "other"). A named range that is not the one of the configuration makes the
 * reference start again. */
#include "model/drift/drift_int.h"
#include "model/drift/saved_int.h"

#include <math.h>

#define DAY_SANE   (1 << 20) /* days since 1970, either way: records end in 2200 */
#define COUNT_SANE ((uint64_t)1 << 36)
#define U64_SANE   ((uint64_t)1 << 56)

struct loader {
    struct rd *r;
    struct drift *d;
    uint32_t features, segments; /* as saved */
    uint32_t *categories;        /* owns; as saved, by feature */
    bool sane, memory;
};

static bool fine(const struct loader *l)
{
    return l->sane && l->memory && !l->r->failed;
}

static uint32_t get_count(struct loader *l, size_t bytes_each)
{
    uint32_t n = rd_u32le(l->r);
    if ((uint64_t)n * bytes_each > rd_left(l->r)) {
        l->sane = false;
        return 0;
    }
    return n;
}

static float get_f32(struct loader *l)
{
    uint32_t bits = rd_u32le(l->r);
    float v = 0;
    memcpy(&v, &bits, sizeof v);
    l->sane = l->sane && isfinite(v) && v >= 0;
    return v;
}

static int32_t get_time(struct loader *l, int32_t per_day, bool none)
{
    int32_t v = (int32_t)rd_u32le(l->r);
    l->sane = l->sane &&
              ((none && v == INT32_MIN) || (v >= -DAY_SANE * per_day && v <= DAY_SANE * per_day));
    return v;
}

/* Adds texts; false for one that stands there twice. Those over a bound get no number. */
static uint32_t load_texts(struct loader *l, struct intern *t)
{
    uint32_t count = get_count(l, 4);
    for (uint32_t i = 0; i < count && fine(l); i++) {
        struct str text = rd_str32(l->r);
        uint32_t had = t->count;
        l->sane = l->sane && text.n <= 2 * RECORD_STR_MAX + 1;
        if (fine(l)) {
            uint32_t id = intern_add(t, text);
            l->sane = id == INTERN_FULL || t->count == had + 1;
            l->memory = id != INTERN_FULL || t->count == t->max;
        }
    }
    return count;
}

static void load_names(struct loader *l)
{
    struct drift_names *t = &l->d->names;
    l->features = load_texts(l, &t->features);
    l->segments = load_texts(l, &t->segments);
    l->sane = l->sane && (uint64_t)l->features * 4 <= rd_left(l->r);
    if (!fine(l)) {
        return;
    }
    l->categories = mem_take(l->d->mem, l->features * sizeof *l->categories);
    l->memory = l->categories != NULL;
    for (uint32_t f = 0; f < l->features && fine(l); f++) {
        struct intern passed;
        intern_init(&passed, l->d->mem, t->categories_max);
        struct intern *own = drift_names_categories(t, f);
        l->memory = own != NULL || f >= t->features_max;
        if (fine(l)) {
            l->categories[f] = load_texts(l, own != NULL ? own : &passed);
        }
        intern_release(&passed);
    }
}

/* A saved key as it is now. */
static uint32_t key_now(struct loader *l, uint32_t feature, uint32_t key)
{
    const struct drift_names *t = &l->d->names;
    uint32_t payload = drift_key_payload(key);
    if (drift_key_kind(key) != DRIFT_CATEGORY || payload == DRIFT_CATEGORY_OTHER) {
        return key;
    }
    l->sane = l->sane && payload < l->categories[feature] && (key & 3) == 0;
    bool known = feature < t->categories_cap && payload < t->categories[feature].count;
    return known ? key : drift_key(DRIFT_CATEGORY, DRIFT_CATEGORY_OTHER);
}

static void load_table(struct loader *l, struct drift_grid *g, uint32_t stride)
{
    uint16_t feature = rd_u16le(l->r);
    uint16_t segment = rd_u16le(l->r);
    uint32_t cells = get_count(l, 8);
    l->sane = l->sane && feature < l->features && segment <= l->segments && cells > 0 &&
              cells <= DRIFT_CELLS_MAX && (segment == 0 || stride > 1);
    const struct drift_names *t = &l->d->names;
    struct drift_cells *c = NULL;
    if (fine(l) && feature < t->features.count && segment <= t->segments.count) {
        struct drift_cells *row = drift_grid_row(g, l->d->mem, stride, feature);
        l->memory = row != NULL;
        c = row == NULL ? NULL : &row[segment];
        l->sane = c == NULL || c->used == 0;
    }
    uint32_t before = 0;
    for (uint32_t i = 0; i < cells && fine(l); i++) {
        uint64_t slot = rd_u64le(l->r);
        uint32_t key = drift_slot_key(slot);
        uint64_t n = drift_slot_count(slot);
        l->sane = l->sane && (i == 0 || key > before) && n > 0 && n <= COUNT_SANE;
        before = key;
        key = fine(l) ? key_now(l, feature, key) : 0;
        if (fine(l) && c != NULL) {
            l->memory = drift_cells_add(c, l->d->mem, key, n);
        }
    }
}

static void load_grid(struct loader *l, struct drift_grid *g, uint32_t stride)
{
    uint32_t tables = get_count(l, DRIFT_SAVED_TABLE);
    for (uint32_t i = 0; i < tables && fine(l); i++) {
        load_table(l, g, stride);
    }
}

/* at_max: of a window's time. */
static void load_grids(struct loader *l, struct drift_grids *t, int32_t at_max, uint32_t stride)
{
    uint32_t count = get_count(l, 8);
    int32_t before = INT32_MIN;
    for (uint32_t i = 0; i < count && fine(l); i++) {
        int32_t at = (int32_t)rd_u32le(l->r);
        l->sane = l->sane && at > before && at >= 0 && at <= at_max;
        before = at;
        struct drift_grid *g = fine(l) ? drift_grids_at(t, l->d->mem, at) : NULL;
        l->memory = l->memory && (g != NULL || !l->sane || l->r->failed);
        if (fine(l)) {
            load_grid(l, g, stride);
        }
    }
}

static void load_spread(struct loader *l, struct drift_spreads *to)
{
    struct drift_spread x = {0};
    uint16_t feature = rd_u16le(l->r);
    uint16_t segment = rd_u16le(l->r);
    x.days = rd_u32le(l->r);
    l->sane = l->sane && feature < l->features && segment <= l->segments &&
              (segment < to->stride || to->stride > 1) && x.days <= DAY_SANE;
    for (uint32_t i = 0; i < x.days && i < DRIFT_SPREAD_MAX; i++) {
        x.stats[i] = get_f32(l);
    }
    for (uint32_t i = 0; i < DRIFT_RATES; i++) {
        x.worst[i] = get_f32(l);
    }
    const struct drift_names *t = &l->d->names;
    if (fine(l) && feature < t->features.count && segment <= t->segments.count) {
        struct drift_spread *at = drift_spread_at(to, l->d->mem, feature, segment);
        l->memory = at != NULL;
        if (at != NULL) {
            *at = x;
        }
    }
}

static void load_spreads(struct loader *l, struct drift_spreads *to)
{
    uint32_t count = get_count(l, DRIFT_SAVED_SPREAD);
    for (uint32_t i = 0; i < count && fine(l); i++) {
        load_spread(l, to);
    }
}

static void get_result(struct loader *l, struct drift_result *r)
{
    double *figures[] = {&r->psi, &r->js, &r->kl,   &r->hellinger, &r->ks,   &r->w1, &r->w1_norm,
                         &r->cvm, &r->ad, &r->chi2, &r->tvd,       &r->linf, &r->p,  &r->q};
    uint64_t *counts[] = {&r->n, &r->present, &r->nulls, &r->fresh, &r->outside};
    r->feature = rd_u16le(l->r);
    r->segment = rd_u16le(l->r);
    r->kind = rd_u8(l->r);
    uint8_t drifted = rd_u8(l->r);
    r->drifted = drifted == 1;
    r->rules = rd_u32le(l->r);
    l->sane = l->sane && r->feature < l->features && r->segment <= l->segments &&
              r->kind < DRIFT_KINDS && drifted <= 1 && r->rules < 1u << DRIFT_RULES;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        *counts[i] = rd_u64le(l->r);
        l->sane = l->sane && *counts[i] <= U64_SANE;
    }
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        *figures[i] = rd_f64le(l->r);
    }
    for (uint32_t i = 0; i < DRIFT_RATES; i++) {
        r->p_rate[i] = rd_f64le(l->r);
    }
}

static void load_window(struct loader *l, struct drift_window *w, int32_t per_day)
{
    uint32_t before = 0;
    w->at = get_time(l, per_day, false);
    w->tests = rd_u32le(l->r);
    w->rejected = rd_u32le(l->r);
    w->dispersion = rd_f64le(l->r);
    l->sane = l->sane && w->rejected <= w->tests;
    uint32_t count = get_count(l, DRIFT_SAVED_RESULT);
    for (uint32_t i = 0; i < count && fine(l); i++) {
        struct drift_result x = {0};
        get_result(l, &x);
        uint32_t place = (uint32_t)x.feature << 16 | x.segment;
        l->sane = l->sane && (i == 0 || place > before);
        before = place;
        const struct drift_names *t = &l->d->names;
        if (!fine(l) || x.feature >= t->features.count || x.segment > t->segments.count) {
            continue;
        }
        void *p = w->v;
        l->memory =
            mem_array_grow(l->d->mem, &p, &w->cap, (size_t)w->count + 1, (size_t)1 << 24, sizeof x);
        w->v = p;
        if (l->memory) {
            w->v[w->count++] = x;
        }
    }
}

static void load_windows(struct loader *l, struct drift_windows *t, int32_t per_day)
{
    uint32_t count = get_count(l, 24);
    for (uint32_t i = 0; i < count && fine(l); i++) {
        void *p = t->v;
        l->memory = mem_array_grow(l->d->mem, &p, &t->cap, (size_t)t->count + 1, DRIFT_OPEN_MAX,
                                   sizeof *t->v);
        t->v = p;
        if (l->memory) {
            struct drift_window *w = &t->v[t->count++];
            *w = (struct drift_window){0};
            load_window(l, w, per_day);
            l->sane = l->sane && (i == 0 || t->v[i - 1].at < w->at);
        }
    }
}

static void load_all(struct loader *l)
{
    struct drift *d = l->d;
    int32_t from = (int32_t)rd_u32le(l->r);
    int32_t to = (int32_t)rd_u32le(l->r);
    load_names(l);
    d->hour_first = get_time(l, DRIFT_HOURS_PER_DAY, true);
    d->day_partial = get_time(l, 1, true);
    uint8_t sealed = rd_u8(l->r);
    d->sealed = sealed == 1;
    d->ref_days = rd_u32le(l->r);
    d->ref_from = get_time(l, 1, false);
    d->ref_to = get_time(l, 1, false);
    l->sane = l->sane && sealed <= 1 && d->ref_days <= DAY_SANE;
    if (fine(l)) {
        load_grid(l, &d->ref, d->stride);
    }
    if (fine(l)) {
        load_grids(l, &d->days, DAY_SANE, d->stride);
    }
    if (fine(l)) {
        load_grids(l, &d->hours, DAY_SANE * DRIFT_HOURS_PER_DAY, 1);
    }
    if (fine(l)) {
        load_grids(l, &d->hour_refs, DRIFT_HOURS_PER_WEEK - 1, 1);
    }
    if (fine(l)) {
        load_spreads(l, &d->spreads);
    }
    if (fine(l)) {
        load_spreads(l, &d->hour_spreads);
    }
    if (fine(l)) {
        load_windows(l, &d->day_results, 1);
    }
    if (fine(l)) {
        load_windows(l, &d->hour_results, DRIFT_HOURS_PER_DAY);
    }
    for (uint32_t i = 0; i < DRIFT_LEFTS; i++) {
        d->left[i] = rd_u64le(l->r);
        l->sane = l->sane && d->left[i] <= U64_SANE;
    }
    d->memory_failures = rd_u64le(l->r);
    if (fine(l) && (from != d->from || to != d->to)) {
        drift_reference_forget(d);
    }
}

bool drift_load(struct drift *d, struct drift_shard *const *shards, uint32_t n, struct rd *r,
                struct err *e)
{
    drift_reset(d, shards, n);
    uint32_t version = rd_u32le(r);
    if (!r->failed && version != DRIFT_SAVED_VERSION) {
        return err_set(e, ERR_CORRUPT, "state of drift has version %u, expected %u",
                       (unsigned)version, DRIFT_SAVED_VERSION);
    }
    struct loader l = {.r = r, .d = d, .sane = true, .memory = true};
    load_all(&l);
    mem_give(d->mem, l.categories, l.features * sizeof *l.categories);
    if (fine(&l)) {
        return true;
    }
    drift_reset(d, shards, n);
    if (!l.memory) {
        return err_set(e, ERR_NOMEM, "no memory for the saved state of drift");
    }
    return err_set(e, ERR_CORRUPT, "saved state of drift is damaged");
}
