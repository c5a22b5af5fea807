/* The two headers that decide which bytes go out. Browsers and curl write simple ones; the rest of
 * the grammar is here because a proxy in between may not.
 *
 *   Accept-Encoding: br;q=1.0, gzip;q=0.8, *;q=0      If-None-Match: "a", W/"b"   or   *
 *
 * A coding that is not named has the weight of "*"; identity (plain) is allowed unless it or "*" is
 * refused. Source: RFC 9110 sections 8.8.3, 12.4.2, 12.5.3, 13.1.2. */
#include "server/web/web_int.h"

static const struct str names[WEB_CODINGS] = {STR_INIT("identity"), STR_INIT("gzip"),
                                              STR_INIT("br")};

/* Weight 0..1 of "name;q=0.5"; 1 when none is written, 0 when it is no number. */
static double weight_of(struct str params)
{
    while (params.n > 0) {
        struct str_cut one = str_cut(params, ';');
        struct str p = str_trim(one.head);
        double q = 0;
        if (p.n >= 2 && (p.p[0] == 'q' || p.p[0] == 'Q') && p.p[1] == '=') {
            return str_to_f64(str_sub(p, 2, p.n), &q) && q > 0 && q <= 1 ? q : 0;
        }
        params = one.tail;
    }
    return 1;
}

enum web_coding web_coding_choose(struct str accept, unsigned have)
{
    double weight[WEB_CODINGS] = {-1, -1, -1}; /* below 0: not named */
    double any = -1;
    while (accept.n > 0) {
        struct str_cut one = str_cut(accept, ',');
        struct str_cut coding = str_cut(one.head, ';');
        struct str name = str_trim(coding.head);
        double q = weight_of(coding.tail);
        for (int i = 0; i < WEB_CODINGS; i++) {
            if (str_eq_nocase(name, names[i])) {
                weight[i] = q;
            }
        }
        weight[WEB_GZIP] = str_eq_nocase(name, STR("x-gzip")) ? q : weight[WEB_GZIP];
        any = str_eq(name, STR("*")) ? q : any;
        accept = one.tail;
    }
    enum web_coding best = WEB_CODINGS;
    double most = 0;
    for (int i = WEB_CODINGS - 1; i >= 0; i--) {
        bool plain = i == WEB_PLAIN;
        double q = weight[i] >= 0 ? weight[i] : any >= 0 ? any : plain ? 1e-9 : 0;
        if ((have >> i & 1) != 0 && q > most) {
            most = q;
            best = (enum web_coding)i;
        }
    }
    return best;
}

bool web_tag_matches(struct str if_none_match, struct str tag)
{
    struct str rest = str_trim(if_none_match);
    if (str_eq(rest, STR("*"))) {
        return true;
    }
    while (rest.n > 0) {
        struct str_cut one = str_cut(rest, ',');
        struct str t = str_trim(one.head);
        if (str_starts(t, STR("W/"))) {
            t = str_sub(t, 2, t.n);
        }
        if (str_eq(t, tag)) {
            return true;
        }
        rest = one.tail;
    }
    return false;
}
