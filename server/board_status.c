/* The verdict in a few lines (`farol status`) and in one (`farol demo` without a terminal). */
#include "server/board_int.h"

#include "server/board_draw_int.h"

/* Numbers of the pipeline's line: "1.284 tx/s · decisão p99 54 ms · 3 perdidas". */
static void status_pipeline(struct drawing *d, const struct server_view *v)
{
    num_short(fresh(d), d->b->lang, v->tx_per_s);
    BUF_LIT(&d->scratch, " tx/s");
    put_scratch(d, PEN_NORMAL);
    dot(d);
    if (isfinite(v->decision_p99_ms)) {
        struct buf ms;
        buf_init(&ms, &d->mem, 64);
        num_ms(&ms, d->b->lang, v->decision_p99_ms);
        SAY(fresh(d), d->b->lang, STATUS_DECISION_P99, buf_str(&ms));
        buf_release(&ms);
        put_scratch(d, PEN_NORMAL);
        dot(d);
    }
    num_f64(fresh(d), d->b->lang, v->lost, 0);
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
    if (isfinite(v->recall.value)) {
        put_id(d, PEN_NORMAL, TEXT_STATUS_RECALL);
        BUF_LIT(fresh(d), " ");
        add_estimate(&d->scratch, d->b->lang, d->b->plain, &v->recall);
        put_scratch(d, PEN_NORMAL);
        dot(d);
    }
    put_id(d, PEN_NORMAL, TEXT_STATUS_HOLDS);
    BUF_LIT(fresh(d), " ");
    num_percent(&d->scratch, d->b->lang, v->hold_share, 1);
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

/* A line for each stage that got a new version lately. */
static void status_changed(struct drawing *d, const struct server_view *v, int32_t utc_offset_s)
{
    struct buf at;
    buf_init(&at, &d->mem, 64);
    for (uint32_t i = 0; i < v->stages_count; i++) {
        const struct view_stage *s = &v->stages[i];
        if (server_view_is_changed(v, s)) {
            struct civil c = civil_from_ns(s->version_since_ns + utc_offset_s * NS_PER_S);
            buf_reset(&at);
            buf_fmt(&at, "%02d:%02d", c.hour, c.minute);
            SAY(fresh(d), d->b->lang, STATUS_CHANGED, view_str(&s->name), view_str(&s->version),
                buf_str(&at));
            put_scratch(d, PEN_NORMAL);
            server_pen_newline(&d->pen);
        }
    }
    buf_release(&at);
}

void server_status_text(const struct server_view *v, enum lang lang, bool color, bool plain,
                        int32_t utc_offset_s, struct buf *out)
{
    struct server_board b = {.view = v, .lang = lang, .color = color, .plain = plain};
    struct drawing d = {.b = &b};
    d.pen = (struct pen){
        .out = out, .lang = lang, .color = color && !plain, .plain = plain, .width = UINT16_MAX};
    mem_init(&d.mem, 0);
    buf_init(&d.scratch, &d.mem, SCRATCH_BYTES_MAX);
    server_story_text(NULL, v, lang, utc_offset_s, fresh(&d));
    if (d.scratch.n > 0) {
        put_scratch(&d, PEN_BOLD);
        server_pen_newline(&d.pen);
    }
    bool model_first = v->model.state > v->pipeline.state;
    status_pillar(&d, v, model_first);
    status_pillar(&d, v, !model_first);
    add_alerts(fresh(&d), lang, v, &d.mem);
    if (d.scratch.n > 0) {
        put_scratch(&d, PEN_CRIT);
        server_pen_newline(&d.pen);
    }
    status_changed(&d, v, utc_offset_s);
    put_id(&d, PEN_NORMAL, v->state == VIEW_NONE ? TEXT_STATUS_NEXT_NONE : TEXT_STATUS_NEXT);
    server_pen_newline(&d.pen);
    buf_release(&d.scratch);
}

void server_status_line(const struct server_view *v, const struct server_story *story,
                        enum lang lang, bool plain, int32_t utc_offset_s, struct buf *out)
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
    server_story_text(story, v, lang, utc_offset_s, fresh(&d));
    if (d.scratch.n > 0) {
        dot(&d);
        put_scratch(&d, PEN_NORMAL);
    }
    add_alerts(fresh(&d), lang, v, &d.mem);
    if (d.scratch.n > 0) {
        dot(&d);
        put_scratch(&d, PEN_NORMAL);
    }
    server_pen_newline(&d.pen);
    buf_release(&d.scratch);
}
