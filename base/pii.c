/* Detectors for personal data, and the mask.
 *
 * CPF: nine digits and two check digits; weights 10..2 and 11..2, sum mod 11, a rest below 2 gives
 * 0. CNPJ: twelve characters and two check digits; weights 2..9 from the right, over again; a
 * character counts as its ASCII code - 48, which is the digit itself, and 17.. for A.. (IN RFB
 * 2.229/2024). Numbers with all digits equal pass the arithmetic and are never issued. A bare
 * number whose check digits fail is an ordinary number: a false alarm would drop good events.
 * Phone: E.164, '+' and 8 to 15 digits, with the usual separators. E-mail: RFC 5321 lengths, plain
 * (unquoted) local part, and a domain whose last label is not a number, so that "lib@1.2.3" is
 * none. */
#include "base/pii.h"

#include "base/utf8_int.h"

#define READ_BYTES_MAX  128
#define SHOWN_BYTES_MAX 32
#define LOCAL_BYTES_MAX 64
#define CPF_DIGITS      11
#define CNPJ_DIGITS     14

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* What may stand before character number `at` of an identifier; '\0' = nothing. */
struct mark {
    size_t at;
    char c;
};

/* Copies the `want` characters of s to out, jumping over marks at their places. false: another
 * length, another character, or a mark elsewhere. */
static bool without_marks(struct str s, const struct mark *marks, size_t marks_count, char *out,
                          size_t want)
{
    size_t n = 0, mark = 0;
    for (size_t i = 0; i < s.n; i++) {
        while (mark < marks_count && marks[mark].at < n) {
            mark++;
        }
        if (mark < marks_count && marks[mark].at == n && s.p[i] == marks[mark].c) {
            mark++;
            continue;
        }
        if (n == want || !(is_digit(s.p[i]) || (s.p[i] >= 'A' && s.p[i] <= 'Z'))) {
            return false;
        }
        out[n++] = s.p[i];
    }
    return n == want;
}

static bool all_equal(const char *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (p[i] != p[0]) {
            return false;
        }
    }
    return true;
}

/* Check digit of the n characters at p: weights 2, 3... from the right, starting over above
 * weight_max. */
static char check_digit(const char *p, size_t n, int weight_max)
{
    int sum = 0;
    int weight = 2;
    for (size_t i = n; i > 0; i--) {
        sum += (p[i - 1] - '0') * weight;
        weight = weight == weight_max ? 2 : weight + 1;
    }
    int rest = sum % 11;
    return (char)('0' + (rest < 2 ? 0 : 11 - rest));
}

static bool cpf_parse(struct str s, char digits[CPF_DIGITS])
{
    static const struct mark marks[] = {{3, '.'}, {6, '.'}, {9, '-'}};
    if (!without_marks(s, marks, ARRAY_LEN(marks), digits, CPF_DIGITS)) {
        return false;
    }
    for (size_t i = 0; i < CPF_DIGITS; i++) {
        if (!is_digit(digits[i])) {
            return false;
        }
    }
    return !all_equal(digits, CPF_DIGITS) && check_digit(digits, 9, 11) == digits[9] &&
           check_digit(digits, 10, 11) == digits[10];
}

static bool cnpj_parse(struct str s, char chars[CNPJ_DIGITS])
{
    static const struct mark marks[] = {{2, '.'}, {5, '.'}, {8, '/'}, {12, '-'}};
    return without_marks(s, marks, ARRAY_LEN(marks), chars, CNPJ_DIGITS) &&
           !all_equal(chars, CNPJ_DIGITS) && check_digit(chars, 12, 9) == chars[12] &&
           check_digit(chars, 13, 9) == chars[13];
}

static bool phone_is(struct str s)
{
    if (s.n < 9 || s.p[0] != '+' || s.p[1] == '0') {
        return false;
    }
    size_t digits = 0;
    for (size_t i = 1; i < s.n; i++) {
        char c = s.p[i];
        if (is_digit(c)) {
            digits++;
        } else if (c != ' ' && c != '-' && c != '(' && c != ')' && c != '.') {
            return false;
        }
    }
    return digits >= 8 && digits <= 15;
}

static bool local_part_is(struct str s)
{
    static const char specials[] = "!#$%&'*+-/=?^_`{|}~.";
    if (s.n == 0 || s.n > LOCAL_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool fine = is_digit(c) || is_letter(c) || ((unsigned char)c & 0x80) != 0 ||
                    memchr(specials, c, sizeof specials - 1) != NULL;
        if (!fine) {
            return false;
        }
    }
    return true;
}

/* `cut`: only the beginning of the domain was read, so its last label is not known. */
static bool domain_is(struct str s, bool cut)
{
    size_t dots = 0, label_bytes = 0;
    bool label_named = false; /* the current label has something that is not a digit or a hyphen */
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.') {
            if (label_bytes == 0) {
                return false;
            }
            dots++;
            label_bytes = 0;
            label_named = false;
            continue;
        }
        bool named = is_letter(c) || ((unsigned char)c & 0x80) != 0;
        if (!named && !is_digit(c) && c != '-') {
            return false;
        }
        label_named = label_named || named;
        label_bytes++;
    }
    return dots > 0 && (cut || (label_bytes >= 2 && label_named));
}

static bool email_is(struct str s, bool cut)
{
    struct str_cut at = str_cut(s, '@');
    return at.ok && local_part_is(at.head) && domain_is(at.tail, cut);
}

enum pii_kind pii_detect(struct str value)
{
    bool cut = value.n > READ_BYTES_MAX;
    struct str s = str_trim(str_sub(value, 0, READ_BYTES_MAX));
    char chars[CNPJ_DIGITS];
    if (s.n >= CPF_DIGITS && s.n <= CNPJ_DIGITS + 4 && !cut) {
        if (cpf_parse(s, chars)) {
            return PII_CPF;
        }
        if (cnpj_parse(s, chars)) {
            return PII_CNPJ;
        }
    }
    if (!cut && phone_is(s)) {
        return PII_PHONE;
    }
    return email_is(s, cut) ? PII_EMAIL : PII_NONE;
}

const char *pii_kind_name(enum pii_kind k)
{
    static const char *const names[] = {"none", "cpf", "cnpj", "email", "phone"};
    ASSERT((unsigned)k < ARRAY_LEN(names));
    return names[k];
}

/* A value that is nobody's: cut to SHOWN_BYTES_MAX at a whole character, unprintable bytes as
 * '?'. */
static void show_plain(struct buf *b, struct str s)
{
    char out[SHOWN_BYTES_MAX];
    size_t n = 0;
    const unsigned char *p = (const unsigned char *)s.p;
    size_t room = s.n > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX - 3 : SHOWN_BYTES_MAX;
    for (size_t i = 0; i < s.n;) {
        size_t step = utf8_step(p + i, s.n - i);
        bool control = step == 1 && (p[i] < 0x20 || p[i] == 0x7F);
        control = control || (step == 2 && p[i] == 0xC2 && p[i + 1] < 0xA0);
        bool shown = step > 0 && !control;
        size_t bytes = shown ? step : 1;
        if (n + bytes > room) {
            break;
        }
        memcpy(out + n, shown ? s.p + i : "?", bytes);
        n += bytes;
        i += step > 0 ? step : 1;
    }
    if (s.n > SHOWN_BYTES_MAX) {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    buf_add(b, out, n);
}

static void show_email(struct buf *b, struct str s)
{
    size_t step = utf8_step((const unsigned char *)s.p, s.n);
    char out[12];
    size_t n = step > 0 ? step : 1;
    memcpy(out, step > 0 ? s.p : "?", n);
    memcpy(out + n, "***@***", 7);
    buf_add(b, out, n + 7);
}

void pii_mask(struct buf *b, struct str value)
{
    struct str s = str_trim(str_sub(value, 0, READ_BYTES_MAX));
    char chars[CNPJ_DIGITS];
    switch (pii_detect(value)) {
    case PII_NONE: show_plain(b, value); break;
    case PII_CPF:
        if (cpf_parse(s, chars)) {
            buf_fmt(b, "***.%.3s.***-**", chars + 3);
        }
        break;
    case PII_CNPJ:
        if (cnpj_parse(s, chars)) {
            buf_fmt(b, "**.%.3s.***/****-**", chars + 2);
        }
        break;
    case PII_EMAIL: show_email(b, s); break;
    case PII_PHONE: buf_fmt(b, "+***%.2s", s.p + s.n - 2); break;
    }
}
