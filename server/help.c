/* Help on the terminal, from the table of commands: examples first, because they are what people
 * look for; then usage, what it does, and options in two columns. Lines are filled to 80 columns.
 */
#include "server/commands_int.h"

#include "server/text_int.h"

#define HELP_COLUMNS 80
#define HELP_INDENT  27

/* Columns that UTF-8 text takes: its code points. All our own text is of single-width letters. */
static size_t columns_of(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    }
    return n;
}

/* Fills words between `indent` and column 80; the cursor stands at column `at`. Blank lines stay.
 */
static void fill(struct buf *out, struct str text, size_t indent, size_t at)
{
    while (text.n > 0) {
        if (text.p[0] == '\n') {
            BUF_LIT(out, "\n\n");
            while (text.n > 0 && text.p[0] == '\n') {
                text = str_sub(text, 1, text.n);
            }
            for (at = 0; at < indent && text.n > 0; at++) {
                buf_char(out, ' ');
            }
            continue;
        }
        size_t n = 0;
        while (n < text.n && text.p[n] != ' ' && text.p[n] != '\n') {
            n++;
        }
        struct str word = str_sub(text, 0, n);
        size_t columns = columns_of(word);
        if (at > indent && at + 1 + columns > HELP_COLUMNS) {
            buf_char(out, '\n');
            for (at = 0; at < indent; at++) {
                buf_char(out, ' ');
            }
        } else if (at > indent) {
            buf_char(out, ' ');
            at++;
        }
        buf_str_add(out, word);
        at += columns;
        text = str_sub(text, n, text.n);
        /* One line feed inside a paragraph is a space; two begin a new one. */
        while (text.n > 0 &&
               (text.p[0] == ' ' || (text.p[0] == '\n' && (text.n == 1 || text.p[1] != '\n')))) {
            text = str_sub(text, 1, text.n);
        }
    }
    buf_char(out, '\n');
}

static void two_columns(struct buf *out, struct str left, struct str right)
{
    BUF_LIT(out, "  ");
    buf_str_add(out, left);
    size_t at = 2 + columns_of(left);
    if (at + 2 > HELP_INDENT) {
        buf_char(out, '\n');
        at = 0;
    }
    for (; at < HELP_INDENT; at++) {
        buf_char(out, ' ');
    }
    fill(out, right, HELP_INDENT, at);
}

static void option_line(struct buf *out, enum lang lang, const struct command_option *o)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct buf left;
    struct buf right;
    buf_init(&left, &mem, 4096);
    buf_init(&right, &mem, 4096);
    if (o->letter) {
        buf_fmt(&left, "-%c, ", o->letter);
    } else {
        BUF_LIT(&left, "    ");
    }
    buf_fmt(&left, "--%s", o->name);
    if (o->arg) {
        buf_fmt(&left, " %s", o->arg);
    }
    buf_str_add(&right, str_from_c(o->help[lang]));
    if (o->choices) {
        buf_fmt(&right, " (%s)", o->choices);
    }
    two_columns(out, buf_str(&left), buf_str(&right));
    buf_release(&left);
    buf_release(&right);
}

void server_help(struct buf *out, enum lang lang)
{
    SAY(out, lang, HELP_HEAD, str_from_c(server_version));
    for (uint32_t i = 0; i < server_commands_count; i++) {
        two_columns(out, str_from_c(server_commands[i]->name),
                    str_from_c(server_commands[i]->summary[lang]));
    }
    SAY(out, lang, HELP_TAIL, STR(""));
}

void server_help_command(struct buf *out, enum lang lang, const struct command *c)
{
    buf_fmt(out, "farol %s: %s\n", c->name, c->summary[lang]);
    if (c->examples[lang]) {
        SAY(out, lang, HELP_EXAMPLES, STR(""));
        buf_fmt(out, "%s\n", c->examples[lang]);
    }
    SAY(out, lang, HELP_USAGE, str_from_c(c->name), str_from_c(c->operands ? " " : ""),
        str_from_c(c->operands));
    if (c->about[lang]) {
        buf_char(out, '\n');
        fill(out, str_from_c(c->about[lang]), 0, 0);
    }
    if (c->options_count > 0) {
        SAY(out, lang, HELP_OPTIONS, STR(""));
    }
    for (uint32_t i = 0; i < c->options_count; i++) {
        option_line(out, lang, &c->options[i]);
    }
    uint32_t count;
    const struct command_option *common = command_common(&count);
    SAY(out, lang, HELP_COMMON, STR(""));
    for (uint32_t i = 0; i < count; i++) {
        option_line(out, lang, &common[i]);
    }
}
