// The state of a screen is its address: `#/modelo?de=now-6h&ate=now&seg=form:DICT`. Pure.

export type Params = Record<string, string>;
export type Address = { page: string; params: Params };

/** Parameters that belong to every page and are kept when another page is opened. */
export const KEPT = ['de', 'ate', 'cmp', 'lang', 'tema', 'tz'] as const;

export function parseHash(hash: string): Address {
  const body = hash.replace(/^#\/?/, '');
  const cut = body.indexOf('?');
  const page = cut < 0 ? body : body.slice(0, cut);
  const params: Params = {};
  if (cut >= 0) for (const [k, v] of new URLSearchParams(body.slice(cut + 1))) params[k] = v;
  return { page: decodeURIComponent(page.replace(/%(?![0-9a-f]{2})/gi, '%25')), params };
}

export function formatHash(page: string, params: Params): string {
  const query = Object.keys(params)
    .filter((k) => params[k] !== '')
    .map((k) => `${encodeURIComponent(k)}=${readable(params[k])}`)
    .join('&');
  return `#/${encodeURIComponent(page)}${query ? `?${query}` : ''}`;
}

/** An address is read by people in chats: what needs no escape is left as it is. */
function readable(value: string): string {
  return encodeURIComponent(value).replace(/%3A/gi, ':').replace(/%2C/gi, ',').replace(/%2F/gi, '/');
}

export function merge(params: Params, change: Record<string, string | null | undefined>): Params {
  const out = { ...params };
  for (const [k, v] of Object.entries(change)) {
    if (v == null || v === '') delete out[k];
    else out[k] = v;
  }
  return out;
}

export function kept(params: Params): Params {
  const out: Params = {};
  for (const k of KEPT) if (params[k]) out[k] = params[k];
  return out;
}

/** E + ISPB (8) + date and time (12) + 11 letters or digits. */
export const isE2e = (text: string): boolean => /^E\d{20}[A-Za-z0-9]{11}$/.test(text.trim());
