#include "base/pii.h"
#include "base/rng.h"
#include "base/test.h"

#include <stdio.h>

/* Numbers with valid check digits that are used as examples in public documentation; CNPJ
 * 12ABC34501DE35 is the example of the alphanumeric form in the Receita Federal's own
 * explanation. */
static const struct {
    const char *text;
    enum pii_kind kind;
    const char *masked;
} rows[] = {
    {"12345678909", PII_CPF, "***.456.***-**"},
    {"123.456.789-09", PII_CPF, "***.456.***-**"},
    {"123456789-09", PII_CPF, "***.456.***-**"},
    {" 123.456.789-09\n", PII_CPF, "***.456.***-**"},
    {"529.982.247-25", PII_CPF, "***.982.***-**"},
    {"12345678900", PII_NONE, "12345678900"},
    {"123.456.789-00", PII_NONE, "123.456.789-00"},
    {"12.345.678909", PII_NONE, "12.345.678909"},
    {"123.456.789.09", PII_NONE, "123.456.789.09"},
    {"123..456.789-09", PII_NONE, "123..456.789-09"},
    {"123456789090", PII_NONE, "123456789090"},
    {"11111111111", PII_NONE, "11111111111"},
    {"00000000000", PII_NONE, "00000000000"},
    {"11222333000181", PII_CNPJ, "**.222.***/****-**"},
    {"11.222.333/0001-81", PII_CNPJ, "**.222.***/****-**"},
    {"12ABC34501DE35", PII_CNPJ, "**.ABC.***/****-**"},
    {"12.ABC.345/01DE-35", PII_CNPJ, "**.ABC.***/****-**"},
    {"12ABC34501DE36", PII_NONE, "12ABC34501DE36"},
    {"12abc34501de35", PII_NONE, "12abc34501de35"},
    {"11222333000180", PII_NONE, "11222333000180"},
    {"11111111111111", PII_NONE, "11111111111111"},
    {"maria@banco.com.br", PII_EMAIL, "m***@***"},
    {"a+b.c@x-y.org", PII_EMAIL, "a***@***"},
    {"\xC3\xA9lio@banco.com", PII_EMAIL, "\xC3\xA9***@***"},
    {"a@b", PII_NONE, "a@b"},
    {"a@@b.com", PII_NONE, "a@@b.com"},
    {"a@b@c.com", PII_NONE, "a@b@c.com"},
    {"@b.com", PII_NONE, "@b.com"},
    {"a@.com", PII_NONE, "a@.com"},
    {"a@b..com", PII_NONE, "a@b..com"},
    {"a@b.com.", PII_NONE, "a@b.com."},
    {"a b@c.com", PII_NONE, "a b@c.com"},
    {"lib@1.2.3", PII_NONE, "lib@1.2.3"},
    {"git@host.org:x", PII_NONE, "git@host.org:x"},
    {"+5511987654321", PII_PHONE, "+***21"},
    {"+55 (11) 98765-4321", PII_PHONE, "+***21"},
    {"+12025550143", PII_PHONE, "+***43"},
    {"+0123456789", PII_NONE, "+0123456789"},
    {"+1234567", PII_NONE, "+1234567"},
    {"+1234567890123456", PII_NONE, "+1234567890123456"},
    {"+12345678x", PII_NONE, "+12345678x"},
    {"5511987654321", PII_NONE, "5511987654321"},
    {"123e4567-e12b-12d1-a456-426655440000", PII_NONE, "123e4567-e12b-12d1-a456-42665..."},
    {"E1234567820180514000012345678901", PII_NONE, "E1234567820180514000012345678901"},
    {"", PII_NONE, ""},
    {"ok\n\x1b[31m\xff", PII_NONE, "ok??[31m?"},
    {"C1 \xC2\x9B", PII_NONE, "C1 ?"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\xC3\xA9zzzz", PII_NONE, "aaaaaaaaaaaaaaaaaaaaaaaaaaaa..."},
};

TEST(pii_detects_and_masks)
{
    struct mem m;
    mem_init(&m, 0);
    struct buf b;
    buf_init(&b, &m, 100);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (pii_detect(str_from_c(rows[i].text)) != rows[i].kind) {
            print_error("row %zu: %s\n", i, rows[i].text);
        }
        assert_int_equal(pii_detect(str_from_c(rows[i].text)), rows[i].kind);
        buf_reset(&b);
        pii_mask(&b, str_from_c(rows[i].text));
        assert_str(buf_str(&b), str_from_c(rows[i].masked));
        assert_true(b.n <= 32);
    }
    buf_release(&b);
    assert_int_equal(m.bytes, 0);
}

TEST(pii_kinds_have_names)
{
    assert_string_equal(pii_kind_name(PII_NONE), "none");
    assert_string_equal(pii_kind_name(PII_CPF), "cpf");
    assert_string_equal(pii_kind_name(PII_CNPJ), "cnpj");
    assert_string_equal(pii_kind_name(PII_EMAIL), "email");
    assert_string_equal(pii_kind_name(PII_PHONE), "phone");
}

/* Of the hundred endings of nine digits exactly one is a CPF. */
TEST(pii_cpf_has_one_ending_in_a_hundred)
{
    struct rng r;
    rng_init(&r, test_seed());
    for (int i = 0; i < 200; i++) {
        unsigned base = (unsigned)rng_below(&r, 999999998) + 1;
        if (base % 111111111 == 0) {
            continue;
        }
        int found = 0;
        for (unsigned end = 0; end < 100; end++) {
            char text[16];
            int n = snprintf(text, sizeof text, "%09u%02u", base, end);
            found += pii_detect(str_of(text, n)) == PII_CPF;
        }
        assert_int_equal(found, 1);
    }
}

TEST(pii_reads_a_long_address_by_its_beginning)
{
    char text[400];
    memset(text, 'a', sizeof text);
    assert_int_equal(pii_detect(str_of(text, sizeof text)), PII_NONE);
    text[10] = '@';
    assert_int_equal(pii_detect(str_of(text, sizeof text)), PII_NONE);
    text[100] = '.';
    assert_int_equal(pii_detect(str_of(text, sizeof text)), PII_EMAIL);
    text[10] = 'a';
    text[65] = '@';
    assert_int_equal(pii_detect(str_of(text, sizeof text)), PII_NONE);
}
