import type { SandboxSpec } from '../core/sandbox.ts';
import { processTree, proportionalBytes, residentBytes, signalProcess } from './process-tree.ts';

const POLL_MS = 50;
const TERM_GRACE_MS = 100;

/** A sandbox under watch. */
export interface Watch {
  ranOutOfMemory(): boolean;
  stop(): void;
}

interface Watched {
  rootPid: number;
  spec: SandboxSpec;
  outOfMemory: boolean;
  termAt: number | undefined;
}

/**
 * Bounds sandboxes where no control group can: looks at each process tree every 50 ms, and ends one that has more memory or
 * processes than it may. Weaker than the kernel's own limit, because a tree can grow between two looks.
 */
export class ResourceManager {
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;

  watch(rootPid: number, spec: SandboxSpec): Watch {
    const watched: Watched = { rootPid, spec, outOfMemory: false, termAt: undefined };
    this.#watched.add(watched);
    this.#timer ??= setInterval(() => this.#look(), POLL_MS);
    return {
      ranOutOfMemory: () => watched.outOfMemory,
      stop: () => {
        this.#watched.delete(watched);
        if (this.#watched.size > 0) return;
        clearInterval(this.#timer);
        this.#timer = undefined;
      },
    };
  }

  #look(): void {
    for (const watched of this.#watched) {
      const pids = processTree(watched.rootPid);
      if (watched.termAt !== undefined) {
        if (Date.now() - watched.termAt >= TERM_GRACE_MS)
          for (const pid of pids) signalProcess(pid, 'SIGKILL');
        continue;
      }
      // Two more than allowed: the engine's own supervisor and its process 1.
      if (pids.length > watched.spec.pids + 2) {
        for (const pid of pids) signalProcess(pid, 'SIGKILL');
      } else if (this.#usesTooMuch(pids, watched.spec)) {
        watched.outOfMemory = true;
        watched.termAt = Date.now();
        // The innermost first, so that the agent lives to tell how the function ended.
        for (const pid of pids.slice(3).reverse()) signalProcess(pid, 'SIGTERM');
      }
    }
  }

  #usesTooMuch(pids: readonly number[], spec: SandboxSpec): boolean {
    return residentBytes(pids) > spec.memoryBytes && proportionalBytes(pids) > spec.memoryBytes;
  }
}
