/* Batches on their way to the store and back.
 *
 * The store borrows a batch until it has synced it and then says, on its own thread, what became of
 * it; the flight lands in a list that the loop empties. When the store is busy (its queue is full)
 * the flight waits here and is tried again at every turn; beyond WAITING_MAX the oldest is given up
 * and counted, because late metrics are worth less than new ones.
 *
 * Nobody is told that a scraped sample is safe, so not every scrape pays for a commit and a sync of
 * its own. Small pages are held for up to HOLD_NS (a tenth of their interval when that is less) as
 * long as another turn of the loop is sure to come in that time: the store then takes them as one
 * group, with one waking of its thread and one write. The log has them then (a killed process loses
 * what was held, no more), the disk with anybody's sync, or with the first group that comes about a
 * second after the last one (TSDB_SYNC_SOON). */
#include "ingest/scrape/loop_int.h"

#define WAITING_MAX      256
#define HOLD_NS          (100 * NS_PER_MS)
#define HOLD_FLIGHTS_MAX 64   /* well below WAITING_MAX: holding must not make anything too late */
#define HOLD_SAMPLES_MAX 8192 /* from here on a group is worth its fixed cost */

struct flight *flight_new(struct scrape *s)
{
    struct flight *f = s->spare;
    if (f) {
        s->spare = f->next;
        tsdb_batch_reset(f->batch);
        f->next = NULL;
        return f;
    }
    f = mem_take(s->mem, sizeof *f);
    struct tsdb_batch *b = f ? tsdb_batch_new(s->mem, s->o.batch_bytes_max) : NULL;
    if (!b) {
        mem_give(s->mem, f, f ? sizeof *f : 0);
        return NULL;
    }
    f->s = s;
    f->batch = b;
    f->all_next = s->all;
    s->all = f;
    return f;
}

void flight_give(struct scrape *s, struct flight *f)
{
    if (f->target) {
        f->target->flying--;
        f->target = NULL;
    }
    f->next = s->spare;
    s->spare = f;
}

/* On the committer's thread. */
static void landed(void *ctx, const struct tsdb_result *r, const struct err *e)
{
    struct flight *f = ctx;
    struct scrape *s = f->s;
    f->failed = e != NULL;
    if (r) {
        f->result = *r;
    } else {
        memset(&f->result, 0, sizeof f->result);
    }
    pthread_mutex_lock(&s->hand_mu);
    f->next = s->landed;
    s->landed = f;
    pthread_cond_signal(&s->landed_cond);
    pthread_mutex_unlock(&s->hand_mu);
}

/* false: the store is busy. */
static bool take_off(struct scrape *s, struct flight *f)
{
    struct err e = {.code = ERR_NONE};
    pthread_mutex_lock(&s->hand_mu);
    s->flights++;
    pthread_mutex_unlock(&s->hand_mu);
    if (tsdb_commit(s->o.db, f->batch, TSDB_SYNC_SOON, landed, f, &e)) {
        return true;
    }
    pthread_mutex_lock(&s->hand_mu);
    s->flights--;
    pthread_mutex_unlock(&s->hand_mu);
    if (e.code == ERR_BUSY) {
        return false;
    }
    s->stats.commits_failed++;
    log_err(s->o.log, LOG_ERROR, "scrape", &e);
    flight_give(s, f);
    return true;
}

/* Gives the store what waits, oldest first, until it is busy. */
static void push(struct scrape *s)
{
    s->busy = false;
    while (s->waiting && !s->busy) {
        struct flight *f = s->waiting;
        struct flight *next = f->next;
        f->next = NULL;
        s->busy = !take_off(s, f);
        if (s->busy) {
            f->next = next;
        } else {
            s->waiting = next;
            s->waiting_n--;
        }
    }
    if (!s->waiting) {
        s->waiting_end = &s->waiting;
        s->held_until_ns = INT64_MAX;
        s->held_samples = 0;
    }
}

void flight_send(struct scrape *s, struct flight *f)
{
    int64_t hold_ns = f->target ? i64_min(HOLD_NS, f->target->interval_ns / 10) : HOLD_NS;
    s->held_until_ns = i64_min(s->held_until_ns, os_mono_ns(s->o.os) + hold_ns);
    s->held_samples += tsdb_batch_count(f->batch);
    f->next = NULL;
    *s->waiting_end = f;
    s->waiting_end = &f->next;
    s->waiting_n++;
    if (!s->busy && (s->waiting_n >= HOLD_FLIGHTS_MAX || s->held_samples >= HOLD_SAMPLES_MAX)) {
        push(s);
    }
    if (s->waiting_n > WAITING_MAX) {
        struct flight *oldest = s->waiting;
        s->waiting = oldest->next;
        s->waiting_n--;
        s->stats.commits_failed++;
        flight_give(s, oldest);
    }
}

void flights_due(struct scrape *s, int64_t next_turn_ns)
{
    if (s->waiting && !s->busy && next_turn_ns > s->held_until_ns) {
        push(s);
    }
}

static void account(struct scrape *s, struct flight *f)
{
    const struct tsdb_result *r = &f->result;
    s->stats.samples += r->samples + r->histograms;
    s->stats.commits_failed += f->failed;
    for (unsigned i = 0; i < TSDB_REFUSALS; i++) {
        s->stats.refused[i] += r->refused[i];
    }
    if (f->target && r->refused[TSDB_GONE] > 0) {
        /* Some ids mean nothing any more: everything is looked up anew. */
        cache_forget(&f->target->cache);
        memset(f->target->reports, 0, sizeof f->target->reports);
    }
}

void flights_collect(struct scrape *s)
{
    pthread_mutex_lock(&s->hand_mu);
    struct flight *list = s->landed;
    s->landed = NULL;
    for (struct flight *f = list; f; f = f->next) {
        s->flights--;
    }
    pthread_mutex_unlock(&s->hand_mu);
    while (list) {
        struct flight *f = list;
        list = f->next;
        account(s, f);
        flight_give(s, f);
    }
    if (s->busy) {
        push(s);
    }
}

/* Until nothing is at the store any more; waits for what waits, too, while it moves. */
void flights_wait(struct scrape *s)
{
    for (;;) {
        flights_collect(s);
        push(s);
        pthread_mutex_lock(&s->hand_mu);
        bool done = s->flights == 0;
        if (!done && !s->landed) {
            pthread_cond_wait(&s->landed_cond, &s->hand_mu);
        }
        pthread_mutex_unlock(&s->hand_mu);
        if (done) {
            break;
        }
    }
    while (s->waiting) { /* the store took none of them although it was idle */
        struct flight *f = s->waiting;
        s->waiting = f->next;
        s->stats.commits_failed++;
        flight_give(s, f);
    }
    s->waiting_n = 0;
    s->waiting_end = &s->waiting;
    s->busy = false;
}

void flights_forget(struct scrape *s, const struct target *t)
{
    for (struct flight *f = s->all; f; f = f->all_next) {
        f->target = f->target == t ? NULL : f->target;
    }
}

void flights_release(struct scrape *s)
{
    while (s->all) {
        struct flight *f = s->all;
        s->all = f->all_next;
        tsdb_batch_free(f->batch);
        mem_give(s->mem, f, sizeof *f);
    }
    s->spare = s->waiting = NULL;
}
