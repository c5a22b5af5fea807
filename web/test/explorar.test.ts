import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { asCli, asCurl, asGrafana, constantLabels, remember, seriesName, summary } from '../src/pages/explorar/export';
import { askable, choose, complaintAt, contextAt, tokenize, written } from '../src/pages/explorar/promql';
import { FUNCTIONS } from '../src/pages/explorar/functions';
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

const kinds = (text: string) => tokenize(text).filter((t) => t.kind !== 'space').map((t) => `${t.kind}:${t.text}`);

test('tokens of PromQL', () => {
  assert.deepEqual(kinds('sum by (job) (rate(a:b{c=~"x\\"}"}[5m:1m])) # no'), ['function:sum', 'keyword:by', 'op:(', 'label:job', 'op:)', 'op:(', 'function:rate', 'op:(', 'name:a:b', 'op:{', 'label:c', 'op:=~', 'string:"x\\"}"', 'op:}', 'op:[', 'number:5m', 'op::', 'number:1m', 'op:]', 'op:)', 'op:)', 'comment:# no']);
  assert.deepEqual(kinds('rate + 1e-3 * 0x1F offset $w @ start()'), ['name:rate', 'op:+', 'number:1e-3', 'op:*', 'number:0x1F', 'keyword:offset', 'number:$w', 'op:@', 'keyword:start', 'op:(', 'op:)']);
  assert.deepEqual(kinds('{by="1"} AND on(x) y'), ['op:{', 'label:by', 'op:=', 'string:"1"', 'op:}', 'keyword:AND', 'keyword:on', 'op:(', 'label:x', 'op:)', 'name:y']);
});

test('tokens are the whole text, whatever it is, in linear time', () => {
  for (const text of ['', 'é<b>"', '"\\', '`a\nb', "a{b='", '))}]', '\ud800x', '"a\\\\" b', 'constructor(__proto__)', '(('.repeat(9), '1'.repeat(9) + 'e']) assert.equal(tokenize(text).map((t) => t.text).join(''), text);
  const began = performance.now();
  for (const one of ['a ', '"\\', '1', '{', ' ', 'é', '1e', "'", 'sum(']) tokenize(one.repeat(50_000));
  assert.ok(performance.now() - began < 3000);
});

test('what can stand at the cursor', () => {
  const at = (text: string) => contextAt(text.replace('|', ''), text.indexOf('|'));
  assert.deepEqual(at('sum(ra|te'), { kind: 'expr', from: 4, to: 8, word: 'ra' });
  assert.deepEqual(at('up{jo|}'), { kind: 'label', metric: 'up', matcher: true, from: 3, to: 5, word: 'jo' });
  assert.deepEqual(at('up{job="a|b"}'), { kind: 'value', metric: 'up', label: 'job', quote: '"', from: 8, to: 10, word: 'a' });
  assert.deepEqual(at('up{job="|'), { kind: 'value', metric: 'up', label: 'job', quote: '"', from: 8, to: 8, word: '' });
  assert.deepEqual(at('sum by (|) (up)'), { kind: 'label', metric: 'up', matcher: false, from: 8, to: 8, word: '' });
  for (const none of ['up[5|', 'up[|', '# a|', '"a|', 'up{a="b"|', 'up{a |']) assert.equal(at(none), undefined, none);
});

test('what a choice writes', () => {
  const at = (text: string) => contextAt(text, text.length)!;
  assert.equal(written('rate', 'function', at('ra'), ''), 'rate(');
  assert.equal(written('rate', 'function', at('ra'), '('), 'rate');
  assert.equal(written('job', 'label', at('up{j'), '}'), 'job="');
  assert.equal(written('a.b', 'label', at('sum by (a'), ')'), '"a.b"');
  assert.equal(written('x"\\', 'string', at('up{a="'), ''), 'x\\"\\\\"');
  assert.equal(written('x', 'string', at('up{a="'), '"'), 'x');
  assert.equal(written('a.b', 'name', at('a'), ''), '{"a.b"}');
  assert.deepEqual(choose([{ name: 'aup', kind: 'name' }, { name: 'up_x', kind: 'name' }, { name: 'up', kind: 'name' }, { name: 'z', kind: 'name' }], 'up').map((c) => c.name), ['up', 'up_x', 'aup']);
});

test('the complaint of the server has a place: columns are bytes', () => {
  assert.deepEqual(complaintAt('"é" + sum(', 'invalid parameter "query": 1:12: parse error: unclosed left parenthesis'), { message: 'unclosed left parenthesis', at: 10, line: 1, column: 11 });
  assert.deepEqual(complaintAt('up\n + (', 'x: 2:5: parse error: no'), { message: 'no', at: 7, line: 2, column: 5 });
  assert.deepEqual(complaintAt('up', 'other'), { message: 'other' });
  for (const blank of ['$w', '$step', '$range']) assert.equal(askable(blank).length, blank.length);
});

// The names stand in C; a function added there and forgotten here, or the other way, ends here.
test('the editor offers the functions of the engine, no more and no fewer', () => {
  const table = readFileSync('../engines/promql/fn/functions.def', 'utf8').replace(/\/\*[^]*?\*\//g, '');
  const rows = [...table.matchAll(/FN\((\w+),[^"]*"[^"]*",\s*([\w |]+),[^"]*((?:"(?:[^"\\]|\\.)*"\s*)+)\)/g)];
  const stable = rows.filter((r) => !r[2].includes('EXPERIMENTAL')).map((r) => r[1]);
  assert.ok(stable.length > 60);
  assert.deepEqual(Object.keys(FUNCTIONS).sort(), stable.sort());
});
