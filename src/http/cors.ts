import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import type { AppEnv } from './context.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];
/** What a page may read of an answer beside its body and its content type. */
const EXPOSED = [
  'X-Cronium-Invocation-Id',
  'X-Cronium-Start',
  'X-Cronium-Isolation',
  'X-Cronium-Receipt',
  'Idempotent-Replayed',
  'Server-Timing',
  'Location',
  'Retry-After',
];
/** Browsers keep the answer to a preflight for no longer, whatever it says. */
const PREFLIGHT_MAX_AGE_SECONDS = 7_200;

/**
 * Lets pages of these origins call functions (https://fetch.spec.whatwg.org/#http-cors-protocol), with a token as theirs is a
 * header and no cookie. To other origins, and to what is no preflight, the function answers as it likes.
 */
export function functionCors(origins: readonly string[]): MiddlewareHandler<AppEnv> {
  const allow = cors({
    origin: origins.includes('*') ? '*' : [...origins],
    allowMethods: METHODS,
    exposeHeaders: EXPOSED,
    maxAge: PREFLIGHT_MAX_AGE_SECONDS,
  });
  return async (c, next) => {
    const origin = c.req.header('origin');
    const isAllowed = origin !== undefined && (origins.includes('*') || origins.includes(origin));
    const isAsking =
      c.req.method !== 'OPTIONS' || c.req.header('access-control-request-method') !== undefined;
    if (isAllowed && isAsking) return allow(c, next);
    await next();
    // Of the same URL there are answers to others that say more.
    if (!origins.includes('*')) c.res.headers.append('vary', 'Origin');
  };
}
