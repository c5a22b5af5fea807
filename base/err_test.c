#include "base/err.h"
#include "base/test.h"

#include <errno.h>

TEST(err_set_fills_and_returns_false)
{
    struct err e;
    memset(&e, 0xAB, sizeof e);
    assert_false(err_set(&e, ERR_INPUT, "expected %s, found '%c'", "a digit", 'x'));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "expected a digit, found 'x'");
    assert_int_equal(e.line, 0);
    assert_int_equal(e.col, 0);
    assert_null(e.where);
    assert_false(err_set(NULL, ERR_INPUT, "nobody reads this"));
    assert_false(err_at(NULL, ERR_INPUT, 1, 2, "nobody reads this"));
    assert_false(err_errno(NULL, EIO, "nobody reads this"));
    err_clear(NULL);
}

TEST(err_wraps_itself)
{
    struct err e;
    err_at(&e, ERR_CORRUPT, 4, 2, "torn frame");
    err_set(&e, e.code, "segment 7: %s", e.msg);
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_string_equal(e.msg, "segment 7: torn frame");
    assert_int_equal(e.line, 0);
    err_clear(&e);
    assert_int_equal(e.code, ERR_NONE);
    assert_string_equal(e.msg, "");
}

TEST(err_long_message_is_cut_at_a_character)
{
    char text[400];
    for (size_t pad = 0; pad < 4; pad++) {
        memset(text, 'x', sizeof text);
        for (size_t i = pad; i + 3 < sizeof text; i += 3) {
            memcpy(text + i, "\xE2\x82\xAC", 3);
        }
        text[sizeof text - 1] = '\0';
        struct err e;
        err_set(&e, ERR_INPUT, "%s", text);
        size_t n = strlen(e.msg);
        assert_true(n <= sizeof e.msg - 1);
        assert_true(n >= sizeof e.msg - 3);
        assert_true(str_is_utf8(str_from_c(e.msg)));
    }
}

TEST(err_errno_appends_the_reason_in_lower_case)
{
    struct err e;
    assert_false(err_errno(&e, ENOENT, "cannot open '%s'", "x"));
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.msg, "cannot open 'x': no such file or directory");
    err_errno(&e, ENOMEM, "cannot start");
    assert_int_equal(e.code, ERR_NOMEM);
    assert_string_equal(e.msg, "cannot start: cannot allocate memory");
    err_errno(&e, 98765, "odd");
    assert_string_equal(e.msg, "odd: error 98765");
    err_errno(&e, ERFKILL, "radio");
    assert_non_null(strstr(e.msg, "RF-kill")); /* an acronym keeps its capitals */
}

TEST(err_codes_have_names_and_statuses)
{
    static const struct {
        enum err_code code;
        const char *name;
        int status;
    } rows[] = {
        {ERR_NONE, "none", 200},       {ERR_INPUT, "input", 400}, {ERR_LIMIT, "limit", 413},
        {ERR_CORRUPT, "corrupt", 500}, {ERR_IO, "io", 500},       {ERR_NOMEM, "nomem", 503},
        {ERR_BUSY, "busy", 503},
    };
    assert_int_equal(ARRAY_LEN(rows), ERR_CODES);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(err_code_name(rows[i].code), rows[i].name);
        assert_int_equal(err_http_status(rows[i].code), rows[i].status);
    }
}

TEST(err_format_shows_the_parts_that_are_known)
{
    char out[64];
    struct err e;
    err_at(&e, ERR_INPUT, 3, 9, "bad");
    assert_int_equal(err_format(&e, out, sizeof out), 8);
    assert_string_equal(out, "3:9: bad");
    e.where = "farol.yml";
    err_format(&e, out, sizeof out);
    assert_string_equal(out, "farol.yml:3:9: bad");
    e.col = 0;
    err_format(&e, out, sizeof out);
    assert_string_equal(out, "farol.yml:3: bad");
    e.line = 0;
    err_format(&e, out, sizeof out);
    assert_string_equal(out, "farol.yml: bad");
    e.where = NULL;
    err_format(&e, out, sizeof out);
    assert_string_equal(out, "bad");
    assert_int_equal(err_format(&e, out, 3), 2);
    assert_string_equal(out, "ba");
    assert_int_equal(err_format(&e, out, 0), 0);
}
