/* Pieces that the answers of the pillar share: what was asked, a figure with its interval, money.
 * */
#include "model/put_int.h"

#include <math.h>

/* Centavos as reais with two decimals. */
void model_put_brl(struct buf *b, i128 centavos)
{
    bool minus = centavos < 0;
    u128 v = minus ? -(u128)centavos : (u128)centavos;
    if (v / 100 > UINT64_MAX) {
        buf_json_f64(b, (double)centavos / 100);
        return;
    }
    buf_fmt(b, "%s%llu.%02u", minus ? "-" : "", (unsigned long long)(v / 100), (unsigned)(v % 100));
}

void model_put_figure(struct buf *b, const char *name, const struct model_figure *f,
                      const char *method)
{
    /* Also the first of an object of its own. */
    buf_fmt(b, b->n > 0 && b->p[b->n - 1] == '{' ? "\"%s\":" : ",\"%s\":", name);
    if (isnan(f->value)) {
        BUF_LIT(b, "null");
        return;
    }
    BUF_LIT(b, "{\"value\":");
    buf_json_f64(b, f->value);
    BUF_LIT(b, ",\"lo\":");
    buf_json_f64(b, f->lo);
    BUF_LIT(b, ",\"hi\":");
    buf_json_f64(b, f->hi);
    buf_fmt(b, ",\"interval\":\"%s\"}", method);
}

static void put_str_or_null(struct buf *b, const char *name, struct str s)
{
    buf_fmt(b, "\"%s\":", name);
    if (s.n == 0) {
        BUF_LIT(b, "null,");
    } else {
        buf_json_str(b, s);
        buf_char(b, ',');
    }
}

static void put_day_or_null(struct buf *b, const char *name, int32_t day)
{
    buf_fmt(b, "\"%s\":", name);
    if (day == INT32_MIN || day == INT32_MAX) {
        BUF_LIT(b, "null,");
    } else {
        buf_char(b, '"');
        date_format(b, day);
        BUF_LIT(b, "\",");
    }
}

void model_put_question(struct buf *b, const struct model_query *q)
{
    put_day_or_null(b, "from", q->day_from);
    put_day_or_null(b, "to", q->day_to);
    BUF_LIT(b, "\"as_of\":");
    if (q->as_of_ns == T_NS_NONE) {
        BUF_LIT(b, "null,");
    } else {
        buf_char(b, '"');
        time_format(b, q->as_of_ns);
        BUF_LIT(b, "\",");
    }
    BUF_LIT(b, "\"age_days\":");
    buf_json_f64(b, q->age_ns < 0 ? (double)NAN : (double)q->age_ns / (double)NS_PER_DAY);
    buf_char(b, ',');
    put_str_or_null(b, "version", q->version);
    put_str_or_null(b, "dimension", q->dim);
    put_str_or_null(b, "value", q->value);
}
