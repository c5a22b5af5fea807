/* Specifications of faults. */
#include "base/test.h"
#include "sim/sim_int.h"

#include <stdio.h>

static void assert_refused(const char *spec, uint32_t col, const char *part)
{
    struct sim_fault f;
    struct err e = {0};
    if (sim_fault_parse(str_from_c(spec), &f, &e)) {
        fail_msg("accepted: %s", spec);
    }
    if (e.col != col || !str_contains(str_from_c(e.msg), str_from_c(part))) {
        fail_msg("'%s': expected '%s' at %u, found '%s' at %u", spec, part, col, e.msg, e.col);
    }
}

TEST(fault_every_default_parses_and_stands_alone)
{
    for (int i = 0; i < SIM_FAULT_KINDS; i++) {
        const struct sim_fault_info *info = sim_fault_info((enum sim_fault_id)i);
        struct sim_fault a, b;
        struct err e = {0};
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        assert_true(sim_fault_parse(str_from_c(info->defaults), &a, &e));
        assert_true(sim_fault_parse(str_from_c(info->name), &b, &e));
        assert_int_equal(a.id, i);
        assert_int_equal(a.start_ns, 60 * NS_PER_S);
        assert_true(a.end_ns > a.start_ns);
        assert_true(a.start_ns == b.start_ns && a.end_ns == b.end_ns && a.share == b.share);
        assert_true(info->help[LANG_PT] && info->help[LANG_EN]);
    }
}

TEST(fault_parameters_and_window)
{
    struct sim_fault f;
    struct err e = {0};
    assert_true(sim_fault_parse(STR("lost:share=0.25,stage=act@2m+30s"), &f, &e));
    assert_int_equal(f.id, SIM_LOST);
    assert_int_equal(f.stage, ST_ACT);
    assert_true(f.share == 0.25);
    assert_int_equal(f.start_ns, 120 * NS_PER_S);
    assert_int_equal(f.end_ns, 150 * NS_PER_S);
    assert_true(sim_fault_parse(STR("lost@5m"), &f, &e)); /* keeps its length of 2 minutes */
    assert_int_equal(f.end_ns - f.start_ns, 120 * NS_PER_S);
    assert_true(sim_fault_parse(STR("dict@0s+end"), &f, &e));
    assert_true(f.end_ns == SIM_TO_THE_END);
    assert_true(sim_fault_parse(STR("clock_skew:host=score-1,offset=-250ms"), &f, &e));
    assert_int_equal(f.ns, -250 * NS_PER_MS);
    assert_string_equal(f.host, "score-1");
    assert_true(sim_fault_parse(STR("dict"), &f, &e));
    assert_int_equal(f.end_ns - f.start_ns, 39 * 60 * NS_PER_S);
}

TEST(fault_by_catalogue_number)
{
    struct sim_fault a, b;
    struct err e = {0};
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    assert_true(sim_fault_parse(STR("3:share=0.01@2m+3m"), &a, &e));
    assert_true(sim_fault_parse(STR("lost:share=0.01@2m+3m"), &b, &e));
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(a.end_ns, 300 * NS_PER_S);
    for (int i = 0; i < SIM_FAULT_KINDS; i++) {
        const struct sim_fault_info *info = sim_fault_info((enum sim_fault_id)i);
        char number[16];
        (void)snprintf(number, sizeof number, "%d@5s", info->number);
        bool ok = sim_fault_parse(str_from_c(number), &a, &e);
        assert_true(ok == (info->number > 0)); /* 0 is no number of the catalogue */
        assert_true(!ok || (int)a.id == i);    /* so no number stands twice */
    }
    assert_refused("17", 1, "no fault number 17, there are 3, 4, 9, 10, 16, 25, 28, 32, 35");
    assert_refused("17", 1, "59 (--list-faults)");
    assert_refused("0", 1, "no fault number 0");
    assert_refused("3:shard=1", 3, "share,stage");
    assert_refused("18446744073709551615", 1, "there are 3");
}

TEST(fault_errors_name_the_place)
{
    assert_refused("lots", 1, "did you mean 'lost'");
    assert_refused("zzzzzzzzzz", 1, "--list-faults");
    assert_refused("", 1, "no fault");
    assert_refused("lost:shard=1", 6, "share,stage");
    assert_refused("lost:share=2", 6, "'2'");
    assert_refused("lost:share", 6, "not a value");
    assert_refused("lost:", 6, "key=value");
    assert_refused("lost:stage=ingest", 6, "ingest"); /* never entered: not a loss */
    assert_refused("unit:feature=colour", 6, "colour");
    assert_refused("supplier:share=1", 10, "none");
    assert_refused("lost@", 6, "start");
    assert_refused("lost@1m+", 9, "length");
    assert_refused("lost@1m+0s", 9, "length");
    assert_refused("clock_skew:host=a b", 12, "a b");
}
