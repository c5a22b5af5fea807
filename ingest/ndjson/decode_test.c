/* The decoder against the files in testdata: a line in, the record or the error with its column
 * out.
 *
 *     dims: form channel            segment dimensions, before the first case
 *     ingest:                       YAML of the `ingest:` section, up to a line "---" (optional)
 *       mapping: ...
 *     ---
 *     # comment
 *     in  {"type":"decision",...}
 *     out decision id=... ts=...    the record read back by record_next, only what is not absent
 *     in  {...}
 *     err 27 type decision.score: expected ...   column, reason, message
 */
#include "base/test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "flow/record.h"
#include "ingest/ndjson/map_int.h"
#include "ingest/ndjson/ndjson.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ID "E10002877201805140000KH5FHKLEC67"

struct fixture {
    struct mem mem;
    struct arena arena;
    struct buf payload, text;
    struct ndjson_config config;
    struct ndjson_decoder *decoder;
    struct record_reader *reader;
};

static void open_fixture(struct fixture *f, struct str yaml, const struct conf_strs *dims)
{
    struct err e = {0};
    struct yaml_node *doc = NULL;
    mem_init(&f->mem, 0);
    arena_init(&f->arena, &f->mem, 1 << 22);
    buf_init(&f->payload, &f->mem, 1 << 24);
    buf_init(&f->text, &f->mem, 1 << 20);
    if (!yaml_parse(yaml, "test", &f->arena, &doc, &e) ||
        !ndjson_config_read(yaml_get(doc, STR("ingest")), dims, &f->arena, &f->config, &e)) {
        fail_msg("config: %u:%u: %s", e.line, e.col, e.msg);
    }
    f->decoder = ndjson_decoder_new(&f->config, &f->mem);
    assert_non_null(f->decoder);
    f->reader = malloc(sizeof *f->reader);
    assert_non_null(f->reader);
    ndjson_decoder_begin(f->decoder);
}

static void close_fixture(struct fixture *f)
{
    free(f->reader);
    ndjson_decoder_free(f->decoder);
    buf_release(&f->payload);
    buf_release(&f->text);
    arena_release(&f->arena);
    assert_int_equal(f->mem.bytes, 0);
}

static void word(struct buf *b, const char *name, struct str value)
{
    if (value.n > 0 && !str_eq(value, STR("none"))) {
        buf_fmt(b, " %s=%.*s", name, STR_FMT(value));
    }
}

static void number(struct buf *b, const char *name, int64_t v, int64_t absent)
{
    if (v != absent) {
        buf_fmt(b, " %s=%lld", name, (long long)v);
    }
}

static void instant(struct buf *b, const char *name, int64_t t_ns)
{
    if (t_ns != T_NS_NONE) {
        buf_fmt(b, " %s=", name);
        time_format(b, t_ns);
    }
}

static void feature_text(struct buf *b, const struct feature *f, const struct record_reader *r)
{
    buf_fmt(b, "%.*s=", STR_FMT(r->names[f->name]));
    switch (f->kind) {
    case FEATURE_NULL: BUF_LIT(b, "null"); break;
    case FEATURE_BOOL: buf_str_add(b, f->number != 0 ? STR("true") : STR("false")); break;
    case FEATURE_NUMBER: buf_f64(b, f->number); break;
    case FEATURE_CATEGORY: buf_fmt(b, "'%.*s'", STR_FMT(f->category)); break;
    }
}

static void decision_text(struct buf *b, const struct decision *d, const struct record_reader *r)
{
    if (!isnan(d->score)) {
        BUF_LIT(b, " score=");
        buf_f64(b, d->score);
    }
    word(b, "decision", verdict_text(d->verdict));
    if (!isnan(d->threshold)) {
        BUF_LIT(b, " threshold=");
        buf_f64(b, d->threshold);
    }
    word(b, "fallback", fallback_text(d->fallback));
    word(b, "direction", direction_text(d->direction));
    word(b, "settlement", settlement_text(d->settlement));
    word(b, "form", form_text(d->form));
    number(b, "amount", d->amount_centavos, AMOUNT_NONE);
    instant(b, "hold", d->hold_deadline_ns);
    number(b, "offset", d->clock_offset_us, 0);
    word(b, "model", d->model);
    word(b, "version", d->model_version);
    word(b, "sha256", d->model_sha256);
    word(b, "host", d->host);
    for (uint32_t i = 0; i < d->dims_count; i++) {
        buf_fmt(b, "%s%.*s", i == 0 ? " dims=" : ",", STR_FMT(d->dims[i]));
    }
    for (uint32_t i = 0; i < d->latencies_count; i++) {
        buf_fmt(b, "%s%.*s=%lld", i == 0 ? " latencies " : ",",
                STR_FMT(r->names[d->latencies[i].stage_name]), (long long)d->latencies[i].ns);
    }
    for (uint32_t i = 0; i < d->features_count; i++) {
        buf_str_add(b, i == 0 ? STR(" features ") : STR(","));
        feature_text(b, &d->features[i], r);
    }
}

static void label_text(struct buf *b, const struct fraud_label *l)
{
    word(b, "label", truth_text(l->truth));
    word(b, "source", label_source_text(l->source));
    word(b, "name", l->source_name);
    word(b, "event_id", l->event_id);
    word(b, "supersedes", l->supersedes);
}

static void stage_text(struct buf *b, const struct stage_event *s, const struct record_reader *r)
{
    word(b, "stage", r->names[s->stage_name]);
    word(b, "outcome", stage_outcome_text(s->outcome));
    number(b, "attempt", s->attempt, 1);
    instant(b, "start", s->start_ns);
    number(b, "queue", s->queue_ns, -1);
    number(b, "work", s->work_ns, -1);
    number(b, "amount", s->amount_centavos, AMOUNT_NONE);
    number(b, "offset", s->clock_offset_us, 0);
    number(b, "partition", s->partition, -1);
    word(b, "sla", sla_segment_text(s->sla));
    word(b, "reason", s->reason);
    word(b, "version", s->version);
    word(b, "host", s->host);
}

/* The one record of the payload as text, followed by the values that were dropped. */
static void record_text(struct fixture *f, struct buf *b)
{
    struct record rec;
    struct err e = {0};
    record_reader_init(f->reader, buf_str(&f->payload), 0, 1);
    assert_true(record_next(f->reader, &rec, &e));
    buf_str_add(b, ndjson_kind_text(rec.kind));
    const struct e2e *id = rec.kind == RECORD_DECISION ? &rec.u.decision.id
                           : rec.kind == RECORD_LABEL  ? &rec.u.label.id
                                                       : &rec.u.stage.id;
    assert_str(e2e_str(id), STR(ID));
    if (rec.kind == RECORD_DECISION) {
        instant(b, "ts", rec.u.decision.t_ns);
        decision_text(b, &rec.u.decision, f->reader);
    } else if (rec.kind == RECORD_LABEL) {
        instant(b, "ts", rec.u.label.t_ns);
        label_text(b, &rec.u.label);
    } else {
        instant(b, "ts", rec.u.stage.end_ns);
        stage_text(b, &rec.u.stage, f->reader);
    }
    assert_false(record_next(f->reader, &rec, &e));
    assert_int_equal(e.code, ERR_NONE);
    const struct ndjson_counts *c = ndjson_decoder_counts(f->decoder);
    for (uint32_t i = 0; i < NDJSON_DROPS; i++) {
        if (c->drops[i] > 0) {
            buf_fmt(b, " dropped.%.*s=%llu", STR_FMT(ndjson_drop_text((enum ndjson_drop)i)),
                    (unsigned long long)c->drops[i]);
        }
    }
}

/* Decodes one line in a batch of its own, with the line in a buffer of exactly its size (no
 * padding), so that a sanitizer sees every byte read behind it. */
static void result_text(struct fixture *f, struct str line, struct buf *out)
{
    struct err e = {0};
    char *copy = malloc(line.n > 0 ? line.n : 1);
    memcpy(copy, line.p, line.n);
    buf_reset(&f->payload);
    ndjson_decoder_begin(f->decoder);
    bool ok = ndjson_decode_line(f->decoder, str_of(copy, line.n), false, &f->payload, &e);
    const struct ndjson_counts *c = ndjson_decoder_counts(f->decoder);
    uint64_t accepted = c->accepted[1] + c->accepted[2] + c->accepted[3];
    uint64_t rejected = c->rejected[0] + c->rejected[1] + c->rejected[2] + c->rejected[3];
    assert_int_equal(accepted, ok ? 1 : 0);
    assert_int_equal(rejected, ok ? 0 : 1);
    if (ok) {
        BUF_LIT(out, "out ");
        record_text(f, out);
    } else {
        enum ndjson_reason why = ndjson_decoder_reason(f->decoder);
        assert_int_equal(e.code, ERR_INPUT);
        assert_int_equal(c->reasons[why], 1);
        buf_fmt(out, "err %u %.*s %s", e.col, STR_FMT(ndjson_reason_text(why)), e.msg);
    }
    free(copy);
}

static struct str next_line(struct str *rest)
{
    struct str_cut c = str_cut(*rest, '\n');
    *rest = c.tail;
    return c.head;
}

static struct str header(struct str *rest, struct str *dims, uint32_t *dims_count)
{
    const char *start = NULL;
    const char *end = NULL;
    while (rest->n > 0) {
        struct str line = next_line(rest);
        if (str_eq(line, STR("---"))) {
            break;
        }
        if (str_starts(line, STR("dims: "))) {
            for (struct str w = str_sub(line, 6, line.n); w.n > 0;) {
                struct str_cut c = str_cut(w, ' ');
                dims[(*dims_count)++] = c.head;
                w = c.tail;
            }
            continue;
        }
        start = start ? start : line.p;
        end = line.p + line.n;
    }
    return start ? str_of(start, (size_t)(end - start)) : (struct str){NULL, 0};
}

static void run_file(const char *name)
{
    struct mem m;
    struct buf file;
    struct err e = {0};
    struct fixture f;
    struct str dims[RECORD_DIMS_MAX];
    struct conf_strs list = {dims, 0};
    uint32_t cases = 0;
    uint32_t wrong = 0;
    mem_init(&m, 0);
    buf_init(&file, &m, 1 << 20);
    if (!file_read(os_real(), test_path(name), &file, &e)) {
        fail_msg("%s", e.msg);
    }
    struct str rest = buf_str(&file);
    struct str yaml = header(&rest, dims, &list.count);
    open_fixture(&f, yaml, &list);
    struct str line = {NULL, 0};
    while (rest.n > 0) {
        struct str l = next_line(&rest);
        if (str_starts(l, STR("in "))) {
            line = str_trim(str_sub(l, 3, l.n));
        } else if (str_starts(l, STR("out ")) || str_starts(l, STR("err "))) {
            buf_reset(&f.text);
            result_text(&f, line, &f.text);
            cases++;
            if (!str_eq(buf_str(&f.text), l)) {
                print_error("%s\n  in       %.*s\n  expected %.*s\n  found    %.*s\n", name,
                            STR_FMT(line), STR_FMT(l), STR_FMT(buf_str(&f.text)));
                wrong++;
            }
        } else if (l.n > 0 && l.p[0] != '#') {
            fail_msg("%s: not a test line: %.*s", name, STR_FMT(l));
        }
    }
    close_fixture(&f);
    buf_release(&file);
    assert_int_equal(wrong, 0);
    assert_true(cases > 0);
}

TEST(decisions)
{
    run_file("ingest/ndjson/testdata/decision.test");
}

TEST(labels_and_stage_events)
{
    run_file("ingest/ndjson/testdata/label_stage.test");
}

TEST(lines_of_a_users_own_json)
{
    run_file("ingest/ndjson/testdata/mapping.test");
}

TEST(bad_lines)
{
    run_file("ingest/ndjson/testdata/bad.test");
}

/* A name travels once a batch; the next batch numbers from 0 again and carries it again. */
TEST(names_are_put_once_per_batch)
{
    static const char line[] =
        "{\"type\":\"decision\",\"id\":\"" ID "\",\"ts\":\"2018-05-14T00:00:01Z\",\"score\":0.5,"
        "\"decision\":\"hold\",\"features\":{\"a\":1,\"b\":2}}";
    struct fixture f;
    struct record rec;
    struct err e = {0};
    open_fixture(&f, STR(""), NULL);
    size_t batch_bytes[2];
    for (int batch = 0; batch < 2; batch++) {
        buf_reset(&f.payload);
        ndjson_decoder_begin(f.decoder);
        for (int i = 0; i < 3; i++) {
            assert_true(ndjson_decode_line(f.decoder, str_from_c(line), false, &f.payload, &e));
        }
        record_reader_init(f.reader, buf_str(&f.payload), 0, 1);
        for (int i = 0; i < 3; i++) {
            assert_true(record_next(f.reader, &rec, &e));
            assert_int_equal(rec.u.decision.features_count, 2);
            assert_int_equal(rec.u.decision.features[1].name, 1);
        }
        assert_int_equal(f.reader->names_count, 2);
        assert_str(f.reader->names[0], STR("a"));
        batch_bytes[batch] = f.payload.n;
    }
    assert_int_equal(batch_bytes[0], batch_bytes[1]);
    close_fixture(&f);
}

static void many_names(struct buf *b, int from, int count)
{
    buf_reset(b);
    buf_fmt(b, "{\"type\":\"decision\",\"id\":\"" ID "\",\"ts\":\"2018-05-14T00:00:01Z\","
               "\"score\":0.5,\"decision\":\"hold\",\"features\":{");
    for (int i = 0; i < count; i++) {
        buf_fmt(b, "%s\"n%d\":%d", i > 0 ? "," : "", from + i, i);
    }
    BUF_LIT(b, "}}");
}

/* More names than a batch may hold: the surplus is dropped and counted, and the next batch starts
 * afresh. */
TEST(names_beyond_the_bound_are_dropped_and_counted)
{
    struct fixture f;
    struct err e = {0};
    open_fixture(&f, STR(""), NULL);
    for (int i = 0; i < 5; i++) {
        many_names(&f.text, i * 1024, 1024);
        assert_true(ndjson_decode_line(f.decoder, buf_str(&f.text), false, &f.payload, &e));
    }
    const struct ndjson_counts *c = ndjson_decoder_counts(f.decoder);
    assert_int_equal(c->drops[NDJSON_DROP_NAME], 5 * 1024 - RECORD_NAMES_MAX);
    buf_reset(&f.payload);
    ndjson_decoder_begin(f.decoder);
    many_names(&f.text, 1000000, 1024);
    assert_true(ndjson_decode_line(f.decoder, buf_str(&f.text), false, &f.payload, &e));
    assert_int_equal(c->drops[NDJSON_DROP_NAME], 0);
    many_names(&f.text, 0, 1025);
    assert_false(ndjson_decode_line(f.decoder, buf_str(&f.text), false, &f.payload, &e));
    assert_string_equal(e.msg, "decision.features: more than 1024");
    assert_int_equal(c->reasons[NDJSON_LIMIT], 1);
    close_fixture(&f);
}

TEST(a_full_payload_ends_the_batch_and_is_no_fault_of_the_line)
{
    struct fixture f;
    struct err e = {0};
    struct buf small;
    open_fixture(&f, STR(""), NULL);
    many_names(&f.text, 0, 100);
    buf_init(&small, &f.mem, 300);
    assert_false(ndjson_decode_line(f.decoder, buf_str(&f.text), false, &small, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(ndjson_decoder_counts(f.decoder)->rejected[RECORD_DECISION], 0);
    buf_release(&small);
    close_fixture(&f);
}

/* The parser may read the padding but must not be led by it. */
TEST(padding_does_not_change_the_result)
{
    struct fixture f;
    struct err e = {0};
    char text[512] = {0};
    open_fixture(&f, STR(""), NULL);
    many_names(&f.text, 0, 3);
    struct str line = buf_str(&f.text);
    assert_true(line.n + JSON_PADDING <= sizeof text);
    memcpy(text, line.p, line.n);
    memset(text + line.n, '}', JSON_PADDING);
    assert_true(ndjson_decode_line(f.decoder, str_of(text, line.n), true, &f.payload, &e));
    assert_false(ndjson_decode_line(f.decoder, str_of(text, line.n - 1), true, &f.payload, &e));
    assert_int_equal(ndjson_decoder_reason(f.decoder), NDJSON_JSON);
    close_fixture(&f);
}

FAULT_TEST(decoder_survives_any_failed_allocation)
{
    static const char yaml[] = "ingest: {mapping: {decision: {id: i, ts: t, score: s, decision: "
                               "{value: hold}, features: [f, g.h]}}}";
    static const char line[] = "{\"i\":\"" ID "\",\"t\":\"2018-05-14T00:00:01Z\",\"s\":0.25,"
                               "\"f\":{\"a\":1,\"o\":{\"x\":\"y\"}},\"g\":{\"h\":true}}";
    struct arena a;
    struct buf payload;
    struct err e = {0};
    struct yaml_node *doc = NULL;
    struct ndjson_config c;
    struct ndjson_decoder *d = NULL;
    struct str dims[] = {STR("form"), STR("features.o.x"), STR("z.w")};
    struct conf_strs list = {dims, ARRAY_LEN(dims)};
    arena_init(&a, &w->mem, 1 << 20);
    buf_init(&payload, &w->mem, 1 << 16);
    bool ok = yaml_parse(str_from_c(yaml), "test", &a, &doc, &e) &&
              ndjson_config_read(yaml_get(doc, STR("ingest")), &list, &a, &c, &e);
    if (ok) {
        d = ndjson_decoder_new(&c, &w->mem);
        ok = d != NULL;
    }
    if (ok) {
        ndjson_decoder_begin(d);
        ok = ndjson_decode_line(d, str_from_c(line), false, &payload, &e);
        if (!ok) { /* memory is never blamed on the line */
            assert_true(e.code == ERR_NOMEM || e.code == ERR_LIMIT);
        }
    }
    ndjson_decoder_free(d);
    buf_release(&payload);
    arena_release(&a);
    return ok;
}
