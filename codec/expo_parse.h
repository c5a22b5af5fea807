/* Reading exposition: text 0.0.4 (and 1.0.0), OpenMetrics 1.0 and delimited protobuf, one entry at
 * a time, without copying.
 *
 *     struct expo_parse p;
 *     expo_parse_init(&p, form, body, mem);
 *     while ((ok = expo_parse_next(&p, &e)) && p.entry != EXPO_PARSE_END) {
 *         if (p.entry == EXPO_PARSE_SAMPLE) { ... p.raw, p.value, p.t_ms ... }
 *     }
 *     expo_parse_release(&p);
 *
 * A sample is named by `raw`: the bytes before the value (text) or a block that is unique for the
 * series (protobuf). A reader that has seen raw before needs no labels: it looks raw up in a cache,
 * and asks expo_parse_labels only when that misses. Faster still, it sets `expect` to the raw that
 * stood at this place last time: when the body goes on with those bytes, they are not looked at
 * again (p.expected says so); and expo_parse_known reads such lines without an entry for each.
 *
 * What is accepted is what Prometheus 3 accepts on a scrape, oddities included (codec/README.md,
 * "Exposition in"); where it would store a name that cannot be meant (leading blanks of a line
 * taken for a part of the name) we read the line as the format says. `le` and `quantile` labels of
 * histograms and summaries are normalised ("1" is "1.0") by expo_parse_labels. NaN is always the
 * ordinary one, so that nobody can send a stale marker.
 *
 * Everything a parser hands out borrows the body or the parser, until the next expo_parse_next.
 * Linear in the body. thread: one. */
#ifndef CODEC_EXPO_PARSE_H
#define CODEC_EXPO_PARSE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/labels.h"
#include "codec/nhcb.h"
#include "codec/pb.h"

enum expo_parse_form { EXPO_PARSE_TEXT, EXPO_PARSE_OPENMETRICS, EXPO_PARSE_PROTOBUF };

enum expo_parse_entry {
    EXPO_PARSE_END,
    EXPO_PARSE_TYPE,   /* family, type */
    EXPO_PARSE_HELP,   /* family, text */
    EXPO_PARSE_UNIT,   /* family, text */
    EXPO_PARSE_SAMPLE, /* raw, value, has_t, t_ms */
    EXPO_PARSE_HIST,   /* raw, hist, has_t, t_ms: a native histogram, or a converted one */
};

enum expo_kind {
    EXPO_KIND_UNKNOWN,
    EXPO_KIND_COUNTER,
    EXPO_KIND_GAUGE,
    EXPO_KIND_HISTOGRAM,
    EXPO_KIND_GAUGEHISTOGRAM,
    EXPO_KIND_SUMMARY,
    EXPO_KIND_INFO,
    EXPO_KIND_STATESET,
};
#define EXPO_KINDS 8
/* "unknown", "counter", ... as /api/v1/metadata says it. */
struct str expo_kind_name(enum expo_kind k);

struct expo_exemplar {
    struct label *labels; /* the caller's arena; sorted */
    uint32_t labels_n;
    double value;
    int64_t t_ms;
    bool has_t;
};

/* Position inside a protobuf body. */
struct expo_parse_pb {
    struct pb metrics;    /* what is left of the family */
    uint32_t family_type; /* enum of the wire */
    struct str help, unit;
    uint32_t meta_left; /* bits: help, unit, type still to give */
    struct str metric;  /* whole message of the current one; empty = none */
    struct str value;   /* its counter, gauge, summary, untyped or histogram message */
    int32_t field;      /* -2 count, -1 sum, 0.. quantile or bucket */
    int32_t fields;     /* quantiles or buckets, with the +Inf one that was not sent */
    int32_t sent;       /* those that were sent */
    struct pb parts;    /* walks the quantiles or buckets */
    struct str part;    /* the current one; empty = the +Inf that was not sent */
    double bound;       /* its upper bound or quantile */
    bool native_left, classic_left, nhcb_left;
    double count, sum;
    size_t prefix_n; /* bytes of scratch that all raws of this metric begin with */
};

struct expo_parse {
    /* What the last expo_parse_next gave. */
    enum expo_parse_entry entry;
    enum expo_kind type; /* of the family named last */
    struct str family, text;
    struct str raw;
    double value;
    int64_t t_ms;
    bool has_t;
    bool expected; /* raw is p.expect, found where it was expected */
    const struct nhist *hist;

    /* Set by the caller. Text forms: what raw may be this time; empty = nothing is expected. Must
     * have been the raw of an earlier parse of the same form. Protobuf ignores it. */
    struct str expect;
    bool skip_created;  /* OpenMetrics: _created lines are not given as samples */
    bool keep_classic;  /* protobuf: classic buckets also of native histograms */
    bool ignore_native; /* protobuf: native parts of histograms are not looked at */
    /* Classic histograms are given as native ones with custom bounds (codec/nhcb.h), in the text
     * forms those of families whose TYPE says histogram; keep_classic: their lines too. Set before
     * the first expo_parse_next. */
    bool to_nhcb;
    uint64_t nhcb_refused; /* text forms: those that were left out, because they are damaged */

    /* The parser's own. */
    enum expo_parse_form form;
    struct mem *mem;
    const char *start, *at, *end; /* of the body; the place reached */
    const char *entry_at;         /* where the entry begins */
    bool whole_lines;             /* a line must not go past expo_parse_next */
    struct expo_classic *classic; /* owns; NULL until needed */
    struct str exemplar;          /* from the blank before its "#" */
    /* The first _created line behind entry_at begins at created_to; without created_raw there is
     * none before created_to. NULL: not looked for yet. */
    const char *created_to;
    struct str created_raw;
    int64_t created_ms;
    struct buf scratch; /* unescaped names and texts; raw of protobuf */
    struct arena hists; /* of one native histogram */
    struct expo_parse_pb pb;
};

/* body must live until release. Memory of m: the scratch, at most 1 MiB or so. */
void expo_parse_init(struct expo_parse *p, enum expo_parse_form form, struct str body,
                     struct mem *m);
void expo_parse_release(struct expo_parse *p);

/* The next entry into p.entry. false: ERR_INPUT with line and column (protobuf: only a message), or
 * ERR_LIMIT; the parser must not be used again then, but what it gave before stands. */
MUST_USE bool expo_parse_next(struct expo_parse *p, struct err *e);

/* The short way for a reader that knows what should stand here: `raw`, a blank, a value and the end
 * of the line, nothing else (no time, no exemplar). True: p.value is set, and the place reached is
 * behind the line. False: nothing has happened, expo_parse_next reads it, whatever it is. For text,
 * and for OpenMetrics without skip_created; raw as for expect. */
MUST_USE bool expo_parse_known(struct expo_parse *p, struct str raw);
/* Labels of the sample or histogram, the name first as __name__, unescaped, le and quantile
 * normalised; neither sorted nor checked for equal names (labels_normalize does). */
MUST_USE bool expo_parse_labels(struct expo_parse *p, struct arena *a, struct label **out,
                                uint32_t *n, struct err *e);
/* The exemplars of the sample or histogram, one by one: i = 0, 1, 2... *found false: no more. Those
 * after the first EXPO_EXEMPLARS_MAX of one histogram are not given. */
#define EXPO_EXEMPLARS_MAX 64
MUST_USE bool expo_parse_exemplar(struct expo_parse *p, uint32_t i, struct arena *a, bool *found,
                                  struct expo_exemplar *out, struct err *e);
/* When the counter, histogram or summary of this sample was started, 0 = not said. Protobuf says it
 * itself; in OpenMetrics it is the value of the _created line further down in the same family:
 * costs a look ahead to it, once for all samples before it. */
int64_t expo_parse_start_ms(struct expo_parse *p);

/* Which form an answer has, by its Content-Type. An absent, damaged or unknown type is ERR_INPUT
 * unless *fallback says what to take then. */
MUST_USE bool expo_parse_form_of(struct str content_type, const enum expo_parse_form *fallback,
                                 enum expo_parse_form *out, struct err *e);

/* A value as Go reads it, without hexadecimal and without underscores: decimal or scientific,
 * [+-]Inf, [+-]Infinity, NaN in any case. false: no such number, or beyond a double. */
MUST_USE bool expo_parse_number(struct str s, double *out);
/* A number as OpenMetrics writes it in le and quantile: "1.0", "0.25", "1e+06", "+Inf". */
struct expo_number {
    char text[32];
    uint32_t n;
};
struct expo_number expo_format_number(double v);

#endif
