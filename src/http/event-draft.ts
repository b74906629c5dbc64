import type { Event, EventDraft } from '../core/event.ts';
import { GatewayError } from '../errors.ts';
import type { AppConfig } from './context.ts';
import { invalid } from './problem.ts';
import { type EventBody, type EventPatch, eventReplacementSchema } from './schemas.ts';

type Variables = Readonly<Record<string, string>>;
type VariablesPatch = Readonly<Record<string, string | null>> | null | undefined;

export function draftOf(
  body: EventBody & { secrets: Record<string, string> },
  name: string,
  config: AppConfig,
): EventDraft {
  const { runtime, code, description, auth, enabled, env, secrets } = body;
  const limits = {
    timeoutMs: body.timeoutMs ?? config.DEFAULT_TIMEOUT_MS,
    memoryMb: body.memoryMb ?? config.DEFAULT_MEMORY_MB,
    cpus: body.cpus ?? config.DEFAULT_CPUS,
  };
  return { name, runtime, code, description, auth, enabled, limits, env, secrets };
}

/** A variable that moves from the secrets to the environment is no longer a secret. */
export function keptSecrets(before: Event, env: Variables): Record<string, string> {
  const kept = Object.entries(before.current.secrets).filter(([name]) => !Object.hasOwn(env, name));
  return Object.fromEntries(kept);
}

/**
 * JSON Merge Patch (RFC 7396) of the event as a deploy would give it: what is left out stays, null puts a field back to its
 * default and removes a variable. A variable that is set in `env` moves there from the secrets, and the other way round.
 * @throws GatewayError `validation_failed` when the result could not be deployed
 */
export function patchedDraft(before: Event, patch: EventPatch, config: AppConfig): EventDraft {
  const { name: _name, env: envPatch, secrets: secretsPatch, ...fields } = patch;
  const { current, description, auth, enabled } = before;
  const { runtime, code, limits } = current;
  const merged = new Map<string, unknown>(
    Object.entries({ runtime, code, description, auth, enabled, ...limits, ...fields }),
  );
  for (const [name, value] of merged) if (value === null || value === undefined) merged.delete(name);
  const body = {
    ...Object.fromEntries(merged),
    env: mergedVariables(current.env, envPatch, secretsPatch),
    secrets: mergedVariables(current.secrets, secretsPatch, envPatch),
  };
  const parsed = eventReplacementSchema.safeParse(body);
  if (!parsed.success) throw invalid(parsed.error);
  return draftOf({ ...parsed.data, secrets: parsed.data.secrets ?? {} }, before.name, config);
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
