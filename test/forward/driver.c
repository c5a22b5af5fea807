/* A store that other engines follow, for test/forward/run: commits SERIES samples every STEP_MS for
 * SECONDS, says each time that was acknowledged, then waits until nothing is left to send.
 *
 *     forward_driver DIR SERIES STEP_MS SECONDS WAIT_SECONDS URL... */
#include "forward/remote_write/remote_write.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int die(const struct err *e)
{
    fprintf(stderr, "%s\n", e->msg);
    return 1;
}

static void nap_ms(int64_t ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static double sum(struct forward *f, struct mem *m, const char *family)
{
    struct arena a;
    struct expo x;
    double v = 0;
    arena_init(&a, m, 1 << 20);
    expo_init(&x, &a, 0);
    forward_publish(f, &x);
    for (const struct expo_family *fam = x.first; fam; fam = fam->next) {
        for (const struct expo_sample *s = fam->first; s && str_eq(fam->name, str_from_c(family));
             s = s->next) {
            v += s->value;
        }
    }
    arena_release(&a);
    return v;
}

static bool commit(struct tsdb *db, struct tsdb_batch *b, const uint32_t *refs, uint32_t n,
                   int64_t t_ms, struct err *e)
{
    struct tsdb_result r;
    tsdb_batch_reset(b);
    for (uint32_t k = 0; k < n; k++) {
        if (!tsdb_batch_add(b, refs[k], t_ms, (double)(t_ms % 100000 + k), e)) {
            return false;
        }
    }
    return tsdb_commit_wait(db, b, 0, &r, e);
}

static bool define(struct tsdb *db, uint32_t *refs, uint32_t n, struct err *e)
{
    for (uint32_t k = 0; k < n; k++) {
        char text[16];
        snprintf(text, sizeof text, "%u", k);
        const struct label l[] = {{STR(LABEL_NAME), STR("fwd_value")},
                                  {STR("series"), str_from_c(text)}};
        if (!tsdb_series(db, 0, (struct labels){l, 2}, &refs[k], e)) {
            return false;
        }
    }
    return true;
}

static struct forward_config *configs(char **urls, int n, struct arena *a, uint32_t *count,
                                      struct err *e)
{
    struct buf b;
    struct yaml_node *doc;
    struct forward_config *c;
    buf_init(&b, a->mem, 1 << 16);
    for (int i = 0; i < n; i++) {
        buf_fmt(&b, "- {url: \"%s\", name: peer%d, queue_config: {batch_send_deadline: 500ms}}\n",
                urls[i], i);
    }
    const bool ok = yaml_parse(buf_str(&b), "urls", a, &doc, e) &&
                    forward_config_read(doc, "/", a, &c, count, e);
    buf_release(&b);
    return ok ? c : NULL;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct mem m;
    struct arena a;
    struct tsdb *db;
    struct forward *f;
    struct tsdb_config tc;
    uint32_t n;
    if (argc < 7) {
        fprintf(stderr, "usage: forward_driver DIR SERIES STEP_MS SECONDS WAIT_SECONDS URL...\n");
        return 2;
    }
    int64_t number[4];
    for (int i = 0; i < 4; i++) {
        if (!str_to_i64(str_from_c(argv[2 + i]), &number[i]) || number[i] < 0) {
            err_set(&e, ERR_INPUT, "expected a number, found %s", argv[2 + i]);
            return die(&e);
        }
    }
    const uint32_t series = (uint32_t)number[0];
    const int64_t step_ms = number[1], seconds = number[2], wait_s = number[3];
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 20);
    struct forward_config *c = configs(argv + 6, argc - 6, &a, &n, &e);
    tsdb_config_default(&tc);
    tc.dir = argv[1];
    tc.tap_bytes_max = c ? forward_log_bytes(c, n) : 0;
    uint32_t *refs = calloc(series, sizeof *refs);
    struct tsdb_batch *b = tsdb_batch_new(&m, 64 << 20);
    if (!c || !refs || !b || !tsdb_open(&db, &tc, os_real(), NULL, &e)) {
        return die(&e);
    }
    const struct forward_options o = {
        .db = db, .os = os_real(), .mem = &m, .dir = argv[1], .user_agent = "farol/driver"};
    if (!forward_new(c, n, &o, &f, &e) || !define(db, refs, series, &e)) {
        return die(&e);
    }
    const int64_t end_ms = ms_from_ns(os_now_ns(os_real())) + seconds * 1000;
    for (int64_t t_ms; (t_ms = ms_from_ns(os_now_ns(os_real()))) < end_ms; nap_ms(step_ms)) {
        if (!commit(db, b, refs, series, t_ms, &e)) {
            return die(&e);
        }
        printf("%lld\n", (long long)t_ms);
        fflush(stdout);
    }
    for (int64_t i = 0; i < wait_s * 10 && (sum(f, &m, "farol_forward_lag_bytes") > 0 ||
                                            sum(f, &m, "farol_forward_lag_seconds") > 0);
         i++) {
        nap_ms(100);
    }
    fprintf(stderr, "sent %.0f dropped %.0f retries %.0f lag_bytes %.0f\n",
            sum(f, &m, "farol_forward_samples"), sum(f, &m, "farol_forward_dropped"),
            sum(f, &m, "farol_forward_retries"), sum(f, &m, "farol_forward_lag_bytes"));
    forward_free(f);
    tsdb_batch_free(b);
    tsdb_close(db);
    free(refs);
    arena_release(&a);
    return 0;
}
