/* Scraping inside the server: the sections global, scrape_configs and scrape_config_files of
 * farol.yml, with Prometheus' keys, and what is scraped by them. */
#ifndef SERVER_SCRAPING_INT_H
#define SERVER_SCRAPING_INT_H

#include "base/file.h"
#include "codec/expo.h"
#include "ingest/scrape/scrape.h"

struct scraping_memory;
struct server_scraping {
    struct scrape *scrape;
    struct mem mem;                  /* of the loop thread */
    struct scraping_memory *configs; /* of each configuration so far; given back at the end */
    const struct os *os;
};

/* The sections as scraping reads them; m gives the memory until scrape_config_free. */
MUST_USE bool server_scraping_read(const struct yaml_node *root, const char *where,
                                   const struct os *os, struct mem *m, struct scrape_config **out,
                                   struct err *e);
/* Reads the sections and forgets them. where: the file, NULL: none. */
MUST_USE bool server_scraping_check(const struct yaml_node *root, const char *where, struct err *e);
/* Targets are asked from server_scraping_run on. root may be NULL: nothing to scrape. */
MUST_USE bool server_scraping_start(struct server_scraping *s, struct tsdb *db,
                                    const struct yaml_node *root, const char *where,
                                    const struct os *os, struct log *log, struct err *e);
MUST_USE bool server_scraping_run(struct server_scraping *s, struct err *e);
/* Reload. Nothing changes on failure. */
MUST_USE bool server_scraping_apply(struct server_scraping *s, const struct yaml_node *root,
                                    const char *where, struct err *e);
void server_scraping_stop(struct server_scraping *s);
void server_scraping_publish(struct server_scraping *s, struct expo *x);

#endif
