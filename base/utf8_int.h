/* One step of a UTF-8 decoder, shared by the checks and writers of base. Private to base.
 *
 * Source: RFC 3629 section 4 (the table of well-formed byte sequences). */
#ifndef BASE_UTF8_INT_H
#define BASE_UTF8_INT_H

#include <stddef.h>

static inline int utf8_is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* Bytes of the well-formed character at p (1..4) of which n > 0 bytes are there, or 0. */
static inline size_t utf8_step(const unsigned char *p, size_t n)
{
    unsigned char c = p[0];
    if (c < 0x80) {
        return 1;
    }
    if (c < 0xC2 || c > 0xF4 || n < 2 || !utf8_is_tail(p[1])) {
        return 0;
    }
    if (c < 0xE0) {
        return 2;
    }
    if (n < 3 || !utf8_is_tail(p[2])) {
        return 0;
    }
    if (c < 0xF0) {
        /* E0 80..9F would be overlong, ED A0..BF a surrogate. */
        int bad = (c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F);
        return bad ? 0 : 3;
    }
    /* F0 80..8F would be overlong, F4 90..BF above U+10FFFF. */
    if (n < 4 || !utf8_is_tail(p[3]) || (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F)) {
        return 0;
    }
    return 4;
}

#endif
