// The pages register themselves: every folder of src/pages with a page.ts is one.
import type { Component } from 'svelte';
import type { State, Status } from './api';
import type { Both } from './i18n.svelte';

export type Group = 'home' | 'pillars' | 'data' | 'trust';
export type PageDef = {
  id: string;
  /** Place within its group. */
  order: number;
  group: Group;
  /** `g` then this letter opens it. */
  key: string;
  icon: Component<{ size?: number; strokeWidth?: number }>;
  title: Both;
  /** The lamp in the sidebar; undefined shows none. */
  lamp?: (status: Status | null) => State | undefined;
  /** A count in the sidebar (firing alerts); 0 and undefined show none. */
  count?: (status: Status | null) => number | undefined;
  /** Among the tabs at the bottom of a phone. */
  tab?: boolean;
  load: () => Promise<{ default: Component }>;
};

const GROUPS: Group[] = ['home', 'pillars', 'data', 'trust'];
const found = import.meta.glob<{ default: PageDef }>('../pages/*/page.ts', { eager: true });

export const pages: PageDef[] = Object.values(found)
  .map((m) => m.default)
  .sort((a, b) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group) || a.order - b.order);

export const groups = GROUPS.map((id) => ({ id, pages: pages.filter((p) => p.group === id) })).filter((g) => g.pages.length);
export const pageOf = (id: string): PageDef | undefined => pages.find((p) => p.id === id);
export const hasPage = (id: string): boolean => pageOf(id) !== undefined;
