/* See client_int.h. */
#include "server/client_int.h"

#include "server/text_int.h"

#include <stdio.h>

bool server_client_init(struct server_client *c, const char *url, int64_t timeout_ms, struct err *e)
{
    memset(c, 0, sizeof *c);
    mem_init(&c->mem, 64 << 20);
    buf_init(&c->body, &c->mem, VIEW_JSON_BYTES_MAX);
    struct str u = str_from_c(url);
    if (!str_starts(u, STR("http://")) && !str_starts(u, STR("https://"))) {
        return err_set(e, ERR_INPUT,
                       "expected an address such as http://127.0.0.1:9480, found '%.80s'", url);
    }
    while (str_ends(u, STR("/"))) {
        u.n--;
    }
    int n = snprintf(c->url, sizeof c->url, "%.*s/farol/v1/status", STR_FMT(u));
    if (n < 0 || (size_t)n >= sizeof c->url) {
        return err_set(e, ERR_INPUT, "the address is longer than %zu bytes", sizeof c->url);
    }
    c->http = http_client_new(&c->mem, timeout_ms, timeout_ms);
    c->json = json_parser_new(&c->mem, VIEW_TOKENS_MAX, VIEW_JSON_BYTES_MAX);
    if (!c->http || !c->json) {
        server_client_release(c);
        return err_set(e, ERR_NOMEM, "no memory for the HTTP client");
    }
    return true;
}

void server_client_release(struct server_client *c)
{
    if (c->json) {
        json_parser_free(c->json);
    }
    if (c->http) {
        http_client_free(c->http);
    }
    buf_release(&c->body);
    c->json = NULL;
    c->http = NULL;
}

bool server_client_status(struct server_client *c, struct server_view *out, struct err *e)
{
    struct http_answer answer;
    buf_reset(&c->body);
    if (!http_client_do(c->http, "GET", c->url, NULL, STR(""), VIEW_JSON_BYTES_MAX, &answer, e)) {
        return false;
    }
    buf_str_add(&c->body, buf_str(&answer.body));
    buf_release(&answer.body);
    if (answer.status == 503) {
        return err_set(e, ERR_BUSY, "it is starting or stopping (503)");
    }
    if (answer.status != 200) {
        return err_set(e, ERR_INPUT, "status %d", answer.status);
    }
    return buf_ok(&c->body, e) && server_view_read(c->json, buf_str(&c->body), out, e);
}

bool server_duration_option(const struct command_args *a, const char *name, int64_t fallback,
                            int64_t *out)
{
    const char *value = command_value(a, name);
    *out = fallback;
    if (!value || (str_to_duration_ms(str_from_c(value), out) && *out > 0)) {
        return true;
    }
    TELL(a->lang, BAD_NUMBER, str_from_c(name), str_from_c(server_text(a->lang, TEXT_A_DURATION)),
         str_sub(str_from_c(value), 0, 40));
    return false;
}

bool server_number_option(const struct command_args *a, const char *name, uint64_t min,
                          uint64_t max, uint64_t fallback, uint64_t *out)
{
    const char *value = command_value(a, name);
    *out = fallback;
    if (!value || (str_to_u64(str_from_c(value), out) && *out >= min && *out <= max)) {
        return true;
    }
    char lo[24];
    char hi[24];
    (void)snprintf(lo, sizeof lo, "%llu", (unsigned long long)min);
    (void)snprintf(hi, sizeof hi, "%llu", (unsigned long long)max);
    struct mem mem;
    mem_init(&mem, 0);
    struct buf expected;
    buf_init(&expected, &mem, 256);
    SAY(&expected, a->lang, A_NUMBER, str_from_c(lo), str_from_c(hi));
    TELL(a->lang, BAD_NUMBER, str_from_c(name), buf_str(&expected),
         str_sub(str_from_c(value), 0, 40));
    buf_release(&expected);
    return false;
}
