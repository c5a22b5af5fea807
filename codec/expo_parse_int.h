/* Private to codec: what the readers of the three forms of exposition share. */
#ifndef CODEC_EXPO_PARSE_INT_H
#define CODEC_EXPO_PARSE_INT_H

#include "codec/expo_parse.h"

#define EXPO_SCRATCH_MAX   (1 << 20) /* a help text, a name, a block of protobuf labels */
#define EXPO_HIST_BYTES    (4 << 20) /* one native histogram */
#define EXPO_RAW_BYTES_MAX (1 << 20) /* what names one series */

/* Sets line and column of `at` in the body, and a message. */
bool expo_fail(const struct expo_parse *p, const char *at, struct err *e, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* "'x'", "a line break", "the end" for messages. */
struct expo_shown {
    char text[64];
};
struct expo_shown expo_show(const char *at, const char *end);

/* Reads `name{labels}` or `{"name", labels}` from *at, which is left behind it. Strict is
 * OpenMetrics: no blanks between, commas where they belong. With out, the labels are stored there
 * (at most *n), name first, still escaped; *n becomes their number. `exemplar`: labels only,
 * without a name, *at stands behind the brace. On failure *at is where and *why what was
 * expected. */
struct expo_series {
    bool strict, exemplar;
    struct label *out;
    uint32_t n, max;
    const char *why;
    const char *end;
};
MUST_USE bool expo_series_scan(struct expo_series *s, const char **at);

/* Removes \\ \" \n (help: \\ \n) into the arena or the parser's scratch; slices without a backslash
 * come back as they are. {NULL, 0} at the arena's cap. Before the first use of the scratch for a
 * line, expo_scratch_begin makes room for all of it: slices that were handed out must not move. */
struct str expo_unescape(struct str s, bool quotes, struct arena *a);
MUST_USE bool expo_scratch_begin(struct expo_parse *p, const char *line, const char *end,
                                 struct err *e);
struct str expo_unescape_scratch(struct expo_parse *p, struct str s, bool quotes);

/* le of a histogram, quantile of a summary as OpenMetrics writes them; other values as they are. */
MUST_USE bool expo_normalize(enum expo_kind type, struct label *l, struct arena *a);

static inline bool expo_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static inline bool expo_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool expo_is_blank(char c)
{
    return c == ' ' || c == '\t';
}
static inline const char *expo_skip_blanks(const char *p, const char *end)
{
    while (p < end && expo_is_blank(*p)) {
        p++;
    }
    return p;
}
/* Reads a plain decimal that a line break follows; returns the line break, NULL for anything
 * else. */
const char *expo_plain_number(const char *p, const char *end, double *out);

/* True when the line goes on with p->expect and the name ends there; moves p->at and sets raw. */
bool expo_take_expected(struct expo_parse *p);

/* The next entry as the form has it, without converting classic histograms. */
MUST_USE bool expo_line_next(struct expo_parse *p, struct err *e);

/* Classic histograms as native ones (expo_parse_classic.c). The byte is never part of UTF-8: raw of
 * a converted histogram begins with it, and no line does. expo_classic_of makes p->classic, NULL
 * without memory. The last four: while a converted histogram is p's entry (giving). */
#define EXPO_RAW_MARK 0xFF
struct expo_classic *expo_classic_of(struct expo_parse *p, struct err *e);
void expo_classic_free(struct expo_parse *p);
struct nhcb *expo_classic_nhcb(struct expo_classic *c);
MUST_USE bool expo_classic_next(struct expo_parse *p, struct err *e);
bool expo_classic_giving(const struct expo_parse *p);
MUST_USE bool expo_classic_labels(const struct expo_parse *p, struct arena *a, struct label **out,
                                  uint32_t *n, struct err *e);
/* Puts the i-th exemplar into p->exemplar; false: there is none. */
bool expo_classic_exemplar(struct expo_parse *p, uint32_t i);
int64_t expo_classic_start_ms(const struct expo_parse *p);

MUST_USE bool expo_text_next(struct expo_parse *p, struct err *e);
MUST_USE bool expo_om_next(struct expo_parse *p, struct err *e);
int64_t expo_om_start_ms(struct expo_parse *p);
MUST_USE bool expo_om_exemplar(struct expo_parse *p, struct arena *a, struct expo_exemplar *out,
                               struct err *e);

MUST_USE bool expo_pb_next(struct expo_parse *p, struct err *e);
MUST_USE bool expo_pb_labels(struct expo_parse *p, struct arena *a, struct label **out, uint32_t *n,
                             struct err *e);
MUST_USE bool expo_pb_exemplar(struct expo_parse *p, uint32_t i, struct arena *a, bool *found,
                               struct expo_exemplar *out, struct err *e);
int64_t expo_pb_start_ms(const struct expo_parse *p);
/* The native histogram of a Histogram message into p->hist. */
MUST_USE bool expo_pb_hist(struct expo_parse *p, struct err *e);

/* The next field; false at the end, or with p->failed. A field whose wire type is not the one of
 * its number in this message (wires[number - 1]) is damage. */
#define EXPO_PB_ANY              15
#define EXPO_PB_HISTOGRAM_FIELDS 16
extern const uint8_t expo_pb_histogram_wires[EXPO_PB_HISTOGRAM_FIELDS];
bool expo_pb_field(struct pb *p, struct pb_field *f, const uint8_t *wires, uint32_t count);
MUST_USE bool expo_pb_label(struct str message, struct label *out);
/* What the current sample is of its metric: 'v' value, 'c' count, 's' sum, 'b' bucket, 'q'
 * quantile, 'h' native histogram. */
char expo_pb_part(const struct expo_parse *p);

#endif
