#include "base/hash.h"
#include "base/test.h"

#include <xxhash.h>

/* The published values for the empty input, and for other lengths those of the shared library,
 * which is compiled elsewhere: stored hashes must not change with how this file is built. */
TEST(hash_values_are_those_of_xxh3)
{
    assert_true(hash64(STR("")) == 0x2D06800538D394C2ULL);
    assert_true(hash64(str_of(NULL, 0)) == 0x2D06800538D394C2ULL);
    struct hash128 h = hash128(STR(""));
    assert_true(h.hi == 0x99AA06D3014798D8ULL);
    assert_true(h.lo == 0x6001C324468D497FULL);
    char text[1000];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)(i * 131);
    }
    for (size_t n = 0; n <= sizeof text; n++) {
        struct str s = str_of(text, n);
        XXH128_hash_t want = XXH3_128bits(text, n);
        assert_true(hash64(s) == XXH3_64bits(text, n));
        assert_true(hash64_seed(s, 7) == XXH3_64bits_withSeed(text, n, 7));
        assert_true(hash128(s).lo == want.low64);
        assert_true(hash128(s).hi == want.high64);
    }
}

TEST(hash_depends_on_every_byte_and_on_the_seed)
{
    char text[300];
    memset(text, 'a', sizeof text);
    for (size_t n = 1; n <= sizeof text; n += 7) {
        uint64_t h = hash64(str_of(text, n));
        struct hash128 h2 = hash128(str_of(text, n));
        assert_true(hash64_seed(str_of(text, n), 0) == h);
        assert_true(hash64_seed(str_of(text, n), 1) != h);
        assert_true(hash128_eq(h2, hash128(str_of(text, n))));
        text[n / 2] = 'b';
        assert_true(hash64(str_of(text, n)) != h);
        assert_false(hash128_eq(h2, hash128(str_of(text, n))));
        text[n / 2] = 'a';
    }
}

/* RFC 3720 appendix B.4, and the check value of the catalogue of parametrised CRCs. */
TEST(hash_crc32c_has_the_published_values)
{
    unsigned char b[32];
    memset(b, 0, sizeof b);
    assert_int_equal(hash_crc32c(str_of((char *)b, 32)), 0x8a9136aaU);
    memset(b, 0xff, sizeof b);
    assert_int_equal(hash_crc32c(str_of((char *)b, 32)), 0x62a8ab43U);
    for (unsigned i = 0; i < 32; i++) {
        b[i] = (unsigned char)i;
    }
    assert_int_equal(hash_crc32c(str_of((char *)b, 32)), 0x46dd794eU);
    assert_int_equal(hash_crc32c(STR("123456789")), 0xe3069283U);
    assert_int_equal(hash_crc32c(str_of(NULL, 0)), 0);
}

/* Bit by bit from the definition, for every length and every cut in two. */
TEST(hash_crc32c_is_the_same_in_one_part_or_two)
{
    char text[70];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)(i * 29 + 3);
    }
    for (size_t n = 0; n <= sizeof text; n++) {
        uint32_t want = 0xffffffffU;
        for (size_t i = 0; i < n; i++) {
            want ^= (unsigned char)text[i];
            for (int k = 0; k < 8; k++) {
                want = (want >> 1) ^ ((want & 1) != 0 ? 0x82f63b78U : 0);
            }
        }
        for (size_t cut = 0; cut <= n; cut++) {
            uint32_t head = hash_crc32c(str_of(text, cut));
            assert_int_equal(hash_crc32c_add(head, str_of(text + cut, n - cut)), ~want);
        }
    }
}
