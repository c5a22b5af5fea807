/* Serving the packed pages; see web.h. Bytes are constants of the binary and go out without a copy
 * of ours. */
#include "server/web/web.h"

#include "server/web/web_int.h"

#include <stdio.h>

#define TAG_BYTES_MAX 64
#define HEADERS_MAX   24         /* pointers: pairs and the NULL */
#define CACHE_INDEX   "no-cache" /* kept, but asked about each time */
#define CACHE_ASSETS  "public, max-age=31536000, immutable"
#define TEXT_TYPE     "text/plain; charset=utf-8"
#define INDEX_PATH    "/"

static const char no_pages[] =
    "Farol responde, mas este programa foi construído sem as páginas.\n"
    "  apt-get install nodejs npm && make     (ou: meson configure -Dweb=enabled)\n"
    "Enquanto isso: farol top, farol status, /metrics, /farol/v1/status, /farol/v1/verdict\n\n"
    "Farol is up, but this program was built without its pages.\n"
    "  apt-get install nodejs npm && make     (or: meson configure -Dweb=enabled)\n"
    "Meanwhile: farol top, farol status, /metrics, /farol/v1/status, /farol/v1/verdict\n";

static const struct web_file *find(const struct web_pack *p, struct str path)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (str_eq(path, str_from_c(p->files[i].path))) {
            return &p->files[i];
        }
    }
    return NULL;
}

static unsigned codings_of(const struct web_file *f)
{
    unsigned have = 0;
    for (unsigned i = 0; i < WEB_CODINGS; i++) {
        have |= f->body[i].p ? 1U << i : 0;
    }
    return have;
}

struct headers {
    const char *v[HEADERS_MAX];
    size_t n;
};

static void header(struct headers *h, const char *name, const char *value)
{
    ASSERT(h->n + 3 <= HEADERS_MAX);
    h->v[h->n++] = name;
    h->v[h->n++] = value;
}

/* nosniff is a header of every answer of the server (net/http_answer.c). */
static void headers_guard(struct headers *h, const struct web_pack *p)
{
    header(h, "Content-Security-Policy", p->csp);
    header(h, "Referrer-Policy", "no-referrer");
    header(h, "Cross-Origin-Opener-Policy", "same-origin");
    header(h, "Cross-Origin-Resource-Policy", "same-origin");
}

static void respond_file(const struct web_pack *p, const struct web_file *f,
                         struct http_request *rq)
{
    static const char *const suffix[WEB_CODINGS] = {"", "-gz", "-br"};
    static const char *const encoding[WEB_CODINGS] = {NULL, "gzip", "br"};
    char tag[TAG_BYTES_MAX];
    struct headers h = {.n = 0};
    enum web_coding c = web_coding_choose(http_header(rq, "Accept-Encoding"), codings_of(f));
    header(&h, "Vary", "Accept-Encoding");
    if (c == WEB_CODINGS) {
        http_respond_constant(rq, 406, TEXT_TYPE, STR("there are gzip, br and identity\n"), h.v);
        return;
    }
    int n = snprintf(tag, sizeof tag, "\"%s%s\"", f->hash, suffix[c]);
    ASSERT(n > 0 && (size_t)n < sizeof tag);
    bool index = str_eq(str_from_c(f->path), STR(INDEX_PATH));
    header(&h, "ETag", tag);
    header(&h, "Cache-Control", index ? CACHE_INDEX : CACHE_ASSETS);
    headers_guard(&h, p);
    if (web_tag_matches(http_header(rq, "If-None-Match"), str_from_c(tag))) {
        http_respond_constant(rq, 304, NULL, STR(""), h.v);
        return;
    }
    if (encoding[c]) {
        header(&h, "Content-Encoding", encoding[c]);
    }
    http_respond_constant(rq, 200, f->type, f->body[c], h.v);
}

void web_respond(const struct web_pack *p, struct http_request *rq)
{
    const struct web_file *f = find(p, http_path(rq));
    if (f) {
        respond_file(p, f, rq);
    } else if (str_eq(http_path(rq), STR(INDEX_PATH))) {
        http_respond_constant(rq, 200, TEXT_TYPE, str_of(no_pages, sizeof no_pages - 1), NULL);
    } else {
        /* A page of an older build asks for files that are gone; its next load gets new names. */
        static const char *const headers[] = {"Cache-Control", "no-store", NULL};
        http_respond_constant(rq, 404, TEXT_TYPE, STR("no such file in this build\n"), headers);
    }
}
