/* The counted allocator and the arenas on top of it.
 *
 * The count is exact in the bytes that callers asked for, so that "everything was given back" is a
 * test (mem->bytes == 0) and a cap means the same on every machine; the allocator's own overhead is
 * not in it.
 *
 * Arena chunk: header, then bytes. Chunks double from 4 KiB to 1 MiB. A request too big for that
 * gets a chunk of its own, put behind the newest, so that the newest one's free part stays in use.
 *
 * Invariants: mem->bytes is the sum of the sizes out; a->p..a->end lies in a->head or both are
 * NULL; free arena bytes are poisoned under AddressSanitizer. */
#include "base/mem.h"

#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define MEM_ASAN 1
#    endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#    define MEM_ASAN 1
#endif
#ifndef MEM_ASAN
#    define MEM_ASAN 0
#endif

#if MEM_ASAN
/* Declared here and not by sanitizer/asan_interface.h, which clang's package does not always
 * bring. */
void __asan_poison_memory_region(const volatile void *p, size_t n);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
#    define MEM_POISON(p, n)   __asan_poison_memory_region((p), (n))
#    define MEM_UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#    define MEM_POISON(p, n)   ((void)(p), (void)(n))
#    define MEM_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define ARENA_CHUNK_BYTES_MIN  ((size_t)4 << 10)
#define ARENA_CHUNK_BYTES_MAX  ((size_t)1 << 20)
#define ARENA_KEPT_BYTES_MAX   ((size_t)64 << 10)
#define ARENA_ALIGN_MAX        ((size_t)4096)
#define MEM_REQUEST_BYTES_MAX  ((size_t)1 << 39) /* above, sanitizers abort */
#define MEM_ARRAY_ELEMENTS_MIN ((size_t)8)

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes; /* with this header */
    bool dirty;   /* was used before the last reset: not zero any more */
    _Alignas(16) char data[];
};

void mem_init(struct mem *m, size_t bytes_max)
{
    *m = (struct mem){.bytes_max = bytes_max};
}

/* Whether `more` bytes on top of what is out are allowed by the cap and by the test hook. */
static bool mem_allowed(struct mem *m, size_t more, size_t request)
{
    if (request > MEM_REQUEST_BYTES_MAX) {
        return false;
    }
    size_t sum;
    if (!size_add(m->bytes, more, &sum) || (m->bytes_max != 0 && sum > m->bytes_max)) {
        return false;
    }
    return m->allow == NULL || m->allow(m->allow_ctx, request);
}

static void mem_count(struct mem *m, size_t more)
{
    m->bytes += more;
    m->bytes_top = size_max(m->bytes_top, m->bytes);
}

void *mem_take(struct mem *m, size_t bytes)
{
    if (!mem_allowed(m, bytes, bytes)) {
        return NULL;
    }
    void *p = calloc(1, size_max(bytes, 1));
    if (p != NULL) {
        mem_count(m, bytes);
    }
    return p;
}

void *mem_grow(struct mem *m, void *p, size_t old, size_t bytes)
{
    if (p == NULL) {
        ASSERT(old == 0);
        return mem_take(m, bytes);
    }
    ASSERT(m->bytes >= old);
    if (!mem_allowed(m, bytes > old ? bytes - old : 0, bytes)) {
        return NULL;
    }
    char *grown = realloc(p, size_max(bytes, 1));
    if (grown == NULL) {
        return NULL;
    }
    if (bytes > old) {
        memset(grown + old, 0, bytes - old);
        mem_count(m, bytes - old);
    } else {
        m->bytes -= old - bytes;
    }
    return grown;
}

void mem_give(struct mem *m, void *p, size_t bytes)
{
    if (p == NULL) {
        return;
    }
    ASSERT(m->bytes >= bytes);
    m->bytes -= bytes;
    free(p);
}

bool mem_array_grow(struct mem *m, void **p, size_t *cap, size_t want, size_t max,
                    size_t element_bytes)
{
    ASSERT(element_bytes > 0);
    if (want <= *cap) {
        return true;
    }
    if (want > max) {
        return false;
    }
    size_t cap_new;
    if (!size_mul(*cap, 2, &cap_new)) {
        return false;
    }
    cap_new = size_max(size_max(cap_new, want), MEM_ARRAY_ELEMENTS_MIN);
    cap_new = size_min(cap_new, max);
    size_t bytes;
    if (!size_mul(cap_new, element_bytes, &bytes)) {
        return false;
    }
    void *grown = mem_grow(m, *p, *cap * element_bytes, bytes);
    if (grown == NULL) {
        return false;
    }
    *p = grown;
    *cap = cap_new;
    return true;
}

/* Segments that cannot be written are as in their files, so dropping their pages loses nothing.
 * Names without a slash are the kernel's own page of code, but for the program, which has none. */
static int code_cool(struct dl_phdr_info *info, size_t bytes, void *page_bytes)
{
    (void)bytes;
    const uintptr_t page = *(const uintptr_t *)page_bytes;
    const char *name = info->dlpi_name;
    if (name != NULL && name[0] != 0 && strchr(name, '/') == NULL) {
        return 0;
    }
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        const uintptr_t from = (info->dlpi_addr + h->p_vaddr + page - 1) / page * page;
        const uintptr_t to = (info->dlpi_addr + h->p_vaddr + h->p_memsz) / page * page;
        if (h->p_type == PT_LOAD && (h->p_flags & PF_W) == 0 && from < to) {
            (void)madvise((void *)from, to - from, MADV_DONTNEED); /* only a hint */
        }
    }
    return 0;
}

void mem_code_cool(void)
{
    const long page = sysconf(_SC_PAGESIZE);
    uintptr_t page_bytes = page > 0 ? (uintptr_t)page : 4096;
    (void)dl_iterate_phdr(code_cool, &page_bytes);
}

void arena_init(struct arena *a, struct mem *m, size_t bytes_max)
{
    *a = (struct arena){.mem = m, .bytes_max = bytes_max};
}

static void chunk_give(struct arena *a, struct arena_chunk *c)
{
    MEM_UNPOISON(c, c->bytes);
    mem_give(a->mem, c, c->bytes);
}

/* Makes c the only chunk and all of it free. */
static void arena_use(struct arena *a, struct arena_chunk *c)
{
    a->head = c;
    a->p = c != NULL ? c->data : NULL;
    a->end = c != NULL ? (char *)c + c->bytes : NULL;
    if (c != NULL) {
        MEM_POISON(a->p, (size_t)(a->end - a->p));
    }
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *kept = NULL;
    struct arena_chunk *next = NULL;
    for (struct arena_chunk *c = a->head; c != NULL; c = next) {
        next = c->next;
        if (c->bytes <= ARENA_KEPT_BYTES_MAX && (kept == NULL || c->bytes > kept->bytes)) {
            if (kept != NULL) {
                chunk_give(a, kept);
            }
            kept = c;
        } else {
            chunk_give(a, c);
        }
    }
    a->bytes = 0;
    if (kept != NULL) {
        kept->next = NULL;
        kept->dirty = true;
    }
    arena_use(a, kept);
}

void arena_release(struct arena *a)
{
    struct arena_chunk *next = NULL;
    for (struct arena_chunk *c = a->head; c != NULL; c = next) {
        next = c->next;
        chunk_give(a, c);
    }
    a->bytes = 0;
    arena_use(a, NULL);
}

static size_t align_pad(const char *p, size_t align)
{
    return (size_t)(-(uintptr_t)p & (align - 1));
}

/* A chunk with room for `bytes` at `align`: *at is where the room begins. */
static struct arena_chunk *chunk_new(struct arena *a, size_t bytes, size_t align, char **at)
{
    size_t need;
    if (!size_add(bytes, sizeof(struct arena_chunk) + (align > 16 ? align : 0), &need)) {
        return NULL;
    }
    size_t usual = a->head != NULL ? a->head->bytes * 2 : ARENA_CHUNK_BYTES_MIN;
    usual = size_max(size_min(usual, ARENA_CHUNK_BYTES_MAX), ARENA_CHUNK_BYTES_MIN);
    size_t total = size_max(need, usual);
    struct arena_chunk *c = mem_take(a->mem, total);
    if (c == NULL && total > need) {
        /* Close to the cap of mem: the exact size may still fit. */
        total = need;
        c = mem_take(a->mem, total);
    }
    if (c == NULL) {
        return NULL;
    }
    c->bytes = total;
    *at = c->data + align_pad(c->data, align);
    char *data = c->data;
    if (need > usual && a->head != NULL) {
        c->next = a->head->next;
        a->head->next = c;
        MEM_POISON(data, total - sizeof *c);
        return c;
    }
    c->next = a->head;
    arena_use(a, c);
    return c;
}

void *arena_take(struct arena *a, size_t bytes, size_t align)
{
    ASSERT(align > 0 && (align & (align - 1)) == 0);
    ASSERT(align <= ARENA_ALIGN_MAX);
    bytes = size_max(bytes, 1);
    size_t pad = a->p != NULL ? align_pad(a->p, align) : 0;
    size_t left = (size_t)(a->end - a->p);
    bool fits = a->p != NULL && pad <= left && bytes <= left - pad;
    size_t counted;
    if (!size_add(bytes, fits ? pad : 0, &counted) || counted > a->bytes_max - a->bytes) {
        return NULL;
    }
    char *at = NULL;
    struct arena_chunk *c = a->head;
    if (fits) {
        at = a->p + pad;
    } else {
        c = chunk_new(a, bytes, align, &at);
        if (c == NULL) {
            return NULL;
        }
    }
    if (c == a->head) {
        a->p = at + bytes;
    }
    a->bytes += counted;
    MEM_UNPOISON(at, bytes);
    if (c->dirty) {
        memset(at, 0, bytes);
    }
    return at;
}

void *arena_array(struct arena *a, size_t n, size_t bytes, size_t align)
{
    size_t total;
    return size_mul(n, bytes, &total) ? arena_take(a, total, align) : NULL;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_take(a, s.n, 1);
    if (p == NULL) {
        return (struct str){NULL, 0};
    }
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return (struct str){p, s.n};
}

char *arena_cstr(struct arena *a, struct str s)
{
    size_t bytes;
    char *p = size_add(s.n, 1, &bytes) ? arena_take(a, bytes, 1) : NULL;
    if (p != NULL && s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return p;
}
