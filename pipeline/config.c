/* The section `pipeline:` of the configuration, and what it means in nanoseconds and stage numbers.
 *
 * The table is also the manual page and the printed defaults; checks that need more than one key,
 * or the items of a list, stand in pipeline_config_read. */
#include "pipeline/pipeline_int.h"

#define DAY_MS 86400000.0

const struct conf_field pipeline_fields[] = {
    CONF_STR_LIST(struct pipeline_config, stages, "stages",
                  "[ingest, enrich, features, score, decide, act, settle]", 2, PIPELINE_STAGES_MAX,
                  "the stages a transaction passes, in order; the last one ends it"),
    CONF_STR(struct pipeline_config, decided_stage, "decided_stage", "act",
             "the stage after which a denied or an internal transaction expects no other"),
    CONF_DURATION(struct pipeline_config, window_ms, "window", "60s", 1000, DAY_MS,
                  "a transaction without a next stage for this long is lost"),
    CONF_DURATION(struct pipeline_config, lateness_ms, "lateness", "60s", 0, 3600000,
                  "events may arrive this much out of order before a loss is decided"),
    CONF_DURATION(struct pipeline_config, remember_ms, "remember", "10m", 0, DAY_MS,
                  "ids stay known this long after leaving, so that duplicates are recognised"),
    CONF_DURATION(struct pipeline_config, hold_window_ms, "hold_window", "60m", 1000, 3 * DAY_MS,
                  "how long a hold may last when its decision names no deadline"),
    CONF_DURATION(struct pipeline_config, idle_after_ms, "idle_after", "30s", 1000, 3600000,
                  "without arrivals for this long, event time follows the wall clock"),
    CONF_DURATION(struct pipeline_config, ahead_max_ms, "ahead_max", "10m", 1000, DAY_MS,
                  "an event further ahead of event time than this comes from a wild clock"),
    CONF_DURATION(struct pipeline_config, clock_error_max_ms, "clock_error_max", "50ms", 0, 60000,
                  "SLA samples from clocks further off than this are counted as invalid"),
    CONF_I64(struct pipeline_config, transactions_max, "transactions_max", "2000000", 1000,
             200000000, "transactions remembered per shard, at most 96 bytes each"),
};
const size_t pipeline_fields_count = ARRAY_LEN(pipeline_fields);

static bool check_stages(const struct yaml_node *n, const struct pipeline_config *c, struct err *e)
{
    const struct yaml_node *item = n ? n->first : NULL;
    for (uint32_t i = 0; i < c->stages.count; i++) {
        struct str name = c->stages.v[i];
        uint32_t line = item ? item->line : 0;
        uint32_t col = item ? item->col : 0;
        if (name.n == 0 || name.n > PIPELINE_LABEL_MAX || !str_is_utf8(name)) {
            return err_at(e, ERR_INPUT, line, col, "expected a stage name of 1 to %d bytes",
                          PIPELINE_LABEL_MAX);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (str_eq(c->stages.v[j], name)) {
                return err_at(e, ERR_INPUT, line, col, "stage '%.*s' is listed twice",
                              STR_FMT(name));
            }
        }
        item = item ? item->next : NULL;
    }
    return true;
}

static uint32_t stage_position(const struct pipeline_config *c, struct str name)
{
    for (uint32_t i = 0; i < c->stages.count; i++) {
        if (str_eq(c->stages.v[i], name)) {
            return i + 1;
        }
    }
    return 0;
}

bool pipeline_config_read(const struct yaml_node *section, struct arena *a,
                          struct pipeline_config *out, struct err *e)
{
    if (!conf_read(pipeline_fields, pipeline_fields_count, section, out, a, e)) {
        return false;
    }
    const struct yaml_node *stages = section ? yaml_get(section, STR("stages")) : NULL;
    const struct yaml_node *decided = section ? yaml_get(section, STR("decided_stage")) : NULL;
    if (!check_stages(stages, out, e)) {
        return false;
    }
    if (stage_position(out, out->decided_stage) == 0) {
        if (decided) {
            return err_at(e, ERR_INPUT, decided->line, decided->col,
                          "expected one of the stages, found '%.*s'", STR_FMT(out->decided_stage));
        }
        /* The user renamed the stages and has no `act`: then only the last stage ends anything. */
        out->decided_stage = out->stages.v[out->stages.count - 1];
    }
    return true;
}

void pipeline_plan_init(struct pipeline_plan *p, const struct pipeline_config *c)
{
    ASSERT(c->stages.count >= 2 && c->stages.count <= PIPELINE_STAGES_MAX);
    *p = (struct pipeline_plan){
        .config = c,
        .stages_count = c->stages.count,
        .decided_position = stage_position(c, c->decided_stage),
        .window_ns = ns_from_ms(c->window_ms),
        .lateness_ns = ns_from_ms(c->lateness_ms),
        .remember_ns = ns_from_ms(c->remember_ms),
        .hold_ns = ns_from_ms(c->hold_window_ms),
        .idle_ns = ns_from_ms(c->idle_after_ms),
        .ahead_ns = ns_from_ms(c->ahead_max_ms),
        .clock_error_us = c->clock_error_max_ms * 1000,
        .transactions_max = (uint32_t)i64_min(c->transactions_max, UINT32_MAX / 2),
    };
    ASSERT(p->decided_position > 0);
}

struct str pipeline_position_name(const struct pipeline_plan *p, uint32_t position)
{
    ASSERT(position <= p->stages_count);
    return position == 0 ? STR("start") : p->config->stages.v[position - 1];
}

struct str pipeline_state_text(uint32_t state)
{
    static const struct str texts[PIPELINE_STATES] = {
        STR_INIT("decided_only"), STR_INIT("in_flight"), STR_INIT("lost"), STR_INIT("settled"),
        STR_INIT("denied"),       STR_INIT("dropped"),   STR_INIT("dlq"),  STR_INIT("failed"),
    };
    ASSERT(state < PIPELINE_STATES);
    return texts[state];
}
