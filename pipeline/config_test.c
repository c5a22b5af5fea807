#include "pipeline/rig_int.h"

static bool read_text(const char *text, struct pipeline_config *c, struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct arena a;
    arena_init(&a, &m, 1 << 20);
    struct yaml_node *root = NULL;
    *e = (struct err){.code = ERR_NONE};
    bool ok = yaml_parse(str_from_c(text), "farol.yml", &a, &root, e) &&
              pipeline_config_read(yaml_get(root, STR("pipeline")), &a, c, e);
    arena_release(&a);
    return ok;
}

TEST(config_defaults_are_those_of_the_manual)
{
    struct mem m;
    mem_init(&m, 0);
    struct rig g;
    assert_true(rig_init(&g, &m, 1, NULL));
    const struct pipeline_plan *p = &g.p->plan;
    assert_int_equal(p->stages_count, 7);
    assert_int_equal(p->decided_position, 6);
    assert_int_equal(p->window_ns, 60 * NS_PER_S);
    assert_int_equal(p->lateness_ns, 60 * NS_PER_S);
    assert_int_equal(p->remember_ns, 600 * NS_PER_S);
    assert_int_equal(p->hold_ns, 3600 * NS_PER_S);
    assert_int_equal(p->idle_ns, 30 * NS_PER_S);
    assert_int_equal(p->clock_error_us, 50000);
    assert_int_equal(p->transactions_max, 2000000);
    rig_release(&g);
}

TEST(config_says_where_it_is_wrong)
{
    struct pipeline_config c;
    struct err e;
    assert_true(read_text("pipeline: {window: 90s, stages: [a, b, act, z]}", &c, &e));
    assert_int_equal(c.window_ms, 90000);
    assert_false(read_text("pipeline:\n  stages: [a, b, a]\n", &c, &e));
    assert_int_equal(e.line, 2);
    assert_int_equal(e.col, 18);
    assert_true(str_contains(str_from_c(e.msg), STR("'a' is listed twice")));
    assert_false(read_text("pipeline:\n  decided_stage: actt\n", &c, &e));
    assert_int_equal(e.line, 2);
    assert_false(read_text("pipeline: {stages: [one]}", &c, &e));
    assert_false(read_text("pipeline: {widnow: 90s}", &c, &e));
    assert_false(read_text("pipeline: {stages: [a,b,c,d,e,f,g,h,i,j,k,l,m]}", &c, &e));
}

TEST(config_without_the_usual_act_ends_everything_at_the_last_stage)
{
    struct mem m;
    mem_init(&m, 0);
    struct arena a;
    arena_init(&a, &m, 1 << 20);
    struct yaml_node *root = NULL;
    struct pipeline_config c;
    assert_true(yaml_parse(STR("stages: [in, out]"), "t", &a, &root, NULL));
    assert_true(pipeline_config_read(root, &a, &c, NULL));
    struct pipeline_plan p;
    pipeline_plan_init(&p, &c);
    assert_int_equal(p.decided_position, 2);
    arena_release(&a);
}
