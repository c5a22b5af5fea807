/* Taps: reading the log behind the committer, for those who send samples on.
 *
 * A tap reads the files of the log up to log_position, which the committer moves only after a group
 * counts; so it never sees a group that is taken back. What it needs is kept by wal_trim. Between
 * two positions the log always gives the same samples in the same order, also after a restart: a
 * sender that noted "from here to there" before it sent can send the very same requests again.
 *
 * Invariant: position <= end of the log, at a record or where a segment ends. */
#include "engines/tsdb/commit_int.h"

#define TAP_HISTS_BYTES_MAX ((size_t)64 << 20)

struct tsdb_tap {
    struct tsdb *db;
    struct mem mem;
    uint64_t at;            /* lock: wal->mu to write, the owner reads */
    uint64_t keep;          /* lock: wal->mu */
    uint64_t lost, damaged; /* lock: wal->mu */
    struct tsdb_tap *next;  /* lock: wal->mu */
    int fd;                 /* of segment fd_id; -1 = none */
    uint32_t fd_id;
    uint64_t fd_end; /* where the segment ends, once another has begun; 0 = not known yet */
    struct buf payload;
    struct log_reader reader;
    struct arena hists;
};

/* -- for the log; lock: mu -- */

uint64_t wal_taps_from(const struct wal *w)
{
    if (w->tap_bytes_max == 0) {
        return UINT64_MAX;
    }
    uint64_t from = w->taps ? UINT64_MAX : 0;
    for (const struct tsdb_tap *t = w->taps; t; t = t->next) {
        from = t->keep < from ? t->keep : from;
    }
    return from;
}

void wal_taps_lose(struct wal *w, struct log_segment s)
{
    for (struct tsdb_tap *t = w->taps; t; t = t->next) {
        const uint32_t id = log_position_id(t->at);
        if (id <= s.id) {
            const uint64_t read = id == s.id ? log_position_off(t->at) : 0;
            t->lost += read < s.bytes ? s.bytes - read : 0;
        }
    }
}

/* -- life -- */

void tsdb_tap_bytes_max_set(struct tsdb *db, uint64_t bytes_max)
{
    pthread_mutex_lock(&db->wal->mu);
    db->wal->tap_bytes_max = bytes_max;
    pthread_mutex_unlock(&db->wal->mu);
}

/* Never 0, which stands for "from now on": the first segment has number 1. */
static uint64_t end_of(struct tsdb *db)
{
    const uint64_t logged = atomic_load(&db->log_position);
    const uint64_t end = logged > db->recovered_end ? logged : db->recovered_end;
    return end > log_position(1, 0) ? end : log_position(1, 0);
}

bool tsdb_tap_open(struct tsdb *db, uint64_t from, struct tsdb_tap **out, struct err *e)
{
    struct mem m;
    mem_init(&m, 0);
    struct tsdb_tap *t = mem_take(&m, sizeof *t);
    if (!t) {
        return err_set(e, ERR_NOMEM, "no memory for a tap of the log");
    }
    t->mem = m;
    t->db = db;
    t->fd = -1;
    const uint64_t end = end_of(db);
    t->at = from == 0 || from > end ? end : from;
    t->keep = t->at;
    buf_init(&t->payload, &t->mem, LOG_RECORD_BYTES_MAX);
    arena_init(&t->hists, &t->mem, TAP_HISTS_BYTES_MAX);
    log_reader_init(&t->reader, &t->mem);
    pthread_mutex_lock(&db->wal->mu);
    t->next = db->wal->taps;
    db->wal->taps = t;
    pthread_mutex_unlock(&db->wal->mu);
    *out = t;
    return true;
}

static void segment_close(struct tsdb_tap *t)
{
    if (t->fd >= 0) {
        (void)t->db->os->close(t->db->os->ctx, t->fd);
        t->fd = -1;
    }
}

void tsdb_tap_close(struct tsdb_tap *t)
{
    if (!t) {
        return;
    }
    struct wal *w = t->db->wal;
    pthread_mutex_lock(&w->mu);
    struct tsdb_tap **link = &w->taps;
    while (*link != t) {
        link = &(*link)->next;
    }
    *link = t->next;
    pthread_mutex_unlock(&w->mu);
    segment_close(t);
    log_reader_release(&t->reader);
    arena_release(&t->hists);
    buf_release(&t->payload);
    struct mem m = t->mem;
    mem_give(&m, t, sizeof *t);
    ASSERT(m.bytes == 0);
}

uint64_t tsdb_tap_position(const struct tsdb_tap *t)
{
    return t->at;
}

void tsdb_tap_seek(struct tsdb_tap *t, uint64_t position)
{
    pthread_mutex_lock(&t->db->wal->mu);
    ASSERT(position >= t->keep && position <= t->at);
    t->at = position;
    pthread_mutex_unlock(&t->db->wal->mu);
}

void tsdb_tap_keep(struct tsdb_tap *t, uint64_t position)
{
    ASSERT(position <= t->at);
    pthread_mutex_lock(&t->db->wal->mu);
    t->keep = position > t->keep ? position : t->keep;
    pthread_mutex_unlock(&t->db->wal->mu);
}

void tsdb_tap_stats(struct tsdb_tap *t, struct tsdb_tap_stats *out)
{
    const struct wal *w = t->db->wal;
    const uint64_t end = end_of(t->db);
    pthread_mutex_lock(&t->db->wal->mu);
    *out = (struct tsdb_tap_stats){.lost_bytes = t->lost, .damaged = t->damaged};
    for (size_t i = 0; i < w->segments_n && t->at < end; i++) {
        const struct log_segment s = w->segments[i];
        const uint64_t from = s.id == log_position_id(t->at) ? log_position_off(t->at) : 0;
        const uint64_t to = s.id == log_position_id(end) ? log_position_off(end) : s.bytes;
        const bool between = s.id >= log_position_id(t->at) && s.id <= log_position_id(end);
        out->behind_bytes += between && to > from ? to - from : 0;
    }
    pthread_mutex_unlock(&t->db->wal->mu);
}

static void move(struct tsdb_tap *t, uint64_t position, uint64_t damaged)
{
    ASSERT(position >= t->at);
    pthread_mutex_lock(&t->db->wal->mu);
    t->at = position;
    t->damaged += damaged;
    pthread_mutex_unlock(&t->db->wal->mu);
}

/* -- segments -- */

/* The first segment that is kept with a number of at least id; 0 = none. */
static uint32_t segment_from(struct wal *w, uint32_t id)
{
    uint32_t found = 0;
    pthread_mutex_lock(&w->mu);
    for (size_t i = 0; i < w->segments_n && found == 0; i++) {
        found = w->segments[i].id >= id ? w->segments[i].id : 0;
    }
    pthread_mutex_unlock(&w->mu);
    return found;
}

/* Where segment id ends, as the one behind it says; its size when that one does not know. */
static bool segment_end(struct tsdb_tap *t, uint32_t id, uint32_t next, struct err *e)
{
    const struct os *os = t->db->os;
    char path[PATH_BYTES_MAX], head[LOG_HEAD];
    int fd;
    int rc = os->size(os->ctx, t->fd, &t->fd_end);
    if (rc != 0) {
        return err_errno(e, rc, "cannot read the size of segment %u of the log", id);
    }
    if (!wal_path(t->db->wal->dir, next, path, e)) {
        return false;
    }
    if (os->open(os->ctx, path, OS_READ, &fd) != 0) {
        return true;
    }
    struct err ignored;
    if (file_pread_all(os, fd, head, sizeof head, 0, path, &ignored)) {
        const uint64_t prev = get_u64le(head + 24);
        if (log_position_id(prev) == id && log_position_off(prev) < t->fd_end) {
            t->fd_end = log_position_off(prev);
        }
    }
    (void)os->close(os->ctx, fd);
    return true;
}

/* Opens the segment at the position; *limit: where it ends, or 0 when the tap moved to another. */
static bool segment_at(struct tsdb_tap *t, uint64_t end, uint64_t *limit, struct err *e)
{
    const struct os *os = t->db->os;
    const uint32_t id = log_position_id(t->at);
    *limit = 0;
    if (t->fd < 0 || t->fd_id != id) {
        segment_close(t);
        char path[PATH_BYTES_MAX];
        const uint32_t found = segment_from(t->db->wal, id);
        if (found != id) {
            const uint64_t to = found == 0 ? end : log_position(found, LOG_HEAD);
            move(t, to < end ? to : end, 0);
            return true;
        }
        if (!wal_path(t->db->wal->dir, id, path, e)) {
            return false;
        }
        const int rc = os->open(os->ctx, path, OS_READ, &t->fd);
        if (rc != 0) {
            t->fd = -1;
            return err_errno(e, rc, "cannot open '%s'", path);
        }
        t->fd_id = id;
        t->fd_end = 0;
    }
    if (id == log_position_id(end)) {
        *limit = log_position_off(end);
        return true;
    }
    const uint32_t next = segment_from(t->db->wal, id + 1);
    if (t->fd_end == 0 && next != 0 && !segment_end(t, id, next, e)) {
        return false;
    }
    if (next == 0 || log_position_off(t->at) >= t->fd_end) {
        const uint64_t to = next == 0 ? end : log_position(next, LOG_HEAD);
        move(t, to < end ? to : end, 0);
        return true;
    }
    *limit = t->fd_end;
    return true;
}

/* -- records -- */

struct give {
    bool (*each)(void *ctx, const struct tsdb_tapped *x, struct err *e);
    void *ctx;
    uint64_t samples;
};

static bool give_run(struct tsdb_tap *t, const struct log_run *run, struct give *g, struct err *e)
{
    for (uint32_t i = 0; i < run->n; i++) {
        struct tsdb_tapped x = {
            .ref = run->refs[i], .t_ms = run->t, .st_ms = run->st ? run->st[i] : 0};
        struct nhist *h = NULL;
        if (run->hist) {
            struct rd r = rd_of(run->hists[i]);
            arena_reset(&t->hists);
            if (!nhist_decode(&r, &t->hists, &h, e)) {
                return false;
            }
            x.h = h;
        } else {
            const uint64_t bits = get_u64le(run->values + (size_t)i * 8);
            memcpy(&x.v, &bits, sizeof x.v);
        }
        if (!g->each(g->ctx, &x, e)) {
            return false;
        }
        g->samples++;
    }
    return true;
}

static bool give_samples(struct tsdb_tap *t, struct str payload, struct give *g, struct err *e)
{
    struct log_run run;
    struct err why = {.code = ERR_NONE};
    log_reader_start(&t->reader, payload);
    while (log_reader_next(&t->reader, &run, &why)) {
        if (!give_run(t, &run, g, e)) {
            return false;
        }
    }
    if (why.code != ERR_NONE && e) {
        *e = why;
    }
    return why.code == ERR_NONE;
}

static bool give_exemplars(struct tsdb_tap *t, struct str payload, struct give *g, struct err *e)
{
    struct rd r = rd_of(payload);
    while (rd_left(&r) > 0) {
        struct tsdb_exemplar one;
        arena_reset(&t->hists);
        if (!log_get_exemplar(&r, &t->hists, &one, e)) {
            return false;
        }
        const struct tsdb_tapped x = {
            .ref = one.ref, .t_ms = one.t_ms, .v = one.v, .exemplar = &one.labels};
        if (!g->each(g->ctx, &x, e)) {
            return false;
        }
    }
    return true;
}

/* The record at the position; a damaged one is passed over and counted, up to the segment's end
 * when its length cannot be believed. */
static bool record_give(struct tsdb_tap *t, uint64_t limit, struct give *g, struct err *e)
{
    const uint32_t id = log_position_id(t->at), off = log_position_off(t->at);
    char head[LOG_RECORD_HEAD];
    if (limit - off <= LOG_RECORD_HEAD) {
        move(t, log_position(id, limit), 1);
        return true;
    }
    if (!file_pread_all(t->db->os, t->fd, head, sizeof head, off, "the log", e)) {
        return false;
    }
    const size_t n = get_u32le(head + 8);
    if (get_u32le(head) != LOG_RECORD_MAGIC || n == 0 || n > limit - off - LOG_RECORD_HEAD) {
        move(t, log_position(id, limit), 1);
        return true;
    }
    buf_reset(&t->payload);
    char *p = buf_room(&t->payload, n);
    if (!p) {
        return err_set(e, ERR_NOMEM, "no memory for a record of %zu bytes", n);
    }
    if (!file_pread_all(t->db->os, t->fd, p, n, off + LOG_RECORD_HEAD, "the log", e)) {
        return false;
    }
    const struct str payload = str_of(p, n);
    const uint64_t behind = log_position(id, off + LOG_RECORD_HEAD + n);
    if (wal_record_crc(id, head, payload) != get_u32le(head + 4)) {
        move(t, behind, 1);
        return true;
    }
    struct err why = {.code = ERR_NONE};
    const unsigned kind = (unsigned char)payload.p[0];
    const struct str rest = str_sub(payload, 1, n);
    const bool ok = kind == LOG_SAMPLES     ? give_samples(t, rest, g, &why)
                    : kind == LOG_EXEMPLARS ? give_exemplars(t, rest, g, &why)
                                            : true;
    if (!ok && why.code != ERR_CORRUPT) {
        if (e) {
            *e = why;
        }
        return false;
    }
    move(t, behind, ok ? 0 : 1);
    return true;
}

bool tsdb_tap_read(struct tsdb_tap *t, uint64_t upto, uint64_t samples_max,
                   bool (*each)(void *ctx, const struct tsdb_tapped *x, struct err *e), void *ctx,
                   struct err *e)
{
    struct give g = {.each = each, .ctx = ctx};
    uint64_t end = end_of(t->db);
    end = upto != 0 && upto < end ? upto : end;
    while (t->at < end && g.samples < samples_max) {
        uint64_t limit;
        if (log_position_off(t->at) < LOG_HEAD) {
            const uint64_t first = log_position(log_position_id(t->at), LOG_HEAD);
            move(t, first < end ? first : end, 0);
            continue;
        }
        if (!segment_at(t, end, &limit, e)) {
            return false;
        }
        if (limit > log_position_off(t->at) && !record_give(t, limit, &g, e)) {
            return false;
        }
    }
    return true;
}
