#include "pipeline/rig_int.h"

TEST(table_packs_an_id_and_gives_it_back)
{
    struct e2e id;
    memcpy(id.c, "E0a0Z9999209912312359Zz019AbCdef", E2E_BYTES);
    uint64_t packed[3];
    assert_true(pipeline_id_pack(&id, packed));
    struct e2e back;
    pipeline_id_unpack(packed, &back);
    assert_memory_equal(back.c, id.c, E2E_BYTES);
    id.c[12] = 'x'; /* not a digit of the minute */
    assert_false(pipeline_id_pack(&id, packed));
    id.c[12] = '1';
    id.c[0] = 'D';
    assert_false(pipeline_id_pack(&id, packed));
}

/* Random adds and removes against a plain array; with few distinct home slots the probes overlap.
 * */
TEST(table_agrees_with_a_plain_array)
{
    enum { IDS = 5000 };
    struct mem m;
    mem_init(&m, 0);
    struct pipeline_table t;
    pipeline_table_init(&t, &m, 3000);
    static uint32_t where[IDS];
    memset(where, 0xff, sizeof where);
    uint32_t count = 0;
    struct rng r;
    rng_init(&r, test_seed());
    for (int i = 0; i < 200000; i++) {
        uint64_t number = rng_below(&r, IDS);
        struct e2e e = rig_id(number);
        uint64_t id[3];
        assert_true(pipeline_id_pack(&e, id));
        struct hash128 h = e2e_hash(&e);
        uint32_t found = pipeline_table_find(&t, h, id);
        assert_int_equal(found, where[number]);
        if (found != PIPELINE_NIL) {
            pipeline_table_remove(&t, found);
            where[number] = PIPELINE_NIL;
            count--;
        } else {
            where[number] = pipeline_table_add(&t, h, id);
            assert_int_equal(where[number] == PIPELINE_NIL, count == 3000);
            count += where[number] != PIPELINE_NIL;
        }
        assert_int_equal(t.count, count);
    }
    assert_true(count > 1000);
    pipeline_table_release(&t);
    assert_int_equal(m.bytes, 0);
}

TEST(table_costs_at_most_96_bytes_a_transaction)
{
    struct mem m;
    mem_init(&m, 0);
    struct pipeline_table t;
    pipeline_table_init(&t, &m, 2000000);
    for (uint32_t i = 0; i < 400000; i++) {
        struct e2e e = rig_id(i);
        uint64_t id[3];
        assert_true(pipeline_id_pack(&e, id));
        assert_int_not_equal(pipeline_table_add(&t, e2e_hash(&e), id), PIPELINE_NIL);
        if (i >= 100000 && i % 1000 == 0) {
            assert_true(pipeline_table_bytes(&t) <= (uint64_t)(i + 1) * 96);
        }
    }
    assert_int_equal(pipeline_table_bytes(&t), m.bytes);
    pipeline_table_release(&t);
}

TEST(a_reserved_table_does_not_grow_on_the_way)
{
    struct mem m;
    mem_init(&m, 0);
    struct pipeline_table t;
    pipeline_table_init(&t, &m, 2000000);
    pipeline_table_reserve(&t, 0);
    assert_int_equal(m.bytes, 0);
    pipeline_table_reserve(&t, 300000);
    uint32_t cap[PIPELINE_SEGMENTS];
    for (uint32_t i = 0; i < PIPELINE_SEGMENTS; i++) {
        cap[i] = t.segments[i].cap;
    }
    for (uint32_t i = 0; i < 300000; i++) {
        struct e2e e = rig_id(i);
        uint64_t id[3];
        assert_true(pipeline_id_pack(&e, id));
        assert_int_not_equal(pipeline_table_add(&t, e2e_hash(&e), id), PIPELINE_NIL);
    }
    for (uint32_t i = 0; i < PIPELINE_SEGMENTS; i++) {
        assert_int_equal(t.segments[i].cap, cap[i]);
    }
    assert_true(pipeline_table_bytes(&t) <= 300000ULL * 96);
    pipeline_table_release(&t);
    /* Far more than the cap, from a file that lies: bounded by the cap. */
    pipeline_table_init(&t, &m, 1000);
    pipeline_table_reserve(&t, UINT64_MAX);
    assert_true(m.bytes < 100000);
    pipeline_table_release(&t);
}
