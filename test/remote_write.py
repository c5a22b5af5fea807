"""What the tests of the sample store share: Prometheus remote write 1.0 from Python's own library.

A request is snappy's block format with literals only (packing well is not what is tested) around a
WriteRequest { 1: timeseries { 1: label { 1: name, 2: value }, 2: sample { 1: double, 2: int64 ms } } }."""

import http.client
import json
import struct
import time
import urllib.parse

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
           "X-Prometheus-Remote-Write-Version": "0.1.0"}


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def snappy(raw):
    out = [varint(len(raw))]
    for at in range(0, len(raw), 65536):
        part = raw[at:at + 65536]
        out += [b"\xf4", struct.pack("<H", len(part) - 1), part]
    return b"".join(out)


def label_block(name, **labels):
    """The labels of one series as the protocol wants them: sorted by name."""
    pairs = sorted({"__name__": name, **labels}.items())
    return b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in pairs)


def sample_maker(t_ms):
    """A function from value to the bytes of a sample at that time; the time is coded once."""
    tail = b"\x10" + varint(t_ms)
    head = bytes([0x12, 9 + len(tail), 0x09])
    pack = struct.Struct("<d").pack
    return lambda v: head + pack(v) + tail


def series_bytes(block, samples):
    return b"\x0a" + varint(len(block) + len(samples)) + block + samples


def request_of(series):
    """Body of a request: [(label block, [(t_ms, value)...])...]."""
    return snappy(b"".join(series_bytes(block, b"".join(sample_maker(t)(v) for t, v in samples))
                           for block, samples in series))


class Door:
    """One kept connection to the door of a server, which may go away and come back."""

    def __init__(self, server, path="/api/v1/write"):
        self.server, self.path, self.connection = server, path, None

    def post(self, body, timeout=60):
        """(status, text); OSError when there was no answer: then nobody knows whether it was stored."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=timeout)
            self.connection.request("POST", self.path, body, HEADERS)
            r = self.connection.getresponse()
            return r.status, r.read()
        except (OSError, http.client.HTTPException) as x:
            self.close()
            raise OSError(f"{type(x).__name__}: {x}") from x

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def query(server, text, at_ms):
    """The result of an instant query: a list of {"metric", "value" | "values"}."""
    data = server.json("/api/v1/query?" + urllib.parse.urlencode({"query": text, "time": f"{at_ms / 1000:.3f}"}))
    return data["data"]["result"]


def number(server, text, at_ms=None):
    """The one number that a query gives; None when it gives nothing."""
    result = query(server, text, time.time() * 1000 if at_ms is None else at_ms)
    return float(result[0]["value"][1]) if result else None


def raw(server, selector, from_ms, to_ms, label):
    """{value of label: [(t_ms, value)...]} of all samples with from_ms < t <= to_ms."""
    out = {}
    span = max(1, int(to_ms - from_ms))
    for s in query(server, f"{selector}[{span}ms]", to_ms):
        out[s["metric"][label]] = [(round(t * 1000), float(v)) for t, v in s["values"]]
    return out


def store_counters(server, *names, seconds=5.0):
    """Sums of farol_tsdb_* series of /metrics (with _total where they are counters), which is filled once a second."""
    end = time.monotonic() + seconds
    while True:
        s = {}
        for (name, _), v in server.series().items():
            s[name] = s.get(name, 0) + v
        got = [s.get(f"farol_tsdb_{n}", s.get(f"farol_tsdb_{n}_total", s.get(f"farol_tsdb_{n}_bytes")))
               for n in names]
        if None not in got:
            return [int(v) for v in got]
        if time.monotonic() > end:
            raise RuntimeError(f"no farol_tsdb_{names[got.index(None)]} in /metrics: {json.dumps(sorted(s))[:2000]}")
        time.sleep(0.05)
