#include "base/file.h"
#include "base/rng.h"
#include "base/simos.h"
#include "base/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool content_is(const struct os *os, struct mem *m, const char *path, struct str want)
{
    struct buf b;
    buf_init(&b, m, 1U << 20);
    bool same = file_read(os, path, &b, NULL) && str_eq(buf_str(&b), want);
    buf_release(&b);
    return same;
}

TEST(file_replace_and_read_on_the_real_machine)
{
    char dir[] = "/tmp/farol-file-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const struct os *os = os_real();
    struct mem m;
    mem_init(&m, 0);
    struct err e;
    char path[PATH_BYTES_MAX], sub[PATH_BYTES_MAX];
    assert_true(path_join(sub, sizeof sub, dir, "a/b//c/", &e));
    assert_true(dir_make(os, sub, &e));
    assert_true(dir_make(os, sub, &e));
    assert_true(path_join(path, sizeof path, sub, "f", &e));
    assert_true(file_replace(os, path, STR("one"), &e));
    assert_true(file_replace(os, path, STR("second"), &e));
    assert_true(content_is(os, &m, path, STR("second")));
    assert_false(dir_make(os, path, &e)); /* it is a file */
    int fd = -1;
    assert_int_equal(os->open(os->ctx, path, OS_READ, &fd), 0);
    assert_int_equal(os->lock(os->ctx, fd), 0);
    int fd2 = -1;
    assert_int_equal(os->open(os->ctx, path, OS_WRITE | OS_APPEND, &fd2), 0);
    assert_int_equal(os->lock(os->ctx, fd2), EWOULDBLOCK);
    char two[2];
    assert_true(file_pread_all(os, fd, two, 2, 4, path, &e));
    assert_memory_equal(two, "nd", 2);
    assert_false(file_pread_all(os, fd, two, 2, 5, path, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_true(file_write_all(os, fd2, STR("+"), path, &e));
    uint64_t bytes = 0;
    assert_int_equal(os->size(os->ctx, fd2, &bytes), 0);
    assert_int_equal(bytes, 7);
    assert_int_equal(os->truncate(os->ctx, fd2, 2), 0);
    assert_true(content_is(os, &m, path, STR("se")));
    assert_int_equal(os->close(os->ctx, fd), 0);
    assert_int_equal(os->close(os->ctx, fd2), 0);
    assert_int_equal(os->close(os->ctx, fd2), EBADF);
    assert_int_equal(os->disk_free(os->ctx, dir, &bytes), 0);
    assert_true(bytes > 0);
    char cmd_part[PATH_BYTES_MAX];
    assert_int_equal(os->unlink(os->ctx, path), 0);
    static const char *const folders[] = {"a/b/c", "a/b", "a", ""};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        assert_true(path_join(cmd_part, sizeof cmd_part, dir, folders[i], &e));
        assert_int_equal(os->unlink(os->ctx, cmd_part), 0);
    }
    assert_int_equal(os->unlink(os->ctx, dir), ENOENT);
    assert_int_equal(m.bytes, 0);
}

struct names {
    char text[256];
};

static void names_add(void *arg, const char *name)
{
    struct names *n = arg;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%s;", name);
}

TEST(file_os_real_lists_in_byte_order_and_has_clocks)
{
    char dir[] = "/tmp/farol-file-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const struct os *os = os_real();
    static const char *const made[] = {"b", "B", "a10", "a9", ".x"};
    char path[PATH_BYTES_MAX];
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        assert_true(path_join(path, sizeof path, dir, made[i], NULL));
        assert_int_equal(os->mkdir(os->ctx, path), 0);
        assert_int_equal(os->mkdir(os->ctx, path), EEXIST);
    }
    struct names names = {""};
    assert_int_equal(os->list(os->ctx, dir, names_add, &names), 0);
    assert_string_equal(names.text, ".x;B;a10;a9;b;");
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        assert_true(path_join(path, sizeof path, dir, made[i], NULL));
        assert_int_equal(os->unlink(os->ctx, path), 0);
    }
    assert_int_equal(os->unlink(os->ctx, dir), 0);
    int64_t before = os_mono_ns(os);
    os->sleep_ns(os->ctx, 1000000);
    assert_true(os_mono_ns(os) - before >= 1000000);
    assert_true(os_now_ns(os) > 1700000000000000000);
    unsigned char random[64] = {0};
    assert_int_equal(os->random(os->ctx, random, sizeof random), 0);
    unsigned any = 0;
    for (size_t i = 0; i < sizeof random; i++) {
        any |= random[i];
    }
    assert_true(any != 0);
}

TEST(file_read_has_bounds_and_messages)
{
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    struct mem m;
    mem_init(&m, 0);
    struct err e;
    assert_true(file_replace(os, "f", STR("0123456789"), &e));
    struct buf b;
    buf_init(&b, &m, 12);
    BUF_LIT(&b, "ab");
    assert_true(file_read(os, "f", &b, &e));
    assert_str(buf_str(&b), STR("ab0123456789"));
    buf_release(&b);
    buf_init(&b, &m, 11);
    BUF_LIT(&b, "ab");
    assert_false(file_read(os, "f", &b, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_str(buf_str(&b), STR("ab"));
    buf_reset(&b);
    assert_false(file_read(os, "none", &b, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.msg, "cannot open 'none': no such file or directory");
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
    simos_free(s);
}

TEST(file_path_join_joins_and_refuses)
{
    char out[16];
    struct err e;
    assert_true(path_join(out, sizeof out, "a", "b", &e));
    assert_string_equal(out, "a/b");
    assert_true(path_join(out, sizeof out, "a/", "b", &e));
    assert_string_equal(out, "a/b");
    assert_true(path_join(out, sizeof out, "/", "b", &e));
    assert_string_equal(out, "/b");
    assert_true(path_join(out, sizeof out, "", "b", &e));
    assert_string_equal(out, "b");
    assert_true(path_join(out, sizeof out, "1234567", "1234567", &e));
    assert_false(path_join(out, sizeof out, "1234567", "12345678", &e));
    assert_int_equal(e.code, ERR_LIMIT);
    char long_path[PATH_BYTES_MAX + 10];
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    struct simos *s = simos_new(1);
    assert_false(file_replace(simos_os(s), long_path, STR("x"), &e));
    assert_int_equal(e.code, ERR_LIMIT);
    simos_free(s);
}

/* What file_replace promises: old or new, whole, at every fault, also after losing power. */
FAULT_TEST(file_replace_is_old_or_new_at_any_fault)
{
    char old_text[3000], new_text[5000];
    memset(old_text, 'o', sizeof old_text);
    memset(new_text, 'n', sizeof new_text);
    struct str old_str = str_of(old_text, sizeof old_text);
    struct str new_str = str_of(new_text, sizeof new_text);
    struct err e;
    bool made = dir_make(w->os, "d/e", &e) && file_replace(w->os, "d/e/f", old_str, &e);
    bool replaced = made && file_replace(w->os, "d/e/f", new_str, &e);
    /* The checks below must not meet the fault that the run was about. */
    bool met_none = made && replaced;
    simos_fault_at(w->simos, 0, SIMOS_OK);
    simos_crash(w->simos);
    struct mem m;
    mem_init(&m, 0);
    bool has_new = content_is(w->os, &m, "d/e/f", new_str);
    bool has_old = content_is(w->os, &m, "d/e/f", old_str);
    if (replaced) {
        assert_true(has_new);
    } else if (made) {
        assert_true(has_new || has_old);
    }
    assert_int_equal(m.bytes, 0);
    return met_none;
}

FAULT_TEST(file_read_gives_all_or_an_error)
{
    char text[5000];
    struct rng r;
    rng_init(&r, test_seed());
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)rng_u64(&r);
    }
    if (!file_replace(w->os, "f", str_of(text, sizeof text), NULL)) {
        return false;
    }
    struct buf b;
    buf_init(&b, &w->mem, 6000);
    bool ok = file_read(w->os, "f", &b, NULL);
    assert_true(ok ? str_eq(buf_str(&b), str_of(text, sizeof text)) : b.n == 0);
    buf_release(&b);
    return ok;
}
