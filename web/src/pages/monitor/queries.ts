// The questions of this monitor about itself.
export const records = 'sum(rate(farol_river_records_total[$w]))';
export const byKind = 'sum by (kind) (rate(farol_ingest_lines_total{result="accepted"}[$w]))';
export const samples = 'sum(rate(farol_tsdb_samples_total[$w]))';
export const delay = 'time() - max(pix_watermark_seconds)';
/** Everything that was not stored, whatever the door, since the start. */
export const dropped = `{__name__=~"farol_(samples_dropped|ingest_rejected|ingest_values_dropped|tsdb_refused|tsdb_series_refused|river_refused|remote_write_dropped|remote_write_refused|otlp_dropped|otlp_refused|forward_dropped|scrape_histograms_refused|notify_alertmanager_dropped|log_lines_dropped|ticks_cut)_total"} > 0`;
export const damage = '{__name__=~"farol_(tsdb_log_damaged|tsdb_blocks_damaged|journal_damaged_batches)"}';
export const memory = 'farol_process_resident_memory_bytes';
export const cpu = 'rate(farol_process_cpu_seconds_total[$w])';
export const disk = 'farol_journal_bytes + farol_tsdb_log_bytes + farol_tsdb_block_bytes';
export const state = '{__name__=~"farol_(tsdb_series|tsdb_head_bytes|tsdb_index_bytes|tsdb_log_bytes|tsdb_block_bytes|tsdb_blocks|journal_bytes|river_queue_bytes|tick_seconds|process_uptime_seconds|process_open_fds|scrape_targets|rules_alerts_sent_total|live_listeners|notify_alertmanager_queue_length)"}';
export const queryTime = 'rate(farol_query_seconds_total[$w]) / rate(farol_queries_total[$w])';
export const queryRate = 'rate(farol_queries_total[$w])';
export const ruleTime = 'max by (group) (farol_rules_group_last_duration_seconds)';
export const tick = 'farol_tick_seconds';
export const missed = 'sum(increase(farol_rules_group_slots_missed_total[$range]))';
