import type { Page } from './page.ts';

export const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;
/** Of a value as JSON, UTF-8. */
export const MAX_VALUE_BYTES = 65_536;
/** Uses of variables in one invocation. */
export const MAX_VARIABLE_CALLS = 1_000;

/** What a function or its owner left for later calls. */
export interface Variable {
  name: string;
  /** The value as JSON text, as it was written: numbers keep their digits. */
  json: string;
  /** Another after each write, also when the variable was removed in between. */
  revision: string;
  updatedAt: Date;
}

/** A variable in a list of them. */
export interface VariableSummary extends Pick<Variable, 'name' | 'revision' | 'updatedAt'> {
  /** Of the value. */
  bytes: number;
}

/** What one user may keep. */
export interface VariableQuota {
  maxCount: number;
  /** Names and values together. */
  maxBytes: number;
}

/**
 * Looks at a variable as it is and says what it becomes: JSON text, or `undefined` for none. Nobody else changes it in between,
 * and what is thrown undoes everything. It may be called again, so it does nothing else.
 */
export type VariableChange = (before: Variable | undefined) => string | undefined;

/** Variables by owner. Every method may reject with `store_unavailable`. */
export interface VariableStore {
  get(ownerId: string, name: string): Promise<Variable | undefined>;
  /** Sorted by name. `cursor` is a `nextCursor` of an earlier page. */
  list(ownerId: string, page: { limit: number; cursor?: string }): Promise<Page<VariableSummary>>;
  /**
   * Resolves to what there was and what there is now.
   * Rejects with `variable_quota_exceeded` when more is kept then than the quota allows, and more than before.
   */
  change(
    ownerId: string,
    name: string,
    change: VariableChange,
    quota: VariableQuota,
  ): Promise<{ before: Variable | undefined; after: Variable | undefined }>;
}

/** What a function asks of variables while it runs. */
export type VariableRequest =
  | { method: 'variable.get'; name: string }
  | { method: 'variable.delete'; name: string }
  | { method: 'variable.increment'; name: string; by: number }
  /** With `revision` only if it is still that one, or, with `null`, if there is none. */
  | { method: 'variable.set'; name: string; value: string; revision?: string | null | undefined };

export type VariableErrorCode =
  | 'invalid_name'
  | 'invalid_value'
  | 'value_too_large'
  | 'quota_exceeded'
  | 'conflict'
  | 'not_a_number'
  | 'unavailable';

/** `value` and `revision` are absent where there is no such variable any more. */
export type VariableAnswer =
  | { ok: true; value?: string; revision?: string; existed?: boolean }
  | { ok: false; error: { code: VariableErrorCode; message: string } };

/** What is wrong with a name, as an English sentence; `undefined` when nothing is. */
export function nameFault(name: string): string | undefined {
  return VARIABLE_NAME.test(name) ? undefined : `The name of a variable must match ${VARIABLE_NAME.source}`;
}

/** What is wrong with a value; `undefined` when nothing is. */
export function valueFault(
  json: string,
): { code: 'invalid_value' | 'value_too_large'; message: string } | undefined {
  if (json.length > MAX_VALUE_BYTES || Buffer.byteLength(json) > MAX_VALUE_BYTES) {
    return {
      code: 'value_too_large',
      message: `The value of a variable is at most ${MAX_VALUE_BYTES} bytes as JSON`,
    };
  }
  const message = 'The value of a variable must be JSON';
  if (!json.isWellFormed()) return { code: 'invalid_value', message };
  try {
    JSON.parse(json);
    return undefined;
  } catch {
    return { code: 'invalid_value', message };
  }
}
