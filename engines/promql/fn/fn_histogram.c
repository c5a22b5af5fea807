/* Functions of one native histogram. Floats give nothing. */
#include "engines/promql/fn/fn_int.h"

#include "engines/promql/hist_int.h"

bool fn_histogram_avg(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return in->kind == VALUE_HIST ? fn_float(out, in->h->sum / in->h->count) : fn_none(out);
}

bool fn_histogram_count(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return in->kind == VALUE_HIST ? fn_float(out, in->h->count) : fn_none(out);
}

bool fn_histogram_sum(struct fn_call *c, const struct value *in, struct value *out, struct err *e)
{
    (void)c;
    (void)e;
    return in->kind == VALUE_HIST ? fn_float(out, in->h->sum) : fn_none(out);
}

bool fn_histogram_stddev(struct fn_call *c, const struct value *in, struct value *out,
                         struct err *e)
{
    (void)c;
    (void)e;
    return in->kind == VALUE_HIST ? fn_float(out, hist_stddev(in->h)) : fn_none(out);
}

bool fn_histogram_stdvar(struct fn_call *c, const struct value *in, struct value *out,
                         struct err *e)
{
    (void)c;
    (void)e;
    return in->kind == VALUE_HIST ? fn_float(out, hist_stdvar(in->h)) : fn_none(out);
}
