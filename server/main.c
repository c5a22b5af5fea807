/* The program. Everything it does is a command (server/cmd_*.c and the modules' own) found in a
 * table. */
#include "base/log.h"
#include "base/os.h"
#include "server/commands_int.h"
#include "server/text_int.h"

#include <stdlib.h>
#include <unistd.h>

#define LOG_LINES_PER_S_MAX 200

int main(int argc, char **argv)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    enum lang lang = LANG_EN;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value && value[0]) {
            lang = server_lang_of(value);
            break;
        }
    }
    struct log log;
    log_init(&log, os_real(), STDERR_FILENO, LOG_INFO);
    log.lines_per_s_max = LOG_LINES_PER_S_MAX;
    int skip = argc > 0 ? 1 : 0;
    return server_dispatch(os_real(), &log, lang, argc - skip, (const char *const *)argv + skip);
}
