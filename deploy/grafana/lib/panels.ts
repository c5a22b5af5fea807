// The kinds of panels that the boards use, with Farol's looks: grey is normal, colour is state, every
// panel has a unit, a description in both languages and a link to the page of Farol that says more.
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import * as bargauge from '@grafana/grafana-foundation-sdk/bargauge';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as heat from '@grafana/grafana-foundation-sdk/heatmap';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as statpanel from '@grafana/grafana-foundation-sdk/stat';
import * as statetimeline from '@grafana/grafana-foundation-sdk/statetimeline';
import * as statushistory from '@grafana/grafana-foundation-sdk/statushistory';
import * as tablepanel from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import * as units from '@grafana/grafana-foundation-sdk/units';

export const SOURCE: common.DataSourceRef = { type: 'prometheus', uid: '${datasource}' };

export const COLOUR = { ok: '#8e8e8e', warn: '#e0a030', crit: '#e0455e', blue: '#5794f2', band: '#7b8db0' } as const;

/** Units of Grafana's own list, and `suffix:` for what it has no word for. */
export const UNIT = {
  tx: 'suffix:tx/s',
  perSecond: units.CountsPerSecond,
  count: units.Short,
  whole: units.NoUnit,
  share: units.PercentUnit,
  seconds: units.Seconds,
  bytes: units.BytesIEC,
  money: units.Real,
  times: 'suffix:×',
  decades: 'suffix:décadas',
} as const;

export type Page = 'visao' | 'pipeline' | 'modelo' | 'alertas' | 'monitor';
const PAGES: Record<Page, string> = {
  visao: 'Visão geral', pipeline: 'Pipeline', modelo: 'Modelo', alertas: 'Alertas', monitor: 'Este monitor',
};

export interface Query {
  expr: string;
  legend?: string;
}
export const q = (expr: string, legend?: string): Query => (legend === undefined ? { expr } : { expr, legend });

/** A limit that is drawn, and what is above (or below) it. */
export interface Limit {
  at: number;
  colour: string;
}

export interface Spec {
  title: string;
  pt: string;
  en: string;
  unit: string;
  page: Page;
  /** uid of the board that says more, if any. */
  drill?: { uid: string; title: string };
  w: number;
  h?: number;
  of: Query[];
  min?: number;
  max?: number;
  decimals?: number;
  limits?: Limit[];
  noValue?: string;
}

export const oneLine = (expr: string): string => expr.replace(/\s+/g, ' ').trim();

type Format = { format: prometheus.PromQueryFormat; instant: boolean };
const RANGE: Format = { format: prometheus.PromQueryFormat.TimeSeries, instant: false };
const NOW: Format = { format: prometheus.PromQueryFormat.TimeSeries, instant: true };

function target(query: Query, index: number, how: Format): prometheus.DataqueryBuilder {
  const t = new prometheus.DataqueryBuilder()
    .datasource(SOURCE)
    .editorMode(prometheus.QueryEditorMode.Code)
    .refId(String.fromCharCode(65 + index))
    .expr(oneLine(query.expr))
    .format(how.format)
    .legendFormat(query.legend ?? '__auto');
  return how.instant ? t.instant() : t.range();
}

export const link = (title: string, url: string, blank: boolean): dashboard.DashboardLinkBuilder =>
  new dashboard.DashboardLinkBuilder(title).type(dashboard.DashboardLinkType.Link).icon('external link').url(url)
    .targetBlank(blank);

/** The page of Farol for the same time. */
export const farolUrl = (page: Page): string =>
  '${farol}/#/' + page + '?de=${__from:date:iso}&ate=${__to:date:iso}';

/** What all kinds of panels of the SDK have in common. */
interface Panel extends Builder<dashboard.Panel> {
  title(text: string): this;
  description(text: string): this;
  datasource(ref: common.DataSourceRef): this;
  unit(unit: string): this;
  span(w: number): this;
  height(h: number): this;
  min(value: number): this;
  max(value: number): this;
  decimals(n: number): this;
  noValue(text: string): this;
  links(links: Builder<dashboard.DashboardLink>[]): this;
  thresholds(thresholds: Builder<dashboard.ThresholdsConfig>): this;
  colorScheme(color: Builder<dashboard.FieldColor>): this;
  withTarget(target: Builder<Dataquery>): this;
}

function dress<P extends Panel>(panel: P, spec: Spec, how: Format): P {
  const links = [link(`Ver no Farol: ${PAGES[spec.page]}`, farolUrl(spec.page), true)];
  if (spec.drill) {
    const url = '/d/' + spec.drill.uid + '?${__url_time_range}&${__all_variables}';
    links.push(link(`Detalhe: ${spec.drill.title}`, url, false));
  }
  panel.title(spec.title).description(`${spec.pt}\n\n*${spec.en}*`).datasource(SOURCE).unit(spec.unit)
    .span(spec.w).height(spec.h ?? 8).links(links).noValue(spec.noValue ?? 'sem dados');
  if (spec.min !== undefined) panel.min(spec.min);
  if (spec.max !== undefined) panel.max(spec.max);
  if (spec.decimals !== undefined) panel.decimals(spec.decimals);
  if (spec.limits) panel.thresholds(steps(spec.limits));
  spec.of.forEach((query, i) => panel.withTarget(target(query, i, how)));
  return panel;
}

export const steps = (limits: Limit[], base: string = COLOUR.ok): dashboard.ThresholdsConfigBuilder =>
  new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute)
    .steps([{ value: null, color: base }, ...limits.map((l) => ({ value: l.at, color: l.colour }))]);

const scheme = (mode: dashboard.FieldColorModeId): dashboard.FieldColorBuilder =>
  new dashboard.FieldColorBuilder().mode(mode);

export interface Lines extends Spec {
  stack?: 'normal' | 'percent';
  bars?: boolean;
  log?: boolean;
  /** Names of the lower and the upper line of an interval: the space between is filled. */
  band?: [lower: string, upper: string];
  /** Beginnings of the names of lines that are drawn dashed: objectives, bounds. */
  dashed?: string[];
}

/** Lines over time. Limits are drawn dashed. */
export function lines(spec: Lines): timeseries.PanelBuilder {
  const p = dress(new timeseries.PanelBuilder(), spec, RANGE)
    .lineWidth(1.5)
    .fillOpacity(spec.stack ? 25 : 0)
    .showPoints(common.VisibilityMode.Never)
    .spanNulls(false)
    .legend(new common.VizLegendOptionsBuilder().showLegend(true).displayMode(common.LegendDisplayMode.List)
      .placement(common.LegendPlacement.Bottom).calcs(['lastNotNull']))
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi)
      .sort(common.SortOrder.Descending));
  if (spec.bars) p.drawStyle(common.GraphDrawStyle.Bars).fillOpacity(60).lineWidth(0);
  if (spec.log) {
    p.scaleDistribution(new common.ScaleDistributionConfigBuilder().type(common.ScaleDistribution.Log).log(10));
  }
  if (spec.stack) {
    const mode = spec.stack === 'percent' ? common.StackingMode.Percent : common.StackingMode.Normal;
    p.stacking(new common.StackingConfigBuilder().mode(mode).group('A'));
  }
  if (spec.limits) {
    p.thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  }
  if (spec.band) drawBand(p, ...spec.band);
  for (const name of spec.dashed ?? []) {
    p.overrideByRegexp(`/^${name}/`, [{ id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 6] } }]);
  }
  return p;
}

function drawBand(p: timeseries.PanelBuilder, lower: string, upper: string): void {
  const quiet = [
    { id: 'custom.lineWidth', value: 0 },
    { id: 'color', value: { mode: 'fixed', fixedColor: COLOUR.band } },
  ];
  p.overrideByName(lower, quiet);
  p.overrideByName(upper, [
    ...quiet,
    { id: 'custom.fillBelowTo', value: lower },
    { id: 'custom.fillOpacity', value: 25 },
  ]);
}

/** Numbers of now; grey unless a limit is passed. */
export function stat(spec: Spec & { spark?: boolean }): statpanel.PanelBuilder {
  return dress(new statpanel.PanelBuilder(), { h: 4, ...spec }, spec.spark ? RANGE : NOW)
    .thresholds(steps(spec.limits ?? []))
    .colorScheme(scheme(dashboard.FieldColorModeId.Thresholds))
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(spec.spark ? common.BigValueGraphMode.Area : common.BigValueGraphMode.None)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false));
}

/** One bar for each series, of now. */
export function bars(spec: Spec): bargauge.PanelBuilder {
  return dress(new bargauge.PanelBuilder(), spec, NOW)
    .thresholds(steps(spec.limits ?? []))
    .colorScheme(scheme(dashboard.FieldColorModeId.Thresholds))
    .displayMode(common.BarGaugeDisplayMode.Basic)
    .orientation(common.VizOrientation.Horizontal)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false));
}

/** Counts per bucket over time; of is one query with the label `le`. */
export function heatmap(spec: Spec): heat.PanelBuilder {
  const how = { format: prometheus.PromQueryFormat.Heatmap, instant: false };
  const query = spec.of.map((o) => ({ expr: o.expr, legend: '{{le}}' }));
  return dress(new heat.PanelBuilder(), { ...spec, unit: UNIT.count, of: query }, how)
    .interval('15s')
    .calculate(false)
    .color(new heat.HeatmapColorOptionsBuilder().mode(heat.HeatmapColorMode.Scheme).scheme('Blues').steps(32)
      .scale(heat.HeatmapColorScale.Exponential).exponent(0.5))
    .yAxis(new heat.YAxisConfigBuilder().unit(spec.unit).axisPlacement(common.AxisPlacement.Left))
    .cellValues(new heat.CellValuesBuilder().unit(UNIT.count))
    .tooltip(new heat.HeatmapTooltipBuilder().mode(common.TooltipDisplayMode.Single).yHistogram(true))
    .filterValues(new heat.FilterValueRangeBuilder().le(1e-9));
}

/** A row of cells for each series, coloured by limits. */
export function cells(spec: Spec): statushistory.PanelBuilder {
  return dress(new statushistory.PanelBuilder(), spec, RANGE)
    .interval('30s')
    .maxDataPoints(100)
    .thresholds(steps(spec.limits ?? []))
    .colorScheme(scheme(dashboard.FieldColorModeId.Thresholds))
    .showValue(common.VisibilityMode.Never)
    .rowHeight(0.9)
    .legend(new common.VizLegendOptionsBuilder().showLegend(true).displayMode(common.LegendDisplayMode.List)
      .placement(common.LegendPlacement.Bottom).calcs([]));
}

/** States over time: 0 ok, 1 atenção, 2 crítico; a gap is a gap. */
export function states(spec: Spec): statetimeline.PanelBuilder {
  const options = {
    '0': { text: '● ok', color: COLOUR.ok, index: 0 },
    '1': { text: '▲ atenção', color: COLOUR.warn, index: 1 },
    '2': { text: '■ crítico', color: COLOUR.crit, index: 2 },
  };
  return dress(new statetimeline.PanelBuilder(), spec, RANGE)
    .mappings([{ type: dashboard.MappingType.ValueToText, options }])
    .thresholds(steps([{ at: 1, colour: COLOUR.warn }, { at: 2, colour: COLOUR.crit }]))
    .colorScheme(scheme(dashboard.FieldColorModeId.Thresholds))
    .mergeValues(true)
    .showValue(common.VisibilityMode.Auto)
    .rowHeight(0.8);
}

export interface Table extends Spec {
  /** Rows out of the whole range instead of now. */
  range?: boolean;
  transformations: dashboard.DataTransformerConfig[];
}

export function table(spec: Table): tablepanel.PanelBuilder {
  const p = dress(new tablepanel.PanelBuilder(), spec, {
    format: spec.range ? prometheus.PromQueryFormat.TimeSeries : prometheus.PromQueryFormat.Table,
    instant: !spec.range,
  }).showHeader(true);
  for (const t of spec.transformations) p.withTransformation(t);
  return p;
}
