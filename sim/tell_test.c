/* The sentence at the end of a run, in both languages, and its JSON. */
#include "sim/tell_int.h"

#include "base/test.h"

static void check(const struct sim_summary *s, const char *pt, const char *en, const char *json)
{
    struct mem m;
    struct buf out;
    mem_init(&m, 0);
    buf_init(&out, &m, 4096);
    sim_summary_text(s, LANG_PT, &out);
    assert_str(buf_str(&out), str_from_c(pt));
    buf_reset(&out);
    sim_summary_text(s, LANG_EN, &out);
    assert_str(buf_str(&out), str_from_c(en));
    buf_reset(&out);
    sim_summary_json(s, &out);
    assert_str(buf_str(&out), str_from_c(json));
    buf_release(&out);
}

TEST(tell_summary_groups_and_counts)
{
    struct sim_totals n = {
        .transactions = 189393, .lost = 12, .lost_centavos = 455012, .fraud = 1, .labels = 1000};
    check(&(struct sim_summary){&n, 1523000, 1524, 3, "http://127.0.0.1:9480"},
          "189.393 transações, 1.523.000 linhas para http://127.0.0.1:9480 em 1.524 lotes (3 de "
          "novo); 1 fraude, 1.000 rótulos, 12 perdidas por falhas.\n",
          "189,393 transactions, 1,523,000 lines to http://127.0.0.1:9480 in 1,524 batches (3 sent "
          "again); 1 fraud, 1,000 labels, 12 lost by faults.\n",
          "{\"to\":\"http://127.0.0.1:9480\",\"transactions\":189393,\"lines\":1523000,"
          "\"batches\":1524,\"resent\":3,\"lost\":12,\"lost_centavos\":455012,\"frauds\":1,"
          "\"labels\":1000}\n");
    struct sim_totals one = {.transactions = 1};
    check(&(struct sim_summary){&one, 999, 1, 0, "a \"b\""},
          "1 transação, 999 linhas para a \"b\" em 1 lote; 0 fraudes, 0 rótulos, 0 perdidas por "
          "falhas.\n",
          "1 transaction, 999 lines to a \"b\" in 1 batch; 0 frauds, 0 labels, 0 lost by faults.\n",
          "{\"to\":\"a \\\"b\\\"\",\"transactions\":1,\"lines\":999,\"batches\":1,"
          "\"resent\":0,\"lost\":0,\"lost_centavos\":0,\"frauds\":0,\"labels\":0}\n");
}
