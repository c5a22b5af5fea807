/* Unit-test files of rules: any bytes are tests, or an error with a place. They are not run here: a
 * file may ask for millions of evaluations. */
#include "engines/rules/unit_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem mem;
    struct arena a;
    struct buf out;
    struct unit_file f;
    struct err e = {0};
    if (size > 16384) {
        return 0;
    }
    mem_init(&mem, 0);
    arena_init(&a, &mem, 64U << 20);
    buf_init(&out, &mem, 4U << 20);
    if (unit_file_parse(str_of((const char *)data, size), "f", false, &a, &f, &e)) {
        for (uint32_t i = 0; i < f.tests_n; i++) {
            const struct unit_test *t = &f.tests[i];
            ASSERT(t->interval_ms > 0);
            for (uint32_t k = 0; k < t->alerts_n; k++) {
                ASSERT(k == 0 || t->alerts[k - 1].eval_ms <= t->alerts[k].eval_ms);
                unit_put_duration(&out, t->alerts[k].eval_ms);
                unit_put_alerts(&out, t->alerts[k].want, t->alerts[k].want_n);
            }
        }
    } else {
        ASSERT(e.msg[0]);
    }
    buf_release(&out);
    arena_release(&a);
    ASSERT(mem.bytes == 0);
    return 0;
}
