import type { Event, EventDraft, EventLimits } from '../core/event.ts';
import { overTier, type Tier } from '../core/tiers.ts';
import { type Fault, GatewayError } from '../errors.ts';
import { asyncGiven, patchedAsync } from './async-schemas.ts';
import type { AppConfig } from './context.ts';
import { authOf, patchedAuth } from './event-auth.ts';
import { invalid } from './problem.ts';
import { type EventBody, type EventPatch, eventReplacementSchema } from './schemas.ts';

type Variables = Readonly<Record<string, string>>;
type VariablesPatch = Readonly<Record<string, string | null>> | null | undefined;

/**
 * What a deploy comes to. Limits that it leaves out are the gateway's defaults, or the tier's where those are lower.
 * @param before what it replaces
 * @throws GatewayError `validation_failed` naming each limit that is over the tier's
 */
export function draftOf(
  body: EventBody & { secrets: Record<string, string> },
  name: string,
  config: AppConfig,
  tier: Tier,
  before?: Event,
): EventDraft {
  const draft = anyDraftOf(body, name, config, tier, before);
  demandWithin(tier, draft.limits);
  return draft;
}

function anyDraftOf(
  body: EventBody & { secrets: Record<string, string> },
  name: string,
  config: AppConfig,
  tier: Tier,
  before: Event | undefined,
): EventDraft {
  const { runtime, code, description, enabled, env, secrets } = body;
  const auth = authOf(body.auth, before?.auth);
  const limits = {
    timeoutMs: body.timeoutMs ?? Math.min(config.DEFAULT_TIMEOUT_MS, tier.timeoutMs),
    memoryMb: body.memoryMb ?? Math.min(config.DEFAULT_MEMORY_MB, tier.memoryMb),
    cpus: body.cpus ?? Math.min(config.DEFAULT_CPUS, tier.cpus),
  };
  const async = asyncGiven(body.async);
  const demand = body.minIsolation && { minIsolation: body.minIsolation };
  return { name, runtime, code, description, auth, enabled, async, limits, ...demand, env, secrets };
}

/** A variable that moves from the secrets to the environment is no longer a secret. */
export function keptSecrets(before: Event, env: Variables): Record<string, string> {
  const kept = Object.entries(before.current.secrets).filter(([name]) => !Object.hasOwn(env, name));
  return Object.fromEntries(kept);
}

/**
 * JSON Merge Patch (RFC 7396) of the event as a deploy would give it: what is left out stays, null puts a field back to its
 * default and removes a variable. A variable that is set in `env` moves there from the secrets, and the other way round.
 * Limits from before the tier allowed less may stay as they are.
 * @throws GatewayError `validation_failed` when the result could not be deployed
 */
export function patchedDraft(before: Event, patch: EventPatch, config: AppConfig, tier: Tier): EventDraft {
  const {
    name: _name,
    auth: authPatch,
    async: asyncPatch,
    env: envPatch,
    secrets: secretsPatch,
    ...fields
  } = patch;
  const { current, description, enabled } = before;
  const auth = patchedAuth(before.auth, authPatch);
  const { runtime, code, limits, minIsolation } = current;
  const merged = new Map<string, unknown>(
    Object.entries({
      runtime,
      code,
      description,
      auth,
      enabled,
      ...limits,
      minIsolation,
      ...fields,
      async: patchedAsync(before.async, asyncPatch),
    }),
  );
  for (const [name, value] of merged) if (value === null || value === undefined) merged.delete(name);
  const body = {
    ...Object.fromEntries(merged),
    env: mergedVariables(current.env, envPatch, secretsPatch),
    secrets: mergedVariables(current.secrets, secretsPatch, envPatch),
  };
  const parsed = eventReplacementSchema.safeParse(body);
  if (!parsed.success) throw invalid(parsed.error);
  const draft = anyDraftOf(
    { ...parsed.data, secrets: parsed.data.secrets ?? {} },
    before.name,
    config,
    tier,
    before,
  );
  demandWithin(tier, draft.limits, limits);
  return draft;
}

/** @param before limits that need not be within, as long as they stay */
function demandWithin(tier: Tier, limits: EventLimits, before?: EventLimits): void {
  const over = overTier(limits, tier).filter(({ limit }) => limits[limit] !== before?.[limit]);
  if (over.length === 0) return;
  const faults = over.map(
    ({ limit, most }): Fault => ({ path: limit, message: `must be at most ${most}, which is your tier’s` }),
  );
  const names = over.map(({ limit }) => limit).join(', ');
  throw new GatewayError('validation_failed', `More than your tier allows: see ${names}`, { faults });
}

/** @param other the patch of the other kind of variables, to which some may move */
function mergedVariables(
  before: Variables,
  patch: VariablesPatch,
  other: VariablesPatch,
): Record<string, string> {
  const merged = new Map(patch === null ? [] : Object.entries(before));
  for (const [name, value] of Object.entries(other ?? {})) if (value !== null) merged.delete(name);
  for (const [name, value] of Object.entries(patch ?? {})) {
    if (value === null) merged.delete(name);
    else merged.set(name, value);
  }
  return Object.fromEntries(merged);
}

/** @throws GatewayError when a body wants another name than its URL has */
export function keepsName(body: { name?: string | undefined }, name: string): void {
  if (body.name === undefined || body.name === name) return;
  throw new GatewayError('validation_failed', 'An event cannot be renamed: deploy it under the other name', {
    faults: [{ path: 'name', message: `must be ${name}, as in the URL, or left out` }],
  });
}
