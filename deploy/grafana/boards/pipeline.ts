// 1 Pipeline: rate, errors and duration of each stage, and the ledger that must close.
import type { Board } from '../lib/board';
import { COLOUR, UNIT, heatmap, lines, q, stat } from '../lib/panels';
import { W, buckets, quantile, share } from '../lib/promql';

const OF = '{stage=~"$stage"}';
const page = 'pipeline' as const;
const perStage = (name: string, select = 'stage=~"$stage"'): string => `sum by (stage) (rate(${name}{${select}}${W}))`;
const events = perStage('pix_stage_events_total');

export const pipeline: Board = {
  uid: 'farol-pipeline',
  file: 'pipeline/dashboards/1-pipeline.json',
  title: '1 Farol / Pipeline (RED)',
  pt: 'Cada etapa do pipeline: vazão, erros e duração, filas, retentativas, e a soma que tem de fechar.',
  en: 'Each stage of the pipeline: rate, errors, duration, queues, retries, and the sum that must close.',
  page,
  from: 'now-1h',
  shows: ['stage'],
  rows: [
    {
      title: 'A soma fecha: entraram = saíram + em voo + perdidas',
      panels: [
        stat({
          title: 'Onde estão as transações', w: 18, unit: UNIT.count, decimals: 0, page,
          pt: 'Todas as transações desde o início: entraram, saíram (liquidadas, negadas, descartadas, DLQ), em voo e perdidas.',
          en: 'All transactions since the start: entered, left, in flight and lost.',
          of: [q('sum(pix_ledger_entered_total)', 'entraram'), q('sum(pix_ledger_transactions{state="left"})', 'saíram'),
            q('sum(pix_ledger_transactions{state="in_flight"})', 'em voo'), q('sum(pix_ledger_transactions{state="lost"})', 'perdidas')],
        }),
        stat({
          title: 'Diferença da soma', w: 6, unit: UNIT.whole, page,
          limits: [{ at: 1, colour: COLOUR.crit }],
          pt: 'Entraram menos saíram, em voo e perdidas. Tem de ser 0.',
          en: 'Entered less left, in flight and lost. It must be 0.',
          of: [q('abs(sum(pix_ledger_entered_total) - sum(pix_ledger_transactions))', 'diferença')],
        }),
      ],
    },
    {
      title: 'RED por etapa',
      panels: [
        lines({
          title: 'Vazão por etapa', w: 12, unit: UNIT.tx, min: 0, page,
          pt: 'Transações distintas que chegam a cada etapa por segundo.',
          en: 'Distinct transactions that reach each stage per second.',
          of: [q(perStage('pix_stage_entered_total'), '{{stage}}')],
        }),
        lines({
          title: 'Parcela de erros por etapa', w: 12, unit: UNIT.share, min: 0, page,
          limits: [{ at: 0.05, colour: COLOUR.warn }],
          pt: 'Tentativas com erro, descarte ou DLQ sobre todas as da etapa. Linha: 5%, o limite do alerta PixStageErrors.',
          en: 'Attempts that ended in error, drop or DLQ over all of the stage. Line: 5%, the limit of PixStageErrors.',
          of: [q(share(perStage('pix_stage_events_total', 'stage=~"$stage",outcome=~"error|drop|dlq"'), events), '{{stage}}')],
        }),
        lines({
          title: 'Latência p99 por etapa', w: 12, unit: UNIT.seconds, log: true, page,
          pt: 'p99 da duração de uma tentativa em cada etapa, escala logarítmica. p99 de etapas não se somam.',
          en: 'p99 of the duration of an attempt at each stage, log scale. p99s of stages do not add up.',
          of: [q(quantile(0.99, 'pix_stage_duration_seconds', ['stage'], OF), '{{stage}}')],
        }),
        heatmap({
          title: 'Mapa de latência da decisão', w: 12, unit: UNIT.seconds, page,
          pt: 'Decisões por faixa de latência total ao longo do tempo. Duas faixas escuras são dois comportamentos, que um p99 esconde.',
          en: 'Decisions by band of whole latency over time. Two dark bands are two behaviours, which a p99 hides.',
          of: [q(buckets('pix_decision_latency_seconds'))],
        }),
        lines({
          title: 'Parcela do tempo por etapa', w: 12, unit: UNIT.share, min: 0, max: 1, stack: 'normal', page,
          pt: 'Parte de cada etapa no tempo médio das transações. Médias se somam; p99 não.',
          en: 'Part of each stage in the mean time of transactions. Means add up; p99s do not.',
          of: [q(`${perStage('pix_stage_duration_seconds_sum')} / on () group_left () (sum(rate(pix_stage_duration_seconds_sum${OF}${W})) > 0)`, '{{stage}}')],
        }),
        lines({
          title: 'Versões por etapa', w: 12, unit: UNIT.perSecond, min: 0, stack: 'normal', page,
          pt: 'Eventos por etapa e versão: um deploy é a troca de uma faixa por outra.',
          en: 'Events by stage and version: a deploy is one band taking the place of another.',
          of: [q(`sum by (stage, version) (rate(pix_stage_version_events_total${OF}${W}))`, '{{stage}} {{version}}')],
        }),
      ],
    },
    {
      title: 'Retentativas, duplicatas, descartes e DLQ',
      closed: true,
      panels: [
        lines({
          title: 'Retentativas por transação', w: 12, unit: UNIT.share, min: 0, page,
          limits: [{ at: 0.3, colour: COLOUR.crit }],
          pt: 'Eventos com tentativa acima de 1 ou resultado retry, por transação que chega à etapa. Linha: 0,3, o limite do alerta PixRetryStorm.',
          en: 'Events with attempt above 1 or outcome retry, per transaction that reaches the stage. Line: 0.3, the limit of PixRetryStorm.',
          of: [q(share(perStage('pix_stage_retries_total'), perStage('pix_stage_entered_total')), '{{stage}}')],
        }),
        lines({
          title: 'Descartes e DLQ', w: 12, unit: UNIT.perSecond, min: 0, page,
          pt: 'Tentativas por segundo que terminaram em descarte (drop) ou na fila de mensagens mortas (DLQ).',
          en: 'Attempts per second that ended in a drop or in the dead letter queue.',
          of: [q(`sum by (stage, outcome) (rate(pix_stage_events_total{stage=~"$stage",outcome=~"drop|dlq"}${W}))`, '{{stage}} {{outcome}}')],
        }),
        lines({
          title: 'Motivos de erro (10 maiores)', w: 12, unit: UNIT.perSecond, min: 0, page,
          pt: 'Erros, descartes e DLQ por motivo: código do SPI, HTTP ou do próprio serviço.',
          en: 'Errors, drops and DLQ by reason: SPI, HTTP or the service\'s own code.',
          of: [q(`topk(10, sum by (stage, reason) (rate(pix_stage_errors_total${OF}${W})))`, '{{stage}} {{reason}}')],
        }),
        lines({
          title: 'Parcela de duplicatas', w: 12, unit: UNIT.share, min: 0, page,
          pt: 'Eventos já vistos (mesmo id e tentativa) sobre todos os da etapa.',
          en: 'Events seen before (same id and attempt) over all of the stage.',
          of: [q(share(perStage('pix_stage_duplicates_total'), events), '{{stage}}')],
        }),
      ],
    },
    {
      title: 'DICT (etapa enrich)',
      closed: true,
      panels: [
        lines({
          title: 'Latência da consulta ao DICT', w: 12, unit: UNIT.seconds, min: 0, page,
          pt: 'Duração da etapa enrich, que consulta o DICT: p50, p95 e p99.',
          en: 'Duration of stage enrich, which asks the DICT: p50, p95 and p99.',
          of: [0.5, 0.95, 0.99].map((n) => q(quantile(n, 'pix_stage_duration_seconds', [], '{stage="enrich"}'), `p${n * 100}`)),
        }),
        lines({
          title: 'Resultado das consultas', w: 12, unit: UNIT.perSecond, min: 0, page,
          pt: 'Tentativas da etapa enrich por resultado. Pagamentos sem chave passam direto (skip). A cota do DICT não é medida: nenhum evento a traz.',
          en: 'Attempts of stage enrich by outcome. Payments without a key skip it. The DICT quota is not measured: no event carries it.',
          of: [q(`sum by (outcome) (rate(pix_stage_events_total{stage="enrich"}${W}))`, '{{outcome}}')],
        }),
      ],
    },
    {
      title: 'Saturação: filas, atraso e retenções',
      closed: true,
      panels: [
        lines({
          title: 'Espera na fila, p99', w: 12, unit: UNIT.seconds, log: true, page,
          limits: [{ at: 1, colour: COLOUR.warn }],
          pt: 'p99 do tempo que uma tentativa esperou antes da etapa. Linha: 1 s, o limite do alerta PixStageQueue.',
          en: 'p99 of the time an attempt waited before the stage. Line: 1 s, the limit of PixStageQueue.',
          of: [q(quantile(0.99, 'pix_stage_queue_seconds', ['stage'], OF), '{{stage}}')],
        }),
        lines({
          title: 'Atraso de cada etapa', w: 12, unit: UNIT.seconds, min: 0, page,
          limits: [{ at: 180, colour: COLOUR.crit }],
          pt: 'Quanto o evento mais novo da etapa está atrás do da etapa mais adiantada. Linha: 180 s, o limite do alerta PixStageStuck.',
          en: 'How far the newest event of the stage is behind that of the foremost stage. Line: 180 s, the limit of PixStageStuck.',
          of: [q(`max(pix_stage_watermark_seconds) - on () group_right () max by (stage) (pix_stage_watermark_seconds${OF})`, '{{stage}}')],
        }),
        lines({
          title: 'Retenções abertas', w: 12, unit: UNIT.count, min: 0, page,
          pt: 'Transações retidas agora, e as cujo prazo vence em até 5 minutos ou já venceu.',
          en: 'Transactions held now, and those whose deadline is over or within 5 minutes.',
          of: [q('sum(pix_hold_open)', 'abertas'), q('sum(pix_hold_expiring_5m)', 'vencem em 5 min')],
        }),
        lines({
          title: 'Duração das retenções', w: 12, unit: UNIT.seconds, min: 0, page,
          pt: 'Da decisão de reter até a liberação ou negação: p50 e p95 da última hora.',
          en: 'From the decision to hold until release or denial: p50 and p95 of the last hour.',
          of: [0.5, 0.95].map((n) => q(`histogram_quantile(${n}, sum by (le) (rate(pix_hold_seconds_bucket[1h])))`, `p${n * 100}`)),
        }),
      ],
    },
    {
      title: 'Etapa: $stage',
      closed: true,
      repeat: 'stage',
      panels: [
        lines({
          title: 'Latência de $stage', w: 12, unit: UNIT.seconds, min: 0, page,
          pt: 'p50, p95 e p99 da duração de uma tentativa nesta etapa.',
          en: 'p50, p95 and p99 of the duration of an attempt at this stage.',
          of: [0.5, 0.95, 0.99].map((n) => q(quantile(n, 'pix_stage_duration_seconds', [], OF), `p${n * 100}`)),
        }),
        lines({
          title: 'Resultados de $stage', w: 12, unit: UNIT.perSecond, min: 0, stack: 'normal', page,
          pt: 'Tentativas por segundo nesta etapa, por resultado.',
          en: 'Attempts per second at this stage, by outcome.',
          of: [q(`sum by (outcome) (rate(pix_stage_events_total${OF}${W}))`, '{{outcome}}')],
        }),
      ],
    },
  ],
};
