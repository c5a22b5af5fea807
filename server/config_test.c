/* Tests of farol.yml as a whole: sections, places of errors, defaults, comparison at reload. */
#include "server/config_int.h"

#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES_MAX ((size_t)64 << 20)

struct rig {
    struct mem mem;
    struct arena arena;
    struct server_config *config;
    struct err e;
};

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    mem_init(&r->mem, 0);
    arena_init(&r->arena, &r->mem, ARENA_BYTES_MAX);
    r->config = ARENA_NEW(&r->arena, struct server_config);
    assert_non_null(r->config);
}

static void rig_release(struct rig *r)
{
    arena_release(&r->arena);
    assert_int_equal(r->mem.bytes, 0);
}

static bool read_at(struct rig *r, const char *text, const char *where)
{
    err_clear(&r->e);
    return server_config_read(str_from_c(text), where, &r->arena, r->config, &r->e);
}

TEST(config_defaults_need_no_file)
{
    struct rig r;
    rig_init(&r);
    assert_true(server_config_read(STR(""), NULL, &r.arena, r.config, &r.e));
    assert_string_equal(r.config->server.address, "127.0.0.1");
    assert_int_equal(r.config->server.port, 9480);
    assert_int_equal(r.config->server.tick_ms, 500);
    assert_int_equal(r.config->server.level, LOG_INFO);
    assert_string_equal(r.config->storage.dir, "./farol-data");
    assert_int_equal(r.config->pipeline.stages.count, 7);
    assert_int_equal(r.config->model.segments.count, 2);
    rig_release(&r);
}

TEST(config_example_and_printed_defaults_read_back)
{
    struct rig r;
    rig_init(&r);
    if (!read_at(&r, server_config_example, "farol.yml")) {
        print_error("%u:%u: %s\n", r.e.line, r.e.col, r.e.msg);
        fail();
    }
    struct buf out;
    buf_init(&out, &r.mem, 1U << 20);
    for (int lang = 0; lang < LANGS; lang++) {
        buf_reset(&out);
        server_config_print(&out, (enum lang)lang);
        buf_char(&out, '\0');
        assert_false(out.failed);
        if (!read_at(&r, out.p, "farol.yml")) {
            print_error("%u:%u: %s\n", r.e.line, r.e.col, r.e.msg);
            fail();
        }
        assert_int_equal(r.config->storage.shards, 2);
    }
    buf_release(&out);
    rig_release(&r);
}

TEST(config_paths_start_at_the_file)
{
    struct rig r;
    rig_init(&r);
    assert_true(read_at(&r, "storage: {path: data}\n", "/etc/farol/farol.yml"));
    assert_string_equal(r.config->storage.dir, "/etc/farol/data");
    assert_true(read_at(&r, "storage: {path: /var/lib/farol}\n", "/etc/farol/farol.yml"));
    assert_string_equal(r.config->storage.dir, "/var/lib/farol");
    assert_true(read_at(&r, "storage: {path: data}\n", "farol.yml"));
    assert_string_equal(r.config->storage.dir, "data");
    rig_release(&r);
}

TEST(config_listen_addresses)
{
    static const struct {
        const char *text, *address;
        int port; /* -1: refused */
    } cases[] = {{"127.0.0.1:0", "127.0.0.1", 0},
                 {"0.0.0.0:9480", "0.0.0.0", 9480},
                 {"[::1]:65535", "::1", 65535},
                 {"localhost:80", "127.0.0.1", 80},
                 {":9480", "127.0.0.1", 9480},
                 {"9480", "", -1},
                 {"127.0.0.1:", "", -1},
                 {"127.0.0.1:65536", "", -1},
                 {"::1:9480", "", -1},
                 {"example.org:80", "", -1},
                 {"[]:80", "", -1},
                 {"", "", -1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct server_own_config c = {0};
        bool ok = server_config_listen(&c, str_from_c(cases[i].text));
        assert_int_equal(ok, cases[i].port >= 0);
        if (ok) {
            assert_string_equal(c.address, cases[i].address);
            assert_int_equal(c.port, cases[i].port);
        }
    }
}

/* testdata/config_errors.txt: a file, "---", what is shown, "===". FAROL_GOLDEN=write writes what
 * is shown. */
TEST(config_errors_point_at_their_place)
{
    struct rig r;
    struct buf golden;
    struct buf fresh;
    struct buf shown;
    rig_init(&r);
    buf_init(&golden, &r.mem, 1U << 20);
    buf_init(&fresh, &r.mem, 1U << 20);
    buf_init(&shown, &r.mem, 1U << 20);
    const char *path = test_path("server/testdata/config_errors.txt");
    assert_true(file_read(os_real(), path, &golden, &r.e));
    struct str rest = buf_str(&golden);
    int cases = 0;
    while (rest.n > 0) {
        size_t at = 0;
        while (at < rest.n && !str_starts(str_sub(rest, at, rest.n), STR("---\n"))) {
            at++;
        }
        size_t end = at;
        while (end < rest.n && !str_starts(str_sub(rest, end, rest.n), STR("===\n"))) {
            end++;
        }
        assert_true(end < rest.n);
        struct str text = str_sub(rest, 0, at);
        struct str want = str_sub(rest, at + 4, end - at - 4);
        rest = str_sub(rest, end + 4, rest.n);
        err_clear(&r.e);
        assert_false(server_config_read(text, "farol.yml", &r.arena, r.config, &r.e));
        buf_reset(&shown);
        conf_err_show(&r.e, text, &shown);
        buf_str_add(&fresh, text);
        BUF_LIT(&fresh, "---\n");
        buf_str_add(&fresh, buf_str(&shown));
        BUF_LIT(&fresh, "===\n");
        if (!getenv("FAROL_GOLDEN")) {
            assert_str(buf_str(&shown), want);
        }
        cases++;
    }
    assert_true(cases >= 8);
    if (getenv("FAROL_GOLDEN")) {
        assert_true(file_replace(os_real(), path, buf_str(&fresh), &r.e));
    }
    buf_release(&shown);
    buf_release(&fresh);
    buf_release(&golden);
    rig_release(&r);
}

static void print_gap(void *ctx, const char *key)
{
    int *gaps = ctx;
    print_error("conf_pt.def and the tables differ in '%s'\n", key);
    ++*gaps;
}

TEST(config_every_key_is_explained_in_portuguese)
{
    int gaps = 0;
    server_config_help_gaps(print_gap, &gaps);
    assert_int_equal(gaps, 0);
}

struct names {
    char text[512];
};

static void add_name(void *ctx, const char *section, const char *key)
{
    struct names *n = ctx;
    size_t used = strlen(n->text);
    (void)snprintf(n->text + used, sizeof n->text - used, "%s%s.%s%s", used ? " " : "", section,
                   key, server_config_is_live(section, key) ? "*" : "");
}

TEST(config_diff_names_what_changed)
{
    struct rig a;
    struct rig b;
    struct names names = {""};
    rig_init(&a);
    rig_init(&b);
    assert_true(read_at(&a, "server: {tick: 1s}\nmodel: {defaults: {x: -1}}\n", "farol.yml"));
    assert_true(read_at(&b, "server: {tick: 1000ms}\nmodel: {defaults: {x: -1}}\n", "farol.yml"));
    server_config_diff(a.config, b.config, add_name, &names);
    assert_string_equal(names.text, ""); /* the same value in other words */
    assert_true(read_at(&b,
                        "server: {tick: 2s, log_level: warn}\nstorage: {shards: 3}\n"
                        "pipeline: {stages: [a, b]}\nmodel: {defaults: {x: -2}}\n",
                        "farol.yml"));
    server_config_diff(a.config, b.config, add_name, &names);
    assert_string_equal(names.text, "server.tick* server.log_level* storage.shards pipeline.stages "
                                    "pipeline.decided_stage model.defaults");
    rig_release(&b);
    rig_release(&a);
}

/* The way of `farol run -c`: read the file, then the sections, with any allocation or read failing.
 */
FAULT_TEST(config_file_is_read_or_refused_whole)
{
    struct arena arena;
    struct buf text;
    struct err e = {0};
    arena_init(&arena, &w->mem, ARENA_BYTES_MAX);
    buf_init(&text, &w->mem, SERVER_CONFIG_BYTES_MAX);
    struct server_config *c = ARENA_NEW(&arena, struct server_config);
    bool ok = c && file_replace(w->os, "farol.yml", str_from_c(server_config_example), &e) &&
              file_read(w->os, "farol.yml", &text, &e) &&
              server_config_read(buf_str(&text), "farol.yml", &arena, c, &e);
    if (ok) {
        assert_int_equal(c->storage.shards, 2);
        assert_int_equal(c->pipeline.stages.count, 7);
    } else {
        assert_true(c == NULL || e.code != ERR_NONE);
    }
    buf_release(&text);
    arena_release(&arena);
    return ok;
}

TEST(config_survives_running_out_of_memory)
{
    for (size_t cap = 1024; cap < 65536; cap += 1024) {
        struct mem mem;
        struct arena arena;
        struct err e = {0};
        mem_init(&mem, 0);
        arena_init(&arena, &mem, cap);
        struct server_config c;
        bool ok =
            server_config_read(str_from_c(server_config_example), "farol.yml", &arena, &c, &e);
        assert_true(ok || e.code == ERR_LIMIT || e.code == ERR_NOMEM);
        arena_release(&arena);
        assert_int_equal(mem.bytes, 0);
    }
}
