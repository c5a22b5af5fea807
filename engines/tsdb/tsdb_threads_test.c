/* Many threads at once: writers, readers and a flusher that is asked for blocks all the time. */
#include "engines/tsdb/tsdb.h"

#include "engines/tsdb/tsdb_testing_int.h"

#include <pthread.h>

#define WRITERS 3
#define READERS 2
#define ROUNDS  120
#define SERIES  30 /* of one writer */

struct crowd {
    struct store s;
    uint32_t ref[WRITERS][SERIES];
    _Atomic uint32_t committed[WRITERS]; /* rounds acknowledged */
    _Atomic bool stop;
};

struct one {
    struct crowd *c;
    uint32_t number;
};

/* Every batch holds one sample of each of the writer's series, so any view has as many of one as of
 * another, at least as many as were acknowledged before it was opened. */
static void *writer(void *arg)
{
    struct one *w = arg;
    struct crowd *c = w->c;
    struct mem m;
    struct err e = {.code = ERR_NONE};
    mem_init(&m, 0);
    struct tsdb_batch *b = tsdb_batch_new(&m, 1 << 20);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        tsdb_batch_reset(b);
        for (uint32_t k = 0; k < SERIES; k++) {
            ASSERT(tsdb_batch_add(b, c->ref[w->number][k], MODEL_T0 + i, i * 1000.0 + k, &e));
        }
        struct tsdb_result r;
        unsigned flags = i % 3 == 0 ? TSDB_NO_SYNC : 0;
        ASSERT(tsdb_commit_wait(c->s.db, b, flags, &r, &e));
        ASSERT(r.samples == SERIES);
        c->committed[w->number] = i + 1;
    }
    tsdb_batch_free(b);
    return NULL;
}

static void look(struct crowd *c, struct tsdb_column *col)
{
    struct err e = {.code = ERR_NONE};
    struct tsdb_view *v;
    uint32_t before[WRITERS];
    for (uint32_t w = 0; w < WRITERS; w++) {
        before[w] = c->committed[w];
    }
    ASSERT(tsdb_view_open(c->s.db, &v, &e));
    for (uint32_t w = 0; w < WRITERS; w++) {
        uint32_t n = 0;
        for (uint32_t k = 0; k < SERIES; k++) {
            ASSERT(tsdb_read(v, c->ref[w][k], INT64_MIN, INT64_MAX, 100000, col, &e));
            n = k == 0 ? col->n : n;
            ASSERT(col->n == n);
            for (uint32_t i = 0; i < n; i++) {
                ASSERT(col->t[i] == MODEL_T0 + i);
                ASSERT(col->v[i] == i * 1000.0 + k);
            }
        }
        ASSERT(n >= before[w]);
    }
    tsdb_view_close(v);
}

static void *reader(void *arg)
{
    struct one *r = arg;
    struct mem m;
    struct tsdb_column col;
    mem_init(&m, 0);
    tsdb_column_init(&col, &m);
    while (!r->c->stop) {
        look(r->c, &col);
    }
    look(r->c, &col);
    tsdb_column_release(&col);
    return NULL;
}

static void *keeper(void *arg)
{
    struct crowd *c = arg;
    struct err e = {.code = ERR_NONE};
    for (int i = 0; !c->stop; i++) {
        ASSERT(tsdb_flush(c->s.db, i % 4 == 3, &e));
        struct tsdb_stats st;
        tsdb_stats(c->s.db, &st);
    }
    return NULL;
}

static void series_define(struct crowd *c)
{
    struct err e = {.code = ERR_NONE};
    for (uint32_t w = 0; w < WRITERS; w++) {
        for (uint32_t k = 0; k < SERIES; k++) {
            char text[2][16];
            snprintf(text[0], 16, "m%u", k);
            snprintf(text[1], 16, "w%u", w);
            struct label l[2] = {{STR("__name__"), str_from_c(text[0])},
                                 {STR("writer"), str_from_c(text[1])}};
            assert_true(tsdb_series(c->s.db, 0, (struct labels){l, 2}, &c->ref[w][k], &e));
        }
    }
}

TEST(tsdb_readers_see_whole_batches_while_others_write_and_flush)
{
    static struct crowd c;
    memset(&c, 0, sizeof c);
    store_init(&c.s, test_seed());
    store_open_ok(&c.s);
    series_define(&c);
    pthread_t threads[WRITERS + READERS + 1];
    struct one ones[WRITERS + READERS];
    for (uint32_t i = 0; i < WRITERS + READERS; i++) {
        ones[i] = (struct one){&c, i < WRITERS ? i : i - WRITERS};
        assert_int_equal(pthread_create(&threads[i], NULL, i < WRITERS ? writer : reader, &ones[i]),
                         0);
    }
    assert_int_equal(pthread_create(&threads[WRITERS + READERS], NULL, keeper, &c), 0);
    for (uint32_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
    c.stop = true;
    for (uint32_t i = WRITERS; i < WRITERS + READERS + 1; i++) {
        pthread_join(threads[i], NULL);
    }
    store_close(&c.s);
    store_open_ok(&c.s);
    struct mem m;
    struct tsdb_column col;
    mem_init(&m, 0);
    tsdb_column_init(&col, &m);
    look(&c, &col);
    assert_int_equal(col.n, ROUNDS);
    tsdb_column_release(&col);
    store_close(&c.s);
    store_release(&c.s);
}

/* -- the door's bound -- */

struct hold {
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool entered, go;
    _Atomic uint32_t done;
};

static void held_done(void *ctx, const struct tsdb_result *r, const struct err *e)
{
    struct hold *h = ctx;
    ASSERT(e == NULL);
    ASSERT(r->samples == 1);
    pthread_mutex_lock(&h->mu);
    h->entered = true;
    pthread_cond_broadcast(&h->wake);
    while (!h->go) {
        pthread_cond_wait(&h->wake, &h->mu);
    }
    pthread_mutex_unlock(&h->mu);
    h->done++;
}

TEST(tsdb_a_full_queue_says_busy_and_takes_more_later)
{
    struct store s;
    struct err e = {.code = ERR_NONE};
    struct hold h = {.done = 0};
    pthread_mutex_init(&h.mu, NULL);
    pthread_cond_init(&h.wake, NULL);
    store_init(&s, test_seed());
    struct tsdb_batch *b[3];
    for (int i = 0; i < 3; i++) {
        b[i] = tsdb_batch_new(&s.mem, 1 << 16);
    }
    s.config.queue_bytes_max = 1;
    store_open_ok(&s);
    assert_true(store_refs(&s, &e));
    for (int i = 0; i < 3; i++) {
        assert_true(tsdb_batch_add(b[i], s.ref[i], MODEL_T0, 1, &e));
    }
    assert_true(tsdb_commit(s.db, b[0], 0, held_done, &h, &e));
    pthread_mutex_lock(&h.mu);
    while (!h.entered) { /* the committer is held in the first one's answer, its bytes are free */
        pthread_cond_wait(&h.wake, &h.mu);
    }
    pthread_mutex_unlock(&h.mu);
    assert_true(tsdb_commit(s.db, b[1], 0, held_done, &h, &e));
    assert_false(tsdb_commit(s.db, b[2], 0, held_done, &h, &e));
    assert_int_equal(e.code, ERR_BUSY);
    pthread_mutex_lock(&h.mu);
    h.go = true;
    pthread_cond_broadcast(&h.wake);
    pthread_mutex_unlock(&h.mu);
    while (!tsdb_commit(s.db, b[2], 0, held_done, &h, &e)) {
        assert_int_equal(e.code, ERR_BUSY);
    }
    store_close(&s); /* finishes the queue */
    assert_int_equal(h.done, 3);
    for (int i = 0; i < 3; i++) {
        tsdb_batch_free(b[i]);
    }
    pthread_cond_destroy(&h.wake);
    pthread_mutex_destroy(&h.mu);
    store_release(&s);
}
