// What every board has: the variables that travel along its links, deploys and alerts as annotations, a
// link back to Farol. A board is data (see boards/*.ts); build() makes Grafana's JSON of it.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { deploys } from './promql';
import { COLOUR, SOURCE, farolUrl, link, oneLine, type Page } from './panels';

/** Variables that a board shows; the others are there, hidden, so that links carry them. */
export type Variable = 'stage' | 'model_version' | 'cohort' | 'segment';

export interface Row {
  title: string;
  /** Lower rows are closed until somebody opens them. */
  closed?: boolean;
  /** One copy of the row for each value of a variable. */
  repeat?: Variable;
  panels: Builder<dashboard.Panel>[];
}

export interface Board {
  uid: string;
  /** Where the JSON is committed, from the root of the repository. */
  file: string;
  title: string;
  pt: string;
  en: string;
  page: Page;
  from: string;
  shows: Variable[];
  rows: Row[];
}

const VARIABLES: { name: Variable; label: string; query: string; all: boolean }[] = [
  { name: 'stage', label: 'Etapa', query: 'label_values(pix_stage_entered_total, stage)', all: true },
  { name: 'model_version', label: 'Versão do modelo', query: 'label_values(fraud_decisions_total, model_version)',
    all: true },
  { name: 'cohort', label: 'Coorte', query: 'label_values(fraud_cohort_n, cohort)', all: false },
  { name: 'segment', label: 'Segmento', query: 'label_values(pix_sla_segment_seconds_count, segment)', all: true },
];

function variables(board: Board): Builder<dashboard.VariableModel>[] {
  const source = new dashboard.DatasourceVariableBuilder('datasource').label('Fonte de dados').type('prometheus')
    .description('Farol, ou um Prometheus que guarda as séries dele.')
    .current({ selected: true, text: 'Farol', value: 'farol' });
  const farol = new dashboard.TextBoxVariableBuilder('farol').label('Endereço do Farol')
    .description('Para os links de volta, como o navegador o alcança.')
    .defaultValue('http://127.0.0.1:9480').hide(dashboard.VariableHide.HideVariable)
    .current({ selected: true, text: 'http://127.0.0.1:9480', value: 'http://127.0.0.1:9480' });
  const queried = VARIABLES.map((v) => {
    const b = new dashboard.QueryVariableBuilder(v.name).label(v.label).datasource(SOURCE)
      .query({ query: v.query, refId: v.name, qryType: 1 }).definition(v.query)
      .refresh(dashboard.VariableRefresh.OnTimeRangeChanged).sort(dashboard.VariableSort.AlphabeticalAsc)
      .hide(board.shows.includes(v.name) ? dashboard.VariableHide.DontHide : dashboard.VariableHide.HideVariable);
    return v.all
      ? b.multi(true).includeAll(true).allValue('.*').current({ selected: true, text: ['All'], value: ['$__all'] })
      : b.multi(false).includeAll(false).current({ selected: true, text: 'd0', value: 'd0' });
  });
  return [source, ...queried, farol];
}

function annotations(): Builder<dashboard.AnnotationQuery>[] {
  const of = (name: string, colour: string) => new dashboard.AnnotationQueryBuilder().name(name).datasource(SOURCE)
    .enable(true).hide(false).iconColor(colour);
  return [
    of('Deploys', COLOUR.blue).expr(oneLine(deploys)).step('15s').useValueForTime(true)
      .titleFormat('Deploy: {{stage}} {{version}}').textFormat('Primeira vez que a versão foi vista na etapa.')
      .tagKeys('stage,version'),
    of('Alertas S1', COLOUR.crit)
      .expr('max by (alertname, pillar) (ALERTS{alertstate="firing",severity="S1"})').step('15s')
      .titleFormat('{{alertname}}').textFormat('Alerta S1 disparado, pilar {{pillar}}.').tagKeys('alertname,pillar'),
  ];
}

export function build(board: Board): dashboard.Dashboard {
  const d = new dashboard.DashboardBuilder(board.title).uid(board.uid)
    .description(`${board.pt}\n\n${board.en}`)
    .tags(['farol', 'pix']).timezone('browser').editable().tooltip(dashboard.DashboardCursorSync.Crosshair)
    .time({ from: board.from, to: 'now' }).refresh('10s').variables(variables(board)).annotations(annotations())
    .links([
      link('Abrir no Farol', farolUrl(board.page), true).tooltip('A mesma hora na interface do Farol'),
      new dashboard.DashboardLinkBuilder('Painéis do Farol').type(dashboard.DashboardLinkType.Dashboards)
        .tags(['farol']).asDropdown(true).includeVars(true).keepTime(true),
    ]);
  for (const row of board.rows) {
    const r = new dashboard.RowBuilder(row.title);
    if (row.repeat) r.repeat(row.repeat);
    if (row.closed) row.panels.forEach((p) => r.withPanel(p));
    d.withRow(r);
    if (!row.closed) row.panels.forEach((p) => d.withPanel(p));
  }
  return finished(d.build());
}

/** What the SDK for Grafana 11.6 writes. A newer Grafana brings it up to its own; an older need not know a newer one. */
const SCHEMA = 41;

/** Ids in the order of the board: the SDK gives none. And links where they are seen: it hides them in a menu. */
function finished(board: dashboard.Dashboard): dashboard.Dashboard {
  let id = 0;
  board.schemaVersion = SCHEMA;
  const number = (panel: dashboard.Panel | dashboard.RowPanel): void => {
    panel.id = ++id;
    if ('panels' in panel) panel.panels.forEach(number);
    else panel.links?.forEach(seen);
  };
  board.panels?.forEach(number);
  board.links?.forEach(seen);
  board.annotations.list?.forEach(seen);
  return board;
}

function seen(thing: { placement?: unknown }): void {
  delete thing.placement;
}
