/* Configuration: default.yml is the tables, errors name the place. */
#include "base/file.h"
#include "base/test.h"
#include "sim/sim_int.h"

struct read {
    struct mem mem;
    struct arena arena;
    struct sim_config c;
    struct err e;
};

static bool read_text(struct read *r, struct str text)
{
    mem_init(&r->mem, 0);
    arena_init(&r->arena, &r->mem, 4U << 20);
    memset(&r->e, 0, sizeof r->e);
    return sim_config_read(text, "sim.yml", &r->arena, &r->c, &r->e);
}

static void read_done(struct read *r)
{
    arena_release(&r->arena);
    assert_int_equal(r->mem.bytes, 0);
}

static void assert_refused(const char *text, uint32_t line, const char *part)
{
    struct read r;
    if (read_text(&r, str_from_c(text))) {
        fail_msg("accepted: %s", text);
    }
    if (!str_contains(str_from_c(r.e.msg), str_from_c(part))) {
        fail_msg("expected '%s' in '%s'", part, r.e.msg);
    }
    assert_int_equal(r.e.line, line);
    assert_int_equal(r.e.code, ERR_INPUT);
    read_done(&r);
}

TEST(config_default_yml_is_the_printed_tables)
{
    struct mem m;
    struct buf file, printed;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&file, &m, 1U << 20);
    buf_init(&printed, &m, 1U << 20);
    assert_true(file_read(os_real(), test_path("sim/default.yml"), &file, &e));
    sim_config_print(&printed);
    assert_str(buf_str(&file), buf_str(&printed));
    buf_release(&file);
    buf_release(&printed);
}

static void forget_slices(struct sim_config *c)
{
    c->participants.own = c->model.name = c->model.version = (struct str){NULL, 0};
    c->model.sha256 = c->stages.version = (struct str){NULL, 0};
    c->volume.holidays = (struct conf_strs){NULL, 0};
}

TEST(config_empty_text_equals_default_yml)
{
    struct mem m;
    struct buf file;
    struct err e = {0};
    struct read a, b;
    mem_init(&m, 0);
    buf_init(&file, &m, 1U << 20);
    assert_true(file_read(os_real(), test_path("sim/default.yml"), &file, &e));
    assert_true(read_text(&a, str_of("", 0)));
    assert_true(read_text(&b, buf_str(&file)));
    assert_str(a.c.model.version, b.c.model.version);
    assert_str(a.c.participants.own, STR("99999008"));
    assert_str(a.c.participants.own, b.c.participants.own);
    assert_int_equal(a.c.participants.count, 32);
    forget_slices(&a.c);
    forget_slices(&b.c);
    assert_memory_equal(&a.c, &b.c, sizeof a.c);
    read_done(&a);
    read_done(&b);
    buf_release(&file);
}

TEST(config_values_arrive)
{
    struct read r;
    assert_true(read_text(&r, STR("volume: {rate: 7.5, holidays: ['2026-07-09']}\n"
                                  "stages: {score: [9, 0.1, 2]}\n"
                                  "participants: {own: '', weights: {00000000: 1}}\n"
                                  "labels: {delay_scale: 0.001}\n")));
    assert_true(r.c.volume.rate == 7.5);
    assert_true(r.c.stages.stage[ST_SCORE].work_ms == 9);
    assert_true(r.c.stages.stage[ST_SCORE].queue_ms == 2);
    assert_int_equal(r.c.participants.count, 1);
    assert_memory_equal(r.c.participants.v[0].ispb, "00000000", 8);
    assert_int_equal(r.c.volume.holidays.count, 1);
    assert_true(r.c.labels.delay_scale == 0.001);
    read_done(&r);
}

TEST(config_presets_are_readable)
{
    struct read r;
    assert_true(read_text(&r, sim_preset(STR("demo"))));
    assert_true(r.c.fraud.rate == 0.03);
    /* "Holds about to end" stays quiet: analysts are far quicker than the rule's window. */
    assert_true(r.c.holds.day_window_ms == 30 * 60000 && r.c.holds.night_window_ms == 60 * 60000);
    assert_true(r.c.holds.review_ms * 20 < r.c.holds.day_window_ms);
    assert_true(r.c.holds.expired_share == 0);
    assert_int_equal(sim_preset(STR("other")).n, 0);
    read_done(&r);
}

TEST(config_errors_name_the_place)
{
    assert_refused("volume:\n  ratte: 3\n", 2, "rate");
    assert_refused("volumes: {}\n", 1, "volume");
    assert_refused("volume:\n  rate: fast\n", 2, "fast");
    assert_refused("fraud:\n  rate: 0.9\n", 2, "0.9");
    assert_refused("volume:\n  weekday_hours: [1, 2]\n", 2, "list of 24");
    assert_refused("stages:\n  score: [1, 2, x]\n", 2, "'x'");
    assert_refused("participants:\n  weights:\n    '1234': 1\n", 3, "ISPB");
    assert_refused("participants:\n  weights:\n    '12345678': -1\n", 3, "weight");
    assert_refused("participants: {weights: {}}\n", 1, "1 to 128");
    assert_refused("volume: 3\n", 1, "mapping");
}

TEST(config_relations_between_keys_are_checked)
{
    assert_refused("participants: {own: 'abc'}\n", 0, "own");
    assert_refused("participants: {weights: {'12345678': 0}}\n", 0, "zero");
    assert_refused("model: {threshold: 0.5}\n", 0, "step_up");
    assert_refused("model: {version: 'a\"b'}\n", 0, "printable");
    assert_refused("volume: {holidays: [tomorrow]}\n", 0, "tomorrow");
    assert_refused("customers: {payers_min: 2000, payers_max: 1000}\n", 0, "payers_min");
    assert_refused("labels: {within_24h: 0, within_7d: 0, within_30d: 0, within_80d: 0}\n", 0,
                   "labels");
    assert_refused("amounts: {p2p_weight: 0, p2b_weight: 0, b2p_weight: 0, weekend_b2b: 0}\n", 0,
                   "amounts");
}
