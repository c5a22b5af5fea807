// Queries that were asked before, on this machine only.
import { remember } from './export';

const KEY = 'farol.consultas';
function read(): string[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(list) ? list.filter((x): x is string => typeof x === 'string') : [];
  } catch {
    return [];
  }
}
let list = $state.raw(read());

export const history = {
  get list() {
    return list;
  },
  add(expr: string) {
    list = remember(list, expr);
    save();
  },
  clear() {
    list = [];
    save();
  },
};
function save() {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    /* storage may be forbidden; the list then lasts as long as the page */
  }
}
