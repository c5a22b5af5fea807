/* See scraping_int.h. The loop frees a configuration when the next one has taken its place, on its
 * own thread and at its own time; so every configuration has a struct mem of its own, which stays
 * until the end (some ten bytes for each reload). */
#include "server/scraping_int.h"

#include "server/commands_int.h"

#include <stdio.h>
#include <stdlib.h>

#define USER_AGENT_BYTES 64

struct scraping_memory {
    struct mem mem;
    struct scraping_memory *next;
};

static const char *variable(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

bool server_scraping_read(const struct yaml_node *root, const char *where, const struct os *os,
                          struct mem *m, struct scrape_config **out, struct err *e)
{
    static const struct yaml_node none = {.kind = YAML_MAPPING};
    char dir[PATH_BYTES_MAX] = ".";
    size_t slash = 0;
    for (size_t i = 0; where && where[i]; i++) {
        slash = where[i] == '/' ? i + 1 : slash;
    }
    if (slash > 0) {
        (void)snprintf(dir, sizeof dir, "%.*s", (int)slash, where);
    }
    const struct scrape_config_options o = {.dir = dir, .os = os, .env = variable};
    return scrape_config_read(root ? root : &none, where, &o, m, out, e);
}

bool server_scraping_check(const struct yaml_node *root, const char *where, struct err *e)
{
    struct scrape_config *c = NULL;
    struct mem m;
    mem_init(&m, 0);
    const bool ok = server_scraping_read(root, where, os_real(), &m, &c, e);
    scrape_config_free(c);
    return ok;
}

bool server_scraping_apply(struct server_scraping *s, const struct yaml_node *root,
                           const char *where, struct err *e)
{
    struct scrape_config *c = NULL;
    struct scraping_memory *memory = calloc(1, sizeof *memory);
    if (!memory) {
        return err_set(e, ERR_NOMEM, "no memory for the scrape configuration");
    }
    mem_init(&memory->mem, 0);
    if (!server_scraping_read(root, where, s->os, &memory->mem, &c, e)) {
        free(memory);
        return false;
    }
    memory->next = s->configs;
    s->configs = memory;
    scrape_apply(s->scrape, c);
    return true;
}

bool server_scraping_start(struct server_scraping *s, struct tsdb *db, const struct yaml_node *root,
                           const char *where, const struct os *os, struct log *log, struct err *e)
{
    char agent[USER_AGENT_BYTES];
    mem_init(&s->mem, 0); /* bounded by the limits of scraping */
    s->os = os;
    (void)snprintf(agent, sizeof agent, "Farol/%s", server_version);
    const struct scrape_options o = {
        .db = db, .os = os, .log = log, .mem = &s->mem, .user_agent = agent};
    return scrape_new(&o, &s->scrape, e) && server_scraping_apply(s, root, where, e);
}

bool server_scraping_run(struct server_scraping *s, struct err *e)
{
    return scrape_start(s->scrape, e);
}

void server_scraping_stop(struct server_scraping *s)
{
    scrape_stop(s->scrape);
    s->scrape = NULL;
    while (s->configs) {
        struct scraping_memory *next = s->configs->next;
        ASSERT(s->configs->mem.bytes == 0);
        free(s->configs);
        s->configs = next;
    }
    ASSERT(s->mem.bytes == 0);
}

void server_scraping_publish(struct server_scraping *s, struct expo *x)
{
    static const char *const failures[] = {"connection", "status", "parse", "limit"};
    struct scrape_stats v;
    scrape_stats(s->scrape, &v);
    const uint64_t failed[] = {v.failed_connect, v.failed_status, v.failed_parse, v.failed_limit};
    expo_gauge(x, "farol_scrape_targets", "", "Targets that are asked for their metrics.",
               (double)v.targets);
    expo_counter(x, "farol_scrapes", "", "Times a target was asked.", v.scrapes);
    struct expo_family *f = expo_family(x, EXPO_COUNTER, STR("farol_scrape_failures"), STR(""),
                                        STR("Scrapes that gave nothing, by reason."));
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        const struct label l = {STR("reason"), str_from_c(failures[i])};
        expo_add(x, f, &l, 1, (double)failed[i]);
    }
    expo_counter(x, "farol_scrape_samples", "", "Samples scraped and stored.", v.samples);
    expo_counter(x, "farol_scrape_bytes", "bytes", "Size of the pages that were scraped.", v.bytes);
    expo_counter(x, "farol_scrape_series_added", "", "Series that were new to their target.",
                 v.series_added);
    expo_counter(x, "farol_scrape_duplicates", "", "Series given twice on one page.", v.duplicates);
    expo_counter(x, "farol_scrape_histograms_refused", "",
                 "Classic histograms that are damaged, so that they could not be converted.",
                 v.nhcb_refused);
    expo_counter(x, "farol_scrape_slots_missed", "",
                 "Scrapes left out because the one before was not over.", v.slots_missed);
    expo_counter(x, "farol_scrape_commits_failed", "",
                 "Scrapes whose samples the store could not take.", v.commits_failed);
    expo_counter(x, "farol_scrape_discovery_failures", "",
                 "Files of targets that could not be read.", v.discovery_failures);
}
