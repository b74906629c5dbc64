import type { EventLimits } from './event.ts';

/** What a user of a tier may use. `null` is no bound but the gateway's own. */
export interface Tier {
  /** Invocations of one user that run at once. */
  concurrency: number | null;
  ratePerMinute: number | null;
  /** The largest limits that an event may be deployed with. */
  memoryMb: number;
  cpus: number;
  timeoutMs: number;
}

/** Tiers by name. `default` is for tokens that name none, or one that is not known. */
export type Tiers = Readonly<Record<string, Tier>> & { readonly default: Tier };

/** Bounds nothing that the gateway does not bound itself. */
export const WIDEST_TIER: Tier = {
  concurrency: null,
  ratePerMinute: null,
  memoryMb: 65_536,
  cpus: 64,
  timeoutMs: 900_000,
};

export function tierOf(tiers: Tiers, name: string | null): Tier {
  return name !== null && Object.hasOwn(tiers, name) ? tiers[name]! : tiers.default;
}

/** The limits that are over the tier's, with the most it allows. */
export function overTier(limits: EventLimits, tier: Tier): { limit: keyof EventLimits; most: number }[] {
  const names = ['timeoutMs', 'memoryMb', 'cpus'] as const;
  return names.filter((limit) => limits[limit] > tier[limit]).map((limit) => ({ limit, most: tier[limit] }));
}
