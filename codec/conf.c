/* Configuration sections from tables: one row per key gives reading, bounds, defaults, suggestions
 * and the manual. A module never looks at YAML by hand except in a CUSTOM row.
 *
 * A default is YAML text and goes through the code that reads people's values, bounds included, so
 * a default that the manual shows is one that may be written. A default that fails is a mistake in
 * the table, and asserted. A key without a value (`window:`) means its default.
 *
 * Words of an error: `pipeline.window: expected a duration from 1s to 1h, found "90"`. */
#include "codec/conf.h"

#include <stdio.h>

#define SUGGEST_DISTANCE_MAX 3
#define SHOWN_BYTES_MAX      40 /* of a value, in a message */
#define EXPECTED_BYTES       128

/* A bound or default in the units people write. */
static void bound_text(enum conf_type type, double v, char *out, size_t cap)
{
    static const struct {
        const char *unit;
        double size;
    } durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}},
      bytes[] = {{"GiB", 1073741824}, {"MiB", 1048576}, {"KiB", 1024}};
    if (type == CONF_T_DURATION) {
        for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
            double whole = v / durations[i].size;
            if (whole >= 1 && whole - (double)(int64_t)whole <= 0) {
                snprintf(out, cap, "%.0f%s", whole, durations[i].unit);
                return;
            }
        }
        snprintf(out, cap, "%.0fms", v);
        return;
    }
    if (type == CONF_T_BYTES) {
        for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
            double whole = v / bytes[i].size;
            if (whole >= 1 && whole - (double)(int64_t)whole <= 0) {
                snprintf(out, cap, "%.0f%s", whole, bytes[i].unit);
                return;
            }
        }
    }
    snprintf(out, cap, "%.15g", v);
}

static const char *type_words(enum conf_type type)
{
    switch (type) {
    case CONF_T_BOOL: return "true or false";
    case CONF_T_I64: return "an integer";
    case CONF_T_F64: return "a number";
    case CONF_T_DURATION: return "a duration";
    case CONF_T_BYTES: return "a size";
    case CONF_T_STR: return "a string";
    case CONF_T_STR_LIST: return "a list of strings";
    case CONF_T_CUSTOM: break;
    }
    return "a value";
}

static bool has_bounds(const struct conf_field *f)
{
    return f->min < 0 || f->min > 0 || f->max < 0 || f->max > 0;
}

/* "a duration from 1s to 1h" */
static void expected_text(const struct conf_field *f, char *out, size_t cap)
{
    if (!has_bounds(f)) {
        snprintf(out, cap, "%s", type_words(f->type));
        return;
    }
    char lo[32];
    char hi[32];
    bound_text(f->type, f->min, lo, sizeof lo);
    bound_text(f->type, f->max, hi, sizeof hi);
    if (f->type == CONF_T_STR_LIST) {
        snprintf(out, cap, "a list of %s to %s strings", lo, hi);
        return;
    }
    snprintf(out, cap, "%s from %s to %s", type_words(f->type), lo, hi);
}

static bool wrong_value(struct str section, const struct conf_field *f, const struct yaml_node *n,
                        struct err *e)
{
    char expected[EXPECTED_BYTES];
    expected_text(f, expected, sizeof expected);
    char key[80];
    snprintf(key, sizeof key, "%.*s%s%s", STR_FMT(str_sub(section, 0, 32)), section.n ? "." : "",
             f->key);
    if (n->kind != YAML_SCALAR) {
        return err_at(e, ERR_INPUT, n->line, n->col, "%s: expected %s, found a %s", key, expected,
                      n->kind == YAML_MAPPING ? "mapping" : "list");
    }
    struct str shown = str_sub(n->text, 0, SHOWN_BYTES_MAX);
    return err_at(e, ERR_INPUT, n->line, n->col, "%s: expected %s, found \"%.*s\"%s", key, expected,
                  STR_FMT(shown), shown.n < n->text.n ? "..." : "");
}

static bool parse_bool(struct str s, bool *out)
{
    static const struct {
        struct str word;
        bool value;
    } words[] = {{STR_INIT("true"), true},   {STR_INIT("yes"), true}, {STR_INIT("on"), true},
                 {STR_INIT("false"), false}, {STR_INIT("no"), false}, {STR_INIT("off"), false}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_nocase(s, words[i].word)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

static bool within(const struct conf_field *f, double v)
{
    return !has_bounds(f) || (v >= f->min && v <= f->max);
}

/* Numbers by type; a quoted number is a string, but durations and sizes are strings to begin
 * with. */
static bool parse_number(const struct conf_field *f, const struct yaml_node *n, void *dst)
{
    struct str s = n->text;
    int64_t i64 = 0;
    uint64_t u64 = 0;
    double f64 = 0;
    bool ok = false;
    double v = 0;
    if (f->type == CONF_T_I64) {
        ok = !n->quoted && str_to_i64(s, &i64);
        v = (double)i64;
    } else if (f->type == CONF_T_F64) {
        ok = !n->quoted && str_to_f64(s, &f64);
        v = f64;
    } else if (f->type == CONF_T_DURATION) {
        /* A plain 0 is how people write "never" and "at once". */
        ok = str_to_duration_ms(s, &i64) || str_eq(s, STR("0"));
        v = (double)i64;
    } else {
        ok = str_to_bytes(s, &u64);
        v = (double)u64;
    }
    if (!ok || !within(f, v)) {
        return false;
    }
    if (f->type == CONF_T_F64) {
        memcpy(dst, &f64, sizeof f64);
    } else if (f->type == CONF_T_BYTES) {
        memcpy(dst, &u64, sizeof u64);
    } else {
        memcpy(dst, &i64, sizeof i64);
    }
    return true;
}

bool conf_no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "configuration needs more memory than it may have");
}

static bool read_str(const struct yaml_node *n, struct str *dst, struct arena *a, struct err *e)
{
    *dst = n->text.n ? arena_str(a, n->text) : str_of("", 0);
    return dst->p || conf_no_memory(e);
}

static bool read_str_list(struct str section, const struct conf_field *f, const struct yaml_node *n,
                          void *dst, struct arena *a, struct err *e)
{
    struct conf_strs list = {NULL, 0};
    if (n->kind != YAML_SEQUENCE || !within(f, (double)n->children_count)) {
        return wrong_value(section, f, n, e);
    }
    list.v = n->children_count ? ARENA_ARRAY(a, struct str, n->children_count) : NULL;
    if (n->children_count > 0 && !list.v) {
        return conf_no_memory(e);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next) {
        if (c->kind != YAML_SCALAR || yaml_is_null(c)) {
            return wrong_value(section, f, c, e);
        }
        if (!read_str(c, &list.v[list.count++], a, e)) {
            return false;
        }
    }
    memcpy(dst, &list, sizeof list);
    return true;
}

static bool read_value(struct str section, const struct conf_field *f, const struct yaml_node *n,
                       void *dst, struct arena *a, struct err *e)
{
    if (f->type == CONF_T_CUSTOM) {
        return f->read(n, dst, a, e);
    }
    if (f->type == CONF_T_STR_LIST) {
        return read_str_list(section, f, n, dst, a, e);
    }
    if (n->kind != YAML_SCALAR) {
        return wrong_value(section, f, n, e);
    }
    if (f->type == CONF_T_STR) {
        struct str s;
        if (!read_str(n, &s, a, e)) {
            return false;
        }
        memcpy(dst, &s, sizeof s);
        return true;
    }
    bool ok = false;
    if (f->type == CONF_T_BOOL) {
        bool v = false;
        ok = !n->quoted && parse_bool(n->text, &v);
        if (ok) {
            memcpy(dst, &v, sizeof v);
        }
    } else {
        ok = parse_number(f, n, dst);
    }
    return ok || wrong_value(section, f, n, e);
}

bool conf_scalar(const struct conf_field *f, const struct yaml_node *n, void *dst, struct arena *a,
                 struct err *e)
{
    return read_value(str_of("", 0), f, n, dst, a, e);
}

/* Defaults of lists and CUSTOM rows are YAML; the other types are one scalar, whatever they
 * hold. */
static bool read_default(const struct conf_field *f, void *dst, struct arena *a, struct err *e)
{
    if (!f->fallback) {
        return true;
    }
    struct err local = {0};
    struct yaml_node scalar = {.kind = YAML_SCALAR, .text = str_from_c(f->fallback)};
    struct yaml_node *n = &scalar;
    bool yaml = f->type == CONF_T_STR_LIST || f->type == CONF_T_CUSTOM;
    bool ok = (!yaml || yaml_parse(scalar.text, "default", a, &n, &local)) &&
              read_value(str_of("", 0), f, n, dst, a, &local);
    if (ok) {
        return true;
    }
    ASSERT(local.code != ERR_INPUT); /* the table's default does not obey the table */
    return err_set(e, local.code, "%s: %s", f->key, local.msg);
}

static const struct conf_field *field_find(const struct conf_field *fields, size_t count,
                                           struct str key)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(str_from_c(fields[i].key), key)) {
            return &fields[i];
        }
    }
    return NULL;
}

static bool unknown_key(const struct conf_field *fields, size_t count, struct str section,
                        const struct yaml_node *n, struct err *e)
{
    const char *nearest = NULL;
    size_t best = SUGGEST_DISTANCE_MAX + 1;
    for (size_t i = 0; i < count; i++) {
        struct str key = str_from_c(fields[i].key);
        size_t d = str_distance(key, n->key);
        if (d < best && d < key.n) {
            best = d;
            nearest = fields[i].key;
        }
    }
    struct str shown = str_sub(n->key, 0, SHOWN_BYTES_MAX);
    struct str where = str_sub(section, 0, 32);
    return err_at(e, ERR_INPUT, n->key_line, n->key_col, "%.*s%sunknown key \"%.*s\"%s%s%s",
                  STR_FMT(where), where.n ? ": " : "", STR_FMT(shown),
                  nearest ? ", did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static bool read_section(const struct conf_field *fields, size_t count, const struct yaml_node *n,
                         void *dst, struct arena *a, struct err *e)
{
    struct str section = n ? n->key : str_of("", 0);
    if (n && n->kind != YAML_MAPPING && !yaml_is_null(n)) {
        return err_at(e, ERR_INPUT, n->line, n->col, "%.*s%sexpected a mapping, found a %s",
                      STR_FMT(str_sub(section, 0, 32)), section.n ? ": " : "",
                      n->kind == YAML_SEQUENCE ? "list" : "single value");
    }
    for (const struct yaml_node *c = n ? n->first : NULL; c; c = c->next) {
        if (!field_find(fields, count, c->key)) {
            return unknown_key(fields, count, section, c, e);
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct conf_field *f = &fields[i];
        void *at = (char *)dst + f->offset;
        const struct yaml_node *c = yaml_get(n, str_from_c(f->key));
        bool given = c && !yaml_is_null(c);
        if (!(given ? read_value(section, f, c, at, a, e) : read_default(f, at, a, e))) {
            return false;
        }
    }
    return true;
}

bool conf_read(const struct conf_field *fields, size_t count, const struct yaml_node *n, void *dst,
               struct arena *a, struct err *e)
{
    /* Setting an error forgets where it was: the caller knows the file, we do not. */
    const char *where = e ? e->where : NULL;
    bool ok = read_section(fields, count, n, dst, a, e);
    if (!ok && e) {
        e->where = where;
    }
    return ok;
}

bool conf_node(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    (void)a;
    (void)e;
    memcpy(dst, &n, sizeof n);
    return true;
}

bool conf_refuse(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    (void)dst;
    (void)a;
    return yaml_is_null(n) || err_at(e, ERR_INPUT, n->line, n->col, "%.*s is not supported here",
                                     STR_FMT(str_sub(n->key, 0, SHOWN_BYTES_MAX)));
}

struct str conf_path(const char *dir, struct str path, struct arena *a)
{
    const struct str d = str_from_c(dir);
    if (path.n == 0 || path.p[0] == '/' || d.n == 0) {
        return path.n ? arena_str(a, path) : str_of("", 0);
    }
    const size_t slash = d.p[d.n - 1] == '/' ? 0 : 1;
    char *out = arena_take(a, d.n + slash + path.n, 1);
    if (!out) {
        return str_of(NULL, 0);
    }
    memcpy(out, d.p, d.n);
    if (slash) {
        out[d.n] = '/';
    }
    memcpy(out + d.n + slash, path.p, path.n);
    return str_of(out, d.n + slash + path.n);
}

void conf_describe(const struct conf_field *fields, size_t count, struct str section,
                   struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct conf_field *f = &fields[i];
        char expected[EXPECTED_BYTES];
        expected_text(f, expected, sizeof expected);
        buf_str_add(out, section);
        if (section.n > 0) {
            buf_char(out, '.');
        }
        buf_str_add(out, str_from_c(f->key));
        buf_char(out, '\t');
        buf_str_add(out, str_from_c(f->fallback));
        buf_char(out, '\t');
        buf_str_add(out, str_from_c(f->help));
        if (f->type != CONF_T_CUSTOM) {
            BUF_LIT(out, " (");
            buf_str_add(out, str_from_c(expected));
            buf_char(out, ')');
        }
        buf_char(out, '\n');
    }
}
