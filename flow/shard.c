/* The shards: N threads that apply the same batches in the same order, each taking its own records.
 *
 * Batches handed out form one list, linked by `next` in journal order; each shard has its own place
 * in it (`cur`), so that a batch is in N queues at once without an allocation. shards_left counts
 * who still needs it; because every shard goes in order, batches are freed in order too.
 *
 * Rest: the one who wants it names the furthest batch that any shard has taken; nobody goes beyond
 * it, laggards catch up to it, and when all stand there the function runs. So the wait is bounded
 * by the spread of the shards, not by the length of the queue. */
#include "flow/river_int.h"

#include "base/base.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "flow/record.h"

static const char *const mod = "river";

void river_batch_drop(struct river *r, struct batch *b)
{
    ASSERT(b->shards_left > 0);
    b->shards_left--;
    if (b->shards_left > 0) {
        return;
    }
    if (r->tail == b) {
        r->tail = NULL;
    }
    ASSERT(r->queue_bytes >= b->mem.bytes);
    r->queue_bytes -= b->mem.bytes;
    river_batch_free(b);
}

void river_hand(struct river *r, struct batch *first, struct batch *last, uint32_t holds)
{
    ASSERT(first->seq > r->seq_handed && last->seq >= first->seq);
    for (struct batch *b = first;; b = b->next) {
        b->shards_left = r->shards_count + holds;
        if (b == last) {
            break;
        }
    }
    last->next = NULL;
    if (r->tail != NULL) {
        r->tail->next = first;
    }
    r->tail = last;
    for (uint32_t i = 0; i < r->shards_count; i++) {
        if (r->shards[i].cur == NULL) {
            r->shards[i].cur = first;
        }
    }
    r->seq_handed = last->seq;
    pthread_cond_broadcast(&r->work);
}

void river_wait_progress(struct river *r)
{
    r->waiters++;
    pthread_cond_wait(&r->progress, &r->mu);
    r->waiters--;
}

/* Applies this shard's records of b. thread: the shard's, no lock. */
static bool apply(struct river_shard *s, const struct batch *b)
{
    struct river *r = s->river;
    void *const *states = r->states; /* [pillar * shards + shard] */
    record_reader_init(s->reader, buf_str(&b->payload), s->idx, r->shards_count);
    for (uint32_t p = 0; p < r->pillars_count; p++) {
        if (r->pillars[p].batch_begin != NULL) {
            r->pillars[p].batch_begin(states[p * r->shards_count + s->idx], s->reader);
        }
    }
    struct record rec;
    struct err e = {.code = ERR_NONE};
    while (record_next(s->reader, &rec, &e)) {
        for (uint32_t p = 0; p < r->pillars_count; p++) {
            r->pillars[p].apply(states[p * r->shards_count + s->idx], &rec, s->reader);
        }
    }
    if (e.code == ERR_NONE) {
        return true;
    }
    log_line(r->log, LOG_ERROR, mod, "shard %u left batch %llu after %llu records: %s", s->idx,
             (unsigned long long)b->seq, (unsigned long long)s->reader->records, e.msg);
    return false;
}

static bool may_apply(const struct river_shard *s)
{
    const struct river *r = s->river;
    return s->cur != NULL && (!r->resting || s->cur->seq <= r->rest_target);
}

static void *shard_run(void *arg)
{
    struct river_shard *s = arg;
    struct river *r = s->river;
    pthread_mutex_lock(&r->mu);
    for (;;) {
        while (!may_apply(s) && !(r->shards_stop && s->cur == NULL)) {
            pthread_cond_wait(&r->work, &r->mu);
        }
        struct batch *b = s->cur;
        if (b == NULL) {
            break;
        }
        s->taken = b->seq;
        pthread_mutex_unlock(&r->mu);
        bool whole = apply(s, b);
        pthread_mutex_lock(&r->mu);
        r->stats.damaged += whole ? 0 : 1;
        s->applied = b->seq;
        s->cur = b->next;
        river_batch_drop(r, b);
        if (r->waiters > 0) {
            pthread_cond_broadcast(&r->progress);
        }
    }
    pthread_mutex_unlock(&r->mu);
    return NULL;
}

bool river_shards_start(struct river *r, struct err *e)
{
    for (uint32_t i = 0; i < r->shards_count; i++) {
        int rc = pthread_create(&r->shards[i].thread, NULL, shard_run, &r->shards[i]);
        if (rc != 0) {
            return err_errno(e, rc, "cannot start the thread of shard %u", i);
        }
        r->shards[i].started = true;
    }
    return true;
}

void river_shards_join(struct river *r)
{
    pthread_mutex_lock(&r->mu);
    r->shards_stop = true;
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->mu);
    for (uint32_t i = 0; r->shards != NULL && i < r->shards_count; i++) {
        if (r->shards[i].started) {
            pthread_join(r->shards[i].thread, NULL);
            r->shards[i].started = false;
        }
    }
}

static bool all_applied(const struct river *r, uint64_t seq)
{
    for (uint32_t i = 0; i < r->shards_count; i++) {
        if (r->shards[i].applied < seq) {
            return false;
        }
    }
    return true;
}

void river_drain(struct river *r)
{
    pthread_mutex_lock(&r->mu);
    uint64_t seq = r->seq_handed;
    while (!all_applied(r, seq)) {
        river_wait_progress(r);
    }
    pthread_mutex_unlock(&r->mu);
}

void river_rest(struct river *r, void (*fn)(void *ctx, void *const *const *states, uint32_t shards),
                void *ctx)
{
    pthread_mutex_lock(&r->rest_mu);
    pthread_mutex_lock(&r->mu);
    int64_t t0 = os_mono_ns(r->os);
    uint64_t target = 0;
    for (uint32_t i = 0; i < r->shards_count; i++) {
        target = r->shards[i].taken > target ? r->shards[i].taken : target;
    }
    r->rest_target = target;
    r->resting = true;
    while (!all_applied(r, target)) {
        river_wait_progress(r);
    }
    pthread_mutex_unlock(&r->mu);

    fn(ctx, r->states_of, r->shards_count);

    pthread_mutex_lock(&r->mu);
    for (uint32_t i = 0; i < r->shards_count; i++) {
        ASSERT(r->shards[i].applied == target);
    }
    r->resting = false;
    r->stats.rest_ns_last = os_mono_ns(r->os) - t0;
    pthread_cond_broadcast(&r->work);
    pthread_mutex_unlock(&r->mu);
    pthread_mutex_unlock(&r->rest_mu);
}
