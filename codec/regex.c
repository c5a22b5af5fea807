/* Regular expressions: RE2 for the general case, regex_plan.c for the usual ones.
 *
 * An anchored pattern that the plan understands never becomes an RE2 object: it costs a few dozen
 * bytes and its match is a comparison. What its one group captured is known by counting, so
 * expansion needs no automaton either.
 *
 * RE2's memory is its own (operator new) and not counted in struct mem; it is bounded per pattern:
 * at first by PROGRAM_BYTES_USUAL, and only when the program does not fit by REGEX_PROGRAM_MAX.
 *
 * Text is UTF-8, as labels are. In other bytes a dot of the plan matches what a dot of RE2 does
 * not.
 *
 * Sources: RE2 syntax (github.com/google/re2/wiki/Syntax); Go's regexp package documentation for
 * Expand and ReplaceAllString, whose replacement language Prometheus inherits. */
#include "codec/regex.h"

#include "codec/regex_int.h"
#include "codec/shim/re2_shim.h"

#define PROGRAM_BYTES_USUAL (1 << 20)
#define PREFIX_BYTES_MAX    64
#define GROUPS_MAX          99 /* capturing groups of one pattern */
#define REASON_BYTES        128

struct regex {
    struct mem *mem; /* borrows */
    bool anchored;
    struct regex_plan plan;
    struct re2_shim *re2; /* owns; NULL when the plan does it */
    uint32_t groups;
    char prefix[PREFIX_BYTES_MAX];
    size_t prefix_n;
};

/* Bytes at the start of s that are to be taken as they are: an escape, a \Q...\E, and inside a
 * bracket a [:class:]; 0 = none of these. */
static size_t verbatim(struct str s, bool bracket)
{
    if (str_starts(s, STR("\\Q")) && !bracket) {
        const char *end = memmem(s.p, s.n, "\\E", 2);
        return end != NULL ? (size_t)(end - s.p) + 2 : s.n;
    }
    if (s.p[0] == '\\') {
        return size_min(s.n, 2);
    }
    const char *end = bracket && str_starts(s, STR("[:")) ? memmem(s.p, s.n, ":]", 2) : NULL;
    return end != NULL ? (size_t)(end - s.p) + 2 : 0;
}

/* Go names a group (?<n>...) as well as (?P<n>...); this RE2 knows only the second. Copies pattern
 * to out, which has room for 4/3 of it, with the first spelled as the second; returns the
 * length. */
static size_t groups_respell(struct str pattern, char *out)
{
    size_t n = 0;
    size_t bracket = 0; /* where the first character of the open bracket stands, 0 = none is */
    size_t used;
    for (size_t i = 0; i < pattern.n; i += used) {
        struct str rest = str_sub(pattern, i, pattern.n);
        used = verbatim(rest, bracket != 0);
        if (used == 0 && bracket == 0 && str_starts(rest, STR("(?<"))) {
            memcpy(out + n, "(?P<", 4);
            n += 4;
            used = 3;
            continue;
        }
        if (used == 0) {
            used = 1;
            if (bracket == 0 && rest.p[0] == '[') {
                bracket = i + (str_starts(rest, STR("[^")) ? 2 : 1);
            } else if (rest.p[0] == ']' && i > bracket) {
                bracket = 0;
            }
        }
        memcpy(out + n, rest.p, used);
        n += used;
    }
    return n;
}

static bool re2_compile(struct regex *r, struct str pattern, struct err *e);

static bool re2_make(struct regex *r, struct str pattern, struct err *e)
{
    if (!str_contains(pattern, STR("(?<"))) {
        return re2_compile(r, pattern, e);
    }
    size_t bytes = pattern.n / 3 * 4 + 4;
    char *text = mem_take(r->mem, bytes);
    if (text == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a regular expression");
    }
    bool ok = re2_compile(r, str_of(text, groups_respell(pattern, text)), e);
    mem_give(r->mem, text, bytes);
    return ok;
}

static bool re2_compile(struct regex *r, struct str pattern, struct err *e)
{
    static const int64_t bounds[] = {PROGRAM_BYTES_USUAL, REGEX_PROGRAM_MAX};
    char reason[REASON_BYTES];
    enum re2_shim_result got = RE2_SHIM_TOO_LARGE;
    for (size_t i = 0; i < ARRAY_LEN(bounds) && got == RE2_SHIM_TOO_LARGE; i++) {
        got = re2_shim_new(pattern.p != NULL ? pattern.p : "", pattern.n, bounds[i], &r->re2,
                           reason, sizeof reason);
    }
    struct str shown = str_sub(pattern, 0, 60);
    switch (got) {
    case RE2_SHIM_OK: break;
    case RE2_SHIM_INVALID:
        return err_set(e, ERR_INPUT, "bad regular expression '%.*s': %s", STR_FMT(shown), reason);
    case RE2_SHIM_TOO_LARGE:
        return err_set(e, ERR_LIMIT, "regular expression '%.*s' needs more than %d bytes",
                       STR_FMT(shown), REGEX_PROGRAM_MAX);
    case RE2_SHIM_NOMEM: return err_set(e, ERR_NOMEM, "no memory for a regular expression");
    }
    int groups = re2_shim_groups(r->re2);
    if (groups > GROUPS_MAX) {
        return err_set(e, ERR_LIMIT, "regular expression has %d groups, at most %d", groups,
                       GROUPS_MAX);
    }
    r->groups = (uint32_t)groups;
    if (r->anchored) {
        r->prefix_n = re2_shim_prefix(r->re2, r->prefix, sizeof r->prefix);
    }
    return true;
}

bool regex_new(struct mem *m, struct str pattern, bool anchored, struct regex **out, struct err *e)
{
    *out = NULL;
    if (pattern.n > REGEX_BYTES_MAX) {
        return err_set(e, ERR_LIMIT, "regular expression of %zu bytes, at most %d", pattern.n,
                       REGEX_BYTES_MAX);
    }
    if (!str_is_utf8(pattern)) {
        return err_set(e, ERR_INPUT, "regular expression is not valid UTF-8");
    }
    struct regex *r = mem_take(m, sizeof *r);
    if (r == NULL) {
        return err_set(e, ERR_NOMEM, "no memory for a regular expression");
    }
    r->mem = m;
    r->anchored = anchored;
    if (anchored && !regex_plan_make(m, pattern, &r->plan)) {
        regex_free(r);
        return err_set(e, ERR_NOMEM, "no memory for a regular expression");
    }
    if (r->plan.kind != REGEX_RE2) {
        r->groups = r->plan.group ? 1 : 0;
    } else if (!re2_make(r, pattern, e)) {
        regex_free(r);
        return false;
    }
    *out = r;
    return true;
}

void regex_free(struct regex *r)
{
    if (r == NULL) {
        return;
    }
    re2_shim_free(r->re2);
    regex_plan_release(r->mem, &r->plan);
    mem_give(r->mem, r, sizeof *r);
}

bool regex_match(const struct regex *r, struct str text)
{
    if (r->plan.kind != REGEX_RE2) {
        return regex_plan_match(&r->plan, text);
    }
    if (r->prefix_n > 0 && !str_starts(text, str_of(r->prefix, r->prefix_n))) {
        return false;
    }
    return re2_shim_match(r->re2, text.p, text.n, 0, r->anchored, NULL, 0);
}

uint32_t regex_literals(const struct regex *r, const struct str **out)
{
    *out = r->plan.literals;
    return r->plan.literals_n;
}

struct str regex_prefix(const struct regex *r)
{
    return r->plan.kind != REGEX_RE2 ? r->plan.prefix : str_of(r->prefix, r->prefix_n);
}

uint32_t regex_groups(const struct regex *r)
{
    return r->groups;
}

/* Spans of group 0 and all others from `at` on. */
static bool spans_find(const struct regex *r, struct str text, size_t at,
                       struct re2_shim_span *spans)
{
    if (r->plan.kind == REGEX_RE2) {
        return re2_shim_match(r->re2, text.p, text.n, at, r->anchored, spans, (int)r->groups + 1);
    }
    if (!regex_plan_match(&r->plan, text)) {
        return false;
    }
    int64_t n = (int64_t)text.n;
    spans[0] = (struct re2_shim_span){0, n};
    spans[1] = (struct re2_shim_span){(int64_t)r->plan.group_head, n - (int64_t)r->plan.group_tail};
    return true;
}

/* Letters, digits, underscore. Go counts letters of all alphabets; here every byte of a non-ASCII
 * character is one, which differs for a symbol right behind a $ only. */
static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* The name that follows a $, and what is left behind it; false: the $ stands for itself. */
static bool name_read(struct str s, struct str *name, struct str *rest)
{
    bool brace = s.n > 0 && s.p[0] == '{';
    struct str at = brace ? str_sub(s, 1, s.n) : s;
    size_t k = 0;
    while (k < at.n && is_name_byte(at.p[k])) {
        k++;
    }
    if (k == 0 || (brace && (k >= at.n || at.p[k] != '}'))) {
        return false;
    }
    *name = str_of(at.p, k);
    *rest = str_sub(at, k + (brace ? 1 : 0), at.n);
    return true;
}

/* Number of the group that a replacement names, -1 = none. */
static int group_of(const struct regex *r, struct str name)
{
    uint64_t number;
    if (name.n <= 8 && str_to_u64(name, &number)) {
        return number <= r->groups ? (int)number : -1;
    }
    return r->re2 != NULL ? re2_shim_group_named(r->re2, name.p, name.n) : -1;
}

static void expand(const struct regex *r, struct str text, const struct re2_shim_span *spans,
                   struct str replacement, struct buf *out)
{
    struct str s = replacement;
    for (;;) {
        struct str_cut cut = str_cut(s, '$');
        buf_str_add(out, cut.head);
        if (!cut.ok) {
            return;
        }
        s = cut.tail;
        struct str name;
        if (s.n > 0 && s.p[0] == '$') {
            buf_char(out, '$');
            s = str_sub(s, 1, s.n);
        } else if (!name_read(s, &name, &s)) {
            buf_char(out, '$');
        } else {
            int g = group_of(r, name);
            if (g >= 0 && spans[g].from >= 0) {
                size_t from = (size_t)spans[g].from;
                buf_str_add(out, str_sub(text, from, (size_t)spans[g].to - from));
            }
        }
    }
}

bool regex_expand(const struct regex *r, struct str text, struct str replacement, struct buf *out)
{
    struct re2_shim_span spans[GROUPS_MAX + 1];
    if (!spans_find(r, text, 0, spans)) {
        return false;
    }
    expand(r, text, spans, replacement, out);
    return true;
}

/* Bytes of the character at `at`; 1 for a byte that is none. */
static size_t char_bytes(struct str s, size_t at)
{
    unsigned char c = (unsigned char)s.p[at];
    size_t n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return s.n - at >= n && str_is_utf8(str_of(s.p + at, n)) ? n : 1;
}

void regex_replace_all(const struct regex *r, struct str text, struct str replacement,
                       struct buf *out)
{
    struct re2_shim_span spans[GROUPS_MAX + 1];
    size_t copied = 0; /* text before this is in out, or was replaced */
    size_t at = 0;
    while (at <= text.n && spans_find(r, text, at, spans)) {
        size_t from = (size_t)spans[0].from;
        size_t to = (size_t)spans[0].to;
        buf_str_add(out, str_sub(text, copied, from - copied));
        /* No replacement for an empty match right behind another match. */
        if (to > copied || from == 0) {
            expand(r, text, spans, replacement, out);
        }
        copied = to;
        if (r->anchored) {
            break; /* the one match was the whole text */
        }
        size_t step = at < text.n ? char_bytes(text, at) : 1;
        at = at + step > to ? at + step : to;
    }
    buf_str_add(out, str_sub(text, copied, text.n));
}
