/* Records: what goes in comes out, and nothing else gets in. */
#include "flow/record.h"

#include "base/test.h"
#include "flow/record_gen.h"
#include "flow/record_int.h"

#include <stdlib.h>

#define NAMES 40

/* A reader is too large for a stack that a sanitizer watches. */
static struct record_reader *reader_new(void)
{
    struct record_reader *r = malloc(sizeof *r);
    assert_non_null(r);
    return r;
}

static struct record_gen *gen_new(uint64_t seed)
{
    struct record_gen *g = calloc(1, sizeof *g);
    assert_non_null(g);
    rng_init(&g->rng, seed);
    return g;
}

static void put_names(struct buf *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "name_%u", i);
        record_put_name(b, str_of(name, (size_t)len));
    }
}

TEST(record_every_field_survives)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 1 << 20);
    struct record_gen *g = gen_new(test_seed());
    struct record_reader *r = reader_new();
    for (int round = 0; round < 3000; round++) {
        struct record rec;
        struct err e = {.code = ERR_NONE};
        struct decision d;
        struct fraud_label l;
        struct stage_event s;
        size_t str_max = round % 7 == 0 ? RECORD_STR_MAX : 12;
        uint32_t features = round % 50 == 0 ? RECORD_FEATURES_MAX : (uint32_t)round % 25;
        buf_reset(&b);
        put_names(&b, NAMES);
        switch (round % 3) {
        case 0:
            record_gen_decision(g, &d, NAMES, features, str_max);
            record_put_decision(&b, &d);
            break;
        case 1:
            record_gen_label(g, &l, str_max);
            record_put_label(&b, &l);
            break;
        default:
            record_gen_stage(g, &s, NAMES, str_max);
            record_put_stage(&b, &s);
            break;
        }
        assert_true(buf_ok(&b, &e));
        record_reader_init(r, buf_str(&b), 0, 1);
        assert_true(record_next(r, &rec, &e));
        assert_int_equal(r->names_count, NAMES);
        assert_str(r->names[39], STR("name_39"));
        switch (round % 3) {
        case 0:
            assert_int_equal(rec.kind, RECORD_DECISION);
            assert_true(record_same_decision(&d, &rec.u.decision));
            assert_true(hash128_eq(rec.hash, e2e_hash(&d.id)));
            break;
        case 1:
            assert_int_equal(rec.kind, RECORD_LABEL);
            assert_true(record_same_label(&l, &rec.u.label));
            break;
        default:
            assert_int_equal(rec.kind, RECORD_STAGE);
            assert_true(record_same_stage(&s, &rec.u.stage));
            break;
        }
        assert_int_equal(rec.route, (uint32_t)rec.hash.lo);
        e.code = ERR_IO;
        assert_false(record_next(r, &rec, &e));
        assert_int_equal(e.code, ERR_NONE);
    }
    free(r);
    free(g);
    buf_release(&b);
}

TEST(record_shards_share_everything_out_exactly_once)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 1 << 22);
    struct record_gen *g = gen_new(test_seed() + 1);
    struct record_reader *r = reader_new();
    put_names(&b, 3);
    int64_t sum_all = 0;
    for (int i = 0; i < 2000; i++) {
        struct stage_event s;
        record_gen_stage(g, &s, 3, 8);
        s.amount_centavos = i;
        sum_all += i;
        record_put_stage(&b, &s);
        if (i == 1000) {
            record_put_name(&b, STR("late"));
        }
    }
    for (uint32_t shards = 1; shards <= 7; shards++) {
        int64_t sum = 0;
        uint64_t count = 0;
        for (uint32_t k = 0; k < shards; k++) {
            struct record rec;
            struct err e = {.code = ERR_NONE};
            record_reader_init(r, buf_str(&b), k, shards);
            while (record_next(r, &rec, &e)) {
                assert_int_equal(record_shard(rec.route, shards), k);
                sum += rec.u.stage.amount_centavos;
            }
            assert_int_equal(e.code, ERR_NONE);
            assert_int_equal(r->names_count, 4);
            count += r->records;
        }
        assert_int_equal(sum, sum_all);
        assert_int_equal(count, 2000);
    }
    free(r);
    free(g);
    buf_release(&b);
}

static struct decision plain_decision(void)
{
    struct decision d = {.t_ns = 1, .score = 0.5, .threshold = 0.9, .hold_deadline_ns = T_NS_NONE};
    memcpy(d.id.c, "E18236120202611231359A1b2C3d4E5f", E2E_BYTES);
    return d;
}

static void refused(const struct decision *d, const char *field)
{
    struct mem mem;
    struct buf b;
    struct err e = {.code = ERR_NONE};
    mem_init(&mem, 0);
    buf_init(&b, &mem, 1 << 20);
    assert_false(record_check_decision(d, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_true(str_contains(str_from_c(e.msg), str_from_c(field)));
    record_put_decision(&b, d);
    assert_true(b.failed);
    assert_int_equal(b.n, 0);
    buf_release(&b);
}

TEST(record_refuses_values_out_of_range)
{
    struct decision d = plain_decision();
    assert_true(record_check_decision(&d, NULL));
    d.score = 1.0000001;
    refused(&d, "score");
    d.score = (double)NAN;
    refused(&d, "score");
    d.score = -0.5;
    d.fallback = FALLBACK_TIMEOUT;
    refused(&d, "score"); /* a fallback may lack the score, not invent one */
    d = plain_decision();
    d.t_ns = -1;
    refused(&d, "ts");
    d.t_ns = RECORD_T_NS_MAX + 1;
    refused(&d, "ts");
    d = plain_decision();
    d.threshold = (double)INFINITY;
    refused(&d, "threshold");
    d = plain_decision();
    d.verdict = (enum verdict)VERDICTS;
    refused(&d, "decision");
    d = plain_decision();
    d.form = (enum form)FORMS;
    refused(&d, "form");
    d = plain_decision();
    d.amount_centavos = -1;
    refused(&d, "amount");
    d = plain_decision();
    d.id.c[15] = '9';
    refused(&d, "minute");
    d = plain_decision();
    d.features_count = RECORD_FEATURES_MAX + 1;
    refused(&d, "features");
}

/* A pipeline that failed open has decisions without a score. */
TEST(record_a_fallback_may_lack_its_score)
{
    struct mem mem;
    struct buf a;
    struct buf b;
    struct decision d = plain_decision();
    mem_init(&mem, 0);
    buf_init(&a, &mem, 1 << 20);
    buf_init(&b, &mem, 1 << 20);
    d.score = (double)NAN;
    d.fallback = FALLBACK_TIMEOUT;
    assert_true(record_check_decision(&d, NULL));
    record_put_decision(&a, &d);
    d.score = -(double)NAN;
    record_put_decision(&b, &d);
    assert_false(a.failed);
    assert_str(buf_str(&a), buf_str(&b));
    struct record_reader *r = reader_new();
    struct record rec;
    struct err e = {.code = ERR_NONE};
    record_reader_init(r, buf_str(&a), 0, 1);
    assert_true(record_next(r, &rec, &e));
    assert_true(isnan(rec.u.decision.score));
    assert_int_equal(rec.u.decision.fallback, FALLBACK_TIMEOUT);
    /* The same bytes with fallback none are damage, not a decision. */
    a.p[DEC_FALLBACK] = FALLBACK_NONE;
    record_reader_init(r, buf_str(&a), 0, 1);
    assert_false(record_next(r, &rec, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    free(r);
    buf_release(&a);
    buf_release(&b);
}

TEST(record_long_strings_are_cut_and_odd_numbers_become_null)
{
    struct mem mem;
    struct buf b;
    char text[400];
    memset(text, 'x', sizeof text);
    mem_init(&mem, 0);
    buf_init(&b, &mem, 1 << 20);
    struct feature f[3] = {{.kind = FEATURE_NUMBER, .number = (double)INFINITY},
                           {.kind = FEATURE_BOOL, .number = 7},
                           {.kind = FEATURE_CATEGORY, .category = {text, sizeof text}}};
    struct decision d = plain_decision();
    d.host = str_of(text, sizeof text);
    d.features = f;
    d.features_count = 3;
    d.threshold = -(double)NAN;
    record_put_name(&b, str_of(text, sizeof text));
    record_put_decision(&b, &d);
    struct record_reader *r = reader_new();
    struct record rec;
    struct err e = {.code = ERR_NONE};
    record_reader_init(r, buf_str(&b), 0, 1);
    assert_true(record_next(r, &rec, &e));
    assert_int_equal(r->names[0].n, RECORD_STR_MAX);
    assert_int_equal(rec.u.decision.host.n, RECORD_STR_MAX);
    assert_int_equal(r->features[0].kind, FEATURE_NULL);
    assert_int_equal(r->features[1].kind, FEATURE_BOOL);
    assert_true(r->features[1].number >= 1 && r->features[1].number <= 1);
    assert_int_equal(r->features[2].category.n, RECORD_STR_MAX);
    assert_true(isnan(rec.u.decision.threshold));
    free(r);
    buf_release(&b);
}

/* A changed byte is either noticed or changes a value within its range; a cut batch is noticed or
 * ends between two records. */
TEST(record_damage_is_noticed_or_stays_in_range)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 1 << 20);
    struct record_gen *g = gen_new(test_seed() + 2);
    struct record_reader *r = reader_new();
    struct decision d;
    struct fraud_label l;
    struct stage_event s;
    put_names(&b, 4);
    record_gen_decision(g, &d, 4, 6, 9);
    record_put_decision(&b, &d);
    record_gen_label(g, &l, 9);
    record_put_label(&b, &l);
    record_gen_stage(g, &s, 4, 9);
    record_put_stage(&b, &s);
    struct err e = {.code = ERR_NONE};
    assert_true(buf_ok(&b, &e));
    uint64_t noticed = 0;
    for (size_t i = 0; i < b.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] = (char)(b.p[i] ^ (1 << bit));
            struct record rec;
            record_reader_init(r, buf_str(&b), 0, 1);
            while (record_next(r, &rec, &e)) {
                assert_true(rec.kind >= RECORD_DECISION && rec.kind <= RECORD_STAGE);
            }
            noticed += e.code == ERR_CORRUPT ? 1 : 0;
            if (e.code == ERR_CORRUPT) {
                assert_false(record_next(r, &rec, &e)); /* and stays noticed */
                assert_int_equal(e.code, ERR_CORRUPT);
            }
            b.p[i] = (char)(b.p[i] ^ (1 << bit));
        }
    }
    assert_true(noticed > b.n); /* ids and headers alone are a good part of the bits */
    size_t n = b.n;
    for (size_t cut = 0; cut < n; cut++) {
        char *copy = malloc(cut > 0 ? cut : 1); /* exact, for the sanitizer */
        assert_non_null(copy);
        memcpy(copy, b.p, cut);
        struct record rec;
        record_reader_init(r, str_of(copy, cut), 0, 1);
        while (record_next(r, &rec, &e)) {
        }
        assert_true(e.code == ERR_NONE || e.code == ERR_CORRUPT);
        free(copy);
    }
    free(r);
    free(g);
    buf_release(&b);
}

TEST(record_unknown_names_are_damage)
{
    struct mem mem;
    struct buf b;
    mem_init(&mem, 0);
    buf_init(&b, &mem, 1 << 20);
    struct stage_event s = {.stage_name = 1, .amount_centavos = AMOUNT_NONE};
    memcpy(s.id.c, "E18236120202611231359A1b2C3d4E5f", E2E_BYTES);
    record_put_name(&b, STR("only"));
    record_put_stage(&b, &s);
    struct record_reader *r = reader_new();
    struct record rec;
    struct err e = {.code = ERR_NONE};
    record_reader_init(r, buf_str(&b), 0, 1);
    assert_false(record_next(r, &rec, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    buf_reset(&b);
    for (int i = 0; i <= RECORD_NAMES_MAX; i++) {
        record_put_name(&b, STR("n"));
    }
    record_reader_init(r, buf_str(&b), 0, 1);
    assert_false(record_next(r, &rec, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    free(r);
    buf_release(&b);
}

TEST(record_words_are_the_schema_s)
{
    assert_str(verdict_text(VERDICT_CAUTELAR_BLOCK), STR("cautelar_block"));
    assert_str(fallback_text(FALLBACK_TIMEOUT), STR("timeout"));
    assert_str(direction_text(DIRECTION_INTERNAL), STR("internal"));
    assert_str(settlement_text(SETTLEMENT_SPI_SECONDARY), STR("spi_secondary"));
    assert_str(form_text(FORM_APES), STR("APES"));
    assert_str(truth_text(TRUTH_FRAUD), STR("fraud"));
    assert_str(label_source_text(SOURCE_LAW_ENFORCEMENT), STR("law_enforcement"));
    assert_str(stage_outcome_text(OUTCOME_SKIP), STR("skip"));
    assert_str(sla_segment_text(SLA_T6A_T0), STR("t6a_t0"));
    assert_str(verdict_text((enum verdict)VERDICTS), STR(""));
}

FAULT_TEST(record_batch_without_memory_fails_whole)
{
    struct buf b;
    buf_init(&b, &w->mem, 1 << 16);
    struct decision d = plain_decision();
    record_put_name(&b, STR("amount"));
    for (int i = 0; i < 50; i++) {
        record_put_decision(&b, &d);
    }
    struct err e = {.code = ERR_NONE};
    bool ok = buf_ok(&b, &e);
    if (ok) {
        struct record_reader *r = reader_new();
        struct record rec;
        record_reader_init(r, buf_str(&b), 0, 1);
        while (record_next(r, &rec, &e)) {
        }
        assert_int_equal(e.code, ERR_NONE);
        assert_int_equal(r->records, 50);
        free(r);
    }
    buf_release(&b);
    return ok;
}
