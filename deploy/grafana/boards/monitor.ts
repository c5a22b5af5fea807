// 6 Este monitor: whether what the other boards show can be believed.
import type { Board } from '../lib/board';
import { COLOUR, UNIT, lines, q, stat, table } from '../lib/panels';
import { W, named, share } from '../lib/promql';

const page = 'monitor' as const;
const rate = (name: string, by = ''): string => `sum ${by ? `by (${by}) ` : ''}(rate(${name}${W}))`;
const total = (name: string): string => `sum(increase(${name}[$__range]))`;
const LOSS = [{ at: 1, colour: COLOUR.crit }];

export const monitor: Board = {
  uid: 'farol-este-monitor',
  file: 'deploy/grafana/dashboards/6-este-monitor.json',
  title: '6 Farol / Este monitor',
  pt: 'O próprio Farol: entrada, perdas, atraso, armazenamento, consultas, regras, coleta e notificações.',
  en: 'Farol itself: ingest, drops, delay, storage, queries, rules, scraping, notifications.',
  page,
  from: 'now-1h',
  shows: [],
  rows: [
    {
      title: 'Entrada, perdas e atraso',
      panels: [
        stat({
          title: 'Perdas no período', w: 12, unit: UNIT.count, decimals: 0, limits: LOSS, page,
          pt: 'O que o Farol recebeu e não guardou, ou guardou e não leu mais. Tudo tem de ser 0.',
          en: 'What Farol received and did not keep, or kept and could not read. All must be 0.',
          of: [q(total('farol_river_refused_total'), 'lotes recusados'), q(total('farol_samples_dropped_total'), 'amostras próprias'),
            q('sum(farol_journal_damaged_batches)', 'lotes danificados'), q('sum(farol_tsdb_blocks_damaged)', 'blocos danificados')],
        }),
        stat({
          title: 'Atraso do relógio de eventos', w: 6, unit: UNIT.seconds, decimals: 1, page,
          limits: [{ at: 30, colour: COLOUR.warn }, { at: 120, colour: COLOUR.crit }],
          pt: 'Hora atual menos a hora dos eventos mais novos: o que se vê tem esta idade.',
          en: 'Time now less the time of the newest events: what you see is this old.',
          of: [q('time() - max(pix_watermark_seconds)', 'atraso')],
        }),
        stat({
          title: 'Em execução há', w: 6, unit: UNIT.seconds, decimals: 0, page,
          pt: 'Tempo desde que o processo começou.',
          en: 'Time since the process started.',
          of: [q('max(farol_process_uptime_seconds)', 'uptime')],
        }),
        lines({
          title: 'Eventos recebidos', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Linhas por segundo na porta NDJSON, por tipo de evento e resultado.',
          en: 'Lines per second at the NDJSON door, by kind of event and result.',
          of: [q(rate('farol_ingest_lines_total', 'kind, result'), '{{kind}} · {{result}}')],
        }),
        lines({
          title: 'Linhas recusadas', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Por motivo. Uma mudança de formato no produtor aparece aqui primeiro.',
          en: 'By reason. A change of format at the producer shows here first.',
          of: [q(rate('farol_ingest_rejected_total', 'reason'), '{{reason}}')],
        }),
        lines({
          title: 'Pedidos na porta de entrada', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Pedidos por resultado. busy é fila cheia: quem envia deve tentar de novo.',
          en: 'Requests by result. busy is a full queue: the sender should try again.',
          of: [q(rate('farol_ingest_requests_total', 'result'), '{{result}}')],
        }),
      ],
    },
    {
      title: 'Armazenamento e memória',
      panels: [
        lines({
          title: 'Amostras guardadas', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Amostras que entram no banco por segundo, e as recusadas.',
          en: 'Samples stored per second, and those refused.',
          of: [q(rate('farol_tsdb_samples_total'), 'guardadas'), q(rate('farol_tsdb_refused_total'), 'recusadas')],
        }),
        lines({
          title: 'Séries', w: 8, unit: UNIT.count, min: 0, page,
          pt: 'Séries que o banco conhece. Um salto é um rótulo com valores demais.',
          en: 'Series known to the store. A jump is a label with too many values.',
          of: [q('sum(farol_tsdb_series)', 'séries')],
        }),
        lines({
          title: 'Disco', w: 8, unit: UNIT.bytes, min: 0, stack: 'normal', page,
          pt: 'Blocos, log de escrita (WAL) das séries e diário de eventos.',
          en: 'Blocks, write-ahead log of the series, journal of events.',
          of: [q('sum(farol_tsdb_block_bytes)', 'blocos'), q('sum(farol_tsdb_log_bytes)', 'WAL'), q('sum(farol_journal_bytes)', 'diário')],
        }),
        lines({
          title: 'Memória e filas', w: 8, unit: UNIT.bytes, min: 0, page,
          pt: 'Memória do processo, e dentro dela: amostras fora de bloco, índice, tabela de transações, fila de entrada.',
          en: 'Memory of the process, and in it: samples not in a block, index, table of transactions, queue.',
          of: [q('sum(farol_process_resident_memory_bytes)', 'processo'), q('sum(farol_tsdb_head_bytes)', 'amostras'),
            q('sum(farol_tsdb_index_bytes)', 'índice'), q('sum(pix_ledger_bytes)', 'transações'), q('sum(farol_river_queue_bytes)', 'fila')],
        }),
        lines({
          title: 'CPU', w: 8, unit: UNIT.share, min: 0, page,
          pt: 'Tempo de CPU do processo por segundo: 100% é um núcleo.',
          en: 'CPU time of the process per second: 100% is one core.',
          of: [q(rate('farol_process_cpu_seconds_total'), 'CPU')],
        }),
        lines({
          title: 'Gravação durável', w: 8, unit: UNIT.seconds, min: 0, page,
          pt: 'Tempo médio para tornar o diário durável (fsync), e o do último ponto de controle.',
          en: 'Mean time to make the journal durable (fsync), and of the last checkpoint.',
          of: [q(share(rate('farol_journal_sync_seconds_total'), rate('farol_journal_syncs_total')), 'fsync do diário'),
            q('max(farol_river_checkpoint_seconds)', 'ponto de controle')],
        }),
      ],
    },
    {
      title: 'Consultas e regras',
      closed: true,
      panels: [
        lines({
          title: 'Consultas', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Consultas PromQL avaliadas por segundo, de páginas, painéis e regras.',
          en: 'PromQL queries evaluated per second.',
          of: [q(rate('farol_queries_total'), 'consultas')],
        }),
        lines({
          title: 'Tempo médio de consulta', w: 8, unit: UNIT.seconds, min: 0, page,
          pt: 'Tempo de avaliação dividido por consultas, enquanto há consultas.',
          en: 'Evaluation time over queries, while there are any.',
          of: [q(share(rate('farol_query_seconds_total'), rate('farol_queries_total')), 'por consulta')],
        }),
        lines({
          title: 'Respostas da API', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Pedidos à API do Prometheus por resultado.',
          en: 'Requests to the Prometheus API by result.',
          of: [q(rate('farol_api_requests_total', 'result'), '{{result}}')],
        }),
        lines({
          title: 'Duração dos grupos de regras', w: 12, unit: UNIT.seconds, min: 0, page,
          pt: 'Quanto durou a última avaliação de cada grupo. Acima do intervalo do grupo (15 s) rodadas se perdem.',
          en: 'How long the last evaluation of each group took. Above its interval (15 s) slots are missed.',
          of: [q('max by (group) (farol_rules_group_last_duration_seconds)', '{{group}}')],
        }),
        stat({
          title: 'Falhas de regras no período', w: 12, h: 8, unit: UNIT.count, decimals: 0, limits: LOSS, page,
          pt: 'Avaliações que falharam, rodadas perdidas, e resultados que não puderam ser guardados. Tudo tem de ser 0.',
          en: 'Evaluations that failed, slots missed, results that could not be stored. All must be 0.',
          of: [q(total('farol_rules_failures_total'), 'avaliações'), q(total('farol_rules_group_slots_missed_total'), 'rodadas'),
            q(total('farol_rules_write_failures_total'), 'gravações')],
        }),
      ],
    },
    {
      title: 'Coleta, notificações e versão',
      closed: true,
      panels: [
        lines({
          title: 'Coleta de métricas', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Coletas por segundo, e as que nada trouxeram. Sem alvos configurados é 0.',
          en: 'Scrapes per second, and those that gave nothing. 0 without targets.',
          of: [q(rate('farol_scrapes_total'), 'coletas'), q(rate('farol_scrape_failures_total'), 'falhas')],
        }),
        lines({
          title: 'Notificações', w: 8, unit: UNIT.perSecond, min: 0, page,
          pt: 'Alertas entregues aos canais; com um Alertmanager configurado, também os que ele recebeu, recusou ou que caíram da fila.',
          en: 'Alerts given to the senders; with an Alertmanager, also those it took, refused, or that were dropped.',
          of: [q(named({
            'entregues aos canais': rate('farol_rules_alerts_sent_total'),
            'Alertmanager: recebidos': rate('farol_notify_alertmanager_sent_total'),
            'Alertmanager: falhas': rate('farol_notify_alertmanager_failed_total'),
            'Alertmanager: descartados': rate('farol_notify_alertmanager_dropped_total'),
          }), '{{serie}}')],
        }),
        table({
          title: 'Versão', w: 8, unit: UNIT.whole, page,
          pt: 'O que está em execução: versão, commit e compilador.',
          en: 'What is running: version, commit and compiler.',
          of: [q('max by (version, commit, compiler) (farol_build_info)')],
          transformations: [{ id: 'organize', options: { excludeByName: { Time: true, Value: true },
            renameByName: { version: 'versão', compiler: 'compilador' } } }],
        }),
      ],
    },
  ],
};
