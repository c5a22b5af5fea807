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
