/* JSON in: one line, one call, a flat list of tokens (simdjson 3.0.1 behind codec/shim).
 *
 * Per-line parsing, because a bad line must not cost its neighbours (measured: iterate_many loses
 * all of them). The fast path knows no positions; on an error the slow path (json_locate,
 * json_explain) reads the line again and says where and what was expected.
 *
 * A parser owns its memory and the strings of the last parse. thread: one parser per thread. */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 32
/* Readable bytes wanted after the text; else the parser copies the line. */
#define JSON_PADDING 64

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_I64,
    JSON_U64,
    JSON_F64,
    JSON_STR,
    JSON_OBJECT,
    JSON_ARRAY
};

/* Tokens in document order; token 0 is the root. The children of container i are the tokens whose
 * parent is i, starting at i + 1; `next` is the index after the whole value (its subtree included).
 * Equal keys of one object all stay, in order: callers take the first. Integers that 64 bits do not
 * hold are F64. */
struct json_token {
    enum json_kind kind;
    uint32_t parent; /* index of the object or array around it; root: 0 */
    uint32_t next;
    struct str key; /* unescaped; empty in arrays and at the root */
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
        struct str str; /* unescaped, UTF-8 valid */
    } v;
};

struct json_doc {
    const struct json_token *tokens; /* borrows from the parser, valid until its next parse */
    uint32_t tokens_count;
};

struct json_parser;

/* NULL without memory. tokens_max bounds the values of one line (ERR_LIMIT above). simdjson's own
 * buffers, about 10 bytes per byte of the longest line seen, come from malloc, not from m. */
struct json_parser *json_parser_new(struct mem *m, uint32_t tokens_max, size_t line_bytes_max);
void json_parser_free(struct json_parser *p);

/* Parses one JSON text. `padded`: at least JSON_PADDING readable bytes follow the text. On failure
 * e has code and col (1-based byte in the text) and says what was expected and found. Linear. */
MUST_USE bool json_parse(struct json_parser *p, struct str text, bool padded, struct json_doc *out,
                         struct err *e);

/* Numbers of any of the three kinds as a double; false for the rest. */
bool json_is_number(const struct json_token *t);
double json_as_f64(const struct json_token *t);

/* Slow path: validates and sets e->col and a message: "expected ',' or '}' after a value, found
 * ']'". Always returns false; text that turns out valid gets "a parser limit". Depth-bounded,
 * linear. */
bool json_explain(struct str text, struct err *e);
/* 1-based column of the value at a dotted path ("features.amount", "list.0"), 0 when absent.
 * Linear. */
uint32_t json_locate(struct str text, struct str path);

#endif
