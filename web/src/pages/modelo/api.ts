// Answers of the model's endpoints. One that the server does not have (404) is null: its panel is
// then absent from the page.
import { ask, Failure, getQuality, search, type Quality } from '../../lib/api';

export type Figure = { value?: number | null; lo?: number | null; hi?: number | null } | null | undefined;
type Three = { naive: Figure; corrected: Figure; matured: Figure };
export type Late = {
  expected_share: { all: number | null; predicted?: number | null; let_through?: number | null };
  frozen_since: string | null;
  frozen_sources: string[];
  figures: { recall: Three; precision: Three };
  amount_fraud_missed: Figure;
};
export type LateQuality = Quality & { late?: Late | null };
export type Calibration = {
  n: number;
  n_scored: number;
  bins: { lo: number; hi: number; n: number; mean_score: number | null; rate: number | null; rate_lo: number | null; rate_hi: number | null }[];
  ece_width10: Figure;
  estimated: Record<'precision' | 'recall' | 'f1' | 'roc_auc' | 'average_precision', Figure>;
  learnt?: { from: string; to: string; n: number } | null;
  concept?: { drift: boolean | null };
};
export type Point = {
  threshold: number;
  precision: number | null; precision_lo: number | null; precision_hi: number | null;
  recall: number | null; recall_lo: number | null; recall_hi: number | null;
  held_share: number | null; brl_caught: number | null; brl_missed: number | null; brl_held: number | null;
};
export type Thresholds = { n: number; frauds: number; current: number | null; points: Point[] };
export type DriftWindow = { t: string; n: number; psi: number | null; q: number | null; drifted: boolean; rules: string[] };
export type Drift = {
  reference: { state?: string; from?: string; to?: string; n: number };
  windows: { t: string; tests: { n: number; rejected: number } }[];
  features: { name: string; segment?: string | null; importance?: number | null; windows: DriftWindow[] }[];
};

async function maybe<T>(path: string, query: Record<string, string>, signal: AbortSignal): Promise<T | null> {
  try {
    return await ask<T>(`farol/v1/model/${path}${search(query)}`, { signal });
  } catch (e) {
    if (e instanceof Failure && e.status === 404) return null;
    throw e;
  }
}
type Query = Record<string, string>;
export const quality = (query: Query, signal: AbortSignal) => getQuality(query, signal) as Promise<LateQuality>;
export const getCalibration = (query: Query, signal: AbortSignal) => maybe<Calibration>('calibration', query, signal);
export const getThresholds = (query: Query, signal: AbortSignal) => maybe<Thresholds>('thresholds', query, signal);
export const getDrift = (query: Query, signal: AbortSignal) => maybe<Drift>('drift', query, signal);

/** A handful of questions at a time, in order: the server has one reader of the pillar. */
export async function eachOf<K, T>(keys: K[], run: (key: K) => Promise<T>): Promise<{ key: K; answer: T }[]> {
  const out: { key: K; answer: T }[] = [];
  for (let i = 0; i < keys.length; i += 4) {
    out.push(...(await Promise.all(keys.slice(i, i + 4).map(async (key) => ({ key, answer: await run(key) })))));
  }
  return out;
}
