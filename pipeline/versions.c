/* Which versions of a stage's service have sent events: the fact behind "something was deployed".
 *
 * A stage keeps at most PIPELINE_VERSIONS_MAX versions; at the bound the one whose last event is
 * the oldest goes (at equal times the smaller text), be it the newcomer itself, and is counted.
 * A version that went and comes back is new again.
 *
 * First and last are a minimum and a maximum of event times, so while no version is replaced,
 * neither the order of arrival nor the number of shards changes anything. Times of wild clocks and
 * of events too old to be entered do not get here: one of them would make a version old for ever.
 * Duplicates move the times and not the count.
 *
 * On disk (inside a stage, see save.c):
 *
 *   u8  an event was seen   i64 time of the first event of any version, 0 without one
 *   u64 replaced, u64 refused   u8 versions, then per version:
 *   str32 text (1..64 bytes), i64 first, i64 last, u64 events */
#include "base/pii.h"
#include "pipeline/pipeline_int.h"

#define LIVE_NS (60 * NS_PER_S)
/* When Farol or a stage starts, the instances of a stage report within seconds of each other; what
 * is first seen then was there before. */
#define DEPLOY_AFTER_NS (30 * NS_PER_S)

struct str pipeline_version_text(const struct pipeline_version *v)
{
    return (struct str){v->text, v->n};
}

static struct pipeline_version *version_find(struct pipeline_versions *s, struct str text)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (str_eq(pipeline_version_text(&s->v[i]), text)) {
            return &s->v[i];
        }
    }
    return NULL;
}

/* A version becomes a label value, which lives for years in the series database. */
static bool text_ok(struct str text)
{
    return text.n > 0 && text.n <= PIPELINE_LABEL_MAX && str_is_utf8(text) &&
           pii_detect(text) == PII_NONE;
}

static bool goes_before(const struct pipeline_version *v, struct str text, int64_t last_ns)
{
    return v->last_ns != last_ns ? v->last_ns < last_ns
                                 : str_cmp(pipeline_version_text(v), text) < 0;
}

/* A place for a version that is not there yet; NULL when it is the one that has to go. */
static struct pipeline_version *version_place(struct pipeline_versions *s, struct str text,
                                              int64_t last_ns)
{
    ASSERT(text.n > 0 && text.n <= PIPELINE_LABEL_MAX);
    struct pipeline_version *v = &s->v[0];
    if (s->count < PIPELINE_VERSIONS_MAX) {
        v = &s->v[s->count++];
    } else {
        for (uint32_t i = 1; i < s->count; i++) {
            if (goes_before(&s->v[i], pipeline_version_text(v), v->last_ns)) {
                v = &s->v[i];
            }
        }
        if (!goes_before(v, text, last_ns)) {
            return NULL;
        }
    }
    *v = (struct pipeline_version){.n = (uint32_t)text.n, .first_ns = INT64_MAX};
    memcpy(v->text, text.p, text.n);
    v->last_ns = last_ns;
    return v;
}

static void first_note(struct pipeline_versions *s, int64_t t_ns)
{
    s->first_ns = s->seen ? i64_min(s->first_ns, t_ns) : t_ns;
    s->seen = true;
}

void pipeline_versions_note(struct pipeline_versions *s, struct str text, int64_t t_ns,
                            bool duplicate)
{
    first_note(s, t_ns);
    if (text.n == 0) {
        return;
    }
    struct pipeline_version *v = version_find(s, text);
    if (!v) {
        if (!text_ok(text)) {
            s->refused++;
            return;
        }
        s->replaced += s->count == PIPELINE_VERSIONS_MAX;
        v = version_place(s, text, t_ns);
    }
    if (v) {
        v->first_ns = i64_min(v->first_ns, t_ns);
        v->last_ns = i64_max(v->last_ns, t_ns);
        v->events += !duplicate;
    }
}

/* What does not fit the sum is not counted as replaced: the shards still have it. */
void pipeline_versions_merge(struct pipeline_versions *to, const struct pipeline_versions *from)
{
    if (from->seen) {
        first_note(to, from->first_ns);
    }
    to->replaced += from->replaced;
    to->refused += from->refused;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct pipeline_version *f = &from->v[i];
        struct str text = pipeline_version_text(f);
        struct pipeline_version *v = version_find(to, text);
        v = v ? v : version_place(to, text, f->last_ns);
        if (v) {
            v->first_ns = i64_min(v->first_ns, f->first_ns);
            v->last_ns = i64_max(v->last_ns, f->last_ns);
            v->events += f->events;
        }
    }
}

const struct pipeline_version *pipeline_versions_newest(const struct pipeline_versions *s,
                                                        int64_t watermark_ns, uint32_t *live)
{
    const struct pipeline_version *newest = NULL;
    *live = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct pipeline_version *v = &s->v[i];
        if (watermark_ns != T_NS_NONE && v->last_ns < watermark_ns - LIVE_NS) {
            continue;
        }
        ++*live;
        if (!newest || v->first_ns > newest->first_ns ||
            (v->first_ns == newest->first_ns &&
             str_cmp(pipeline_version_text(v), pipeline_version_text(newest)) > 0)) {
            newest = v;
        }
    }
    return newest;
}

bool pipeline_version_is_deploy(const struct pipeline_versions *s, const struct pipeline_version *v)
{
    ASSERT(s->seen && s->first_ns <= v->first_ns);
    return v->first_ns - s->first_ns >= DEPLOY_AFTER_NS;
}

void pipeline_versions_put(struct buf *b, const struct pipeline_versions *s)
{
    buf_u8(b, s->seen);
    buf_u64le(b, (uint64_t)s->first_ns);
    buf_u64le(b, s->replaced);
    buf_u64le(b, s->refused);
    buf_u8(b, (uint8_t)s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        buf_str32(b, pipeline_version_text(&s->v[i]));
        buf_u64le(b, (uint64_t)s->v[i].first_ns);
        buf_u64le(b, (uint64_t)s->v[i].last_ns);
        buf_u64le(b, s->v[i].events);
    }
}

bool pipeline_versions_get(struct rd *r, struct pipeline_versions *out)
{
    uint32_t seen = rd_u8(r);
    struct pipeline_versions s = {.seen = seen == 1};
    s.first_ns = (int64_t)rd_u64le(r);
    s.replaced = rd_u64le(r);
    s.refused = rd_u64le(r);
    uint32_t count = rd_u8(r);
    if (r->failed || seen > 1 || count > PIPELINE_VERSIONS_MAX || s.first_ns < 0 ||
        s.first_ns > PIPELINE_T_MAX || (!s.seen && (count > 0 || s.first_ns != 0))) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct str text = rd_str32(r);
        int64_t first_ns = (int64_t)rd_u64le(r);
        int64_t last_ns = (int64_t)rd_u64le(r);
        uint64_t events = rd_u64le(r);
        if (r->failed || !text_ok(text) || version_find(&s, text) || first_ns < s.first_ns ||
            last_ns < first_ns || last_ns > PIPELINE_T_MAX) {
            return false;
        }
        struct pipeline_version *v = version_place(&s, text, last_ns);
        v->first_ns = first_ns;
        v->events = events;
    }
    *out = s;
    return true;
}
