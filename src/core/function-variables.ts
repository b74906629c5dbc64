import { GatewayError } from '../errors.ts';
import type { Clock } from './clock.ts';
import {
  nameFault,
  type Variable,
  type VariableAnswer,
  type VariableChange,
  type VariableErrorCode,
  type VariableQuota,
  type VariableRequest,
  type VariableStore,
  valueFault,
} from './variables.ts';

/** What every invocation's variables need. */
export interface VariablesDeps {
  store: VariableStore;
  quota: VariableQuota;
  /** How long the store may take over one request, ms. */
  timeoutMs: number;
  /** Hears of what is the gateway's own fault. */
  onError: (error: unknown) => void;
}

/** Of which user, and whether what is written stays. */
export interface VariablesOf {
  ownerId: string;
  /** A replay sees what it wrote itself over what there is, and leaves everything as it was. */
  isReplay: boolean;
}

type Changed = Pick<Variable, 'json' | 'revision'> | undefined;

/** A request that cannot be granted; the function is told why. */
class Refused extends Error {
  readonly code: VariableErrorCode;

  constructor(code: VariableErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Variables as one invocation has them. The store is asked only when the function asks. */
export class FunctionVariables {
  readonly #deps: VariablesDeps;
  readonly #of: VariablesOf;
  readonly #clock: Clock;
  /** What a replay has written: by name, `undefined` for what it has removed. */
  readonly #own = new Map<string, Variable | undefined>();
  #writes = 0;

  constructor(deps: VariablesDeps, of: VariablesOf, clock: Clock) {
    this.#deps = deps;
    this.#of = of;
    this.#clock = clock;
  }

  /** Resolves whatever happens, and within the store's time: what went wrong is part of the answer. */
  async answer(request: VariableRequest): Promise<VariableAnswer> {
    try {
      const fault = nameFault(request.name);
      if (fault !== undefined) throw new Refused('invalid_name', fault);
      return await this.#inTime(this.#carryOut(request));
    } catch (error) {
      if (!(error instanceof Refused || error instanceof GatewayError)) this.#deps.onError(error);
      return { ok: false, error: errorOf(error) };
    }
  }

  async #carryOut(request: VariableRequest): Promise<VariableAnswer> {
    const { name } = request;
    switch (request.method) {
      case 'variable.get':
        return granted(await this.#get(name));
      case 'variable.delete': {
        const { before } = await this.#change(name, () => undefined);
        return { ok: true, existed: before !== undefined };
      }
      case 'variable.increment':
        return granted((await this.#change(name, incrementedBy(request.by))).after);
      case 'variable.set': {
        const fault = valueFault(request.value);
        if (fault !== undefined) throw new Refused(fault.code, fault.message);
        const { value, revision } = request;
        const { after } = await this.#change(name, (before) => {
          if (revision !== undefined && revision !== (before?.revision ?? null)) {
            throw new Refused('conflict', `The variable ${name} was changed by somebody else`);
          }
          return value;
        });
        // The function has the value already.
        return { ok: true, ...(after && { revision: after.revision }) };
      }
    }
  }

  async #get(name: string): Promise<Variable | undefined> {
    if (this.#own.has(name)) return this.#own.get(name);
    return this.#deps.store.get(this.#of.ownerId, name);
  }

  async #change(name: string, change: VariableChange): Promise<{ before: Changed; after: Changed }> {
    const { store, quota } = this.#deps;
    if (!this.#of.isReplay) return store.change(this.#of.ownerId, name, change, quota);
    const before = await this.#get(name);
    const json = change(before);
    let kept = json?.length ?? 0;
    for (const own of this.#own.values()) if (own?.name !== name) kept += own?.json.length ?? 0;
    if (kept > quota.maxBytes)
      throw new Refused('quota_exceeded', `A replay may write ${quota.maxBytes} bytes of variables`);
    this.#writes += 1;
    const revision = `replay-${this.#writes}`;
    const after = json === undefined ? undefined : { name, json, revision, updatedAt: new Date() };
    this.#own.set(name, after);
    return { before, after };
  }

  #inTime<T>(work: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const message = 'The store did not answer in time; whether a change was made is not known';
    const cancel = this.#clock.after(this.#deps.timeoutMs, () =>
      late.reject(new Refused('unavailable', message)),
    );
    return Promise.race([work, late.promise]).finally(cancel);
  }
}

function granted(variable: Changed): VariableAnswer {
  return variable === undefined
    ? { ok: true }
    : { ok: true, value: variable.json, revision: variable.revision };
}

/** From 0 where there is none. Whole numbers stay exact, or are refused. */
function incrementedBy(by: number): VariableChange {
  return (before) => {
    const value: unknown = before === undefined ? 0 : JSON.parse(before.json);
    if (typeof value !== 'number') {
      throw new Refused('not_a_number', `The variable ${before?.name} is not a number`);
    }
    const sum = value + by;
    const exact = Number.isSafeInteger(sum) || !(Number.isInteger(value) && Number.isInteger(by));
    if (!Number.isFinite(sum) || !exact)
      throw new Refused('not_a_number', 'The sum is more than a number can hold');
    return JSON.stringify(sum);
  };
}

function errorOf(error: unknown): { code: VariableErrorCode; message: string } {
  if (error instanceof Refused) return { code: error.code, message: error.message };
  if (error instanceof GatewayError && error.code === 'variable_quota_exceeded')
    return { code: 'quota_exceeded', message: error.message };
  if (error instanceof GatewayError && error.code === 'store_unavailable')
    return { code: 'unavailable', message: error.message };
  return { code: 'unavailable', message: 'The gateway cannot serve variables now' };
}
