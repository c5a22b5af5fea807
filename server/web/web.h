/* What browsers get from the program: the packed pages, and the stream that keeps them up to date.
 *
 *     web/ --vite--> dist --web/scripts/pack.mjs--> web_files.c + .bin --> struct web_pack
 *
 * Each file lies in the binary plain, as gzip and as br (those that got smaller), so that nothing
 * is packed while serving. index.html is asked for again each time (ETag, 304); what lies in
 * /assets/
 * has its hash in its name and is kept for a year. */
#ifndef SERVER_WEB_WEB_H
#define SERVER_WEB_WEB_H

#include "codec/expo.h"
#include "net/http_server.h"

enum web_coding { WEB_PLAIN, WEB_GZIP, WEB_BR };
#define WEB_CODINGS 3

struct web_file {
    const char *path; /* "/" or "/assets/index-3f2a.js" */
    const char *type;
    const char *hash;             /* of the plain bytes; with the coding it makes the ETag */
    struct str body[WEB_CODINGS]; /* {NULL, 0}: not in this coding */
};
struct web_pack {
    const struct web_file *files; /* files[0] is "/" */
    uint32_t count;               /* 0: built without the pages */
    const char *csp;              /* Content-Security-Policy, with the hash of the inline script */
};
/* What this binary was built with. The program brings its own; whoever does not, links the empty
 * one of pack_none.c. */
extern const struct web_pack web_packed;

/* Answers GET and HEAD of "/" and "/assets/...": 200, 304, 404, or 406 for who takes no coding that
 * there is. Without pages "/" tells how to build them. thread: any. */
void web_respond(const struct web_pack *p, struct http_request *rq);

/* --- live: server-sent events ----------------------------------------------------------------- */

#define WEB_LISTENERS_MAX   64
#define WEB_QUEUE_BYTES_MAX ((size_t)256 << 10) /* what waits for one listener; then it is cut */

/* thread: any; has a lock. */
struct web_live;
MUST_USE bool web_live_new(struct web_live **out, struct err *e);
/* Answers rq with the stream, the newest event first; ERR_BUSY when there are too many listeners or
 * the end has come. */
void web_live_listen(struct web_live *l, struct http_request *rq);
/* One event to everybody: "event: NAME", "data: TEXT". text has no line ends. Listeners that left
 * or do not read are dropped and counted. */
void web_live_tell(struct web_live *l, const char *name, struct str text);
/* A comment, which pages do not see: that the connection lives, or who has left. */
void web_live_beat(struct web_live *l);
/* Ends all streams and refuses new ones. */
void web_live_end(struct web_live *l);
/* NULL: nothing. */
void web_live_free(struct web_live *l);
void web_live_publish(struct web_live *l, struct expo *x);

#endif
