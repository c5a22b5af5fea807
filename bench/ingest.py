#!/usr/bin/env python3
"""NDJSON over HTTP, through journal and both pillars to /metrics: events per second of server CPU, peak
memory, delay to /metrics; beside it parsing alone and the same work in Python (pandas, scikit-learn).

usage: bench/ingest.py [--stream DIR] [--rounds 3] [--no-python]
DIR holds decisions.ndjson.zst and labels.ndjson.zst (default ../shared/corpora/model/dev)."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test"))
from farol import BINARY, ROOT, Farol  # noqa: E402

MAPPING = (ROOT / "test/conformance/mapping.yml").read_text()
INGEST = textwrap.dedent(MAPPING.split("ingest:\n")[1].split("\nmodel:")[0])  # what bench_decode reads

PYTHON = r"""
import json, sys, time, resource
began = time.process_time()
import pandas as pd
from sklearn.metrics import roc_auc_score, average_precision_score, brier_score_loss, log_loss
rows = [json.loads(line) for line in open(sys.argv[1])]
frame = pd.DataFrame.from_records(rows)
frame["day"] = pd.to_datetime(frame["ts"]).dt.date
frame["amount"] = [f["amount"] for f in frame["features"]]
frame["channel"] = [f["channel"] for f in frame["features"]]
labels = pd.DataFrame.from_records([json.loads(line) for line in open(sys.argv[2])])
truth = labels.sort_values("ts").groupby("id")["label"].last()
frame["y"] = frame["id"].map(truth).fillna(0).astype(int)
frame["pred"] = (frame["decision"] != "approve").astype(int)
for keys in (["day"], ["day", "model_version"], ["day", "channel"]):
    for _, g in frame.groupby(keys):
        g.groupby(["pred", "y"])["amount"].sum()
        if g["y"].nunique() == 2:
            roc_auc_score(g["y"], g["score"]); average_precision_score(g["y"], g["score"])
            brier_score_loss(g["y"], g["score"]); log_loss(g["y"], g["score"])
cpu = time.process_time() - began
print(json.dumps({"cpu_s": cpu, "events": len(rows) + len(labels),
                  "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def one_round(folder, decisions, labels):
    """(events, server CPU s, wall s, peak RSS bytes) of one replay into a fresh server."""
    server = Farol(folder, MAPPING)
    server.start()
    try:
        cpu, began = server.cpu_seconds(), time.monotonic()
        out = subprocess.run([BINARY, "replay", "--url", server.url, "--speed", "max", "-o", "json",
                              str(decisions), str(labels)], check=True, capture_output=True, text=True).stdout
        events = json.loads(out)["accepted"]
        got = server.wait_for(lambda: int(server.total("fraud_decisions_total") + server.total("fraud_labels_total")),
                              events, 30)
        wall = time.monotonic() - began
        cpu = server.cpu_seconds() - cpu
        if got != events:
            raise SystemExit(f"{events} events acknowledged, {got} on /metrics")
        return events, cpu, wall, server.rss_peak()
    finally:
        server.stop()


def delay_to_metrics(folder, n=20):
    """Worst and median seconds from the answer of a POST until /metrics shows the event."""
    server = Farol(folder)
    server.start()
    delays = []
    try:
        for k in range(n):
            now = time.time_ns()
            minute = time.strftime("%Y%m%d%H%M", time.gmtime(now // 10**9))
            line = json.dumps({"type": "decision", "e2e_id": f"E00000000{minute}{k:011d}", "ts": now, "score": 0.5,
                               "decision": "approve", "model_version": "v1"})
            began = time.monotonic()
            assert server.request("POST", "/ingest/v1/events", line.encode())[0] == 200
            while server.total("fraud_decisions_total") < k + 1:
                time.sleep(0.005)
            delays.append(time.monotonic() - began)
    finally:
        server.stop()
    return max(delays), statistics.median(delays)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--stream", type=Path, default=ROOT.parent / "shared/corpora/model/dev")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--no-python", action="store_true")
    a = p.parse_args()
    if not a.stream.is_dir():
        print(f"SKIP {a.stream} is absent")
        return
    folder = Path(tempfile.mkdtemp(prefix="farol-bench-"))
    decode = Path(BINARY).parent / "bench_decode"
    try:
        for name in ("decisions", "labels"):
            subprocess.run(["zstd", "-dqf", str(a.stream / f"{name}.ndjson.zst"), "-o", str(folder / name)], check=True)
        (folder / "ingest.yml").write_text(INGEST)
        print(f"{(folder / 'decisions').stat().st_size / 1e6:.0f} MB of decisions; {os.cpu_count()} cores")
        for r in range(a.rounds):
            events, cpu, wall, rss = one_round(folder / f"round{r}", folder / "decisions", folder / "labels")
            print(f"round {r}: farol {events / cpu:,.0f} events/s per core ({cpu:.2f} CPU s, {wall:.2f} s wall, "
                  f"peak {rss / 2**20:.0f} MiB)")
            if decode.exists():
                print(subprocess.run([decode, folder / "decisions", folder / "ingest.yml"], check=True, capture_output=True,
                                     text=True).stdout.strip())
            if not a.no_python:
                out = json.loads(subprocess.run(["/usr/bin/python3", "-c", PYTHON, folder / "decisions",
                                                 folder / "labels"], check=True, capture_output=True, text=True).stdout)
                print(f"round {r}: python {out['events'] / out['cpu_s']:,.0f} events/s per core ({out['cpu_s']:.2f} CPU s, "
                      f"peak {out['rss_mib']:.0f} MiB); farol does {events / cpu / (out['events'] / out['cpu_s']):.1f} "
                      "times as much")
        worst, median = delay_to_metrics(folder / "delay")
        print(f"event to /metrics: median {median:.2f} s, worst {worst:.2f} s of 20 (bound: 1 s)")
    finally:
        shutil.rmtree(folder)


main()
