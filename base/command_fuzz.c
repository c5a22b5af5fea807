/* Any words on a command line: read or refused with a message; what was read stays inside its
 * bounds. Input: words separated by NUL bytes. */
#include "base/command.h"

#include "base/err.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_BYTES_MAX 4096
#define WORDS_MAX      512

static const struct command_option options[] = {
    {"output", 'o', "FORMAT", "table|json", {"formato", "format"}},
    {"frames", 'n', "N", NULL, {"quadros", "frames"}},
    {"all", 'a', NULL, NULL, {"tudo", "everything"}},
};
static const struct command commands[] = {
    {.name = "many", .operands = "FILE...", .options = options, .options_count = 3},
    {.name = "choice", .operands = "bash|zsh [OUT]", .options = options, .options_count = 3},
    {.name = "none"},
};

static bool points_into(const char *p, const char *text, size_t n)
{
    return p >= text && p <= text + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_BYTES_MAX + 1];
    const char *words[WORDS_MAX];
    int count = 0;
    if (size > TEXT_BYTES_MAX) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    for (size_t i = 0; i < size && count < WORDS_MAX; i += strlen(text + i) + 1) {
        words[count++] = text + i;
    }
    for (size_t k = 0; k < ARRAY_LEN(commands); k++) {
        struct command_args a = {.lang = LANG_EN, .url = "http://x"};
        struct err e = {0};
        if (!command_parse(&commands[k], count, words, &a, &e)) {
            ASSERT(e.code == ERR_INPUT || e.code == ERR_LIMIT);
            ASSERT(e.msg[0] != '\0');
            continue;
        }
        ASSERT(a.options_count <= COMMAND_OPTIONS_MAX);
        ASSERT(a.operands_count <= COMMAND_OPERANDS_MAX);
        for (uint32_t i = 0; i < a.options_count; i++) {
            const char *value = a.options[i].value;
            ASSERT((value != NULL) == (a.options[i].option->arg != NULL));
            ASSERT(!value || points_into(value, text, size));
        }
        for (uint32_t i = 0; i < a.operands_count; i++) {
            ASSERT(points_into(a.operands[i], text, size));
        }
        bool help = command_flag(&a, "help");
        ASSERT(help || k != 0 || a.operands_count > 0);
        ASSERT(help || k != 2 || a.operands_count == 0);
    }
    return 0;
}
