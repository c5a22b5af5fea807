/* Compensated addition of one row to a row of sums, four steps at a time: the inner loop of sum().
 * The same operations in the same order as kahan_inc on each step, so the same bits. */
#include "engines/promql/eval_int.h"

#include <math.h>

typedef double v4d __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t v4i __attribute__((vector_size(32), aligned(8), may_alias));

#define LANES   4
#define SIGNS   INT64_MIN
#define INF_BIT 0x7ff0000000000000LL

/* Two versions, chosen when the program starts; the thread sanitizer is not ready by then. */
#if defined(__SANITIZE_THREAD__)
#    define EVAL_CLONES
#else
#    define EVAL_CLONES __attribute__((target_clones("avx2", "default")))
#endif

EVAL_CLONES void eval_kahan_row(double *restrict sum, double *restrict c, const double *restrict x,
                                uint32_t n)
{
    const v4i sign = {SIGNS, SIGNS, SIGNS, SIGNS};
    const v4i inf = {INF_BIT, INF_BIT, INF_BIT, INF_BIT};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        v4d s;
        v4d a;
        v4d comp;
        memcpy(&s, sum + i, sizeof s);
        memcpy(&a, x + i, sizeof a);
        memcpy(&comp, c + i, sizeof comp);
        v4d t = s + a;
        v4i big = (v4d)((v4i)s & ~sign) >= (v4d)((v4i)a & ~sign);
        v4d lost_small = (s - t) + a;
        v4d lost_big = (a - t) + s;
        v4d lost = (v4d)(((v4i)lost_small & big) | ((v4i)lost_big & ~big));
        v4i endless = ((v4i)t & ~sign) == inf;
        comp = (v4d)((v4i)(comp + lost) & ~endless);
        memcpy(sum + i, &t, sizeof t);
        memcpy(c + i, &comp, sizeof comp);
    }
    for (; i < n; i++) {
        kahan_inc(x[i], &sum[i], &c[i]);
    }
}
