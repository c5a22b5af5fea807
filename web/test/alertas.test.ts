import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Alert } from '../src/lib/api';
import { calendar, calendarCells, cellClass, episodes, lanes, lasted, pack, spans, unpack } from '../src/pages/alertas/history';
import { judge } from '../src/pages/alertas/judge';
import { conditions, depth, duration, holds, write, type Node } from '../src/pages/alertas/promql';
import { firedShare, isLink, keepAlert, ownLabels, plainTemplate, riskOf, ruleStrip, sections, summaryOf, unitOf } from '../src/pages/alertas/rules';

const num = (val: string): Node => ({ type: 'numberLiteral', val });
const sel = (name: string, more: object = {}): Node => ({ type: 'vectorSelector', name, matchers: [{ name: '__name__', type: '=', value: name }], offset: 0, offsetExpr: null, startOrEnd: null, timestamp: null, anchored: false, smoothed: false, ...more }) as Node;
const bin = (lhs: Node, op: string, rhs: Node, matching: object | null = null, bool = false): Node => ({ type: 'binaryExpr', lhs, op, rhs, matching, bool }) as Node;
const on = (labels: string[], card = 'one-to-one', include: string[] = []) => ({ on: true, labels, card, include, fillValues: { lhs: null, rhs: null } });
const paren = (expr: Node): Node => ({ type: 'parenExpr', expr });
const agg = (op: string, expr: Node, grouping: string[] = [], more: object = {}): Node => ({ type: 'aggregation', op, expr, grouping, param: null, without: false, ...more }) as Node;
const call = (name: string, args: Node[], returnType = 'vector'): Node => ({ type: 'call', func: { name, returnType }, args });

test('a tree is written back as PromQL', () => {
  const range = sel('x', { type: 'matrixSelector', range: 300000, rangeExpr: null, offset: 900000, matchers: [{ name: '__name__', type: '=', value: 'x' }, { name: 'a', type: '=~', value: 'b|"c"' }] });
  assert.equal(write(agg('sum', call('rate', [range]), ['a', 'b.c'])), 'sum by (a, "b.c") (rate(x{a=~"b|\\"c\\""}[5m] offset 15m))');
  assert.equal(write(agg('topk', sel('pix:y'), [], { param: num('3') })), 'topk(3, pix:y)');
  assert.equal(write(agg('max', sel('y'), [], { without: true })), 'max without () (y)');
  assert.equal(write(bin(sel('a'), '/', sel('b'), on(['s'], 'many-to-one', ['t']))), 'a / on (s) group_left (t) b');
  assert.equal(write(bin(sel('a'), '>', num('1'), null, true)), 'a > bool 1');
  assert.equal(write(sel('', { matchers: [{ name: '__name__', type: '=~', value: 'a|b' }], timestamp: 1500 })), '{__name__=~"a|b"} @ 1.5');
  assert.equal(write({ type: 'subquery', expr: sel('a'), range: 900000, rangeExpr: null, step: 300000, stepExpr: null, offset: -60000, offsetExpr: null, startOrEnd: 'end', timestamp: null } as Node), 'a[15m:5m] @ end() offset -1m');
  assert.equal(write({ type: 'unaryExpr', op: '-', expr: paren(sel('a')) }), '-(a)');
  assert.throws(() => write(sel('a', { offsetExpr: { type: 'durationExpr' } })));
  assert.equal(duration(5400000), '1h30m');
  assert.equal(duration(1500), '1s500ms');
});

test('conditions: the leading comparison, its companions, and both sides as queries', () => {
  const root = bin(bin(bin(paren(bin(sel('a'), '/', sel('b'))), '>', num('0.05')), 'and', bin(sel('c'), '>=', sel('d'), on([])), on([])), 'unless', bin(num('3'), '<', sel('e')));
  const list = conditions(root);
  assert.deepEqual(list.map((x) => [x.join, x.op, x.left, x.right, x.limit]), [['if', '>', '(a / b)', '0.05', 0.05], ['and', '>=', 'c', 'd', null], ['unless', '>', 'e', '3', 3]]);
  assert.equal(list[0].value, '(a / b)');
  assert.equal(list[1].value, '(c) + on () (0 * (d))');
  assert.equal(list[1].threshold, '(0 * (c)) + on () (d)');
  assert.deepEqual(conditions(sel('a')), []);
  assert.deepEqual(conditions(bin(sel('a'), '>', num('1'), null, true)), []);
  assert.equal(conditions(bin(sel('a'), '<', { type: 'unaryExpr', op: '-', expr: num('2') }))[0].limit, -2);
  assert.equal(conditions(bin(sel('a'), '<', num('+Inf')))[0].limit, Infinity);
  assert.equal(conditions(bin(sel('a'), '>', call('time', [], 'scalar')))[0].threshold, '(0 * (a)) + (time())');
});

test('the worst series is told, by the direction of the comparison', () => {
  const cond = { join: 'if' as const, left: 'a', right: '5', value: 'a', threshold: '', limit: 5 };
  const s = (v: number, x: string) => ({ labels: { x }, v });
  assert.deepEqual(judge({ ...cond, op: '>' }, [s(1, 'p'), s(9, 'q'), s(NaN, 'r')], []).readings.map((r) => [r.labels.x, r.met]), [['q', true], ['p', false]]);
  assert.deepEqual(judge({ ...cond, op: '<' }, [s(9, 'q'), s(1, 'p')], []).readings.map((r) => r.labels.x), ['p', 'q']);
  const two = judge({ ...cond, op: '>', limit: null }, [s(1, 'p'), s(2, 'q')], [s(3, 'p')]);
  assert.deepEqual(two.readings.map((r) => [r.value, r.limit]), [[1, 3]]);
  assert.equal(judge({ ...cond, op: '>' }, null, []).failed, true);
  assert.deepEqual((['>', '>=', '<', '<=', '==', '!='] as const).map((op) => holds(op, 5, 5)), [false, true, false, true, true, false]);
  assert.ok(depth('==', 5, 5) > depth('==', 6, 5));
});

const alert = (name: string, severity: string, state: Alert['state'], more: Record<string, string> = {}, at = '2026-11-24T00:00:00Z'): Alert => ({ labels: { alertname: name, severity, pillar: 'model', ...more }, annotations: { summary: `${name} happens` }, state, activeAt: at, value: '1' });

test('alerts by pillar and rule: firing first, S1 first, one row a rule', () => {
  const list = [alert('B', 'S2', 'firing'), alert('A', 'S1', 'pending'), alert('C', 'S1', 'firing', { feature: 'x' }), alert('C', 'S1', 'firing', { feature: 'y' }, '2026-11-23T00:00:00Z'), alert('D', 'S3', 'pending', { pillar: 'pipeline' })];
  const s = sections(list);
  assert.deepEqual(s.map((x) => [x.pillar, x.firing, x.pending, x.level]), [['model', 3, 1, 'crit'], ['pipeline', 0, 1, 'ok']]);
  assert.deepEqual(s[0].rows.map((r) => [r.name, r.alerts.length]), [['C', 2], ['B', 1], ['A', 1]]);
  assert.equal(s[0].rows[0].since, '2026-11-23T00:00:00Z');
  assert.deepEqual(sections([]), []);
  assert.deepEqual(ownLabels(list[2].labels), [['feature', 'x']]);
  assert.deepEqual(list.filter((a) => keepAlert(a, { text: 'FEATURE' })).length, 0);
  assert.deepEqual(list.filter((a) => keepAlert(a, { pillar: 'model', severity: 'S1', text: 'c ' })).length, 2);
});

test('the words of a rule that no alert has filled in', () => {
  assert.equal(plainTemplate('{{ $value | humanizePercentage }} of the decisions at {{ $labels.stage }}'), '… of the decisions at ‹stage›');
  assert.equal(plainTemplate('{{ if eq $labels.segment "x" }}a{{ else }}b{{ end }} c'), 'ab c');
  assert.equal(summaryOf({ summary: 'en', summary_pt: 'pt' }, 'N', 'pt'), 'pt');
  assert.equal(summaryOf({ summary: 'en' }, 'N', 'pt'), 'en');
  assert.equal(summaryOf(undefined, 'N', 'en'), 'N');
  assert.deepEqual(['{{ $value | humanizePercentage }} x', '{{ $value | humanizeDuration }}', 'R$ {{ $value | printf "%.2f" }}', '{{ $value }} eggs'].map((summary) => unitOf({ summary })), ['share', 'seconds', 'brl', 'number']);
  assert.deepEqual(riskOf('R$ 5384194 decided per minute'), { brl: true, n: 5384194, what: 'decided per minute', per: null });
  assert.deepEqual(riskOf('R$ 36544.39 in 10 minutes'), { brl: true, n: 36544.39, what: '', per: { n: 10, unit: 'minutes' } });
  assert.deepEqual(riskOf('12 measured transactions in 6 hours'), { brl: false, n: 12, what: 'measured transactions', per: { n: 6, unit: 'hours' } });
  assert.equal(riskOf('much'), null);
  assert.ok(isLink('https://x/y') && !isLink('model/x.md') && !isLink('javascript:alert(1)') && !isLink(undefined));
});

const T = [15, 30, 45, 60];
const series = (labels: Record<string, string>, v: (number | null)[]) => ({ labels, v });

test('a strip is no data where the group was not evaluated', () => {
  const states = { t: T, series: [series({ alertname: 'A', alertstate: 'pending' }, [null, 1, 1, null]), series({ alertname: 'A', alertstate: 'firing' }, [null, null, 1, 2])] };
  const present = { t: T, series: [series({ group: 'g' }, [null, 1, 1, 1])] };
  const s = ruleStrip(states, present, { name: 'A', group: 'g', severity: 'S1' });
  assert.deepEqual(s.cells, ['none', 'ok', 'crit', 'crit']);
  assert.deepEqual(s.soft, [false, true, false, false]);
  assert.equal(firedShare(s), 2 / 3);
  assert.deepEqual(ruleStrip(states, present, { name: 'B', group: 'other', severity: 'S2' }).cells, ['none', 'none', 'none', 'none']);
});

test('episodes: waited, fired, ended, and what is still open', () => {
  const m = { t: T, series: [series({ alertname: 'A', severity: 'S1', alertstate: 'pending' }, [1, null, null, 1]), series({ alertname: 'A', severity: 'S1', alertstate: 'firing' }, [null, 1, null, null]), series({ alertname: 'B', alertstate: 'firing', x: '1' }, [null, null, 1, 1])] };
  const list = episodes(m);
  assert.deepEqual(list.map((e) => [e.name, e.from, e.fired, e.to, e.open]), [['A', 45, null, null, true], ['B', 30, 30, null, true], ['A', 0, 15, 30, false]]);
  assert.equal(lasted(list[1], 60), 30);
  assert.equal(lasted(list[2], 60), 15);
  assert.deepEqual(spans(list, 60), [{ from: 15, to: 60 }]);
  const l = lanes(m, 2);
  assert.deepEqual(l.rows.map((r) => [r.name, r.v]), [['A', [3, 1]], ['B', [0, 2]]]);
  assert.equal(l.t.length, 2);
  assert.deepEqual(lanes(m, 4, [null, 1, null, null]).rows.map((r) => r.v), [[1, 3, null, 1], [null, 0, 2, 2]]);
  assert.deepEqual(lanes({ t: [], series: [] }, 5), { t: [], rows: [] });
});

test('a calendar of whole rows in the zone of the reader', () => {
  const SP = -3 * 3600;
  const noon = Date.UTC(2026, 10, 24, 12) / 1e3;
  assert.deepEqual(calendar(noon - 900, noon, SP), { from: noon - 1200, rows: 2, columns: 10, cell: 60 });
  assert.deepEqual(calendar(noon - 6 * 3600, noon, SP), { from: noon - 6 * 3600, rows: 6, columns: 12, cell: 300 });
  const month = calendar(noon - 7 * 86400, noon, SP);
  assert.deepEqual([month.from, month.rows, month.columns, month.cell], [Date.UTC(2026, 10, 17, 3) / 1e3, 8, 24, 3600]);
  const cal = { from: 0, rows: 2, columns: 2, cell: 60 };
  const t = [60, 120, 180, 240];
  const cells = calendarCells(cal, { t, series: [series({ alertstate: 'firing', severity: 'S1' }, [null, 1, null, null]), series({ alertstate: 'firing', severity: 'S2' }, [null, 2, null, null]), series({ alertstate: 'pending', severity: 'S1' }, [4, null, null, null])] }, { t, series: [series({}, [9, 9, 9, null])] });
  assert.deepEqual(cells, [[pack(0, 0, 4), pack(1, 2, 0)], [0, null]]);
  assert.deepEqual(unpack(pack(1, 2, 3)), { s1: 1, other: 2, pending: 3 });
  assert.deepEqual([0, pack(0, 0, 1), pack(0, 0, 9), pack(0, 1, 9), pack(0, 9, 0), pack(1, 0, 0), pack(9, 9, 9)].map(cellClass), [0, 1, 2, 3, 4, 5, 6]);
});
