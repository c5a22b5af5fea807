/* The tables of OTLP's messages, for JSON: one row for each field that the decoder of protobuf
 * reads. A field that is not here is skipped with all that is in it, as an unknown one is.
 *
 * Source: opentelemetry/proto/{collector/metrics,metrics,common,resource}/v1. */
#include "ingest/otlp/json_fields_int.h"

#define MESSAGES 21

#define ONE(name, number, kind)                        \
    {                                                  \
        STR_INIT(name), number, kind, M_REQUEST, false \
    }
#define MANY(name, number, kind)                      \
    {                                                 \
        STR_INIT(name), number, kind, M_REQUEST, true \
    }
#define MESSAGE(name, number, message)                    \
    {                                                     \
        STR_INIT(name), number, K_MESSAGE, message, false \
    }
#define MESSAGES_OF(name, number, message)               \
    {                                                    \
        STR_INIT(name), number, K_MESSAGE, message, true \
    }

static const struct otlp_json_field request[] = {
    MESSAGES_OF("resourceMetrics", 1, M_RESOURCE_METRICS)};
static const struct otlp_json_field resource_metrics[] = {
    MESSAGE("resource", 1, M_RESOURCE), MESSAGES_OF("scopeMetrics", 2, M_SCOPE_METRICS)};
static const struct otlp_json_field resource[] = {MESSAGES_OF("attributes", 1, M_KEY_VALUE)};
static const struct otlp_json_field scope_metrics[] = {MESSAGES_OF("metrics", 2, M_METRIC)};
static const struct otlp_json_field metric[] = {ONE("name", 1, K_STRING),
                                                ONE("unit", 3, K_STRING),
                                                MESSAGE("gauge", 5, M_GAUGE),
                                                MESSAGE("sum", 7, M_SUM),
                                                MESSAGE("histogram", 9, M_HISTOGRAM),
                                                MESSAGE("exponentialHistogram", 10, M_EXPONENTIAL),
                                                MESSAGE("summary", 11, M_SUMMARY)};
static const struct otlp_json_field gauge[] = {MESSAGES_OF("dataPoints", 1, M_NUMBER_POINT)};
static const struct otlp_json_field sum[] = {MESSAGES_OF("dataPoints", 1, M_NUMBER_POINT),
                                             ONE("aggregationTemporality", 2, K_TEMPORALITY),
                                             ONE("isMonotonic", 3, K_BOOL)};
static const struct otlp_json_field histogram[] = {MESSAGES_OF("dataPoints", 1, M_HISTOGRAM_POINT),
                                                   ONE("aggregationTemporality", 2, K_TEMPORALITY)};
static const struct otlp_json_field exponential[] = {
    MESSAGES_OF("dataPoints", 1, M_EXPONENTIAL_POINT),
    ONE("aggregationTemporality", 2, K_TEMPORALITY)};
static const struct otlp_json_field summary[] = {MESSAGES_OF("dataPoints", 1, M_SUMMARY_POINT)};
static const struct otlp_json_field number_point[] = {MESSAGES_OF("attributes", 7, M_KEY_VALUE),
                                                      ONE("startTimeUnixNano", 2, K_FIXED64),
                                                      ONE("timeUnixNano", 3, K_FIXED64),
                                                      ONE("asDouble", 4, K_DOUBLE),
                                                      ONE("asInt", 6, K_SFIXED64),
                                                      MESSAGES_OF("exemplars", 5, M_EXEMPLAR),
                                                      ONE("flags", 8, K_UINT32)};
static const struct otlp_json_field histogram_point[] = {MESSAGES_OF("attributes", 9, M_KEY_VALUE),
                                                         ONE("startTimeUnixNano", 2, K_FIXED64),
                                                         ONE("timeUnixNano", 3, K_FIXED64),
                                                         ONE("count", 4, K_FIXED64),
                                                         ONE("sum", 5, K_DOUBLE),
                                                         MANY("bucketCounts", 6, K_FIXED64),
                                                         MANY("explicitBounds", 7, K_DOUBLE),
                                                         MESSAGES_OF("exemplars", 8, M_EXEMPLAR),
                                                         ONE("flags", 10, K_UINT32)};
static const struct otlp_json_field exponential_point[] = {
    MESSAGES_OF("attributes", 1, M_KEY_VALUE),
    ONE("startTimeUnixNano", 2, K_FIXED64),
    ONE("timeUnixNano", 3, K_FIXED64),
    ONE("count", 4, K_FIXED64),
    ONE("sum", 5, K_DOUBLE),
    ONE("scale", 6, K_SINT32),
    ONE("zeroCount", 7, K_FIXED64),
    MESSAGE("positive", 8, M_BUCKETS),
    MESSAGE("negative", 9, M_BUCKETS),
    ONE("flags", 10, K_UINT32),
    MESSAGES_OF("exemplars", 11, M_EXEMPLAR),
    ONE("zeroThreshold", 14, K_DOUBLE)};
static const struct otlp_json_field buckets[] = {ONE("offset", 1, K_SINT32),
                                                 MANY("bucketCounts", 2, K_UINT64)};
static const struct otlp_json_field summary_point[] = {MESSAGES_OF("attributes", 7, M_KEY_VALUE),
                                                       ONE("startTimeUnixNano", 2, K_FIXED64),
                                                       ONE("timeUnixNano", 3, K_FIXED64),
                                                       ONE("count", 4, K_FIXED64),
                                                       ONE("sum", 5, K_DOUBLE),
                                                       MESSAGES_OF("quantileValues", 6, M_QUANTILE),
                                                       ONE("flags", 8, K_UINT32)};
static const struct otlp_json_field quantile[] = {ONE("quantile", 1, K_DOUBLE),
                                                  ONE("value", 2, K_DOUBLE)};
static const struct otlp_json_field exemplar[] = {MESSAGES_OF("filteredAttributes", 7, M_KEY_VALUE),
                                                  ONE("timeUnixNano", 2, K_FIXED64),
                                                  ONE("asDouble", 3, K_DOUBLE),
                                                  ONE("asInt", 6, K_SFIXED64),
                                                  ONE("spanId", 4, K_HEX),
                                                  ONE("traceId", 5, K_HEX)};
static const struct otlp_json_field key_value[] = {ONE("key", 1, K_STRING),
                                                   MESSAGE("value", 2, M_ANY_VALUE)};
static const struct otlp_json_field any_value[] = {
    ONE("stringValue", 1, K_STRING),   ONE("boolValue", 2, K_BOOL),
    ONE("intValue", 3, K_INT64),       ONE("doubleValue", 4, K_DOUBLE),
    MESSAGE("arrayValue", 5, M_ARRAY), MESSAGE("kvlistValue", 6, M_LIST),
    ONE("bytesValue", 7, K_BASE64)};
static const struct otlp_json_field array[] = {MESSAGES_OF("values", 1, M_ANY_VALUE)};
static const struct otlp_json_field list[] = {MESSAGES_OF("values", 1, M_KEY_VALUE)};

#define ROW(fields)               \
    {                             \
        fields, ARRAY_LEN(fields) \
    }
static const struct {
    const struct otlp_json_field *fields;
    size_t n;
} messages[MESSAGES] = {[M_REQUEST] = ROW(request),
                        [M_RESOURCE_METRICS] = ROW(resource_metrics),
                        [M_RESOURCE] = ROW(resource),
                        [M_SCOPE_METRICS] = ROW(scope_metrics),
                        [M_METRIC] = ROW(metric),
                        [M_GAUGE] = ROW(gauge),
                        [M_SUM] = ROW(sum),
                        [M_HISTOGRAM] = ROW(histogram),
                        [M_EXPONENTIAL] = ROW(exponential),
                        [M_SUMMARY] = ROW(summary),
                        [M_NUMBER_POINT] = ROW(number_point),
                        [M_HISTOGRAM_POINT] = ROW(histogram_point),
                        [M_EXPONENTIAL_POINT] = ROW(exponential_point),
                        [M_BUCKETS] = ROW(buckets),
                        [M_SUMMARY_POINT] = ROW(summary_point),
                        [M_QUANTILE] = ROW(quantile),
                        [M_EXEMPLAR] = ROW(exemplar),
                        [M_KEY_VALUE] = ROW(key_value),
                        [M_ANY_VALUE] = ROW(any_value),
                        [M_ARRAY] = ROW(array),
                        [M_LIST] = ROW(list)};

const struct otlp_json_field *otlp_json_field(enum otlp_json_message message, struct str name)
{
    const struct otlp_json_field *f = messages[message].fields;
    for (size_t i = 0; i < messages[message].n; i++) {
        if (str_eq(f[i].name, name)) {
            return &f[i];
        }
    }
    return NULL;
}
