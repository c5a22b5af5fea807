/* Any bytes as the segments of a journal: opening and replaying must end, in order, within bounds;
 * appending must work, and what was appended must be the last thing that a next opening finds.
 *
 * Checksums would keep a fuzzer out, so the input is a little program: segments of frames, with
 * checksums made right afterwards unless a flag says otherwise.
 *
 *   segment: first seq (1 byte, added to the one before), flags (bit 0: damaged head, bit 1: raw,
 *            above: newest found), session (1), frames (1); raw: length (1), bytes as they are
 *   frame:   flags (bit 0: wrong checksum, bit 1: cut), seq (1), acked (1), n (1), n bytes */
#include "flow/journal.h"

#include "base/simos.h"
#include "flow/journal_int.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENTS_FUZZ 6

struct check {
    uint64_t last, count;
    struct str newest; /* must be the payload of the last frame, when set */
    bool newest_seen;
};

static bool each(void *ctx, uint64_t seq, struct str payload, struct err *e)
{
    struct check *c = ctx;
    (void)e;
    ASSERT(seq > c->last && seq < SEQ_MAX);
    ASSERT(payload.n <= JOURNAL_PAYLOAD_MAX);
    c->last = seq;
    c->count++;
    c->newest_seen = c->newest.p != NULL && str_eq(payload, c->newest);
    return true;
}

static void put_frame(struct buf *b, struct rd *rd)
{
    uint8_t flags = rd_u8(rd);
    uint8_t seq = rd_u8(rd);
    uint8_t acked = rd_u8(rd);
    size_t n = rd_u8(rd);
    n = n < rd_left(rd) ? n : rd_left(rd);
    struct str payload = rd_bytes(rd, n);
    char head[FRAME_HEAD];
    put_u32le(head, FRAME_MAGIC);
    put_u32le(head + 4, (uint32_t)payload.n);
    put_u64le(head + 8, seq);
    put_u64le(head + 16, acked);
    put_u64le(head + 24, journal_frame_hash(head, payload) ^ ((flags & 1) == 0 ? 0 : 1));
    size_t at = b->n;
    buf_add(b, head, sizeof head);
    buf_str_add(b, payload);
    while ((b->n - at) % 8 != 0) {
        buf_u8(b, 0);
    }
    if ((flags & 2) != 0) {
        b->n -= (b->n - at) / 2;
    }
}

static void put_segment(struct buf *b, struct rd *rd, uint64_t first)
{
    uint8_t flags = rd_u8(rd);
    char head[SEGMENT_HEAD] = "FAROLJNL";
    put_u32le(head + 8, JOURNAL_VERSION);
    put_u64le(head + 16, first);
    put_u64le(head + 24, rd_u8(rd));
    put_u64le(head + 32, (flags >> 2));
    put_u64le(head + 40, journal_segment_hash(head) ^ (flags & 1));
    if ((flags & 2) != 0) {
        size_t n = rd_u8(rd);
        buf_str_add(b, rd_bytes(rd, n < rd_left(rd) ? n : rd_left(rd)));
        return;
    }
    buf_add(b, head, sizeof head);
    for (int frames = rd_u8(rd) % 16; frames > 0 && rd_left(rd) > 0; frames--) {
        put_frame(b, rd);
    }
}

static void write_file(const struct os *os, const char *path, struct str bytes)
{
    int fd;
    int rc = os->open(os->ctx, path, OS_WRITE | OS_CREATE | OS_TRUNCATE, &fd);
    ASSERT(rc == 0);
    bool ok = file_write_all(os, fd, bytes, path, NULL);
    ASSERT(ok);
    os->close(os->ctx, fd);
}

static void live(const struct os *os, struct mem *m)
{
    struct journal_config c = {
        .dir = "/j", .segment_bytes_max = 4096, .bytes_max = (uint64_t)1 << 30};
    struct journal *j = NULL;
    struct err e = {.code = ERR_NONE};
    if (!journal_open(&j, &c, os, m, NULL, &e)) {
        ASSERT(e.code == ERR_CORRUPT);
        return;
    }
    struct check seen = {.last = 0};
    if (!journal_replay(j, 1, each, &seen, &e)) {
        ASSERT(e.code == ERR_CORRUPT); /* an older segment of another version */
        journal_close(j);
        return;
    }
    struct journal_stats st;
    journal_stats(j, &st);
    ASSERT(seen.last < st.seq_next);
    uint64_t seq = 0;
    bool ok = journal_append(j, STR("the newest batch"), &seq, &e) && journal_sync(j, &e);
    ASSERT(ok && seq == st.seq_next);
    uint64_t count = seen.count;
    journal_close(j);
    ok = journal_open(&j, &c, os, m, NULL, &e);
    ASSERT(ok);
    seen = (struct check){.newest = STR("the newest batch")};
    ok = journal_replay(j, 1, each, &seen, &e);
    ASSERT(ok && seen.last == seq && seen.newest_seen && seen.count == count + 1);
    journal_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct simos *sim = simos_new(1);
    const struct os *os = simos_os(sim);
    struct mem mem;
    struct buf b;
    mem_init(&mem, (size_t)256 << 20);
    buf_init(&b, &mem, (size_t)16 << 20);
    int rc = os->mkdir(os->ctx, "/j");
    ASSERT(rc == 0);
    struct rd rd = {data, data + size, false};
    uint64_t first = 1;
    for (int i = 0; i < SEGMENTS_FUZZ && rd_left(&rd) > 0; i++) {
        char path[64];
        first += rd_u8(&rd);
        snprintf(path, sizeof path, "/j/journal-%016llx.log", (unsigned long long)first);
        buf_reset(&b);
        put_segment(&b, &rd, first);
        write_file(os, path, buf_str(&b));
    }
    buf_release(&b);
    live(os, &mem);
    ASSERT(mem.bytes == 0);
    simos_free(sim);
    return 0;
}
