// The overview with a verdict of the server, as a stream and as polls, and with markup in its words.
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

const verdict = (word) => ({
  state: 'crit',
  since: new Date(Date.now() - 26 * 60e3).toISOString(),
  title: { pt: `Título ${word}`, en: `Title ${word}` },
  text: {
    pt: [{ text: 'Precisão caiu para ' }, { text: '84,3%', query: 'fraud_model_precision', tone: 'crit' }, { text: ' <b id=evil>x</b>' }],
    en: [{ text: 'Precision fell to ' }, { text: '84.3%', query: 'fraud_model_precision' }],
  },
  pillars: [{ id: 'model', state: 'crit', text: { pt: 'motivo do modelo', en: 'why the model' } }],
  risk: { brl: 61400, lo: 44000, hi: 83000, query: 'x' },
  next: { pt: 'Desfazer o deploy', en: 'Roll back' },
});

async function open(routes) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'pt-BR', colorScheme: 'dark' });
  const tab = await context.newPage();
  for (const [path, answer] of Object.entries(routes)) await tab.route(`**/farol/v1/${path}`, answer);
  await tab.goto(`${server.base}#/visao?de=now-15m`);
  return tab;
}

test('a polled verdict is the headline, its numbers and its money', async () => {
  const tab = await open({ live: (r) => r.abort(), verdict: (r) => r.fulfill({ json: verdict('um') }) });
  await tab.waitForSelector('h1:has-text("Título um")');
  const text = await tab.textContent('.verdict');
  for (const part of ['84,3%', '<b id=evil>x</b>', 'Desfazer o deploy', 'R$ 61,4 mil', 'IC 95%: R$ 44 mil a R$ 83 mil', 'há 26 min']) assert.ok(text.includes(part), part);
  assert.equal(await tab.locator('#evil').count(), 0);
  assert.ok((await tab.textContent('main')).includes('motivo do modelo'));
  await tab.keyboard.press('Shift+L');
  await tab.waitForSelector('h1:has-text("Title um")');
});

test('a stream brings the state and the verdict without a poll', async () => {
  const status = await (await fetch(new URL('/farol/v1/status', server.base))).json();
  const body = `: beat\n\nevent: status\ndata: ${JSON.stringify({ ...status, verdict: verdict('dois') })}\n\n`;
  let polls = 0;
  const tab = await open({
    live: (r) => r.fulfill({ contentType: 'text/event-stream', body }),
    status: (r) => (polls++, r.abort()),
  });
  await tab.waitForSelector('h1:has-text("Título dois")');
  assert.equal(polls, 0);
});
