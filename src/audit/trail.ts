import type { Invocation } from '../core/invocation.ts';
import type { InvokeRequest } from '../core/invoke.ts';
import type { Observer } from '../core/observer.ts';
import { GatewayError, messageOf } from '../errors.ts';
import type { AnsweredRequest } from '../http/context.ts';
import type { Signer } from '../signing.ts';
import { Chain, type ChainOptions } from './chain.ts';
import type { AuditRecord, ChainName } from './entry.ts';
import { Repeats } from './repeats.ts';
import { changeOf, isRefusal, refusalOf } from './requests.ts';
import { ChainWriter } from './writer.ts';

const RETRY_AFTER_SECONDS = 5;

export interface TrailOptions {
  dir: string;
  gateway: string;
  signer: Signer;
  maxBytes: number;
  maxFiles: number;
  /** Do nothing that cannot be written down first. */
  failClosed: boolean;
  /** Hears what an operator must know at once. */
  onTrouble: (message: string, fields: Record<string, unknown>) => void;
}

/** The gateway's audit log: who changed, called and was refused what, in the chains that it alone writes. */
export class AuditTrail implements AsyncDisposable {
  readonly #changes: ChainWriter;
  readonly #calls: ChainWriter;
  readonly #refusals: Repeats;
  readonly #failClosed: boolean;
  readonly #gateway: string;
  #began = false;

  private constructor(changes: ChainWriter, calls: ChainWriter, options: TrailOptions) {
    this.#changes = changes;
    this.#calls = calls;
    this.#failClosed = options.failClosed;
    this.#gateway = options.gateway;
    this.#refusals = new Repeats((record) => calls.record(record));
  }

  /** Rejects when the folder of the log cannot be written. */
  static async open(options: TrailOptions): Promise<AuditTrail> {
    const changes = await openWriter('changes', options);
    const calls = await openWriter('calls', options);
    return new AuditTrail(changes, calls, options);
  }

  get waiting(): number {
    return this.#changes.waiting + this.#calls.waiting;
  }

  get dropped(): number {
    return this.#changes.dropped + this.#calls.dropped;
  }

  /** Why it is not written now; `undefined` when all is well. */
  get trouble(): string | undefined {
    const trouble = this.#changes.trouble ?? this.#calls.trouble;
    return trouble === undefined ? undefined : messageOf(trouble);
  }

  /** Writes down what the gateway itself has done. */
  record(record: AuditRecord): void {
    this.#changes.record(record);
  }

  /** Hears of invocations. */
  get observer(): Observer {
    return {
      invocationEnded: (invocation, _runtime, request) => this.#invoked(invocation, request),
      refused: () => {},
      bootEnded: () => {},
    };
  }

  /** The gateway serves. */
  began(detail: NonNullable<AuditRecord['detail']>): void {
    this.#began = true;
    this.record({ action: 'gateway.start', actor: null, subject: this.#gateway, outcome: 'ok', detail });
  }

  /** Before a change is made. @throws GatewayError `audit_unavailable` when it could not be written down */
  demandWritable(): void {
    if (this.#failClosed && this.trouble !== undefined) throw unavailable();
  }

  /** Before the answer to a change leaves: whoever was told that it is made finds it in the log. */
  changed(request: AnsweredRequest): Promise<void> | undefined {
    const record = changeOf(request);
    // The change is made already; what waits to be written is written later, and the operator knows.
    return record && this.#changes.written(record).catch(() => {});
  }

  /** After an answer has left. */
  answered(request: AnsweredRequest): void {
    const record = refusalOf(request);
    if (record?.outcome === 'refused') this.#refusals.refused(record);
    else if (record !== undefined) this.#calls.record(record);
  }

  /** @throws GatewayError `audit_unavailable` when nothing may happen unlogged and it cannot be logged */
  async begins({ id, event, caller }: InvokeRequest): Promise<void> {
    if (!this.#failClosed) return;
    const record: AuditRecord = {
      action: 'event.invoke',
      actor: caller.userId,
      subject: event.name,
      outcome: 'begun',
      invocationId: id,
      sourceIp: caller.sourceIp,
      detail: { version: event.current.version },
    };
    await this.#calls.written(record).catch((cause) => {
      throw unavailable(id, cause);
    });
  }

  /** When its sandbox is gone, or it never had one. */
  #invoked(invocation: Invocation, request: InvokeRequest): void {
    const { id, eventName, eventVersion, callerId, status, statusCode, isolation, securityLevel, error } =
      invocation;
    const refused = isRefusal(error?.code);
    const record: AuditRecord = {
      action: 'event.invoke',
      actor: callerId,
      subject: eventName,
      outcome: status === 'succeeded' ? 'ok' : refused ? 'refused' : 'failed',
      code: error?.code,
      status: statusCode ?? undefined,
      invocationId: id,
      sourceIp: request.caller.sourceIp,
      detail: { version: eventVersion, isolation: isolation ?? undefined, securityLevel },
    };
    if (refused) this.#refusals.refused(record);
    else this.#calls.record(record);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#refusals.flush();
    if (this.#began)
      this.record({ action: 'gateway.stop', actor: null, subject: this.#gateway, outcome: 'ok' });
    await Promise.all([this.#changes.close(), this.#calls.close()]);
  }
}

async function openWriter(name: ChainName, { onTrouble, ...options }: TrailOptions): Promise<ChainWriter> {
  const chain = await Chain.open({ ...options, name } satisfies ChainOptions);
  const writer = new ChainWriter(chain, {
    onError: (err) => onTrouble('the audit log cannot be written; trying again', { chain: name, err }),
    onRecovered: (lost) => onTrouble('the audit log is written again', { chain: name, lost }),
  });
  for (const damage of chain.damages) {
    onTrouble('the audit log is not as it was left', { chain: name, ...damage.detail });
    writer.record(damage);
  }
  return writer;
}

function unavailable(invocationId?: string, cause?: unknown): GatewayError {
  const message = 'The audit log cannot be written, and nothing may be done unlogged; try again later';
  return new GatewayError('audit_unavailable', message, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    ...(invocationId !== undefined && { invocationId }),
    cause,
  });
}
