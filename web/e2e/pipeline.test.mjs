// The pipeline page against a running farol (FAROL_URL): map and drawer, latency box, lost
// transactions, by mouse and by keyboard alone; labels that try to be markup stay text.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

let server, browser;
const axe = fs.readFileSync('node_modules/axe-core/axe.min.js', 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
before(async () => {
  server = await serve(process.env.FAROL_URL ?? 'http://127.0.0.1:9480');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
});
after(async () => {
  await browser?.close();
  server?.close();
});

async function open(hash, { routes = {}, width = 1440, height = 900 } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, locale: 'pt-BR', colorScheme: 'dark', timezoneId: 'America/Sao_Paulo', reducedMotion: 'reduce' });
  const tab = await context.newPage();
  tab.wrong = [];
  tab.on('pageerror', (e) => tab.wrong.push(e.message));
  for (const [path, answer] of Object.entries(routes)) await tab.route(path, answer);
  await tab.goto(`${server.base}#/${hash}${hash.includes('?') ? '&' : '?'}de=now-15m`);
  await tab.waitForSelector('h1');
  return tab;
}
const hash = (tab) => tab.evaluate(() => location.hash);
const param = async (tab, key) => new URLSearchParams((await hash(tab)).split('?')[1]).get(key);

const ID = (n) => `E12345678202611240100AbCdEfGh${String(n).padStart(3, '0')}`;
const row = (n, more = {}) => ({ e2e_id: ID(n), from: 'features', to: 'score', last_ts: new Date(Date.now() - n * 60e3).toISOString(), age_s: n * 60, amount_centavos: n * 1234, ...more });
const lost = (rows, more = {}) => (r) => r.fulfill({ json: { lost: rows, count: rows.length, brl: 12.5, truncated: false, ...more } });
const LOST = '**/farol/v1/pipeline/lost?*';

test('the page says a verdict, the map, the ledger that closes and the times', async () => {
  const tab = await open('pipeline');
  assert.ok((await tab.textContent('h1')).length > 5);
  assert.ok((await tab.locator('.node').count()) >= 2);
  const sum = await tab.evaluate(() => fetch('farol/v1/status').then((r) => r.json()).then((s) => s.pipeline.ledger));
  assert.equal(sum.entered, sum.left + sum.in_flight + sum.lost);
  await tab.waitForSelector('text=Fechamento');
  for (const t of ['t1−t0', 't3−t2', 't6a−t0']) assert.ok((await tab.textContent('main')).includes(t), t);
  assert.deepEqual(tab.wrong, []);
});

test('a stage opens from the map by keyboard, j goes on, Escape closes, back opens again', async () => {
  const tab = await open('pipeline');
  const first = tab.locator('.node a').first();
  await first.focus();
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('dialog[open]');
  const one = await param(tab, 'etapa');
  await tab.keyboard.press('j');
  const two = await param(tab, 'etapa');
  assert.notEqual(one, two);
  await tab.keyboard.press('k');
  assert.equal(await param(tab, 'etapa'), one);
  assert.ok((await tab.locator('dialog .chart').count()) === 5);
  await tab.keyboard.press('Escape');
  await tab.waitForFunction(() => !document.querySelector('dialog[open]'));
  assert.equal(await param(tab, 'etapa'), null);
  await tab.goBack();
  await tab.waitForSelector('dialog[open]');
  await tab.reload();
  await tab.waitForSelector('dialog[open]');
  assert.deepEqual(tab.wrong, []);
});

test('Shift and arrows open stages without a mouse; an unknown stage says so', async () => {
  const tab = await open('pipeline');
  await tab.keyboard.press('Shift+ArrowRight');
  await tab.waitForSelector('dialog[open]');
  await tab.goto(`${server.base}#/pipeline?etapa=nada&de=now-15m`);
  await tab.waitForSelector('text=Esta etapa não existe');
});

test('dragging over the latency map takes a box into the address, and says what differs', async () => {
  const tab = await open('pipeline');
  const map = tab.locator('.map');
  await map.scrollIntoViewIfNeeded();
  await tab.waitForTimeout(1200);
  const box = await map.boundingBox();
  await tab.mouse.move(box.x + box.width - 60, box.y + 40);
  await tab.mouse.down();
  await tab.mouse.move(box.x + box.width - 20, box.y + 200, { steps: 6 });
  await tab.mouse.up();
  assert.match(await param(tab, 'sel'), /^\d{4}-.*Z\.\.\d{4}-.*Z\.\.[\d.]+\.\.([\d.]+|inf)$/);
  await tab.waitForSelector('text=O que há de diferente');
  await tab.reload();
  await tab.waitForSelector('section.box tbody tr');
  await tab.locator('section.box .btn').first().click();
  assert.match(await hash(tab), /de=\d{4}-/);
  assert.equal(await param(tab, 'sel'), null);
});

test('the latency map by keyboard alone', async () => {
  const tab = await open('pipeline');
  await tab.waitForTimeout(1200);
  await tab.locator('.map').focus();
  for (const k of ['ArrowLeft', 'ArrowLeft', 'Shift+ArrowLeft', 'Shift+ArrowUp', 'Enter']) await tab.keyboard.press(k);
  assert.ok(await param(tab, 'sel'));
  await tab.keyboard.press('Escape');
  assert.equal(await param(tab, 'sel'), null);
});

test('a pasted EndToEndId that is lost is found; one that is not is told honestly', async () => {
  const routes = { [LOST]: lost([row(3), row(4, { amount_centavos: null }), row(5)]) };
  const tab = await open(`pipeline?e2e=${ID(4)}`, { routes });
  await tab.waitForSelector('text=Perdida: passou por Variáveis e não chegou a Escore.');
  assert.ok((await tab.textContent('.answer')).includes('12345678'));
  await tab.locator('form[role=search] input').fill('E99999999202611240100AbCdEfGh999');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('text=Não está entre as 3 transações perdidas agora.');
  await tab.waitForSelector('text=Isso não diz que ela chegou');
  await tab.locator('form[role=search] input').fill('abacaxi');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('text=Isto não é um EndToEndId.');
  await tab.keyboard.press('Shift+L');
});

test('the palette sends an EndToEndId here', async () => {
  const tab = await open('visao', { routes: { [LOST]: lost([row(3)]) } });
  await tab.keyboard.press('Control+k');
  await tab.keyboard.type(ID(3));
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('text=Perdida: passou por');
});

test('lost rows by keyboard: j, Enter; the order is in the address', async () => {
  const tab = await open('pipeline', { routes: { [LOST]: lost([row(3), row(1), row(2)]) } });
  await tab.waitForSelector('[role=row].row.open');
  for (const k of ['j', 'j', 'Enter']) await tab.keyboard.press(k);
  assert.equal(await param(tab, 'e2e'), ID(1));
  await tab.locator('[role=columnheader] button', { hasText: 'Idade' }).click();
  assert.equal(await param(tab, 'ord'), '-idade');
  await tab.reload();
  await tab.waitForSelector('[role=columnheader][aria-sort=descending]');
  assert.ok((await tab.locator('[role=row].row.open').first().textContent()).includes(ID(3)));
});

test('nobody lost, a failing list and a short list say so', async () => {
  let tab = await open('pipeline', { routes: { [LOST]: lost([]) } });
  await tab.waitForSelector('text=Nenhuma transação perdida agora.');
  tab = await open('pipeline', { routes: { [LOST]: (r) => r.fulfill({ status: 503, json: { error: { code: 'busy', message: 'come back' } } }) } });
  await tab.waitForSelector('text=come back');
  tab = await open(`pipeline?e2e=${ID(9)}`, { routes: { [LOST]: lost([row(1)], { count: 20000, truncated: true }) } });
  await tab.waitForSelector('text=Só as 1 mais novas são listadas uma a uma.');
});

test('markup in stages, versions, reasons and ids stays text', async () => {
  const evil = '<img src=x onerror="document.title=1"><b id=evil>';
  const status = await (await fetch(new URL('/farol/v1/status', server.base))).json();
  status.pipeline.stages[0] = { ...status.pipeline.stages[0], name: evil, version: evil };
  const routes = {
    '**/farol/v1/live': (r) => r.abort(),
    '**/farol/v1/verdict': (r) => r.fulfill({ status: 404, json: {} }),
    '**/farol/v1/status': (r) => r.fulfill({ json: { ...status, time: new Date().toISOString() } }),
    [LOST]: lost([row(1, { from: evil, to: evil })]),
    '**/api/v1/query': (r) => r.fulfill({ json: { status: 'success', data: { resultType: 'vector', result: [{ metric: { reason: evil, version: evil, stage: evil, from: evil, to: evil }, value: [Date.now() / 1e3, '5'] }] } } }),
  };
  const tab = await open(`pipeline?etapa=${encodeURIComponent(evil)}`, { routes });
  await tab.waitForSelector('dialog[open] .why');
  assert.ok((await tab.textContent('main')).includes('<b id=evil>'));
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.deepEqual(tab.wrong, []);
});

for (const [name, at] of [['page', 'pipeline'], ['drawer', 'pipeline?etapa=act'], ['answer', `pipeline?e2e=${ID(1)}`]])
  for (const [theme, width] of [['dark', 1440], ['light', 390]])
    test(`axe and width: ${name}, ${theme}, ${width} px`, async () => {
      const tab = await open(`${at}${at.includes('?') ? '&' : '?'}tema=${theme}`, { width, routes: { [LOST]: lost([row(1), row(2)]) } });
      await tab.waitForTimeout(1500);
      await tab.evaluate(axe);
      const found = await tab.evaluate(async (values) => (await window.axe.run(document, { runOnly: { type: 'tag', values } })).violations.map((x) => `${x.id}: ${x.nodes[0].target} ${x.nodes[0].any[0]?.message ?? ''}`), TAGS);
      assert.deepEqual(found, []);
      assert.ok((await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
      assert.ok(await tab.evaluate(() => [...document.querySelectorAll('dialog[open]')].every((d) => d.scrollWidth <= d.clientWidth)));
      assert.deepEqual(tab.wrong, []);
    });
