/* What the tests of the journal share: a journal on a simulated disk, batches that can be checked
 * from their tag, and a replay. For tests only. */
#ifndef FLOW_JOURNAL_TESTING_INT_H
#define FLOW_JOURNAL_TESTING_INT_H

#include "flow/journal.h"

#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"
#include "flow/journal_int.h"

#include <stdlib.h>
#include <string.h>

#define DIR_J     "/j"
#define FIRST     "/j/journal-0000000000000001.log"
#define BATCH_MAX 4096

struct world {
    struct simos *sim;
    const struct os *os;
    struct mem mem;
};

static inline struct world world_new(uint64_t seed)
{
    struct world w = {.sim = simos_new(seed)};
    w.os = simos_os(w.sim);
    mem_init(&w.mem, 0);
    assert_int_equal(w.os->mkdir(w.os->ctx, DIR_J), 0);
    assert_int_equal(w.os->dirsync(w.os->ctx, "/"), 0);
    return w;
}

static inline void world_free(struct world *w)
{
    assert_int_equal(w->mem.bytes, 0);
    simos_free(w->sim);
}

static inline struct journal_config config(uint64_t segment_bytes)
{
    return (struct journal_config){
        .dir = DIR_J, .segment_bytes_max = segment_bytes, .bytes_max = 1 << 24};
}

static inline struct journal *open_ok(struct world *w, uint64_t segment_bytes)
{
    struct journal_config c = config(segment_bytes);
    struct journal *j = NULL;
    struct err e = {.code = ERR_NONE};
    if (!journal_open(&j, &c, w->os, &w->mem, NULL, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return j;
}

/* The payload of a tag: its length and bytes follow from it, so that a reader can check all of
 * it. */
static inline struct str payload_of(uint64_t tag, char out[BATCH_MAX])
{
    struct rng rng;
    rng_init(&rng, tag);
    size_t n = 8 + (size_t)rng_below(&rng, tag % 5 == 0 ? 2000 : 60);
    memcpy(out, &tag, 8);
    for (size_t i = 8; i < n; i++) {
        out[i] = (char)rng_u64(&rng);
    }
    return str_of(out, n);
}

static inline uint64_t append_ok(struct journal *j, uint64_t tag)
{
    char bytes[BATCH_MAX];
    uint64_t seq = 0;
    struct err e = {.code = ERR_NONE};
    if (!journal_append(j, payload_of(tag, bytes), &seq, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return seq;
}

static inline void sync_ok(struct journal *j)
{
    struct err e = {.code = ERR_NONE};
    if (!journal_sync(j, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
}

/* What a replay saw: seq and tag of each batch; the bytes were checked against the tag. */
#define SEEN_MAX 4096
struct seen {
    uint64_t seq[SEEN_MAX], tag[SEEN_MAX];
    size_t n, stop_after;
};

static inline bool see(void *ctx, uint64_t seq, struct str payload, struct err *e)
{
    struct seen *s = ctx;
    char want[BATCH_MAX];
    uint64_t tag = 0;
    assert_true(payload.n >= 8 && s->n < SEEN_MAX);
    memcpy(&tag, payload.p, 8);
    assert_str(payload, payload_of(tag, want));
    assert_true(s->n == 0 || seq > s->seq[s->n - 1]);
    s->seq[s->n] = seq;
    s->tag[s->n++] = tag;
    return s->n != s->stop_after || err_set(e, ERR_LIMIT, "enough");
}

static inline struct seen *replay_ok(struct journal *j, uint64_t from)
{
    struct seen *s = calloc(1, sizeof *s);
    assert_non_null(s);
    struct err e = {.code = ERR_NONE};
    if (!journal_replay(j, from, see, s, &e)) {
        print_error("%s\n", e.msg);
        fail();
    }
    return s;
}

static inline void assert_tags(struct journal *j, uint64_t from, uint64_t first_tag, size_t n)
{
    struct seen *s = replay_ok(j, from);
    assert_int_equal(s->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s->tag[i], first_tag + i);
        assert_int_equal(s->seq[i], from + i);
    }
    free(s);
}

#endif
