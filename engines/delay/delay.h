/* The law of label delays, and what it says about labels that have not come yet.
 *
 * A fraud becomes known days or weeks after the payment. What is known of young decisions is
 * right-truncated: a delay is seen only when it was shorter than the time passed. The law is
 * estimated from the truncated delays themselves, by the hazard of reversed time:
 *
 *     h(k) = known in day k / known by day k,   F(k) = prod over j > k of (1 - h(j))
 *
 * where only decision days enter that are old enough for day k. F(k) is the share of all frauds of
 * a day that is known k days after its end, and observed / F(k) is how many there will be. (It is
 * the chain ladder of insurers.) Three things are added:
 *
 * - Nearness. A law changes (a new MED rule, a slower desk). Decision days weigh
 *   2^(-|day - about| / DELAY_HALF_LIFE_DAYS), and the interval grows with the distance of the days
 *   that the evidence comes from.
 * - Ages that no day has reached yet take the general law F0(k) = log(1.5 + k) / log(1.5 + 80) of
 *   a MED that may be opened for 80 days, raised to the power that fits the older half of the ages
 *   which are known (proportional reversed hazards). The interval then holds what this guess may be
 *   wrong by.
 * - Thin strata (a segment, a rare source) take the hazards of a parent law.
 *
 * Sources: Lagakos, Barraj, De Gruttola, Biometrika 75 (1988); Kalbfleisch, Lawless, Statistica
 * Sinica 1 (1991); Lawless, Canadian J. of Statistics 22 (1994). Mack, ASTIN 23 (1993) for the
 * chain ladder. What is written above as "added" is ours; test/conformance/late measures it.
 *
 * Pure functions: no memory, no clock; linear in rows x ages. */
#ifndef ENGINES_DELAY_DELAY_H
#define ENGINES_DELAY_DELAY_H

#include "base/base.h"

#define DELAY_AGES           91 /* 0 = by the end of the decision day, .. 90 days after it */
#define DELAY_HALF_LIFE_DAYS 5.0
#define DELAY_SHARE_MIN      0.02 /* below it nothing is said: less than one in fifty is known */

/* The frauds of one decision day by the day in which they became known. Later than the last age
 * counts as the last. Only what is known at the question's time. */
struct delay_row {
    int32_t day; /* since 1970 */
    uint32_t seen[DELAY_AGES];
};

struct delay_law {
    double log_share[DELAY_AGES]; /* log F(k); 0 at the last age */
    double var[DELAY_AGES];       /* of log F(k) */
    /* Reversed hazards and how many frauds stand behind each, for laws that take this as parent. */
    double hazard[DELAY_AGES];
    double weight; /* frauds that the law was learnt from, near ones counting fully */
    double daily;  /* frauds a day that days near have in all: rows without any count too */
};

/* The law near decision day `about`, from what was known at known_days (days since 1970, with
 * fraction). Rows in any order, of days not after it. parent: NULL = the general law alone. */
void delay_law_fit(const struct delay_row *rows, size_t rows_count, int32_t about,
                   double known_days, const struct delay_law *parent, struct delay_law *out);

/* The share known age_days after the end of the decision day, and the variance of its logarithm.
 * Between whole days the logarithm is interpolated. false: before the end of the day, or the share
 * is below DELAY_SHARE_MIN. */
MUST_USE bool delay_share(const struct delay_law *law, double age_days, double *share,
                          double *var_log);

struct delay_estimate {
    double value; /* how many there will be in all */
    double var;   /* of the number to come, the law given */
    double law;   /* standard deviation by what the law is wrong; it is so for many days alike */
};
/* observed: known at an age of which `share` is expected. To come are a Poisson number of unknown
 * mean, of which law->daily is a very weak guess (it counts as half a fraud): about
 * observed * (1 - share) / share where frauds were seen, few where there never are any. */
struct delay_estimate delay_complete(const struct delay_law *law, uint64_t observed, double share,
                                     double var_log);

#endif
