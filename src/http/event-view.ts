import type { z } from '@hono/zod-openapi';
import type { Event, EventVersionSummary } from '../core/event.ts';
import type { EventCheck } from '../core/event-store.ts';
import { type IsolationGrade, meets } from '../core/isolation.ts';
import { GatewayError } from '../errors.ts';
import { asyncViewOf } from './async-schemas.ts';
import type { AppConfig, AppDeps } from './context.ts';
import { authViewOf } from './event-auth.ts';
import { EVENT_NAME, type eventSchema, type eventVersionSchema } from './schemas.ts';

/** Of another owner's event nobody learns that it is there. */
export async function owned({ events }: AppDeps, userId: string, name: string): Promise<Event> {
  const event = EVENT_NAME.test(name) ? await events.find(name) : undefined;
  if (event?.ownerId !== userId) throw notFound(name);
  return event;
}

export const notFound = (name: string) => new GatewayError('not_found', `You have no event named ${name}`);

export function baseUrl(config: AppConfig, requestUrl: string): string {
  return (config.PUBLIC_URL ?? new URL(requestUrl).origin).replace(/\/+$/, '');
}

/** Tells one state of an event from all others (RFC 9110, section 8.8.3): each change has a time of its own. */
export function etagOf({ current, updatedAt }: Event): string {
  return `"${current.version}-${updatedAt.getTime().toString(36)}"`;
}

/** Refuses a change of an event that is not as the caller saw it: `If-Match`, RFC 9110, section 13.1.1. */
export function unchangedSince(ifMatch: string | undefined): EventCheck {
  return (before) => {
    if (ifMatch === undefined || ifMatch.trim() === '*') return;
    const tags = ifMatch.split(',').map((tag) => tag.trim());
    if (tags.includes(etagOf(before))) return;
    const message = `The event ${before.name} has changed: it is ${etagOf(before)} now. Read it again and decide anew`;
    throw new GatewayError('precondition_failed', message);
  };
}

export function viewOf(event: Event, base: string, grade: IsolationGrade): z.infer<typeof eventSchema> {
  const { current } = event;
  return {
    id: event.id,
    name: event.name,
    url: `${base}/e/${event.name}`,
    version: current.version,
    runtime: current.runtime,
    description: event.description,
    auth: authViewOf(event.auth),
    ...current.limits,
    ...demandOf(current, grade),
    env: { ...current.env },
    secretNames: Object.keys(current.secrets).sort(),
    enabled: event.enabled,
    async: asyncViewOf(event),
    codeSha256: current.codeSha256,
    createdAt: event.createdAt.toISOString(),
    updatedAt: event.updatedAt.toISOString(),
  };
}

export function versionViewOf(
  version: EventVersionSummary,
  event: Event,
  base: string,
  grade: IsolationGrade,
): z.infer<typeof eventVersionSchema> {
  return {
    version: version.version,
    current: version.version === event.current.version,
    url: `${base}/e/${event.name}@${version.version}`,
    runtime: version.runtime,
    ...version.limits,
    ...demandOf(version, grade),
    env: { ...version.env },
    secretNames: Object.keys(version.secrets).sort(),
    codeSha256: version.codeSha256,
    createdAt: version.createdAt.toISOString(),
  };
}

function demandOf({ minIsolation }: EventVersionSummary, grade: IsolationGrade) {
  return { minIsolation: minIsolation ?? null, isolationMet: meets(grade, minIsolation) };
}
