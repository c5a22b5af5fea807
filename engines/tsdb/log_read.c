/* The write-ahead log, reading half: what a start finds in the segments, in order.
 *
 * Three things end or interrupt a segment, and they are told apart:
 *  - torn: the last segment ends in something that is no record, and no record follows. A write
 * that
 *    did not finish, never acknowledged; it is cut away.
 *  - left: the next segment says (prev) that this one ended earlier. What is behind belongs to a
 *    group that failed; it is passed over.
 *  - damaged: something that is no record, and a record follows, or should. It is counted, and
 *    reading goes on at the next place that has a record's magic and a right checksum.
 *
 * What was read is synced before it is believed: after kill -9 it may be in the page cache only.
 * One segment at a time is in memory. */
#include "engines/tsdb/log_int.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static const char *const mod = "tsdb.log";

struct found {
    uint32_t id;
    bool head_ok;
    uint64_t covered, prev, bytes;
};

struct scan {
    struct log_scan *s;
    struct found *v;
    size_t n, cap;
    bool no_memory;
    char *bytes;
    size_t bytes_cap;
};

/* -- which segments there are -- */

static bool name_parse(const char *name, uint32_t *id)
{
    struct str s = str_from_c(name);
    uint64_t v;
    if (s.n != 14 || !str_ends(s, STR(".log")) || !str_to_u64(str_sub(s, 0, 10), &v) || v == 0 ||
        v >= UINT32_MAX) {
        return false;
    }
    *id = (uint32_t)v;
    return true;
}

static void list_each(void *arg, const char *name)
{
    struct scan *c = arg;
    struct found f = {.head_ok = false};
    if (!name_parse(name, &f.id)) {
        return;
    }
    void *p = c->v;
    if (!mem_array_grow(c->s->mem, &p, &c->cap, c->n + 1, LOG_SEGMENTS_MAX, sizeof *c->v)) {
        c->no_memory = true;
        return;
    }
    c->v = p;
    c->v[c->n++] = f;
}

static int found_order(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool head_read(struct log_scan *s, struct found *f, struct err *e)
{
    char path[PATH_BYTES_MAX];
    int fd;
    if (!wal_path(s->dir, f->id, path, e)) {
        return false;
    }
    int rc = s->os->open(s->os->ctx, path, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    rc = s->os->size(s->os->ctx, fd, &f->bytes);
    bool ok = rc == 0 || err_errno(e, rc, "cannot read the size of '%s'", path);
    char head[LOG_HEAD];
    if (ok && f->bytes >= LOG_HEAD) {
        ok = file_pread_all(s->os, fd, head, sizeof head, 0, path, e);
        f->head_ok = ok && memcmp(head, LOG_MAGIC, 8) == 0 && get_u32le(head + 8) == LOG_VERSION &&
                     get_u32le(head + 12) == f->id &&
                     get_u32le(head + 44) == hash_crc32c(str_of(head, 44));
        f->covered = f->head_ok ? get_u64le(head + 16) : 0;
        f->prev = f->head_ok ? get_u64le(head + 24) : 0;
    }
    (void)s->os->close(s->os->ctx, fd);
    return ok;
}

static bool list(struct scan *c, struct err *e)
{
    struct log_scan *s = c->s;
    int rc = s->os->list(s->os->ctx, s->dir, list_each, c);
    if (rc != 0) {
        return err_errno(e, rc, "cannot list '%s'", s->dir);
    }
    if (c->no_memory) {
        return err_set(e, ERR_LIMIT, "the log has too many segments");
    }
    if (c->n > 1) {
        qsort(c->v, c->n, sizeof *c->v, found_order);
    }
    for (size_t i = 0; i < c->n; i++) {
        if (!head_read(s, &c->v[i], e)) {
            return false;
        }
        if (c->v[i].head_ok && c->v[i].covered > s->covered) {
            s->covered = c->v[i].covered;
        }
        s->id_max = c->v[i].id;
        if (s->segment != NULL) {
            s->segment(s->ctx, c->v[i].id, c->v[i].bytes);
        }
    }
    return true;
}

/* -- one segment -- */

static bool segment_load(struct scan *c, const struct found *f, struct err *e)
{
    struct log_scan *s = c->s;
    if (f->bytes > LOG_SEGMENT_BYTES_MAX) {
        return err_set(e, ERR_CORRUPT, "segment %u of the log has %llu bytes", f->id,
                       (unsigned long long)f->bytes);
    }
    void *p = c->bytes;
    if (!mem_array_grow(s->mem, &p, &c->bytes_cap, (size_t)f->bytes, LOG_SEGMENT_BYTES_MAX, 1)) {
        return err_set(e, ERR_NOMEM, "no memory for segment %u of the log", f->id);
    }
    c->bytes = p;
    char path[PATH_BYTES_MAX];
    int fd;
    if (!wal_path(s->dir, f->id, path, e)) {
        return false;
    }
    int rc = s->os->open(s->os->ctx, path, OS_READ, &fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    bool ok = file_pread_all(s->os, fd, c->bytes, (size_t)f->bytes, 0, path, e);
    (void)s->os->close(s->os->ctx, fd);
    return ok;
}

/* Bytes of the whole record at p, or 0 when there is none. */
static size_t record_at(uint32_t segment, const char *p, size_t left)
{
    if (left <= LOG_RECORD_HEAD || get_u32le(p) != LOG_RECORD_MAGIC) {
        return 0;
    }
    size_t n = get_u32le(p + 8);
    if (n == 0 || n > left - LOG_RECORD_HEAD || n > LOG_RECORD_BYTES_MAX) {
        return 0;
    }
    struct str payload = str_of(p + LOG_RECORD_HEAD, n);
    return wal_record_crc(segment, p, payload) == get_u32le(p + 4) ? LOG_RECORD_HEAD + n : 0;
}

/* Offset of the next record behind `off`, or `limit`. Checksums of false starts are bounded: after
 * many the rest is given up, since a crafted segment could make each of them long. */
static uint64_t record_search(const struct scan *c, uint32_t id, uint64_t off, uint64_t limit)
{
    static const char magic[4] = {'W', 'A', 'L', '1'};
    uint64_t budget = (limit - off) * 4 + 4096;
    off++;
    while (off < limit) {
        const char *hit = memmem(c->bytes + off, (size_t)(limit - off), magic, sizeof magic);
        if (hit == NULL) {
            return limit;
        }
        off = (uint64_t)(hit - c->bytes);
        if (record_at(id, hit, (size_t)(limit - off)) > 0) {
            return off;
        }
        size_t n = limit - off > LOG_RECORD_HEAD ? get_u32le(hit + 8) : 0;
        n = n <= limit - off ? n : 1;
        if (n >= budget) {
            return limit;
        }
        budget -= n;
        off++;
    }
    return limit;
}

static bool record_give(struct log_scan *s, uint64_t position, struct str payload, struct err *e)
{
    if (position < s->covered) {
        return true;
    }
    struct err why = {.code = ERR_NONE};
    unsigned kind = (unsigned char)payload.p[0];
    if (s->record(s->ctx, position, kind, str_sub(payload, 1, payload.n - 1), &why)) {
        return true;
    }
    if (why.code != ERR_CORRUPT) {
        if (e != NULL) {
            *e = why;
        }
        return false;
    }
    s->damaged++;
    log_err(s->log, LOG_ERROR, mod, &why);
    return true;
}

static void damage(struct log_scan *s, uint32_t id, uint64_t from, uint64_t to)
{
    s->damaged++;
    log_line(s->log, LOG_ERROR, mod,
             "segment %u: bytes %llu to %llu are damaged, what they held is lost", id,
             (unsigned long long)from, (unsigned long long)to);
}

/* Cuts the torn tail and makes what stays durable. Not being able to is not the end: the next
 * segment's `prev` says the same. */
static void settle(struct log_scan *s, const struct found *f, uint64_t keep)
{
    char path[PATH_BYTES_MAX];
    int fd;
    bool ok =
        wal_path(s->dir, f->id, path, NULL) && s->os->open(s->os->ctx, path, OS_WRITE, &fd) == 0;
    if (ok) {
        ok = keep >= f->bytes || s->os->truncate(s->os->ctx, fd, keep) == 0;
        ok = s->os->datasync(s->os->ctx, fd) == 0 && ok;
        (void)s->os->close(s->os->ctx, fd);
        ok = s->os->dirsync(s->os->ctx, s->dir) == 0 && ok;
    }
    s->cut_failed = !ok;
}

static bool segment_walk(struct scan *c, size_t i, struct err *e)
{
    struct log_scan *s = c->s;
    const struct found *f = &c->v[i];
    const struct found *next = i + 1 < c->n ? &c->v[i + 1] : NULL;
    bool ends = next != NULL && next->head_ok && log_position_id(next->prev) == f->id;
    uint64_t limit =
        ends && log_position_off(next->prev) < f->bytes ? log_position_off(next->prev) : f->bytes;
    if (f->bytes < LOG_HEAD) { /* it was being made */
        s->end = next == NULL ? log_position(f->id, 0) : s->end;
        return true;
    }
    if (!segment_load(c, f, e)) {
        return false;
    }
    if (!f->head_ok) {
        damage(s, f->id, 0, LOG_HEAD);
    }
    uint64_t off = LOG_HEAD;
    while (off < limit) {
        size_t n = record_at(f->id, c->bytes + off, (size_t)(limit - off));
        if (n > 0) {
            struct str payload = str_of(c->bytes + off + LOG_RECORD_HEAD, n - LOG_RECORD_HEAD);
            if (!record_give(s, log_position(f->id, off), payload, e)) {
                return false;
            }
            off += n;
            continue;
        }
        uint64_t found = record_search(c, f->id, off, limit);
        if (found == limit && !ends) {
            break;
        }
        damage(s, f->id, off, found);
        off = found;
    }
    if (ends && log_position_off(next->prev) > f->bytes) {
        damage(s, f->id, f->bytes, log_position_off(next->prev));
    }
    s->end = log_position(f->id, off);
    if (off < limit) {
        s->torn += limit - off;
        log_line(s->log, LOG_WARN, mod, "segment %u: %llu bytes cut behind the last record", f->id,
                 (unsigned long long)(limit - off));
    }
    if (next == NULL) {
        settle(s, f, off);
    }
    return true;
}

bool log_scan_run(struct log_scan *s, struct err *e)
{
    struct scan c = {.s = s};
    bool ok = list(&c, e);
    for (size_t i = 0; ok && i < c.n; i++) {
        /* A segment ends before the next one begins. */
        bool before = i + 1 < c.n && log_position(c.v[i + 1].id, 0) <= s->covered;
        struct err why = {.code = ERR_NONE};
        if (!before && !segment_walk(&c, i, &why)) {
            ok = why.code == ERR_CORRUPT;
            if (ok) {
                s->damaged++;
                log_err(s->log, LOG_ERROR, mod, &why);
            } else if (e != NULL) {
                *e = why;
            }
        }
    }
    mem_give(s->mem, c.bytes, c.bytes_cap);
    mem_give(s->mem, c.v, c.cap * sizeof *c.v);
    return ok;
}
