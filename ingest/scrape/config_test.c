/* Configurations of scraping: what is read, what is inherited, what is refused and where. */
#include "ingest/scrape/scrape_int.h"

#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"

#include <stdio.h>

static const char *env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "PLACE") == 0 ? "sp" : NULL;
}

static bool parse(const char *text, const struct os *os, bool check_files, struct mem *m,
                  struct scrape_config **c, struct err *e)
{
    struct scrape_config_options o = {
        .dir = "/etc/farol", .check_files = check_files, .os = os, .env = env};
    return scrape_config_parse(str_from_c(text), "prometheus.yml", &o, m, c, e);
}

TEST(an_empty_configuration_has_defaults)
{
    struct mem m;
    struct scrape_config *c = NULL;
    struct err e;
    mem_init(&m, 0);
    assert_true(parse("", os_real(), true, &m, &c, &e));
    const struct scrape_global *g = scrape_config_global(c);
    assert_int_equal(g->scrape_interval_ms, 60000);
    assert_int_equal(g->scrape_timeout_ms, 10000);
    assert_int_equal(g->evaluation_interval_ms, 60000);
    assert_int_equal(scrape_config_jobs(c), 0);
    scrape_config_free(c);
    assert_int_equal(m.bytes, 0);
}

static const char whole[] =
    "global:\n"
    "  scrape_interval: 15s\n"
    "  sample_limit: 7\n"
    "  label_limit: 30\n"
    "  external_labels: {place: '${PLACE}-$PLACE-$$', none: '$NOPE'}\n"
    "rule_files: [x.yml]\n"
    "scrape_configs:\n"
    "- job_name: one\n"
    "  scrape_interval: 1s\n"
    "  honor_labels: true\n"
    "  honor_timestamps: false\n"
    "  track_timestamps_staleness: true\n"
    "  metrics_path: /m\n"
    "  scheme: https\n"
    "  params: {'match[]': [a, b], x: [y]}\n"
    "  body_size_limit: 1.5KB\n"
    "  sample_limit: 9\n"
    "  target_limit: 3\n"
    "  label_name_length_limit: 10\n"
    "  label_value_length_limit: 20\n"
    "  scrape_protocols: [PrometheusText0.0.4, PrometheusProto]\n"
    "  fallback_scrape_protocol: PrometheusText0.0.4\n"
    "  always_scrape_classic_histograms: true\n"
    "  enable_compression: false\n"
    "  extra_scrape_metrics: true\n"
    "  basic_auth: {username: u, password_file: secret/p}\n"
    "  tls_config: {ca_file: ca.pem, insecure_skip_verify: true, server_name: s, min_version: "
    "TLS12}\n"
    "  follow_redirects: false\n"
    "  enable_http2: false\n"
    "  proxy_url: http://proxy:3128\n"
    "  no_proxy: a,b\n"
    "  http_headers: {X-Org: {values: [a], secrets: [b]}}\n"
    "  static_configs: [{targets: [h1:1, h2:2], labels: {dc: x}}, {targets: ['h3']}]\n"
    "  file_sd_configs: [{files: [t/*.json, /abs/a.yml], refresh_interval: 30s}]\n"
    "  relabel_configs: [{source_labels: [__address__], target_label: a}]\n"
    "  metric_relabel_configs: [{action: drop, regex: x, source_labels: [__name__]}]\n"
    "- job_name: two\n"
    "  authorization: {credentials: abc}\n"
    "  scrape_native_histograms: true\n";

static void check_first(const struct scrape_config *c)
{
    const struct scrape_job *j = &c->jobs[0];
    assert_int_equal(j->interval_ms, 1000);
    assert_int_equal(j->timeout_ms, 1000); /* 10s, but no more than the interval */
    assert_true(j->honor_labels && !j->honor_timestamps && j->track_timestamps_staleness);
    assert_str(j->metrics_path, STR("/m"));
    assert_str(j->scheme, STR("https"));
    assert_int_equal(j->params_n, 2);
    assert_str(j->params[0].values.v[1], STR("b"));
    assert_int_equal(j->body_bytes_max, 1536);
    assert_int_equal(j->sample_limit, 9);
    assert_int_equal(j->target_limit, 3);
    assert_int_equal(j->label_limit, 30);
    assert_int_equal(j->label_name_max, 10);
    assert_int_equal(j->label_value_max, 20);
    assert_int_equal(j->protocols_n, 2);
    assert_int_equal(j->protocols[1], PROTO_PROTOBUF);
    assert_int_equal(j->fallback, PROTO_TEXT_0_0_4);
    assert_true(j->always_classic == 1 && !j->gzip && j->extra_metrics == 1);
    assert_str(j->http.password_file, STR("/etc/farol/secret/p"));
    assert_str(j->http.tls.ca_file, STR("/etc/farol/ca.pem"));
    assert_true(j->http.tls.insecure_skip_verify && j->http.tls.tls_min == 12);
    assert_true(!j->http.follow_redirects && j->http.basic_auth && !j->http.authorization);
    assert_str(j->http.proxy_url, STR("http://proxy:3128"));
    assert_str(j->http.headers[0].values.v[1], STR("b"));
    assert_int_equal(j->groups_n, 2);
    assert_str(j->groups[0].targets.v[1], STR("h2:2"));
    assert_str(j->groups[0].labels[0].value, STR("x"));
    assert_str(j->files[0].files.v[0], STR("/etc/farol/t/*.json"));
    assert_str(j->files[0].files.v[1], STR("/abs/a.yml"));
    assert_int_equal(j->files[0].refresh_ms, 30000);
    assert_int_equal(j->relabel.n, 1);
    assert_int_equal(j->metric_relabel.n, 1);
}

TEST(every_key_of_a_job_is_read)
{
    struct mem m;
    struct scrape_config *c = NULL;
    struct err e;
    mem_init(&m, 0);
    if (!parse(whole, os_real(), false, &m, &c, &e)) {
        print_error("%u:%u %s\n", e.line, e.col, e.msg);
        fail();
    }
    struct labels ext = c->global.external_labels;
    assert_int_equal(ext.n, 1); /* an empty value is no label */
    assert_str(labels_get(ext, STR("place")), STR("sp-sp-$"));
    assert_int_equal(scrape_config_jobs(c), 2);
    check_first(c);
    const struct scrape_job *j = &c->jobs[1];
    assert_int_equal(j->interval_ms, 15000);
    assert_int_equal(j->timeout_ms, 10000);
    assert_int_equal(j->sample_limit, 7);
    assert_int_equal(j->protocols_n, 5);
    assert_int_equal(j->protocols[0], PROTO_PROTOBUF);
    assert_true(j->honor_timestamps && j->gzip && j->http.follow_redirects);
    assert_str(j->http.auth_type, STR("Bearer"));
    assert_str(j->escaping, STR("allow-utf-8"));
    assert_int_equal(j->fallback, -1);
    scrape_config_free(c);
    assert_int_equal(m.bytes, 0);
}

/* One job with these lines, indented by two. */
static bool job(const char *lines, struct err *e)
{
    char text[2048];
    struct mem m;
    struct scrape_config *c = NULL;
    mem_init(&m, 0);
    snprintf(text, sizeof text, "scrape_configs:\n- job_name: j\n  %s\n", lines);
    bool ok = parse(text, os_real(), true, &m, &c, e);
    scrape_config_free(c);
    assert_int_equal(m.bytes, 0);
    return ok;
}

TEST(bad_jobs_are_refused_by_name)
{
    static const struct {
        const char *lines, *says;
    } rows[] = {
        {"job_nam: x", "unknown key"},
        {"scrape_interval: 5x", "scrape_interval"},
        {"scrape_interval: 5s\n  scrape_timeout: 6s", "scrape_timeout is greater"},
        {"scheme: ftp", "http or https"},
        {"ec2_sd_configs: [{port: 1}]", "ec2_sd_configs is not supported"},
        {"kubernetes_sd_configs: []", "file_sd_configs"},
        {"static_configs: [{targets: ['http://bad']}]", "host:port"},
        {"static_configs: [{targets: ['a/b']}]", "host:port"},
        {"static_configs: [{targets: ['http://x']}]\n  relabel_configs: [{target_label: a, "
         "replacement: b}]",
         "host:port"},
        {"static_configs: [{targets: ['']}]", "host:port"},
        {"static_configs: [{target: ['a']}]", "unknown key \"target\""},
        {"static_configs: {targets: [a]}", "list of groups"},
        {"static_configs: [{targets: [a], labels: {'': b}}]", "label name"},
        {"static_configs: [{targets: a}]", "list of strings"},
        {"file_sd_configs: [{files: []}]", "at least one path"},
        {"file_sd_configs: [{files: [a.txt]}]", ".json, .yml or .yaml"},
        {"file_sd_configs: [{files: ['a*/b.yml']}]", ".json, .yml or .yaml"},
        {"file_sd_configs: [{file: [a.yml]}]", "unknown key"},
        {"oauth2: {client_id: x}", "oauth2 is not supported"},
        {"basic_auth: {username: a, password: b, password_file: c}", "only one of"},
        {"basic_auth: {username: a}\n  authorization: {credentials: b}", "only one of"},
        {"basic_auth: {username: a}\n  bearer_token: b", "only one of"},
        {"bearer_token: a\n  bearer_token_file: b", "only one of"},
        {"authorization: {type: Basic, credentials: b}", "use basic_auth"},
        {"authorization: {credentials: a, credentials_file: b}", "only one of"},
        {"authorization: {credentials_file: /random/file/that/is/not/there}", "cannot open"},
        {"tls_config: {cert_file: a}", "both of cert_file and key_file"},
        {"tls_config: {ca: inline}", "use ca_file"},
        {"tls_config: {ca_file: /not/there.pem}", "cannot open"},
        {"tls_config: {min_version: TLS9}", "TLS10"},
        {"no_proxy: a", "no_proxy needs"},
        {"proxy_url: gopher://x", "proxy_url"},
        {"proxy_from_environment: true\n  proxy_url: http://x", "only one of"},
        {"http_headers: {Accept: {values: [x]}}", "cannot be set"},
        {"http_headers: {X: {files: [x]}}", "not supported"},
        {"scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]", "listed twice"},
        {"scrape_protocols: [text]", "PrometheusProto"},
        {"scrape_protocols: []", "one to five"},
        {"fallback_scrape_protocol: x", "PrometheusProto"},
        {"body_size_limit: 100", "size like 10MB"},
        {"body_size_limit: 10XB", "size like 10MB"},
        {"sample_limit: -1", "sample_limit"},
        {"honor_labels: maybe", "honor_labels"},
        {"convert_classic_histograms_to_nhcb: maybe", "true or false"},
        {"metric_name_validation_scheme: utf16", "legacy or utf8"},
        {"metric_name_escaping_scheme: x", "allow-utf-8"},
        {"metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: allow-utf-8",
         "needs utf8"},
        {"relabel_configs: [{action: hashmod, target_label: a}]", "modulus"},
        {"relabel_configs: [null]", "relabelling rule"},
        {"metric_relabel_configs: [{regex: '('}]", ""},
        {"params: [a]", "mapping of parameters"},
    };
    int bad = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {.code = ERR_NONE};
        bool ok = job(rows[i].lines, &e);
        if (ok || !str_contains(str_from_c(e.msg), str_from_c(rows[i].says))) {
            print_error("%s\n  %s\n", rows[i].lines, ok ? "was accepted" : e.msg);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

TEST(good_jobs_are_accepted)
{
    static const char *const rows[] = {
        "authorization: {credentials_file: /}",
        "static_configs:",
        "static_configs: []",
        ("static_configs: [{targets: ['http://x']}]\n"
         "  relabel_configs: [{target_label: __address__, replacement: good}]"),
        "body_size_limit: 0",
        "body_size_limit: 10MiB",
        "scrape_classic_histograms: true",
        "convert_classic_histograms_to_nhcb: false",
        "convert_classic_histograms_to_nhcb: true",
        "metric_name_validation_scheme: legacy",
        "scrape_interval: 100ms",
        "scrape_interval: 1h30m",
        "file_sd_configs: [{files: [nonexistent.yml]}]",
        "params: {}",
        "follow_redirects: true\n  enable_http2: true",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {.code = ERR_NONE};
        if (!job(rows[i], &e)) {
            print_error("%s\n  %s\n", rows[i], e.msg);
            fail();
        }
    }
}

TEST(bad_files_are_refused_with_a_place)
{
    static const struct {
        const char *text;
        uint32_t line, col;
    } rows[] = {
        {"not-prometheus:\n", 1, 1},
        {"global:\n  scrape_intervall: 5s\n", 2, 3},
        {"global:\n  scrape_interval: 5s\n  scrape_timeout: 6s\n", 2, 3},
        {"global:\n  external_labels: {a: [b]}\n", 2, 24},
        {"scrape_configs:\n- static_configs: []\n", 2, 3},
        {"scrape_configs:\n- job_name: a\n- job_name: a\n", 3, 3},
        {"scrape_configs:\n- null\n", 2, 3},
        {"scrape_configs: {job_name: a}\n", 1, 17},
        {"- a\n", 1, 1},
        {"global: [a]\n", 1, 9},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mem m;
        struct scrape_config *c = NULL;
        struct err e = {.code = ERR_NONE};
        mem_init(&m, 0);
        assert_false(parse(rows[i].text, os_real(), false, &m, &c, &e));
        if (e.line != rows[i].line || e.col != rows[i].col) {
            print_error("%s  %u:%u %s\n", rows[i].text, e.line, e.col, e.msg);
        }
        assert_int_equal(e.line, rows[i].line);
        assert_int_equal(e.col, rows[i].col);
        assert_string_equal(e.where, "prometheus.yml");
        assert_null(c);
        assert_int_equal(m.bytes, 0);
    }
}

static bool put_file(const struct os *os, const char *path, const char *text)
{
    struct err e;
    return file_replace(os, path, str_from_c(text), &e);
}

TEST(other_files_may_hold_jobs)
{
    struct mem m;
    struct scrape_config *c = NULL;
    struct err e;
    struct simos *s = simos_new(1);
    const struct os *os = simos_os(s);
    mem_init(&m, 0);
    assert_true(dir_make(os, "/etc/farol/jobs", &e));
    assert_true(put_file(os, "/etc/farol/jobs/a.yml", "scrape_configs: [{job_name: a}]"));
    assert_true(put_file(os, "/etc/farol/jobs/b.yml", "scrape_configs: [{job_name: b}]"));
    assert_true(put_file(os, "/etc/farol/jobs/other.txt", "nonsense: ["));
    static const char text[] =
        "scrape_config_files: [jobs/*.yml]\nscrape_configs: [{job_name: main}]\n";
    assert_true(parse(text, os, false, &m, &c, &e));
    assert_int_equal(scrape_config_jobs(c), 3);
    assert_str(c->jobs[2].name, STR("b"));
    scrape_config_free(c);
    assert_true(put_file(os, "/etc/farol/jobs/c.yml", "scrape_configs: [{job_name: a}]"));
    assert_false(parse(text, os, false, &m, &c, &e));
    assert_true(str_contains(str_from_c(e.msg), STR("/etc/farol/jobs/c.yml:1:18")));
    simos_free(s);
    assert_int_equal(m.bytes, 0);
}

TEST(files_of_targets_are_read)
{
    static const struct {
        const char *text;
        int groups; /* -1: refused */
    } rows[] = {
        {"", 0},
        {"[]", 0},
        {"- targets: [a:1, b:2]\n  labels: {x: y}\n- labels: {job: node}\n- targets: [c]\n", 3},
        {"[{\"targets\": [\"a:1\"], \"labels\": {\"x\": \"y\\u00e3\"}}]", 1},
        {"- targats: [a]\n", -1},
        {"targets: [a]\n", -1},
        {"- null\n", -1},
        {"- targets: [[a]]\n", -1},
        {"- targets: [a]\n  labels: [b]\n", -1},
        {"- targets: [a]\n  labels: {a: {b: c}}\n", -1},
        {"[{\"targets\": [\"a:1\"]", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mem m;
        struct arena a;
        struct scrape_group *g = NULL;
        uint32_t n = 0;
        struct err e = {.code = ERR_NONE};
        mem_init(&m, 0);
        arena_init(&a, &m, 1 << 20);
        bool ok = scrape_sd_parse(str_from_c(rows[i].text), "t.yml", &a, &g, &n, &e);
        assert_int_equal(ok ? (int)n : -1, rows[i].groups);
        if (!ok) {
            assert_true(e.line > 0);
            assert_string_equal(e.where, "t.yml");
        }
        arena_release(&a);
    }
}

FAULT_TEST(a_configuration_survives_a_lack_of_memory)
{
    struct scrape_config *c = NULL;
    struct err e;
    bool ok = parse("global: {external_labels: {a: '$PLACE'}}\n"
                    "scrape_configs:\n- job_name: a\n  params: {x: [y]}\n"
                    "  static_configs: [{targets: [b:1], labels: {c: d}}]\n"
                    "  relabel_configs: [{source_labels: [c], target_label: e}]\n",
                    w->os, false, &w->mem, &c, &e);
    if (ok) {
        assert_int_equal(scrape_config_jobs(c), 1);
        scrape_config_free(c);
    }
    return ok;
}
