/* Rules inside the server: those of the pillars, which come with the program, and rule_files of
 * farol.yml. */
#ifndef SERVER_RULEBOOK_INT_H
#define SERVER_RULEBOOK_INT_H

#include "base/file.h"
#include "codec/conf.h"
#include "engines/rules/rules.h"
#include "server/api/prom/prom.h"

/* A file that is part of the program (tools/embed). */
struct embedded {
    const char *name; /* pipeline/alerts/stages.yml */
    const unsigned char *bytes;
    size_t n;
};
extern const struct embedded server_rule_files[];
extern const unsigned server_rule_files_count;

/* The section `rules`. */
struct server_rules_config {
    bool builtin;
    struct str external_url;
    int64_t threads, outage_tolerance_ms, grace_period_ms, resend_delay_ms;
    uint64_t bytes_max;
};
const struct conf_field *server_rules_fields(size_t *count);

struct server_rulebook {
    struct rules *rules;
    bool builtin;
    char dir[PATH_BYTES_MAX]; /* where the pillars' files are put */
};

/* What rules take from elsewhere. */
struct rulebook_options {
    const struct server_rules_config *config;
    const struct prom_config *query;
    const struct yaml_node *root; /* NULL: no file */
    const char *where;            /* its name */
    const char *storage_dir;
    const char *url; /* when rules.external_url is not set */
    struct tsdb *db;
    const struct os *os;
    struct log *log;
    const struct rules_sink *sink;
};
/* rule_files: a list of texts. */
MUST_USE bool server_rulebook_check(const struct yaml_node *root, struct err *e);
/* Checks the files that rule_files names, c from server_config_read. each: every problem and the
 * text it stands in, text being that of `where`. false: there were some. */
MUST_USE bool server_rulebook_check_files(
    const struct server_rules_config *config, unsigned flags, const struct yaml_node *root,
    const char *where, struct str text, const struct os *os,
    void (*each)(void *ctx, const struct err *e, struct str text), void *ctx);
/* Reads all files; groups are evaluated from server_rulebook_run on. */
MUST_USE bool server_rulebook_start(struct server_rulebook *b, const struct rulebook_options *o,
                                    struct err *e);
MUST_USE bool server_rulebook_run(struct server_rulebook *b, struct err *e);
/* Reads all files and the global settings again, for rules_commit; nothing changes yet. */
MUST_USE bool server_rulebook_prepare(struct server_rulebook *b, const struct yaml_node *root,
                                      const char *where, const struct os *os,
                                      struct rules_change **out, struct err *e);
void server_rulebook_stop(struct server_rulebook *b);

#endif
