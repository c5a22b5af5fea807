/* What import_prom.c and import_wal.c share. */
#ifndef ENGINES_TSDB_IMPORT_PROM_INT_H
#define ENGINES_TSDB_IMPORT_PROM_INT_H

#include "engines/tsdb/import_int.h"

/* thread: the importing one */
struct import_prom {
    struct mem mem;
    const struct os *os;
    struct import_sink sink;
    struct arena hists; /* of one chunk or record */
    int64_t day_ms;     /* as tsdb_backfill cuts */
    int64_t last_ms;    /* the newest sample of all blocks */
};

/* The write-ahead log in dir: what is newer than all blocks, as Prometheus itself reads it. */
MUST_USE bool import_wal(struct import_prom *p, const char *dir, struct err *e);

#endif
