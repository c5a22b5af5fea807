/* Labels, label sets and matchers: the words that every engine and protocol of samples shares.
 *
 * A label set is sorted by name (bytes), holds no name twice and no empty value: an empty value is
 * the same as an absent label. The metric's name is the label __name__. Slices borrow. */
#ifndef CODEC_LABELS_H
#define CODEC_LABELS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define LABEL_NAME       "__name__"
#define LABELS_COUNT_MAX 256   /* labels of one series */
#define LABEL_BYTES_MAX  16384 /* of one name or value, as stored */

struct label {
    struct str name, value;
};

struct labels {
    const struct label *v;
    uint32_t n;
};

/* Sorts v in place by name and drops empty values: *n becomes the count left. ERR_INPUT for a name
 * given twice, an empty name, bytes that are not UTF-8; ERR_LIMIT above the bounds. */
MUST_USE bool labels_normalize(struct label *v, uint32_t *n, struct err *e);
/* Value of a label, {NULL, 0} when absent. O(n). */
struct str labels_get(struct labels l, struct str name);
/* Order of Prometheus: label by label name then value; a prefix sorts first. */
int labels_cmp(struct labels a, struct labels b);
bool labels_eq(struct labels a, struct labels b);
uint64_t labels_hash(struct labels l);
/* Copies with all bytes; false (ERR_LIMIT) at the arena's cap. */
MUST_USE bool labels_copy(struct labels l, struct arena *a, struct labels *out, struct err *e);
/* {__name__="up", job="x"}: as Prometheus' labels.String(): name first when it is legacy, else in
 * quotes inside the braces. */
void labels_print(struct labels l, struct buf *out);

/* [a-zA-Z_:][a-zA-Z0-9_:]* and the same without colons. */
bool label_is_legacy_metric(struct str s);
bool label_is_legacy_name(struct str s);

enum match_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

/* name op value. Regular expressions are RE2, anchored at both ends, dot matches newline. An absent
 * label has the empty value. */
struct matcher {
    enum match_op op;
    struct str name, value;
};

#endif
