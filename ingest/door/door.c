/* The states of requests and what every door of samples says about them: see door.h.
 *
 * A state keeps its memory between requests, because a sender comes back every few seconds with a
 * request of the same size; only what one large request has made grow is given back. States are
 * taken last in, first out, so that few of them stay warm.
 *
 * Invariant: in_use <= made <= requests_max; a state is either in use or in the free list. */
#include "ingest/door/door.h"

#define KEEP_BYTES_MAX (4U << 20) /* a larger buffer is given back after its request */

static const char *const refusal_names[TSDB_REFUSALS] = {
    "out_of_order", "duplicate", "too_old", "too_new", "series_gone", "head_full"};

void door_init(struct door *d, const struct door_options *o)
{
    ASSERT(o->protocol->state_bytes >= sizeof(struct door_request));
    *d = (struct door){.o = *o, .source = tsdb_source(o->db, o->source, (uint32_t)o->series_max)};
    pthread_mutex_init(&d->mu, NULL);
}

static void request_free(struct door_request *rq)
{
    struct door *d = rq->door;
    buf_release(&rq->bytes);
    arena_release(&rq->arena);
    tsdb_batch_free(rq->batch);
    ASSERT(rq->mem.bytes == 0);
    mem_give(d->o.mem, rq, d->o.protocol->state_bytes);
}

static struct door_request *request_new(struct door *d)
{
    struct door_request *rq = mem_take(d->o.mem, d->o.protocol->state_bytes);
    if (!rq) {
        return NULL;
    }
    rq->door = d;
    mem_init(&rq->mem, d->o.mem_bytes_max);
    rq->mem.allow = d->o.mem->allow; /* tests make these fail too */
    rq->mem.allow_ctx = d->o.mem->allow_ctx;
    buf_init(&rq->bytes, &rq->mem, d->o.bytes_max);
    arena_init(&rq->arena, &rq->mem, d->o.arena_bytes_max);
    rq->batch = tsdb_batch_new(&rq->mem, d->o.batch_bytes_max);
    if (!rq->batch) {
        request_free(rq);
        return NULL;
    }
    d->o.protocol->init(rq);
    return rq;
}

void door_release(struct door *d)
{
    ASSERT(d->in_use == 0);
    while (d->free_list) {
        struct door_request *rq = d->free_list;
        d->free_list = rq->next;
        d->o.protocol->release(rq);
        request_free(rq);
    }
    pthread_mutex_destroy(&d->mu);
}

struct door_request *door_take(struct door *d)
{
    pthread_mutex_lock(&d->mu);
    struct door_request *rq = d->free_list;
    if (rq) {
        d->free_list = rq->next;
    } else if (d->made < d->o.requests_max) {
        rq = request_new(d);
        d->made += rq ? 1 : 0;
    }
    d->in_use += rq ? 1 : 0;
    pthread_mutex_unlock(&d->mu);
    return rq;
}

void door_trim(struct buf *b)
{
    if (b->cap > KEEP_BYTES_MAX) {
        buf_release(b);
    }
    buf_reset(b);
}

void door_give(struct door_request *rq)
{
    struct door *d = rq->door;
    d->o.protocol->reset(rq);
    door_trim(&rq->bytes);
    arena_reset(&rq->arena);
    tsdb_batch_reset(rq->batch);
    rq->http = NULL;
    pthread_mutex_lock(&d->mu);
    rq->next = d->free_list;
    d->free_list = rq;
    d->in_use--;
    pthread_mutex_unlock(&d->mu);
}

void door_abort(void *app, void *state)
{
    (void)app;
    if (state) {
        door_give(state);
    }
}

bool door_busy(struct err *e)
{
    return err_set(e, ERR_BUSY, "too many requests at once, send it again later");
}

int door_status(const struct err *e)
{
    return e->code == ERR_LIMIT ? 413 : e->code == ERR_INPUT ? 400 : 503;
}

const char *const *door_headers(int status)
{
    static const char *const later[] = {"Retry-After", "1", NULL};
    return status == 503 ? later : NULL;
}

void door_count(struct door *d, const struct tsdb_result *r)
{
    atomic_fetch_add(&d->samples, r->samples);
    atomic_fetch_add(&d->histograms, r->histograms);
    atomic_fetch_add(&d->exemplars, r->exemplars);
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        atomic_fetch_add(&d->refused[i], r->refused[i]);
    }
}

uint64_t door_refused(const struct tsdb_result *r)
{
    uint64_t n = 0;
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        n += r->refused[i];
    }
    return n;
}

const char *door_refusal_name(enum tsdb_refusal why)
{
    ASSERT((unsigned)why < TSDB_REFUSALS);
    return refusal_names[why];
}

const char *door_refusal_text(enum tsdb_refusal why)
{
    switch (why) {
    case TSDB_OUT_OF_ORDER: return "out of order sample";
    case TSDB_DUPLICATE: return "duplicate sample for timestamp";
    case TSDB_TOO_OLD: return "sample is older than retention";
    case TSDB_TOO_NEW: return "sample is too far in the future";
    case TSDB_GONE: return "series was dropped, send again";
    case TSDB_HEAD_FULL: return "memory of recent samples is full";
    }
    return "refused";
}

void door_publish_by(struct expo *x, const char *name, const char *help, const char *label,
                     const char *const *texts, atomic_uint_fast64_t *v, int n)
{
    struct expo_family *f =
        expo_family(x, EXPO_COUNTER, str_from_c(name), STR(""), str_from_c(help));
    for (int i = 0; i < n; i++) {
        const struct label l = {str_from_c(label), str_from_c(texts[i])};
        expo_add(x, f, &l, 1, (double)atomic_load(&v[i]));
    }
}

void door_publish_refused(struct door *d, struct expo *x, const char *name, const char *help)
{
    door_publish_by(x, name, help, "reason", refusal_names, d->refused, TSDB_REFUSALS);
}
