#!/usr/bin/env python3
"""The metrics engine beside Debian's Prometheus and VictoriaMetrics, in one run on one machine.

usage: bench/metrics.py [--size 10k|100k|small] [--who farol,prometheus,victoria] [--only write,restart,query,scrape]
                        [--load PROGRAM] [--json FILE]
10k = 10,000 series x 6 h, 100k = 100,000 series x 2 h, both in steps of 15 s; small = 2,000 x 30 min.
Each contender is filled by remote write, one after the other; then: CPU seconds per million samples until
idle, bytes per sample in a snapshot, peak memory, SIGKILL to the first right answer, and 17 queries,
interleaved, medians of 7, compared with Prometheus' answers."""

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"10k": (10_000, 1440), "100k": (100_000, 480), "small": (2_000, 120)}
STEP_MS = 15_000
TICKS = os.sysconf("SC_CLK_TCK")

QUERIES = {  # name: (kind, expression or match, range: seconds back, step)
    "i1": ("instant", 'payment_transactions_total{instance="fraud-0001:9100",result="ok",psp="10000007"}'),
    "i2": ("instant", "sum(node_memory_bytes)"),
    "i3": ("instant", "sum by (mode) (rate(node_cpu_seconds_total[5m]))"),
    "i4": ("instant", "histogram_quantile(0.99, sum by (le, stage) (rate(payment_stage_seconds_bucket[5m])))"),
    "i5": ("instant", "topk(5, rate(payment_errors_total[5m]))"),
    "i6": ("instant", 'sum({__name__=~"node_(memory|load).*",instance=~"fraud-00[0-4].*"})'),
    "i7": ("instant", "node_load_percent * on (instance) group_left () sum by (instance) (node_network_up)"),
    "i8": ("instant", "max_over_time(sum(rate(payment_transactions_total[5m]))[1h:1m])"),
    "i9": ("instant", "quantile_over_time(0.9, node_load_percent[1h])"),
    "r1": ("range", 'node_load_percent{instance="fraud-0001:9100",shard="3"}', 3600, 60),
    "r2": ("range", 'rate(node_cpu_seconds_total{instance="fraud-0002:9100"}[5m])', 3600, 60),
    "r3": ("range", "sum by (stage) (rate(payment_stage_seconds_count[5m]))", 3600, 60),
    "r4": ("range", "histogram_quantile(0.99, sum by (le) (rate(payment_stage_seconds_bucket[5m])))", 3600, 60),
    "r5": ("range", 'sum by (psp) (rate(payment_transactions_total{result="error"}[5m])) / '
                    "sum by (psp) (rate(payment_transactions_total[5m]))", 3600, 15),
    "r6": ("range", 'sum by (instance) ({__name__=~"node_memory_.*"})', 3600, 60),
    "m1": ("values", "instance"),
    "m2": ("series", "node_cpu_seconds_total"),
}


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Contender:
    """One server on a folder of its own. Ended only by its own process id."""

    name = ""
    write_path = "/api/v1/write"

    def __init__(self, top):
        self.dir = Path(top) / self.name
        self.dir.mkdir()
        self.port = free_port()
        self.process = None
        self.connection = None

    def command(self):
        raise NotImplementedError

    def start(self):
        log = open(self.dir / "log.txt", "ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.dir)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        if self.connection:
            self.connection.close()
            self.connection = None

    def get(self, path, method="GET", timeout=120):
        """One connection is kept, so that connecting is not measured; a server may close it when idle."""
        for again in (self.connection is not None, False):
            if self.connection is None:
                self.connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            try:
                self.connection.request(method, path)
                r = self.connection.getresponse()
                return r.status, r.read()
            except (OSError, HTTPException):
                self.connection.close()
                self.connection = None
                if not again:
                    raise OSError("no answer") from None
        raise OSError("no answer")

    def wait_ready(self, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.get("/api/v1/query?query=vector(1)", timeout=5)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.005)
        raise SystemExit(f"{self.name} did not start: see {self.dir}/log.txt")

    def cpu_s(self):
        f = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / TICKS

    def rss_peak_mb(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def settle(self, seconds=90):
        """CPU seconds once nothing has been used for 3 s."""
        at, still, end = self.cpu_s(), 0, time.monotonic() + seconds
        while still < 3 and time.monotonic() < end:
            time.sleep(1)
            now = self.cpu_s()
            still = still + 1 if now - at <= 0.03 else 0
            at = now
        return at

    def snapshot_bytes(self):
        raise NotImplementedError


def tree_bytes(path):
    return sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file())


class FarolServer(Contender):
    name = "farol"

    def command(self):
        (self.dir / "farol.yml").write_text(
            f"server: {{listen: '127.0.0.1:{self.port}'}}\nstorage: {{path: {self.dir}/data}}\n"
            "query: {admin: true}\n")
        return [os.environ.get("FAROL", str(ROOT / "build/gcc/farol")), "run", "--config", str(self.dir / "farol.yml")]

    def snapshot_bytes(self):
        status, body = self.get("/api/v1/admin/tsdb/merge", "POST")
        assert status == 204, body
        status, body = self.get("/api/v1/admin/tsdb/snapshot", "POST")
        assert status == 200, body
        name = json.loads(body)["data"]["name"]
        return tree_bytes(next(self.dir.rglob(name)))


class Prometheus(Contender):
    name = "prometheus"

    def command(self):
        (self.dir / "p.yml").write_text("global: {}\n")
        return ["prometheus", f"--config.file={self.dir}/p.yml", f"--storage.tsdb.path={self.dir}/data",
                f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
                "--web.enable-admin-api", "--log.level=warn"]

    def snapshot_bytes(self):
        status, body = self.get("/api/v1/admin/tsdb/snapshot", "POST")
        assert status == 200, body
        return tree_bytes(self.dir / "data/snapshots" / json.loads(body)["data"]["name"])


class Victoria(Contender):
    name = "victoria"

    def command(self):
        return ["victoria-metrics", f"-storageDataPath={self.dir}/data", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=12", "-search.disableCache", "-search.latencyOffset=0s",
                "-search.maxUniqueTimeseries=3000000", "-http.connTimeout=1h"]

    def snapshot_bytes(self):
        self.get("/internal/force_flush")
        self.get("/internal/force_merge")
        self.settle()
        return sum(tree_bytes(self.dir / "data" / d) for d in ("data", "indexdb"))


KINDS = {c.name: c for c in (FarolServer, Prometheus, Victoria)}


def query_path(name, at_s):
    kind, text, *rest = QUERIES[name]
    q = urllib.parse.quote(text)
    if kind == "instant":
        return f"/api/v1/query?query={q}&time={at_s}&nocache=1"
    if kind == "range":
        back, step = rest
        return f"/api/v1/query_range?query={q}&start={at_s - back}&end={at_s}&step={step}&nocache=1"
    if kind == "values":
        return f"/api/v1/label/{text}/values?start={at_s - 3600}&end={at_s}"
    return f"/api/v1/series?match[]={q}&start={at_s - 3600}&end={at_s}"


def points(data):
    """Answers as {labels: {time: value}}, so that order and text of numbers do not matter."""
    if isinstance(data, list):
        return {json.dumps(x, sort_keys=True): {} for x in data}
    out = {}
    for s in data["result"]:
        key = json.dumps(s["metric"], sort_keys=True)
        out[key] = {t: float(v) for t, v in ([s["value"]] if "value" in s else s["values"])}
    return out


def difference(a, b):
    """Largest relative difference; inf when series or points differ."""
    if a.keys() != b.keys():
        return math.inf
    worst = 0.0
    for k in a:
        if a[k].keys() != b[k].keys():
            return math.inf
        for t, x in a[k].items():
            y = b[k][t]
            if math.isnan(x) != math.isnan(y):
                return math.inf
            if x != y and not math.isnan(x):
                worst = max(worst, abs(x - y) / max(abs(x), abs(y)))
    return worst


def fill(c, load, series, steps, from_ms):
    c.start()
    c.wait_ready()
    before = c.cpu_s()
    run = subprocess.run([load, "--to", f"127.0.0.1:{c.port}", "--path", c.write_path, "--series", str(series),
                          "--steps", str(steps), "--from-ms", str(from_ms)], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{c.name}: {run.stderr}")
    loaded = json.loads(run.stdout)
    millions = loaded["samples"] / 1e6
    at_end = c.cpu_s() - before
    cpu = c.settle() - before
    return {"samples": loaded["samples"], "M_samples_per_s": round(millions / loaded["seconds"], 3),
            "cpu_s_per_M": round(cpu / millions, 3), "cpu_s_per_M_at_last_2xx": round(at_end / millions, 3),
            "rss_peak_MB": round(c.rss_peak_mb(), 1)}


def restart(c, want, at_s, rounds=3):
    """SIGKILL to the first right answer of one family's count."""
    took = []
    path = "/api/v1/query?query=" + urllib.parse.quote("count(node_memory_bytes)") + f"&time={at_s}&nocache=1"
    for _ in range(rounds):
        c.kill()
        began = time.monotonic()
        c.start()
        while time.monotonic() - began < 120:
            try:
                status, body = c.get(path, timeout=5)
                result = json.loads(body)["data"]["result"] if status == 200 else []
                if result and float(result[0]["value"][1]) == want:
                    break
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(0.002)
        took.append(time.monotonic() - began)
    return round(statistics.median(took), 3)


def race(contenders, at_s, rounds=7):
    table, answers = {}, {}
    for name in QUERIES:
        path = query_path(name, at_s)
        times = {c.name: [] for c in contenders}
        for r in range(rounds + 1):
            for c in contenders:
                t = time.perf_counter()
                status, body = c.get(path)
                took = (time.perf_counter() - t) * 1000
                if r == 0:
                    answers[name, c.name] = points(json.loads(body)["data"]) if status == 200 else {"error": {}}
                    if status != 200:
                        print(f"{c.name} {name}: {status} {body[:200]}", file=sys.stderr)
                else:
                    times[c.name].append(took)
        row = {who: round(statistics.median(t), 3) for who, t in times.items()}
        if "prometheus" in times:
            for c in contenders:
                if c.name != "prometheus":
                    d = difference(answers[name, c.name], answers[name, "prometheus"])
                    row[c.name + "_differs"] = f"{d:.1e}"
        table[name] = row
        print(name, row, flush=True)
    return table


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    text = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *a):
        pass


def scrape(who, load, top, seconds=30, series=30_000):
    """CPU seconds per million samples of one target of 30,000 series, every second."""
    Page.text = subprocess.run([load, "--text", str(series)], capture_output=True).stdout
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    job = (f"scrape_configs: [{{job_name: page, scrape_interval: 1s, scrape_timeout: 1s, "
           f"static_configs: [{{targets: ['127.0.0.1:{server.server_port}']}}]}}]\n")
    out = {}
    for name in who:
        c = KINDS[name](Path(tempfile.mkdtemp(dir=top)))
        command = c.command()
        if name == "victoria":
            (c.dir / "p.yml").write_text(job)
            command.append(f"-promscrape.config={c.dir}/p.yml")
        else:
            path = c.dir / ("farol.yml" if name == "farol" else "p.yml")
            path.write_text((path.read_text() if name == "farol" else "") + job)
        c.command = lambda command=command: command
        c.start()
        c.wait_ready()
        time.sleep(5)
        a, t = c.cpu_s(), time.monotonic()
        time.sleep(seconds)
        scrapes = round(time.monotonic() - t)
        out[name] = round((c.cpu_s() - a) / (scrapes * series / 1e6), 3)
        print("scrape", name, out[name], "CPU-s per M samples", flush=True)
        c.kill()
    server.shutdown()
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", default="small", choices=SIZES)
    p.add_argument("--who", default="farol,prometheus,victoria")
    p.add_argument("--only", default="write,restart,query,scrape")
    p.add_argument("--load", default=str(ROOT / "build/gcc/bench_metrics_load"))
    p.add_argument("--json")
    a = p.parse_args()
    who, only = a.who.split(","), a.only.split(",")
    series, steps = SIZES[a.size]
    at_s = int(time.time()) // 15 * 15
    from_ms = at_s * 1000 - (steps - 1) * STEP_MS
    report = {"size": a.size, "series": series, "steps": steps, "load_average": os.getloadavg()[0]}
    top = tempfile.mkdtemp(prefix="metrics-")
    contenders = [KINDS[n](top) for n in who]
    try:
        for c in contenders:
            report[c.name] = fill(c, a.load, series, steps, from_ms)
            print(c.name, report[c.name], flush=True)
        if "query" in only:  # as they stand after the load: nobody has been asked to merge
            # Between two scrapes: whether a range is closed on the left (Prometheus 2) then does not matter.
            report["queries_ms"] = race(contenders, at_s - 7)
        for c in contenders:
            report[c.name]["bytes_per_sample"] = round(c.snapshot_bytes() / report[c.name]["samples"], 3)
            print(c.name, "bytes per sample", report[c.name]["bytes_per_sample"], flush=True)
            if "restart" in only:
                want = series // 500 * 40
                report[c.name]["restart_s"] = restart(c, want, at_s)
                print(c.name, "restart", report[c.name]["restart_s"], flush=True)
        for c in contenders:
            c.kill()
        if "scrape" in only:
            report["scrape_cpu_s_per_M"] = scrape(who, a.load, top)
    finally:
        for c in contenders:
            c.kill()
        shutil.rmtree(top, ignore_errors=True)
    print(json.dumps(report, indent=1))
    if a.json:
        Path(a.json).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
