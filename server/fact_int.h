/* The numbers that sentences are made of, each with the PromQL query that shows the same number in
 * the store. The window is that of the status: one minute. */
#ifndef SERVER_FACT_INT_H
#define SERVER_FACT_INT_H

#include "base/buf.h"
#include "server/view_int.h"

enum fact {
    FACT_NONE,
    FACT_RATE,      /* transactions per second */
    FACT_LATENCY,   /* p99 of decisions, s */
    FACT_LOST,      /* transactions lost now */
    FACT_LOST_BRL,  /* R$ of them */
    FACT_FALLBACK,  /* share of decisions */
    FACT_FEATURE,   /* null or default share of the worst feature */
    FACT_HOLDS,     /* share of decisions */
    FACT_PRECISION, /* newest cohort with enough cases */
    FACT_PRECISION_LO,
    FACT_RECALL,
    FACT_SLA,
    FACT_STAGE_ERRORS,
    FACT_LEDGER_FULL,
    FACT_TOO_OLD,
    FACT_UNKNOWN_STAGE,
    FACT_HOLDS_EXPIRING,
    FACT_SCORE_CONSTANT,
    FACT_LABELS,
    FACTS
};

/* Appends the query; nothing for FACT_NONE, and nothing when v does not name what it is about (the
 * feature, the cohort). */
void server_fact_query(const struct server_view *v, enum fact f, struct buf *out);
/* The number that a reason is about. */
enum fact server_fact_of(enum view_cause cause);

#endif
