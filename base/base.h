/* Macros that every file may use, and checked arithmetic on sizes. Nothing here has state. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define MUST_USE                __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define ARRAY_LEN(a)            (sizeof(a) / sizeof((a)[0]))

/* An assertion states what we have made true; it stays in release builds, prints itself and aborts.
 * Bytes from outside are never asserted, they produce a struct err. */
#define ASSERT(c)                                  \
    do {                                           \
        if (__builtin_expect(!(c), 0)) {           \
            assert_failed(#c, __FILE__, __LINE__); \
        }                                          \
    } while (0)

/* Checks that walk a structure: on in tests, fuzzing and the simulator (-DFAROL_SLOW_ASSERTS=1). */
#ifndef FAROL_SLOW_ASSERTS
#    define FAROL_SLOW_ASSERTS 0
#endif
#define ASSERT_SLOW(c)            \
    do {                          \
        if (FAROL_SLOW_ASSERTS) { \
            ASSERT(c);            \
        }                         \
    } while (0)

noreturn void assert_failed(const char *condition, const char *file, int line);

/* 128-bit sums: exact and therefore independent of order, see model/cohort. */
__extension__ typedef __int128 i128;
__extension__ typedef unsigned __int128 u128;

/* false at overflow, and *out is then not written. */
static inline MUST_USE bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline MUST_USE bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline int64_t i64_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t i64_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
