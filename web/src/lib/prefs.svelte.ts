// Language, theme and zone: from the address when it names them, else as last chosen here, else
// as the browser says. The script in index.html does the same for the theme before the first paint.
import type { Locale } from './intl';
import { url } from './url.svelte';

export type Lang = 'pt' | 'en';
export type Theme = 'dark' | 'light';

function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage may be forbidden; the choice then lasts as long as the page
  }
}
function store(key: string, value: string) {
  try {
    localStorage.setItem(key, value);
  } catch {
    /* as above */
  }
}

const local = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
const chosen = $state({
  lang: (stored('farol.lang') ?? (navigator.language.startsWith('pt') ? 'pt' : 'en')) as Lang,
  theme: (document.documentElement.dataset.theme ?? 'dark') as Theme,
  utc: stored('farol.tz') === 'utc',
});

/** A choice is kept for the next visit, and in the address when the address named one. */
function choose(param: string, key: string, value: string) {
  store(key, value);
  if (url.get(param)) url.set({ [param]: value }, true);
}

export const lang = {
  get code(): Lang {
    const named = url.get('lang');
    return named === 'en' || named === 'pt' ? named : chosen.lang === 'en' ? 'en' : 'pt';
  },
  get locale(): Locale {
    return lang.code === 'pt' ? 'pt-BR' : 'en';
  },
  toggle() {
    chosen.lang = lang.code === 'pt' ? 'en' : 'pt';
    choose('lang', 'farol.lang', chosen.lang);
  },
};

export const theme = {
  get name(): Theme {
    const named = url.get('tema');
    return named === 'light' || named === 'dark' ? named : chosen.theme;
  },
  toggle() {
    chosen.theme = theme.name === 'dark' ? 'light' : 'dark';
    choose('tema', 'farol.tema', chosen.theme);
  },
};

export const zone = {
  get utc(): boolean {
    return url.get('tz') ? url.get('tz') === 'utc' : chosen.utc;
  },
  get name(): string {
    return zone.utc ? 'UTC' : local;
  },
  toggle() {
    chosen.utc = !zone.utc;
    choose('tz', 'farol.tz', chosen.utc ? 'utc' : 'local');
  },
};
