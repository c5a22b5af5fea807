/* Exposition in, protobuf: messages are written with pb_put_* and must come out as the samples that
 * a text page would have. */
#include "codec/expo_parse.h"

#include "base/test.h"

#include <math.h>

struct page {
    struct mem mem;
    struct arena arena;
    struct buf body, message, out;
};

static void page_init(struct page *g)
{
    mem_init(&g->mem, 0);
    arena_init(&g->arena, &g->mem, 1 << 20);
    buf_init(&g->body, &g->mem, 1 << 20);
    buf_init(&g->message, &g->mem, 1 << 20);
    buf_init(&g->out, &g->mem, 1 << 20);
}

static void page_release(struct page *g)
{
    buf_release(&g->body);
    buf_release(&g->message);
    buf_release(&g->out);
    arena_release(&g->arena);
    assert_int_equal(g->mem.bytes, 0);
}

static void family(struct page *g, const char *name, const char *help, uint64_t type)
{
    pb_put_bytes(&g->message, 1, str_from_c(name));
    if (help) {
        pb_put_bytes(&g->message, 2, str_from_c(help));
    }
    pb_put_varint(&g->message, 3, type);
}

static void family_end(struct page *g)
{
    pb_raw_varint(&g->body, g->message.n);
    buf_str_add(&g->body, buf_str(&g->message));
    buf_reset(&g->message);
}

static void label(struct buf *b, const char *name, const char *value)
{
    size_t mark = pb_begin(b, 1);
    pb_put_bytes(b, 1, str_from_c(name));
    pb_put_bytes(b, 2, str_from_c(value));
    pb_end(b, mark);
}

static void exemplar(struct buf *b, uint32_t number, const char *id, double v, int64_t seconds)
{
    size_t mark = pb_begin(b, number);
    label(b, "id", id);
    pb_put_f64(b, 2, v);
    if (seconds) {
        size_t t = pb_begin(b, 3);
        pb_put_varint(b, 1, (uint64_t)seconds);
        pb_put_varint(b, 2, 250000000);
        pb_end(b, t);
    }
    pb_end(b, mark);
}

static void started(struct buf *b, uint32_t number, int64_t seconds)
{
    size_t mark = pb_begin(b, number);
    pb_put_varint(b, 1, (uint64_t)seconds);
    pb_end(b, mark);
}

static void bucket(struct buf *b, uint64_t count, double bound, const char *id)
{
    size_t mark = pb_begin(b, 3);
    pb_put_varint(b, 1, count);
    pb_put_f64(b, 2, bound);
    if (id) {
        exemplar(b, 3, id, bound / 2, 0);
    }
    pb_end(b, mark);
}

static void span(struct buf *b, uint32_t number, int64_t offset, uint64_t length)
{
    size_t mark = pb_begin(b, number);
    pb_put_sint(b, 1, offset);
    pb_put_varint(b, 2, length);
    pb_end(b, mark);
}

static void dump_counts(struct buf *out, char sign, const struct nhist_side *s)
{
    for (uint32_t i = 0; i < s->spans_n; i++) {
        buf_fmt(out, " %c%d/%u", sign, s->spans[i].offset, s->spans[i].length);
    }
    for (uint32_t i = 0; i < s->counts_n; i++) {
        BUF_LIT(out, " ");
        buf_f64(out, s->counts[i]);
    }
}

static void dump_entry(struct page *g, struct expo_parse *p)
{
    struct buf *out = &g->out;
    struct label *v = NULL;
    uint32_t n = 0;
    struct err e;
    struct expo_exemplar x;
    bool found = false;
    assert_true(expo_parse_labels(p, &g->arena, &v, &n, &e));
    assert_true(labels_normalize(v, &n, &e));
    labels_print((struct labels){v, n}, out);
    BUF_LIT(out, " ");
    buf_f64(out, p->value);
    if (p->entry == EXPO_PARSE_HIST) {
        const struct nhist *h = p->hist;
        buf_fmt(out, " schema %d %s count %g zero %g<=%g reset %d", h->schema,
                h->integer ? "int" : "float", h->count, h->zero_count, h->zero_threshold,
                (int)h->reset);
        dump_counts(out, '+', &h->pos);
        dump_counts(out, '-', &h->neg);
        assert_true(nhist_validate(h, &e));
    }
    if (p->has_t) {
        buf_fmt(out, " @%lld", (long long)p->t_ms);
    }
    for (uint32_t i = 0; expo_parse_exemplar(p, i, &g->arena, &found, &x, &e) && found; i++) {
        buf_fmt(out, " # %.*s %g %lld", STR_FMT(x.labels[0].value), x.value,
                x.has_t ? (long long)x.t_ms : -1);
    }
    int64_t start = expo_parse_start_ms(p);
    if (start) {
        buf_fmt(out, " start %lld", (long long)start);
    }
    BUF_LIT(out, "\n");
}

static void check_as(struct page *g, bool keep_classic, bool ignore_native, bool to_nhcb,
                     const char *want)
{
    struct expo_parse p;
    struct err e;
    bool ok = true;
    buf_reset(&g->out);
    expo_parse_init(&p, EXPO_PARSE_PROTOBUF, buf_str(&g->body), &g->mem);
    p.keep_classic = keep_classic;
    p.ignore_native = ignore_native;
    p.to_nhcb = to_nhcb;
    while ((ok = expo_parse_next(&p, &e)) && p.entry != EXPO_PARSE_END) {
        if (p.entry == EXPO_PARSE_TYPE) {
            buf_fmt(&g->out, "type %.*s %.*s\n", STR_FMT(p.family),
                    STR_FMT(expo_kind_name(p.type)));
        } else if (p.entry == EXPO_PARSE_HELP || p.entry == EXPO_PARSE_UNIT) {
            buf_fmt(&g->out, "%s %.*s [%.*s]\n", p.entry == EXPO_PARSE_HELP ? "help" : "unit",
                    STR_FMT(p.family), STR_FMT(p.text));
        } else {
            dump_entry(g, &p);
        }
    }
    if (!ok) {
        buf_fmt(&g->out, "error %s\n", e.msg);
    }
    assert_str(buf_str(&g->out), str_from_c(want));
    expo_parse_release(&p);
}

static void check(struct page *g, bool keep_classic, bool ignore_native, const char *want)
{
    check_as(g, keep_classic, ignore_native, false, want);
}

TEST(protobuf_gives_simple_metrics)
{
    struct page g;
    page_init(&g);
    family(&g, "c_total", "a \\n help", 0);
    pb_put_bytes(&g.message, 5, STR("bits"));
    size_t metric = pb_begin(&g.message, 4);
    label(&g.message, "b", "2");
    label(&g.message, "a", "1");
    size_t value = pb_begin(&g.message, 3);
    pb_put_f64(&g.message, 1, 42);
    exemplar(&g.message, 2, "x", 0.5, 7);
    started(&g.message, 3, 5);
    pb_end(&g.message, value);
    pb_put_varint(&g.message, 6, 1234);
    pb_end(&g.message, metric);
    metric = pb_begin(&g.message, 4); /* no counter at all: zero */
    pb_end(&g.message, metric);
    family_end(&g);
    family(&g, "nothing", "no metric: not said at all", 1);
    family_end(&g);
    family(&g, "g", NULL, 1);
    metric = pb_begin(&g.message, 4);
    value = pb_begin(&g.message, 2);
    pb_put_f64(&g.message, 1, -1.5);
    pb_end(&g.message, value);
    pb_end(&g.message, metric);
    family_end(&g);
    family(&g, "u", NULL, 3);
    metric = pb_begin(&g.message, 4);
    value = pb_begin(&g.message, 5);
    pb_put_f64(&g.message, 1, 3);
    pb_end(&g.message, value);
    pb_end(&g.message, metric);
    family_end(&g);
    check(&g, false, false,
          "help c_total [a \\n help]\nunit c_total [bits]\ntype c_total counter\n"
          "{__name__=\"c_total\", a=\"1\", b=\"2\"} 42 @1234 # x 0.5 7250 start 5000\n"
          "{__name__=\"c_total\"} 0\n"
          "help g []\ntype g gauge\n{__name__=\"g\"} -1.5\n"
          "help u []\ntype u unknown\n{__name__=\"u\"} 3\n");
    page_release(&g);
}

TEST(protobuf_gives_summaries_and_classic_histograms)
{
    struct page g;
    page_init(&g);
    family(&g, "s", NULL, 2);
    size_t metric = pb_begin(&g.message, 4);
    size_t value = pb_begin(&g.message, 4);
    pb_put_varint(&g.message, 1, 9);
    pb_put_f64(&g.message, 2, 4.5);
    size_t q = pb_begin(&g.message, 3);
    pb_put_f64(&g.message, 1, 0.5);
    pb_put_f64(&g.message, 2, (double)NAN);
    pb_end(&g.message, q);
    q = pb_begin(&g.message, 3);
    pb_put_f64(&g.message, 1, 1);
    pb_put_f64(&g.message, 2, 8);
    pb_end(&g.message, q);
    started(&g.message, 4, 3);
    pb_end(&g.message, value);
    pb_end(&g.message, metric);
    family_end(&g);
    family(&g, "h", NULL, 4);
    metric = pb_begin(&g.message, 4);
    label(&g.message, "a", "1");
    value = pb_begin(&g.message, 7);
    pb_put_varint(&g.message, 1, 3);
    pb_put_f64(&g.message, 2, 2.5);
    bucket(&g.message, 1, 1, "e");
    bucket(&g.message, 2, 1e6, NULL);
    pb_end(&g.message, value);
    pb_end(&g.message, metric);
    metric = pb_begin(&g.message, 4);
    value = pb_begin(&g.message, 7);
    pb_put_f64(&g.message, 4, 0.5);
    bucket(&g.message, 1, HUGE_VAL, NULL);
    bucket(&g.message, 7, 9, NULL); /* behind +Inf: not read */
    pb_end(&g.message, value);
    pb_end(&g.message, metric);
    family_end(&g);
    check(&g, false, false,
          "help s []\ntype s summary\n"
          "{__name__=\"s_count\"} 9 start 3000\n{__name__=\"s_sum\"} 4.5 start 3000\n"
          "{__name__=\"s\", quantile=\"0.5\"} NaN start 3000\n"
          "{__name__=\"s\", quantile=\"1.0\"} 8 start 3000\n"
          "help h []\ntype h histogram\n"
          "{__name__=\"h_count\", a=\"1\"} 3\n{__name__=\"h_sum\", a=\"1\"} 2.5\n"
          "{__name__=\"h_bucket\", a=\"1\", le=\"1.0\"} 1 # e 0.5 -1\n"
          "{__name__=\"h_bucket\", a=\"1\", le=\"1e+06\"} 2\n"
          "{__name__=\"h_bucket\", a=\"1\", le=\"+Inf\"} 3\n"
          "{__name__=\"h_count\"} 0.5\n{__name__=\"h_sum\"} 0\n"
          "{__name__=\"h_bucket\", le=\"+Inf\"} 1\n");
    page_release(&g);
}

static void native(struct page *g)
{
    family(g, "n", NULL, 4);
    size_t metric = pb_begin(&g->message, 4);
    size_t value = pb_begin(&g->message, 7);
    pb_put_varint(&g->message, 1, 12);
    pb_put_f64(&g->message, 2, 18.5);
    bucket(&g->message, 12, 2, NULL);
    pb_put_sint(&g->message, 5, 1);
    pb_put_f64(&g->message, 6, 0.001);
    pb_put_varint(&g->message, 7, 2);
    span(&g->message, 9, -1, 1);
    pb_put_sint(&g->message, 10, 3); /* not packed */
    span(&g->message, 12, 0, 2);
    span(&g->message, 12, 3, 1);
    size_t packed = pb_begin(&g->message, 13);
    pb_raw_varint(&g->message, 4); /* +2, then +2 -> 4, then -3 -> 1 */
    pb_raw_varint(&g->message, 4);
    pb_raw_varint(&g->message, 5);
    pb_end(&g->message, packed);
    exemplar(&g->message, 16, "with", 0.5, 3);
    exemplar(&g->message, 16, "without", 0.5, 0);
    exemplar(&g->message, 16, "also", 1.5, 4);
    started(&g->message, 15, 2);
    pb_end(&g->message, value);
    pb_end(&g->message, metric);
    family_end(g);
    family(g, "f", NULL, 5);
    metric = pb_begin(&g->message, 4);
    value = pb_begin(&g->message, 7);
    pb_put_f64(&g->message, 4, 1.5);
    pb_put_sint(&g->message, 5, -4);
    span(&g->message, 12, 7, 1);
    pb_put_f64(&g->message, 14, 1.5);
    pb_end(&g->message, value);
    pb_end(&g->message, metric);
    family_end(g);
}

TEST(protobuf_gives_native_histograms)
{
    static const char head[] =
        "help n []\ntype n histogram\n"
        "{__name__=\"n\"} 18.5 schema 1 int count 12 zero 2<=0.001 reset 0 +0/2 +3/1 2 4 1 --1/1 3 "
        "# with 0.5 3250 # also 1.5 4250 start 2000\n";
    static const char tail[] =
        "help f []\ntype f gaugehistogram\n"
        "{__name__=\"f\"} 0 schema -4 float count 1.5 zero 0<=0 reset 3 +7/1 1.5\n";
    struct page g;
    struct buf want;
    page_init(&g);
    native(&g);
    buf_init(&want, &g.mem, 1 << 16);
    buf_fmt(&want, "%s%s%c", head, tail, 0);
    check(&g, false, false, want.p);
    buf_reset(&want);
    buf_fmt(&want,
            "%s{__name__=\"n_count\"} 12 start 2000\n{__name__=\"n_sum\"} 18.5 start 2000\n"
            "{__name__=\"n_bucket\", le=\"2.0\"} 12 start 2000\n"
            "{__name__=\"n_bucket\", le=\"+Inf\"} 12 start 2000\n%s%c",
            head, tail, 0);
    check(&g, true, false, want.p);
    check(&g, false, true,
          "help n []\ntype n histogram\n"
          "{__name__=\"n_count\"} 12 start 2000\n{__name__=\"n_sum\"} 18.5 start 2000\n"
          "{__name__=\"n_bucket\", le=\"2.0\"} 12 start 2000\n"
          "{__name__=\"n_bucket\", le=\"+Inf\"} 12 start 2000\n"
          "help f []\ntype f gaugehistogram\n"
          "{__name__=\"f_count\"} 1.5\n{__name__=\"f_sum\"} 0\n"
          "{__name__=\"f_bucket\", le=\"+Inf\"} 1.5\n");
    buf_release(&want);
    page_release(&g);
}

static void refused(struct str body, const char *want)
{
    struct page g;
    page_init(&g);
    buf_str_add(&g.body, body);
    check(&g, false, false, want);
    page_release(&g);
}

/* One histogram of the type with two buckets, the second one of `high`. */
static void histogram(struct page *g, uint64_t type, uint64_t high, bool native)
{
    family(g, "h", NULL, type);
    size_t metric = pb_begin(&g->message, 4);
    label(&g->message, "a", "1");
    size_t value = pb_begin(&g->message, 7);
    pb_put_varint(&g->message, 1, 5);
    pb_put_f64(&g->message, 2, 2.5);
    bucket(&g->message, 2, 1, NULL);
    size_t b = pb_begin(&g->message, 3);
    pb_put_varint(&g->message, 1, high);
    pb_put_f64(&g->message, 2, 2);
    exemplar(&g->message, 3, "e", 1.5, 9);
    pb_end(&g->message, b);
    if (native) {
        pb_put_sint(&g->message, 5, 0);
        span(&g->message, 12, 0, 1);
        pb_put_sint(&g->message, 13, 5);
    }
    started(&g->message, 15, 3);
    pb_end(&g->message, value);
    pb_put_varint(&g->message, 6, 1234);
    pb_end(&g->message, metric);
    family_end(g);
}

#define CLASSIC_H                                                                    \
    "{__name__=\"h_count\", a=\"1\"} 5 @1234 start 3000\n"                           \
    "{__name__=\"h_sum\", a=\"1\"} 2.5 @1234 start 3000\n"                           \
    "{__name__=\"h_bucket\", a=\"1\", le=\"1.0\"} 2 @1234 start 3000\n"              \
    "{__name__=\"h_bucket\", a=\"1\", le=\"2.0\"} 3 @1234 # e 1.5 9250 start 3000\n" \
    "{__name__=\"h_bucket\", a=\"1\", le=\"+Inf\"} 5 @1234 start 3000\n"
#define TAIL_H " @1234 # e 1.5 9250 start 3000\n"

TEST(protobuf_classic_histograms_become_native)
{
    struct page g;
    page_init(&g);
    histogram(&g, 4, 3, false);
    check_as(&g, false, false, true,
             "help h []\ntype h histogram\n{__name__=\"h\", a=\"1\"} 0 schema -53 int count 5 zero "
             "0<=0 reset 0 +0/3 2 1 2" TAIL_H);
    buf_reset(&g.body);
    histogram(&g, 5, 3, false);
    check_as(
        &g, true, false, true,
        "help h []\ntype h gaugehistogram\n" CLASSIC_H
        "{__name__=\"h\", a=\"1\"} 5 schema -53 int count 5 zero 0<=0 reset 3 +0/3 2 1 2" TAIL_H);
    /* The native histogram of the same series wins, unless it is not wanted. */
    buf_reset(&g.body);
    histogram(&g, 4, 3, true);
    check_as(&g, false, false, true,
             "help h []\ntype h histogram\n{__name__=\"h\", a=\"1\"} 2.5 schema 0 int count 5 zero "
             "0<=0 reset 0 +0/1 5" TAIL_H);
    check_as(&g, true, false, true,
             "help h []\ntype h histogram\n{__name__=\"h\", a=\"1\"} 2.5 schema 0 int count 5 zero "
             "0<=0 reset 0 +0/1 5" TAIL_H CLASSIC_H);
    check_as(&g, false, true, true,
             "help h []\ntype h histogram\n{__name__=\"h\", a=\"1\"} 0 schema -53 int count 5 zero "
             "0<=0 reset 0 +0/3 2 1 2" TAIL_H);
    /* A message is damaged as a whole. */
    buf_reset(&g.body);
    histogram(&g, 4, 1, false);
    check_as(&g, false, false, true,
             "help h []\ntype h histogram\n"
             "error bucket counts of a classic histogram must not fall: 1 after 2\n");
    page_release(&g);
}

TEST(protobuf_refuses_damage)
{
    refused(STR("\x80"), "error expected the length of a message at byte 0\n");
    refused(STR("\x80\x80\x80\x80\x80\x01"), "error expected the length of a message at byte 0\n");
    refused(STR("\x05\x0a\x01"), "error expected a message of 5 bytes, found 2\n");
    refused(STR("\x02\x0a\x05"), "error expected a valid MetricFamily message\n");
    refused(STR("\x02\x08\x01"), "error expected a valid MetricFamily message\n");
    refused(STR("\x02\x22\x00"), "error expected a metric name and help in valid UTF-8\n");
    refused(STR("\x05\x0a\x01\xff\x22\x00"),
            "error expected a metric name and help in valid UTF-8\n");
    refused(STR("\x07\x0a\x01"
                "a\x18\x06\x22\x00"),
            "error expected a metric type from 0 to 5 for \"a\", found 6\n");
    refused(STR("\x09\x0a\x01"
                "a\x18\x01\x22\x02\x12\x07"),
            "help a []\ntype a gauge\nerror expected a valid Metric message\n");
    refused(STR("\x0d\x0a\x01"
                "a\x18\x01\x22\x06\x0a\x04\x0a\x02\xff\xff"),
            "help a []\ntype a gauge\nerror expected labels in valid UTF-8\n");
}

TEST(protobuf_spans_must_fit_their_buckets)
{
    struct page g;
    page_init(&g);
    family(&g, "n", NULL, 4);
    size_t metric = pb_begin(&g.message, 4);
    size_t value = pb_begin(&g.message, 7);
    span(&g.message, 12, 0, 4000000000);
    pb_put_sint(&g.message, 13, 1);
    pb_end(&g.message, value);
    pb_end(&g.message, metric);
    family_end(&g);
    check(&g, false, false,
          "help n []\ntype n histogram\nerror histogram \"n\": expected 4000000000 positive "
          "buckets by its spans, found 1\n");
    page_release(&g);
}

/* Series of one metric, and metrics that differ only in how their labels are cut, have different
 * names in a cache. */
TEST(protobuf_raw_is_unique)
{
    struct page g;
    struct expo_parse p;
    struct err e;
    struct str seen[16];
    uint32_t n = 0;
    page_init(&g);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"a", "ab", "ab"};
        static const char *const values[] = {"bc", "c", "c"};
        family(&g, i == 2 ? "h2" : "h", NULL, 4);
        size_t metric = pb_begin(&g.message, 4);
        label(&g.message, names[i], values[i]);
        size_t value = pb_begin(&g.message, 7);
        bucket(&g.message, 1, 1, NULL);
        pb_end(&g.message, value);
        pb_end(&g.message, metric);
        family_end(&g);
    }
    expo_parse_init(&p, EXPO_PARSE_PROTOBUF, buf_str(&g.body), &g.mem);
    while (expo_parse_next(&p, &e) && p.entry != EXPO_PARSE_END) {
        if (p.entry != EXPO_PARSE_SAMPLE) {
            continue;
        }
        for (uint32_t i = 0; i < n; i++) {
            assert_false(str_eq(seen[i], p.raw));
        }
        seen[n++] = arena_str(&g.arena, p.raw);
    }
    assert_int_equal(n, 12);
    expo_parse_release(&p);
    page_release(&g);
}
