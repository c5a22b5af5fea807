/* See part_int.h. JSON of a part: {"text":"12,4%","query":"sum(...)","tone":"crit"} or
 * {"text":"14:41","time":"2026-11-23T17:41:05Z"}; members without a value are absent. */
#include "server/part_int.h"

#define WORDS_BYTES_MAX 4096

void server_parts_init(struct parts *p, struct buf *out, bool json, struct mem *m)
{
    *p = (struct parts){.out = out, .json = json};
    buf_init(&p->words, m, WORDS_BYTES_MAX);
}

static void put_json(struct parts *p, const struct part *x)
{
    buf_str_add(p->out, p->count++ > 0 ? STR(",") : STR(""));
    BUF_LIT(p->out, "{\"text\":");
    buf_json_str(p->out, x->text);
    if (x->query.n > 0) {
        BUF_LIT(p->out, ",\"query\":");
        buf_json_str(p->out, x->query);
    }
    if (x->tone == VIEW_WARN || x->tone == VIEW_CRIT) {
        buf_fmt(p->out, ",\"tone\":\"%s\"", x->tone == VIEW_CRIT ? "crit" : "warn");
    }
    if (x->t_ns != T_NS_NONE) {
        BUF_LIT(p->out, ",\"time\":\"");
        time_format(p->out, x->t_ns);
        buf_char(p->out, '"');
    }
    buf_char(p->out, '}');
}

static void flush(struct parts *p)
{
    if (p->words.n > 0) {
        const struct part words = part_of(buf_str(&p->words));
        put_json(p, &words);
        buf_reset(&p->words);
    }
}

void server_parts_end(struct parts *p)
{
    flush(p);
    p->out->failed = p->out->failed || p->words.failed;
    buf_release(&p->words);
}

void server_parts_words(struct parts *p, struct str words)
{
    buf_str_add(p->json ? &p->words : p->out, words);
}

void server_parts_put(struct parts *p, const struct part *x)
{
    bool bare =
        x->query.n == 0 && x->t_ns == T_NS_NONE && x->tone != VIEW_WARN && x->tone != VIEW_CRIT;
    if (!p->json || bare) {
        server_parts_words(p, x->text);
        return;
    }
    flush(p);
    put_json(p, x);
}

void server_parts_say_args(struct parts *p, enum lang lang, enum text_id id,
                           const struct part *args, uint32_t count)
{
    const char *at = server_text(lang, id);
    const char *words = at;
    while (*at) {
        if (at[0] == '{' && at[1] >= '1' && at[1] <= '9' && at[2] == '}' &&
            (uint32_t)(at[1] - '1') < count) {
            server_parts_words(p, str_of(words, (size_t)(at - words)));
            server_parts_put(p, &args[at[1] - '1']);
            at += 3;
            words = at;
        } else {
            at++;
        }
    }
    server_parts_words(p, str_of(words, (size_t)(at - words)));
}
