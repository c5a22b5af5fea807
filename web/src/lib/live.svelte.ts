// The state of things now, for every page: server-sent events when the server has them, else the
// same answers asked for every two seconds. Knows how old its news is: old news is said to be old.
import { ask, getStatus, Failure, type State, type Status } from './api';
import type { Both } from './i18n.svelte';
import { time } from './timeline.svelte';

export type VerdictPart = { text: string; query?: string; tone?: string; time?: string };
export type Verdict = {
  state: State;
  since?: string | null;
  title: Both;
  text: { pt: VerdictPart[]; en: VerdictPart[] };
  pillars?: { id: string; state: State; since?: string | null; text: Both }[];
  risk?: RiskMoney | null;
  protected?: RiskMoney | null;
  next?: Both | null;
  cause?: unknown;
};
export type RiskMoney = { brl: number; lo?: number | null; hi?: number | null; since?: string | null; query?: string; label?: Both };

const POLL = 2000;
const STALE_AFTER = 15;
const RETRY_STREAM = 30_000;

type News = { status: Status | null; verdict: Verdict | null; at: number; mode: 'stream' | 'poll'; error: string | null };
let news = $state.raw<News>({ status: null, verdict: null, at: 0, mode: 'stream', error: null });

export const live = {
  get status() {
    return news.status;
  },
  get verdict() {
    return news.verdict;
  },
  get mode() {
    return news.mode;
  },
  get error() {
    return news.error;
  },
  /** Seconds since the last news, by this machine's clock. */
  get age(): number {
    void time.wall;
    return news.at ? Math.max(0, Date.now() / 1e3 - news.at) : 0;
  },
  get stale(): boolean {
    return news.at > 0 ? live.age > STALE_AFTER : news.error !== null;
  },
  /** The second of the last news in the server's time. */
  get seen(): number | null {
    const t = news.status ? Date.parse(news.status.time) / 1e3 : NaN;
    return Number.isFinite(t) ? t : null;
  },
  /** The state of a pillar as it may be shown: old news is no data. */
  state(of: 'pipeline' | 'model' | 'all'): State {
    if (!news.status || live.stale) return 'none';
    return of === 'all' ? news.status.state : news.status[of].state;
  },
};

function take(status: Status, verdict: Verdict | null, mode: News['mode']) {
  news = { status, verdict, at: Date.now() / 1e3, mode, error: null };
  time.serverTime(Date.parse(status.time) / 1e3);
}

export function startLive(): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let noVerdict = false;
  let lastStream = 0;
  let ended = false;

  async function poll() {
    try {
      const status = await getStatus();
      let verdict: Verdict | null = null;
      if (!noVerdict) {
        verdict = await ask<Verdict>('farol/v1/verdict').catch((e) => {
          noVerdict = e instanceof Failure && e.status === 404;
          return null;
        });
      }
      if (!ended) take(status, verdict, 'poll');
    } catch (e) {
      if (!ended) news = { ...news, error: (e as Error).message };
    }
    if (ended) return;
    if (Date.now() - lastStream > RETRY_STREAM) stream();
    else timer = setTimeout(poll, document.hidden ? POLL * 5 : POLL);
  }

  function stream() {
    lastStream = Date.now();
    source = new EventSource('farol/v1/live');
    source.addEventListener('status', (e) => {
      const told = JSON.parse((e as MessageEvent<string>).data) as Status & { verdict?: Verdict };
      take(told, told.verdict ?? null, 'stream');
    });
    source.onerror = () => {
      source?.close();
      source = null;
      clearTimeout(timer);
      timer = setTimeout(poll, news.status ? POLL : 0);
    };
  }
  stream();
  return () => {
    ended = true;
    source?.close();
    clearTimeout(timer);
  };
}
