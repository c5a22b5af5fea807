// Screenshots of every page from a running farol, with axe, overflow, console and foreign-request
// checks:  FAROL_URL=http://127.0.0.1:9480 node e2e/shots.mjs [part of a name]
// OUT is the folder (default ../out/shots), PAGES a list of pages, RANGE the range (default now-15m).
import fs from 'node:fs';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const { base, close } = await serve(process.env.FAROL_URL ?? 'http://127.0.0.1:9480');
const out = process.env.OUT ?? '../out/shots';
fs.mkdirSync(out, { recursive: true });
const pages = (process.env.PAGES ?? fs.readdirSync('src/pages').join(',')).split(',');
const langs = (process.env.LANGS ?? 'pt').split(',');
const only = process.argv[2];
const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--font-render-hinting=none'];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
const axe = fs.readFileSync('node_modules/axe-core/axe.min.js', 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
let bad = 0;

for (const [device, viewport, scale] of [['desktop', { width: 1440, height: 900 }, 1], ['phone', { width: 390, height: 844 }, 2]])
  for (const theme of ['dark', 'light'])
    for (const lang of langs)
      for (const page of pages) {
        const name = `${page}-${device}-${theme}${lang === 'pt' ? '' : `-${lang}`}`;
        if (only && !name.includes(only)) continue;
        bad += await shot({ name, page, viewport, scale, theme, lang });
      }
await browser.close();
close();
process.exitCode = bad ? 1 : 0;

async function shot({ name, page, viewport, scale, theme, lang }) {
  const context = await browser.newContext({ viewport, deviceScaleFactor: scale, reducedMotion: 'reduce', locale: 'pt-BR', timezoneId: 'America/Sao_Paulo', bypassCSP: false });
  const tab = await context.newPage();
  const wrong = [];
  tab.on('pageerror', (e) => wrong.push(`error: ${e.message}`));
  tab.on('console', (m) => m.type() === 'error' && !/farol\/v1\/(live|verdict)/.test(m.location().url) && wrong.push(`console: ${m.text()}`));
  tab.on('request', (r) => !r.url().startsWith(base) && wrong.push(`outside: ${r.url()}`));
  await tab.goto(`${base}#/${page}?de=${process.env.RANGE ?? 'now-15m'}&tema=${theme}&lang=${lang}`, { waitUntil: 'load' });
  await tab.evaluate(() => document.fonts.ready);
  await tab.waitForTimeout(Number(process.env.WAIT ?? 2500));
  const paint = await tab.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  const height = await tab.evaluate(() => document.documentElement.scrollHeight);
  await tab.setViewportSize({ width: viewport.width, height: Math.max(viewport.height, height) });
  await tab.waitForTimeout(400);
  await tab.screenshot({ path: `${out}/${name}.png` });
  await tab.evaluate(axe);
  const found = await tab.evaluate(async (values) => (await window.axe.run(document, { runOnly: { type: 'tag', values } })).violations.map((x) => `axe ${x.id} (${x.nodes.length}): ${x.nodes[0].target} ${x.nodes[0].any[0]?.message ?? ''}`), TAGS);
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  wrong.push(...found);
  if (wide > 0) wrong.push(`overflow ${wide}px`);
  console.log(name, `fcp ${Math.round(paint)} ms`, wrong.length ? wrong : 'ok');
  await context.close();
  return wrong.length;
}
