/* Remote read in chunks: who gets them, and that frames say what the column held. */
#include "server/api/prom/prom_testing_int.h"

#include "base/hash.h"
#include "base/rng.h"
#include "codec/pb.h"
#include "codec/snappy.h"
#include "codec/xor_chunk.h"
#include "server/api/prom/chunked_int.h"

/* -- A reader of streams. -- */

struct reader {
    struct mem *mem;
    struct buf text; /* "query:labels t:v t:v \n" for each chunk; empty when not wanted */
    struct tsdb_column want;
    uint32_t frames, chunks, samples;
    size_t frame_top;
    int64_t last_ms;
};

static bool sample_read(void *ctx, const struct xor_chunk_sample *s, struct err *e)
{
    struct reader *r = ctx;
    (void)e;
    if (r->want.n > 0) {
        assert_true(r->samples < r->want.n);
        assert_int_equal(s->t_ms, r->want.t[r->samples]);
        const struct nhist *h = r->want.h ? r->want.h[r->samples] : NULL;
        assert_true((h == NULL) == (s->h == NULL));
        assert_true(h ? h->count == s->h->count && h->sum == s->h->sum
                      : memcmp(&s->v, &r->want.v[r->samples], sizeof s->v) == 0);
    } else {
        buf_fmt(&r->text, "%lld:%g ", (long long)s->t_ms, s->v);
    }
    r->last_ms = s->t_ms;
    r->samples++;
    return true;
}

static void chunk_read(struct reader *r, struct str bytes)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    struct arena a;
    struct err e = {0};
    uint64_t v[4] = {0};
    struct str data = {NULL, 0};
    while (pb_next(&p, &f)) {
        assert_true(f.number >= 1 && f.number <= 4);
        v[f.number - 1] = f.u;
        data = f.number == 4 ? f.bytes : data;
    }
    assert_false(p.failed);
    arena_init(&a, r->mem, 1 << 20);
    const uint32_t before = r->samples;
    assert_true(xor_chunk_decode((unsigned)v[2], data, &a, sample_read, r, &e));
    assert_true(r->samples - before <= XOR_CHUNK_SAMPLES_MAX);
    assert_true(r->want.n == 0 || (int64_t)v[0] == r->want.t[before]);
    assert_int_equal(v[1], r->last_ms);
    r->chunks++;
    buf_char(&r->text, '\n');
    arena_release(&a);
}

static void frame_read(struct reader *r, struct str message)
{
    struct pb p = pb_of(message);
    struct pb_field f, g, name, value;
    struct str series = {NULL, 0};
    uint64_t query = 0;
    while (pb_next(&p, &f)) {
        if (f.number == 1) {
            assert_true(series.p == NULL);
            series = f.bytes;
        } else {
            assert_int_equal(f.number, 2);
            query = f.u;
        }
    }
    assert_false(p.failed);
    p = pb_of(series);
    buf_fmt(&r->text, "%llu:", (unsigned long long)query);
    while (pb_next(&p, &g)) {
        struct pb label = pb_of(g.bytes);
        if (g.number == 2) {
            chunk_read(r, g.bytes);
            continue;
        }
        assert_true(pb_next(&label, &name) && pb_next(&label, &value));
        buf_fmt(&r->text, "%.*s=%.*s ", STR_FMT(name.bytes), STR_FMT(value.bytes));
    }
    assert_false(p.failed);
}

static void stream_read(struct reader *r, struct str bytes)
{
    struct pb p = pb_of(bytes);
    while (p.p < p.end) {
        uint64_t n = 0;
        assert_true(pb_varint(&p, &n));
        assert_true((size_t)(p.end - p.p) >= 4 && n <= (size_t)(p.end - p.p) - 4);
        const uint32_t crc = (uint32_t)p.p[0] << 24 | (uint32_t)p.p[1] << 16 |
                             (uint32_t)p.p[2] << 8 | (uint32_t)p.p[3];
        const struct str message = str_of((const char *)p.p + 4, n);
        assert_int_equal(hash_crc32c(message), crc);
        frame_read(r, message);
        r->frames++;
        r->frame_top = size_max(r->frame_top, n);
        p.p += 4 + n;
    }
}

/* -- Over HTTP. -- */

/* A request for two queries; types are bytes, packed or one by one. */
static void request(struct buf *out, struct mem *m, struct str types, bool packed)
{
    struct buf raw;
    struct err e = {0};
    static const char *const names[] = {"up", "n_total"};
    buf_init(&raw, m, 1 << 16);
    for (int i = 0; i < 2; i++) {
        const size_t q = pb_begin(&raw, 1);
        pb_put_varint(&raw, 1, (uint64_t)(NOW_S - 20) * 1000);
        pb_put_varint(&raw, 2, (uint64_t)NOW_S * 1000);
        const size_t matcher = pb_begin(&raw, 3);
        pb_put_varint(&raw, 1, 0);
        pb_put_bytes(&raw, 2, STR("__name__"));
        pb_put_bytes(&raw, 3, str_from_c(names[i]));
        pb_end(&raw, matcher);
        pb_end(&raw, q);
    }
    for (size_t i = 0; !packed && i < types.n; i++) {
        pb_put_varint(&raw, 2, (unsigned char)types.p[i]);
    }
    if (packed) {
        pb_put_bytes(&raw, 2, types);
    }
    buf_reset(out);
    assert_true(snappy_pack(buf_str(&raw), out, &e));
    buf_release(&raw);
}

TEST(prom_remote_read_answers_in_the_first_type_that_it_knows)
{
    static const struct {
        struct str types;
        bool packed, chunks;
        int status;
    } cases[] = {
        {STR_INIT("\1\0"), false, true, 200}, {STR_INIT("\1"), true, true, 200},
        {STR_INIT("\7\1"), true, true, 200},  {STR_INIT("\0\1"), false, false, 200},
        {STR_INIT(""), false, false, 200},    {STR_INIT("\7\2"), false, false, 400},
        {STR_INIT("\7"), true, false, 400},
    };
    struct world w;
    struct buf packed;
    world_open(&w);
    fill(&w);
    world_serve(&w);
    buf_init(&packed, &w.mem, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_answer a;
        struct reader r = {.mem = &w.mem};
        request(&packed, &w.mem, cases[i].types, cases[i].packed);
        assert_int_equal(ask(&w, "POST", "/api/v1/read", buf_str(&packed),
                             "Content-Type: application/x-protobuf", &a),
                         cases[i].status);
        buf_init(&r.text, &w.mem, 1 << 16);
        if (cases[i].chunks) {
            stream_read(&r, buf_str(&a.body));
            assert_str(buf_str(&r.text),
                       STR("0:__name__=up job=a 1699999985000:0 1700000000000:1 \n"
                           "0:__name__=up job=b 1700000000000:0 \n"
                           "1:__name__=n_total job=a 1699999985000:90 1700000000000:120 \n"));
        }
        buf_release(&r.text);
        buf_release(&a.body);
    }
    buf_release(&packed);
    world_close(&w);
}

/* The answer is made whole before it is sent, so a client never takes half of one for all of it. */
TEST(prom_chunked_errors_are_a_status_also_behind_the_first_frame)
{
    static const struct {
        int64_t samples_max;
        uint64_t answer_bytes_max;
        const char *message;
    } cases[] = {{2, 1 << 20, "exceeded sample limit (2)"}, {1000, 100, "100 bytes"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        struct buf packed;
        struct http_answer a;
        world_open(&w);
        fill(&w);
        w.config.samples_max = cases[i].samples_max;
        w.config.answer_bytes_max = cases[i].answer_bytes_max;
        world_serve(&w);
        buf_init(&packed, &w.mem, 1 << 16);
        request(&packed, &w.mem, STR("\1"), true);
        assert_int_equal(ask(&w, "POST", "/api/v1/read", buf_str(&packed),
                             "Content-Type: application/x-protobuf", &a),
                         422);
        assert_true(str_starts(buf_str(&a.body), STR("{\"status\":\"error\"")));
        assert_true(str_contains(buf_str(&a.body), str_from_c(cases[i].message)));
        buf_release(&a.body);
        buf_release(&packed);
        world_close(&w);
    }
}

/* -- Columns. -- */

#define MANY 200000

TEST(prom_chunked_series_takes_as_many_frames_as_it_needs)
{
    struct mem m;
    struct chunked c;
    struct buf out;
    struct rng rng;
    struct err e = {0};
    struct nhist h[2] = {{.schema = 1, .integer = true, .count = 3, .zero_count = 3, .sum = 5},
                         {.schema = 1, .integer = true, .count = 4, .zero_count = 4, .sum = 6}};
    const struct label label = {STR("__name__"), STR("big")};
    mem_init(&m, 0);
    chunked_init(&c, &m, 4 << 20);
    buf_init(&out, &m, 16 << 20);
    rng_init(&rng, test_seed());
    struct reader r = {.mem = &m};
    buf_init(&r.text, &m, 16 << 20);
    r.want = (struct tsdb_column){.t = mem_take(&m, MANY * sizeof(int64_t)),
                                  .v = mem_take(&m, MANY * sizeof(double)),
                                  .h = mem_take(&m, MANY * sizeof(struct nhist *)),
                                  .n = MANY};
    for (uint32_t i = 0; i < MANY; i++) {
        r.want.t[i] = (int64_t)i * 15000 + (int64_t)rng_below(&rng, 100);
        r.want.v[i] = rng_f64(&rng);
    }
    r.want.h[MANY / 2] = &h[0]; /* a native histogram or two among them */
    r.want.h[MANY / 2 + 1] = &h[1];
    assert_true(chunked_series(&c, 0, (struct labels){&label, 1}, &r.want, &out, &e));
    stream_read(&r, buf_str(&out));
    assert_int_equal(r.samples, MANY);
    assert_true(r.frames >= 2 && r.frames <= 4);
    assert_true(r.frame_top >= CHUNKED_FRAME_BYTES);
    assert_true(r.frame_top < CHUNKED_FRAME_BYTES + 4096);
    assert_true(r.chunks >= MANY / XOR_CHUNK_SAMPLES_MAX + 1);
    struct buf small;
    buf_init(&small, &m, 1 << 20);
    assert_false(chunked_series(&c, 0, (struct labels){&label, 1}, &r.want, &small, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_release(&small);
    mem_give(&m, r.want.t, MANY * sizeof(int64_t));
    mem_give(&m, r.want.v, MANY * sizeof(double));
    mem_give(&m, r.want.h, MANY * sizeof(struct nhist *));
    buf_release(&r.text);
    buf_release(&out);
    chunked_release(&c);
    assert_int_equal(m.bytes, 0);
}
