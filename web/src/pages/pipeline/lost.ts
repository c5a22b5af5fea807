// What is known of a lost transaction, and the honest answer to «where is this EndToEndId?». Pure.
import type { Lost } from '../../lib/api';
import { isE2e } from '../../lib/hash';

export type LostRow = Lost['lost'][number];
export type Answer =
  | { kind: 'none' }
  | { kind: 'wrong' }
  | { kind: 'waiting' }
  | { kind: 'found'; row: LostRow }
  | { kind: 'absent'; count: number; listed: number; whole: boolean };

export function lookUp(wanted: string, lost: Lost | undefined): Answer {
  const id = wanted.trim();
  if (!id) return { kind: 'none' };
  if (!isE2e(id)) return { kind: 'wrong' };
  if (!lost) return { kind: 'waiting' };
  const row = lost.lost.find((l) => l.e2e_id === id);
  return row ? { kind: 'found', row } : { kind: 'absent', count: lost.count, listed: lost.lost.length, whole: !lost.truncated };
}

/** What the id itself says: E, ISPB of the payer's institution, UTC minute, the institution's own part. */
export function readE2e(id: string): { ispb: string; minute: number | null; own: string } {
  const [, ispb, y, mo, d, h, mi, own] = /^E(\d{8})(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(.{11})$/.exec(id.trim()) ?? [];
  const t = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi)) / 1e3;
  const real = Number.isFinite(t) && Number(mo) >= 1 && Number(mo) <= 12 && Number(d) >= 1 && Number(d) <= 31 && Number(h) < 24 && Number(mi) < 60;
  return { ispb: ispb ?? '', minute: real ? t : null, own: own ?? '' };
}
