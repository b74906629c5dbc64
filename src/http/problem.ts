import { STATUS_CODES } from 'node:http';
import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Event } from '../core/event.ts';
import { type Fault, GatewayError } from '../errors.ts';
import type { AppEnv, Logger } from './context.ts';
import { REPLAYED_HEADER, VERSION_HEADER } from './function-response.ts';
import { serverTiming } from './server-timing.ts';

/** RFC 9457, with a `code` that callers match on. */
export const problemSchema = z
  .object({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .openapi({ description: 'Each fault of a request that is well-formed but not valid' }),
    error: z
      .object({ code: z.string(), message: z.string(), invocationId: z.string() })
      .optional()
      .openapi({ description: 'Set when an invocation failed' }),
  })
  .openapi('Problem');

/** The response that tells a caller what went wrong. */
export function problem(error: GatewayError, headers: Record<string, string> = {}): Response {
  const { code, message, status, faults, invocationId, retryAfterSeconds, timing } = error;
  const body: z.infer<typeof problemSchema> = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Client Closed Request',
    status,
    detail: message,
    code,
  };
  if (faults.length > 0) body.errors = faults.map(({ path, message }) => ({ path, message }));
  const all = new Headers({ 'content-type': 'application/problem+json', ...headers });
  if (invocationId !== undefined) {
    body.error = { code, message, invocationId };
    all.set('x-cronium-invocation-id', invocationId);
  }
  const spent = serverTiming(timing);
  if (spent !== '') all.set('server-timing', spent);
  if (error.replayed) all.set(REPLAYED_HEADER, 'true');
  if (retryAfterSeconds !== undefined) all.set('retry-after', String(Math.ceil(retryAfterSeconds)));
  const challenge = challengeOf(error);
  if (challenge !== undefined) all.set('www-authenticate', challenge);
  return new Response(JSON.stringify(body), { status, headers: all });
}

/** RFC 6750, section 3: no error attribute for who sent no token at all. A webhook's senders sign, each in its way. */
function challengeOf({ code, message, scope }: GatewayError): string | undefined {
  if (code === 'unauthorized') return 'Bearer realm="cronium"';
  if (code === 'invalid_signature') return 'Webhook realm="cronium"';
  if (code !== 'invalid_token' && code !== 'insufficient_scope') return undefined;
  const attributes = [`realm="cronium"`, `error="${code}"`, `error_description="${quotable(message)}"`];
  if (scope !== undefined) attributes.push(`scope="${quotable(scope)}"`);
  return `Bearer ${attributes.join(', ')}`;
}

const quotable = (text: string) => text.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '');

/** What is thrown in a handler, as a response; anything that is not meant for the caller is logged and kept back. */
export function answerError(error: unknown, c: Context<AppEnv>, logger: Logger): Response {
  if (error instanceof GatewayError) return problem(error, versionHeader(error, c));
  if (error instanceof HTTPException && error.status < 500) {
    const code = error.status === 415 ? 'unsupported_media_type' : 'bad_request';
    return problem(new GatewayError(code, error.message));
  }
  logger.error('A request failed unexpectedly', { error, method: c.req.method, path: c.req.path });
  return problem(
    new GatewayError('internal_error', 'Something went wrong in the gateway; its log has the reason'),
  );
}

/** Of an invocation that failed callers learn which version it was, as of one that did not. */
function versionHeader({ invocationId }: GatewayError, c: Context<AppEnv>): Record<string, string> {
  const event: Event | undefined = c.get('event');
  if (invocationId === undefined || event === undefined) return {};
  return { [VERSION_HEADER]: String(event.current.version) };
}

/** Turns zod's issues into faults; members that nobody knows are named one by one. */
export function invalid(error: z.core.$ZodError): GatewayError {
  const faults = error.issues.flatMap((issue) => faultsOf(issue, []));
  const names = faults.map((fault) => fault.path).filter((path) => path !== '');
  const message = `The request is not valid${names.length > 0 ? `: see ${names.join(', ')}` : ''}`;
  return new GatewayError('validation_failed', message, { faults });
}

function faultsOf(issue: z.core.$ZodIssue, parent: readonly PropertyKey[]): Fault[] {
  const path = [...parent, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key].join('.'), message: 'is not a known member' }));
  }
  // Of several forms, the one that was meant is the one in which only members are wrong.
  const meant = issue.code === 'invalid_union' ? issue.errors.find(isAboutMembers) : undefined;
  if (meant !== undefined) return meant.flatMap((inner) => faultsOf(inner, path));
  return [{ path: path.join('.'), message: issue.message }];
}

function isAboutMembers(issues: readonly z.core.$ZodIssue[]): boolean {
  return issues.every(({ code, path }) => path.length > 0 || code === 'unrecognized_keys');
}
