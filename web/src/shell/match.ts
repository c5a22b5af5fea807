// Ranks texts against what was typed: at the start of a word before inside one, accents aside. Pure.
export const plain = (s: string): string => s.normalize('NFD').replace(/[\u0300-\u036f]/g, '').toLowerCase();

/** 0 = no match; more is better. Every typed word must occur. */
export function score(text: string, query: string): number {
  const t = plain(text);
  let total = 1;
  for (const word of plain(query).split(/\s+/).filter(Boolean)) {
    const at = t.indexOf(word);
    if (at < 0) return 0;
    total += at === 0 ? 4 : /[^a-z0-9]/.test(t[at - 1]) ? 2 : 1;
  }
  return total;
}

export function rank<T>(list: T[], query: string, text: (item: T) => string): T[] {
  return list
    .map((item, i) => ({ item, i, s: score(text(item), query) }))
    .filter((x) => x.s > 0)
    .sort((a, b) => b.s - a.s || a.i - b.i)
    .map((x) => x.item);
}
