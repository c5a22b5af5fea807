/* The `mapping:` block: what is wrong is found at start, with line and column of the word. */
#include "base/test.h"

#include "codec/yaml.h"
#include "ingest/ndjson/ndjson.h"

static bool read_config(const char *text, const struct conf_strs *dims, struct ndjson_config *out,
                        struct err *e)
{
    struct mem m;
    struct arena a;
    struct yaml_node *doc = NULL;
    mem_init(&m, 0);
    arena_init(&a, &m, 1 << 22);
    bool ok = yaml_parse(str_from_c(text), "farol.yml", &a, &doc, e) &&
              ndjson_config_read(doc, dims, &a, out, e);
    arena_release(&a);
    assert_int_equal(m.bytes, 0);
    return ok;
}

TEST(mapping_errors_name_the_word_and_its_place)
{
    static const struct {
        const char *yaml;
        uint32_t line, col;
        const char *msg;
    } cases[] = {
        {"mapping: 3", 1, 10, "mapping: expected type, decision, label or stage"},
        {"mapping: {}", 1, 10, "mapping: expected at least one of decision, label, stage"},
        {"mapping:\n  decison: {}", 2, 3,
         "unknown key 'decison' in mapping, did you mean 'decision'?"},
        {"mapping:\n  label: {id: a, ts: b}", 2, 3,
         "label: the required field 'label' is not mapped"},
        {"mapping:\n  label: {id: a, ts: b, lable: c}", 2, 25,
         "unknown key 'lable' in a label, did you mean 'label'?"},
        {"mapping:\n  label: {id: a, ts: {field: b, unit: h}, label: c}", 2, 39,
         "unit: expected ns, us, ms, s or rfc3339, found 'h'"},
        {"mapping:\n  label: {id: a, ts: {field: b, unit: reais}, label: c}", 2, 39,
         "unit: expected ns, us, ms, s or rfc3339, found 'reais'"},
        {"mapping:\n  label: {id: {field: a, unit: s}, ts: b, label: c}", 2, 32,
         "unit: only times and amounts have one"},
        {"mapping:\n  label: {id: a, ts: b, label: {field: c, values: {x: frau}}}", 2, 55,
         "'frau' is not a word of farol.pix/1, did you mean 'fraud'?"},
        {"mapping:\n  label: {id: a, ts: b, label: {field: c, values: {}}}", 2, 51,
         "values: expected 1 to 64 words"},
        {"mapping:\n  label: {id: {field: a, values: {x: y}}, ts: b, label: c}", 2, 26,
         "values: only fields with a fixed set of words have them"},
        {"mapping:\n  label: {id: {value: x}, ts: b, label: c}", 2, 23, "id cannot be a constant"},
        {"mapping:\n  label: {id: a, ts: b, label: {value: maybe}}", 2, 40,
         "label: expected one of the words of farol.pix/1, found 'maybe'"},
        {"mapping:\n  label: {id: a, ts: b, label: {feld: c}}", 2, 33,
         "unknown key 'feld' in a field's mapping, did you mean 'field'?"},
        {"mapping:\n  label: {id: a, ts: b, label: {field: c, value: fraud}}", 2, 32,
         "label: expected either field: PATH or value: CONSTANT"},
        {"mapping:\n  label: {id: a..b, ts: b, label: c}", 2, 15,
         "expected a path such as features.amount, found 'a..b'"},
        {"mapping:\n  label: {id: a., ts: b, label: c}", 2, 15,
         "expected a path such as features.amount, found 'a.'"},
        {"mapping:\n  label: {id: a, e2e_id: {field: b, unit: s}, ts: b, label: c}", 2, 18,
         "id and e2e_id are one field: give it once, or two plain paths"},
        {"mapping:\n  label: {id: a, ts: b, label: c}\n  stage: {id: a, ts: b, stage: c, outcome: "
         "d}",
         2, 3, "mapping: with more than one kind, `type:` must say which is which"},
        {"mapping:\n  type: {value: label, unit: s}\n  label: {id: a, ts: b, label: c}", 2, 30,
         "unit: only times and amounts have one"},
        {"mapping:\n  type: {value: x}\n  label: {id: a, ts: b, label: c}", 2, 17,
         "type: expected decision, label or stage"},
        {"mapping:\n  decision: {id: a, ts: b, score: c, decision: d, features: [f, f]}", 2, 65,
         "features: 'f' is listed twice"},
        {"mapping:\n  decision: {id: a, ts: b, score: {value: 2}, decision: d}", 2, 43,
         "score: expected a number from 0 to 1, found '2'"},
        {"mapping:\n  decision: {id: a, ts: b, score: c, decision: d, dims: x}", 2, 57,
         "dims: expected a mapping of names to paths"},
        {"mapping:\n  label: {id: [a], ts: b, label: c}", 2, 15,
         "id: expected a path or {field: path, ...}"},
        {"mapping:\n  label: {id: a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a, ts: b, label: c}", 2, 15,
         "a path may have at most 16 elements"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ndjson_config c;
        struct err e = {0};
        assert_false(read_config(cases[i].yaml, NULL, &c, &e));
        if (e.line != cases[i].line || e.col != cases[i].col) {
            print_error("%s\n  at %u:%u, expected %u:%u\n", cases[i].yaml, e.line, e.col,
                        cases[i].line, cases[i].col);
            fail();
        }
        assert_string_equal(e.msg, cases[i].msg);
        assert_true(e.code == ERR_INPUT || e.code == ERR_LIMIT);
    }
}

TEST(without_a_section_everything_has_a_default)
{
    struct ndjson_config c;
    struct err e = {0};
    assert_true(read_config("", NULL, &c, &e));
    assert_int_equal(c.body_bytes_max, 32 << 20);
    assert_int_equal(c.unpacked_bytes_max, 64 << 20);
    assert_int_equal(c.line_bytes_max, 64 << 10);
    assert_int_equal(c.features_max, 1024);
    assert_true(c.user == NULL);
    assert_true(read_config("mapping: ~", NULL, &c, &e));
    assert_true(c.user == NULL);
}

TEST(more_dimensions_than_a_record_holds_are_an_error)
{
    struct str v[RECORD_DIMS_MAX + 1];
    struct conf_strs dims = {v, ARRAY_LEN(v)};
    struct ndjson_config c;
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        v[i] = STR("form");
    }
    assert_false(read_config("", &dims, &c, &e));
    assert_string_equal(e.msg, "model.segments: at most 8, found 9");
    dims.count = RECORD_DIMS_MAX;
    assert_true(read_config("", &dims, &c, &e));
}
