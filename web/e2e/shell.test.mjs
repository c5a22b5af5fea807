// The shell by keyboard and mouse, against a running farol (FAROL_URL): palette, ranges, keys, language,
// theme, address, and a label that tries to be markup.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

let server, browser, tab, errors;
before(async () => {
  server = await serve(process.env.FAROL_URL ?? 'http://127.0.0.1:9480');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
});
after(async () => {
  await browser?.close();
  server?.close();
});
beforeEach(async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'pt-BR', colorScheme: 'dark', timezoneId: 'America/Sao_Paulo', reducedMotion: 'reduce' });
  tab = await context.newPage();
  errors = [];
  tab.on('pageerror', (e) => errors.push(e.message));
  await tab.goto(`${server.base}#/visao?de=now-15m`);
  await tab.waitForSelector('h1');
});
const hash = () => tab.evaluate(() => location.hash);
const press = async (...keys) => {
  for (const k of keys) await tab.keyboard.press(k);
};

test('the overview says a verdict and draws three charts', async () => {
  assert.ok((await tab.textContent('h1')).length > 5);
  await tab.waitForSelector('.chart canvas');
  assert.equal(await tab.locator('.chart').count(), 3);
  assert.deepEqual(errors, []);
});

test('palette: opens, finds, runs, closes', async () => {
  await press('Control+k');
  await tab.waitForSelector('dialog[open] input');
  await tab.keyboard.type('claro ou');
  await press('Enter');
  assert.equal(await tab.locator('dialog[open]').count(), 0);
  assert.equal(await tab.evaluate(() => document.documentElement.dataset.theme), 'light');
  await press('/');
  await tab.waitForSelector('dialog[open] input');
  await press('Escape');
  assert.equal(await tab.locator('dialog[open]').count(), 0);
});

test('a typed range is in the address, z widens, back returns', async () => {
  await press('t', 't');
  await tab.waitForSelector('#typed');
  await tab.keyboard.type('90 min');
  await press('Enter');
  assert.match(await hash(), /de=now-90m/);
  await press('z');
  assert.match(await hash(), /de=now-3h/);
  await tab.goBack();
  assert.match(await hash(), /de=now-90m/);
  await press('t', 't');
  await tab.waitForSelector('#typed');
  await tab.keyboard.type('abacaxi');
  await press('Enter');
  assert.equal(await tab.getAttribute('#typed', 'aria-invalid'), 'true');
  await press('Escape');
  assert.equal(await tab.locator('#typed').count(), 0);
});

test('dragging over a chart zooms', async () => {
  await tab.waitForSelector('.chart canvas');
  const box = await tab.locator('.chart').first().boundingBox();
  await tab.mouse.move(box.x + 120, box.y + 60);
  await tab.mouse.down();
  await tab.mouse.move(box.x + 220, box.y + 60, { steps: 5 });
  await tab.mouse.up();
  assert.match(await hash(), /de=\d{4}-.*ate=\d{4}-/);
});

test('language, theme and zone by key', async () => {
  await press('Shift+L');
  assert.equal(await tab.evaluate(() => document.documentElement.lang), 'en');
  assert.match(await tab.title(), /Overview/);
  await press('Shift+D');
  assert.equal(await tab.evaluate(() => document.documentElement.dataset.theme), 'light');
  await tab.reload();
  await tab.waitForSelector('h1');
  assert.equal(await tab.evaluate(() => document.documentElement.dataset.theme), 'light');
  assert.equal(await tab.evaluate(() => document.documentElement.lang), 'en');
});

test('the first Tab stop skips to the content', async () => {
  await press('Tab');
  assert.equal(await tab.evaluate(() => document.activeElement.className.includes('skip')), true);
  await press('Enter');
  assert.equal(await tab.evaluate(() => document.activeElement.id), 'main');
});

test('an unknown page says so, and markup in an alert stays text', async () => {
  await tab.goto(`${server.base}#/nada`);
  await tab.waitForSelector('text=Esta página não existe.');
  const evil = '<img src=x onerror="document.title=1"><b id=evil>';
  await tab.route('**/api/v1/alerts', (r) =>
    r.fulfill({ json: { status: 'success', data: { alerts: [{ labels: { alertname: evil, severity: 'S1', pillar: 'model' }, annotations: { summary: evil, summary_pt: evil }, state: 'firing', activeAt: new Date().toISOString(), value: '1' }] } } }),
  );
  await tab.goto(`${server.base}#/visao?de=now-15m`);
  await tab.waitForSelector('text=<b id=evil>');
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.deepEqual(errors, []);
});

test('when the server is gone it says so on the page', async () => {
  await tab.route('**/farol/v1/**', (r) => r.abort());
  await tab.reload();
  await tab.waitForSelector('[role=alert]');
});
