/* Any bytes as a segment of Prometheus' write-ahead log, imported into a store on a simulated
 * machine (made anew for each input): it returns and the store can still be read. Checksums of
 * fragments are put right unless the first bit of the input is set. */
#include "base/file.h"
#include "base/hash.h"
#include "base/simos.h"
#include "engines/tsdb/import_int.h"

#include <stdlib.h>

#define PAGE 32768

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sums_put(char *p, size_t n)
{
    size_t at = 0;
    while (at + 7 <= n) {
        size_t left = PAGE - at % PAGE;
        size_t len = (size_t)(unsigned char)p[at + 1] << 8 | (unsigned char)p[at + 2];
        if ((p[at] & 7) == 0 || left < 7) {
            at += left;
            continue;
        }
        if (len > left - 7 || len > n - at - 7) {
            return;
        }
        put_u32le(p + at + 3, __builtin_bswap32(hash_crc32c(str_of(p + at + 7, len))));
        at += 7 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct tsdb *db = NULL;
    struct tsdb_config c;
    struct tsdb_import n;
    if (size < 2) {
        return 0;
    }
    char *p = malloc(size - 1);
    ASSERT(p != NULL);
    memcpy(p, data + 1, size - 1);
    if ((data[0] & 1) == 0) {
        sums_put(p, size - 1);
    }
    struct simos *s = simos_new(1);
    const struct os *os = simos_os(s);
    simos_clock_set(s, 1795453455000LL * 1000000);
    tsdb_config_default(&c);
    c.dir = "store";
    c.retention_ms = 0;
    bool ok = dir_make(os, "prom/wal", &e) &&
              file_replace(os, "prom/wal/00000000", str_of(p, size - 1), &e) &&
              tsdb_open(&db, &c, os, NULL, &e);
    ASSERT(ok);
    if (!tsdb_import_prometheus(db, os, "prom", NULL, NULL, &n, &e)) {
        ASSERT(e.code == ERR_LIMIT || e.code == ERR_NOMEM || e.code == ERR_INPUT);
    }
    ok = tsdb_flush(db, true, &e);
    ASSERT(ok);
    tsdb_close(db);
    simos_free(s);
    free(p);
    return 0;
}
