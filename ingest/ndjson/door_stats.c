/* Counters of the door: farol_ingest_* and the `ingest` part of the status page. */
#include "ingest/ndjson/door_int.h"

#include "base/base.h"
#include "ingest/ndjson/map_int.h"

#define X(name, text) STR_INIT(text),
static const struct str result_texts[NDJSON_RESULTS] = {NDJSON_RESULT_LIST(X)};
#undef X

static void add(atomic_uint_fast64_t *c, uint64_t n)
{
    if (n > 0) {
        atomic_fetch_add_explicit(c, n, memory_order_relaxed);
    }
}

static uint64_t get(atomic_uint_fast64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

void ndjson_count_lines(struct ndjson *n, const struct ndjson_counts *c)
{
    for (uint32_t i = 0; i < RECORD_KINDS; i++) {
        add(&n->accepted[i], c->accepted[i]);
        add(&n->rejected[i], c->rejected[i]);
    }
    for (uint32_t i = 0; i < NDJSON_REASONS; i++) {
        add(&n->reasons[i], c->reasons[i]);
    }
    for (uint32_t i = 0; i < NDJSON_DROPS; i++) {
        add(&n->drops[i], c->drops[i]);
    }
}

void ndjson_count_result(struct ndjson *n, enum ndjson_result r)
{
    add(&n->results[r], 1);
}

static void publish_lines(struct ndjson *n, struct expo *x)
{
    struct expo_family *f =
        expo_family(x, EXPO_COUNTER, STR("farol_ingest_lines"), STR(""),
                    STR("Lines received at the NDJSON door, by kind of event and result."));
    for (uint32_t k = 0; k < RECORD_KINDS; k++) {
        struct str kind = ndjson_kind_text((enum record_kind)k);
        struct label accepted[] = {{STR("kind"), kind}, {STR("result"), STR("accepted")}};
        struct label rejected[] = {{STR("kind"), kind}, {STR("result"), STR("rejected")}};
        if (k != RECORD_NAME) { /* a line whose kind is not known is never accepted */
            expo_add(x, f, accepted, 2, (double)get(&n->accepted[k]));
        }
        expo_add(x, f, rejected, 2, (double)get(&n->rejected[k]));
    }
}

/* One counter family with one label, all of whose values are known beforehand and always shown: a
 * series that appears with its first error has no increase() for that error. */
static void publish_set(struct expo *x, struct str name, struct str help, struct str label,
                        struct str (*text)(uint32_t i), atomic_uint_fast64_t *v, uint32_t count)
{
    struct expo_family *f = expo_family(x, EXPO_COUNTER, name, STR(""), help);
    for (uint32_t i = 0; i < count; i++) {
        struct label l = {label, text(i)};
        expo_add(x, f, &l, 1, (double)get(&v[i]));
    }
}

static struct str reason_text(uint32_t i)
{
    return ndjson_reason_text((enum ndjson_reason)i);
}

static struct str drop_text(uint32_t i)
{
    return ndjson_drop_text((enum ndjson_drop)i);
}

static struct str result_text(uint32_t i)
{
    ASSERT(i < NDJSON_RESULTS);
    return result_texts[i];
}

void ndjson_publish(struct ndjson *n, struct expo *x)
{
    publish_lines(n, x);
    publish_set(x, STR("farol_ingest_rejected"),
                STR("Lines refused at the NDJSON door, by reason."), STR("reason"), reason_text,
                n->reasons, NDJSON_REASONS);
    publish_set(x, STR("farol_ingest_values_dropped"),
                STR("Single values left out or cut at the NDJSON door; their event was kept."),
                STR("reason"), drop_text, n->drops, NDJSON_DROPS);
    publish_set(x, STR("farol_ingest_requests"), STR("Requests at the NDJSON door, by result."),
                STR("result"), result_text, n->results, NDJSON_RESULTS);
    struct expo_family *f = expo_family(x, EXPO_COUNTER, STR("farol_ingest_body_bytes"),
                                        STR("bytes"), STR("Bytes received at the NDJSON door."));
    struct label sent = {STR("form"), STR("sent")};
    struct label unpacked = {STR("form"), STR("unpacked")};
    expo_add(x, f, &sent, 1, (double)get(&n->body_bytes));
    expo_add(x, f, &unpacked, 1, (double)get(&n->unpacked_bytes));
    f = expo_family(x, EXPO_GAUGE, STR("farol_ingest_receiving_bytes"), STR("bytes"),
                    STR("Memory of the requests that are being received."));
    expo_add(x, f, NULL, 0, (double)get(&n->receiving_bytes));
}

static void status_set(struct buf *b, const char *name, struct str (*text)(uint32_t i),
                       atomic_uint_fast64_t *v, uint32_t count)
{
    buf_fmt(b, ",\"%s\":{", name);
    for (uint32_t i = 0; i < count; i++) {
        struct str word = text(i);
        buf_fmt(b, "%s\"%.*s\":%llu", i > 0 ? "," : "", STR_FMT(word),
                (unsigned long long)get(&v[i]));
    }
    buf_char(b, '}');
}

void ndjson_status(struct ndjson *n, struct buf *json)
{
    uint64_t accepted = 0;
    uint64_t rejected = 0;
    BUF_LIT(json, "{\"kinds\":{");
    for (uint32_t k = 0; k < RECORD_KINDS; k++) {
        struct str kind = ndjson_kind_text((enum record_kind)k);
        uint64_t a = get(&n->accepted[k]);
        uint64_t r = get(&n->rejected[k]);
        accepted += a;
        rejected += r;
        buf_fmt(json, "%s\"%.*s\":{\"accepted\":%llu,\"rejected\":%llu}", k > 0 ? "," : "",
                STR_FMT(kind), (unsigned long long)a, (unsigned long long)r);
    }
    buf_fmt(json, "},\"accepted\":%llu,\"rejected\":%llu", (unsigned long long)accepted,
            (unsigned long long)rejected);
    status_set(json, "rejected_by", reason_text, n->reasons, NDJSON_REASONS);
    status_set(json, "dropped_values", drop_text, n->drops, NDJSON_DROPS);
    status_set(json, "requests", result_text, n->results, NDJSON_RESULTS);
    buf_char(json, '}');
}
