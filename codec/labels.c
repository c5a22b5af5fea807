/* Label sets: normal form, order, hash and canonical text.
 *
 * The text is that of Prometheus' labels.String(): {name="value", ...} in order of names, a name
 * that is not legacy in quotes, quoting as Go's strconv.Quote does.
 *
 * Invariant: after labels_normalize names strictly ascend and no value is empty, which is what
 * every other function here relies on.
 *
 * Sources: prometheus/model/labels (labels_common.go), Go's strconv.Quote and its documentation. */
#include "codec/labels.h"

#include "base/hash.h"

static bool label_check(struct label l, struct err *e)
{
    if (l.name.n == 0) {
        return err_set(e, ERR_INPUT, "a label has an empty name");
    }
    if (l.name.n > LABEL_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "a label name has %zu bytes, at most %d", l.name.n,
                       LABEL_BYTES_MAX);
    }
    if (l.value.n > LABEL_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "the value of label '%.*s' has %zu bytes, at most %d",
                       STR_FMT(str_sub(l.name, 0, 64)), l.value.n, LABEL_BYTES_MAX);
    }
    if (!str_is_utf8(l.name)) {
        return err_set(e, ERR_INPUT, "a label name is not valid UTF-8");
    }
    if (!str_is_utf8(l.value)) {
        return err_set(e, ERR_INPUT, "the value of label '%.*s' is not valid UTF-8",
                       STR_FMT(str_sub(l.name, 0, 64)));
    }
    return true;
}

bool labels_normalize(struct label *v, uint32_t *n, struct err *e)
{
    if (*n > LABELS_COUNT_MAX) {
        return err_set(e, ERR_LIMIT, "%u labels, at most %d", *n, LABELS_COUNT_MAX);
    }
    /* Senders sort, so one comparison per label is the rule; insertion copes with the rest. */
    for (uint32_t i = 0; i < *n; i++) {
        if (!label_check(v[i], e)) {
            return false;
        }
        struct label l = v[i];
        uint32_t j = i;
        for (; j > 0; j--) {
            int c = str_cmp(v[j - 1].name, l.name);
            if (c == 0) {
                return err_set(e, ERR_INPUT, "label '%.*s' is given twice",
                               STR_FMT(str_sub(l.name, 0, 64)));
            }
            if (c < 0) {
                break;
            }
            v[j] = v[j - 1];
        }
        v[j] = l;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *n; i++) {
        if (v[i].value.n > 0) {
            v[kept++] = v[i];
        }
    }
    *n = kept;
    return true;
}

struct str labels_get(struct labels l, struct str name)
{
    for (uint32_t i = 0; i < l.n; i++) {
        if (str_eq(l.v[i].name, name)) {
            return l.v[i].value;
        }
    }
    return (struct str){NULL, 0};
}

int labels_cmp(struct labels a, struct labels b)
{
    for (uint32_t i = 0; i < a.n && i < b.n; i++) {
        int c = str_cmp(a.v[i].name, b.v[i].name);
        if (c == 0) {
            c = str_cmp(a.v[i].value, b.v[i].value);
        }
        if (c != 0) {
            return c;
        }
    }
    return (a.n > b.n) - (a.n < b.n);
}

bool labels_eq(struct labels a, struct labels b)
{
    if (a.n != b.n) {
        return false;
    }
    for (uint32_t i = 0; i < a.n; i++) {
        if (!str_eq(a.v[i].name, b.v[i].name) || !str_eq(a.v[i].value, b.v[i].value)) {
            return false;
        }
    }
    return true;
}

uint64_t labels_hash(struct labels l)
{
    /* Each text is hashed with the sum so far as its seed: no separator can be forged. */
    uint64_t h = l.n;
    for (uint32_t i = 0; i < l.n; i++) {
        h = hash64_seed(l.v[i].value, hash64_seed(l.v[i].name, h));
    }
    return h;
}

bool labels_copy(struct labels l, struct arena *a, struct labels *out, struct err *e)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < l.n; i++) {
        bytes += l.v[i].name.n + l.v[i].value.n;
    }
    struct label *v = ARENA_ARRAY(a, struct label, size_max(l.n, 1));
    char *text = v != NULL ? arena_take(a, size_max(bytes, 1), 1) : NULL;
    if (text == NULL) {
        return err_set(e, ERR_LIMIT, "no memory for a copy of %u labels", l.n);
    }
    for (uint32_t i = 0; i < l.n; i++) {
        struct str from[2] = {l.v[i].name, l.v[i].value};
        struct str to[2];
        for (int k = 0; k < 2; k++) {
            if (from[k].n > 0) {
                memcpy(text, from[k].p, from[k].n);
            }
            to[k] = str_of(text, from[k].n);
            text += from[k].n;
        }
        v[i] = (struct label){.name = to[0], .value = to[1]};
    }
    *out = (struct labels){.v = v, .n = l.n};
    return true;
}

/* One character of well-formed UTF-8, or a byte that is none: *bytes = 0 then. */
static uint32_t rune_at(struct str s, size_t at, size_t *bytes)
{
    const unsigned char *p = (const unsigned char *)s.p + at;
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    *bytes = s.n - at >= n && str_is_utf8(str_of(s.p + at, n)) ? n : 0;
    if (*bytes <= 1) {
        return p[0];
    }
    uint32_t rune = p[0] & (0xFFU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        rune = rune << 6 | (p[i] & 0x3FU);
    }
    return rune;
}

/* What Go does not print as it is, above ASCII: controls, separators, format characters, private
 * use and noncharacters. Unassigned code points are not listed: which they are changes every year
 * and none is in a label that a person wrote. */
static bool rune_is_hidden(uint32_t r)
{
    static const struct {
        uint32_t from, to;
    } hidden[] = {
        {0x7F, 0xA0},     {0xAD, 0xAD},       {0x0600, 0x0605},   {0x061C, 0x061C},
        {0x06DD, 0x06DD}, {0x070F, 0x070F},   {0x1680, 0x1680},   {0x180E, 0x180E},
        {0x2000, 0x200F}, {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},
        {0xE000, 0xF8FF}, {0xFDD0, 0xFDEF},   {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB},
        {0xFFFE, 0xFFFF}, {0x1FFFE, 0x1FFFF}, {0xE0000, 0xE00FF}, {0xF0000, 0x10FFFF},
    };
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        if (r >= hidden[i].from && r <= hidden[i].to) {
            return true;
        }
    }
    return r < 0x20;
}

static char escape_letter(uint32_t r)
{
    static const char from[] = "\a\b\f\n\r\t\v\\\"";
    static const char to[] = "abfnrtv\\\"";
    const char *hit = r < 0x80 && r != 0 ? memchr(from, (int)r, sizeof from - 1) : NULL;
    return hit != NULL ? to[hit - from] : '\0';
}

static void quote(struct str s, struct buf *out)
{
    buf_char(out, '"');
    size_t plain = 0; /* start of bytes not yet written */
    size_t bytes;
    for (size_t i = 0; i < s.n; i += size_max(bytes, 1)) {
        uint32_t r = rune_at(s, i, &bytes);
        char letter = escape_letter(r);
        if (letter == '\0' && bytes > 0 && !rune_is_hidden(r)) {
            continue;
        }
        buf_str_add(out, str_of(s.p + plain, i - plain));
        plain = i + size_max(bytes, 1);
        if (letter != '\0') {
            buf_char(out, '\\');
            buf_char(out, letter);
        } else if (bytes <= 1) {
            buf_fmt(out, "\\x%02x", r);
        } else {
            buf_fmt(out, r > 0xFFFF ? "\\U%08x" : "\\u%04x", r);
        }
    }
    buf_str_add(out, str_of(s.n > 0 ? s.p + plain : NULL, s.n - plain));
    buf_char(out, '"');
}

void labels_print(struct labels l, struct buf *out)
{
    buf_char(out, '{');
    for (uint32_t i = 0; i < l.n; i++) {
        if (i > 0) {
            BUF_LIT(out, ", ");
        }
        if (label_is_legacy_name(l.v[i].name)) {
            buf_str_add(out, l.v[i].name);
        } else {
            quote(l.v[i].name, out);
        }
        buf_char(out, '=');
        quote(l.v[i].value, out);
    }
    buf_char(out, '}');
}

static bool is_legacy(struct str s, bool colon)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                    (colon && c == ':') || (i > 0 && c >= '0' && c <= '9');
        if (!word) {
            return false;
        }
    }
    return s.n > 0;
}

bool label_is_legacy_metric(struct str s)
{
    return is_legacy(s, true);
}

bool label_is_legacy_name(struct str s)
{
    return is_legacy(s, false);
}
