/* From words on the command line to a command's exit code: finds the command (one or two words),
 * reads its options, shows its help, and says what is nearest when a name is unknown. Apart from
 * main.c so that tests can call it. */
#include "server/commands_int.h"

#include "base/file.h"
#include "server/text_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HELP_BYTES_MAX (1U << 20)

const struct command *server_command_find(const char *const *words, int count, int *used)
{
    for (int want = count < 2 ? count : 2; want > 0; want--) {
        for (uint32_t i = 0; i < server_commands_count; i++) {
            struct str_cut name = str_cut(str_from_c(server_commands[i]->name), ' ');
            bool first = str_eq(name.head, str_from_c(words[0]));
            if (want == 1 ? first && !name.ok
                          : first && name.ok && str_eq(name.tail, str_from_c(words[1]))) {
                *used = want;
                return server_commands[i];
            }
        }
    }
    return NULL;
}

const char *server_command_near(struct str name)
{
    const char *best = NULL;
    size_t best_distance = name.n / 3 + 2;
    for (uint32_t i = 0; i < server_commands_count; i++) {
        size_t d = str_distance(str_from_c(server_commands[i]->name), name);
        if (d < best_distance) {
            best = server_commands[i]->name;
            best_distance = d;
        }
    }
    return best;
}

int server_put(const struct command_args *a, struct buf *out)
{
    struct err e = {0};
    bool ok = buf_ok(out, &e) &&
              file_write_all(a->os, STDOUT_FILENO, buf_str(out), "standard output", &e);
    buf_release(out);
    return ok ? EXIT_OK : server_fail(a, &e, EXIT_FAILED);
}

int server_fail(const struct command_args *a, const struct err *e, int code)
{
    char text[512];
    (void)a;
    (void)err_format(e, text, sizeof text);
    (void)fprintf(stderr, "farol: %s\n", text);
    return code;
}

static int unknown(enum lang lang, const char *word)
{
    const char *near = server_command_near(str_from_c(word));
    struct str shown = str_sub(str_from_c(word), 0, 40);
    if (near) {
        TELL(lang, UNKNOWN_COMMAND_NEAR, shown, str_from_c(near));
    } else {
        TELL(lang, UNKNOWN_COMMAND, shown);
    }
    return EXIT_USAGE;
}

static int show_help(const struct command_args *a, const struct command *c)
{
    struct mem mem;
    mem_init(&mem, 0);
    struct buf out;
    buf_init(&out, &mem, HELP_BYTES_MAX);
    if (c) {
        server_help_command(&out, a->lang, c);
    } else {
        server_help(&out, a->lang);
    }
    return server_put(a, &out);
}

static int run_command(struct command_args *a, const struct command *c, int count,
                       const char *const *words)
{
    struct err e = {0};
    if (!command_parse(c, count, words, a, &e)) {
        (void)fprintf(stderr, "farol %s: %s\n", c->name, e.msg);
        TELL(a->lang, SEE_HELP, str_from_c(c->name));
        return EXIT_USAGE;
    }
    if (command_flag(a, "help")) {
        return show_help(a, c);
    }
    if (a->log && command_flag(a, "quiet")) {
        a->log->level = LOG_WARN;
    } else if (a->log && command_flag(a, "verbose")) {
        a->log->level = LOG_DEBUG;
    }
    return c->run(a);
}

/* --lang may stand before the command. Returns how many words it took. */
static int take_lang(struct command_args *a, int count, const char *const *words)
{
    if (count >= 2 && str_eq(str_from_c(words[0]), STR("--lang"))) {
        a->lang = server_lang_of(words[1]);
        return 2;
    }
    if (count >= 1 && str_starts(str_from_c(words[0]), STR("--lang="))) {
        a->lang = server_lang_of(words[0] + 7);
        return 1;
    }
    return 0;
}

int server_dispatch(const struct os *os, struct log *log, enum lang lang, int count,
                    const char *const *words)
{
    const char *url = getenv("FAROL_URL");
    const char *no_color = getenv("NO_COLOR");
    bool tty = isatty(STDOUT_FILENO) == 1;
    struct command_args a = {.os = os,
                             .log = log,
                             .lang = lang,
                             .tty = tty,
                             .color = tty && !(no_color && no_color[0]),
                             .url = url && url[0] ? url : "http://127.0.0.1:9480"};
    int taken = take_lang(&a, count, words);
    count -= taken;
    words += taken;
    if (count == 0) {
        TELL(a.lang, NO_COMMAND, STR(""));
        return EXIT_USAGE;
    }
    struct str word = str_from_c(words[0]);
    if (str_eq(word, STR("-h")) || str_eq(word, STR("--help"))) {
        return show_help(&a, NULL);
    }
    static const char *const version_words[] = {"version"};
    if (str_eq(word, STR("--version"))) {
        words = version_words;
        count = 1;
    }
    int used = 0;
    const struct command *c = server_command_find(words, count, &used);
    return c ? run_command(&a, c, count - used, words + used) : unknown(a.lang, words[0]);
}
