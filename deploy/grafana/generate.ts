// Writes the boards' JSON to where it is committed; --check says whether what is committed is what this makes.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { build } from './lib/board';
import { modelo } from './boards/modelo';
import { monitor } from './boards/monitor';
import { pipeline } from './boards/pipeline';
import { slo } from './boards/slo';
import { visao } from './boards/visao';

const root = resolve(__dirname, '../../..');
const check = process.argv.includes('--check');
let stale = 0;

function committed(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

for (const board of [visao, pipeline, modelo, slo, monitor]) {
  const path = join(root, board.file);
  const text = JSON.stringify(build(board), null, 2) + '\n';
  if (!check) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  } else if (committed(path) !== text) {
    console.log(`${board.file}: not what deploy/grafana generates; run npm run build there`);
    stale++;
  }
}
process.exitCode = stale > 0 ? 1 : 0;
