/* Tests of server/text.c and text.def: both languages complete, with the same placeholders. */
#include "server/text_int.h"

#include "base/test.h"

static unsigned placeholders(const char *p)
{
    unsigned set = 0;
    for (; *p; p++) {
        if (p[0] == '{' && p[1] >= '1' && p[1] <= '9' && p[2] == '}') {
            set |= 1U << (p[1] - '0');
        }
    }
    return set;
}

static size_t line_feeds(const char *p)
{
    size_t n = 0;
    for (; *p; p++) {
        n += *p == '\n';
    }
    return n;
}

TEST(text_is_complete_in_both_languages)
{
    for (int id = 0; id < TEXTS; id++) {
        const char *pt = server_text(LANG_PT, (enum text_id)id);
        const char *en = server_text(LANG_EN, (enum text_id)id);
        assert_non_null(pt);
        assert_non_null(en);
        assert_true(pt[0] != '\0');
        assert_true(en[0] != '\0');
        assert_true(str_is_utf8(str_from_c(pt)));
        assert_int_equal(placeholders(pt), placeholders(en));
        assert_int_equal(line_feeds(pt), line_feeds(en));
    }
}

TEST(text_fills_placeholders_in_any_order)
{
    struct mem mem;
    struct buf out;
    mem_init(&mem, 0);
    buf_init(&out, &mem, 4096);
    SAY(&out, LANG_EN, UNKNOWN_COMMAND_NEAR, STR("rnu"), STR("run"));
    assert_str(buf_str(&out), STR("unknown command 'rnu', did you mean 'run'?"));
    buf_reset(&out);
    SAY(&out, LANG_PT, DEMO_PORT, STR("{1}"));
    assert_str(buf_str(&out), STR("a porta 9480 está em uso; a demonstração usa outra\n"));
    buf_reset(&out);
    SAY(&out, LANG_PT, UNKNOWN_COMMAND_NEAR, STR("{2}")); /* a value is not a template */
    assert_str(buf_str(&out), STR("comando desconhecido '{2}'; quis dizer '{2}'?"));
    buf_release(&out);
}

TEST(text_language_of_the_environment)
{
    assert_int_equal(server_lang_of("pt_BR.UTF-8"), LANG_PT);
    assert_int_equal(server_lang_of("pt"), LANG_PT);
    assert_int_equal(server_lang_of("en_US.UTF-8"), LANG_EN);
    assert_int_equal(server_lang_of("C"), LANG_EN);
    assert_int_equal(server_lang_of(""), LANG_EN);
}
