// Serves dist as the binary does: the same content security policy, and the API of a running farol
// behind it. Counts requests that would leave the machine: there must be none.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const MIME = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.woff2': 'font/woff2', '.svg': 'image/svg+xml' };

function policy(html) {
  const inline = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map((m) => `'sha256-${createHash('sha256').update(m[1]).digest('base64')}'`);
  return `default-src 'self'; script-src 'self' ${inline.join(' ')}; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}

export async function serve(target, dist = process.env.DIST ?? 'dist') {
  const csp = policy(fs.readFileSync(path.join(dist, 'index.html'), 'utf8'));
  const to = new URL(target);
  const server = http.createServer((req, res) => {
    const url = req.url.split('?')[0];
    if (/^\/(api|farol|metrics|-)(\/|$)/.test(url)) {
      const out = http.request({ host: to.hostname, port: to.port, method: req.method, path: req.url, headers: { ...req.headers, host: to.host } }, (r) => {
        res.writeHead(r.statusCode, r.headers);
        r.pipe(res);
      });
      out.on('error', () => res.writeHead(502).end('{"error":"no farol"}'));
      req.pipe(out);
      return;
    }
    const file = path.join(dist, path.normalize(url === '/' ? '/index.html' : url));
    if (!fs.existsSync(file)) return void res.writeHead(404).end();
    res.writeHead(200, { 'content-type': MIME[path.extname(file)] ?? 'text/plain', 'content-security-policy': csp, 'x-content-type-options': 'nosniff' });
    res.end(fs.readFileSync(file));
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  return { base: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
