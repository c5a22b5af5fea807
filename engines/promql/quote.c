/* Text in quotes as Go's strconv.Quote writes it: what Prometheus prints for strings, label values
 * and characters in errors. Printable characters stay, the rest is escaped; bytes that are not
 * UTF-8 become \xNN.
 *
 * Source: Go's strconv documentation; the Unicode ranges are in printable.def. */
#include "engines/promql/parser_int.h"

#include <stdio.h>

#define RUNE_ERROR 0xFFFD
#define RUNE_MAX   0x10FFFF

struct range {
    uint32_t first, last;
};

#define PRINTABLE(first_, last_) {first_, last_},
static const struct range printable[] = {
#include "engines/promql/printable.def"
};

static bool is_printable(uint32_t c)
{
    if (c < 0x80) {
        return c >= 0x20 && c < 0x7F;
    }
    size_t lo = 0;
    size_t hi = ARRAY_LEN(printable);
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (c > printable[mid].last) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < ARRAY_LEN(printable) && c >= printable[lo].first;
}

static size_t sequence_bytes(unsigned char c)
{
    if (c < 0x80) {
        return 1;
    }
    if (c < 0xC2 || c > 0xF4) {
        return 0;
    }
    return c < 0xE0 ? 2 : (c < 0xF0 ? 3 : 4);
}

int32_t promql_rune(struct str s, size_t at, size_t *n)
{
    *n = 0;
    if (at >= s.n) {
        return -1;
    }
    *n = 1;
    const unsigned char first = (unsigned char)s.p[at];
    const size_t bytes = sequence_bytes(first);
    if (bytes == 1) {
        return first;
    }
    if (bytes == 0 || bytes > s.n - at || !str_is_utf8((struct str){s.p + at, bytes})) {
        return RUNE_ERROR;
    }
    uint32_t c = first & (0x7FU >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        c = c << 6 | ((unsigned char)s.p[at + i] & 0x3F);
    }
    *n = bytes;
    return (int32_t)c;
}

static void put_escape(struct buf *out, uint32_t c)
{
    static const char letters[] = "abtnvfr"; /* 7 to 13 */
    if (c >= 7 && c <= 13) {
        buf_fmt(out, "\\%c", letters[c - 7]);
    } else if (c < 0x20 || c == 0x7F) {
        buf_fmt(out, "\\x%02x", (unsigned)c);
    } else if (c < 0x10000) {
        buf_fmt(out, "\\u%04x", (unsigned)c);
    } else {
        buf_fmt(out, "\\U%08x", (unsigned)c);
    }
}

/* The characters of s with what is between them escaped; raw holds the bytes of this one. */
static void put_rune(struct buf *out, int32_t rune, struct str raw, char quote)
{
    if (rune == RUNE_ERROR && raw.n == 1) {
        buf_fmt(out, "\\x%02x", (unsigned)(unsigned char)raw.p[0]);
    } else if (rune == RUNE_ERROR && quote == '"') {
        BUF_LIT(out, "\\ufffd"); /* the lexer takes the character itself for a decoding error */
    } else if (rune == quote || rune == '\\') {
        buf_char(out, '\\');
        buf_char(out, (char)rune);
    } else if (is_printable((uint32_t)rune)) {
        buf_str_add(out, raw);
    } else {
        put_escape(out, (uint32_t)rune);
    }
}

static void quote_some(struct buf *out, struct str s, uint32_t chars)
{
    buf_char(out, '"');
    size_t at = 0;
    uint32_t count = 0;
    while (at < s.n && (chars == 0 || count < chars)) {
        size_t n = 0;
        const int32_t rune = promql_rune(s, at, &n);
        put_rune(out, rune, (struct str){s.p + at, n}, '"');
        at += n;
        count++;
    }
    buf_char(out, '"');
}

void promql_quote(struct buf *out, struct str s)
{
    quote_some(out, s, 0);
}

size_t promql_put_rune(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : (c < 0x10000 ? 3 : 4);
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    const uint32_t lead = n == 2 ? 0xC0 : (n == 3 ? 0xE0 : 0xF0);
    out[0] = (char)(lead | c);
    return n;
}

static struct str encode(char out[4], int32_t rune)
{
    const bool valid = rune >= 0 && rune <= RUNE_MAX;
    return (struct str){out, promql_put_rune(out, (uint32_t)(valid ? rune : RUNE_ERROR))};
}

void promql_quote_rune(struct buf *out, int32_t rune)
{
    char bytes[4];
    const struct str raw = encode(bytes, rune);
    buf_char(out, '\'');
    put_rune(out, rune < 0 || rune > RUNE_MAX ? RUNE_ERROR : rune, raw, '\'');
    buf_char(out, '\'');
}

void promql_unicode_rune(struct buf *out, int32_t rune)
{
    buf_fmt(out, "U+%04X", (unsigned)rune);
    if (rune >= 0 && is_printable((uint32_t)rune)) {
        char bytes[4];
        const struct str raw = encode(bytes, rune);
        BUF_LIT(out, " '");
        buf_str_add(out, raw);
        buf_char(out, '\'');
    }
}

const char *promql_quoted(struct parser *p, struct str s, uint32_t chars)
{
    struct buf b;
    buf_init(&b, p->arena->mem, 4096); /* messages are cut shorter than that anyway */
    quote_some(&b, str_sub(s, 0, 512), chars);
    const char *text = arena_cstr(p->arena, buf_str(&b));
    buf_release(&b);
    return text != NULL ? text : "";
}
