/* What a query did, node by node, as `farol query --explain` shows it: read from data.explain of an
 * answer (docs/openapi.yaml, schema Explain), printed as a tree with columns.
 *
 * The bytes may come from any server that --url names: texts are cut and made harmless, and what is
 * not given is NaN and shown as "-". */
#ifndef SERVER_EXPLAIN_INT_H
#define SERVER_EXPLAIN_INT_H

#include "base/buf.h"
#include "base/lang.h"
#include "codec/json.h"

#define EXPLAIN_ROWS_MAX  2000 /* what farol tells at most */
#define EXPLAIN_DEPTH_MAX 512  /* the deepest plan has some 400 levels */
#define EXPLAIN_WAYS_MAX  16

struct explain_row {
    struct str head;
    uint32_t depth;
    double matched, steps, from_ms, to_ms;
    double samples, series, points, self_ns, total_ns;
    struct str ways[EXPLAIN_WAYS_MAX];
    uint32_t ways_n;
};
struct server_explain {
    bool ran; /* else a plan alone */
    struct explain_row *rows;
    uint32_t rows_n;
    double rows_all; /* more than rows_n: the rest was not told */
    double eval_ns, threads, samples_read, series_read, series, points, bytes;
};

/* The object at token `at` of d. Memory: arena; texts borrow the document. ERR_INPUT: it is no such
 * object; ERR_LIMIT: too many nodes or levels, or no memory. */
MUST_USE bool server_explain_read(const struct json_doc *d, uint32_t at, struct arena *a,
                                  struct server_explain *out, struct err *e);
/* The tree, a line per node, then a line of totals. Memory: arena. */
MUST_USE bool server_explain_write(const struct server_explain *x, enum lang lang, struct arena *a,
                                   struct buf *out, struct err *e);

#endif
