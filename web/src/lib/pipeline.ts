// What the pipeline map says, from the status: the level of each stage and the one thing that is
// wrong with it. Pure; the thresholds are those of the server's own reasons.
import type { Stage, State, Status } from './api';

export const ERROR_WARN = 0.05;
export const ERROR_CRIT = 0.2;

export type Fault =
  | { kind: 'errors'; share: number }
  | { kind: 'lost'; count: number }
  | { kind: 'defaults'; share: number; feature: string }
  | { kind: 'fallback'; share: number };

export type StageView = Stage & { level: State; fault: Fault | null; errorShare: number | null; deployed: boolean };

/** Which stage a reason of the model pillar points at. */
const AT: Record<string, string> = { feature_missing: 'features', fallback: 'score', score_constant: 'score' };
const RANK: Record<State, number> = { none: 0, ok: 1, warn: 2, crit: 3 };
export const worse = (a: State, b: State): State => (RANK[a] >= RANK[b] ? a : b);

export function stageViews(status: Status): StageView[] {
  return status.pipeline.stages.map((s) => view(s, status));
}

function view(s: Stage, status: Status): StageView {
  const rate = s.rate_per_s;
  const errorShare = rate == null ? null : rate > 0 ? (s.errors_per_s ?? 0) / rate : 0;
  let level: State = rate == null || (rate === 0 && !status.pipeline.tx_per_s) ? 'none' : 'ok';
  let fault: Fault | null = null;
  if (errorShare != null && errorShare > ERROR_WARN) {
    level = errorShare > ERROR_CRIT ? 'crit' : 'warn';
    fault = { kind: 'errors', share: errorShare };
  }
  for (const r of status.model.reasons) {
    if (AT[r.code] !== s.name) continue;
    level = worse(level, r.level);
    fault ??= modelFault(r.code, status);
  }
  return { ...s, level, fault, errorShare, deployed: s.version_deployed === true };
}

function modelFault(code: string, { model }: Status): Fault | null {
  if (code === 'feature_missing' && model.feature_worst?.null_or_default_share != null)
    return { kind: 'defaults', share: model.feature_worst.null_or_default_share, feature: model.feature_worst.name ?? '' };
  if (code === 'fallback' && model.fallback_share != null) return { kind: 'fallback', share: model.fallback_share };
  return null;
}
