/* Annotations of a query: warnings and remarks, each text once, with the place in the query that
 * caused it last. Prometheus tells annotations apart by their text without the place, and merges
 * two kinds: buckets that had to be lifted (ranges of bounds, times and differences are joined) and
 * start times that overlap (occurrences are counted). So do we. */
#include "engines/promql/eval_int.h"

#include "base/clock.h"

#include <stdio.h>

#define NOTE_BYTES_MAX 4096
#define NOTES_MAX      1000 /* of one query; more tell nothing new */

static const char overlap_text[] = "PromQL warning: sample has start time that overlaps";

void notes_init(struct notes *n, struct arena *a)
{
    *n = (struct notes){.arena = a};
}

/* The note with this text, made when new; NULL at a bound: a note that is lost fails no query. */
static struct note *note_of(struct notes *n, struct str text, bool warning)
{
    for (struct note *x = n->first; x != NULL; x = x->next) {
        if (str_eq(x->text, text)) {
            return x;
        }
    }
    if (n->n == NOTES_MAX) {
        return NULL;
    }
    struct note *x = ARENA_NEW(n->arena, struct note);
    if (x == NULL) {
        return NULL;
    }
    x->text = arena_str(n->arena, text);
    if (x->text.p == NULL) {
        return NULL;
    }
    x->warning = warning;
    if (n->last != NULL) {
        n->last->next = x;
    } else {
        n->first = x;
    }
    n->last = x;
    n->n++;
    return x;
}

PRINTF_LIKE(4, 0)
static struct note *note_put(struct notes *n, struct pos pos, bool warning, const char *fmt,
                             va_list ap)
{
    char text[NOTE_BYTES_MAX];
    int head = snprintf(text, sizeof text, "%s", warning ? "PromQL warning: " : "PromQL info: ");
    ASSERT(head > 0);
    int got = vsnprintf(text + head, sizeof text - (size_t)head, fmt, ap);
    if (got < 0) {
        return NULL;
    }
    size_t len = size_min((size_t)head + (size_t)got, sizeof text - 1);
    struct note *x = note_of(n, str_of(text, len), warning);
    if (x != NULL) {
        x->pos = pos;
        x->count++;
    }
    return x;
}

void note_warn(struct notes *n, struct pos pos, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)note_put(n, pos, true, fmt, ap);
    va_end(ap);
}

void note_info(struct notes *n, struct pos pos, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)note_put(n, pos, false, fmt, ap);
    va_end(ap);
}

PRINTF_LIKE(3, 4)
static struct note *note_one(struct notes *n, struct pos pos, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct note *x = note_put(n, pos, false, fmt, ap);
    va_end(ap);
    return x;
}

void note_lift(struct notes *n, struct pos pos, struct str metric, int64_t t_ms, double min,
               double max, double diff)
{
    static const char text[] =
        "input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
    struct note *x = metric.n == 0
                         ? note_one(n, pos, "%s", text)
                         : note_one(n, pos, "%s for metric name \"%.*s\"", text, STR_FMT(metric));
    if (x == NULL) {
        return;
    }
    if (!x->lift) {
        x->lift = true;
        x->t_min = x->t_max = t_ms;
        x->lift_min = min;
        x->lift_max = max;
        x->lift_diff = diff;
        return;
    }
    x->t_min = i64_min(x->t_min, t_ms);
    x->t_max = i64_max(x->t_max, t_ms);
    x->lift_min = min < x->lift_min ? min : x->lift_min;
    x->lift_max = max > x->lift_max ? max : x->lift_max;
    x->lift_diff = diff > x->lift_diff ? diff : x->lift_diff;
}

void notes_merge(struct notes *to, const struct notes *from)
{
    for (const struct note *x = from->first; x != NULL; x = x->next) {
        struct note *y = note_of(to, x->text, x->warning);
        if (y == NULL) {
            continue;
        }
        bool fresh = y->count == 0;
        y->pos = x->pos;
        y->count += x->count;
        if (x->lift && (fresh || !y->lift)) {
            y->lift = true;
            y->t_min = x->t_min;
            y->t_max = x->t_max;
            y->lift_min = x->lift_min;
            y->lift_max = x->lift_max;
            y->lift_diff = x->lift_diff;
        } else if (x->lift) {
            y->t_min = i64_min(x->t_min, y->t_min);
            y->t_max = i64_max(x->t_max, y->t_max);
            y->lift_min = x->lift_min < y->lift_min ? x->lift_min : y->lift_min;
            y->lift_max = x->lift_max > y->lift_max ? x->lift_max : y->lift_max;
            y->lift_diff = x->lift_diff > y->lift_diff ? x->lift_diff : y->lift_diff;
        }
    }
}

/* Line and column, both from 1, of a byte of the query. */
static void place_add(struct buf *b, struct str text, uint32_t at)
{
    uint32_t line = 1;
    uint32_t begin = 0;
    for (uint32_t i = 0; i < at && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    buf_fmt(b, " (%u:%u)", line, at - begin + 1);
}

static void rfc3339_add(struct buf *b, int64_t t_ms)
{
    struct civil c = civil_from_ns(ns_from_s(t_ms / 1000));
    buf_fmt(b, "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day, c.hour, c.minute,
            c.second);
}

/* %.2g of C and of Go agree but for the exponent's form, which is the same too (two digits). */
static void lift_add(struct buf *b, const struct note *x)
{
    buf_fmt(b, ", from buckets %s to %s, with a max diff of %.2g, over %u samples from ",
            g_text(x->lift_min).text, g_text(x->lift_max).text, x->lift_diff, x->count);
    rfc3339_add(b, x->t_min);
    BUF_LIT(b, " to ");
    rfc3339_add(b, x->t_max);
}

bool notes_take(const struct notes *n, struct str text, struct arena *a, struct promql_note **out,
                uint32_t *count, struct err *e)
{
    *count = 0;
    *out = ARENA_ARRAY(a, struct promql_note, size_max(n->n, 1));
    if (*out == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for the annotations of a query");
    }
    struct buf b;
    buf_init(&b, a->mem, NOTE_BYTES_MAX * 2);
    for (const struct note *x = n->first; x != NULL; x = x->next) {
        buf_reset(&b);
        buf_str_add(&b, x->text);
        if (x->lift) {
            lift_add(&b, x);
        }
        if (x->count > 1 && str_starts(x->text, str_of(overlap_text, sizeof overlap_text - 1))) {
            buf_fmt(&b, " (%u occurrences)", x->count);
        }
        place_add(&b, text, x->pos.start);
        struct promql_note *o = &(*out)[*count];
        o->warning = x->warning;
        o->text = arena_str(a, buf_str(&b));
        if (!buf_ok(&b, e) || o->text.p == NULL) {
            buf_release(&b);
            return err_set(e, ERR_LIMIT, "no memory for the annotations of a query");
        }
        ++*count;
    }
    buf_release(&b);
    return true;
}
