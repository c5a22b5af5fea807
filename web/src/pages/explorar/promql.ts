// PromQL as the editor sees it: tokens to colour, what can stand at the cursor, where the server's
// complaint points. It never refuses a text: half a query has tokens too. Pure; time is linear.
import { AGGREGATIONS, FUNCTIONS, KEYWORDS } from './functions';

export type Kind = 'space' | 'comment' | 'string' | 'number' | 'function' | 'keyword' | 'label' | 'name' | 'op' | 'bad';
/** `open`: a string without its closing quote. */
export type Token = { kind: Kind; text: string; from: number; open?: boolean };

const OWN = new Set([...Object.keys(KEYWORDS), 'inf', 'nan', 'smoothed', 'anchored']);
const LISTS = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);
const has = (table: object, name: string) => Object.hasOwn(table, name);

const RULES: [Kind, RegExp][] = [
  ['space', /\s+/y],
  ['comment', /#[^\n]*/y],
  ['string', /"(?:[^"\\\n]|\\[^\n])*"?|'(?:[^'\\\n]|\\[^\n])*'?|`[^`]*`?/y],
  ['number', /\d[\d_.]*[eE][+-]?\d+|\.?\d[\w.]*|\$\w+/y],
  ['name', /[A-Za-z_][\w:]*|:[A-Za-z_:][\w:]*/y],
  ['op', /=~|!~|[=!<>]=|[-+*/%^=<>(){}[\],@:]/y],
];
const closed = (s: string) => {
  if (s.length < 2 || s.at(-1) !== s[0]) return false;
  if (s[0] === '`') return true;
  let slashes = 0;
  while (s[s.length - 2 - slashes] === '\\') slashes++;
  return slashes % 2 === 0;
};

function raw(text: string): Token[] {
  const all: Token[] = [];
  let at = 0;
  next: while (at < text.length) {
    for (const [kind, rule] of RULES) {
      rule.lastIndex = at;
      const hit = rule.exec(text)?.[0];
      if (!hit) continue;
      all.push(kind === 'string' && !closed(hit) ? { kind, text: hit, from: at, open: true } : { kind, text: hit, from: at });
      at += hit.length;
      continue next;
    }
    const last = all.at(-1);
    const one = String.fromCodePoint(text.codePointAt(at)!);
    if (last?.kind === 'bad') last.text += one;
    else all.push({ kind: 'bad', text: one, from: at });
    at += one.length;
  }
  return all;
}

type Place = { open: '(' | '{' | '['; labels: boolean; metric?: string };

/** The tokens in order, which together are the text, and the brackets that are open after the last. */
function parse(text: string): { tokens: Token[]; open: Place[] } {
  const tokens = raw(text);
  const solid = tokens.filter((t) => t.kind !== 'space' && t.kind !== 'comment');
  const open: Place[] = [];
  solid.forEach((t, i) => {
    const before = solid[i - 1];
    const after = solid[i + 1];
    if (t.kind === 'name') {
      const name = t.text.toLowerCase();
      if (open.at(-1)?.labels) t.kind = 'label';
      else if ((has(FUNCTIONS, t.text) && after?.text === '(') || (has(AGGREGATIONS, name) && /^(\(|by|without)$/i.test(after?.text ?? ''))) t.kind = 'function';
      else if (OWN.has(name) || (before?.text === '@' && (name === 'start' || name === 'end'))) t.kind = 'keyword';
      else if (after?.text === '(') t.kind = 'function';
    } else if (t.kind === 'op') {
      if (t.text === '{') open.push({ open: '{', labels: true, metric: before?.kind === 'name' ? before.text : undefined });
      else if (t.text === '(') open.push({ open: '(', labels: before?.kind === 'keyword' && LISTS.has(before.text.toLowerCase()) });
      else if (t.text === '[') open.push({ open: '[', labels: false });
      else if (/[)}\]]/.test(t.text)) open.pop();
    }
  });
  return { tokens, open };
}

export const tokenize = (text: string): Token[] => parse(text).tokens;

/** What can stand at the cursor: `from` to `to` is replaced, `word` is what is written before the cursor. */
export type Context = { from: number; to: number; word: string } & (
  | { kind: 'expr' }
  | { kind: 'label'; metric?: string; matcher: boolean }
  | { kind: 'value'; metric?: string; label: string; quote: string }
);

const LEGACY = /^[A-Za-z_:][\w:]*$/;

export function contextAt(text: string, at: number): Context | undefined {
  const { tokens, open } = parse(text.slice(0, at));
  const last = tokens.at(-1);
  const place = open.at(-1);
  if (last?.kind === 'comment' || last?.kind === 'number' || place?.open === '[') return undefined;
  const solid = tokens.filter((t) => t.kind !== 'space' && t.kind !== 'comment');
  const inWord = last !== undefined && ['name', 'label', 'function', 'keyword'].includes(last.kind);
  const open_ = last?.open === true;
  if (last?.kind === 'string' && !open_) return undefined;
  const before = solid.at(inWord || open_ ? -2 : -1);
  if (place?.open === '{' && before && /^(=|!=|=~|!~)$/.test(before.text)) {
    const label = solid.at(inWord || open_ ? -3 : -2)?.text;
    if (!label || inWord) return undefined;
    const quote = open_ ? last.text[0] : '';
    const from = open_ ? last.from + 1 : at;
    const rest = open_ ? /^[^"'`\n,}]*/.exec(text.slice(at, at + 1000))![0] : '';
    const to = at + (rest && text[at + rest.length] === quote ? rest.length : 0);
    return { kind: 'value', metric: place.metric, label, quote, from, to, word: text.slice(from, at) };
  }
  if (open_) return undefined;
  const from = inWord ? last.from : at;
  const to = at + (inWord ? /^[\w:]*/.exec(text.slice(at, at + 1000))![0].length : 0);
  const word = text.slice(from, at);
  if (!place?.labels) return { kind: 'expr', from, to, word };
  if (before && !/^[{(,]$/.test(before.text)) return undefined;
  const metric = place.metric ?? (place.open === '(' ? tokenize(text).find((t) => t.kind === 'name')?.text : undefined);
  return { kind: 'label', metric, matcher: place.open === '{', from, to, word };
}

/** What is written for a choice; `next` is the character after it. */
export function written(name: string, kind: Kind, c: Context, next: string): string {
  if (c.kind === 'value') {
    const quote = c.quote || '"';
    const inner = quote === '`' ? name : name.replace(/\\/g, '\\\\').replaceAll(quote, `\\${quote}`).replaceAll('\n', '\\n');
    return (c.quote ? '' : quote) + inner + (c.quote && next === quote ? '' : quote);
  }
  if (c.kind === 'label') return (LEGACY.test(name) ? name : JSON.stringify(name)) + (c.matcher && !/[=!]/.test(next) ? '="' : '');
  if (kind === 'function') return next === '(' ? name : `${name}(`;
  return kind === 'keyword' ? (next === ' ' ? name : `${name} `) : LEGACY.test(name) ? name : `{${JSON.stringify(name)}}`;
}

export type Choice = { name: string; kind: Kind; help?: string };

/** Those that hold the word: the word itself, then what begins with it, then the rest, as they come. */
export function choose(all: Choice[], word: string, most = 60): Choice[] {
  const w = word.toLowerCase();
  const tiers: Choice[][] = [[], [], []];
  for (const c of all) {
    const at = c.name.toLowerCase().indexOf(w);
    if (at >= 0) tiers[c.name === word ? 0 : at === 0 ? 1 : 2].push(c);
  }
  return tiers.flat().slice(0, most);
}

export type Complaint = { message: string; at?: number; line?: number; column?: number };

/** «…: 2:5: parse error: …» of the server: lines from 1, columns in bytes from 1. */
export function complaintAt(text: string, error: string): Complaint {
  const m = /(?:^|: )(\d+):(\d+): (?:parse error: )?([^]*)$/.exec(error);
  if (!m) return { message: error };
  const line = Number(m[1]);
  let from = 0;
  for (let i = 1; i < line; i++) {
    const end = text.indexOf('\n', from);
    if (end < 0) return { message: m[3] };
    from = end + 1;
  }
  let at = from;
  for (let bytes = Number(m[2]) - 1; bytes > 0 && at < text.length && text[at] !== '\n'; ) {
    const p = text.codePointAt(at)!;
    bytes -= p < 0x80 ? 1 : p < 0x800 ? 2 : p < 0x10000 ? 3 : 4;
    at += p < 0x10000 ? 1 : 2;
  }
  return { message: m[3], at, line, column: [...text.slice(from, at)].length + 1 };
}

/** The blanks $w, $step and $range as durations of the same length, so that positions stay. */
export const askable = (text: string): string => text.replaceAll('$range', '10000s').replaceAll('$step', '1000s').replaceAll('$w', '1m');
