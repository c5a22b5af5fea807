// The last value of every rule against its limit. Many small questions travel as a few large ones:
// each is marked with a label and they are joined with `or`; where a large one fails, its parts are
// asked alone.
import { data, type Rule } from '../../lib/api';
import { instantQuery } from '../../lib/prom';
import { useRead } from '../../lib/query.svelte';
import type { Sample } from '../../lib/series';
import { judge, type Judged } from './judge';
import { conditions, type Condition, type Node } from './promql';

const trees = new Map<string, Promise<Condition[]>>();
/** The comparisons of an expression; none where it has none or they cannot be written back. */
export function compared(expr: string): Promise<Condition[]> {
  let known = trees.get(expr);
  if (!known) {
    known = data<Node>('api/v1/parse_query', { body: new URLSearchParams({ query: expr }) }).then((tree) => {
      try {
        return conditions(tree);
      } catch {
        return [];
      }
    });
    known.catch(() => trees.delete(expr));
    trees.set(expr, known);
  }
  return known;
}

const MARK = 'farol_of';
const TOGETHER = 10;
type Answers = Map<number, Sample[] | null>;

async function askAll(exprs: string[], at: number, signal: AbortSignal): Promise<Answers> {
  const out: Answers = new Map();
  const parts = Array.from({ length: Math.ceil(exprs.length / TOGETHER) }, (_, i) => i * TOGETHER);
  const marked = (i: number) => `label_replace(${exprs[i]}, "${MARK}", "${i}", "", "")`;
  await Promise.all(
    parts.map(async (from) => {
      const ids = exprs.slice(from, from + TOGETHER).map((_, k) => from + k);
      try {
        for (const i of ids) out.set(i, []);
        for (const s of await instantQuery(ids.map(marked).join(' or '), at, signal)) {
          const { [MARK]: of, ...labels } = s.labels;
          out.get(Number(of))?.push({ labels, v: s.v });
        }
      } catch (e) {
        if (signal.aborted) throw e;
        await Promise.all(ids.map(async (i) => out.set(i, await instantQuery(exprs[i], at, signal).catch(() => null))));
      }
    }),
  );
  return out;
}

/** Every condition of each rule; `first` asks only for the leading one (lists). */
async function judgeAll(rules: Rule[], at: number, first: boolean, signal: AbortSignal): Promise<Map<string, Judged[]>> {
  const conds = await Promise.all(rules.map((r) => compared(r.query).catch(() => [] as Condition[])));
  const flat = conds.flatMap((list, i) => (first ? list.slice(0, 1) : list).map((cond) => ({ name: rules[i].name, cond, more: first ? list.length - 1 : 0 })));
  const exprs: string[] = [];
  const places = flat.map(({ cond }) => ({
    value: exprs.push(cond.value) - 1,
    limit: cond.limit == null ? exprs.push(cond.threshold) - 1 : -1,
  }));
  const answers = await askAll(exprs, at, signal);
  const out = new Map<string, Judged[]>();
  flat.forEach(({ name, cond, more }, i) => {
    const judged = { ...judge(cond, answers.get(places[i].value), places[i].limit < 0 ? [] : answers.get(places[i].limit)), more };
    out.set(name, [...(out.get(name) ?? []), judged]);
  });
  return out;
}

export const useJudged = (rules: () => Rule[], at: () => number, first = true) =>
  useRead(
    () => [rules(), at()],
    (signal) => (rules().length ? judgeAll(rules(), at(), first, signal) : undefined),
  );
