/* Offsets of a record's fixed part, shared by record.c (writes, draws the format) and
 * record_read.c. */
#ifndef FLOW_RECORD_INT_H
#define FLOW_RECORD_INT_H

#include "flow/record.h"

enum {
    REC_LENGTH = 0,
    REC_ROUTE = 4,
    REC_KIND = 8,
    REC_HEAD = 9,

    NAM_TEXT = 9,

    DEC_VERDICT = 9,
    DEC_FALLBACK = 10,
    DEC_DIRECTION = 11,
    DEC_SETTLEMENT = 12,
    DEC_FORM = 13,
    DEC_DIMS = 14,
    DEC_LATENCIES = 15,
    DEC_FEATURES = 16,
    DEC_ID = 18,
    DEC_T = 50,
    DEC_SCORE = 58,
    DEC_THRESHOLD = 66,
    DEC_AMOUNT = 74,
    DEC_HOLD = 82,
    DEC_OFFSET = 90,
    DEC_FIXED = 98,

    LAB_TRUTH = 9,
    LAB_SOURCE = 10,
    LAB_ID = 11,
    LAB_T = 43,
    LAB_FIXED = 51,

    STA_OUTCOME = 9,
    STA_SLA = 10,
    STA_NAME = 11,
    STA_ATTEMPT = 13,
    STA_ID = 17,
    STA_START = 49,
    STA_END = 57,
    STA_QUEUE = 65,
    STA_WORK = 73,
    STA_AMOUNT = 81,
    STA_OFFSET = 89,
    STA_PARTITION = 97,
    STA_FIXED = 101
};

#define LATENCY_BYTES 10
#define FEATURE_HEAD  3
#define FEATURE_BYTES 11 /* the longest one that is not a category */

#endif
