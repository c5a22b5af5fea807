/* The write-ahead log, writing half: segments log/%010u.log.
 *
 *   segment  off  size  field                       record  off  size  field
 *              0     8  "FAROLWAL"                            0     4  magic "WAL1"
 *              8     4  version, 1                            4     4  crc32c of: segment number,
 *             12     4  number, as in the name                         n, payload
 *             16     8  covered: records before this          8     4  n, bytes of payload
 *                       position are in blocks               12     n  kind u8, then what
 *             24     8  prev: position where the                       log_record.c says
 *                       segment before this one ends
 *             32    12  0
 *             44     4  crc32c of bytes 0..43
 *             48        records
 *
 * All little-endian. A position is segment number << 32 | offset.
 *
 * Rules:
 *  - A group of batches is one write and one datasync; while it syncs the next one gathers.
 *  - A file that another opening wrote is not appended to.
 *  - A new file's name is on disk (folder synced) before a record in it can be acknowledged.
 *  - After a failed datasync the pages may be gone while the kernel calls them clean: the file is
 *    cut to where the group began and left. What cannot be cut away is made void by the next
 *    segment's `prev`: a reader goes no further than that in the segment before.
 *  - The segment's number goes into every record's checksum, so that bytes of an old file that
 *    turn up in another one are not believed.
 *
 * Source: Rebello et al., Can Applications Recover from fsync Failures?, ATC 2020. */
#include "engines/tsdb/log_int.h"

#include "base/clock.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const mod = "tsdb.log";

bool wal_path(const char *dir, uint32_t id, char out[static PATH_BYTES_MAX], struct err *e)
{
    char name[24];
    snprintf(name, sizeof name, "%010u.log", id);
    return path_join(out, PATH_BYTES_MAX, dir, name, e);
}

uint32_t wal_record_crc(uint32_t segment, const char *head, struct str payload)
{
    char seed[8];
    put_u32le(seed, segment);
    memcpy(seed + 4, head + 8, 4);
    return hash_crc32c_add(hash_crc32c(str_of(seed, sizeof seed)), payload);
}

/* -- life -- */

bool wal_open(struct wal **out, const struct os *os, const char *store, uint64_t bytes_max,
              struct log *log, struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct wal *w = mem_take(&m, sizeof *w);
    if (w == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the log");
    }
    w->os = os;
    w->log = log;
    w->mem = m;
    w->fd = -1;
    w->id_next = 1;
    w->group_bytes_max = bytes_max;
    buf_init(&w->group, &w->mem, (size_t)bytes_max);
    int rc = pthread_mutex_init(&w->mu, NULL);
    ASSERT(rc == 0);
    if (!path_join(w->dir, sizeof w->dir, store, "log", e) || !dir_make(os, w->dir, e)) {
        wal_close(w);
        return false;
    }
    *out = w;
    return true;
}

void wal_close(struct wal *w)
{
    if (w == NULL) {
        return;
    }
    if (w->fd >= 0) {
        (void)w->os->close(w->os->ctx, w->fd);
    }
    buf_release(&w->group);
    mem_give(&w->mem, w->segments, w->segments_cap * sizeof *w->segments);
    pthread_mutex_destroy(&w->mu);
    struct mem m = w->mem;
    mem_give(&m, w, sizeof *w);
    ASSERT(m.bytes == 0);
}

bool wal_found(struct wal *w, uint32_t id, uint64_t bytes, struct err *e)
{
    pthread_mutex_lock(&w->mu);
    void *p = w->segments;
    bool ok = mem_array_grow(&w->mem, &p, &w->segments_cap, w->segments_n + 1, LOG_SEGMENTS_MAX,
                             sizeof *w->segments);
    w->segments = p;
    if (ok) {
        w->segments[w->segments_n++] = (struct log_segment){id, bytes};
        w->bytes += bytes;
    }
    pthread_mutex_unlock(&w->mu);
    return ok || err_set(e, ERR_LIMIT, "the log has too many segments");
}

uint64_t wal_bytes(struct wal *w)
{
    pthread_mutex_lock(&w->mu);
    uint64_t bytes = w->bytes;
    pthread_mutex_unlock(&w->mu);
    return bytes;
}

/* The open segment is the last of the list. */
static void open_grew(struct wal *w, int64_t by)
{
    pthread_mutex_lock(&w->mu);
    if (w->segments_n > 0 && w->segments[w->segments_n - 1].id == w->id) {
        w->segments[w->segments_n - 1].bytes += (uint64_t)by;
        w->bytes += (uint64_t)by;
    }
    pthread_mutex_unlock(&w->mu);
}

/* -- segments -- */

static void leave(struct wal *w)
{
    if (w->fd >= 0) {
        (void)w->os->close(w->os->ctx, w->fd);
        w->fd = -1;
        w->prev = log_position(w->id, w->off);
    }
    w->roll = false;
}

static bool head_write(struct wal *w, uint64_t covered, const char *path, struct err *e)
{
    char head[LOG_HEAD] = LOG_MAGIC;
    put_u32le(head + 8, LOG_VERSION);
    put_u32le(head + 12, w->id);
    put_u64le(head + 16, covered);
    put_u64le(head + 24, w->prev);
    put_u32le(head + 44, hash_crc32c(str_of(head, 44)));
    if (!file_write_all(w->os, w->fd, str_of(head, sizeof head), path, e)) {
        return false;
    }
    int rc = w->os->dirsync(w->os->ctx, w->dir);
    return rc == 0 || err_errno(e, rc, "cannot sync '%s'", w->dir);
}

static bool segment_new(struct wal *w, uint64_t covered, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (w->id_next == UINT32_MAX) {
        return err_set(e, ERR_LIMIT, "the log has used up its segment numbers");
    }
    uint32_t id = w->id_next;
    if (!wal_path(w->dir, id, path, e)) {
        return false;
    }
    int rc = w->os->open(w->os->ctx, path, OS_WRITE | OS_CREATE | OS_EXCL | OS_APPEND, &w->fd);
    if (rc != 0) {
        w->fd = -1;
        w->id_next += rc == EEXIST ? 1 : 0;
        return err_errno(e, rc, "cannot create '%s'", path);
    }
    w->id_next++;
    w->id = id;
    if (!wal_found(w, id, LOG_HEAD, e) || !head_write(w, covered, path, e)) {
        (void)w->os->close(w->os->ctx, w->fd);
        w->fd = -1;
        /* What cannot be removed is an empty segment to a reader, and trimmed with the others. */
        (void)w->os->unlink(w->os->ctx, path);
        return false;
    }
    w->off = LOG_HEAD;
    w->synced = 0;
    return true;
}

/* Whether the open segment's name still leads to it: a file whose folder somebody removed takes
 * writes and syncs, and no start ever finds it. */
static bool named(struct wal *w, struct err *e)
{
    char path[PATH_BYTES_MAX];
    int fd;
    if (!wal_path(w->dir, w->id, path, e)) {
        return false;
    }
    int rc = w->os->open(w->os->ctx, path, OS_READ, &fd);
    if (rc == ENOENT || rc == ENOTDIR) {
        return err_errno(e, rc, "'%s' is gone, was the storage folder removed?", path);
    }
    if (rc == 0) {
        (void)w->os->close(w->os->ctx, fd);
    }
    return true;
}

static bool datasync(struct wal *w, struct err *e)
{
    int rc = w->os->datasync(w->os->ctx, w->fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot sync the log in '%s'", w->dir);
    }
    if (!named(w, e)) {
        return false;
    }
    w->synced = w->off;
    return true;
}

bool wal_begin(struct wal *w, uint64_t covered, struct err *e)
{
    buf_reset(&w->group);
    bool full = w->off >= LOG_SEGMENT_BYTES ||
                w->off + w->group_bytes_max + LOG_HEAD > LOG_SEGMENT_BYTES_MAX;
    if (w->fd >= 0 && (w->roll || full)) {
        struct err sync = {.code = ERR_NONE};
        if (w->synced < w->off && !datasync(w, &sync)) {
            /* Only batches that did not ask for a sync are in there. */
            log_err(w->log, LOG_WARN, mod, &sync);
        }
        leave(w);
    }
    return w->fd >= 0 || segment_new(w, covered, e);
}

/* -- records -- */

void wal_record_begin(struct wal *w, enum log_record kind)
{
    w->record_at = w->group.n;
    static const char head[LOG_RECORD_HEAD] = {0};
    buf_add(&w->group, head, sizeof head);
    buf_u8(&w->group, (uint8_t)kind);
}

void wal_record_end(struct wal *w)
{
    if (w->group.failed) {
        return;
    }
    char *head = w->group.p + w->record_at;
    struct str payload =
        str_of(head + LOG_RECORD_HEAD, w->group.n - w->record_at - LOG_RECORD_HEAD);
    put_u32le(head, LOG_RECORD_MAGIC);
    put_u32le(head + 8, (uint32_t)payload.n);
    put_u32le(head + 4, wal_record_crc(w->id, head, payload));
}

void wal_rewind(struct wal *w, size_t n)
{
    ASSERT(n <= w->group.n);
    w->group.n = n;
    w->group.failed = false;
}

static void group_lose(struct wal *w, uint64_t start, bool leave_it)
{
    /* Cutting is for a restart soon after; when it fails, the next segment's `prev` does it. */
    if (w->os->truncate(w->os->ctx, w->fd, start) != 0) {
        leave_it = true;
    }
    open_grew(w, (int64_t)start - (int64_t)w->off);
    w->off = start;
    w->synced = w->synced < start ? w->synced : start;
    if (leave_it) {
        leave(w);
    }
}

bool wal_commit(struct wal *w, bool sync, struct err *e)
{
    ASSERT(w->fd >= 0);
    if (!buf_ok(&w->group, e)) {
        return false;
    }
    uint64_t start = w->off;
    if (w->group.n > 0) {
        if (!file_write_all(w->os, w->fd, buf_str(&w->group), w->dir, e)) {
            group_lose(w, start, false);
            return false;
        }
        w->off += w->group.n;
        open_grew(w, (int64_t)w->group.n);
    }
    if (sync && w->synced < w->off && !datasync(w, e)) {
        group_lose(w, start, true);
        return false;
    }
    return true;
}

uint64_t wal_position(const struct wal *w)
{
    return w->fd >= 0 ? log_position(w->id, w->off) : log_position(w->id_next, 0);
}

void wal_trim(struct wal *w, uint64_t upto)
{
    pthread_mutex_lock(&w->mu);
    size_t kept = 0;
    bool removed = false;
    const uint32_t taps_id = log_position_id(wal_taps_from(w));
    uint64_t held = 0; /* for taps only */
    for (size_t i = 0; i < w->segments_n; i++) {
        const struct log_segment s = w->segments[i];
        held += s.id < log_position_id(upto) && s.id >= taps_id ? s.bytes : 0;
    }
    for (size_t i = 0; i < w->segments_n; i++) {
        struct log_segment s = w->segments[i];
        char path[PATH_BYTES_MAX];
        int rc = EBUSY;
        const bool tapped = s.id >= taps_id;
        if (s.id < log_position_id(upto) && (!tapped || held > w->tap_bytes_max) &&
            wal_path(w->dir, s.id, path, NULL)) {
            rc = w->os->unlink(w->os->ctx, path);
        }
        if (rc == 0 || rc == ENOENT) {
            if (tapped) {
                held -= s.bytes;
                wal_taps_lose(w, s);
            }
            w->bytes -= s.bytes;
            removed = true;
        } else {
            w->segments[kept++] = s;
        }
    }
    w->segments_n = kept;
    pthread_mutex_unlock(&w->mu);
    if (removed && w->os->dirsync(w->os->ctx, w->dir) != 0) {
        log_line(w->log, LOG_WARN, mod, "cannot sync '%s' after removing segments", w->dir);
    }
}
