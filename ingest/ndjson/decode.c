/* One line of JSON to one record: parse, walk the tokens along the mapping, put the fields, write.
 *
 *     line --json_parse--> tokens --walk--> hits[node] = token
 *          --bindings--> struct decision | label | stage_event --> payload
 *
 * The walk looks each key up once and remembers which token stands at which path; only then the
 * kind and the schema are known and the kind's bindings read their tokens.
 *
 * Invariants: nothing is allocated per line; every refusal has a reason that is counted; text of
 * the sender appears in a message only through pii_mask. A key given twice counts with its last
 * value. */
#include "ingest/ndjson/decode_int.h"

#include "base/base.h"
#include "base/clock.h"
#include "flow/e2e.h"

#include <math.h>
#include <string.h>

#define X(name, text) STR_INIT(text),
static const struct str reason_texts[NDJSON_REASONS] = {NDJSON_REASON_LIST(X)};
static const struct str drop_texts[NDJSON_DROPS] = {NDJSON_DROP_LIST(X)};
#undef X

struct str ndjson_reason_text(enum ndjson_reason r)
{
    ASSERT((unsigned)r < NDJSON_REASONS);
    return reason_texts[r];
}

struct str ndjson_drop_text(enum ndjson_drop d)
{
    ASSERT((unsigned)d < NDJSON_DROPS);
    return drop_texts[d];
}

struct ndjson_decoder *ndjson_decoder_new(const struct ndjson_config *c, struct mem *m)
{
    struct ndjson_decoder *d = mem_take(m, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->mem = m;
    d->config = c;
    d->last = c->user ? c->user : c->builtin;
    intern_init(&d->names, m, RECORD_NAMES_MAX);
    buf_init(&d->message, m, NDJSON_MESSAGE_BYTES);
    d->parser = json_parser_new(m, (uint32_t)c->features_max * 2 + 256, c->line_bytes_max);
    if (d->parser == NULL || buf_room(&d->message, NDJSON_MESSAGE_BYTES) == NULL) {
        ndjson_decoder_free(d);
        return NULL;
    }
    return d;
}

void ndjson_decoder_free(struct ndjson_decoder *d)
{
    if (d == NULL) {
        return;
    }
    json_parser_free(d->parser);
    buf_release(&d->message);
    intern_release(&d->names);
    mem_give(d->mem, d, sizeof *d);
}

void ndjson_decoder_begin(struct ndjson_decoder *d)
{
    d->counts = (struct ndjson_counts){0};
    d->names_count = 0;
    d->epoch++;
    /* A sender of ever new names must not leave the next one without room. */
    if (d->names.count > RECORD_NAMES_MAX / 2 || d->epoch == 0 || d->seq > UINT32_MAX / 2) {
        intern_release(&d->names);
        intern_init(&d->names, d->mem, RECORD_NAMES_MAX);
        memset(d->slots, 0, sizeof d->slots);
        d->epoch = 1;
        d->seq = 0;
    }
}

enum ndjson_reason ndjson_decoder_reason(const struct ndjson_decoder *d)
{
    return d->reason;
}

const struct ndjson_counts *ndjson_decoder_counts(const struct ndjson_decoder *d)
{
    return &d->counts;
}

void ndjson_decoder_refuse(struct ndjson_decoder *d, enum ndjson_reason why)
{
    ndjson_count_refused(d, RECORD_NAME, why);
}

/* -- Records. -- */

static bool put_binding(struct ndjson_decoder *d, enum record_kind k,
                        const struct ndjson_binding *b, struct err *e)
{
    const struct json_token *t = &b->constant;
    struct str path = b->path;
    if (!b->has_constant) {
        uint32_t at = d->hits[b->node];
        if (b->node_alt != 0 && (at == 0 || d->doc.tokens[at].kind == JSON_NULL) &&
            d->hits[b->node_alt] != 0) {
            at = d->hits[b->node_alt];
            path = b->path_alt;
        }
        t = &d->doc.tokens[at];
        if (at == 0 || t->kind == JSON_NULL) {
            return !b->field->required || b->field->unless_fallback ||
                   ndjson_refuse_missing(d, k, b, e);
        }
    }
    if (b->field->type == NDJSON_T_LATENCY) {
        return ndjson_put_latencies(d, b, path, t, e);
    }
    if (b->field->type == NDJSON_T_NAME) {
        return ndjson_put_stage_name(d, b, path, t, e);
    }
    struct ndjson_issue issue;
    return ndjson_value_put(b, t, &d->rec, &d->counts, &d->texts, &issue) ||
           ndjson_refuse_value(d, k, b, path, t, &issue, e);
}

/* Of a required field: it is mapped. */
static const struct ndjson_binding *binding_of(const struct ndjson_kind_map *km,
                                               const struct ndjson_field *f)
{
    const struct ndjson_binding *b = NULL;
    for (uint32_t i = 0; i < km->bindings_count; i++) {
        b = km->bindings[i].field == f ? &km->bindings[i] : b;
    }
    ASSERT(b != NULL);
    return b;
}

/* A clock that is half a day off would move a transaction into another day's figures. */
static bool time_near_id(struct ndjson_decoder *d, enum record_kind k, const struct e2e *id,
                         int64_t t_ns, struct err *e)
{
    int64_t minute = e2e_minute_ns(id);
    int64_t off = t_ns - minute; /* both within 1970..2200 */
    if (off <= E2E_TOLERANCE_NS && off >= -E2E_TOLERANCE_NS) {
        return true;
    }
    const struct ndjson_binding *b = binding_of(&d->last->kind[k], ndjson_field_find(k, STR("ts")));
    struct str path = b->node_alt != 0 && d->hits[b->node] == 0 ? b->path_alt : b->path;
    ndjson_message_begin(d, k, b->field->name, path);
    BUF_LIT(&d->message, ": expected within 12 h of the id's minute ");
    time_format(&d->message, minute);
    BUF_LIT(&d->message, ", found ");
    time_format(&d->message, t_ns);
    return ndjson_refuse(d, k, NDJSON_TIME, b->has_constant ? 1 : json_locate(d->line, path), e);
}

static void record_init(struct ndjson_decoder *d, enum record_kind k)
{
    memset(&d->rec, 0, sizeof d->rec);
    d->latencies_count = 0;
    d->texts.used = 0;
    d->seq++;
    if (k == RECORD_DECISION) {
        d->rec.decision.score = (double)NAN;
        d->rec.decision.threshold = (double)NAN;
        d->rec.decision.amount_centavos = AMOUNT_NONE;
        d->rec.decision.hold_deadline_ns = T_NS_NONE;
    } else if (k == RECORD_STAGE) {
        d->rec.stage.attempt = 1;
        d->rec.stage.start_ns = T_NS_NONE;
        d->rec.stage.queue_ns = -1;
        d->rec.stage.work_ns = -1;
        d->rec.stage.amount_centavos = AMOUNT_NONE;
        d->rec.stage.partition = -1;
    }
}

static bool put_decision(struct ndjson_decoder *d, const struct ndjson_kind_map *km, struct err *e)
{
    struct decision *dec = &d->rec.decision;
    if (isnan(dec->score) && dec->fallback == FALLBACK_NONE) {
        const struct ndjson_field *f = ndjson_field_find(RECORD_DECISION, STR("score"));
        return ndjson_refuse_missing(d, RECORD_DECISION, binding_of(km, f), e);
    }
    if (!time_near_id(d, RECORD_DECISION, &dec->id, dec->t_ns, e) ||
        !ndjson_put_features(d, km, e)) {
        return false;
    }
    dec->latencies = d->latencies;
    dec->latencies_count = d->latencies_count;
    ndjson_put_dims(d, km);
    record_put_decision(d->payload, dec);
    return true;
}

static bool put_stage(struct ndjson_decoder *d, struct err *e)
{
    struct stage_event *s = &d->rec.stage;
    if (!time_near_id(d, RECORD_STAGE, &s->id, s->end_ns, e)) {
        return false;
    }
    if (s->start_ns == T_NS_NONE) {
        /* Not given: the work is all that is known of how long it took. */
        s->start_ns = s->work_ns > 0 ? s->end_ns - s->work_ns : s->end_ns;
    }
    record_put_stage(d->payload, s);
    return true;
}

static bool put_record(struct ndjson_decoder *d, enum record_kind k, struct err *e)
{
    const struct ndjson_kind_map *km = &d->last->kind[k];
    record_init(d, k);
    for (uint32_t i = 0; i < km->bindings_count; i++) {
        if (!put_binding(d, k, &km->bindings[i], e)) {
            return false;
        }
    }
    switch (k) {
    case RECORD_DECISION: return put_decision(d, km, e);
    case RECORD_STAGE: return put_stage(d, e);
    case RECORD_LABEL: record_put_label(d->payload, &d->rec.label); return true;
    case RECORD_NAME: break;
    }
    return err_set(e, ERR_INPUT, "not a record");
}

/* -- The line. -- */

/* Remembers the token of every mapped path. Unmapped subtrees are stepped over. */
static void walk(struct ndjson_decoder *d, const struct ndjson_map *m)
{
    struct {
        uint32_t node, end;
    } stack[NDJSON_DEPTH_MAX + 1];
    const struct json_token *tokens = d->doc.tokens;
    memset(d->hits, 0, m->nodes_count * sizeof d->hits[0]);
    uint32_t depth = 0;
    stack[0].node = 0;
    stack[0].end = tokens[0].next;
    for (uint32_t i = 1;;) {
        while (i == stack[depth].end) {
            if (depth-- == 0) {
                return;
            }
        }
        const struct json_token *t = &tokens[i];
        uint32_t node = ndjson_map_find(m, stack[depth].node, t->key);
        if (node != 0) {
            d->hits[node] = i;
            if (m->nodes[node].inner && t->kind == JSON_OBJECT) {
                ASSERT(depth < NDJSON_DEPTH_MAX);
                depth++;
                stack[depth].node = node;
                stack[depth].end = t->next;
                i++;
                continue;
            }
        }
        i = t->next;
    }
}

/* Which mapping reads this line; false when it names a schema that we do not speak. */
static bool schema_of(struct ndjson_decoder *d, const struct ndjson_map **out, struct err *e)
{
    const struct ndjson_config *c = d->config;
    uint32_t at = d->hits[d->last->schema_node];
    const struct json_token *t = &d->doc.tokens[at];
    bool given = at != 0 && t->kind == JSON_STR;
    if (given && str_eq(t->v.str, STR("farol.pix/1"))) {
        *out = c->builtin;
        return true;
    }
    if ((given && str_starts(t->v.str, STR("farol."))) ||
        (at != 0 && t->kind != JSON_NULL && c->user == NULL)) {
        buf_reset(&d->message);
        BUF_LIT(&d->message, "schema: expected \"farol.pix/1\", found ");
        ndjson_show_value(&d->message, t);
        return ndjson_refuse(d, RECORD_NAME, NDJSON_SCHEMA, json_locate(d->line, STR("schema")), e);
    }
    *out = c->user ? c->user : c->builtin;
    return true;
}

static bool kind_of(struct ndjson_decoder *d, enum record_kind *out, struct err *e)
{
    const struct ndjson_map *m = d->last;
    if (m->type_node == 0) {
        *out = m->type_constant;
        return true;
    }
    uint32_t at = d->hits[m->type_node];
    uint32_t code = RECORD_NAME;
    d->texts.used = 0;
    if (at != 0) {
        struct ndjson_counts unused = {0};
        struct str text = ndjson_value_text(&d->doc.tokens[at], &unused, &d->texts);
        if (ndjson_word_code(m->kinds, text, &code) && m->kind[code].used) {
            *out = (enum record_kind)code;
            return true;
        }
    }
    struct ndjson_binding words = {.words = m->kinds};
    buf_reset(&d->message);
    buf_str_add(&d->message, str_sub(m->type_path, 0, 64));
    BUF_LIT(&d->message, ": expected ");
    ndjson_expected_words(&words, &d->message);
    BUF_LIT(&d->message, ", found ");
    if (at != 0) {
        ndjson_show_value(&d->message, &d->doc.tokens[at]);
    } else {
        BUF_LIT(&d->message, "nothing");
    }
    return ndjson_refuse(d, RECORD_NAME, NDJSON_KIND,
                         at != 0 ? json_locate(d->line, m->type_path) : 1, e);
}

static bool parse_failed(struct ndjson_decoder *d, struct err *e)
{
    if (e->code == ERR_NOMEM) {
        return false;
    }
    enum ndjson_reason why = e->code == ERR_LIMIT    ? NDJSON_LIMIT
                             : !str_is_utf8(d->line) ? NDJSON_UTF8
                                                     : NDJSON_JSON;
    ndjson_count_refused(d, RECORD_NAME, why);
    e->code = ERR_INPUT; /* the bound is the line's: the batch goes on */
    return false;
}

static bool decode(struct ndjson_decoder *d, bool padded, enum record_kind *kind, struct err *e)
{
    if (!json_parse(d->parser, d->line, padded, &d->doc, e)) {
        return parse_failed(d, e);
    }
    if (d->doc.tokens[0].kind != JSON_OBJECT) {
        buf_reset(&d->message);
        BUF_LIT(&d->message, "expected an object, found ");
        ndjson_show_value(&d->message, &d->doc.tokens[0]);
        return ndjson_refuse(d, RECORD_NAME, NDJSON_TYPE, 1, e);
    }
    const struct ndjson_map *map = d->last;
    walk(d, d->last);
    if (!schema_of(d, &map, e)) {
        return false;
    }
    if (map != d->last) {
        d->last = map;
        walk(d, map);
    }
    return kind_of(d, kind, e) && put_record(d, *kind, e);
}

bool ndjson_decode_line(struct ndjson_decoder *d, struct str line, bool padded, struct buf *payload,
                        struct err *e)
{
    struct err local; /* parse_failed reads the code */
    e = e ? e : &local;
    enum record_kind kind = RECORD_NAME;
    ASSERT(d->epoch > 0); /* begin was called */
    d->line = line;
    d->payload = payload;
    if (line.n > d->config->line_bytes_max) {
        buf_reset(&d->message);
        buf_fmt(&d->message, "line is longer than %llu bytes",
                (unsigned long long)d->config->line_bytes_max);
        return ndjson_refuse(d, RECORD_NAME, NDJSON_LIMIT, 1, e);
    }
    bool ok = decode(d, padded, &kind, e);
    if (payload->failed) {
        return err_set(e, ERR_LIMIT, "the records of one request do not fit %zu bytes",
                       payload->bytes_max);
    }
    if (ok) {
        d->counts.accepted[kind]++;
    }
    return ok;
}
