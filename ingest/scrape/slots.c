/* When is it whose turn: slots of wall time, and a heap of targets by monotonic time.
 *
 *   slot k of a target = k * interval + (hash mod interval, down to a whole GRID_NS)   (UTC)
 *
 * The grid is fine enough to spread targets and coarse enough that those of short intervals meet:
 * what is asked together shares a waking of the loop, a commit and, in the store, a time.
 *
 * Slots are of wall time, so that they stay the same over restarts; waiting is on monotonic time,
 * and the slot is worked out anew at every turn, so a clock that is set does not stop scraping for
 * as long as it was set. */
#include "ingest/scrape/loop_int.h"

#define TOLERANCE_NS (2 * NS_PER_MS)
#define TARGETS_MAX  (1U << 20)
#define GRID_NS      (50 * NS_PER_MS)
#define GRID_STEPS   20 /* at least so many in an interval */

uint64_t slot_offset(uint64_t hash, int64_t interval_ns)
{
    ASSERT(interval_ns >= GRID_STEPS);
    uint64_t offset = hash % (uint64_t)interval_ns;
    return offset - offset % (uint64_t)i64_min(GRID_NS, interval_ns / GRID_STEPS);
}

int64_t slot_before(int64_t wall_ns, int64_t interval_ns, uint64_t hash)
{
    ASSERT(interval_ns > 0);
    int64_t offset = (int64_t)(hash % (uint64_t)interval_ns);
    int64_t since = (wall_ns - offset) % interval_ns;
    return wall_ns - (since < 0 ? since + interval_ns : since);
}

int64_t slot_time_ms(int64_t wall_ns, int64_t interval_ns, uint64_t hash)
{
    int64_t slot = slot_before(wall_ns, interval_ns, hash);
    int64_t tolerance = i64_min(TOLERANCE_NS, interval_ns / 100);
    return ms_from_ns(wall_ns - slot <= tolerance ? slot : wall_ns);
}

static void place(struct scrape *s, size_t at, struct target *t)
{
    s->heap[at] = t;
    t->heap_at = at;
}

static void sift_up(struct scrape *s, size_t at)
{
    struct target *t = s->heap[at];
    while (at > 0 && s->heap[(at - 1) / 2]->next_mono_ns > t->next_mono_ns) {
        place(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(s, at, t);
}

static void sift_down(struct scrape *s, size_t at)
{
    struct target *t = s->heap[at];
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < s->heap_n &&
            s->heap[child + 1]->next_mono_ns < s->heap[child]->next_mono_ns) {
            child++;
        }
        if (child >= s->heap_n || s->heap[child]->next_mono_ns >= t->next_mono_ns) {
            break;
        }
        place(s, at, s->heap[child]);
        at = child;
    }
    place(s, at, t);
}

bool heap_add(struct scrape *s, struct target *t)
{
    void *heap = s->heap;
    bool ok =
        mem_array_grow(s->mem, &heap, &s->heap_cap, s->heap_n + 1, TARGETS_MAX, sizeof *s->heap);
    s->heap = heap;
    if (!ok) {
        return false;
    }
    place(s, s->heap_n++, t);
    sift_up(s, t->heap_at);
    return true;
}

void heap_remove(struct scrape *s, struct target *t)
{
    size_t at = t->heap_at;
    if (at == SIZE_MAX) {
        return;
    }
    t->heap_at = SIZE_MAX;
    ASSERT(at < s->heap_n && s->heap[at] == t);
    struct target *last = s->heap[--s->heap_n];
    if (last != t) {
        place(s, at, last);
        heap_moved(s, last);
    }
}

void heap_moved(struct scrape *s, struct target *t)
{
    sift_up(s, t->heap_at);
    sift_down(s, t->heap_at);
}
