/* The verdict in a few lines (`farol status`) and in one (`farol demo` without a terminal). */
#include "server/board_int.h"

#include "server/board_draw_int.h"

static double slowest_p99(const struct server_view *v)
{
    double worst = (double)NAN;
    for (uint32_t i = 0; i < v->stages_count; i++) {
        double p = v->stages[i].p99_ms;
        worst = isfinite(p) && !(worst >= p) ? p : worst;
    }
    return worst;
}

/* Numbers of the pipeline's line: "1.284 tx/s · p99 87 ms · 3 perdidas". */
static void status_pipeline(struct drawing *d, const struct server_view *v)
{
    server_num_short(fresh(d), d->b->lang, v->tx_per_s);
    BUF_LIT(&d->scratch, " tx/s");
    put_scratch(d, PEN_NORMAL);
    dot(d);
    BUF_LIT(fresh(d), "p99 ");
    server_num_ms(&d->scratch, d->b->lang, slowest_p99(v));
    put_scratch(d, PEN_NORMAL);
    dot(d);
    server_num_f64(fresh(d), d->b->lang, v->lost, 0);
    buf_fmt(&d->scratch, " %s", server_text(d->b->lang, TEXT_STATUS_LOST));
    put_scratch(d, PEN_NORMAL);
}

static void status_model(struct drawing *d, const struct server_view *v)
{
    put_id(d, PEN_NORMAL, TEXT_STATUS_PRECISION);
    BUF_LIT(fresh(d), " ");
    add_estimate(&d->scratch, d->b->lang, d->b->plain, &v->precision);
    put_scratch(d, PEN_NORMAL);
    dot(d);
    put_id(d, PEN_NORMAL, TEXT_STATUS_HOLDS);
    BUF_LIT(fresh(d), " ");
    server_num_percent(&d->scratch, d->b->lang, v->hold_share, 1);
    put_scratch(d, PEN_NORMAL);
}

static void status_pillar(struct drawing *d, const struct server_view *v, bool model)
{
    const struct view_pillar *p = model ? &v->model : &v->pipeline;
    server_pen_lamp(&d->pen, p->state);
    server_pen_to(&d->pen, 12);
    put_id(d, PEN_BOLD, model ? TEXT_PILLAR_MODEL : TEXT_PILLAR_PIPELINE);
    put(d, PEN_NORMAL, STR(": "));
    if (p->reasons_count > 0) {
        put(d, PEN_NORMAL, view_str(&p->reasons[0].text[d->b->lang]));
        server_pen_newline(&d->pen);
        for (uint32_t i = 1; i < p->reasons_count; i++) {
            server_pen_to(&d->pen, 12);
            put(d, PEN_NORMAL, view_str(&p->reasons[i].text[d->b->lang]));
            server_pen_newline(&d->pen);
        }
        server_pen_to(&d->pen, 12);
    }
    if (model) {
        status_model(d, v);
    } else {
        status_pipeline(d, v);
    }
    server_pen_newline(&d->pen);
}

void server_status_text(const struct server_view *v, enum lang lang, bool color, bool plain,
                        struct buf *out)
{
    struct server_board b = {.view = v, .lang = lang, .color = color, .plain = plain};
    struct drawing d = {.b = &b};
    d.pen = (struct pen){
        .out = out, .lang = lang, .color = color && !plain, .plain = plain, .width = UINT16_MAX};
    mem_init(&d.mem, 0);
    buf_init(&d.scratch, &d.mem, SCRATCH_BYTES_MAX);
    bool model_first = v->model.state > v->pipeline.state;
    status_pillar(&d, v, model_first);
    status_pillar(&d, v, !model_first);
    put_id(&d, PEN_NORMAL, v->state == VIEW_NONE ? TEXT_STATUS_NEXT_NONE : TEXT_STATUS_NEXT);
    server_pen_newline(&d.pen);
    buf_release(&d.scratch);
}

void server_status_line(const struct server_view *v, enum lang lang, bool plain, struct buf *out)
{
    struct server_board b = {.view = v, .lang = lang, .plain = plain};
    struct drawing d = {.b = &b};
    d.pen = (struct pen){.out = out, .lang = lang, .plain = plain, .width = UINT16_MAX};
    mem_init(&d.mem, 0);
    buf_init(&d.scratch, &d.mem, SCRATCH_BYTES_MAX);
    server_pen_lamp(&d.pen, v->state);
    put(&d, PEN_NORMAL, STR("  "));
    status_pipeline(&d, v);
    dot(&d);
    status_model(&d, v);
    const struct view_pillar *worst = v->model.state > v->pipeline.state ? &v->model : &v->pipeline;
    if (worst->reasons_count > 0) {
        dot(&d);
        put(&d, PEN_NORMAL, view_str(&worst->reasons[0].text[lang]));
    }
    server_pen_newline(&d.pen);
    buf_release(&d.scratch);
}
