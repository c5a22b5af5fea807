/* One JSON value into one member of a record: types, units, words, bounds.
 *
 * Exists apart from the walk over a line so that a constant of the configuration is checked and
 * applied by the very code that reads the lines. A failure says only what was expected; decode.c
 * adds the field, the place and the masked value.
 *
 * Numbers: amounts in reais become centavos by rounding x * 100 to the nearest integer, which is
 * exact for every amount below RECORD_AMOUNT_MAX that was written with two decimals (x has 53 bits,
 * the amount less than 50). Times as numbers are split into whole and fraction before scaling,
 * because seconds since 1970 times 1e9 do not fit a double's 53 bits. */
#include "ingest/ndjson/map_int.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/pii.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Earlier is a wrong unit (seconds read as nanoseconds), not an event of a system that began in
 * 2020. */
#define T_NS_MIN (946684800LL * NS_PER_S) /* 2000-01-01 */

static bool refuse(struct ndjson_issue *i, enum ndjson_reason reason, const char *expected)
{
    i->reason = reason;
    i->expected = expected;
    i->inner_col = 0;
    return false;
}

static void put(void *record, uint32_t offset, const void *value, size_t n)
{
    memcpy((char *)record + offset, value, n);
}

struct str ndjson_text_clean(struct str s, struct ndjson_counts *counts)
{
    if (pii_detect(s) != PII_NONE) {
        counts->drops[NDJSON_DROP_PII]++;
        return (struct str){NULL, 0};
    }
    if (s.n > RECORD_STR_MAX) {
        counts->drops[NDJSON_DROP_CUT]++;
        s.n = RECORD_STR_MAX;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xC0) == 0x80) {
            s.n--; /* not inside a character */
        }
    }
    return s;
}

static struct str text_of_number(const struct json_token *t, struct ndjson_texts *texts)
{
    if (texts->used == NDJSON_TEXTS) {
        return (struct str){NULL, 0};
    }
    char *p = texts->text[texts->used++];
    int n = t->kind == JSON_I64 ? snprintf(p, NDJSON_TEXT_BYTES, "%lld", (long long)t->v.i64)
            : t->kind == JSON_U64
                ? snprintf(p, NDJSON_TEXT_BYTES, "%llu", (unsigned long long)t->v.u64)
                : snprintf(p, NDJSON_TEXT_BYTES, "%.15g", t->v.f64);
    ASSERT(n > 0 && n < NDJSON_TEXT_BYTES);
    return str_of(p, (size_t)n);
}

struct str ndjson_value_text(const struct json_token *t, struct ndjson_counts *counts,
                             struct ndjson_texts *texts)
{
    switch (t->kind) {
    case JSON_STR: return ndjson_text_clean(t->v.str, counts);
    case JSON_TRUE: return STR("true");
    case JSON_FALSE: return STR("false");
    case JSON_I64:
    case JSON_U64:
    case JSON_F64: return ndjson_text_clean(text_of_number(t, texts), counts);
    case JSON_OBJECT:
    case JSON_ARRAY: counts->drops[NDJSON_DROP_KIND]++; break;
    case JSON_NULL: break;
    }
    return (struct str){NULL, 0};
}

/* A whole number: an integer, or a double without a fraction that int64 holds exactly. */
static bool whole(const struct json_token *t, int64_t *out)
{
    if (t->kind == JSON_I64) {
        *out = t->v.i64;
        return true;
    }
    if (t->kind == JSON_F64 && fabs(t->v.f64) <= 9007199254740992.0 &&
        t->v.f64 == trunc(t->v.f64)) {
        *out = (int64_t)t->v.f64;
        return true;
    }
    return false;
}

static int64_t unit_ns(enum ndjson_unit unit)
{
    switch (unit) {
    case NDJSON_U_US: return NS_PER_US;
    case NDJSON_U_MS: return NS_PER_MS;
    case NDJSON_U_S: return NS_PER_S;
    case NDJSON_U_DEFAULT:
    case NDJSON_U_NS:
    case NDJSON_U_CENTAVOS:
    case NDJSON_U_REAIS: break;
    }
    return 1;
}

bool ndjson_span_ns(const struct json_token *t, enum ndjson_unit unit, int64_t *ns)
{
    int64_t scale = unit_ns(unit);
    int64_t i;
    if (whole(t, &i)) {
        return !__builtin_mul_overflow(i, scale, ns);
    }
    if (t->kind != JSON_F64 || !(fabs(t->v.f64) < 9e18 / (double)scale)) {
        return false;
    }
    double units = floor(t->v.f64);
    double rest = (t->v.f64 - units) * (double)scale;
    return !__builtin_mul_overflow((int64_t)units, scale, &i) &&
           !__builtin_add_overflow(i, (int64_t)llround(rest), ns);
}

static bool put_time(const struct ndjson_binding *b, const struct json_token *t, void *record,
                     struct ndjson_issue *issue)
{
    int64_t ns;
    if (t->kind == JSON_STR) {
        if (!time_parse(t->v.str, &ns)) {
            return refuse(issue, NDJSON_TIME, "an RFC 3339 time such as 2026-11-23T13:45:41.120Z");
        }
    } else if (!json_is_number(t)) {
        return refuse(issue, NDJSON_TYPE, "a time: RFC 3339 text or a number");
    } else if (!ndjson_span_ns(t, b->unit, &ns)) {
        return refuse(issue, NDJSON_TIME, "a time from 2000 to 2199 (is the unit right?)");
    }
    if (ns < T_NS_MIN || ns >= RECORD_T_NS_MAX) {
        return refuse(issue, NDJSON_TIME, "a time from 2000 to 2199 (is the unit right?)");
    }
    put(record, b->field->offset, &ns, sizeof ns);
    return true;
}

static bool put_unit(const struct ndjson_binding *b, const struct json_token *t, void *record,
                     struct ndjson_issue *issue)
{
    if (!json_is_number(t)) {
        return refuse(issue, NDJSON_TYPE, "a number from 0 to 1");
    }
    double v = json_as_f64(t);
    if (!(v >= 0 && v <= 1)) {
        return refuse(issue, NDJSON_RANGE, "a number from 0 to 1");
    }
    put(record, b->field->offset, &v, sizeof v);
    return true;
}

/* Text for a look-up among `values:`, where keys are text but the JSON may hold 1, 0 or true. */
static struct str word_text(const struct ndjson_binding *b, const struct json_token *t,
                            struct ndjson_texts *texts)
{
    struct json_token whole_number = {.kind = JSON_I64};
    if (t->kind == JSON_STR) {
        return t->v.str;
    }
    if (!b->mapped_words) {
        return (struct str){NULL, 0};
    }
    if (t->kind == JSON_TRUE || t->kind == JSON_FALSE) {
        return t->kind == JSON_TRUE ? STR("true") : STR("false");
    }
    if (whole(t, &whole_number.v.i64)) {
        return text_of_number(&whole_number, texts);
    }
    return (struct str){NULL, 0};
}

static bool put_word(const struct ndjson_binding *b, const struct json_token *t, void *record,
                     struct ndjson_texts *texts, struct ndjson_issue *issue)
{
    uint32_t mark = texts->used;
    struct str text = word_text(b, t, texts);
    texts->used = mark; /* only looked at here */
    uint32_t code;
    if (!ndjson_word_code(b->words, text, &code)) {
        return refuse(issue, t->kind == JSON_STR || b->mapped_words ? NDJSON_WORD : NDJSON_TYPE,
                      NULL);
    }
    put(record, b->field->offset, &code, sizeof code);
    return true;
}

/* A source that is not one of ours is "other" and keeps its own name: banks have sources of their
 * own. */
static bool put_source(const struct ndjson_binding *b, const struct json_token *t,
                       struct fraud_label *label, struct ndjson_counts *counts,
                       struct ndjson_texts *texts, struct ndjson_issue *issue)
{
    if (t->kind == JSON_OBJECT || t->kind == JSON_ARRAY) {
        return refuse(issue, NDJSON_TYPE, "a word");
    }
    struct str text = ndjson_value_text(t, counts, texts);
    uint32_t code = SOURCE_OTHER;
    label->source_name = text;
    if (ndjson_word_code(b->words, text, &code)) {
        label->source = (enum label_source)code;
    } else {
        label->source = SOURCE_OTHER;
    }
    return true;
}

static bool put_money(const struct ndjson_binding *b, const struct json_token *t, void *record,
                      struct ndjson_issue *issue)
{
    const char *expected = b->unit == NDJSON_U_REAIS ? "an amount in reais from 0 to 10 trillion"
                                                     : "a whole number of centavos from 0";
    int64_t centavos;
    double reais;
    struct json_token n = *t;
    if (t->kind == JSON_STR) { /* decimals often travel as text, so that nobody rounds them */
        if (str_to_i64(t->v.str, &n.v.i64)) {
            n.kind = JSON_I64;
        } else if (str_to_f64(t->v.str, &n.v.f64)) {
            n.kind = JSON_F64;
        }
    }
    if (!json_is_number(&n)) {
        return refuse(issue, NDJSON_TYPE, expected);
    }
    if (b->unit == NDJSON_U_REAIS) {
        reais = json_as_f64(&n);
        if (!(reais >= 0 && reais <= (double)RECORD_AMOUNT_MAX / 100)) {
            return refuse(issue, NDJSON_RANGE, expected);
        }
        centavos = llround(reais * 100);
    } else if (!whole(&n, &centavos)) {
        return refuse(issue, n.kind == JSON_U64 ? NDJSON_RANGE : NDJSON_TYPE, expected);
    }
    if (centavos < 0 || centavos > RECORD_AMOUNT_MAX) {
        return refuse(issue, NDJSON_RANGE, expected);
    }
    put(record, b->field->offset, &centavos, sizeof centavos);
    return true;
}

static bool put_integer(const struct ndjson_binding *b, const struct json_token *t, void *record,
                        struct ndjson_issue *issue)
{
    const struct ndjson_field *f = b->field;
    const char *expected = f->type == NDJSON_T_SPAN  ? "a time span below 115 days"
                           : f->type == NDJSON_T_U32 ? "a whole number from 1"
                           : f->type == NDJSON_T_I32 ? "a whole number from 0"
                                                     : "microseconds, at most 11 days";
    int64_t v;
    bool ok = f->type == NDJSON_T_SPAN ? ndjson_span_ns(t, b->unit, &v) : whole(t, &v);
    if (!ok) {
        return refuse(issue, json_is_number(t) ? NDJSON_RANGE : NDJSON_TYPE, expected);
    }
    if (v < f->min || v > f->max) {
        return refuse(issue, NDJSON_RANGE, expected);
    }
    if (f->type == NDJSON_T_U32) {
        uint32_t u = (uint32_t)v;
        put(record, f->offset, &u, sizeof u);
    } else if (f->type == NDJSON_T_I32) {
        int32_t i = (int32_t)v;
        put(record, f->offset, &i, sizeof i);
    } else {
        put(record, f->offset, &v, sizeof v);
    }
    return true;
}

static bool put_text(const struct ndjson_binding *b, const struct json_token *t, void *record,
                     struct ndjson_counts *counts, struct ndjson_texts *texts,
                     struct ndjson_issue *issue)
{
    if (t->kind == JSON_OBJECT || t->kind == JSON_ARRAY) {
        return refuse(issue, NDJSON_TYPE, "a text");
    }
    struct str s = ndjson_value_text(t, counts, texts);
    put(record, b->field->offset, &s, sizeof s);
    return true;
}

static bool put_id(const struct ndjson_binding *b, const struct json_token *t, void *record,
                   struct ndjson_issue *issue)
{
    struct e2e id;
    if (t->kind != JSON_STR) {
        return refuse(issue, NDJSON_TYPE, "an EndToEndId of 32 characters");
    }
    if (!e2e_parse(t->v.str, &id, &issue->inner)) {
        refuse(issue, NDJSON_E2E_ID, issue->inner.msg);
        issue->inner_col = issue->inner.col;
        return false;
    }
    put(record, b->field->offset, &id, sizeof id);
    return true;
}

bool ndjson_value_put(const struct ndjson_binding *b, const struct json_token *t, void *record,
                      struct ndjson_counts *counts, struct ndjson_texts *texts,
                      struct ndjson_issue *issue)
{
    switch (b->field->type) {
    case NDJSON_T_E2E: return put_id(b, t, record, issue);
    case NDJSON_T_TIME: return put_time(b, t, record, issue);
    case NDJSON_T_UNIT: return put_unit(b, t, record, issue);
    case NDJSON_T_WORD: return put_word(b, t, record, texts, issue);
    case NDJSON_T_SOURCE: return put_source(b, t, record, counts, texts, issue);
    case NDJSON_T_STR: return put_text(b, t, record, counts, texts, issue);
    case NDJSON_T_MONEY: return put_money(b, t, record, issue);
    case NDJSON_T_SPAN:
    case NDJSON_T_I64:
    case NDJSON_T_U32:
    case NDJSON_T_I32: return put_integer(b, t, record, issue);
    case NDJSON_T_NAME:
    case NDJSON_T_LATENCY: break; /* need the batch's names: decode.c */
    }
    return refuse(issue, NDJSON_TYPE, "a value of another type");
}

void ndjson_expected_words(const struct ndjson_binding *b, struct buf *out)
{
    BUF_LIT(out, "one of ");
    for (uint32_t i = 0; i < b->words.count; i++) {
        buf_str_add(out, i > 0 ? STR(", ") : STR(""));
        buf_str_add(out, str_sub(b->words.v[i].text, 0, 24));
        if (out->n > 90 && i + 1 < b->words.count) {
            BUF_LIT(out, ", ...");
            return;
        }
    }
}
