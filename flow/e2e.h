/* EndToEndId of the SPI: E, ISPB (8 alphanumeric), UTC minute (12 digits), 11 alphanumeric; 32
 * bytes. Source: domain.md section 1.1 (SPI catalogue 5.13). The id leads to its minute without an
 * index. */
#ifndef FLOW_E2E_H
#define FLOW_E2E_H

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

#define E2E_BYTES        32
#define E2E_TOLERANCE_NS (12 * 3600 * NS_PER_S) /* the SPI accepts +-12 h */

struct e2e {
    char c[E2E_BYTES];
};

/* e->col is the 1-based byte that is wrong. The calendar is checked too (no 30 February); years are
 * 1970..2199. The message never quotes the id. ~10 ns. */
MUST_USE bool e2e_parse(struct str s, struct e2e *out, struct err *e);
static inline struct str e2e_str(const struct e2e *id)
{
    return (struct str){id->c, E2E_BYTES};
}
/* Start of the minute in the id. id must have passed e2e_parse. */
int64_t e2e_minute_ns(const struct e2e *id);
static inline struct str e2e_ispb(const struct e2e *id)
{
    return (struct str){id->c + 1, 8};
}
/* The identity used for routing, joining and storing: XXH3-128 of the 32 bytes. */
static inline struct hash128 e2e_hash(const struct e2e *id)
{
    return hash128(e2e_str(id));
}

#endif
