/* The parameter `explain` of query and query_range: what it adds to an answer and what it leaves as
 * it is. What is counted is tested in engines/promql/explain_test.c. */
#include "server/api/prom/prom_testing_int.h"

#define RUN_KEYS ",\"samples_read\":"

static struct str body_of(struct world *w, const char *path, const char *form,
                          struct http_answer *a)
{
    assert_int_equal(ask(w, "POST", path, str_from_c(form), NULL, a), 200);
    return buf_str(&a->body);
}

/* The answer with `explain` is that without it, and a member more of data. */
static void expect_added(struct world *w, const char *path, const char *form, const char *added)
{
    struct http_answer plain, explained;
    char with[512];
    (void)snprintf(with, sizeof with, "%s&explain=run", form);
    const struct str p = body_of(w, path, form, &plain);
    const struct str x = body_of(w, path, with, &explained);
    const size_t same = p.n - 2; /* before the braces of data and the answer */
    assert_true(x.n > p.n);
    assert_str(str_sub(x, 0, same), str_sub(p, 0, same));
    assert_str(str_sub(x, same, strlen(added)), str_from_c(added));
    assert_true(str_contains(x, STR(RUN_KEYS)));
    assert_true(str_ends(x, STR("}}}}")));
    buf_release(&plain.body);
    buf_release(&explained.body);
}

TEST(prom_explain_of_a_run_adds_to_the_answer)
{
    struct world w;
    world_open(&w);
    fill(&w);
    world_serve(&w);
    expect_added(&w, "/api/v1/query", "query=sum(up)&time=" NOW,
                 ",\"explain\":{\"mode\":\"run\",\"type\":\"vector\",\"lookback_ms\":300000,"
                 "\"nodes\":[{\"id\":0,\"parent\":null,\"depth\":0,\"kind\":\"aggregation\","
                 "\"head\":\"sum\",\"text\":\"sum(up)\",");
    expect_added(&w, "/api/v1/query_range",
                 "query=rate(n_total%5B1m%5D)&start=1699999970&end=" NOW "&step=15",
                 ",\"explain\":{\"mode\":\"run\",\"type\":\"vector\",\"lookback_ms\":300000,"
                 "\"nodes\":[{\"id\":0,\"parent\":null,\"depth\":0,\"kind\":\"function\","
                 "\"head\":\"rate()\",\"text\":\"rate(n_total[1m])\",");
    expect_added(&w, "/api/v1/query", "query=1&time=" NOW,
                 ",\"explain\":{\"mode\":\"run\",\"type\":\"scalar\",");
    world_close(&w);
}

TEST(prom_explain_of_a_plan_is_an_empty_answer)
{
    static const char *const results[] = {
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[],\"explain\":{"
        "\"mode\":\"plan\",\"type\":\"scalar\",",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[],\"explain\":{"
        "\"mode\":\"plan\",\"type\":\"vector\",",
    };
    struct world w;
    struct http_answer a;
    world_open(&w);
    fill(&w);
    world_serve(&w);
    struct str x = body_of(&w, "/api/v1/query", "query=scalar(up)&explain=plan&time=" NOW, &a);
    assert_true(str_starts(x, str_from_c(results[0])));
    assert_true(str_contains(x, STR("\"series_matched\":2,")));
    assert_false(str_contains(x, STR(RUN_KEYS)));
    buf_release(&a.body);
    x = body_of(&w, "/api/v1/query_range",
                "query=up&explain=plan&start=1699999970&end=" NOW "&step=15", &a);
    assert_true(str_starts(x, str_from_c(results[1])));
    buf_release(&a.body);
    world_close(&w);
}

TEST(prom_explain_takes_two_words)
{
    struct world w;
    world_open(&w);
    world_serve(&w);
    expect(&w, "GET", "/api/v1/query?query=1&explain=yes", "", 400,
           BAD("invalid parameter \\\"explain\\\": expected \\\"plan\\\" or \\\"run\\\", found "
               "\\\"yes\\\""));
    expect(&w, "GET", "/api/v1/query_range?query=1&start=0&end=1&step=1&explain=Run", "", 400,
           BAD("invalid parameter \\\"explain\\\": expected \\\"plan\\\" or \\\"run\\\", found "
               "\\\"Run\\\""));
    world_close(&w);
}
