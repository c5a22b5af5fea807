/* A checkpoint: the saved state of every pillar at one point of the journal, as one file.
 *
 *   off  size  field
 *     0     8  "FAROLCKP"
 *     8     4  version, 1
 *    12     4  sections (pillars)
 *    16     8  seq: batches up to and with this one are in the state
 *    24     8  wall time of the rest, ns
 *    32        sections, each: u32 n, n bytes of name, u64 m, m bytes that the pillar reads
 *  end-8    8  xxh3 of everything before
 *
 * Two files, checkpoint-a.bin and checkpoint-b.bin, are written in turn by rename, so that a
 * damaged one leaves the other; the journal keeps what the older needs. Little-endian. The checksum
 * says that the bytes are those we wrote; each pillar still validates its section. */
#include "flow/river_int.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

#include <string.h>

#define SAVED_MAGIC   "FAROLCKP"
#define SAVED_VERSION 1u
#define SAVED_HEAD    32
#define SAVED_END     8
#define SECTIONS_MAX  64

void river_saved_begin(struct buf *b, uint64_t seq, int64_t t_ns, uint32_t sections)
{
    ASSERT(sections <= SECTIONS_MAX);
    buf_add(b, SAVED_MAGIC, 8);
    buf_u32le(b, SAVED_VERSION);
    buf_u32le(b, sections);
    buf_u64le(b, seq);
    buf_u64le(b, (uint64_t)t_ns);
}

size_t river_saved_section_begin(struct buf *b, struct str name)
{
    buf_str32(b, name);
    size_t at = b->n;
    buf_u64le(b, 0);
    return at;
}

void river_saved_section_end(struct buf *b, size_t at)
{
    if (!b->failed) {
        put_u64le(b->p + at, b->n - at - sizeof(uint64_t));
    }
}

void river_saved_end(struct buf *b)
{
    if (!b->failed) {
        buf_u64le(b, hash64(buf_str(b)));
    }
}

bool river_saved_next(struct river_saved *s, struct str *name, struct str *bytes)
{
    if (rd_left(&s->rd) == 0) {
        return false;
    }
    *name = rd_str32(&s->rd);
    uint64_t n = rd_u64le(&s->rd);
    if (n > rd_left(&s->rd)) {
        s->rd.failed = true;
        return false;
    }
    *bytes = rd_bytes(&s->rd, (size_t)n);
    return !s->rd.failed;
}

bool river_saved_validate(struct str bytes, struct river_saved *out, struct err *e)
{
    if (bytes.n < SAVED_HEAD + SAVED_END || memcmp(bytes.p, SAVED_MAGIC, 8) != 0) {
        return err_set(e, ERR_CORRUPT, "the file is not a checkpoint");
    }
    struct str body = str_of(bytes.p, bytes.n - SAVED_END);
    if (get_u64le(bytes.p + body.n) != hash64(body)) {
        return err_set(e, ERR_CORRUPT, "the checksum of the checkpoint is wrong");
    }
    uint32_t version = get_u32le(bytes.p + 8);
    if (version != SAVED_VERSION) {
        return err_set(e, ERR_INPUT, "the checkpoint has version %u, this farol reads %u", version,
                       SAVED_VERSION);
    }
    out->sections = get_u32le(bytes.p + 12);
    out->seq = get_u64le(bytes.p + 16);
    out->t_ns = (int64_t)get_u64le(bytes.p + 24);
    if (out->sections > SECTIONS_MAX || out->seq >= RIVER_SEQ_MAX) {
        return err_set(e, ERR_CORRUPT, "the head of the checkpoint is out of range");
    }
    out->rd = rd_of(str_of(bytes.p + SAVED_HEAD, body.n - SAVED_HEAD));
    struct river_saved walk = *out;
    struct str name;
    struct str section;
    uint32_t count = 0;
    while (count <= out->sections && river_saved_next(&walk, &name, &section)) {
        count++;
    }
    return (!walk.rd.failed && rd_left(&walk.rd) == 0 && count == out->sections) ||
           err_set(e, ERR_CORRUPT, "the sections of the checkpoint do not fit it");
}
