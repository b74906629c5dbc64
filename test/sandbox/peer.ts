import { type Duplex, duplexPair } from 'node:stream';
import type { Call, CallObserver } from '../../src/core/sandbox.ts';
import type { VariableAnswer, VariableRequest } from '../../src/core/variables.ts';
import { AgentConnection } from '../../src/sandbox/agent.ts';
import { encodeFrame, encodeJsonFrame, FrameType } from '../../src/sandbox/frames.ts';

export const never = new AbortController().signal;

/** Lets everything that is already due to happen, happen; streams need several turns for one chunk. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export function call(over: Partial<Call> = {}): Call {
  return {
    invocationId: 'id',
    functionName: 'hello',
    functionVersion: 1,
    memoryMb: 128,
    deadlineMs: 0,
    code: '',
    env: {},
    event: null,
    limits: { logBytes: 1_000, responseBytes: 8 * 2 ** 20, streamBytes: 1_000 },
    ...over,
  };
}

/** Writes down what it hears. `hold` makes it a client that does not read. */
export class Listener implements CallObserver {
  readonly heard: string[] = [];
  hold: Promise<void> | undefined;
  readonly asked: VariableRequest[] = [];
  /** What variables answer. */
  answer: (request: VariableRequest) => Promise<VariableAnswer> = async () => ({ ok: true });

  injected(): void {
    this.heard.push('injected');
  }

  head({ statusCode, headers }: Parameters<CallObserver['head']>[0]): void {
    this.heard.push(`head ${statusCode} ${JSON.stringify(headers)}`);
  }

  data(chunk: Uint8Array): void | Promise<void> {
    this.heard.push(`data ${Buffer.from(chunk)}`);
    return this.hold;
  }

  log(chunk: Uint8Array): void {
    this.heard.push(`log ${Buffer.from(chunk)}`);
  }

  variable(request: VariableRequest): Promise<VariableAnswer> {
    this.asked.push(request);
    return this.answer(request);
  }
}

export const READY = encodeJsonFrame(FrameType.ready, { protocol: 1, runtime: 'python' });
export const HEAD = encodeJsonFrame(FrameType.head, {});
export const END = encodeJsonFrame(FrameType.end, { status: 'ok' });
export const data = (text: string) => encodeFrame(FrameType.data, Buffer.from(text));
export const log = (text: string) => encodeFrame(FrameType.log, Buffer.from(text));
export const result = (json: string | Buffer) => encodeFrame(FrameType.result, Buffer.from(json));

/** The gateway's end of a channel, and the other in the hands of the test. */
export class Peer {
  readonly connection: AgentConnection;
  /** The gateway's end. */
  readonly channel: Duplex;
  /** The agent's end. */
  readonly agent: Duplex;
  readonly received: Buffer[] = [];
  readonly listener = new Listener();

  constructor() {
    const [ours, theirs] = duplexPair();
    this.channel = ours;
    this.agent = theirs;
    this.agent.on('data', (chunk: Buffer) => this.received.push(chunk));
    this.agent.on('error', () => {});
    this.connection = new AgentConnection(ours);
  }

  /** One whose agent has answered the greeting. */
  static async warm(answer = READY): Promise<Peer> {
    const peer = new Peer();
    const ready = peer.connection.handshake('python', never);
    peer.send(answer);
    await ready;
    return peer;
  }

  send(...frames: Uint8Array[]): void {
    this.agent.write(Buffer.concat(frames));
  }

  run(over: Partial<Call> = {}, signal: AbortSignal = never) {
    return this.connection.run('python', call(over), this.listener, signal);
  }

  /** Runs a call that is answered with these bytes. */
  async answered(...frames: Uint8Array[]) {
    const outcome = this.run();
    this.send(...frames);
    return outcome;
  }
}
