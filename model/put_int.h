/* Pieces of JSON that the answers of the pillar share. Private to model/. */
#ifndef MODEL_PUT_INT_H
#define MODEL_PUT_INT_H

#include "base/buf.h"
#include "model/model.h"
#include "model/quality_int.h"

/* Centavos as reais with two decimals. */
void model_put_brl(struct buf *b, i128 centavos);
/* A member: {"value","lo","hi","interval"}, or null; with a comma before it but for an object's
 * first. */
void model_put_figure(struct buf *b, const char *name, const struct model_figure *f,
                      const char *method);
/* Members from, to, as_of, age_days, version, dimension, value, each with a comma after it. */
void model_put_question(struct buf *b, const struct model_query *q);

#endif
