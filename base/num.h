/* Numbers as people of each language write them, without the C library's locale: Portuguese 1.284,5
 * 84,3% and R$ 61,4 mil, English 1,284.5 84.3% and R$61.4k. A value that is not finite is "-", the
 * sign for "no data". */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/buf.h"
#include "base/lang.h"

/* Grouped by thousands. */
void num_u64(struct buf *out, enum lang lang, uint64_t v);
/* Grouped, with `decimals` (0..6) digits after the point, rounded half away from zero. */
void num_f64(struct buf *out, enum lang lang, double v, int decimals);
/* About three significant digits, whole numbers as they are: 0,42 7,5 84,3 552 1.284 12,3 mil. */
void num_short(struct buf *out, enum lang lang, double v);
/* A share 0..1 as "84,3%". */
void num_percent(struct buf *out, enum lang lang, double share, int decimals);
/* Money: below 10 thousand in full with cents, above shortened: "R$ 61,4 mil". */
void num_brl(struct buf *out, enum lang lang, double reais);
/* Money to the last cent, however much: "R$ 163.145,38". */
void num_centavos(struct buf *out, enum lang lang, int64_t centavos);
/* Milliseconds as "0,42 ms", "87 ms", "1,25 s". */
void num_ms(struct buf *out, enum lang lang, double ms);
/* Seconds as the two largest units: "6 d 4 h", "2 min 3 s". */
void num_span(struct buf *out, int64_t seconds);

/* What is counted, for exactly 1 and for any other number. */
struct num_words {
    const char *one[LANGS];
    const char *many[LANGS];
};
const char *num_word(const struct num_words *w, enum lang lang, uint64_t n);
/* The number and its word: "1.524 lotes". */
void num_counted(struct buf *out, enum lang lang, uint64_t n, const struct num_words *w);

/* The same texts by value, for a sentence made by one format. */
struct num_text {
    char text[64];
};
struct num_text num_text_u64(enum lang lang, uint64_t v);
struct num_text num_text_percent(enum lang lang, double share, int decimals);
struct num_text num_text_centavos(enum lang lang, int64_t centavos);

#endif
