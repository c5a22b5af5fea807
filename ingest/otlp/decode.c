/* A request: resources, their scopes, their metrics; and target_info, which says of a resource
 * what is not a label of its series.
 *
 *   ExportMetricsServiceRequest  1 ResourceMetrics {1 resource {1 attributes}, 2 ScopeMetrics
 * {2 metrics}}
 *
 * service.namespace/service.name is the label job, service.instance.id is instance. Source:
 * opentelemetry/proto/collector/metrics/v1, and "Prometheus and OpenMetrics Compatibility" of
 * OpenTelemetry. */
#include "ingest/otlp/decode_int.h"

#define INFO_STEP_MS \
    150000 /* target_info at least this often, so that it is never stale in a range */
#define INFO_MAX 1000

static const struct str service_name = STR_INIT("service.name");
static const struct str service_namespace = STR_INIT("service.namespace");
static const struct str service_instance = STR_INIT("service.instance.id");

static bool resource_read(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    struct str message = {"", 0};
    while (pb_next(&p, &f)) {
        if (f.number == 1 && f.wire == PB_LEN) {
            message = f.bytes;
        }
    }
    if (p.failed) {
        return err_set(e, ERR_INPUT, "malformed request: a resource cut short");
    }
    if (!otlp_attrs_read(d, message, 1, &d->resource, e)) {
        return false;
    }
    const struct str name = otlp_attr_get(&d->resource, service_name);
    const struct str space = otlp_attr_get(&d->resource, service_namespace);
    d->instance = otlp_attr_get(&d->resource, service_instance);
    d->job = name;
    d->first_ms = INT64_MAX;
    d->last_ms = INT64_MIN;
    if (name.n > 0 && space.n > 0) {
        char *p2 = arena_take(d->arena, space.n + 1 + name.n, 1);
        if (!p2) {
            return err_set(e, ERR_LIMIT, "no memory for a resource");
        }
        memcpy(p2, space.p, space.n);
        p2[space.n] = '/';
        memcpy(p2 + space.n + 1, name.p, name.n);
        d->job = str_of(p2, space.n + 1 + name.n);
    }
    return true;
}

static bool identifying(struct str key)
{
    return str_eq(key, service_name) || str_eq(key, service_namespace) ||
           str_eq(key, service_instance);
}

static bool target_info(struct otlp_decoder *d, struct err *e)
{
    struct otlp_attrs rest = {ARENA_ARRAY(d->arena, struct otlp_attr, d->resource.n + 1), 0};
    bool tells = false;
    if (!rest.v) {
        return err_set(e, ERR_LIMIT, "no memory for a resource");
    }
    for (uint32_t i = 0; i < d->resource.n; i++) {
        const bool id = identifying(d->resource.v[i].key);
        tells |= !id;
        if (!id || d->config->keep_identifying_resource_attributes) {
            rest.v[rest.n++] = d->resource.v[i];
        }
    }
    if (!tells || d->job.n + d->instance.n == 0 || d->last_ms == INT64_MIN) {
        return true;
    }
    uint32_t ref;
    d->bad = false;
    otlp_base(d, &rest);
    if (d->bad ||
        !otlp_series(d, STR("target_info"), (struct label){{NULL, 0}, {NULL, 0}}, &ref, e)) {
        return d->bad;
    }
    int64_t t = d->first_ms;
    for (int i = 0; ref != 0 && i < INFO_MAX && t < d->last_ms; i++) {
        if (!tsdb_batch_add(d->batch, ref, t, 1, e)) {
            return false;
        }
        t = d->last_ms - t > INFO_STEP_MS ? t + INFO_STEP_MS : d->last_ms;
    }
    return ref == 0 || tsdb_batch_add(d->batch, ref, d->last_ms, 1, e);
}

static bool scope_read(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f;
    while (pb_next(&p, &f)) {
        if (f.number == 2 && f.wire == PB_LEN && !otlp_metric(d, f.bytes, e)) {
            return false;
        }
    }
    return !p.failed || err_set(e, ERR_INPUT, "malformed request: a scope cut short");
}

bool otlp_decode(struct otlp_decoder *d, struct str bytes, struct err *e)
{
    struct pb p = pb_of(bytes);
    struct pb_field f, g;
    while (pb_next(&p, &f)) {
        if (f.number != 1 || f.wire != PB_LEN) {
            continue;
        }
        if (!resource_read(d, f.bytes, e)) {
            return false;
        }
        struct pb in = pb_of(f.bytes);
        while (pb_next(&in, &g)) {
            if (g.number == 2 && g.wire == PB_LEN && !scope_read(d, g.bytes, e)) {
                return false;
            }
        }
        if (!target_info(d, e)) {
            return false;
        }
    }
    return !p.failed ||
           err_set(e, ERR_INPUT, "malformed request: expected an ExportMetricsServiceRequest");
}
