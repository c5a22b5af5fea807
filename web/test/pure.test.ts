import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHash, isE2e, kept, merge, parseHash } from '../src/lib/hash';
import { pressName, Sequence } from '../src/lib/keys';
import { gridTimes, lastKnown, onGrid, pick, valueOf } from '../src/lib/series';
import { strip } from '../src/lib/strip';
import { rank, score } from '../src/shell/match';

test('an address is read back as it was written', () => {
  const params = { de: 'now-6h', seg: 'form:DICT', q: 'sum(rate(x{a="b&c"}[5m])) / 2 # ? %' };
  assert.deepEqual(parseHash(formatHash('modelo', params)), { page: 'modelo', params });
  assert.equal(formatHash('modelo', { de: 'now-6h', seg: 'form:DICT' }), '#/modelo?de=now-6h&seg=form:DICT');
  assert.deepEqual(parseHash(''), { page: '', params: {} });
  assert.deepEqual(parseHash('#/100%'), { page: '100%', params: {} });
  assert.deepEqual(merge({ a: '1', b: '2' }, { a: null, b: '3', c: '' }), { b: '3' });
  assert.deepEqual(kept({ de: 'now-1h', e2e: 'x', lang: 'en' }), { de: 'now-1h', lang: 'en' });
});

test('EndToEndId', () => {
  assert.ok(isE2e(' E12345678202611231443AbCdEfGhIj1 '));
  for (const no of ['', 'E1234', 'D12345678202611231443AbCdEfGhIj1', 'E12345678202611231443AbCdEfGhIj12', 'E12345678202611231443AbCdEfGhIj_']) assert.ok(!isE2e(no), no);
});

test('series lie on one grid and holes stay holes', () => {
  const grid = { from: 100, to: 130, step: 10 };
  const m = onGrid([{ metric: { a: 'x' }, values: [[100, '1'], [120, 'NaN'], [130, '+Inf'], [999, '7']] }, { metric: { a: 'y' } }], grid);
  assert.deepEqual(m.t, [100, 110, 120, 130]);
  assert.deepEqual(pick(m, 'a', 'x'), [1, null, null, null]);
  assert.deepEqual(pick(m, 'a', 'z'), [null, null, null, null]);
  assert.equal(lastKnown([1, 2, null]), 2);
  assert.equal(lastKnown([null]), null);
  assert.equal(gridTimes({ from: 0, to: 900, step: 12.5 }).length, 73);
  assert.equal(valueOf([{ labels: { b: 'lo' }, v: 1 }, { labels: { b: 'hi' }, v: NaN }], { b: 'lo' }), 1);
  assert.equal(valueOf([{ labels: {}, v: NaN }]), null);
  assert.equal(valueOf(undefined), null);
});

test('a cell without data is no data, and the worst fact wins', () => {
  const facts = [{ v: [0, 0.1, 0.3, null], warn: 0.05, crit: 0.2 }];
  assert.deepEqual(strip([1, 1, 1, null], facts), ['ok', 'warn', 'crit', 'none']);
  assert.deepEqual(strip([1, 1], [{ v: [0.9, 0.5], warn: 0.8, crit: 0.6, below: true }]), ['ok', 'crit']);
  assert.deepEqual(strip([1], facts, [['crit']]), ['crit']);
});

test('keys have one name, sequences two', () => {
  const press = (key: string, mod = {}) => pressName({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...mod });
  assert.equal(press('K', { metaKey: true }), 'Mod+k');
  assert.equal(press('?', { shiftKey: true }), '?');
  assert.equal(press('X', { shiftKey: true }), 'Shift+x');
  assert.equal(press('ArrowLeft'), 'ArrowLeft');
  const s = new Sequence();
  assert.deepEqual(s.names('g', 0), ['g']);
  assert.deepEqual(s.names('v', 500), ['g v', 'v']);
  assert.deepEqual(s.names('p', 5000), ['p']);
});

test('the palette finds words from their start, accents aside', () => {
  assert.ok(score('Visão geral', 'visao') > score('Previsão', 'visao'));
  assert.equal(score('Pipeline', 'modelo'), 0);
  assert.deepEqual(rank(['farol_tick_seconds', 'Modelo', 'fraud_model_info'], 'model', (x) => x)[0], 'Modelo');
  assert.deepEqual(rank(['a', 'b'], '', (x) => x), ['a', 'b']);
});
