/* The end of a block that is being written: the directory, sorted by id, the footer, and then, when
 * all is durable, the name. block_write.c draws the bytes. */
#include "base/hash.h"
#include "engines/tsdb/block_writer_int.h"

#include <stdlib.h>

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

static unsigned tim_width(size_t times_n)
{
    return times_n <= 1U << 8 ? 1 : times_n <= 1U << 16 ? 2 : 4;
}

enum dir_part { DIR_REFS, DIR_OFFS, DIR_TIMS, DIR_FLAGS };

static bool dir_part(struct block_writer *w, const uint64_t *order, enum dir_part part,
                     unsigned width, struct err *e)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct block_wentry *x = &w->v[order[i] & UINT32_MAX];
        uint32_t v = part == DIR_REFS   ? x->ref
                     : part == DIR_OFFS ? x->off
                     : part == DIR_TIMS ? x->tim
                                        : x->flags;
        if (!block_out_add(w, str_of((const char *)&v, width),
                           e)) { /* little-endian: the low bytes come first */
            return false;
        }
    }
    return true;
}

static bool dir_times(struct block_writer *w, struct err *e)
{
    for (size_t i = 0; i < w->times.n; i++) {
        const struct block_times *t = &w->times.v[i].t;
        char x[BLOCK_TIMES_BYTES];
        put_u64le(x, (uint64_t)t->min_ms);
        put_u64le(x + 8, (uint64_t)t->max_ms);
        put_u32le(x + 16, t->off);
        put_u32le(x + 20, t->len);
        put_u32le(x + 24, t->n);
        put_u32le(x + 28, t->crc);
        if (!block_out_add(w, str_of(x, sizeof x), e)) {
            return false;
        }
    }
    return true;
}

static bool any_flags(const struct block_writer *w)
{
    unsigned flags = 0;
    for (size_t i = 0; i < w->n; i++) {
        flags |= w->v[i].flags;
    }
    return flags != 0;
}

static bool directory_write(struct block_writer *w, bool flags, struct err *e)
{
    size_t bytes = w->n * sizeof(uint64_t);
    uint64_t *order = mem_take(w->mem, bytes);
    if (order == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to sort %zu columns", w->n);
    }
    for (size_t i = 0; i < w->n; i++) {
        order[i] = (uint64_t)w->v[i].ref << 32 | i;
    }
    qsort(order, w->n, sizeof *order, by_number);
    bool ok = block_out_flush(w, e);
    w->in_directory = true;
    ok = ok && dir_part(w, order, DIR_REFS, 4, e) && dir_part(w, order, DIR_OFFS, 4, e) &&
         dir_part(w, order, DIR_TIMS, tim_width(w->times.n), e) &&
         (!flags || dir_part(w, order, DIR_FLAGS, 1, e)) && dir_times(w, e) &&
         block_out_flush(w, e);
    w->in_directory = false;
    mem_give(w->mem, order, bytes);
    return ok;
}

static bool footer_write(struct block_writer *w, uint64_t data_end, bool flags, struct err *e)
{
    const struct block_info *i = &w->info;
    char f[BLOCK_FOOTER_BYTES] = {0};
    put_u64le(f, i->id);
    put_u64le(f + 8, i->seq);
    put_u64le(f + 16, i->log_upto);
    put_u64le(f + 24, i->samples);
    put_u64le(f + 32, (uint64_t)i->min_ms);
    put_u64le(f + 40, (uint64_t)i->max_ms);
    put_u64le(f + 48, data_end);
    put_u32le(f + 56, (uint32_t)w->n);
    put_u32le(f + 60, (uint32_t)w->times.n);
    put_u32le(f + 64, i->level);
    f[68] = (char)tim_width(w->times.n);
    f[69] = flags ? 1 : 0;
    put_u32le(f + 72, BLOCK_VERSION);
    put_u32le(f + 76, w->dir_crc);
    put_u64le(f + 80, i->seq_min);
    put_u64le(f + 88, BLOCK_END_MAGIC);
    put_u32le(f + 96, hash_crc32c(str_of(f, 96)));
    return block_out_add(w, str_of(f, sizeof f), e) && block_out_flush(w, e);
}

/* The bytes are durable before the name is. */
static bool publish(struct block_writer *w, struct err *e)
{
    char folder[PATH_BYTES_MAX];
    char name[PATH_BYTES_MAX];
    if (!path_join(folder, sizeof folder, w->dir, "blocks", e) ||
        !block_path(name, w->dir, w->info.id, ".blk", e)) {
        return false;
    }
    int rc = w->os->datasync(w->os->ctx, w->fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot sync '%s'", w->path);
    }
    rc = w->os->close(w->os->ctx, w->fd);
    w->fd = -1;
    if (rc != 0) {
        return err_errno(e, rc, "cannot close '%s'", w->path);
    }
    rc = w->os->rename(w->os->ctx, w->path, name);
    if (rc != 0) {
        return err_errno(e, rc, "cannot rename '%s' to '%s'", w->path, name);
    }
    w->named = false;
    rc = w->os->dirsync(w->os->ctx, folder);
    if (rc != 0) {
        /* Whether the name lasts is not known, and the caller will write these samples again. */
        (void)w->os->unlink(w->os->ctx, name);
        return err_errno(e, rc, "cannot sync folder '%s'", folder);
    }
    return true;
}

bool block_writer_finish(struct block_writer *w, uint64_t log_upto, struct block_info *out,
                         struct err *e)
{
    ASSERT(w->n > 0);
    uint64_t data_end = w->off;
    bool flags = any_flags(w);
    w->info.log_upto = log_upto;
    w->info.columns = w->n;
    if (!directory_write(w, flags, e) || !footer_write(w, data_end, flags, e) || !publish(w, e)) {
        block_writer_abort(w);
        return false;
    }
    w->info.bytes = w->off;
    if (out != NULL) {
        *out = w->info;
    }
    block_writer_free(w);
    return true;
}
