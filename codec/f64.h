/* Doubles as text in the three ways of the Prometheus world, always the shortest digits that read
 * back as the same bits (libstdc++'s to_chars behind codec/shim: about 40 ns, no locale). */
#ifndef CODEC_F64_H
#define CODEC_F64_H

#include "base/buf.h"

enum f64_style {
    F64_PLAIN,   /* never an exponent: 100000, 0.00001 (samples in labels, PromQL numbers) */
    F64_GENERAL, /* exponent below 1e-4 and from 1e+21 on: 1e+21, 1e-05 (exposition, le) */
    F64_GO_G,    /* exponent below 1e-4 and from 1e+06 on: 1e+06 ("%v" of short floats, %g) */
    F64_JSON,    /* exponent below 1e-6 and from 1e21 on: 1e+21, 1e-7 (answers of the API) */
};

/* "NaN", "+Inf", "-Inf" for the others. */
void f64_write(struct buf *b, double v, enum f64_style style);

#endif
