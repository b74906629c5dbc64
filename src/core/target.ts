import { GatewayError } from '../errors.ts';
import { ALIAS_NAME, type AliasStore, chosenVersion } from './alias.ts';
import { EVENT_NAME, type Event } from './event.ts';
import type { EventStore } from './event-store.ts';

/** Which version of an event is meant: its current one, another by its number, or the one that an alias stands for. */
export type Qualifier = { version: string } | { alias: string } | undefined;

/** An event as callers name it: `hello`, `hello@3` or `hello:live`. */
export interface Target {
  name: string;
  qualifier: Qualifier;
}

export interface TargetDeps {
  events: Pick<EventStore, 'find' | 'findVersion'>;
  aliases: Pick<AliasStore, 'find'>;
  /** A number in [0, 1), another one each time. */
  random: () => number;
}

const VERSION = /^[1-9]\d{0,8}$/;
const TARGET = /^([^@:]*)(?:@([^@:]*)|:([^@:]*))?$/;

/** `undefined` when it names no event; whether there is one is not looked at. */
export function parseTarget(text: string): Target | undefined {
  const [, name = '', version, alias] = TARGET.exec(text) ?? [];
  if (!EVENT_NAME.test(name)) return undefined;
  if (version !== undefined) return { name, qualifier: { version } };
  return { name, qualifier: alias === undefined ? undefined : { alias } };
}

/**
 * The event as it is with the version that is meant. Who may call it and whether it is enabled is the event's and not a
 * version's.
 * @throws GatewayError `not_found`
 */
export async function withQualifier(event: Event, qualifier: Qualifier, deps: TargetDeps): Promise<Event> {
  if (qualifier === undefined) return event;
  if ('version' in qualifier) return withVersion(event, qualifier.version, deps);
  const { alias: name } = qualifier;
  const alias = ALIAS_NAME.test(name) ? await deps.aliases.find(event, name) : undefined;
  if (alias === undefined) {
    throw new GatewayError('not_found', `The event ${event.name} has no alias ${name}`);
  }
  return withVersion(event, String(chosenVersion(alias, deps.random())), deps);
}

async function withVersion(event: Event, version: string, { events }: TargetDeps): Promise<Event> {
  if (version === String(event.current.version)) return event;
  const current = VERSION.test(version) ? await events.findVersion(event, Number(version)) : undefined;
  if (current === undefined) {
    throw new GatewayError('not_found', `The event ${event.name} has no version ${version}`);
  }
  return { ...event, current };
}
