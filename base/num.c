/* Numbers, shares, money and counts as text for people, in one style for the whole program: what
 * the board, the sentences of the pillars and the commands show must agree to the last space.
 *
 * Digits are made by hand: the C library's %' grouping and decimal point follow a process-wide
 * locale, and a program that sets it changes how it prints JSON. */
#include "base/num.h"

#include <math.h>
#include <stdlib.h>

/* Above this a double has no digits after the point left, and int64 still holds it times a million.
 */
#define NUM_LIMIT 9e12

static const double powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};

void num_u64(struct buf *out, enum lang lang, uint64_t v)
{
    char digits[32];
    size_t n = 0;
    do {
        if (n % 4 == 3) {
            digits[n++] = lang == LANG_PT ? '.' : ',';
        }
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n > 0) {
        buf_char(out, digits[--n]);
    }
}

void num_f64(struct buf *out, enum lang lang, double v, int decimals)
{
    ASSERT(decimals >= 0 && decimals <= 6);
    if (!isfinite(v)) {
        buf_char(out, '-');
        return;
    }
    if (fabs(v) > NUM_LIMIT) {
        buf_f64(out, v);
        return;
    }
    uint64_t scaled = (uint64_t)llround(fabs(v) * powers[decimals]);
    uint64_t unit = (uint64_t)powers[decimals];
    if (v < 0 && scaled > 0) {
        buf_char(out, '-');
    }
    num_u64(out, lang, scaled / unit);
    if (decimals > 0) {
        buf_char(out, lang == LANG_PT ? ',' : '.');
        uint64_t rest = scaled % unit;
        for (uint64_t u = unit / 10; u > 0; u /= 10) {
            buf_char(out, (char)('0' + rest / u % 10));
        }
    }
}

/* v / 10^k with the word for it. Decimals so that about three digits are seen. */
static void add_scaled(struct buf *out, enum lang lang, double v)
{
    static const struct {
        double from;
        const char *word[LANGS];
    } scales[] = {
        {1e12, {" tri", "T"}}, {1e9, {" bi", "B"}}, {1e6, {" mi", "M"}}, {1e3, {" mil", "k"}}};
    for (size_t i = 0; i < ARRAY_LEN(scales); i++) {
        /* 999,950 would print as "1.000,0 mil": the next unit starts where rounding reaches it. */
        if (fabs(v) >= scales[i].from * 0.99995) {
            num_f64(out, lang, v / scales[i].from, 1);
            buf_str_add(out, str_from_c(scales[i].word[lang]));
            return;
        }
    }
    num_f64(out, lang, v, 0);
}

void num_short(struct buf *out, enum lang lang, double v)
{
    double a = fabs(v);
    if (!isfinite(v) || a >= 9999.5) {
        isfinite(v) ? add_scaled(out, lang, v) : buf_char(out, '-');
    } else if (a >= 99.5 || v == round(v)) {
        num_f64(out, lang, v, 0);
    } else {
        num_f64(out, lang, v, a >= 0.995 ? 1 : 2);
    }
}

void num_percent(struct buf *out, enum lang lang, double share, int decimals)
{
    num_f64(out, lang, share * 100, decimals);
    if (isfinite(share)) {
        buf_char(out, '%');
    }
}

static void add_currency(struct buf *out, enum lang lang)
{
    buf_str_add(out, lang == LANG_PT ? STR("R$ ") : STR("R$"));
}

void num_brl(struct buf *out, enum lang lang, double reais)
{
    if (!isfinite(reais)) {
        buf_char(out, '-');
        return;
    }
    if (reais < 0) {
        buf_char(out, '-');
        reais = -reais;
    }
    add_currency(out, lang);
    if (reais < 9999.995) {
        num_f64(out, lang, reais, 2);
    } else {
        add_scaled(out, lang, reais);
    }
}

void num_centavos(struct buf *out, enum lang lang, int64_t centavos)
{
    uint64_t v = centavos < 0 ? 0 - (uint64_t)centavos : (uint64_t)centavos;
    if (centavos < 0) {
        buf_char(out, '-');
    }
    add_currency(out, lang);
    num_u64(out, lang, v / 100);
    buf_char(out, lang == LANG_PT ? ',' : '.');
    buf_char(out, (char)('0' + v / 10 % 10));
    buf_char(out, (char)('0' + v % 10));
}

void num_ms(struct buf *out, enum lang lang, double ms)
{
    if (!isfinite(ms)) {
        buf_char(out, '-');
    } else if (ms >= 999.5) {
        num_f64(out, lang, ms / 1000, ms >= 99950 ? 0 : ms >= 9995 ? 1 : 2);
        BUF_LIT(out, " s");
    } else {
        num_f64(out, lang, ms, ms >= 9.95 || ms == 0 ? 0 : ms >= 0.995 ? 1 : 2);
        BUF_LIT(out, " ms");
    }
}

void num_span(struct buf *out, int64_t seconds)
{
    static const struct {
        int64_t s;
        const char *word;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    if (seconds < 0) {
        seconds = 0;
    }
    size_t i = 0;
    while (i < 3 && seconds < units[i].s) {
        i++;
    }
    buf_fmt(out, "%lld %s", (long long)(seconds / units[i].s), units[i].word);
    int64_t rest = seconds % units[i].s;
    if (i < 3 && rest / units[i + 1].s > 0) {
        buf_fmt(out, " %lld %s", (long long)(rest / units[i + 1].s), units[i + 1].word);
    }
}

const char *num_word(const struct num_words *w, enum lang lang, uint64_t n)
{
    return n == 1 ? w->one[lang] : w->many[lang];
}

void num_counted(struct buf *out, enum lang lang, uint64_t n, const struct num_words *w)
{
    num_u64(out, lang, n);
    buf_char(out, ' ');
    buf_str_add(out, str_from_c(num_word(w, lang, n)));
}

/* A buffer over the bytes of t, zeroed before: its cap is its room, so that it never grows and is
 * not released, and the last byte stays 0. */
static struct buf over(struct num_text *t)
{
    size_t n = sizeof t->text - 1;
    return (struct buf){.p = t->text, .cap = n, .bytes_max = n};
}

struct num_text num_text_u64(enum lang lang, uint64_t v)
{
    struct num_text t = {0};
    struct buf out = over(&t);
    num_u64(&out, lang, v);
    ASSERT(!out.failed);
    return t;
}

struct num_text num_text_percent(enum lang lang, double share, int decimals)
{
    struct num_text t = {0};
    struct buf out = over(&t);
    num_percent(&out, lang, share, decimals);
    ASSERT(!out.failed);
    return t;
}

struct num_text num_text_centavos(enum lang lang, int64_t centavos)
{
    struct num_text t = {0};
    struct buf out = over(&t);
    num_centavos(&out, lang, centavos);
    ASSERT(!out.failed);
    return t;
}
