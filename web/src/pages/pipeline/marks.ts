// Deploys as marks on charts: a version first seen 30 s or more after the first of its stage
// (pipeline/README.md says why 30).
import type { Mark } from '../../components/chart';
import type { Sample } from '../../lib/series';

const LATER = 30;

export function deployMarks(versions: Sample[] | undefined, from: number, to: number, label: (stage: string, version: string) => string, only?: string): Mark[] {
  const first = new Map<string, number>();
  for (const s of versions ?? []) first.set(s.labels.stage, Math.min(first.get(s.labels.stage) ?? Infinity, s.v));
  return (versions ?? [])
    .filter((s) => (only === undefined || s.labels.stage === only) && s.v >= first.get(s.labels.stage)! + LATER && s.v >= from && s.v <= to)
    .map((s) => ({ t: s.v, label: label(s.labels.stage, s.labels.version), color: 'text-2' }));
}
