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
/* Room for n more bytes at b->p + b->n, or NULL (and failed). The caller adds to b->n itself. */
char *buf_room(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *p, size_t n);
static inline void buf_str_add(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}
#define BUF_LIT(b, literal) buf_add((b), "" literal, sizeof(literal) - 1)
void buf_char(struct buf *b, char c);
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
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16le(struct rd *r);
uint32_t rd_u32le(struct rd *r);
uint64_t rd_u64le(struct rd *r);
double rd_f64le(struct rd *r);
struct str rd_bytes(struct rd *r, size_t n);
struct str rd_str32(struct rd *r); /* length as u32le, then the bytes */

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
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "on-disk structures are little-endian");

#endif
