// Queries of a component: asked again when the expression or the time range changes, aborted when
// the component goes. The last answer stays on the screen while the next one is under way.
//   const rate = useRange(() => `sum(rate(pix_ledger_entered_total[$w]))`);
//   {rate.data?.series}  {rate.error}  {rate.loading}
// `$w` is the window of rate() that goes with the step, `$step` the step, `$range` the whole range.
import { instantQuery, range as askRange } from './prom';
import type { Matrix, Sample } from './series';
import { rateWindow, shortDuration, stepFor } from './time';
import { time } from './timeline.svelte';

export type Query<T> = { readonly data: T | undefined; readonly error: string | undefined; readonly loading: boolean };

type Blanks = { step: number; span: number; window: string };
export function fill(expr: string, { step, span, window }: Blanks): string {
  return expr
    .replaceAll('$w', window)
    .replaceAll('$step', shortDuration(step))
    .replaceAll('$range', shortDuration(span));
}

/** An expression as it is asked now: what a link to Explorar carries. */
export const filled = (expr: string): string =>
  fill(expr, { step: time.range.step, span: time.range.span, window: rateWindow(time.range.step) });

/** Anything that is read from the server: `key` says when to read again; undefined reads nothing. */
export function useRead<T>(key: () => unknown, run: (signal: AbortSignal) => Promise<T> | undefined): Query<T> {
  type Answer = { data: T | undefined; error: string | undefined; loading: boolean };
  let state = $state.raw<Answer>({ data: undefined, error: undefined, loading: true });
  $effect(() => {
    key();
    const abort = new AbortController();
    const answer = run(abort.signal);
    if (!answer) {
      state = { data: undefined, error: undefined, loading: false };
      return;
    }
    answer.then(
      (data) => {
        if (!abort.signal.aborted) state = { data, error: undefined, loading: false };
      },
      (e: Error) => {
        if (!abort.signal.aborted) state = { data: undefined, error: e.message, loading: false };
      },
    );
    return () => abort.abort();
  });
  return {
    get data() {
      return state.data;
    },
    get error() {
      return state.error;
    },
    get loading() {
      return state.loading;
    },
  };
}

type RangeOptions = {
  /** About so many points; with `exact`, so many (state strips), and `$w` is one of them. */
  points?: number;
  exact?: boolean;
  back?: () => number | undefined;
};

/** A range query over the time range of the screen. `back` shifts it into the past (comparisons). */
export function useRange(expr: () => string | undefined, options: RangeOptions = {}): Query<Matrix> {
  const grid = $derived.by(() => {
    const { from, to, span } = time.range;
    if (!options.points) return { from, to, step: time.range.step, span, window: rateWindow(time.range.step) };
    const step = options.exact ? span / options.points : stepFor(span, options.points);
    const end = options.exact ? to : Math.floor(to / step) * step;
    const start = options.exact ? to - step * (options.points - 1) : Math.ceil(from / step) * step;
    return { from: start, to: end, step, span, window: options.exact ? shortDuration(Math.max(60, step)) : rateWindow(step) };
  });
  const asked = $derived.by(() => {
    const text = expr();
    if (!text) return undefined;
    return { text: fill(text, grid), from: grid.from, to: grid.to, step: grid.step, back: options.back?.() ?? 0 };
  });
  return useRead(
    () => asked,
    (signal) => {
      if (!asked) return undefined;
      const { text, from, to, step, back } = asked;
      const answer = askRange(text, { from: from - back, to: to - back, step }, signal);
      return back ? answer.then((m) => ({ ...m, t: m.t.map((t) => t + back) })) : answer;
    },
  );
}

/** An instant query at the end of the range: now while it is live. */
export function useInstant(expr: () => string | undefined): Query<Sample[]> {
  const asked = $derived.by(() => {
    const text = expr();
    const at = time.range.live ? Math.floor(time.now) : time.range.to;
    return text ? { text: filled(text), at } : undefined;
  });
  return useRead(
    () => asked,
    (signal) => (asked ? instantQuery(asked.text, asked.at, signal) : undefined),
  );
}
