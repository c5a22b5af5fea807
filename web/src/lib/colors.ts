// Tokens as canvas needs them: read when something is drawn, so that a change of theme is a redraw.
export const css = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** A token (#rrggbb) with an opacity. */
export function rgba(name: string, alpha: number): string {
  const n = parseInt(css(name).slice(1), 16);
  return `rgba(${n >> 16},${(n >> 8) & 255},${n & 255},${alpha})`;
}

const SERIES = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6'];
/** The colour of the n-th series; from the ninth on they are grey until hovered. */
export const seriesColor = (n: number): string => (n < 8 ? SERIES[n % SERIES.length] : 'c6');
