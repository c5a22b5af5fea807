/* Fuzz target: a text that time_parse or date_parse accepts must survive being written and read
 * again, and the calendar must agree with itself. */
#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 64);
    struct str s = str_of((const char *)data, size);
    int64_t t_ns = 0;
    if (time_parse(s, &t_ns)) {
        ASSERT(t_ns != T_NS_NONE);
        time_format(&b, t_ns);
        int64_t back = 0;
        bool ok = time_parse(buf_str(&b), &back);
        ASSERT(ok);
        ASSERT(back == t_ns);
        struct civil c = civil_from_ns(t_ns);
        ASSERT(civil_is_valid(&c));
        ASSERT(day_from_civil(c.year, c.month, c.day) == day_from_ns(t_ns));
    }
    buf_reset(&b);
    int32_t day = 0;
    if (date_parse(s, &day)) {
        date_format(&b, day);
        ASSERT(str_eq(buf_str(&b), s));
    }
    buf_reset(&b);
    if (size >= sizeof t_ns) {
        t_ns = (int64_t)get_u64le(data);
        time_format(&b, t_ns);
        int64_t back = 0;
        bool ok = time_parse(buf_str(&b), &back);
        ASSERT(ok == (t_ns != T_NS_NONE));
        ASSERT(!ok || back == t_ns);
    }
    buf_release(&b);
    ASSERT(m.bytes == 0);
    return 0;
}
