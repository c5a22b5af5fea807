/* The section `metrics`: how much of the past is kept, where, and at what cost. */
#include "server/config_int.h"

static const struct conf_field metrics_fields[] = {
    CONF_DURATION(struct server_metrics_config, retention_ms, "retention", "15d", 0, 3.2e12,
                  "how long samples are kept; 0 = for ever"),
    CONF_BYTES(struct server_metrics_config, retention_bytes, "retention_size", "0", 0, 1e15,
               "most bytes of blocks, the oldest go first; 0 = no bound"),
    CONF_DURATION(struct server_metrics_config, out_of_order_ms, "out_of_order_window", "1h", 0,
                  3.2e10, "how late a sample may come after a newer one of its series"),
    CONF_DURATION(struct server_metrics_config, future_ms, "future_window", "10m", 0, 3.2e10,
                  "a sample further in the future is refused; 0 = no check"),
    CONF_DURATION(struct server_metrics_config, head_ms, "head", "10m", 1000, 7200000,
                  "samples younger than this wait in memory (and in the log) for their block"),
    CONF_BYTES(struct server_metrics_config, head_bytes_max, "head_bytes_max", "14MiB", 1 << 20,
               1e12, "memory of those samples; above it a block is written early"),
    CONF_I64(struct server_metrics_config, series_max, "series_max", "2000000", 1000, 4e9,
             "series in memory; new ones above it are refused and counted"),
    CONF_I64(struct server_metrics_config, exemplars_max, "exemplars_max", "100000", 0, 1e8,
             "exemplars kept in memory, the newest of all series"),
    CONF_BYTES(struct server_metrics_config, queue_bytes_max, "queue_bytes_max", "32MiB", 1 << 20,
               1e11, "samples received and not yet stored; above it senders are asked to wait"),
};

const struct conf_field *server_metrics_fields(size_t *count)
{
    *count = ARRAY_LEN(metrics_fields);
    return metrics_fields;
}
