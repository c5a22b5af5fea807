/* Truth as of a time, duplicates, order, waiting labels, retention. */
#include "model/model_testing_int.h"

static const struct hash128 id1 = {1, 2};

static struct model_label label_at(int64_t t_ns, enum truth truth, uint64_t event,
                                   uint64_t supersedes)
{
    return (struct model_label){.id = id1,
                                .t_ns = t_ns,
                                .truth = (uint8_t)truth,
                                .source = SOURCE_ANALYST,
                                .event = event,
                                .supersedes = supersedes,
                                .day = 5};
}

static enum truth truth_of(const struct model_labels *t, int64_t as_of_ns)
{
    for (uint32_t i = 0; i < t->made; i++) {
        if (t->v[i].newest) {
            return model_labels_truth(t, &t->v[i], as_of_ns);
        }
    }
    return TRUTH_UNDETERMINED;
}

static void add(struct model_labels *t, struct model_label l)
{
    assert_int_equal(model_labels_add(t, &l), MODEL_LABEL_ADDED);
}

TEST(labels_truth_is_the_last_known_by_then_in_any_arrival_order)
{
    const int64_t times[3] = {10, 20, 30};
    const enum truth truths[3] = {TRUTH_FRAUD, TRUTH_LEGIT, TRUTH_FRAUD};
    const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        struct mem m;
        struct model_labels t;
        mem_init(&m, 0);
        model_labels_init(&t, &m, 100, 100, 10);
        for (int i = 0; i < 3; i++) {
            int k = orders[o][i];
            add(&t, label_at(times[k], truths[k], 0, 0));
        }
        assert_int_equal(truth_of(&t, 9), TRUTH_UNDETERMINED);
        assert_int_equal(truth_of(&t, 10), TRUTH_FRAUD);
        assert_int_equal(truth_of(&t, 20), TRUTH_LEGIT);
        assert_int_equal(truth_of(&t, 29), TRUTH_LEGIT);
        assert_int_equal(truth_of(&t, INT64_MAX), TRUTH_FRAUD);
        model_labels_release(&t);
        assert_int_equal(m.bytes, 0);
    }
}

TEST(labels_at_the_same_time_the_later_arrival_wins)
{
    struct mem m;
    struct model_labels t;
    mem_init(&m, 0);
    model_labels_init(&t, &m, 100, 100, 10);
    add(&t, label_at(10, TRUTH_FRAUD, 0, 0));
    add(&t, label_at(10, TRUTH_LEGIT, 0, 0));
    assert_int_equal(truth_of(&t, 10), TRUTH_LEGIT);
    struct model_label again = label_at(10, TRUTH_FRAUD, 0, 0);
    assert_int_equal(model_labels_add(&t, &again), MODEL_LABEL_DUPLICATE);
    assert_int_equal(t.count, 2);
    model_labels_release(&t);
}

TEST(labels_superseded_do_not_count_from_the_time_of_their_successor)
{
    struct mem m;
    struct model_labels t;
    mem_init(&m, 0);
    model_labels_init(&t, &m, 100, 100, 10);
    /* The correction comes first and has the earlier time of the case, yet it replaces event 7. */
    add(&t, label_at(15, TRUTH_LEGIT, 8, 7));
    add(&t, label_at(20, TRUTH_FRAUD, 7, 0));
    assert_int_equal(truth_of(&t, 15), TRUTH_LEGIT);
    assert_int_equal(truth_of(&t, 25), TRUTH_LEGIT);
    /* A later one withdraws everything: undetermined is a finding too. */
    add(&t, label_at(30, TRUTH_UNDETERMINED, 9, 8));
    assert_int_equal(truth_of(&t, 29), TRUTH_LEGIT);
    assert_int_equal(truth_of(&t, 30), TRUTH_UNDETERMINED);
    model_labels_release(&t);
}

TEST(labels_per_id_and_in_all_are_bounded)
{
    struct mem m;
    struct model_labels t;
    mem_init(&m, 0);
    model_labels_init(&t, &m, MODEL_LABELS_PER_ID_MAX + 1, 2, 10);
    for (int i = 0; i < MODEL_LABELS_PER_ID_MAX; i++) {
        add(&t, label_at(i, TRUTH_FRAUD, 0, 0));
    }
    struct model_label l = label_at(1000, TRUTH_FRAUD, 0, 0);
    assert_int_equal(model_labels_add(&t, &l), MODEL_LABEL_TOO_MANY);
    l.id.lo = 77;
    assert_int_equal(model_labels_add(&t, &l), MODEL_LABEL_ADDED);
    l.id.lo = 78;
    assert_int_equal(model_labels_add(&t, &l), MODEL_LABEL_FULL);
    for (uint64_t i = 0; i < 3; i++) {
        struct model_waiting w = {.id = {i, i}, .t_ns = 1};
        assert_int_equal(model_labels_wait(&t, &w), i < 2 ? MODEL_LABEL_WAITS : MODEL_LABEL_FULL);
    }
    /* Retention gives the room back. */
    assert_int_equal(model_labels_drop_before(&t, 6, 2), 2);
    assert_int_equal(t.count, 0);
    assert_int_equal(t.w_count, 0);
    assert_int_equal(model_labels_add(&t, &l), MODEL_LABEL_ADDED);
    model_labels_release(&t);
    assert_int_equal(m.bytes, 0);
}

static void collect(void *ctx, const struct model_waiting *w)
{
    int64_t **to = ctx;
    *(*to)++ = w->t_ns;
}

TEST(labels_that_waited_come_out_in_arrival_order)
{
    struct mem m;
    struct model_labels t;
    mem_init(&m, 0);
    model_labels_init(&t, &m, 100, 100, 10);
    for (int64_t i = 0; i < 5; i++) {
        struct model_waiting w = {.id = id1, .t_ns = 100 - i, .truth = TRUTH_FRAUD};
        assert_int_equal(model_labels_wait(&t, &w), MODEL_LABEL_WAITS);
        assert_int_equal(model_labels_wait(&t, &w), MODEL_LABEL_DUPLICATE);
        w.id.hi = 9;
        assert_int_equal(model_labels_wait(&t, &w), MODEL_LABEL_WAITS);
    }
    int64_t got[8];
    int64_t *end = got;
    model_labels_resolve(&t, id1, collect, &end);
    assert_int_equal(end - got, 5);
    for (int64_t i = 0; i < 5; i++) {
        assert_int_equal(got[i], 100 - i);
    }
    model_labels_resolve(&t, id1, collect, &end);
    assert_int_equal(end - got, 5);
    assert_int_equal(t.w_count, 5);
    model_labels_release(&t);
}
