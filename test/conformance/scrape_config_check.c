/* Verdicts on configurations for the runner `scrape_config`: one line per file, "ok" or the
 * error. */
#include "base/file.h"
#include "ingest/scrape/scrape.h"

#include <stdio.h>
#include <stdlib.h>

static const char *env(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

int main(int argc, char **argv)
{
    struct mem m;
    mem_init(&m, 0);
    for (int i = 1; i < argc; i++) {
        struct buf text;
        struct scrape_config *c = NULL;
        struct err e = {.code = ERR_NONE};
        char line[512];
        struct str path = str_from_c(argv[i]);
        char dir[PATH_BYTES_MAX];
        size_t slash = path.n;
        while (slash > 0 && path.p[slash - 1] != '/') {
            slash--;
        }
        snprintf(dir, sizeof dir, "%.*s", (int)(slash > 1 ? slash - 1 : slash), path.p);
        struct scrape_config_options o = {
            .dir = slash ? dir : ".", .check_files = true, .os = os_real(), .env = env};
        buf_init(&text, &m, 64 << 20);
        if (file_read(os_real(), argv[i], &text, &e) &&
            scrape_config_parse(buf_str(&text), argv[i], &o, &m, &c, &e)) {
            puts("ok");
        } else {
            (void)err_format(&e, line, sizeof line);
            puts(line);
        }
        scrape_config_free(c);
        buf_release(&text);
    }
    return 0;
}
