import type { Duplex } from 'node:stream';
import type { Runtime } from '../core/event.ts';
import type { Call, CallObserver, FunctionResult, Outcome } from '../core/sandbox.ts';
import { endMessage, headMessage, readJson, readMessage, readyMessage } from './agent-messages.ts';
import {
  encodeJsonFrame,
  type Frame,
  FrameDecoder,
  FrameType,
  MAX_INVOKE_BYTES,
  PROTOCOL_VERSION,
  ProtocolViolation,
} from './frames.ts';
import { FunctionCalls } from './function-calls.ts';

/** What an agent says in READY when it may send CALL. */
const VARIABLES = 'variables';

/** The channel closed before the agent had said what it had to. */
export class ChannelClosed extends Error {
  override readonly name = 'ChannelClosed';
}

/** A function that succeeds without a response has returned nothing. */
const NOTHING: FunctionResult = { value: null, json: Buffer.from('null') };

type Listener = { frame(frame: Frame): void | Promise<void>; failed(error: Error): void };

/**
 * The gateway's side of runtimes/PROTOCOL.md over any duplex stream. One handshake, then at most one run.
 * Nothing that the other side sends can do more than end the call: every frame is bounded, checked and in its order, or refused.
 */
export class AgentConnection {
  readonly #channel: Duplex;
  readonly #decoder = new FrameDecoder();
  #listener: Listener | undefined;
  #failure: Error | undefined;
  #held = false;
  #closed: ChannelClosed | undefined;
  #features: readonly string[] = [];

  constructor(channel: Duplex) {
    this.#channel = channel;
    channel.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk);
      this.#deliver();
    });
    channel.on('error', (error) =>
      this.#fail(new ChannelClosed(`the sandbox's channel failed: ${error.message}`)),
    );
    channel.on('end', () => {
      this.#fail(new ChannelClosed('the sandbox ended'));
      // An agent that only says no more is as good as dead, and must be seen to be.
      channel.destroy();
    });
    channel.on('close', () => this.#fail(new ChannelClosed('the sandbox ended')));
  }

  /**
   * Greets the agent and waits for its READY.
   * @throws ProtocolViolation, ChannelClosed, or `signal.reason`
   */
  async handshake(runtime: Runtime, signal: AbortSignal): Promise<void> {
    const answered = this.#listen<void>(signal, (frame, done) => {
      if (frame.type !== FrameType.ready) throw new ProtocolViolation('the agent did not begin with READY');
      const ready = readMessage(readyMessage, frame.payload, 'READY');
      if (ready.runtime !== runtime)
        throw new ProtocolViolation(`the agent is for ${ready.runtime}, not ${runtime}`);
      this.#features = ready.features;
      done();
    });
    this.#channel.write(encodeJsonFrame(FrameType.hello, { protocol: PROTOCOL_VERSION }));
    await answered;
  }

  /**
   * Hands the call over and hears it out. Resolves whatever the function does; a sandbox that dies or breaks the protocol is
   * a failed outcome.
   * @throws `signal.reason` when aborted first; Error when the call is over 64 MiB
   */
  async run(runtime: Runtime, call: Call, observer: CallObserver, signal: AbortSignal): Promise<Outcome> {
    signal.throwIfAborted();
    const { deadlineMs, invocationId, functionName, memoryMb, code, env, event } = call;
    const canCall = observer.variable !== undefined && this.#features.includes(VARIABLES);
    const limits = { ...call.limits, calls: canCall ? (call.limits.calls ?? 0) : 0 };
    const frame = encodeJsonFrame(FrameType.invoke, {
      runtime,
      invocationId,
      functionName,
      functionVersion: String(call.functionVersion),
      memoryMb,
      deadlineMs,
      handler: 'handler',
      code,
      env,
      event,
      limits,
    });
    if (frame.byteLength > MAX_INVOKE_BYTES)
      throw new RangeError('code, environment and event are over 64 MiB');
    this.#decoder.resultBytes = limits.responseBytes;
    const calls = new FunctionCalls(this.#channel, limits.calls, (request) => observer.variable!(request));
    const reading = new CallReading(call, observer, calls);
    const outcome = this.#listen<Outcome>(signal, (received, done) => reading.read(received, done));
    this.#channel.write(frame);
    observer.injected();
    try {
      return await outcome;
    } catch (error) {
      if (error instanceof ProtocolViolation)
        return failed('invalid_response', `Protocol violation: ${error.message}.`);
      if (error instanceof ChannelClosed) {
        return failed('function_error', 'The sandbox ended before the function answered.');
      }
      throw error;
    } finally {
      calls.end();
    }
  }

  #listen<T>(
    signal: AbortSignal,
    onFrame: (frame: Frame, done: (value: T) => void) => void | Promise<void>,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const settle = (settled: () => void) => {
        signal.removeEventListener('abort', onAbort);
        this.#listener = undefined;
        settled();
      };
      const failed = (error: Error) => settle(() => reject(error));
      const onAbort = () => failed(signal.reason);
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#listener = { frame: (frame) => onFrame(frame, (value) => settle(() => resolve(value))), failed };
      if (this.#failure !== undefined) return failed(this.#failure);
      this.#deliver();
    });
  }

  #deliver(): void {
    while (!this.#held && this.#failure === undefined) {
      let pending: void | Promise<void>;
      try {
        // A warm agent has nothing to say, not even half a frame: whoever speaks then is not the agent that was booted.
        if (this.#listener === undefined && !this.#decoder.isEmpty)
          throw new ProtocolViolation('a frame that nobody waits for');
        const frame = this.#decoder.next();
        if (frame === undefined || this.#listener === undefined) return;
        pending = this.#listener.frame(frame);
      } catch (error) {
        this.#fail(error as Error);
        return;
      }
      if (pending !== undefined) this.#hold(pending);
    }
  }

  #hold(until: Promise<void>): void {
    this.#held = true;
    this.#channel.pause();
    const release = () => {
      this.#held = false;
      this.#channel.resume();
      this.#deliver();
      if (this.#closed !== undefined) this.#fail(this.#closed);
    };
    until.then(release, (error) => {
      this.#held = false;
      this.#fail(error);
    });
  }

  #fail(error: Error): void {
    // Frames that came before the close still count, and wait in the decoder while a slow client holds them back.
    if (this.#held && error instanceof ChannelClosed) {
      this.#closed = error;
      return;
    }
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#listener?.failed(error);
    if (error instanceof ProtocolViolation) this.#channel.destroy();
  }
}

/** Follows one call through its frames, and refuses those out of order or over the call's bounds. */
class CallReading {
  readonly #call: Call;
  readonly #observer: CallObserver;
  readonly #calls: FunctionCalls;
  #result: FunctionResult | undefined;
  #streaming = false;
  #streamedBytes = 0;
  #loggedBytes = 0;

  constructor(call: Call, observer: CallObserver, calls: FunctionCalls) {
    this.#call = call;
    this.#observer = observer;
    this.#calls = calls;
  }

  read(frame: Frame, done: (outcome: Outcome) => void): void | Promise<void> {
    switch (frame.type) {
      case FrameType.log:
        return this.#log(frame.payload);
      case FrameType.head:
        return this.#head(frame.payload);
      case FrameType.data:
        return this.#data(frame.payload);
      case FrameType.result:
        return this.#setResult(frame.payload);
      case FrameType.call:
        return this.#calls.take(frame.payload);
      case FrameType.end:
        return done(this.#outcome(frame.payload));
      default:
        throw new ProtocolViolation('READY came twice');
    }
  }

  #log(payload: Buffer): void {
    this.#loggedBytes += payload.byteLength;
    if (this.#loggedBytes > this.#call.limits.logBytes)
      throw new ProtocolViolation('more log than was allowed');
    this.#observer.log(payload);
  }

  #head(payload: Buffer): void {
    if (this.#streaming || this.#result !== undefined)
      throw new ProtocolViolation('HEAD after a response had begun');
    this.#streaming = true;
    this.#observer.head(readMessage(headMessage, payload, 'HEAD'));
  }

  #data(payload: Buffer): void | Promise<void> {
    if (!this.#streaming) throw new ProtocolViolation('DATA before HEAD');
    this.#streamedBytes += payload.byteLength;
    if (this.#streamedBytes > this.#call.limits.streamBytes)
      throw new ProtocolViolation('a larger stream than was allowed');
    return this.#observer.data(payload);
  }

  #setResult(payload: Buffer): void {
    if (this.#streaming || this.#result !== undefined)
      throw new ProtocolViolation('RESULT after a response had begun');
    this.#result = { value: readJson(payload, 'RESULT'), json: payload };
  }

  #outcome(payload: Buffer): Outcome {
    const end = readMessage(endMessage, payload, 'END');
    const { exit, droppedLogBytes } = end;
    if (end.status === 'ok') {
      const result = this.#streaming ? undefined : (this.#result ?? NOTHING);
      return { status: 'succeeded', exit, droppedLogBytes, ...(result && { result }) };
    }
    const { code, message, type, trace } = end.error;
    const failure = {
      code,
      message,
      ...(type !== undefined && { type }),
      ...(trace !== undefined && { trace }),
    };
    return { status: 'failed', failure, exit, droppedLogBytes };
  }
}

function failed(code: 'function_error' | 'invalid_response', message: string): Outcome {
  return { status: 'failed', failure: { code, message }, exit: null, droppedLogBytes: 0 };
}
