// Modelo, Explorar and Este monitor against a running farol (FAROL_URL).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

let server, browser;
before(async () => {
  server = await serve(process.env.FAROL_URL ?? 'http://127.0.0.1:9480');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
});
after(async () => {
  await browser?.close();
  server?.close();
});

async function open(hash, routes = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'pt-BR', colorScheme: 'dark', reducedMotion: 'reduce' });
  const tab = await context.newPage();
  tab.wrong = [];
  tab.on('pageerror', (e) => tab.wrong.push(e.message));
  tab.on('console', (m) => /Content.Security.Policy/i.test(m.text()) && tab.wrong.push(m.text()));
  for (const [path, answer] of Object.entries(routes)) await tab.route(path, answer);
  await tab.goto(`${server.base}#/${hash}`);
  return tab;
}

test('the model page says intervals, and a segment is an address', async () => {
  const tab = await open('modelo?de=now-15m');
  await tab.waitForSelector('.kpis dt');
  assert.match(await tab.textContent('.kpis'), /Precisão.*ingênua/s);
  await tab.waitForSelector('.forest a');
  await tab.locator('.forest a').first().click();
  assert.match(await tab.evaluate(() => location.hash), /seg=\w+:\w+/);
  assert.deepEqual(tab.wrong, []);
});

test('what the server does not have is absent, and names with markup stay text', async () => {
  const evil = 'x:<img src=x onerror="document.title=1"><b id=evil>';
  const gone = (r) => r.fulfill({ status: 404, json: { error: { code: 'input', message: 'no such path' } } });
  const quality = async (r) => {
    const answer = await (await r.fetch()).json();
    await r.fulfill({ json: { ...answer, segments: { form: ['DICT', evil] }, versions: [evil] } });
  };
  const tab = await open('modelo?de=now-15m', { '**/model/calibration*': gone, '**/model/thresholds*': gone, '**/model/drift*': gone, '**/model/quality*': quality });
  await tab.waitForSelector('.forest th');
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.equal(await tab.locator('h2:has-text("Calibração"), h2:has-text("Explorador do limiar")').count(), 0);
  assert.deepEqual(tab.wrong, []);
});

test('the editor works under the policy, completes, runs with the keyboard, explains', async () => {
  const tab = await open('explorar?de=now-15m&explicar=1');
  const field = tab.locator('textarea');
  await field.click();
  await tab.keyboard.type('farol_process_res');
  const option = tab.locator('[role=option]', { hasText: 'farol_process_resident_memory_bytes' });
  await option.waitFor();
  assert.equal(await field.getAttribute('aria-activedescendant'), await tab.locator('[aria-selected=true]').getAttribute('id'));
  await tab.keyboard.press('Escape');
  assert.equal(await option.count(), 0);
  await tab.keyboard.press('Control+Space');
  await option.waitFor();
  await tab.keyboard.press('Tab');
  assert.equal(await field.inputValue(), 'farol_process_resident_memory_bytes');
  await tab.keyboard.press('Enter');
  await tab.waitForFunction(() => location.hash.includes('q=farol_process_resident_memory_bytes'));
  await tab.waitForSelector('.chart canvas');
  await tab.waitForSelector('h2:has-text("Explicar")');
  await tab.keyboard.press('Shift+Enter');
  await tab.keyboard.type('+ sum(<b id=evil>');
  await tab.waitForSelector('textarea[aria-invalid=true]');
  assert.match(await tab.textContent('.said'), /linha 2, coluna 7/);
  assert.equal(await tab.locator('pre .wrong').count(), 1);
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.deepEqual(tab.wrong, []);
});

test('a thousand series are drawn and their labels stay text', async () => {
  const evil = '<b id=evil>';
  const result = Array.from({ length: 1000 }, (_, i) => ({ metric: { __name__: 'x', i: `${evil}${i}` } }));
  const tab = await open('explorar?de=now-15m&q=x', {
    '**/api/v1/query_range': (r) => {
      const f = new URLSearchParams(r.request().postData());
      const [a, b, step] = ['start', 'end', 'step'].map((k) => Number(f.get(k)));
      const values = (i) => Array.from({ length: Math.floor((b - a) / step) + 1 }, (_, k) => [a + k * step, String(Math.sin(k / 9) + i)]);
      return r.fulfill({ json: { status: 'success', data: { resultType: 'matrix', result: result.map((s, i) => ({ ...s, values: values(i) })) } } });
    },
  });
  await tab.waitForSelector('[role=row]:has-text("<b id=evil>")');
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.ok((await tab.locator('[role=row]').count()) < 100);
  assert.match(await tab.textContent('.how'), /1\.000 séries/);
});

test('this monitor tells what it lost', async () => {
  const tab = await open('monitor?de=now-15m');
  await tab.waitForSelector('h1');
  await tab.waitForSelector('.kpis dt');
  assert.match(await tab.textContent('.kpis'), /Não guardados/);
  await tab.waitForSelector('text=Versão e limites');
  assert.deepEqual(tab.wrong, []);
});
