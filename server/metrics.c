/* See metrics_int.h. */
#include "server/metrics_int.h"

#include "base/file.h"
#include "ingest/door/door.h"
#include "server/commands_int.h"

#include <stdio.h>

#define URL_BYTES_MAX 256

static void tsdb_config_of(const struct server_metrics_config *c, const char *dir,
                           struct tsdb_config *out)
{
    tsdb_config_default(out);
    out->dir = dir;
    out->retention_ms = c->retention_ms;
    out->retention_bytes = c->retention_bytes;
    out->out_of_order_ms = c->out_of_order_ms;
    out->future_ms = c->future_ms;
    out->head_bytes_max = c->head_bytes_max;
    out->head_ms = c->head_ms;
    out->series_max = (uint32_t)c->series_max;
    out->exemplars_max = (uint32_t)c->exemplars_max;
    out->queue_bytes_max = c->queue_bytes_max;
}

static bool start_rules(struct server_metrics *m, const struct os *os, struct log *log,
                        struct err *e)
{
    char url[URL_BYTES_MAX];
    const struct rules_sink sink = server_sending_sink(&m->sending);
    (void)snprintf(url, sizeof url, "http://%.*s", STR_FMT(m->config->server.listen));
    const struct rulebook_options o = {.config = &m->config->rules,
                                       .query = &m->config->query,
                                       .root = m->config->root,
                                       .where = m->config_path,
                                       .storage_dir = m->config->storage.dir,
                                       .url = url,
                                       .db = m->db,
                                       .os = os,
                                       .log = log,
                                       .sink = &sink};
    return server_rulebook_start(&m->rulebook, &o, e);
}

static bool start_doors(struct server_metrics *m, struct err *e)
{
    if (!remote_write_new(&m->config->receiver, m->db, &m->door_mem, &m->remote_write, e) ||
        !otlp_new(&m->config->otlp, m->db, &m->door_mem, &m->otlp, e)) {
        return false;
    }
    m->doors[0] = remote_write_route(m->remote_write);
    for (unsigned i = 0; i < OTLP_ROUTES; i++) {
        m->doors[1 + i] = otlp_route(m->otlp, i);
    }
    return true;
}

bool server_metrics_start(struct server_metrics *m, const struct server_config *config,
                          const char *config_path, struct snapshots *snapshots, const struct os *os,
                          struct log *log, struct err *e)
{
    struct tsdb_config c;
    m->config = config;
    m->config_path = config_path;
    m->os = os;
    m->log = log;
    m->snapshots = snapshots;
    pthread_mutex_init(&m->pages_mu, NULL);
    mem_init(&m->pages_mem, 0);
    buf_init(&m->config_text, &m->pages_mem, 1);
    m->started = true;
    mem_init(&m->door_mem, 0); /* states are bounded by requests_max, bytes by each state */
    if (!path_join(m->dir, sizeof m->dir, config->storage.dir, "metrics", e) ||
        !dir_make(os, config->storage.dir, e)) {
        return false;
    }
    tsdb_config_of(&config->metrics, m->dir, &c);
    if (!server_sending_open(&m->sending, config->root, config_path, os, log, e)) {
        return false;
    }
    c.tap_bytes_max = server_sending_log_bytes(&m->sending);
    if (!tsdb_open(&m->db, &c, os, log, e) ||
        !server_sending_start(&m->sending, m->db, m->dir, e) || !start_doors(m, e) ||
        !server_samples_init(&m->samples, m->db, config->server.listen, e) ||
        !server_scraping_start(&m->scraping, m->db, config->root, config_path, os, log, e) ||
        !start_rules(m, os, log, e) || !server_pages_config_set(m, config->root, e)) {
        return false;
    }
    struct prom_deps deps = {.db = m->db,
                             .os = os,
                             .log = log,
                             .dir = m->dir,
                             .version = server_version,
                             .commit = server_commit};
    server_pages_of(m, &deps.pages);
    return prom_new(&config->query, &deps, &m->api, e);
}

bool server_metrics_run(struct server_metrics *m, struct err *e)
{
    return server_scraping_run(&m->scraping, e) && server_rulebook_run(&m->rulebook, e);
}

bool server_metrics_reload(struct server_metrics *m, const struct server_config *fresh,
                           struct err *e)
{
    struct sending_change sending = {0};
    struct rules_change *rules = NULL;
    struct err back = {0};
    bool ok =
        server_rulebook_prepare(&m->rulebook, fresh->root, m->config_path, m->os, &rules, e) &&
        server_sending_prepare(&m->sending, fresh->root, m->config_path, &sending, e) &&
        server_sending_switch(&m->sending, &sending, e);
    if (ok && (!server_scraping_apply(&m->scraping, fresh->root, m->config_path, e) ||
               !server_pages_config_set(m, fresh->root, e))) {
        ok = false; /* no memory */
        if (!server_sending_switch(&m->sending, &sending, &back)) {
            log_err(m->log, LOG_ERROR, "server", &back);
        }
    }
    if (ok) {
        server_sending_exchange(&m->sending, &sending);
        rules_commit(m->rulebook.rules, rules);
    } else {
        rules_change_free(m->rulebook.rules, rules);
    }
    server_sending_change_release(&sending);
    return ok;
}

void server_metrics_stop(struct server_metrics *m)
{
    if (!m->started) {
        return;
    }
    prom_free(m->api);
    server_scraping_stop(&m->scraping);
    server_rulebook_stop(&m->rulebook);
    server_sending_stop_samples(&m->sending);
    buf_release(&m->config_text);
    pthread_mutex_destroy(&m->pages_mu);
    server_samples_release(&m->samples);
    if (m->db) {
        tsdb_close(m->db); /* answers what it still holds */
    }
    remote_write_free(m->remote_write);
    otlp_free(m->otlp);
    server_sending_stop(&m->sending);
    ASSERT(m->door_mem.bytes == 0);
}

uint64_t server_metrics_busy(struct server_metrics *m)
{
    return m->api ? prom_busy(m->api) : 0;
}

static void publish_store(struct expo *x, const struct tsdb_stats *s)
{
    expo_gauge(x, "farol_tsdb_series", "", "Series known to the store.", (double)s->series);
    expo_counter(x, "farol_tsdb_series_refused", "", "New series refused at a bound.",
                 s->series_refused);
    expo_counter(x, "farol_tsdb_samples", "", "Samples stored.", s->samples);
    expo_counter(x, "farol_tsdb_histograms", "", "Native histograms stored.", s->histograms);
    expo_counter(x, "farol_tsdb_exemplars", "", "Exemplars stored.", s->exemplars);
    expo_counter(x, "farol_tsdb_duplicates", "",
                 "Samples that were there already, with equal value.", s->duplicates);
    struct expo_family *f = expo_family(x, EXPO_COUNTER, STR("farol_tsdb_refused"), STR(""),
                                        STR("Samples refused by the store, by reason."));
    for (int i = 0; i < TSDB_REFUSALS; i++) {
        const struct label l = {STR("reason"), str_from_c(door_refusal_name((enum tsdb_refusal)i))};
        expo_add(x, f, &l, 1, (double)s->refused[i]);
    }
    expo_gauge(x, "farol_tsdb_head_samples", "", "Samples not yet in a block.",
               (double)s->head_samples);
    expo_gauge(x, "farol_tsdb_head_bytes", "bytes", "Memory of samples not yet in a block.",
               (double)s->head_bytes);
    expo_gauge(x, "farol_tsdb_index_bytes", "bytes", "Memory of the series index.",
               (double)s->index_bytes);
    expo_gauge(x, "farol_tsdb_log_bytes", "bytes", "Size of the write-ahead log.",
               (double)s->log_bytes);
    expo_counter(x, "farol_tsdb_log_syncs", "", "Times the write-ahead log was made durable.",
                 s->log_syncs);
    expo_counter(x, "farol_tsdb_log_failures", "", "Writes to the log that failed.",
                 s->log_failures);
    expo_gauge(x, "farol_tsdb_log_damaged", "", "Log records the last start could not read.",
               (double)s->log_records_damaged);
    expo_gauge(x, "farol_tsdb_blocks", "", "Blocks on disk.", (double)s->blocks);
    expo_gauge(x, "farol_tsdb_block_bytes", "bytes", "Size of the blocks.", (double)s->block_bytes);
    expo_gauge(x, "farol_tsdb_block_samples", "", "Samples in blocks.", (double)s->block_samples);
    expo_gauge(x, "farol_tsdb_blocks_damaged", "", "Blocks or columns found damaged: loss.",
               (double)s->blocks_damaged);
    expo_counter(x, "farol_tsdb_flushes", "", "Blocks written from memory.", s->flushes);
    expo_counter(x, "farol_tsdb_flush_failures", "", "Blocks that could not be written.",
                 s->flush_failures);
    expo_counter(x, "farol_tsdb_merges", "", "Merges of blocks.", s->merges);
    expo_counter(x, "farol_tsdb_retired", "", "Blocks dropped by retention.", s->retired);
}

void server_metrics_tick(struct server_metrics *m, struct expo *x)
{
    struct tsdb_stats s;
    tsdb_stats(m->db, &s);
    publish_store(x, &s);
    remote_write_publish(m->remote_write, x);
    otlp_publish(m->otlp, x);
    server_sending_publish(&m->sending, x);
    prom_publish(m->api, x);
    server_scraping_publish(&m->scraping, x);
    rules_publish(m->rulebook.rules, x);
    expo_counter(x, "farol_samples_written", "", "Samples of Farol's own series stored.",
                 m->samples.samples);
    expo_counter(x, "farol_samples_dropped", "", "Samples of Farol's own series not stored.",
                 m->samples.dropped);
    server_samples_write(&m->samples, x);
}
