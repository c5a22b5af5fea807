/* Memory with a bound: a counted allocator (struct mem) and arenas on top of it.
 *
 * Every long-lived structure takes its memory from a struct mem that has a cap; at the cap, and
 * when the system has none, allocation returns NULL and the caller returns ERR_LIMIT or ERR_NOMEM.
 * Farol never exits for lack of memory.
 * thread: a struct mem and what was taken from it belong to one thread at a time. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/base.h"
#include "base/str.h"

struct mem {
    size_t bytes;     /* taken now */
    size_t bytes_top; /* highest ever */
    size_t bytes_max; /* cap; 0 = none */
    /* Test hook: called before each allocation, false makes it fail. NULL outside tests. */
    bool (*allow)(void *ctx, size_t bytes);
    void *allow_ctx;
};

void mem_init(struct mem *m, size_t bytes_max);

/* Zeroed, aligned to 16. NULL at the cap or without memory. n == 0 gives a valid pointer. */
void *mem_take(struct mem *m, size_t bytes);
/* realloc's rules; new bytes are zero. On NULL the old block is untouched. `old` is its exact
 * size. */
void *mem_grow(struct mem *m, void *p, size_t old, size_t bytes);
/* p may be NULL. `bytes` is the exact size that was taken. */
void mem_give(struct mem *m, void *p, size_t bytes);

/* Grows an array to hold at least `want` elements (doubling, at most `max`), keeping *cap true.
 * false at the cap or without memory; the array is then untouched. */
MUST_USE bool mem_array_grow(struct mem *m, void **p, size_t *cap, size_t want, size_t max,
                             size_t element_bytes);

/* An arena: allocations of one request, freed together. Owns its chunks. A request over its cap
 * gets NULL. Under AddressSanitizer the free space is poisoned. */
struct arena_chunk;
struct arena {
    struct mem *mem; /* borrows */
    struct arena_chunk *head;
    char *p, *end; /* free part of the newest chunk */
    size_t bytes;  /* handed out since the last reset, with alignment */
    size_t bytes_max;
};

void arena_init(struct arena *a, struct mem *m, size_t bytes_max);
/* Forgets everything, keeps one chunk of at most 64 KiB for the next request. */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

void *arena_take(struct arena *a, size_t bytes, size_t align); /* zeroed */
#define ARENA_NEW(a, type)      ((type *)arena_take((a), sizeof(type), _Alignof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_array((a), (n), sizeof(type), _Alignof(type)))
void *arena_array(struct arena *a, size_t n, size_t bytes, size_t align);
/* Copies; {NULL, 0} at the cap. */
struct str arena_str(struct arena *a, struct str s);
/* NUL-terminated copy for libc; NULL at the cap. */
char *arena_cstr(struct arena *a, struct str s);

/* Lets go of the pages of the program's and its libraries' code and constants: once it has started,
 * most of them (8 of 13 MB: symbol tables, set-up of what is linked) are not looked at again. They
 * stay in the system's cache, and what is used comes back by a fault. For a program that goes on
 * for long; call it when it has started. */
void mem_code_cool(void);

#endif
