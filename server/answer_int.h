/* An answer of the query API as `farol query` shows it: read from JSON, printed as a table or CSV,
 * or drawn. */
#ifndef SERVER_ANSWER_INT_H
#define SERVER_ANSWER_INT_H

#include "base/buf.h"
#include "codec/json.h"
#include "server/explain_int.h"

#define ANSWER_JSON_BYTES_MAX ((size_t)64 << 20)
#define ANSWER_TOKENS_MAX     (8U << 20)

struct answer_point {
    double t_s;      /* Unix seconds */
    double v;        /* histograms: their count */
    struct str text; /* the value as it was written */
    bool histogram;
};
struct answer_series {
    struct str labels; /* name{a="b"}, or {} */
    struct answer_point *points;
    uint32_t n;
};
struct server_answer {
    struct str type; /* vector, matrix, scalar, string */
    struct answer_series *series;
    uint32_t series_n;
    struct str *notes; /* warnings and infos */
    uint32_t notes_n;
    struct server_explain *explain; /* NULL: the answer has none */
    struct str error;               /* status was error */
};

/* Borrows text and p; memory: arena. ERR_INPUT: not such an answer. */
MUST_USE bool server_answer_read(struct json_parser *p, struct str text, struct arena *a,
                                 struct server_answer *out, struct err *e);
/* Text of a server as a terminal may have it: control characters become \xNN. Empty without memory.
 */
struct str server_answer_text(struct str s, struct arena *a);
/* Columns that s takes: its code points. */
size_t server_answer_columns(struct str s);
void server_answer_spaces(struct buf *out, size_t n);
void server_answer_table(const struct server_answer *x, struct buf *out);
void server_answer_csv(const struct server_answer *x, struct buf *out);
/* Lines over time in braille, `columns` wide and `rows` high, one colour per series, with scales
 * and a legend; only series with two or more points are drawn. */
void server_answer_plot(const struct server_answer *x, uint32_t columns, uint32_t rows, bool color,
                        struct buf *out);

#endif
