/* Configuration sections as tables: a module lists its keys once, and from that table come reading,
 * bounds, "did you mean", the manual page farol.conf(5) and the printed defaults.
 *
 *     static const struct conf_field fields[] = {
 *         CONF_DURATION(struct pipeline_config, window_ms, "window", "60s", 1000, 3600000,
 *                       "a transaction without a next step for this long is lost"),
 *         ...
 *     };
 *
 * Values land in a plain struct by offset. Errors say file:line:col, what was expected and
 * found. */
#ifndef CODEC_CONF_H
#define CODEC_CONF_H

#include "base/buf.h"
#include "base/err.h"
#include "codec/yaml.h"

enum conf_type {
    CONF_T_BOOL,     /* bool: true false yes no on off */
    CONF_T_I64,      /* int64_t */
    CONF_T_F64,      /* double */
    CONF_T_DURATION, /* int64_t milliseconds: 10s, 5m, 1h30m, 90d */
    CONF_T_BYTES,    /* uint64_t: 64MiB */
    CONF_T_STR,      /* struct str, borrows from the arena */
    CONF_T_STR_LIST, /* struct conf_strs */
    CONF_T_CUSTOM,   /* read(node, dst, arena, e) */
};

struct conf_strs {
    struct str *v;
    uint32_t count;
};

struct conf_field {
    const char *key;
    enum conf_type type;
    size_t offset;
    const char *fallback; /* default as YAML text, parsed by the same code; NULL: zero bytes */
    double min, max;      /* numbers, durations (ms), bytes, list lengths; both 0 = no bound */
    const char *help;     /* one sentence, English */
    bool (*read)(const struct yaml_node *n, void *dst, struct arena *a, struct err *e);
};

#define CONF_BOOL(T, m, k, d, h)                         \
    {                                                    \
        k, CONF_T_BOOL, offsetof(T, m), d, 0, 0, h, NULL \
    }
#define CONF_I64(T, m, k, d, lo, hi, h)                   \
    {                                                     \
        k, CONF_T_I64, offsetof(T, m), d, lo, hi, h, NULL \
    }
#define CONF_F64(T, m, k, d, lo, hi, h)                   \
    {                                                     \
        k, CONF_T_F64, offsetof(T, m), d, lo, hi, h, NULL \
    }
#define CONF_DURATION(T, m, k, d, lo, hi, h)                   \
    {                                                          \
        k, CONF_T_DURATION, offsetof(T, m), d, lo, hi, h, NULL \
    }
#define CONF_BYTES(T, m, k, d, lo, hi, h)                   \
    {                                                       \
        k, CONF_T_BYTES, offsetof(T, m), d, lo, hi, h, NULL \
    }
#define CONF_STR(T, m, k, d, h)                         \
    {                                                   \
        k, CONF_T_STR, offsetof(T, m), d, 0, 0, h, NULL \
    }
#define CONF_STR_LIST(T, m, k, d, lo, hi, h)                   \
    {                                                          \
        k, CONF_T_STR_LIST, offsetof(T, m), d, lo, hi, h, NULL \
    }
#define CONF_CUSTOM(T, m, k, h, f)                         \
    {                                                      \
        k, CONF_T_CUSTOM, offsetof(T, m), NULL, 0, 0, h, f \
    }

/* Fills dst from a mapping node (NULL: all defaults; a key without a value: its default). Unknown
 * keys are errors with the nearest known key as a suggestion. `where` of e is left as the caller
 * set it. */
MUST_USE bool conf_read(const struct conf_field *fields, size_t count, const struct yaml_node *n,
                        void *dst, struct arena *a, struct err *e);
/* One value by type and bounds, for CUSTOM readers; errors name f->key. */
MUST_USE bool conf_scalar(const struct conf_field *f, const struct yaml_node *n, void *dst,
                          struct arena *a, struct err *e);

/* Readers of CUSTOM rows. conf_node keeps the node for later (dst: const struct yaml_node *; NULL
 * stays for a key without a value). conf_refuse is for a key that is known and not supported: a
 * value of it is ERR_INPUT that names it. */
bool conf_node(const struct yaml_node *n, void *dst, struct arena *a, struct err *e);
bool conf_refuse(const struct yaml_node *n, void *dst, struct arena *a, struct err *e);
/* "dir/path", unless path is absolute or empty or dir is empty: then a copy. {NULL, 0} at the
 * cap. */
struct str conf_path(const char *dir, struct str path, struct arena *a);
/* ERR_LIMIT, in the words of conf_read. */
bool conf_no_memory(struct err *e);

/* One line "section.key\tdefault\thelp (bounds)" per field: the source of farol.conf(5). */
void conf_describe(const struct conf_field *fields, size_t count, struct str section,
                   struct buf *out);

/* The error as people see it: "farol.yml:3:5: message", the line, and a caret under the column. */
void conf_err_show(const struct err *e, struct str text, struct buf *out);

#endif
