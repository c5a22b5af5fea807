/* Configuration: the mapping under `model.drift`. */
#include "model/drift/drift.h"

#include "base/clock.h"

const struct conf_field drift_fields[] = {
    CONF_BOOL(struct drift_config, enabled, "enabled", "true", "compare features with a reference"),
    CONF_BOOL(struct drift_config, hours, "hours", "true",
              "test hours too, each against the same hour of the week; days are always tested"),
    CONF_I64(struct drift_config, reference_days, "reference_days", "14", 2, 90,
             "the reference is the first so many complete days"),
    CONF_STR(struct drift_config, reference_from, "reference_from", "",
             "first day of the reference, as 2026-11-01, instead of the first one seen"),
    CONF_STR(struct drift_config, reference_to, "reference_to", "",
             "last day of the reference (included)"),
    CONF_I64(struct drift_config, segments_max, "segments_max", "64", 0, 1024,
             "segment values that are tested; further ones only count in all decisions"),
    CONF_I64(struct drift_config, categories_max, "categories_max", "512", 2, 100000,
             "values of one categorical feature told apart; further ones count as one"),
    CONF_DURATION(
        struct drift_config, grace_ms, "grace", "10m", 0, 86400000.0,
        "a window closes so long after its end; what comes later is counted and left out"),
    CONF_I64(struct drift_config, retention_days, "retention_days", "97", 1, 400,
             "days whose results are kept"),
    CONF_F64(struct drift_config, effect_min, "effect_min", "0.05", 0, 1,
             "KS, or total variation of categories, below which nothing has drifted"),
    CONF_F64(struct drift_config, q_max, "q_max", "0.01", 0.0000000001, 0.5,
             "false discovery rate over all tests of a window"),
};
const size_t drift_fields_count = ARRAY_LEN(drift_fields);

static bool check_date(const struct yaml_node *section, const char *key, struct str text,
                       int32_t *day, struct err *e)
{
    const struct yaml_node *at = section ? yaml_get(section, str_from_c(key)) : NULL;
    return date_parse(text, day) ||
           err_at(e, ERR_INPUT, at ? at->line : 0, at ? at->col : 0,
                  "expected a date as 2026-11-01 for %s, found '%.*s'", key, STR_FMT(text));
}

bool drift_config_read(const struct yaml_node *section, struct arena *a, struct drift_config *out,
                       struct err *e)
{
    int32_t from = 0;
    int32_t to = 0;
    *out = (struct drift_config){0};
    if (!conf_read(drift_fields, drift_fields_count, section, out, a, e)) {
        return false;
    }
    if (out->reference_from.n == 0 && out->reference_to.n == 0) {
        return true;
    }
    if (!check_date(section, "reference_from", out->reference_from, &from, e) ||
        !check_date(section, "reference_to", out->reference_to, &to, e)) {
        return false;
    }
    if (from > to || to - from >= 400) {
        return err_at(e, ERR_INPUT, section->line, section->col,
                      "expected reference_from before reference_to, at most 400 days");
    }
    return true;
}
