/* Parameters of GET /farol/v1/model/causes, of any bytes: they return, errors have a message, and
 * what is accepted is within its bounds. Cut at ';' into parameters. */
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct model_causes_query q;
    struct str p[7];
    struct str rest = str_of((const char *)data, size);
    for (int i = 0; i < 7; i++) {
        struct str_cut part = str_cut(rest, ';');
        p[i] = part.head;
        rest = part.tail;
    }
    if (model_causes_parse(p[0], p[1], p[2], p[3], p[4], p[5], p[6], &q, &e)) {
        ASSERT((unsigned)q.figure < MODEL_CAUSES_FIGURES);
        ASSERT(q.age_ns >= -1);
        ASSERT(q.day_from == INT32_MIN || q.day_from <= q.day_to);
        ASSERT(q.against_from == INT32_MIN || q.against_from <= q.against_to);
        ASSERT(q.against_from == INT32_MIN || q.against_to < q.day_from ||
               q.against_from > q.day_to);
    } else {
        ASSERT(e.code == ERR_INPUT);
        ASSERT(e.msg[0] != 0);
    }
    return 0;
}
