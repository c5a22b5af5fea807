/* Requests in JSON. */
#ifndef INGEST_OTLP_JSON_INT_H
#define INGEST_OTLP_JSON_INT_H

#include "base/buf.h"
#include "codec/json.h"

/* Longest request in JSON: the parser takes some 10 bytes of memory for each, its values more. */
#define OTLP_JSON_BYTES_MAX (16U << 20)
/* What m must allow so that memory is not what refuses a request within its bounds. */
#define OTLP_JSON_MEM_BYTES (256U << 20)

/* Appends to out the protobuf of an ExportMetricsServiceRequest in JSON. Fields that are not known
 * and fields that are null are skipped. m: memory of the call, all given back. ERR_INPUT with line
 * and column, and the path of the value; ERR_LIMIT above OTLP_JSON_BYTES_MAX, 2 M values, the depth
 * of JSON, or when out is full. Linear in bytes. */
MUST_USE bool otlp_json_to_pb(struct str text, struct mem *m, struct buf *out, struct err *e);

#endif
