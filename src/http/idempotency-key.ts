import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Event } from '../core/event.ts';
import type { Once, OnceDeps } from '../core/once.ts';
import { GatewayError } from '../errors.ts';
import type { AppConfig, AppDeps, AppEnv } from './context.ts';
import type { Principal } from './principal.ts';

/** For the interface's documentation. */
export const IDEMPOTENCY_KEY_HEADER = {
  'idempotency-key': z.string().optional().openapi({
    description: 'The function runs once for each key; the first answer is kept and given again',
    example: '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
  }),
};
const MAX_KEY_CHARS = 255;
/** An RFC 8941 string, as the draft has it, or the text without quotes that most clients send. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
const BARE = /^[\x21\x23-\x2b\x2d-\x7e]+$/;

/** Differ from one try of a client to the next, and tell nothing of who it is. */
const VOLATILE: ReadonlySet<string> = new Set([
  'accept-encoding',
  'baggage',
  'cf-ray',
  'connection',
  'content-length',
  'date',
  'forwarded',
  'host',
  'idempotency-key',
  'keep-alive',
  'priority',
  'te',
  'traceparent',
  'tracestate',
  'transfer-encoding',
  'user-agent',
  'via',
  'x-amzn-trace-id',
  'x-request-id',
]);
const VOLATILE_PREFIX = 'x-forwarded-';

/** A request as its key is read and compared. */
export interface KeyedRequest {
  event: Event;
  principal: Principal | undefined;
  body: Uint8Array;
  /** Whether it asks not to wait for the answer. */
  isAsync: boolean;
}

/**
 * What the caller wants to run once, if it says so by `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). A key is
 * its caller's, for one event. Those who say not who they are cannot be told apart: they share an answer only with a
 * request that is the same in everything, credentials for the function itself included.
 * @param seesHeaders whether the function does: where it does not, they make no difference to its answer
 * @throws GatewayError `bad_request` for what is no key
 */
export function onceOf(
  c: Context<AppEnv>,
  request: KeyedRequest,
  config: AppConfig,
  seesHeaders = true,
): Once | undefined {
  const header = c.req.header('idempotency-key');
  if (header === undefined) return undefined;
  const { event, principal } = request;
  const fingerprint = fingerprintOf(c.req.raw, request, seesHeaders);
  const scope = ['url', event.id, ...(principal === undefined ? [fingerprint] : ['user', principal.userId])];
  return {
    key: hash([...scope, keyOf(header)]),
    fingerprint,
    ttlMs: config.IDEMPOTENCY_TTL_MS,
    keeps: 'every',
  };
}

/** @throws GatewayError `bad_request` */
export function keyOf(header: string): string {
  const text = header.trim();
  const key = BARE.test(text) ? text : QUOTED.exec(text)?.[1]?.replaceAll(/\\(["\\])/g, '$1');
  if (key === undefined || key === '' || key.length > MAX_KEY_CHARS) {
    const message = `The Idempotency-Key must be one string of 1 to ${MAX_KEY_CHARS} printable ASCII characters, as "8e03978e-40d5"`;
    throw new GatewayError('bad_request', message);
  }
  return key;
}

function fingerprintOf(
  { method, url, headers }: Request,
  request: KeyedRequest,
  seesHeaders: boolean,
): string {
  const { pathname, search } = new URL(url);
  const parts = [
    method,
    pathname + search,
    request.isAsync ? 'async' : 'sync',
    headers.get('content-type') ?? '',
  ];
  if (request.principal === undefined && seesHeaders) {
    headers.forEach((value, name) => {
      if (!VOLATILE.has(name) && !name.startsWith(VOLATILE_PREFIX)) parts.push(name, value);
    });
  }
  return createHash('sha256').update(JSON.stringify(parts)).update(request.body).digest('hex');
}

/** As JSON, so that no two lists are written alike. */
export function hash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

export function onceDeps({ invoker, enqueuer, idempotency, config, logger }: AppDeps): OnceDeps {
  return {
    invoker,
    enqueuer,
    idempotency,
    queueTimeoutMs: config.QUEUE_TIMEOUT_MS,
    onNotKept: (error) => logger.error('An answer could not be kept for its Idempotency-Key', { error }),
  };
}
