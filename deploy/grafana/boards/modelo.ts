// 2 Modelo: how good the decisions are as labels tell it, what the scores do, and what the model sees.
import type { Board } from '../lib/board';
import { COLOUR, UNIT, bars, cells, heatmap, lines, q, stat, table, type Query } from '../lib/panels';
import { W, buckets, decided, fallbackShare, figure, missing, objective, orZero, quantile, share, verdictShare } from '../lib/promql';

const page = 'modelo' as const;
const VERSION = '{model_version=~"$model_version"}';
const BAND: [string, string] = ['IC 95% inferior', 'IC 95% superior'];

/** A figure, its interval and, when there is one, its objective. */
const withInterval = (name: string, legend: string): Query[] => [
  q(figure(name, 'value'), legend), q(figure(name, 'lo'), BAND[0]), q(figure(name, 'hi'), BAND[1]),
];
const byCohort = (name: string): string => `max by (cohort) (fraud_model_${name}{bound="value"})`;

export const modelo: Board = {
  uid: 'farol-modelo',
  file: 'model/dashboards/2-modelo.json',
  title: '2 Farol / Modelo',
  pt: 'Qualidade das decisões conforme os rótulos chegam, escores, desvio das variáveis e contingência.',
  en: 'Quality of decisions as labels arrive, scores, drift of features, fallbacks.',
  page,
  from: 'now-1h',
  shows: ['model_version', 'cohort'],
  rows: [
    {
      title: 'Qualidade e maturidade dos rótulos',
      panels: [
        lines({
          title: 'Precisão, com intervalo', w: 8, unit: UNIT.share, max: 1, page, band: BAND, dashed: ['objetivo'],
          pt: 'Das decisões positivas com veredito, a parte que era fraude; intervalo de Wilson de 95% e objetivo.',
          en: 'Of positive decisions with a verdict, the part that was fraud; 95% Wilson interval and objective.',
          of: [...withInterval('precision_judged', 'precisão'), q(objective('precision'), 'objetivo')],
        }),
        lines({
          title: 'Revocação, com intervalo', w: 8, unit: UNIT.share, max: 1, page, band: BAND,
          pt: 'Das fraudes conhecidas, a parte que o modelo pegou; intervalo de Wilson de 95%. Coortes novas a superestimam: a fraude não contestada ainda conta como legítima.',
          en: 'Of known fraud, the part that was caught; 95% Wilson interval. Young cohorts overstate it.',
          of: withInterval('recall', 'revocação'),
        }),
        lines({
          title: 'F1 e precisão média (PR-AUC)', w: 8, unit: UNIT.share, max: 1, page, dashed: ['F1 ', 'PR-AUC '],
          pt: 'F1 e precisão média com os intervalos de 95% (linhas tracejadas).',
          en: 'F1 and average precision with their 95% intervals (dashed).',
          of: [['f1', 'F1'], ['average_precision', 'PR-AUC']].flatMap(([name = '', legend = '']) => [
            q(figure(name, 'value'), legend), q(figure(name, 'lo'), `${legend} inferior`), q(figure(name, 'hi'), `${legend} superior`),
          ]),
        }),
        table({
          title: 'Figuras por coorte: do dia novo ao maduro', w: 12, unit: UNIT.share, decimals: 3, page,
          pt: 'd0 é o dia mais novo, com os rótulos até agora; d1, d7, d30 e mature são dias lidos com essa idade. Compare colunas só entre coortes da mesma idade.',
          en: 'd0 is the newest day with the labels so far; d1, d7, d30 and mature are days read at that age.',
          of: [q(byCohort('precision_judged')), q(byCohort('recall')), q(byCohort('f1')), q(byCohort('average_precision')),
            q(byCohort('ece')), q('max by (cohort) (fraud_cohort_n)'), q('max by (cohort) (fraud_cohort_judged)')],
          transformations: [
            { id: 'merge', options: {} },
            { id: 'organize', options: {
              excludeByName: { Time: true },
              renameByName: { cohort: 'coorte', 'Value #A': 'precisão', 'Value #B': 'revocação', 'Value #C': 'F1',
                'Value #D': 'PR-AUC', 'Value #E': 'ECE', 'Value #F': 'decisões', 'Value #G': 'com veredito' },
            } },
          ],
        }).overrideByName('decisões', [{ id: 'unit', value: UNIT.count }])
          .overrideByName('com veredito', [{ id: 'unit', value: UNIT.count }]),
        lines({
          title: 'Maturidade dos rótulos', w: 6, unit: UNIT.share, min: 0, max: 1, page,
          pt: 'Das decisões positivas da coorte, a parte que já tem veredito. Enquanto é baixa, precisão e revocação ainda mudam.',
          en: 'Of the positive decisions of the cohort, the part that has a verdict. While it is low the figures still move.',
          of: [q(share('sum(fraud_cohort_judged{cohort="$cohort"})',
            '(sum(fraud_cohort_judged{cohort="$cohort"}) + sum(fraud_blocked_unverified{cohort="$cohort"}))'), 'com veredito')],
        }),
        lines({
          title: 'Atraso dos rótulos', w: 6, unit: UNIT.seconds, min: 0, page,
          pt: 'Da decisão ao rótulo: p50 e p95 dos rótulos da última hora.',
          en: 'From decision to label: p50 and p95 of the labels of the last hour.',
          of: [0.5, 0.95].map((n) => q(`histogram_quantile(${n}, sum by (le) (rate(fraud_label_delay_seconds_bucket[1h])))`, `p${n * 100}`)),
        }),
      ],
    },
    {
      title: 'Escore e decisões',
      panels: [
        heatmap({
          title: 'Distribuição do escore', w: 12, unit: UNIT.whole, page,
          pt: 'Decisões por faixa de escore ao longo do tempo. Massa nova perto do limiar é o que muda retenções.',
          en: 'Decisions by band of score over time. New mass near the threshold is what changes holds.',
          of: [q(buckets('fraud_score', VERSION))],
        }),
        lines({
          title: 'Quantis do escore e limiar', w: 12, unit: UNIT.whole, min: 0, max: 1, page, dashed: ['limiar'],
          pt: 'p50, p90 e p99 do escore, e o limiar em uso por versão.',
          en: 'p50, p90 and p99 of the score, and the threshold in use by version.',
          of: [...[0.5, 0.9, 0.99].map((n) => q(quantile(n, 'fraud_score', [], VERSION), `p${n * 100}`)),
            q(`max by (model_version) (fraud_threshold${VERSION})`, 'limiar {{model_version}}')],
        }),
        lines({
          title: 'Parcela de cada decisão', w: 8, unit: UNIT.share, min: 0, page,
          pt: 'Retidas (hold), verificação extra (step_up), negadas e bloqueio cautelar, sobre todas as decisões.',
          en: 'Held, stepped up, denied and precautionary block, over all decisions.',
          of: [q(verdictShare('hold'), 'retidas'), q(verdictShare('step_up'), 'verificação extra'),
            q(verdictShare('deny'), 'negadas'), q(verdictShare('cautelar_block'), 'bloqueio cautelar')],
        }),
        lines({
          title: 'Contingência (fallback)', w: 8, unit: UNIT.share, min: 0, page,
          limits: [{ at: 0.005, colour: COLOUR.warn }],
          pt: 'Decisões tomadas sem o modelo completo, e as aprovadas assim. Linha: 0,5% de aprovadas, o limite do alerta FraudFailOpen.',
          en: 'Decisions taken on a fallback, and those of them approved. Line: 0.5% approved, the limit of FraudFailOpen.',
          of: [q(fallbackShare, 'em contingência'),
            q(share(orZero('sum(rate(fraud_decisions_total{decision="approve",fallback!="none",model_version=~"$model_version"}' + W + '))', decided), decided), 'aprovadas em contingência')],
        }),
        lines({
          title: 'Erro de calibração (ECE)', w: 8, unit: UNIT.whole, min: 0, decimals: 3, page, band: BAND,
          pt: 'Diferença média entre escore e frequência de fraude em dez faixas iguais, com intervalo de 95%.',
          en: 'Mean difference between score and share of fraud in ten equal bands, with 95% interval.',
          of: withInterval('ece', 'ECE'),
        }),
      ],
    },
    {
      title: 'Desvio das variáveis',
      panels: [
        cells({
          title: 'Ausência além do habitual, por variável', w: 16, h: 12, unit: UNIT.share, page,
          limits: [{ at: 0.05, colour: COLOUR.warn }, { at: 0.2, colour: COLOUR.crit }],
          pt: 'Nulos e valores padrão de cada variável menos o habitual dela. Limites: 5% e 20%, os dos alertas FraudFeatureDefaults e FraudFeatureNulls. O PSI ainda não tem série.',
          en: 'Nulls and defaults of each feature less what is usual for it. Limits: those of the alerts. There is no PSI series yet.',
          of: [q(missing, '{{feature}}')],
        }),
        bars({
          title: 'As 10 piores agora', w: 8, h: 12, unit: UNIT.share, page,
          limits: [{ at: 0.05, colour: COLOUR.warn }, { at: 0.2, colour: COLOUR.crit }],
          pt: 'As dez variáveis com mais nulos e valores padrão além do habitual neste momento.',
          en: 'The ten features with most nulls and defaults beyond the usual, now.',
          of: [q(`sort_desc(topk(10, ${missing}))`, '{{feature}}')],
        }),
        lines({
          title: 'Mudança de escala das variáveis', w: 24, unit: UNIT.decades, min: 0, page,
          limits: [{ at: 1.7, colour: COLOUR.crit }],
          pt: 'Distância da média de log10 do último minuto até a da última hora. Perto de 2 ou 3 é troca de unidade (centavos por reais, milissegundos por segundos).',
          en: 'Distance of the last minute\'s mean log10 from that of the last hour. Near 2 or 3 is a change of unit.',
          of: [q(`abs(max by (feature) (fraud_feature_log10_mean) - on (feature)
            max by (feature) (avg_over_time(fraud_feature_log10_mean[1h] offset 2m)))`, '{{feature}}')],
        }),
      ],
    },
    {
      title: 'Versões, rótulos e latência do modelo',
      closed: true,
      panels: [
        lines({
          title: 'Decisões por versão', w: 12, unit: UNIT.tx, min: 0, stack: 'normal', page,
          pt: 'Decisões por segundo de cada versão do modelo.',
          en: 'Decisions per second of each version of the model.',
          of: [q(`sum by (model_version) (rate(fraud_decisions_total${VERSION}${W}))`, '{{model_version}}')],
        }),
        table({
          title: 'Modelos em uso', w: 12, unit: UNIT.whole, page,
          pt: 'Modelos que decidiram no último minuto, com o SHA-256 do arquivo. Dois SHA da mesma versão são o alerta FraudMixedModels.',
          en: 'Models that took decisions in the last minute, with the SHA-256 of the file.',
          of: [q('max by (model, version, sha256) (fraud_model_info)')],
          transformations: [{ id: 'organize', options: {
            excludeByName: { Time: true, Value: true }, renameByName: { model: 'modelo', version: 'versão', sha256: 'SHA-256' },
          } }],
        }),
        lines({
          title: 'Latência do modelo', w: 8, unit: UNIT.seconds, min: 0, page,
          limits: [{ at: 0.15, colour: COLOUR.warn }],
          pt: 'Tempo que o modelo levou, como as decisões o trazem: p50 e p99. Linha: 150 ms, o limite do alerta FraudModelSlow.',
          en: 'Time the model took, as decisions report it: p50 and p99. Line: 150 ms, the limit of FraudModelSlow.',
          of: [0.5, 0.99].map((n) => q(quantile(n, 'fraud_score_seconds', [], VERSION), `p${n * 100}`)),
        }),
        lines({
          title: 'Rótulos que chegam', w: 8, unit: UNIT.perSecond, min: 0, stack: 'normal', page,
          pt: 'Rótulos por segundo, por valor e origem. Parar é o alerta FraudLabelsStopped.',
          en: 'Labels per second by value and source. When they stop, FraudLabelsStopped fires.',
          of: [q(`sum by (label, source) (rate(fraud_labels_total${W}))`, '{{label}} · {{source}}')],
        }),
        lines({
          title: 'Previsto × verdadeiro', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Rótulos ligados à decisão deles: o que foi previsto e o que era.',
          en: 'Labels joined to their decision: what was predicted and what it was.',
          of: [q(`sum by (predicted, label) (rate(fraud_judged_total${W}))`, '{{predicted}} → {{label}}')],
        }),
        stat({
          title: 'Rótulos sem decisão', w: 24, unit: UNIT.count, page,
          pt: 'Rótulos que esperam a decisão deles, e os deixados de fora por motivo desde o início. Duplicados são normais.',
          en: 'Labels that wait for their decision, and those left out by reason since the start.',
          of: [q('sum(fraud_labels_unmatched)', 'esperando'), q('sum by (reason) (fraud_labels_dropped_total)', 'fora: {{reason}}')],
        }),
      ],
    },
  ],
};
