/* Tests of finding commands (server/dispatch.c) and of the table that the build writes. */
#include "server/commands_int.h"

#include "base/test.h"

static const struct command *find(const char *a, const char *b, int *used)
{
    const char *const words[] = {a, b};
    *used = 0;
    return server_command_find(words, b ? 2 : 1, used);
}

TEST(dispatch_finds_commands_by_name)
{
    int used;
    const struct command *c = find("status", NULL, &used);
    assert_non_null(c);
    assert_string_equal(c->name, "status");
    assert_int_equal(used, 1);
    c = find("help", "status", &used);
    assert_string_equal(c->name, "help");
    assert_int_equal(used, 1);
    assert_null(find("stat", NULL, &used));
    assert_null(find("", NULL, &used));
    assert_null(server_command_find(NULL, 0, &used));
}

TEST(dispatch_suggests_what_is_near)
{
    assert_string_equal(server_command_near(STR("statsu")), "status");
    assert_string_equal(server_command_near(STR("rnu")), "run");
    assert_string_equal(server_command_near(STR("verison")), "version");
    assert_null(server_command_near(STR("xylophone")));
}

TEST(dispatch_table_is_whole_and_without_doubles)
{
    assert_true(server_commands_count >= 10);
    for (uint32_t i = 0; i < server_commands_count; i++) {
        const struct command *c = server_commands[i];
        assert_non_null(c->name);
        assert_non_null(c->run);
        for (int lang = 0; lang < LANGS; lang++) {
            assert_non_null(c->summary[lang]);
            assert_non_null(c->examples[lang]);
        }
        for (uint32_t k = 0; k < i; k++) {
            assert_string_not_equal(server_commands[k]->name, c->name);
        }
        for (uint32_t o = 0; o < c->options_count; o++) {
            const struct command_option *x = &c->options[o];
            assert_non_null(x->help[LANG_PT]);
            assert_non_null(x->help[LANG_EN]);
            for (uint32_t p = 0; p < o; p++) {
                assert_string_not_equal(c->options[p].name, x->name);
                assert_true(x->letter == 0 || c->options[p].letter != x->letter);
            }
        }
    }
}

TEST(dispatch_refuses_with_the_usage_code)
{
    struct log log;
    log_init(&log, os_real(), -1, LOG_ERROR);
    static const char *const unknown[] = {"statsu"};
    static const char *const option[] = {"version", "--bogus"};
    static const char *const operand[] = {"version", "x"};
    static const char *const shell[] = {"completion", "tcsh"};
    assert_int_equal(server_dispatch(os_real(), &log, LANG_EN, 0, NULL), EXIT_USAGE);
    assert_int_equal(server_dispatch(os_real(), &log, LANG_EN, 1, unknown), EXIT_USAGE);
    assert_int_equal(server_dispatch(os_real(), &log, LANG_PT, 2, option), EXIT_USAGE);
    assert_int_equal(server_dispatch(os_real(), &log, LANG_PT, 2, operand), EXIT_USAGE);
    assert_int_equal(server_dispatch(os_real(), &log, LANG_EN, 2, shell), EXIT_USAGE);
}
