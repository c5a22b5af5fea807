/* Numbers as people of each language write them, without the C library's locale: Portuguese 1.284,5
 * and R$ 61,4 mil, English 1,284.5 and R$61.4k. A value that is not finite is the sign for "no
 * data". */
#ifndef SERVER_NUM_INT_H
#define SERVER_NUM_INT_H

#include "base/buf.h"
#include "base/command.h"

/* Grouped by thousands. */
void server_num_i64(struct buf *out, enum lang lang, int64_t v);
/* With `decimals` (0..6) digits after the point, rounded half away from zero. */
void server_num_f64(struct buf *out, enum lang lang, double v, int decimals);
/* About three significant digits, whole numbers as they are: 0,42 7,5 84,3 552 1.284 12,3 mil. */
void server_num_short(struct buf *out, enum lang lang, double v);
/* A share 0..1 as "84,3%". */
void server_num_percent(struct buf *out, enum lang lang, double share, int decimals);
/* Money: below 10 thousand in full with cents, above shortened. */
void server_num_brl(struct buf *out, enum lang lang, double reais);
/* Milliseconds as "0,42 ms", "87 ms", "1,25 s". */
void server_num_ms(struct buf *out, enum lang lang, double ms);
/* Seconds as the two largest units: "6 d 4 h", "2 min 3 s". */
void server_num_span(struct buf *out, int64_t seconds);

#endif
