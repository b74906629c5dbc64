import type { Observer } from '../core/observer.ts';
import type { SandboxBackend } from '../core/sandbox.ts';
import { GatewayError } from '../errors.ts';

/** The same backend, with the boots told to an observer. A boot that the gateway itself gave up, to shut down, is none. */
export function observeBoots(backend: SandboxBackend, observer: Pick<Observer, 'bootEnded'>): SandboxBackend {
  return {
    isolation: backend.isolation,
    kernel: backend.kernel,
    level: backend.level,
    async create(spec, signal) {
      const beganAt = performance.now();
      const ended = (ok: boolean) =>
        observer.bootEnded({ runtime: spec.runtime, durationMs: performance.now() - beganAt, ok });
      try {
        const sandbox = await backend.create(spec, signal);
        ended(true);
        return sandbox;
      } catch (error) {
        if (!isShutdown(signal)) ended(false);
        throw error;
      }
    },
    sweep: () => backend.sweep(),
    close: () => backend.close(),
  };
}

function isShutdown({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof GatewayError && reason.code === 'shutting_down';
}
