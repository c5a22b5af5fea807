// The budgets of the UI as a gate: node scripts/size.mjs after a build. Sizes are gzip.
//   first route: index.html's own script and styles, and the overview with all it loads at once
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const LIMITS = { 'first route': 100, 'whole UI': 250, fonts: 90 };
const dist = process.env.DIST ?? 'dist';
const dir = join(dist, 'assets');
const read = (name) => readFileSync(join(dir, name));
const gzip = (name) => gzipSync(read(name), { level: 9 }).length;
const sum = (names) => [...new Set(names)].reduce((n, f) => n + gzip(f), 0) / 1000;

const html = readFileSync(join(dist, 'index.html'), 'utf8');
const entry = [...html.matchAll(/assets\/([\w.-]+\.(?:js|css))"/g)].map((m) => m[1]);
const main = entry.find((f) => f.endsWith('.js'));
const code = main ? read(main).toString() : '';
const files = [...(/m\.f=(\[[^\]]*\])/.exec(code)?.[1].matchAll(/"(?:\.\/|assets\/)?([^"]+)"/g) ?? [])].map((m) => m[1].replace(/^.*\//, ''));
const home = /import\("\.\/visao-[\w-]+\.js"\),__vite__mapDeps\(\[([\d,]*)\]\)/.exec(code);
if (!main || !home) throw new Error('the overview is not found in the build: npm run build first');
const all = readdirSync(dir);
const sizes = {
  'first route': sum([...entry, ...home[1].split(',').map((i) => files[Number(i)])]),
  'whole UI': sum(all.filter((f) => /\.(js|css)$/.test(f))),
  fonts: all.filter((f) => f.endsWith('.woff2')).reduce((n, f) => n + read(f).length, 0) / 1000,
};
for (const [name, kb] of Object.entries(sizes)) {
  const over = kb > LIMITS[name];
  console.log(`${name.padEnd(12)} ${kb.toFixed(1).padStart(6)} kB of ${LIMITS[name]}${over ? '  TOO BIG' : ''}`);
  if (over) process.exitCode = 1;
}
