/* Reading patterns that need no automaton, and matching them.
 *
 * Nearly every pattern in dashboards and rules is one of a few shapes, and a comparison answers
 * them ten to a hundred times faster than RE2; an index can even look the literals up. The reader
 * below takes exactly this grammar and leaves every other pattern to RE2:
 *
 *     pattern  = ["^"] sequence ["$"] | literal { "|" literal }
 *     sequence = { literal-char | gap | group }, at most one group
 *     group    = ("(" | "(?:") ( literal { "|" literal } | { literal-char | gap } ) ")"
 *     gap      = ".*" | ".+"
 *
 * where a literal character is any but \.+*?()|[]{}^$, or a backslash and one of those or other
 * ASCII punctuation. A pattern with alternatives must have no gap; a capturing group around gaps
 * must have only literals before and behind it inside the pattern, so that what it captures is
 * known by counting bytes.
 *
 * A gap means characters for RE2 and bytes here. In UTF-8 text the two agree: a literal can only
 * be found at the start of a character, so a gap of one byte or more is one character or more.
 *
 * Invariant: whatever is accepted matches what RE2 matches (regex_fuzz.c compares). */
#include "codec/regex_int.h"

#include <stdlib.h>

enum token_kind { TOKEN_CHAR, TOKEN_STAR, TOKEN_PLUS, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_OR, TOKEN_NO };

struct token {
    enum token_kind kind;
    char c;        /* TOKEN_CHAR */
    bool captures; /* TOKEN_OPEN */
};

static bool is_punct(char c)
{
    return c > ' ' && c < 0x7F && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
           !(c >= 'A' && c <= 'Z') && c != '_';
}

/* A character that a quantifier follows is no literal. */
static bool quantified(struct str s)
{
    return s.n > 0 && (s.p[0] == '*' || s.p[0] == '+' || s.p[0] == '?' || s.p[0] == '{');
}

static struct token token_read(struct str *s)
{
    struct str at = *s;
    struct token t = {.kind = TOKEN_NO};
    size_t used = 1;
    char c = at.p[0];
    if (c == '\\') {
        if (at.n >= 2 && is_punct(at.p[1])) {
            t = (struct token){.kind = TOKEN_CHAR, .c = at.p[1]};
            used = 2;
        }
    } else if (c == '.') {
        if (at.n >= 2 && (at.p[1] == '*' || at.p[1] == '+')) {
            t.kind = at.p[1] == '*' ? TOKEN_STAR : TOKEN_PLUS;
            used = 2;
        }
    } else if (c == '(') {
        bool plain = at.n < 2 || at.p[1] != '?';
        bool quiet = str_starts(at, STR("(?:"));
        if (plain || quiet) {
            t = (struct token){.kind = TOKEN_OPEN, .captures = plain};
            used = quiet ? 3 : 1;
        }
    } else if (c == ')' || c == '|') {
        t.kind = c == ')' ? TOKEN_CLOSE : TOKEN_OR;
    } else if (memchr("+*?[]{}^$", c, 9) == NULL) {
        t = (struct token){.kind = TOKEN_CHAR, .c = c};
    }
    *s = str_sub(at, used, at.n);
    bool may_repeat = t.kind == TOKEN_OR || t.kind == TOKEN_OPEN;
    if (!may_repeat && quantified(*s)) {
        t.kind = TOKEN_NO;
    }
    return t;
}

/* The reader's state: one text that all literal characters are appended to, cut by marks. */
struct reader {
    struct regex_plan *p;
    char *text; /* as large as the pattern */
    size_t n;
    size_t part_from;            /* start of the open part or alternative */
    bool group_open, group_seen; /* the one group */
    bool alternatives;           /* a | was seen */
    size_t head_n, tail_from;    /* literal bytes before the alternatives; start of those behind */
    struct str *alts;
    uint32_t alts_n, alts_max;
};

static bool alt_end(struct reader *r)
{
    if (r->alts_n >= r->alts_max) {
        return false;
    }
    r->alts[r->alts_n++] = str_of(r->text + r->part_from, r->n - r->part_from);
    r->part_from = r->n;
    return true;
}

static bool gap_add(struct reader *r, bool some)
{
    struct regex_plan *p = r->p;
    if (p->parts_n + 1 >= REGEX_PARTS_MAX) {
        return false;
    }
    /* Two gaps in a row are one, unless both want something. */
    if (p->parts_n > 0 && r->n == r->part_from) {
        bool *last = &p->gap_some[p->parts_n - 1];
        if (*last && some) {
            return false;
        }
        *last = *last || some;
        return true;
    }
    p->parts[p->parts_n] = str_of(r->text + r->part_from, r->n - r->part_from);
    p->gap_some[p->parts_n] = some;
    p->parts_n++;
    r->part_from = r->n;
    return true;
}

static bool group_begin(struct reader *r, bool captures)
{
    if (r->group_seen || r->alternatives || (captures && r->p->parts_n > 0)) {
        return false;
    }
    r->group_seen = true;
    r->group_open = true;
    r->p->group = captures;
    r->p->group_head = r->n;
    r->head_n = r->n;
    return true;
}

static bool group_end(struct reader *r)
{
    if (!r->group_open) {
        return false;
    }
    r->group_open = false;
    r->tail_from = r->n;
    return !r->alternatives || alt_end(r);
}

static bool or_seen(struct reader *r)
{
    /* Outside a group every alternative must be all the pattern; inside, gaps are too much. */
    bool whole = r->group_open || !r->group_seen;
    if (!whole || r->p->parts_n > 0) {
        return false;
    }
    if (!r->alternatives) {
        r->alternatives = true;
        r->part_from = r->group_open ? r->head_n : 0;
    }
    return alt_end(r);
}

static bool read_token(struct reader *r, struct token t)
{
    switch (t.kind) {
    case TOKEN_CHAR: r->text[r->n++] = t.c; return true;
    case TOKEN_STAR:
    case TOKEN_PLUS:
        /* Neither alternatives nor a group that captures go with a gap behind them. */
        if (r->alternatives || (r->group_seen && !r->group_open && r->p->group)) {
            return false;
        }
        return gap_add(r, t.kind == TOKEN_PLUS);
    case TOKEN_OPEN: return group_begin(r, t.captures);
    case TOKEN_CLOSE: return group_end(r);
    case TOKEN_OR: return or_seen(r);
    case TOKEN_NO: break;
    }
    return false;
}

static int str_order(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static struct str common_prefix(const struct str *sorted, uint32_t n)
{
    struct str a = sorted[0];
    struct str b = sorted[n - 1];
    size_t k = 0;
    while (k < a.n && k < b.n && a.p[k] == b.p[k]) {
        k++;
    }
    return str_of(a.p, k);
}

/* The literals: head + alternative + tail, sorted, each once, in a block of their own. */
static bool literals_make(struct mem *m, struct reader *r)
{
    struct regex_plan *p = r->p;
    struct str head = str_of(r->text, r->alternatives && r->group_seen ? r->head_n : 0);
    struct str tail = {NULL, 0};
    if (r->alternatives && r->group_seen) {
        tail = str_of(r->text + r->tail_from, r->n - r->tail_from);
    }
    size_t bytes = r->alts_n * (sizeof(struct str) + head.n + tail.n);
    for (uint32_t i = 0; i < r->alts_n; i++) {
        bytes += r->alts[i].n;
    }
    p->block = mem_take(m, bytes);
    if (p->block == NULL) {
        return false;
    }
    p->bytes = bytes;
    p->literals = p->block;
    char *out = (char *)(p->literals + r->alts_n);
    for (uint32_t i = 0; i < r->alts_n; i++) {
        struct str from[3] = {head, r->alts[i], tail};
        char *start = out;
        for (int k = 0; k < 3; k++) {
            if (from[k].n > 0) {
                memcpy(out, from[k].p, from[k].n);
                out += from[k].n;
            }
        }
        p->literals[i] = str_of(start, (size_t)(out - start));
    }
    qsort(p->literals, r->alts_n, sizeof *p->literals, str_order);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < r->alts_n; i++) {
        if (!str_eq(p->literals[kept - 1], p->literals[i])) {
            p->literals[kept++] = p->literals[i];
        }
    }
    p->literals_n = kept;
    p->kind = REGEX_LITERALS;
    p->prefix = common_prefix(p->literals, kept);
    return true;
}

static bool glob_make(struct mem *m, struct reader *r)
{
    struct regex_plan *p = r->p;
    p->parts[p->parts_n] = str_of(r->text + r->part_from, r->n - r->part_from);
    p->parts_n++;
    p->block = mem_take(m, r->n);
    if (p->block == NULL) {
        return false;
    }
    p->bytes = r->n;
    if (r->n > 0) {
        memcpy(p->block, r->text, r->n);
    }
    for (uint32_t i = 0; i < p->parts_n; i++) {
        size_t off = (size_t)(p->parts[i].p - r->text);
        p->parts[i] = str_of((char *)p->block + off, p->parts[i].n);
    }
    p->kind = REGEX_GLOB;
    p->prefix = p->parts[0];
    return true;
}

/* false: not one of our shapes. */
static bool pattern_read(struct reader *r, struct str s)
{
    /* Around one sequence the anchors say what is so already; around alternatives they would bind
     * to the first and the last, where they are as idle, but a group may hide that: RE2's. */
    bool anchors = false;
    if (s.n > 0 && s.p[0] == '^') {
        s = str_sub(s, 1, s.n);
        anchors = true;
    }
    if (s.n > 0 && s.p[s.n - 1] == '$' && (s.n < 2 || s.p[s.n - 2] != '\\')) {
        s.n--;
        anchors = true;
    }
    while (s.n > 0) {
        struct token t = token_read(&s);
        if ((t.kind == TOKEN_OR && anchors) || !read_token(r, t)) {
            return false;
        }
    }
    if (r->group_open) {
        return false;
    }
    if (r->alternatives) {
        return r->group_seen || alt_end(r);
    }
    if (r->p->parts_n == 0) {
        r->part_from = 0;
        return alt_end(r);
    }
    return true;
}

static uint32_t alts_bound(struct str s)
{
    uint32_t n = 1;
    for (size_t i = 0; i < s.n; i++) {
        n += s.p[i] == '|';
    }
    return n;
}

bool regex_plan_make(struct mem *m, struct str pattern, struct regex_plan *p)
{
    *p = (struct regex_plan){.kind = REGEX_RE2};
    uint32_t alts_max = alts_bound(pattern);
    if (alts_max > REGEX_LITERALS_MAX) {
        return true;
    }
    size_t bytes = alts_max * sizeof(struct str) + pattern.n;
    struct str *alts = mem_take(m, bytes);
    if (alts == NULL) {
        return false;
    }
    char *text = (char *)(alts + alts_max);
    struct reader r = {.p = p, .text = text, .alts = alts, .alts_max = alts_max};
    bool ok = true;
    if (!pattern_read(&r, pattern)) {
        *p = (struct regex_plan){.kind = REGEX_RE2};
    } else {
        p->group_tail = r.n - r.tail_from;
        ok = p->parts_n == 0 ? literals_make(m, &r) : glob_make(m, &r);
    }
    mem_give(m, alts, bytes);
    return ok;
}

void regex_plan_release(struct mem *m, struct regex_plan *p)
{
    mem_give(m, p->block, p->bytes);
    *p = (struct regex_plan){.kind = REGEX_RE2};
}

static bool literals_have(const struct regex_plan *p, struct str text)
{
    uint32_t low = 0;
    uint32_t high = p->literals_n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = str_cmp(p->literals[mid], text);
        if (c == 0) {
            return true;
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

/* The leftmost place for each middle part is the best one: it leaves most to those behind. */
static bool glob_match(const struct regex_plan *p, struct str text)
{
    struct str last = p->parts[p->parts_n - 1];
    if (!str_starts(text, p->parts[0])) {
        return false;
    }
    struct str rest = str_sub(text, p->parts[0].n, text.n);
    for (uint32_t i = 0; i + 1 < p->parts_n; i++) {
        if (p->gap_some[i]) {
            if (rest.n == 0) {
                return false;
            }
            rest = str_sub(rest, 1, rest.n);
        }
        if (i + 2 == p->parts_n) {
            return str_ends(rest, last);
        }
        struct str part = p->parts[i + 1];
        const char *hit = rest.n >= part.n ? memmem(rest.p, rest.n, part.p, part.n) : NULL;
        if (hit == NULL) {
            return false;
        }
        size_t used = (size_t)(hit - rest.p) + part.n;
        rest = str_sub(rest, used, rest.n);
    }
    return false;
}

bool regex_plan_match(const struct regex_plan *p, struct str text)
{
    ASSERT(p->kind != REGEX_RE2);
    return p->kind == REGEX_LITERALS ? literals_have(p, text) : glob_match(p, text);
}
