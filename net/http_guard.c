/* The framing guard: a request whose end two readers could see in two places gets one 400.
 *
 * libmicrohttpd 0.9.75 takes Content-Length beside Transfer-Encoding, repeated lengths, folded
 * headers and bare line feeds, even when told to be strict; behind a proxy that reads them
 * otherwise, that is request smuggling (RFC 9112 sections 5.2, 6.1, 6.3, 11.2). This runs before
 * anything else is looked at.
 *
 * Folds and bare line feeds leave no value to look at, but they leave a trace: the library parses
 * in place, so in a clean message each value starts right behind its name and each name two bytes
 * (CR LF) behind the previous value. A folded value has been moved; a bare LF leaves a gap of one.
 *
 *   Host\0 localhost\0\0Content-Length\0 5\0\0
 *
 * The rule on gaps is applied where the two headers lie in one piece, which the library's buffer
 * does by construction; what cannot be told apart (the last line's end) is left to the library. */
#include "net/http_int.h"

#define COLON_GAP_MAX 256 /* white space behind the colon */

struct headers {
    uint32_t count, content_length, transfer_encoding, host;
    size_t bytes;
    struct str length, encoding;
    const char *previous_end; /* behind the last value seen; NULL at first */
    bool folded, bare_lf, too_many;
};

/* Where the value must start: behind the name's NUL and white space. */
static bool value_in_place(const char *key, size_t key_n, const char *value)
{
    const char *from = key + key_n + 1;
    if (!value || value < from || value > from + COLON_GAP_MAX) {
        return !value;
    }
    for (const char *p = from; p < value; p++) {
        if (*p != ' ' && *p != '\t' && *p != '\0') {
            return false;
        }
    }
    return true;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_n,
                                 const char *value, size_t value_n)
{
    (void)kind;
    struct headers *h = cls;
    struct str name = str_of(key, key_n);
    struct str text = str_of(value, value_n);
    h->count++;
    h->bytes += key_n + value_n + 4;
    h->too_many = h->count > HTTP_HEADERS_MAX;
    h->folded = h->folded || !value_in_place(key, key_n, value);
    if (h->previous_end && key > h->previous_end && key < h->previous_end + 2) {
        h->bare_lf = true;
    }
    h->previous_end = value ? value + value_n : NULL;
    if (str_eq_nocase(name, STR("content-length"))) {
        h->content_length++;
        h->length = text;
    } else if (str_eq_nocase(name, STR("transfer-encoding"))) {
        h->transfer_encoding++;
        h->encoding = text;
    } else if (str_eq_nocase(name, STR("host"))) {
        h->host++;
    }
    return h->too_many ? MHD_NO : MHD_YES;
}

static const char *framing_fault(const struct headers *h)
{
    uint64_t length = 0;
    if (h->folded) {
        return "a header is folded over two lines";
    }
    if (h->bare_lf) {
        return "a header line does not end in CR LF";
    }
    if (h->host != 1) {
        return h->host ? "more than one Host" : "no Host";
    }
    if (h->content_length > 0 && h->transfer_encoding > 0) {
        return "Content-Length beside Transfer-Encoding";
    }
    if (h->content_length > 1 || h->transfer_encoding > 1) {
        return "more than one Content-Length or Transfer-Encoding";
    }
    /* 2^64 - 1 is how the library says "not known": it would read such a body until the end. */
    if (h->content_length == 1 && (!str_to_u64(h->length, &length) || length == UINT64_MAX)) {
        return "Content-Length is not a number, or too large a one";
    }
    if (h->transfer_encoding == 1 && !str_eq_nocase(h->encoding, STR("chunked"))) {
        return "Transfer-Encoding is not chunked";
    }
    return NULL;
}

bool http_guard_check(struct MHD_Connection *conn, size_t request_bytes_max, int *status,
                      const char **why)
{
    struct headers h = {0};
    MHD_get_connection_values_n(conn, MHD_HEADER_KIND, on_header, &h);
    if (h.too_many || h.bytes > request_bytes_max) {
        *status = MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
        *why = "too many or too large headers";
        return false;
    }
    *status = MHD_HTTP_BAD_REQUEST;
    *why = framing_fault(&h);
    return *why == NULL;
}

uint64_t http_guard_body_bytes(struct MHD_Connection *conn)
{
    if (MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
        return UINT64_MAX;
    }
    uint64_t bytes = 0;
    const char *v =
        MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return v && str_to_u64(str_from_c(v), &bytes) ? bytes : 0;
}
