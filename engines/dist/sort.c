/* Heap sort of values and of indexes by value.
 *
 * Why not qsort: it takes memory that nobody counts, and its time has no bound that it promises.
 * Here it is n log n for any input, in place. Source: Williams, CACM 7(6), 1964; Floyd's heap. */
#include "engines/dist/dist.h"

#include "engines/dist/dist_int.h"

static void sink_f64(double *v, size_t at, size_t n)
{
    double x = v[at];
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && v[child] < v[child + 1];
        if (v[child] <= x) {
            break;
        }
        v[at] = v[child];
        at = child;
    }
    v[at] = x;
}

void dist_sort_f64(double *v, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) {
        sink_f64(v, i, n);
    }
    for (size_t left = n; left > 1; left--) {
        double x = v[0];
        v[0] = v[left - 1];
        v[left - 1] = x;
        sink_f64(v, 0, left - 1);
    }
}

static bool is_before(const double *key, uint32_t a, uint32_t b, bool falling)
{
    if (key[a] == key[b]) {
        return a < b;
    }
    return (key[a] < key[b]) != falling;
}

static void sink_order(const double *key, uint32_t *order, uint32_t at, uint32_t n, bool falling)
{
    uint32_t x = order[at];
    for (uint32_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && is_before(key, order[child], order[child + 1], falling);
        if (!is_before(key, x, order[child], falling)) {
            break;
        }
        order[at] = order[child];
        at = child;
    }
    order[at] = x;
}

void dist_sort_order(const double *key, uint32_t *order, uint32_t n, bool falling)
{
    for (uint32_t i = n / 2; i-- > 0;) {
        sink_order(key, order, i, n, falling);
    }
    for (uint32_t left = n; left > 1; left--) {
        uint32_t x = order[0];
        order[0] = order[left - 1];
        order[left - 1] = x;
        sink_order(key, order, 0, left - 1, falling);
    }
}
