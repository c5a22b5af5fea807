/* Tests of the double buffer (server/snapshot.c): readers see whole snapshots, and a late one is
 * waited for. */
#include "server/service_int.h"

#include "base/test.h"

#define ROUNDS  2000
#define READERS 3
#define ARENA   (1U << 20)

static void fill(struct snapshot *s, double v)
{
    expo_init(&s->expo, &s->arena, (int64_t)v);
    for (int i = 0; i < 8; i++) {
        struct expo_family *f = expo_family(&s->expo, EXPO_GAUGE, STR("x"), STR(""), STR("help"));
        expo_add(&s->expo, f, NULL, 0, v);
    }
}

struct reading {
    struct snapshots *snapshots;
    atomic_bool *stop;
    uint64_t seen;
    bool torn;
};

static void *read_all(void *arg)
{
    struct reading *r = arg;
    while (!atomic_load(r->stop)) {
        struct snapshot *s = server_snapshots_take(r->snapshots);
        if (!s) {
            continue;
        }
        double v = s->expo.first->first->value;
        for (const struct expo_family *f = s->expo.first; f; f = f->next) {
            r->torn = r->torn || !(f->first->value >= v && f->first->value <= v);
        }
        r->torn = r->torn || s->expo.t_ms != (int64_t)v;
        r->seen++;
        server_snapshots_give(r->snapshots, s);
    }
    return NULL;
}

TEST(snapshot_is_none_before_the_first)
{
    struct snapshots s;
    server_snapshots_init(&s, ARENA);
    assert_null(server_snapshots_take(&s));
    server_snapshots_release(&s);
}

TEST(snapshot_stays_while_it_is_read)
{
    struct snapshots s;
    server_snapshots_init(&s, ARENA);
    struct snapshot *first = server_snapshots_begin(&s);
    fill(first, 1);
    server_snapshots_publish(&s, first);
    struct snapshot *held = server_snapshots_take(&s);
    struct snapshot *second = server_snapshots_begin(&s);
    assert_ptr_not_equal(second, held);
    fill(second, 2);
    server_snapshots_publish(&s, second);
    assert_true(held->expo.first->first->value < 1.5);
    assert_ptr_equal(server_snapshots_take(&s), second);
    server_snapshots_give(&s, second);
    server_snapshots_give(&s, held);
    assert_ptr_equal(server_snapshots_begin(&s), first); /* free again, not waited for */
    server_snapshots_release(&s);
    assert_int_equal(s.pair[0].mem.bytes, 0);
    assert_int_equal(s.pair[1].mem.bytes, 0);
}

TEST(snapshot_is_never_torn_under_readers)
{
    struct snapshots s;
    atomic_bool stop = false;
    struct reading readings[READERS];
    pthread_t threads[READERS];
    server_snapshots_init(&s, ARENA);
    for (int i = 0; i < READERS; i++) {
        readings[i] = (struct reading){.snapshots = &s, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readings[i]), 0);
    }
    for (int i = 1; i <= ROUNDS; i++) {
        struct snapshot *next = server_snapshots_begin(&s);
        fill(next, i);
        server_snapshots_publish(&s, next);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(readings[i].torn);
    }
    server_snapshots_release(&s);
}
