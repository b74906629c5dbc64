import type { MiddlewareHandler } from 'hono';
import type { AppEnv } from './context.ts';

/**
 * On every answer that is the gateway's own: it is what it says it is, is kept by no cache, and leads to nothing.
 * Strict-Transport-Security is for whoever has the certificate: the gateway speaks no TLS.
 */
export const OWN_HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** What a function answers is its own business: it alone knows what its headers do. */
export function ownHeaders(): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    await next();
    const { headers } = c.res;
    // On a function's answers, and on no others.
    if (headers.has('x-cronium-isolation')) return;
    for (const [name, value] of Object.entries(OWN_HEADERS)) if (!headers.has(name)) headers.set(name, value);
  };
}
