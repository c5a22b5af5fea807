// A query as others take it, and answers as rows. Pure.
import type { Labels, Series } from '../../lib/series';

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

export type Asked = { expr: string; from: number; to: number; step: number };

export const asCurl = (base: string, { expr, from, to, step }: Asked): string =>
  `curl -sS ${quote(`${base}api/v1/query_range`)} --data-urlencode ${quote(`query=${expr}`)} -d start=${from} -d end=${to} -d step=${step}`;

export const asCli = (base: string, { expr, from, to, step }: Asked): string =>
  `farol query --url ${quote(base.replace(/\/$/, ''))} --range ${to - from}s --step ${step}s ${quote(expr)}`;

/** A panel as Grafana's editor takes it by paste (panel JSON). */
export function asGrafana(exprs: string[], view: string): string {
  const type = { tabela: 'table', mapa: 'heatmap', numero: 'stat' }[view] ?? 'timeseries';
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  return JSON.stringify(
    {
      title: exprs[0],
      type,
      datasource,
      gridPos: { h: 8, w: 12, x: 0, y: 0 },
      targets: exprs.map((expr, i) => ({ refId: String.fromCharCode(65 + i), expr, datasource, range: type !== 'table', instant: type === 'table' })),
    },
    null,
    2,
  );
}

/** `name{a="x", b="y"}` as PromQL writes it. */
export function seriesName(labels: Labels, hide: string[] = []): string {
  const { __name__: name = '', ...rest } = labels;
  const pairs = Object.entries(rest).filter(([k]) => !hide.includes(k)).map(([k, v]) => `${k}=${JSON.stringify(v)}`);
  return pairs.length ? `${name}{${pairs.join(', ')}}` : name || '{}';
}

/** Labels that are the same in every series say nothing in a legend. */
export function constantLabels(series: { labels: Labels }[]): string[] {
  if (series.length < 2) return [];
  return Object.keys(series[0].labels).filter((k) => k !== '__name__' && series.every((s) => s.labels[k] === series[0].labels[k]));
}

export type Summary = { last: number | null; min: number | null; max: number | null; mean: number | null };
export function summary(v: Series['v']): Summary {
  let [n, sum] = [0, 0];
  let [min, max, last]: (number | null)[] = [null, null, null];
  for (const x of v) {
    if (x == null) continue;
    n++;
    sum += x;
    min = min == null || x < min ? x : min;
    max = max == null || x > max ? x : max;
    last = x;
  }
  return { last, min, max, mean: n ? sum / n : null };
}

/** Newest first, each once, at most `keep`. */
export function remember(list: string[], expr: string, keep = 50): string[] {
  const text = expr.trim();
  return text ? [text, ...list.filter((x) => x !== text)].slice(0, keep) : list;
}
