import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Quality } from '../src/lib/api';
import { bands, casesOf, daysUntil, deviations, isMature, normalQuantile, segmentViews, wilson } from '../src/pages/modelo/figures';

const near = (a: number, b: number, by = 1e-6) => assert.ok(Math.abs(a - b) < by, `${a} is not ${b}`);
const q = (tp: number, fp: number, fn: number, unverified = 0) => ({ n: 1000, tp, fp, fn, tn: 1000 - tp - fp - fn, blocked_unverified: unverified, precision: null, recall: null }) as Quality;

test('the normal law and intervals for several comparisons', () => {
  near(normalQuantile(0.975), 1.959963985);
  near(normalQuantile(0.001), -3.090232306);
  near(deviations(1), 1.959963985);
  near(deviations(10), 2.807033768);
  const v = wilson(4, 41, 1.959963985)!;
  near(v.lo, 0.03859708489808934); // the server's own answer for the same counts
  near(v.hi, 0.22547681305523387);
  assert.equal(wilson(0, 0, 2), null);
  assert.equal(wilson(5, 5, 2)!.hi, 1);
});

test('a segment differs only when the value of all is outside its corrected interval', () => {
  const all = q(800, 200, 100);
  const list = [{ id: 'a:low', q: q(50, 50, 9) }, { id: 'a:same', q: q(79, 21, 9) }, { id: 'a:none', q: q(0, 0, 0) }];
  const views = segmentViews(list, all, 'precision_judged');
  assert.deepEqual(views.map((s) => [s.id, s.differs]), [['a:low', true], ['a:same', false], ['a:none', false]]);
  assert.equal(views[2].value, null);
  // 69 of 100 is outside the plain interval of 80 %, and inside the one that holds for 30 together.
  const many = Array.from({ length: 30 }, (_, i) => ({ id: `s:${i}`, q: q(71, 29, 9) }));
  assert.equal(segmentViews(many.slice(0, 1), all, 'precision_judged')[0].differs, true);
  assert.equal(segmentViews(many, all, 'precision_judged').some((s) => s.differs), false);
});

test('payments held without a verdict are no case of judged precision', () => {
  assert.deepEqual(casesOf(q(4, 37, 0, 37), 'precision_judged'), { hits: 4, n: 4 });
  assert.deepEqual(casesOf(q(4, 37, 1), 'recall'), { hits: 4, n: 5 });
});

test('bands are differences of cumulated buckets', () => {
  const s = [['0.1', 60], ['+Inf', 100], ['0.5', 90]].map(([le, v]) => ({ labels: { le: String(le) }, v: Number(v) }));
  assert.deepEqual(bands(s).map((b) => [b.lo, b.hi, b.share]), [[0, 0.1, 0.6], [0.1, 0.5, 0.3], [0.5, Infinity, 0.1]]);
  assert.deepEqual(bands([]), []);
  assert.deepEqual(bands([{ labels: { le: '+Inf' }, v: 0 }]), []);
});

test('days and maturity', () => {
  assert.deepEqual(daysUntil(Date.parse('2026-03-01T02:00:00Z') / 1e3, 3), ['2026-02-27', '2026-02-28', '2026-03-01']);
  assert.deepEqual([null, undefined, 0.94, 0.95].map(isMature), [false, false, false, true]);
});
