/* See sending_int.h. What runs is reached through two pointers; a reload puts others in their place
 * while rules, the ticker and the API go on, and lets go of the old ones afterwards. */
#include "server/sending_int.h"

#include "server/commands_int.h"

static const char agent[] = "Farol";

bool server_sending_check(const struct yaml_node *root, const char *where, struct err *e)
{
    struct sending_alerts *a = NULL;
    struct sending_samples *s = NULL;
    const bool ok = sending_alerts_read(root, where, &a, e) &&
                    sending_samples_read(root, where, os_real(), &s, e);
    sending_alerts_free(a);
    sending_samples_free(s);
    return ok;
}

bool server_sending_open(struct server_sending *s, const struct yaml_node *root, const char *where,
                         const struct os *os, struct log *log, struct err *e)
{
    *s = (struct server_sending){.os = os, .log = log};
    (void)pthread_rwlock_init(&s->mu, NULL);
    s->open = true;
    return sending_alerts_read(root, where, &s->alerts, e) &&
           sending_samples_read(root, where, os, &s->samples, e);
}

uint64_t server_sending_log_bytes(const struct server_sending *s)
{
    return forward_log_bytes(s->samples->v, s->samples->n);
}

/* --- beginning ------------------------------------------------------------------------------ */

/* thread: the rules' */
static bool relabel_alert(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                          struct arena *a)
{
    const struct sending_alerts *s = ctx;
    const struct scrape_relabel *r = entry == UINT32_MAX ? s->all : s->entries[entry];
    return !r || scrape_relabel_apply(r, v, n, cap, a);
}

/* thread: the senders' */
static bool relabel_series(void *ctx, uint32_t entry, struct label *v, uint32_t *n, uint32_t cap,
                           struct arena *a)
{
    const struct sending_samples *s = ctx;
    return !s->entries[entry] || scrape_relabel_apply(s->entries[entry], v, n, cap, a);
}

static bool alerts_begin(struct server_sending *s, struct sending_alerts *a, struct err *e)
{
    const struct notify_am_options o = {
        .os = s->os, .log = s->log, .relabel = {a, relabel_alert}, .user_agent = agent};
    return notify_am_new(&a->config, &o, &a->am, e);
}

static bool samples_begin(struct server_sending *s, struct sending_samples *x, struct err *e)
{
    if (x->n == 0) {
        return true;
    }
    const struct forward_options o = {.db = s->db,
                                      .os = s->os,
                                      .log = s->log,
                                      .mem = &x->mem,
                                      .dir = s->dir,
                                      .external = x->external,
                                      .relabel = {x, relabel_series},
                                      .user_agent = agent};
    return forward_new(x->v, x->n, &o, &x->forward, e);
}

bool server_sending_start(struct server_sending *s, struct tsdb *db, const char *dir, struct err *e)
{
    s->db = db;
    return path_join(s->dir, sizeof s->dir, dir, "forward", e) && samples_begin(s, s->samples, e) &&
           alerts_begin(s, s->alerts, e);
}

/* --- while it runs -------------------------------------------------------------------------- */

/* thread: the rules'. Queues only, so a reload waits for no network here. */
static void give(void *ctx, const struct rules_alert *alerts, uint32_t n)
{
    struct server_sending *s = ctx;
    (void)pthread_rwlock_rdlock(&s->mu);
    notify_am_send(s->alerts->am, alerts, n);
    (void)pthread_rwlock_unlock(&s->mu);
}

struct rules_sink server_sending_sink(struct server_sending *s)
{
    return (struct rules_sink){s, give};
}

void server_sending_json(struct server_sending *s, struct buf *out)
{
    (void)pthread_rwlock_rdlock(&s->mu);
    notify_am_json(s->alerts->am, out);
    (void)pthread_rwlock_unlock(&s->mu);
}

void server_sending_publish(struct server_sending *s, struct expo *x)
{
    (void)pthread_rwlock_rdlock(&s->mu);
    notify_am_publish(s->alerts->am, x);
    if (s->samples && s->samples->forward) {
        forward_publish(s->samples->forward, x);
    }
    (void)pthread_rwlock_unlock(&s->mu);
}

/* --- reload --------------------------------------------------------------------------------- */

bool server_sending_prepare(struct server_sending *s, const struct yaml_node *root,
                            const char *where, struct sending_change *c, struct err *e)
{
    *c = (struct sending_change){0};
    if (!sending_alerts_read(root, where, &c->alerts, e) ||
        !sending_samples_read(root, where, s->os, &c->samples, e)) {
        return false;
    }
    if (hash128_eq(c->alerts->print, s->alerts->print)) {
        sending_alerts_free(c->alerts);
        c->alerts = NULL;
    }
    if (hash128_eq(c->samples->print, s->samples->print)) {
        sending_samples_free(c->samples);
        c->samples = NULL;
    }
    return !c->alerts || alerts_begin(s, c->alerts, e);
}

static void show_samples(struct server_sending *s, struct sending_samples *x)
{
    (void)pthread_rwlock_wrlock(&s->mu);
    s->samples = x;
    (void)pthread_rwlock_unlock(&s->mu);
}

/* Both write the same files of positions, so one stops before the other begins. Between them
 * nothing taps the log, which then keeps everything. */
bool server_sending_switch(struct server_sending *s, struct sending_change *c, struct err *e)
{
    struct sending_samples *old = s->samples;
    struct sending_samples *fresh = c->samples;
    if (!fresh) {
        return true;
    }
    const uint64_t before = forward_log_bytes(old->v, old->n);
    const uint64_t after = forward_log_bytes(fresh->v, fresh->n);
    show_samples(s, NULL);
    tsdb_tap_bytes_max_set(s->db, before > after ? before : after);
    forward_free(old->forward);
    old->forward = NULL;
    const bool ok = samples_begin(s, fresh, e);
    struct err again = {0};
    if (!ok && !samples_begin(s, old, &again)) {
        log_err(s->log, LOG_ERROR, "server", &again); /* until the next reload nothing is sent */
    }
    tsdb_tap_bytes_max_set(s->db, ok ? after : before);
    show_samples(s, ok ? fresh : old);
    c->samples = ok ? old : fresh;
    return ok;
}

void server_sending_exchange(struct server_sending *s, struct sending_change *c)
{
    struct sending_alerts *old = s->alerts;
    if (!c->alerts) {
        return;
    }
    (void)pthread_rwlock_wrlock(&s->mu);
    s->alerts = c->alerts;
    (void)pthread_rwlock_unlock(&s->mu);
    c->alerts = old;
}

void server_sending_change_release(struct sending_change *c)
{
    sending_alerts_free(c->alerts);
    sending_samples_free(c->samples);
    *c = (struct sending_change){0};
}

/* --- the end -------------------------------------------------------------------------------- */

void server_sending_stop_samples(struct server_sending *s)
{
    if (s->open && s->samples) {
        forward_free(s->samples->forward);
        s->samples->forward = NULL;
    }
}

void server_sending_stop(struct server_sending *s)
{
    if (!s->open) {
        return;
    }
    sending_samples_free(s->samples);
    sending_alerts_free(s->alerts);
    s->samples = NULL;
    s->alerts = NULL;
    (void)pthread_rwlock_destroy(&s->mu);
    s->open = false;
}
