/* What Farol reads in pages of metrics, as JSON lines for the runner `exposition` beside this file.
 *
 *     exposition_dump FORM FILE [FORM FILE...]      FORM: text, openmetrics, protobuf
 *
 * Per file: one line per entry, then {"end": true} or {"error": "...", "line": n, "col": n}. */
#include "codec/expo_parse.h"

#include "base/file.h"

#include <stdio.h>

#define FILE_BYTES_MAX (256 << 20)

static void put_labels(struct buf *out, const struct label *v, uint32_t n)
{
    BUF_LIT(out, "{");
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) {
            BUF_LIT(out, ",");
        }
        buf_json_str(out, v[i].name);
        BUF_LIT(out, ":");
        buf_json_str(out, v[i].value);
    }
    BUF_LIT(out, "}");
}

static bool put_sample(struct expo_parse *p, struct arena *a, struct buf *out, struct err *e)
{
    struct label *v = NULL;
    uint32_t n = 0;
    arena_reset(a);
    if (!expo_parse_labels(p, a, &v, &n, e) || !labels_normalize(v, &n, e)) {
        return false;
    }
    buf_fmt(out, "{\"%s\":", p->entry == EXPO_PARSE_HIST ? "histogram" : "sample");
    put_labels(out, v, n);
    buf_fmt(out, ",\"value\":\"%.17g\"", p->value);
    if (p->has_t) {
        buf_fmt(out, ",\"t_ms\":%lld", (long long)p->t_ms);
    }
    BUF_LIT(out, "}\n");
    return true;
}

static bool put_entry(struct expo_parse *p, struct arena *a, struct buf *out, struct err *e)
{
    if (p->entry == EXPO_PARSE_SAMPLE || p->entry == EXPO_PARSE_HIST) {
        return put_sample(p, a, out, e);
    }
    const char *what = p->entry == EXPO_PARSE_TYPE   ? "type"
                       : p->entry == EXPO_PARSE_HELP ? "help"
                                                     : "unit";
    buf_fmt(out, "{\"%s\":", what);
    buf_json_str(out, p->family);
    BUF_LIT(out, ",\"text\":");
    buf_json_str(out, p->entry == EXPO_PARSE_TYPE ? expo_kind_name(p->type) : p->text);
    BUF_LIT(out, "}\n");
    return true;
}

static void dump(enum expo_parse_form form, struct str body, struct mem *m, struct buf *out)
{
    struct expo_parse p;
    struct arena a;
    struct err e = {.code = ERR_NONE};
    bool ok = true;
    arena_init(&a, m, 16 << 20);
    expo_parse_init(&p, form, body, m);
    while (ok && (ok = expo_parse_next(&p, &e)) && p.entry != EXPO_PARSE_END) {
        ok = put_entry(&p, &a, out, &e);
    }
    if (ok) {
        BUF_LIT(out, "{\"end\":true}\n");
    } else {
        BUF_LIT(out, "{\"error\":");
        buf_json_str(out, str_from_c(e.msg));
        buf_fmt(out, ",\"line\":%u,\"col\":%u}\n", e.line, e.col);
    }
    expo_parse_release(&p);
    arena_release(&a);
}

int main(int argc, char **argv)
{
    struct mem m;
    mem_init(&m, 0);
    for (int i = 1; i + 1 < argc; i += 2) {
        struct str form = str_from_c(argv[i]);
        struct buf body;
        struct buf out;
        struct err e;
        buf_init(&body, &m, FILE_BYTES_MAX);
        buf_init(&out, &m, (size_t)FILE_BYTES_MAX * 4);
        if (!file_read(os_real(), argv[i + 1], &body, &e)) {
            fprintf(stderr, "%s\n", e.msg);
            return 1;
        }
        dump(str_eq(form, STR("text"))          ? EXPO_PARSE_TEXT
             : str_eq(form, STR("openmetrics")) ? EXPO_PARSE_OPENMETRICS
                                                : EXPO_PARSE_PROTOBUF,
             buf_str(&body), &m, &out);
        fwrite(out.p, 1, out.n, stdout);
        buf_release(&body);
        buf_release(&out);
    }
    return 0;
}
