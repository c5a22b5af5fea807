// The time range of the screen, and the clock that moves it while it ends now.
import { absolute, instant, NOW, parseDuration, PRESETS, presetFor, refreshEvery, resolve, shortDuration, stepFor } from './time';
import { url } from './url.svelte';

const local = $state({ now: Date.now() / 1e3, wall: Date.now() / 1e3, began: 0, held: false });

/** Offset between this machine's clock and the server's, so that «now» is the server's now. */
let skew = 0;
let lastTick = 0;

const range = $derived.by(() => {
  const de = url.get('de') ?? `now-${presetFor(local.now - local.began)}`;
  const ate = url.get('ate') ?? NOW;
  const live = instant(ate, 0) != null && ate.startsWith(NOW);
  const { from, to } = resolve({ de, ate }, local.now);
  const step = stepFor(to - from);
  // Whole steps: the same question has the same words, and answers can be kept.
  const end = Math.floor(to / step) * step;
  const count = Math.max(2, Math.round((to - from) / step));
  return { de, ate, live, from: end - count * step, to: end, span: count * step, step };
});

export const time = {
  get range() {
    return range;
  },
  /** The second of the last refresh: instant queries are asked for it. */
  get now() {
    return local.now;
  },
  /** The running second, for ages in words. */
  get wall() {
    return local.wall;
  },
  get live() {
    return range.live && !local.held;
  },
  get held() {
    return local.held;
  },
  /** Seconds that «compare with» goes back; undefined when nothing is compared. */
  get compare(): number | undefined {
    return parseDuration(url.get('cmp') ?? '') ?? undefined;
  },
  /** The preset that is chosen, if one is. */
  get preset(): string | undefined {
    return range.ate === NOW ? PRESETS.find((p) => range.de === `now-${p}`) : undefined;
  },
  set(de: string, ate: string = NOW) {
    local.held = false;
    url.set({ de, ate: ate === NOW ? null : ate });
  },
  zoom(from: number, to: number) {
    if (to - from >= 5) time.set(absolute(from), absolute(to));
  },
  zoomOut() {
    const { from, to, span, live } = range;
    if (live) time.set(`now-${shortDuration(span * 2)}`);
    else time.set(absolute(from - span / 2), absolute(Math.min(to + span / 2, local.now)));
  },
  shift(direction: 1 | -1) {
    const move = (range.span / 2) * direction;
    const to = Math.min(range.to + move, local.now);
    if (to >= local.now) time.set(`now-${shortDuration(range.span)}`);
    else time.set(absolute(to - range.span), absolute(to));
  },
  /** `l`: a range that stands still runs again, one that runs is held. */
  toggleLive() {
    if (!range.live) time.set(`now-${shortDuration(range.span)}`);
    else local.held = !local.held;
  },
  /** The first data: without a range in the address, its age decides what is shown. */
  began(t: number) {
    local.began = t;
  },
  /** A time that the server told. */
  serverTime(t: number) {
    skew = t - Date.now() / 1e3;
  },
  tick() {
    const now = Date.now() / 1e3 + skew;
    local.wall = Math.floor(now);
    if (document.hidden || !time.live) return;
    if (now - lastTick >= refreshEvery(range.span)) {
      lastTick = now;
      local.now = Math.floor(now);
    }
  },
};

/** Starts the clock; the answer stops it. */
export function startClock(): () => void {
  const id = setInterval(time.tick, 1000);
  const shown = () => time.tick();
  document.addEventListener('visibilitychange', shown);
  return () => {
    clearInterval(id);
    document.removeEventListener('visibilitychange', shown);
  };
}
