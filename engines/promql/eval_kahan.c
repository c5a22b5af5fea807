/* Loops over many doubles, four at a time: compensated addition of one row to a row of sums (the
 * same operations in the same order as kahan_inc on each step, so the same bits), and the search
 * for stale markers. */
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

EVAL_CLONES static void add_row(double *restrict sum, double *restrict c, const double *restrict x,
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

void eval_kahan_row(double *restrict sum, double *restrict c, const double *restrict x, uint32_t n)
{
    add_row(sum, c, x, n);
}

EVAL_CLONES static bool stale_among(const double *v, uint32_t n)
{
    const int64_t bits = (int64_t)STALE_NAN_BITS;
    const v4i stale = {bits, bits, bits, bits};
    v4i found = {0};
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        v4i x;
        memcpy(&x, v + i, sizeof x);
        found |= x == stale;
    }
    bool any = (found[0] | found[1] | found[2] | found[3]) != 0;
    for (; i < n; i++) {
        any |= is_stale_nan(v[i]);
    }
    return any;
}

bool eval_any_stale(const double *v, uint32_t n)
{
    return stale_among(v, n);
}
