/* Help, manual and completions come from one table: every command and every option must be in all
 * of them. */
#include "server/commands_int.h"
#include "server/config_int.h"

#include "base/test.h"

#include <stdio.h>

struct page {
    struct mem mem;
    struct buf out;
};

static void page_init(struct page *p)
{
    mem_init(&p->mem, 0);
    buf_init(&p->out, &p->mem, 8U << 20);
}

static void wants(struct page *p, const char *what, const char *command)
{
    if (!str_contains(buf_str(&p->out), str_from_c(what))) {
        print_error("'%s' is missing for command %s in:\n%.*s\n", what, command,
                    STR_FMT(buf_str(&p->out)));
        fail();
    }
}

/* "--name" as troff writes it: \-\-name, and its own hyphens escaped too. */
static void roff_option(const char *name, char *out, size_t cap)
{
    size_t n = (size_t)snprintf(out, cap, "\\-\\-");
    for (const char *c = name; *c && n + 3 < cap; c++) {
        if (*c == '-') {
            out[n++] = '\\';
        }
        out[n++] = *c;
    }
    out[n] = '\0';
}

static const struct command_option *option_at(const struct command *c, uint32_t i)
{
    uint32_t count;
    const struct command_option *common = command_common(&count);
    return i < c->options_count           ? &c->options[i]
           : i - c->options_count < count ? &common[i - c->options_count]
                                          : NULL;
}

TEST(pages_agree_on_every_command_and_option)
{
    struct page help;
    struct page man;
    struct page shells[3];
    page_init(&help);
    page_init(&man);
    for (int s = 0; s < 3; s++) {
        page_init(&shells[s]);
    }
    for (int lang = 0; lang < LANGS; lang++) {
        for (int s = 0; s < 3; s++) {
            buf_reset(&shells[s].out);
            server_completion(&shells[s].out, (enum lang)lang, (enum shell)s);
        }
        for (uint32_t i = 0; i < server_commands_count; i++) {
            const struct command *c = server_commands[i];
            buf_reset(&help.out);
            buf_reset(&man.out);
            server_help(&help.out, (enum lang)lang);
            wants(&help, c->name, "list");
            char begin[41]; /* the rest may stand on the next line */
            (void)snprintf(begin, sizeof begin, "%s", c->summary[lang]);
            wants(&help, begin, "list");
            buf_reset(&help.out);
            server_help_command(&help.out, (enum lang)lang, c);
            server_man_program(&man.out, (enum lang)lang);
            wants(&man, c->name, "farol(1)");
            buf_reset(&man.out);
            server_man_command(&man.out, (enum lang)lang, c);
            const struct command_option *o;
            for (uint32_t k = 0; (o = option_at(c, k)) != NULL; k++) {
                char word[80];
                (void)snprintf(word, sizeof word, "--%s", o->name);
                wants(&help, word, c->name);
                wants(&shells[SHELL_BASH], word, c->name);
                wants(&shells[SHELL_ZSH], word, c->name);
                (void)snprintf(word, sizeof word, "-l '%s'", o->name);
                wants(&shells[SHELL_FISH], word, c->name);
                roff_option(o->name, word, sizeof word);
                wants(&man, word, c->name);
            }
            for (int s = 0; s < 3; s++) {
                wants(&shells[s], c->name, "completion");
                assert_false(shells[s].out.failed);
            }
            assert_false(help.out.failed);
            assert_false(man.out.failed);
        }
    }
    for (int s = 0; s < 3; s++) {
        buf_release(&shells[s].out);
    }
    buf_release(&help.out);
    buf_release(&man.out);
}

/* Options of one command must not leak into another's completion: each bash case holds exactly its
 * own. */
TEST(pages_bash_offers_an_option_only_where_it_exists)
{
    struct page bash;
    page_init(&bash);
    server_completion(&bash.out, LANG_EN, SHELL_BASH);
    for (uint32_t i = 0; i < server_commands_count; i++) {
        const struct command *c = server_commands[i];
        char head[80];
        (void)snprintf(head, sizeof head, "    '%s')\n", c->name);
        struct str text = buf_str(&bash.out);
        size_t at = 0;
        while (at < text.n && !str_starts(str_sub(text, at, text.n), str_from_c(head))) {
            at++;
        }
        assert_true(at < text.n);
        size_t end = at + 1;
        while (end < text.n &&
               !str_starts(str_sub(text, end, text.n), STR("        esac\n        ;;\n"))) {
            end++;
        }
        struct str body = str_sub(text, at, end - at);
        bool frames = false;
        for (uint32_t k = 0; k < c->options_count; k++) {
            frames = frames || str_eq(str_from_c(c->options[k].name), STR("frames"));
        }
        assert_int_equal(str_contains(body, STR("--frames")), frames);
    }
    buf_release(&bash.out);
}

TEST(pages_conf_manual_names_every_key)
{
    struct page man;
    struct page defaults;
    page_init(&man);
    page_init(&defaults);
    struct err e = {0};
    assert_true(server_man_conf(&man.out, LANG_EN, &e));
    server_config_print(&defaults.out, LANG_PT);
    uint32_t count;
    const struct server_section *sections = server_config_sections(&count);
    for (uint32_t s = 0; s < count; s++) {
        size_t fields_count;
        const struct conf_field *f = sections[s].fields(&fields_count);
        assert_true(fields_count > 0);
        for (size_t i = 0; i < fields_count; i++) {
            char word[96];
            (void)snprintf(word, sizeof word, "\\fB%s\\fR", f[i].key);
            wants(&man, word, sections[s].name);
            (void)snprintf(word, sizeof word, "%s:", f[i].key);
            wants(&defaults, word, sections[s].name);
        }
    }
    buf_release(&defaults.out);
    buf_release(&man.out);
}

/* Help stays inside 80 columns, so that it reads on any terminal; examples are lines to copy and
 * may be longer. */
TEST(pages_help_fits_eighty_columns)
{
    struct page help;
    page_init(&help);
    for (uint32_t i = 0; i < server_commands_count; i++) {
        struct command c = *server_commands[i];
        c.examples[LANG_PT] = NULL;
        c.examples[LANG_EN] = NULL;
        for (int lang = 0; lang < LANGS; lang++) {
            buf_reset(&help.out);
            server_help_command(&help.out, (enum lang)lang, &c);
            struct str rest = buf_str(&help.out);
            (void)str_cut(rest, '\n');
            while (rest.n > 0) {
                struct str_cut cut = str_cut(rest, '\n');
                size_t columns = 0;
                bool one_word = !str_contains(str_trim(cut.head), STR(" "));
                for (size_t k = 0; k < cut.head.n; k++) {
                    columns += ((unsigned char)cut.head.p[k] & 0xC0) != 0x80;
                }
                if (columns > 80 && !one_word && rest.p != help.out.p) {
                    print_error("%zu columns: %.*s\n", columns, STR_FMT(cut.head));
                    fail();
                }
                rest = cut.tail;
            }
        }
    }
    buf_release(&help.out);
}
