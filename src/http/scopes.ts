import type { Event } from '../core/event.ts';
import { GatewayError } from '../errors.ts';
import type { Principal } from './principal.ts';

/** What a token may allow, besides `event:<name>:invoke`. */
export const SCOPES = [
  'events:read',
  'events:write',
  'events:invoke',
  'variables:read',
  'variables:write',
  'bench',
] as const;
export type Scope = (typeof SCOPES)[number];

/** The `scope` claim of RFC 8693: names separated by spaces. */
export function parseScope(scope: string): ReadonlySet<string> {
  return new Set(scope.split(' ').filter((name) => name !== ''));
}

/** @throws GatewayError `insufficient_scope` */
export function demandScope(principal: Principal, scope: Scope): void {
  if (!principal.scopes.has(scope)) throw insufficient(scope);
}

/**
 * An owner may call with `events:invoke`; anybody, the owner too, with the scope that names the event.
 * @throws GatewayError `insufficient_scope`
 */
export function demandInvoke(principal: Principal, event: Event): void {
  const named = `event:${event.name}:invoke`;
  if (principal.scopes.has(named)) return;
  const isOwner = principal.userId === event.ownerId;
  if (isOwner && principal.scopes.has('events:invoke')) return;
  throw insufficient(isOwner ? 'events:invoke' : named);
}

function insufficient(scope: string): GatewayError {
  return new GatewayError('insufficient_scope', `The token does not have the scope ${scope}`, { scope });
}
