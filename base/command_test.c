/* Tests of base/command.c. */
#include "base/command.h"

#include "base/test.h"

static int run_nothing(const struct command_args *a)
{
    return a ? EXIT_OK : EXIT_FAILED;
}

static const struct command_option options[] = {
    {"output", 'o', "FORMAT", "table|json", {"formato", "format"}},
    {"frames", 'n', "N", NULL, {"quadros", "frames"}},
    {"all", 'a', NULL, NULL, {"tudo", "everything"}},
    {"brief", 'b', NULL, NULL, {"breve", "brief"}},
};

static const struct command files = {.name = "files",
                                     .operands = "FILE...",
                                     .options = options,
                                     .options_count = ARRAY_LEN(options),
                                     .run = run_nothing};
static const struct command shell = {
    .name = "shell", .operands = "bash|zsh [OUT]", .options = NULL, .run = run_nothing};
static const struct command bare = {
    .name = "bare", .options = options, .options_count = ARRAY_LEN(options), .run = run_nothing};

static bool parse(const struct command *c, struct command_args *a, struct err *e,
                  const char *const *argv)
{
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    *a = (struct command_args){.lang = LANG_EN, .color = true, .url = "http://default"};
    err_clear(e);
    return command_parse(c, argc, argv, a, e);
}
#define PARSE(c, ...) parse((c), &a, &e, (const char *const[]){__VA_ARGS__, NULL})
#define REFUSED(text, c, ...)                            \
    do {                                                 \
        assert_false(PARSE(c, __VA_ARGS__));             \
        assert_str(str_from_c(e.msg), str_from_c(text)); \
    } while (0)

TEST(command_reads_every_spelling_of_an_option)
{
    struct command_args a;
    struct err e = {0};
    assert_true(PARSE(&files, "-o", "json", "x", "--frames=3", "-ab", "y", "--", "-z"));
    assert_string_equal(command_value(&a, "output"), "json");
    assert_string_equal(command_value(&a, "frames"), "3");
    assert_true(command_flag(&a, "all"));
    assert_true(command_flag(&a, "brief"));
    assert_false(command_flag(&a, "help"));
    assert_int_equal(a.operands_count, 3);
    assert_string_equal(a.operands[0], "x");
    assert_string_equal(a.operands[1], "y");
    assert_string_equal(a.operands[2], "-z");
    assert_true(PARSE(&files, "-ojson", "-an7", "--frames", "9", "-"));
    assert_string_equal(command_value(&a, "output"), "json");
    assert_string_equal(command_value(&a, "frames"), "9"); /* the last one wins */
    assert_string_equal(a.operands[0], "-");
}

TEST(command_knows_the_options_of_every_command)
{
    struct command_args a;
    struct err e = {0};
    assert_true(PARSE(&bare, "--url", "http://x:1", "--lang=pt-BR", "--plain"));
    assert_string_equal(a.url, "http://x:1");
    assert_int_equal(a.lang, LANG_PT);
    assert_false(a.color);
    assert_true(PARSE(&bare, "--no-color"));
    assert_false(a.color);
    assert_true(PARSE(&files, "-h")); /* no FILE, but help was asked for */
    assert_true(command_flag(&a, "help"));
    uint32_t count;
    const struct command_option *common = command_common(&count);
    for (uint32_t i = 0; i < count; i++) {
        assert_non_null(common[i].help[LANG_PT]);
        assert_non_null(common[i].help[LANG_EN]);
    }
}

TEST(command_says_what_is_wrong_and_what_is_near)
{
    struct command_args a;
    struct err e = {0};
    REFUSED("unknown option '--outptu', did you mean '--output'?", &files, "--outptu=json");
    REFUSED("unknown option '--zzzzzzzz'", &files, "--zzzzzzzz");
    REFUSED("unknown option '-z'", &files, "-az");
    REFUSED("--output: expected one of table|json, found 'xml'", &files, "-o", "xml");
    REFUSED("--output: expected one of table|json, found ''", &files, "--output=");
    REFUSED("--output: expected one of table|json, found 'table|json'", &files, "-otable|json");
    REFUSED("--frames needs a value: --frames N", &files, "x", "--frames");
    REFUSED("--all takes no value", &files, "--all=1");
    REFUSED("FILE... is missing", &files, "-a");
    REFUSED("one argument too many: 'x'", &bare, "x");
    REFUSED("expected one of bash|zsh, found 'tcsh'", &shell, "tcsh");
    REFUSED("one argument too many: '3'", &shell, "zsh", "2", "3");
    REFUSED("opção desconhecida '--fram'; quis dizer '--frames'?", &files, "--lang", "pt",
            "--fram");
    assert_int_equal(e.code, ERR_INPUT);
}

TEST(command_bounds_its_words)
{
    const char *many[COMMAND_OPERANDS_MAX + 2];
    for (int i = 0; i < COMMAND_OPERANDS_MAX + 1; i++) {
        many[i] = "x";
    }
    many[COMMAND_OPERANDS_MAX + 1] = NULL;
    struct command_args a;
    struct err e = {0};
    assert_true(parse(&files, &a, &e, many + 1));
    assert_int_equal(a.operands_count, COMMAND_OPERANDS_MAX);
    assert_false(parse(&files, &a, &e, many));
    assert_int_equal(e.code, ERR_LIMIT);
    for (int i = 0; i < COMMAND_OPTIONS_MAX + 1; i++) {
        many[i] = "-a";
    }
    many[COMMAND_OPTIONS_MAX + 1] = NULL;
    assert_false(parse(&bare, &a, &e, many));
    assert_int_equal(e.code, ERR_LIMIT);
}
