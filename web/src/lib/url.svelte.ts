// The address of the screen as reactive state. Everything a page wants to remember goes through
// here, so back, reload, share and copy lose nothing.
import { formatHash, kept, merge, parseHash, type Params } from './hash';

export const HOME = 'visao';
const address = $state(parseHash(location.hash));

function read() {
  const next = parseHash(location.hash);
  const moved = next.page !== address.page;
  address.page = next.page;
  address.params = next.params;
  if (moved) scrollTo(0, 0);
}
addEventListener('hashchange', read);
addEventListener('popstate', read);

export const url = {
  get page() {
    return address.page || HOME;
  },
  get params(): Params {
    return address.params;
  },
  get(key: string): string | undefined {
    return address.params[key];
  },
  /** Change parameters of this page; null removes one. `replace` leaves no step for «back». */
  set(change: Record<string, string | null | undefined>, replace = false) {
    const hash = formatHash(url.page, merge(address.params, change));
    if (hash === location.hash) return;
    history[replace ? 'replaceState' : 'pushState'](null, '', hash);
    read();
  },
  /** Address of this page with parameters changed: a link that keeps the rest of the screen. */
  with(change: Record<string, string | null | undefined>): string {
    return formatHash(url.page, merge(address.params, change));
  },
  /** Address of another page: time range, language and theme go along. */
  href(page: string, params: Params = {}): string {
    return formatHash(page, { ...kept(address.params), ...params });
  },
  go(page: string, params: Params = {}) {
    location.hash = url.href(page, params);
  },
  /** The whole address, for the clipboard. */
  link(): string {
    return location.href;
  },
};
