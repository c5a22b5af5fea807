/* Reads the `mapping:` block of the configuration: a user's own JSON, described without code.
 *
 *     mapping:
 *       type: {field: type, values: {dec: decision, lbl: label}}   # or {value: decision}
 *       decision:
 *         id: pix.e2e                                # a path
 *         ts: {field: when, unit: ms}                # ns us ms s; RFC 3339 text always works
 *         score: risk.score
 *         decision: {field: action, values: {review: hold, block: deny, allow: approve}}
 *         amount: {field: value, unit: reais}        # or centavos
 *         model: {value: pixfraud}                   # a constant
 *         features: [inputs, risk.second_score]      # scalars below an object, or one scalar
 *         dims: {channel: meta.channel}              # segments that are not fields or features
 *
 * Everything that can be wrong is found here, with the line and column of the word, and not at the
 * first event. Bounds: map_int.h. */
#include "ingest/ndjson/map_int.h"

#include "base/base.h"
#include "base/str.h"
#include "ingest/ndjson/map_build_int.h"

/* One entry `field: path` or `field: {field: path, values: ..., unit: ..., value: ...}`. */
struct entry {
    const struct yaml_node *path, *values, *unit, *constant;
};

/* " (did you mean 'x'?)" for the best of the candidates offered one by one. */
struct suggestion {
    struct str word, best;
    size_t distance;
};

static void suggest(struct suggestion *s, struct str candidate)
{
    size_t d = str_distance(s->word, candidate);
    if (candidate.n > 0 && d < s->distance) {
        s->distance = d;
        s->best = candidate;
    }
}

static bool unknown_key(const struct yaml_node *n, const char *in, const struct suggestion *s,
                        struct err *e)
{
    if (s->best.n > 0) {
        return err_at(e, ERR_INPUT, n->key_line, n->key_col,
                      "unknown key '%.*s' in %s, did you mean '%.*s'?",
                      STR_FMT(str_sub(n->key, 0, 40)), in, STR_FMT(s->best));
    }
    return err_at(e, ERR_INPUT, n->key_line, n->key_col, "unknown key '%.*s' in %s",
                  STR_FMT(str_sub(n->key, 0, 40)), in);
}

static bool entry_read(const struct yaml_node *n, struct entry *out, struct err *e)
{
    *out = (struct entry){0};
    if (n->kind == YAML_SCALAR) {
        out->path = n;
        return true;
    }
    if (n->kind != YAML_MAPPING) {
        return map_err(n, ERR_INPUT, e, "%.*s: expected a path or {field: path, ...}",
                       STR_FMT(str_sub(n->key, 0, 40)));
    }
    for (const struct yaml_node *c = n->first; c != NULL; c = c->next) {
        const struct yaml_node **at = str_eq(c->key, STR("field"))    ? &out->path
                                      : str_eq(c->key, STR("values")) ? &out->values
                                      : str_eq(c->key, STR("unit"))   ? &out->unit
                                      : str_eq(c->key, STR("value"))  ? &out->constant
                                                                      : NULL;
        if (at == NULL) {
            struct suggestion s = {.word = c->key, .distance = 4};
            suggest(&s, STR("field"));
            suggest(&s, STR("values"));
            suggest(&s, STR("unit"));
            suggest(&s, STR("value"));
            return unknown_key(c, "a field's mapping", &s, e);
        }
        if ((c->kind == YAML_SCALAR) == (at == &out->values)) {
            return map_err(c, ERR_INPUT, e, "%.*s: expected %s", STR_FMT(c->key),
                           at == &out->values ? "a mapping of their words to ours" : "one value");
        }
        *at = c;
    }
    if ((out->path == NULL) == (out->constant == NULL)) {
        return map_err(n, ERR_INPUT, e, "%.*s: expected either field: PATH or value: CONSTANT",
                       STR_FMT(str_sub(n->key, 0, 40)));
    }
    return true;
}

static bool unit_read(enum ndjson_type type, const struct yaml_node *n, enum ndjson_unit *out,
                      struct err *e)
{
    static const struct {
        struct str text;
        enum ndjson_unit unit;
    } units[] = {{STR_INIT("ns"), NDJSON_U_NS},
                 {STR_INIT("us"), NDJSON_U_US},
                 {STR_INIT("ms"), NDJSON_U_MS},
                 {STR_INIT("s"), NDJSON_U_S},
                 {STR_INIT("centavos"), NDJSON_U_CENTAVOS},
                 {STR_INIT("reais"), NDJSON_U_REAIS}};
    bool money = type == NDJSON_T_MONEY;
    bool time = type == NDJSON_T_TIME || type == NDJSON_T_SPAN || type == NDJSON_T_LATENCY;
    if (!money && !time) {
        return map_err(n, ERR_INPUT, e, "unit: only times and amounts have one");
    }
    if (type == NDJSON_T_TIME && str_eq(n->text, STR("rfc3339"))) {
        *out = NDJSON_U_DEFAULT; /* text is read as RFC 3339 whatever the unit of numbers is */
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (str_eq(units[i].text, n->text) && money == (units[i].unit >= NDJSON_U_CENTAVOS)) {
            *out = units[i].unit;
            return true;
        }
    }
    return map_err(n, ERR_INPUT, e, "unit: expected %s, found '%.*s'",
                   money ? "reais or centavos" : "ns, us, ms, s or rfc3339",
                   STR_FMT(str_sub(n->text, 0, 40)));
}

/* values: {their word: our word}. */
static bool values_read(struct map_build *b, enum ndjson_words set, const struct yaml_node *n,
                        struct ndjson_word_list *out, struct err *e)
{
    if (set == NDJSON_W_NONE) {
        return err_at(e, ERR_INPUT, n->key_line, n->key_col,
                      "values: only fields with a fixed set of words have them");
    }
    if (n->children_count == 0 || n->children_count > NDJSON_WORDS_MAX) {
        return map_err(n, ERR_LIMIT, e, "values: expected 1 to %d words", NDJSON_WORDS_MAX);
    }
    struct ndjson_word *w = ARENA_ARRAY(b->arena, struct ndjson_word, n->children_count);
    if (w == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the mapping");
    }
    uint32_t count = 0;
    for (const struct yaml_node *c = n->first; c != NULL; c = c->next) {
        w[count].text = c->key;
        if (c->kind != YAML_SCALAR || !ndjson_word_code(b->words[set], c->text, &w[count].code)) {
            struct suggestion s = {.word = c->text, .distance = 4};
            for (uint32_t i = 0; i < b->words[set].count; i++) {
                suggest(&s, b->words[set].v[i].text);
            }
            struct str best = s.best.n > 0 ? s.best : b->words[set].v[0].text;
            return map_err(c, ERR_INPUT, e, "'%.*s' is not a word of farol.pix/1, %s '%.*s'%s",
                           STR_FMT(str_sub(c->text, 0, 40)),
                           s.best.n > 0 ? "did you mean" : "expected for example", STR_FMT(best),
                           s.best.n > 0 ? "?" : "");
        }
        count++;
    }
    *out = (struct ndjson_word_list){w, count};
    return true;
}

/* A constant is a token made at start, put into every record by the same code as a value of a line.
 * */
static struct json_token constant_token(enum ndjson_type type, const struct yaml_node *n)
{
    struct json_token t = {.kind = JSON_STR};
    t.v.str = n->text;
    if (n->quoted || type == NDJSON_T_STR || type == NDJSON_T_WORD || type == NDJSON_T_SOURCE ||
        type == NDJSON_T_NAME) {
        return t;
    }
    int64_t i;
    double f;
    if (str_to_i64(n->text, &i)) {
        t.kind = JSON_I64;
        t.v.i64 = i;
    } else if (str_to_f64(n->text, &f)) {
        t.kind = JSON_F64;
        t.v.f64 = f;
    }
    return t;
}

static bool constant_read(struct ndjson_binding *n, const struct yaml_node *c, struct err *e)
{
    const struct ndjson_field *f = n->field;
    if (f->type == NDJSON_T_E2E || f->type == NDJSON_T_LATENCY) {
        return map_err(c, ERR_INPUT, e, "%.*s cannot be a constant", STR_FMT(f->name));
    }
    n->constant = constant_token(f->type, c);
    n->has_constant = true;
    if (f->type == NDJSON_T_NAME) {
        return (c->text.n > 0 && c->text.n <= RECORD_STR_MAX) ||
               map_err(c, ERR_INPUT, e, "%.*s: expected a name of 1 to %d bytes", STR_FMT(f->name),
                       RECORD_STR_MAX);
    }
    union {
        struct decision d;
        struct fraud_label l;
        struct stage_event s;
    } record = {0};
    struct ndjson_counts counts = {0};
    struct ndjson_texts texts = {.used = 0};
    struct ndjson_issue issue = {0};
    if (ndjson_value_put(n, &n->constant, &record, &counts, &texts, &issue)) {
        return true;
    }
    return map_err(c, ERR_INPUT, e, "%.*s: expected %s, found '%.*s'", STR_FMT(f->name),
                   issue.expected ? issue.expected : "one of the words of farol.pix/1",
                   STR_FMT(str_sub(c->text, 0, 40)));
}

static bool field_read(struct map_build *b, enum record_kind k, const struct ndjson_field *f,
                       const struct yaml_node *n, struct err *e)
{
    struct entry en;
    if (!entry_read(n, &en, e)) {
        return false;
    }
    struct ndjson_binding *bind = ndjson_build_binding(b, k, f);
    bool alias = bind->node != 0 || bind->has_constant;
    if (alias && (en.constant != NULL || en.unit != NULL || en.values != NULL ||
                  bind->has_constant || bind->node_alt != 0)) {
        return err_at(e, ERR_INPUT, n->key_line, n->key_col,
                      "%.*s and %.*s are one field: give it once, or two plain paths",
                      STR_FMT(f->name), STR_FMT(f->alias));
    }
    if (en.unit != NULL && !unit_read(f->type, en.unit, &bind->unit, e)) {
        return false;
    }
    if (en.values != NULL) {
        bind->mapped_words = true;
        if (!values_read(b, f->words, en.values, &bind->words, e)) {
            return false;
        }
    }
    if (en.constant != NULL) {
        return constant_read(bind, en.constant, e);
    }
    *(alias ? &bind->path_alt : &bind->path) = en.path->text;
    return ndjson_build_path(b, en.path->text, en.path, alias ? &bind->node_alt : &bind->node, NULL,
                             e);
}

static bool features_path(struct map_build *b, struct ndjson_kind_map *km,
                          const struct yaml_node *n, struct err *e)
{
    if (n->kind != YAML_SCALAR) {
        return map_err(n, ERR_INPUT, e, "features: expected a path or a list of paths");
    }
    struct ndjson_features *f = &km->features[km->features_count++];
    if (!ndjson_build_path(b, n->text, n, &f->node, &f->name, e)) {
        return false;
    }
    if (f->name.n > RECORD_STR_MAX) {
        return map_err(n, ERR_LIMIT, e, "features: a name has at most %d bytes", RECORD_STR_MAX);
    }
    for (uint32_t i = 0; i + 1 < km->features_count; i++) {
        if (km->features[i].node == f->node) {
            return map_err(n, ERR_INPUT, e, "features: '%.*s' is listed twice",
                           STR_FMT(str_sub(n->text, 0, 80)));
        }
    }
    return true;
}

static bool features_read(struct map_build *b, struct ndjson_kind_map *km,
                          const struct yaml_node *n, struct err *e)
{
    uint32_t count = n->kind == YAML_SEQUENCE ? n->children_count : 1;
    if (count > NDJSON_FEATURES_MAX) {
        return map_err(n, ERR_LIMIT, e, "features: at most %d paths", NDJSON_FEATURES_MAX);
    }
    km->features = ARENA_ARRAY(b->arena, struct ndjson_features, count);
    if (km->features == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the mapping");
    }
    if (n->kind != YAML_SEQUENCE) {
        km->features[0].object_only = true;
        return features_path(b, km, n, e);
    }
    for (const struct yaml_node *c = n->first; c != NULL; c = c->next) {
        if (!features_path(b, km, c, e)) {
            return false;
        }
    }
    return true;
}

static bool dim_read(struct map_build *b, const struct yaml_node *n, struct err *e)
{
    if (n->kind != YAML_SCALAR) {
        return map_err(n, ERR_INPUT, e, "%.*s: expected a path", STR_FMT(str_sub(n->key, 0, 40)));
    }
    if (b->given_count == MAP_DIMS_MAX) {
        return map_err(n, ERR_LIMIT, e, "at most %d dimensions may be given", MAP_DIMS_MAX);
    }
    struct map_dim *d = &b->given[b->given_count++];
    d->name = n->key;
    return ndjson_build_path(b, n->text, n, &d->node, NULL, e);
}

static bool dims_read(struct map_build *b, const struct yaml_node *n, struct err *e)
{
    if (n->kind != YAML_MAPPING) {
        return map_err(n, ERR_INPUT, e, "dims: expected a mapping of names to paths");
    }
    for (const struct yaml_node *c = n->first; c != NULL; c = c->next) {
        if (!dim_read(b, c, e)) {
            return false;
        }
    }
    return true;
}

static bool kind_key(struct map_build *b, enum record_kind k, const struct yaml_node *c,
                     struct err *e)
{
    const struct ndjson_field *f = ndjson_field_find(k, c->key);
    if (f != NULL) {
        return field_read(b, k, f, c, e);
    }
    if (k == RECORD_DECISION && str_eq(c->key, STR("features"))) {
        return features_read(b, &b->map->kind[k], c, e);
    }
    if (k == RECORD_DECISION && str_eq(c->key, STR("dims"))) {
        return dims_read(b, c, e);
    }
    if (k == RECORD_DECISION && ndjson_dim_field(c->key)) {
        return dim_read(b, c, e);
    }
    struct suggestion s = {.word = c->key, .distance = 4};
    struct ndjson_field_list fields = ndjson_schema_fields(k);
    for (uint32_t i = 0; i < fields.count; i++) {
        suggest(&s, fields.v[i].name);
    }
    if (k == RECORD_DECISION) {
        suggest(&s, STR("features"));
        suggest(&s, STR("dims"));
    }
    char in[32] = "a ";
    struct str kind = ndjson_kind_text(k);
    memcpy(in + 2, kind.p, kind.n);
    return unknown_key(c, in, &s, e);
}

static bool kind_read(struct map_build *b, enum record_kind k, const struct yaml_node *n,
                      struct err *e)
{
    struct ndjson_kind_map *km = &b->map->kind[k];
    if (n->kind != YAML_MAPPING) {
        return map_err(n, ERR_INPUT, e, "%.*s: expected a mapping of fields to paths",
                       STR_FMT(n->key));
    }
    km->used = true;
    for (const struct yaml_node *c = n->first; c != NULL; c = c->next) {
        if (!kind_key(b, k, c, e)) {
            return false;
        }
    }
    struct ndjson_field_list fields = ndjson_schema_fields(k);
    for (uint32_t i = 0; i < fields.count; i++) {
        const struct ndjson_field *f = &fields.v[i];
        struct ndjson_binding *bind = f->required ? ndjson_build_binding(b, k, f) : NULL;
        if (bind != NULL && bind->node == 0 && !bind->has_constant) {
            return err_at(e, ERR_INPUT, n->key_line, n->key_col,
                          "%.*s: the required field '%.*s' is not mapped", STR_FMT(n->key),
                          STR_FMT(f->name));
        }
    }
    return true;
}

static bool type_read(struct map_build *b, const struct yaml_node *n, struct err *e)
{
    struct entry en;
    if (!entry_read(n, &en, e)) {
        return false;
    }
    if (en.unit != NULL) {
        return map_err(en.unit, ERR_INPUT, e, "unit: only times and amounts have one");
    }
    if (en.values != NULL && !values_read(b, NDJSON_W_KIND, en.values, &b->map->kinds, e)) {
        return false;
    }
    if (en.constant != NULL) {
        uint32_t code;
        if (!ndjson_word_code(b->map->kinds, en.constant->text, &code)) {
            return map_err(en.constant, ERR_INPUT, e, "type: expected decision, label or stage");
        }
        b->map->type_constant = (enum record_kind)code;
        return true;
    }
    b->map->type_path = en.path->text;
    return ndjson_build_path(b, en.path->text, en.path, &b->map->type_node, NULL, e);
}

/* Without `type:` a mapping of one kind means every line is of that kind. */
static bool type_default(struct map_build *b, const struct yaml_node *n, struct err *e)
{
    for (enum record_kind k = RECORD_DECISION; k <= RECORD_STAGE; k++) {
        if (b->map->kind[k].used) {
            if (b->map->type_constant != RECORD_NAME) {
                return map_err(n, ERR_INPUT, e,
                               "mapping: with more than one kind, `type:` must say which is which");
            }
            b->map->type_constant = k;
        }
    }
    return true;
}

bool ndjson_map_read(const struct yaml_node *n, const struct conf_strs *dims, struct arena *a,
                     const struct ndjson_map **out, struct err *e)
{
    struct map_build b;
    if (n->kind != YAML_MAPPING) {
        return map_err(n, ERR_INPUT, e, "mapping: expected type, decision, label or stage");
    }
    if (!ndjson_build_init(&b, dims, a, e)) {
        return false;
    }
    const struct yaml_node *type = NULL;
    bool used = false;
    for (const struct yaml_node *c = n->first; c != NULL; c = c->next) {
        uint32_t kind;
        if (str_eq(c->key, STR("type"))) {
            type = c;
        } else if (ndjson_word_code(b.words[NDJSON_W_KIND], c->key, &kind)) {
            used = true;
            if (!kind_read(&b, (enum record_kind)kind, c, e)) {
                return false;
            }
        } else {
            struct suggestion s = {.word = c->key, .distance = 4};
            suggest(&s, STR("type"));
            for (enum record_kind k = RECORD_DECISION; k <= RECORD_STAGE; k++) {
                suggest(&s, ndjson_kind_text(k));
            }
            return unknown_key(c, "mapping", &s, e);
        }
    }
    if (!used) {
        return map_err(n, ERR_INPUT, e, "mapping: expected at least one of decision, label, stage");
    }
    if (type != NULL ? !type_read(&b, type, e) : !type_default(&b, n, e)) {
        return false;
    }
    if (!ndjson_build_dims(&b, false, e)) {
        return false;
    }
    *out = b.map;
    return true;
}
