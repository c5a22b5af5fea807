"""What the tests that run the real program share: starting and killing it, reading its series."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = os.environ.get("FAROL", str(ROOT / "build/gcc/farol"))
SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Farol:
    """One server on a folder of its own; start again after kill keeps the folder."""

    def __init__(self, folder, config=""):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process = None
        self.file = self.folder / "farol.yml"
        server = f"server:\n  listen: 127.0.0.1:{self.port}\n"
        storage = "" if re.search(r"^storage:", config, re.M) else f"storage:\n  path: {self.folder}/data\n"
        self.file.write_text(server + storage + config)
        self.log = self.folder / "farol.log"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, wait=20.0):
        """Seconds from exec until ready."""
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BINARY, "run", "-c", str(self.file)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        while time.monotonic() - began < wait:
            if self.process.poll() is not None:
                raise RuntimeError(f"farol ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                if self.get("/-/ready")[0] == 200:
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.01)
        raise RuntimeError(f"farol was not ready after {wait} s:\n{self.log_tail()}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode if self.process else None

    def log_tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else ""

    def request(self, method, path, body=None, headers=None, timeout=30):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.read()
        except http.client.HTTPException as x:
            raise OSError(f"{type(x).__name__}: {x}") from x
        finally:
            c.close()

    def get(self, path):
        return self.request("GET", path)

    def json(self, path):
        status, body = self.get(path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def series(self):
        """{(name, ((label, value), ...)): value} of /metrics."""
        out = {}
        for line in self.get("/metrics")[1].decode().splitlines():
            m = SAMPLE.match(line)
            if m:
                out[m.group(1), tuple(sorted(LABEL.findall(m.group(2) or "")))] = float(m.group(3))
        return out

    def total(self, name, **labels):
        """Sum of the series of a name whose labels contain the given ones."""
        want = set(labels.items())
        return sum(v for (n, l), v in self.series().items() if n == name and want <= set(l))

    def wait_for(self, what, value, seconds=10.0):
        """Polls what() until it equals value; returns the last answer."""
        end = time.monotonic() + seconds
        got = what()
        while got != value and time.monotonic() < end:
            time.sleep(0.1)
            got = what()
        return got

    def rss_peak(self):
        """Bytes; VmHWM of the running process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text).group(1)) * 1024

    def cpu_seconds(self):
        f = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


class Results:
    """Counts named verdicts and prints the closing line."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, ok, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {detail}", flush=True)
        return ok

    def equal(self, name, got, want):
        return self.check(name, got == want, f"expected {want}, found {got}")

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0
