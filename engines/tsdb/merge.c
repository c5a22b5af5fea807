/* The merge: every series of the inputs once, in writing order, cut into columns, into one block.
 *
 *     for each group (a histogram's buckets, at most BLOCK_CHAIN_MAX; else one series):
 *         until all its members are at their end:
 *             the first member that has samples says where the next column ends (cut)
 *             each member gives what it has before that time
 *
 * The buckets of one histogram are cut at the same times, so they share the list of times and are
 * coded against each other; across the series of one scrape the cut falls on the same time because
 * it is the first multiple of block_ms after COLUMN_MIN samples. So a column holds two hours of a
 * series scraped every 15 s (480 samples), 8 h of one scraped every minute: short enough that a
 * query for five minutes of old data decodes little, long enough that 16 bytes of directory and
 * head do not weigh. (Columns of 1,440 would save 3 % of the bytes and treble that work.)
 *
 * Columns that are good as they are keep their bytes (round_copy).
 *
 * Memory: cursors of the inputs, a bit and a half for each series of an input, a group's samples at
 * hand, the writer's directory. The inputs are mapped; their data is read once and in order, and
 * let go behind the reading, while offsets and times of their directories, looked up all over the
 * place, stay until the end. */
#include "engines/tsdb/merge_member_int.h"

#define COLUMN_MIN  400
#define COLUMN_MAX  2048
#define TIME_SLOTS  64
#define CHAIN_SLOTS 1 /* members are read in the order of writing */
#define STOP_EVERY  64
#define COOL_EVERY  256 /* groups: a MiB or so of each input */

struct merge {
    struct merge_work work;
    struct block_writer *out;
    struct merge_member members[BLOCK_CHAIN_MAX];
    uint32_t families; /* numbers given to the writer */
    uint64_t columns, copied;
    uint64_t *known; /* bit by id: in the job's writing order */
    size_t known_bytes;
    uint32_t groups;
};

/* --- cutting ---------------------------------------------------------------------------------- */

static int64_t span_of(int64_t t_ms, int64_t block_ms)
{
    int64_t q = t_ms / block_ms;
    return t_ms % block_ms < 0 ? q - 1 : q;
}

/* How many of n times the next column takes; `last`: none follow. */
static uint32_t column_end(const int64_t *t, uint32_t n, bool last, int64_t block_ms)
{
    uint32_t at = size_min(n, COLUMN_MAX) > COLUMN_MIN ? COLUMN_MIN : n;
    while (at < n && at < COLUMN_MAX && span_of(t[at - 1], block_ms) == span_of(t[at], block_ms)) {
        at++;
    }
    /* A remainder of a few samples is not worth a column. */
    return last && n <= COLUMN_MAX && n - at < COLUMN_MIN / 4 ? n : at;
}

/* Writes the member's samples up to last_ms. */
static bool member_write(struct merge *g, struct merge_member *s, int64_t last_ms, uint32_t family,
                         struct err *e)
{
    struct merge_cols *c = &s->cols;
    uint32_t end = c->from;
    while (end < c->n && c->t[end] <= last_ms) {
        end++;
    }
    while (c->from < end) {
        uint32_t n = (uint32_t)size_min(end - c->from, COLUMN_MAX);
        struct block_column col = {
            .ref = s->ref,
            .n = n,
            .t = c->t + c->from,
            .v = c->v + c->from,
            .h = c->has_h ? (const struct nhist *const *)(c->h + c->from) : NULL,
            .st = c->has_st ? c->st + c->from : NULL,
            .family = family,
        };
        if (!block_writer_add(g->out, &col, e)) {
            return false;
        }
        g->columns++;
        c->from += n;
    }
    return true;
}

/* The first member that has samples, with enough of them at hand to cut; n: none has. */
static bool leader_find(struct merge *g, uint32_t n, uint32_t *leader, struct err *e)
{
    for (*leader = 0; *leader < n; (*leader)++) {
        struct merge_member *s = &g->members[*leader];
        if (!merge_member_fill(s, &g->work, COLUMN_MAX + 1, INT64_MAX, e)) {
            return false;
        }
        if (merge_member_left(s) > 0) {
            return true;
        }
    }
    return true;
}

/* Where the column of member s ends, when that of the leader ends at last_ms. A leader that has
 * come to its end takes along the others' few samples behind it. */
static bool member_last(struct merge *g, struct merge_member *s, bool leader_ends, int64_t *last_ms,
                        struct err *e)
{
    if (leader_ends) {
        if (!merge_member_fill(s, &g->work, COLUMN_MAX + 1, INT64_MAX, e)) {
            return false;
        }
        if (merge_member_left(s) <= COLUMN_MAX) {
            *last_ms = INT64_MAX;
            return true;
        }
    }
    return merge_member_fill(s, &g->work, UINT32_MAX, *last_ms, e);
}

/* One column of each member. *done: there was nothing left. */
static bool group_round(struct merge *g, uint32_t n, bool *done, struct err *e)
{
    uint32_t leader = 0;
    if (!leader_find(g, n, &leader, e)) {
        return false;
    }
    *done = leader == n;
    if (*done) {
        return true;
    }
    const struct merge_member *s = &g->members[leader];
    const int64_t *t = s->cols.t + s->cols.from;
    uint32_t left = merge_member_left(s);
    uint32_t end = column_end(t, left, s->next == s->sources_n, g->work.job->block_ms);
    bool ends = end == left;
    int64_t cut_ms = ends ? t[end - 1] : t[end] - 1;
    g->families++;
    for (uint32_t i = 0; i < n; i++) {
        int64_t last_ms = cut_ms;
        if (!member_last(g, &g->members[i], ends, &last_ms, e) ||
            !member_write(g, &g->members[i], last_ms, n > 1 ? g->families : 0, e)) {
            return false;
        }
    }
    return true;
}

/* What was merged is not read again, so its pages need not count as ours. */
static void cool_inputs(const struct merge_job *j)
{
    for (uint32_t i = 0; i < j->in_n; i++) {
        block_cool_data(j->in[i]);
    }
}

/* --- taking over --------------------------------------------------------------------------------
 * */

/* Whether the member's next column can stay as it is: long enough, alone in its time, untouched by
 * deletions and retention, and coded as the result wants it. */
static bool column_stays(const struct merge *g, const struct merge_member *s)
{
    const struct merge_source *x = &s->sources[s->next];
    if (merge_member_left(s) > 0 || s->next == s->sources_n || x->n < COLUMN_MIN ||
        x->n > COLUMN_MAX || x->min_ms < g->work.job->from_ms) {
        return false;
    }
    const struct block_info *from = block_info(g->work.job->in[x->in]);
    if (from->level < BLOCK_LEVEL_DENSE && g->work.job->level >= BLOCK_LEVEL_DENSE) {
        return false;
    }
    bool alone = s->next + 1 == s->sources_n || s->sources[s->next + 1].min_ms > x->max_ms;
    return alone && !tombs_touch(s->tombs, s->tombs_n, from->seq, x->min_ms, x->max_ms);
}

/* The same for all members at once: columns of one block with one list of times, each coded alone
 * or against that of the member before. Fills records and gives the times; they borrow the input.
 * */
static bool round_stays(struct merge *g, uint32_t n, struct block_record *r, const int64_t **t,
                        uint32_t *t_n)
{
    uint32_t before = 0;
    if (!column_stays(g, &g->members[0])) {
        return false;
    }
    const struct merge_source *first = &g->members[0].sources[g->members[0].next];
    struct block *b = g->work.job->in[first->in];
    for (uint32_t i = 0; i < n; i++) {
        const struct merge_member *s = &g->members[i];
        if (!column_stays(g, s) || s->sources[s->next].in != first->in) {
            return false;
        }
        uint32_t col = s->sources[s->next].col;
        uint32_t off = get_u32le(b->offs + (size_t)col * 4);
        if (block_tim_at(b, col) != block_tim_at(b, first->col) ||
            !block_record_validate(b, off, &r[i], NULL)) {
            return false;
        }
        bool chained = (r[i].flags & BLOCK_CHAINED) != 0;
        if (chained && (i == 0 || off - r[i].back != before)) {
            return false;
        }
        before = off;
    }
    return block_cursor_times(b, g->work.cursors[first->in], first->col, t, t_n, NULL);
}

/* What was cut well by an earlier merge is taken over as bytes: ten times cheaper than decoding,
 * and nearly all of it when blocks of two hours become one of a day. What cannot be read so, is
 * left to group_round, which counts the damage. */
static bool round_copy(struct merge *g, uint32_t n, bool *copied, struct err *e)
{
    struct block_record r[BLOCK_CHAIN_MAX];
    const int64_t *t = NULL;
    uint32_t t_n = 0;
    *copied = round_stays(g, n, r, &t, &t_n);
    for (uint32_t i = 0; *copied && i < n; i++) {
        if (!block_writer_copy(g->out, g->members[i].ref, &r[i], t, t_n, e)) {
            return false;
        }
        g->members[i].next++;
        g->columns++;
        g->copied++;
    }
    return true;
}

static bool group_write(struct merge *g, const uint32_t *refs, uint32_t n, struct err *e)
{
    const struct merge_job *j = g->work.job;
    g->groups++;
    if (j->stop != NULL && g->groups % STOP_EVERY == 0 && j->stop(j->stop_ctx)) {
        return err_set(e, ERR_BUSY, "the merge was told to stop");
    }
    if (g->groups % COOL_EVERY == 0) {
        cool_inputs(j);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!merge_member_start(&g->members[i], &g->work, refs[i], e)) {
            return false;
        }
    }
    bool done = false;
    while (!done) {
        bool copied = false;
        if (!round_copy(g, n, &copied, e) || (!copied && !group_round(g, n, &done, e))) {
            return false;
        }
    }
    return true;
}

/* --- all series ------------------------------------------------------------------------------- */

static bool in_any(struct merge *g, uint32_t ref)
{
    const struct merge_job *j = g->work.job;
    for (uint32_t i = 0; i < j->in_n; i++) {
        uint32_t first = 0;
        if (merge_place_find(&g->work, i, ref, &first) > 0) {
            return true;
        }
    }
    return false;
}

static bool known_write(struct merge *g, struct err *e)
{
    const struct merge_job *j = g->work.job;
    uint32_t refs[BLOCK_CHAIN_MAX];
    uint32_t n = 0;
    uint32_t family = 0;
    for (uint32_t i = 0; i < j->family_n; i++) {
        const struct family_ref *f = &j->family[i];
        if (f->ref >= g->work.refs_end || !in_any(g, f->ref)) {
            continue;
        }
        ASSERT((g->known[f->ref / 64] >> (f->ref % 64) & 1) == 0);
        g->known[f->ref / 64] |= 1ULL << (f->ref % 64);
        bool joins = n > 0 && n < BLOCK_CHAIN_MAX && f->family != 0 && f->family == family;
        if (n > 0 && !joins) {
            if (!group_write(g, refs, n, e)) {
                return false;
            }
            n = 0;
        }
        refs[n++] = f->ref;
        family = f->family;
    }
    return n == 0 || group_write(g, refs, n, e);
}

/* Series that the writing order does not have, by id within each input. */
static bool unknown_write(struct merge *g, struct err *e)
{
    const struct merge_job *j = g->work.job;
    for (uint32_t i = 0; i < j->in_n; i++) {
        for (uint32_t k = 0; k < block_columns(j->in[i]); k++) {
            uint32_t ref = block_ref_at(j->in[i], k);
            if ((g->known[ref / 64] >> (ref % 64) & 1) != 0) {
                continue;
            }
            g->known[ref / 64] |= 1ULL << (ref % 64);
            if (!group_write(g, &ref, 1, e)) {
                return false;
            }
        }
        block_cool(j->in[i]);
    }
    return true;
}

/* --- a job ------------------------------------------------------------------------------------ */

static bool merge_start(struct merge *g, const struct merge_job *j, struct err *e)
{
    g->work.job = j;
    for (uint32_t i = 0; i < j->in_n; i++) {
        uint32_t last = block_ref_at(j->in[i], block_columns(j->in[i]) - 1);
        g->work.refs_end = last >= g->work.refs_end ? last + 1 : g->work.refs_end;
    }
    for (uint32_t i = 0; i < BLOCK_CHAIN_MAX; i++) {
        merge_member_init(&g->members[i], j->mem);
    }
    g->known_bytes = ((size_t)g->work.refs_end / 64 + 1) * sizeof *g->known;
    g->known = mem_take(j->mem, g->known_bytes);
    g->work.cursors = mem_take(j->mem, j->in_n * sizeof(struct block_cursor *));
    bool ok = g->known != NULL && g->work.cursors != NULL;
    for (uint32_t i = 0; ok && i < j->in_n; i++) {
        g->work.cursors[i] = block_cursor_sized(j->mem, TIME_SLOTS, CHAIN_SLOTS);
        ok = g->work.cursors[i] != NULL;
    }
    if (!ok) {
        return err_set(e, ERR_NOMEM, "no memory to merge %u blocks", j->in_n);
    }
    return merge_places_new(&g->work, e) &&
           block_writer_open(&g->out, j->mem, j->os, j->dir, j->id, j->level, e);
}

static void merge_end(struct merge *g)
{
    const struct merge_job *j = g->work.job;
    for (uint32_t i = 0; i < j->in_n; i++) {
        block_cool(j->in[i]);
    }
    merge_places_free(&g->work);
    for (uint32_t i = 0; g->work.cursors != NULL && i < j->in_n; i++) {
        block_cursor_free(g->work.cursors[i]);
    }
    for (uint32_t i = 0; i < BLOCK_CHAIN_MAX; i++) {
        merge_member_release(&g->members[i], j->mem);
    }
    merge_cols_release(&g->work.one, j->mem);
    merge_cols_release(&g->work.two, j->mem);
    mem_give(j->mem, g->known, g->known != NULL ? g->known_bytes : 0);
    mem_give(j->mem, g->work.cursors,
             g->work.cursors != NULL ? j->in_n * sizeof(struct block_cursor *) : 0);
    if (g->out != NULL) {
        block_writer_abort(g->out);
    }
    mem_give(j->mem, g, sizeof *g);
}

/* The inputs' place in the order of age, and the log that they cover. */
static bool merge_finish(struct merge *g, struct merge_result *out, struct err *e)
{
    const struct merge_job *j = g->work.job;
    uint64_t log_upto = 0;
    uint64_t seq = 0;
    uint64_t seq_min = UINT64_MAX;
    for (uint32_t i = 0; i < j->in_n; i++) {
        const struct block_info *b = block_info(j->in[i]);
        log_upto = b->log_upto > log_upto ? b->log_upto : log_upto;
        seq = b->seq > seq ? b->seq : seq;
        seq_min = b->seq_min < seq_min ? b->seq_min : seq_min;
    }
    out->damaged = g->work.damaged;
    out->dropped = g->work.dropped;
    out->copied = g->copied;
    if (g->columns == 0) {
        return true; /* merge_end removes the empty file */
    }
    block_writer_seq(g->out, seq_min, seq);
    struct block_writer *w = g->out;
    g->out = NULL;
    return block_writer_finish(w, log_upto, &out->info, e);
}

bool merge_run(const struct merge_job *j, struct merge_result *out, struct err *e)
{
    ASSERT(j->in_n >= 1);
    ASSERT(j->block_ms > 0);
    *out = (struct merge_result){0};
    struct merge *g = mem_take(j->mem, sizeof *g);
    if (g == NULL) {
        return err_set(e, ERR_NOMEM, "no memory to merge");
    }
    bool ok =
        merge_start(g, j, e) && known_write(g, e) && unknown_write(g, e) && merge_finish(g, out, e);
    merge_end(g);
    return ok;
}
