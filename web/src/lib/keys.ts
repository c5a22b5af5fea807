// The keyboard: one listener, one table that the help shows too. Sequences (`g v`) are two keys
// within a second. Keys that are typed into a field are left alone. Pure but for `listen`.

export type Binding = {
  /** `l`, `?`, `Mod+k`, `g v`, `Shift+x`, `ArrowLeft` */
  keys: string;
  run: () => void;
  /** Shown in the help; without it the key is an alias. */
  label?: () => string;
  /** Works while typing too. */
  always?: boolean;
};

const WAIT_MS = 1000;
const bindings = new Set<Binding>();

/** Adds bindings; the answer removes them. In a component: `$effect(() => bind([...]))`. */
export function bind(list: Binding[]): () => void {
  for (const b of list) bindings.add(b);
  return () => {
    for (const b of list) bindings.delete(b);
  };
}

export const bound = (): Binding[] => [...bindings];

export type Press = { key: string; ctrlKey: boolean; metaKey: boolean; altKey: boolean; shiftKey: boolean };

/** How a key press is written in `keys`; shift counts only where it does not change the sign. */
export function pressName(e: Press): string {
  const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
  const letter = /^[a-z]$/.test(key);
  return `${e.ctrlKey || e.metaKey ? 'Mod+' : ''}${e.altKey ? 'Alt+' : ''}${e.shiftKey && (letter || e.key.length > 1) ? 'Shift+' : ''}${key}`;
}

/** Remembers the first key of a sequence. */
export class Sequence {
  #first = '';
  #at = 0;

  /** What a press means now: the names to look for, longest first. */
  names(press: string, now: number): string[] {
    const names = this.#first && now - this.#at < WAIT_MS ? [`${this.#first} ${press}`, press] : [press];
    this.#first = press;
    this.#at = now;
    return names;
  }

  clear() {
    this.#first = '';
  }
}

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches('input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable], [contenteditable] *');

export function listen(): () => void {
  const sequence = new Sequence();
  const press = (e: KeyboardEvent) => {
    if (e.defaultPrevented || ['Shift', 'Control', 'Meta', 'Alt'].includes(e.key)) return;
    const inField = typing(e.target) || document.querySelector('dialog[open]') !== null;
    const all = bound();
    for (const name of sequence.names(pressName(e), e.timeStamp)) {
      const hit = all.findLast((b) => b.keys === name && (b.always || !inField));
      if (!hit) continue;
      e.preventDefault();
      sequence.clear();
      hit.run();
      return;
    }
  };
  addEventListener('keydown', press);
  return () => removeEventListener('keydown', press);
}
