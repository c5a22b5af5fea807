/* Any bytes as a prometheus.yml are read or refused, with a place, and what was taken is given
 * back. */
#include "ingest/scrape/scrape.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A machine without files. */
static int no_open(void *ctx, const char *path, unsigned flags, int *fd)
{
    (void)ctx;
    (void)path;
    (void)flags;
    (void)fd;
    return ENOENT;
}

static int no_list(void *ctx, const char *path, void (*each)(void *arg, const char *name),
                   void *arg)
{
    (void)ctx;
    (void)path;
    (void)each;
    (void)arg;
    return ENOENT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    struct scrape_config *c = NULL;
    struct err e = {.code = ERR_NONE};
    struct os os = *os_real();
    os.open = no_open;
    os.list = no_list;
    struct scrape_config_options o = {.dir = "/x", .os = &os, .check_files = size % 2};
    if (size > 1 << 14) {
        return 0;
    }
    mem_init(&m, 64 << 20);
    if (scrape_config_parse(str_of((const char *)data, size), "fuzz", &o, &m, &c, &e)) {
        ASSERT(scrape_config_global(c)->scrape_interval_ms > 0);
        ASSERT(scrape_config_global(c)->scrape_timeout_ms <=
               scrape_config_global(c)->scrape_interval_ms);
    } else {
        ASSERT(c == NULL);
        ASSERT(e.code != ERR_NONE);
    }
    scrape_config_free(c);
    ASSERT(m.bytes == 0);
    return 0;
}
