import { en } from './en';
import { words } from './i18n.svelte';
import { pt } from './pt';

/** The shared words in the language that is shown. */
export const c = words(pt, en);
/** A stage by its configured name; names of the user's own stay as they are. */
export const stageName = (name: string): string => c().stages[name] ?? name;
