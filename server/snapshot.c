/* The double buffer between the ticker and /metrics. A page sees all series of one tick or of
 * another, never a mix, and printing takes no lock that the ticker waits for except when a reader
 * is two ticks late. */
#include "server/service_int.h"

void server_snapshots_init(struct snapshots *s, size_t bytes_max)
{
    memset(s, 0, sizeof *s);
    (void)pthread_mutex_init(&s->mu, NULL);
    (void)pthread_cond_init(&s->idle, NULL);
    for (size_t i = 0; i < ARRAY_LEN(s->pair); i++) {
        mem_init(&s->pair[i].mem, 0);
        arena_init(&s->pair[i].arena, &s->pair[i].mem, bytes_max);
    }
}

void server_snapshots_release(struct snapshots *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->pair); i++) {
        ASSERT(s->pair[i].readers == 0);
        arena_release(&s->pair[i].arena);
    }
    s->current = NULL;
    (void)pthread_cond_destroy(&s->idle);
    (void)pthread_mutex_destroy(&s->mu);
}

struct snapshot *server_snapshots_begin(struct snapshots *s)
{
    (void)pthread_mutex_lock(&s->mu);
    struct snapshot *spare = s->current == &s->pair[0] ? &s->pair[1] : &s->pair[0];
    while (spare->readers > 0) {
        (void)pthread_cond_wait(&s->idle, &s->mu);
    }
    (void)pthread_mutex_unlock(&s->mu);
    arena_reset(&spare->arena);
    return spare;
}

void server_snapshots_publish(struct snapshots *s, struct snapshot *done)
{
    (void)pthread_mutex_lock(&s->mu);
    ASSERT(s->current != done);
    s->current = done;
    (void)pthread_mutex_unlock(&s->mu);
}

struct snapshot *server_snapshots_take(struct snapshots *s)
{
    (void)pthread_mutex_lock(&s->mu);
    struct snapshot *taken = s->current;
    if (taken) {
        taken->readers++;
    }
    (void)pthread_mutex_unlock(&s->mu);
    return taken;
}

void server_snapshots_give(struct snapshots *s, struct snapshot *taken)
{
    (void)pthread_mutex_lock(&s->mu);
    ASSERT(taken->readers > 0);
    if (--taken->readers == 0) {
        (void)pthread_cond_signal(&s->idle);
    }
    (void)pthread_mutex_unlock(&s->mu);
}
