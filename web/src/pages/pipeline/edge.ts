// How a limit of a bucket is written, and the opacities of the seven classes of the latency map.
import { num, short } from '../../lib/fmt';

export const edge = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return '∞';
  const ms = seconds * 1e3;
  return seconds < 1 ? `${num(ms, Number.isInteger(Number(ms.toFixed(6))) ? 0 : 1)} ms` : `${short(seconds)} s`;
};

export const RAMP = [0, 0.1, 0.2, 0.33, 0.5, 0.72, 1];
