/* The parts of a record that are lists or names: features, latencies, dimensions, the name of a
 * stage.
 *
 * Names travel once a batch and are numbers in the records. A decoder remembers which name stood at
 * which position of the last line: lines of one sender look alike, so a name costs one comparison
 * and no hash. New names are checked for personal data, because they become labels of metrics. */
#include "ingest/ndjson/decode_int.h"

#include "base/base.h"
#include "base/pii.h"

#include <string.h>

enum name_result { NAME_OK, NAME_DROPPED, NAME_FATAL };

/* The slow half: the name is not the one of the last line. */
static enum name_result name_find(struct ndjson_decoder *d, struct str name, uint32_t *out,
                                  struct err *e)
{
    uint32_t at = intern_find(&d->names, name);
    if (at == INTERN_FULL) {
        if (name.n == 0 || name.n > RECORD_STR_MAX || d->names.count == RECORD_NAMES_MAX) {
            d->counts.drops[NDJSON_DROP_NAME]++;
            return NAME_DROPPED;
        }
        if (pii_detect(name) != PII_NONE) {
            d->counts.drops[NDJSON_DROP_PII]++;
            return NAME_DROPPED;
        }
        at = intern_add(&d->names, name);
        if (at == INTERN_FULL) {
            err_set(e, ERR_NOMEM, "no memory for names");
            return NAME_FATAL;
        }
        d->slots[at] = (struct name_slot){.name = intern_str(&d->names, at)};
    }
    *out = at;
    return NAME_OK;
}

/* Index into slots of a name that is in the batch from now on. *hint: where this position's name
 * was the last time; a slot without a name never equals one, because names are not empty. */
static inline enum name_result name_slot(struct ndjson_decoder *d, struct str name, uint32_t *hint,
                                         uint32_t *out, struct err *e)
{
    if (!ndjson_key_eq(d->slots[*hint].name, name) || name.n == 0) {
        enum name_result r = name_find(d, name, hint, e);
        if (r != NAME_OK) {
            return r;
        }
    }
    struct name_slot *s = &d->slots[*hint];
    if (s->epoch != d->epoch) {
        s->epoch = d->epoch;
        s->id = (uint16_t)d->names_count++;
        record_put_name(d->payload, name);
    }
    *out = *hint;
    return NAME_OK;
}

/* -- Features, latencies, dimensions of a decision. -- */

static void feature_value(struct ndjson_decoder *d, const struct json_token *t, struct feature *f)
{
    f->kind = FEATURE_NULL;
    f->number = 0;
    f->category = (struct str){NULL, 0};
    switch (t->kind) {
    case JSON_NULL: break;
    case JSON_FALSE:
    case JSON_TRUE:
        f->kind = FEATURE_BOOL;
        f->number = t->kind == JSON_TRUE ? 1 : 0;
        break;
    case JSON_I64:
    case JSON_U64:
    case JSON_F64:
        f->kind = FEATURE_NUMBER;
        f->number = json_as_f64(t);
        break;
    case JSON_STR:
        f->kind = FEATURE_CATEGORY;
        f->category = ndjson_text_clean(t->v.str, &d->counts);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY: break; /* not scalars: never asked */
    }
}

static bool feature_add(struct ndjson_decoder *d, struct str name, const struct json_token *t,
                        struct err *e)
{
    if (t->kind == JSON_ARRAY) {
        d->counts.drops[NDJSON_DROP_KIND]++;
        return true;
    }
    uint32_t n = d->features_count;
    struct feature *f = &d->features[n];
    feature_value(d, t, f);
    if (f->kind == FEATURE_CATEGORY && f->category.n == 0 && t->v.str.n > 0) {
        return true; /* personal data: dropped and counted */
    }
    uint32_t at;
    enum name_result r = name_slot(d, name, &d->feature_hint[n], &at, e);
    if (r != NAME_OK) {
        return r == NAME_DROPPED;
    }
    struct name_slot *s = &d->slots[at];
    f->name = s->id;
    if (s->seq == d->seq) { /* given twice: the last value counts */
        d->features[s->at] = *f;
        return true;
    }
    if (n == (uint32_t)d->config->features_max) {
        buf_reset(&d->message);
        buf_fmt(&d->message, "decision.features: more than %lld",
                (long long)d->config->features_max);
        return ndjson_refuse(d, RECORD_DECISION, NDJSON_LIMIT, 1, e);
    }
    s->seq = d->seq;
    s->at = (uint16_t)n;
    d->features_count = n + 1;
    return true;
}

/* Scalars below container `at`; `prefix` bytes of d->nested are the path so far. Depth is bounded
 * by JSON_DEPTH_MAX, which the parser keeps. */
static bool features_below(struct ndjson_decoder *d, uint32_t at, size_t prefix, struct err *e)
{
    const struct json_token *tokens = d->doc.tokens;
    uint32_t end = tokens[at].next;
    for (uint32_t i = at + 1; i < end; i = tokens[i].next) {
        struct str name = tokens[i].key;
        bool object = tokens[i].kind == JSON_OBJECT;
        if (prefix > 0 || object) {
            if (name.n + 1 > sizeof d->nested - prefix) {
                d->counts.drops[NDJSON_DROP_NAME]++;
                continue;
            }
            if (name.n > 0) {
                memcpy(d->nested + prefix, name.p, name.n);
            }
            name = str_of(d->nested, prefix + name.n);
        }
        if (object) {
            d->nested[name.n] = '.';
            if (!features_below(d, i, name.n + 1, e)) {
                return false;
            }
        } else if (!feature_add(d, name, &tokens[i], e)) {
            return false;
        }
    }
    return true;
}

bool ndjson_put_features(struct ndjson_decoder *d, const struct ndjson_kind_map *km, struct err *e)
{
    d->features_count = 0;
    for (uint32_t i = 0; i < km->features_count; i++) {
        uint32_t at = d->hits[km->features[i].node];
        if (at == 0) {
            continue;
        }
        const struct json_token *t = &d->doc.tokens[at];
        bool ok = true;
        if (t->kind == JSON_OBJECT) {
            ok = features_below(d, at, 0, e);
        } else if (!km->features[i].object_only) {
            ok = feature_add(d, km->features[i].name, t, e);
        } else if (t->kind != JSON_NULL) {
            d->counts.drops[NDJSON_DROP_KIND]++;
        }
        if (!ok) {
            return false;
        }
    }
    d->rec.decision.features = d->features;
    d->rec.decision.features_count = d->features_count;
    return true;
}

bool ndjson_put_latencies(struct ndjson_decoder *d, const struct ndjson_binding *b, struct str path,
                          const struct json_token *t, struct err *e)
{
    enum ndjson_unit unit = b->unit == NDJSON_U_DEFAULT ? NDJSON_U_US : b->unit;
    struct ndjson_issue issue = {.reason = NDJSON_TYPE, .expected = "an object of stage: time"};
    if (t->kind != JSON_OBJECT) {
        return ndjson_refuse_value(d, RECORD_DECISION, b, path, t, &issue, e);
    }
    const struct json_token *tokens = d->doc.tokens;
    for (uint32_t i = (uint32_t)(t - tokens) + 1; i < t->next; i = tokens[i].next) {
        if (tokens[i].kind == JSON_NULL) {
            continue;
        }
        struct latency l;
        if (!ndjson_span_ns(&tokens[i], unit, &l.ns) || l.ns > RECORD_SPAN_NS_MAX ||
            l.ns < -RECORD_SPAN_NS_MAX) {
            issue.reason = json_is_number(&tokens[i]) ? NDJSON_RANGE : NDJSON_TYPE;
            issue.expected = "numbers below 115 days";
            return ndjson_refuse_value(d, RECORD_DECISION, b, path, &tokens[i], &issue, e);
        }
        if (d->latencies_count == RECORD_LATENCIES_MAX) {
            d->counts.drops[NDJSON_DROP_EXTRA]++;
            continue;
        }
        uint32_t at;
        enum name_result r =
            name_slot(d, tokens[i].key, &d->latency_hint[d->latencies_count], &at, e);
        if (r == NAME_FATAL) {
            return false;
        }
        if (r == NAME_OK) {
            l.stage_name = d->slots[at].id;
            d->latencies[d->latencies_count++] = l;
        }
    }
    return true;
}

static struct str dim_member(const struct decision *dec, const struct ndjson_field *f)
{
    const char *at = (const char *)dec + f->offset;
    if (f->type == NDJSON_T_STR) {
        struct str s;
        memcpy(&s, at, sizeof s);
        return s;
    }
    uint32_t code;
    memcpy(&code, at, sizeof code);
    bool absent = code == 0 && (f->words == NDJSON_W_DIRECTION || f->words == NDJSON_W_SETTLEMENT ||
                                f->words == NDJSON_W_FORM);
    return absent ? (struct str){NULL, 0} : ndjson_word_at(f->words, code);
}

static struct str dim_feature(struct ndjson_decoder *d, struct str name)
{
    uint32_t at = intern_find(&d->names, name);
    if (at == INTERN_FULL || d->slots[at].seq != d->seq || d->slots[at].epoch != d->epoch) {
        return (struct str){NULL, 0};
    }
    const struct feature *f = &d->features[d->slots[at].at];
    struct json_token t = {.kind = JSON_NULL};
    switch (f->kind) {
    case FEATURE_NULL: break;
    case FEATURE_CATEGORY: return f->category;
    case FEATURE_BOOL: t.kind = f->number != 0 ? JSON_TRUE : JSON_FALSE; break;
    case FEATURE_NUMBER:
        t.kind = JSON_F64;
        t.v.f64 = f->number;
        break;
    }
    return ndjson_value_text(&t, &d->counts, &d->texts);
}

void ndjson_put_dims(struct ndjson_decoder *d, const struct ndjson_kind_map *km)
{
    struct decision *dec = &d->rec.decision;
    dec->dims_count = km->dims_count;
    for (uint32_t i = 0; i < km->dims_count; i++) {
        const struct ndjson_dim *dim = &km->dims[i];
        struct str v = {NULL, 0};
        if (dim->field != NULL) {
            v = dim_member(dec, dim->field);
        }
        if (v.n == 0 && dim->node != 0 && d->hits[dim->node] != 0) {
            v = ndjson_value_text(&d->doc.tokens[d->hits[dim->node]], &d->counts, &d->texts);
        }
        if (v.n == 0 && dim->feature.n > 0) {
            v = dim_feature(d, dim->feature);
        }
        dec->dims[i] = v;
    }
}

bool ndjson_put_stage_name(struct ndjson_decoder *d, const struct ndjson_binding *b,
                           struct str path, const struct json_token *t, struct err *e)
{
    struct ndjson_issue issue = {.reason = NDJSON_TYPE, .expected = "the name of a stage"};
    uint32_t at = 0;
    enum name_result r = NAME_DROPPED;
    if (t->kind == JSON_STR) {
        struct ndjson_counts before = d->counts;
        r = name_slot(d, t->v.str, &d->stage_hint, &at, e);
        /* The whole line is refused, so no single value was dropped from it. */
        d->counts = before;
        issue.reason = d->names.count == RECORD_NAMES_MAX ? NDJSON_LIMIT : NDJSON_WORD;
    }
    if (r == NAME_DROPPED) {
        return ndjson_refuse_value(d, RECORD_STAGE, b, path, t, &issue, e);
    }
    d->rec.stage.stage_name = d->slots[at].id;
    return r == NAME_OK;
}
