/* Templates: values, tree and the functions' table. Private to engines/rules. */
#ifndef ENGINES_RULES_TPL_INT_H
#define ENGINES_RULES_TPL_INT_H

#include "engines/rules/rules.h"

#define TPL_BYTES_MAX  (1U << 20)  /* of one template's text and of one expansion */
#define TPL_DEPTH_MAX  64          /* nested parentheses, blocks, templates calling templates */
#define TPL_VARS_MAX   1024        /* of all templates being run */
#define TPL_STEPS_MAX  2000000     /* nodes executed in one expansion */
#define TPL_ARGS_MAX   64          /* of one call */
#define TPL_ARENA_MAX  (64U << 20) /* of a check */
#define TPL_FIELDS_MAX 16          /* .a.b.c */

enum tv_kind {
    TV_NONE, /* no value: an any that is nil, or the key of a map that is absent */
    TV_BOOL,
    TV_INT,
    TV_FLOAT,
    TV_STR,
    TV_HTML, /* safeHtml: a string that printing leaves alone */
    TV_LIST,
    TV_MAP,
    TV_SAMPLE,
    TV_TIME,     /* i: ns since 1970 */
    TV_DURATION, /* i: ns */
    TV_HIST,
    TV_DATA, /* the dot of a rule's template */
};

struct tval;
struct tv_entry;
struct tv_map {
    struct tv_entry *v; /* sorted by key */
    uint32_t n;
    bool any; /* map[string]any: an absent key is no value, else the empty string */
};
struct tv_list {
    struct tval *v;
    uint32_t n;
};

struct tval {
    enum tv_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        struct str s;
        const struct tv_list *list;
        const struct tv_map *map;
        const struct tv_sample *sample;
        const struct nhist *hist;
    } u;
};
struct tv_entry {
    struct str key;
    struct tval value;
};
struct tv_sample {
    struct tval labels; /* TV_MAP */
    struct tval value;
};

static inline struct tval tv_str(struct str s)
{
    return (struct tval){.kind = TV_STR, .u.s = s};
}
static inline struct tval tv_float(double f)
{
    return (struct tval){.kind = TV_FLOAT, .u.f = f};
}
static inline struct tval tv_int(int64_t i)
{
    return (struct tval){.kind = TV_INT, .u.i = i};
}
static inline struct tval tv_bool(bool b)
{
    return (struct tval){.kind = TV_BOOL, .u.b = b};
}

/* --- the tree --------------------------------------------------------------------------------- */

struct texec;
/* false: the template failed and x->msg says why. */
typedef bool (*tpl_call)(struct texec *x, const struct tval *v, uint32_t n, struct tval *out);

struct tfn {
    struct str name;
    uint32_t args_min, args_max;
    tpl_call call;
    const char *types; /* one letter per argument, the last one repeats: s string, * any, l list,
                          p sample; NULL: any */
};
const struct tfn *tpl_fn_find(struct str name);

enum ta_kind { TA_DOT, TA_NIL, TA_VALUE, TA_VAR, TA_FN, TA_PIPE };
struct targ {
    enum ta_kind kind;
    uint32_t pos;
    struct str src; /* as written, for errors */
    struct tval value;
    uint32_t var; /* TA_VAR: its place in the frame of the template it stands in */
    const struct tfn *fn;
    struct tpipe *pipe;
    struct str *fields; /* .a.b after it */
    uint32_t fields_n;
    struct targ *next;
};
struct tcmd {
    uint32_t pos;
    struct str src;
    struct targ *args;
    uint32_t args_n;
    struct tcmd *next;
};
struct tpipe {
    uint32_t pos;
    struct str src;
    struct tcmd *cmds;
    uint32_t decls;   /* variables it sets */
    uint32_t vars[2]; /* places in the frame */
};

enum tn_kind { TN_TEXT, TN_ACTION, TN_IF, TN_WITH, TN_RANGE, TN_TEMPLATE, TN_BREAK, TN_CONTINUE };
struct tnode {
    enum tn_kind kind;
    uint32_t pos;
    struct str text; /* TN_TEXT; TN_TEMPLATE: its name */
    struct tpipe *pipe;
    struct tnode *body, *orelse;
    struct tnode *next;
};
struct tdef {
    struct str name; /* empty: the template itself */
    struct tnode *body;
    uint32_t frame; /* variables it needs, "$" included */
    struct tdef *next;
};
struct tpl {
    struct str text;
    struct tdef *main;
    struct tdef *defs; /* newest first, without main */
};

/* e: line and col in text. */
bool tpl_parse(struct str text, struct arena *a, struct tpl *out, struct err *e);

/* --- running ------------------------------------------------------------------------------------
 * */

struct texec {
    const struct tpl *tpl;
    const struct rules_template_data *data;
    struct arena *arena;
    struct buf *out;
    struct str name; /* of the template, for errors */
    struct tval vars[TPL_VARS_MAX];
    uint32_t base, frame; /* of the template being run */
    uint32_t depth;
    uint64_t steps;
    uint32_t pos; /* of the node being run */
    struct str src;
    struct str running; /* name of the defined template being run */
    struct tval labels, external_labels, value;
    struct buf msg; /* why it failed */
};

/* Zeroed but for tpl, data, arena, out, name. */
bool tpl_exec(struct texec *x);
PRINTF_LIKE(2, 3) bool tpl_fail(struct texec *x, const char *fmt, ...);
bool tpl_truth(const struct tval *v);
void tpl_print(struct buf *b, const struct tval *v); /* as fmt.Fprint */
struct str tpl_type(const struct tval *v);           /* as %T */
bool tpl_map_of(struct arena *a, struct labels l, struct tval *out);
struct tval tpl_map_get(const struct tv_map *m, struct str key, bool *found);
bool tpl_sprintf(struct texec *x, struct str fmt, const struct tval *v, uint32_t n, struct buf *b);
void tpl_duration(struct buf *b, int64_t ns);
/* A string of the expansion's arena made from what write appended to b. false at the cap. */
bool tpl_keep(struct texec *x, struct buf *b, struct tval *out);
/* A buffer for a function's result: mem of the arena, at most TPL_BYTES_MAX. */
struct buf tpl_buf(struct texec *x);

/* Appends s as it stands in the query of a URL. */
void rules_url_escape(struct buf *b, struct str s);

/* Tables of functions, by file. */
extern const struct tfn tpl_go_fns[], tpl_prom_fns[], tpl_human_fns[];
extern const uint32_t tpl_go_fns_n, tpl_prom_fns_n, tpl_human_fns_n;

/* The string arguments of and/or stop early, so the runner knows these two by their name. */
bool tpl_is_and(const struct tfn *f);
bool tpl_is_or(const struct tfn *f);

#endif
