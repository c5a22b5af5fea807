/* Exposition in, text forms: classic histograms given as native ones with custom bounds.
 *
 *     # TYPE h histogram
 *     h_bucket{x="1",le="1"} 3    \
 *     h_bucket{x="1",le="+Inf"} 5  |  one EXPO_PARSE_HIST, h{x="1"}
 *     h_sum{x="1"} 7               |
 *     h_count{x="1"} 5            /
 *
 * Stands between the reader of lines and expo_parse_next. Lines of one histogram are those that
 * follow each other, belong to the family that the last TYPE named, and have the same labels but
 * for le; the first entry that is none of them ends it, is held back, and given after the
 * histogram. So lines of two series in turns become pieces, as they do in Prometheus: sort them by
 * series. Comments end nothing here (they do there, which loses the second half).
 *
 * A bucket whose le is no number stays a sample. A histogram that cannot be converted is left out
 * and counted (nhcb_refused). In protobuf a histogram is one message, so that reader converts by
 * itself.
 *
 *     raw of a histogram := 0xFF "n" (name, value)*, sorted, each behind 0xFF: never a line's own
 *
 * lifetime: one page. Invariant: what is collected has labels `group`, sorted, without le. */
#include "codec/expo_parse_int.h"

#include <math.h>

#define LINE_BYTES_MAX (4 << 20)

struct line {
    struct label labels[LABELS_COUNT_MAX]; /* without le and the name once split */
    uint32_t n;
    struct str base; /* name without what stands for the part */
    double le;
    char part; /* b bucket, s sum, c count, 0 none of a histogram */
};

struct expo_classic {
    struct nhcb h;
    struct buf family;    /* that the last TYPE named */
    bool histogram;       /* and it said so */
    struct arena scratch; /* unescaped labels of the line */
    struct line line;
    /* What is collected. */
    bool collecting;
    struct arena group; /* its labels */
    struct label *labels;
    uint32_t labels_n; /* the name first */
    int64_t t_ms, start_ms;
    bool has_t;
    struct str exemplars[EXPO_EXEMPLARS_MAX];
    uint32_t exemplars_n;
    /* While a histogram is given: the entry that ended it. */
    bool giving;
    enum expo_parse_entry held;
    struct str held_raw, held_exemplar;
    double held_value;
    int64_t held_t_ms;
    bool held_has_t;
    struct buf raw;
};

struct expo_classic *expo_classic_of(struct expo_parse *p, struct err *e)
{
    struct expo_classic *c = p->classic;
    if (c) {
        return c;
    }
    c = mem_take(p->mem, sizeof *c);
    if (!c) {
        err_set(e, ERR_NOMEM, "no memory for classic histograms");
        return NULL;
    }
    nhcb_init(&c->h, p->mem);
    buf_init(&c->family, p->mem, EXPO_SCRATCH_MAX);
    buf_init(&c->raw, p->mem, EXPO_RAW_BYTES_MAX * 2);
    arena_init(&c->scratch, p->mem, LINE_BYTES_MAX);
    arena_init(&c->group, p->mem, LINE_BYTES_MAX);
    p->classic = c;
    return c;
}

void expo_classic_free(struct expo_parse *p)
{
    struct expo_classic *c = p->classic;
    if (!c) {
        return;
    }
    nhcb_release(&c->h);
    buf_release(&c->family);
    buf_release(&c->raw);
    arena_release(&c->scratch);
    arena_release(&c->group);
    mem_give(p->mem, c, sizeof *c);
    p->classic = NULL;
}

struct nhcb *expo_classic_nhcb(struct expo_classic *c)
{
    return &c->h;
}

/* --- lines -------------------------------------------------------------------------------- */

static char part_of(struct str name, struct str *base)
{
    static const struct {
        struct str suffix;
        char part;
    } rows[] = {{STR_INIT("_bucket"), 'b'}, {STR_INIT("_sum"), 's'}, {STR_INIT("_count"), 'c'}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_ends(name, rows[i].suffix)) {
            *base = str_of(name.p, name.n - rows[i].suffix.n);
            return rows[i].part;
        }
    }
    *base = name;
    return 0;
}

/* By name; they are few, and often sorted already. */
static void sort(struct label *v, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct label x = v[i];
        uint32_t k = i;
        for (; k > 0 && str_cmp(x.name, v[k - 1].name) < 0; k--) {
            v[k] = v[k - 1];
        }
        v[k] = x;
    }
}

/* The labels of p->raw into c->line, unescaped and sorted, le and name taken out of them. */
static bool read_line(struct expo_parse *p, struct expo_classic *c, struct err *e)
{
    struct line *l = &c->line;
    struct expo_series s = {.strict = p->form == EXPO_PARSE_OPENMETRICS,
                            .end = p->raw.p + p->raw.n,
                            .out = l->labels,
                            .max = LABELS_COUNT_MAX,
                            .why = ""};
    const char *at = s.strict ? p->raw.p : expo_skip_blanks(p->raw.p, s.end);
    bool has_le = false;
    struct str le = str_of("", 0);
    arena_reset(&c->scratch);
    if (!expo_series_scan(&s, &at)) {
        return expo_fail(p, p->entry_at, e, "expected %s in the name of a series, at most %d",
                         s.why, LABELS_COUNT_MAX);
    }
    l->n = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        struct label x = {expo_unescape(l->labels[i].name, true, &c->scratch),
                          expo_unescape(l->labels[i].value, true, &c->scratch)};
        if (!x.name.p || !x.value.p) {
            return err_set(e, ERR_LIMIT, "labels need more memory than they may have");
        }
        if (i == 0) {
            l->part = part_of(x.value, &l->base);
        } else if (str_eq(x.name, STR("le"))) {
            has_le = true;
            le = x.value;
        } else {
            l->labels[l->n++] = x;
        }
    }
    sort(l->labels, l->n);
    bool ours = str_eq(l->base, buf_str(&c->family)) &&
                (l->part != 'b' || (has_le && expo_parse_number(le, &l->le) && !isnan(l->le)));
    l->part = ours ? l->part : 0;
    return true;
}

static bool same_group(const struct expo_classic *c)
{
    const struct line *l = &c->line;
    bool same = l->n + 1 == c->labels_n && str_eq(l->base, c->labels[0].value);
    for (uint32_t i = 0; same && i < l->n; i++) {
        same = str_eq(l->labels[i].name, c->labels[i + 1].name) &&
               str_eq(l->labels[i].value, c->labels[i + 1].value);
    }
    return same;
}

static bool begin(struct expo_parse *p, struct expo_classic *c, struct err *e)
{
    const struct line *l = &c->line;
    arena_reset(&c->group);
    c->labels_n = l->n + 1;
    c->labels = ARENA_ARRAY(&c->group, struct label, c->labels_n);
    bool ok = c->labels != NULL;
    for (uint32_t i = 0; ok && i < c->labels_n; i++) {
        struct label from = i == 0 ? (struct label){STR(LABEL_NAME), l->base} : l->labels[i - 1];
        struct label *to = &c->labels[i];
        to->name = arena_str(&c->group, from.name);
        to->value = from.value.n ? arena_str(&c->group, from.value) : str_of("", 0);
        ok = to->name.p && to->value.p;
    }
    if (!ok) {
        return err_set(e, ERR_LIMIT, "labels need more memory than they may have");
    }
    c->collecting = true;
    c->exemplars_n = 0;
    c->start_ms = p->skip_created ? expo_parse_start_ms(p) : 0;
    nhcb_reset(&c->h);
    return true;
}

/* The current line into what is collected. *ours false: it is no part of a histogram. */
static bool take(struct expo_parse *p, struct expo_classic *c, bool *ours, struct err *e)
{
    const struct line *l = &c->line;
    *ours = l->part != 0;
    if (!*ours) {
        return true;
    }
    if (!c->collecting && !begin(p, c, e)) {
        return false;
    }
    switch (l->part) {
    case 'b': nhcb_bucket(&c->h, l->le, p->value); break;
    case 's': nhcb_sum(&c->h, p->value); break;
    default: nhcb_count(&c->h, p->value); break;
    }
    c->t_ms = p->t_ms;
    c->has_t = p->has_t;
    if (p->exemplar.n > 0 && c->exemplars_n < EXPO_EXEMPLARS_MAX) {
        c->exemplars[c->exemplars_n++] = p->exemplar;
    }
    return true;
}

/* --- giving ------------------------------------------------------------------------------- */

/* What was collected as p's entry; the current one is held back. *given false: it cannot be
 * converted, nothing has changed. */
static bool give(struct expo_parse *p, struct expo_classic *c, bool *given, struct err *e)
{
    struct nhist *h = NULL;
    struct err why = {.code = ERR_NONE};
    c->collecting = false;
    arena_reset(&p->hists);
    *given = nhcb_convert(&c->h, &p->hists, &h, &why);
    if (!*given) {
        p->nhcb_refused++;
        return true;
    }
    buf_reset(&c->raw);
    buf_u8(&c->raw, EXPO_RAW_MARK);
    BUF_LIT(&c->raw, "n");
    for (uint32_t i = 0; i < c->labels_n; i++) {
        buf_u8(&c->raw, EXPO_RAW_MARK);
        buf_str_add(&c->raw, c->labels[i].name);
        buf_u8(&c->raw, EXPO_RAW_MARK);
        buf_str_add(&c->raw, c->labels[i].value);
    }
    c->giving = true;
    c->held = p->entry;
    c->held_raw = p->raw;
    c->held_exemplar = p->exemplar;
    c->held_value = p->value;
    c->held_t_ms = p->t_ms;
    c->held_has_t = p->has_t;
    p->entry = EXPO_PARSE_HIST;
    p->hist = h;
    p->raw = buf_str(&c->raw);
    p->exemplar = c->exemplars_n > 0 ? c->exemplars[0] : str_of(NULL, 0);
    p->t_ms = c->t_ms;
    p->has_t = c->has_t;
    p->expected = p->expect.n > 0 && str_eq(p->expect, p->raw);
    return buf_ok(&c->raw, e);
}

static void take_back(struct expo_parse *p, struct expo_classic *c)
{
    c->giving = false;
    p->entry = c->held;
    p->raw = c->held_raw;
    p->exemplar = c->held_exemplar;
    p->value = c->held_value;
    p->t_ms = c->held_t_ms;
    p->has_t = c->held_has_t;
    p->expected = p->entry == EXPO_PARSE_SAMPLE && p->expect.n > 0 && str_eq(p->expect, p->raw);
}

/* A sample: *done when it, or a histogram that it ends, is for the caller. */
static bool sample(struct expo_parse *p, struct expo_classic *c, bool *done, struct err *e)
{
    bool ours = false;
    *done = true;
    if (!c->histogram) {
        return true;
    }
    if (!read_line(p, c, e)) {
        return false;
    }
    if (c->collecting && !same_group(c)) {
        bool given = false;
        if (!give(p, c, &given, e)) {
            return false;
        }
        if (given) {
            return true;
        }
    }
    if (!take(p, c, &ours, e)) {
        return false;
    }
    *done = !ours || p->keep_classic;
    return true;
}

/* Anything else ends what is collected. */
static bool other(struct expo_parse *p, struct expo_classic *c, struct err *e)
{
    bool given = false;
    if (p->entry == EXPO_PARSE_TYPE) {
        c->histogram = p->type == EXPO_KIND_HISTOGRAM;
        buf_reset(&c->family);
        buf_str_add(&c->family, p->family);
        if (!buf_ok(&c->family, e)) {
            return false;
        }
    }
    return !c->collecting || give(p, c, &given, e);
}

bool expo_classic_next(struct expo_parse *p, struct err *e)
{
    struct expo_classic *c = expo_classic_of(p, e);
    bool done = false;
    if (!c) {
        return false;
    }
    if (c->giving) {
        take_back(p, c);
        bool ours = false;
        /* The line that ended one histogram may begin the next: c->line still is this line. */
        if (p->entry == EXPO_PARSE_SAMPLE && c->histogram && !take(p, c, &ours, e)) {
            return false;
        }
        done = !ours || p->keep_classic;
    }
    while (!done) {
        if (!expo_line_next(p, e)) {
            return false;
        }
        done = p->entry != EXPO_PARSE_SAMPLE;
        if (!(done ? other(p, c, e) : sample(p, c, &done, e))) {
            return false;
        }
    }
    p->whole_lines = c->giving || c->histogram;
    return true;
}

bool expo_classic_giving(const struct expo_parse *p)
{
    return p->classic && p->classic->giving;
}

bool expo_classic_labels(const struct expo_parse *p, struct arena *a, struct label **out,
                         uint32_t *n, struct err *e)
{
    const struct expo_classic *c = p->classic;
    *out = ARENA_ARRAY(a, struct label, c->labels_n);
    if (!*out) {
        return err_set(e, ERR_LIMIT, "labels need more memory than they may have");
    }
    memcpy(*out, c->labels, c->labels_n * sizeof **out);
    *n = c->labels_n;
    return true;
}

bool expo_classic_exemplar(struct expo_parse *p, uint32_t i)
{
    const struct expo_classic *c = p->classic;
    p->exemplar = i < c->exemplars_n ? c->exemplars[i] : str_of(NULL, 0);
    return i < c->exemplars_n;
}

int64_t expo_classic_start_ms(const struct expo_parse *p)
{
    return p->classic->start_ms;
}
