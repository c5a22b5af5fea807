/* What the store remembers of the verdict: since when, and the numbers before. A server that
 * restarts in the middle of an incident, or after six quiet days, does not forget either. */
#ifndef SERVER_PAST_INT_H
#define SERVER_PAST_INT_H

#include "engines/tsdb/tsdb.h"
#include "server/verdict_int.h"

/* A hole longer than this is not known to have been like its edges: what Prometheus calls stale. */
#define PAST_GAP_MS   (5 * 60 * MS_PER_S)
#define PAST_DAYS_MAX 31

/* The value of a query that answers with one number at t_ms; false: with none, several or an error.
 * thread: any. */
MUST_USE bool server_past_ask(struct tsdb *db, const struct os *os, struct str query, int64_t t_ms,
                              double *out);
/* Since when the newest samples of a series of Farol (code empty: without one) lie in [lo, hi]
 * without a hole: the time of the first of them. T_NS_NONE: the newest is older than PAST_GAP_MS,
 * or does not lie there. At most PAST_DAYS_MAX days are read, newest first. */
int64_t server_past_since(struct tsdb *db, struct str metric, struct str pillar, struct str code,
                          double lo, double hi, int64_t now_ms);
/* Fills what the story, which has seen v as its first status, does not know. */
void server_past_fill(struct tsdb *db, const struct os *os, const struct server_view *v,
                      struct server_story *story, struct verdict_pillar *pipeline,
                      struct verdict_pillar *model);

#endif
