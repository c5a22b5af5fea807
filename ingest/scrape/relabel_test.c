/* Relabelling, as a table: rules in YAML, labels in, labels out. */
#include "ingest/scrape/relabel_int.h"

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

struct row {
    const char *rules, *in, *out; /* labels as "a=1 b=2"; out NULL: dropped */
};

struct bench {
    struct mem mem;
    struct arena arena;
    struct buf scratch;
};

static void bench_init(struct bench *b)
{
    mem_init(&b->mem, 0);
    arena_init(&b->arena, &b->mem, 1 << 20);
    buf_init(&b->scratch, &b->mem, 1 << 16);
}

static void bench_release(struct bench *b)
{
    buf_release(&b->scratch);
    arena_release(&b->arena);
    assert_int_equal(b->mem.bytes, 0);
}

static void read_set(struct lset *l, const char *text)
{
    struct str rest = str_from_c(text);
    while (rest.n > 0) {
        struct str_cut word = str_cut(rest, ' ');
        struct str_cut pair = str_cut(word.head, '=');
        assert_true(pair.ok);
        lset_set(l, pair.head, pair.tail);
        rest = word.tail;
    }
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static void write_set(struct lset *l, struct buf *out)
{
    qsort(l->v, l->n, sizeof *l->v, by_name);
    for (uint32_t i = 0; i < l->n; i++) {
        buf_fmt(out, "%s%.*s=%.*s", i ? " " : "", STR_FMT(l->v[i].name), STR_FMT(l->v[i].value));
    }
}

static bool read_rules(struct bench *b, const char *text, bool legacy, struct relabel_rules *r,
                       struct err *e)
{
    struct yaml_node *n = NULL;
    return yaml_parse(str_from_c(text), "rules", &b->arena, &n, e) &&
           relabel_read(n, legacy, &b->mem, &b->arena, r, e);
}

static void check(const struct row *rows, size_t count)
{
    int bad = 0;
    for (size_t i = 0; i < count; i++) {
        struct bench b;
        struct relabel_rules r;
        struct lset l;
        struct buf got;
        struct err e;
        bench_init(&b);
        buf_init(&got, &b.mem, 1 << 16);
        lset_init(&l, &b.arena);
        read_set(&l, rows[i].in);
        if (!read_rules(&b, rows[i].rules, false, &r, &e)) {
            print_error("%s\n", e.msg);
            fail();
        }
        bool keep = relabel_apply(&r, &l, &b.scratch);
        assert_false(l.failed);
        write_set(&l, &got);
        bool same = keep == (rows[i].out != NULL) &&
                    (!keep || str_eq(buf_str(&got), str_from_c(rows[i].out)));
        if (!same) {
            print_error("rules %s\nin %s\nexpected %s\nfound    %s%.*s\n", rows[i].rules,
                        rows[i].in, rows[i].out ? rows[i].out : "(dropped)",
                        keep ? "" : "(dropped) ", STR_FMT(buf_str(&got)));
            bad++;
        }
        relabel_release(&r);
        buf_release(&got);
        bench_release(&b);
    }
    assert_int_equal(bad, 0);
}

TEST(replace_writes_what_matched)
{
    static const struct row rows[] = {
        {"[{source_labels: [a], target_label: d, regex: 'f(.*)', replacement: 'ch${1}-ch$1'}]",
         "a=foo b=bar", "a=foo b=bar d=choo-choo"},
        {"[{source_labels: [a, b], target_label: a, regex: '.*(b).*', replacement: '$1$1'},"
         "{source_labels: [b], target_label: a, regex: 'xyz'}]",
         "a=foo b=bar", "a=bb b=bar"},
        {"[{source_labels: [a], target_label: b}]", "a=x", "a=x b=x"},
        {"[{source_labels: [nope], target_label: b}]", "a=x b=y", "a=x"},
        {"[{target_label: b, replacement: fixed}]", "a=x", "a=x b=fixed"},
        {"[{target_label: b, replacement: ''}]", "a=x b=y", "a=x"},
        {"[{source_labels: [a], regex: 'f', target_label: b, replacement: z}]", "a=foo", "a=foo"},
        {"[{source_labels: [a], regex: '(?i)FOO', target_label: b, replacement: z}]", "a=foo",
         "a=foo b=z"},
        {"[{source_labels: [a, b, c], separator: '/', target_label: d}]", "a=1 c=3",
         "a=1 c=3 d=1//3"},
        {"[{source_labels: [a], regex: '(.*)-(.*)', target_label: '${1}', replacement: '${2}'}]",
         "a=k-v", "a=k-v k=v"},
        {"[{source_labels: [a], regex: '(?P<x>.)(.*)', target_label: b, replacement: '$x$$${2}'}]",
         "a=foo", "a=foo b=f$oo"},
        {"[{source_labels: [__address__], regex: '([^:]+)(?::\\d+)?', target_label: host}]",
         "__address__=h1:9100", "__address__=h1:9100 host=h1"},
        {"[{source_labels: [a], target_label: a, regex: '.*', replacement: 'n-$0'}]", "a=q",
         "a=n-q"},
        {"[{source_labels: [a], regex: '(.*)', target_label: b, replacement: 'p-$1'}]", "a=q",
         "a=q b=p-q"},
    };
    check(rows, ARRAY_LEN(rows));
}

TEST(keep_and_drop_decide)
{
    static const struct row rows[] = {
        {"[{source_labels: [a], regex: 'fo+', action: keep}]", "a=foo", "a=foo"},
        {"[{source_labels: [a], regex: 'f', action: keep}]", "a=foo", NULL},
        {"[{source_labels: [a], regex: '.*o.*', action: Drop}]", "a=foo", NULL},
        {"[{source_labels: [a], regex: 'x', action: drop}]", "a=foo", "a=foo"},
        {"[{action: drop}]", "a=foo", NULL},
        {"[{source_labels: [a], target_label: b, action: keepequal}]", "a=1 b=1", "a=1 b=1"},
        {"[{source_labels: [a], target_label: b, action: keepequal}]", "a=1 b=2", NULL},
        {"[{source_labels: [a], target_label: b, action: dropequal}]", "a=1 b=1", NULL},
        {"[{source_labels: [a], target_label: b, action: dropequal}]", "a=1", "a=1"},
        {"[{source_labels: [x], target_label: y, action: dropequal}]", "a=1", NULL},
    };
    check(rows, ARRAY_LEN(rows));
}

TEST(names_are_mapped_dropped_and_kept)
{
    static const struct row rows[] = {
        {"[{action: labelmap, regex: '(b.*)'}]", "a=foo b1=bar b2=baz", "a=foo b1=bar b2=baz"},
        {"[{action: labelmap, regex: 'meta_(ns.*)', replacement: 'x_${1}'}]",
         "a=foo meta_ns=1 meta_nsx=2", "a=foo meta_ns=1 meta_nsx=2 x_ns=1 x_nsx=2"},
        {"[{action: labeldrop, regex: 'b.*'}]", "a=1 b=2 bb=3 c=4", "a=1 c=4"},
        {"[{action: labelkeep, regex: 'b.*'}]", "a=1 b=2 bb=3 c=4", "b=2 bb=3"},
        {"[{action: labelmap, regex: 'a', replacement: 'b'}]", "a=1 b=2", "a=1 b=1"},
        {"[{action: labeldrop}]", "a=1 b=2", ""},
    };
    check(rows, ARRAY_LEN(rows));
}

TEST(hashmod_and_cases)
{
    static const struct row rows[] = {
        /* the last eight bytes of MD5, big-endian, modulo 1,000 */
        {"[{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}]",
         "a=foo b=bar c=baz", "a=foo b=bar c=baz d=976"},
        {"[{source_labels: [a], target_label: d, action: hashmod, modulus: 1000}]",
         "a=foo\nbar b=bar", "a=foo\nbar b=bar d=734"},
        {"[{source_labels: [a], target_label: b, action: lowercase}]", "a=fOO-1",
         "a=fOO-1 b=foo-1"},
        {"[{source_labels: [a], target_label: a, action: uppercase}]", "a=fOO-1", "a=FOO-1"},
        {"[{source_labels: [a], target_label: a, action: uppercase}]", "a=são", "a=SÃO"},
        {"[{source_labels: [a], target_label: a, action: lowercase}]", "a=AÇÃO", "a=ação"},
    };
    check(rows, ARRAY_LEN(rows));
}

TEST(md5_of_the_standard)
{
    /* RFC 1321 A.5: the second half of each digest. */
    static const struct {
        const char *text;
        uint64_t tail;
    } rows[] = {
        {"", 0xe9800998ecf8427eULL},
        {"a", 0x31c399e269772661ULL},
        {"abc", 0xd6963f7d28e17f72ULL},
        {"message digest", 0x525a2f31aaf161d0ULL},
        {"abcdefghijklmnopqrstuvwxyz", 0x7dfb496cca67e13bULL},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 0xa5611c2c9f419d9fULL},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         0xac49da2e2107b67aULL},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0xd958a70738aa8f72ULL},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0x62dabcafad6db14bULL},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0x7947682aeb252456ULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(md5_tail(str_from_c(rows[i].text)) == rows[i].tail);
    }
}

TEST(rules_that_make_no_sense_are_refused)
{
    static const struct {
        const char *rules;
        bool legacy_only; /* refused only with legacy names */
    } rows[] = {
        {"[{action: replace}]", false},
        {"[{action: nope, target_label: a}]", false},
        {"[{action: hashmod, target_label: a}]", false},
        {"[{action: hashmod, modulus: 3}]", false},
        {"[{action: lowercase}]", false},
        {"[{action: lowercase, target_label: a, replacement: x}]", false},
        {"[{action: keepequal}]", false},
        {"[{action: keepequal, target_label: a, regex: '(.*)'}]", false},
        {"[{action: dropequal, target_label: a, separator: ','}]", false},
        {"[{action: labeldrop, regex: a, source_labels: [b]}]", false},
        {"[{action: labelkeep, regex: a, target_label: b}]", false},
        {"[{action: keep, regex: '('}]", false},
        {"[{action: keep, rgex: 'a'}]", false},
        {"[{action: keep, source_labels: a}]", false},
        {"[{action: keep, source_labels: ['']}]", false},
        {"[null]", false},
        {"{action: keep}", false},
        {"[{action: replace, target_label: '0a'}]", true},
        {"[{action: replace, target_label: 'a-b'}]", true},
        {"[{action: replace, target_label: '$1-b', source_labels: [a]}]", true},
        {"[{action: replace, target_label: '${1', source_labels: [a]}]", true},
        {"[{action: labelmap, replacement: 'a-$1'}]", true},
        {"[{action: lowercase, target_label: 'a.b'}]", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench b;
        struct relabel_rules r;
        struct err e = {.code = ERR_NONE};
        bench_init(&b);
        bool ok = read_rules(&b, rows[i].rules, false, &r, &e);
        if (ok != rows[i].legacy_only) {
            print_error("%s\n", rows[i].rules);
        }
        assert_int_equal(ok, rows[i].legacy_only);
        if (ok) {
            relabel_release(&r);
        } else {
            assert_int_equal(e.code, ERR_INPUT);
            assert_true(e.line > 0);
        }
        if (rows[i].legacy_only) {
            assert_false(read_rules(&b, rows[i].rules, true, &r, &e));
        }
        bench_release(&b);
    }
}

TEST(legacy_names_may_hold_variables)
{
    static const char *const rules[] = {
        "[{source_labels: [a], target_label: 'x_${1}_y$2', regex: '(.)(.)'}]",
        "[{source_labels: [a], target_label: '$1'}]",
        "[{action: labelmap, regex: 'm_(.+)', replacement: '${1}'}]",
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct bench b;
        struct relabel_rules r;
        struct err e;
        bench_init(&b);
        assert_true(read_rules(&b, rules[i], true, &r, &e));
        relabel_release(&r);
        bench_release(&b);
    }
}

FAULT_TEST(rules_survive_a_lack_of_memory)
{
    struct arena a;
    struct yaml_node *n = NULL;
    struct relabel_rules r = {NULL, 0};
    struct lset l;
    struct buf scratch;
    struct err e;
    arena_init(&a, &w->mem, 1 << 20);
    buf_init(&scratch, &w->mem, 1 << 16);
    bool ok = yaml_parse(STR("[{source_labels: [a, b], target_label: c, regex: 'x(.*)'},"
                             "{action: labelmap, regex: '(.)', replacement: '${1}2'},"
                             "{action: hashmod, modulus: 9, source_labels: [c], target_label: h}]"),
                         "rules", &a, &n, &e) &&
              relabel_read(n, false, &w->mem, &a, &r, &e);
    if (ok) {
        lset_init(&l, &a);
        lset_set(&l, STR("a"), STR("x1"));
        lset_set(&l, STR("b"), STR("2"));
        assert_true(relabel_apply(&r, &l, &scratch));
        ok = !l.failed;
        if (ok) {
            assert_str(lset_get(&l, STR("c")), STR("1;2"));
            assert_str(lset_get(&l, STR("b2")), STR("2"));
        }
    }
    relabel_release(&r);
    buf_release(&scratch);
    arena_release(&a);
    return ok;
}
