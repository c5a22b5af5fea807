// Packs a built dist/ for the binary: node pack.mjs DIST OUT.c OUT.bin
// OUT.bin holds every file plain, as gzip and as br (where that is smaller); OUT.c is the table of
// server/web/web.h with the Content-Security-Policy. The C file takes the bytes in by .incbin, so it
// compiles in no time; -DWEB_BIN="path" says where they are. Same input, same bytes.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
};
const PACKED_TOO = new Set(['.woff2', '.png']); // compressed by nature
const WORTH = 0.95;

const [dist, outC, outBin] = process.argv.slice(2);
if (!outBin) {
  console.error('usage: node pack.mjs DIST OUT.c OUT.bin');
  process.exit(2);
}

function walk(dir) {
  return readdirSync(dir)
    .sort()
    .flatMap((name) => {
      const path = join(dir, name);
      return statSync(path).isDirectory() ? walk(path) : [path];
    });
}

/** index.html is "/"; everything else must lie in assets/, which the server serves. */
function addressOf(file) {
  const name = relative(dist, file).split(sep).join('/');
  if (name === 'index.html') return '/';
  if (!/^assets\/[\w.-]+$/.test(name)) throw new Error(`${name}: expected index.html or assets/NAME`);
  return `/${name}`;
}

/** What the page may load: itself. Inline scripts only by their hash, styles only from files. */
function policyOf(html) {
  const inline = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, code]) => `'sha256-${createHash('sha256').update(code).digest('base64')}'`,
  );
  if (/<style[\s>]|\sstyle=|\son\w+=/.test(html.replace(/<script>[\s\S]*?<\/script>/g, ''))) {
    throw new Error('index.html: inline styles and handlers do not run under the policy');
  }
  return [
    "default-src 'self'",
    ["script-src 'self'", ...inline].join(' '),
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

const gzip = (bytes) => {
  const packed = gzipSync(bytes, { level: 9 });
  packed[9] = 255; // the byte that says which system packed it: unknown
  return packed;
};
const br = (bytes) =>
  brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });

const pieces = [];
let size = 0;
function place(bytes) {
  const at = size;
  pieces.push(bytes);
  size += bytes.length;
  return `{web_files_bin + ${at}, ${bytes.length}}`;
}

const files = walk(dist).sort((a, b) => (addressOf(a) < addressOf(b) ? -1 : 1));
if (!files.length || addressOf(files[0]) !== '/') throw new Error(`${dist}: no index.html`);
const rows = files.map((file) => {
  const bytes = readFileSync(file);
  const type = TYPES[extname(file)];
  if (!type) throw new Error(`${file}: no type is known for "${extname(file)}"`);
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  const bodies = [place(bytes)];
  for (const pack of [gzip, br]) {
    const packed = PACKED_TOO.has(extname(file)) ? bytes : pack(bytes);
    bodies.push(packed.length < bytes.length * WORTH ? place(packed) : '{NULL, 0}');
  }
  return `    {"${addressOf(file)}", "${type}", "${hash}",\n     {${bodies.join(', ')}}},`;
});

writeFileSync(outBin, Buffer.concat(pieces));
writeFileSync(
  outC,
  `/* Written by web/scripts/pack.mjs. */
#include "server/web/web.h"

__asm__(".pushsection .rodata\\n"
        ".balign 8\\n"
        "web_files_bin:\\n"
        ".incbin \\"" WEB_BIN "\\"\\n"
        ".popsection\\n");
__attribute__((visibility("hidden"))) extern const char web_files_bin[];

static const struct web_file files[] = {
${rows.join('\n')}
};
const struct web_pack web_packed = {
    files, ${files.length},
    "${policyOf(readFileSync(files[0], 'utf8'))}"};
`,
);
console.log(`pages: ${files.length} files, ${(size / 1000).toFixed(0)} kB in three codings`);
