import type { Event } from './event.ts';

/** Begins with a letter, so that no alias is taken for the number of a version. */
export const ALIAS_NAME = /^[a-z][a-z0-9_-]{0,62}$/;

/** What an alias stands for: one version of its event, and perhaps another one that gets a share of the calls. */
export interface AliasTarget {
  version: number;
  /** `weight` is the other version's share of the calls, between 0 and 1. */
  split: { version: number; weight: number } | null;
}

/** A name for a version of an event that moves when its owner says so: `live`, `canary`. */
export interface Alias extends AliasTarget {
  name: string;
  createdAt: Date;
  updatedAt: Date;
}

/** Looks at an alias that is about to change, `undefined` when there is none; what it throws undoes the change. */
export type AliasCheck = (before: Alias | undefined) => void;

/** Aliases of deployed events. Every method may reject when the database is away. */
export interface AliasStore {
  /** `undefined` when there is none. Not limited to an owner: the function URL asks for any. */
  find(event: Pick<Event, 'id' | 'name'>, alias: string): Promise<Alias | undefined>;
  /** Sorted by name. */
  list(event: Pick<Event, 'id' | 'name'>): Promise<Alias[]>;
  /**
   * Makes the alias, or moves it. Rejects with `validation_failed` when the event does not have the versions.
   * `undefined` when the owner has no such event.
   */
  put(
    ownerId: string,
    eventName: string,
    alias: string,
    target: AliasTarget,
    check?: AliasCheck,
  ): Promise<{ alias: Alias; created: boolean } | undefined>;
  /** `false` when the owner has no such event, or it no such alias. */
  remove(ownerId: string, eventName: string, alias: string, check?: AliasCheck): Promise<boolean>;
}

/** The version that a call of the alias runs. @param random a number in [0, 1) of this call's own */
export function chosenVersion({ version, split }: AliasTarget, random: number): number {
  return split !== null && random < split.weight ? split.version : version;
}
