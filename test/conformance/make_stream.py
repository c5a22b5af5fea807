#!/usr/bin/env python3
"""A labelled stream that is hard to get right, with exact answers: make_stream.py SEED DIR [SCALE].

Writes DIR in the form that test/conformance/model reads (decisions.ndjson, labels.ndjson, truth.json,
expected.json, mapping.yml). The answers are scikit-learn's and numpy's on the whole day, by the conventions of
test/conformance/README.md. SCALE (default 1) multiplies the sizes of the large days; 0.03 makes a stream of seconds.

What is hard in it: scores shifted and scaled in logit, rounded to two or three decimals, exactly 0 and 1, with two
modes, missing where the model timed out; days of 7, 20 and 100,000 decisions, with 0, 1 and 2 frauds; three model
versions side by side; labels up to 87 days late, reversed twice, out of order, repeated, before their decision (in the
file and by the clock); amounts of 0.01, 0.29, 1.15 and 10000000.99, and none; decisions out of order across midnight.

Needs Debian's python3-sklearn (run with /usr/bin/python3); prints SKIP without it. The same seed gives the same files.
"""
import datetime
import json
import os
import sys

try:
    import numpy as np
    from sklearn import metrics
except ImportError as missing:
    print("SKIP make_stream.py: %s" % missing)
    sys.exit(0)

DAY0 = datetime.datetime(2026, 3, 2, tzinfo=datetime.timezone.utc)
DAY_MS = 86_400_000
AGES = (0, 1, 3, 7, 14, 28, 80)
Z95 = 1.959963984540054
NAMES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Decisions and frauds (an integer: so many; below 1: a share); SCALE touches those of 3,000 and more.
DAYS = ((20, 2), (100_000, 0.004), (3000, 0), (9000, 1), (7, 1), (17_000, 2), (16_384, 0.01), (16_385, 0.01),
        (30_000, 0.03), (100, 0), (100_000, 2), (4000, 0.2))
ODD_AMOUNTS = (1, 29, 115, 1_000_000_099, 0, 7, 58, 201)
WORDS = ({"approve": "approve", "hold": "review", "deny": "block"}, {"approve": "ALLOW", "hold": "MANUAL", "deny": "REFUSE"})


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def scores_as_text(rng, profile, z):
    """Scores as they stand in the file; None where there is none is the caller's."""
    s = sigmoid(z)
    if profile == "rounded3":
        return ["%.3f" % x for x in sigmoid(0.3 * z + 1.2)]
    if profile == "rounded2":
        return ["%.2f" % x for x in sigmoid(0.6 * z - 0.2)]
    if profile == "shifted":
        return ["%.5f" % x for x in sigmoid(0.3 * z + 1.2)]
    if profile == "saturated":
        hot = sigmoid(2.5 * z + 4)
        return ["0.0" if x < 0.02 else "1.0" if x > 0.9 else "%.6f" % x for x in hot]
    if profile == "bimodal":
        mode = np.where(rng.random(len(z)) < sigmoid(z + 1.5), 2.5, -3.0)
        return ["%.5f" % x for x in sigmoid(mode + 0.4 * rng.standard_normal(len(z)) + 0.1 * z)]
    if profile == "full":
        return [repr(float(x)) for x in s]
    return ["%.5f" % x for x in s]


PROFILES = ("rounded3", "rounded2", "shifted", "saturated", "bimodal", "full", "plain")


def iso(ms):
    t = DAY0 + datetime.timedelta(milliseconds=int(ms))
    return t.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (t.microsecond // 1000)


def make_id(rng, ms):
    t = DAY0 + datetime.timedelta(milliseconds=int(ms))
    tail = "".join(NAMES[i] for i in rng.integers(0, 62, 11))
    return "E%08d%s%s" % (rng.integers(10_000_000, 99_999_999), t.strftime("%Y%m%d%H%M"), tail)


class Decision:
    __slots__ = ("id", "ms", "day", "score", "text", "verdict", "amount", "version", "channel", "uf", "fraud", "labels")


def make_day(rng, day, count, frauds, profile):
    ms = day * DAY_MS + np.sort(rng.integers(0, DAY_MS, count))
    if count >= 20:
        ms[:3] = day * DAY_MS + np.array((0, 1, 2))
        ms[-3:] = (day + 1) * DAY_MS - np.array((3, 2, 1))
    number = int(frauds * count) if 0 < frauds < 1 else int(frauds)
    is_fraud = np.zeros(count, bool)
    is_fraud[rng.choice(count, min(number, count), replace=False)] = True
    z = np.where(is_fraud, rng.normal(1.5, 1.6, count), rng.normal(-4, 1.6, count))
    texts = scores_as_text(rng, profile, z)
    cut = float(np.quantile([float(t) for t in texts], 0.97)) if count >= 100 else 0.5
    cut = min(cut, 0.999)
    out = []
    for i in range(count):
        d = Decision()
        # The id was made up to ten minutes before the decision: near midnight, on the day before.
        d.ms, d.day, d.fraud, d.labels = int(ms[i]), day, bool(is_fraud[i]), []
        d.id = make_id(rng, d.ms - int(rng.integers(0, 600_000)))
        d.text = None if rng.random() < 0.01 else texts[i]
        d.score = float("nan") if d.text is None else float(d.text)
        if d.text is None:
            d.verdict = "hold" if rng.random() < 0.1 else "approve"
        else:
            d.verdict = "approve" if d.score <= cut else "hold" if rng.random() < 0.6 else "deny"
        kind = rng.random()
        d.amount = None if kind < 0.02 else ODD_AMOUNTS[rng.integers(len(ODD_AMOUNTS))] if kind < 0.06 else int(
            np.exp(rng.normal(8.5, 1.5)))
        d.version = ("v1", "v2", "v3")[int(np.searchsorted((0.6, 0.9), rng.random()))]
        d.channel = ("app", "web", "api")[rng.integers(3)]
        d.uf = ("SP", "MG", "BA")[rng.integers(3)]
        out.append(d)
    return out


def make_labels(rng, d):
    """[(ms, 0|1)], times distinct."""
    kind = rng.random()
    if d.fraud:
        delay = min(int(rng.exponential(9) * DAY_MS), 80 * DAY_MS)
        if kind < 0.05:
            delay = 80 * DAY_MS + int(rng.integers(0, 6 * DAY_MS))
        elif kind < 0.10:
            delay = -int(rng.integers(1, 3_600_000))  # a clock that runs behind
        elif kind < 0.20:  # at the edge of an age
            delay = (d.day + 1 + int(rng.choice(AGES))) * DAY_MS - d.ms + int(rng.choice((-1, 1)))
        first = d.ms + delay
        d.labels.append((first, 1))
        if 0.20 <= kind < 0.30:  # reversed, and reversed again
            d.labels += [(first + 3_600_000, 0), (first + 3 * DAY_MS, 1)]
        elif 0.30 <= kind < 0.34:  # rejected in the end
            d.labels.append((first + 5 * DAY_MS, 0))
    elif kind < (0.4 if d.verdict != "approve" else 0.003):
        d.labels.append((d.ms + int(rng.exponential(2) * DAY_MS), 0))
        if kind < 0.0005:
            d.labels.append((d.labels[0][0] + 7 * DAY_MS, 1))


def decision_line(d, words):
    text = '{"type":"decision","id":"%s","ts":"%s","model":"pixfraud","model_version":"%s"' % (d.id, iso(d.ms), d.version)
    text += ',"score":%s' % d.text if d.text is not None else ',"score":null,"fallback":"timeout"'
    amount = "null" if d.amount is None else "%d.%02d" % divmod(d.amount, 100)
    return text + ',"decision":"%s","features":{"amount":%s,"payer_n_1d":%s,"channel":"%s","uf":"%s"}}' % (
        words[d.verdict], amount, "null" if d.ms % 7 == 0 else d.ms % 50, d.channel, d.uf)


def label_line(id_, ms, value):
    return '{"type":"label","id":"%s","ts":"%s","label":%d,"source":"%s"}' % (
        id_, iso(ms), value, "analyst" if ms % 2 else "med" if value else "med_rejected")


def write_streams(rng, decisions, words, folder):
    lines, labels = [], []
    for d in decisions:
        # Up to 20 minutes out of order, so that days mix at midnight.
        at = d.ms + rng.integers(0, 1_200_000)
        lines.append((at, decision_line(d, words)))
        if rng.random() < 0.003:
            lines.append((at + rng.integers(0, 4_000_000), lines[-1][1]))  # sent twice
        for ms, value in d.labels:
            line = label_line(d.id, ms, value)
            if rng.random() < 0.05:
                lines.append((at - rng.integers(1, 600_000), line))  # arrives before its decision
            else:
                labels.append(line)
            if rng.random() < 0.05:
                labels.append(line)
    lines.sort(key=lambda x: x[0])
    order = rng.permutation(len(labels))
    with open(os.path.join(folder, "decisions.ndjson"), "w", encoding="utf-8") as f:
        f.writelines(text + "\n" for _, text in lines)
    with open(os.path.join(folder, "labels.ndjson"), "w", encoding="utf-8") as f:
        f.writelines(labels[i] + "\n" for i in order)


# ---- the answers ----

def truth_at(d, horizon_ms):
    known = [x for x in d.labels if x[0] <= horizon_ms]
    return max(known)[1] if known else 0


def rounded(x):
    return None if x is None or not np.isfinite(x) else round(float(x), 10)


def wilson(hits, n):
    if n == 0:
        return [None, None]
    p, z2 = hits / n, Z95 * Z95
    mid = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return [rounded(mid - half), rounded(mid + half)]


def counts_of(decisions, y):
    pred = np.array([d.verdict != "approve" for d in decisions], bool)
    y = y.astype(bool)
    tp, fp = int((pred & y).sum()), int((pred & ~y).sum())
    fn, tn = int((~pred & y).sum()), int((~pred & ~y).sum())
    cents = np.array([d.amount or 0 for d in decisions], object)
    q = {"n": len(decisions), "tp": tp, "fp": fp, "fn": fn, "tn": tn,
         "precision": rounded(tp / (tp + fp)) if tp + fp else None, "recall": rounded(tp / (tp + fn)) if tp + fn else None,
         "precision_wilson95": wilson(tp, tp + fp), "recall_wilson95": wilson(tp, tp + fn)}
    for name, chosen in (("caught", pred & y), ("missed", ~pred & y)):
        q["amount_fraud_" + name] = sum(cents[chosen], 0) / 100
    q["amount_false_alarm"] = sum(cents[pred & ~y], 0) / 100
    return q, pred


def ece(bins, s, y):
    return sum(abs((s[b] - y[b]).sum()) for b in bins) / len(s)


def mass_bins(order):
    return np.array_split(order, 10)


def mass10_any_order(rng, s, y):
    """Smallest and largest error over orders of equal scores: which one is meant is not defined."""
    found = [ece(mass_bins(np.lexsort((k, s))), s, y) for k in
             [y, -y] + [rng.random(len(s)) for _ in range(30 if len(s) > 1000 else 300)]]
    return [rounded(min(found)), rounded(max(found))]


def quality(rng, decisions):
    y = np.array([truth_at(d, np.inf) for d in decisions], float)
    q, pred = counts_of(decisions, y)
    beta = lambda b: rounded(metrics.fbeta_score(y, pred, beta=b, zero_division=0)) if (y + pred).any() else None
    q.update(f1=beta(1), f2=beta(2), f05=beta(0.5))
    margins = (pred.any(), (~pred).any(), y.any(), (y == 0).any())
    q["mcc"] = rounded(metrics.matthews_corrcoef(y, pred)) if all(margins) else None
    q["specificity"] = rounded(q["tn"] / (q["tn"] + q["fp"])) if q["tn"] + q["fp"] else None
    q["balanced_accuracy"] = rounded((q["recall"] + q["specificity"]) / 2) if y.any() and (y == 0).any() else None
    scored = np.array([d.text is not None for d in decisions], bool)
    s, y = np.array([d.score for d in decisions])[scored], y[scored]
    q["n_scored"] = int(scored.sum())
    both = y.any() and (y == 0).any()
    q["roc_auc"] = rounded(metrics.roc_auc_score(y, s)) if both else None
    q["average_precision"] = rounded(metrics.average_precision_score(y, s)) if both else None
    q["brier"] = rounded(metrics.brier_score_loss(y, s)) if len(s) else None
    q["log_loss"] = float(metrics.log_loss(y, s, labels=[0, 1])) if len(s) else None
    tenth = np.minimum((s * 10).astype(int), 9)
    q["ece_width10"] = rounded(ece([tenth == k for k in range(10)], s, y)) if len(s) else None
    q["ece_mass10"] = rounded(ece(mass_bins(np.argsort(s, kind="stable")), s, y)) if len(s) else None
    if len(s):
        q["ece_mass10_any_order"] = mass10_any_order(rng, s, y)
    return q


def answers(rng, days):
    out = []
    for day, decisions in enumerate(days):
        asof = {}
        for age in AGES:
            y = np.array([truth_at(d, (day + 1 + age) * DAY_MS) for d in decisions], float)
            q, _ = counts_of(decisions, y)
            asof[str(age)] = {k: q[k] for k in ("tp", "fn", "recall", "precision")}
        segments = {}
        y = np.array([truth_at(d, np.inf) for d in decisions], float)
        for name, of in (("channel", lambda d: d.channel), ("uf", lambda d: d.uf), ("model_version", lambda d: d.version)):
            for value in sorted({of(d) for d in decisions}):
                chosen = [i for i, d in enumerate(decisions) if of(d) == value]
                segments["%s=%s" % (name, value)] = counts_of([decisions[i] for i in chosen], y[chosen])[0]
        date = (DAY0 + datetime.timedelta(days=day)).strftime("%Y-%m-%d")
        out.append({"day": day, "date": date, "quality": quality(rng, decisions), "asof": asof, "segments": segments})
    return out


MAPPING = """\
# Written by test/conformance/make_stream.py, for this folder.
ingest:
  mapping:
    type: {field: type, values: {decision: decision, label: label}}
    decision:
      id: id
      ts: ts
      model: model
      model_version: model_version
      score: score
      fallback: fallback
      decision: {field: decision, values: {%s}}
      amount: {field: features.amount, unit: reais}
      features: features
    label:
      id: id
      ts: ts
      label: {field: label, values: {"1": fraud, "0": legit}}
      source: {field: source, values: {analyst: analyst, med: med_infraction, med_rejected: med_infraction}}
model:
  segments: [channel, uf]
"""


def main():
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__.split("\n")[0])
    seed, folder, scale = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) == 4 else 1.0
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(seed)
    days = []
    for day, at in enumerate(rng.permutation(len(DAYS))):
        count, frauds = DAYS[at]
        count = max(30, int(count * scale)) if count >= 3000 else count
        days.append(make_day(rng, day, count, frauds, PROFILES[(day + seed) % len(PROFILES)]))
    decisions = [d for day in days for d in day]
    for d in decisions:
        make_labels(rng, d)
    words = WORDS[seed % 2]
    write_streams(rng, decisions, words, folder)
    last = len(days) - 1
    dates = [(DAY0 + datetime.timedelta(days=k)).strftime("%Y-%m-%d") for k in (0, last)]
    expected = {"stream": "synthetic-%d" % seed, "days": answers(rng, days),
                "reference": {"n": len(decisions), "quality": quality(rng, decisions)}}
    with open(os.path.join(folder, "mapping.yml"), "w", encoding="utf-8") as f:
        f.write(MAPPING % ", ".join("%s: %s" % (word, verdict) for verdict, word in words.items()))
    with open(os.path.join(folder, "truth.json"), "w", encoding="utf-8") as f:
        json.dump({"stream": expected["stream"], "seed": seed, "events": len(decisions), "reference": dates,
                   "monitored": dates, "frauds": sum(d.fraud for d in decisions)}, f, indent=1)
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(expected, f)


if __name__ == "__main__":
    main()
