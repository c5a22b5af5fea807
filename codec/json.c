/* The fast path of JSON: simdjson's tape flattened to tokens, one call per line.
 *
 * Why a second representation: callers walk a line by key once or twice and want kinds, parents and
 * "skip this value" without knowing simdjson. A token is 48 bytes and there is one per value, so a
 * flat event of 25 fields touches 1.2 KiB that stays in the first cache level.
 *
 * Invariants: tokens_count >= 1; parent < index (but for the root, 0); index < next <=
 * tokens_count; the nesting is at most JSON_DEPTH_MAX. Duplicate keys stay, in document order.
 *
 * Numbers: int64, else uint64, else double. simdjson refuses integers outside 64 bits, which are
 * valid JSON: such a line is parsed again from a copy in which they carry an exponent "e0", which
 * makes them doubles and moves nothing else. Sources: RFC 8259; simdjson doc/tape.md. */
#include "codec/json.h"

#include "base/buf.h"
#include "codec/json_int.h"
#include "codec/shim/json_shim.h"

#define COPY_BYTES_MIN 4096
#define TOKENS_MIN     256
/* simdjson counts levels one way, we another (empty containers): ours is exact, its bound is
 * looser. */
#define SHIM_DEPTH_MAX (2 * JSON_DEPTH_MAX)
/* The copy for big integers grows by two bytes for each of at least 19 digits and a separator. */
#define BIG_INTEGER_DIGITS_MIN 19

_Static_assert(sizeof(struct json_token) == 48, "a token is three quarters of a cache line");

struct json_parser {
    struct mem *mem; /* borrows */
    struct json_shim *shim;
    size_t shim_bytes; /* longest line the shim has room for */
    struct json_token *tokens;
    size_t tokens_cap;
    uint32_t tokens_max;
    size_t line_bytes_max;
    struct buf copy; /* the line with padding, when the caller has none */
};

struct json_parser *json_parser_new(struct mem *m, uint32_t tokens_max, size_t line_bytes_max)
{
    ASSERT(tokens_max > 0);
    ASSERT(line_bytes_max > 0 && line_bytes_max <= (size_t)1 << 30);
    struct json_parser *p = mem_take(m, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->mem = m;
    p->tokens_max = tokens_max;
    p->line_bytes_max = line_bytes_max;
    buf_init(&p->copy, m, 2 * line_bytes_max + JSON_PADDING + COPY_BYTES_MIN);
    p->shim = json_shim_new();
    if (!p->shim) {
        json_parser_free(p);
        return NULL;
    }
    return p;
}

void json_parser_free(struct json_parser *p)
{
    if (!p) {
        return;
    }
    json_shim_free(p->shim);
    mem_give(p->mem, p->tokens, p->tokens_cap * sizeof *p->tokens);
    buf_release(&p->copy);
    mem_give(p->mem, p, sizeof *p);
}

/* Room by powers of two, so that growing lines do not reallocate each time. */
static bool shim_room(struct json_parser *p, size_t bytes, struct err *e)
{
    if (bytes <= p->shim_bytes) {
        return true;
    }
    size_t want = size_max(COPY_BYTES_MIN, p->shim_bytes);
    while (want < bytes) {
        want *= 2;
    }
    if (!json_shim_reserve(p->shim, want, SHIM_DEPTH_MAX)) {
        p->shim_bytes = 0;
        return err_set(e, ERR_NOMEM, "no memory to parse a line of %zu bytes", bytes);
    }
    p->shim_bytes = want;
    return true;
}

static bool add_padding(struct json_parser *p, struct err *e)
{
    char *pad = buf_room(&p->copy, JSON_PADDING);
    if (!pad) {
        return err_set(e, ERR_NOMEM, "no memory to copy a line of %zu bytes", p->copy.n);
    }
    memset(pad, 0, JSON_PADDING);
    return true;
}

static bool copy_line(struct json_parser *p, struct str text, struct err *e)
{
    buf_reset(&p->copy);
    buf_str_add(&p->copy, text);
    return add_padding(p, e);
}

/* The line once more with "e0" behind each integer that 64 bits may not hold. text is valid
 * JSON. */
static bool copy_with_big_integers(struct json_parser *p, struct str text, struct err *e)
{
    bool in_string = false;
    buf_reset(&p->copy);
    for (size_t i = 0; i < text.n;) {
        char c = text.p[i];
        bool integer = false;
        size_t n = 0;
        if (in_string) {
            n = c == '\\' ? 2 : 1;
            in_string = c != '"';
        } else if (c == '"') {
            n = 1;
            in_string = true;
        } else {
            n = json_scan_number(str_of(text.p + i, text.n - i), &integer);
        }
        n = n ? size_min(n, text.n - i) : 1;
        buf_add(&p->copy, text.p + i, n);
        if (integer && n >= BIG_INTEGER_DIGITS_MIN) {
            int64_t i64;
            uint64_t u64;
            struct str digits = str_of(text.p + i, n);
            if (!str_to_i64(digits, &i64) && !str_to_u64(digits, &u64)) {
                BUF_LIT(&p->copy, "e0");
            }
        }
        i += n;
    }
    return add_padding(p, e);
}

/* Slices and numbers of the tape are copied with memcpy: it is bytes to us. */
static struct str tape_str(const struct json_shim_tape *t, uint64_t off)
{
    const uint8_t *p = t->strings + off;
    return str_of((const char *)p + sizeof(uint32_t), get_u32le(p));
}

/* Fills the value of a token from its word; returns how many words the value took. */
static uint64_t token_fill(struct json_token *k, const struct json_shim_tape *t, uint64_t at)
{
    uint64_t word = t->words[at];
    switch ((char)(word >> 56)) {
    case '"':
        k->kind = JSON_STR;
        k->v.str = tape_str(t, word & (UINT64_MAX >> 8));
        return 1;
    case 'l':
        k->kind = JSON_I64;
        memcpy(&k->v.i64, &t->words[at + 1], sizeof k->v.i64);
        return 2;
    case 'u':
        k->kind = JSON_U64;
        k->v.u64 = t->words[at + 1];
        return 2;
    case 'd':
        k->kind = JSON_F64;
        memcpy(&k->v.f64, &t->words[at + 1], sizeof k->v.f64);
        return 2;
    case 't': k->kind = JSON_TRUE; return 1;
    case 'f': k->kind = JSON_FALSE; return 1;
    case '{': k->kind = JSON_OBJECT; return 1;
    case '[': k->kind = JSON_ARRAY; return 1;
    default: k->kind = JSON_NULL; return 1;
    }
}

enum flatten_result { FLATTEN_OK, FLATTEN_TOKENS, FLATTEN_DEPTH };

/* The tape's closing words carry no information that tokens need but the end of the subtree. */
static enum flatten_result flatten(struct json_parser *p, const struct json_shim_tape *t,
                                   uint32_t *tokens_count)
{
    uint32_t open[JSON_DEPTH_MAX + 1] = {0}; /* open[0] is above the root */
    bool keyed[JSON_DEPTH_MAX + 1] = {0};
    unsigned depth = 0;
    uint32_t count = 0;
    uint32_t cap = (uint32_t)size_min(p->tokens_cap, p->tokens_max);
    uint64_t end = (t->words[0] & (UINT64_MAX >> 8)) - 1; /* the tape ends with a root word */
    for (uint64_t at = 1; at < end;) {
        char kind = (char)(t->words[at] >> 56);
        if (kind == '}' || kind == ']') {
            p->tokens[open[depth]].next = count;
            depth--;
            at++;
            continue;
        }
        if (count == cap) {
            return FLATTEN_TOKENS;
        }
        struct json_token *k = &p->tokens[count];
        k->key = str_of(NULL, 0);
        if (keyed[depth]) {
            k->key = tape_str(t, t->words[at] & (UINT64_MAX >> 8));
            at++;
        }
        k->parent = open[depth];
        k->next = count + 1;
        at += token_fill(k, t, at);
        if (k->kind == JSON_OBJECT || k->kind == JSON_ARRAY) {
            if (depth == JSON_DEPTH_MAX) {
                return FLATTEN_DEPTH;
            }
            depth++;
            open[depth] = count;
            keyed[depth] = k->kind == JSON_OBJECT;
        }
        count++;
    }
    *tokens_count = count;
    return FLATTEN_OK;
}

static bool tokens_read(struct json_parser *p, const struct json_shim_tape *t, struct str text,
                        struct json_doc *out, struct err *e)
{
    /* Each token has at least one word, so the tape bounds their number before they are counted. */
    uint64_t words = t->words[0] & (UINT64_MAX >> 8);
    size_t want = words < p->tokens_max ? (size_t)words : p->tokens_max;
    want = size_min(size_max(want, TOKENS_MIN), p->tokens_max);
    void *tokens = p->tokens;
    if (want > p->tokens_cap &&
        !mem_array_grow(p->mem, &tokens, &p->tokens_cap, want, p->tokens_max, sizeof *p->tokens)) {
        return err_set(e, ERR_NOMEM, "no memory for %zu JSON values", want);
    }
    p->tokens = tokens;
    uint32_t count = 0;
    switch (flatten(p, t, &count)) {
    case FLATTEN_OK: break;
    case FLATTEN_TOKENS:
        return err_set(e, ERR_LIMIT, "line has more than %u JSON values", p->tokens_max);
    case FLATTEN_DEPTH: return json_explain(text, e);
    }
    ASSERT(count > 0);
    ASSERT_SLOW(p->tokens[0].next == count);
    out->tokens = p->tokens;
    out->tokens_count = count;
    return true;
}

bool json_parse(struct json_parser *p, struct str text, bool padded, struct json_doc *out,
                struct err *e)
{
    *out = (struct json_doc){NULL, 0};
    if (text.n > p->line_bytes_max) {
        return err_set(e, ERR_LIMIT, "line of %zu bytes, at most %zu are read", text.n,
                       p->line_bytes_max);
    }
    if (!shim_room(p, text.n, e) || ((!padded || text.n == 0) && !copy_line(p, text, e))) {
        return false;
    }
    struct json_shim_tape tape;
    const char *line = padded && text.n > 0 ? text.p : p->copy.p;
    enum json_shim_result r = json_shim_read(p->shim, line, text.n, &tape);
    if (r == JSON_SHIM_NUMBER && json_scan_valid(text, NULL)) {
        if (!copy_with_big_integers(p, text, e)) {
            return false;
        }
        size_t n = p->copy.n;
        if (!shim_room(p, n, e)) {
            return false;
        }
        r = json_shim_read(p->shim, p->copy.p, n, &tape);
    }
    if (r == JSON_SHIM_OK) {
        return tokens_read(p, &tape, text, out, e);
    }
    if (r == JSON_SHIM_NOMEM) {
        return err_set(e, ERR_NOMEM, "no memory to parse a line of %zu bytes", text.n);
    }
    return json_explain(text, e);
}

bool json_is_number(const struct json_token *t)
{
    return t->kind == JSON_I64 || t->kind == JSON_U64 || t->kind == JSON_F64;
}

double json_as_f64(const struct json_token *t)
{
    if (t->kind == JSON_F64) {
        return t->v.f64;
    }
    if (t->kind == JSON_I64) {
        return (double)t->v.i64;
    }
    ASSERT(t->kind == JSON_U64);
    return (double)t->v.u64;
}
