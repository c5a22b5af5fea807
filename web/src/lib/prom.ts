// The PromQL client: range and instant queries with a small cache, so that two panels that ask the
// same question cost one answer, and a page that is opened again is drawn at once.
import { data } from './api';
import { onGrid, type Grid, type Labels, type Matrix, type RawSeries, type Sample } from './series';

const KEEP = 80;
type Entry = { value: Promise<unknown>; abort: AbortController; users: number; done: boolean };
const cache = new Map<string, Entry>();

/** Several users may wait for one answer; the request ends early only when all of them have gone. */
function shared<T>(key: string, signal: AbortSignal | undefined, run: (s: AbortSignal) => Promise<T>): Promise<T> {
  let entry = cache.get(key);
  if (entry) {
    cache.delete(key); // youngest again
  } else {
    const abort = new AbortController();
    const made: Entry = { value: run(abort.signal), abort, users: 0, done: false };
    made.value.then(
      () => (made.done = true),
      () => cache.get(key) === made && cache.delete(key),
    );
    entry = made;
  }
  const mine = entry;
  mine.users++;
  cache.set(key, mine);
  if (cache.size > KEEP) cache.delete(cache.keys().next().value!);
  if (!signal) return mine.value as Promise<T>;
  return new Promise<T>((good, bad) => {
    signal.addEventListener('abort', () => {
      if (--mine.users === 0 && !mine.done) {
        if (cache.get(key) === mine) cache.delete(key);
        mine.abort.abort();
      }
      bad(new DOMException('aborted', 'AbortError'));
    }, { once: true });
    (mine.value as Promise<T>).then(good, bad);
  });
}

const post = <T>(path: string, fields: Record<string, string>, signal: AbortSignal) =>
  data<T>(path, { body: new URLSearchParams(fields), signal });

export function range(expr: string, grid: Grid, signal?: AbortSignal): Promise<Matrix> {
  const fields = { query: expr, start: String(grid.from), end: String(grid.to), step: String(grid.step) };
  return shared(`r ${Object.values(fields).join(' ')}`, signal, async (s) =>
    onGrid((await post<{ result: RawSeries[] }>('api/v1/query_range', fields, s)).result, grid),
  );
}

type RawVector =
  | { resultType: 'vector'; result: { metric: Labels; value: [number, string] }[] }
  | { resultType: 'scalar'; result: [number, string] };

export function instantQuery(expr: string, at: number, signal?: AbortSignal): Promise<Sample[]> {
  const fields = { query: expr, time: String(at) };
  return shared(`i ${at} ${expr}`, signal, async (s) => {
    const answer = await post<RawVector>('api/v1/query', fields, s);
    if (answer.resultType === 'scalar') return [{ labels: {}, v: Number(answer.result[1]) }];
    return (answer.result ?? []).map((r) => ({ labels: r.metric, v: Number(r.value?.[1] ?? NaN) }));
  });
}
