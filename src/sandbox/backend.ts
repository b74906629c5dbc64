import type { IsolationGrade, Kernel, SecurityLevel } from '../core/isolation.ts';
import type {
  Call,
  CallObserver,
  CloseReason,
  Exit,
  Outcome,
  Sandbox,
  SandboxBackend,
  SandboxSpec,
} from '../core/sandbox.ts';
import { GatewayError, messageOf } from '../errors.ts';
import { unlessAborted } from '../unless-aborted.ts';
import { AgentConnection, ChannelClosed } from './agent.ts';
import type { Launched, Launcher } from './launcher.ts';
import { singleUse } from './single-use.ts';

/** Makes sandboxes of what a launcher starts: greets the agent, and hands out only those that answered. */
export class AgentBackend implements SandboxBackend {
  readonly isolation: string;
  readonly kernel: Kernel;
  readonly level: SecurityLevel;
  readonly notes: readonly string[];
  readonly #launcher: Launcher;

  constructor(launcher: Launcher) {
    this.#launcher = launcher;
    this.isolation = launcher.isolation;
    this.kernel = launcher.kernel;
    this.level = launcher.level;
    this.notes = launcher.notes ?? [];
  }

  async create(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox> {
    const launched = await this.#launch(spec, signal);
    const agent = new AgentConnection(launched.channel);
    const ended = new AbortController();
    launched.ended.then(() => ended.abort(new ChannelClosed('the sandbox ended')));
    try {
      // What supervised it may end and leave the channel open: an agent without a supervisor is bounded by nothing.
      await agent.handshake(spec.runtime, AbortSignal.any([signal, ended.signal]));
    } catch (error) {
      await launched.kill().catch(() => {});
      if (signal.aborted) throw signal.reason;
      const said = launched.stderr().trim();
      const detail = said === '' ? messageOf(error) : `${messageOf(error)}; it said: ${said}`;
      throw new GatewayError('engine_unavailable', `A ${spec.runtime} sandbox did not boot: ${detail}.`, {
        cause: error,
      });
    }
    return singleUse(new AgentSandbox(this, spec, launched, agent));
  }

  async #launch(spec: SandboxSpec, signal: AbortSignal): Promise<Launched> {
    signal.throwIfAborted();
    try {
      return await this.#launcher.launch(spec, signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof GatewayError) throw error;
      const message = `The ${this.isolation} engine did not start a ${spec.runtime} sandbox: ${messageOf(error)}.`;
      throw new GatewayError('engine_unavailable', message, { cause: error });
    }
  }

  sweep(): Promise<number> {
    return this.#launcher.sweep();
  }

  close(): Promise<void> {
    return this.#launcher.close();
  }
}

class AgentSandbox implements Sandbox {
  readonly id: string;
  readonly isolation: string;
  readonly level: SecurityLevel;
  readonly image: string | null;
  readonly closed: Promise<CloseReason>;
  readonly #spec: SandboxSpec;
  readonly #launched: Launched;
  readonly #agent: AgentConnection;
  #destroyed = false;

  constructor(
    { isolation, level }: IsolationGrade,
    spec: SandboxSpec,
    launched: Launched,
    agent: AgentConnection,
  ) {
    this.id = launched.id;
    this.isolation = isolation;
    this.level = level;
    this.image = launched.image;
    this.#spec = spec;
    this.#launched = launched;
    this.#agent = agent;
    const { channel } = launched;
    // It may have closed between the agent's greeting and now.
    const channelClosed = channel.closed
      ? Promise.resolve()
      : new Promise<void>((resolve) => channel.once('close', resolve));
    this.closed = Promise.race([launched.ended, channelClosed]).then(() =>
      this.#destroyed ? 'destroyed' : 'died',
    );
  }

  async run(call: Call, observer: CallObserver, signal: AbortSignal): Promise<Outcome> {
    const outcome = await this.#agent.run(this.#spec.runtime, call, observer, signal);
    if (outcome.status === 'succeeded' || outcome.failure.code !== 'function_error') return outcome;
    // Only a process that was killed, or a sandbox that vanished, can have hit the limit: other failures need no engine call.
    const { channel } = this.#launched;
    const vanished = channel.readableEnded || channel.destroyed;
    if (!(vanished || wasKilled(outcome.exit)) || !(await this.#ranOutOfMemory(signal))) return outcome;
    const message = `The function used more than its ${Math.round(this.#spec.memoryBytes / 2 ** 20)} MiB of memory.`;
    return { ...outcome, failure: { ...outcome.failure, code: 'out_of_memory', message } };
  }

  /** An engine that hangs does not tell, and must not keep a call beyond its end. */
  #ranOutOfMemory(signal: AbortSignal): Promise<boolean> {
    return unlessAborted(this.#launched.ranOutOfMemory(), signal).catch(() => false);
  }

  destroy(): Promise<void> {
    this.#destroyed = true;
    return this.#launched.kill();
  }
}

/** By a signal that a limit's enforcer sends; shells tell of a child that was by a status of 128 and its number. */
function wasKilled(exit: Exit | null): boolean {
  if (exit === null) return false;
  const { code, signal } = exit;
  return signal === 'SIGKILL' || signal === 'SIGTERM' || code === 128 + 9 || code === 128 + 15;
}
