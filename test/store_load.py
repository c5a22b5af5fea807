"""Senders of samples whose value is a function of sender, series and request, and the judge who knows what a
server must hold of them: everything acknowledged with its value, and nothing else."""

import threading
import time

from remote_write import Door, label_block, query, raw, sample_maker, series_bytes, snappy

LATE_EVERY, LATE_SERIES, LATE_BY = 5, 7, 30  # each fifth request, each seventh series, 30 requests back
P = 1_000_003


class Writer(threading.Thread):
    """Sends request after request; one is sent again until it is acknowledged, as Prometheus does."""

    def __init__(self, server, number, series, base_ms):
        super().__init__(daemon=True)
        self.server, self.number, self.base_ms = server, number, base_ms
        self.blocks = [label_block("kill_sample", writer=str(number), series=str(i), job="kill") for i in range(series)]
        self.acked = 0
        self.up, self.idle, self.done = threading.Event(), threading.Event(), threading.Event()
        self.refused = None

    def time_ms(self, k):
        """Gaps of 100 to 300 ms, so that a late sample 50 ms after a time is at no other's."""
        return self.base_ms + k * 200 + k * 37 % 101

    def value(self, i, k):
        return (self.number * 7919 + i * 104729 + k * 15485863) % P

    def late(self, i, k):
        """(t_ms, value) of the sample of request k that comes late, or None."""
        if k % LATE_EVERY == LATE_EVERY - 1 and k >= LATE_BY and i % LATE_SERIES == 0:
            return self.time_ms(k - LATE_BY) + 50, self.value(i, k) + P
        return None

    def samples(self, i, first, end):
        """Samples of series i in requests first..end-1, by time."""
        out = [(self.time_ms(k), self.value(i, k)) for k in range(first, end)]
        out += [s for s in (self.late(i, k) for k in range(first, end)) if s]
        return sorted(out)

    def body(self, k):
        make = sample_maker(self.time_ms(k))
        parts = [series_bytes(b, make(self.value(i, k))) for i, b in enumerate(self.blocks)]
        for i in range(0, len(self.blocks), LATE_SERIES):
            late = self.late(i, k)
            if late:
                parts.append(series_bytes(self.blocks[i], sample_maker(late[0])(late[1])))
        return snappy(b"".join(parts))

    def run(self):
        door = Door(self.server)
        while not self.done.is_set():
            body = self.body(self.acked)
            while True:
                if not self.up.is_set():
                    self.idle.set()
                    self.up.wait()
                    self.idle.clear()
                if self.done.is_set():
                    return
                try:
                    status, answer = door.post(body)
                except OSError:
                    time.sleep(0.01)
                    continue
                if status in (200, 204):
                    break
                if status != 503:
                    self.refused = (status, answer[:300])
                    self.idle.set()
                    return
                time.sleep(0.02)
            self.acked += 1


class Judge:
    """What the server must hold, kept up to date per series, and the comparison."""

    def __init__(self, server, writer, results):
        self.server, self.w, self.results = server, writer, results
        self.counted = 0
        n = len(writer.blocks)
        self.count, self.sum = [0] * n, [0] * n
        self.checked = 0  # requests whose samples were compared one by one

    def add(self, end):
        for k in range(self.counted, end):
            for i in range(len(self.count)):
                self.count[i] += 1
                self.sum[i] += self.w.value(i, k)
                late = self.w.late(i, k)
                if late:
                    self.count[i] += 1
                    self.sum[i] += late[1]
        self.counted = end

    def wanted(self, extra):
        if not extra:
            return list(zip(self.count, self.sum))
        out = []
        for i, (c, s) in enumerate(zip(self.count, self.sum)):
            late = self.w.late(i, self.counted)
            out.append((c + 1 + bool(late), s + self.w.value(i, self.counted) + (late[1] if late else 0)))
        return out

    def overall(self, what):
        """Counts and sums of all series. Returns how many requests the server holds, or None."""
        self.add(self.w.acked)
        at = self.w.time_ms(self.w.acked + 10)
        selector = f'kill_sample{{writer="{self.w.number}"}}[{at - self.w.base_ms + 1000}ms]'
        got = [{}, {}]
        for x, function in zip(got, ("count_over_time", "sum_over_time")):
            for s in query(self.server, f"{function}({selector})", at):
                x[int(s["metric"]["series"])] = float(s["value"][1])
        have = [(got[0].get(i, 0), got[1].get(i, 0)) for i in range(len(self.count))]
        surplus = set(got[0]) - set(range(len(self.count)))
        for extra in (0, 1):
            if have == self.wanted(extra) and not surplus:
                self.results.check(what, True)
                return self.w.acked + extra
        wrong = [(i, h, x) for i, (h, x) in enumerate(zip(have, self.wanted(0))) if h != x]
        self.results.check(what, False, f"acknowledged {self.w.acked} requests; {len(wrong)} series differ, first "
                                        f"(series, (count, sum) found, wanted) {wrong[:1]}; surplus {sorted(surplus)[:3]}")
        return None

    def each(self, what, first, end, step=400):
        """Compares every sample of the requests first..end-1."""
        bad = None
        for at in range(first, end, step):
            upto = min(at + step, end)
            low, high = self.w.time_ms(at) - 1, self.w.time_ms(upto) - 1
            got = raw(self.server, f'kill_sample{{writer="{self.w.number}"}}', low, high, "series")
            for i in range(len(self.count)):
                # Late samples of later requests lie here too: those that the server holds.
                want = [(self.w.time_ms(k), self.w.value(i, k)) for k in range(at, upto)]
                want += [s for s in (self.w.late(i, k) for k in range(at, min(upto + LATE_BY, end)))
                         if s and low < s[0] <= high]
                if got.get(str(i), []) != sorted(want):
                    bad = bad or (i, at, upto, [x for x in got.get(str(i), []) if x not in want][:3],
                                  [x for x in want if x not in got.get(str(i), [])][:3])
        self.results.check(what, bad is None, f"series, requests from, to, surplus, missing: {bad}")
