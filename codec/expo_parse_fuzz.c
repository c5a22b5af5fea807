/* Pages of metrics: any bytes are read within bounds, and every sample that is accepted, written
 * as a line of text, reads again as the same. The first byte chooses: o OpenMetrics, p protobuf,
 * w single words (content types, numbers), anything else the text format. */
#include "codec/expo_parse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_quoted(struct buf *out, struct str s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n') {
            BUF_LIT(out, "\\n");
            continue;
        }
        if (s.p[i] == '"' || s.p[i] == '\\') {
            buf_char(out, '\\');
        }
        buf_char(out, s.p[i]);
    }
    buf_char(out, '"');
}

static void fuzz_line(struct buf *out, const struct label *v, uint32_t n, double value)
{
    BUF_LIT(out, "{");
    for (uint32_t i = 0; i < n; i++) {
        if (!str_eq(v[i].name, STR(LABEL_NAME))) {
            fuzz_quoted(out, v[i].name);
            BUF_LIT(out, "=");
        }
        fuzz_quoted(out, v[i].value);
        BUF_LIT(out, ",");
    }
    BUF_LIT(out, "} ");
    buf_f64(out, value);
}

/* The line must give the same labels and the same bits, once read and once expected. */
static void fuzz_again(struct mem *m, struct str line, const struct label *v, uint32_t n,
                       double value)
{
    struct expo_parse p;
    struct arena a;
    struct label *w = NULL;
    uint32_t w_n = 0;
    struct err e;
    arena_init(&a, m, 8 << 20);
    expo_parse_init(&p, EXPO_PARSE_TEXT, line, m);
    bool ok = expo_parse_next(&p, &e) && p.entry == EXPO_PARSE_SAMPLE;
    ASSERT(ok);
    ASSERT(memcmp(&p.value, &value, sizeof value) == 0);
    ok = expo_parse_labels(&p, &a, &w, &w_n, &e) && labels_normalize(w, &w_n, &e);
    ASSERT(ok);
    ASSERT(labels_eq((struct labels){v, n}, (struct labels){w, w_n}));
    struct str raw = p.raw;
    expo_parse_release(&p);
    expo_parse_init(&p, EXPO_PARSE_TEXT, line, m);
    p.expect = raw;
    ok = expo_parse_next(&p, &e);
    ASSERT(ok && str_eq(p.raw, raw));
    ASSERT(memcmp(&p.value, &value, sizeof value) == 0);
    expo_parse_release(&p);
    arena_release(&a);
}

static void fuzz_sample(struct expo_parse *p, struct mem *m)
{
    struct arena a;
    struct buf line;
    struct label *v = NULL;
    uint32_t n = 0;
    struct expo_exemplar x;
    bool found = true;
    struct err e;
    arena_init(&a, m, 8 << 20);
    buf_init(&line, m, 8 << 20);
    /* A name with a zero byte cannot be said in text. */
    if (expo_parse_labels(p, &a, &v, &n, &e) && labels_normalize(v, &n, &e) && n > 0 &&
        labels_get((struct labels){v, n}, STR(LABEL_NAME)).n > 0) {
        bool zero = memchr(labels_get((struct labels){v, n}, STR(LABEL_NAME)).p, 0,
                           labels_get((struct labels){v, n}, STR(LABEL_NAME)).n) != NULL;
        for (uint32_t i = 0; i < n; i++) {
            zero = zero || memchr(v[i].name.p, 0, v[i].name.n);
        }
        fuzz_line(&line, v, n, p->value);
        if (!zero && !line.failed && p->entry == EXPO_PARSE_SAMPLE) {
            fuzz_again(m, buf_str(&line), v, n, p->value);
        }
    }
    for (uint32_t i = 0; found && expo_parse_exemplar(p, i, &a, &found, &x, &e); i++) {
        ASSERT(i <= EXPO_EXEMPLARS_MAX);
        ASSERT(!found || x.labels_n <= LABELS_COUNT_MAX);
    }
    (void)expo_parse_start_ms(p);
    if (p->entry == EXPO_PARSE_HIST && nhist_validate(p->hist, &e)) {
        ASSERT(p->hist->pos.counts_n <= NHIST_BUCKETS_MAX);
    }
    buf_release(&line);
    arena_release(&a);
}

/* The short way takes a line only when the long way has read the same from it. */
static void fuzz_known(const struct expo_parse *p)
{
    struct expo_parse k = *p; /* shares nothing that the short way changes */
    k.at = p->raw.p;
    k.skip_created = false;
    if (expo_parse_known(&k, p->raw)) {
        ASSERT(k.at == p->at);
        ASSERT(!p->has_t);
        ASSERT(p->exemplar.n == 0);
        ASSERT(memcmp(&k.value, &p->value, sizeof k.value) == 0);
    } else {
        ASSERT(k.at == p->raw.p);
    }
}

static void fuzz_body(enum expo_parse_form form, const uint8_t *data, size_t size)
{
    struct mem m;
    struct expo_parse p;
    struct err e;
    bool ok = true;
    mem_init(&m, 0);
    expo_parse_init(&p, form, str_of((const char *)data, size), &m);
    p.keep_classic = size % 2;
    p.ignore_native = size % 3 == 2;
    p.skip_created = size % 2;
    p.to_nhcb = size % 5 < 3;
    while ((ok = expo_parse_next(&p, &e)) && p.entry != EXPO_PARSE_END) {
        if (p.entry == EXPO_PARSE_SAMPLE || p.entry == EXPO_PARSE_HIST) {
            ASSERT(p.raw.n > 0);
            if (form != EXPO_PARSE_PROTOBUF && p.entry == EXPO_PARSE_SAMPLE) {
                fuzz_known(&p);
            }
            /* What was sent as a native histogram is the caller's to validate. */
            if (p.entry == EXPO_PARSE_HIST && (form != EXPO_PARSE_PROTOBUF || p.ignore_native)) {
                bool valid = nhist_validate(p.hist, &e);
                ASSERT(p.to_nhcb);
                ASSERT(p.hist->schema == NHIST_SCHEMA_CUSTOM);
                ASSERT(valid);
            }
            fuzz_sample(&p, &m);
        } else {
            ASSERT(str_is_utf8(p.family));
        }
    }
    ASSERT(ok || e.code == ERR_INPUT || e.code == ERR_LIMIT);
    expo_parse_release(&p);
    ASSERT(m.bytes == 0);
}

/* A number that is read can be written and read again. */
static void fuzz_words(struct str s)
{
    const enum expo_parse_form fallback = EXPO_PARSE_TEXT;
    enum expo_parse_form form = EXPO_PARSE_TEXT;
    double v = 0;
    double again = 0;
    struct err e = {0};
    bool ok = expo_parse_form_of(s, NULL, &form, &e) || e.code != ERR_NONE;
    ASSERT(ok);
    ok = expo_parse_form_of(s, &fallback, &form, &e);
    ASSERT(ok);
    if (!expo_parse_number(s, &v)) {
        return;
    }
    struct expo_number text = expo_format_number(v);
    ok = expo_parse_number(str_of(text.text, text.n), &again);
    ASSERT(ok);
    ASSERT((v >= 0 && v <= 0) || memcmp(&v, &again, sizeof v) == 0); /* -0 is written as 0.0 */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 16) {
        return 0;
    }
    switch (data[0]) {
    case 'o': fuzz_body(EXPO_PARSE_OPENMETRICS, data + 1, size - 1); break;
    case 'p': fuzz_body(EXPO_PARSE_PROTOBUF, data + 1, size - 1); break;
    case 'w': fuzz_words(str_of((const char *)data + 1, size - 1)); break;
    default: fuzz_body(EXPO_PARSE_TEXT, data + 1, size - 1); break;
    }
    return 0;
}
