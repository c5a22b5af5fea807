import assert from 'node:assert/strict';
import { test } from 'node:test';
import { boxLimits, boxOf, boxText, classOf, density, edges, heat, logPlace, logTicks, parseBox } from '../src/pages/pipeline/latency';
import { lookUp, readE2e } from '../src/pages/pipeline/lost';
import { deployMarks } from '../src/pages/pipeline/marks';
import * as q from '../src/pages/pipeline/queries';

const m = (series: [string, (number | null)[]][]) => ({ t: [10, 20, 30], series: series.map(([le, v]) => ({ labels: { le }, v })) });

test('cumulative buckets become bands, in the order of their limits, empty ends left out', () => {
  const h = heat(m([['+Inf', [10, 10, null]], ['0.1', [4, 4, null]], ['0.01', [0, 0, null]], ['0.001', [0, 0, null]], ['10.0', [10, 9.999999, null]], ['1.0', [9, 4, null]]]));
  assert.deepEqual(h.buckets.map((b) => b.le), ['0.1', '1.0', '10.0', '+Inf']);
  assert.deepEqual(h.cells[0], [4, 4, null]);
  assert.deepEqual(h.cells[1], [5, 0, null]);
  assert.equal(h.below, '0.01');
  assert.deepEqual(h.total, [10, 10, null]);
  assert.equal(h.step, 10);
  const empty = heat({ t: [1, 2], series: [] });
  assert.deepEqual([empty.buckets, empty.total], [[], [null, null]]);
  assert.deepEqual(heat(m([['1', [0, 0, 0]], ['+Inf', [0, 0, 0]]])).buckets, []);
});

test('a counter that falls behind its neighbour is nothing, never negative', () => {
  const h = heat(m([['1', [5, 5, 5]], ['2', [4, 5, 7]], ['+Inf', [7, 7, 7]]]));
  assert.deepEqual(h.cells[1], [0, 0, 2]);
});

test('classes are a log scale of density, not of width', () => {
  const wide = { le: '10', lo: 0.1, hi: 10 };
  const narrow = { le: '1', lo: 0.9, hi: 1 };
  assert.ok(density(1, narrow) > density(1, wide) * 40);
  assert.equal(classOf(0, wide, 1), 0);
  assert.equal(classOf(2, wide, 1), 6);
  assert.equal(classOf(0.2, wide, 1), 4);
  assert.equal(classOf(2e-6, wide, 1), 1);
  assert.deepEqual(edges({ le: '+Inf', lo: 60, hi: Infinity }), [60, 120]);
  assert.deepEqual(edges({ le: '0.005', lo: 0, hi: 0.005 }), [0.0025, 0.005]);
  assert.equal(logPlace(1, 0.1, 10), 0.5);
  assert.deepEqual(logTicks(0.0025, 2, true), [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]);
  assert.deepEqual(logTicks(0.0025, 2, false), [0.01, 0.1, 1]);
});

test('a box is read back as it was written, and nonsense is none', () => {
  const box = { from: 1795480400, to: 1795480460, lo: 0.3, hi: Infinity };
  assert.equal(boxText(box), '2026-11-24T00:33:20Z..2026-11-24T00:34:20Z..0.3..inf');
  assert.deepEqual(parseBox(boxText(box)), box);
  assert.deepEqual(parseBox(boxText({ ...box, lo: 0, hi: 2.3 })), { ...box, lo: 0, hi: 2.3 });
  for (const no of [undefined, '', 'a..b..c..d', '2026-11-24T00:34:20Z..2026-11-24T00:33:20Z..0..1', '2026-11-24T00:33:20Z..2026-11-24T00:34:20Z..2..1', '2026-11-24T00:33:20Z..2026-11-24T00:34:20Z....1', '2026-11-24T00:33:20Z..2026-11-24T00:34:20Z..0..'])
    assert.equal(parseBox(no), null, String(no));
});

test('a dragged box covers whole cells in either direction, and knows its buckets', () => {
  const h = heat(m([['0.01', [0, 0, 0]], ['0.1', [4, 4, 4]], ['1.0', [9, 9, 9]], ['+Inf', [10, 10, 10]]]));
  const box = boxOf(h, { c: 2, b: 1 }, { c: 1, b: 0 });
  assert.deepEqual(box, { from: 10, to: 30, lo: 0.01, hi: 1 });
  assert.deepEqual(boxLimits(h, box), { lo: '0.01', hi: '1.0' });
  assert.deepEqual(boxLimits(h, { ...box, lo: 0.1, hi: Infinity }), { lo: '0.1', hi: '+Inf' });
  assert.deepEqual(boxLimits(h, { ...box, lo: 0, hi: 0.1 }), { lo: '0.01', hi: '0.1' });
  assert.equal(boxLimits(h, { ...box, lo: 0, hi: 0.0001 }), null);
});

const lost = (ids: string[], truncated = false) => ({ lost: ids.map((e2e_id) => ({ e2e_id, from: 'features', to: 'score', last_ts: '2026-11-24T00:34:20Z', age_s: 130, amount_centavos: null })), count: ids.length + (truncated ? 5 : 0), brl: 0, truncated });
const ID = 'E12345678202611231443AbCdEfGhIj1';

test('the answer for an EndToEndId says what it does not know', () => {
  assert.equal(lookUp('', undefined).kind, 'none');
  assert.equal(lookUp('E123', lost([])).kind, 'wrong');
  assert.equal(lookUp(ID, undefined).kind, 'waiting');
  assert.equal(lookUp(` ${ID} `, lost([ID])).kind, 'found');
  assert.deepEqual(lookUp(ID, lost(['E12345678202611231443AbCdEfGhIj2'], true)), { kind: 'absent', count: 6, listed: 1, whole: false });
});

test('an EndToEndId tells its institution and its minute', () => {
  assert.deepEqual(readE2e(ID), { ispb: '12345678', minute: Date.UTC(2026, 10, 23, 14, 43) / 1e3, own: 'AbCdEfGhIj1' });
  assert.equal(readE2e('E12345678202613231443AbCdEfGhIj1').minute, null);
  assert.equal(readE2e('x').ispb, '');
});

test('a deploy is a version that comes well after the first of its stage', () => {
  const v = (stage: string, version: string, at: number) => ({ labels: { stage, version }, v: at });
  const label = (s: string, x: string) => `${s} ${x}`;
  const seen = [v('score', '1', 100), v('score', '2', 200), v('decide', '1', 110), v('decide', '1b', 120)];
  assert.deepEqual(deployMarks(seen, 0, 300, label).map((x) => [x.t, x.label]), [[200, 'score 2']]);
  assert.deepEqual(deployMarks(seen, 0, 300, label, 'decide'), []);
  assert.deepEqual(deployMarks(seen, 201, 300, label), []);
});

test('names of stages are quoted in queries', () => {
  assert.equal(q.rate('a"} or up{x="'), 'sum(rate(pix_stage_entered_total{stage="a\\"} or up{x=\\""}[$w]))');
  assert.match(q.within('t1_t0', 1.5), /le=~"1\\\\\.5\(\\\\\.0\)\?"/);
  assert.equal(q.countIn(q.source('act'), '0.5', '10.0', 60, 100), 'sum(increase(pix_stage_duration_seconds_bucket{stage="act",le="10.0"}[60s] @ 100)) - sum(increase(pix_stage_duration_seconds_bucket{stage="act",le="0.5"}[60s] @ 100))');
  assert.equal(q.countIn(q.source(q.DECISION), undefined, '+Inf', 60, 100), 'sum(increase(pix_decision_latency_seconds_bucket{le="+Inf"}[60s] @ 100))');
});
