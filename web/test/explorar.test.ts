import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asCli, asCurl, asGrafana, constantLabels, remember, seriesName, summary } from '../src/pages/explorar/export';
import { shares } from '../src/pages/explorar/explain';
import { drops, duration, retentionLeft } from '../src/pages/monitor/monitor';

const asked = { expr: `up{job='x'} > 0`, from: 100, to: 400, step: 5 };

test('a query as a command is quoted for the shell', () => {
  assert.equal(asCurl('http://h:1/', asked), `curl -sS 'http://h:1/api/v1/query_range' --data-urlencode 'query=up{job='\\''x'\\''} > 0' -d start=100 -d end=400 -d step=5`);
  assert.equal(asCli('http://h:1/', { ...asked, expr: 'up' }), `farol query --url 'http://h:1' --range 300s --step 5s 'up'`);
});

test('a Grafana panel has a target for each query', () => {
  const p = JSON.parse(asGrafana(['up', 'down'], 'tabela'));
  assert.equal(p.type, 'table');
  assert.deepEqual(p.targets.map((t: { refId: string; expr: string; instant: boolean }) => [t.refId, t.expr, t.instant]), [['A', 'up', true], ['B', 'down', true]]);
});

test('names of series leave out what all have', () => {
  const s = [{ labels: { __name__: 'x', a: '1', b: '2' } }, { labels: { __name__: 'x', a: '1', b: '"3"' } }];
  assert.deepEqual(constantLabels(s), ['a']);
  assert.deepEqual(constantLabels(s.slice(1)), []);
  assert.equal(seriesName(s[1].labels, ['a']), 'x{b="\\"3\\""}');
  assert.equal(seriesName({}), '{}');
});

test('holes are not counted', () => {
  assert.deepEqual(summary([null, 1, 3, null]), { last: 3, min: 1, max: 3, mean: 2 });
  assert.deepEqual(summary([null]), { last: null, min: null, max: null, mean: null });
});

test('history: newest first, each once, bounded', () => {
  assert.deepEqual(remember(['a', 'b'], ' b '), ['b', 'a']);
  assert.deepEqual(remember(['a', 'b'], 'c', 2), ['c', 'a']);
  assert.deepEqual(remember(['a'], '  '), ['a']);
});

test('shares of the work of an explained query', () => {
  const node = (self_ns?: number) => ({ self_ns }) as never;
  const totals = {} as never;
  assert.deepEqual(shares({ mode: 'run', nodes: [node(30), node(10), node()], nodes_all: 3, totals }), [0.75, 0.25, 0]);
  assert.deepEqual(shares({ mode: 'plan', nodes: [node()], nodes_all: 1, totals }), [0]);
});

test('this monitor: durations, retention, losses', () => {
  assert.equal(duration('15d'), 1296000);
  assert.equal(duration('1h30m'), 5400);
  for (const no of [undefined, '', '0s', '15', 'd', '1h x']) assert.equal(duration(no), null, String(no));
  assert.equal(retentionLeft(100, 50, 120), 30);
  assert.equal(retentionLeft(100, 0, 500), 0);
  assert.equal(retentionLeft(null, 0, 500), null);
  assert.deepEqual(drops([{ labels: { __name__: 'farol_tsdb_refused_total', reason: 'too_old' }, v: 3 }, { labels: { __name__: 'farol_x_total' }, v: 0 }]), [{ what: 'tsdb_refused', reason: 'too_old', count: 3 }]);
});
