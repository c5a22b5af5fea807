/* Deleting, cleaning and copying below admin/tsdb: refused unless query.admin is set. */
#include "server/api/prom/prom_int.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdio.h>

#define FORM_BYTES_MAX (4U << 20)

static bool allowed(struct prom_call *c)
{
    return c->api->config.admin || prom_fail(c, PROM_DISABLED, "admin APIs disabled");
}

static bool run_delete(struct prom_call *c)
{
    struct prom_selector *s;
    struct err e = {0};
    int64_t from_ms, to_ms;
    uint32_t n;
    if (!allowed(c) || !prom_range(c, &from_ms, &to_ms) ||
        !prom_matches(c, PROM_MATCH_WANTED | PROM_MATCH_NAMED, &s, &n)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t series;
        if (s[i].n == 0 || to_ms < from_ms) {
            continue; /* {} deletes nothing, as there */
        }
        if (!tsdb_delete(c->api->deps.db, s[i].m, s[i].n, from_ms, to_ms, &series, &e)) {
            return prom_fail_err(c, &e);
        }
    }
    c->status = 204;
    return true;
}

static bool run_clean(struct prom_call *c)
{
    struct err e = {0};
    if (!allowed(c)) {
        return false;
    }
    if (!tsdb_clean(c->api->deps.db, &e)) {
        return prom_fail_err(c, &e);
    }
    c->status = 204;
    return true;
}

/* Ours: what the flusher would do in its own time, now. */
static bool run_merge(struct prom_call *c)
{
    struct err e = {0};
    if (!tsdb_flush(c->api->deps.db, true, &e)) {
        return prom_fail_err(c, &e);
    }
    c->status = 204;
    return true;
}

/* skip_head is read and not used: a copy always has the newest samples too. */
static bool run_snapshot(struct prom_call *c)
{
    const struct str skip = prom_get(c, "skip_head");
    bool ignored;
    if (!allowed(c)) {
        return false;
    }
    if (skip.n > 0 && !prom_bool_of(skip, &ignored)) {
        return prom_fail(c, PROM_BAD_DATA,
                         "invalid parameter \"skip_head\": unable to parse boolean: "
                         "strconv.ParseBool: parsing \"%.*s\": invalid syntax",
                         STR_FMT(str_sub(skip, 0, 100)));
    }
    const struct prom_deps *d = &c->api->deps;
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX], name[64];
    const int64_t now_ns = os_now_ns(d->os);
    const struct civil t = civil_from_ns(now_ns);
    struct err e = {0};
    (void)snprintf(name, sizeof name, "%04d%02u%02uT%02u%02u%02uZ-%09d", t.year, t.month, t.day,
                   t.hour, t.minute, t.second, t.ns);
    if (!path_join(folder, sizeof folder, d->dir, "snapshots", &e) ||
        !dir_make(d->os, folder, &e) || !path_join(path, sizeof path, folder, name, &e) ||
        !tsdb_snapshot(d->db, path, &e)) {
        return prom_fail_err(c, &e);
    }
    buf_fmt(&c->out, "{\"name\":\"%s\"}", name);
    return true;
}

#define ADMIN(path, help, run)                                              \
    {"POST", "/api/v1/admin/tsdb/" path, help, FORM_BYTES_MAX, false, run}, \
    {                                                                       \
        "PUT", "/api/v1/admin/tsdb/" path, help, FORM_BYTES_MAX, false, run \
    }

const struct prom_endpoint prom_endpoints_admin[] = {
    ADMIN("delete_series", "deletes samples: match[], start, end", run_delete),
    ADMIN("clean_tombstones", "gives back the space of deleted samples", run_clean),
    ADMIN("merge", "writes what memory holds into blocks and merges them all (not in Prometheus)",
          run_merge),
    ADMIN("snapshot", "a copy of the store below snapshots/", run_snapshot),
};
const uint32_t prom_endpoints_admin_n = ARRAY_LEN(prom_endpoints_admin);
