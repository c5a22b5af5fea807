/* Manual pages in troff (man macros), from the table of commands and the tables of configuration
 * keys: farol(1), farol-CMD(1) and farol.conf(5), in Portuguese and English.
 *
 * Input is our own text; what troff would take for a request is escaped: a backslash, a leading dot
 * or quote, and "-" where it must stay a hyphen-minus to be copied. UTF-8 is named on the first
 * line, which man-db's preconv reads. Source: groff_man(7), man-pages(7). */
#include "server/commands_int.h"

#include "server/config_int.h"
#include "server/text_int.h"

#include <ctype.h>

/* One line of text, escaped. `line_start`: whether it begins an input line. */
static void roff(struct buf *out, struct str s, bool line_start)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (line_start && (c == '.' || c == '\'')) {
            BUF_LIT(out, "\\&");
        }
        line_start = c == '\n';
        if (c == '\\') {
            BUF_LIT(out, "\\e");
        } else if (c == '-') {
            BUF_LIT(out, "\\-");
        } else if (c == '"') {
            BUF_LIT(out, "\\(dq");
        } else {
            buf_char(out, c);
        }
    }
}

static void roff_c(struct buf *out, const char *s)
{
    roff(out, str_from_c(s), false);
}

static void section(struct buf *out, enum lang lang, enum text_id id)
{
    BUF_LIT(out, ".SH \"");
    buf_str_add(out, str_from_c(server_text(lang, id)));
    BUF_LIT(out, "\"\n");
}

static void upper(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        buf_char(out, (char)toupper((unsigned char)s.p[i]));
    }
}

/* .TH and NAME. */
static void head(struct buf *out, enum lang lang, struct str name, int manual, const char *summary)
{
    BUF_LIT(out, ".\\\" -*- coding: UTF-8 -*-\n.\\\" ");
    buf_str_add(out, str_from_c(server_text(lang, TEXT_MAN_GENERATED)));
    BUF_LIT(out, "\n.TH \"");
    upper(out, name);
    buf_fmt(out, "\" \"%d\" \"\" \"farol %s\" \"%s\"\n", manual, server_version,
            server_text(lang, TEXT_MAN_BOOK));
    section(out, lang, TEXT_MAN_NAME);
    roff(out, name, true);
    BUF_LIT(out, " \\- ");
    roff_c(out, summary);
    buf_char(out, '\n');
}

/* Paragraphs separated by blank lines. */
static void paragraphs(struct buf *out, const char *text)
{
    struct str rest = str_from_c(text);
    while (rest.n > 0) {
        struct str_cut cut = str_cut(rest, '\n');
        if (cut.head.n == 0) {
            BUF_LIT(out, ".PP\n");
        } else {
            roff(out, cut.head, true);
            buf_char(out, '\n');
        }
        rest = cut.tail;
    }
}

static void option(struct buf *out, enum lang lang, const struct command_option *o)
{
    BUF_LIT(out, ".TP\n");
    if (o->letter) {
        buf_fmt(out, "\\fB\\-%c\\fR, ", o->letter);
    }
    BUF_LIT(out, "\\fB\\-\\-");
    roff_c(out, o->name);
    BUF_LIT(out, "\\fR");
    if (o->arg) {
        BUF_LIT(out, " \\fI");
        roff_c(out, o->arg);
        BUF_LIT(out, "\\fR");
    }
    buf_char(out, '\n');
    roff(out, str_from_c(o->help[lang]), true);
    if (o->choices) {
        BUF_LIT(out, " (");
        roff_c(out, o->choices);
        buf_char(out, ')');
    }
    buf_char(out, '\n');
}

static void common_options(struct buf *out, enum lang lang)
{
    section(out, lang, TEXT_MAN_COMMON);
    uint32_t count;
    const struct command_option *common = command_common(&count);
    for (uint32_t i = 0; i < count; i++) {
        option(out, lang, &common[i]);
    }
}

static void see_also(struct buf *out, enum lang lang, const struct command *except)
{
    section(out, lang, TEXT_MAN_SEE_ALSO);
    if (except) {
        BUF_LIT(out, ".BR farol (1),\n");
    }
    for (uint32_t i = 0; i < server_commands_count; i++) {
        if (server_commands[i] != except) {
            BUF_LIT(out, ".BR farol\\-");
            server_man_name(out, server_commands[i]);
            BUF_LIT(out, " (1),\n");
        }
    }
    BUF_LIT(out, ".BR farol.conf (5)\n");
}

void server_man_name(struct buf *out, const struct command *c)
{
    for (const char *p = c->name; *p; p++) {
        buf_char(out, *p == ' ' ? '-' : *p);
    }
}

void server_man_program(struct buf *out, enum lang lang)
{
    head(out, lang, STR("farol"), 1, server_text(lang, TEXT_PROGRAM_SUMMARY));
    section(out, lang, TEXT_MAN_SYNOPSIS);
    BUF_LIT(out, ".B farol\n.I ");
    buf_str_add(out, str_from_c(server_text(lang, TEXT_MAN_COMMAND_WORD)));
    buf_char(out, '\n');
    section(out, lang, TEXT_MAN_DESCRIPTION);
    paragraphs(out, server_text(lang, TEXT_PROGRAM_ABOUT));
    section(out, lang, TEXT_MAN_COMMANDS);
    for (uint32_t i = 0; i < server_commands_count; i++) {
        BUF_LIT(out, ".TP\n\\fB");
        roff_c(out, server_commands[i]->name);
        BUF_LIT(out, "\\fR\n");
        roff(out, str_from_c(server_commands[i]->summary[lang]), true);
        buf_char(out, '\n');
    }
    common_options(out, lang);
    section(out, lang, TEXT_MAN_EXIT);
    static const struct {
        const char *code;
        enum text_id text;
    } codes[] = {{"0", TEXT_EXIT_0}, {"1", TEXT_EXIT_1}, {"2", TEXT_EXIT_2},  {"3", TEXT_EXIT_3},
                 {"4", TEXT_EXIT_4}, {"5", TEXT_EXIT_5}, {"78", TEXT_EXIT_78}};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        buf_fmt(out, ".TP\n.B %s\n", codes[i].code);
        roff_c(out, server_text(lang, codes[i].text));
        buf_char(out, '\n');
    }
    section(out, lang, TEXT_MAN_ENVIRONMENT);
    static const struct {
        const char *name;
        enum text_id text;
    } variables[] = {{"FAROL_URL", TEXT_ENV_URL},
                     {"NO_COLOR", TEXT_ENV_NO_COLOR},
                     {"LC_ALL, LC_MESSAGES, LANG", TEXT_ENV_LANG},
                     {"NOTIFY_SOCKET", TEXT_ENV_NOTIFY}};
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        buf_fmt(out, ".TP\n.B %s\n", variables[i].name);
        roff_c(out, server_text(lang, variables[i].text));
        buf_char(out, '\n');
    }
    see_also(out, lang, NULL);
}

void server_man_command(struct buf *out, enum lang lang, const struct command *c)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct buf name;
    buf_init(&name, &mem, 256);
    BUF_LIT(&name, "farol-");
    server_man_name(&name, c);
    head(out, lang, buf_str(&name), 1, c->summary[lang]);
    buf_release(&name);
    section(out, lang, TEXT_MAN_SYNOPSIS);
    BUF_LIT(out, "\\fBfarol ");
    roff_c(out, c->name);
    BUF_LIT(out, "\\fR [\\fI");
    buf_str_add(out, str_from_c(server_text(lang, TEXT_MAN_OPTIONS_WORD)));
    BUF_LIT(out, "\\fR]");
    if (c->operands) {
        BUF_LIT(out, " \\fI");
        roff_c(out, c->operands);
        BUF_LIT(out, "\\fR");
    }
    buf_char(out, '\n');
    if (c->examples[lang]) {
        section(out, lang, TEXT_MAN_EXAMPLES);
        BUF_LIT(out, ".nf\n");
        roff(out, str_from_c(c->examples[lang]), true);
        BUF_LIT(out, "\n.fi\n");
    }
    if (c->about[lang]) {
        section(out, lang, TEXT_MAN_DESCRIPTION);
        paragraphs(out, c->about[lang]);
    }
    if (c->options_count > 0) {
        section(out, lang, TEXT_MAN_OPTIONS);
    }
    for (uint32_t i = 0; i < c->options_count; i++) {
        option(out, lang, &c->options[i]);
    }
    common_options(out, lang);
    see_also(out, lang, c);
}

static void conf_key(struct buf *out, enum lang lang, const char *section_name,
                     const struct conf_field *f)
{
    BUF_LIT(out, ".TP\n\\fB");
    roff_c(out, f->key);
    BUF_LIT(out, "\\fR (\\fI");
    buf_str_add(out, str_from_c(server_config_type(lang, f->type)));
    BUF_LIT(out, "\\fR");
    if (f->fallback) {
        buf_fmt(out, ", %s \\fB", server_text(lang, TEXT_MAN_DEFAULT));
        roff_c(out, f->fallback[0] ? f->fallback : "\"\"");
        BUF_LIT(out, "\\fR");
    }
    BUF_LIT(out, ")\n");
    roff(out, str_from_c(server_config_help(lang, section_name, f)), true);
    buf_char(out, '\n');
}

bool server_man_conf(struct buf *out, enum lang lang, struct err *e)
{
    head(out, lang, STR("farol.conf"), 5, server_text(lang, TEXT_CONF_SUMMARY));
    section(out, lang, TEXT_MAN_DESCRIPTION);
    paragraphs(out, server_text(lang, TEXT_CONF_ABOUT));
    section(out, lang, TEXT_MAN_EXAMPLES);
    BUF_LIT(out, ".nf\n");
    roff(out, str_from_c(server_config_example), true);
    BUF_LIT(out, ".fi\n");
    uint32_t count;
    const struct server_section *sections = server_config_sections(&count);
    for (uint32_t i = 0; i < count; i++) {
        BUF_LIT(out, ".SH \"");
        upper(out, str_from_c(sections[i].name));
        BUF_LIT(out, "\"\n");
        roff(out, str_from_c(sections[i].help[lang]), true);
        buf_char(out, '\n');
        size_t fields_count;
        const struct conf_field *fields = sections[i].fields(&fields_count);
        for (size_t k = 0; k < fields_count; k++) {
            conf_key(out, lang, sections[i].name, &fields[k]);
        }
    }
    see_also(out, lang, NULL);
    return buf_ok(out, e);
}
