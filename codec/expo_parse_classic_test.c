/* Exposition in, classic histograms given as native ones: pages and all that must come of them, as
 * text. */
#include "codec/expo_parse.h"

#include "base/test.h"

#include <math.h>

static void dump_hist(const struct nhist *h, struct buf *out)
{
    struct err e;
    buf_fmt(out, "%s %g/%g", h->integer ? "" : " float", h->count, h->sum);
    for (uint32_t i = 0; i < h->custom_n; i++) {
        buf_fmt(out, " %g", h->custom[i]);
    }
    BUF_LIT(out, " |");
    for (uint32_t i = 0; i < h->pos.spans_n; i++) {
        buf_fmt(out, " %d+%u", h->pos.spans[i].offset, h->pos.spans[i].length);
    }
    BUF_LIT(out, " |");
    for (uint32_t i = 0; i < h->pos.counts_n; i++) {
        buf_fmt(out, " %g", h->pos.counts[i]);
    }
    assert_int_equal(h->schema, NHIST_SCHEMA_CUSTOM);
    assert_true(nhist_validate(h, &e));
}

static void dump_entry(struct expo_parse *p, struct arena *a, struct buf *out)
{
    struct label *v = NULL;
    uint32_t n = 0;
    struct err e;
    struct expo_exemplar x;
    bool found = false;
    assert_true(expo_parse_labels(p, a, &v, &n, &e));
    assert_true(labels_normalize(v, &n, &e));
    assert_str(v[0].name, STR(LABEL_NAME));
    buf_str_add(out, v[0].value);
    if (n > 1) {
        labels_print((struct labels){v + 1, n - 1}, out);
    }
    if (p->entry == EXPO_PARSE_HIST) {
        dump_hist(p->hist, out);
    } else {
        BUF_LIT(out, " ");
        buf_f64(out, p->value);
    }
    if (p->has_t) {
        buf_fmt(out, " @%lld", (long long)p->t_ms);
    }
    for (uint32_t i = 0; expo_parse_exemplar(p, i, a, &found, &x, &e) && found; i++) {
        buf_fmt(out, " # %.*s %g", STR_FMT(x.labels[0].value), x.value);
        if (x.has_t) {
            buf_fmt(out, " @%lld", (long long)x.t_ms);
        }
    }
    int64_t start = expo_parse_start_ms(p);
    if (start) {
        buf_fmt(out, " start %lld", (long long)start);
    }
    BUF_LIT(out, "\n");
}

struct setup {
    enum expo_parse_form form;
    bool keep, skip_created;
};

static void dump(const struct setup *s, struct str in, struct arena *a, struct buf *out)
{
    struct expo_parse p;
    struct err e = {.code = ERR_NONE};
    struct mem m;
    bool ok = true;
    mem_init(&m, 0);
    char *copy = mem_take(&m, in.n);
    memcpy(copy, in.p, in.n);
    expo_parse_init(&p, s->form, str_of(copy, in.n), &m);
    p.to_nhcb = true;
    p.keep_classic = s->keep;
    p.skip_created = s->skip_created;
    while ((ok = expo_parse_next(&p, &e)) && p.entry != EXPO_PARSE_END) {
        if (p.entry == EXPO_PARSE_SAMPLE || p.entry == EXPO_PARSE_HIST) {
            dump_entry(&p, a, out);
        } else {
            buf_fmt(out, "%s %.*s\n", p.entry == EXPO_PARSE_TYPE ? "type" : "meta",
                    STR_FMT(p.family));
        }
    }
    if (!ok) {
        buf_fmt(out, "error %u:%u %s\n", e.line, e.col, e.msg);
    }
    if (p.nhcb_refused) {
        buf_fmt(out, "refused %llu\n", (unsigned long long)p.nhcb_refused);
    }
    expo_parse_release(&p);
    mem_give(&m, copy, in.n);
    assert_int_equal(m.bytes, 0);
}

struct row {
    struct str in;
    const char *want;
};
#define ROW(in, want)      \
    {                      \
        STR_INIT(in), want \
    }

static void check(const struct setup *s, const struct row *rows, size_t count)
{
    struct mem m;
    struct arena a;
    struct buf out;
    int bad = 0;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    buf_init(&out, &m, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        buf_reset(&out);
        arena_reset(&a);
        dump(s, rows[i].in, &a, &out);
        if (!str_eq(buf_str(&out), str_from_c(rows[i].want))) {
            print_error("input  \"%.*s\"\nexpected %sfound    %.*s\n", STR_FMT(rows[i].in),
                        rows[i].want, STR_FMT(buf_str(&out)));
            bad++;
        }
    }
    buf_release(&out);
    arena_release(&a);
    assert_int_equal(bad, 0);
    assert_int_equal(m.bytes, 0);
}

#define TYPE_H "# TYPE h histogram\n"

TEST(classic_histograms_of_text_become_native)
{
    static const struct row rows[] = {
        ROW("# HELP h x\n" TYPE_H "h_bucket{le=\"1\"} 2\nh_bucket{le=\"2.5\"} 3\n"
            "h_bucket{le=\"+Inf\"} 5\nh_sum 8.5\nh_count 5\n",
            "meta h\ntype h\nh 5/8.5 1 2.5 | 0+3 | 2 1 2\n"),
        /* Labels in any order and spelling; another value of one begins the next histogram. */
        ROW(TYPE_H "h_bucket{a=\"1\",b=\"x\\\"\",le=\"1\"} 2\n"
                   "h_bucket{le=\"+Inf\",b=\"x\\\"\",a=\"1\"} 5\n"
                   "h_sum{b=\"x\\\"\", a=\"1\",} 7\nh_count{a=\"1\",b=\"x\\\"\"} 5\n"
                   "h_bucket{a=\"2\",b=\"x\\\"\",le=\"1\"} 1\nh_count{a=\"2\",b=\"x\\\"\"} 1\n",
            "type h\nh{a=\"1\", b=\"x\\\"\"} 5/7 1 | 0+2 | 2 3\n"
            "h{a=\"2\", b=\"x\\\"\"} 1/0 1 | 0+1 | 1\n"),
        /* What follows, whatever it is, comes behind the histogram. */
        ROW(TYPE_H "h_count 5\nother 1\nh_sum 3\n# TYPE g gauge\ng 2\n",
            "type h\nh 5/0 | 0+1 | 5\nother 1\nh 0/3 | |\ntype g\ng 2\n"),
        ROW(TYPE_H "h_count 5\n# HELP g x\ng 2\n", "type h\nh 5/0 | 0+1 | 5\nmeta g\ng 2\n"),
        /* Comments and empty lines are in nobody's way. */
        ROW(TYPE_H "h_bucket{le=\"1\"} 2\n# a word\n\nh_count 5\n",
            "type h\nh 5/0 1 | 0+2 | 2 3\n"),
        /* Two series in turns: pieces. */
        ROW(TYPE_H "h_bucket{a=\"1\",le=\"1\"} 2\nh_bucket{a=\"2\",le=\"1\"} 3\n"
                   "h_count{a=\"1\"} 4\n",
            "type h\nh{a=\"1\"} 2/0 1 | 0+1 | 2\nh{a=\"2\"} 3/0 1 | 0+1 | 3\n"
            "h{a=\"1\"} 4/0 | 0+1 | 4\n"),
        /* Only families that say histogram, and only the family that was named last. */
        ROW("h_bucket{le=\"1\"} 2\nh_count 2\n", "h_bucket{le=\"1\"} 2\nh_count 2\n"),
        ROW("# TYPE h summary\nh_sum 1\nh_count 2\n", "type h\nh_sum 1\nh_count 2\n"),
        ROW(TYPE_H "x_bucket{le=\"1\"} 2\nx_count 2\nh_count 1\n",
            "type h\nx_bucket{le=\"1.0\"} 2\nx_count 2\nh 1/0 | 0+1 | 1\n"),
        /* No part of a histogram, but no end of it either. */
        ROW(TYPE_H "h_bucket{le=\"1\"} 2\nh 7\nh_bucket{le=\"x\"} 9\nh_bucket 8\n"
                   "h_bucket{le=\"NaN\"} 7\nh_count 3\n",
            "type h\nh 7\nh_bucket{le=\"x\"} 9\nh_bucket 8\nh_bucket{le=\"NaN\"} 7\n"
            "h 3/0 1 | 0+2 | 2 1\n"),
        /* Times: the last line's. */
        ROW(TYPE_H "h_bucket{le=\"1\"} 2 1000\nh_count 2 2000\ng 1 9000\n",
            "type h\nh 2/0 1 | 0+1 | 2 @2000\ng 1 @9000\n"),
        ROW(TYPE_H "h_bucket{le=\"1\"} 0.5\nh_count 2\n",
            "type h\nh float 2/0 1 | 0+2 | 0.5 1.5\n"),
        /* Names in quotes. */
        ROW("# TYPE \"h.x\" histogram\n{\"h.x_bucket\",le=\"1\",\"a.b\"=\"c\"} 2\n"
            "{\"h.x_count\",\"a.b\"=\"c\"} 3\n",
            "type h.x\nh.x{\"a.b\"=\"c\"} 3/0 1 | 0+2 | 2 1\n"),
        /* What cannot be converted is left out, the next one is not. */
        ROW(TYPE_H "h_bucket{a=\"1\",le=\"1\"} 5\nh_bucket{a=\"1\",le=\"2\"} 4\n"
                   "h_count{a=\"2\"} 3\n",
            "type h\nh{a=\"2\"} 3/0 | 0+1 | 3\nrefused 1\n"),
        ROW(TYPE_H "h_bucket{le=\"1\"} -5\n# TYPE g gauge\ng 1\n",
            "type h\ntype g\ng 1\nrefused 1\n"),
        ROW(TYPE_H "h_bucket{le=\"+Inf\"} 5\nh_count 6\n", "type h\nrefused 1\n"),
        /* A page that fails later. */
        ROW(TYPE_H "h_count 5\nh_sum 1\n!\n",
            "type h\nerror 4:1 expected a metric name, '#' or '{', found \"!\"\n"),
        ROW("", ""),
    };
    check(&(struct setup){.form = EXPO_PARSE_TEXT}, rows, ARRAY_LEN(rows));
}

TEST(classic_histograms_are_kept_beside_when_asked)
{
    static const struct row rows[] = {
        ROW(TYPE_H "h_bucket{le=\"1\"} 2\nh_count 3\ng 1\nh_count{a=\"1\"} 4\nh_sum{a=\"1\"} 4\n",
            "type h\nh_bucket{le=\"1.0\"} 2\nh_count 3\nh 3/0 1 | 0+2 | 2 1\ng 1\n"
            "h_count{a=\"1\"} 4\nh_sum{a=\"1\"} 4\nh{a=\"1\"} 4/4 | 0+1 | 4\n"),
        ROW(TYPE_H "h_count{a=\"1\"} 4\nh_count{a=\"2\"} 5\n",
            "type h\nh_count{a=\"1\"} 4\nh{a=\"1\"} 4/0 | 0+1 | 4\nh_count{a=\"2\"} 5\n"
            "h{a=\"2\"} 5/0 | 0+1 | 5\n"),
        ROW(TYPE_H "h_count -4\n", "type h\nh_count -4\nrefused 1\n"),
    };
    check(&(struct setup){.form = EXPO_PARSE_TEXT, .keep = true}, rows, ARRAY_LEN(rows));
}

TEST(classic_histograms_of_openmetrics_keep_exemplars_and_start)
{
    static const struct row rows[] = {
        ROW(TYPE_H "h_bucket{le=\"1.0\"} 2 # {id=\"a\"} 0.5\n"
                   "h_bucket{le=\"2.0\"} 3 1.5 # {id=\"b\"} 1.5 1.25\nh_bucket{le=\"+Inf\"} 3\n"
                   "h_count 3\nh_sum 4\nh_created 12.5\n# TYPE g gauge\ng 1\n# EOF\n",
            "type h\nh 3/4 1 2 | 0+2 | 2 1 # a 0.5 # b 1.5 @1250 start 12500\n"
            "type g\ng 1\n"),
        ROW(TYPE_H "h_bucket{a=\"1\",le=\"+Inf\"} 2 # {id=\"a\"} 0.5\nh_count{a=\"1\"} 2\n"
                   "h_sum{a=\"1\"} 2\nh_created{a=\"1\"} 5\nh_bucket{a=\"2\",le=\"+Inf\"} 3\n"
                   "h_count{a=\"2\"} 3\nh_sum{a=\"2\"} 2\nh_created{a=\"2\"} 6\n# EOF\n",
            "type h\nh{a=\"1\"} 2/2 | 0+1 | 2 # a 0.5 start 5000\n"
            "h{a=\"2\"} 3/2 | 0+1 | 3 start 6000\n"),
        ROW("# TYPE h gaugehistogram\nh_bucket{le=\"+Inf\"} 2\nh_gcount 2\nh_gsum 3\n# EOF\n",
            "type h\nh_bucket{le=\"+Inf\"} 2\nh_gcount 2\nh_gsum 3\n"),
    };
    check(&(struct setup){.form = EXPO_PARSE_OPENMETRICS, .skip_created = true}, rows,
          ARRAY_LEN(rows));
    static const struct row given[] = {
        ROW(TYPE_H "h_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 4\nh_created 12.5\n# EOF\n",
            "type h\nh 2/4 | 0+1 | 2\nh_created 12.5\n"),
    };
    check(&(struct setup){.form = EXPO_PARSE_OPENMETRICS}, given, ARRAY_LEN(given));
}

/* A reader with a cache expects what the page gave last time, converted histograms too. */
TEST(classic_histograms_are_found_where_they_were_expected)
{
    static const char page[] = "a 1\n" TYPE_H "h_bucket{le=\"1\"} 2\nh_count 3\n"
                               "# TYPE b gauge\nb{x=\"1\"} 4\n";
    struct mem m;
    struct arena a;
    struct expo_parse p;
    struct str raws[3];
    struct err e;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    for (int round = 0; round < 2; round++) {
        uint32_t n = 0;
        expo_parse_init(&p, EXPO_PARSE_TEXT, str_from_c(page), &m);
        p.to_nhcb = true;
        for (;;) {
            p.expect = round && n < 3 ? raws[n] : str_of("", 0);
            /* Nothing of a histogram's family goes past the parser, nor what it has read ahead. */
            assert_false(n == 1 && expo_parse_known(&p, STR("h_bucket{le=\"1\"}")) &&
                         p.whole_lines);
            assert_true(expo_parse_next(&p, &e));
            if (p.entry == EXPO_PARSE_END) {
                break;
            }
            if (p.entry == EXPO_PARSE_TYPE) {
                continue;
            }
            assert_int_equal(p.entry, n == 1 ? EXPO_PARSE_HIST : EXPO_PARSE_SAMPLE);
            assert_int_equal(p.expected, round == 1);
            if (round == 0) {
                raws[n] = arena_str(&a, p.raw);
            } else {
                assert_str(p.raw, raws[n]);
            }
            n++;
        }
        assert_int_equal(n, 3);
        expo_parse_release(&p);
    }
    /* The name of a converted histogram is no line's, whatever a page says. */
    struct buf forged;
    buf_init(&forged, &m, 1 << 10);
    buf_str_add(&forged, raws[1]);
    BUF_LIT(&forged, " 7\n");
    expo_parse_init(&p, EXPO_PARSE_TEXT, buf_str(&forged), &m);
    p.to_nhcb = true;
    p.expect = raws[1];
    assert_false(expo_parse_known(&p, raws[1]));
    assert_false(expo_parse_next(&p, &e));
    assert_int_equal(e.code, ERR_INPUT);
    expo_parse_release(&p);
    buf_release(&forged);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
}

FAULT_TEST(classic_histograms_without_memory)
{
    struct expo_parse p;
    struct err e = {.code = ERR_NONE};
    uint32_t hists = 0;
    bool ok = true;
    expo_parse_init(&p, EXPO_PARSE_TEXT,
                    STR(TYPE_H "h_bucket{a=\"\\\\\",le=\"1\"} 2\nh_count{a=\"\\\\\"} 3\nx 1\n"),
                    &w->mem);
    p.to_nhcb = true;
    while ((ok = expo_parse_next(&p, &e)) && p.entry != EXPO_PARSE_END) {
        hists += p.entry == EXPO_PARSE_HIST;
    }
    ok = ok && p.nhcb_refused == 0;
    assert_true(!ok || hists == 1);
    expo_parse_release(&p);
    return ok;
}
