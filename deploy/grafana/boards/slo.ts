// 5 SLO: the limits of the Manual de Tempos as objectives, what is left of their budgets and how fast it goes.
import type { Board } from '../lib/board';
import { COLOUR, UNIT, lines, q, stat, table } from '../lib/panels';
import { W, overBudget } from '../lib/promql';

const page = 'visao' as const;
const OF = '{segment=~"$segment"}';
const burn = (window: string): string => `max by (segment) (pix:sla_over_budget:ratio${window}${OF})`;
const percentiles = (segment: string, of: number[]) => of.map((n) =>
  q(`histogram_quantile(${n}, sum by (le) (rate(pix_sla_segment_seconds_bucket{segment="${segment}"}${W})))`, `p${n * 100}`));
const LIMITS = [{ at: 1, colour: COLOUR.warn }, { at: 2, colour: COLOUR.crit }];

export const slo: Board = {
  uid: 'farol-slo',
  file: 'deploy/grafana/dashboards/5-slo.json',
  title: '5 Farol / SLO',
  pt: 'Objetivos do Manual de Tempos do Pix: 95% de t1−t0 até 1,5 s, 95% de t3−t2 até 2,3 s, 99% de t6a−t0 até 10 s; e o objetivo de precisão do modelo.',
  en: 'The limits of the Pix time manual as objectives, their error budgets, and the precision objective of the model.',
  page,
  from: 'now-6h',
  shows: ['segment', 'cohort'],
  rows: [
    {
      title: 'Orçamento de erro',
      panels: [
        stat({
          title: 'Resta no período', w: 8, h: 6, unit: UNIT.share, decimals: 1, page,
          pt: 'Orçamento de erro que resta contando só o período escolhido. Negativo: o percentil do período está acima do limite.',
          en: 'Error budget left counting the chosen range only. Negative: the range is over its limit.',
          of: [q(`1 - (${overBudget('[$__range]')})`, '{{segment}}')],
        }),
        stat({
          title: 'Resta em 6 h', w: 8, h: 6, unit: UNIT.share, decimals: 1, page,
          pt: 'Orçamento de erro que resta nas últimas 6 horas.',
          en: 'Error budget left over the last 6 hours.',
          of: [q(`1 - ${burn('6h')}`, '{{segment}}')],
        }),
        stat({
          title: 'Precisão: folga até o objetivo', w: 8, h: 6, unit: UNIT.share, decimals: 1, page: 'modelo',
          drill: { uid: 'farol-modelo', title: 'Modelo' },
          pt: 'Limite superior do intervalo de 95% da precisão menos o objetivo. Negativo: abaixo do objetivo com 95% de confiança.',
          en: 'Upper bound of the 95% interval of precision less the objective. Negative: below it with 95% confidence.',
          of: [q('max(fraud_model_precision_judged{cohort="$cohort",bound="hi"}) - max(fraud_objective{figure="precision"})', 'folga')],
        }),
      ],
    },
    {
      title: 'Ritmo de consumo, em várias janelas',
      panels: [
        ...(['5m', '30m', '6h'] as const).map((window) => lines({
          title: `Consumo em ${window.replace(/(\d+)/, '$1 ').replace(/m$/, 'min')}`, w: 8, unit: UNIT.times, min: 0, page, limits: LIMITS,
          pt: `Parte das amostras acima do limite nesta janela, sobre a parte que o percentil permite: 1 é o permitido. PixSlaFastBurn dispara com 5 min acima de 2 e 30 min acima de 1; PixSlaSlowBurn com 6 h e 30 min acima de 1.`,
          en: 'Share of samples over the limit in this window over the share that the percentile allows: 1 is just allowed.',
          of: [q(burn(window), '{{segment}}')],
        })),
        lines({
          title: 'Histórico do orçamento', w: 12, unit: UNIT.share, page, limits: [{ at: 0, colour: COLOUR.ok }],
          pt: 'O que restava do orçamento das 6 horas anteriores, em cada momento.',
          en: 'What was left of the budget of the 6 hours before each moment.',
          of: [q(`1 - ${burn('6h')}`, '{{segment}}')],
        }),
        table({
          title: 'Piores minutos', w: 12, unit: UNIT.times, decimals: 2, range: true, page,
          pt: 'Os dez minutos do período em que mais orçamento foi consumido. Só conta o que foi medido.',
          en: 'The ten minutes of the range in which most of the budget was used.',
          of: [q(overBudget('[1m]'), '{{segment}}')],
          transformations: [
            { id: 'seriesToRows', options: {} },
            { id: 'sortBy', options: { sort: [{ field: 'Value', desc: true }] } },
            { id: 'limit', options: { limitField: 10 } },
            { id: 'organize', options: { indexByName: { Time: 0, Metric: 1, Value: 2 },
              renameByName: { Time: 'minuto', Metric: 'segmento', Value: 'consumo' } } },
          ],
        }).interval('1m'),
      ],
    },
    {
      title: 'Percentis medidos e limites',
      panels: [
        lines({
          title: 'Iniciação no PSP pagador (t1−t0)', w: 8, unit: UNIT.seconds, min: 0, page,
          limits: [{ at: 0.9, colour: COLOUR.warn }, { at: 1.5, colour: COLOUR.crit }],
          pt: 'p50 (limite 0,9 s) e p95 (limite 1,5 s).',
          en: 'p50 (limit 0.9 s) and p95 (limit 1.5 s).',
          of: percentiles('t1_t0', [0.5, 0.95]),
        }),
        lines({
          title: 'Autorização no PSP recebedor (t3−t2)', w: 8, unit: UNIT.seconds, min: 0, page,
          limits: [{ at: 1.4, colour: COLOUR.warn }, { at: 2.3, colour: COLOUR.crit }],
          pt: 'p50 (limite 1,4 s) e p95 (limite 2,3 s).',
          en: 'p50 (limit 1.4 s) and p95 (limit 2.3 s).',
          of: percentiles('t3_t2', [0.5, 0.95]),
        }),
        lines({
          title: 'Experiência do pagador (t6a−t0)', w: 8, unit: UNIT.seconds, min: 0, page,
          limits: [{ at: 6, colour: COLOUR.warn }, { at: 10, colour: COLOUR.crit }],
          pt: 'p50 (limite 6 s) e p99 (limite 10 s).',
          en: 'p50 (limit 6 s) and p99 (limit 10 s).',
          of: percentiles('t6a_t0', [0.5, 0.99]),
        }),
        lines({
          title: 'Amostras que não puderam ser medidas', w: 24, h: 6, unit: UNIT.perSecond, min: 0, page,
          pt: 'Por motivo: relógio, duração negativa, início não visto, e isentas (retidas ou canal secundário têm outros limites). Uma cota que só conta o que se mede precisa disto ao lado.',
          en: 'By reason: clock, negative, start not seen, exempt. A budget of what was measured needs this beside it.',
          of: [q(`sum by (reason) (rate(pix_sla_invalid_total${W}))`, '{{reason}}')],
        }),
      ],
    },
  ],
};
