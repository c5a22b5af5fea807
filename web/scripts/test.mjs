// Unit tests of pure code: each test/*.test.ts is bundled (vite brings esbuild) and run by node:test.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

const dir = mkdtempSync(join(tmpdir(), 'farol-web-test-'));
const wanted = process.argv[2] ?? '';
const entryPoints = readdirSync('test').filter((f) => f.endsWith('.test.ts') && f.includes(wanted)).map((f) => join('test', f));
await build({ entryPoints, outdir: dir, bundle: true, platform: 'node', format: 'esm', target: 'node18', outExtension: { '.js': '.mjs' }, logLevel: 'warning' });
const files = readdirSync(dir).map((f) => join(dir, f));
const run = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' });
rmSync(dir, { recursive: true, force: true });
process.exitCode = run.status ?? 1;
