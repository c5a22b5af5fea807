// The dictionary: each folder brings pt.ts (which is the type) and en.ts (which must satisfy it).
//   const w = words(pt, en);   ...   {w().title}   {w().lost(3)}
// A call, not a value: it reads the language, so the template follows it.
import { lang } from './prefs.svelte';

export const words = <W>(pt: W, en: NoInfer<W>) => (): W => (lang.code === 'pt' ? pt : en);

export type Both = { pt: string; en: string };
/** Text that comes in both languages, from the server or from a page.ts. */
export const both = (text: Both): string => text[lang.code];
