// Addresses of one page from another. A page that does not exist has no address: links to it are
// then plain text.
import { hasPage } from './pages';
import { url } from './url.svelte';

/** The query in Explorar: every number can show where it comes from. */
export const queryHref = (expr: string): string | undefined =>
  hasPage('explorar') ? url.href('explorar', { q: expr }) : undefined;

export const transactionHref = (e2e: string): string | undefined =>
  hasPage('pipeline') ? url.href('pipeline', { e2e }) : undefined;

export const pageHref = (page: string, params: Record<string, string> = {}): string | undefined =>
  hasPage(page) ? url.href(page, params) : undefined;
