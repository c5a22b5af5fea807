/* Plans and runs as `farol query --explain` shows them: the tree, its columns in both languages,
 * text that tries to write to the terminal, what is no tree. */
#include "server/answer_int.h"

#include "base/test.h"

struct rig {
    struct mem mem;
    struct arena arena;
    struct json_parser *json;
    struct buf out;
    struct server_answer x;
    struct err e;
};

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    mem_init(&r->mem, 0);
    arena_init(&r->arena, &r->mem, 64U << 20);
    buf_init(&r->out, &r->mem, 1U << 20);
    r->json = json_parser_new(&r->mem, 100000, 1U << 20);
    assert_non_null(r->json);
}

static void rig_release(struct rig *r)
{
    json_parser_free(r->json);
    buf_release(&r->out);
    arena_release(&r->arena);
    assert_int_equal(r->mem.bytes, 0);
}

/* data.explain is this text. */
static bool read(struct rig *r, const char *explain)
{
    struct buf b;
    arena_reset(&r->arena);
    err_clear(&r->e);
    buf_init(&b, &r->mem, 1U << 20);
    buf_fmt(&b, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[],"
                "\"explain\":");
    buf_str_add(&b, str_from_c(explain));
    BUF_LIT(&b, "}}");
    const struct str text = arena_str(&r->arena, buf_str(&b));
    buf_release(&b);
    return server_answer_read(r->json, text, &r->arena, &r->x, &r->e);
}

static void shows(struct rig *r, const char *explain, enum lang lang, const char *expected)
{
    assert_true(read(r, explain));
    assert_non_null(r->x.explain);
    buf_reset(&r->out);
    assert_true(server_explain_write(r->x.explain, lang, &r->arena, &r->out, &r->e));
    assert_str(buf_str(&r->out), str_from_c(expected));
}

static const char run[] = "{\"mode\":\"run\",\"nodes_all\":9,\"nodes\":["
                          "{\"depth\":0,\"head\":\"/ on (g)\",\"samples_read\":0,\"series\":2,\"po"
                          "ints\":22,\"self_ns\":1500,\"total_ns\":4250000,\"ways\":[\"whole_ro"
                          "ws\"]},"
                          "{\"depth\":1,\"head\":\"sum by (g)\",\"samples_read\":0,\"series\":2,\""
                          "points\":22,\"self_ns\":1000000,\"total_ns\":3000000,\"ways\":[\"str"
                          "eamed\",\"parallel\"]},"
                          "{\"depth\":2,\"head\":\"a_total\",\"series_matched\":1200,\"samples_r"
                          "ead\":13200,\"series\":1200,\"points\":13200,\"self_ns\":2000000,\"t"
                          "otal_ns\":2000000,\"ways\":[\"new_way\"]},"
                          "{\"depth\":1,\"head\":\"count\",\"samples_read\":0,\"series\":1,\"point"
                          "s\":11,\"self_ns\":0,\"total_ns\":1248500,\"ways\":[]},"
                          "{\"depth\":2,\"head\":\"b{c=\\\"ççççççççççççççççççççççççççççççççççç"
                          "ççççççççççççççççççççççççççççççççççççççççççççç\\\"}\",\"series_ma"
                          "tched\":2,\"samples_read\":2,\"series\":2,\"points\":2,\"self_ns\":12"
                          "48500,\"total_ns\":1248500}]"
                          ",\"totals\":{\"eval_ns\":4300000,\"threads\":2,\"samples_read\":1320"
                          "2,\"series_read\":1202,\"series\":2,\"points\":22,\"bytes\":1048576}"
                          "}";

static const char plan[] =
    "{\"mode\":\"plan\",\"nodes_all\":1,\"nodes\":[{\"depth\":0,\"head\":\"a\\u"
    "001b[31m_total\",\"steps\":61,\"series_matched\":3,\"from_ms\":6000"
    "0,\"to_ms\":120000,\"ways\":[\"once\"]}],\"totals\":{\"eval_ns\":1000,"
    "\"series_read\":3}}";

TEST(explain_draws_a_run)
{
    struct rig r;
    rig_init(&r);
    shows(&r, run, LANG_EN,
          "NODE                                                        "
          "         MATCHED  SAMPLES  SERIES  POINTS     OWN   TOTAL  H"
          "OW\n"
          "/ on (g)                                                    "
          "                        0       2      22  1.5 µs  4.3 ms  w"
          "hole rows\n"
          "├─ sum by (g)                                               "
          "                        0       2      22  1.0 ms  3.0 ms  s"
          "treamed, parallel\n"
          "│  └─ a_total                                               "
          "           1,200   13,200   1,200  13,200  2.0 ms  2.0 ms  n"
          "ew_way\n"
          "└─ count                                                    "
          "                        0       1      11    0 µs  1.2 ms\n"
          "   └─ b{c=\"ççççççççççççççççççççççççççççççççççççççççççççççççç"
          "çççççç…        2        2       2       2  1.2 ms  1.2 ms\n"
          "\n"
          "time: 4.3 ms; threads: 2; read: samples 13,202, series 1,202"
          "; answer: series 2, points 22; memory: 1,024 KiB\n"
          "shown: 5 nodes, the first of 9\n");
    shows(&r, run, LANG_PT,
          "NÓ                                                          "
          "         ACHADAS  AMOSTRAS  SÉRIES  PONTOS  PRÓPRIO   TOTAL "
          " COMO\n"
          "/ on (g)                                                    "
          "                         0       2      22   1,5 µs  4,3 ms "
          " linhas inteiras\n"
          "├─ sum by (g)                                               "
          "                         0       2      22   1,0 ms  3,0 ms "
          " em fluxo, em paralelo\n"
          "│  └─ a_total                                               "
          "           1.200    13.200   1.200  13.200   2,0 ms  2,0 ms "
          " new_way\n"
          "└─ count                                                    "
          "                         0       1      11     0 µs  1,2 ms\n"
          "   └─ b{c=\"ççççççççççççççççççççççççççççççççççççççççççççççççç"
          "çççççç…        2         2       2       2   1,2 ms  1,2 ms\n"
          "\n"
          "tempo: 4,3 ms; threads: 2; lido: amostras 13.202, séries 1.2"
          "02; resposta: séries 2, pontos 22; memória: 1.024 KiB\n"
          "mostrados: 5 nós, os primeiros de 9\n");
    rig_release(&r);
}

TEST(explain_draws_a_plan)
{
    struct rig r;
    rig_init(&r);
    shows(&r, plan, LANG_EN,
          "NODE             MATCHED  STEPS                  FROM       "
          "             TO  HOW\n"
          "a\\x1b[31m_total        3     61  1970-01-01T00:01:00Z  1970-"
          "01-01T00:02:00Z  once\n"
          "\n"
          "time: 1 µs; series matched: 3; no sample was read\n");
    rig_release(&r);
}

TEST(explain_takes_trees_only)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"[]", "expected an object in data.explain"},
        {"{}", "expected nodes in data.explain"},
        {"{\"nodes\":[]}", "expected nodes in data.explain"},
        {"{\"nodes\":[1]}", "expected nodes of a plan with their depth"},
        {"{\"nodes\":[{\"head\":\"a\"}]}", "expected nodes of a plan with their depth"},
        {"{\"nodes\":[{\"depth\":-1}]}", "expected nodes of a plan with their depth"},
        {"{\"nodes\":[{\"depth\":1}]}", "expected the nodes of one tree, parents before children"},
        {"{\"nodes\":[{\"depth\":0},{\"depth\":0}]}",
         "expected the nodes of one tree, parents before children"},
        {"{\"nodes\":[{\"depth\":0},{\"depth\":2}]}",
         "expected the nodes of one tree, parents before children"},
        {"{\"nodes\":[{\"depth\":1e9}]}", "the plan has more than 512 levels"},
    };
    struct rig r;
    rig_init(&r);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(read(&r, wrong[i].text));
        assert_str(str_from_c(r.e.msg), str_from_c(wrong[i].message));
    }
    rig_release(&r);
}

/* A chain as deep, and a list as long, as it may be; one more of each is refused. */
TEST(explain_is_bounded_in_both_directions)
{
    struct rig r;
    struct buf b;
    rig_init(&r);
    buf_init(&b, &r.mem, 1U << 20);
    for (unsigned extra = 0; extra < 2; extra++) {
        for (unsigned deep = 0; deep < 2; deep++) {
            const unsigned n = (deep ? EXPLAIN_DEPTH_MAX + 1 : EXPLAIN_ROWS_MAX) + extra;
            buf_reset(&b);
            BUF_LIT(&b, "{\"mode\":\"run\",\"nodes\":[");
            for (unsigned i = 0; i < n; i++) {
                buf_fmt(&b, "%s{\"depth\":%u,\"head\":\"h%u\"}", i > 0 ? "," : "", deep ? i : i > 0,
                        i);
            }
            BUF_LIT(&b, "]}\0");
            assert_int_equal(read(&r, b.p), extra == 0);
            if (extra > 0) {
                assert_int_equal(r.e.code, ERR_LIMIT);
                continue;
            }
            buf_reset(&r.out);
            r.out.bytes_max = 64U << 20;
            assert_true(server_explain_write(r.x.explain, LANG_EN, &r.arena, &r.out, &r.e));
            assert_true(str_contains(buf_str(&r.out), deep ? STR("└─ h512 ") : STR("└─ h1999 ")));
            assert_false(str_contains(buf_str(&r.out), deep ? STR("├") : STR("│")));
        }
    }
    buf_release(&b);
    rig_release(&r);
}
