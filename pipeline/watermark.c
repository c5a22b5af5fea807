/* Event time: how far the stream has come, judged from the events themselves.
 *
 * The watermark is the K-th largest event time seen (K = 8): one event with a wild clock, or
 * seven, move nothing. A host whose clock is wild sends more than seven, so an event further ahead
 * of the watermark than `ahead_max` is not believed at first. It is believed when such events come
 * alone: 64 in a row from at least two hosts, or 4,096 in a row from one (after a night without
 * traffic, or in a replayed file with a gap, every event is ahead; a wild host among healthy ones
 * is interrupted by them). The same in the other direction: when 65,536 events in a row are older
 * than anything remembered, the watermark itself was wrong, and the pillar's tick sets it back
 * (pipeline.c).
 *
 * Invariants: t_ns never falls here; top.t is ascending and holds at most K times. */
#include "pipeline/pipeline_int.h"

#define AHEAD_RUN_HOSTS 64
#define AHEAD_RUN_ALONE 4096

void pipeline_top_add(struct pipeline_top *top, int64_t t_ns)
{
    uint32_t n = top->count;
    if (n == PIPELINE_WATERMARK_K) {
        if (t_ns <= top->t[0]) {
            return;
        }
        /* The smallest falls out at the front. */
        uint32_t i = 1;
        for (; i < n && top->t[i] < t_ns; i++) {
            top->t[i - 1] = top->t[i];
        }
        top->t[i - 1] = t_ns;
        return;
    }
    uint32_t i = n;
    for (; i > 0 && top->t[i - 1] > t_ns; i--) {
        top->t[i] = top->t[i - 1];
    }
    top->t[i] = t_ns;
    top->count = n + 1;
}

void pipeline_watermark_init(struct pipeline_watermark *w)
{
    *w = (struct pipeline_watermark){.t_ns = T_NS_NONE, .behind_max_ns = T_NS_NONE};
}

static void note_ahead(struct pipeline_watermark *w, int64_t t_ns, struct str host)
{
    uint64_t h = host.n > 0 ? hash64(host) : 0;
    if (w->ahead_run == 0) {
        w->ahead_top = (struct pipeline_top){.count = 0};
        w->ahead_host = h;
        w->ahead_hosts_differ = false;
    }
    w->ahead_run++;
    w->ahead_total++;
    w->ahead_hosts_differ = w->ahead_hosts_differ || h != w->ahead_host;
    pipeline_top_add(&w->ahead_top, t_ns);
    uint32_t enough = w->ahead_hosts_differ ? AHEAD_RUN_HOSTS : AHEAD_RUN_ALONE;
    if (w->ahead_run >= enough) {
        w->top = w->ahead_top;
        w->t_ns = i64_max(w->t_ns, w->top.t[0]);
        w->ahead_run = 0;
    }
}

bool pipeline_watermark_note(struct pipeline_watermark *w, const struct pipeline_plan *p,
                             int64_t t_ns, struct str host)
{
    ASSERT(t_ns >= 0 && t_ns <= PIPELINE_T_MAX);
    if (w->t_ns != T_NS_NONE) {
        if (t_ns > w->t_ns + p->ahead_ns) {
            note_ahead(w, t_ns, host);
            return false;
        }
        if (t_ns < w->t_ns - p->window_ns - p->lateness_ns - p->remember_ns) {
            w->behind_run++;
            w->behind_max_ns = i64_max(w->behind_max_ns, t_ns);
            return true;
        }
    }
    w->ahead_run = 0;
    w->behind_run = 0;
    w->behind_max_ns = T_NS_NONE;
    pipeline_top_add(&w->top, t_ns);
    if (w->top.count == PIPELINE_WATERMARK_K) {
        w->t_ns = i64_max(w->t_ns, w->top.t[0]);
    }
    return true;
}
