"""Series shaped as PromQL's compliance list expects them (the demo service of PromLabs): three instances of one
job, 5 s apart. Scrapes fall at 2.9 s and 7.9 s of each ten, queries at 3.3 s: no sample and no subquery step lies
on the edge of a range, where Prometheus 2 and 3 differ."""

import math
import random

STEP_MS = 5000
PHASE_MS = 2900
QUERY_PHASE_MS = 3300
STALE = 0x7FF0000000000002
INSTANCES = [f"demo.promlabs.com:{port}" for port in (10000, 10001, 10002)]
EDGES = ["0.0001", "0.00015000000000000001", "0.00022500000000000002", "0.0007593750000000002", "0.0025628906250000003",
         "0.008649755859375001", "0.0194619506835937512", "0.0437893890380859375", "0.0985261253356933", "+Inf"]


def stale_nan():
    import struct
    return struct.unpack("<d", struct.pack("<Q", STALE))[0]


def demo_series(end_ms, steps, seed=1):
    """[(labels, [(t_ms, v)])] with samples up to end_ms."""
    rng = random.Random(seed)
    last = end_ms // 10000 * 10000 + PHASE_MS
    times = [last - (steps - 1 - k) * STEP_MS for k in range(steps)]
    out = []
    for k, instance in enumerate(INSTANCES):
        base = {"instance": instance, "job": "demo"}

        def add(name, values, base=base, **labels):
            out.append(({"__name__": name, **base, **labels},
                        [(t, v) for t, v in zip(times, values) if v is not None]))

        def walk(start, spread, low, high):
            v, values = start, []
            for _ in times:
                v = min(max(v + rng.uniform(-spread, spread), low), high)
                values.append(v)
            return values

        def counter(rate, reset_at=None):
            v, values = rng.uniform(0, 1000), []
            for i in range(steps):
                v = rng.uniform(0, rate) if i == reset_at else v + max(0.0, rng.gauss(rate, rate)) * 5
                values.append(v)
            return values

        for kind, size in (("used", 4e9), ("free", 2e9), ("cached", 1e9), ("buffers", 5e8)):
            add("demo_memory_usage_bytes", [float(int(v)) for v in walk(size, size / 50, 0, 8e9)], type=kind)
        add("demo_num_cpus", [float(4 + 4 * k)] * steps)
        for i, mode in enumerate(("user", "system", "idle")):
            add("demo_cpu_usage_seconds_total", counter(0.3 + i, steps // 2 + 7 * k if i == 1 else None), mode=mode)
        add("demo_disk_usage_bytes", [1e11 + 2e6 * i + rng.uniform(0, 1e6) for i in range(steps)])
        add("demo_disk_total_bytes", [2.5e11] * steps)
        add("demo_batch_last_success_timestamp_seconds", [float(t // 1000 // (600 + 60 * k) * (600 + 60 * k)) for t in times])
        add("demo_batch_last_run_timestamp_seconds", [float(t // 1000 // 300 * 300) for t in times])
        add("demo_items_shipped_total", [float(int(v)) for v in counter(3)])
        # There for a while, then gone with a marker, then back.
        gaps = [None if i % 60 > 40 else stale_nan() if i % 60 == 40 else 1.0 for i in range(steps)]
        add("demo_intermittent_metric", gaps)
        for method, path, status in (("GET", "/api/foo", "200"), ("GET", "/api/foo", "500"), ("POST", "/api/bar", "200"),
                                     ("GET", "/api/nonexistent", "404")):
            labels = {"method": method, "path": path, "status": status}
            totals = [float(int(v)) for v in counter(2 + k)]
            for i, le in enumerate(EDGES):
                share = 1.0 if le == "+Inf" else 1 - math.exp(-(i + 1) / 3)
                add("demo_api_request_duration_seconds_bucket", [float(int(v * share)) for v in totals], le=le, **labels)
            add("demo_api_request_duration_seconds_count", totals, **labels)
            add("demo_api_request_duration_seconds_sum", [v * 0.013 for v in totals], **labels)
    return out


def slices(series, samples_max=120):
    """Requests in ascending time, as both servers want them."""
    longest = max(len(s) for _, s in series)
    for at in range(0, longest, samples_max):
        part = [(labels, samples[at:at + samples_max]) for labels, samples in series if len(samples) > at]
        yield from (part[i:i + 150] for i in range(0, len(part), 150))
