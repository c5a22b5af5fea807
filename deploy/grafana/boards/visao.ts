// 0 Visão geral: is it real, how bad, since when, where; each panel leads to the board that says more.
import type { Board } from '../lib/board';
import { COLOUR, UNIT, bars, lines, q, stat, states, table, type Spec } from '../lib/panels';
import { W, arrivals, expected, fallbackShare, figure, missing, modelState, objective, orZero, pipelineState, quantile,
  verdictShare } from '../lib/promql';

const pipeline: Pick<Spec, 'page' | 'drill'> = { page: 'pipeline', drill: { uid: 'farol-pipeline', title: 'Pipeline' } };
const model: Pick<Spec, 'page' | 'drill'> = { page: 'modelo', drill: { uid: 'farol-modelo', title: 'Modelo' } };
const slo: Pick<Spec, 'page' | 'drill'> = { page: 'visao', drill: { uid: 'farol-slo', title: 'SLO' } };

const approved = 'sum(increase(fraud_decisions_total{decision="approve"}[$__range]))';
const approvedWithout = 'sum(increase(fraud_decisions_total{decision="approve",fallback!="none"}[$__range]))';

export const visao: Board = {
  uid: 'farol-visao-geral',
  file: 'deploy/grafana/dashboards/0-visao-geral.json',
  title: '0 Farol / Visão geral',
  pt: 'O estado do Pix antifraude em uma tela: pilares, dinheiro, vazão, latência, precisão, orçamento de erro e alertas.',
  en: 'The state of the Pix fraud detection on one screen.',
  page: 'visao',
  from: 'now-1h',
  shows: ['cohort'],
  rows: [
    {
      title: 'Estado',
      panels: [
        states({
          title: 'Estado dos pilares', w: 12, h: 6, unit: UNIT.whole, page: 'visao',
          pt: 'Pelos alertas disparados: S1 é crítico, S2 é atenção. Sem tráfego ou sem regras avaliadas não há cor: ausência de dados não é normalidade. O pilar Infra entra quando o motor dele existir.',
          en: 'From firing alerts: S1 critical, S2 attention. Without traffic or evaluated rules there is no colour.',
          of: [q(pipelineState, 'Pipeline'), q(modelState, 'Modelo')],
        }),
        stat({
          title: 'R$ barrados no período', w: 4, h: 6, unit: UNIT.money, decimals: 1, ...model,
          pt: 'Valor das transações negadas ou bloqueadas (bloqueio cautelar) no período. Nem tudo é fraude confirmada: veja a precisão.',
          en: 'R$ of transactions denied or blocked in the range; not all of it is confirmed fraud.',
          of: [q('sum(increase(fraud_decision_brl_total{decision=~"deny|cautelar_block"}[$__range]))', 'barrados')],
        }),
        stat({
          title: 'R$ em risco no período (estimativa)', w: 4, h: 6, unit: UNIT.money, decimals: 1, ...model,
          limits: [{ at: 1, colour: COLOUR.warn }],
          pt: 'Valor aprovado em contingência, sem o modelo completo: valor aprovado × parcela das aprovações em contingência, supondo que elas têm o mesmo valor médio. Sem intervalo: o motor não o publica.',
          en: 'R$ approved on a fallback: approved R$ × share of approvals on a fallback, assuming the same mean amount.',
          of: [q(`sum(increase(fraud_decision_brl_total{decision="approve"}[$__range]))
            * ${orZero(approvedWithout, approved)} / (${approved} > 0)`, 'em risco')],
        }),
        stat({
          title: 'R$ em transações perdidas', w: 4, h: 6, unit: UNIT.money, decimals: 1, ...pipeline,
          limits: [{ at: 0.01, colour: COLOUR.warn }, { at: 15000, colour: COLOUR.crit }],
          pt: 'Valor das transações declaradas perdidas no período, menos o das que voltaram.',
          en: 'R$ of transactions declared lost in the range, less those that came back.',
          of: [q('sum(increase(pix_lost_brl_total[$__range])) - sum(increase(pix_recovered_brl_total[$__range]))', 'perdidas')],
        }),
      ],
    },
    {
      title: 'Pipeline e modelo',
      panels: [
        lines({
          title: 'Transações por segundo e faixa esperada', w: 12, unit: UNIT.tx, min: 0, ...pipeline,
          pt: 'Transações que entram, e a média ± 3 desvios-padrão da mesma hora de ontem; enquanto não há ontem, da última hora.',
          en: 'Transactions that enter, and mean ± 3 standard deviations of the same hour yesterday, or of the last hour before there is one.',
          band: ['esperado −3σ', 'esperado +3σ'],
          of: [q(arrivals, 'tx/s'), q(`clamp_min(${expected(-3)}, 0)`, 'esperado −3σ'), q(expected(3), 'esperado +3σ')],
        }),
        lines({
          title: 'Latência da decisão e limite', w: 12, unit: UNIT.seconds, min: 0, ...pipeline,
          limits: [{ at: 0.15, colour: COLOUR.warn }, { at: 0.3, colour: COLOUR.crit }],
          pt: 'p50 e p99 da latência total da decisão. Linhas: 150 ms (alerta PixDecisionSlow) e 300 ms (PixDecisionTimeout), com 1% de folga.',
          en: 'p50 and p99 of the whole decision. Lines: 150 ms and 300 ms, the limits of the alerts.',
          of: [q(quantile(0.5, 'pix_decision_latency_seconds', []), 'p50'), q(quantile(0.99, 'pix_decision_latency_seconds', []), 'p99')],
        }),
        lines({
          title: 'Precisão das retenções, com intervalo', w: 12, unit: UNIT.share, max: 1, ...model,
          pt: 'Precisão das decisões que já têm veredito, com intervalo de Wilson de 95%, e o objetivo. Coortes novas ainda amadurecem: os rótulos chegam com atraso.',
          en: 'Precision of the positives that have a verdict, 95% Wilson interval, and the objective. Young cohorts are still maturing.',
          band: ['IC 95% inferior', 'IC 95% superior'], dashed: ['objetivo'],
          of: [q(figure('precision_judged', 'value'), 'precisão'), q(figure('precision_judged', 'lo'), 'IC 95% inferior'),
            q(figure('precision_judged', 'hi'), 'IC 95% superior'), q(objective('precision'), 'objetivo')],
        }),
        lines({
          title: 'Sinais do modelo', w: 12, unit: UNIT.share, min: 0, ...model,
          pt: 'Parcela de decisões retidas, barradas e em contingência, e a pior variável: nulos e valores padrão além do habitual.',
          en: 'Share of decisions held, stopped and on a fallback, and the worst feature: nulls and defaults beyond the usual.',
          of: [q(verdictShare('hold|step_up'), 'retidas'), q(verdictShare('deny|cautelar_block'), 'barradas'),
            q(fallbackShare, 'em contingência'), q(`max(${missing})`, 'pior variável')],
        }),
      ],
    },
    {
      title: 'Orçamento de erro, alertas e perdas',
      panels: [
        bars({
          title: 'Consumo do orçamento de erro', w: 8, unit: UNIT.times, min: 0, decimals: 2, ...slo,
          limits: [{ at: 1, colour: COLOUR.warn }, { at: 2, colour: COLOUR.crit }],
          pt: 'Quantas vezes o permitido pelo percentil do Manual de Tempos foi consumido, em 5 min, 30 min e 6 h. 1 é exatamente o permitido.',
          en: 'How many times the share allowed by the percentile was used over 5 min, 30 min and 6 h.',
          of: [q('max by (segment) (pix:sla_over_budget:ratio5m)', '{{segment}} 5 min'),
            q('max by (segment) (pix:sla_over_budget:ratio30m)', '{{segment}} 30 min'),
            q('max by (segment) (pix:sla_over_budget:ratio6h)', '{{segment}} 6 h')],
        }),
        table({
          title: 'Alertas ativos', w: 16, unit: UNIT.whole, page: 'alertas', noValue: 'nenhum alerta ativo',
          pt: 'Alertas disparados e pendentes das regras do Farol. Vazio quando nenhum está ativo.',
          en: 'Firing and pending alerts of the rules. Empty when none is active.',
          of: [q('sum by (severity, alertstate, alertname, pillar, root_stage, stage) (ALERTS{alertstate=~"firing|pending"})')],
          transformations: [
            { id: 'organize', options: {
              excludeByName: { Time: true, Value: true },
              indexByName: { severity: 0, alertstate: 1, alertname: 2, pillar: 3, root_stage: 4, stage: 5 },
              renameByName: { severity: 'severidade', alertstate: 'estado', alertname: 'alerta', pillar: 'pilar',
                root_stage: 'etapa de origem', stage: 'etapa' },
            } },
            { id: 'sortBy', options: { sort: [{ field: 'severidade', desc: false }] } },
          ],
        }),
        lines({
          title: 'Transações perdidas por trecho', w: 24, h: 6, unit: UNIT.count, min: 0, bars: true, ...pipeline,
          pt: 'Transações declaradas perdidas entre duas etapas. Nenhuma é o normal; a lista por EndToEndId está no Farol.',
          en: 'Transactions declared lost between two stages. None is normal; the list by EndToEndId is in Farol.',
          of: [q(`sum by (from, to) (increase(pix_stage_lost_total${W}))`, '{{from}} → {{to}}')],
        }),
      ],
    },
  ],
};
