import { stageName } from '../../lib/common';
import { words } from '../../lib/i18n.svelte';
import { en } from './en';
import { pt } from './pt';

export const w = words(pt, en);
/** Losses may lie before the first stage: its name there is «start». */
export const placeName = (name: string): string => (name === 'start' ? w().start : stageName(name));
