/* What the frame and the status text share: a pen, and a scratch buffer for one sentence. */
#ifndef SERVER_BOARD_DRAW_INT_H
#define SERVER_BOARD_DRAW_INT_H

#include "base/num.h"
#include "server/board_int.h"
#include "server/board_pen_int.h"
#include "server/text_int.h"

#include <math.h>

#define SCRATCH_BYTES_MAX 2048

/* Draws with a pen; `scratch` holds one number or sentence at a time. */
struct drawing {
    const struct server_board *b;
    struct pen pen;
    struct mem mem;
    struct buf scratch;
};

static inline struct buf *fresh(struct drawing *d)
{
    buf_reset(&d->scratch);
    return &d->scratch;
}

static inline void put(struct drawing *d, enum pen_style style, struct str s)
{
    server_pen_text(&d->pen, style, s);
}

static inline void put_scratch(struct drawing *d, enum pen_style style)
{
    put(d, style, buf_str(&d->scratch));
}

static inline void put_id(struct drawing *d, enum pen_style style, enum text_id id)
{
    put(d, style, str_from_c(server_text(d->b->lang, id)));
}

/* " · " between facts; plain text has a comma. */
static inline void dot(struct drawing *d)
{
    put(d, PEN_DIM, d->b->plain ? STR(", ") : STR(" · "));
}

/* "Alerts firing: 2 (PixDictDown, ...)"; nothing when none does. */
static inline void add_alerts(struct buf *out, enum lang lang, const struct server_view *v,
                              struct mem *m)
{
    if (!(v->alerts_firing > 0)) {
        return;
    }
    struct buf names;
    buf_init(&names, m, SCRATCH_BYTES_MAX);
    for (uint32_t i = 0; i < v->alerts_count; i++) {
        buf_str_add(&names, i > 0 ? STR(", ") : STR(""));
        buf_str_add(&names, view_str(&v->alerts[i]));
    }
    const struct num_text n = num_text_u64(lang, (uint64_t)v->alerts_firing);
    SAY(out, lang, BOARD_ALERTS, str_from_c(n.text), buf_str(&names));
    buf_release(&names);
}

/* Value, interval, cohort and sample size of an estimate: "84,3% (82,1-86,2)". */
static inline void add_estimate(struct buf *out, enum lang lang, bool plain,
                                const struct view_estimate *m)
{
    num_percent(out, lang, m->value, 1);
    if (isfinite(m->lo) && isfinite(m->hi)) {
        BUF_LIT(out, " (");
        num_f64(out, lang, m->lo * 100, 1);
        buf_str_add(out, plain ? STR("-") : STR("–"));
        num_f64(out, lang, m->hi * 100, 1);
        buf_char(out, ')');
    }
}

#endif
