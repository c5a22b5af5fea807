/* Private to sim/: what the command says to its user, in the user's language. See tell.c. */
#ifndef SIM_TELL_INT_H
#define SIM_TELL_INT_H

#include "base/command.h"
#include "sim/sim.h"

/* "farol: " and one line on standard error. */
void sim_tell(const struct os *os, enum lang lang, const char *pt, const char *en);
void sim_tell_err(const struct os *os, const struct err *e);

/* What a run did, for its last line. */
struct sim_summary {
    const struct sim_totals *totals;
    uint64_t sent, batches, resent; /* lines; batches; of those, sent again */
    const char *to;                 /* where the lines went */
};
/* One sentence with its new line. */
void sim_summary_text(const struct sim_summary *s, enum lang lang, struct buf *out);
/* One JSON object and a new line: to, transactions, lines, batches, resent, lost, lost_centavos,
 * frauds, labels. */
void sim_summary_json(const struct sim_summary *s, struct buf *out);

#endif
