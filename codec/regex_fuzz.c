/* A pattern, a newline, a text: nothing escapes its bounds, and what the plan answers without an
 * automaton is what RE2 answers (for UTF-8 text, which labels are). */
#include "codec/regex.h"
#include "codec/regex_int.h"
#include "codec/shim/re2_shim.h"

#define PATTERN_BYTES_MAX 512
#define OUT_BYTES_MAX     (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(struct mem *m, struct str pattern, struct str text)
{
    struct regex_plan p;
    ASSERT(regex_plan_make(m, pattern, &p));
    if (p.kind == REGEX_RE2) {
        return;
    }
    char reason[64];
    struct re2_shim *re2;
    enum re2_shim_result got =
        re2_shim_new(pattern.p, pattern.n, REGEX_PROGRAM_MAX, &re2, reason, sizeof reason);
    ASSERT(got == RE2_SHIM_OK);
    ASSERT(re2_shim_groups(re2) == (p.group ? 1 : 0));
    struct re2_shim_span spans[2];
    bool match = re2_shim_match(re2, text.p, text.n, 0, 1, spans, p.group ? 2 : 1);
    ASSERT(regex_plan_match(&p, text) == match);
    if (match && p.group) {
        ASSERT(spans[1].from == (int64_t)p.group_head);
        ASSERT(spans[1].to == (int64_t)(text.n - p.group_tail));
    }
    for (uint32_t i = 0; i < p.literals_n; i++) {
        ASSERT(re2_shim_match(re2, p.literals[i].p, p.literals[i].n, 0, 1, NULL, 0));
    }
    re2_shim_free(re2);
    regex_plan_release(m, &p);
}

static void use(struct mem *m, struct str pattern, struct str text, bool anchored)
{
    struct regex *r;
    struct err e = {0};
    if (!regex_new(m, pattern, anchored, &r, &e)) {
        ASSERT(e.code == ERR_INPUT || e.code == ERR_LIMIT);
        return;
    }
    struct buf out;
    buf_init(&out, m, OUT_BYTES_MAX);
    bool match = regex_match(r, text);
    ASSERT(!match || str_starts(text, regex_prefix(r)));
    ASSERT(regex_expand(r, text, STR("<$1|${2}|$name>"), &out) == match);
    ASSERT(match || out.n == 0);
    buf_reset(&out);
    regex_replace_all(r, text, STR("$0"), &out);
    ASSERT(out.failed || anchored || str_eq(buf_str(&out), text));
    buf_release(&out);
    regex_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str_cut in = str_cut(str_of((const char *)data, size), '\n');
    if (size > 4096 || in.head.n > PATTERN_BYTES_MAX || !str_is_utf8(in.head) ||
        !str_is_utf8(in.tail)) {
        return 0;
    }
    struct mem m;
    mem_init(&m, 0);
    compare(&m, in.head, in.tail);
    use(&m, in.head, in.tail, true);
    use(&m, in.head, in.tail, false);
    ASSERT(m.bytes == 0);
    return 0;
}
