#include "base/file.h"
#include "base/simos.h"
#include "base/test.h"

#include <errno.h>
#include <stdio.h>

#define CRASHES 200

static int open_file(const struct os *os, const char *path, unsigned flags)
{
    int fd = -1;
    assert_int_equal(os->open(os->ctx, path, flags, &fd), 0);
    return fd;
}

static void put(const struct os *os, int fd, struct str s)
{
    assert_true(file_write_all(os, fd, s, "file", NULL));
}

/* The content of path, at most 64 KiB, or n = SIZE_MAX when it is not there. */
struct content {
    char p[65536];
    size_t n;
};

static void get(const struct os *os, const char *path, struct content *c)
{
    int fd = -1;
    c->n = SIZE_MAX;
    if (os->open(os->ctx, path, OS_READ, &fd) == 0) {
        assert_int_equal(os->pread(os->ctx, fd, c->p, sizeof c->p, 0, &c->n), 0);
        assert_int_equal(os->close(os->ctx, fd), 0);
    }
}

static bool is_there(const struct os *os, const char *path)
{
    struct content c;
    get(os, path, &c);
    return c.n != SIZE_MAX;
}

TEST(simos_files_behave_like_files)
{
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    int fd = -1;
    assert_int_equal(os->open(os->ctx, "f", OS_READ, &fd), ENOENT);
    assert_int_equal(os->open(os->ctx, "d/f", OS_CREATE, &fd), ENOENT);
    fd = open_file(os, "f", OS_WRITE | OS_CREATE);
    put(os, fd, STR("hello"));
    char text[16];
    size_t got = 99;
    assert_int_equal(os->read(os->ctx, fd, text, sizeof text, &got), 0);
    assert_int_equal(got, 0);
    assert_int_equal(os->pread(os->ctx, fd, text, 3, 1, &got), 0);
    assert_memory_equal(text, "ell", 3);
    assert_int_equal(os->pread(os->ctx, fd, text, 3, 1U << 30, &got), 0);
    assert_int_equal(got, 0);
    int fd2 = open_file(os, "f", OS_APPEND);
    put(os, fd2, STR("!"));
    put(os, fd, STR("?")); /* at its own position, over the '!' */
    struct content c;
    get(os, "/./f", &c);
    assert_str(str_of(c.p, c.n), STR("hello?"));
    assert_int_equal(os->truncate(os->ctx, fd, 2), 0);
    assert_int_equal(os->truncate(os->ctx, fd, 4), 0);
    get(os, "f", &c);
    assert_str(str_of(c.p, c.n), STR("he\0\0"));
    int reader = open_file(os, "f", OS_READ);
    assert_int_equal(os->write(os->ctx, reader, "x", 1, &got), EBADF);
    assert_int_equal(os->open(os->ctx, "f", OS_CREATE | OS_EXCL, &fd2), EEXIST);
    fd2 = open_file(os, "f", OS_WRITE | OS_TRUNCATE);
    uint64_t bytes = 9;
    assert_int_equal(os->size(os->ctx, fd2, &bytes), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(os->close(os->ctx, fd2), 0);
    assert_int_equal(os->close(os->ctx, fd2), EBADF);
    assert_int_equal(os->read(os->ctx, fd2, text, 1, &got), EBADF);
    /* An unlinked file lives on for who has it open. */
    put(os, fd, STR("x"));
    assert_int_equal(os->unlink(os->ctx, "f"), 0);
    assert_int_equal(os->size(os->ctx, fd, &bytes), 0);
    assert_true(bytes > 0);
    assert_int_equal(os->write(os->ctx, 2, "log", 3, &got), 0);
    simos_free(s);
}

struct names {
    char text[256];
    const struct os *os;
};

static void names_add(void *arg, const char *name)
{
    struct names *n = arg;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%s;", name);
    if (n->os != NULL) {
        assert_int_equal(n->os->unlink(n->os->ctx, name), 0);
    }
}

TEST(simos_folders_behave_like_folders)
{
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    assert_int_equal(os->mkdir(os->ctx, "a/b"), ENOENT);
    assert_int_equal(os->mkdir(os->ctx, "a"), 0);
    assert_int_equal(os->mkdir(os->ctx, "a"), EEXIST);
    assert_int_equal(os->mkdir(os->ctx, "a/b"), 0);
    assert_int_equal(os->close(os->ctx, open_file(os, "a/b/f", OS_CREATE)), 0);
    int fd = -1;
    assert_int_equal(os->open(os->ctx, "a", OS_READ, &fd), EISDIR);
    assert_int_equal(os->open(os->ctx, "a/../a/b/f", OS_READ, &fd), EINVAL);
    assert_int_equal(os->open(os->ctx, "a/b/f/g", OS_READ, &fd), ENOTDIR);
    assert_int_equal(os->dirsync(os->ctx, "a/b/f"), ENOTDIR);
    assert_int_equal(os->dirsync(os->ctx, "zz"), ENOENT);
    assert_int_equal(os->unlink(os->ctx, "a/b"), ENOTEMPTY);
    assert_int_equal(os->rename(os->ctx, "a", "a/b/c"), EINVAL);
    assert_int_equal(os->rename(os->ctx, "zz", "y"), ENOENT);
    assert_int_equal(os->rename(os->ctx, "a/b", "c"), 0); /* a folder, to another folder */
    assert_true(is_there(os, "c/f"));
    assert_false(is_there(os, "a/b/f"));
    assert_int_equal(os->rename(os->ctx, "c/f", "a"), EISDIR);
    assert_int_equal(os->rename(os->ctx, "a", "c/f"), ENOTDIR);
    assert_int_equal(os->rename(os->ctx, "a", "c"), ENOTEMPTY);
    assert_int_equal(os->rename(os->ctx, "c", "a"), 0); /* over an empty one */
    assert_true(is_there(os, "a/f"));
    assert_int_equal(os->rename(os->ctx, "a/f", "a/f"), 0);
    assert_int_equal(os->rename(os->ctx, "a/f", "z"), 0);
    assert_int_equal(os->unlink(os->ctx, "a"), 0);
    assert_int_equal(os->close(os->ctx, open_file(os, "B", OS_CREATE)), 0);
    assert_int_equal(os->close(os->ctx, open_file(os, "k", OS_CREATE)), 0);
    struct names names = {"", os};
    assert_int_equal(os->list(os->ctx, "/", names_add, &names), 0);
    assert_string_equal(names.text, "B;k;z;");
    names.text[0] = '\0';
    assert_int_equal(os->list(os->ctx, ".", names_add, &names), 0);
    assert_string_equal(names.text, "");
    simos_free(s);
}

TEST(simos_crash_keeps_what_was_synced)
{
    for (uint64_t seed = 0; seed < CRASHES; seed++) {
        struct simos *s = simos_new(seed);
        const struct os *os = simos_os(s);
        struct err e;
        assert_true(dir_make(os, "d/e", &e));
        int fd = open_file(os, "d/e/f", OS_WRITE | OS_CREATE);
        put(os, fd, STR("durable"));
        assert_int_equal(os->datasync(os->ctx, fd), 0);
        assert_int_equal(os->dirsync(os->ctx, "d/e"), 0);
        put(os, fd, STR(" and not"));
        simos_crash(s);
        size_t got;
        assert_int_equal(os->write(os->ctx, fd, "x", 1, &got), EBADF);
        struct content c;
        get(os, "d/e/f", &c);
        assert_true(c.n >= 7 && c.n <= 15);
        assert_memory_equal(c.p, "durable", 7);
        /* What is seen after a crash is durable: a second one changes nothing. */
        simos_crash(s);
        struct content again;
        get(os, "d/e/f", &again);
        assert_str(str_of(again.p, again.n), str_of(c.p, c.n));
        simos_free(s);
    }
}

TEST(simos_crash_tears_unsynced_sectors)
{
    bool saw_mixed = false, saw_old = false, saw_new = false;
    char old_text[2048], new_text[2048];
    memset(old_text, 'o', sizeof old_text);
    memset(new_text, 'n', sizeof new_text);
    for (uint64_t seed = 0; seed < CRASHES; seed++) {
        struct simos *s = simos_new(seed);
        const struct os *os = simos_os(s);
        assert_true(file_replace(os, "f", str_of(old_text, sizeof old_text), NULL));
        int fd = open_file(os, "f", OS_WRITE);
        put(os, fd, str_of(new_text, sizeof new_text));
        simos_crash(s);
        struct content c;
        get(os, "f", &c);
        assert_int_equal(c.n, sizeof old_text);
        int news = 0;
        for (size_t i = 0; i < c.n; i += 512) {
            assert_memory_equal(c.p + i, c.p[i] == 'n' ? new_text : old_text, 512);
            news += c.p[i] == 'n';
        }
        saw_mixed = saw_mixed || (news > 0 && news < 4);
        saw_old = saw_old || news == 0;
        saw_new = saw_new || news == 4;
        simos_free(s);
    }
    assert_true(saw_mixed && saw_old && saw_new);
}

TEST(simos_crash_loses_lengths_and_zero_fills)
{
    bool saw_short = false, saw_hole = false;
    for (uint64_t seed = 0; seed < CRASHES; seed++) {
        struct simos *s = simos_new(seed);
        const struct os *os = simos_os(s);
        assert_true(file_replace(os, "f", STR(""), NULL));
        char text[1500];
        memset(text, 'x', sizeof text);
        int fd = open_file(os, "f", OS_APPEND);
        put(os, fd, str_of(text, sizeof text));
        simos_crash(s);
        struct content c;
        get(os, "f", &c);
        assert_true(c.n <= sizeof text);
        saw_short = saw_short || c.n < sizeof text;
        for (size_t i = 0; i < c.n; i++) {
            assert_true(c.p[i] == 'x' || c.p[i] == 0);
            saw_hole = saw_hole || c.p[i] == 0;
        }
        simos_free(s);
    }
    assert_true(saw_short && saw_hole);
}

TEST(simos_crash_loses_names_that_were_not_dirsynced)
{
    bool saw_new = false, saw_gone = false, saw_old_name = false, saw_new_name = false;
    bool saw_revived = false, saw_deleted = false;
    for (uint64_t seed = 0; seed < CRASHES; seed++) {
        struct simos *s = simos_new(seed);
        const struct os *os = simos_os(s);
        assert_true(file_replace(os, "a", STR("A"), NULL));
        assert_true(file_replace(os, "k", STR("K"), NULL));
        int fd = open_file(os, "new", OS_WRITE | OS_CREATE);
        put(os, fd, STR("N"));
        assert_int_equal(os->datasync(os->ctx, fd), 0);
        assert_int_equal(os->rename(os->ctx, "a", "b"), 0);
        assert_int_equal(os->unlink(os->ctx, "k"), 0);
        simos_crash(s);
        bool has_new = is_there(os, "new"), has_a = is_there(os, "a"), has_b = is_there(os, "b");
        bool has_k = is_there(os, "k");
        assert_true(has_a != has_b);    /* a rename is whole */
        assert_true(!has_b || has_new); /* the order of a folder is kept */
        assert_true(has_k || has_b);
        saw_new = saw_new || has_new;
        saw_gone = saw_gone || !has_new;
        saw_old_name = saw_old_name || has_a;
        saw_new_name = saw_new_name || has_b;
        saw_revived = saw_revived || has_k;
        saw_deleted = saw_deleted || !has_k;
        struct content c;
        get(os, has_a ? "a" : "b", &c);
        assert_str(str_of(c.p, c.n), STR("A"));
        simos_free(s);
    }
    assert_true(saw_new && saw_gone && saw_old_name && saw_new_name && saw_revived && saw_deleted);
}

TEST(simos_crash_of_moves_between_folders_frees_everything)
{
    for (uint64_t seed = 0; seed < CRASHES; seed++) {
        struct simos *s = simos_new(seed);
        const struct os *os = simos_os(s);
        assert_true(dir_make(os, "a", NULL) && dir_make(os, "b/c", NULL));
        assert_true(file_replace(os, "b/c/f", STR("F"), NULL));
        assert_int_equal(os->rename(os->ctx, "b/c", "a/c"), 0);
        if (seed % 2 == 0) {
            assert_int_equal(os->dirsync(os->ctx, "a"), 0);
        }
        assert_int_equal(os->rename(os->ctx, "a/c", "c"), 0);
        assert_int_equal(os->rename(os->ctx, "a", "c/a"), 0);
        simos_crash(s);
        simos_crash(s);
        struct names names = {"", NULL};
        assert_int_equal(os->list(os->ctx, "/", names_add, &names), 0);
        simos_free(s);
    }
}

TEST(simos_same_seed_same_run)
{
    struct content c[2];
    unsigned char random[2][32];
    for (int i = 0; i < 2; i++) {
        struct simos *s = simos_new(99);
        const struct os *os = simos_os(s);
        assert_true(file_replace(os, "f", STR(""), NULL));
        int fd = open_file(os, "f", OS_APPEND);
        char text[30000];
        memset(text, 'x', sizeof text);
        put(os, fd, str_of(text, sizeof text));
        simos_crash(s);
        get(os, "f", &c[i]);
        assert_int_equal(os->random(os->ctx, random[i], 32), 0);
        simos_free(s);
    }
    assert_str(str_of(c[0].p, c[0].n), str_of(c[1].p, c[1].n));
    assert_memory_equal(random[0], random[1], 32);
}

TEST(simos_faults_hit_their_operation)
{
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    int fd = -1;
    simos_fault_at(s, 2, SIMOS_FAIL);
    assert_int_equal(os->mkdir(os->ctx, "a"), 0);
    assert_int_equal(os->mkdir(os->ctx, "b"), EIO);
    assert_int_equal(os->mkdir(os->ctx, "b"), 0);
    assert_int_equal(simos_ops(s), 3);
    fd = open_file(os, "f", OS_WRITE | OS_CREATE);
    size_t n = 0;
    simos_fault_at(s, 1, SIMOS_SHORT);
    assert_int_equal(os->write(os->ctx, fd, "12345678", 8, &n), 0);
    assert_int_equal(n, 4);
    char text[8];
    simos_fault_at(s, 1, SIMOS_SHORT);
    assert_int_equal(os->pread(os->ctx, fd, text, 4, 0, &n), 0);
    assert_int_equal(n, 2);
    simos_fault_from(s, 2, SIMOS_FULL);
    assert_int_equal(os->write(os->ctx, fd, "x", 1, &n), 0);
    assert_int_equal(os->write(os->ctx, fd, "x", 1, &n), ENOSPC);
    assert_int_equal(os->mkdir(os->ctx, "c"), ENOSPC);
    assert_int_equal(os->pread(os->ctx, fd, text, 4, 0, &n), 0); /* a full disk still reads */
    simos_fault_from(s, 1, SIMOS_FAIL);
    assert_int_equal(os->pread(os->ctx, fd, text, 4, 0, &n), EIO);
    assert_int_equal(os->unlink(os->ctx, "f"), EIO);
    assert_int_equal(os->datasync(os->ctx, fd), EIO);
    simos_fault_from(s, 0, SIMOS_OK);
    assert_int_equal(os->datasync(os->ctx, fd), 0);
    simos_free(s);
}

TEST(simos_disk_fills_up)
{
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    simos_disk_bytes_max(s, 10);
    int fd = open_file(os, "f", OS_WRITE | OS_CREATE);
    size_t n = 0;
    assert_int_equal(os->write(os->ctx, fd, "12345678", 8, &n), 0);
    assert_int_equal(n, 8);
    uint64_t left = 0;
    assert_int_equal(os->disk_free(os->ctx, ".", &left), 0);
    assert_int_equal(left, 2);
    assert_int_equal(os->write(os->ctx, fd, "abc", 3, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(os->write(os->ctx, fd, "c", 1, &n), ENOSPC);
    assert_int_equal(os->truncate(os->ctx, fd, 11), ENOSPC);
    assert_int_equal(os->truncate(os->ctx, fd, 4), 0);
    assert_int_equal(os->disk_free(os->ctx, "f", &left), 0);
    assert_int_equal(left, 6);
    /* The space of a deleted file comes back when nobody and no durable name holds it. */
    assert_int_equal(os->close(os->ctx, fd), 0);
    assert_int_equal(os->unlink(os->ctx, "f"), 0);
    assert_int_equal(os->dirsync(os->ctx, "/"), 0);
    assert_int_equal(os->disk_free(os->ctx, ".", &left), 0);
    assert_int_equal(left, 10);
    simos_free(s);
}

TEST(simos_clock_locks_and_flips)
{
    struct simos *s = simos_new(test_seed());
    const struct os *os = simos_os(s);
    int64_t mono = os_mono_ns(os), now = os_now_ns(os);
    assert_true(os_now_ns(os) == now);
    os->sleep_ns(os->ctx, 5);
    simos_clock_add(s, 7);
    assert_true(os_mono_ns(os) == mono + 12 && os_now_ns(os) == now + 12);
    simos_clock_set(s, 77);
    assert_true(os_now_ns(os) == 77 && os_mono_ns(os) == mono + 12);

    int fd = open_file(os, "f", OS_CREATE), fd2 = open_file(os, "f", OS_READ);
    assert_int_equal(os->lock(os->ctx, fd), 0);
    assert_int_equal(os->lock(os->ctx, fd), 0);
    assert_int_equal(os->lock(os->ctx, fd2), EWOULDBLOCK);
    assert_int_equal(os->close(os->ctx, fd), 0);
    assert_int_equal(os->lock(os->ctx, fd2), 0);
    assert_int_equal(os->dirsync(os->ctx, "/"), 0);
    simos_crash(s);
    fd = open_file(os, "f", OS_WRITE);
    assert_int_equal(os->lock(os->ctx, fd), 0);

    put(os, fd, STR("abc"));
    assert_int_equal(os->datasync(os->ctx, fd), 0);
    assert_true(simos_flip(s, "f", 1, 0));
    assert_false(simos_flip(s, "f", 3, 0));
    assert_false(simos_flip(s, "none", 0, 0));
    simos_crash(s);
    struct content c;
    get(os, "f", &c);
    assert_str(str_of(c.p, c.n), STR("acc"));
    simos_free(s);
}
