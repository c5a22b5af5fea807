/* Configuration of the pillar: the table behind farol.conf(5), and the three keys with forms of
 * their own (defaults, positive, objectives). */
#include "model/model.h"

#include "flow/record.h"

static bool read_defaults(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    struct model_config *c = dst;
    static const struct conf_field value = {.key = "default", .type = CONF_T_F64};
    if (n->kind != YAML_MAPPING || n->children_count > MODEL_FEATURE_DEFAULTS_MAX) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected a mapping of feature to number, at most %d",
                      MODEL_FEATURE_DEFAULTS_MAX);
    }
    c->defaults = ARENA_ARRAY(a, struct model_default, n->children_count);
    if (c->defaults == NULL) {
        return err_at(e, ERR_LIMIT, n->line, n->col, "the configuration is too large");
    }
    for (const struct yaml_node *k = n->first; k != NULL; k = k->next) {
        struct model_default *d = &c->defaults[c->defaults_count++];
        d->feature = k->key;
        if (!conf_scalar(&value, k, &d->value, a, e)) {
            return false;
        }
    }
    return true;
}

static bool read_positive(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    struct model_config *c = dst;
    (void)a;
    if (n->kind != YAML_SEQUENCE || n->first == NULL) {
        return err_at(e, ERR_INPUT, n->line, n->col,
                      "expected a list of decisions, as [hold, deny]");
    }
    for (const struct yaml_node *k = n->first; k != NULL; k = k->next) {
        uint32_t v = 0;
        while (v < VERDICTS && !(k->kind == YAML_SCALAR && str_eq(k->text, verdict_text(v)))) {
            v++;
        }
        if (v == VERDICTS) {
            return err_at(e, ERR_INPUT, k->line, k->col,
                          "expected approve, hold, deny, cautelar_block or step_up, found '%.*s'",
                          STR_FMT(k->text));
        }
        c->positive |= 1u << v;
    }
    return true;
}

static const struct conf_field objective_fields[] = {
    CONF_F64(struct model_objectives, precision, "precision", "0", 0, 1,
             "alarm when precision is certainly (95 %) below this; 0 = none"),
    CONF_F64(struct model_objectives, recall, "recall", "0", 0, 1,
             "alarm when recall is certainly (95 %) below this; 0 = none"),
};

static bool read_objectives(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    struct model_config *c = dst;
    return conf_read(objective_fields, ARRAY_LEN(objective_fields), n, &c->objectives, a, e);
}

static bool read_drift(const struct yaml_node *n, void *dst, struct arena *a, struct err *e)
{
    struct model_config *c = dst;
    return drift_config_read(n, a, &c->drift, e);
}

#define WHOLE(k, read_fn, h)                        \
    {                                               \
        k, CONF_T_CUSTOM, 0, NULL, 0, 0, h, read_fn \
    }

const struct conf_field model_fields[] = {
    CONF_STR_LIST(struct model_config, segments, "segments", "[form, direction]", 0,
                  RECORD_DIMS_MAX, "schema fields or features by whose values quality is split"),
    WHOLE("defaults", read_defaults,
          "per feature, the number that stands for 'no value'; it is counted as a default"),
    WHOLE("positive", read_positive,
          "decisions that count as predicted fraud; default: all but approve"),
    WHOLE("objectives", read_objectives, "precision and recall to hold"),
    WHOLE(
        "drift", read_drift,
        "features against a frozen reference: enabled, hours, reference_days (14), reference_from, "
        "reference_to, segments_max (64), categories_max (512), grace (10m), retention_days (97), "
        "effect_min (0.05), q_max (0.01)"),
    CONF_I64(struct model_config, retention_days, "retention_days", "97", 2, 400,
             "days of decisions and labels that are kept"),
    CONF_I64(struct model_config, mature_days, "mature_days", "87", 1, 399,
             "age in days after which a decision day's labels are complete (MED: 80 + 7)"),
    CONF_I64(
        struct model_config, cohort_days_max, "cohort_days_max", "128", 3, 1000,
        "distinct decision days held at once; decisions of further days are counted and left out"),
    CONF_I64(struct model_config, labels_max, "labels_max", "1000000", 1, 100000000,
             "label events held; newer ones are then counted and left out"),
    CONF_I64(struct model_config, labels_pending_max, "labels_pending_max", "100000", 1, 10000000,
             "labels that wait for their decision"),
    CONF_I64(struct model_config, join_rows_max, "join_rows_max", "400000", 1, 100000000,
             "decisions held in memory for joining; older ones go to files"),
    CONF_BYTES(struct model_config, join_filter_bytes, "join_filter_bytes", "16MiB", 0,
               (double)(1LL << 40),
               "memory to tell without reading which files lack a decision; 0 = none"),
    CONF_I64(struct model_config, versions_max, "versions_max", "32", 1, 1000,
             "model versions told apart; further ones are 'other'"),
    CONF_I64(struct model_config, segment_values_max, "segment_values_max", "64", 1, 10000,
             "values of one segment dimension told apart; further ones are 'other'"),
    CONF_I64(struct model_config, features_max, "features_max", "1024", 1, 1024,
             "feature names told apart; further ones are 'other'"),
    CONF_DURATION(struct model_config, labels_silent_ms, "labels_silent", "2h", 1000, 2592000000.0,
                  "with decisions but no label for this long the feed counts as stopped"),
};
const size_t model_fields_count = ARRAY_LEN(model_fields);

bool model_config_read(const struct yaml_node *section, struct arena *a, struct model_config *out,
                       struct err *e)
{
    *out = (struct model_config){0};
    if (!drift_config_read(NULL, a, &out->drift, e) ||
        !conf_read(model_fields, model_fields_count, section, out, a, e)) {
        return false;
    }
    if (out->positive == 0) {
        out->positive = ((1u << VERDICTS) - 1) & ~(1u << VERDICT_APPROVE);
    }
    if (out->mature_days >= out->retention_days) {
        const struct yaml_node *at = section ? yaml_get(section, STR("mature_days")) : NULL;
        return err_at(e, ERR_INPUT, at ? at->line : 0, at ? at->col : 0,
                      "mature_days must be less than retention_days");
    }
    return true;
}
