import type { Duplex } from 'node:stream';
import type { Kernel, SecurityLevel } from '../core/isolation.ts';
import type { SandboxSpec } from '../core/sandbox.ts';

/** A started sandbox whose agent has not been greeted yet. */
export interface Launched {
  /** Unique over the life of the gateway. */
  readonly id: string;
  /** Digest of its image; `null` where it has none. */
  readonly image: string | null;
  /** The agent's standard input and output. Closes when the sandbox ends. */
  readonly channel: Duplex;
  /** Resolves, never rejects, when everything in it has ended. */
  readonly ended: Promise<void>;
  /** What the agent wrote on standard error, its last 4 KiB: the reason when it does not boot. */
  stderr(): string;
  /** Kills everything in it and removes it. Idempotent. Rejects only when the engine cannot be reached. */
  kill(): Promise<void>;
  /** Whether the limit on memory ended something in it. Asked after a failure, before `kill`. */
  ranOutOfMemory(): Promise<boolean>;
}

/** What differs between engines: how a sandbox is started and ended. The protocol is not its business. */
export interface Launcher {
  readonly isolation: string;
  readonly kernel: Kernel;
  readonly level: SecurityLevel;
  /** What an operator should know of its host, in words. */
  readonly notes?: readonly string[];
  /** Rejects when the engine refuses or the signal aborts; nothing is left then. */
  launch(spec: SandboxSpec, signal: AbortSignal): Promise<Launched>;
  sweep(): Promise<number>;
  close(): Promise<void>;
}
