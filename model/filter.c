/* Filters of run files: which files can an id not be in? And the memory they are kept in.
 *
 * With more decisions in an hour than the join store holds, each new decision is looked for in
 * every file of its hour, and is nearly always in none. A filter answers that without touching
 * the file: a blocked Bloom filter, 12 bits a row, at least one block. An id's block of 64 bytes
 * is chosen by hash.hi, its seven bits in the block by hash.lo, so that a question costs one
 * cache line; false positives are about 0.6 %, false negatives do not exist. The route of a
 * record is the low half of hash.lo, hence the fold before bits are taken from it.
 *
 * Source: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007.
 *
 * Format of the section: at the end of join_run.c's picture.
 *
 * Invariants: bytes = sum of what the filters of the owner's runs take, never above bytes_max.
 * A filter is only ever a shortcut: without memory, or when its section is damaged, there is
 * none, and lookups read the file. */
#include "base/file.h"
#include "model/join_int.h"

#define BLOCK_BYTES  64u
#define BITS_PER_ROW 12u
#define BITS_PER_ID  7u
#define TAKE_EXTRA   48u /* mem_take aligns to 16: room to align to 64 */

size_t model_filter_bytes(uint32_t rows)
{
    size_t bits = (size_t)rows * BITS_PER_ROW;
    return (bits + BLOCK_BYTES * 8 - 1) / (BLOCK_BYTES * 8) * BLOCK_BYTES;
}

static size_t block_of(size_t bytes, struct hash128 id)
{
    return (size_t)(((id.hi >> 32) * (bytes / BLOCK_BYTES)) >> 32) * BLOCK_BYTES;
}

static uint64_t bits_of(struct hash128 id)
{
    return id.lo ^ (id.lo >> 32);
}

void model_filter_add(char *filter, size_t bytes, struct hash128 id)
{
    unsigned char *p = (unsigned char *)filter + block_of(bytes, id);
    uint64_t x = bits_of(id);
    for (uint32_t i = 0; i < BITS_PER_ID; i++, x >>= 9) {
        p[(x & 511) >> 3] |= (unsigned char)(1u << (x & 7));
    }
}

bool model_filter_may(const char *filter, size_t bytes, struct hash128 id)
{
    const unsigned char *p = (const unsigned char *)filter + block_of(bytes, id);
    uint64_t x = bits_of(id);
    for (uint32_t i = 0; i < BITS_PER_ID; i++, x >>= 9) {
        if ((p[(x & 511) >> 3] >> (x & 7) & 1) == 0) {
            return false;
        }
    }
    return true;
}

uint64_t model_filter_sum(const char *filter, int32_t hour, uint32_t rows)
{
    return hash64_seed(str_of(filter, model_filter_bytes(rows)),
                       (uint64_t)(uint32_t)hour << 32 | rows);
}

/* ---- filters in memory ---- */

static size_t taken(const struct model_run *run)
{
    return model_filter_bytes(run->rows) + TAKE_EXTRA;
}

static char *aligned(char *p)
{
    return p + (BLOCK_BYTES - (uintptr_t)p % BLOCK_BYTES) % BLOCK_BYTES;
}

bool model_run_may(const struct model_run *run, struct hash128 id)
{
    return run->filter == NULL ||
           model_filter_may(aligned(run->filter), model_filter_bytes(run->rows), id);
}

void model_filters_drop(struct model_filters *f, struct model_run *run)
{
    if (run->filter != NULL) {
        mem_give(f->mem, run->filter, taken(run));
        f->bytes -= taken(run);
        run->filter = NULL;
    }
}

bool model_filters_drop_oldest(struct model_filters *f, struct model_run *runs, uint32_t count,
                               int32_t hour_max)
{
    struct model_run *oldest = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (runs[i].filter != NULL && runs[i].hour <= hour_max &&
            (oldest == NULL || runs[i].hour < oldest->hour)) {
            oldest = &runs[i];
        }
    }
    if (oldest == NULL) {
        return false;
    }
    model_filters_drop(f, oldest);
    return true;
}

void model_filters_bound(struct model_filters *f, struct model_run *runs, uint32_t count,
                         size_t bytes_max)
{
    f->bytes_max = bytes_max;
    while (f->bytes > bytes_max && model_filters_drop_oldest(f, runs, count, INT32_MAX)) {
        f->refused = true;
    }
}

char *model_filters_take(struct model_filters *f, struct model_run *runs, uint32_t count,
                         struct model_run *run)
{
    size_t bytes = taken(run);
    ASSERT(run->filter == NULL);
    while (bytes <= f->bytes_max && f->bytes > f->bytes_max - bytes &&
           model_filters_drop_oldest(f, runs, count, run->hour)) {
        f->refused = true;
    }
    if (bytes > f->bytes_max || f->bytes > f->bytes_max - bytes) {
        f->refused = true;
        return NULL;
    }
    run->filter = mem_take(f->mem, bytes);
    if (run->filter == NULL) {
        return NULL;
    }
    f->bytes += bytes;
    return aligned(run->filter);
}

bool model_filters_load(struct model_filters *f, const struct os *os, const char *dir,
                        struct model_run *run, struct err *e)
{
    char file[MODEL_RUN_FILE_BYTES];
    char path[PATH_BYTES_MAX];
    int fd = -1;
    model_run_file(run, file);
    if (run->rows == 0 || run->rows > MODEL_RUN_ROWS_MAX) {
        return err_set(e, ERR_CORRUPT, "'%s' cannot have %u rows", file, (unsigned)run->rows);
    }
    if (!path_join(path, sizeof path, dir, file, e)) {
        return false;
    }
    char *to = model_filters_take(f, NULL, 0, run);
    if (to == NULL) {
        return true;
    }
    int rc = os->open(os->ctx, path, OS_READ, &fd);
    bool ok = rc == 0 ? model_run_filter_read(os, fd, path, run, to, e)
                      : err_errno(e, rc, "cannot open '%s'", path);
    if (rc == 0) {
        os->close(os->ctx, fd);
    }
    if (!ok) {
        model_filters_drop(f, run);
    }
    return ok;
}
