/* The journal, reading half: walks segments, steps over damage, and says what is missing and
 * whether that is loss.
 *
 * Numbers tell the truth here, not bytes: a batch is missing exactly when its seq does not come up.
 *  - Unreadable bytes without a missing seq are the rest of a write that was cut short: torn.
 *  - A missing seq is loss when it is known to have been acknowledged: a later frame of the same
 *    session says "acked up to here" beyond it, or the next session says that it was the last one
 *    it found.
 *  - A missing seq that nobody vouches for belonged to the last group before a power loss, of
 *    which the disk kept a later frame and not this one: never acknowledged, so torn as well.
 * A flip in the very last group can therefore not be told from a torn write; both are counted and
 * logged.
 *
 * After bytes that are no frame, the walk looks for the next frame at every multiple of 8 (frames
 * start there): magic, plausible length, checksum, and a seq that continues. */
#include "flow/journal_int.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

#include <string.h>

#define CHUNK_BYTES ((size_t)1 << 20)
#define GAPS_MAX    16

static const char *const mod = "journal";

/* -- a window over one file -- */

struct window {
    const struct os *os;
    struct mem *mem;
    const char *path;
    int fd;
    uint64_t size;
    char *p;
    size_t cap, n;
    uint64_t at; /* file offset of p[0] */
};

/* [off, off + n) in memory; the caller knows that the file has it. NULL: e is set. */
static const char *window_at(struct window *w, uint64_t off, size_t n, struct err *e)
{
    ASSERT(off <= w->size && n <= w->size - off);
    if (off >= w->at && off - w->at <= w->n && n <= w->n - (size_t)(off - w->at)) {
        return w->p + (off - w->at);
    }
    if (n > w->cap) {
        size_t cap = size_max(n, w->size < CHUNK_BYTES ? (size_t)w->size : CHUNK_BYTES);
        char *p = mem_take(w->mem, cap);
        if (p == NULL) {
            err_set(e, ERR_NOMEM, "no memory to read a frame of %zu bytes", n);
            return NULL;
        }
        mem_give(w->mem, w->p, w->cap);
        w->p = p;
        w->cap = cap;
    }
    size_t want = (size_t)(w->size - off < w->cap ? w->size - off : w->cap);
    w->n = 0;
    w->at = off;
    if (!file_pread_all(w->os, w->fd, w->p, want, off, w->path, e)) {
        return NULL;
    }
    w->n = want;
    return w->p;
}

/* -- one segment -- */

uint64_t journal_frame_hash(const char *head, struct str payload)
{
    /* The head goes into the seed: a hash over head and payload in one go would need them
     * adjacent. */
    return hash64_seed(payload, hash64(str_of(head, 24)));
}

uint64_t journal_segment_hash(const char *head)
{
    return hash64(str_of(head, SEGMENT_HEAD - 8));
}

static bool read_head(struct window *w, const struct journal_scan *s, struct err *e)
{
    if (w->size < SEGMENT_HEAD) {
        return true;
    }
    const char *p = window_at(w, 0, SEGMENT_HEAD, e);
    if (p == NULL) {
        return false;
    }
    if (memcmp(p, "FAROLJNL", 8) != 0 ||
        get_u64le(p + SEGMENT_HEAD - 8) != journal_segment_hash(p)) {
        return true;
    }
    if (get_u32le(p + 8) != JOURNAL_VERSION) {
        return err_set(e, ERR_CORRUPT, "'%s' has version %u, expected %u", w->path,
                       get_u32le(p + 8), JOURNAL_VERSION);
    }
    uint64_t session = get_u64le(p + 24);
    uint64_t seq_read = get_u64le(p + 32);
    if (s->session != NULL && get_u64le(p + 16) == s->first && session <= s->first &&
        seq_read < session) {
        s->session(s->ctx, session, seq_read);
    }
    return true;
}

/* Is there a whole frame at off that may follow seq next - 1? An error only when reading failed. */
static bool frame_at(struct window *w, const struct journal_scan *s, uint64_t off,
                     struct journal_frame *f, bool *found, struct err *e)
{
    *found = false;
    if (w->size - off < FRAME_HEAD) {
        return true;
    }
    const char *p = window_at(w, off, FRAME_HEAD, e);
    if (p == NULL) {
        return false;
    }
    if (get_u32le(p) != FRAME_MAGIC) {
        return true;
    }
    uint64_t n = get_u32le(p + 4);
    f->seq = get_u64le(p + 8);
    f->acked = get_u64le(p + 16);
    if (n > JOURNAL_PAYLOAD_MAX || n > w->size - off - FRAME_HEAD || f->seq < s->next ||
        f->seq >= SEQ_MAX || f->acked >= f->seq) {
        return true;
    }
    p = window_at(w, off, FRAME_HEAD + (size_t)n, e);
    if (p == NULL) {
        return false;
    }
    f->payload = str_of(p + FRAME_HEAD, (size_t)n);
    *found = get_u64le(p + 24) == journal_frame_hash(p, f->payload);
    return true;
}

static bool walk(struct window *w, struct journal_scan *s, struct err *e)
{
    uint64_t off = SEGMENT_HEAD;
    uint64_t good = off; /* everything before is accounted for */
    while (off < w->size) {
        struct journal_frame f;
        bool found;
        if (!frame_at(w, s, off, &f, &found, e)) {
            return false;
        }
        if (!found) {
            off += 8;
            continue;
        }
        if (f.seq >= s->limit) {
            break;
        }
        if (s->gap != NULL && (f.seq > s->next || off > good)) {
            s->gap(s->ctx, s->next, f.seq, off - good);
        }
        if (s->frame != NULL && !s->frame(s->ctx, &f, e)) {
            return false;
        }
        s->next = f.seq + 1;
        uint64_t end = off + journal_frame_bytes(f.payload.n);
        off = good = s->valid_end = end < w->size ? end : w->size;
    }
    s->tail = w->size > good ? w->size - good : 0;
    return true;
}

bool journal_scan_run(const struct journal *j, struct journal_scan *s, struct err *e)
{
    char path[PATH_BYTES_MAX];
    s->next = s->first;
    s->valid_end = 0;
    s->tail = 0;
    if (!journal_segment_path(j, s->first, path, e)) {
        return false;
    }
    struct window w = {.os = j->os, .mem = j->mem, .path = path, .fd = -1};
    int rc = j->os->open(j->os->ctx, path, OS_READ, &w.fd);
    if (rc != 0) {
        return err_errno(e, rc, "cannot open '%s'", path);
    }
    bool ok = false;
    rc = j->os->size(j->os->ctx, w.fd, &w.size);
    if (rc != 0) {
        err_errno(e, rc, "cannot read the size of '%s'", path);
        goto out;
    }
    s->bytes = w.size;
    ok = read_head(&w, s, e) && walk(&w, s, e);
out:
    j->os->close(j->os->ctx, w.fd);
    mem_give(j->mem, w.p, w.cap);
    return ok;
}

/* -- replay -- */

struct gap {
    uint64_t from, to, bytes;
};

struct replay {
    struct journal *j;
    uint64_t from;
    uint64_t session;
    struct gap gaps[GAPS_MAX]; /* missing, and nobody has vouched for them yet; ascending */
    size_t gaps_count;
    bool (*each)(void *ctx, uint64_t seq, struct str payload, struct err *e);
    void *ctx;
};

static void gap_lost(struct replay *r, const struct gap *g)
{
    struct journal_stats *st = &r->j->stats;
    st->damaged_frames += g->to - g->from;
    st->damaged_bytes += g->bytes;
    log_line(r->j->log, LOG_ERROR, mod,
             "acknowledged batches are lost: %llu from number %llu on (%llu damaged bytes)",
             (unsigned long long)(g->to - g->from), (unsigned long long)g->from,
             (unsigned long long)g->bytes);
}

static void gap_torn(struct replay *r, const struct gap *g)
{
    r->j->passed_bytes += g->bytes;
    log_line(r->j->log, LOG_WARN, mod,
             "passed over an unfinished write of %llu batches from number %llu on (%llu bytes)",
             (unsigned long long)(g->to - g->from), (unsigned long long)g->from,
             (unsigned long long)g->bytes);
}

/* Judges every open gap that ends at or below `to`. */
static void gaps_judge(struct replay *r, uint64_t to,
                       void (*verdict)(struct replay *, const struct gap *))
{
    size_t kept = 0;
    for (size_t i = 0; i < r->gaps_count; i++) {
        if (r->gaps[i].to <= to) {
            verdict(r, &r->gaps[i]);
        } else {
            r->gaps[kept++] = r->gaps[i];
        }
    }
    r->gaps_count = kept;
}

static void on_gap(void *ctx, uint64_t from, uint64_t to, uint64_t bytes)
{
    struct replay *r = ctx;
    if (from == to) {
        r->j->passed_bytes += bytes;
        return;
    }
    if (to <= r->from) {
        return; /* a checkpoint holds them */
    }
    struct gap g = {from < r->from ? r->from : from, to, bytes};
    if (r->gaps_count == GAPS_MAX) { /* never seen; the careful answer is loss */
        gap_lost(r, &g);
        return;
    }
    r->gaps[r->gaps_count++] = g;
}

/* A session found batch seq_read when it began: if that is missing now, it went later. What was
 * missing elsewhere was missing then, or nobody vouches for it. */
static void on_session(void *ctx, uint64_t session, uint64_t seq_read)
{
    struct replay *r = ctx;
    if (session == r->session) {
        return;
    }
    for (size_t i = 0; i < r->gaps_count; i++) {
        if (r->gaps[i].from <= seq_read && seq_read < r->gaps[i].to) {
            gap_lost(r, &r->gaps[i]);
        } else {
            gap_torn(r, &r->gaps[i]);
        }
    }
    r->gaps_count = 0;
    r->session = session;
}

static bool on_frame(void *ctx, const struct journal_frame *f, struct err *e)
{
    struct replay *r = ctx;
    if (r->gaps_count > 0) {
        gaps_judge(r, f->acked + 1, gap_lost);
    }
    return f->seq < r->from || r->each(r->ctx, f->seq, f->payload, e);
}

static bool replay_segment(struct replay *r, size_t idx, struct err *e)
{
    struct journal *j = r->j;
    bool last = idx + 1 == j->segments_count;
    struct journal_scan s = {.first = j->segments[idx].first,
                             .limit = last ? j->seq_next : j->segments[idx + 1].first,
                             .frame = on_frame,
                             .gap = on_gap,
                             .session = on_session,
                             .ctx = r};
    if (!journal_scan_run(j, &s, e)) {
        return false;
    }
    if (s.next < s.limit || s.tail > 0) {
        on_gap(r, s.next, s.limit, s.tail);
    }
    return true;
}

bool journal_replay(struct journal *j, uint64_t from,
                    bool (*each)(void *ctx, uint64_t seq, struct str payload, struct err *e),
                    void *ctx, struct err *e)
{
    struct replay r = {.j = j, .from = from, .each = each, .ctx = ctx};
    j->stats.damaged_frames = 0;
    j->stats.damaged_bytes = 0;
    j->passed_bytes = 0;
    uint64_t first = j->segments_count > 0 ? j->segments[0].first : j->seq_next;
    if (from > 0 && from < first) {
        struct gap g = {from, first, 0};
        gap_lost(&r, &g);
    }
    for (size_t i = 0; i < j->segments_count; i++) {
        if (i + 1 < j->segments_count && j->segments[i + 1].first <= from) {
            continue;
        }
        if (!replay_segment(&r, i, e)) {
            return false;
        }
    }
    on_session(&r, j->session, j->seq_read);
    gaps_judge(&r, UINT64_MAX, gap_torn);
    return true;
}
