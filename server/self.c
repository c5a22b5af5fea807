/* Farol's own series: what it does, what it refuses, what it uses. Silent loss is the worst defect
 * of a monitor, so every bound that can drop something has a counter here or in its module. */
#include "server/service_int.h"

#include "base/file.h"
#include "server/commands_int.h"

#include <time.h>
#include <unistd.h>

#define PROC_BYTES_MAX 4096

static void publish_build(struct expo *x)
{
    const struct label labels[] = {{STR("version"), str_from_c(server_version)},
                                   {STR("commit"), str_from_c(server_commit)},
                                   {STR("compiler"), STR(__VERSION__)}};
    struct expo_family *f = expo_family(x, EXPO_INFO, STR("farol_build"), STR(""),
                                        STR("What is running: version, commit and compiler."));
    expo_add(x, f, labels, ARRAY_LEN(labels), 1);
}

static void publish_journal(struct expo *x, const struct journal_stats *j)
{
    expo_gauge(x, "farol_journal_bytes", "bytes", "Size of the journal on disk.", (double)j->bytes);
    expo_gauge(x, "farol_journal_segments", "", "Files of the journal.", (double)j->segments);
    expo_counter(x, "farol_journal_appended", "", "Batches written to the journal.", j->appended);
    expo_counter(x, "farol_journal_appended_bytes", "bytes", "Bytes written to the journal.",
                 j->appended_bytes);
    expo_counter(x, "farol_journal_syncs", "", "Times the journal was made durable.", j->syncs);
    expo_one(x, EXPO_COUNTER, "farol_journal_sync_seconds", "seconds",
             "Time spent making the journal durable.", (double)j->sync_ns_total / 1e9);
    expo_gauge(x, "farol_journal_torn_bytes", "bytes",
               "Bytes of writes that were never acknowledged, cut at the last start.",
               (double)j->torn_bytes);
    expo_gauge(x, "farol_journal_damaged_batches", "",
               "Acknowledged batches that the last start could not read: loss.",
               (double)j->damaged_frames);
    expo_gauge(x, "farol_journal_damaged_bytes", "bytes", "Bytes in the place of damaged batches.",
               (double)j->damaged_bytes);
}

static void publish_river(struct expo *x, const struct river_stats *r)
{
    expo_counter(x, "farol_river_batches", "", "Batches acknowledged.", r->batches);
    expo_counter(x, "farol_river_records", "", "Records acknowledged.", r->records);
    expo_counter(x, "farol_river_bytes", "bytes", "Bytes of acknowledged batches.", r->bytes);
    struct expo_family *f =
        expo_family(x, EXPO_COUNTER, STR("farol_river_refused"), STR(""),
                    STR("Batches not stored, by reason: busy (queue full), io (disk)."));
    const struct label busy = {STR("reason"), STR("busy")};
    const struct label io = {STR("reason"), STR("io")};
    expo_add(x, f, &busy, 1, (double)r->refused_busy);
    expo_add(x, f, &io, 1, (double)r->refused_io);
    expo_gauge(x, "farol_river_queue_bytes", "bytes",
               "Received and not yet applied by every shard.", (double)r->queue_bytes);
    expo_counter(x, "farol_river_checkpoints", "", "Checkpoints written.", r->checkpoints);
    expo_counter(x, "farol_river_checkpoint_failures", "", "Checkpoints that could not be written.",
                 r->checkpoint_failures);
    expo_gauge(x, "farol_river_checkpoint_seconds", "seconds", "How long the last checkpoint took.",
               s_from_ns(r->checkpoint_ns_last));
    expo_gauge(x, "farol_river_rest_seconds", "seconds",
               "How long the shards stood still last time.", s_from_ns(r->rest_ns_last));
    expo_gauge(x, "farol_river_recovery_seconds", "seconds",
               "How long the last start took to recover.", s_from_ns(r->recovery_ns));
    expo_gauge(x, "farol_river_recovered_batches", "", "Batches replayed at the last start.",
               (double)r->recovered_batches);
    publish_journal(x, &r->journal);
}

static void publish_http(struct expo *x, const struct http_stats *h)
{
    static const char *const classes[] = {"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct expo_family *f = expo_family(x, EXPO_COUNTER, STR("farol_http_responses"), STR(""),
                                        STR("Answers by class of status."));
    for (size_t i = 2; i < ARRAY_LEN(classes); i++) {
        const struct label label = {STR("class"), str_from_c(classes[i])};
        expo_add(x, f, &label, 1, (double)h->status[i]);
    }
    expo_counter(x, "farol_http_requests", "", "Requests whose headers were read.", h->requests);
    f = expo_family(x, EXPO_COUNTER, STR("farol_http_refused"), STR(""),
                    STR("Requests refused before a handler: framing, route, body."));
    const struct label framing = {STR("reason"), STR("framing")};
    const struct label route = {STR("reason"), STR("route")};
    const struct label body = {STR("reason"), STR("body")};
    expo_add(x, f, &framing, 1, (double)h->refused_framing);
    expo_add(x, f, &route, 1, (double)h->refused_route);
    expo_add(x, f, &body, 1, (double)h->refused_body);
    expo_gauge(x, "farol_http_connections", "", "Open connections.", (double)h->connections);
}

static void count_name(void *arg, const char *name)
{
    uint64_t *count = arg;
    *count += name[0] != '\0';
}

/* Second number of /proc/self/statm: resident pages. Linux, proc(5). */
static bool resident_bytes(const struct os *os, double *out)
{
    struct mem mem;
    struct buf text;
    struct err e = {0};
    uint64_t pages = 0;
    mem_init(&mem, 0);
    buf_init(&text, &mem, PROC_BYTES_MAX);
    bool ok = file_read(os, "/proc/self/statm", &text, &e);
    ok = ok && str_to_u64(str_cut(str_cut(buf_str(&text), ' ').tail, ' ').head, &pages);
    *out = (double)pages * (double)sysconf(_SC_PAGESIZE);
    buf_release(&text);
    return ok;
}

static void publish_process(const struct service *s, struct expo *x)
{
    struct timespec cpu;
    double bytes = 0;
    uint64_t fds = 0;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
        expo_one(x, EXPO_COUNTER, "farol_process_cpu_seconds", "seconds",
                 "CPU time of this process.", (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    }
    if (resident_bytes(s->os, &bytes)) {
        expo_gauge(x, "farol_process_resident_memory_bytes", "bytes", "Memory in use.", bytes);
    }
    if (s->os->list(s->os->ctx, "/proc/self/fd", count_name, &fds) == 0) {
        expo_gauge(x, "farol_process_open_fds", "", "Open file descriptors.", (double)fds);
    }
    expo_gauge(x, "farol_process_uptime_seconds", "seconds", "Time since the start.",
               s_from_ns(os_mono_ns(s->os) - s->started_mono_ns));
    expo_counter(x, "farol_log_lines_dropped", "", "Log lines not written: too many in one second.",
                 atomic_load(&s->log->lines_dropped));
}

void server_self_publish(struct service *s, struct expo *x)
{
    struct river_stats river;
    struct http_stats http;
    publish_build(x);
    river_stats(s->river, &river);
    publish_river(x, &river);
    http_server_stats(s->http, &http);
    publish_http(x, &http);
    ndjson_publish(s->ndjson, x);
    publish_process(s, x);
    expo_counter(x, "farol_ticks", "", "Times the series were brought up to date.",
                 atomic_load(&s->ticks));
    expo_counter(x, "farol_ticks_cut", "",
                 "Ticks whose series did not fit in server.metrics_bytes_max.",
                 atomic_load(&s->ticks_cut));
    expo_gauge(x, "farol_tick_seconds", "seconds", "How long the last tick took.",
               (double)atomic_load(&s->tick_ns_last) / 1e9);
    expo_counter(x, "farol_reloads", "", "Configuration reloads that were applied.",
                 atomic_load(&s->reloads));
    expo_counter(x, "farol_reload_failures", "", "Configuration reloads that were refused.",
                 atomic_load(&s->reload_failures));
    expo_counter(x, "farol_api_refused", "",
                 "Requests refused because too many waited for the reader.",
                 atomic_load(&s->jobs_refused));
}
