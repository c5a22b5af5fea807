/* Which format does a scraper want? Accept by RFC 9110 section 12.5.1: the highest q wins, between
 * equals the more specific range, and between equals of that the old text format, which everybody
 * reads.
 *
 *   application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,* / *;q=0.1
 *
 * A range with a version that we do not write does not match. Damaged elements are skipped. */
#include "codec/expo.h"

struct wish {
    uint32_t q; /* thousandths; 0 = not acceptable */
    uint32_t specific;
};

/* "1", "0.5", "0.123" in thousandths; RFC 9110 allows three digits, more are cut. */
static bool parse_q(struct str s, uint32_t *q)
{
    if (s.n == 0 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.')) {
        return false;
    }
    uint32_t v = s.p[0] == '1' ? 1000 : 0;
    uint32_t unit = 100;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        v += unit * (uint32_t)(s.p[i] - '0');
    }
    *q = v > 1000 ? 1000 : v;
    return true;
}

static struct str unquoted(struct str s)
{
    bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    return quoted ? str_of(s.p + 1, s.n - 2) : s;
}

/* Reads parameters; false when the element is damaged. *version is empty when none is given. */
static bool parse_params(struct str params, uint32_t *q, struct str *version)
{
    *q = 1000;
    *version = str_of("", 0);
    while (params.n > 0) {
        struct str_cut param = str_cut(params, ';');
        struct str_cut pair = str_cut(param.head, '=');
        struct str name = str_trim(pair.head);
        struct str value = unquoted(str_trim(pair.tail));
        if (str_eq_nocase(name, STR("q"))) {
            if (!parse_q(value, q)) {
                return false;
            }
        } else if (str_eq_nocase(name, STR("version"))) {
            *version = value;
        }
        params = param.tail;
    }
    return true;
}

static void prefer(struct wish *w, uint32_t q, uint32_t specific)
{
    /* The most specific range that matches decides, even when it says a lower q. */
    if (specific > w->specific || (specific == w->specific && q > w->q)) {
        *w = (struct wish){q, specific};
    }
}

enum expo_format expo_negotiate(struct str accept)
{
    struct wish text = {0, 0};
    struct wish open = {0, 0};
    while (accept.n > 0) {
        struct str_cut element = str_cut(accept, ',');
        struct str_cut range = str_cut(element.head, ';');
        struct str type = str_trim(range.head);
        uint32_t q = 0;
        struct str version;
        accept = element.tail;
        if (!parse_params(range.tail, &q, &version)) {
            continue;
        }
        if (str_eq_nocase(type, STR("application/openmetrics-text"))) {
            if (version.n == 0 || str_eq(version, STR("1.0.0"))) {
                prefer(&open, q, version.n ? 4 : 3);
            }
        } else if (str_eq_nocase(type, STR("text/plain"))) {
            if (version.n == 0 || str_eq(version, STR("0.0.4"))) {
                prefer(&text, q, version.n ? 4 : 3);
            }
        } else if (str_eq_nocase(type, STR("text/*"))) {
            prefer(&text, q, 2);
        } else if (str_eq(type, STR("*/*"))) {
            prefer(&text, q, 1);
        }
    }
    bool better = open.q > text.q || (open.q == text.q && open.specific > text.specific);
    return open.q > 0 && better ? EXPO_OPENMETRICS_1_0_0 : EXPO_TEXT_0_0_4;
}

struct str expo_content_type(enum expo_format f)
{
    return f == EXPO_OPENMETRICS_1_0_0
               ? STR("application/openmetrics-text; version=1.0.0; charset=utf-8")
               : STR("text/plain; version=0.0.4; charset=utf-8");
}
