import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formats } from '../src/lib/intl';

const pt = formats('pt-BR', 'America/Sao_Paulo');
const en = formats('en', 'UTC');
const T = Date.parse('2026-03-12T05:41:07Z') / 1e3;

test('numbers as they are written in both languages', () => {
  assert.equal(pt.num(1284.5, 1), '1.284,5');
  assert.equal(en.num(1284.5, 1), '1,284.5');
  assert.equal(pt.pct(0.8433), '84,3%');
  assert.equal(pt.brl(61400), 'R$ 61,4 mil');
  assert.equal(pt.brl(1820000), 'R$ 1,82 mi');
  assert.equal(pt.brl(912.4), 'R$ 912');
  assert.equal(pt.brlExact(61412.07), 'R$ 61.412,07');
  assert.equal(en.brlExact(61412.07), 'R$61,412.07');
  assert.equal(pt.signed(-3.25, 2), '−3,25');
  assert.equal(pt.bytes(1536), '1,5 KiB');
  assert.equal(pt.bytes(512), '512 B');
});

test('what is not known is a dash, never 0', () => {
  for (const v of [null, undefined, NaN, Infinity])
    for (const f of ['num', 'short', 'pct', 'brl', 'brlExact', 'signed', 'bytes', 'span', 'ms', 'clock', 'clockS', 'day', 'dayClock'] as const)
      assert.equal(pt[f](v), '–', `${f} ${v}`);
  assert.equal(pt.num(0), '0');
});

test('durations as a person says them', () => {
  assert.equal(pt.span(0), '0 s');
  assert.equal(pt.span(0.087), '87 ms');
  assert.equal(pt.ms(9.2), '9,2 ms');
  assert.equal(pt.span(1.62), '1,6 s');
  assert.equal(pt.span(59.4), '59 s');
  assert.equal(pt.span(59.6), '1 min');
  assert.equal(pt.span(1560), '26 min');
  assert.equal(pt.span(3600), '1 h');
  assert.equal(pt.span(9000), '2 h 30 min');
  assert.equal(pt.span(532800), '6 d 4 h');
});

test('times in the zone, with the day when it is another one', () => {
  assert.equal(pt.clock(T), '02:41');
  assert.equal(en.clock(T), '05:41');
  assert.equal(pt.clockS(T), '02:41:07');
  assert.equal(pt.day(T), '12 mar');
  assert.equal(pt.when(T, T + 60), '02:41');
  assert.equal(pt.when(T, T + 86400), '12 mar 02:41');
});
