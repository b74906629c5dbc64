import { GatewayError } from '../errors.ts';
import type { ExecutionRecord } from './execution-record.ts';
import { HeldHead } from './held-head.ts';
import type { InvokeRequest, InvokeResponse } from './invoke.ts';
import { RawBody, type RawFailure, rawFailureOf } from './raw-answer.ts';
import type { OpenReceipt } from './receipt.ts';
import { responseOf } from './response.ts';
import { ResponseStream } from './response-stream.ts';
import type { FunctionFailure, FunctionResult, ResponseHead } from './sandbox.ts';

export interface ExecutionAnswerOptions {
  /** The largest that is taken whole: by a raw caller, or to be kept where nobody waits. */
  responseBytes: number;
  /** Of who wants one. */
  receipt: OpenReceipt | undefined;
  /** The call is to end: the client does not want the rest, or cannot take it. */
  abort: (reason: GatewayError) => void;
}

/** What goes back to the caller of one invocation: whole, as a stream, raw, or an error; with its receipt where one was asked for. */
export class ExecutionAnswer {
  readonly #request: InvokeRequest;
  readonly #record: ExecutionRecord;
  readonly #abort: ExecutionAnswerOptions['abort'];
  readonly #responseBytes: number;
  #streamedBytes = 0;
  readonly #answered = Promise.withResolvers<InvokeResponse>();
  #held: HeldHead | undefined;
  #stream: ResponseStream | undefined;
  /** In raw mode, instead of a stream. */
  readonly #raw: RawBody | undefined;
  readonly #receipt: OpenReceipt | undefined;
  #signed: Promise<string> | undefined;

  constructor(
    request: InvokeRequest,
    record: ExecutionRecord,
    { responseBytes, receipt, abort }: ExecutionAnswerOptions,
  ) {
    this.#request = request;
    this.#record = record;
    this.#abort = abort;
    this.#responseBytes = responseBytes;
    this.#receipt = receipt;
    if (request.mode === 'raw') this.#raw = new RawBody(responseBytes, abort);
  }

  /** Resolves when the answer begins, rejects when there is an error in its place. */
  get begun(): Promise<InvokeResponse> {
    return this.#answered.promise;
  }

  /** The function begins to stream. */
  begin(head: ResponseHead): void {
    if (this.#raw !== undefined) this.#raw.begin();
    else this.#held = new HeldHead(head, (chunks) => this.#beginStream(head, chunks));
  }

  /** The next of what the function streams. A returned promise settles when the client has caught up. */
  write(chunk: Uint8Array): void | Promise<void> {
    this.#streamedBytes += chunk.byteLength;
    if (this.#isTooLargeToKeep) return this.#abort(tooLargeToKeep(this.#responseBytes));
    if (this.#held?.keep(chunk)) return;
    return this.#raw === undefined ? this.#sendOn(chunk) : this.#raw.write(chunk);
  }

  /**
   * The function has succeeded.
   * @param result what it returned; `undefined` after a stream
   * @throws GatewayError `invalid_response` when it is no response, `response_too_large` when it is to be kept and cannot be
   */
  end(result: FunctionResult | undefined): void {
    // It may have been done before it could be ended.
    if (this.#isTooLargeToKeep) throw tooLargeToKeep(this.#responseBytes);
    if (this.#raw !== undefined) this.#answer(this.#raw.head, this.#raw.whole(result));
    else if (result === undefined) this.#endStream();
    else this.#answerWhole(result);
  }

  /** @param own what the function said of it */
  fail(error: GatewayError, own?: FunctionFailure): void {
    const failure = this.#raw && rawFailureOf(error, own, (text) => this.#record.mask(text));
    if (failure !== undefined) {
      this.#answer(this.#raw!.head, new Uint8Array(), failure);
      return;
    }
    this.#held?.take();
    this.#record.statusCode ??= error.status;
    this.#answered.reject(error);
    this.#stream?.fail(error);
  }

  /** The receipt, when the invocation has ended; `undefined` when nobody wants one. */
  receipt(): Promise<string> | undefined {
    return this.#receipt && this.#sign(this.#receipt);
  }

  /** Found here, and not by who keeps it, so that the record and the receipt say so, too. */
  get #isTooLargeToKeep(): boolean {
    return this.#request.durable !== undefined && this.#streamedBytes > this.#responseBytes;
  }

  #beginStream(head: ResponseHead, chunks: readonly Uint8Array[]): void {
    const onCancel = () =>
      this.#abort(new GatewayError('client_closed', 'The client did not want the rest of the response.'));
    this.#stream = new ResponseStream(onCancel);
    this.#answer(head, this.#stream.readable);
    for (const chunk of chunks) this.#sendOn(chunk);
  }

  #sendOn(chunk: Uint8Array): void | Promise<void> {
    this.#receipt?.answered(chunk);
    return this.#stream?.write(chunk);
  }

  #endStream(): void {
    const whole = this.#held?.take();
    if (whole === undefined) this.#stream?.end();
    else this.#answer(this.#held!.head, whole);
  }

  #answerWhole(result: FunctionResult): void {
    const { body, ...head } = responseOf(result);
    this.#answer(head, body);
  }

  #answer(head: ResponseHead, body: InvokeResponse['body'], failure: RawFailure | null = null): void {
    this.#record.statusCode = head.statusCode;
    const { sandbox, start } = this.#record.taken!;
    const phases = { ...this.#record.phases };
    const response: InvokeResponse = {
      ...head,
      invocationId: this.#request.id,
      start,
      isolation: sandbox.isolation,
      securityLevel: sandbox.level,
      phases,
      body,
      ...(this.#raw !== undefined && { raw: { failure, ...this.#record.logged() } }),
    };
    this.#answered.resolve(body instanceof Uint8Array ? this.#vouched(response, body) : response);
  }

  /** A whole answer, with its receipt where one was asked for. */
  #vouched(response: InvokeResponse, body: Uint8Array): InvokeResponse | Promise<InvokeResponse> {
    if (this.#receipt === undefined) return response;
    this.#receipt.answered(body);
    return this.#sign(this.#receipt).then((receipt) => ({ ...response, receipt }));
  }

  /** Once, when it has ended. */
  #sign(receipt: OpenReceipt): Promise<string> {
    this.#signed ??= receipt.sign(this.#record.whole(), this.#record.taken?.sandbox);
    return this.#signed;
  }
}

const tooLargeToKeep = (bytes: number) =>
  new GatewayError('response_too_large', `The response is larger than ${bytes} bytes, and is kept whole.`);
