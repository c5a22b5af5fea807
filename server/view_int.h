/* What the terminal shows, read from GET /farol/v1/status (docs/openapi.yaml, schema Status).
 *
 * The bytes may come from any server that --url names, so texts are cut, and everything that could
 * steer a terminal (control bytes, C1, bidirectional and wide characters) is replaced. A number
 * that the server did not give is NaN: "no data" is never 0. */
#ifndef SERVER_VIEW_INT_H
#define SERVER_VIEW_INT_H

#include "base/clock.h"
#include "base/command.h"
#include "codec/json.h"

#define VIEW_STAGES_MAX     16
#define VIEW_REASONS_MAX    8
#define VIEW_DECISIONS_MAX  8
#define VIEW_VERSIONS_MAX   4
#define VIEW_ALERTS_MAX     8
#define VIEW_CHANGED_NS     (15 * 60 * NS_PER_S) /* what is told as new */
#define VIEW_TEXT_BYTES     272                  /* the longest reason of a pillar is 255 */
#define VIEW_TOKENS_MAX     4096
#define VIEW_JSON_BYTES_MAX (1U << 20)

/* In order of severity: the worst of several is the largest. */
enum view_state { VIEW_OK, VIEW_NONE, VIEW_WARN, VIEW_CRIT };

struct view_text {
    uint16_t n;
    char p[VIEW_TEXT_BYTES];
};

/* Reasons that the board tells apart, by their code. */
enum view_cause {
    VIEW_CAUSE_OTHER,
    VIEW_CAUSE_LOST,
    VIEW_CAUSE_SLA,
    VIEW_CAUSE_FALLBACK,
    VIEW_CAUSE_FEATURE,
    VIEW_CAUSE_LABELS_LATE,
    VIEW_CAUSE_PRECISION,
    VIEW_CAUSE_RECALL,
    VIEW_CAUSE_STAGE_ERRORS,
    VIEW_CAUSE_LEDGER_FULL,
    VIEW_CAUSE_TOO_OLD,
    VIEW_CAUSE_UNKNOWN_STAGE,
    VIEW_CAUSE_HOLDS_EXPIRING,
    VIEW_CAUSE_SCORE_CONSTANT,
    VIEW_CAUSE_SILENT,
    VIEW_CAUSES
};

struct view_reason {
    enum view_state level;
    enum view_cause cause;
    struct view_text text[LANGS];
};

struct view_pillar {
    enum view_state state;
    uint32_t reasons_count;
    struct view_reason reasons[VIEW_REASONS_MAX];
};

struct view_stage {
    struct view_text name;
    double rate_per_s, errors_per_s, p50_ms, p99_ms, queue_p99_ms, duplicates, retries, lost_after;
    struct view_text version; /* the newest that sends events; empty when not given */
    int64_t version_since_ns; /* T_NS_NONE when not given */
    bool version_deployed;    /* it was not there when the stage was first seen */
};

struct view_estimate {
    double value, lo, hi, n;
    struct view_text cohort;
};

/* By value, about 35 KB; no memory of its own. */
struct server_view {
    struct view_text version;
    int64_t t_ns; /* of the server's clock; T_NS_NONE when not given */
    enum view_state state;
    struct view_pillar pipeline, model;
    double alerts_firing, alerts_pending; /* NaN: not given */
    uint32_t alerts_count;
    struct view_text alerts[VIEW_ALERTS_MAX]; /* names of what fires */

    double entered, left, in_flight, lost, lost_brl;
    bool closes, ledger_given;
    double tx_per_s, decision_p50_ms, decision_p99_ms;
    uint32_t stages_count;
    struct view_stage stages[VIEW_STAGES_MAX];

    double decisions_per_s, fallback_share, hold_share, threshold, labels_pending;
    uint32_t decisions_count;
    struct {
        struct view_text name;
        double share;
    } decisions[VIEW_DECISIONS_MAX];
    struct view_text feature_name;
    double feature_share;
    struct view_estimate precision, recall;
    uint32_t versions_count;
    struct view_text versions[VIEW_VERSIONS_MAX];
};

static inline struct str view_str(const struct view_text *t)
{
    return (struct str){t->p, t->n};
}

/* Was the version of s, a stage of v, deployed within VIEW_CHANGED_NS before the status? */
bool server_view_is_changed(const struct server_view *v, const struct view_stage *s);

/* The code of a cause as the status writes it ("other" for those that are not known here). */
const char *server_view_cause_code(enum view_cause cause);

/* ERR_INPUT: not JSON, or not an object with "state". Linear in the text. */
MUST_USE bool server_view_read(struct json_parser *p, struct str text, struct server_view *out,
                               struct err *e);

#endif
