/** The frame of the few pages that the API writes itself. */
export const HTML = 'text/html; charset=utf-8';

/** Nothing from elsewhere, no scripts. */
export const PAGE_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
} as const;

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}' +
  'td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}code{background:#8882;padding:0 .2em}' +
  ':root{color-scheme:light dark}';

/** @param body trusted HTML: nothing of it comes from a request */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title} · Millrace</title>
<meta name="viewport" content="width=device-width"><style>${STYLE}</style></head><body>${body}</body></html>\n`;
}
