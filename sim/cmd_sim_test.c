/* The command: flags, pacing, files and exit codes, on a simulated machine. */
#include "base/command.h"
#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"
#include "sim/sim.h"

extern const struct command command_sim;

static int run_with(const struct os *os, int argc, const char *const *argv)
{
    struct command_args a = {.os = os, .lang = LANG_EN, .url = "http://127.0.0.1:1"};
    struct err e = {0};
    if (!command_parse(&command_sim, argc, argv, &a, &e)) {
        return EXIT_USAGE;
    }
    a.os = os;
    return command_sim.run(&a);
}

#define RUN(os, ...)                                                     \
    run_with((os), (int)ARRAY_LEN(((const char *const[]){__VA_ARGS__})), \
             (const char *const[]){__VA_ARGS__})

static bool same_files(const struct os *os, const char *a, const char *b)
{
    struct mem m;
    struct buf x, y;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&x, &m, 256U << 20);
    buf_init(&y, &m, 256U << 20);
    bool same = file_read(os, a, &x, &e) && file_read(os, b, &y, &e) && x.n > 1000 &&
                str_eq(buf_str(&x), buf_str(&y));
    buf_release(&x);
    buf_release(&y);
    return same;
}

TEST(cmd_sim_speed_changes_no_byte)
{
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    assert_int_equal(
        RUN(os, "-o", "/a", "-d", "20s", "-r", "40", "-f", "lost@2s+10s", "--truth", "/a.json"),
        EXIT_OK);
    assert_int_equal(RUN(os, "-o", "/b", "-d", "20s", "-r", "40", "-f", "lost@2s+10s", "--truth",
                         "/b.json", "--speed", "60x"),
                     EXIT_OK);
    assert_true(same_files(os, "/a", "/b"));
    assert_true(same_files(os, "/a.json", "/b.json"));
    assert_int_equal(RUN(os, "-o", "/c", "-d", "20s", "-r", "40", "-f", "lost@2s+10s", "-s", "2"),
                     EXIT_OK);
    assert_false(same_files(os, "/a", "/c"));
    simos_free(s);
}

TEST(cmd_sim_refuses_bad_flags)
{
    struct simos *s = simos_new(1);
    const struct os *os = simos_os(s);
    assert_int_equal(RUN(os, "-o", "/a", "--rate", "fast"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "/a", "--speed", "0"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "/a", "--from", "yesterday"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "/a", "--duration", "-1s"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "/a", "--fault", "lots"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "/a", "--seed", "x"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "/a", "--preset", "none"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "/a", "--config", "/missing.yml"), EXIT_CONFIG);
    assert_int_equal(RUN(os, "-o", "/a", "extra"), EXIT_USAGE);
    assert_int_equal(RUN(os, "-o", "-", "--summary", "json", "-d", "1s"), EXIT_USAGE);
    simos_free(s);
}

TEST(cmd_sim_gives_up_on_a_closed_door)
{
    struct simos *s = simos_new(1);
    assert_int_equal(RUN(simos_os(s), "-d", "2s", "--speed", "max", "--retry-for", "3s", "-r", "5"),
                     EXIT_NO_CONNECTION);
    simos_free(s);
}

FAULT_TEST(cmd_sim_reports_a_failing_disk)
{
    int code = RUN(w->os, "-o", "/a", "-d", "2s", "-r", "20", "--truth", "/t");
    struct mem m;
    struct buf b;
    struct err e = {0};
    mem_init(&m, 0);
    buf_init(&b, &m, 16U << 20);
    if (code == EXIT_OK) { /* what was reported written is there, to its last line */
        assert_true(file_read(w->os, "/a", &b, &e) || e.code == ERR_IO);
        assert_true(b.n == 0 || b.p[b.n - 1] == '\n');
    }
    buf_release(&b);
    return code == EXIT_OK && e.code == ERR_NONE;
}
