/* Which fields of OTLP's messages are read from JSON: names, numbers and kinds. */
#ifndef INGEST_OTLP_JSON_FIELDS_INT_H
#define INGEST_OTLP_JSON_FIELDS_INT_H

#include "base/str.h"

enum otlp_json_kind {
    K_MESSAGE,
    K_STRING,
    K_HEX,
    K_BASE64,
    K_BOOL,
    K_UINT32,      /* varint */
    K_TEMPORALITY, /* varint: a number or a name */
    K_SINT32,      /* zigzag */
    K_INT64,       /* varint */
    K_UINT64,      /* varint */
    K_FIXED64,     /* unsigned */
    K_SFIXED64,
    K_DOUBLE,
};

enum otlp_json_message {
    M_REQUEST,
    M_RESOURCE_METRICS,
    M_RESOURCE,
    M_SCOPE_METRICS,
    M_METRIC,
    M_GAUGE,
    M_SUM,
    M_HISTOGRAM,
    M_EXPONENTIAL,
    M_SUMMARY,
    M_NUMBER_POINT,
    M_HISTOGRAM_POINT,
    M_EXPONENTIAL_POINT,
    M_BUCKETS,
    M_SUMMARY_POINT,
    M_QUANTILE,
    M_EXEMPLAR,
    M_KEY_VALUE,
    M_ANY_VALUE,
    M_ARRAY,
    M_LIST,
};

struct otlp_json_field {
    struct str name;
    uint32_t number;
    enum otlp_json_kind kind;
    enum otlp_json_message message; /* K_MESSAGE */
    bool repeated;
};

/* The field of that name; NULL: it is not read. */
const struct otlp_json_field *otlp_json_field(enum otlp_json_message message, struct str name);

#endif
