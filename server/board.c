/* See board_int.h. Layout at 80 columns: header with the verdict, one line per pillar with its
 * reasons, the table of stages, the ledger as a sum that closes, the model. From 100 columns each
 * stage has a sparkline. */
#include "server/board_int.h"

#include "server/board_draw_int.h"

#define WIDE_COLUMNS  100
#define ROOMY_LINES   32
#define NAME_COLUMNS  12
#define LABEL_COLUMNS 16
#define SPARK_COLUMN  54

void server_history_add(struct server_history *h, const struct server_view *v)
{
    h->tx[h->at] = v->tx_per_s;
    h->hold[h->at] = v->hold_share;
    h->precision[h->at] = v->precision.value;
    for (uint32_t i = 0; i < VIEW_STAGES_MAX; i++) {
        h->stage[i][h->at] = i < v->stages_count ? v->stages[i].rate_per_s : (double)NAN;
    }
    h->at = (h->at + 1) % BOARD_SECONDS;
    h->count += h->count < BOARD_SECONDS;
}

static void label(struct drawing *d, enum text_id id)
{
    put_id(d, PEN_DIM, id);
    server_pen_to(&d->pen, LABEL_COLUMNS);
}

static void add_clock(const struct server_board *b, struct buf *out, int64_t t_ns)
{
    struct civil c = civil_from_ns(t_ns + b->utc_offset_s * NS_PER_S);
    buf_fmt(out, "%02d:%02d:%02d", c.hour, c.minute, c.second);
}

/* A line between blocks; a short window has no room for it. */
static void blank(struct drawing *d)
{
    if (!d->b->live || d->b->height >= ROOMY_LINES) {
        server_pen_newline(&d->pen);
    }
}

static void draw_head(struct drawing *d)
{
    const struct server_board *b = d->b;
    put(d, PEN_BOLD, STR("Farol "));
    put(d, PEN_BOLD, b->view ? view_str(&b->view->version) : STR(""));
    put(d, PEN_NORMAL, STR("  "));
    server_pen_lamp(&d->pen, b->view ? b->view->state : VIEW_NONE);
    put(d, PEN_NORMAL, STR("  "));
    add_clock(b, fresh(d), b->view && b->view->t_ns != T_NS_NONE ? b->view->t_ns : b->now_ns);
    buf_fmt(&d->scratch, " %s", b->zone);
    put_scratch(d, PEN_NORMAL);
    if (b->paused) {
        put(d, PEN_NORMAL, STR("  "));
        put_id(d, PEN_BANNER, TEXT_BOARD_PAUSED);
    }
    put(d, PEN_NORMAL, STR("  "));
    put(d, PEN_DIM, str_from_c(b->url));
    server_pen_newline(&d->pen);
    if (b->silent_since_ns != T_NS_NONE) {
        struct buf clock;
        buf_init(&clock, &d->mem, 64);
        add_clock(b, &clock, b->silent_since_ns);
        if (b->view) {
            SAY(fresh(d), b->lang, BOARD_SILENT, buf_str(&clock));
        } else {
            SAY(fresh(d), b->lang, BOARD_NOTHING, str_from_c(b->url));
        }
        put_scratch(d, PEN_BANNER);
        buf_release(&clock);
        server_pen_newline(&d->pen);
    }
    blank(d);
}

/* Words of s from column `indent`, continued on further lines. */
static void put_words(struct drawing *d, enum pen_style style, uint32_t indent, struct str s)
{
    server_pen_to(&d->pen, indent);
    while (s.n > 0) {
        struct str_cut cut = str_cut(s, ' ');
        uint32_t columns = server_pen_columns(cut.head);
        if (d->pen.column > indent && d->pen.column + 1 + columns > d->pen.width) {
            server_pen_newline(&d->pen);
            server_pen_to(&d->pen, indent);
        } else if (d->pen.column > indent) {
            put(d, style, STR(" "));
        }
        put(d, style, cut.head);
        s = cut.tail;
    }
    server_pen_newline(&d->pen);
}

static void draw_reasons(struct drawing *d, const struct view_pillar *p)
{
    for (uint32_t i = 0; i < p->reasons_count; i++) {
        const struct view_reason *r = &p->reasons[i];
        enum pen_style style = r->level == VIEW_CRIT   ? PEN_CRIT
                               : r->level == VIEW_WARN ? PEN_WARN
                                                       : PEN_NORMAL;
        put_words(d, style, 2, view_str(&r->text[d->b->lang]));
    }
}

/* The verdict before any chart. */
static void draw_story(struct drawing *d)
{
    const struct server_board *b = d->b;
    server_story_text(b->story, b->view, b->lang, b->utc_offset_s, fresh(d));
    if (d->scratch.n > 0) {
        put_words(d, PEN_BOLD, 0, buf_str(&d->scratch));
        blank(d);
    }
}

/* What pages somebody now: the rules run inside, so nothing else need be asked. */
static void draw_alerts(struct drawing *d)
{
    add_alerts(fresh(d), d->b->lang, d->b->view, &d->mem);
    if (d->scratch.n > 0) {
        put_words(d, PEN_CRIT, 0, buf_str(&d->scratch));
    }
}

static void draw_pillars(struct drawing *d)
{
    const struct server_board *b = d->b;
    const struct server_view *v = b->view;
    const uint32_t spark = b->width >= WIDE_COLUMNS + 20 ? BOARD_SECONDS : 20;
    server_pen_lamp(&d->pen, v->pipeline.state);
    server_pen_to(&d->pen, 12);
    put(d, PEN_BOLD, STR("Pipeline  "));
    num_short(fresh(d), b->lang, v->tx_per_s);
    BUF_LIT(&d->scratch, " tx/s");
    put_scratch(d, PEN_NORMAL);
    if (isfinite(v->decision_p99_ms)) {
        struct buf ms;
        buf_init(&ms, &d->mem, 64);
        num_ms(&ms, b->lang, v->decision_p99_ms);
        dot(d);
        SAY(fresh(d), b->lang, STATUS_DECISION_P99, buf_str(&ms));
        put_scratch(d, PEN_NORMAL);
        buf_release(&ms);
    }
    if (!b->plain) {
        server_pen_to(&d->pen, SPARK_COLUMN);
    }
    server_pen_spark(&d->pen, b->history->tx, BOARD_SECONDS, b->history->at, b->history->count,
                     spark);
    if (!b->plain) {
        put(d, PEN_DIM, STR(" 60 s"));
    }
    server_pen_newline(&d->pen);
    draw_reasons(d, &v->pipeline);
    server_pen_lamp(&d->pen, v->model.state);
    server_pen_to(&d->pen, 12);
    put_id(d, PEN_BOLD, TEXT_PILLAR_MODEL);
    put(d, PEN_NORMAL, STR("  "));
    server_pen_to(&d->pen, 22);
    put_id(d, PEN_NORMAL, TEXT_BOARD_HOLDS);
    put(d, PEN_NORMAL, STR(" "));
    num_percent(fresh(d), b->lang, v->hold_share, 1);
    put_scratch(d, PEN_NORMAL);
    if (!b->plain) {
        server_pen_to(&d->pen, SPARK_COLUMN);
    }
    server_pen_spark(&d->pen, b->history->hold, BOARD_SECONDS, b->history->at, b->history->count,
                     spark);
    if (!b->plain) {
        put(d, PEN_DIM, STR(" 60 s"));
    }
    server_pen_newline(&d->pen);
    draw_reasons(d, &v->model);
    blank(d);
}

static void cell(struct drawing *d, uint32_t end, enum pen_style style)
{
    server_pen_right(&d->pen, end, style, buf_str(&d->scratch));
}

/* A count that should be 0: shown plainly when it is, as a warning when it is not. */
static enum pen_style zero_wanted(double v)
{
    return v > 0 ? PEN_WARN : PEN_DIM;
}

/* A whole number, shortened when it would not fit its column. */
static void count(struct buf *out, enum lang lang, double v)
{
    if (v < 9999.5) {
        num_f64(out, lang, v, 0);
    } else {
        num_short(out, lang, v);
    }
}

static void draw_stage(struct drawing *d, uint32_t i)
{
    const struct server_board *b = d->b;
    const struct view_stage *s = &b->view->stages[i];
    const enum lang lang = b->lang;
    /* A long name is cut, so that the columns stay where they are. */
    struct pen *p = &d->pen;
    uint32_t width = p->width;
    p->width = size_min(width, NAME_COLUMNS) & UINT32_MAX;
    put(d, PEN_BOLD, view_str(&s->name));
    p->width = width;
    num_short(fresh(d), lang, s->rate_per_s);
    cell(d, 21, PEN_NORMAL);
    num_ms(fresh(d), lang, s->p50_ms);
    cell(d, 31, PEN_NORMAL);
    num_ms(fresh(d), lang, s->p99_ms);
    cell(d, 41, PEN_NORMAL);
    num_ms(fresh(d), lang, s->queue_p99_ms);
    cell(d, 51, PEN_NORMAL);
    num_short(fresh(d), lang, s->errors_per_s);
    cell(d, 60, zero_wanted(s->errors_per_s));
    count(fresh(d), lang, s->duplicates);
    cell(d, 69, zero_wanted(s->duplicates));
    count(fresh(d), lang, s->lost_after);
    cell(d, 79, s->lost_after > 0 ? PEN_CRIT : PEN_DIM);
    if (b->width >= WIDE_COLUMNS) {
        put(d, PEN_NORMAL, STR("  "));
        server_pen_spark(p, b->history->stage[i], BOARD_SECONDS, b->history->at, b->history->count,
                         (uint32_t)size_min(b->width - 82, BOARD_SECONDS));
    }
    server_pen_newline(p);
}

static void draw_stages(struct drawing *d)
{
    static const struct {
        enum text_id id;
        uint32_t end;
    } heads[] = {{TEXT_COLUMN_RATE, 21},  {TEXT_COLUMN_P50, 31},    {TEXT_COLUMN_P99, 41},
                 {TEXT_COLUMN_QUEUE, 51}, {TEXT_COLUMN_ERRORS, 60}, {TEXT_COLUMN_DUPLICATES, 69},
                 {TEXT_COLUMN_LOST, 79}};
    if (d->b->view->stages_count == 0) {
        return;
    }
    put_id(d, PEN_DIM, TEXT_COLUMN_STAGE);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        server_pen_right(&d->pen, heads[i].end, PEN_DIM,
                         str_from_c(server_text(d->b->lang, heads[i].id)));
    }
    if (d->b->width >= WIDE_COLUMNS && !d->b->plain) {
        put(d, PEN_DIM, STR("  tx/s, 60 s"));
    }
    server_pen_newline(&d->pen);
    for (uint32_t i = 0; i < d->b->view->stages_count; i++) {
        draw_stage(d, i);
    }
    blank(d);
}

/* Whether s fits on this line after two spaces. */
static bool room_for(const struct drawing *d, struct str s)
{
    return d->pen.column + 2 + server_pen_columns(s) <= d->pen.width;
}

/* "Entraram 10 = Saíram 7 + Em voo 2 + Perdidas 1", and whether the sum closes. */
static void draw_ledger(struct drawing *d)
{
    const struct server_view *v = d->b->view;
    const enum lang lang = d->b->lang;
    if (!v->ledger_given) {
        return;
    }
    const struct {
        enum text_id id;
        double value;
        const char *sign;
        enum pen_style style;
    } terms[] = {{TEXT_LEDGER_ENTERED, v->entered, "", PEN_NORMAL},
                 {TEXT_LEDGER_LEFT, v->left, " = ", PEN_NORMAL},
                 {TEXT_LEDGER_IN_FLIGHT, v->in_flight, " + ", PEN_NORMAL},
                 {TEXT_LEDGER_LOST, v->lost, " + ", v->lost > 0 ? PEN_CRIT : PEN_NORMAL}};
    for (size_t i = 0; i < ARRAY_LEN(terms); i++) {
        struct str word = str_from_c(server_text(lang, terms[i].id));
        num_f64(fresh(d), lang, terms[i].value, 0);
        uint32_t columns = server_pen_columns(word) + 4 + server_pen_columns(buf_str(&d->scratch));
        if (d->pen.column + columns > d->pen.width) {
            server_pen_newline(&d->pen);
        }
        put(d, PEN_DIM, str_from_c(terms[i].sign));
        put(d, PEN_DIM, word);
        put(d, PEN_NORMAL, STR(" "));
        put_scratch(d, terms[i].style);
    }
    if (v->lost > 0 && isfinite(v->lost_brl)) {
        BUF_LIT(fresh(d), " (");
        num_brl(&d->scratch, lang, v->lost_brl);
        buf_char(&d->scratch, ')');
        if (d->pen.column + server_pen_columns(buf_str(&d->scratch)) > d->pen.width) {
            server_pen_newline(&d->pen);
        }
        put_scratch(d, PEN_CRIT);
    }
    enum text_id verdict = v->closes ? TEXT_LEDGER_CLOSES : TEXT_LEDGER_OPEN;
    if (!room_for(d, str_from_c(server_text(lang, verdict)))) {
        server_pen_newline(&d->pen);
    }
    put(d, PEN_NORMAL, STR("  "));
    put_id(d, v->closes ? PEN_DIM : PEN_CRIT, verdict);
    server_pen_newline(&d->pen);
    blank(d);
}

static void draw_decisions(struct drawing *d)
{
    static const struct {
        const char *name;
        enum text_id id;
    } words[] = {{"approve", TEXT_VERDICT_APPROVE},
                 {"hold", TEXT_VERDICT_HOLD},
                 {"deny", TEXT_VERDICT_DENY},
                 {"cautelar_block", TEXT_VERDICT_CAUTELAR},
                 {"step_up", TEXT_VERDICT_STEP_UP}};
    const struct server_view *v = d->b->view;
    label(d, TEXT_BOARD_DECISIONS);
    num_short(fresh(d), d->b->lang, v->decisions_per_s);
    BUF_LIT(&d->scratch, "/s");
    put_scratch(d, PEN_NORMAL);
    for (uint32_t i = 0; i < v->decisions_count; i++) {
        struct str name = view_str(&v->decisions[i].name);
        for (size_t k = 0; k < ARRAY_LEN(words); k++) {
            if (str_eq(name, str_from_c(words[k].name))) {
                name = str_from_c(server_text(d->b->lang, words[k].id));
            }
        }
        if (v->decisions[i].share <= 0) {
            continue;
        }
        num_percent(fresh(d), d->b->lang, v->decisions[i].share, 1);
        if (d->pen.column + 4 + server_pen_columns(name) + d->scratch.n > d->pen.width) {
            server_pen_newline(&d->pen);
            server_pen_to(&d->pen, LABEL_COLUMNS);
        } else {
            dot(d);
        }
        put(d, PEN_DIM, name);
        put(d, PEN_NORMAL, STR(" "));
        put_scratch(d, PEN_NORMAL);
    }
    server_pen_newline(&d->pen);
}

static void draw_estimate(struct drawing *d, enum text_id id, const struct view_estimate *m)
{
    label(d, id);
    if (!isfinite(m->value)) {
        put_id(d, PEN_DIM, TEXT_BOARD_NO_ESTIMATE);
        server_pen_newline(&d->pen);
        return;
    }
    add_estimate(fresh(d), d->b->lang, d->b->plain, m);
    put_scratch(d, PEN_NORMAL);
    if (m->cohort.n > 0) {
        dot(d);
        SAY(fresh(d), d->b->lang, BOARD_COHORT, view_str(&m->cohort));
        put_scratch(d, PEN_DIM);
    }
    if (isfinite(m->n)) {
        dot(d);
        BUF_LIT(fresh(d), "n ");
        num_f64(&d->scratch, d->b->lang, m->n, 0);
        put_scratch(d, PEN_DIM);
    }
    server_pen_newline(&d->pen);
}

static void draw_model(struct drawing *d)
{
    const struct server_view *v = d->b->view;
    const enum lang lang = d->b->lang;
    draw_decisions(d);
    draw_estimate(d, TEXT_BOARD_PRECISION, &v->precision);
    draw_estimate(d, TEXT_BOARD_RECALL, &v->recall);
    label(d, TEXT_BOARD_THRESHOLD);
    num_f64(fresh(d), lang, v->threshold, 2);
    put_scratch(d, PEN_NORMAL);
    dot(d);
    put_id(d, PEN_DIM, TEXT_BOARD_FALLBACK);
    put(d, PEN_NORMAL, STR(" "));
    num_percent(fresh(d), lang, v->fallback_share, 1);
    put_scratch(d, v->fallback_share > 0.01 ? PEN_WARN : PEN_NORMAL);
    for (uint32_t i = 0; i < v->versions_count; i++) {
        if (i == 0) {
            dot(d);
            put_id(d, PEN_DIM, TEXT_BOARD_VERSIONS);
        }
        put(d, PEN_NORMAL, i == 0 ? STR(" ") : STR(", "));
        if (d->pen.column + server_pen_columns(view_str(&v->versions[i])) > d->pen.width) {
            server_pen_newline(&d->pen);
            server_pen_to(&d->pen, LABEL_COLUMNS);
        }
        put(d, PEN_NORMAL, view_str(&v->versions[i]));
    }
    server_pen_newline(&d->pen);
    label(d, TEXT_BOARD_FEATURE);
    if (v->feature_name.n > 0) {
        num_percent(fresh(d), lang, v->feature_share, 1);
        put(d, PEN_NORMAL, view_str(&v->feature_name));
        put(d, PEN_NORMAL, STR(" "));
        put_scratch(d, PEN_NORMAL);
        put(d, PEN_NORMAL, STR(" "));
        put_id(d, PEN_DIM, TEXT_BOARD_NULL_OR_DEFAULT);
    } else {
        put_id(d, PEN_DIM, TEXT_STATE_NONE);
    }
    server_pen_newline(&d->pen);
    label(d, TEXT_BOARD_LABELS);
    num_f64(fresh(d), lang, v->labels_pending, 0);
    put_scratch(d, PEN_NORMAL);
    put(d, PEN_NORMAL, STR(" "));
    put_id(d, PEN_DIM, TEXT_BOARD_PENDING);
    server_pen_newline(&d->pen);
}

static void draw_help(struct drawing *d)
{
    struct str rest = str_from_c(server_text(d->b->lang, TEXT_BOARD_HELP));
    if (d->b->plain) {
        rest = str_cut(rest, '\n').tail; /* shapes: plain text shows words instead */
    }
    while (rest.n > 0) {
        struct str_cut cut = str_cut(rest, '\n');
        put(d, PEN_NORMAL, cut.head);
        server_pen_newline(&d->pen);
        rest = cut.tail;
    }
}

void server_board_draw(const struct server_board *b, struct buf *out)
{
    struct drawing d = {.b = b};
    uint32_t width = b->width < BOARD_WIDTH_MIN   ? BOARD_WIDTH_MIN
                     : b->width > BOARD_WIDTH_MAX ? BOARD_WIDTH_MAX
                                                  : b->width;
    d.pen = (struct pen){.out = out,
                         .lang = b->lang,
                         .color = b->color && !b->plain,
                         .plain = b->plain,
                         .width = width,
                         .lines_max = b->live && b->height > 1 ? b->height - 1 : 0};
    mem_init(&d.mem, 0);
    buf_init(&d.scratch, &d.mem, SCRATCH_BYTES_MAX);
    draw_head(&d);
    if (b->help) {
        draw_help(&d);
    } else if (b->view) {
        draw_story(&d);
        draw_alerts(&d);
        draw_pillars(&d);
        draw_stages(&d);
        draw_ledger(&d);
        draw_model(&d);
    }
    if (b->live) {
        /* The keys stay in sight however short the window is. */
        d.pen.lines_max = 0;
        d.pen.column = 0;
        put_id(&d, PEN_DIM, TEXT_BOARD_KEYS);
        server_pen_end(&d.pen);
    }
    buf_release(&d.scratch);
}
