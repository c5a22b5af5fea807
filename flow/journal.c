/* The journal, writing half: what Farol acknowledged must be here after kill -9 and after power
 * loss.
 *
 * Exists because the pillars keep their state in memory: state = newest checkpoint + the batches
 * that followed it, and those are here. Files are journal-<seq of first frame, 16 hex digits>.log:
 *
 *   segment   off  size  field                      frame    off  size  field
 *               0     8  "FAROLJNL"                            0     4  magic "FRM1"
 *               8     4  version, 1                            4     4  n, payload bytes
 *              12     4  0                                     8     8  seq, rising by 1
 *              16     8  seq of the first frame               16     8  acked: newest seq that was
 *              24     8  session: first seq that                        acknowledged when this
 *                        the opening which made                         frame was written
 *                        this file could write                24     8  xxh3 of payload, seeded
 *              32     8  newest seq that this                           by xxh3 of bytes 0..23
 *                        opening found, 0 = none              32     n  payload, then 0 to a
 *              40     8  xxh3 of bytes 0..39                            multiple of 8
 *              48        frames
 *
 * All little-endian. `acked`, `session` and the newest found let a reader tell a batch that was
 * lost from one that was never acknowledged (journal_read.c).
 *
 * Rules, each of which some crash has taught somebody:
 *  - A file that another opening wrote is not appended to: its tail may lie about what is on disk.
 *  - A new file's name is on disk (folder synced) before the first frame in it can be acknowledged.
 *  - After a failed datasync the pages may be gone while the kernel calls them clean: the file is
 *    cut to where it was last good and left; the group goes, the next append makes a new file. The
 *    same numbers are given again, so of an older file only seqs below the next file's first count.
 *  - A file whose first seq is not below seq_next is a leftover: removed before a new one is made,
 *    and the folder sync of the new one makes the removal last.
 *  - What an opening read is synced before it is believed: after kill -9 it may be in the page
 *    cache only.
 *  - A sync counts only while the file has its name: a removed folder is not acknowledged into.
 *
 * Source: Rebello et al., Can Applications Recover from fsync Failures?, ATC 2020; Pillai et al.,
 * All File Systems Are Not Created Equal, OSDI 2014. */
#include "flow/journal.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/str.h"
#include "flow/journal_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const mod = "journal";

#define NAME_PREFIX "journal-"
#define NAME_SUFFIX ".log"
#define NAME_DIGITS 16

/* -- names -- */

bool journal_segment_path(const struct journal *j, uint64_t first, char out[static PATH_BYTES_MAX],
                          struct err *e)
{
    char name[SEGMENT_NAME_MAX];
    snprintf(name, sizeof name, NAME_PREFIX "%016llx" NAME_SUFFIX, (unsigned long long)first);
    return path_join(out, PATH_BYTES_MAX, j->dir, name, e);
}

/* 0 when the name is not that of a segment. */
static uint64_t name_parse(const char *name)
{
    struct str s = str_from_c(name);
    const struct str prefix = STR(NAME_PREFIX);
    const struct str suffix = STR(NAME_SUFFIX);
    if (s.n != prefix.n + NAME_DIGITS + suffix.n || !str_starts(s, prefix) ||
        !str_ends(s, suffix)) {
        return 0;
    }
    uint64_t first = 0;
    for (size_t i = 0; i < NAME_DIGITS; i++) {
        char c = s.p[prefix.n + i];
        uint64_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint64_t)(c - 'a') + 10;
        } else {
            return 0;
        }
        first = first << 4 | digit;
    }
    return first < SEQ_MAX ? first : 0;
}

/* -- the list of segments -- */

static bool segment_add(struct journal *j, uint64_t first, uint64_t bytes, struct err *e)
{
    void *p = j->segments;
    if (!mem_array_grow(j->mem, &p, &j->segments_cap, j->segments_count + 1, SEGMENTS_MAX,
                        sizeof *j->segments)) {
        return err_set(e, ERR_LIMIT, "the journal has too many segments (%zu)", j->segments_count);
    }
    j->segments = p;
    j->segments[j->segments_count++] = (struct segment){first, bytes};
    j->bytes += bytes;
    return true;
}

static struct segment *newest(struct journal *j)
{
    return j->segments_count > 0 ? &j->segments[j->segments_count - 1] : NULL;
}

static void segment_resize(struct journal *j, struct segment *s, uint64_t bytes)
{
    ASSERT(j->bytes >= s->bytes);
    j->bytes = j->bytes - s->bytes + bytes;
    s->bytes = bytes;
}

/* ENOENT is success: a removal that was asked for twice. */
static bool segment_unlink(struct journal *j, uint64_t first, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (!journal_segment_path(j, first, path, e)) {
        return false;
    }
    int rc = j->os->unlink(j->os->ctx, path);
    return rc == 0 || rc == ENOENT || err_errno(e, rc, "cannot remove '%s'", path);
}

/* Removes segments from the end that hold nothing that counts. */
static bool leftovers_drop(struct journal *j, struct err *e)
{
    ASSERT(j->fd < 0);
    while (newest(j) != NULL && newest(j)->first >= j->seq_next) {
        if (!segment_unlink(j, newest(j)->first, e)) {
            return false;
        }
        segment_resize(j, newest(j), 0);
        j->segments_count--;
    }
    return true;
}

/* -- opening -- */

struct listing {
    struct journal *j;
    struct err *e;
    bool failed;
};

static void list_each(void *arg, const char *name)
{
    struct listing *l = arg;
    uint64_t first = name_parse(name);
    if (first != 0 && !l->failed) {
        l->failed = !segment_add(l->j, first, 0, l->e);
    }
}

static int segment_order(const void *a, const void *b)
{
    const struct segment *x = a;
    const struct segment *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool segment_measure(struct journal *j, struct segment *s, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (!journal_segment_path(j, s->first, path, e)) {
        return false;
    }
    int fd;
    int rc = j->os->open(j->os->ctx, path, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    uint64_t bytes = 0;
    rc = j->os->size(j->os->ctx, fd, &bytes);
    j->os->close(j->os->ctx, fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot read the size of '%s'", path);
    }
    segment_resize(j, s, bytes);
    return true;
}

static bool list_segments(struct journal *j, struct err *e)
{
    struct listing l = {.j = j, .e = e};
    int rc = j->os->list(j->os->ctx, j->dir, list_each, &l);
    if (rc != 0) {
        return err_errno(e, rc, "cannot list '%s'", j->dir);
    }
    if (l.failed) {
        return false;
    }
    if (j->segments_count > 1) {
        qsort(j->segments, j->segments_count, sizeof *j->segments, segment_order);
    }
    for (size_t i = 0; i < j->segments_count; i++) {
        if (!segment_measure(j, &j->segments[i], e)) {
            return false;
        }
    }
    return true;
}

/* Cuts the newest segment behind its last whole frame and makes what stays durable. */
static bool newest_settle(struct journal *j, uint64_t keep, struct err *e)
{
    char path[PATH_BYTES_MAX];
    struct segment *s = newest(j);
    if (!journal_segment_path(j, s->first, path, e)) {
        return false;
    }
    int fd;
    int rc = j->os->open(j->os->ctx, path, OS_WRITE, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    rc = keep < s->bytes ? j->os->truncate(j->os->ctx, fd, keep) : 0;
    if (rc == 0) {
        rc = j->os->datasync(j->os->ctx, fd);
    }
    j->os->close(j->os->ctx, fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot cut and sync '%s'", path);
    }
    if (keep < s->bytes) {
        segment_resize(j, s, keep);
    }
    rc = j->os->dirsync(j->os->ctx, j->dir);
    return rc == 0 || err_errno(e, rc, "cannot sync '%s'", j->dir);
}

/* Finds seq_next, and seq_read in the newest segment that has a batch at all. */
static bool newest_examine(struct journal *j, struct err *e)
{
    uint64_t keep = 0;
    for (size_t i = j->segments_count; i > 0 && j->seq_read == 0; i--) {
        const struct segment *s = &j->segments[i - 1];
        bool last = i == j->segments_count;
        struct journal_scan scan = {.first = s->first,
                                    .limit = last ? SEQ_MAX : j->segments[i].first};
        if (!journal_scan_run(j, &scan, e)) {
            return false;
        }
        if (last) {
            j->seq_next = scan.next;
            keep = scan.valid_end > 0 ? scan.valid_end : size_min(s->bytes, SEGMENT_HEAD);
        }
        j->seq_read = scan.valid_end > 0 ? scan.next - 1 : 0;
    }
    if (j->segments_count == 0) {
        return true;
    }
    if (keep < newest(j)->bytes) {
        j->cut_bytes = newest(j)->bytes - keep;
        log_line(j->log, LOG_WARN, mod,
                 "cut %llu bytes behind batch number %llu: a write that was not finished",
                 (unsigned long long)j->cut_bytes, (unsigned long long)(j->seq_next - 1));
    }
    return newest_settle(j, keep, e);
}

static bool open_parts(struct journal *j, const struct journal_config *c, struct err *e)
{
    struct str dir = str_from_c(c->dir);
    if (dir.n >= sizeof j->dir) {
        return err_set(e, ERR_LIMIT, "the path of the journal is longer than %zu bytes",
                       sizeof j->dir - 1);
    }
    memcpy(j->dir, dir.p, dir.n);
    j->config = *c;
    j->config.dir = j->dir;
    j->scratch = mem_take(j->mem, SCRATCH_BYTES);
    if (j->scratch == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the journal");
    }
    if (!list_segments(j, e) || !newest_examine(j, e)) {
        return false;
    }
    if (j->seq_next < c->seq_min) {
        log_line(j->log, LOG_ERROR, mod,
                 "the journal ends at batch %llu but a checkpoint has seen %llu: the end was lost",
                 (unsigned long long)(j->seq_next - 1), (unsigned long long)(c->seq_min - 1));
        j->seq_next = c->seq_min;
        j->seq_read = c->seq_min - 1;
    }
    j->session = j->seq_next;
    j->seq_acked = j->seq_next - 1;
    return true;
}

bool journal_open(struct journal **out, const struct journal_config *c, const struct os *os,
                  struct mem *m, struct log *log, struct err *e)
{
    ASSERT(c->seq_min < SEQ_MAX);
    struct journal *j = mem_take(m, sizeof *j);
    if (j == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for the journal");
    }
    j->os = os;
    j->mem = m;
    j->log = log;
    j->fd = -1;
    j->seq_next = 1;
    if (!open_parts(j, c, e)) {
        journal_close(j);
        return false;
    }
    *out = j;
    return true;
}

void journal_close(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    if (j->fd >= 0) {
        j->os->close(j->os->ctx, j->fd);
    }
    mem_give(j->mem, j->segments, j->segments_cap * sizeof *j->segments);
    mem_give(j->mem, j->scratch, j->scratch != NULL ? SCRATCH_BYTES : 0);
    mem_give(j->mem, j, sizeof *j);
}

/* -- losing a group -- */

static void segment_cut(struct journal *j, struct segment *s, uint64_t bytes)
{
    char path[PATH_BYTES_MAX];
    int fd;
    if (s->bytes <= bytes || !journal_segment_path(j, s->first, path, NULL) ||
        j->os->open(j->os->ctx, path, OS_WRITE, &fd) != 0) {
        return;
    }
    if (j->os->truncate(j->os->ctx, fd, bytes) == 0) {
        segment_resize(j, s, bytes);
    }
    j->os->close(j->os->ctx, fd);
}

/* A sync failed: what was appended since the last good one goes. Cutting is for kill -9 soon after;
 * even when it fails, the next segment's first seq makes readers ignore what is left. */
static void group_lose(struct journal *j)
{
    if (j->fd >= 0) {
        j->os->close(j->os->ctx, j->fd);
        j->fd = -1;
    }
    uint64_t lost = j->seq_next - 1 - j->seq_acked;
    j->seq_next = j->seq_acked + 1;
    if (!leftovers_drop(j, NULL)) {
        log_line(j->log, LOG_WARN, mod, "a segment of a failed sync could not be removed yet");
    }
    for (size_t i = 0; j->group_open && i < j->segments_count; i++) {
        if (j->segments[i].first == j->group_segment_first) {
            segment_cut(j, &j->segments[i], j->group_off);
        }
    }
    j->group_open = false;
    j->broken = false;
    log_line(j->log, LOG_ERROR, mod, "sync failed: %llu batches were not stored",
             (unsigned long long)lost);
}

/* -- writing -- */

static bool segment_create(struct journal *j, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (!leftovers_drop(j, e) || !journal_segment_path(j, j->seq_next, path, e) ||
        !segment_add(j, j->seq_next, 0, e)) {
        return false;
    }
    struct segment *s = newest(j);
    int rc = j->os->open(j->os->ctx, path, OS_WRITE | OS_CREATE | OS_EXCL | OS_APPEND, &j->fd);
    if (rc != 0) {
        j->fd = -1;
        j->segments_count--;
        return err_errno(e, rc, "cannot create '%s'", path);
    }
    char head[SEGMENT_HEAD] = "FAROLJNL";
    put_u32le(head + 8, JOURNAL_VERSION);
    put_u64le(head + 16, s->first);
    put_u64le(head + 24, j->session);
    put_u64le(head + 32, j->seq_read);
    put_u64le(head + 40, journal_segment_hash(head));
    bool ok = file_write_all(j->os, j->fd, str_of(head, sizeof head), path, e);
    if (ok) {
        rc = j->os->dirsync(j->os->ctx, j->dir);
        ok = rc == 0 || err_errno(e, rc, "cannot sync '%s'", j->dir);
    }
    if (!ok) {
        /* It stays in the list as a leftover: its first seq is seq_next. */
        j->os->close(j->os->ctx, j->fd);
        j->fd = -1;
        if (!leftovers_drop(j, NULL)) {
            log_line(j->log, LOG_WARN, mod, "'%s' could not be removed yet", path);
        }
        return false;
    }
    segment_resize(j, s, sizeof head);
    j->synced_bytes = 0;
    j->broken = false;
    return true;
}

/* Does the open segment's name still lead to it? A file whose folder somebody removed or moved
 * away takes writes and syncs for as long as it is open, and no start ever finds it. An open that
 * fails for another reason (no descriptor left) is no sign of that. */
static bool newest_named(struct journal *j, struct err *e)
{
    char path[PATH_BYTES_MAX];
    if (!journal_segment_path(j, newest(j)->first, path, e)) {
        return false;
    }
    int fd;
    int rc = j->os->open(j->os->ctx, path, OS_READ, &fd);
    if (rc == ENOENT || rc == ENOTDIR) {
        return err_errno(e, rc, "'%s' is gone, was the storage folder removed?", path);
    }
    if (rc != 0) {
        return true;
    }
    uint64_t bytes = 0;
    rc = j->os->size(j->os->ctx, fd, &bytes);
    j->os->close(j->os->ctx, fd);
    return rc != 0 || bytes >= newest(j)->bytes ||
           err_set(e, ERR_IO, "'%s' is not the file that was written", path);
}

static bool datasync(struct journal *j, struct err *e)
{
    int64_t t0 = os_mono_ns(j->os);
    int rc = j->os->datasync(j->os->ctx, j->fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot sync the journal in '%s'", j->dir);
    }
    if (!newest_named(j, e)) {
        return false;
    }
    j->stats.syncs++;
    j->stats.sync_ns_total += (uint64_t)(os_mono_ns(j->os) - t0);
    j->synced_bytes = newest(j)->bytes;
    return true;
}

/* Leaves the open segment, which a later sync will not reach, and makes the next one. */
static bool roll(struct journal *j, struct err *e)
{
    if (j->fd >= 0) {
        if (j->synced_bytes < newest(j)->bytes && !datasync(j, e)) {
            bool lost = j->seq_next - 1 > j->seq_acked;
            group_lose(j);
            j->poisoned = lost;
            return false;
        }
        j->os->close(j->os->ctx, j->fd);
        j->fd = -1;
    }
    return segment_create(j, e);
}

static bool frame_write(struct journal *j, const char *head, struct str payload, struct err *e)
{
    static const char zeros[8] = {0};
    size_t pad = (size_t)journal_frame_bytes(payload.n) - FRAME_HEAD - payload.n;
    if (FRAME_HEAD + payload.n + pad > SCRATCH_BYTES) {
        return file_write_all(j->os, j->fd, str_of(head, FRAME_HEAD), j->dir, e) &&
               file_write_all(j->os, j->fd, payload, j->dir, e) &&
               (pad == 0 || file_write_all(j->os, j->fd, str_of(zeros, pad), j->dir, e));
    }
    memcpy(j->scratch, head, FRAME_HEAD);
    if (payload.n > 0) {
        memcpy(j->scratch + FRAME_HEAD, payload.p, payload.n);
    }
    memset(j->scratch + FRAME_HEAD + payload.n, 0, pad);
    return file_write_all(j->os, j->fd, str_of(j->scratch, FRAME_HEAD + payload.n + pad), j->dir,
                          e);
}

bool journal_append(struct journal *j, struct str payload, uint64_t *seq, struct err *e)
{
    if (payload.n > JOURNAL_PAYLOAD_MAX) {
        return err_set(e, ERR_LIMIT, "a batch of %zu bytes is over %zu", payload.n,
                       JOURNAL_PAYLOAD_MAX);
    }
    if (j->poisoned) {
        return err_set(e, ERR_IO, "earlier batches of the group could not be synced");
    }
    uint64_t frame_bytes = journal_frame_bytes(payload.n);
    if (j->bytes + frame_bytes + SEGMENT_HEAD > j->config.bytes_max) {
        return err_set(e, ERR_LIMIT, "the journal is full: %llu of %llu bytes",
                       (unsigned long long)j->bytes, (unsigned long long)j->config.bytes_max);
    }
    bool full = j->fd >= 0 && newest(j)->bytes > SEGMENT_HEAD &&
                newest(j)->bytes + frame_bytes > j->config.segment_bytes_max;
    if ((j->fd < 0 || full || j->broken) && !roll(j, e)) {
        return false;
    }
    struct segment *s = newest(j);
    char head[FRAME_HEAD];
    put_u32le(head, FRAME_MAGIC);
    put_u32le(head + 4, (uint32_t)payload.n);
    put_u64le(head + 8, j->seq_next);
    put_u64le(head + 16, j->seq_acked);
    put_u64le(head + 24, journal_frame_hash(head, payload));
    if (!frame_write(j, head, payload, e)) {
        if (j->os->truncate(j->os->ctx, j->fd, s->bytes) != 0) {
            j->broken = true; /* what is behind s->bytes is no frame; go on in another file */
        }
        return false;
    }
    if (!j->group_open) {
        j->group_open = true;
        j->group_segment_first = s->first;
        j->group_off = s->bytes;
    }
    segment_resize(j, s, s->bytes + frame_bytes);
    *seq = j->seq_next++;
    j->stats.appended++;
    j->stats.appended_bytes += frame_bytes;
    return true;
}

bool journal_sync(struct journal *j, struct err *e)
{
    if (j->poisoned) {
        j->poisoned = false;
        return err_set(e, ERR_IO, "batches of the group could not be synced");
    }
    if (j->fd >= 0 && j->synced_bytes < newest(j)->bytes && !datasync(j, e)) {
        group_lose(j);
        return false;
    }
    j->seq_acked = j->seq_next - 1;
    j->group_open = false;
    return true;
}

/* -- housekeeping -- */

bool journal_trim(struct journal *j, uint64_t before, struct err *e)
{
    size_t n = 0;
    bool ok = true;
    while (ok && n + 1 < j->segments_count && j->segments[n + 1].first <= before) {
        ok = segment_unlink(j, j->segments[n].first, e);
        n += ok ? 1 : 0;
    }
    if (n == 0) {
        return ok;
    }
    for (size_t i = 0; i < n; i++) {
        j->bytes -= j->segments[i].bytes;
    }
    j->segments_count -= n;
    memmove(j->segments, j->segments + n, j->segments_count * sizeof *j->segments);
    int rc = j->os->dirsync(j->os->ctx, j->dir);
    return ok && (rc == 0 || err_errno(e, rc, "cannot sync '%s'", j->dir));
}

void journal_stats(const struct journal *j, struct journal_stats *out)
{
    *out = j->stats;
    out->seq_first = j->segments_count > 0 ? j->segments[0].first : j->seq_next;
    out->seq_next = j->seq_next;
    out->bytes = j->bytes;
    out->segments = j->segments_count;
    out->torn_bytes = j->cut_bytes + j->passed_bytes;
}
