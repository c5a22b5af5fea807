import type { pt } from './pt';

export const en: typeof pt = {
  hint: 'Write PromQL: Enter runs, Shift+Enter breaks the line',
  options: 'Suggestions', at: (line, column) => `line ${line}, column ${column}`,
  query: (n) => `Query ${n}`,
  run: 'Run', format: 'Format', remove: 'Remove query', add: 'Add query', show: 'Show', hide: 'Hide',
  history: 'History', noHistory: 'No query yet.', clear: 'Clear history',
  view: 'How to show it',
  views: { grafico: 'Chart', tabela: 'Table', mapa: 'Heatmap', numero: 'Number' },
  explain: 'Explain', explainTotals: (t, s, n, b) => `${t} · ${s} series · ${n} samples · ${b}`,
  series: (n) => `${n} series`, samples: (n) => `${n} samples`, matched: (n) => `${n} matched`,
  ways: { newest_sample: 'newest only', no_buckets: 'no buckets', same_times: 'same times', running_windows: 'running window', once: 'once', streamed: 'streamed', whole_rows: 'whole rows', parallel: 'parallel' },
  copyAs: 'Copy as', copyLink: 'Link', copyGrafana: 'Grafana panel',
  empty: 'Write a query', emptyText: 'Metrics, labels and functions complete with what the server has. For example:',
  none: 'The query found nothing in this range.',
  found: (n, t) => `${n} series in ${t}`,
  name: 'Series', last: 'last', min: 'min', mean: 'mean', max: 'max', value: 'value now',
  cut: (n, of) => `showing ${n} of ${of} series`,
};
