/* Asking a running farol for its status, for the commands status, top and demo. */
#ifndef SERVER_CLIENT_INT_H
#define SERVER_CLIENT_INT_H

#include "base/command.h"
#include "codec/json.h"
#include "net/http_client.h"
#include "server/view_int.h"

struct server_client {
    struct mem mem;
    struct http_client *http;
    struct json_parser *json;
    struct buf body; /* of the last answer */
    char url[512];   /* of the status */
};

/* ERR_INPUT: url is too long or not http(s)://. */
MUST_USE bool server_client_init(struct server_client *c, const char *url, int64_t timeout_ms,
                                 struct err *e);
void server_client_release(struct server_client *c);
/* GET /farol/v1/status. The JSON stays in c->body. ERR_BUSY, ERR_IO: no connection; ERR_INPUT: it
 * answered something else. */
MUST_USE bool server_client_status(struct server_client *c, struct server_view *out, struct err *e);

/* A duration option in milliseconds, `fallback` when not given; says what is wrong and returns
 * false. */
MUST_USE bool server_duration_option(const struct command_args *a, const char *name,
                                     int64_t fallback, int64_t *out);
MUST_USE bool server_number_option(const struct command_args *a, const char *name, uint64_t min,
                                   uint64_t max, uint64_t fallback, uint64_t *out);

#endif
