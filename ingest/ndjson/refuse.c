/* What a sender is told about a refused line: the field, what was expected, what was found, the
 * column.
 *
 * The slow path: the line is read once more to find the column. Values are shown by pii_mask only.
 * */
#include "ingest/ndjson/decode_int.h"

#include "base/pii.h"

#include <stdio.h>

void ndjson_count_refused(struct ndjson_decoder *d, enum record_kind k, enum ndjson_reason why)
{
    d->reason = why;
    d->counts.rejected[k]++;
    d->counts.reasons[why]++;
}

void ndjson_show_value(struct buf *b, const struct json_token *t)
{
    char text[32];
    switch (t->kind) {
    case JSON_NULL: BUF_LIT(b, "null"); return;
    case JSON_FALSE: BUF_LIT(b, "false"); return;
    case JSON_TRUE: BUF_LIT(b, "true"); return;
    case JSON_OBJECT: BUF_LIT(b, "an object"); return;
    case JSON_ARRAY: BUF_LIT(b, "a list"); return;
    case JSON_STR:
        buf_char(b, '"');
        pii_mask(b, t->v.str);
        buf_char(b, '"');
        return;
    case JSON_I64: snprintf(text, sizeof text, "%lld", (long long)t->v.i64); break;
    case JSON_U64: snprintf(text, sizeof text, "%llu", (unsigned long long)t->v.u64); break;
    case JSON_F64: snprintf(text, sizeof text, "%.15g", t->v.f64); break;
    }
    pii_mask(b, str_from_c(text));
}

bool ndjson_refuse(struct ndjson_decoder *d, enum record_kind k, enum ndjson_reason why,
                   uint32_t col, struct err *e)
{
    ndjson_count_refused(d, k, why);
    return err_at(e, ERR_INPUT, 0, col, "%.*s", STR_FMT(buf_str(&d->message)));
}

void ndjson_message_begin(struct ndjson_decoder *d, enum record_kind k, struct str field,
                          struct str path)
{
    buf_reset(&d->message);
    buf_str_add(&d->message, ndjson_kind_text(k));
    buf_char(&d->message, '.');
    buf_str_add(&d->message, field);
    if (path.n > 0 && !str_eq(path, field)) {
        BUF_LIT(&d->message, " (");
        buf_str_add(&d->message, str_sub(path, 0, 64));
        buf_char(&d->message, ')');
    }
}

bool ndjson_refuse_value(struct ndjson_decoder *d, enum record_kind k,
                         const struct ndjson_binding *b, struct str path,
                         const struct json_token *t, const struct ndjson_issue *issue,
                         struct err *e)
{
    struct buf *m = &d->message;
    ndjson_message_begin(d, k, b->field->name, path);
    if (issue->reason == NDJSON_E2E_ID) {
        BUF_LIT(m, ": not an EndToEndId: ");
        buf_str_add(m, str_from_c(issue->expected));
    } else {
        BUF_LIT(m, ": expected ");
        if (issue->expected != NULL) {
            buf_str_add(m, str_from_c(issue->expected));
        } else {
            ndjson_expected_words(b, m);
        }
        BUF_LIT(m, ", found ");
        ndjson_show_value(m, t);
    }
    /* The place inside a text counts from its opening quote. */
    uint32_t col = json_locate(d->line, path);
    return ndjson_refuse(d, k, issue->reason, col > 0 ? col + issue->inner_col : 0, e);
}

bool ndjson_refuse_missing(struct ndjson_decoder *d, enum record_kind k,
                           const struct ndjson_binding *b, struct err *e)
{
    ndjson_message_begin(d, k, b->field->name, b->path);
    BUF_LIT(&d->message, ": missing, and it is required");
    if (b->field->unless_fallback) {
        BUF_LIT(&d->message, " when fallback is none");
    }
    return ndjson_refuse(d, k, NDJSON_MISSING, 1, e);
}
