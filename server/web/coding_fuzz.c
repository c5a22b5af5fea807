/* Header values of strangers: the choice is among what there is, and what is refused is not given.
 * First byte: which codings there are; then the header. */
#include "server/web/web_int.h"

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1) {
        return 0;
    }
    unsigned have = data[0] & 7U;
    struct str value = str_of((const char *)data + 1, n - 1);
    enum web_coding c = web_coding_choose(value, have);
    ASSERT(c == WEB_CODINGS || (have >> c & 1) != 0);
    /* A coding that is taken is taken alone too. */
    ASSERT(c == WEB_CODINGS || web_coding_choose(value, 1U << c) == c);
    ASSERT(have != 0 || c == WEB_CODINGS);
    if (web_tag_matches(value, STR("\"1a2b\""))) {
        ASSERT(str_contains(value, STR("\"1a2b\"")) || str_eq(str_trim(value), STR("*")));
    }
    return 0;
}
