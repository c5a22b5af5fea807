/* Parameters of the endpoint, cut at newlines: any bytes are accepted, or refused with a message;
 * what is accepted asks for a range that is one. */
#include "model/drift/drift.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str left = str_of((const char *)data, size);
    struct str p[5];
    for (int i = 0; i < 5; i++) {
        struct str_cut cut = str_cut(left, '\n');
        p[i] = cut.head;
        left = cut.tail;
    }
    struct drift_query q;
    struct err e = {0};
    if (drift_query_parse(p[0], p[1], p[2], p[3], p[4], &q, &e)) {
        if (q.day_from > q.day_to || (q.hours && p[4].n != 4)) {
            abort();
        }
    } else if (e.code != ERR_INPUT || e.msg[0] == 0) {
        abort();
    }
    return 0;
}
