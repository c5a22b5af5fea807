/* RE2 behind a C face. What a pattern means to Farol, and the answers that need no automaton, are
 * in codec/regex.c. RE2 takes its memory from operator new; an exception from there becomes
 * RE2_SHIM_NOMEM, or "no match" while matching (RE2 itself reports an exhausted automaton so). */
#include "codec/shim/re2_shim.h"

#include <new>
#include <re2/re2.h>
#include <string>

struct re2_shim {
    re2::RE2 re;
    re2_shim(const re2::StringPiece &p, const re2::RE2::Options &o) : re(p, o)
    {
    }
};

static const int GROUPS_KEPT = 32; /* spans on the stack; more come from the heap */

enum re2_shim_result re2_shim_new(const char *p, size_t n, int64_t bytes_max, struct re2_shim **out,
                                  char *reason, size_t reason_cap)
{
    *out = nullptr;
    if (reason_cap > 0) {
        reason[0] = '\0';
    }
    try {
        re2::RE2::Options o;
        o.set_log_errors(false);
        o.set_dot_nl(true);
        o.set_max_mem(bytes_max);
        re2_shim *r = new re2_shim(re2::StringPiece(p, n), o);
        if (r->re.ok()) {
            *out = r;
            return RE2_SHIM_OK;
        }
        re2::RE2::ErrorCode code = r->re.error_code();
        if (reason_cap > 0) {
            size_t k = r->re.error().copy(reason, reason_cap - 1);
            reason[k] = '\0';
        }
        delete r;
        return code == re2::RE2::ErrorPatternTooLarge ? RE2_SHIM_TOO_LARGE : RE2_SHIM_INVALID;
    } catch (...) {
        return RE2_SHIM_NOMEM;
    }
}

void re2_shim_free(struct re2_shim *r)
{
    delete r;
}

static void spans_fill(const re2::StringPiece *groups, int n, const char *text,
                       struct re2_shim_span *spans)
{
    for (int i = 0; i < n; i++) {
        spans[i].from = groups[i].data() != nullptr ? groups[i].data() - text : -1;
        spans[i].to = spans[i].from >= 0 ? spans[i].from + (int64_t)groups[i].size() : -1;
    }
}

int re2_shim_match(const struct re2_shim *r, const char *text, size_t n, size_t at, int whole,
                   struct re2_shim_span *spans, int spans_n)
{
    re2::StringPiece kept[GROUPS_KEPT];
    re2::StringPiece *groups = kept;
    /* A text at NULL would look like a group that took no part. */
    const char *p = text != nullptr ? text : "";
    int ok = 0;
    try {
        if (spans_n > GROUPS_KEPT) {
            groups = new re2::StringPiece[(size_t)spans_n];
        }
        re2::RE2::Anchor anchor = whole ? re2::RE2::ANCHOR_BOTH : re2::RE2::UNANCHORED;
        ok = r->re.Match(re2::StringPiece(p, n), at, n, anchor, groups, spans_n);
        if (ok) {
            spans_fill(groups, spans_n, p, spans);
        }
    } catch (...) {
        ok = 0;
    }
    if (groups != kept) {
        delete[] groups;
    }
    return ok;
}

int re2_shim_groups(const struct re2_shim *r)
{
    return r->re.NumberOfCapturingGroups();
}

int re2_shim_group_named(const struct re2_shim *r, const char *name, size_t n)
{
    try {
        const std::map<std::string, int> &named = r->re.NamedCapturingGroups();
        auto it = named.find(std::string(name, n));
        return it != named.end() ? it->second : -1;
    } catch (...) {
        return -1;
    }
}

size_t re2_shim_prefix(const struct re2_shim *r, char *out, size_t cap)
{
    try {
        std::string low, high;
        if (!r->re.PossibleMatchRange(&low, &high, (int)cap)) {
            return 0;
        }
        size_t n = 0;
        while (n < cap && n < low.size() && n < high.size() && low[n] == high[n]) {
            out[n] = low[n];
            n++;
        }
        return n;
    } catch (...) {
        return 0;
    }
}
