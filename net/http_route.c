/* Finding the route of a request, and saying which there are when there is none.
 *
 * A route's path is exact, or a prefix when it ends in "/" "*" ("/ui/" "*" takes "/ui/" and below,
 * not "/ui"). The longest pattern wins, an exact one before a prefix. GET routes answer HEAD: the
 * library leaves the body out. A server has a few dozen routes, so a walk is the whole index. */
#include "net/http_int.h"

/* Length of the match in bytes, exact matches above all prefixes; 0 = no match. */
static size_t match(const struct http_route *r, struct str path)
{
    struct str pattern = str_from_c(r->path);
    if (str_eq(pattern, path)) {
        return SIZE_MAX;
    }
    if (!str_ends(pattern, STR("/*"))) {
        return 0;
    }
    pattern.n--;
    return str_starts(path, pattern) ? pattern.n : 0;
}

static bool method_fits(const struct http_route *r, struct str method)
{
    struct str have = str_from_c(r->method);
    return str_eq(have, method) || (str_eq(have, STR("GET")) && str_eq(method, STR("HEAD")));
}

const struct http_route *http_route_find(const struct http_route *routes, size_t count,
                                         struct str method, struct str path, bool *path_known)
{
    const struct http_route *best = NULL;
    size_t best_n = 0;
    *path_known = false;
    for (size_t i = 0; i < count; i++) {
        size_t n = match(&routes[i], path);
        *path_known = *path_known || n > 0;
        if (n > best_n && method_fits(&routes[i], method)) {
            best = &routes[i];
            best_n = n;
        }
    }
    return best;
}

void http_route_allow(const struct http_route *routes, size_t count, struct str path,
                      struct buf *out)
{
    bool get = false;
    for (size_t i = 0; i < count; i++) {
        struct str method = str_from_c(routes[i].method);
        if (match(&routes[i], path) == 0 || str_contains(buf_str(out), method)) {
            continue;
        }
        buf_str_add(out, out->n ? STR(", ") : STR(""));
        buf_str_add(out, method);
        get = get || str_eq(method, STR("GET"));
    }
    if (get) {
        BUF_LIT(out, ", HEAD");
    }
}

void http_route_list(const struct http_route *routes, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        buf_fmt(out, "%-6s %-28s %s\n", routes[i].method, routes[i].path,
                routes[i].help ? routes[i].help : "");
    }
}
