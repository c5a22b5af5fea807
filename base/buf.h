/* A growing buffer of bytes with a cap, for text and for binary records.
 *
 * A write that does not fit sets `failed` and changes nothing else, and so do all later ones: a
 * writer writes everything and asks once, at the end, with buf_ok. Owns its bytes. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>

struct buf {
    struct mem *mem; /* borrows */
    char *p;
    size_t n, cap;
    size_t bytes_max;
    bool failed;
};

void buf_init(struct buf *b, struct mem *m, size_t bytes_max);
void buf_release(struct buf *b);
void buf_reset(struct buf *b); /* n = 0, failed = false, keeps the memory */
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}
/* ERR_LIMIT when a write did not fit. */
MUST_USE bool buf_ok(const struct buf *b, struct err *e);
/* buf_room when the memory there is does not do. */
char *buf_room_grow(struct buf *b, size_t n);
/* Room for n more bytes at b->p + b->n, or NULL (and failed). The caller adds to b->n itself. */
static inline char *buf_room(struct buf *b, size_t n)
{
    if (!b->failed && b->p != NULL && n <= b->cap - b->n) {
        return b->p + b->n;
    }
    return buf_room_grow(b, n);
}

static inline void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0) {
        return;
    }
    char *to = buf_room(b, n);
    if (to != NULL) {
        memcpy(to, p, n);
        b->n += n;
    }
}
static inline void buf_str_add(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}
#define BUF_LIT(b, literal) buf_add((b), "" literal, sizeof(literal) - 1)
static inline void buf_char(struct buf *b, char c)
{
    char *to = buf_room(b, 1);
    if (to != NULL) {
        *to = c;
        b->n++;
    }
}
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_u64(struct buf *b, uint64_t v); /* decimal */
void buf_i64(struct buf *b, int64_t v);
/* Shortest text that reads back as the same double; "NaN", "+Inf", "-Inf". */
void buf_f64(struct buf *b, double v);
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json_str(struct buf *b, struct str s);
/* A JSON number, or null when v is not finite. */
void buf_json_f64(struct buf *b, double v);

/* Little-endian binary. */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16le(struct buf *b, uint16_t v);
void buf_u32le(struct buf *b, uint32_t v);
void buf_u64le(struct buf *b, uint64_t v);
void buf_f64le(struct buf *b, double v);
/* Length as u32le, then the bytes. */
void buf_str32(struct buf *b, struct str s);

static inline uint32_t get_u32le(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v; /* the build refuses big-endian machines */
}
static inline uint64_t get_u64le(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void put_u32le(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void put_u64le(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}
/* A reader over bytes that came from outside: each get moves on, or sets `failed` and returns 0. */
struct rd {
    const unsigned char *p, *end;
    bool failed;
};
static inline struct rd rd_of(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    return (struct rd){p, p ? p + s.n : p, false};
}
static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}
/* The next n bytes, or NULL and failed. */
static inline const unsigned char *rd_take(struct rd *r, size_t n)
{
    if (r->failed || n > rd_left(r)) {
        r->failed = true;
        return NULL;
    }
    const unsigned char *p = r->p;
    r->p = n > 0 ? p + n : p; /* nothing is added to NULL */
    return p;
}
static inline uint8_t rd_u8(struct rd *r)
{
    const unsigned char *p = rd_take(r, 1);
    return p != NULL ? *p : 0;
}
uint16_t rd_u16le(struct rd *r);
static inline uint32_t rd_u32le(struct rd *r)
{
    const unsigned char *p = rd_take(r, sizeof(uint32_t));
    return p != NULL ? get_u32le(p) : 0;
}
static inline uint64_t rd_u64le(struct rd *r)
{
    const unsigned char *p = rd_take(r, sizeof(uint64_t));
    return p != NULL ? get_u64le(p) : 0;
}
double rd_f64le(struct rd *r);
static inline struct str rd_bytes(struct rd *r, size_t n)
{
    const unsigned char *p = rd_take(r, n);
    return p != NULL ? str_of((const char *)p, n) : str_of(NULL, 0);
}
struct str rd_str32(struct rd *r); /* length as u32le, then the bytes */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "on-disk structures are little-endian");

#endif
