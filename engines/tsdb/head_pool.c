/* Pages for the head: taken from the system once, then handed from a generation that was flushed to
 * the one that is filled. Exists because freeing and taking 24 MiB every few minutes fragments the
 * heap, and because the committer needs to know before it writes the log that memory will not fail
 * it afterwards (pool_reserve).
 *
 * Most reserved pages are never needed, and one that nobody has written to costs address space
 * only: so they wait apart, and those that were in use before are handed out first.
 *
 * Invariant: pages_n = pages out + free_n; free_n counts both lists. */
#include "engines/tsdb/head_int.h"

void pool_init(struct pool *p)
{
    *p = (struct pool){.free = NULL};
    mem_init(&p->mem, 0);
    int rc = pthread_mutex_init(&p->mu, NULL);
    ASSERT(rc == 0);
}

void pool_release(struct pool *p)
{
    pool_trim(p, 0);
    ASSERT(p->pages_n == 0);
    pthread_mutex_destroy(&p->mu);
}

bool pool_reserve(struct pool *p, size_t n)
{
    pthread_mutex_lock(&p->mu);
    bool ok = true;
    while (ok && p->free_n < n) {
        struct pool_page *page = mem_take(&p->mem, POOL_PAGE_BYTES);
        ok = page != NULL;
        if (ok) {
            page->next = p->fresh;
            p->fresh = page;
            p->free_n++;
            p->pages_n++;
        }
    }
    pthread_mutex_unlock(&p->mu);
    return ok;
}

/* A free page off its list, or NULL. lock: mu */
static struct pool_page *unlink_one(struct pool *p, struct pool_page **first,
                                    struct pool_page **second)
{
    struct pool_page **list = *first != NULL ? first : second;
    struct pool_page *page = *list;
    if (page != NULL) {
        *list = page->next;
        p->free_n--;
    }
    return page;
}

void *pool_take(struct pool *p)
{
    pthread_mutex_lock(&p->mu);
    struct pool_page *page = unlink_one(p, &p->free, &p->fresh);
    if (page == NULL) {
        page = mem_take(&p->mem, POOL_PAGE_BYTES);
        p->pages_n += page != NULL ? 1 : 0;
    }
    pthread_mutex_unlock(&p->mu);
    return page;
}

void pool_give(struct pool *p, void *page)
{
    struct pool_page *q = page;
    pthread_mutex_lock(&p->mu);
    q->next = p->free;
    p->free = q;
    p->free_n++;
    pthread_mutex_unlock(&p->mu);
}

void pool_trim(struct pool *p, size_t n)
{
    pthread_mutex_lock(&p->mu);
    while (p->free_n > n) {
        struct pool_page *page = unlink_one(p, &p->free, &p->fresh);
        ASSERT(page != NULL);
        p->pages_n--;
        mem_give(&p->mem, page, POOL_PAGE_BYTES);
    }
    pthread_mutex_unlock(&p->mu);
}

void *pool_take_bytes(struct pool *p, size_t bytes)
{
    pthread_mutex_lock(&p->mu);
    void *q = mem_take(&p->mem, bytes);
    pthread_mutex_unlock(&p->mu);
    return q;
}

void pool_give_bytes(struct pool *p, void *q, size_t bytes)
{
    pthread_mutex_lock(&p->mu);
    mem_give(&p->mem, q, bytes);
    pthread_mutex_unlock(&p->mu);
}
