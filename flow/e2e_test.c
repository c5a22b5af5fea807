/* EndToEndId: what is accepted, and which byte is blamed. Vectors follow the SPI catalogue's
 * layout. */
#include "flow/e2e.h"

#include "base/rng.h"
#include "base/test.h"

#include <stdio.h>

struct good {
    const char *text;
    const char *minute; /* RFC 3339 */
};

TEST(e2e_accepts_what_the_spi_accepts)
{
    static const struct good cases[] = {
        {"E00000000202601010000abcdefghijk", "2026-01-01T00:00:00Z"}, /* Banco do Brasil */
        {"E18236120202611231359A1b2C3d4E5f", "2026-11-23T13:59:00Z"},
        {"E1A2B3C4Z202402292359zzzzzzzzzzz", "2024-02-29T23:59:00Z"}, /* alphanumeric ISPB */
        {"EZZZZZZZZ200002290000ZZZZZZZZZZZ", "2000-02-29T00:00:00Z"},
        {"E9999901019700101000012345678900", "1970-01-01T00:00:00Z"},
        {"E99999010219912312359aB3dE6gH9jK", "2199-12-31T23:59:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {.code = ERR_NONE};
        struct e2e id;
        int64_t want = 0;
        assert_true(time_parse(str_from_c(cases[i].minute), &want));
        assert_true(e2e_parse(str_from_c(cases[i].text), &id, &e));
        assert_str(e2e_str(&id), str_from_c(cases[i].text));
        assert_int_equal(e2e_minute_ns(&id), want);
        assert_str(e2e_ispb(&id), str_sub(str_from_c(cases[i].text), 1, 8));
    }
}

struct bad {
    const char *text;
    uint32_t col;
};

TEST(e2e_blames_the_byte)
{
    static const struct bad cases[] = {
        {"", 1},
        {"E", 2},
        {"E00000000202601010000abcdefghij", 32},
        {"E00000000202601010000abcdefghijkl", 33},
        {"e00000000202601010000abcdefghijk", 1},
        {"D00000000202601010000abcdefghijk", 1},
        {"E0000000a202601010000abcdefghijk", 9}, /* small letters are not in an ISPB */
        {"E-0000000202601010000abcdefghijk", 2},
        {"E00000000A02601010000abcdefghijk", 10},
        {"E00000000196912312359abcdefghijk", 10},
        {"E00000000220001010000abcdefghijk", 10},
        {"E00000000202613010000abcdefghijk", 14},
        {"E00000000202600010000abcdefghijk", 14},
        {"E00000000202602290000abcdefghijk", 16}, /* 2026 is no leap year */
        {"E00000000202602300000abcdefghijk", 16},
        {"E00000000210002290000abcdefghijk", 16}, /* nor is 2100 */
        {"E00000000202604310000abcdefghijk", 16},
        {"E00000000202601000000abcdefghijk", 16},
        {"E00000000202601012400abcdefghijk", 18},
        {"E00000000202601010060abcdefghijk", 20},
        {"E00000000202601010000abcdefghij-", 32},
        {"E00000000202601010000 bcdefghijk", 22},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {.code = ERR_NONE};
        struct e2e id;
        if (e2e_parse(str_from_c(cases[i].text), &id, &e) || e.col != cases[i].col ||
            e.code != ERR_INPUT) {
            print_error("%s: column %u, expected %u\n", cases[i].text, e.col, cases[i].col);
            fail();
        }
        assert_false(e2e_parse(str_from_c(cases[i].text), &id, NULL));
    }
}

/* Every byte at every place: accepted exactly when the layout's set for the place has it. */
TEST(e2e_checks_every_byte_of_every_place)
{
    char text[E2E_BYTES + 1] = "E11111111202011111111aaaaaaaaaaa";
    for (int at = 0; at < E2E_BYTES; at++) {
        char was = text[at];
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            bool digit = c >= '0' && c <= '9';
            bool upper = c >= 'A' && c <= 'Z';
            bool lower = c >= 'a' && c <= 'z';
            bool want;
            if (at == 0) {
                want = c == 'E';
            } else if (at < 9) {
                want = digit || upper;
            } else if (at < 21) {
                /* 2020-11-11 11:11 with one digit changed. */
                want = digit;
                want = want && !(at == 9 && (c < '1' || c > '2'));
                want = want && !(at == 10 && c > '1' && text[9] == '2');
                want = want && !(at == 13 && c > '1');
                want = want && !(at == 14 && c > '2');
                want = want && !(at == 15 && c > '3');
                want = want && !(at == 17 && c > '2');
                want = want && !(at == 19 && c > '5');
                if (at == 9 && c == '1') {
                    want = false; /* 1020 */
                }
                if (at == 15 && c == '3') {
                    want = false; /* 31 November */
                }
            } else {
                want = digit || upper || lower;
            }
            struct e2e id;
            struct err e;
            bool got = e2e_parse(str_of(text, E2E_BYTES), &id, &e);
            if (got != want) {
                print_error("byte %d = 0x%02x: accepted %d\n", at, c, got);
                fail();
            }
        }
        text[at] = was;
    }
}

TEST(e2e_minute_is_the_calendar_s)
{
    struct rng rng;
    rng_init(&rng, test_seed());
    for (int i = 0; i < 20000; i++) {
        int64_t t_ns = (int64_t)rng_below(&rng, 7258118400ULL / 60) * 60 * NS_PER_S;
        struct civil c = civil_from_ns(t_ns);
        char text[64];
        snprintf(text, sizeof text, "E00038166%04d%02d%02d%02d%02dabcDEF12345", (int)c.year,
                 c.month, c.day, c.hour, c.minute);
        struct e2e id;
        struct err e;
        assert_true(e2e_parse(str_of(text, E2E_BYTES), &id, &e));
        assert_int_equal(e2e_minute_ns(&id), t_ns);
    }
}
