import { words } from '../../lib/i18n.svelte';
import { en } from './en';
import { pt } from './pt';

export const w = words(pt, en);
