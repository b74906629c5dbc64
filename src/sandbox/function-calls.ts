import type { Writable } from 'node:stream';
import type { VariableAnswer, VariableRequest } from '../core/variables.ts';
import { callMessage, readMessage, VARIABLE_METHODS, variableMessage } from './agent-messages.ts';
import { encodeJsonFrame, FrameType, ProtocolViolation } from './frames.ts';

type Answer = VariableAnswer | { ok: false; error: { code: 'not_available'; message: string } };

/**
 * The CALLs of one run: numbered from 1, one at a time, at most so many. What they ask for is hostile; what is answered is for
 * the function, which may not be there any more.
 */
export class FunctionCalls {
  readonly #channel: Writable;
  readonly #allowed: number;
  readonly #answer: (request: VariableRequest) => Promise<VariableAnswer>;
  #count = 0;
  #answering = false;
  /** While the last REPLY waits for an agent that does not read. */
  #leaving: Promise<void> | undefined;
  #ended = false;

  constructor(
    channel: Writable,
    allowed: number,
    answer: (request: VariableRequest) => Promise<VariableAnswer>,
  ) {
    this.#channel = channel;
    this.#allowed = allowed;
    this.#answer = answer;
  }

  /**
   * A promise holds back what the agent sends next: who does not read replies cannot make the gateway keep more than one.
   * @throws ProtocolViolation
   */
  take(payload: Buffer): void | Promise<void> {
    if (this.#ended) return;
    if (this.#answering) throw new ProtocolViolation('CALL before the REPLY to the last one');
    if (this.#leaving !== undefined) return this.#leaving.then(() => this.take(payload));
    this.#count += 1;
    if (this.#count > this.#allowed) throw new ProtocolViolation('more CALLs than were allowed');
    const { id, method } = readMessage(callMessage, payload, 'CALL');
    if (id !== this.#count) throw new ProtocolViolation(`CALL ${id} where ${this.#count} was due`);
    const request = VARIABLE_METHODS.has(method) ? readMessage(variableMessage, payload, 'CALL') : undefined;
    this.#answering = true;
    (request === undefined ? unknown(method) : this.#answer(request))
      .then((answer) => this.#reply({ id, ...answer }))
      .catch((error) => this.#channel.destroy(error));
  }

  /** No REPLY follows. */
  end(): void {
    this.#ended = true;
  }

  #reply(reply: Answer & { id: number }): void {
    this.#answering = false;
    if (this.#ended || this.#channel.destroyed) return;
    const left = Promise.withResolvers<void>();
    this.#leaving = left.promise;
    this.#channel.write(encodeJsonFrame(FrameType.reply, reply), () => {
      this.#leaving = undefined;
      left.resolve();
    });
  }
}

/** An agent that is newer than the gateway may ask for more. */
async function unknown(method: string): Promise<Answer> {
  return { ok: false, error: { code: 'not_available', message: `This gateway does not know ${method}` } };
}
