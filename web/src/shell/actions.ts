// What the shell can do, once: the keys, the help and the palette all read this list.
import { lang, theme, zone } from '../lib/prefs.svelte';
import { time } from '../lib/timeline.svelte';
import { copy } from '../lib/toast.svelte';
import { url } from '../lib/url.svelte';
import { open } from './ui.svelte';
import { w } from './words';

export type Action = { id: string; keys?: string; label: () => string; run: () => void };

export const copyLink = () => void copy(url.link(), w().linkCopied);

export const actions: Action[] = [
  { id: 'keys', keys: '?', label: () => w().keys.help, run: () => (open.keys = true) },
  { id: 'range', keys: 't t', label: () => w().keys.range, run: () => (open.range = true) },
  { id: 'live', keys: 'l', label: () => w().keys.live, run: time.toggleLive },
  { id: 'zoom', keys: 'z', label: () => w().keys.zoomOut, run: time.zoomOut },
  { id: 'back', keys: 't ArrowLeft', label: () => w().keys.back, run: () => time.shift(-1) },
  { id: 'forward', keys: 't ArrowRight', label: () => w().keys.forward, run: () => time.shift(1) },
  { id: 'utc', keys: 'u', label: () => w().keys.utc, run: zone.toggle },
  { id: 'copy', keys: 'y', label: () => w().keys.copy, run: copyLink },
  { id: 'theme', keys: 'Shift+d', label: () => w().keys.theme, run: theme.toggle },
  { id: 'language', keys: 'Shift+l', label: () => w().keys.language, run: lang.toggle },
  ...['1h', '1d', '7d', ''].map((back) => ({
    id: `cmp ${back}`,
    label: () => `${w().compare}: ${w().compareWith[back].toLowerCase()}`,
    run: () => url.set({ cmp: back || null }),
  })),
];

/** `t ArrowLeft` as it is printed on keys. */
export function keyCaps(keys: string): string[] {
  const caps: Record<string, string> = { ArrowLeft: '←', ArrowRight: '→', Mod: MOD, Shift: '⇧', Enter: '↵' };
  return keys.split(' ').map((k) => k.split('+').map((p) => caps[p] ?? (p.length === 1 ? p.toUpperCase() : p)).join(''));
}

const MOD = /Mac|iPhone|iPad/.test(navigator.platform) ? '⌘' : 'Ctrl ';
