"""What the differential tests against Debian's Prometheus share: starting it, remote write to any server,
requests, and the comparison of two answers."""

import http.client
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from farol import Farol, free_port  # noqa: E402

TOLERANCE = 1e-9  # of values: Prometheus 2.42 sums without compensation


# -- Remote write 1.0 ----------------------------------------------------------------------------

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def snappy_literals(data):
    """A valid snappy block without copies."""
    out = bytearray(varint(len(data)))
    for at in range(0, len(data), 65536):
        piece = data[at:at + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def label_block(labels):
    return b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in sorted(labels.items()))


def sample(t_ms, v, number=2):
    return field(number, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(t_ms))


def exemplar(labels, t_ms, v):
    return field(3, label_block(labels) + b"\x11" + struct.pack("<d", v) + b"\x18" + varint(t_ms))


def write_request(series):
    """series: [(labels, [(t_ms, v)...]) or (labels, samples, raw bytes of exemplars)]."""
    out = bytearray()
    for labels, samples, *more in series:
        out += field(1, label_block(labels) + b"".join(sample(t, v) for t, v in samples) + b"".join(more))
    return bytes(out)


def push(server, series):
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
               "X-Prometheus-Remote-Write-Version": "0.1.0"}
    status, body = server.request("POST", "/api/v1/write", snappy_literals(write_request(series)), headers)
    if status // 100 != 2:
        raise RuntimeError(f"{type(server).__name__} refused the data: {status} {body[:300]!r}")


# -- The peer ------------------------------------------------------------------------------------

class Prometheus:
    """Debian's server on a folder of its own; ended by its own process id."""

    def __init__(self, folder, flags=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.flags = list(flags)
        self.process = None

    @staticmethod
    def present():
        return shutil.which("prometheus") is not None

    def start(self, wait=60.0):
        (self.folder / "prometheus.yml").write_text("global: {scrape_interval: 1m}\nstorage: {exemplars: {max_exemplars: 10000}}\n")
        log = open(self.folder / "log.txt", "ab")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
             "--web.enable-admin-api", "--enable-feature=exemplar-storage,native-histograms"] + self.flags,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + wait
        while time.monotonic() < end:
            try:
                if self.request("GET", "/-/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError("prometheus did not start: " + (self.folder / "log.txt").read_text()[-500:])

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    request = Farol.request


# -- Requests and their comparison ---------------------------------------------------------------

class Client:
    """One connection that stays open."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def ask(self, method, path, params=(), form=True):
        """(status, decoded JSON or bytes); params: [(name, value)]."""
        text = urllib.parse.urlencode(params)
        body = None
        headers = {}
        if method == "POST" and form:
            body, headers = text, {"Content-Type": "application/x-www-form-urlencoded"}
        elif text:
            path += "?" + text
        for last in (False, True):
            try:
                if not self.connection:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                self.connection.request(method, path, body, headers)
                r = self.connection.getresponse()
                status, raw = r.status, r.read()
                break
            except (OSError, http.client.HTTPException):
                self.connection = None
                if last:
                    raise
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw


def same_number(a, b, tolerance):
    try:
        x, y = float(a), float(b)
    except ValueError:
        return a == b
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    if x == y:
        return True
    return not (math.isinf(x) or math.isinf(y)) and abs(x - y) <= tolerance * max(abs(x), abs(y), 1e-9)


def same_points(a, b, tolerance):
    return len(a) == len(b) and all(p[0] == q[0] and same_number(p[1], q[1], tolerance) for p, q in zip(a, b))


def labels_key(metric):
    return tuple(sorted(metric.items()))


def difference(want, got, tolerance=TOLERANCE, ordered=False):
    """None when two "data" values of query answers say the same, else what differs first."""
    if not isinstance(want, dict) or "resultType" not in want:
        return None if want == got else f"expected {str(want)[:300]}, found {str(got)[:300]}"
    if not isinstance(got, dict) or got.get("resultType") != want["resultType"]:
        return f"expected type {want['resultType']}, found {str(got)[:200]}"
    a, b = want["result"], got["result"]
    if want["resultType"] in ("scalar", "string"):
        return None if same_points([a], [b], tolerance) else f"expected {a}, found {b}"
    if len(a) != len(b):
        return f"expected {len(a)} series, found {len(b)}"
    if not ordered:
        a, b = (sorted(x, key=lambda s: labels_key(s["metric"])) for x in (a, b))
    for s, t in zip(a, b):
        if s["metric"] != t["metric"]:
            return f"expected labels {s['metric']}, found {t['metric']}"
        for key in ("value", "values", "histogram", "histograms"):
            p, q = s.get(key), t.get(key)
            if (p is None) != (q is None):
                return f"{s['metric']}: {key} is there once only"
            if p is None:
                continue
            if key.startswith("histogram"):
                same = p == q
            else:
                same = same_points([p] if key == "value" else p, [q] if key == "value" else q, tolerance)
            if not same:
                first = next((x for x in zip(p, q) if x[0] != x[1]), (p, q)) if key == "values" else (p, q)
                return f"{s['metric']}: expected {str(first[0])[:150]} ({len(p)}), found {str(first[1])[:150]} ({len(q)})"
    return None


def scratch():
    """A folder for a run, below TMPDIR."""
    import tempfile
    return tempfile.mkdtemp(prefix="farol-conformance-")


def remove(folder):
    if not os.environ.get("FAROL_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
