import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Frame types of runtimes/PROTOCOL.md. */
export const FrameType = {
  hello: 0x01,
  invoke: 0x02,
  reply: 0x03,
  ready: 0x81,
  head: 0x82,
  data: 0x83,
  log: 0x84,
  result: 0x85,
  end: 0x86,
  call: 0x87,
} as const;

/** How to start an agent as a bare child process. */
export interface AgentCommand {
  file: string;
  args: string[];
}

export interface Frame {
  type: number;
  payload: Buffer;
}

export interface Invoke {
  runtime: string;
  invocationId: string;
  functionName: string;
  functionVersion: string;
  memoryMb: number;
  deadlineMs: number;
  code: string;
  env: Record<string, string>;
  event: unknown;
  limits: { logBytes: number; responseBytes: number; streamBytes: number; calls?: number };
}

export interface End {
  status: 'ok' | 'error';
  error?: { code: string; type?: string; message: string; trace?: string };
  exit: { code: number | null; signal: string | null } | null;
  droppedLogBytes: number;
}

/** Everything an agent sent between INVOKE and END. */
export interface Transcript {
  frames: Frame[];
  logs: string;
  head: { statusCode: number; headers: Record<string, string>; cookies: string[] } | undefined;
  data: Buffer;
  result: { value: unknown } | undefined;
  end: End;
}

export function frame(type: number, payload: Uint8Array | string): Buffer {
  const body = Buffer.from(payload as string);
  const header = Buffer.alloc(5);
  header.writeUInt32BE(body.length, 0);
  header[4] = type;
  return Buffer.concat([header, body]);
}

/** A call that any agent can run; a test overrides what it is about. */
export function invoke(overrides: Partial<Invoke> & { runtime: string; code: string }): Invoke {
  return {
    invocationId: 'test-invocation',
    functionName: 'test',
    functionVersion: '1',
    memoryMb: 512,
    deadlineMs: Date.now() + 60_000,
    env: {},
    event: { version: '2.0', rawPath: '/', isBase64Encoded: false },
    limits: { logBytes: 262_144, responseBytes: 6_291_456, streamBytes: 104_857_600 },
    ...overrides,
  };
}

/** An agent in a process of its own, with its standard input and output as the channel. */
export class Agent {
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  /** Everything the agent sent, byte by byte, in order. */
  received: Buffer = Buffer.alloc(0);
  stderr = '';
  #child: ChildProcess;
  #scratch: string;
  #parsed = 0;
  #ended = false;
  #wake: () => void = () => {};

  static async start(command: AgentCommand): Promise<Agent> {
    const scratch = await mkdtemp(join(tmpdir(), 'agent-test-'));
    const child = spawn(command.file, command.args, {
      stdio: 'pipe',
      cwd: scratch,
      // AGENT_SECRET must not reach a function: the agent's own environment is not passed on.
      env: { PATH: process.env.PATH, TMPDIR: scratch, AGENT_SECRET: 'agent' },
    });
    return new Agent(child, scratch);
  }

  /** Starts an agent and shakes hands. */
  static async boot(command: AgentCommand): Promise<Agent> {
    const agent = await Agent.start(command);
    agent.write(frame(FrameType.hello, '{"protocol":1}'));
    const ready = await agent.next();
    if (ready?.type === FrameType.ready) return agent;
    await agent.dispose();
    throw new Error(`the agent did not answer READY: ${agent.stderr}`);
  }

  private constructor(child: ChildProcess, scratch: string) {
    this.#child = child;
    this.#scratch = scratch;
    this.exited = new Promise((resolve) => {
      child.once('error', () => resolve({ code: null, signal: 'not started' }));
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    child.stdin!.on('error', () => {});
    child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    child.stdout!.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    child.stdout!.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** A directory that goes away with the agent. */
  get scratch(): string {
    return this.#scratch;
  }

  write(bytes: Uint8Array): void {
    this.#child.stdin!.write(bytes);
  }

  send(call: Invoke): void {
    this.write(frame(FrameType.invoke, JSON.stringify(call)));
  }

  /** Closes the gateway's side of the channel. */
  close(): void {
    this.#child.stdin!.end();
  }

  /** Stops reading what the agent sends, until `resume`. */
  pause(): void {
    this.#child.stdout!.pause();
  }

  resume(): void {
    this.#child.stdout!.resume();
  }

  /** The next frame, or null when the agent has closed its side. Throws on a frame that is cut off. */
  async next(): Promise<Frame | null> {
    for (;;) {
      const rest = this.received.subarray(this.#parsed);
      const length = rest.length >= 5 ? 5 + rest.readUInt32BE(0) : Number.POSITIVE_INFINITY;
      if (rest.length >= length) {
        this.#parsed += length;
        return { type: rest[4]!, payload: rest.subarray(5, length) };
      }
      if (this.#ended && rest.length > 0) throw new Error('the last frame is cut off');
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Reads up to END. `seen` hears each frame as it comes. */
  async transcript(seen: (frame: Frame) => void | Promise<void> = () => {}): Promise<Transcript> {
    const frames: Frame[] = [];
    for (;;) {
      const next = await this.next();
      if (next === null) throw new Error(`the agent ended without END: ${this.stderr}`);
      frames.push(next);
      await seen(next);
      if (next.type === FrameType.end) return summary(frames);
    }
  }

  /** Sends the call and reads up to END. */
  run(call: Invoke, seen?: (frame: Frame) => void | Promise<void>): Promise<Transcript> {
    this.send(call);
    return this.transcript(seen);
  }

  /** Bytes that came and that `next` has not returned. */
  get unread(): Buffer {
    return this.received.subarray(this.#parsed);
  }

  /** Closes the channel and waits until the process is gone; kills one that does not go by itself. */
  async dispose(): Promise<void> {
    this.close();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    await this.exited;
    clearTimeout(timer);
    await rm(this.#scratch, { recursive: true, force: true });
  }
}

function summary(frames: Frame[]): Transcript {
  const joined = (type: number) =>
    Buffer.concat(frames.filter((one) => one.type === type).map((one) => one.payload));
  const json = (type: number) => {
    const found = frames.find((one) => one.type === type);
    return found && JSON.parse(found.payload.toString());
  };
  return {
    frames,
    logs: joined(FrameType.log).toString(),
    head: json(FrameType.head),
    data: joined(FrameType.data),
    result: frames.some((one) => one.type === FrameType.result)
      ? { value: json(FrameType.result) }
      : undefined,
    end: json(FrameType.end),
  };
}

/** Whether a process exists and is not a zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Resolves when the process is gone; rejects after ten seconds. */
export async function gone(pid: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (!(await isAlive(pid))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`process ${pid} is still there`);
}
