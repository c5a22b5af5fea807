import type { pt } from './pt';

export const en: typeof pt = {
  okTitle: 'The monitor sees all that it receives.',
  dropTitle: (n) => `The monitor did not keep ${n} values.`,
  blindTitle: 'The monitor has no data.',
  text: (version, commit, up) => `Farol ${version}, build ${commit}, up for ${up}.`,
  rate: 'Records per second', delay: 'Delay', dropped: 'Not kept', memory: 'Memory', disk: 'Disk', retention: 'Retention left',
  delayNote: 'between event and monitor', mustBe0: 'must be 0', since: 'since the start', series: (n) => `${n} series`, cpu: (n) => `CPU ${n}`,
  limit: (n) => `limit ${n}`, noLimit: 'no limit of size', keeps: (n) => `keeps ${n}`, noEnd: 'without end',
  ingest: 'Ingest by kind', use: 'Memory and disk', times: 'Queries and ticks', perQuery: 'per query', tick: 'tick',
  drops: 'Losses by reason', noDrops: 'Nothing was lost, refused or cut since the start.', where: 'where', reason: 'reason', count: 'how many',
  rules: 'Rule groups', group: 'group', took: 'last evaluation', rulesN: 'rules', health: 'health', noRules: 'No rules loaded.', missed: (n) => `${n} evaluations missed in the range`,
  targets: 'Scrape targets', noTargets: 'No scrape targets.', noTargetsText: 'Events arrive by POST. To scrape metrics of others, put into the configuration:',
  target: 'target', pool: 'pool', last: 'last scrape', error: 'error',
  notify: 'Notifications', noNotify: 'No Alertmanager configured: alerts are seen here only.', sent: 'alerts sent', queue: 'in queue', failed: 'failures', endpoint: 'Receiver',
  stored: 'What is stored', build: 'Version and limits', kinds: { decision: 'decisions', label: 'labels', stage: 'stages' },
  names: { tsdb_series: 'Series', tsdb_head_bytes: 'Samples in memory', tsdb_index_bytes: 'Index', tsdb_log_bytes: 'Write-ahead log', tsdb_block_bytes: 'Blocks', journal_bytes: 'Journal of events', river_queue_bytes: 'Queue', process_open_fds: 'Open files', live_listeners: 'Live screens' },
  biggest: 'Metrics with most series', flags: { 'query.timeout': 'Longest query', 'query.max-samples': 'Samples per query', 'query.max-concurrency': 'Queries at once', 'web.max-connections': 'Connections', 'storage.tsdb.retention.time': 'Retention' },
  version: 'Version', commit: 'Commit', host: 'Machine', started: 'Start', damaged: 'Damaged records',
};
