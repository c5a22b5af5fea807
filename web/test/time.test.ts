import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instant, parseDuration, parseTyped, presetFor, rateWindow, resolve, shortDuration, stepFor } from '../src/lib/time';

// 2026-11-23 23:30 in São Paulo is 02:30 UTC of the next day.
const NOW = Date.parse('2026-11-24T02:30:00Z') / 1e3;
const SP = -3 * 3600;
const typed = (text: string) => parseTyped(text, NOW, SP);

test('durations in both languages', () => {
  assert.equal(parseDuration('2h'), 7200);
  assert.equal(parseDuration('1 h 30 min'), 5400);
  assert.equal(parseDuration('90 minutos'), 5400);
  assert.equal(parseDuration('1,5h'), 5400);
  assert.equal(parseDuration('2 semanas'), 1209600);
  assert.equal(parseDuration('3 weeks'), 1814400);
  assert.equal(parseDuration('3 days'), 259200);
  for (const no of ['', '0h', 'h', '2x', '2h ontem', '5 meses', '-2h']) assert.equal(parseDuration(no), null, no);
});

test('a duration alone ends now', () => {
  assert.deepEqual(typed('2h'), { de: 'now-2h', ate: 'now' });
  assert.deepEqual(typed('últimas 6 horas'), { de: 'now-6h', ate: 'now' });
  assert.deepEqual(typed('last 90 min'), { de: 'now-90m', ate: 'now' });
});

test('days and clocks in the zone of the reader', () => {
  assert.deepEqual(typed('ontem 22:00 até agora'), { de: '2026-11-23T01:00:00Z', ate: 'now' });
  assert.deepEqual(typed('yesterday 22:00 to now'), { de: '2026-11-23T01:00:00Z', ate: 'now' });
  assert.deepEqual(typed('ontem'), { de: '2026-11-22T03:00:00Z', ate: '2026-11-23T03:00:00Z' });
  assert.deepEqual(typed('hoje'), { de: '2026-11-23T03:00:00Z', ate: 'now' });
  assert.deepEqual(typed('22:00 até 23:00'), { de: '2026-11-24T01:00:00Z', ate: '2026-11-24T02:00:00Z' });
  assert.deepEqual(typed('ontem 22:00 até 23:15'), { de: '2026-11-23T01:00:00Z', ate: '2026-11-23T02:15:00Z' });
  assert.deepEqual(typed('ontem 23:00 até 01:00'), { de: '2026-11-23T02:00:00Z', ate: '2026-11-23T04:00:00Z' });
  assert.deepEqual(typed('12/03 10:00 até 12/03 11:30'), { de: '2026-03-12T13:00:00Z', ate: '2026-03-12T14:30:00Z' });
  assert.deepEqual(typed('2026-11-20 - 2026-11-21'), { de: '2026-11-20T03:00:00Z', ate: '2026-11-22T03:00:00Z' });
  assert.deepEqual(typed('23:50'), { de: '2026-11-23T02:50:00Z', ate: 'now' });
  assert.deepEqual(typed('há 3h até há 1h'), { de: 'now-3h', ate: 'now-1h' });
  assert.deepEqual(typed('3 h ago to now'), { de: 'now-3h', ate: 'now' });
});

test('nonsense is not a range', () => {
  for (const no of ['', 'abacaxi', '31/02', '25:00', '10:75', 'agora até ontem', 'ontem até hoje até agora', 'now-', '2h até'])
    assert.equal(typed(no), null, no);
});

test('values of the address', () => {
  assert.equal(instant('now', 100), 100);
  assert.equal(instant('now-1h-30m', 10000), 10000 - 5400);
  assert.equal(instant('2026-11-24T02:30:00Z', 0), NOW);
  for (const no of ['now-6', 'now-6y', 'ontem', '', '2026', 'now-1hx']) assert.equal(instant(no, 0), null, no);
  assert.deepEqual(resolve({ de: 'now-6h', ate: 'now' }, 100000), { from: 100000 - 21600, to: 100000 });
  assert.deepEqual(resolve({ de: 'x', ate: 'now' }, 100000), { from: 96400, to: 100000 });
  assert.deepEqual(resolve({ de: 'now', ate: 'now-1h' }, 100000), { from: 92800, to: 96400 });
});

test('steps, windows, presets', () => {
  assert.equal(stepFor(900), 5);
  assert.equal(stepFor(21600), 120);
  assert.equal(stepFor(30 * 86400), 14400);
  assert.equal(stepFor(86400 * 4000), 1468800);
  assert.equal(rateWindow(5), '1m');
  assert.equal(rateWindow(120), '8m');
  assert.equal(shortDuration(5400), '90m');
  assert.equal(shortDuration(86400), '1d');
  assert.equal(presetFor(200), '5m');
  assert.equal(presetFor(800), '15m');
  assert.equal(presetFor(4000), '1h');
  assert.equal(presetFor(1e6), '6h');
});
