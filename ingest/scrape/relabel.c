/* Relabelling: eleven actions on a small set of labels.
 *
 * A set has ten or twenty labels, so all look-ups walk it. Rules of targets run once per discovery,
 * rules of metrics once per series that is new: neither is a hot path.
 *
 * As in Prometheus: an absent label is empty, a replacement that comes out empty deletes, names
 * that a rule would make invalid are not made, labelmap, labeldrop and labelkeep look at the set
 * as it was before the rule. Source: the configuration manual's relabel_config, model/relabel. */
#include "ingest/scrape/relabel_int.h"

#include <locale.h>
#include <wctype.h>

#define LSET_FIRST 32

void lset_init(struct lset *l, struct arena *a)
{
    *l = (struct lset){.arena = a};
}

struct str lset_get(const struct lset *l, struct str name)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (str_eq(l->v[i].name, name)) {
            return l->v[i].value;
        }
    }
    return str_of(NULL, 0);
}

void lset_del(struct lset *l, struct str name)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (str_eq(l->v[i].name, name)) {
            l->v[i] = l->v[--l->n];
            return;
        }
    }
}

void lset_set(struct lset *l, struct str name, struct str value)
{
    if (value.n == 0) {
        lset_del(l, name);
        return;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        if (str_eq(l->v[i].name, name)) {
            l->v[i].value = value;
            return;
        }
    }
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : LSET_FIRST;
        struct label *v = ARENA_ARRAY(l->arena, struct label, cap);
        if (!v) {
            l->failed = true;
            return;
        }
        if (l->n > 0) {
            memcpy(v, l->v, l->n * sizeof *v);
        }
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = (struct label){name, value};
}

bool label_name_is_valid(struct str s, bool legacy)
{
    return legacy ? label_is_legacy_name(s) : s.n > 0 && str_is_utf8(s);
}

/* --- actions ------------------------------------------------------------------------------ */

/* Values of the source labels, joined, into scratch. */
static struct str joined(const struct relabel_rule *r, const struct lset *l, struct buf *scratch)
{
    if (r->source.count == 1) {
        return lset_get(l, r->source.v[0]);
    }
    buf_reset(scratch);
    for (uint32_t i = 0; i < r->source.count; i++) {
        if (i > 0) {
            buf_str_add(scratch, r->separator);
        }
        buf_str_add(scratch, lset_get(l, r->source.v[i]));
    }
    return buf_str(scratch);
}

static bool matches(const struct relabel_rule *r, struct str text)
{
    return r->matches_all || regex_match(r->regex, text);
}

/* What is in b behind `from`, in the arena. */
static struct str kept(struct lset *l, const struct buf *b, size_t from)
{
    if (b->failed) {
        l->failed = true;
        return str_of("", 0);
    }
    struct str s = str_of(b->p + from, b->n - from);
    if (s.n == 0) {
        return str_of("", 0);
    }
    s = arena_str(l->arena, s);
    l->failed = l->failed || !s.p;
    return s;
}

static void replace(const struct relabel_rule *r, struct lset *l, struct str text,
                    struct buf *scratch)
{
    bool copies = str_eq(r->replacement, STR("$1"));
    if (r->matches_all && r->plain_target && (copies || r->plain_replacement)) {
        struct str value = r->replacement;
        if (copies) {
            value = text.n > 0 ? arena_str(l->arena, text) : str_of("", 0);
            l->failed = l->failed || !value.p;
        }
        lset_set(l, r->target, value);
        return;
    }
    struct buf out; /* text may stand in scratch */
    buf_init(&out, scratch->mem, scratch->bytes_max);
    if (regex_expand(r->regex, text, r->target, &out)) {
        struct str target = kept(l, &out, 0);
        size_t from = out.n;
        if (label_name_is_valid(target, r->legacy_names)) {
            (void)regex_expand(r->regex, text, r->replacement, &out);
            lset_set(l, target, kept(l, &out, from));
        }
    }
    buf_release(&out);
}

/* Other letters than ASCII too, as far as the C library's UTF-8 locale knows them; a byte that
 * is not UTF-8 stays. */
static void change_case(const struct relabel_rule *r, struct lset *l, struct str text,
                        struct buf *scratch)
{
    bool up = r->action == RELABEL_UPPERCASE;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    struct buf out;
    buf_init(&out, scratch->mem, scratch->bytes_max);
    for (size_t i = 0; i < text.n;) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 0x80) {
            bool letter = up ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z';
            buf_char(&out, (char)(letter ? c ^ 0x20 : c));
            i++;
            continue;
        }
        /* Two-byte characters hold all letters with two cases of Latin, Greek and Cyrillic. */
        bool two = utf8 && (c & 0xE0) == 0xC0 && i + 1 < text.n &&
                   ((unsigned char)text.p[i + 1] & 0xC0) == 0x80;
        if (!two) {
            buf_char(&out, (char)c);
            i++;
            continue;
        }
        wint_t w = (wint_t)((c & 0x1F) << 6 | ((unsigned char)text.p[i + 1] & 0x3F));
        wint_t changed = up ? towupper_l(w, utf8) : towlower_l(w, utf8);
        w = changed >= 0x80 && changed < 0x800 ? changed : w;
        buf_char(&out, (char)(0xC0 | w >> 6));
        buf_char(&out, (char)(0x80 | (w & 0x3F)));
        i += 2;
    }
    if (utf8) {
        freelocale(utf8);
    }
    lset_set(l, r->target, kept(l, &out, 0));
    buf_release(&out);
}

static void hashmod(const struct relabel_rule *r, struct lset *l, struct str text)
{
    struct buf out;
    struct mem m;
    mem_init(&m, 0);
    buf_init(&out, &m, 32);
    buf_u64(&out, md5_tail(text) % r->modulus);
    lset_set(l, r->target, kept(l, &out, 0));
    buf_release(&out);
}

/* labelmap, labeldrop, labelkeep: over the names as they are now. */
static void over_names(const struct relabel_rule *r, struct lset *l, struct buf *scratch)
{
    uint32_t n = l->n;
    struct label *now = ARENA_ARRAY(l->arena, struct label, n);
    if (n > 0 && !now) {
        l->failed = true;
        return;
    }
    if (n > 0) {
        memcpy(now, l->v, n * sizeof *now);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool match = matches(r, now[i].name);
        if (r->action == RELABEL_LABELMAP && match) {
            buf_reset(scratch);
            regex_replace_all(r->regex, now[i].name, r->replacement, scratch);
            struct str name = kept(l, scratch, 0);
            if (name.n > 0) {
                lset_set(l, name, now[i].value);
            }
        } else if (r->action == RELABEL_LABELDROP ? match
                                                  : r->action == RELABEL_LABELKEEP && !match) {
            lset_del(l, now[i].name);
        }
    }
}

static bool apply(const struct relabel_rule *r, struct lset *l, struct buf *scratch)
{
    struct str text = joined(r, l, scratch);
    switch (r->action) {
    case RELABEL_KEEP: return matches(r, text);
    case RELABEL_DROP: return !matches(r, text);
    case RELABEL_KEEPEQUAL: return str_eq(lset_get(l, r->target), text);
    case RELABEL_DROPEQUAL: return !str_eq(lset_get(l, r->target), text);
    case RELABEL_REPLACE: replace(r, l, text, scratch); break;
    case RELABEL_HASHMOD: hashmod(r, l, text); break;
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE: change_case(r, l, text, scratch); break;
    case RELABEL_LABELMAP:
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP: over_names(r, l, scratch); break;
    }
    return true;
}

bool relabel_apply(const struct relabel_rules *r, struct lset *l, struct buf *scratch)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (!apply(&r->v[i], l, scratch)) {
            return false;
        }
    }
    return true;
}

static bool same_strs(const struct conf_strs *a, const struct conf_strs *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        same = str_eq(a->v[i], b->v[i]);
    }
    return same;
}

bool relabel_same(const struct relabel_rules *a, const struct relabel_rules *b)
{
    bool same = a->n == b->n;
    for (uint32_t i = 0; same && i < a->n; i++) {
        const struct relabel_rule *x = &a->v[i];
        const struct relabel_rule *y = &b->v[i];
        same = x->action == y->action && same_strs(&x->source, &y->source) &&
               str_eq(x->separator, y->separator) && str_eq(x->pattern, y->pattern) &&
               str_eq(x->target, y->target) && str_eq(x->replacement, y->replacement) &&
               x->modulus == y->modulus && x->legacy_names == y->legacy_names;
    }
    return same;
}
