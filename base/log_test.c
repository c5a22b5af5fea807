#include "base/file.h"
#include "base/log.h"
#include "base/simos.h"
#include "base/test.h"

struct fixture {
    struct simos *s;
    const struct os *os;
    struct log log;
    struct mem mem;
    struct buf text;
};

static void fixture_init(struct fixture *f, enum log_level level)
{
    f->s = simos_new(test_seed());
    f->os = simos_os(f->s);
    simos_clock_set(f->s, 1795441541120000000); /* 2026-11-23T13:45:41.120Z */
    int fd = -1;
    assert_int_equal(f->os->open(f->os->ctx, "log", OS_CREATE | OS_APPEND, &fd), 0);
    log_init(&f->log, f->os, fd, level);
    mem_init(&f->mem, 0);
    buf_init(&f->text, &f->mem, 1U << 20);
}

static struct str written(struct fixture *f)
{
    buf_reset(&f->text);
    assert_true(file_read(f->os, "log", &f->text, NULL));
    return buf_str(&f->text);
}

static void fixture_release(struct fixture *f)
{
    buf_release(&f->text);
    assert_int_equal(f->mem.bytes, 0);
    simos_free(f->s);
}

TEST(log_writes_one_logfmt_line)
{
    struct fixture f;
    fixture_init(&f, LOG_INFO);
    log_line(&f.log, LOG_WARN, "journal", "segment %d cut at byte %d: torn frame", 7, 4096);
    assert_str(written(&f), STR("ts=2026-11-23T13:45:41.120Z level=warn mod=journal "
                                "msg=\"segment 7 cut at byte 4096: torn frame\"\n"));
    log_line(&f.log, LOG_DEBUG, "journal", "not shown");
    log_line(NULL, LOG_ERROR, "journal", "not shown");
    assert_true(str_ends(written(&f), STR("torn frame\"\n")));
    fixture_release(&f);
}

TEST(log_escapes_what_could_forge_a_line)
{
    struct fixture f;
    fixture_init(&f, LOG_DEBUG);
    log_line(&f.log, LOG_ERROR, "m", "a\"b\\c\nd\re\tf\x1bg\x7fh\xffi\xC2\x9Bj\xC3\xA9");
    assert_true(str_ends(written(&f), STR("level=error mod=m msg=\"a\\\"b\\\\c\\nd\\re\\tf\\u001bg"
                                          "\\u007fh?i?j\xC3\xA9\"\n")));
    fixture_release(&f);
}

TEST(log_cuts_long_lines_at_1024_bytes)
{
    static const char *const fills[] = {"x", "\n", "\xE2\x82\xAC", "\x01"};
    for (size_t k = 0; k < ARRAY_LEN(fills); k++) {
        for (size_t shift = 0; shift < 6; shift++) {
            char msg[4000] = "";
            size_t n = shift;
            memset(msg, 'y', shift);
            while (n + 3 < sizeof msg) {
                memcpy(msg + n, fills[k], strlen(fills[k]));
                n += strlen(fills[k]);
            }
            struct fixture f;
            fixture_init(&f, LOG_DEBUG);
            log_line(&f.log, LOG_INFO, "m", "%.*s", (int)n, msg);
            struct str line = written(&f);
            assert_true(line.n <= 1024);
            assert_true(line.n > 1024 - 8);
            assert_true(str_ends(line, STR("...\"\n")));
            assert_true(str_is_utf8(line));
            assert_ptr_equal(memchr(line.p, '\n', line.n), line.p + line.n - 1);
            fixture_release(&f);
        }
    }
}

TEST(log_err_shows_place_and_message)
{
    struct fixture f;
    fixture_init(&f, LOG_INFO);
    struct err e;
    err_at(&e, ERR_INPUT, 3, 4, "expected 'x'");
    e.where = "farol.yml";
    log_err(&f.log, LOG_ERROR, "config", &e);
    assert_true(str_ends(written(&f), STR("mod=config msg=\"farol.yml:3:4: expected 'x'\"\n")));
    fixture_release(&f);
}

TEST(log_rate_bounds_counts_and_reports)
{
    struct fixture f;
    fixture_init(&f, LOG_INFO);
    f.log.lines_per_s_max = 3;
    for (int i = 0; i < 10; i++) {
        log_line(&f.log, LOG_INFO, "m", "line %d", i);
    }
    struct str text = written(&f);
    assert_true(str_contains(text, STR("line 2\"")));
    assert_false(str_contains(text, STR("line 3\"")));
    assert_int_equal(atomic_load(&f.log.lines_dropped), 7);
    simos_clock_add(f.s, 1000000000);
    log_line(&f.log, LOG_INFO, "m", "later");
    text = written(&f);
    assert_true(str_contains(text, STR("level=warn mod=log msg=\"7 lines dropped: more than 3 in a "
                                       "second\"\n")));
    assert_true(str_ends(text, STR("msg=\"later\"\n")));
    simos_clock_add(f.s, 1000000000);
    log_line(&f.log, LOG_INFO, "m", "calm");
    text = written(&f);
    assert_true(str_ends(text, STR("msg=\"calm\"\n")));
    assert_int_equal(atomic_load(&f.log.lines_dropped), 7);
    fixture_release(&f);
}

TEST(log_counts_lines_it_could_not_write)
{
    struct fixture f;
    fixture_init(&f, LOG_INFO);
    simos_fault_at(f.s, 1, SIMOS_FAIL);
    log_line(&f.log, LOG_INFO, "m", "lost");
    assert_int_equal(atomic_load(&f.log.lines_dropped), 1);
    simos_fault_at(f.s, 1, SIMOS_SHORT);
    log_line(&f.log, LOG_INFO, "m", "torn");
    assert_int_equal(atomic_load(&f.log.lines_dropped), 2);
    fixture_release(&f);
}

TEST(log_level_parse_knows_four_names)
{
    enum log_level level = LOG_ERROR;
    assert_true(log_level_parse(STR("debug"), &level) && level == LOG_DEBUG);
    assert_true(log_level_parse(STR("info"), &level) && level == LOG_INFO);
    assert_true(log_level_parse(STR("warn"), &level) && level == LOG_WARN);
    assert_true(log_level_parse(STR("error"), &level) && level == LOG_ERROR);
    assert_false(log_level_parse(STR("Info"), &level));
    assert_false(log_level_parse(STR(""), &level));
}
