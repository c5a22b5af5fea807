/* Any bytes as the log of a store: opening must end, what is accepted must be readable, and what is
 * committed then must be there after opening again.
 *
 * Checksums would keep a fuzzer out, so the input is a little program of segments and records whose
 * checksums are made right unless a flag says otherwise:
 *
 *   segment: flags (bit 0: damaged head, bit 1: prev = 0), records (1)
 *   record:  flags (bit 0: wrong checksum, bit 1: cut), kind (1), n (2), n bytes */
#include "engines/tsdb/log_int.h"

#include "base/hash.h"
#include "base/simos.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENTS 3
#define DIR_S    "/s"

static void put_record(struct buf *b, struct rd *r, uint32_t id)
{
    uint8_t flags = rd_u8(r);
    uint8_t kind = rd_u8(r);
    size_t n = rd_u16le(r);
    n = n < rd_left(r) ? n : rd_left(r);
    struct str bytes = rd_bytes(r, n);
    size_t at = b->n;
    char head[LOG_RECORD_HEAD];
    put_u32le(head, LOG_RECORD_MAGIC);
    put_u32le(head + 8, (uint32_t)n + 1);
    buf_add(b, head, sizeof head);
    buf_u8(b, kind % 8);
    buf_str_add(b, bytes);
    if (b->failed) {
        return;
    }
    struct str payload = str_of(b->p + at + LOG_RECORD_HEAD, n + 1);
    put_u32le(b->p + at + 4, wal_record_crc(id, head, payload) ^ (flags & 1));
    if ((flags & 2) != 0) {
        b->n -= n / 2;
    }
}

static void put_segment(const struct os *os, struct buf *b, struct rd *r, uint32_t id,
                        uint64_t *prev)
{
    uint8_t flags = rd_u8(r);
    char head[LOG_HEAD] = LOG_MAGIC;
    put_u32le(head + 8, LOG_VERSION);
    put_u32le(head + 12, id);
    put_u64le(head + 24, (flags & 2) != 0 ? 0 : *prev);
    put_u32le(head + 44, hash_crc32c(str_of(head, 44)) ^ (flags & 1));
    buf_reset(b);
    buf_add(b, head, sizeof head);
    for (int n = rd_u8(r) % 16; n > 0 && rd_left(r) > 0; n--) {
        put_record(b, r, id);
    }
    char path[PATH_BYTES_MAX];
    struct err e;
    ASSERT(wal_path(DIR_S "/log", id, path, &e));
    ASSERT(file_replace(os, path, buf_str(b), &e));
    *prev = log_position(id, b->n);
}

static void read_everything(struct tsdb *db, uint32_t extra, bool must)
{
    struct tsdb_view *v;
    struct tsdb_column c;
    struct mem m;
    struct arena a;
    struct err e = {.code = ERR_NONE};
    uint32_t *ids;
    uint32_t n;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 24);
    tsdb_column_init(&c, &m);
    ASSERT(tsdb_view_open(db, &v, &e));
    ASSERT(tsdb_select(v, NULL, 0, INT64_MIN, INT64_MAX, UINT32_MAX, true, &a, &ids, &n, &e));
    bool found = false;
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(tsdb_read(v, ids[i], INT64_MIN, INT64_MAX, UINT32_MAX, &c, &e));
        for (uint32_t k = 1; k < c.n; k++) {
            ASSERT(c.t[k - 1] < c.t[k]);
        }
        found |= ids[i] == extra && c.n > 0 && c.t[c.n - 1] == INT64_MAX - 1;
    }
    ASSERT(!must || found);
    tsdb_view_close(v);
    tsdb_column_release(&c);
    arena_release(&a);
}

static uint32_t write_one(struct tsdb *db)
{
    struct mem m;
    struct err e = {.code = ERR_NONE};
    struct label l = {STR("__name__"), STR("of_the_fuzzer")};
    uint32_t ref;
    mem_init(&m, 0);
    struct tsdb_batch *b = tsdb_batch_new(&m, 1 << 16);
    ASSERT(tsdb_series(db, 0, (struct labels){&l, 1}, &ref, &e));
    ASSERT(tsdb_batch_add(b, ref, INT64_MAX - 1, 1, &e));
    struct tsdb_result r;
    ASSERT(tsdb_commit_wait(db, b, TSDB_NO_FUTURE_CHECK, &r, &e));
    bool taken = r.samples == 1 || r.refused[TSDB_DUPLICATE] + r.refused[TSDB_OUT_OF_ORDER] == 1;
    ASSERT(taken);
    tsdb_batch_free(b);
    return r.samples == 1 ? ref : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct simos *sim = simos_new(1);
    const struct os *os = simos_os(sim);
    struct rd r = rd_of(str_of((const char *)data, size));
    struct mem m;
    struct buf b;
    struct err e = {.code = ERR_NONE};
    mem_init(&m, 0);
    buf_init(&b, &m, 1 << 20);
    ASSERT(dir_make(os, DIR_S "/log", &e));
    uint64_t prev = 0;
    for (uint32_t id = 1; id <= SEGMENTS && rd_left(&r) > 0; id++) {
        put_segment(os, &b, &r, id, &prev);
    }
    buf_release(&b);
    struct tsdb_config config;
    tsdb_config_default(&config);
    config.dir = DIR_S;
    config.retention_ms = 0;
    config.exemplars_max = 16;
    struct tsdb *db;
    if (tsdb_open(&db, &config, os, NULL, &e)) {
        read_everything(db, 0, false);
        uint32_t ref = write_one(db);
        tsdb_close(db);
        ASSERT(tsdb_open(&db, &config, os, NULL, &e));
        read_everything(db, ref, ref != 0);
        ASSERT(tsdb_flush(db, true, &e));
        read_everything(db, ref, ref != 0);
        tsdb_close(db);
    } else {
        ASSERT(e.code == ERR_NOMEM || e.code == ERR_LIMIT);
    }
    simos_free(sim);
    return 0;
}
