/* Query parameters and the model section of the configuration, of any bytes: they return, errors
 * have a message, and what is accepted is within its bounds. The first line is cut at ';' into
 * parameters. */
#include "codec/yaml.h"
#include "model/model.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena a;
    struct err e = {0};
    struct model_query q;
    struct model_config c;
    struct yaml_node *root = NULL;
    struct str p[10];
    struct str_cut line = str_cut(str_of((const char *)data, size), '\n');
    for (int i = 0; i < 10; i++) {
        struct str_cut part = str_cut(line.head, ';');
        p[i] = part.head;
        line.head = part.tail;
    }
    if (model_query_parse(p[0], p[1], p[2], p[3], p[4], p[5], p[6], &q, &e)) {
        ASSERT(q.day_from <= q.day_to);
        ASSERT(q.age_ns >= -1);
        ASSERT(q.dim.n == 0 || q.value.n > 0);
    } else {
        ASSERT(e.code == ERR_INPUT);
    }
    if (model_query_more(p[7], p[8], p[9], &q, &e)) {
        ASSERT(!q.reference || q.reference_from <= q.reference_to);
        ASSERT(!q.worth || (q.worth_of[3] >= -1e6 && q.worth_of[3] <= 1e6));
    } else {
        ASSERT(e.code == ERR_INPUT);
    }
    mem_init(&mem, 0);
    arena_init(&a, &mem, 1 << 22);
    if (yaml_parse(line.tail, "x", &a, &root, &e) && model_config_read(root, &a, &c, &e)) {
        ASSERT(c.positive > 0 && c.positive < 1u << VERDICTS);
        ASSERT(c.segments.count <= RECORD_DIMS_MAX);
        ASSERT(c.mature_days < c.retention_days);
        ASSERT(c.objectives.precision >= 0 && c.objectives.precision <= 1);
    }
    arena_release(&a);
    ASSERT(mem.bytes == 0);
    return 0;
}
