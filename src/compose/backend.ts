import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import type { Log } from '../logger.ts';
import { detectBackend } from '../sandbox/detect.ts';
import { unlessAborted } from '../unless-aborted.ts';
import { detectOptions } from './detect-options.ts';

/** How long a start that was given up may take to come to its end and to tidy up after itself, ms. */
const GIVE_UP_MS = 3_000;

export interface BackendOptions {
  config: Config;
  instanceId: string;
  log: Log;
  onProgress: (line: string) => void;
  onEngineError: (error: unknown) => void;
  signal: AbortSignal | undefined;
}

/**
 * The strongest way to isolate that works here, swept of what an earlier run left.
 * @throws NoIsolation, or the signal's reason
 */
export async function openBackend(
  parts: AsyncDisposableStack,
  { config, log, signal, ...own }: BackendOptions,
): Promise<SandboxBackend> {
  const { backend, refusals } = await backendUnless(
    signal,
    detectBackend(config.ISOLATION_MODE, detectOptions(config, own)),
  );
  parts.defer(() => backend.close());
  for (const { name, reason } of refusals)
    own.onProgress(`${name} is stronger and cannot be used here: ${reason}`);
  for (const note of backend.notes ?? []) log.info({ isolation: backend.isolation }, note);
  const swept = await backend.sweep();
  if (swept > 0) log.info({ swept }, 'removed sandboxes that an earlier run left');
  signal?.throwIfAborted();
  return backend;
}

/** A backend that is there only after the signal is closed again; one that takes too long ends with this process. */
async function backendUnless<T extends { backend: SandboxBackend }>(
  signal: AbortSignal | undefined,
  detecting: Promise<T>,
): Promise<T> {
  if (signal === undefined) return detecting;
  try {
    return await unlessAborted(detecting, signal);
  } catch (error) {
    if (error !== signal.reason) throw error;
    const tidied = detecting.then(({ backend }) => backend.close()).catch(() => {});
    await Promise.race([tidied, sleep(GIVE_UP_MS, undefined, { ref: false })]);
    throw error;
  }
}
