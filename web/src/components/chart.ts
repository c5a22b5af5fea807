// What Chart draws, and the parts of uPlot's drawing that are ours. Colours are read when drawn.
import type uPlot from 'uplot';
import { css } from '../lib/colors';

export type Line = { label: string; color: string; width?: number; dash?: number[]; fill?: number; steps?: boolean };
export type Mark = { t: number; label?: string; color?: string };
export type Shade = { from: number; to: number; color: string; alpha: number; hatch?: boolean };
export type HLine = { v: number; label: string; color?: string; below?: boolean };
export type Band = { hi: number; lo: number; color: string; alpha?: number };

export function drawShades(u: uPlot, shades: Shade[]) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const s of shades) {
    const a = u.valToPos(s.from, 'x', true);
    const b = u.valToPos(s.to, 'x', true);
    ctx.globalAlpha = s.alpha;
    ctx.fillStyle = css(s.color);
    ctx.fillRect(a, bbox.top, b - a, bbox.height);
    if (s.hatch) hatch(ctx, a, b, bbox, s);
  }
  ctx.restore();
}

function hatch(ctx: CanvasRenderingContext2D, a: number, b: number, box: uPlot.BBox, s: Shade) {
  const gap = 7 * devicePixelRatio;
  ctx.save();
  ctx.globalAlpha = Math.min(1, s.alpha * 3);
  ctx.strokeStyle = css(s.color);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.rect(a, box.top, b - a, box.height);
  ctx.clip();
  ctx.beginPath();
  for (let i = a - box.height; i < b; i += gap) {
    ctx.moveTo(i, box.top + box.height);
    ctx.lineTo(i + box.height, box.top);
  }
  ctx.stroke();
  ctx.restore();
}

function rule(ctx: CanvasRenderingContext2D, dash: number[], x1: number, y1: number, x2: number, y2: number) {
  ctx.setLineDash(dash.map((d) => d * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
  ctx.setLineDash([]);
}

export function annotate(u: uPlot, hline: HLine | undefined, marks: Mark[]) {
  const { ctx, bbox } = u;
  const d = devicePixelRatio;
  const right = bbox.left + bbox.width;
  const bottom = bbox.top + bbox.height;
  ctx.save();
  ctx.font = `500 ${10.5 * d}px ${css('font-sans')}`;
  ctx.lineWidth = d;
  if (hline) {
    const y = Math.round(u.valToPos(hline.v, 'y', true)) + 0.5;
    if (y >= bbox.top && y <= bottom) {
      ctx.strokeStyle = css(hline.color ?? 'text-3');
      rule(ctx, [4, 3], bbox.left, y, right, y);
      ctx.fillStyle = css('text-2');
      ctx.textAlign = 'left';
      ctx.fillText(hline.label, bbox.left + 4 * d, y + (hline.below ? 13 : -6) * d);
    }
  }
  for (const m of marks) {
    const x = Math.round(u.valToPos(m.t, 'x', true)) + 0.5;
    if (x < bbox.left || x > right) continue;
    ctx.strokeStyle = css(m.color ?? 'text-3');
    rule(ctx, [2, 2], x, bbox.top, x, bottom);
    if (!m.label) continue;
    const over = x + ctx.measureText(m.label).width + 8 * d > right;
    ctx.textAlign = over ? 'right' : 'left';
    ctx.fillStyle = css(m.color ?? 'text-2');
    ctx.fillText(m.label, x + (over ? -5 : 5) * d, bbox.top + 10 * d);
  }
  ctx.restore();
}
