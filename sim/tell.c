/* What `farol sim` says: errors, the state of the door, and the sentence at the end. People read
 * it, so it is in their language and goes to standard error; the JSON form is for scripts. */
#include "sim/tell_int.h"

#include "base/file.h"
#include "base/num.h"

#include <stdio.h>

#define STDERR_FD      2
#define TELL_BYTES_MAX 1024

static void say(const struct os *os, const char *text)
{
    char line[TELL_BYTES_MAX];
    struct err ignored = {0}; /* there is nobody left to tell */
    int n = snprintf(line, sizeof line, "farol: %s\n", text);
    if (n > 0) {
        struct str s = str_of(line, size_min((size_t)n, sizeof line - 1));
        (void)!file_write_all(os, STDERR_FD, s, "standard error", &ignored);
    }
}

void sim_tell(const struct os *os, enum lang lang, const char *pt, const char *en)
{
    say(os, lang == LANG_PT ? pt : en);
}

void sim_tell_err(const struct os *os, const struct err *e)
{
    char text[512];
    (void)err_format(e, text, sizeof text);
    say(os, text);
}

#define SOME(v, pt1, pt, en1, en) \
    num_counted(out, lang, (v), &(struct num_words){.one = {pt1, en1}, .many = {pt, en}})

void sim_summary_text(const struct sim_summary *s, enum lang lang, struct buf *out)
{
    const struct sim_totals *n = s->totals;
    SOME(n->transactions, "transação", "transações", "transaction", "transactions");
    BUF_LIT(out, ", ");
    SOME(s->sent, "linha", "linhas", "line", "lines");
    buf_fmt(out, lang == LANG_PT ? " para %s em " : " to %s in ", s->to);
    SOME(s->batches, "lote", "lotes", "batch", "batches");
    if (s->resent > 0) {
        BUF_LIT(out, " (");
        num_u64(out, lang, s->resent);
        buf_str_add(out, lang == LANG_PT ? STR(" de novo)") : STR(" sent again)"));
    }
    BUF_LIT(out, "; ");
    SOME(n->fraud, "fraude", "fraudes", "fraud", "frauds");
    BUF_LIT(out, ", ");
    SOME(n->labels, "rótulo", "rótulos", "label", "labels");
    BUF_LIT(out, ", ");
    SOME(n->lost, "perdida por falha", "perdidas por falhas", "lost by a fault", "lost by faults");
    BUF_LIT(out, ".\n");
}

void sim_summary_json(const struct sim_summary *s, struct buf *out)
{
    const struct sim_totals *n = s->totals;
    BUF_LIT(out, "{\"to\":");
    buf_json_str(out, str_from_c(s->to));
    buf_fmt(out,
            ",\"transactions\":%llu,\"lines\":%llu,\"batches\":%llu,\"resent\":%llu,\"lost\":%llu,"
            "\"lost_centavos\":%lld,\"frauds\":%llu,\"labels\":%llu}\n",
            (unsigned long long)n->transactions, (unsigned long long)s->sent,
            (unsigned long long)s->batches, (unsigned long long)s->resent,
            (unsigned long long)n->lost, (long long)n->lost_centavos, (unsigned long long)n->fraud,
            (unsigned long long)n->labels);
}
