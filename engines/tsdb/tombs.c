/* Deletions: which intervals of which series are to be treated as never stored, until a merge has
 * written the blocks anew without them.
 *
 * tombs.bin, replaced as a whole (a deletion is a rare act of a person):
 *
 *     off  size
 *       0     8  "FROLTMB1"
 *       8     4  version, 1
 *      12     4  number of entries
 *      16        entries of 28 bytes: ref u32, from i64, to i64, seq u64; by ref, then from
 *     end     4  crc32c of all before it
 *
 * Invariant: entries are sorted by ref, then from. Intervals of one series that touch and have
 * the same seq are one entry (as far as LOOK_BACK goes); with different ones they stay apart, for
 * the older hides less. */
#include "engines/tsdb/tombs_int.h"

#include "base/file.h"
#include "base/hash.h"

#include <stdlib.h>

#define MAGIC       0x31424d544c4f5246ULL
#define VERSION     1
#define ENTRY_BYTES 28
#define HEAD_BYTES  16
#define LOOK_BACK   8
#define FILE_MAX    (HEAD_BYTES + (size_t)TOMBS_MAX * ENTRY_BYTES + 4)

struct tombs {
    struct mem *mem;
    uint32_t refs; /* lock: that of mem */
    uint32_t n;
    size_t bytes; /* of this struct */
    struct tomb v[];
};

static struct tombs *tombs_new(struct mem *m, size_t n, struct err *e)
{
    size_t bytes = sizeof(struct tombs) + n * sizeof(struct tomb);
    struct tombs *t = n <= TOMBS_MAX ? mem_take(m, bytes) : NULL;
    if (t == NULL) {
        (void)err_set(e, n > TOMBS_MAX ? ERR_LIMIT : ERR_NOMEM,
                      "no room for %zu deleted intervals, at most %u", n, TOMBS_MAX);
        return NULL;
    }
    t->mem = m;
    t->refs = 1;
    t->bytes = bytes;
    return t;
}

struct tombs *tombs_ref(struct tombs *t)
{
    if (t != NULL) {
        t->refs++;
    }
    return t;
}

void tombs_unref(struct tombs *t)
{
    if (t == NULL) {
        return;
    }
    ASSERT(t->refs > 0);
    t->refs--;
    if (t->refs == 0) {
        mem_give(t->mem, t, t->bytes);
    }
}

uint32_t tombs_count(const struct tombs *t)
{
    return t != NULL ? t->n : 0;
}

const struct tomb *tombs_at(const struct tombs *t, uint32_t i)
{
    ASSERT(i < t->n);
    return &t->v[i];
}

/* --- sets ------------------------------------------------------------------------------------- */

static int order(const void *a, const void *b)
{
    const struct tomb *x = a;
    const struct tomb *y = b;
    if (x->ref != y->ref) {
        return x->ref < y->ref ? -1 : 1;
    }
    if (x->from_ms != y->from_ms) {
        return x->from_ms < y->from_ms ? -1 : 1;
    }
    if (x->to_ms != y->to_ms) {
        return x->to_ms < y->to_ms ? -1 : 1;
    }
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* b is inside a, or continues it. a comes first in the order. */
static bool joins(const struct tomb *a, const struct tomb *b)
{
    return a->ref == b->ref && a->seq == b->seq &&
           (a->to_ms == INT64_MAX || b->from_ms <= a->to_ms + 1);
}

/* The entry among the last few that x continues, or NULL. */
static struct tomb *joined(struct tombs *t, uint32_t n, const struct tomb *x)
{
    for (uint32_t back = 1; back <= LOOK_BACK && back <= n && t->v[n - back].ref == x->ref;
         back++) {
        if (joins(&t->v[n - back], x)) {
            return &t->v[n - back];
        }
    }
    return NULL;
}

static void set_tidy(struct tombs *t)
{
    uint32_t n = 0;
    qsort(t->v, t->n, sizeof t->v[0], order);
    for (uint32_t i = 0; i < t->n; i++) {
        struct tomb *to = joined(t, n, &t->v[i]);
        if (to != NULL) {
            to->to_ms = i64_max(to->to_ms, t->v[i].to_ms);
        } else {
            t->v[n++] = t->v[i];
        }
    }
    t->n = n;
}

bool tombs_add(struct tombs **out, struct mem *m, const struct tombs *old, const struct tomb *add,
               uint32_t n, struct err *e)
{
    uint32_t old_n = tombs_count(old);
    *out = tombs_new(m, (size_t)old_n + n, e);
    if (*out == NULL) {
        return false;
    }
    struct tombs *t = *out;
    if (old_n > 0) {
        memcpy(t->v, old->v, old_n * sizeof old->v[0]);
    }
    t->n = old_n;
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(add[i].from_ms <= add[i].to_ms);
        t->v[t->n++] = add[i];
    }
    set_tidy(t);
    return true;
}

bool tombs_keep(struct tombs **out, struct mem *m, const struct tombs *old,
                bool (*keep)(void *ctx, const struct tomb *t), void *ctx, struct err *e)
{
    *out = tombs_new(m, tombs_count(old), e);
    if (*out == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < tombs_count(old); i++) {
        if (keep(ctx, &old->v[i])) {
            (*out)->v[(*out)->n++] = old->v[i];
        }
    }
    return true;
}

/* --- the file --------------------------------------------------------------------------------- */

static bool tombs_path(char *out, const char *dir, struct err *e)
{
    return path_join(out, PATH_BYTES_MAX, dir, "tombs.bin", e);
}

bool tombs_save(const struct tombs *t, struct mem *m, const struct os *os, const char *dir,
                struct err *e)
{
    char path[PATH_BYTES_MAX];
    struct buf b;
    if (!tombs_path(path, dir, e)) {
        return false;
    }
    buf_init(&b, m, FILE_MAX);
    buf_u64le(&b, MAGIC);
    buf_u32le(&b, VERSION);
    buf_u32le(&b, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        buf_u32le(&b, t->v[i].ref);
        buf_u64le(&b, (uint64_t)t->v[i].from_ms);
        buf_u64le(&b, (uint64_t)t->v[i].to_ms);
        buf_u64le(&b, t->v[i].seq);
    }
    buf_u32le(&b, hash_crc32c(buf_str(&b)));
    bool ok = buf_ok(&b, e) && file_replace(os, path, buf_str(&b), e);
    buf_release(&b);
    return ok;
}

static bool follows(const struct tomb *a, const struct tomb *b)
{
    return a->ref < b->ref || (a->ref == b->ref && a->from_ms <= b->from_ms);
}

bool tombs_decode(struct tombs **out, struct mem *m, struct str bytes, struct err *e)
{
    struct rd r = rd_of(bytes);
    uint64_t magic = rd_u64le(&r);
    uint32_t version = rd_u32le(&r);
    uint32_t n = rd_u32le(&r);
    *out = NULL;
    if (r.failed || magic != MAGIC || version != VERSION) {
        return err_set(e, ERR_CORRUPT, "the file of deletions does not begin as one");
    }
    if (n > TOMBS_MAX || bytes.n != HEAD_BYTES + (size_t)n * ENTRY_BYTES + 4) {
        return err_set(e, ERR_CORRUPT, "the file of deletions has %zu bytes for %u entries",
                       bytes.n, n);
    }
    if (get_u32le(bytes.p + bytes.n - 4) != hash_crc32c(str_sub(bytes, 0, bytes.n - 4))) {
        return err_set(e, ERR_CORRUPT, "the file of deletions has a wrong checksum");
    }
    struct tombs *t = tombs_new(m, n, e);
    if (t == NULL) {
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        struct tomb *x = &t->v[i];
        x->ref = rd_u32le(&r);
        x->from_ms = (int64_t)rd_u64le(&r);
        x->to_ms = (int64_t)rd_u64le(&r);
        x->seq = rd_u64le(&r);
        ok = ok && x->ref != 0 && x->from_ms <= x->to_ms && (i == 0 || follows(x - 1, x));
    }
    t->n = n;
    if (!ok) {
        tombs_unref(t);
        return err_set(e, ERR_CORRUPT, "the file of deletions is not in order");
    }
    *out = t;
    return true;
}

/* A folder without the file is a store without deletions; the seam cannot tell a missing file from
 * others but by its name. */
struct finding {
    bool found;
};

static void find_each(void *arg, const char *name)
{
    struct finding *f = arg;
    f->found = f->found || str_eq(str_from_c(name), STR("tombs.bin"));
}

bool tombs_read(struct tombs **out, struct mem *m, const struct os *os, const char *dir,
                struct err *e)
{
    char path[PATH_BYTES_MAX];
    struct finding found = {false};
    *out = NULL;
    int rc = os->list(os->ctx, dir, find_each, &found);
    if (rc != 0) {
        return err_errno(e, rc, "cannot list '%s'", dir);
    }
    if (!found.found) {
        *out = tombs_new(m, 0, e);
        return *out != NULL;
    }
    struct buf b;
    buf_init(&b, m, FILE_MAX);
    bool ok = tombs_path(path, dir, e) && file_read(os, path, &b, e) &&
              tombs_decode(out, m, buf_str(&b), e);
    buf_release(&b);
    return ok;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* First entry whose ref is not below. */
static uint32_t lower(const struct tombs *t, uint64_t ref)
{
    uint32_t lo = 0;
    uint32_t hi = t->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (t->v[mid].ref < ref) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

const struct tomb *tombs_of(const struct tombs *t, uint32_t ref, uint32_t *n)
{
    *n = 0;
    if (t == NULL || t->n == 0) {
        return NULL;
    }
    uint32_t from = lower(t, ref);
    *n = lower(t, (uint64_t)ref + 1) - from;
    return *n > 0 ? &t->v[from] : NULL;
}

bool tombs_hit(const struct tomb *list, uint32_t n, uint64_t seq, int64_t t_ms)
{
    return tombs_touch(list, n, seq, t_ms, t_ms);
}

bool tombs_touch(const struct tomb *list, uint32_t n, uint64_t seq, int64_t min_ms, int64_t max_ms)
{
    for (uint32_t i = 0; i < n && list[i].from_ms <= max_ms; i++) {
        if (list[i].to_ms >= min_ms && seq <= list[i].seq) {
            return true;
        }
    }
    return false;
}

uint32_t tombs_filter(const struct tomb *list, uint32_t list_n, uint64_t seq, const int64_t *t_in,
                      int64_t *t, double *v, struct nhist **h, int64_t *st, uint32_t n)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (tombs_hit(list, list_n, seq, t_in[i])) {
            continue;
        }
        t[left] = t_in[i];
        v[left] = v[i];
        if (h != NULL) {
            h[left] = h[i];
        }
        if (st != NULL) {
            st[left] = st[i];
        }
        left++;
    }
    return left;
}
