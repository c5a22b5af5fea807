/* The table of PromQL's functions, made from functions.def: the one place where a name meets its
 * types, its implementation and its help. Parser, evaluator, checks and the manual read it.
 *
 * Invariant: sorted by name, so that a lookup is a binary search (functions_test.c proves it). */
#include "engines/promql/functions_int.h"

#include "engines/promql/fn/fn_int.h"

#define IMPL_RANGE(impl) .kind = FUNCTION_RANGE, .range = (impl)
#define IMPL_MAP(impl)   .kind = FUNCTION_MAP, .map = (impl)
#define IMPL_WHOLE(impl) .kind = FUNCTION_WHOLE

#define FN(fn_name, fn_kind, fn_returns, fn_args, fn_flags, fn_impl, fn_help) \
    {.name = #fn_name,                                                        \
     .returns = PROMQL_##fn_returns,                                          \
     .args = (fn_args),                                                       \
     .experimental = ((fn_flags)&FUNCTION_EXPERIMENTAL) != 0,                 \
     .flags = (fn_flags),                                                     \
     .help = (fn_help),                                                       \
     IMPL_##fn_kind(fn_impl)},

static const struct function table[] = {
#include "engines/promql/fn/functions.def"
};

const struct function *function_table(uint32_t *count)
{
    *count = (uint32_t)ARRAY_LEN(table);
    return table;
}

const struct function *function_find(struct str name)
{
    size_t lo = 0;
    size_t hi = ARRAY_LEN(table);
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int order = str_cmp(name, str_from_c(table[mid].name));
        if (order == 0) {
            return &table[mid];
        }
        if (order < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return NULL;
}
