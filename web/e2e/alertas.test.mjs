// The alerts page against a running farol (FAROL_URL): tabs, filters, rows, the drawer of a rule, the
// history; by keyboard alone; labels and summaries that try to be markup stay text.
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

async function open(hash, { routes = {}, width = 1440, lang = 'pt' } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, locale: 'pt-BR', colorScheme: 'dark', timezoneId: 'America/Sao_Paulo', reducedMotion: 'reduce' });
  const tab = await context.newPage();
  tab.wrong = [];
  tab.on('pageerror', (e) => tab.wrong.push(e.message));
  for (const [path, answer] of Object.entries(routes)) await tab.route(path, answer);
  await tab.goto(`${server.base}#/${hash}${hash.includes('?') ? '&' : '?'}de=now-15m&lang=${lang}`);
  await tab.waitForSelector('h1');
  return tab;
}
const param = async (tab, key) => new URLSearchParams((await tab.evaluate(() => location.hash)).split('?')[1]).get(key);

const since = (min) => new Date(Date.now() - min * 60e3).toISOString();
const alert = (name, severity, state, labels = {}, annotations = {}) => ({
  labels: { alertname: name, severity, pillar: 'pipeline', ...labels }, annotations: { summary: `${name} in English`, summary_pt: `${name} em português`, ...annotations }, state, activeAt: since(7), value: '0.4',
});
const rule = (name, severity, query, state, alerts = []) => ({
  type: 'alerting', name, query, duration: 120, labels: { severity, pillar: 'pipeline' }, annotations: { summary: '{{ $value | humanizePercentage }} of {{ $labels.stage }}', summary_pt: '{{ $value | humanizePercentage }} de {{ $labels.stage }}', runbook: 'https://example.org/book' },
  health: 'ok', evaluationTime: 0.001, lastEvaluation: since(0), state, alerts,
});
const answers = (alerts, rules) => ({
  '**/api/v1/alerts': (r) => r.fulfill({ json: { status: 'success', data: { alerts } } }),
  '**/api/v1/rules': (r) => r.fulfill({ json: { status: 'success', data: { groups: [{ name: 'g', file: 'g.yml', interval: 15, lastEvaluation: since(0), rules }] } } }),
});
const three = () => [alert('Beta', 'S2', 'firing', { stage: 'act' }), alert('Alfa', 'S1', 'firing'), alert('Gama', 'S3', 'pending')];
const rules = () => [rule('Alfa', 'S1', 'vector(0.4) > 0.05', 'firing', [three()[1]]), rule('Beta', 'S2', 'vector(2) < vector(3) and vector(1) > 0', 'firing', [three()[0]]), rule('Gama', 'S3', 'absent(nada)', 'pending', [three()[2]]), rule('Quieta', 'S2', 'vector(0.01) > 0.05', 'inactive')];

test('active alerts: the worst first, in the language that is shown', async () => {
  const tab = await open('alertas', { routes: answers(three(), rules()) });
  await tab.waitForSelector('[data-row]');
  assert.equal(await tab.textContent('h1'), '2 alertas disparados.');
  const names = await tab.locator('[data-row] .sub .mono:first-child').allTextContents();
  assert.deepEqual(names, ['Alfa', 'Beta', 'Gama']);
  assert.ok((await tab.textContent('main')).includes('Alfa em português'));
  await tab.waitForSelector('[data-row] .g .v:has-text("5,00%")');
  await tab.goto(`${server.base}#/alertas?lang=en&de=now-15m`);
  await tab.waitForSelector('text=2 alerts are firing.');
  assert.ok((await tab.textContent('main')).includes('Alfa in English'));
  assert.deepEqual(tab.wrong, []);
});

test('by keyboard alone: rows, drawer, its neighbours, tabs, filter', async () => {
  const tab = await open('alertas', { routes: answers(three(), rules()) });
  await tab.waitForSelector('[data-row]');
  await tab.keyboard.press('j');
  await tab.keyboard.press('j');
  await tab.keyboard.press('k');
  await tab.keyboard.press('j');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('dialog[open]');
  assert.equal(await param(tab, 'regra'), 'Beta');
  await tab.keyboard.press('j');
  assert.equal(await param(tab, 'regra'), 'Gama');
  await tab.keyboard.press('k');
  await tab.keyboard.press('Escape');
  await tab.waitForFunction(() => !document.querySelector('dialog[open]'));
  assert.equal(await param(tab, 'regra'), null);
  await tab.keyboard.press('2');
  assert.equal(await param(tab, 'aba'), 'regras');
  await tab.waitForSelector('text=Quieta');
  await tab.keyboard.press('f');
  await tab.keyboard.type('quieta');
  assert.equal(await param(tab, 'busca'), 'quieta');
  assert.equal(await tab.locator('[data-row]').count(), 1);
  await tab.reload();
  await tab.waitForSelector('[data-row]');
  assert.equal(await tab.locator('[data-row]').count(), 1);
  await tab.evaluate(() => document.activeElement.blur());
  await tab.keyboard.press('3');
  assert.equal(await param(tab, 'aba'), 'historico');
  await tab.keyboard.press('1');
  assert.equal(await param(tab, 'aba'), null);
});

test('the drawer tells each condition with its value and its limit, and the runbook', async () => {
  const tab = await open('alertas?regra=Beta', { routes: answers(three(), rules()) });
  await tab.waitForSelector('dialog[open] .conds li');
  const text = (await tab.textContent('dialog[open]')).replace(/\s+/g, ' ');
  assert.equal(await tab.locator('.conds li').count(), 2);
  assert.match(text, /200(,0)?%? ?< ?300/);
  assert.ok(text.includes('vale'));
  assert.equal(await tab.locator('a[href="https://example.org/book"]').getAttribute('rel'), 'noreferrer noopener');
  await tab.goto(`${server.base}#/alertas?regra=Gama&de=now-15m`);
  await tab.waitForSelector('text=A expressão não é uma comparação com um limite.');
  await tab.goto(`${server.base}#/alertas?regra=Nada&de=now-15m`);
  await tab.waitForSelector('text=Esta regra não está carregada');
  assert.deepEqual(tab.wrong, []);
});

test('the real rules: every comparison is evaluated by the real engine', async () => {
  const tab = await open('alertas?aba=regras');
  const bad = [];
  tab.on('response', (r) => /parse_query/.test(r.url()) && r.status() !== 200 && bad.push(r.url()));
  await tab.waitForSelector('[data-row] .g b');
  const count = await tab.locator('[data-row]').count();
  assert.ok(count > 20, String(count));
  assert.equal(await tab.locator('[data-row] .g .v').count(), count, 'each of our rules is a comparison');
  assert.deepEqual(bad, []);
  assert.deepEqual(tab.wrong, []);
});

test('filters live in the address, and none left says so', async () => {
  const tab = await open('alertas?sev=S1', { routes: answers(three(), rules()) });
  await tab.waitForSelector('[data-row]');
  assert.equal(await tab.locator('[data-row]').count(), 1);
  await tab.goto(`${server.base}#/alertas?busca=zzz&de=now-15m`);
  await tab.waitForSelector('text=Nada com este filtro.');
  await tab.locator('text=Limpar o filtro').click();
  await tab.waitForSelector('[data-row]');
});

test('quiet, without rules, and failing are three different things', async () => {
  let tab = await open('alertas', { routes: answers([], rules()) });
  await tab.waitForSelector('text=Nada disparado, nada pendente.');
  tab = await open('alertas', { routes: { ...answers([], []), } });
  await tab.waitForSelector('text=rule_files');
  tab = await open('alertas', { routes: { '**/api/v1/alerts': (r) => r.fulfill({ status: 503, json: { status: 'error', error: 'too many wait' } }) } });
  await tab.waitForSelector('text=too many wait');
});

const history = (r) => {
  const f = new URLSearchParams(r.request().postData());
  const [from, to, step] = ['start', 'end', 'step'].map((k) => Number(f.get(k)));
  const values = (a, b) => Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step).filter((t) => t >= a && t <= b).map((t) => [t, '1']);
  const now = Date.now() / 1e3;
  const q = f.get('query');
  const labels = { alertname: 'Alfa', severity: 'S1', pillar: 'pipeline', stage: 'act' };
  const result = /farol_rules/.test(q)
    ? [{ metric: { group: 'g' }, values: values(from, to) }]
    : /ALERTS/.test(q) ? [{ metric: { ...labels, alertstate: 'pending' }, values: values(now - 600, now - 500) }, { metric: { ...labels, alertstate: 'firing' }, values: values(now - 500, now - 300) }] : [];
  return r.fulfill({ json: { status: 'success', data: { resultType: 'matrix', result } } });
};

test('history: an episode with its begin, its firing and its end; a click opens the rule', async () => {
  const tab = await open('alertas?aba=historico', { routes: { ...answers(three(), rules()), '**/api/v1/query_range': history } });
  await tab.waitForSelector('[role=row].row.open');
  assert.equal(await tab.locator('[role=row].row.open').count(), 1);
  assert.ok((await tab.textContent('[role=row].row.open')).includes('stage=act'));
  assert.equal(await tab.locator('.hm').count(), 2);
  for (const k of ['j', 'Enter']) await tab.keyboard.press(k);
  await tab.waitForSelector('dialog[open]');
  assert.equal(await param(tab, 'regra'), 'Alfa');
  await tab.keyboard.press('Escape');
  await tab.route('**/api/v1/query_range', (r) => r.fulfill({ json: { status: 'success', data: { resultType: 'matrix', result: [] } } }));
  await tab.goto(`${server.base}#/alertas?aba=historico&de=now-1h`);
  await tab.waitForSelector('text=Nenhum alerta neste intervalo.');
});

test('markup in names, labels, summaries, expressions and runbooks stays text', async () => {
  const evil = '<img src=x onerror="document.title=1"><b id=evil>';
  const a = alert(evil, evil, 'firing', { stage: evil, pillar: evil }, { summary: evil, summary_pt: evil, at_risk: evil });
  const bad = { ...rule(evil, evil, evil, 'firing', [a]), health: 'err', lastError: evil, labels: { severity: evil, pillar: evil }, annotations: { summary: evil, summary_pt: evil, runbook: `javascript:alert(1)//${evil}` } };
  const tab = await open(`alertas?regra=${encodeURIComponent(evil)}`, { routes: answers([a], [bad]) });
  await tab.waitForSelector('dialog[open] pre');
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.equal(await tab.locator('a[href^="javascript"]').count(), 0);
  await tab.keyboard.press('Escape');
  await tab.keyboard.press('2');
  await tab.waitForSelector('[data-row]');
  assert.ok((await tab.textContent('main')).includes('<b id=evil>'));
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.deepEqual(tab.wrong, []);
});

for (const [name, at] of [['active', 'alertas'], ['rules', 'alertas?aba=regras'], ['history', 'alertas?aba=historico'], ['drawer', 'alertas?regra=PixStageQueue']])
  for (const [theme, width] of [['dark', 1440], ['light', 390]])
    test(`axe and width: ${name}, ${theme}, ${width} px`, async () => {
      const tab = await open(`${at}${at.includes('?') ? '&' : '?'}tema=${theme}`, { width });
      await tab.waitForTimeout(1800);
      await tab.evaluate(axe);
      const found = await tab.evaluate(async (values) => (await window.axe.run(document, { runOnly: { type: 'tag', values } })).violations.map((x) => `${x.id}: ${x.nodes[0].target} ${x.nodes[0].any[0]?.message ?? ''}`), TAGS);
      assert.deepEqual(found, []);
      assert.ok((await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
      assert.ok(await tab.evaluate(() => [...document.querySelectorAll('dialog[open]')].every((d) => d.scrollWidth <= d.clientWidth)));
      assert.deepEqual(tab.wrong, []);
    });
